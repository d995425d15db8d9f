//! .NET projects, whatever their language: C# and F# differ in the ending of the project file alone.
//!
//! Owns the choice among a repository's projects, and the plan. `project.rs` has what a project file says. Claims are the languages'.

use serde::Deserialize;

use crate::languages::{quote, strings};
use crate::plan::{Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Request, Strength};
use crate::read;
use crate::repo::{FileKind, Repo};
use crate::version::{self, Candidate, Grammar, Tool};

use self::project::{Kind, Project, framework};

mod project;

/// A language of .NET.
pub(crate) struct Language {
    /// As nixpacks calls it.
    pub(crate) name: &'static str,
    /// Of its project files: `csproj`.
    pub(crate) ending: &'static str,
    /// Name of its version's setting: `CSHARP_SDK_VERSION`.
    pub(crate) setting: &'static str,
}

/// Where publishing puts the program.
const OUT: &str = "out";
const CACHE: &str = "/root/.nuget/packages";

impl Language {
    /// A project at the root, or one that a solution at the root names.
    pub(crate) fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let Some(path) = self.projects(repo)?.into_iter().next() else {
            return Ok(None);
        };
        let note = if path.contains('/') {
            "a project of the solution"
        } else {
            "found at the root"
        };
        Ok(Some(Claim::new(
            Strength::Definite,
            Evidence::file(&path, note),
        )))
    }

    /// Paths of the project files: those at the root, else those of a solution there.
    fn projects(&self, repo: &Repo) -> Result<Vec<String>, PlanError> {
        let files: Vec<String> = repo
            .list("")?
            .into_iter()
            .filter(|entry| entry.kind == FileKind::File && repo.in_image(&entry.path))
            .map(|entry| entry.path)
            .collect();
        let own = |path: &String| ending(path) == Some(self.ending);
        let here: Vec<String> = files.iter().filter(|path| own(path)).cloned().collect();
        if !here.is_empty() {
            return Ok(here);
        }
        let mut named = Vec::new();
        for solution in &files {
            named.extend(match ending(solution) {
                Some("sln") => repo
                    .text(solution)?
                    .map(|text| sln(&text))
                    .unwrap_or_default(),
                Some("slnx") => slnx(repo, solution)?,
                _ => Vec::new(),
            });
        }
        named.retain(|path| own(path) && repo.in_image(path));
        named.sort();
        named.dedup();
        Ok(named)
    }

    /// The plan of the project that a server or program is made of.
    pub(crate) fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        let mut projects = Vec::new();
        for path in self.projects(request.repo)? {
            projects.extend(Project::read(request.repo, &path)?);
        }
        projects.sort_by_key(Project::rank);
        let mut projects = projects.into_iter();
        let Some(project) = projects.next() else {
            return Ok(Proposal {
                without_start: Some(format!("add a .{} file", self.ending)),
                ..Proposal::default()
            });
        };
        let others = projects.map(|other| other.path).collect();
        let facts = Facts {
            version: self.version(request, &project)?,
            install: manifests(request.repo, &project)?,
            beside: beside(request.repo)?,
            project,
            others,
            test: request.test,
        };
        Ok(decide(self, &facts))
    }

    fn version(&self, request: &Request, project: &Project) -> Result<Tool, PlanError> {
        let repo = request.repo;
        let mut candidates = Vec::new();
        candidates.extend(
            request
                .setting_with_evidence(self.setting)
                .map(|(value, evidence)| Candidate::new(&value, evidence)),
        );
        let global = repo.parsed("global.json", |text| {
            read::jsonc::<GlobalJson>("global.json", text)
        })?;
        if let Some(version) = global.as_ref().and_then(|file| file.sdk.version.as_deref()) {
            let text = repo.text("global.json")?.unwrap_or_default();
            let line = read::line_of(&text, "\"version\"");
            let evidence = Evidence::key("global.json", "sdk.version", line, version);
            candidates.push(Candidate::new(version, evidence));
        }
        candidates.extend(version::tool_managers(repo, &["dotnet", "dotnet-core"])?);
        if let Some(target) = framework(repo, project)? {
            let evidence = Evidence::key(
                &target.file,
                "TargetFramework",
                Some(target.line),
                &target.name,
            );
            let numbers = target.name.trim_start_matches("netcoreapp");
            let numbers = numbers.trim_start_matches("net");
            candidates.push(Candidate::new(numbers, evidence));
        }
        // The third number of a development kit is not a runtime's: the line is what matters.
        for candidate in &mut candidates {
            let numbers: Vec<&str> = candidate.text.split('.').take(2).collect();
            if numbers.iter().all(|part| part.parse::<u32>().is_ok()) {
                candidate.text = numbers.join(".");
            }
        }
        version::tool("dotnet-sdk", Grammar::Plain, &candidates)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct GlobalJson {
    sdk: Sdk,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Sdk {
    version: Option<String>,
}

fn ending(path: &str) -> Option<&str> {
    path.rsplit_once('.').map(|(_, ending)| ending)
}

/// The projects of a solution: lines of `Project("{kind}") = "name", "path", "{id}"`.
fn sln(text: &str) -> Vec<String> {
    let path = |line: &str| {
        let (_, after) = line.trim().strip_prefix("Project(")?.split_once('=')?;
        Some(after.split('"').nth(3)?.replace('\\', "/"))
    };
    text.lines().filter_map(path).collect()
}

/// The projects of a solution in the XML format.
fn slnx(repo: &Repo, file: &str) -> Result<Vec<String>, PlanError> {
    let Some(text) = repo.text(file)? else {
        return Ok(Vec::new());
    };
    let document = read::xml(file, &text)?;
    let paths = document
        .descendants()
        .filter(|node| node.has_tag_name("Project"))
        .filter_map(|node| node.attribute("Path"));
    Ok(paths.map(|path| path.replace('\\', "/")).collect())
}

/// Everything that the decisions rest on.
struct Facts {
    version: Tool,
    project: Project,
    others: Vec<String>,
    /// The only files that restoring reads, or why there may be others.
    install: Result<Vec<String>, String>,
    /// Configuration and files to serve that a program at the root reads from its folder.
    beside: Vec<String>,
    test: bool,
}

/// Names of files that restoring reads beside the project.
const RESTORED_FROM: [&str; 8] = [
    "Directory.Build.props",
    "Directory.Build.targets",
    "Directory.Packages.props",
    "NuGet.Config",
    "global.json",
    "nuget.config",
    "NuGet.config",
    "packages.lock.json",
];

fn manifests(repo: &Repo, project: &Project) -> Result<Result<Vec<String>, String>, PlanError> {
    if !project.at_root() {
        return Ok(Err("the project is one of a solution".to_owned()));
    }
    if project.references {
        return Ok(Err("the project refers to others".to_owned()));
    }
    let mut files = vec![project.path.clone()];
    for entry in repo.list("")? {
        let solution = matches!(ending(&entry.name), Some("sln" | "slnx"));
        if solution {
            return Ok(Err(format!("{} may name further projects", entry.name)));
        }
        if RESTORED_FROM.contains(&entry.name.as_str()) && repo.in_image(&entry.path) {
            files.push(entry.path);
        }
    }
    Ok(Ok(files))
}

fn beside(repo: &Repo) -> Result<Vec<String>, PlanError> {
    let wanted = |name: &str| {
        name == "wwwroot"
            || name == "Views"
            || (name.starts_with("appsettings") && ending(name) == Some("json"))
    };
    let entries = repo.list("")?.into_iter();
    Ok(entries
        .filter(|entry| wanted(&entry.name) && repo.in_image(&entry.path))
        .map(|entry| match entry.kind {
            FileKind::Directory => entry.path + "/**",
            _ => entry.path,
        })
        .collect())
}

fn decide(language: &Language, facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&[language.name]),
        warnings: facts.version.warnings.clone(),
        ..Proposal::default()
    };
    let project = &facts.project;
    proposal.decisions.push(facts.version.decision.clone());
    let kind = project.kind.words();
    proposal.decisions.push(
        Decision::new("project", project.path.clone(), kind)
            .from(Evidence::file(&project.path, kind))
            .over(facts.others.clone()),
    );
    // At the root the commands find it by themselves.
    let argument = if project.at_root() && facts.others.is_empty() {
        String::new()
    } else {
        format!(" {}", quote(&project.path))
    };
    let plan = &mut proposal.plan;
    for (name, value) in [
        ("ASPNETCORE_ENVIRONMENT", "Production"),
        ("ASPNETCORE_URLS", "http://0.0.0.0:3000"),
        ("DOTNET_CLI_TELEMETRY_OPTOUT", "1"),
        ("DOTNET_NOLOGO", "1"),
    ] {
        plan.variables.insert(name.to_owned(), value.to_owned());
    }
    plan.phase("setup").nix_pkgs = Some(vec![facts.version.entry()]);
    let (files, sees) = match &facts.install {
        Ok(files) => (Some(files.clone()), "sees the manifests alone".to_owned()),
        Err(why) => (None, format!("sees all files: {why}")),
    };
    let install = format!("dotnet restore{argument}");
    proposal
        .decisions
        .push(Decision::new("install", install.clone(), sees));
    let phase = |command: String, after: &str| Phase {
        cmds: Some(vec![command]),
        depends_on: Some(strings(&[after])),
        cache_directories: Some(strings(&[CACHE])),
        ..Phase::default()
    };
    let publish = format!("dotnet publish{argument} --no-restore -c Release -o {OUT}");
    plan.phases.insert(
        "install".to_owned(),
        Phase {
            only_include_files: files,
            ..phase(install, "setup")
        },
    );
    plan.phases
        .insert("build".to_owned(), phase(publish, "install"));
    if facts.test {
        plan.phases
            .insert("test".to_owned(), phase("dotnet test".to_owned(), "build"));
    }
    plan.start = Some(start(facts));
    proposal
}

fn start(facts: &Facts) -> Start {
    let project = &facts.project;
    let program = quote(&project.assembly);
    // A server reads its configuration from the folder that it is started in; a solution's root has none.
    let cmd = if project.at_root() {
        format!("./{OUT}/{program}")
    } else {
        format!("cd {OUT} && exec ./{program}")
    };
    let line = &facts.version.range;
    let runtime = match project.kind {
        _ if project.self_contained => None,
        Kind::Server => Some(format!("dotnet-aspnetcore@{line}")),
        _ => Some(format!("dotnet-runtime@{line}")),
    };
    let mut files = vec![format!("{OUT}/**")];
    if project.at_root() {
        files.extend(facts.beside.iter().cloned());
    }
    Start {
        cmd: Some(cmd),
        nix_pkgs: Some(runtime.into_iter().collect()),
        only_include_files: Some(files),
        ..Start::default()
    }
}

#[cfg(test)]
mod tests;
