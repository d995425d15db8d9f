//! Cargo packages and workspaces.
//!
//! - Claims: `Cargo.toml`
//! - Version from: `NIXPACKS_RUST_VERSION`, rust-toolchain.toml, `rust-toolchain`, `.rust-version`, `.tool-versions`, mise.toml; `rust-version` and `edition` of Cargo.toml are the least
//! - Installs with: nothing; `cargo build` downloads into its cache
//! - Builds with: `cargo build --release` of the root package, `NIXPACKS_CARGO_WORKSPACE`, or the first member with a program
//! - Starts with: `./bin/NAME`: `NIXPACKS_RUST_BIN`, `default-run`, the package's own, the only or the first program

pub(crate) mod manifest;

use serde::Deserialize;

use crate::leftovers;
use crate::libraries::{self, Needs};
use crate::plan::{PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read;
use crate::repo::Repo;
use crate::version::{self, Candidate, Tool};

use self::manifest::{Configuration, Crate, Inherited, Lock, Manifest, System};
use super::{quote, strings};

/// The Rust provider.
pub struct Rust;

impl Provider for Rust {
    fn name(&self) -> &'static str {
        "rust"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let Some(mut evidence) = Evidence::first_file(repo, &["Cargo.toml"]) else {
            return Ok(None);
        };
        // Native modules of Node.js and Python, and libraries.
        if manifest::crates(repo)?.is_empty() {
            "there is no program in it".clone_into(&mut evidence.note);
            return Ok(Some(Claim::new(Strength::Weak, evidence)));
        }
        Ok(Some(Claim::new(Strength::Definite, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        propose_for(request, Runtime::System)
    }

    fn markers(&self) -> &'static [&'static str] {
        &["Cargo.toml"]
    }
}

/// What runs the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runtime {
    /// The system, or wasmtime when the program is WebAssembly.
    System,
    /// lunatic, which runs WebAssembly.
    Lunatic,
}

/// The plan for a program that a runtime runs.
pub(super) fn propose_for(request: &Request, runtime: Runtime) -> Result<Proposal, PlanError> {
    Facts::read(request, runtime).map(|facts| decide(&facts))
}

/// A package, why it is the one to build, and the others.
type Choice = (Crate, &'static str, Vec<String>);

/// Everything that Rust decisions rest on, read once.
struct Facts {
    runtime: Runtime,
    version: Tool,
    /// The package to build, and why.
    package: Option<Choice>,
    /// Whether the root is a workspace.
    workspace: bool,
    /// The program to start, when it is named.
    wish: Option<String>,
    /// What is compiled for, when it is not this machine.
    target: Option<String>,
    system: System,
    locked: bool,
    leftovers: Vec<String>,
    tests: bool,
}

#[derive(Deserialize)]
struct ToolchainFile {
    toolchain: Toolchain,
}

#[derive(Deserialize)]
struct Toolchain {
    channel: Option<String>,
}

impl Facts {
    fn read(request: &Request, runtime: Runtime) -> Result<Self, PlanError> {
        let repo = request.repo;
        let root = manifest::manifest(repo, "")?;
        let crates = manifest::crates(repo)?;
        let lock = Lock::read(repo)?;
        let wish = request.setting("RUST_BIN");
        let package = choose(
            request.setting("CARGO_WORKSPACE").as_deref(),
            wish.as_deref(),
            &crates,
        )?;
        let own = match &package {
            Some((one, ..)) => manifest::manifest(repo, &one.folder)?,
            None => None,
        };
        let configuration = Configuration::read(repo)?;
        let target = match runtime {
            Runtime::System => configuration.target().map(str::to_owned),
            Runtime::Lunatic => Some("wasm32-wasi".to_owned()),
        };
        Ok(Self {
            runtime,
            version: version::rust(&candidates(request, root.as_deref(), own.as_deref())?)?,
            package,
            workspace: root.is_some_and(|root| root.workspace.is_some()),
            wish,
            target: target.filter(|target| target.starts_with("wasm32")),
            system: lock.as_ref().map(|lock| lock.system()).unwrap_or_default(),
            locked: lock.is_some(),
            leftovers: leftovers::beside_program(repo)?,
            tests: request.test,
        })
    }
}

impl Facts {
    /// What runs the program, when the system does not.
    fn runner(&self) -> Option<&'static str> {
        self.target.as_ref().map(|_| match self.runtime {
            Runtime::System => "wasmtime",
            Runtime::Lunatic => "lunatic",
        })
    }
}

fn candidates(
    request: &Request,
    root: Option<&Manifest>,
    own: Option<&Manifest>,
) -> Result<Vec<Candidate>, PlanError> {
    let repo = request.repo;
    let mut candidates: Vec<Candidate> = request
        .setting_with_evidence("RUST_VERSION")
        .map(|(value, evidence)| Candidate::new(&value, evidence))
        .into_iter()
        .collect();
    for file in ["rust-toolchain.toml", "rust-toolchain"] {
        let Some(text) = repo.text(file)? else {
            continue;
        };
        if file == "rust-toolchain" && !text.contains('[') {
            candidates.extend(version::version_file(repo, file)?);
            continue;
        }
        let channel = read::toml::<ToolchainFile>(file, &text)?.toolchain.channel;
        if let Some(channel) = channel {
            let line = read::line_of(&text, "channel");
            candidates.push(Candidate::new(
                &channel,
                Evidence::key(file, "toolchain.channel", line, &channel),
            ));
        }
    }
    candidates.extend(version::version_file(repo, ".rust-version")?);
    candidates.extend(version::tool_managers(repo, &["rust"])?);
    candidates.extend(least(root, own));
    Ok(candidates)
}

/// `rust-version` and `edition`, of the package or of the workspace that it inherits from.
fn least(root: Option<&Manifest>, own: Option<&Manifest>) -> Vec<Candidate> {
    let package = own.or(root).and_then(|manifest| manifest.package.as_ref());
    let shared = root
        .and_then(|root| root.workspace.as_ref())
        .map(|workspace| &workspace.package);
    let value =
        |key: &str, mine: Option<&Inherited>, theirs: Option<&Inherited>| match (mine, theirs) {
            (Some(Inherited::Value(value)), _) => Some((format!("package.{key}"), value.clone())),
            (Some(Inherited::Workspace { .. }) | None, Some(Inherited::Value(value))) => {
                Some((format!("workspace.package.{key}"), value.clone()))
            }
            _ => None,
        };
    let mut found = Vec::new();
    let versions = value(
        "rust-version",
        package.map(|one| &one.rust_version),
        shared.map(|one| &one.rust_version),
    );
    if let Some((key, value)) = versions {
        found.push(Candidate::new(
            &value,
            Evidence::key("Cargo.toml", &key, None, &value),
        ));
    }
    let editions = value(
        "edition",
        package.map(|one| &one.edition),
        shared.map(|one| &one.edition),
    );
    if let Some((key, year)) = editions
        && let Some(version) = version::rust_of_edition(&year)
    {
        found.push(Candidate::new(
            version,
            Evidence::key("Cargo.toml", &key, None, &year),
        ));
    }
    found
}

/// The package to build among those with programs.
fn choose(
    package: Option<&str>,
    program: Option<&str>,
    crates: &[Crate],
) -> Result<Option<Choice>, PlanError> {
    let names: Vec<String> = crates.iter().map(|one| one.name.clone()).collect();
    let others = |chosen: &Crate| {
        let others = names.iter().filter(|name| **name != chosen.name);
        others.cloned().collect::<Vec<_>>()
    };
    if let Some(wish) = package {
        let found = crates
            .iter()
            .find(|one| one.name == wish || one.folder == wish.trim_matches('/'));
        let Some(found) = found.cloned() else {
            return Err(PlanError::Invalid {
                file: "environment".to_owned(),
                line: 1,
                column: 1,
                key: "NIXPACKS_CARGO_WORKSPACE".to_owned(),
                message: format!(
                    "no package {wish:?} with a program; there are {}",
                    names.join(", ")
                ),
            });
        };
        return Ok(Some((found, "NIXPACKS_CARGO_WORKSPACE", Vec::new())));
    }
    if let Some(wish) = program
        && let Some(found) = crates
            .iter()
            .find(|one| one.programs.iter().any(|name| name == wish))
    {
        return Ok(Some((
            found.clone(),
            "it has NIXPACKS_RUST_BIN",
            Vec::new(),
        )));
    }
    let Some(first) = crates.first().cloned() else {
        return Ok(None);
    };
    let reason = if first.folder.is_empty() {
        "the package at the root"
    } else if crates.len() == 1 {
        "the only member with a program"
    } else {
        "the first member with a program; NIXPACKS_CARGO_WORKSPACE names another"
    };
    let others = others(&first);
    Ok(Some((first, reason, others)))
}

const CACHES: [&str; 3] = ["/root/.cargo/git", "/root/.cargo/registry", "target"];

/// Cargo compares times: a source that was copied before an older build's files would count as compiled.
const REFRESH: &str = "find . -path ./target -prune -o -type f -exec touch {} +";

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&[match facts.runtime {
            Runtime::System => "rust",
            Runtime::Lunatic => "lunatic",
        }]),
        ..Proposal::default()
    };
    proposal.decisions.push(facts.version.decision.clone());
    proposal.warnings.extend(facts.version.warnings.clone());
    if !facts.locked {
        proposal.warnings.push(
            "there is no Cargo.lock: each build may take other versions of dependencies; commit it"
                .to_owned(),
        );
    }
    let needs = system(facts, &mut proposal);
    proposal.plan.variables = [("ROCKET_ADDRESS".to_owned(), "0.0.0.0".to_owned())].into();
    match &facts.package {
        Some((package, reason, others)) => {
            let decision =
                Decision::new("package", package.name.clone(), *reason).over(others.clone());
            proposal.decisions.push(decision);
            program(facts, package, &needs, &mut proposal);
        }
        None => library(&mut proposal),
    }
    if facts.tests {
        let after = strings(&["build"]);
        let test = proposal.plan.phase("test");
        test.depends_on = Some(after);
        test.cmds = Some(strings(&["cargo test --release"]));
        test.cache_directories = Some(strings(&CACHES));
    }
    proposal
}

