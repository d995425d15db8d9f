//! Haskell programs, with Stack or Cabal.
//!
//! - Claims: `package.yaml` or `stack.yaml` beside Haskell sources, `cabal.project`, `*.cabal`
//! - Version from: `NIXPACKS_GHC_VERSION`, `.tool-versions`, mise.toml, cabal.project `with-compiler`, and the versions of `base` that the .cabal file allows, for Cabal; Stack reads its resolver itself
//! - Installs with: `stack setup`; `cabal build --only-dependencies` when packages are needed that GHC does not bring
//! - Builds with: `stack install`; `cabal build` of the first program
//! - Starts with: the first program of package.yaml or of the .cabal file

use serde::Deserialize;

use crate::leftovers;
use crate::plan::{Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read;
use crate::repo::Repo;
use crate::version::{self, Candidate, Grammar, Tool};

use super::{quote, strings};
use cabal::Cabal;

mod cabal;

const PACKAGE: &str = "package.yaml";
const STACK: &str = "stack.yaml";
const PROJECT: &str = "cabal.project";

/// The Haskell provider.
pub struct Haskell;

impl Provider for Haskell {
    fn name(&self) -> &'static str {
        "haskell"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let definite = |evidence| Some(Claim::new(Strength::Definite, evidence));
        if let Some(evidence) = Evidence::first_file(repo, &[STACK, PROJECT]) {
            return Ok(definite(evidence));
        }
        if let Some(file) = cabal_file(repo)? {
            return Ok(definite(Evidence::file(&file, "found at the root")));
        }
        // Other ecosystems have files of this name too.
        let Some(evidence) = Evidence::first_file(repo, &[PACKAGE]) else {
            return Ok(None);
        };
        let sources = !repo.glob("**/*.hs")?.is_empty();
        Ok(definite(evidence).filter(|_| sources))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &[STACK, PACKAGE, PROJECT]
    }
}

/// The package at the root, else the first one of a project's folders that has a program.
fn cabal_file(repo: &Repo) -> Result<Option<String>, PlanError> {
    if let Some(file) = repo.glob("*.cabal")?.into_iter().next() {
        return Ok(Some(file));
    }
    if !repo.in_image(PROJECT) {
        return Ok(None);
    }
    let files = repo.glob("*/*.cabal")?;
    for file in &files {
        let text = repo.text(file)?.unwrap_or_default();
        if !Cabal::parse(&text).executables.is_empty() {
            return Ok(Some(file.clone()));
        }
    }
    Ok(files.into_iter().next())
}

/// The packages of a project, which have their names from their files.
fn packages(repo: &Repo) -> Result<Vec<String>, PlanError> {
    if !repo.in_image(PROJECT) {
        return Ok(Vec::new());
    }
    let files = repo.glob("*/*.cabal")?.into_iter();
    let name = |path: &str| Some(path.rsplit('/').next()?.strip_suffix(".cabal")?.to_owned());
    Ok(files.filter_map(|path| name(&path)).collect())
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Package {
    name: Option<String>,
    executables: Option<serde_json::Map<String, serde_json::Value>>,
    executable: Option<serde_json::Value>,
}

/// Everything that Haskell decisions rest on, read once.
struct Facts {
    /// GHC for Cabal; none with Stack, which brings its own.
    ghc: Option<Tool>,
    executables: Vec<String>,
    /// Where the names are written.
    named_in: String,
    /// Packages that GHC does not bring.
    outside: Vec<String>,
    beside: Vec<String>,
    tests: bool,
}

/// Packages that come with GHC. Source: the release notes of 9.6.
const BROUGHT: [&str; 34] = [
    "array",
    "base",
    "binary",
    "bytestring",
    "containers",
    "deepseq",
    "directory",
    "exceptions",
    "filepath",
    "ghc",
    "ghc-bignum",
    "ghc-boot",
    "ghc-boot-th",
    "ghc-compact",
    "ghc-heap",
    "ghc-prim",
    "ghci",
    "haskeline",
    "hpc",
    "integer-gmp",
    "libiserv",
    "mtl",
    "parsec",
    "pretty",
    "process",
    "rts",
    "semaphore-compat",
    "stm",
    "template-haskell",
    "terminfo",
    "text",
    "time",
    "transformers",
    "unix",
];

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let package = repo.parsed(PACKAGE, |text| read::yaml::<Package>(PACKAGE, text))?;
        let file = cabal_file(repo)?;
        let text = match &file {
            Some(file) => repo.text(file)?.unwrap_or_default(),
            None => "".into(),
        };
        let cabal = Cabal::parse(&text);
        let with_stack = package.is_some() || repo.is_file(STACK);
        let (executables, named_in) = match &package {
            Some(package) => (executables(package), PACKAGE.to_owned()),
            None => (
                cabal.executables,
                file.unwrap_or_else(|| PROJECT.to_owned()),
            ),
        };
        let here = packages(repo)?;
        let outside = cabal.dependencies.into_iter();
        Ok(Self {
            ghc: if with_stack {
                None
            } else {
                Some(ghc(request, &named_in, cabal.base.as_deref())?)
            },
            outside: outside
                .filter(|name| !BROUGHT.contains(&name.as_str()) && !here.contains(name))
                .collect(),
            beside: leftovers::beside_program(repo)?,
            tests: request.test,
            executables,
            named_in,
        })
    }
}

