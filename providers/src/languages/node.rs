//! Node.js applications, installed by npm.
//!
//! - Claims: `package.json`
//! - Version from: `NIXPACKS_NODE_VERSION`, package.json `engines.node`, `.nvmrc`, `.node-version`, `.tool-versions`, mise.toml, package.json `volta.node`
//! - Installs with: `npm ci` with a package-lock.json or npm-shrinkwrap.json, `npm i` without; npm in the version that `packageManager` pins
//! - Builds with: `npm run build` when the script exists
//! - Starts with: `npm run start`, package.json `main`, `index.js`, `server.js`

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::plan::{Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read;
use crate::repo::Repo;
use crate::version::{self, Candidate, Tool};

use super::{quote, strings};

/// The Node.js provider.
pub struct Node;

impl Provider for Node {
    fn name(&self) -> &'static str {
        "node"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let Some(mut evidence) = Evidence::first_file(repo, &["package.json"]) else {
            return Ok(None);
        };
        let package = package(repo)?;
        let starts = package.script("start").is_some()
            || package.main().is_some()
            || entry(repo, &package).is_some();
        if !starts {
            // Many repositories of other languages keep a package.json for a formatter or for their assets.
            "found at the root, though nothing in it says how to start"
                .clone_into(&mut evidence.note);
        }
        let strength = if starts {
            Strength::Definite
        } else {
            Strength::Likely
        };
        Ok(Some(
            Claim::new(strength, evidence).assisting(package.script("build").is_some()),
        ))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &["package.json"]
    }
}

/// package.json, as far as it matters. Values that tools disagree about stay untyped.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
struct Package {
    main: Option<Value>,
    scripts: Option<BTreeMap<String, Value>>,
    engines: Option<Value>,
    volta: Option<Value>,
    #[serde(rename = "packageManager")]
    manager: Option<String>,
    workspaces: Option<Value>,
    cache_directories: Option<Vec<String>>,
    dependencies: Option<BTreeMap<String, Value>>,
    dev_dependencies: Option<BTreeMap<String, Value>>,
    optional_dependencies: Option<BTreeMap<String, Value>>,
}

impl Package {
    fn script(&self, name: &str) -> Option<&str> {
        self.scripts
            .as_ref()?
            .get(name)?
            .as_str()
            .filter(|script| !script.trim().is_empty())
    }

    fn main(&self) -> Option<&str> {
        self.main.as_ref()?.as_str().filter(|main| !main.is_empty())
    }

    fn all_dependencies(&self) -> impl Iterator<Item = (&String, &Value)> {
        [
            &self.dependencies,
            &self.dev_dependencies,
            &self.optional_dependencies,
        ]
        .into_iter()
        .flatten()
        .flatten()
    }
}

fn package(repo: &Repo) -> Result<std::sync::Arc<Package>, PlanError> {
    let parsed = repo.parsed("package.json", |text| {
        read::json::<Package>("package.json", text)
    })?;
    Ok(parsed.unwrap_or_default())
}

