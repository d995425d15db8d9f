//! Claims, versions, phases and start commands of Deno programs.

use super::Deno;
use crate::plan::PlanError;
use crate::provider::{Proposal, Provider, Strength};
use crate::repo::Repo;

fn propose(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Proposal, PlanError> {
    crate::languages::asked(&Deno, files, variables)
}

fn start_of(files: &[(&str, &str)]) -> Option<String> {
    propose(files, &[]).unwrap().plan.start.unwrap().cmd
}

fn claim(files: &[(&str, &str)]) -> Option<(Strength, String)> {
    let claim = Deno.detect(&Repo::in_memory(files)).unwrap()?;
    Some((claim.strength, claim.evidence.file))
}

#[test]
fn manifests_and_imports_claim_and_comments_do_not() {
    assert_eq!(
        claim(&[("deno.jsonc", "{}")]),
        Some((Strength::Definite, "deno.jsonc".to_owned()))
    );
    let old = "import { serve } from \"https://deno.land/std@0.177.0/http/server.ts\";";
    assert_eq!(
        claim(&[("a.txt", ""), ("src/app.ts", old)]),
        Some((Strength::Likely, "src/app.ts".to_owned()))
    );
    assert!(claim(&[("a.js", "Deno.serve(() => new Response())")]).is_some());
    assert!(claim(&[("a.js", "// import 'jsr:@std/x'\n'Deno.x'; my.Deno.y")]).is_none());
    assert!(claim(&[("a.ts", old), ("package.json", "{}")]).is_none());
    assert!(claim(&[("node_modules/a.ts", old)]).is_none());
}

#[test]
fn the_task_start_is_the_command_and_its_program_is_cached() {
    let manifest = "{ // a comment\n \"tasks\": {\"start\": \"deno run -A ./server.ts\", \"build\": \"deno run b.ts\"}, }";
    let files = [("deno.jsonc", manifest), ("server.ts", "")];
    let plan = propose(&files, &[]).unwrap().plan;
    assert_eq!(plan.start.unwrap().cmd.unwrap(), "deno run -A ./server.ts");
    assert_eq!(
        plan.phases["build"].cmds.as_deref().unwrap(),
        ["deno task build", "deno cache server.ts"]
    );
    assert!(!plan.phases.contains_key("install"));
}

#[test]
fn a_task_that_needs_the_shell_of_tasks_is_run_as_one() {
    for task in [
        r#""vite preview""#,
        r#""deno run a.ts && deno run b.ts""#,
        r#"{"command":"deno run a.ts","dependencies":["build"]}"#,
    ] {
        let manifest = format!("{{\"tasks\":{{\"start\":{task}}}}}");
        let start = start_of(&[("deno.json", &manifest)]);
        assert_eq!(start.as_deref(), Some("deno task start"), "{task}");
    }
    let one = r#"{"tasks":{"start":{"command":"deno run a.ts"}}}"#;
    assert_eq!(start_of(&[("deno.json", one)]).unwrap(), "deno run a.ts");
}

#[test]
fn the_first_program_is_started_and_one_that_exports_fetch_is_served() {
    let start = |files: &[(&str, &str)]| start_of(&[&[("deno.json", "{}")], files].concat());
    assert_eq!(
        start(&[("main.ts", ""), ("index.js", ""), ("src/index.ts", "")]).unwrap(),
        "deno run --allow-all index.js"
    );
    assert_eq!(
        start(&[("app/index.tsx", "")]).unwrap(),
        "deno run --allow-all app/index.tsx"
    );
    assert_eq!(start(&[("other.ts", "")]), None);
    assert_eq!(
        start(&[(
            "main.ts",
            "export default { fetch() { return new Response() } }"
        )])
        .unwrap(),
        "deno serve --allow-all --host 0.0.0.0 --port ${PORT:-8000} main.ts"
    );
    assert_eq!(
        start(&[("main.ts", "if (import.meta.main) Deno.serve(handler)")]).unwrap(),
        "DENO_SERVE_ADDRESS=tcp:0.0.0.0:${PORT:-8000} deno run --allow-all main.ts"
    );
    for text in [
        "Deno.serve({ port: 80 }, handler)",
        "Deno.serve({ port }, h)",
        "const PORT = 1; Deno.serve(options)",
    ] {
        let start = start(&[("main.ts", text)]);
        assert_eq!(start.unwrap(), "deno run --allow-all main.ts", "{text}");
    }
    assert_eq!(
        start(&[("main.ts", "export default { a: { fetch: 1 } }; fetch()")]).unwrap(),
        "deno run --allow-all main.ts"
    );
}

#[test]
fn dependencies_in_manifests_are_installed_from_these_alone_by_deno_2() {
    let files = [
        ("deno.json", r#"{"imports":{"ms":"npm:ms@2"}}"#),
        ("deno.lock", "{}"),
        ("main.ts", ""),
    ];
    let plan = propose(&files, &[]).unwrap().plan;
    assert_eq!(
        plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
        ["deno@2"]
    );
    let install = &plan.phases["install"];
    assert_eq!(install.cmds.as_deref().unwrap(), ["deno install"]);
    assert_eq!(
        install.only_include_files.as_deref().unwrap(),
        ["deno.json", "deno.lock"]
    );
    let old = propose(&files, &[("NIXPACKS_DENO_VERSION", "1.46")])
        .unwrap()
        .plan;
    assert_eq!(
        old.phases["setup"].nix_pkgs.as_deref().unwrap(),
        ["deno@1.46"]
    );
    assert!(!old.phases.contains_key("install"));
}

#[test]
fn manifests_that_name_files_or_no_package_install_nothing() {
    for manifest in [
        r#"{"imports":{"@/":"./"}}"#,
        r#"{"imports":{"ms":"npm:ms@2"},"workspace":["a"]}"#,
        r#"{"imports":{"ms":"npm:ms@2"},"importMap":"map.json"}"#,
    ] {
        let plan = propose(&[("deno.json", manifest), ("main.ts", "")], &[])
            .unwrap()
            .plan;
        assert!(!plan.phases.contains_key("install"), "{manifest}");
        assert!(plan.phases.contains_key("build"), "{manifest}");
    }
}

#[test]
fn versions_come_from_the_variable_before_files() {
    let files = [
        ("deno.json", "{}"),
        (".dvmrc", "2.1.4\n"),
        (".tool-versions", "deno 2.0.0"),
    ];
    let version = |variables: &[(&str, &str)]| {
        propose(&files, variables).unwrap().plan.phases["setup"]
            .nix_pkgs
            .clone()
    };
    assert_eq!(version(&[]).unwrap(), ["deno@2.1.4"]);
    assert_eq!(
        version(&[("NIXPACKS_DENO_VERSION", "2.2")]).unwrap(),
        ["deno@2.2"]
    );
}

#[test]
fn a_broken_manifest_is_an_error_with_its_place() {
    let error = propose(&[("deno.json", "{\n // c\n \"tasks\": 1\n}")], &[]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("deno.json:3:"), "{text}");
}