fn executables(package: &Package) -> Vec<String> {
    let named = package
        .executables
        .iter()
        .flat_map(|all| all.keys().cloned());
    // `executable:` has the package's name.
    let own = package
        .executable
        .as_ref()
        .and_then(|_| package.name.clone());
    named.chain(own).collect()
}

fn ghc(request: &Request, file: &str, base: Option<&str>) -> Result<Tool, PlanError> {
    let repo = request.repo;
    let mut candidates = Vec::new();
    candidates.extend(
        request
            .setting_with_evidence("GHC_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence)),
    );
    candidates.extend(version::tool_managers(repo, &["ghc", "haskell"])?);
    let project = repo.text(PROJECT)?.unwrap_or_default();
    if let Some((compiler, line)) = cabal::compiler(&project) {
        let evidence = Evidence::key(PROJECT, "with-compiler", Some(line), compiler);
        candidates.push(Candidate::new(compiler, evidence));
    }
    if let Some(range) = base
        && let Some(line) = version::ghc_of_base(range)
    {
        let evidence = Evidence::key(file, "build-depends", None, &format!("base {range}"));
        candidates.push(Candidate::new(line, evidence));
    }
    version::tool("ghc", Grammar::Plain, &candidates)
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["haskell"]),
        ..Proposal::default()
    };
    let (command, files) = match &facts.ghc {
        None => stack(facts, &mut proposal),
        Some(ghc) => cabal_plan(facts, ghc, &mut proposal),
    };
    let Some((name, others)) = facts.executables.split_first() else {
        proposal.without_start = Some(format!(
            "{} names no program; add one, or set start.cmd in nixpacks.toml",
            facts.named_in
        ));
        return proposal;
    };
    proposal.decisions.push(
        Decision::new("start", name.clone(), "the first program")
            .from(Evidence::key(&facts.named_in, "executables", None, name))
            .over(others.to_vec()),
    );
    proposal.plan.start = Some(Start {
        cmd: Some(command),
        nix_pkgs: Some(strings(&FOR_RUNNING)),
        only_include_files: Some(files),
        ..Start::default()
    });
    proposal
}

/// What programs load.
const FOR_RUNNING: [&str; 4] = ["gmp.out", "libffi.out", "numactl.out", "zlib.out"];

const STACK_CACHE: &str = "/root/.stack";

/// Plans a build by Stack; how to start it, and what stays of the source.
fn stack(facts: &Facts, proposal: &mut Proposal) -> (String, Vec<String>) {
    let plan = &mut proposal.plan;
    let mut tools = strings(&["stack", "gcc", "gmp.dev", "zlib.dev"]);
    tools.extend(strings(&FOR_RUNNING));
    plan.phase("setup").nix_pkgs = Some(tools);
    let install = Phase {
        depends_on: Some(strings(&["setup"])),
        cmds: Some(strings(&["stack setup"])),
        cache_directories: Some(strings(&[STACK_CACHE])),
        ..Phase::default()
    };
    plan.phases.insert("install".to_owned(), install);
    let caches = Some(strings(&[".stack-work", STACK_CACHE]));
    let build = plan.phase("build");
    build.depends_on = Some(strings(&["install"]));
    build.cmds = Some(strings(&["stack install"]));
    build.cache_directories.clone_from(&caches);
    if facts.tests {
        let test = plan.phase("test");
        test.depends_on = Some(strings(&["install"]));
        test.cmds = Some(strings(&["stack test"]));
        test.cache_directories = caches;
    }
    let name = facts.executables.first().map_or("", String::as_str);
    let command = quote(&format!("/root/.local/bin/{name}"));
    (command, facts.beside.clone())
}

const CABAL_CACHES: [&str; 2] = ["/root/.cabal", "dist-newstyle"];