/// package-lock.json, as far as it matters: a few bytes of what may be many megabytes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
struct Lock {
    packages: Option<BTreeMap<String, LockedPackage>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
struct LockedPackage {
    has_install_script: bool,
    link: bool,
}

/// Everything that Node decisions rest on, read once.
struct Facts {
    node: Tool,
    npm: Option<(String, Evidence)>,
    lock: Option<&'static str>,
    /// Packages that run something when they are installed, from the lock.
    install_scripts: Vec<String>,
    /// The manifests that installing needs, or why it may need more.
    manifests: Result<Vec<String>, String>,
    build: Option<(String, Option<usize>)>,
    start: Option<(String, Decision)>,
    test: bool,
    caches: Vec<String>,
    warnings: Vec<String>,
}

const LOCKS: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];
const OTHER_LOCKS: [(&str, &str); 4] = [
    ("yarn.lock", "yarn"),
    ("pnpm-lock.yaml", "pnpm"),
    ("bun.lock", "bun"),
    ("bun.lockb", "bun"),
];
/// Scripts that npm runs on install; they may read any file.
const LIFECYCLE: [&str; 8] = [
    "preinstall",
    "install",
    "postinstall",
    "prepublish",
    "preprepare",
    "prepare",
    "postprepare",
    "dependencies",
];
/// Dependencies whose own install script reads the application's files.
const READS_SOURCE: [&str; 3] = ["@prisma/client", "prisma", "patch-package"];

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let package = package(repo)?;
        let text = repo.text("package.json")?.unwrap_or_default();
        let lock = LOCKS.into_iter().find(|file| repo.in_image(file));
        let locked = match lock {
            Some(file) => repo
                .parsed(file, |text| read::json::<Lock>(file, text))?
                .unwrap_or_default(),
            None => std::sync::Arc::default(),
        };
        let packages = || {
            locked
                .packages
                .iter()
                .flatten()
                .filter(|(path, _)| !path.is_empty())
        };
        let install_scripts = packages()
            .filter(|(_, one)| one.has_install_script)
            .map(|(path, _)| package_name(path))
            .collect();
        let links = packages().any(|(_, one)| one.link);
        let mut warnings = Vec::new();
        let npm = npm_pin(&package, &text, &mut warnings);
        if lock.is_none() {
            if let Some((file, manager)) = OTHER_LOCKS.iter().find(|(file, _)| repo.in_image(file))
            {
                warnings.push(format!("{file} is for {manager}, which is not available yet; npm installs without a lock file"));
            } else if package.all_dependencies().next().is_some() {
                warnings.push("there is no package-lock.json: each build may install other versions; run `npm install` and commit it".to_owned());
            }
        }
        Ok(Self {
            node: node_version(request, &package, &text)?,
            npm,
            lock,
            install_scripts,
            manifests: manifests(repo, &package, links),
            build: package
                .script("build")
                .map(|script| (script.to_owned(), read::line_of(&text, "\"build\""))),
            start: start(repo, &package, &text),
            test: request.test
                && package
                    .script("test")
                    .is_some_and(|script| !script.contains("no test specified")),
            caches: caches(&package),
            warnings,
        })
    }
}

/// `node_modules/a/node_modules/@b/c` is `@b/c`.
fn package_name(path: &str) -> String {
    path.rsplit("node_modules/")
        .next()
        .unwrap_or(path)
        .to_owned()
}

