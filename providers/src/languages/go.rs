//! Go modules, workspaces and a lone `main.go`.
//!
//! - Claims: `go.mod`, `go.work`, or `main.go` at the root
//! - Version from: `NIXPACKS_GO_VERSION`, `toolchain` and `go` of go.work, then of go.mod, `.tool-versions`, mise.toml
//! - Installs with: `go mod download`, nothing when `vendor/` is there
//! - Builds with: `go build` on the root package, `NIXPACKS_GO_BIN`, or the only (else the first) `cmd/*`; in a workspace in `NIXPACKS_GO_WORKSPACE_MODULE`, or the first module that has a program
//! - Starts with: `./out`

mod cgo;
mod module;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::leftovers;
use crate::plan::{BuildPlan, Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::{FileKind, Repo, join};
use crate::version::{self, Candidate, Tool};

use self::cgo::Cgo;
use self::module::{Module, Workspace};
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
        Ok(of("go.mod", Strength::Definite)
            .or_else(|| of("go.work", Strength::Definite))
            .or_else(|| of("main.go", Strength::Likely)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &["go.mod", "go.work", "main.go"]
    }
}

/// Everything that Go decisions rest on, read once.
struct Facts {
    version: Tool,
    /// The folders of the modules; none when there is a lone file.
    modules: Vec<String>,
    vendored: bool,
    /// The manifests that downloading needs, or why it may need more.
    manifests: Result<Vec<String>, String>,
    target: Target,
    /// `CGO_ENABLED`, when a variable says so.
    cgo_enabled: Option<String>,
    cgo: Cgo,
    leftovers: Vec<String>,
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

/// A package, and its files that belong to package main.
struct Program {
    package: String,
    files: Vec<String>,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let workspace = Workspace::read(repo)?;
        let folders = match &workspace {
            Some(workspace) => workspace.folders.clone(),
            None => vec![String::new()],
        };
        let mut modules = Vec::new();
        for folder in &folders {
            modules.extend(Module::read(repo, folder)?);
        }
        let (program, target) = target(request, &modules, workspace.is_some())?;
        let mut texts: Vec<(String, Arc<str>)> = Vec::new();
        for file in program.iter().flat_map(|program| &program.files) {
            texts.extend(repo.text(file)?.map(|text| (file.clone(), text)));
        }
        let built = module_of(&modules, program.as_ref());
        Ok(Self {
            version: version::go(&candidates(request, workspace.as_ref(), built)?)?,
            vendored: repo.in_image("vendor/modules.txt"),
            manifests: manifests(repo, &modules, workspace.is_some())?,
            target,
            cgo_enabled: request.variables.get("CGO_ENABLED").cloned(),
            cgo: Cgo::read(built.into_iter().flat_map(Module::requirements), &texts),
            leftovers: leftovers::beside_program(repo)?,
            modules: modules.into_iter().map(|module| module.dir).collect(),
            tests: request.test,
        })
    }

    /// Whether C code is compiled: a variable decides, else what the program needs.
    fn compiles_c(&self) -> bool {
        match self.cgo_enabled.as_deref() {
            Some(value) => value == "1",
            None => self.cgo.reason.is_some(),
        }
    }
}

fn candidates(
    request: &Request,
    workspace: Option<&Workspace>,
    module: Option<&Module>,
) -> Result<Vec<Candidate>, PlanError> {
    let setting = request.setting_with_evidence("GO_VERSION");
    let mut candidates: Vec<Candidate> = setting
        .map(|(value, evidence)| Candidate::new(&value, evidence))
        .into_iter()
        .collect();
    if let Some(workspace) = workspace {
        candidates.extend(workspace.versions.clone());
    }
    if let Some(module) = module {
        candidates.extend(module.versions(request.repo)?);
    }
    candidates.extend(version::tool_managers(request.repo, &["golang", "go"])?);
    Ok(candidates)
}

/// The module that a program belongs to: the deepest around it, else the first.
fn module_of<'a>(modules: &'a [Module], program: Option<&Program>) -> Option<&'a Module> {
    let package = program.map_or("", |program| program.package.trim_start_matches("./"));
    let around = |module: &&Module| {
        let dir = module.dir.as_str();
        let rest = package.strip_prefix(dir);
        dir.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let deepest = modules
        .iter()
        .filter(around)
        .max_by_key(|module| module.dir.len());
    deepest.or(modules.first())
}

