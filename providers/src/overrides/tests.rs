use super::*;
use crate::{Planned, plan};

const PACKAGE: (&str, &str) = ("package.json", r#"{"scripts":{"build":"b","start":"s"}}"#);
const LOCK: (&str, &str) = ("package-lock.json", r#"{"packages":{}}"#);

fn env(pairs: &[(&str, &str)]) -> Overrides {
    let env = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Overrides {
        env,
        ..Overrides::default()
    }
}

fn planned(files: &[(&str, &str)], overrides: &Overrides) -> Planned {
    plan(&Repo::in_memory(files), overrides).unwrap()
}

fn with_toml(toml: &str) -> Planned {
    planned(
        &[PACKAGE, LOCK, ("nixpacks.toml", toml)],
        &Overrides::default(),
    )
}

#[allow(clippy::unnecessary_wraps)] // The type of a list in a plan.
fn list(words: &[&str]) -> List {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

#[test]
fn a_list_replaces_unless_a_marker_expands_in_place() {
    assert_eq!(merge_list(list(&["a"]), list(&["b"])), list(&["b"]));
    assert_eq!(
        merge_list(list(&["a", "b"]), list(&["x", "...", "y"])),
        list(&["x", "a", "b", "y"])
    );
    assert_eq!(merge_list(list(&["a"]), list(&["@auto"])), list(&["a"]));
    assert_eq!(merge_list(None, list(&["...", "a"])), list(&["a"]));
    assert_eq!(merge_list(list(&["a"]), None), list(&["a"]));
    assert_eq!(merge_list(list(&["a"]), list(&[])), list(&[]));
}

#[test]
fn flags_beat_json_beats_environment_beats_file_beats_procfile_beats_provider() {
    let toml = "[start]\ncmd = 'file'";
    let start = |files: &[(&str, &str)], overrides: &Overrides| {
        planned(files, overrides).plan.start.unwrap().cmd.unwrap()
    };
    assert_eq!(start(&[PACKAGE], &Overrides::default()), "npm run start");
    assert_eq!(
        start(&[PACKAGE, ("Procfile", "web: proc")], &Overrides::default()),
        "proc"
    );
    let files = [PACKAGE, ("Procfile", "web: proc"), ("nixpacks.toml", toml)];
    assert_eq!(start(&files, &Overrides::default()), "file");
    let mut overrides = env(&[("NIXPACKS_START_CMD", "env")]);
    assert_eq!(start(&files, &overrides), "env");
    overrides.json_plan = Some(r#"{"start":{"cmd":"json"}}"#.to_owned());
    assert_eq!(start(&files, &overrides), "json");
    overrides.start_cmd = Some("flag".to_owned());
    assert_eq!(start(&files, &overrides), "flag");
}

#[test]
fn an_explicit_env_beats_file_variables_and_it_is_told() {
    let planned = planned(
        &[
            PACKAGE,
            ("nixpacks.toml", "[variables]\nA = 'file'\nNODE_ENV = 'x'"),
        ],
        &env(&[("A", "env")]),
    );
    assert_eq!(
        (
            planned.plan.variables["A"].as_str(),
            planned.plan.variables["NODE_ENV"].as_str()
        ),
        ("env", "x")
    );
    assert!(
        planned
            .decisions
            .iter()
            .any(|decision| decision.subject == "variable" && decision.choice == "A")
    );
}

#[test]
fn file_variables_reach_providers_but_are_no_global_commands() {
    let planned = with_toml("[variables]\nNIXPACKS_NODE_VERSION = '20'\nNIXPACKS_START_CMD = 'no'");
    assert_eq!(planned.plan.phases["setup"].nix_pkgs, list(&["nodejs@20"]));
    assert_eq!(planned.plan.start.unwrap().cmd.unwrap(), "npm run start");
}

#[test]
fn new_phases_get_the_dependencies_that_exist() {
    let plan = with_toml("[phases.stamp]\ncmds=['x']\n[phases.test]\ncmds=['t']").plan;
    assert_eq!(plan.phases["stamp"].depends_on, None);
    assert_eq!(plan.phases["test"].depends_on, list(&["build"]));
    let lone = planned(
        &[("nixpacks.toml", "[phases.build]\ncmds=['x']")],
        &Overrides::default(),
    )
    .plan;
    assert_eq!(lone.phases["build"].depends_on, None);
    let both = planned(&[("nixpacks.toml", "[phases.build]\ncmds=['x']\n[phases.install]\ncmds=['y']\n[phases.setup]\naptPkgs=['jq']")], &Overrides::default()).plan;
    assert_eq!(both.phases["build"].depends_on, list(&["install"]));
    assert_eq!(both.phases["install"].depends_on, list(&["setup"]));
}

#[test]
fn packages_that_the_user_adds_stay_at_run_time_and_erase_nothing() {
    let mut overrides = env(&[
        ("NIXPACKS_PKGS", "ffmpeg, jq"),
        ("NIXPACKS_APT_PKGS", "curl"),
    ]);
    overrides.pkgs = vec!["wget".to_owned()];
    let plan = planned(&[PACKAGE, LOCK], &overrides).plan;
    assert_eq!(
        plan.phases["setup"].nix_pkgs,
        list(&["nodejs@24", "ffmpeg", "jq", "wget"])
    );
    let start = plan.start.unwrap();
    assert_eq!(start.nix_pkgs, list(&["nodejs@24", "ffmpeg", "jq", "wget"]));
    assert_eq!(start.apt_pkgs, list(&["curl"]));
}

#[test]
fn a_tool_that_the_file_replaces_does_not_stay_and_what_the_file_says_stays() {
    let replaced = with_toml("[phases.setup]\nnixPkgs = ['nodejs_20']").plan;
    assert_eq!(replaced.start.unwrap().nix_pkgs, list(&["nodejs_20"]));
    let said =
        with_toml("[phases.setup]\nnixPkgs = ['...', 'gcc']\n[start]\nnixPkgs = ['...']").plan;
    assert_eq!(said.start.unwrap().nix_pkgs, list(&["nodejs@24"]));
}

#[test]
fn a_plan_of_nixpacks_keeps_everything_at_run_time() {
    let toml = "providers = []\n[phases.setup]\nnixPkgs = ['nodejs_20']\naptPkgs = ['curl']\n[start]\ncmd = 'x'";
    let start = with_toml(toml).plan.start.unwrap();
    assert_eq!((start.nix_pkgs, start.apt_pkgs), (None, None));
}

#[test]
fn a_start_command_that_calls_a_build_tool_keeps_it() {
    let files = [("go.mod", "module x\n"), ("main.go", "package main")];
    let plan = planned(
        &files,
        &Overrides {
            start_cmd: Some("go run .".to_owned()),
            ..Overrides::default()
        },
    )
    .plan;
    assert_eq!(plan.start.unwrap().nix_pkgs, plan.phases["setup"].nix_pkgs);
}

#[test]
fn other_commands_or_hooks_lift_the_limit_on_files() {
    assert!(
        with_toml("").plan.phases["install"]
            .only_include_files
            .is_some()
    );
    let other = with_toml("[phases.install]\ncmds = ['./install.sh']");
    assert_eq!(other.plan.phases["install"].only_include_files, None);
    assert!(
        other
            .decisions
            .iter()
            .any(|decision| decision.subject == "install"
                && decision.choice.contains("all source files"))
    );
    assert_eq!(
        with_toml("[hooks]\npreInstall = ['./x.sh']").plan.phases["install"].only_include_files,
        None
    );
    let explicit = with_toml("[phases.install]\ncmds = ['./i.sh']\nonlyIncludeFiles = ['i.sh']");
    assert_eq!(
        explicit.plan.phases["install"].only_include_files,
        list(&["i.sh"])
    );
    assert!(
        with_toml("[hooks]\npostPackage = ['x']").plan.phases["install"]
            .only_include_files
            .is_some()
    );
}

#[test]
fn cache_directories_count_with_their_command_alone() {
    let with = planned(
        &[PACKAGE],
        &env(&[
            ("NIXPACKS_BUILD_CMD", "make\n"),
            ("NIXPACKS_BUILD_CACHE_DIRS", "a b"),
        ]),
    )
    .plan;
    assert_eq!(
        (
            with.phases["build"].cmds.clone(),
            with.phases["build"].cache_directories.clone()
        ),
        (list(&["make"]), list(&["a", "b"]))
    );
    let without = planned(&[PACKAGE], &env(&[("NIXPACKS_BUILD_CACHE_DIRS", "a b")])).plan;
    assert_eq!(
        without.phases["build"].cache_directories,
        list(&["node_modules/.cache"])
    );
}

#[test]
fn the_file_comes_from_config_then_the_variable_then_toml_then_json() {
    let files = [
        ("a.json", r#"{"start":{"cmd":"a"}}"#),
        ("sub/b.toml", "[start]\ncmd='b'"),
        ("nixpacks.json", r#"{"start":{"cmd":"json"}}"#),
    ];
    let start = |overrides: &Overrides| planned(&files, overrides).plan.start.unwrap().cmd.unwrap();
    assert_eq!(start(&Overrides::default()), "json");
    let mut overrides = env(&[("NIXPACKS_CONFIG_FILE", "sub/b.toml")]);
    assert_eq!(start(&overrides), "b");
    overrides.config_file = Some(PathBuf::from("./a.json"));
    assert_eq!(start(&overrides), "a");
    overrides.config_file = Some(PathBuf::from("gone.toml"));
    let error = plan(&Repo::in_memory(&files), &overrides).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the configuration file gone.toml does not exist"
    );
}

#[test]
fn a_second_provider_gets_prefixed_phases_and_the_first_one_wins() {
    let files = [
        PACKAGE,
        ("requirements.txt", "flask"),
        ("main.py", ""),
        ("nixpacks.toml", "providers = ['...', 'python']"),
    ];
    let planned = planned(&files, &Overrides::default());
    assert_eq!(planned.providers, ["node", "python"]);
    let plan = planned.plan;
    assert_eq!(
        plan.phases.keys().collect::<Vec<_>>(),
        [
            "build",
            "install",
            "python:install",
            "python:setup",
            "setup"
        ]
    );
    assert_eq!(
        plan.phases["python:install"].depends_on,
        list(&["python:setup"])
    );
    assert_eq!(plan.variables["NIXPACKS_METADATA"], "node,python");
    let start = plan.start.unwrap();
    assert_eq!(
        (start.cmd.as_deref(), start.nix_pkgs),
        (Some("npm run start"), list(&["nodejs@24", "python@3.13"]))
    );
}

#[test]
fn providers_without_the_marker_replace_and_none_means_none() {
    let names = |toml: &str| with_toml(toml).providers;
    assert_eq!(names("providers = ['python']"), ["python"]);
    assert!(names("providers = []").is_empty());
}
