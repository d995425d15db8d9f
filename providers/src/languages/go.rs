//! Go modules and a lone `main.go`.
//!
//! - Claims: `go.mod`, or `main.go` at the root
//! - Version from: `NIXPACKS_GO_VERSION`, go.mod `toolchain`, go.mod `go`, `.tool-versions`, mise.toml
//! - Installs with: `go mod download`, nothing when `vendor/` is there
//! - Builds with: `go build` on the root package, `NIXPACKS_GO_BIN`, or the only (else the first) `cmd/*`
//! - Starts with: `./out`

use std::collections::BTreeMap;
use std::str::FromStr;

use gomod_parser::{GoMod, Replacement};

use crate::plan::{BuildPlan, Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read;
use crate::repo::{FileKind, Repo};
use crate::version::{self, Candidate, Tool};

use super::{quote, strings};

/// The Go provider.
pub struct Go;

impl Provider for Go {
    fn name(&self) -> &'static str {
        "go"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let of = |file, strength| {
            Evidence::first_file(repo, &[file]).map(|evidence| Claim::new(strength, evidence))
        };
        Ok(of("go.mod", Strength::Definite).or_else(|| of("main.go", Strength::Likely)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &["go.mod", "main.go"]
    }
}

/// Everything that Go decisions rest on, read once.
struct Facts {
    version: Tool,
    /// Whether there is a go.mod.
    module: bool,
    vendored: bool,
    /// The manifests that downloading needs, or why it may need more.
    manifests: Result<Vec<String>, String>,
    target: Target,
    cgo: Option<String>,
    tests: bool,
}

/// What is compiled.
enum Target {
    /// The package at the root.
    Root,
    /// Files at the root, without a module.
    Files(Vec<String>),
    /// A package below, the reason, and others that there are.
    Package(String, &'static str, Vec<String>),
    /// No package with `func main` was found.
    Unknown,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let text = repo.text("go.mod")?.unwrap_or_default();
        let module = repo.parsed("go.mod", parse)?;
        let mut candidates = Vec::new();
        candidates.extend(
            request
                .setting_with_evidence("GO_VERSION")
                .map(|(value, evidence)| Candidate::new(&value, evidence)),
        );
        for key in ["toolchain", "go"] {
            let value = module.as_ref().and_then(|module| {
                if key == "go" {
                    module.0.go.as_deref()
                } else {
                    module.0.toolchain.as_deref()
                }
            });
            if let Some(value) = value.filter(|value| *value != "default") {
                let line = text
                    .lines()
                    .position(|line| line.split_whitespace().next() == Some(key))
                    .map(|index| index + 1);
                candidates.push(Candidate::new(
                    value,
                    Evidence::key("go.mod", key, line, value),
                ));
            }
        }
        candidates.extend(version::tool_managers(repo, &["golang", "go"])?);
        Ok(Self {
            version: version::go(&candidates)?,
            module: module.is_some(),
            vendored: repo.in_image("vendor/modules.txt"),
            manifests: manifests(repo, module.as_ref().map(|module| &module.0))?,
            target: target(request, module.is_some())?,
            cgo: request.variables.get("CGO_ENABLED").cloned(),
            tests: request.test,
        })
    }
}

/// go.mod as its crate reads it.
struct Module(GoMod);

fn parse(text: &str) -> Result<Module, PlanError> {
    // The crate reads lines that end in a newline, and not those that end in CR LF.
    let text = text.replace("\r\n", "\n");
    GoMod::from_str(&text).map(Module).map_err(|message| {
        let message = message
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        PlanError::Invalid {
            file: "go.mod".to_owned(),
            line: 1,
            column: 1,
            key: String::new(),
            message,
        }
    })
}

fn manifests(
    repo: &Repo,
    module: Option<&GoMod>,
) -> Result<Result<Vec<String>, String>, PlanError> {
    let Some(module) = module else {
        return Ok(Err("there is no go.mod".to_owned()));
    };
    for replace in &module.replace {
        let Replacement::FilePath(path) = &replace.replacement else {
            continue;
        };
        let depth = path.split('/').try_fold(0_i32, |depth, part| match part {
            "" | "." => Some(depth),
            ".." => (depth > 0).then_some(depth - 1),
            _ => Some(depth + 1),
        });
        if path.starts_with('/') || depth.is_none() {
            let text = repo.text("go.mod")?.unwrap_or_default();
            let message = format!(
                "{} is replaced by {path}, which is outside the repository",
                replace.module_path
            );
            let line = read::line_of(&text, path).unwrap_or(1);
            return Err(PlanError::Invalid {
                file: "go.mod".to_owned(),
                line,
                column: 1,
                key: "replace".to_owned(),
                message,
            });
        }
        return Ok(Err(format!(
            "{} is replaced by {path}",
            replace.module_path
        )));
    }
    if repo.in_image("go.work") {
        return Ok(Err("go.work names further modules".to_owned()));
    }
    Ok(Ok(["go.mod", "go.sum"]
        .into_iter()
        .filter(|file| repo.in_image(file))
        .map(str::to_owned)
        .collect()))
}

fn target(request: &Request, module: bool) -> Result<Target, PlanError> {
    let repo = request.repo;
    if let Some(name) = request.setting("GO_BIN") {
        return Ok(Target::Package(
            format!(
                "./cmd/{}",
                name.trim_start_matches("./cmd/").trim_matches('/')
            ),
            "NIXPACKS_GO_BIN",
            Vec::new(),
        ));
    }
    let root = programs(repo, "")?;
    if !root.is_empty() {
        return Ok(if module {
            Target::Root
        } else {
            Target::Files(root)
        });
    }
    let mut commands = Vec::new();
    for entry in repo
        .list("cmd")?
        .into_iter()
        .filter(|entry| entry.kind == FileKind::Directory)
    {
        if !programs(repo, &entry.path)?.is_empty() {
            commands.push(format!("./{}", entry.path));
        }
    }
    if commands.is_empty() && !programs(repo, "cmd")?.is_empty() {
        commands.push("./cmd".to_owned());
    }
    Ok(match commands.len() {
        0 => Target::Unknown,
        1 => Target::Package(
            commands.remove(0),
            "the only program under cmd/",
            Vec::new(),
        ),
        _ => Target::Package(
            commands.remove(0),
            "the first program under cmd/; NIXPACKS_GO_BIN names another",
            commands,
        ),
    })
}

/// The files of a directory that belong to package main and are not left out by a build tag.
fn programs(repo: &Repo, dir: &str) -> Result<Vec<String>, PlanError> {
    let mut files = Vec::new();
    for entry in repo.list(dir)? {
        let source = entry.kind == FileKind::File
            && std::path::Path::new(&entry.name).extension() == Some("go".as_ref())
            && !entry.name.ends_with("_test.go");
        if source && repo.text(&entry.path)?.is_some_and(|text| is_main(&text)) {
            files.push(entry.path);
        }
    }
    Ok(files)
}

/// The package clause is the first line that is neither empty nor comment.
fn is_main(text: &str) -> bool {
    let mut comment = false;
    for line in text.lines().map(str::trim) {
        if matches!(line, "//go:build ignore" | "// +build ignore") {
            return false;
        }
        if comment || line.starts_with("/*") {
            comment = !line.contains("*/");
        } else if !line.is_empty() && !line.starts_with("//") {
            let mut words = line.split_whitespace();
            return words.next() == Some("package")
                && words
                    .next()
                    .is_some_and(|name| name.trim_end_matches(';') == "main");
        }
    }
    false
}

const CACHES: [&str; 2] = ["/root/.cache/go-build", "/root/go/pkg/mod"];

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["go"]),
        ..Proposal::default()
    };
    proposal.decisions.push(facts.version.decision.clone());
    proposal.warnings.extend(facts.version.warnings.clone());
    let cgo = facts.cgo.as_deref() == Some("1");
    let plan = &mut proposal.plan;
    plan.variables = variables(facts);
    let mut tools = vec![facts.version.entry()];
    if cgo {
        tools.push("gcc".to_owned());
        proposal.decisions.push(Decision::new(
            "compiler",
            "gcc",
            "CGO_ENABLED is 1; at build time alone",
        ));
    }
    plan.phase("setup").nix_pkgs = Some(tools);
    if facts.module && !facts.vendored {
        let (install, decision) = install(facts);
        plan.phases.insert("install".to_owned(), install);
        proposal.decisions.push(decision);
    } else if facts.vendored {
        proposal.decisions.push(Decision::new(
            "install",
            "nothing",
            "vendor/ has the modules",
        ));
    }
    let (packages, decision) = packages(&facts.target);
    proposal.decisions.push(decision);
    if matches!(facts.target, Target::Unknown) {
        proposal.warnings.push("no package main at the root or under cmd/: nothing is built; set NIXPACKS_GO_BIN or a build command".to_owned());
        proposal.without_start = Some(
            "set NIXPACKS_GO_BIN to the package of the program, or a start command".to_owned(),
        );
    } else {
        build(plan, &packages);
        plan.start = Some(Start {
            cmd: Some("./out".to_owned()),
            nix_pkgs: Some(Vec::new()),
            ..Start::default()
        });
    }
    if facts.tests {
        let after = if plan.phases.contains_key("build") {
            "build"
        } else {
            "setup"
        };
        let test = plan.phase("test");
        test.depends_on = Some(strings(&[after]));
        test.cmds = Some(strings(&["go test ./..."]));
        test.cache_directories = Some(strings(&CACHES));
    }
    proposal
}

