//! Scala applications, built by sbt.
//!
//! - Claims: `build.sbt`
//! - Version from: `NIXPACKS_JDK_VERSION`, `.java-version`, `.jdk-version`, `.sdkmanrc`, system.properties, `.tool-versions`, mise.toml; else the newest that sbt and Scala run on. sbt from project/build.properties
//! - Installs with: nothing; sbt downloads into its caches
//! - Builds with: `sbt stage` with sbt-native-packager or Play, `sbt assembly` with sbt-assembly; without these the class path is copied
//! - Starts with: the script of `stage`, the jar of `assembly`, or `java` with the copied class path

mod build;
mod words;

use crate::jvm;
use crate::leftovers;
use crate::plan::{PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::{self, Repo};
use crate::version::{self, Candidate, Grammar, Tool};

use self::build::{BUILD, Build, PROPERTIES, Project};
use super::{quote, strings};

/// The Scala provider.
pub struct Scala;

impl Provider for Scala {
    fn name(&self) -> &'static str {
        "scala"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let evidence = Evidence::first_file(repo, &[BUILD]);
        Ok(evidence.map(|evidence| Claim::new(Strength::Definite, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &[BUILD]
    }
}

/// Everything that Scala decisions rest on, read once.
struct Facts {
    jdk: Tool,
    sbt: Tool,
    program: Program,
    /// The other projects that could be the program.
    others: Vec<String>,
    leftovers: Vec<String>,
    tests: bool,
}

/// The project that is started.
struct Program {
    /// As sbt's commands name it; none for the root, which needs no name.
    id: Option<String>,
    folder: String,
    packer: Packer,
    plays: bool,
    /// Whether sbt is 2 or newer, which keeps what all projects make in one folder.
    shared_target: bool,
}

/// What makes a program of a project.
enum Packer {
    /// The script, where its name is known.
    Stage(Option<String>),
    /// The folder below `target` and the jar, where they are known.
    Assembly(Option<String>, Option<String>),
    ClassPath,
}

/// Where sbt keeps the launchers, libraries and plugins that it downloads.
const CACHES: [&str; 3] = ["/root/.cache/coursier", "/root/.ivy2/cache", "/root/.sbt"];

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let build = Build::read(repo)?;
        let mut wishes = jvm::asked(request)?;
        wishes.extend(build.jdk());
        let sbt = sbt(request, &build)?;
        let staged = build.has("sbt-native-packager") || build.has_play();
        let assembled = build.has("sbt-assembly");
        let (project, others) = program(&build, repo)?;
        let packer = if project.stages() || staged && !assembled {
            Packer::Stage(build.script(project))
        } else if assembled {
            Packer::Assembly(build.scala_folder(project), build.assembled(project))
        } else {
            Packer::ClassPath
        };
        let leftovers = leftovers::beside_program(repo)?.into_iter();
        let of_sources = |path: &String| {
            path.split('/')
                .any(|part| matches!(part, "app" | "conf" | "project" | "src"))
        };
        Ok(Self {
            jdk: jvm::jdk(&wishes)?,
            program: Program {
                id: project.id.clone().filter(|_| !project.folder.is_empty()),
                folder: project.folder.clone(),
                packer,
                plays: project.plays(),
                shared_target: starts_with_two(&sbt),
            },
            others,
            sbt,
            leftovers: leftovers.filter(|path| !of_sources(path)).collect(),
            tests: request.test,
        })
    }
}

/// The launcher; it fetches the sbt that build.properties names.
fn sbt(request: &Request, build: &Build) -> Result<Tool, PlanError> {
    let mut wishes = Vec::new();
    if let Some(version) = &build.sbt {
        let evidence = Evidence::key(PROPERTIES, "sbt.version", None, version);
        // The launchers of 0.13 are in no Maven repository; later ones start it too.
        let wish = if version.starts_with("0.") {
            "1"
        } else {
            version
        };
        wishes.push(Candidate::new(wish, evidence));
    }
    wishes.extend(version::tool_managers(request.repo, &["sbt"])?);
    version::tool("sbt", Grammar::Npm, &wishes)
}

fn starts_with_two(sbt: &Tool) -> bool {
    let major = sbt.range.split('.').next().unwrap_or_default();
    major.parse::<u32>().is_ok_and(|major| major >= 2)
}

/// The project that is a program, and the others that could be one: those that a plugin makes one of, else those with a
/// class to start, else those with sources.
fn program<'a>(build: &'a Build, repo: &Repo) -> Result<(&'a Project, Vec<String>), PlanError> {
    let sources = repo.glob("**/*.{java,scala}")?;
    let has_sources = |project: &Project| {
        let folders = ["src/main/", "app/"].map(|inside| repo::join(&project.folder, inside));
        let inside = |source: &String| folders.iter().any(|folder| source.starts_with(folder));
        sources.iter().any(inside)
    };
    let with_sources: Vec<&Project> = build
        .projects
        .iter()
        .filter(|one| has_sources(one))
        .collect();
    let staging: Vec<&Project> = build.projects.iter().filter(|one| one.stages()).collect();
    let starting: Vec<&Project> = build.projects.iter().filter(|one| one.starts()).collect();
    let all: Vec<&Project> = build.projects.iter().collect();
    let candidates = [staging, starting, with_sources, all]
        .into_iter()
        .find(|candidates| !candidates.is_empty())
        .unwrap_or_default();
    let others = candidates
        .iter()
        .skip(1)
        .filter_map(|project| project.id.clone());
    // A build has at least its root.
    let first = candidates.first().copied().unwrap_or(&build.projects[0]);
    Ok((first, others.collect()))
}

