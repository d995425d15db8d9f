//! Crystal programs.
//!
//! - Claims: `shard.yml`
//! - Version from: `NIXPACKS_CRYSTAL_VERSION`, `.crystal-version`, `.tool-versions`, mise.toml, shard.yml `crystal`
//! - Installs with: `shards install`, from the manifests; nothing when shard.yml has no dependencies
//! - Builds with: `shards build --release --no-debug`; `crystal build` when shard.yml has no targets
//! - Starts with: `./bin/NAME`: the target named after the shard, the only or the first one

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::leftovers;
use crate::libraries::{self, Needs};
use crate::plan::{BuildPlan, Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read::{self, InOrder};
use crate::repo::Repo;
use crate::version::{self, Candidate, Grammar, Tool};

use super::{quote, strings};

mod sources;

/// The Crystal provider.
pub struct Crystal;

const MANIFEST: &str = "shard.yml";
const LOCK: &str = "shard.lock";
/// Programs of shards that declare no target.
const USUAL: [&str; 3] = ["src/main.cr", "src/app.cr", "src/server.cr"];
const OVERRIDE: &str = "shard.override.yml";

impl Provider for Crystal {
    fn name(&self) -> &'static str {
        "crystal"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let Some(mut evidence) = Evidence::first_file(repo, &[MANIFEST]) else {
            return Ok(None);
        };
        let shard = Shard::read(repo)?;
        let strength = match shard.programs(repo) {
            Programs::Targets(_) => Strength::Definite,
            Programs::File(file) if USUAL.contains(&file.as_str()) => Strength::Definite,
            // A library has a file of its name too.
            Programs::File(_) | Programs::None => {
                "there is no target in it".clone_into(&mut evidence.note);
                Strength::Weak
            }
        };
        Ok(Some(Claim::new(strength, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &[MANIFEST]
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Shard {
    name: String,
    crystal: Option<String>,
    targets: InOrder<serde::de::IgnoredAny>,
    dependencies: BTreeMap<String, Dependency>,
    development_dependencies: BTreeMap<String, Dependency>,
    /// Libraries of the system, with their versions.
    libraries: InOrder<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Dependency {
    path: Option<String>,
}

impl Shard {
    fn read(repo: &Repo) -> Result<std::sync::Arc<Self>, PlanError> {
        let shard = repo.parsed(MANIFEST, |text| read::yaml::<Self>(MANIFEST, text))?;
        Ok(shard.unwrap_or_default())
    }

    fn all_dependencies(&self) -> impl Iterator<Item = (&String, &Dependency)> {
        let for_running = self.dependencies.iter();
        for_running.chain(&self.development_dependencies)
    }

    fn fetches(&self) -> bool {
        self.all_dependencies().any(|(_, one)| one.path.is_none())
    }

    /// What can be built: targets, else the shard's own file.
    fn programs(&self, repo: &Repo) -> Programs {
        if !self.targets.0.is_empty() {
            let names = self.targets.0.iter().map(|(name, _)| name.clone());
            return Programs::Targets(names.collect());
        }
        let own = format!("src/{}.cr", self.name);
        let files = USUAL.iter().map(|file| (*file).to_owned()).chain([own]);
        let found = files.into_iter().find(|file| repo.in_image(file));
        found.map_or(Programs::None, Programs::File)
    }
}

/// What can be built.
enum Programs {
    /// Names of targets.
    Targets(Vec<String>),
    /// A source that is compiled by itself.
    File(String),
    None,
}

/// Everything that Crystal decisions rest on, read once.
struct Facts {
    version: Tool,
    shard: String,
    programs: Programs,
    install: Install,
    /// Whether any shard is fetched.
    fetches: bool,
    locked: bool,
    needs: Needs,
    beside: Vec<String>,
    tests: bool,
}

/// What installing takes.
enum Install {
    Nothing,
    /// The files that it reads; none for all of them, and why.
    Shards(Option<Vec<String>>, String),
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let shard = Shard::read(repo)?;
        let mut names = sources::libraries(repo)?;
        names.extend(shard.libraries.0.iter().map(|(name, _)| name.clone()));
        if shard.fetches() {
            // Their sources are not there yet. Most shards that are fetched speak HTTP.
            names.extend(strings(&["openssl", "zlib", "yaml-0.1"]));
            // Bindings are named after the library; other shards have names of their own.
            let bindings = libraries::of(shard.dependencies.keys().map(String::as_str));
            let unknown = &bindings.unknown;
            let known = shard.dependencies.keys();
            names.extend(known.filter(|name| !unknown.contains(name)).cloned());
        }
        Ok(Self {
            version: version_of(request, &shard)?,
            shard: shard.name.clone(),
            programs: shard.programs(repo),
            install: install(repo, &shard),
            fetches: shard.fetches(),
            locked: repo.in_image(LOCK),
            needs: libraries::of(names.iter().map(String::as_str)),
            beside: leftovers::beside_program(repo)?,
            tests: request.test,
        })
    }
}

fn version_of(request: &Request, shard: &Shard) -> Result<Tool, PlanError> {
    let repo = request.repo;
    let mut candidates: Vec<Candidate> = request
        .setting_with_evidence("CRYSTAL_VERSION")
        .map(|(value, evidence)| Candidate::new(&value, evidence))
        .into_iter()
        .collect();
    candidates.extend(version::version_file(repo, ".crystal-version")?);
    candidates.extend(version::tool_managers(repo, &["crystal"])?);
    if let Some(wish) = &shard.crystal {
        let text = repo.text(MANIFEST)?.unwrap_or_default();
        let line = read::line_of(&text, "crystal:");
        // A version without an operator is the least that will do.
        let least = wish
            .starts_with(|letter: char| letter.is_ascii_digit())
            .then(|| format!(">= {wish}"));
        candidates.push(Candidate::new(
            least.as_deref().unwrap_or(wish),
            Evidence::key(MANIFEST, "crystal", line, wish),
        ));
    }
    version::tool("crystal", Grammar::Gem, &candidates)
}

fn install(repo: &Repo, shard: &Shard) -> Install {
    if shard.all_dependencies().next().is_none() {
        return Install::Nothing;
    }
    if let Some((name, _)) = shard.all_dependencies().find(|(_, one)| one.path.is_some()) {
        return Install::Shards(None, format!("{name} is a folder of the repository"));
    }
    if repo.in_image(OVERRIDE) {
        return Install::Shards(None, format!("{OVERRIDE} may name folders"));
    }
    let files = [MANIFEST, LOCK].into_iter();
    let files = files.filter(|file| repo.in_image(file)).map(str::to_owned);
    Install::Shards(Some(files.collect()), "sees the manifests alone".to_owned())
}

const SHARDS_CACHE: &str = "/root/.cache/shards";
const CACHE: &str = "/root/.cache/crystal";

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["crystal"]),
        ..Proposal::default()
    };
    proposal.decisions.push(facts.version.decision.clone());
    proposal.warnings.extend(facts.version.warnings.clone());
    proposal.warnings.extend(facts.needs.warnings());
    proposal.decisions.extend(facts.needs.decisions.clone());
    setup(facts, &mut proposal);
    let (commands, programs) = match &facts.programs {
        Programs::Targets(targets) => (
            vec![shards(facts, "build --release --no-debug")],
            targets.clone(),
        ),
        Programs::File(file) => compile(file),
        Programs::None => {
            proposal.without_start =
                Some("shard.yml has no targets; add one, or set start.cmd".to_owned());
            return proposal;
        }
    };
    phase(&mut proposal.plan, "build", commands);
    if facts.tests {
        phase(&mut proposal.plan, "test", strings(&["crystal spec"]));
    }
    start(facts, &programs, &mut proposal);
    proposal
}

fn setup(facts: &Facts, proposal: &mut Proposal) {
    let mut tools = vec![facts.version.entry()];
    let Install::Shards(files, sees) = &facts.install else {
        tools.extend(facts.needs.asked());
        proposal.plan.phase("setup").nix_pkgs = Some(tools);
        return;
    };
    if facts.fetches {
        tools.push("git".to_owned());
    }
    tools.extend(facts.needs.asked());
    proposal.plan.phase("setup").nix_pkgs = Some(tools);
    if facts.fetches && !facts.locked {
        proposal.warnings.push(
            "there is no shard.lock: each build may take other versions of dependencies; commit it"
                .to_owned(),
        );
    }
    let command = shards(facts, "install");
    let decision = Decision::new("install", command.clone(), sees.clone());
    proposal.decisions.push(decision);
    let install = Phase {
        depends_on: Some(strings(&["setup"])),
        cmds: Some(vec![command]),
        only_include_files: files.clone(),
        cache_directories: Some(strings(&[SHARDS_CACHE])),
        ..Phase::default()
    };
    proposal.plan.phases.insert("install".to_owned(), install);
}

/// A call of `shards` that obeys the lock file.
fn shards(facts: &Facts, words: &str) -> String {
    match &facts.install {
        Install::Shards(..) if facts.locked && facts.tests => format!("shards {words} --frozen"),
        Install::Shards(..) if facts.locked => format!("shards {words} --production"),
        _ => format!("shards {words}"),
    }
}

/// Compiles one file, and what the program is called.
fn compile(file: &str) -> (Vec<String>, Vec<String>) {
    let name = file.trim_start_matches("src/").trim_end_matches(".cr");
    let output = quote(&format!("bin/{name}"));
    let commands = vec![
        "mkdir -p bin".to_owned(),
        format!(
            "crystal build --release --no-debug -o {output} {}",
            quote(file)
        ),
    ];
    (commands, vec![name.to_owned()])
}

fn phase(plan: &mut BuildPlan, name: &str, commands: Vec<String>) {
    let after = if plan.phases.contains_key("install") {
        "install"
    } else {
        "setup"
    };
    let phase = plan.phase(name);
    phase.depends_on = Some(strings(&[after]));
    phase.cmds = Some(commands);
    phase.cache_directories = Some(strings(&[CACHE, SHARDS_CACHE]));
}

fn start(facts: &Facts, programs: &[String], proposal: &mut Proposal) {
    let namesake = programs.iter().find(|name| **name == facts.shard);
    let (name, reason) = match (namesake, programs) {
        (Some(name), _) => (name, "the target named after the shard"),
        (None, [only]) => (only, "the only program"),
        (None, [first, ..]) => (first, "the first target"),
        (None, []) => return,
    };
    let others = programs.iter().filter(|other| *other != name).cloned();
    let command = format!("./bin/{name}");
    let decision = Decision::new("start", command.clone(), reason);
    proposal.decisions.push(decision.over(others.collect()));
    let mut files: Vec<String> = programs
        .iter()
        .map(|name| format!("./bin/{name}"))
        .collect();
    files.extend(facts.beside.clone());
    proposal.plan.start = Some(Start {
        cmd: Some(quote(&command)),
        nix_pkgs: Some(facts.needs.kept()),
        only_include_files: Some(files),
        ..Start::default()
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::proposed;

    const SHARD: &str = "name: shop\nversion: 0.1.0\ncrystal: '>= 1.10.0'\ntargets:\n  worker:\n    main: src/worker.cr\n  shop:\n    main: src/shop.cr\n";

    #[test]
    fn targets_are_built_and_the_shard_s_namesake_starts() {
        let files = [
            (MANIFEST, SHARD),
            ("src/shop.cr", "require \"http/server\"\n"),
        ];
        let proposal = proposed(&Crystal, &files, &[]);
        let plan = proposal.plan;
        assert!(!plan.phases.contains_key("install"));
        assert_eq!(
            plan.phases["setup"].nix_pkgs.as_deref().unwrap()[0],
            "crystal@>=1.10.0 <2.0.0-0"
        );
        assert_eq!(
            plan.phases["build"].cmds.as_deref().unwrap(),
            ["shards build --release --no-debug"]
        );
        let start = plan.start.unwrap();
        assert_eq!(start.cmd.as_deref(), Some("./bin/shop"));
        assert!(start.nix_pkgs.unwrap().contains(&"openssl.out".to_owned()));
        assert_eq!(
            start.only_include_files.unwrap(),
            ["./bin/worker", "./bin/shop"]
        );
        assert_eq!(proposal.decisions.last().unwrap().rejected, ["worker"]);
    }

    #[test]
    fn dependencies_are_installed_from_the_manifests_and_their_lock() {
        let shard = format!("{SHARD}dependencies:\n  kemal:\n    github: kemalcr/kemal\n");
        let install = |files: &[(&str, &str)]| {
            let phase = proposed(&Crystal, files, &[]).plan.phases["install"].clone();
            (phase.cmds.unwrap()[0].clone(), phase.only_include_files)
        };
        let locked = [(MANIFEST, shard.as_str()), (LOCK, "")];
        assert_eq!(
            install(&locked),
            (
                "shards install --production".to_owned(),
                Some(strings(&[MANIFEST, LOCK]))
            )
        );
        assert_eq!(install(&locked[..1]).0, "shards install");
        let local = format!("{SHARD}dependencies:\n  own:\n    path: ./own\n");
        assert_eq!(install(&[(MANIFEST, &local)]).1, None);
    }

    #[test]
    fn a_shard_without_targets_is_compiled_by_its_file_or_is_a_library() {
        let shard = "name: shop\nversion: 0.1.0\n";
        let plan = proposed(&Crystal, &[(MANIFEST, shard), ("src/shop.cr", "")], &[]).plan;
        assert_eq!(
            plan.phases["build"].cmds.as_deref().unwrap()[1],
            "crystal build --release --no-debug -o bin/shop src/shop.cr"
        );
        assert_eq!(plan.start.unwrap().cmd.as_deref(), Some("./bin/shop"));
        let library = Repo::in_memory(&[(MANIFEST, shard), ("src/shop.cr", "")]);
        let claim = Crystal.detect(&library).unwrap().unwrap();
        assert_eq!(claim.strength, Strength::Weak);
    }

    #[test]
    fn versions_without_an_operator_are_the_least() {
        let entry = |shard: &str, variables: &[(&str, &str)]| {
            let plan = proposed(&Crystal, &[(MANIFEST, shard)], variables).plan;
            plan.phases["setup"].nix_pkgs.clone().unwrap()[0].clone()
        };
        assert_eq!(entry("name: a\ncrystal: 0.35.1\n", &[]), "crystal@1");
        assert_eq!(entry("name: a\ncrystal: 1.0\n", &[]), "crystal@1");
        let named = [("NIXPACKS_CRYSTAL_VERSION", "1.14.0")];
        assert_eq!(entry("name: a\n", &named), "crystal@1.14.0");
    }
}
