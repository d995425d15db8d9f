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

fn with(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Proposal {
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

fn start(files: &[(&str, &str)]) -> Option<String> {
    with(files, &[]).plan.start.unwrap().cmd
}

const STARTED: &str =
    r#"{"scripts":{"build":"b","start":"node s.js"},"dependencies":{"express":"5"}}"#;

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
    assert_eq!(phase(&archives, "install").cache_directories, None);
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
    assert_eq!(tools(engines, &[]), ["pnpm@>=10 <11"]);
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
}

const VITE: &str = r#"{"scripts":{"build":"vite build","preview":"vite preview"},"dependencies":{"react":"19"},"devDependencies":{"vite":"7"}}"#;

#[test]
fn a_vite_page_is_served_by_caddy_and_nothing_else_is_in_the_image() {
    let config = (
        "vite.config.ts",
        "export default defineConfig({ build: { outDir: 'out' } }) // outDir: 'no'",
    );
    let proposal = with(&[("package.json", VITE), config], &[]);
    let begin = proposal.plan.start.clone().unwrap();
    assert_eq!(begin.cmd.unwrap(), CADDY_START);
    assert_eq!(begin.only_include_files.unwrap(), ["out"]);
    assert_eq!(begin.nix_pkgs.unwrap(), ["caddy"]);
    assert!(!proposal.plan.phases.contains_key("prune"));
    assert!(
        proposal.plan.static_assets["Caddyfile"].contains("root * \"/app/out\"\n")
            && proposal.plan.static_assets["Caddyfile"].contains("try_files {path} /index.html\n")
    );
    assert_eq!(proposal.plan.variables["NIXPACKS_SPA_OUTPUT_DIR"], "out");
    let own = with(&[("package.json", VITE), ("Caddyfile", ":80\n")], &[]);
    assert_eq!(own.plan.static_assets["Caddyfile"], ":80\n");
    let off = with(&[("package.json", VITE)], &[("NIXPACKS_SPA_CADDY", "0")]);
    assert_eq!(off.plan.start.unwrap().cmd, None);
    let computed = (
        "vite.config.ts",
        "export default { build: { outDir: x() } }",
    );
    assert_eq!(start(&[("package.json", VITE), computed]), None);
    let named = with(
        &[("package.json", VITE), computed],
        &[("NIXPACKS_SPA_OUT_DIR", "./site/")],
    );
    assert_eq!(
        named.plan.start.unwrap().only_include_files.unwrap(),
        ["site"]
    );
}

#[test]
fn a_server_of_ones_own_beats_the_files_that_vite_makes() {
    let package = |script: &str| {
        format!(
            r#"{{"scripts":{{"build":"vite build","start":"{script}"}},"dependencies":{{"react":"19"}},"devDependencies":{{"vite":"7"}}}}"#
        )
    };
    for preview in ["vite preview", "serve -s dist", "npx vite --host"] {
        assert_eq!(
            start(&[("package.json", &package(preview))]).as_deref(),
            Some(CADDY_START),
            "{preview}"
        );
    }
    assert_eq!(
        start(&[("package.json", &package("node server.js"))]).as_deref(),
        Some("npm run start")
    );
}

#[test]
fn next_runs_its_standalone_server_when_the_configuration_surely_says_so() {
    let package = r#"{"scripts":{"build":"next build","start":"next start"},"dependencies":{"next":"16"},"devDependencies":{"typescript":"5"}}"#;
    let config = |text: &'static str| {
        [
            ("package.json", package),
            ("next.config.mjs", text),
            ("public/a.svg", ""),
        ]
    };
    let standalone = with(&config("export default { output: 'standalone' }"), &[]);
    assert_eq!(
        phase(&standalone, "build").cmds.unwrap(),
        [
            "npm run build",
            "cp -r .next/static .next/standalone/.next/static",
            "cp -r public .next/standalone/public"
        ]
    );
    let begin = standalone.plan.start.unwrap();
    assert_eq!(
        begin.cmd.unwrap(),
        "HOSTNAME=0.0.0.0 node .next/standalone/server.js"
    );
    assert_eq!(begin.only_include_files.unwrap(), [".next/standalone"]);
    assert_eq!(begin.nix_pkgs.unwrap(), ["nodejs@24"]);
    for text in [
        "export default { output: process.env.X ? 'standalone' : undefined }",
        "// output: 'standalone'\nexport default {}",
    ] {
        assert_eq!(
            start(&config(text)).as_deref(),
            Some("npm run start"),
            "{text}"
        );
    }
    let export = with(&config("module.exports = { output: \"export\" }"), &[]);
    assert_eq!(
        export.plan.start.unwrap().only_include_files.unwrap(),
        ["out"]
    );
}

