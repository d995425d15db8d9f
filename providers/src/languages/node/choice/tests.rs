//! Which manager installs, and in what version.

use std::collections::BTreeMap;

use super::super::tests::{STARTED, phase, propose, with};
use crate::languages::node::Node;
use crate::provider::{Provider, Request};
use crate::repo::Repo;

#[test]
fn package_manager_pins_npm_and_an_unknown_one_is_warned_of() {
    let pinned = propose(&[(
        "package.json",
        r#"{"packageManager":"npm@10.8.2+sha512.abc"}"#,
    )]);
    assert_eq!(
        phase(&pinned, "setup").nix_pkgs.unwrap(),
        ["nodejs@24", "npm@10.8.2"]
    );
    let other = propose(&[("package.json", r#"{"packageManager":"cnpm@9.1.0"}"#)]);
    assert!(other.warnings[0].contains("cnpm"), "{:?}", other.warnings);
}

#[test]
fn the_manager_comes_from_its_lock_file_in_the_version_of_the_lock_file() {
    for (file, lock, tool, install, cache) in [
        (
            "pnpm-lock.yaml",
            "lockfileVersion: '9.0'\n",
            "pnpm@9",
            "pnpm i --frozen-lockfile",
            "/root/.local/share/pnpm/store",
        ),
        (
            "pnpm-lock.yaml",
            "lockfileVersion: 5.4\n",
            "pnpm@7",
            "pnpm i --frozen-lockfile",
            "/root/.local/share/pnpm/store",
        ),
        (
            "yarn.lock",
            "# yarn lockfile v1\n",
            "yarn@1",
            "yarn install --frozen-lockfile",
            "/usr/local/share/.cache/yarn/v6",
        ),
        ("bun.lock", "{}", "bun@1", "bun i --no-save", "/root/.bun"),
    ] {
        let proposal = with(&[("package.json", STARTED), (file, lock)], &[]);
        let install_phase = phase(&proposal, "install");
        assert_eq!(
            phase(&proposal, "setup").nix_pkgs.unwrap(),
            ["nodejs@24", tool]
        );
        assert_eq!(install_phase.cmds.unwrap(), [install]);
        assert_eq!(install_phase.cache_directories.unwrap(), [cache]);
        let name = tool.split('@').next().unwrap();
        assert_eq!(
            phase(&proposal, "build").cmds.unwrap(),
            [format!("{name} run build")]
        );
        let start = proposal.plan.start.unwrap();
        assert_eq!(start.cmd.unwrap(), format!("{name} run start"));
        assert_eq!(start.nix_pkgs.unwrap(), ["nodejs@24", tool]);
    }
}

#[test]
fn berry_keeps_archives_in_the_application_unless_it_links_node_modules() {
    let lock = "# comment\n\n__metadata:\n  version: 8\n  cacheKey: 10c0\n";
    let archives = with(&[("package.json", STARTED), ("yarn.lock", lock)], &[]);
    assert_eq!(
        phase(&archives, "setup").nix_pkgs.unwrap(),
        ["nodejs@24", "yarn@4"]
    );
    assert_eq!(
        phase(&archives, "install").cache_directories.unwrap(),
        ["/root/.yarn/berry/cache"]
    );
    assert_eq!(archives.plan.variables["YARN_ENABLE_GLOBAL_CACHE"], "false");
    let linked = with(
        &[
            (
                "package.json",
                r#"{"packageManager":"yarn@3.8.7","main":"a.js"}"#,
            ),
            ("a.js", ""),
            ("yarn.lock", lock),
            (".yarnrc.yml", "nodeLinker: node-modules\n"),
        ],
        &[],
    );
    assert_eq!(
        phase(&linked, "setup").nix_pkgs.unwrap(),
        ["nodejs@24", "yarn@3.8.7"]
    );
    assert_eq!(
        phase(&linked, "install").cmds.unwrap(),
        ["yarn install --check-cache"]
    );
    assert_eq!(linked.plan.start.unwrap().cmd.unwrap(), "node a.js");
}

#[test]
fn package_manager_beats_lock_files_and_engines_come_last() {
    let tools = |package: &str, locks: &[(&str, &str)]| {
        let mut files = vec![("package.json", package)];
        files.extend(locks);
        phase(&with(&files, &[]), "setup").nix_pkgs.unwrap()[1..].to_vec()
    };
    let pinned = r#"{"packageManager":"pnpm@9.15.0+sha512.abc"}"#;
    assert_eq!(tools(pinned, &[("yarn.lock", "")]), ["pnpm@9.15.0"]);
    let engines = r#"{"engines":{"pnpm":">=10 <11"}}"#;
    assert_eq!(tools(engines, &[]), ["pnpm@10"]);
    assert_eq!(tools(engines, &[("yarn.lock", "")]), ["yarn@1"]);
    assert_eq!(
        tools(
            r#"{"devEngines":{"packageManager":{"name":"bun","version":"^1.2"}}}"#,
            &[]
        ),
        ["bun@^1.2"]
    );
    let settings = (
        "pnpm-workspace.yaml",
        "onlyBuiltDependencies:\n  - esbuild\n",
    );
    assert_eq!(
        tools(
            "{}",
            &[("pnpm-lock.yaml", "lockfileVersion: '9.0'"), settings]
        ),
        ["pnpm@10"]
    );
    // It says no more than its version, so nothing behind that is read.
    let two =
        "---\nlockfileVersion: '9.0'\nimporters: {}\n---\nlockfileVersion: '9.0'\npackages: {}\n";
    assert_eq!(tools("{}", &[("pnpm-lock.yaml", two)]), ["pnpm@9"]);
}

#[test]
fn broken_manifests_name_their_place() {
    let repo = Repo::in_memory(&[
        ("package.json", "{}"),
        (
            "pnpm-lock.yaml",
            "lockfileVersion: '6.0'\npackages:\n  a: [\n",
        ),
    ]);
    let error = Node.propose(&Request {
        repo: &repo,
        variables: &BTreeMap::new(),
        test: false,
        assisting: false,
    });
    let message = error.err().unwrap().to_string();
    assert!(message.starts_with("pnpm-lock.yaml:"), "{message}");
}

#[test]
fn empty_documents_and_large_lock_files_are_read() {
    use std::fmt::Write as _;

    let mut lock = "lockfileVersion: '6.0'\npackages:\n".to_owned();
    for number in 0..20_000 {
        let _ = write!(
            lock,
            "  /package-{number}@1.0.0:\n    resolution: {{integrity: sha512-x}}\n    engines: {{node: '>=18'}}\n    dev: true\n"
        );
    }
    let files = [
        ("package.json", STARTED),
        ("pnpm-lock.yaml", lock.as_str()),
        ("pnpm-workspace.yaml", "# nothing\n"),
    ];
    let tools = phase(&with(&files, &[]), "setup").nix_pkgs.unwrap();
    assert_eq!(tools, ["nodejs@24", "pnpm@8"]);
}

#[test]
fn a_range_is_cut_to_what_reads_the_lock_file() {
    let tool = |engines: &str, file: &str, lock: &str| {
        let package = format!(r#"{{"engines":{engines}}}"#);
        let files = [("package.json", package.as_str()), (file, lock)];
        phase(&with(&files, &[]), "setup").nix_pkgs.unwrap()[1].clone()
    };
    let pnpm = "pnpm-lock.yaml";
    let (old, new) = ("lockfileVersion: '6.0'", "lockfileVersion: '9.0'");
    assert_eq!(tool(r#"{"pnpm":">=8"}"#, pnpm, old), "pnpm@8");
    assert_eq!(tool(r#"{"pnpm":">=8"}"#, pnpm, new), "pnpm@9");
    assert_eq!(tool(r#"{"pnpm":">=10"}"#, pnpm, new), "pnpm@10");
    assert_eq!(tool(r#"{"pnpm":"9.1.0"}"#, pnpm, new), "pnpm@9.1.0");
    assert_eq!(tool(r#"{"pnpm":"7"}"#, pnpm, new), "pnpm@7");
    let yarn = tool(r#"{"yarn":">=1.22"}"#, "yarn.lock", "# yarn lockfile v1\n");
    assert_eq!(yarn, "yarn@>=1.22.0 <2.0.0-0");
}

#[test]
fn npm_is_told_to_install_what_only_the_build_needs_without_warning_of_it() {
    let package =
        r#"{"scripts":{"start":"node a"},"dependencies":{"a":"1"},"devDependencies":{"b":"1"}}"#;
    let all = |package: &str, variables: &[(&str, &str)]| {
        let proposal = with(&[("package.json", package)], variables);
        let prune = proposal.plan.phases.get("prune");
        let prune = prune.map(|prune| prune.cmds.clone().unwrap().join(""));
        let names = proposal.plan.variables.into_keys();
        let names: Vec<String> = names.filter(|name| name.starts_with("NPM_")).collect();
        (names.join(" "), prune.unwrap_or_default())
    };
    let (names, prune) = all(package, &[]);
    assert_eq!(names, "NPM_CONFIG_INCLUDE");
    assert_eq!(
        prune,
        "npm prune --omit=dev --include=prod --ignore-scripts"
    );
    let (names, prune) = all(package, &[("NIXPACKS_NODE_VERSION", "14")]);
    assert_eq!(names, "NPM_CONFIG_PRODUCTION");
    assert_eq!(prune, "npm prune --production --ignore-scripts");
    let given = |name| all(package, &[(name, "x")]).0;
    assert_eq!(given("NPM_CONFIG_PRODUCTION"), "NPM_CONFIG_PRODUCTION");
    assert_eq!(given("NPM_CONFIG_OMIT"), "");
}
