//! When development dependencies go.

use super::super::tests::with;
use crate::languages::strings;

#[test]
fn development_dependencies_go_where_nothing_that_runs_uses_them() {
    let package = |script: &str| {
        format!(
            r#"{{"scripts":{{"build":"tsc","start":"{script}"}},"dependencies":{{"express":"5"}},"devDependencies":{{"typescript":"5","tsx":"4"}}}}"#
        )
    };
    let prune = |script: &str, more: &[(&str, &str)], variables: &[(&str, &str)]| {
        let package = package(script);
        let mut files = vec![("package.json", package.as_str())];
        files.extend(more);
        let proposal = with(&files, variables);
        proposal
            .plan
            .phases
            .get("prune")
            .map(|phase| phase.cmds.clone().unwrap())
    };
    let npm = Some(strings(&[
        "npm prune --omit=dev --include=prod --ignore-scripts",
    ]));
    assert_eq!(prune("node dist/a.js", &[], &[]), npm);
    assert_eq!(
        prune(
            "NODE_ENV=x exec node dist/a.js",
            &[("src/a.ts", "import e from 'express'")],
            &[]
        ),
        npm
    );
    for script in [
        "tsx src/a.ts",
        "node --import tsx a.ts",
        "npm run x && tsx y",
        "unknown",
    ] {
        assert_eq!(prune(script, &[], &[]), None, "{script}");
    }
    assert_eq!(
        prune("node a.js", &[("a.js", "require('tsx/cjs')")], &[]),
        None
    );
    assert_eq!(
        prune("node a.js", &[("a.test.js", "require('tsx/cjs')")], &[]),
        npm
    );
    assert_eq!(
        prune("node a.js", &[], &[("NIXPACKS_PRUNE_DEPS", "0")]),
        None
    );
    assert_eq!(prune("tsx a.js", &[], &[("RAILPACK_PRUNE_DEPS", "1")]), npm);
    assert_eq!(prune("node a.js", &[("nx.json", "{}")], &[]), None);
    assert_eq!(
        prune(
            "node a.js",
            &[("pnpm-lock.yaml", "lockfileVersion: '9.0'")],
            &[]
        ),
        Some(strings(&["pnpm prune --prod --ignore-scripts"]))
    );
}

#[test]
fn types_and_what_only_a_build_imports_are_not_used_when_it_runs() {
    let prunes = |package: &str, file: (&str, &str)| {
        let proposal = with(&[("package.json", package), file], &[]);
        proposal.plan.phases.contains_key("prune")
    };
    let package =
        r#"{"scripts":{"start":"node a.js"},"devDependencies":{"x":"1","@react-router/dev":"8"}}"#;
    assert!(prunes(package, ("a.ts", "import type { A } from 'x'")));
    assert!(!prunes(package, ("a.ts", "import { A } from 'x'")));
    let routes = "import { index } from '@react-router/dev/routes'";
    assert!(prunes(package, ("app/routes.ts", routes)));
    let next = |version: &str| {
        format!(
            r#"{{"scripts":{{"build":"next build","start":"next start"}},"dependencies":{{"next":"{version}"}},"devDependencies":{{"typescript":"5"}}}}"#
        )
    };
    let config = ("next.config.ts", "export default {}");
    assert!(prunes(&next("16.4.3"), config));
    assert!(!prunes(&next("^15.1.0"), config));
}

#[test]
fn what_was_generated_into_packages_is_not_installed_anew() {
    let package = r#"{"scripts":{"start":"node a.js"},"dependencies":{"@prisma/client":"6"},"devDependencies":{"prisma":"6"}}"#;
    for (lock, goes) in [
        ("package-lock.json", true),
        ("yarn.lock", false),
        ("bun.lock", false),
    ] {
        let proposal = with(&[("package.json", package), (lock, "{}")], &[]);
        assert_eq!(proposal.plan.phases.contains_key("prune"), goes, "{lock}");
    }
}

#[test]
fn berry_takes_them_away_from_version_4_on() {
    let lock = ("yarn.lock", "__metadata:\n  version: 8\n");
    let prune = |version: &str, files: &[(&str, &str)]| {
        let package = format!(
            r#"{{"packageManager":"yarn@{version}","scripts":{{"start":"node a.js"}},"devDependencies":{{"x":"1"}}}}"#
        );
        let files = [&[("package.json", package.as_str()), lock], files].concat();
        let proposal = with(&files, &[]);
        let prune = proposal.plan.phases.get("prune");
        prune.map(|prune| prune.cmds.clone().unwrap().join(""))
    };
    let focus = "yarn workspaces focus --production";
    let linked = (".yarnrc.yml", "nodeLinker: node-modules");
    assert_eq!(prune("4.10.3", &[linked]).unwrap(), focus);
    assert_eq!(
        prune("4.10.3", &[]).unwrap(),
        format!("rm -rf .yarn/cache && {focus}")
    );
    assert_eq!(prune("4.10.3", &[(".yarn/cache/a.zip", "")]), None);
    assert_eq!(prune("3.8.7", &[linked]), None);
}