#[test]
fn servers_of_frameworks_are_started_where_no_script_does() {
    let package = |name: &str| {
        format!(r#"{{"scripts":{{"build":"x build"}},"devDependencies":{{"{name}":"1"}}}}"#)
    };
    assert_eq!(
        start(&[("package.json", &package("nuxt"))]).as_deref(),
        Some("node .output/server/index.mjs")
    );
    let svelte = (
        "svelte.config.js",
        "import adapter from '@sveltejs/adapter-node'; export default { kit: { adapter: adapter({ out: 'srv' }) } }",
    );
    assert_eq!(
        start(&[("package.json", &package("@sveltejs/kit")), svelte]).as_deref(),
        Some("node srv")
    );
    let astro = (
        "astro.config.mjs",
        "import node from '@astrojs/node'; export default defineConfig({ adapter: node({ mode: 'standalone' }) })",
    );
    assert_eq!(
        start(&[("package.json", &package("astro")), astro]).as_deref(),
        Some("HOST=0.0.0.0 node dist/server/entry.mjs")
    );
    assert_eq!(
        start(&[("package.json", &package("astro"))]).as_deref(),
        Some(CADDY_START)
    );
    let router = (
        "react-router.config.ts",
        "export default { ssr: false } satisfies Config",
    );
    let page = with(
        &[("package.json", &package("@react-router/dev")), router],
        &[],
    );
    assert_eq!(
        page.plan.start.unwrap().only_include_files.unwrap(),
        ["build/client"]
    );
    let angular = (
        "angular.json",
        r#"{"projects":{"shop":{"architect":{"build":{"builder":"@angular/build:application","options":{}}}}}}"#,
    );
    let page = with(&[("package.json", &package("@angular/core")), angular], &[]);
    assert_eq!(
        page.plan.start.unwrap().only_include_files.unwrap(),
        ["dist/shop/browser"]
    );
    let nest =
        r#"{"scripts":{"build":"nest build","start":"nest start","start:prod":"node dist/main"}}"#;
    assert_eq!(
        start(&[("package.json", nest)]).as_deref(),
        Some("npm run start:prod")
    );
}

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
        "env -u NPM_CONFIG_PRODUCTION npm prune --omit=dev --ignore-scripts",
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
        both("npx turbo run build", "npx turbo run start")
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

#[test]
fn libraries_come_by_parsed_dependencies() {
    let proposal = with(
        &[
            (
                "package.json",
                r#"{"main":"a.js","dependencies":{"html2canvas":"1","puppeteer":"24"},"devDependencies":{"prisma":"6","playwright":"1"}}"#,
            ),
            ("a.js", ""),
        ],
        &[],
    );
    assert_eq!(
        phase(&proposal, "setup").apt_pkgs.unwrap(),
        ["chromium", "openssl"]
    );
    assert_eq!(
        proposal.plan.start.unwrap().apt_pkgs.unwrap(),
        ["openssl", "chromium"]
    );
    assert_eq!(
        proposal.plan.variables["PUPPETEER_EXECUTABLE_PATH"],
        "/usr/bin/chromium"
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

#[test]
fn broken_manifests_name_their_place() {
    let repo = Repo::in_memory(&[
        ("package.json", "{}"),
        (
            "pnpm-lock.yaml",
            "lockfileVersion: '9.0'\npackages:\n  a: [\n",
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