fn manifests(
    repo: &Repo,
    modules: &[Module],
    workspace: bool,
) -> Result<Result<Vec<String>, String>, PlanError> {
    if modules.is_empty() {
        return Ok(Err("there is no go.mod".to_owned()));
    }
    let mut files = if workspace {
        strings(&["go.work", "go.work.sum"])
    } else {
        Vec::new()
    };
    let mut why = None;
    for module in modules {
        for (path, folder) in module.local_replacements(repo)? {
            if !modules.iter().any(|module| module.dir == folder) {
                why.get_or_insert(format!("{path} is replaced by {folder}"));
            }
        }
        files.extend(["go.mod", "go.sum"].map(|file| join(&module.dir, file)));
    }
    files.retain(|file| repo.in_image(file));
    Ok(match why {
        Some(why) => Err(why),
        None => Ok(files),
    })
}

fn target(
    request: &Request,
    modules: &[Module],
    workspace: bool,
) -> Result<(Option<Program>, Target), PlanError> {
    let repo = request.repo;
    let wanted = request
        .setting("GO_WORKSPACE_MODULE")
        .filter(|_| workspace)
        .map(|name| trimmed(&name));
    let folders: Vec<String> = match &wanted {
        Some(folder) => vec![folder.clone()],
        None if modules.is_empty() => vec![String::new()],
        None => modules.iter().map(|module| module.dir.clone()).collect(),
    };
    if let Some(name) = request.setting("GO_BIN") {
        let name = name
            .trim_start_matches("./cmd/")
            .trim_matches('/')
            .to_owned();
        let here = |folder: &&String| repo.is_dir(&join(folder, &format!("cmd/{name}")));
        let folder = folders.iter().find(here).or(folders.first());
        let dir = join(folder.map_or("", String::as_str), &format!("cmd/{name}"));
        let files = programs(repo, &dir)?;
        let package = format!("./{dir}");
        let target = Target::Package(package.clone(), "NIXPACKS_GO_BIN", Vec::new());
        return Ok((Some(Program { package, files }), target));
    }
    let mut found = Vec::new();
    for folder in &folders {
        found.extend(programs_of(repo, folder)?);
        // Other modules are looked at where there is a choice to tell.
        if !workspace && !found.is_empty() {
            break;
        }
    }
    if found.is_empty() {
        return Ok((None, Target::Unknown));
    }
    let first = found.remove(0);
    let others: Vec<String> = found.into_iter().map(|program| program.package).collect();
    let target = if first.package != "." {
        let reason = reason(wanted.is_some(), workspace, others.is_empty());
        Target::Package(first.package.clone(), reason, others)
    } else if modules.is_empty() {
        Target::Files(first.files.clone())
    } else {
        Target::Root
    };
    Ok((Some(first), target))
}

fn reason(wanted: bool, workspace: bool, only: bool) -> &'static str {
    match (wanted, workspace, only) {
        (true, ..) => "NIXPACKS_GO_WORKSPACE_MODULE",
        (false, true, true) => "the only program of the workspace",
        (false, true, false) => {
            "the first program of the workspace; NIXPACKS_GO_WORKSPACE_MODULE names the module of another"
        }
        (false, false, true) => "the only program under cmd/",
        (false, false, false) => "the first program under cmd/; NIXPACKS_GO_BIN names another",
    }
}

fn trimmed(folder: &str) -> String {
    let folder = folder.trim().trim_start_matches("./").trim_end_matches('/');
    if folder == "." {
        String::new()
    } else {
        folder.to_owned()
    }
}