/// Tools and libraries of the setup phase.
fn system(facts: &Facts, proposal: &mut Proposal) -> Needs {
    let mut needs = libraries::of(facts.system.libraries.iter().map(String::as_str));
    let mut tools = vec![facts.version.entry()];
    for (tool, caller) in &facts.system.tools {
        let reason = format!("{caller} calls it; at build time alone");
        proposal
            .decisions
            .push(Decision::new("tool", *tool, reason));
        tools.push((*tool).to_owned());
    }
    tools.extend(needs.asked());
    if let Some(runner) = facts.runner() {
        tools.push(runner.to_owned());
        needs.run.insert(runner);
    }
    proposal.decisions.append(&mut needs.decisions);
    proposal.plan.phase("setup").nix_pkgs = Some(tools);
    needs
}

fn program(facts: &Facts, package: &Crate, needs: &Needs, proposal: &mut Proposal) {
    let (name, decision) = start(facts, package);
    proposal.decisions.push(decision);
    let target = facts.target.as_deref();
    let folder = target.map_or("target/release".to_owned(), |target| {
        format!("target/{target}/release")
    });
    let ending = if target.is_some() { ".wasm" } else { "" };
    let mut line = "cargo build --release".to_owned();
    if facts.workspace {
        line = line + " --package " + &quote(&package.name);
    }
    if let Some(target) = target {
        line = line + " --target " + &quote(target);
    }
    let copies = package
        .programs
        .iter()
        .map(|program| format!("cp {} bin", quote(&format!("{folder}/{program}{ending}"))));
    let mut commands = vec!["mkdir -p bin".to_owned(), REFRESH.to_owned(), line];
    commands.extend(copies);
    let build = proposal.plan.phase("build");
    build.depends_on = Some(strings(&["setup"]));
    build.cmds = Some(commands);
    build.cache_directories = Some(strings(&CACHES));
    let file = format!("./bin/{name}{ending}");
    let mut files: Vec<String> = package
        .programs
        .iter()
        .map(|program| format!("./bin/{program}{ending}"))
        .collect();
    files.extend(facts.leftovers.clone());
    let runner = facts
        .runner()
        .map_or(String::new(), |runner| format!("{runner} "));
    proposal.plan.start = Some(Start {
        cmd: Some(format!("{runner}{}", quote(&file))),
        nix_pkgs: Some(needs.kept()),
        only_include_files: Some(files),
        ..Start::default()
    });
}