/// Plans a build by Cabal; how to start it, and what stays of the source.
fn cabal_plan(facts: &Facts, ghc: &Tool, proposal: &mut Proposal) -> (String, Vec<String>) {
    proposal.decisions.push(ghc.decision.clone());
    proposal.warnings.extend(ghc.warnings.clone());
    let plan = &mut proposal.plan;
    let mut tools = vec![ghc.entry(), "cabal-install".to_owned()];
    tools.extend(strings(&FOR_RUNNING));
    plan.phase("setup").nix_pkgs = Some(tools);
    let caches = Some(strings(&CABAL_CACHES));
    let after = if facts.outside.is_empty() {
        "setup"
    } else {
        let install = plan.phase("install");
        install.depends_on = Some(strings(&["setup"]));
        install.cmds = Some(strings(&[
            "cabal update",
            "cabal build --only-dependencies",
        ]));
        install.cache_directories.clone_from(&caches);
        "install"
    };
    // Cabal's own configuration names Hackage, which it asks even when GHC brings everything.
    let cabal = if facts.outside.is_empty() {
        "cabal --config-file=/dev/null"
    } else {
        "cabal"
    };
    let name = facts.executables.first().map_or("", String::as_str);
    let program = quote(&format!("exe:{name}"));
    let build = plan.phase("build");
    build.depends_on = Some(strings(&[after]));
    build.cmds = Some(vec![
        format!("{cabal} build {program}"),
        "mkdir -p bin".to_owned(),
        format!("cp \"$({cabal} list-bin {program})\" bin/"),
    ]);
    build.cache_directories.clone_from(&caches);
    if facts.tests {
        let test = plan.phase("test");
        test.depends_on = Some(strings(&[after]));
        test.cmds = Some(strings(&["cabal test"]));
        test.cache_directories = caches;
    }
    let reason = if facts.outside.is_empty() {
        "GHC brings all packages".to_owned()
    } else {
        format!("for {}", facts.outside.join(", "))
    };
    let packages = if facts.outside.is_empty() {
        "nothing"
    } else {
        "cabal build --only-dependencies"
    };
    proposal
        .decisions
        .push(Decision::new("install", packages, reason));
    let mut files = vec![format!("bin/{name}")];
    files.extend(facts.beside.clone());
    (quote(&format!("./bin/{name}")), files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::proposed;

    #[test]
    fn stack_installs_the_first_program_of_the_package() {
        let files = [
            (
                PACKAGE,
                "name: a\nexecutables:\n  a-exe:\n    main: Main.hs\n",
            ),
            ("app/Main.hs", ""),
        ];
        let proposal = proposed(&Haskell, &files, &[]);
        assert_eq!(
            proposal.plan.phases["build"].cmds.as_deref().unwrap(),
            ["stack install"]
        );
        assert_eq!(
            proposal.plan.start.unwrap().cmd.as_deref(),
            Some("/root/.local/bin/a-exe")
        );
    }

    #[test]
    fn cabal_needs_no_packages_when_ghc_brings_them() {
        let cabal = "executable hello\n  main-is: Main.hs\n  build-depends: base, text\n";
        let plan = proposed(&Haskell, &[("hello.cabal", cabal)], &[]).plan;
        assert!(!plan.phases.contains_key("install"));
        assert_eq!(
            plan.phases["build"].cmds.as_deref().unwrap(),
            [
                "cabal --config-file=/dev/null build exe:hello",
                "mkdir -p bin",
                "cp \"$(cabal --config-file=/dev/null list-bin exe:hello)\" bin/"
            ]
        );
        assert_eq!(
            plan.start.unwrap().only_include_files,
            Some(strings(&["bin/hello"]))
        );
        let cabal = cabal.replace("text", "warp");
        let plan = proposed(&Haskell, &[("hello.cabal", &cabal)], &[]).plan;
        assert!(plan.phases.contains_key("install"));
    }

    #[test]
    fn the_compiler_is_one_whose_base_is_allowed() {
        let entry = |base: &str| {
            let cabal = format!("executable a\n  build-depends: base {base}\n");
            let plan = proposed(&Haskell, &[("a.cabal", &cabal)], &[]).plan;
            plan.phases["setup"].nix_pkgs.clone().unwrap()[0].clone()
        };
        assert_eq!(entry(">=4.7 && <5"), "ghc@9.6");
        assert_eq!(entry("^>=4.15"), "ghc@9.0");
        assert_eq!(entry("^>=4.19.0.0"), "ghc@9.8");
        assert_eq!(entry("==3.*"), "ghc@9.6");
    }

    #[test]
    fn a_project_has_its_program_in_a_folder() {
        let files = [
            (PROJECT, "packages: */*.cabal\nwith-compiler: ghc-9.6.6\n"),
            ("core/core.cabal", "library\n  build-depends: base\n"),
            (
                "web/web.cabal",
                "executable web\n  build-depends: base, core\n",
            ),
        ];
        let plan = proposed(&Haskell, &files, &[]).plan;
        assert_eq!(plan.start.unwrap().cmd.as_deref(), Some("./bin/web"));
        assert!(!plan.phases.contains_key("install"));
        assert_eq!(
            plan.phases["setup"].nix_pkgs.as_deref().unwrap()[0],
            "ghc@9.6.6"
        );
    }

    #[test]
    fn a_package_yaml_without_haskell_is_no_claim() {
        assert!(
            Haskell
                .detect(&Repo::in_memory(&[(PACKAGE, "name: a")]))
                .unwrap()
                .is_none()
        );
    }
}
