//! What holds for whole plans, whatever the language.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

const NODE: [(&str, &str); 3] = [
    (
        "package.json",
        "{\"engines\":{\"node\":\"22\"},\"scripts\":{\"start\":\"node a.js\",\"build\":\"x\"},\"dependencies\":{\"a\":\"1\"}}",
    ),
    (
        "package-lock.json",
        "{\"packages\":{\"node_modules/a\":{\"hasInstallScript\":true}}}",
    ),
    (
        "Procfile",
        "web: node 'it''s \"a\" \\\\ b'\nrelease: node migrate.js",
    ),
];

fn samples() -> Vec<Vec<(&'static str, &'static str)>> {
    vec![
        NODE.to_vec(),
        vec![
            ("requirements.txt", "flask\ngunicorn"),
            ("app.py", "app = Flask(__name__)"),
        ],
        vec![
            ("pyproject.toml", "[project]\nname='a'\n"),
            ("uv.lock", ""),
            ("main.py", ""),
        ],
        vec![
            ("go.mod", "module a\n\ngo 1.24\n"),
            ("cmd/a/main.go", "package main"),
        ],
        vec![("index.html", "hello"), ("404.html", "")],
        vec![("start.sh", "#!/bin/sh\n")],
        vec![(
            "nixpacks.toml",
            "[phases.setup]\naptPkgs=['jq']\n[start]\ncmd='x'\n[image]\nuser='app'\n[image.labels]\na='b'\n[hooks]\npreBuild=['a\\tb']",
        )],
        vec![],
    ]
}

#[test]
fn a_plan_fed_back_is_the_same_bytes_in_json_and_toml() {
    for files in samples() {
        let first = plan(&Repo::in_memory(&files), &Overrides::default())
            .unwrap()
            .plan;
        for (name, text) in [
            ("plan.json", first.to_json().unwrap()),
            ("plan.toml", first.to_toml().unwrap()),
        ] {
            let mut again = files.clone();
            again.push((name, &text));
            let overrides = Overrides {
                config_file: Some(PathBuf::from(name)),
                ..Overrides::default()
            };
            let second = plan(&Repo::in_memory(&again), &overrides).unwrap();
            let text_again = if name == "plan.json" {
                second.plan.to_json()
            } else {
                second.plan.to_toml()
            };
            assert_eq!(text_again.unwrap(), text);
            assert!(
                second.providers.is_empty() && second.warnings.is_empty(),
                "{:?}",
                second.warnings
            );
        }
    }
}

#[test]
fn detect_and_plan_agree() {
    for files in samples() {
        let repo = Repo::in_memory(&files);
        let names: Vec<String> = detect(&repo, &Overrides::default())
            .unwrap()
            .into_iter()
            .map(|one| one.name)
            .collect();
        assert_eq!(names, plan(&repo, &Overrides::default()).unwrap().providers);
    }
}

#[test]
fn each_manifest_is_read_once_and_parsed_once() {
    let repo = Repo::in_memory(&NODE);
    detect(&repo, &Overrides::default()).unwrap();
    plan(&repo, &Overrides::default()).unwrap();
    let Counts { reads, parses, .. } = repo.counts();
    assert_eq!(
        reads,
        BTreeMap::from([
            ("Procfile".to_owned(), 1),
            ("package-lock.json".to_owned(), 1),
            ("package.json".to_owned(), 1)
        ])
    );
    assert_eq!(
        parses,
        BTreeMap::from([
            ("package-lock.json".to_owned(), 1),
            ("package.json".to_owned(), 1)
        ])
    );
    assert_eq!(
        repo.files_read(),
        ["Procfile", "package-lock.json", "package.json"]
    );
}

