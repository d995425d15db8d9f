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
