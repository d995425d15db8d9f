//! The Dockerfile of a plan: its text, what platforms hold it to, and what it leaves to the builder.

use std::fs;

use packwright_providers::{Hooks, Overrides, Repo};

use super::*;
use crate::environment::{Cause, Leavings, Surroundings};
use crate::pipeline::hooks::with_phases_for_hooks;

fn tree(title: &str) -> RunTree {
    RunTree {
        dir: "/nowhere".into(),
        key: crate::cache::Key::build("test")
            .field("title", title)
            .finish(),
        cause: Cause::Toolchain,
        title: title.to_owned(),
        excluded: Vec::new(),
        overlay: false,
    }
}

fn script(title: &str, packages: &[&str], stays: bool) -> KitPart {
    KitPart::Script(KitScript {
        title: title.to_owned(),
        packages: packages
            .iter()
            .map(|name| ((*name).to_owned(), "/nowhere".into()))
            .collect(),
        packages_at: "/mnt",
        env: BTreeMap::from([("HOME".to_owned(), "/root".to_owned())]),
        script: "dpkg --configure -a",
        stays: stays.then(|| Leavings {
            excluded: vec!["var/lib/dpkg/**"],
            emptied: vec!["var/log"],
            removed: vec!["etc/passwd-"],
        }),
    })
}

fn kit() -> Kit {
    Kit {
        parts: vec![
            KitPart::Tree(tree("Debian build root")),
            script("configure", &[], false),
            script("run time packages", &["curl.deb"], true),
            KitPart::Tree(tree("nodejs 22.1.0")),
        ],
        run: vec![tree("Debian base"), tree("nodejs 22.1.0")],
        around: Surroundings {
            build_path: vec!["/opt/nodejs-22.1.0/bin".to_owned()],
            run_path: vec!["/opt/nodejs-22.1.0/bin".to_owned()],
            notes: vec!["root/.npm/_logs".to_owned()],
            ..Surroundings::default()
        },
    }
}

struct App {
    _home: tempfile::TempDir,
    source: SourceTree,
    plan: BuildPlan,
}

fn app(files: &[(&str, &str)], overrides: &Overrides) -> App {
    let home = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = home.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let root = fs::canonicalize(home.path()).unwrap();
    let repo = Repo::open(&root).unwrap();
    let source = SourceTree::read(&root, &repo.entries().unwrap()).unwrap();
    let plan = packwright_providers::plan(&repo, overrides).unwrap().plan;
    App {
        _home: home,
        source,
        plan: with_phases_for_hooks(plan),
    }
}

fn write(app: &App, dialect: Dialect) -> Dockerfile {
    try_write(app, dialect).unwrap()
}

fn try_write(app: &App, dialect: Dialect) -> Result<Dockerfile, PipelineError> {
    let labels = BTreeMap::from([("a".to_owned(), "x \"y\" $z".to_owned())]);
    Recipe {
        plan: &app.plan,
        kit: &kit(),
        source: &app.source,
        scope: "scope".to_owned(),
        labels: &labels,
        dialect,
    }
    .dockerfile()
}

const NODE: [(&str, &str); 4] = [
    (
        "package.json",
        r#"{"name":"a","scripts":{"start":"node server.js","build":"tsc"}}"#,
    ),
    (
        "package-lock.json",
        r#"{"name":"a","lockfileVersion":3,"packages":{"":{"name":"a"}}}"#,
    ),
    ("server.js", ""),
    ("[id]/$x.js", ""),
];

#[test]
fn a_node_application() {
    insta::assert_snapshot!(write(&app(&NODE, &Overrides::default()), Dialect::Mounts).text);
}

#[test]
fn the_classic_builder_gets_no_mounts() {
    let file = write(&app(&NODE, &Overrides::default()), Dialect::Classic);
    assert!(!file.text.contains("--mount") && file.text.contains(".nixpacks/authorities.crt"));
}

