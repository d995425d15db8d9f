//! Workspaces and their task runners.

use super::super::tests::{phase, with};

#[test]
fn task_runners_build_and_start_as_with_nixpacks() {
    let commands = |files: &[(&str, &str)], variables: &[(&str, &str)]| {
        let plan = with(files, variables).plan;
        (
            plan.phases["build"].cmds.clone().unwrap().join(" && "),
            plan.start.unwrap().cmd.unwrap_or_default(),
        )
    };
    let both = |build: &str, start: &str| (build.to_owned(), start.to_owned());
    let package = (
        "package.json",
        r#"{"scripts":{"build":"x"},"workspaces":["apps/*"]}"#,
    );
    let web = (
        "apps/web/package.json",
        r#"{"name":"web","scripts":{"start":"y"},"dependencies":{"next":"16"}}"#,
    );
    let turbo = (
        "turbo.json",
        "{ // comment\n \"tasks\": { \"build\": {}, \"start\": {} } }",
    );
    assert_eq!(
        commands(&[package, web, turbo], &[]),
        both("npx turbo run build", "npm --workspace web run start")
    );
    assert_eq!(
        commands(
            &[package, web, turbo],
            &[("NIXPACKS_TURBO_APP_NAME", "web")]
        ),
        both(
            "npx turbo run build --filter=web",
            "npm --workspace web run start"
        )
    );
    let plain = with(&[package, web], &[]);
    assert_eq!(
        plain.plan.start.clone().unwrap().cmd.unwrap(),
        "npm --workspace web run start"
    );
    assert_eq!(
        phase(&plain, "build").cache_directories.unwrap(),
        ["apps/web/.next/cache", "node_modules/.cache"]
    );
    let project = (
        "apps/web/project.json",
        r#"{"targets":{"build":{"executor":"@nx/js","options":{"outputPath":"dist/apps/web","main":"apps/web/src/main.ts"},"configurations":{"production":{}}}}}"#,
    );
    assert_eq!(
        commands(
            &[package, project, ("nx.json", "{}")],
            &[("NIXPACKS_NX_APP_NAME", "web")]
        ),
        both(
            "npx nx run web:build:production",
            "node dist/apps/web/main.js"
        )
    );
    assert_eq!(
        commands(
            &[package, (".moon/workspace.yml", "")],
            &[
                ("NIXPACKS_MOON_APP_NAME", "web"),
                ("NIXPACKS_MOON_START_TASK", "serve")
            ]
        ),
        both(
            "npx @moonrepo/cli run web:build",
            "npx @moonrepo/cli run web:serve"
        )
    );
}