#[test]
fn a_plan_of_a_deep_tree_lists_the_root_alone() {
    let mut files = NODE.to_vec();
    let names: Vec<String> = (0..2000)
        .map(|index| format!("src/d{index}/deep/x.js"))
        .collect();
    files.extend(names.iter().map(|name| (name.as_str(), "")));
    let repo = Repo::in_memory(&files);
    plan(&repo, &Overrides::default()).unwrap();
    let listed = repo.counts().listings;
    assert!(listed.len() <= 4, "{listed:?}");
}

#[test]
fn nothing_found_is_an_empty_plan_with_advice() {
    let planned = plan(&Repo::in_memory(&[("Readme", "")]), &Overrides::default()).unwrap();
    assert_eq!(
        planned.plan.to_json().unwrap(),
        "{\n  \"providers\": [],\n  \"variables\": {},\n  \"phases\": {}\n}\n"
    );
    assert!(planned.advice[0].contains("package.json"));
    let empty = plan(&Repo::in_memory(&[]), &Overrides::default()).unwrap();
    assert!(empty.advice[0].contains("empty"));
}

#[test]
fn a_missing_start_command_is_a_warning_only_when_nothing_else_gives_one() {
    let warned = |files: &[(&str, &str)]| {
        plan(&Repo::in_memory(files), &Overrides::default())
            .unwrap()
            .warnings
            .join("\n")
            .contains("how to start")
    };
    assert!(warned(&[("package.json", "{}")]));
    assert!(!warned(&[("package.json", "{}"), ("Procfile", "web: x")]));
    assert!(!warned(&[
        ("package.json", "{}"),
        ("nixpacks.toml", "[start]\ncmd = 'x'")
    ]));
}

#[test]
fn a_circle_in_the_file_is_an_error_of_plan() {
    let toml = "[phases.a]\ndependsOn=['b']\n[phases.b]\ndependsOn=['a']";
    let error = plan(
        &Repo::in_memory(&[("nixpacks.toml", toml)]),
        &Overrides::default(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("a -> b -> a"), "{error}");
}

#[test]
fn a_plan_written_by_nixpacks_is_read_without_warnings() {
    let text = r#"{"providers":[],"buildImage":"i","variables":{"A":"1"},"phases":{"setup":{"nixPkgs":["nodejs_18","npm-9_x"],
        "nixOverlays":["https://example.org/a.tar.gz"],"nixpkgsArchive":"ffee","nixLibs":["zlib"]},"install":{"dependsOn":["setup"],"cmds":["npm ci"]}},
        "start":{"cmd":"./out","runImage":"ubuntu:noble","onlyIncludeFiles":["./out"],"user":"app"}}"#;
    let (plan, warnings) = BuildPlan::from_json("plan.json", text).unwrap();
    assert!(warnings.is_empty());
    assert_eq!(
        plan.start.unwrap().run_image.as_deref(),
        Some("ubuntu:noble")
    );
}

#[test]
fn manifests_nested_100_000_deep_are_errors_and_no_stack_overflow() {
    let json = "[".repeat(100_000);
    let object = "{\"a\":".repeat(100_000);
    let toml = format!("a = {}", "[".repeat(100_000));
    let keys = format!("[{}]", vec!["a"; 100_000].join("."));
    for (name, text) in [
        ("package.json", &json),
        ("package.json", &object),
        ("nixpacks.json", &object),
        ("nixpacks.toml", &toml),
        ("nixpacks.toml", &keys),
        ("pyproject.toml", &toml),
        ("pyproject.toml", &keys),
        ("mise.toml", &toml),
    ] {
        let files = [(name, text.as_str()), ("main.py", "")];
        assert!(
            plan(&Repo::in_memory(&files), &Overrides::default()).is_err(),
            "{name} {}",
            &text[..8]
        );
    }
}

/// Every file that some reader reads.
const READ: [&str; 16] = [
    "package.json",
    "package-lock.json",
    ".nvmrc",
    ".tool-versions",
    "mise.toml",
    "requirements.txt",
    "pyproject.toml",
    "go.mod",
    "main.go",
    "Staticfile",
    "start.sh",
    "Procfile",
    "nixpacks.toml",
    "nixpacks.json",
    ".dockerignore",
    ".gitignore",
];