#[test]
fn the_first_line_is_a_bare_from_and_run_begins_instructions_alone() {
    let mut app = app(&NODE, &Overrides::default());
    let odd = "echo 'a\nRUN rm -rf /\nFROM x' && printf \"%s\" \\\\ # $HOME";
    app.plan.phases.get_mut("build").unwrap().cmds = Some(vec![odd.to_owned()]);
    app.plan.start.as_mut().unwrap().cmd = Some(odd.to_owned());
    let text = write(&app, Dialect::Mounts).text;
    assert_eq!(text.lines().next(), Some("FROM scratch"));
    for line in text.lines().filter(|line| line.starts_with("RUN")) {
        let argv = &line[line.find('[').unwrap()..];
        serde_json::from_str::<Vec<String>>(argv).unwrap();
    }
    let command = text
        .lines()
        .find_map(|line| line.strip_prefix("CMD "))
        .unwrap();
    assert_eq!(serde_json::from_str::<Vec<String>>(command).unwrap(), [odd]);
}

#[test]
fn values_with_line_breaks_are_left_to_the_builder() {
    let mut app = app(&NODE, &Overrides::default());
    app.plan
        .variables
        .insert("LINES".to_owned(), "a\nb".to_owned());
    app.plan
        .variables
        .insert("odd-name".to_owned(), "$x".to_owned());
    let file = write(&app, Dialect::Mounts);
    assert_eq!(
        file.arguments,
        BTreeMap::from([("LINES".to_owned(), "a\nb".to_owned())])
    );
    assert!(file.text.contains("\nARG LINES\nENV LINES=\"$LINES\"\n"));
    assert!(file.text.contains("\nENV odd-name=\"\\$x\"\n"));
    app.plan
        .variables
        .insert("odd-name".to_owned(), "a\nb".to_owned());
    assert!(try_write(&app, Dialect::Mounts).is_err());
}

#[test]
fn secrets_and_networks_belong_to_their_phase() {
    let mut app = app(&NODE, &Overrides::default());
    let build = app.plan.phases.get_mut("build").unwrap();
    build.secrets = Some(vec!["TOKEN".to_owned()]);
    build.network = Some(false);
    let file = write(&app, Dialect::Mounts);
    let with: Vec<&str> = file
        .text
        .lines()
        .filter(|line| line.contains("id=TOKEN"))
        .collect();
    assert_eq!(with.len(), 1);
    assert!(
        with[0].contains("--network=none") && with[0].contains("npm run build"),
        "{with:?}"
    );
    assert_eq!(file.secrets["TOKEN"], [secrets_argument("build")]);
    app.plan.phases.get_mut("build").unwrap().secrets = Some(vec!["a,b".to_owned()]);
    assert!(try_write(&app, Dialect::Mounts).is_err());
}

#[test]
fn hooks_see_all_files_and_only_named_files_stay() {
    let mut app = app(&NODE, &Overrides::default());
    app.plan.hooks = Some(Hooks {
        pre_install: Some(vec!["ls".to_owned()]),
        ..Hooks::default()
    });
    app.plan.start.as_mut().unwrap().only_include_files =
        Some(vec!["dist".to_owned(), "*.js".to_owned()]);
    let text = write(&app, Dialect::Mounts).text;
    let copies: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("/app/\"]") && line.starts_with("COPY"))
        .collect();
    assert_eq!(copies[0], r#"COPY [".", "/app/"]"#);
    let collect = text
        .lines()
        .find(|line| line.contains("\"collect\""))
        .unwrap();
    let argv: Vec<String> = serde_json::from_str(collect.trim_start_matches("RUN ")).unwrap();
    let only = regex::Regex::new(&argv[4].replace("(?!app/.)", "(?:usr|opt)")).unwrap();
    for (path, kept) in [
        ("app/dist/a/b", true),
        ("app/x.js", true),
        ("app/server.ts", false),
        ("opt/venv/x", true),
    ] {
        assert_eq!(only.is_match(path), kept, "{path}");
    }
}

#[test]
fn globs_become_patterns_of_perls_kind() {
    assert_eq!(pattern("a/**").unwrap(), "a/.*");
    assert_eq!(pattern("a.b").unwrap(), "a\\.b");
}
