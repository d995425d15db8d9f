//! What frameworks make, and who serves it.

use super::super::tests::{CADDY_START, VITE, phase, start, with};

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
            && proposal.plan.static_assets["Caddyfile"]
                .contains("try_files {path} {path}.html {path}/index.html /index.html\n")
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
fn scripts_that_run_scripts_are_read_too() {
    let package = r#"{"scripts":{"build":"run-p type-check \"build-only {@}\" --","type-check":"vue-tsc","build-only":"vite build"},"dependencies":{"vue":"3"},"devDependencies":{"vite":"7"}}"#;
    assert_eq!(
        start(&[("package.json", package)]).as_deref(),
        Some(CADDY_START)
    );
    // An argument of another program is no script.
    let package = r#"{"scripts":{"build":"make pages","pages":"vite build"},"dependencies":{"vue":"3"},"devDependencies":{"vite":"7"}}"#;
    assert_eq!(start(&[("package.json", package)]), None);
    let circle =
        r#"{"scripts":{"build":"npm run a","a":"npm run build"},"devDependencies":{"vite":"7"}}"#;
    assert_eq!(start(&[("package.json", circle)]), None);
}

#[test]
fn the_adapter_of_svelte_kit_that_looks_for_its_platform_takes_the_one_for_node() {
    let config = (
        "vite.config.ts",
        "import adapter from '@sveltejs/adapter-auto'; export default defineConfig({ plugins: [sveltekit({ adapter: adapter() })] })",
    );
    let package = |more: &str| {
        format!(
            r#"{{"scripts":{{"build":"vite build"}},"devDependencies":{{"@sveltejs/kit":"3","@sveltejs/adapter-auto":"7"{more}}}}}"#
        )
    };
    let fetched = with(&[("package.json", &package("")), config], &[]);
    assert_eq!(
        phase(&fetched, "build").cmds.unwrap(),
        ["GCP_BUILDPACKS=true npm run build"]
    );
    assert_eq!(fetched.plan.start.unwrap().cmd.unwrap(), "node build");
    let warned = |warnings: &[String]| warnings.iter().any(|one| one.contains("adapter-auto"));
    assert!(warned(&fetched.warnings), "{:?}", fetched.warnings);
    let there = package(r#","@sveltejs/adapter-node":"5""#);
    assert!(!warned(
        &with(&[("package.json", &there), config], &[]).warnings
    ));
}

#[test]
fn tanstack_start_is_called_by_nitro_or_srvx() {
    let package = |more: &str| {
        format!(
            r#"{{"scripts":{{"build":"vite build"}},"dependencies":{{"@tanstack/react-start":"1"}},"devDependencies":{{"vite":"8"{more}}}}}"#
        )
    };
    let lock = r#"{"packages":{"node_modules/srvx":{"bin":{"srvx":"bin/srvx.mjs"}}}}"#;
    let srvx = start(&[("package.json", &package("")), ("package-lock.json", lock)]);
    assert_eq!(
        srvx.as_deref(),
        Some("srvx --prod --static ../client dist/server/server.js")
    );
    let nitro = start(&[("package.json", &package(r#","nitro":"3""#))]);
    assert_eq!(nitro.as_deref(), Some("node .output/server/index.mjs"));
    let neither = with(&[("package.json", &package(""))], &[]);
    assert!(neither.without_start.unwrap().contains("srvx"));
}

#[test]
fn one_of_several_applications_of_angular_is_named() {
    let workspace = (
        "angular.json",
        r#"{"projects":{"shop":{"architect":{"build":{"builder":"@angular/build:application","options":{"outputMode":"server","ssr":{"entry":"x"}}}}},"admin":{"architect":{"build":{"builder":"@angular/build:application","options":{}}}}}}"#,
    );
    let package = r#"{"scripts":{"build":"ng build","start":"ng serve"},"dependencies":{"@angular/core":"22"}}"#;
    let files = [("package.json", package), workspace];
    let start = |variables: &[(&str, &str)]| with(&files, variables).plan.start.unwrap();
    assert_eq!(start(&[]).cmd.unwrap(), "npm run start");
    let shop = start(&[("NIXPACKS_ANGULAR_PROJECT", "shop")]);
    assert_eq!(shop.cmd.unwrap(), "node dist/shop/server/server.mjs");
    let admin = start(&[("RAILPACK_ANGULAR_PROJECT", "admin")]);
    assert_eq!(admin.only_include_files.unwrap(), ["dist/admin/browser"]);
    let warnings = with(&files, &[]).warnings;
    assert!(
        warnings.iter().any(|one| one.contains("for development")),
        "{warnings:?}"
    );
}

#[test]
fn the_page_for_any_path_is_the_one_that_the_framework_makes() {
    let caddyfile = |package: &str, config: (&str, &str)| {
        let plan = with(&[("package.json", package), config], &[]).plan;
        let text = plan.static_assets["Caddyfile"].clone();
        text.lines()
            .find(|line| line.contains("try_files"))
            .unwrap()
            .trim()
            .to_owned()
    };
    let pages = "try_files {path} {path}.html {path}/index.html";
    let svelte = r#"{"scripts":{"build":"vite build"},"devDependencies":{"@sveltejs/kit":"3"}}"#;
    let config = |options: &str| {
        format!(
            "import adapter from '@sveltejs/adapter-static'; export default {{ kit: {{ adapter: adapter({options}) }} }}"
        )
    };
    let of = |options: &str| caddyfile(svelte, ("svelte.config.js", &config(options)));
    assert_eq!(of(""), pages);
    assert_eq!(of("{ fallback: '404.html' }"), pages);
    assert_eq!(
        of("{ fallback: '200.html' }"),
        format!("{pages} /200.html /index.html")
    );
    let router =
        r#"{"scripts":{"build":"react-router build"},"devDependencies":{"@react-router/dev":"8"}}"#;
    let config = ("react-router.config.ts", "export default { ssr: false }");
    assert_eq!(
        caddyfile(router, config),
        format!("{pages} /__spa-fallback.html /index.html")
    );
}