/// The program to start.
fn start(facts: &Facts, package: &Crate) -> (String, Decision) {
    let has = |name: &String| package.programs.contains(name);
    let first = package.programs.first().cloned().unwrap_or_default();
    let (name, reason) = if let Some(wish) = facts.wish.clone() {
        (wish, "NIXPACKS_RUST_BIN")
    } else if let Some(run) = package.default_run.clone().filter(has) {
        (run, "default-run of Cargo.toml")
    } else if package.programs.len() == 1 {
        (first, "the only program")
    } else if has(&package.name) {
        (
            package.name.clone(),
            "the package's own program; NIXPACKS_RUST_BIN names another",
        )
    } else {
        (first, "the first program; NIXPACKS_RUST_BIN names another")
    };
    let others = package
        .programs
        .iter()
        .filter(|other| **other != name)
        .cloned()
        .collect();
    let decision = Decision::new("start", format!("./bin/{name}"), reason).over(others);
    (name, decision)
}

/// A package without a program is compiled, to see that it can be.
fn library(proposal: &mut Proposal) {
    let build = proposal.plan.phase("build");
    build.depends_on = Some(strings(&["setup"]));
    build.cmds = Some(strings(&[REFRESH, "cargo build --release"]));
    build.cache_directories = Some(strings(&CACHES));
    proposal.without_start =
        Some("no package has a program: add src/main.rs, or a start command".to_owned());
}

#[cfg(test)]
mod tests;
