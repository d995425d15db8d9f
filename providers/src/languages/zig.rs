//! Zig programs.
//!
//! - Claims: `build.zig`, `main.zig`, `src/main.zig`, or the only `*.zig` at the root
//! - Version from: `NIXPACKS_ZIG_VERSION`, `.zigversion`, `.zig-version`, `.tool-versions`, mise.toml, build.zig.zon `minimum_zig_version`
//! - Installs with: nothing; `zig build` fetches into its cache
//! - Builds with: `zig build -Doptimize=ReleaseSafe`, for any processor; `zig build-exe` without a build.zig
//! - Starts with: `./zig-out/bin/NAME`: the installed program named after build.zig.zon, the only or the first one

use crate::leftovers;
use crate::libraries::{self, Needs};
use crate::plan::{PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read;
use crate::repo::Repo;
use crate::version::{self, Candidate, Tool};

use self::script::Script;
use self::zon::Zon;
use super::{quote, strings};

mod script;
mod zon;

/// The Zig provider.
pub struct Zig;

const SCRIPT: &str = "build.zig";
const ZON: &str = "build.zig.zon";
const MAINS: [&str; 2] = ["main.zig", "src/main.zig"];

impl Provider for Zig {
    fn name(&self) -> &'static str {
        "zig"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        if let Some(evidence) = Evidence::first_file(repo, &[SCRIPT]) {
            return Ok(Some(Claim::new(Strength::Definite, evidence)));
        }
        Ok(source(repo)?.map(|file| {
            let evidence = Evidence::file(&file, "found, without a build.zig");
            Claim::new(Strength::Likely, evidence)
        }))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &[SCRIPT, "main.zig", "src/main.zig", "*.zig"]
    }
}

/// The file to compile where there is no build.zig.
fn source(repo: &Repo) -> Result<Option<String>, PlanError> {
    if let Some(file) = MAINS.into_iter().find(|file| repo.in_image(file)) {
        return Ok(Some(file.to_owned()));
    }
    Ok(match repo.glob("*.zig")?.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    })
}

/// Everything that Zig decisions rest on, read once.
struct Facts {
    version: Tool,
    target: Target,
    needs: Needs,
    beside: Vec<String>,
    tests: bool,
}

/// What is compiled.
enum Target {
    /// What build.zig says.
    Package(Script, Option<Choice>),
    /// One file.
    File(String),
    Nothing,
}

/// The program to start, why, and the others.
struct Choice {
    name: String,
    reason: &'static str,
    others: Vec<String>,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let zon = repo.text(ZON)?.map(|text| Zon::parse(&text));
        let target = match (repo.text(SCRIPT)?, source(repo)?) {
            (Some(text), _) => {
                let script = Script::parse(&text);
                let name = zon.as_ref().and_then(|zon| zon.name.as_deref());
                let choice = choose(&script.programs, name);
                Target::Package(script, choice)
            }
            (None, Some(file)) => Target::File(file),
            (None, None) => Target::Nothing,
        };
        let names: &[String] = match &target {
            Target::Package(script, _) => &script.libraries,
            _ => &[],
        };
        Ok(Self {
            version: version::zig(&candidates(request, zon.as_ref())?)?,
            needs: libraries::of(names.iter().map(String::as_str)),
            target,
            beside: leftovers::beside_program(repo)?,
            tests: request.test,
        })
    }
}

fn candidates(request: &Request, zon: Option<&Zon>) -> Result<Vec<Candidate>, PlanError> {
    let repo = request.repo;
    let mut candidates: Vec<Candidate> = request
        .setting_with_evidence("ZIG_VERSION")
        .map(|(value, evidence)| Candidate::new(&value, evidence))
        .into_iter()
        .collect();
    candidates.extend(version::version_file(repo, ".zigversion")?);
    candidates.extend(version::version_file(repo, ".zig-version")?);
    candidates.extend(version::tool_managers(repo, &["zig"])?);
    if let Some(minimum) = zon.and_then(|zon| zon.minimum.as_ref()) {
        let text = repo.text(ZON)?.unwrap_or_default();
        let line = read::line_of(&text, version::ZIG_MINIMUM);
        let evidence = Evidence::key(ZON, version::ZIG_MINIMUM, line, minimum);
        candidates.push(Candidate::new(minimum, evidence));
    }
    Ok(candidates)
}