fn variables(facts: &Facts) -> BTreeMap<String, String> {
    let cgo = facts.cgo.clone().unwrap_or_else(|| "0".to_owned());
    // The toolchain is locked; go must not fetch another on its own.
    [
        ("CGO_ENABLED".to_owned(), cgo),
        ("GOTOOLCHAIN".to_owned(), "local".to_owned()),
    ]
    .into()
}

fn install(facts: &Facts) -> (Phase, Decision) {
    let (files, sees) = match &facts.manifests {
        Ok(files) => (Some(files.clone()), "sees the manifests alone".to_owned()),
        Err(why) => (None, format!("sees all files: {why}")),
    };
    let phase = Phase {
        depends_on: Some(strings(&["setup"])),
        cmds: Some(strings(&["go mod download"])),
        only_include_files: files,
        cache_directories: Some(strings(&CACHES)),
        ..Phase::default()
    };
    (phase, Decision::new("install", "go mod download", sees))
}

fn build(plan: &mut BuildPlan, packages: &str) {
    let after = if plan.phases.contains_key("install") {
        &["install", "setup"][..]
    } else {
        &["setup"]
    };
    let build = plan.phase("build");
    build.depends_on = Some(strings(after));
    build.cmds = Some(vec![format!("go build -trimpath -o out{packages}")]);
    build.cache_directories = Some(strings(&CACHES));
}

