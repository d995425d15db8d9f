use super::*;
use crate::{Overrides, Planned, Repo, plan};

const PACKAGE: (&str, &str) = (
    "package.json",
    r#"{"scripts":{"build":"b","start":"s"},"engines":{"node":"24"}}"#,
);
const LOCK: (&str, &str) = ("package-lock.json", r#"{"packages":{}}"#);

fn planned_with(files: &[(&str, &str)], env: &[(&str, &str)]) -> Planned {
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let overrides = Overrides {
        env: env.collect(),
        ..Overrides::default()
    };
    plan(&Repo::in_memory(files), &overrides).unwrap()
}

/// A Node.js app with the file.
fn planned(file: &str) -> Planned {
    planned_with(&[PACKAGE, LOCK, (FILE, file)], &[])
}

fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn commands_replace_or_extend_those_of_the_provider() {
    let plan = planned(
        r#"{
            // Comments and commas at the end are allowed.
            "$schema": "https://schema.test",
            "steps": {
                "install": { "commands": ["npm install"] },
                "build": { "commands": ["...", { "cmd": "make it", "customName": "it" },] },
            },
            "deploy": { "startCommand": "node ." },
        }"#,
    );
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    let plan = plan.plan;
    assert_eq!(plan.phases["install"].cmds, Some(list(&["npm install"])));
    assert_eq!(
        plan.phases["build"].cmds,
        Some(list(&["npm run build", "make it"]))
    );
    assert_eq!(plan.start.unwrap().cmd.as_deref(), Some("node ."));
}

#[test]
fn steps_for_packages_are_one_phase_after_the_other() {
    let plan = planned(
        r#"{
            "caches": { "one": { "directory": "/c/1" }, "two": { "directory": "/c/2" } },
            "steps": {
                "packages:apt": { "commands": ["...", "first"], "caches": ["one"], "secrets": ["A"] },
                "packages:mise": {
                    "commands": ["...", "PATH:/opt/x", "second"], "caches": ["one", "two"], "secrets": ["A", "B"],
                    "inputs": [{ "step": "packages:apt" }]
                },
                "setup": { "commands": ["third"] }
            }
        }"#,
    );
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    let setup = &plan.plan.phases["setup"];
    assert_eq!(setup.cmds, Some(list(&["first", "second", "third"])));
    assert_eq!(setup.cache_directories, Some(list(&["/c/1", "/c/2"])));
    assert_eq!(setup.secrets, Some(list(&["A", "B"])));
    assert_eq!(setup.paths, Some(list(&["/opt/x"])));
    assert!(plan.plan.phases_in_order().is_ok());
}

#[test]
fn steps_have_assets_of_their_own_under_one_name() {
    let plan = planned(
        r#"{ "steps": {
            "install": { "commands": ["...", "FILE:/etc/a conf"], "assets": { "conf": "one", "same": "x" } },
            "build": { "commands": ["...", "FILE:/etc/b conf"], "assets": { "conf": "two", "same": "x" } }
        } }"#,
    );
    let assets: Vec<_> = plan.plan.static_assets.iter().collect();
    let texts = assets
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    assert_eq!(
        texts.collect::<Vec<_>>(),
        [
            ("conf.build", "two"),
            ("conf.install", "one"),
            ("same", "x")
        ]
    );
    let last = |phase: &str| plan.plan.phases[phase].cmds.clone().unwrap().pop().unwrap();
    assert_eq!(
        last("install"),
        "install -D -m 644 /assets/conf.install /etc/a"
    );
    assert_eq!(last("build"), "install -D -m 644 /assets/conf.build /etc/b");
}

#[test]
fn every_form_of_a_command_means_what_railpack_says() {
    let plan = planned(
        r#"{ "steps": { "setup-files": {
            "commands": [
                { "src": ".", "dest": "." },
                { "src": "package.json", "dest": "/app/package.json" },
                { "src": "a b", "dest": "/etc/c" },
                { "path": "/opt/bin" },
                "PATH:/opt/more",
                "RUN#greets:echo \"a: b\"",
                "echo c: d",
                { "path": "/etc/motd", "name": "motd", "mode": 384 }
            ],
            "assets": { "motd": "hello" },
            "variables": { "A": "-it's" },
            "inputs": [{ "step": "install" }, { "local": true, "include": ["src", "."] }]
        } } }"#,
    );
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    let phase = &plan.plan.phases["setup-files"];
    assert_eq!(
        phase.cmds,
        Some(list(&[
            "mkdir -p \"$(dirname /etc/c)\" && cp -a 'a b' /etc/c",
            "export A='-it'\\''s'\necho \"a: b\"",
            "export A='-it'\\''s'\necho c: d",
            "install -D -m 600 /assets/motd /etc/motd",
        ]))
    );
    assert_eq!(phase.paths, Some(list(&["/opt/bin", "/opt/more"])));
    assert_eq!(phase.depends_on, Some(list(&["install"])));
    assert_eq!(phase.only_include_files, None);
    assert_eq!(plan.plan.static_assets["motd"], "hello");
    assert!(!plan.plan.variables.contains_key("A"));
}

