//! Deno programs.
//!
//! - Claims: `deno.json` or `deno.jsonc`; a program that uses `Deno.` or imports `jsr:`, `npm:` or from deno.land
//! - Version from: `NIXPACKS_DENO_VERSION`, `.deno-version`, `.dvmrc`, `.tool-versions`, mise.toml
//! - Installs with: `deno install` from the manifests, for Deno 2 with dependencies in them
//! - Builds with: the task `build`, and `deno cache` on the program
//! - Starts with: the task `start`, else `deno run` or `deno serve` on the first `index`, `main`, `server` or `app`

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;

use crate::javascript::{self, Token};
use crate::plan::{BuildPlan, Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read;
use crate::repo::{FileKind, Repo};
use crate::version::{self, Candidate, Grammar, Tool};

use super::{quote, strings};

/// The Deno provider.
pub struct Deno;

const MANIFESTS: [&str; 2] = ["deno.json", "deno.jsonc"];
const ENDINGS: [&str; 6] = ["ts", "tsx", "js", "jsx", "mts", "mjs"];
/// Names of programs, the likeliest first.
const PROGRAMS: [&str; 4] = ["index", "main", "server", "app"];
/// Where Deno keeps dependencies in the image, as in its own images.
const DEPENDENCIES: &str = "/deno-dir";
/// How much is searched for the imports of a program without a manifest.
const FOLDER_LIMIT: usize = 40;
const FILE_LIMIT: usize = 200;

impl Provider for Deno {
    fn name(&self) -> &'static str {
        "deno"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        if let Some(evidence) = Evidence::first_file(repo, &MANIFESTS) {
            return Ok(Some(Claim::new(Strength::Definite, evidence)));
        }
        // A package.json makes it a program of Node.js, whatever a script imports.
        if repo.is_file("package.json") {
            return Ok(None);
        }
        let evidence = imports_of_deno(repo)?;
        Ok(evidence.map(|evidence| Claim::new(Strength::Likely, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &MANIFESTS
    }
}

/// Whether a specifier or a use is one of Deno's alone.
fn is_of_deno(specifier: &str) -> bool {
    ["https://deno.land/", "jsr:", "npm:"]
        .iter()
        .any(|prefix| specifier.starts_with(prefix))
}

/// The first program that only Deno can run, folder by folder.
fn imports_of_deno(repo: &Repo) -> Result<Option<Evidence>, PlanError> {
    let mut folders = VecDeque::from([String::new()]);
    let (mut searched, mut files) = (0, 0);
    while let Some(folder) = folders.pop_front() {
        searched += 1;
        if searched > FOLDER_LIMIT {
            break;
        }
        for entry in repo.list(&folder)? {
            let hidden = entry.name.starts_with('.') || entry.name == "node_modules";
            match entry.kind {
                FileKind::Directory if !hidden => folders.push_back(entry.path),
                FileKind::File if has_ending(&entry.name) => {
                    files += 1;
                    if files > FILE_LIMIT {
                        return Ok(None);
                    }
                    if let Some(note) = use_of_deno(repo, &entry.path) {
                        return Ok(Some(Evidence::file(&entry.path, &note)));
                    }
                }
                _ => {}
            }
        }
    }
    Ok(None)
}

fn has_ending(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, ending)| ENDINGS.contains(&ending))
}

fn use_of_deno(repo: &Repo, path: &str) -> Option<String> {
    // A source that cannot be read, such as a very large one, says nothing.
    let text = repo.text(path).ok().flatten()?;
    if !["deno.land/", "jsr:", "npm:", "Deno"]
        .iter()
        .any(|sign| text.contains(sign))
    {
        return None;
    }
    let tokens = javascript::tokens(&text);
    if let Some(import) = javascript::imports(&tokens)
        .into_iter()
        .find(|import| is_of_deno(import))
    {
        return Some(format!("it imports {import}"));
    }
    let member = tokens.windows(2).enumerate().find(|(at, pair)| {
        let own = *at == 0 || tokens[at - 1] != Token::Sign('.');
        own && *pair == [Token::Word("Deno"), Token::Sign('.')]
    });
    member.map(|_| "it uses Deno".to_owned())
}

/// deno.json, as far as decisions need it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Manifest {
    tasks: BTreeMap<String, Task>,
    imports: BTreeMap<String, serde_json::Value>,
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

impl Manifest {
    /// Whether it names a package of a registry.
    fn has_packages(&self) -> bool {
        self.imports
            .values()
            .filter_map(serde_json::Value::as_str)
            .any(|import| import.starts_with("npm:") || import.starts_with("jsr:"))
    }

    /// Whether installing reads files that it names: members, an import map, another lock file.
    fn names_files(&self) -> bool {
        ["importMap", "links", "lock", "patch", "workspace"]
            .iter()
            .filter_map(|key| self.other.get(*key))
            .any(|value| !value.is_boolean() && !value.is_null())
    }
}

/// A command, or a command among settings.
#[derive(Deserialize)]
#[serde(untagged)]
enum Task {
    Command(String),
    Settings {
        command: Option<String>,
        #[serde(default)]
        dependencies: Vec<String>,
    },
}

impl Task {
    /// The command, when that is all there is to the task.
    fn command(&self) -> Option<&str> {
        match self {
            Self::Command(command) => Some(command),
            Self::Settings {
                command,
                dependencies,
            } if dependencies.is_empty() => command.as_deref(),
            Self::Settings { .. } => None,
        }
    }
}

/// Everything that decisions about Deno rest on, read once.
struct Facts {
    version: Tool,
    /// The files that installing needs; nothing when the manifests name no dependency.
    manifests: Option<Vec<String>>,
    builds: bool,
    start: Option<StartFact>,
    tests: bool,
}

/// How the program is started.
struct StartFact {
    command: String,
    reason: &'static str,
    evidence: Evidence,
    /// The program, when the command names one.
    program: Option<String>,
    /// Programs that were not chosen.
    others: Vec<String>,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let mut candidates: Vec<Candidate> = request
            .setting_with_evidence("DENO_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence))
            .into_iter()
            .collect();
        for file in [".deno-version", ".dvmrc"] {
            candidates.extend(version::version_file(repo, file)?);
        }
        candidates.extend(version::tool_managers(repo, &["deno"])?);
        let version = version::tool("deno", Grammar::Npm, &candidates)?;
        let mut found = None;
        for file in MANIFESTS {
            if found.is_none() {
                let manifest = repo.parsed(file, |text| read::jsonc::<Manifest>(file, text))?;
                found = manifest.map(|manifest| (file, manifest));
            }
        }
        let manifest = found.as_ref().map(|(_, manifest)| manifest.as_ref());
        let of_npm = has_packages(repo)?;
        let depends = manifest.is_some_and(Manifest::has_packages) || of_npm;
        let alone = !manifest.is_some_and(Manifest::names_files);
        let installs = depends && alone && !version.range.starts_with(['0', '1']);
        let start = start(
            repo,
            found
                .as_ref()
                .map(|(file, manifest)| (*file, manifest.as_ref())),
        )?;
        Ok(Self {
            manifests: installs.then(|| manifests(repo)),
            builds: manifest.is_some_and(|manifest| manifest.tasks.contains_key("build")),
            start,
            version,
            tests: request.test,
        })
    }
}

/// Whether a package.json beside the program has dependencies.
fn has_packages(repo: &Repo) -> Result<bool, PlanError> {
    let package = repo.parsed("package.json", |text| {
        read::json::<serde_json::Value>("package.json", text)
    })?;
    Ok(package.is_some_and(|package| {
        ["dependencies", "devDependencies"]
            .iter()
            .filter_map(|key| package.get(key)?.as_object())
            .any(|list| !list.is_empty())
    }))
}

fn manifests(repo: &Repo) -> Vec<String> {
    [
        "deno.json",
        "deno.jsonc",
        "deno.lock",
        "package.json",
        ".npmrc",
    ]
    .into_iter()
    .filter(|file| repo.in_image(file))
    .map(str::to_owned)
    .collect()
}

fn start(repo: &Repo, manifest: Option<(&str, &Manifest)>) -> Result<Option<StartFact>, PlanError> {
    let task = manifest.and_then(|(file, manifest)| Some((file, manifest.tasks.get("start")?)));
    if let Some((file, task)) = task {
        let command = task.command();
        // What is more than a call of deno may need the shell and the PATH of tasks.
        let plain = command.filter(|command| {
            command.starts_with("deno ") && !command.contains(['$', '&', '|', ';', '>', '<', '`'])
        });
        return Ok(Some(StartFact {
            command: plain.map_or_else(|| "deno task start".to_owned(), str::to_owned),
            reason: "the task start",
            evidence: Evidence::key(file, "tasks.start", None, "a task"),
            program: command.and_then(|command| program_of(repo, command)),
            others: Vec::new(),
        }));
    }
    let mut programs = programs(repo)?;
    if programs.is_empty() {
        return Ok(None);
    }
    let program = programs.remove(0);
    let serves = repo
        .text(&program)?
        .is_some_and(|text| exports_fetch(&text));
    let word = quote(&program);
    Ok(Some(StartFact {
        command: if serves {
            format!("deno serve --allow-all --host 0.0.0.0 --port ${{PORT:-8000}} {word}")
        } else {
            format!("deno run --allow-all {word}")
        },
        reason: if serves {
            "it exports fetch, which deno serve calls"
        } else {
            "the first program"
        },
        evidence: Evidence::file(&program, "a program"),
        program: Some(program),
        others: programs,
    }))
}

/// The program in a command: the first word that names a file of the repository and is one.
fn program_of(repo: &Repo, command: &str) -> Option<String> {
    command
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']).trim_start_matches("./"))
        .find(|word| has_ending(word) && repo.is_file(word))
        .map(str::to_owned)
}

/// Programs at the root, then in `src/`, then every `index` below; the likeliest first.
fn programs(repo: &Repo) -> Result<Vec<String>, PlanError> {
    let mut found: Vec<String> = ["", "src/"]
        .into_iter()
        .flat_map(|folder| {
            PROGRAMS
                .into_iter()
                .map(move |name| format!("{folder}{name}"))
        })
        .flat_map(|stem| {
            ENDINGS
                .into_iter()
                .map(move |ending| format!("{stem}.{ending}"))
        })
        .filter(|path| repo.is_file(path) && repo.in_image(path))
        .collect();
    if found.is_empty() {
        found = repo.glob("**/index.{ts,tsx,js,jsx}")?;
        found.retain(|path| !path.split('/').any(|part| part == "node_modules"));
    }
    Ok(found)
}

/// Whether a program's default export is an object with a method or property `fetch`.
fn exports_fetch(text: &str) -> bool {
    let tokens = javascript::tokens(text);
    let export = [
        Token::Word("export"),
        Token::Word("default"),
        Token::Sign('{'),
    ];
    let Some(at) = tokens.windows(3).position(|three| *three == export) else {
        return false;
    };
    let mut depth = 0;
    for token in &tokens[at + 2..] {
        match token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign('}' | ')' | ']') => depth -= 1,
            Token::Word("fetch") if depth == 1 => return true,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    false
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["deno"]),
        without_start: Some("add a task \"start\" to deno.json, or a main.ts".to_owned()),
        ..Proposal::default()
    };
    proposal.decisions.push(facts.version.decision.clone());
    proposal.warnings.extend(facts.version.warnings.clone());
    let plan = &mut proposal.plan;
    plan.variables = [("DENO_DIR", DEPENDENCIES), ("DENO_NO_UPDATE_CHECK", "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    plan.phase("setup").nix_pkgs = Some(vec![facts.version.entry()]);
    if let Some(files) = &facts.manifests {
        plan.phases.insert("install".to_owned(), install(files));
        let reason = "sees the manifests alone";
        proposal
            .decisions
            .push(Decision::new("install", "deno install", reason));
    }
    let commands = build_commands(facts);
    if !commands.is_empty() {
        let decision = Decision::new(
            "build",
            commands.join(" && "),
            "what it imports is in the image then",
        );
        proposal.decisions.push(decision);
        let after: &[&str] = match facts.manifests {
            Some(_) => &["install", "setup"],
            None => &["setup"],
        };
        let build = plan.phase("build");
        build.depends_on = Some(strings(after));
        build.cmds = Some(commands);
    }
    if let Some(start) = &facts.start {
        proposal.decisions.push(
            Decision::new("start", start.command.clone(), start.reason)
                .from(start.evidence.clone())
                .over(start.others.clone()),
        );
    }
    plan.start = Some(Start {
        cmd: facts.start.as_ref().map(|start| start.command.clone()),
        nix_pkgs: Some(vec![facts.version.entry()]),
        ..Start::default()
    });
    test(plan, facts);
    proposal
}

fn install(files: &[String]) -> Phase {
    Phase {
        depends_on: Some(strings(&["setup"])),
        cmds: Some(strings(&["deno install"])),
        only_include_files: Some(files.to_vec()),
        ..Phase::default()
    }
}

fn build_commands(facts: &Facts) -> Vec<String> {
    let build = facts.builds.then(|| "deno task build".to_owned());
    let program = facts
        .start
        .as_ref()
        .and_then(|start| start.program.as_ref());
    let cache = program.map(|program| format!("deno cache {}", quote(program)));
    build.into_iter().chain(cache).collect()
}

fn test(plan: &mut BuildPlan, facts: &Facts) {
    if facts.tests {
        let last = ["build", "install", "setup"]
            .into_iter()
            .find(|phase| plan.phases.contains_key(*phase));
        let test = plan.phase("test");
        test.depends_on = last.map(|phase| strings(&[phase]));
        test.cmds = Some(strings(&["deno test --allow-all"]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn propose(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Proposal, PlanError> {
        let repo = Repo::in_memory(files);
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Deno.propose(&Request {
            repo: &repo,
            variables: &variables,
            test: false,
            assisting: false,
        })
    }

    fn start_of(files: &[(&str, &str)]) -> Option<String> {
        propose(files, &[]).unwrap().plan.start.unwrap().cmd
    }

    fn claim(files: &[(&str, &str)]) -> Option<(Strength, String)> {
        let claim = Deno.detect(&Repo::in_memory(files)).unwrap()?;
        Some((claim.strength, claim.evidence.file))
    }

    #[test]
    fn manifests_and_imports_claim_and_comments_do_not() {
        assert_eq!(
            claim(&[("deno.jsonc", "{}")]),
            Some((Strength::Definite, "deno.jsonc".to_owned()))
        );
        let old = "import { serve } from \"https://deno.land/std@0.177.0/http/server.ts\";";
        assert_eq!(
            claim(&[("a.txt", ""), ("src/app.ts", old)]),
            Some((Strength::Likely, "src/app.ts".to_owned()))
        );
        assert!(claim(&[("a.js", "Deno.serve(() => new Response())")]).is_some());
        assert!(claim(&[("a.js", "// import 'jsr:@std/x'\n'Deno.x'; my.Deno.y")]).is_none());
        assert!(claim(&[("a.ts", old), ("package.json", "{}")]).is_none());
        assert!(claim(&[("node_modules/a.ts", old)]).is_none());
    }

    #[test]
    fn the_task_start_is_the_command_and_its_program_is_cached() {
        let manifest = "{ // a comment\n \"tasks\": {\"start\": \"deno run -A ./server.ts\", \"build\": \"deno run b.ts\"}, }";
        let files = [("deno.jsonc", manifest), ("server.ts", "")];
        let plan = propose(&files, &[]).unwrap().plan;
        assert_eq!(plan.start.unwrap().cmd.unwrap(), "deno run -A ./server.ts");
        assert_eq!(
            plan.phases["build"].cmds.as_deref().unwrap(),
            ["deno task build", "deno cache server.ts"]
        );
        assert!(!plan.phases.contains_key("install"));
    }

    #[test]
    fn a_task_that_needs_the_shell_of_tasks_is_run_as_one() {
        for task in [
            r#""vite preview""#,
            r#""deno run a.ts && deno run b.ts""#,
            r#"{"command":"deno run a.ts","dependencies":["build"]}"#,
        ] {
            let manifest = format!("{{\"tasks\":{{\"start\":{task}}}}}");
            let start = start_of(&[("deno.json", &manifest)]);
            assert_eq!(start.as_deref(), Some("deno task start"), "{task}");
        }
        let one = r#"{"tasks":{"start":{"command":"deno run a.ts"}}}"#;
        assert_eq!(start_of(&[("deno.json", one)]).unwrap(), "deno run a.ts");
    }

    #[test]
    fn the_first_program_is_started_and_one_that_exports_fetch_is_served() {
        let start = |files: &[(&str, &str)]| start_of(&[&[("deno.json", "{}")], files].concat());
        assert_eq!(
            start(&[("main.ts", ""), ("index.js", ""), ("src/index.ts", "")]).unwrap(),
            "deno run --allow-all index.js"
        );
        assert_eq!(
            start(&[("app/index.tsx", "")]).unwrap(),
            "deno run --allow-all app/index.tsx"
        );
        assert_eq!(start(&[("other.ts", "")]), None);
        assert_eq!(
            start(&[(
                "main.ts",
                "export default { fetch() { return new Response() } }"
            )])
            .unwrap(),
            "deno serve --allow-all --host 0.0.0.0 --port ${PORT:-8000} main.ts"
        );
        assert_eq!(
            start(&[("main.ts", "export default { a: { fetch: 1 } }; fetch()")]).unwrap(),
            "deno run --allow-all main.ts"
        );
    }

    #[test]
    fn dependencies_in_manifests_are_installed_from_these_alone_by_deno_2() {
        let files = [
            ("deno.json", r#"{"imports":{"ms":"npm:ms@2"}}"#),
            ("deno.lock", "{}"),
            ("main.ts", ""),
        ];
        let plan = propose(&files, &[]).unwrap().plan;
        assert_eq!(
            plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
            ["deno@2"]
        );
        let install = &plan.phases["install"];
        assert_eq!(install.cmds.as_deref().unwrap(), ["deno install"]);
        assert_eq!(
            install.only_include_files.as_deref().unwrap(),
            ["deno.json", "deno.lock"]
        );
        let old = propose(&files, &[("NIXPACKS_DENO_VERSION", "1.46")])
            .unwrap()
            .plan;
        assert_eq!(
            old.phases["setup"].nix_pkgs.as_deref().unwrap(),
            ["deno@1.46"]
        );
        assert!(!old.phases.contains_key("install"));
    }

    #[test]
    fn manifests_that_name_files_or_no_package_install_nothing() {
        for manifest in [
            r#"{"imports":{"@/":"./"}}"#,
            r#"{"imports":{"ms":"npm:ms@2"},"workspace":["a"]}"#,
            r#"{"imports":{"ms":"npm:ms@2"},"importMap":"map.json"}"#,
        ] {
            let plan = propose(&[("deno.json", manifest), ("main.ts", "")], &[])
                .unwrap()
                .plan;
            assert!(!plan.phases.contains_key("install"), "{manifest}");
            assert!(plan.phases.contains_key("build"), "{manifest}");
        }
    }

    #[test]
    fn versions_come_from_the_variable_before_files() {
        let files = [
            ("deno.json", "{}"),
            (".dvmrc", "2.1.4\n"),
            (".tool-versions", "deno 2.0.0"),
        ];
        let version = |variables: &[(&str, &str)]| {
            propose(&files, variables).unwrap().plan.phases["setup"]
                .nix_pkgs
                .clone()
        };
        assert_eq!(version(&[]).unwrap(), ["deno@2.1.4"]);
        assert_eq!(
            version(&[("NIXPACKS_DENO_VERSION", "2.2")]).unwrap(),
            ["deno@2.2"]
        );
    }

    #[test]
    fn a_broken_manifest_is_an_error_with_its_place() {
        let error = propose(&[("deno.json", "{\n // c\n \"tasks\": 1\n}")], &[]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("deno.json:3:"), "{text}");
    }
}