fn node_version(request: &Request, package: &Package, text: &str) -> Result<Tool, PlanError> {
    let repo = request.repo;
    let mut candidates = Vec::new();
    candidates.extend(
        request
            .setting_with_evidence("NODE_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence)),
    );
    if let Some(wish) = package
        .engines
        .as_ref()
        .and_then(|engines| engines.get("node"))
        .and_then(Value::as_str)
    {
        let line = read::line_of(text, "\"node\"");
        candidates.push(Candidate::new(
            wish,
            Evidence::key("package.json", "engines.node", line, wish),
        ));
    }
    for file in [".nvmrc", ".node-version"] {
        candidates.extend(version::version_file(repo, file)?);
    }
    candidates.extend(version::tool_managers(repo, &["nodejs", "node"])?);
    if let Some(wish) = package
        .volta
        .as_ref()
        .and_then(|volta| volta.get("node"))
        .and_then(Value::as_str)
    {
        candidates.push(Candidate::new(
            wish,
            Evidence::key("package.json", "volta.node", None, wish),
        ));
    }
    version::node(&candidates)
}

/// The exact npm that `packageManager` asks for.
fn npm_pin(
    package: &Package,
    text: &str,
    warnings: &mut Vec<String>,
) -> Option<(String, Evidence)> {
    let pin = package.manager.as_deref()?;
    let (manager, version) = pin.split_once('@')?;
    let version = version.split('+').next().unwrap_or_default();
    if manager != "npm" {
        warnings.push(format!(
            "packageManager asks for {manager}, which is not available yet; npm is used"
        ));
        return None;
    }
    if nodejs_semver::Version::parse(version).is_err() {
        warnings.push(format!(
            "packageManager's {pin:?} is not a version; Node's own npm is used"
        ));
        return None;
    }
    let evidence = Evidence::key(
        "package.json",
        "packageManager",
        read::line_of(text, "\"packageManager\""),
        pin,
    );
    Some((version.to_owned(), evidence))
}

/// The only files that installing reads, or why there may be others.
fn manifests(repo: &Repo, package: &Package, links: bool) -> Result<Vec<String>, String> {
    if package.workspaces.is_some() || links {
        return Err("workspaces and linked packages are installed from the source".to_owned());
    }
    if let Some(script) = LIFECYCLE
        .iter()
        .find(|script| package.script(script).is_some())
    {
        return Err(format!(
            "the {script} script of package.json may read any file"
        ));
    }
    let local = |value: &Value| {
        value.as_str().is_some_and(|wish| {
            wish.starts_with("file:") || wish.starts_with("link:") || wish.starts_with('.')
        })
    };
    if let Some((name, _)) = package.all_dependencies().find(|(_, wish)| local(wish)) {
        return Err(format!("{name} is installed from a local path"));
    }
    if let Some((name, _)) = package
        .all_dependencies()
        .find(|(name, _)| READS_SOURCE.contains(&name.as_str()))
    {
        return Err(format!("{name} reads the source when it is installed"));
    }
    if repo.is_file("binding.gyp") {
        return Err("binding.gyp makes npm compile the package itself".to_owned());
    }
    let files = [
        "package.json",
        "package-lock.json",
        "npm-shrinkwrap.json",
        ".npmrc",
    ];
    Ok(files
        .into_iter()
        .filter(|file| repo.in_image(file))
        .map(str::to_owned)
        .collect())
}

fn caches(package: &Package) -> Vec<String> {
    let mut caches: Vec<String> = package
        .cache_directories
        .iter()
        .flatten()
        .cloned()
        .collect();
    if package.all_dependencies().any(|(name, _)| name == "next") {
        caches.push(".next/cache".to_owned());
    }
    caches.push("node_modules/.cache".to_owned());
    caches.sort();
    caches.dedup();
    caches
}

/// A file that can be started although nothing says so: as nixpacks, then as npm's own default.
fn entry(repo: &Repo, package: &Package) -> Option<String> {
    let declared = package.main().into_iter().flat_map(|main| {
        [
            main.to_owned(),
            format!("{main}.js"),
            format!("{main}/index.js"),
        ]
    });
    let candidates = declared.chain(strings(&["index.js", "index.mjs", "server.js"]));
    candidates
        .map(|file| file.trim_start_matches("./").to_owned())
        .find(|file| repo.is_file(file) && repo.in_image(file))
}

fn start(repo: &Repo, package: &Package, text: &str) -> Option<(String, Decision)> {
    let decide = |command: String, reason: &str, evidence| {
        (
            command.clone(),
            Decision::new("start", command, reason).from(evidence),
        )
    };
    if let Some(script) = package.script("start") {
        let evidence = Evidence::key(
            "package.json",
            "scripts.start",
            read::line_of(text, "\"start\""),
            script,
        );
        return Some(decide(
            "npm run start".to_owned(),
            "the start script",
            evidence,
        ));
    }
    let found = entry(repo, package);
    if let Some(main) = package
        .main()
        .filter(|_| found.is_none() && package.script("build").is_some())
    {
        let evidence = Evidence::key(
            "package.json",
            "main",
            read::line_of(text, "\"main\""),
            main,
        );
        return Some(decide(
            format!("node {}", quote(main)),
            "main, which the build has to make",
            evidence,
        ));
    }
    let file = found?;
    let evidence = Evidence::file(&file, "found");
    Some(decide(
        format!("node {}", quote(&file)),
        "there is no start script",
        evidence,
    ))
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["node"]),
        warnings: facts.warnings.clone(),
        ..Proposal::default()
    };
    proposal.warnings.extend(facts.node.warnings.clone());
    proposal.decisions.push(facts.node.decision.clone());
    let plan = &mut proposal.plan;
    plan.variables = variables(facts);
    let (setup, decisions) = setup(facts);
    plan.phases.insert("setup".to_owned(), setup);
    proposal.decisions.extend(decisions);
    let (install, decision) = install(facts);
    plan.phases.insert("install".to_owned(), install);
    proposal.decisions.push(decision);
    if let Some((script, line)) = &facts.build {
        let build = plan.phase("build");
        build.depends_on = Some(strings(&["install"]));
        build.cmds = Some(strings(&["npm run build"]));
        build.cache_directories = Some(facts.caches.clone());
        let evidence = Evidence::key("package.json", "scripts.build", *line, script);
        proposal
            .decisions
            .push(Decision::new("build", "npm run build", "the build script").from(evidence));
    }
    if facts.test {
        let test = plan.phase("test");
        test.depends_on = Some(strings(&[if facts.build.is_some() {
            "build"
        } else {
            "install"
        }]));
        test.cmds = Some(strings(&["npm run test"]));
    }
    let mut start = Start {
        nix_pkgs: Some(vec![facts.node.entry()]),
        ..Start::default()
    };
    match &facts.start {
        Some((command, decision)) => {
            start.cmd = Some(command.clone());
            proposal.decisions.push(decision.clone());
        }
        None => proposal.without_start = Some("add a \"start\" script to package.json".to_owned()),
    }
    if let Some((version, _)) = &facts.npm {
        // The start command may be npm's.
        start
            .nix_pkgs
            .get_or_insert_default()
            .push(format!("npm@{version}"));
    }
    plan.start = Some(start);
    proposal
}

