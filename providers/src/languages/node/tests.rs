//! What the tests of this folder share, and those of how an application is installed and started.

use std::collections::BTreeMap;

use super::Node;
use crate::plan::Phase;
use crate::provider::{Proposal, Provider, Request};
use crate::repo::Repo;

pub(super) const CADDY_START: &str =
    "exec caddy run --config /assets/Caddyfile --adapter caddyfile 2>&1";

const PACKAGE: &str = r#"{"engines":{"node":"22.x"},"scripts":{"build":"tsc","start":"node dist/a.js"},"dependencies":{"express":"5"}}"#;

pub(super) fn propose(files: &[(&str, &str)]) -> Proposal {
    let repo = Repo::in_memory(files);
    Node.propose(&Request {
        repo: &repo,
        variables: &BTreeMap::new(),
        test: true,
        assisting: false,
    })
    .unwrap()
}

pub(super) fn phase(proposal: &Proposal, name: &str) -> Phase {
    proposal.plan.phases[name].clone()
}

pub(super) fn with(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Proposal {
    let repo = Repo::in_memory(files);
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Node.propose(&Request {
        repo: &repo,
        variables: &variables,
        test: false,
        assisting: false,
    })
    .unwrap()
}

pub(super) fn start(files: &[(&str, &str)]) -> Option<String> {
    with(files, &[]).plan.start.unwrap().cmd
}

pub(super) const STARTED: &str =
    r#"{"scripts":{"build":"b","start":"node s.js"},"dependencies":{"express":"5"}}"#;

pub(super) const VITE: &str = r#"{"scripts":{"build":"vite build","preview":"vite preview"},"dependencies":{"react":"19"},"devDependencies":{"vite":"7"}}"#;

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

#[test]
fn libraries_come_by_parsed_dependencies() {
    let of = |dependencies: &str, development: &str| {
        let package = format!(
            r#"{{"main":"a.js","dependencies":{{{dependencies}}},"devDependencies":{{{development}}}}}"#
        );
        let proposal = with(&[("package.json", &package), ("a.js", "")], &[]);
        let all = |list: Option<Vec<String>>| list.unwrap_or_default().join(" ");
        let built = all(phase(&proposal, "setup").apt_pkgs);
        let kept = all(proposal.plan.start.clone().unwrap().apt_pkgs);
        (built, kept, proposal.plan)
    };
    let (built, kept, _) = of(r#""html2canvas":"1""#, r#""prisma":"6""#);
    assert_eq!((built.as_str(), kept.as_str()), ("openssl", "openssl"));
    let (built, kept, plan) = of("", r#""puppeteer":"24""#);
    assert_eq!((built.as_str(), kept.as_str()), ("chromium", ""));
    assert_eq!(plan.variables["PUPPETEER_SKIP_DOWNLOAD"], "true");
    let (_, kept, plan) = of(r#""playwright":"1""#, "");
    assert_eq!(kept, "chromium-headless-shell");
    assert_eq!(
        plan.phases["install"].cmds.as_deref().unwrap(),
        ["npm i", "node /assets/playwright.cjs"]
    );
    assert!(plan.static_assets.contains_key("playwright.cjs"));
    let (built, _, plan) = of("", r#""@playwright/test":"1","playwright":"1""#);
    assert_eq!(built, "");
    assert!(plan.static_assets.is_empty());
    let (_, _, plan) = of(r#""fastify-cli":"7""#, "");
    assert_eq!(plan.variables["FASTIFY_ADDRESS"], "0.0.0.0");
}

#[test]
fn cypress_is_downloaded_only_where_a_phase_runs_it() {
    let download = |build: &str| {
        let package = format!(
            r#"{{"scripts":{{"build":"{build}","e2e":"cypress run"}},"devDependencies":{{"cypress":"15"}}}}"#
        );
        let proposal = with(&[("package.json", &package)], &[]);
        let cache = "/root/.cache/Cypress".to_owned();
        let cached = phase(&proposal, "install")
            .cache_directories
            .unwrap()
            .contains(&cache);
        (
            cached,
            proposal
                .plan
                .variables
                .contains_key("CYPRESS_INSTALL_BINARY"),
        )
    };
    assert_eq!(download("tsc"), (false, true));
    assert_eq!(download("tsc && npm run e2e"), (true, false));
}

#[test]
fn the_version_that_developers_use_is_taken_when_engines_allow_it() {
    let version = |engines: &str, file: &str| {
        let package = format!(r#"{{"engines":{{"node":"{engines}"}}}}"#);
        let files = [("package.json", package.as_str()), (".nvmrc", file)];
        phase(&with(&files, &[]), "setup").nix_pkgs.unwrap()[0].clone()
    };
    assert_eq!(version(">=18", "v20.11.0"), "nodejs@20.11.0");
    assert_eq!(version(">=18", "lts/jod"), "nodejs@22");
    assert_eq!(version(">=22", "20"), "nodejs@24");
    assert_eq!(version("22", ">=18"), "nodejs@22");
}

#[test]
fn what_bun_runs_by_its_file_needs_no_node() {
    let tools = |script: &str| {
        let package = format!(r#"{{"scripts":{{"start":"{script}"}}}}"#);
        let files = [("package.json", package.as_str()), ("bun.lock", "{}")];
        with(&files, &[])
            .plan
            .start
            .unwrap()
            .nix_pkgs
            .unwrap()
            .join(" ")
    };
    assert_eq!(tools("NODE_ENV=x bun run src/index.ts"), "bun@1");
    for script in [
        "bun next start",
        "node a.js",
        "bun a.ts && node b.js",
        "bun --env-file .env a.ts",
    ] {
        assert_eq!(tools(script), "nodejs@24 bun@1", "{script}");
    }
    let files = [("package.json", "{}"), ("bun.lock", "{}"), ("index.ts", "")];
    let start = with(&files, &[]).plan.start.unwrap();
    assert_eq!(start.cmd.unwrap(), "bun index.ts");
    assert_eq!(start.nix_pkgs.unwrap(), ["bun@1"]);
}

#[test]
fn settings_of_railpack_count_where_nixpacks_has_none() {
    let page = |variables: &[(&str, &str)]| {
        let start = with(&[("package.json", VITE)], variables)
            .plan
            .start
            .unwrap();
        start.only_include_files.map(|files| files.join(" "))
    };
    assert_eq!(
        page(&[("RAILPACK_SPA_OUTPUT_DIR", "site")]).unwrap(),
        "site"
    );
    assert_eq!(page(&[("RAILPACK_NO_SPA", "1")]), None);
    let version = |variables: &[(&str, &str)]| {
        phase(&with(&[("package.json", "{}")], variables), "setup")
            .nix_pkgs
            .unwrap()
    };
    let railpack = ("RAILPACK_NODE_VERSION", "20");
    assert_eq!(version(&[railpack]), ["nodejs@20"]);
    assert_eq!(
        version(&[railpack, ("NIXPACKS_NODE_VERSION", "22")]),
        ["nodejs@22"]
    );
}

#[test]
fn an_assistant_builds_and_leaves_no_packages() {
    let repo = Repo::in_memory(&[("package.json", VITE), ("package-lock.json", "{}")]);
    let proposal = Node
        .propose(&Request {
            repo: &repo,
            variables: &BTreeMap::new(),
            test: false,
            assisting: true,
        })
        .unwrap();
    assert_eq!(proposal.plan.start, None);
    assert_eq!(
        proposal.plan.phases.keys().collect::<Vec<_>>(),
        ["build", "install", "prune", "setup"]
    );
    let prune = phase(&proposal, "prune");
    assert_eq!(prune.cmds.unwrap(), ["rm -rf node_modules"]);
    assert_eq!(prune.depends_on.unwrap(), ["build"]);
}