/// The programs of a module: the one in its folder, else those under `cmd/`.
fn programs_of(repo: &Repo, folder: &str) -> Result<Vec<Program>, PlanError> {
    let program = |dir: &str| -> Result<Option<Program>, PlanError> {
        let files = programs(repo, dir)?;
        let package = if dir.is_empty() {
            ".".to_owned()
        } else {
            format!("./{dir}")
        };
        Ok((!files.is_empty()).then_some(Program { package, files }))
    };
    if let Some(program) = program(folder)? {
        return Ok(vec![program]);
    }
    let commands = join(folder, "cmd");
    let mut found = Vec::new();
    for entry in repo.list(&commands)? {
        if entry.kind == FileKind::Directory {
            found.extend(program(&entry.path)?);
        }
    }
    if found.is_empty() {
        found.extend(program(&commands)?);
    }
    Ok(found)
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
    let plan = &mut proposal.plan;
    plan.variables = variables(facts);
    let mut tools = vec![facts.version.entry()];
    if facts.compiles_c() {
        tools.push("gcc".to_owned());
        if !facts.cgo.libraries.build.is_empty() {
            tools.push("pkg-config".to_owned());
        }
        tools.extend(facts.cgo.libraries.asked());
        proposal.decisions.push(compiler(facts));
        proposal
            .decisions
            .extend(facts.cgo.libraries.decisions.clone());
    } else if let Some(reason) = &facts.cgo.reason {
        proposal.warnings.push(format!(
            "CGO_ENABLED is not 1, and {reason}: what needs it fails when the program runs"
        ));
    }
    plan.phase("setup").nix_pkgs = Some(tools);
    if !facts.modules.is_empty() && !facts.vendored {
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
        plan.start = Some(start(facts));
    }
    if facts.tests {
        let after = if plan.phases.contains_key("build") {
            "build"
        } else {
            "setup"
        };
        let phase = plan.phase("test");
        phase.depends_on = Some(strings(&[after]));
        phase.cmds = Some(vec![test(&facts.modules)]);
        phase.cache_directories = Some(strings(&CACHES));
    }
    proposal
}

fn compiler(facts: &Facts) -> Decision {
    let reason = match (&facts.cgo_enabled, &facts.cgo.reason) {
        (None, Some(reason)) => reason.clone(),
        _ => "CGO_ENABLED is 1".to_owned(),
    };
    Decision::new("compiler", "gcc", format!("{reason}; at build time alone"))
}

fn start(facts: &Facts) -> Start {
    let mut files = strings(&["out"]);
    files.extend(facts.leftovers.clone());
    let kept = if facts.compiles_c() {
        facts.cgo.libraries.kept()
    } else {
        Vec::new()
    };
    Start {
        cmd: Some("./out".to_owned()),
        nix_pkgs: Some(kept),
        only_include_files: Some(files),
        ..Start::default()
    }
}

/// The tests of all modules.
fn test(modules: &[String]) -> String {
    let packages = modules
        .iter()
        .map(|folder| format!(" {}", quote(&format!("./{}", join(folder, "...")))));
    match modules {
        [] => "go test ./...".to_owned(),
        _ => packages.fold("go test".to_owned(), |line, package| line + &package),
    }
}