fn variables(facts: &Facts) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = [
        ("CI", "true"),
        ("NODE_ENV", "production"),
        ("NPM_CONFIG_PRODUCTION", "false"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    if facts.lock.is_some() {
        // Exact versions with hashes: what is in the cache needs no question whether it is fresh.
        variables.insert("NPM_CONFIG_PREFER_OFFLINE".to_owned(), "true".to_owned());
    }
    variables
}

fn setup(facts: &Facts) -> (Phase, Vec<Decision>) {
    let mut tools = vec![facts.node.entry()];
    let mut decisions = Vec::new();
    if let Some((version, evidence)) = &facts.npm {
        tools.push(format!("npm@{version}"));
        decisions.push(
            Decision::new("npm", version.clone(), "packageManager pins it").from(evidence.clone()),
        );
    }
    if !facts.install_scripts.is_empty() {
        tools.extend(strings(&["gcc", "python"]));
        let names: Vec<&str> = facts
            .install_scripts
            .iter()
            .take(5)
            .map(String::as_str)
            .collect();
        let reason = format!(
            "at build time alone: install scripts of {} may compile",
            names.join(", ")
        );
        decisions.push(Decision::new("compiler", "gcc and python", reason));
    }
    (
        Phase {
            nix_pkgs: Some(tools),
            ..Phase::default()
        },
        decisions,
    )
}

fn install(facts: &Facts) -> (Phase, Decision) {
    let command = if facts.lock.is_some() {
        "npm ci"
    } else {
        "npm i"
    };
    let (files, sees) = match &facts.manifests {
        Ok(files) => (Some(files.clone()), "sees the manifests alone".to_owned()),
        Err(why) => (None, format!("sees all files: {why}")),
    };
    let phase = Phase {
        depends_on: Some(strings(&["setup"])),
        cmds: Some(strings(&[command])),
        only_include_files: files,
        cache_directories: Some(strings(&["/root/.npm"])),
        paths: Some(strings(&["/app/node_modules/.bin"])),
        ..Phase::default()
    };
    let decision = Decision::new("install", command, sees);
    (
        phase,
        match facts.lock {
            Some(file) => decision.from(Evidence::file(file, "the lock file")),
            None => decision,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: &str = r#"{"engines":{"node":"22.x"},"scripts":{"build":"tsc","start":"node dist/a.js"},"dependencies":{"express":"5"}}"#;

    fn propose(files: &[(&str, &str)]) -> Proposal {
        let repo = Repo::in_memory(files);
        Node.propose(&Request {
            repo: &repo,
            variables: &BTreeMap::new(),
            test: true,
            assisting: false,
        })
        .unwrap()
    }

    fn phase(proposal: &Proposal, name: &str) -> Phase {
        proposal.plan.phases[name].clone()
    }

    #[test]
    fn a_lock_file_means_a_clean_install_from_the_manifests_alone() {
        let proposal = propose(&[
            ("package.json", PACKAGE),
            ("package-lock.json", "{\"packages\":{}}"),
            (".npmrc", ""),
        ]);
        let install = phase(&proposal, "install");
        assert_eq!(install.cmds.unwrap(), ["npm ci"]);
        assert_eq!(
            install.only_include_files.unwrap(),
            ["package.json", "package-lock.json", ".npmrc"]
        );
        assert_eq!(phase(&proposal, "setup").nix_pkgs.unwrap(), ["nodejs@22"]);
        assert_eq!(phase(&proposal, "build").cmds.unwrap(), ["npm run build"]);
        assert_eq!(
            proposal.plan.start.unwrap().nix_pkgs.unwrap(),
            ["nodejs@22"]
        );
        assert!(
            proposal
                .plan
                .variables
                .contains_key("NPM_CONFIG_PREFER_OFFLINE")
        );
    }

    #[test]
    fn an_ignored_lock_file_is_no_lock_file() {
        let proposal = propose(&[
            ("package.json", PACKAGE),
            ("package-lock.json", "{}"),
            (".dockerignore", "*lock*"),
        ]);
        assert_eq!(phase(&proposal, "install").cmds.unwrap(), ["npm i"]);
        assert!(
            !proposal
                .plan
                .variables
                .contains_key("NPM_CONFIG_PREFER_OFFLINE")
        );
        assert_eq!(proposal.warnings.len(), 1);
    }

    #[test]
    fn whatever_may_read_the_source_makes_install_see_all_of_it() {
        for package in [
            r#"{"workspaces":["a"]}"#,
            r#"{"scripts":{"postinstall":"x"}}"#,
            r#"{"scripts":{"prepare":"x"}}"#,
            r#"{"dependencies":{"a":"file:../a"}}"#,
            r#"{"dependencies":{"@prisma/client":"5"}}"#,
        ] {
            assert_eq!(
                phase(&propose(&[("package.json", package)]), "install").only_include_files,
                None,
                "{package}"
            );
        }
        let linked = propose(&[
            ("package.json", "{}"),
            (
                "package-lock.json",
                r#"{"packages":{"":{},"node_modules/a":{"link":true}}}"#,
            ),
        ]);
        assert_eq!(phase(&linked, "install").only_include_files, None);
    }

    #[test]
    fn a_compiler_is_asked_for_only_when_the_lock_shows_an_install_script() {
        let lock = r#"{"packages":{"":{"hasInstallScript":false},"node_modules/x/node_modules/@b/c":{"hasInstallScript":true}}}"#;
        let proposal = propose(&[("package.json", PACKAGE), ("package-lock.json", lock)]);
        assert_eq!(
            phase(&proposal, "setup").nix_pkgs.unwrap(),
            ["nodejs@22", "gcc", "python"]
        );
        assert_eq!(
            proposal.plan.start.unwrap().nix_pkgs.unwrap(),
            ["nodejs@22"]
        );
        assert!(
            proposal
                .decisions
                .iter()
                .any(|decision| decision.reason.contains("@b/c"))
        );
    }

    #[test]
    fn start_is_script_then_main_then_index_then_nothing_with_a_warning() {
        let start = |files: &[(&str, &str)]| propose(files).plan.start.unwrap().cmd;
        assert_eq!(
            start(&[("package.json", PACKAGE)]).as_deref(),
            Some("npm run start")
        );
        assert_eq!(
            start(&[("package.json", r#"{"main":"./lib/a"}"#), ("lib/a.js", "")]).as_deref(),
            Some("node lib/a.js")
        );
        assert_eq!(
            start(&[(
                "package.json",
                r#"{"main":"dist/a.js","scripts":{"build":"x"}}"#
            )])
            .as_deref(),
            Some("node dist/a.js")
        );
        assert_eq!(
            start(&[("package.json", r#"{"main":"gone.js"}"#), ("index.js", "")]).as_deref(),
            Some("node index.js")
        );
        assert_eq!(start(&[("package.json", "{}")]), None);
        assert!(propose(&[("package.json", "{}")]).without_start.is_some());
    }

    #[test]
    fn package_manager_pins_npm_and_warns_about_others() {
        let pinned = propose(&[(
            "package.json",
            r#"{"packageManager":"npm@10.8.2+sha512.abc"}"#,
        )]);
        assert_eq!(
            phase(&pinned, "setup").nix_pkgs.unwrap(),
            ["nodejs@24", "npm@10.8.2"]
        );
        let other = propose(&[("package.json", r#"{"packageManager":"pnpm@9.1.0"}"#)]);
        assert!(
            other
                .warnings
                .iter()
                .any(|warning| warning.contains("pnpm"))
        );
    }

    #[test]
    fn the_test_phase_comes_when_asked_for_and_when_it_is_not_npms_placeholder() {
        let package = |script: &str| format!(r#"{{"scripts":{{"test":"{script}"}}}}"#);
        assert!(
            propose(&[("package.json", &package("node --test"))])
                .plan
                .phases
                .contains_key("test")
        );
        let placeholder = package("echo \\\"Error: no test specified\\\" && exit 1");
        assert!(
            !propose(&[("package.json", &placeholder)])
                .plan
                .phases
                .contains_key("test")
        );
    }

    #[test]
    fn a_wrong_type_names_the_key() {
        let repo = Repo::in_memory(&[("package.json", "{\n \"scripts\": [1]}")]);
        let error = Node.detect(&repo).unwrap_err().to_string();
        assert!(
            error.starts_with("package.json:2:") && error.contains("scripts"),
            "{error}"
        );
    }
}
