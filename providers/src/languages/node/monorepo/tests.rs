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
            "npx @moonrepo/cli run web:build && rm -f ~/.moon/id",
            "npx @moonrepo/cli run web:serve"
        )
    );
}

#[test]
fn a_workspace_is_installed_from_its_manifests_unless_a_package_may_read_more() {
    let root = ("package.json", r#"{"workspaces":["apps/*","!apps/old"]}"#);
    let lock = (
        "package-lock.json",
        r#"{"packages":{"node_modules/web":{"link":true,"resolved":"apps/web"}}}"#,
    );
    let files = |web: &str| {
        let files = [
            root,
            lock,
            ("apps/web/package.json", web),
            ("apps/old/package.json", "{}"),
        ];
        phase(&with(&files, &[]), "install").only_include_files
    };
    assert_eq!(
        files(r#"{"name":"web","dependencies":{"b":"*"}}"#).unwrap(),
        ["package.json", "package-lock.json", "apps/web/package.json"]
    );
    for web in [
        r#"{"bin":"a.js"}"#,
        r#"{"scripts":{"prepare":"x"}}"#,
        r#"{"dependencies":{"c":"file:../../c"}}"#,
        r#"{"dependenciesMeta":{"c":{"injected":true}}}"#,
        r#"{"devDependencies":{"prisma":"6"}}"#,
    ] {
        assert_eq!(files(web), None, "{web}");
    }
    let patterns = ("NIXPACKS_NODE_INSTALL_PATTERNS", "prisma/**");
    let package = r#"{"scripts":{"postinstall":"prisma generate"}}"#;
    let asked = with(
        &[("package.json", package), ("prisma/schema.prisma", "")],
        &[patterns],
    );
    assert_eq!(
        phase(&asked, "install").only_include_files.unwrap(),
        ["package.json", "prisma/schema.prisma"]
    );
}

#[test]
fn patches_of_dependencies_are_manifests() {
    let files = [
        (
            "package.json",
            r#"{"pnpm":{"patchedDependencies":{"a@1":"patches/a.patch"}}}"#,
        ),
        ("pnpm-lock.yaml", "lockfileVersion: '9.0'"),
        (
            "pnpm-workspace.yaml",
            "patchedDependencies:\n  b@1: patches/b.patch\n",
        ),
        ("patches/a.patch", ""),
        ("patches/b.patch", ""),
    ];
    assert_eq!(
        phase(&with(&files, &[]), "install")
            .only_include_files
            .unwrap(),
        [
            "package.json",
            "pnpm-lock.yaml",
            "pnpm-workspace.yaml",
            "patches/a.patch",
            "patches/b.patch"
        ]
    );
}

#[test]
fn the_first_application_of_nx_is_built_and_the_others_are_told() {
    let project = r#"{"targets":{"build":{"executor":"@nx/js:tsc"},"start":{}}}"#;
    let of_package = r#"{"name":"web","nx":{"targets":{"build":{}}}}"#;
    let files = [
        ("package.json", r#"{"devDependencies":{"nx":"21"}}"#),
        ("pnpm-lock.yaml", "lockfileVersion: '9.0'"),
        ("nx.json", "{}"),
        ("apps/api/project.json", project),
        ("apps/api-e2e/project.json", project),
        ("apps/web/package.json", of_package),
    ];
    let proposal = with(&files, &[]);
    assert_eq!(
        phase(&proposal, "build").cmds.unwrap(),
        ["pnpm exec nx run api:build"]
    );
    let start = proposal.plan.start.unwrap();
    assert_eq!(start.cmd.unwrap(), "pnpm exec nx run api:start");
    let decision = proposal.decisions.iter().find(|one| one.subject == "build");
    assert_eq!(decision.unwrap().rejected, ["web: apps/web/package.json"]);
}

#[test]
fn several_programs_of_a_turborepo_are_started_with_their_variables() {
    let files = [
        ("package.json", r#"{"workspaces":["apps/*"]}"#),
        ("turbo.json", r#"{"tasks":{"build":{},"start":{}}}"#),
        (
            "apps/a/package.json",
            r#"{"name":"a","scripts":{"start":"x"}}"#,
        ),
        (
            "apps/b/package.json",
            r#"{"name":"b","scripts":{"start":"y"}}"#,
        ),
    ];
    let start = with(&files, &[]).plan.start.unwrap().cmd;
    assert_eq!(start.unwrap(), "npx turbo run start --env-mode=loose");
}