fn choose(programs: &[String], package: Option<&str>) -> Option<Choice> {
    // A package's name is an identifier, so that a dash of the program's is an underscore there.
    let plain = |name: &str| name.replace('-', "_");
    let namesake = programs
        .iter()
        .find(|name| package.is_some_and(|package| plain(name) == plain(package)));
    let (name, reason) = match (namesake, programs) {
        (Some(name), _) => (name.clone(), "named after the package"),
        (None, [only]) => (only.clone(), "the only program of build.zig"),
        (None, [first, ..]) => (first.clone(), "the first program of build.zig"),
        (None, []) => (package?.to_owned(), "the package's name"),
    };
    let others = programs.iter().filter(|other| **other != name);
    Some(Choice {
        others: others.cloned().collect(),
        name,
        reason,
    })
}

const CACHES: [&str; 2] = [".zig-cache", "/root/.cache/zig"];

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["zig"]),
        ..Proposal::default()
    };
    proposal.decisions.push(facts.version.decision.clone());
    proposal.warnings.extend(facts.version.warnings.clone());
    proposal.warnings.extend(facts.needs.warnings());
    proposal.decisions.extend(facts.needs.decisions.clone());
    let mut tools = vec![facts.version.entry()];
    if !facts.needs.build.is_empty() {
        // It asks pkg-config, and the C compiler where the system's headers are.
        tools.extend(strings(&["gcc", "pkg-config"]));
        tools.extend(facts.needs.asked());
    }
    proposal.plan.phase("setup").nix_pkgs = Some(tools);
    match &facts.target {
        Target::Package(script, choice) => {
            package(facts, script, choice.as_ref(), &mut proposal);
        }
        Target::File(source) => file(facts, source, &mut proposal),
        Target::Nothing => {
            proposal.without_start = Some("add build.zig or main.zig".to_owned());
        }
    }
    proposal
}

/// Options of `zig build`, as far as build.zig takes them.
fn options(script: &Script) -> String {
    let mut options = if script.takes_optimize {
        "-Doptimize=ReleaseSafe".to_owned()
    } else {
        "--release=safe".to_owned()
    };
    if script.takes_target {
        // The processor that runs the image may be an older one than the builder's.
        options += " -Dcpu=baseline";
    }
    options
}

fn compile(facts: &Facts, commands: Vec<String>, test: String, proposal: &mut Proposal) {
    let build = proposal.plan.phase("build");
    build.depends_on = Some(strings(&["setup"]));
    build.cmds = Some(commands);
    build.cache_directories = Some(strings(&CACHES));
    if facts.tests {
        let phase = proposal.plan.phase("test");
        phase.depends_on = Some(strings(&["build"]));
        phase.cmds = Some(vec![test]);
        phase.cache_directories = Some(strings(&CACHES));
    }
}

fn package(facts: &Facts, script: &Script, choice: Option<&Choice>, proposal: &mut Proposal) {
    let commands = vec![format!("zig build {}", options(script))];
    compile(facts, commands, "zig build test".to_owned(), proposal);
    let Some(choice) = choice else {
        proposal.without_start =
            Some("build.zig names no program that is known before it runs; set start.cmd to ./zig-out/bin/NAME".to_owned());
        return;
    };
    let program = format!("./zig-out/bin/{}", choice.name);
    let decision = Decision::new("start", program.clone(), choice.reason);
    proposal
        .decisions
        .push(decision.over(choice.others.clone()));
    let made = if script.installs_more {
        "zig-out".to_owned()
    } else {
        program.clone()
    };
    start(facts, &program, made, proposal);
}

fn file(facts: &Facts, source: &str, proposal: &mut Proposal) {
    let name = source.rsplit('/').next().unwrap_or(source);
    let program = format!("./bin/{}", name.trim_end_matches(".zig"));
    let commands = vec![
        "mkdir -p bin".to_owned(),
        format!(
            "zig build-exe -O ReleaseSafe -mcpu=baseline -femit-bin={} {}",
            quote(&program),
            quote(source)
        ),
    ];
    compile(
        facts,
        commands,
        format!("zig test {}", quote(source)),
        proposal,
    );
    let evidence = Evidence::file(source, "found, without a build.zig");
    let decision = Decision::new("start", program.clone(), "there is no build.zig");
    proposal.decisions.push(decision.from(evidence));
    start(facts, &program, program.clone(), proposal);
}

