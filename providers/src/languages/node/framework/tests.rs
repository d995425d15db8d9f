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