fn packages(target: &Target) -> (String, Decision) {
    let words = |words: &[String]| {
        words
            .iter()
            .fold(String::new(), |line, word| line + " " + &quote(word))
    };
    match target {
        Target::Root => (
            String::new(),
            Decision::new("program", ".", "package main at the root"),
        ),
        Target::Files(files) => (
            words(files),
            Decision::new("program", files.join(" "), "there is no go.mod"),
        ),
        Target::Package(package, reason, others) => (
            words(std::slice::from_ref(package)),
            Decision::new("program", package.clone(), *reason).over(others.clone()),
        ),
        Target::Unknown => (
            String::new(),
            Decision::new(
                "program",
                "none",
                "no package main at the root or under cmd/",
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = "// Command x.\npackage main\n";

    fn propose(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Proposal, PlanError> {
        let repo = Repo::in_memory(files);
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Go.propose(&Request {
            repo: &repo,
            variables: &variables,
            test: false,
            assisting: false,
        })
    }

    fn build_of(files: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
        propose(files, variables).unwrap().plan.phases["build"]
            .cmds
            .clone()
            .unwrap()
            .join(" && ")
    }

    #[test]
    fn a_module_with_a_program_at_the_root() {
        let files = [
            ("go.mod", "module x\n\ngo 1.24.0\n"),
            ("go.sum", ""),
            ("main.go", MAIN),
        ];
        let plan = propose(&files, &[]).unwrap().plan;
        assert_eq!(
            plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
            ["go@1.24"]
        );
        assert_eq!(
            plan.phases["install"]
                .only_include_files
                .as_deref()
                .unwrap(),
            ["go.mod", "go.sum"]
        );
        assert_eq!(
            plan.phases["build"].cmds.as_deref().unwrap(),
            ["go build -trimpath -o out"]
        );
        assert_eq!(plan.start.unwrap().nix_pkgs.unwrap(), Vec::<String>::new());
        assert_eq!(plan.variables["CGO_ENABLED"], "0");
    }

    #[test]
    fn the_toolchain_line_beats_the_go_line_and_the_variable_beats_both() {
        let files = [
            ("go.mod", "module x\n\ngo 1.23\n\ntoolchain go1.24.3\n"),
            ("main.go", MAIN),
        ];
        let tools = |variables: &[(&str, &str)]| {
            propose(&files, variables).unwrap().plan.phases["setup"]
                .nix_pkgs
                .clone()
                .unwrap()
        };
        assert_eq!(tools(&[]), ["go@1.24.3"]);
        assert_eq!(
            tools(&[("NIXPACKS_GO_VERSION", "1.22"), ("CGO_ENABLED", "1")]),
            ["go@1.22", "gcc"]
        );
    }

    #[test]
    fn the_only_command_under_cmd_is_the_program_and_of_two_the_first_which_is_told() {
        let module = ("go.mod", "module x\n");
        assert_eq!(
            build_of(&[module, ("cmd/a/main.go", MAIN)], &[]),
            "go build -trimpath -o out ./cmd/a"
        );
        let two = [
            module,
            ("cmd/b/x.go", MAIN),
            ("cmd/a/main.go", MAIN),
            ("cmd/lib/l.go", "package lib"),
        ];
        assert_eq!(build_of(&two, &[]), "go build -trimpath -o out ./cmd/a");
        let decisions = propose(&two, &[]).unwrap().decisions;
        assert_eq!(decisions.last().unwrap().rejected, ["./cmd/b"]);
        assert_eq!(
            build_of(&two, &[("NIXPACKS_GO_BIN", "b c")]),
            "go build -trimpath -o out './cmd/b c'"
        );
    }

    #[test]
    fn a_file_that_a_build_tag_leaves_out_is_no_program() {
        let files = [
            ("go.mod", "module x\n"),
            ("gen.go", "//go:build ignore\n\npackage main\n"),
            ("cmd/a/a.go", "/* x\n*/\npackage main"),
        ];
        assert_eq!(build_of(&files, &[]), "go build -trimpath -o out ./cmd/a");
    }

    #[test]
    fn vendored_modules_are_not_downloaded() {
        let plan = propose(
            &[
                ("go.mod", "module x\n"),
                ("main.go", MAIN),
                ("vendor/modules.txt", ""),
            ],
            &[],
        )
        .unwrap()
        .plan;
        assert!(!plan.phases.contains_key("install"));
        assert_eq!(
            plan.phases["build"].depends_on.as_deref().unwrap(),
            ["setup"]
        );
    }

    #[test]
    fn a_local_replacement_needs_the_source_and_one_outside_is_an_error() {
        let module = |path: &str| format!("module x\n\nreplace a.b/c => {path}\n");
        let inside = module("./lib");
        let plan = propose(&[("go.mod", &inside), ("main.go", MAIN)], &[])
            .unwrap()
            .plan;
        assert_eq!(plan.phases["install"].only_include_files, None);
        let outside = module("../lib");
        let error = propose(&[("go.mod", &outside), ("main.go", MAIN)], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "go.mod:3:1: replace: a.b/c is replaced by ../lib, which is outside the repository"
        );
    }

    #[test]
    fn a_lone_file_is_built_by_name_and_a_library_not_at_all() {
        assert_eq!(
            build_of(&[("main.go", MAIN)], &[]),
            "go build -trimpath -o out main.go"
        );
        let library = propose(&[("go.mod", "module x\r\n"), ("a.go", "package a")], &[]).unwrap();
        assert!(library.plan.start.is_none() && library.warnings.len() == 1);
    }
}