#[test]
fn packages_replace_the_providers_choice_or_are_added_and_stay() {
    let plan =
        planned(r#"{ "packages": { "node": "22", "python": "3.13", "jq": "latest" } }"#).plan;
    let setup = plan.phases["setup"].nix_pkgs.clone().unwrap();
    assert!(setup.contains(&"nodejs@22".to_owned()), "{setup:?}");
    assert_eq!(
        setup
            .iter()
            .filter(|tool| tool.starts_with("nodejs"))
            .count(),
        1
    );
    let stays = plan.start.unwrap().nix_pkgs.unwrap();
    for tool in ["nodejs@22", "python@3.13", "jq"] {
        assert!(stays.contains(&tool.to_owned()), "{stays:?}");
    }
    assert!(!plan.variables.keys().any(|name| name.contains("VERSION")));
}

#[test]
fn debian_packages_of_the_build_go_and_those_of_deploy_stay() {
    let plan = planned(
        r#"{ "buildAptPackages": ["libpq-dev"], "deploy": { "aptPackages": ["libpq5"] } }"#,
    )
    .plan;
    let apt = plan.phases["setup"].apt_pkgs.clone().unwrap();
    assert!(apt.contains(&"libpq-dev".to_owned()), "{apt:?}");
    let stays = plan.start.unwrap().apt_pkgs.unwrap();
    assert_eq!(stays, ["libpq5"]);
    // Without a provider the tools stay all the same.
    let shell = planned_with(
        &[(
            FILE,
            r#"{ "packages": { "node": "22" }, "deploy": { "startCommand": "x", "aptPackages": ["curl"] } }"#,
        )],
        &[],
    );
    assert_eq!(
        shell.plan.start.unwrap().nix_pkgs,
        Some(list(&["nodejs@22"]))
    );
}

#[test]
fn variables_of_deploy_are_seen_at_run_time_alone() {
    let plan = planned(r#"{ "deploy": { "variables": { "NODE_ENV": "staging" } } }"#).plan;
    assert_ne!(plan.variables["NODE_ENV"], "staging");
    assert_eq!(plan.run_variables()["NODE_ENV"], "staging");
}

#[test]
fn caches_and_secrets_reach_their_steps() {
    let plan = planned(
        r#"{
            "caches": { "mine": { "directory": "/root/.mine", "type": "locked" } },
            "secrets": ["A", "B"],
            "steps": {
                "install": { "caches": ["...", "mine"], "secrets": ["A"] },
                "extra": { "commands": ["x"], "secrets": ["*"] }
            }
        }"#,
    )
    .plan;
    assert_eq!(
        plan.phases["install"].cache_directories,
        Some(list(&["/root/.npm", "/root/.mine"]))
    );
    assert_eq!(plan.phases["install"].secrets, Some(list(&["A"])));
    assert_eq!(plan.phases["build"].secrets, Some(list(&["A", "B"])));
    assert_eq!(plan.phases["extra"].secrets, Some(list(&["A", "B"])));
    assert_eq!(plan.phases["extra"].depends_on, Some(list(&["setup"])));
}

#[test]
fn inputs_of_deploy_say_what_of_the_app_stays() {
    let kept = |inputs: &str| {
        let plan = planned(&format!(r#"{{ "deploy": {{ "inputs": {inputs} }} }}"#));
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
        plan.plan.start.unwrap().only_include_files
    };
    assert_eq!(
        kept(
            r#"["packages:mise", {"step": "build", "include": ["dist", "/app/public/", "/root/.x"]}]"#
        ),
        Some(list(&["dist", "public"]))
    );
    assert_eq!(
        kept(r#"["...", {"step": "build", "include": ["dist"]}]"#),
        None
    );
    assert_eq!(kept(r#"["$build"]"#), None);
}

#[test]
fn what_has_no_meaning_here_is_told_by_its_key() {
    let mut warnings = planned(
        r#"{
            "packages": { "npm:prettier": "3" },
            "exclude": ["docs"],
            "colour": "red",
            "steps": { "build": {
                "deployOutputs": [{ "include": ["x"] }],
                "caches": ["unknown"],
                "inputs": [{ "image": "a.test/b" }],
                "comands": []
            } },
            "deploy": { "base": { "image": "debian" } }
        }"#,
    )
    .warnings;
    warnings.sort();
    let starts = [
        "railpack.json: deploy.base has no effect",
        "railpack.json: exclude has no effect",
        "railpack.json: packages.npm:prettier has no effect",
        "railpack.json: steps.build.caches has no effect",
        "railpack.json: steps.build.deployOutputs has no effect",
        "railpack.json: steps.build.inputs has no effect",
        "railpack.json: unknown key colour is ignored",
        "railpack.json: unknown key steps.build.comands is ignored",
    ];
    assert_eq!(warnings.len(), starts.len(), "{warnings:#?}");
    for (warning, start) in warnings.iter().zip(starts) {
        assert!(warning.starts_with(start), "{warning}");
    }
}

#[test]
fn a_wrong_type_names_its_place() {
    let error = plan(
        &Repo::in_memory(&[
            PACKAGE,
            (FILE, "{\n  \"deploy\": { \"startCommand\": 3 } }"),
        ]),
        &Overrides::default(),
    )
    .unwrap_err();
    assert!(error.to_string().starts_with("railpack.json:2:"), "{error}");
    assert!(error.to_string().contains("deploy.startCommand"), "{error}");
}

#[test]
fn railpacks_names_of_providers_and_steps_are_known() {
    let provider = planned_with(
        &[
            PACKAGE,
            ("go.mod", "module x\ngo 1.24\n"),
            ("main.go", "package main\nfunc main() {}\n"),
            (FILE, r#"{ "provider": "golang" }"#),
        ],
        &[],
    );
    assert_eq!(provider.providers, ["go"]);
    let plan = planned(r#"{ "steps": { "packages:mise": { "commands": ["...", "x"] } } }"#).plan;
    assert_eq!(plan.phases["setup"].cmds, Some(list(&["x"])));
}

#[test]
fn the_environment_beats_the_file_and_nixpacks_files_come_first() {
    let file = (
        FILE,
        r#"{ "packages": { "node": "22" }, "steps": { "install": { "commands": ["file"] } }, "deploy": { "startCommand": "file" } }"#,
    );
    let env = [
        ("RAILPACK_START_CMD", "env"),
        ("RAILPACK_INSTALL_CMD", "install"),
        ("RAILPACK_PACKAGES", "node@25 jq"),
        ("RAILPACK_BUILD_APT_PACKAGES", "libpq-dev"),
        ("RAILPACK_DEPLOY_APT_PACKAGES", "libpq5"),
    ];
    let plan = planned_with(&[PACKAGE, LOCK, file], &env).plan;
    assert_eq!(plan.phases["install"].cmds, Some(list(&["install"])));
    let setup = &plan.phases["setup"];
    let tools = setup.nix_pkgs.clone().unwrap();
    assert!(
        tools.contains(&"nodejs@25".to_owned()) && tools.contains(&"jq".to_owned()),
        "{tools:?}"
    );
    assert!(!tools.contains(&"nodejs@22".to_owned()), "{tools:?}");
    assert!(
        setup
            .apt_pkgs
            .clone()
            .unwrap()
            .contains(&"libpq-dev".to_owned())
    );
    let start = plan.start.unwrap();
    assert_eq!(start.cmd.as_deref(), Some("env"));
    assert_eq!(start.apt_pkgs, Some(list(&["libpq5"])));
    let nixpacks = ("nixpacks.toml", "[start]\ncmd = 'nixpacks'");
    let both = planned_with(&[PACKAGE, LOCK, file, nixpacks], &[]).plan;
    assert_eq!(both.start.unwrap().cmd.as_deref(), Some("nixpacks"));
    let named = [("RAILPACK_CONFIG_FILE", "other.json")];
    let other = ("other.json", r#"{ "deploy": { "startCommand": "other" } }"#);
    let named = planned_with(&[PACKAGE, LOCK, file, other], &named).plan;
    assert_eq!(named.start.unwrap().cmd.as_deref(), Some("other"));
}

#[test]
fn a_plan_with_all_of_it_is_the_same_when_it_is_given_back() {
    let file = r#"{ "packages": { "node": "22" }, "buildAptPackages": ["jq"], "deploy": { "variables": { "A": "b" }, "aptPackages": ["curl"] } }"#;
    let first = planned(file).plan;
    let given = Overrides {
        json_plan: Some(first.to_json().unwrap()),
        ..Overrides::default()
    };
    let second = plan(&Repo::in_memory(&[PACKAGE, LOCK]), &given)
        .unwrap()
        .plan;
    assert_eq!(first, second);
}