fn variables(facts: &Facts) -> BTreeMap<String, String> {
    let default = if facts.compiles_c() { "1" } else { "0" };
    let cgo = facts
        .cgo_enabled
        .clone()
        .unwrap_or_else(|| default.to_owned());
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
    build.cmds = Some(vec![format!(
        "go build -trimpath -ldflags='-s -w' -o out{packages}"
    )]);
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
        crate::languages::asked(&Go, files, variables)
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
            ["go build -trimpath -ldflags='-s -w' -o out"]
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
            "go build -trimpath -ldflags='-s -w' -o out ./cmd/a"
        );
        let two = [
            module,
            ("cmd/b/x.go", MAIN),
            ("cmd/a/main.go", MAIN),
            ("cmd/lib/l.go", "package lib"),
        ];
        assert_eq!(
            build_of(&two, &[]),
            "go build -trimpath -ldflags='-s -w' -o out ./cmd/a"
        );
        let decisions = propose(&two, &[]).unwrap().decisions;
        assert_eq!(decisions.last().unwrap().rejected, ["./cmd/b"]);
        assert_eq!(
            build_of(&two, &[("NIXPACKS_GO_BIN", "b c")]),
            "go build -trimpath -ldflags='-s -w' -o out './cmd/b c'"
        );
    }

    #[test]
    fn a_file_that_a_build_tag_leaves_out_is_no_program() {
        let files = [
            ("go.mod", "module x\n"),
            ("gen.go", "//go:build ignore\n\npackage main\n"),
            ("cmd/a/a.go", "/* x\n*/\npackage main"),
        ];
        assert_eq!(
            build_of(&files, &[]),
            "go build -trimpath -ldflags='-s -w' -o out ./cmd/a"
        );
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
    fn a_workspace_builds_the_first_program_or_the_one_that_is_named() {
        let files = [
            (
                "go.work",
                "go 1.25\n\nuse (\n\t./lib\n\t./api\n\t./worker\n)\n",
            ),
            ("lib/go.mod", "module lib\n"),
            ("lib/lib.go", "package lib"),
            (
                "api/go.mod",
                "module api\n\ngo 1.24\n\nreplace lib => ../lib\n",
            ),
            ("api/main.go", MAIN),
            ("api/go.sum", ""),
            ("worker/go.mod", "module worker\n"),
            ("worker/cmd/run/main.go", MAIN),
        ];
        let plan = propose(&files, &[]).unwrap().plan;
        assert_eq!(
            plan.phases["install"]
                .only_include_files
                .as_deref()
                .unwrap(),
            [
                "go.work",
                "lib/go.mod",
                "api/go.mod",
                "api/go.sum",
                "worker/go.mod"
            ]
        );
        assert_eq!(
            plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
            ["go@1.25"]
        );
        assert_eq!(
            build_of(&files, &[]),
            "go build -trimpath -ldflags='-s -w' -o out ./api"
        );
        let worker = [("NIXPACKS_GO_WORKSPACE_MODULE", "./worker/")];
        assert_eq!(
            build_of(&files, &worker),
            "go build -trimpath -ldflags='-s -w' -o out ./worker/cmd/run"
        );
        assert_eq!(
            build_of(&files, &[("NIXPACKS_GO_BIN", "run")]),
            "go build -trimpath -ldflags='-s -w' -o out ./worker/cmd/run"
        );
    }

    #[test]
    fn a_module_with_c_code_has_a_compiler_unless_a_variable_says_no() {
        let module = "module x\n\nrequire github.com/davidbyttow/govips/v2 v2.16.0\n";
        let files = [("go.mod", module), ("main.go", MAIN)];
        let plan = propose(&files, &[]).unwrap().plan;
        assert_eq!(
            plan.phases["setup"].nix_pkgs.as_deref().unwrap()[1..],
            ["gcc", "pkg-config", "vips.dev", "libvips"]
        );
        assert_eq!(plan.variables["CGO_ENABLED"], "1");
        assert_eq!(plan.start.unwrap().nix_pkgs.unwrap(), ["libvips"]);
        let without = propose(&files, &[("CGO_ENABLED", "0")]).unwrap();
        assert_eq!(
            without.plan.phases["setup"]
                .nix_pkgs
                .as_deref()
                .unwrap()
                .len(),
            1
        );
        assert!(without.warnings[0].contains("govips/v2 has C code"));
    }

    #[test]
    fn the_image_has_the_program_and_what_it_reads() {
        let files = [
            ("go.mod", "module x\n"),
            ("main.go", MAIN),
            ("templates/a.html", ""),
            ("internal/a/a.go", "package a"),
        ];
        let start = propose(&files, &[]).unwrap().plan.start.unwrap();
        assert_eq!(start.only_include_files.unwrap(), ["out", "templates"]);
    }

    #[test]
    fn a_lone_file_is_built_by_name_and_a_library_not_at_all() {
        assert_eq!(
            build_of(&[("main.go", MAIN)], &[]),
            "go build -trimpath -ldflags='-s -w' -o out main.go"
        );
        let library = propose(&[("go.mod", "module x\r\n"), ("a.go", "package a")], &[]).unwrap();
        assert!(library.plan.start.is_none() && library.warnings.len() == 1);
    }
}