fn read_all(name: &str, text: &str) {
    let files = [
        (name, text),
        ("app.py", text),
        ("site/settings.py", text),
        ("manage.py", ""),
    ];
    let repo = Repo::in_memory(&files);
    for provider in languages::ALL {
        let _ = provider.detect(&repo);
        let _ = provider.propose(&Request {
            repo: &repo,
            variables: &BTreeMap::new(),
            test: true,
            assisting: false,
        });
    }
    if let Ok(planned) = plan(&repo, &Overrides::default()) {
        let text = planned.plan.to_json().unwrap();
        assert_eq!(BuildPlan::from_json("x", &text).unwrap().0, planned.plan);
        planned.plan.to_toml().unwrap();
    }
    let _ = repo.entries().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_reader_panic(index in 0..READ.len(), text in any::<String>()) {
        read_all(READ[index], &text);
    }

    #[test]
    fn no_mixture_of_their_own_words_makes_a_reader_panic(
        index in 0..READ.len(),
        words in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", "\"", ":", ",", "\n", "\r\n", " ", "=", "'", "\\", "!", "*", "**", "?", "#", "/", "..", "scripts", "start",
            "\"engines\":{\"node\":\"", ">=", "^", "~=", "||", "1.2", "v", "99999999999999999999", "node_modules/", "packages", "\u{feff}", "\0", "é",
            "module x", "go 1", "require (", "replace a => ", "toolchain ", "-r ", "-e ", "web:", "root:", "[project]\n", "dependencies", "null", "true",
        ]), 0..40),
    ) {
        read_all(READ[index], &words.concat());
    }
}

#[test]
fn what_a_file_replaces_is_not_told_as_decided_by_a_provider() {
    let told = |config: &str| {
        let mut files = NODE.to_vec();
        files.push(("nixpacks.toml", config));
        let planned = plan(&Repo::in_memory(&files), &Overrides::default()).unwrap();
        let line = |decision: &Decision| format!("{}: {}", decision.subject, decision.choice);
        let subjects = ["nodejs", "packages", "start"];
        let told = planned.decisions.iter();
        told.filter(|decision| subjects.contains(&decision.subject.as_str()))
            .map(line)
            .collect::<Vec<_>>()
    };
    let config = "[phases.setup]\nnixPkgs = ['nodejs_20', 'ffmpeg']\n[start]\ncmd = 'node b.js'";
    assert_eq!(
        told(config),
        ["start: node b.js", "packages: nodejs_20, ffmpeg"]
    );
    let config = "[phases.setup]\nnixPkgs = ['...', 'ffmpeg']";
    let told = told(config);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("nodejs: 22"), "{told:?}");
    assert!(told[1].starts_with("start: node 'it"), "{told:?}");
}

#[test]
fn the_only_folder_of_a_repository_is_the_application_when_nothing_above_is() {
    let home = tempfile::tempdir().unwrap();
    let app = home.path().join("outer/app");
    std::fs::create_dir_all(app.join("src")).unwrap();
    std::fs::create_dir(home.path().join(".git")).unwrap();
    std::fs::write(home.path().join("README.md"), "").unwrap();
    std::fs::write(app.join("requirements.txt"), "flask").unwrap();
    let open = || open_and_plan(home.path(), &Overrides::default()).unwrap();
    let (repo, planned) = open();
    assert_eq!(planned.providers, ["python"]);
    assert!(repo.root().unwrap().ends_with("outer/app"));
    assert_eq!(planned.decisions[0].choice, "outer/app");

    std::fs::create_dir(home.path().join("outer/other")).unwrap();
    let (repo, planned) = open();
    assert!(planned.providers.is_empty() && !planned.advice.is_empty());
    assert!(!repo.root().unwrap().ends_with("app"));
}