/// What builds and starts a program.
struct Way {
    commands: Vec<String>,
    start: String,
    /// Tools that starting needs beside Java.
    tools: &'static [&'static str],
    files: Vec<String>,
    decision: Decision,
}

impl Program {
    /// A path below the folder of what sbt makes, and whether it is a pattern.
    fn made(&self, path: &str) -> (String, bool) {
        if self.shared_target {
            (format!("target/out/jvm/scala-*/*/{path}"), true)
        } else {
            let target = repo::join(&self.folder, "target");
            (format!("{target}/{path}"), path.contains('*'))
        }
    }

    /// The name of a task of this project.
    fn task(&self, task: &str) -> String {
        match &self.id {
            Some(id) => format!("{id}/{task}"),
            None => task.to_owned(),
        }
    }

    fn way(&self) -> Way {
        match &self.packer {
            Packer::Stage(script) => self.staged(script.as_deref()),
            Packer::Assembly(folder, jar) => self.assembled(folder.as_deref(), jar.as_deref()),
            Packer::ClassPath => self.class_path(),
        }
    }

    fn staged(&self, script: Option<&str>) -> Way {
        let (folder, pattern) = self.made("universal/stage");
        let name = script.unwrap_or("*");
        let start = if pattern || script.is_none() {
            format!("$(ls -1 ./{folder}/bin/{name} | grep -v '\\.bat$' | head -n 1)")
        } else {
            quote(&format!("./{folder}/bin/{name}"))
        };
        let reason = if script.is_some() {
            "the script that sbt-native-packager names after the project"
        } else {
            "the script that sbt-native-packager makes; only sbt knows its name"
        };
        let decision = Decision::new("start", start.clone(), reason);
        // A file of its process would keep Play from starting again in the same container.
        let options = if self.plays {
            " -Dhttp.port=$PORT -Dpidfile.path=/dev/null"
        } else {
            ""
        };
        Way {
            commands: vec![format!("sbt {}", self.task("stage"))],
            start: format!("{start}{options}"),
            // The script asks Java for its version.
            tools: &["mawk"],
            files: vec![folder],
            decision,
        }
    }

    fn assembled(&self, folder: Option<&str>, jar: Option<&str>) -> Way {
        let below = match folder {
            _ if self.shared_target => String::new(),
            Some(folder) => format!("{folder}/"),
            None => "scala-*/".to_owned(),
        };
        let (path, pattern) = self.made(&format!("{below}{}", jar.unwrap_or("*.jar")));
        let found = if pattern {
            jvm::found_jar(&path)
        } else {
            quote(&path)
        };
        Way {
            commands: vec![format!("sbt {}", self.task("assembly"))],
            start: jvm::java(None, &found),
            tools: &[],
            files: vec![path],
            decision: Decision::new("start", found, "the jar that sbt-assembly makes"),
        }
    }

    /// sbt says of which jars the program is made and which class starts; they come into one folder.
    fn class_path(&self) -> Way {
        let jars = self.task("Runtime/fullClasspathAsJars");
        let class = self.task("Compile/mainClass");
        let commands = vec![
            "mkdir -p target/app/lib".to_owned(),
            format!(
                "set -o pipefail; sbt --color=false --supershell=false 'export {jars}' 'show {class}' | tee target/app/sbt.log"
            ),
            "grep '\\.jar$' target/app/sbt.log | tail -n 1 | tr : '\\n' | xargs cp -t target/app/lib"
                .to_owned(),
            "class=$(sed -n 's/^\\[info\\] Some(\\(.*\\))$/\\1/p' target/app/sbt.log) && echo \"-cp target/app/lib/* ${class:?is unknown: set Compile / mainClass in build.sbt}\" > target/app/arguments"
                .to_owned(),
        ];
        let reason = "no plugin makes a program of the project, so its class path is copied; sbt-native-packager makes a script";
        Way {
            commands,
            start: "java $JAVA_OPTS @target/app/arguments".to_owned(),
            tools: &[],
            files: strings(&["target/app/arguments", "target/app/lib"]),
            decision: Decision::new("start", "@target/app/arguments", reason),
        }
    }
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal::default();
    for tool in [&facts.jdk, &facts.sbt] {
        proposal.decisions.push(tool.decision.clone());
        proposal.warnings.extend(tool.warnings.clone());
    }
    proposal.metadata = strings(&["scala"]);
    if facts.program.plays {
        proposal.metadata.push("play".to_owned());
    }
    let way = facts.program.way();
    let mut running = vec![jvm::jre(&facts.jdk)];
    running.extend(strings(way.tools));
    let mut tools = vec![facts.jdk.entry(), facts.sbt.entry()];
    tools.extend(running.clone());
    proposal.plan.phase("setup").nix_pkgs = Some(tools);
    let build = proposal.plan.phase("build");
    build.depends_on = Some(strings(&["install", "setup"]));
    build.cmds = Some(way.commands);
    build.cache_directories = Some(strings(&CACHES));
    if facts.tests {
        let test = proposal.plan.phase("test");
        test.depends_on = Some(strings(&["build"]));
        test.cmds = Some(strings(&["sbt test"]));
        test.cache_directories = Some(strings(&CACHES));
    }
    proposal
        .decisions
        .push(way.decision.over(facts.others.clone()));
    let mut files = way.files;
    files.extend(facts.leftovers.clone());
    proposal.plan.start = Some(Start {
        cmd: Some(way.start),
        nix_pkgs: Some(running),
        only_include_files: Some(files),
        ..Start::default()
    });
    proposal
}

#[cfg(test)]
mod tests;