fn start(facts: &Facts, program: &str, made: String, proposal: &mut Proposal) {
    let mut files = vec![made];
    files.extend(facts.beside.clone());
    proposal.plan.start = Some(Start {
        cmd: Some(quote(program)),
        nix_pkgs: Some(facts.needs.kept()),
        only_include_files: Some(files),
        ..Start::default()
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::proposed;

    const BUILD: &str = "pub fn build(b: *B) void { const t = b.standardTargetOptions(.{}); const o = b.standardOptimizeOption(.{});\n\
        const a = b.addExecutable(.{ .name = \"admin\" }); b.installArtifact(a);\n\
        const e = b.addExecutable(.{ .name = \"my-shop\" }); e.linkSystemLibrary(\"sqlite3\"); b.installArtifact(e); }";

    #[test]
    fn a_package_is_built_for_any_processor_and_its_namesake_starts() {
        let zon = ".{ .name = .my_shop, .minimum_zig_version = \"0.14.0\" }";
        let proposal = proposed(&Zig, &[(SCRIPT, BUILD), (ZON, zon)], &[]);
        assert_eq!(
            proposal.plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
            ["zig@0.14", "gcc", "pkg-config", "sqlite.dev", "sqlite.out"]
        );
        assert_eq!(
            proposal.plan.phases["build"].cmds.as_deref().unwrap(),
            ["zig build -Doptimize=ReleaseSafe -Dcpu=baseline"]
        );
        let start = proposal.plan.start.unwrap();
        assert_eq!(start.cmd.as_deref(), Some("./zig-out/bin/my-shop"));
        assert_eq!(start.only_include_files.unwrap(), ["./zig-out/bin/my-shop"]);
        assert_eq!(start.nix_pkgs.unwrap(), ["sqlite.out"]);
        assert_eq!(proposal.decisions.last().unwrap().rejected, ["admin"]);
    }

    #[test]
    fn a_build_without_options_is_told_by_the_general_one() {
        let build = "pub fn build(b: *B) void { b.installArtifact(b.addExecutable(.{ .name = \"a\" })); b.installDirectory(.{}); }";
        let plan = proposed(&Zig, &[(SCRIPT, build)], &[]).plan;
        assert_eq!(
            plan.phases["build"].cmds.as_deref().unwrap(),
            ["zig build --release=safe"]
        );
        assert_eq!(plan.start.unwrap().only_include_files.unwrap(), ["zig-out"]);
    }

    #[test]
    fn files_of_version_managers_come_before_the_least_version() {
        let zon = ".{ .name = .shop, .minimum_zig_version = \"0.14.1\" }";
        let tool = |files: &[(&str, &str)], variables: &[(&str, &str)]| {
            proposed(&Zig, files, variables).plan.phases["setup"]
                .nix_pkgs
                .clone()
                .unwrap()
        };
        let files = [(SCRIPT, ""), (ZON, zon), (".zigversion", "0.13.0\n")];
        assert_eq!(tool(&files, &[]), ["zig@0.13.0"]);
        assert_eq!(
            tool(&files, &[("NIXPACKS_ZIG_VERSION", "0.16")]),
            ["zig@0.16"]
        );
        assert_eq!(tool(&files[..2], &[]), ["zig@~0.14.1"]);
    }

    #[test]
    fn a_file_alone_is_compiled() {
        for (path, program) in [
            ("main.zig", "./bin/main"),
            ("src/main.zig", "./bin/main"),
            ("hello.zig", "./bin/hello"),
        ] {
            let repo = Repo::in_memory(&[(path, "")]);
            let claim = Zig.detect(&repo).unwrap().unwrap();
            assert_eq!(claim.strength, Strength::Likely);
            let plan = proposed(&Zig, &[(path, "")], &[]).plan;
            assert_eq!(
                plan.phases["build"].cmds.as_deref().unwrap()[1],
                format!("zig build-exe -O ReleaseSafe -mcpu=baseline -femit-bin={program} {path}")
            );
            assert_eq!(plan.start.unwrap().cmd.unwrap(), program);
        }
        let several = Repo::in_memory(&[("a.zig", ""), ("b.zig", "")]);
        assert!(Zig.detect(&several).unwrap().is_none());
    }

    #[test]
    fn a_build_whose_names_are_computed_says_what_to_do() {
        let proposal = proposed(&Zig, &[(SCRIPT, "pub fn build() void {}")], &[]);
        assert!(proposal.plan.start.is_none() && proposal.without_start.is_some());
    }
}
