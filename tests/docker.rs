//! Docker Engine and buildkitd: the same image as the sandbox makes, what platforms do with ours, and secrets that stay
//! secret. Starts its own daemons, on this machine alone.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::daemon::{Daemon, LIMIT};
use serde_json::Value;

/// Paths in which the two engines differ, and why that is no harm.
const DIFFERENCES: [&str; 1] = [
    // Empty: a folder that the sandbox' root has anew when packages are installed, and Docker's had before.
    "var/cache/ldconfig/",
];

impl Daemon {
    /// Builds an app by both engines, and compares every file and the configuration.
    fn compare(&self, name: &str, app: &Path, more: &[&str]) -> BTreeMap<PathBuf, String> {
        for engine in ["native", "docker"] {
            self.build(engine, app, &format!("{engine}-{name}"), more)
                .expect_success(name);
        }
        let [mut native, mut docker] =
            ["native", "docker"].map(|engine| self.files(&format!("{engine}-{name}")));
        for path in DIFFERENCES {
            native.remove(Path::new(path));
            docker.remove(Path::new(path));
        }
        let differing: Vec<_> = native
            .keys()
            .chain(docker.keys())
            .map(|path| (path, native.get(path), docker.get(path)))
            .filter(|(_, native, docker)| native != docker)
            .collect();
        assert!(differing.is_empty(), "{name}: {differing:?}");
        let [of_native, of_docker] =
            ["native", "docker"].map(|engine| self.config(&format!("{engine}-{name}")));
        assert_eq!(of_native, of_docker, "{name}");
        docker
    }
}

#[test]
fn both_engines_make_the_same_files_modes_and_configuration() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let mut examples = vec!["node-express", "apt-packages", "railpack-json"];
    if common::test_all() {
        examples.extend([
            "go-http",
            "nixpacks-toml",
            "php-nginx",
            "python-fastapi-uv",
            "shell-script",
            "static-site",
        ]);
    }
    for example in examples {
        let files = daemon.compare(example, &common::example(example), &[]);
        assert!(files.len() > 500, "{example}: {}", files.len());
    }
}

#[test]
fn both_engines_make_the_same_of_packages_of_nix() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let nixpkgs = set.join("gnu.nix").display().to_string();
    let nix = ["--packages", "nix", "--nixpkgs", &nixpkgs];
    let files = daemon.compare("nix-express", &common::example("node-express"), &nix);
    let outside = |path: &&PathBuf| !path.starts_with("nix") && !path.starts_with("app");
    let outside: Vec<_> = files.keys().filter(outside).collect();
    assert!(outside.len() < 60, "{outside:?}");
    let said = daemon.run("docker-nix-express", &["node --version"]);
    assert!(said.starts_with("v22."), "{said}");

    let plan = "providers = []\n[phases.setup]\nnixPkgs = [\"which\"]\naptPkgs = [\"jq\"]\n\
        cmds = [\"which jq which >found\"]\n[start]\ncmd = \"cat found; jq --version\"\n";
    let home = common::app_of(&[("nixpacks.toml", plan)]);
    daemon.compare("nix-apt", &home.path().join("app"), &nix);
    let said = daemon.run("docker-nix-apt", &[]);
    assert!(
        said.starts_with("/usr/bin/jq\n/nix/store/") && said.contains("\njq-"),
        "{said}"
    );
}

#[test]
fn what_platforms_do_works() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let folder = common::repository().join("tests/platforms");
    let mut scripts: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    scripts.retain(|path| !path.ends_with("common.sh"));
    scripts.sort();
    assert!(scripts.len() >= 6, "{scripts:?}");
    for script in scripts {
        let name = script.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "kubero" && !common::have("buildah") {
            continue;
        }
        let home = common::copy_of_example("shell-script");
        let mut command = Command::new("bash");
        command
            .arg(&script)
            .env("PACKWRIGHT", common::binary())
            .env("PACKWRIGHT_CACHE_DIR", common::shared_cache())
            .env("APP", home.path().join("app"))
            .env("NAME", format!("platform-{name}"))
            .env("BUILDAH", home.path().join("buildah"))
            .env("DOCKER_HOST", daemon.host());
        common::finish(&mut command, LIMIT).expect_success(&name);
    }
}

/// Texts in one image.
const BATCH: usize = 200;

/// Texts that quoting gets wrong, in an order of its own for each number.
fn texts(count: usize) -> Vec<String> {
    const PIECES: [&str; 20] = [
        "'", "\"", "\\", "$", "$HOME", "${x:-y}", "`id`", "\n", "\r", "\t", " ", "#", "!", "%s",
        "ü", "\u{2028}", "🦀", "=", "\\n", "[]",
    ];
    let mut state = 7_u64;
    let mut next = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    (0..count)
        .map(|number| {
            let length = 1 + next(8);
            let pieces: String = (0..length).map(|_| PIECES[next(PIECES.len())]).collect();
            format!("{number}{pieces}.")
        })
        .collect()
}

#[test]
fn a_thousand_values_and_start_commands_reach_the_process() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let texts = texts(1000);
    let quoted = |text: &String| format!("'{}'", text.replace('\'', "'\\''"));
    // Each text is a variable's value, and a word of a start command. In several images, since builders take time for
    // each instruction that grows with those before it.
    for (batch, texts) in texts.chunks(BATCH).enumerate() {
        let words: Vec<String> = texts.iter().map(quoted).collect();
        let variables: serde_json::Map<String, Value> = texts
            .iter()
            .enumerate()
            .map(|(number, text)| (format!("VALUE_{number}"), Value::from(text.as_str())))
            .collect();
        let start = format!(
            "printf '%s\\0' {}; for number in $(seq 0 {}); do name=VALUE_$number; printf '%s\\0' \"${{!name}}\"; done",
            words.join(" "),
            texts.len() - 1
        );
        let plan = serde_json::json!({ "providers": [], "variables": variables, "phases": {}, "start": { "cmd": start } });
        let home = common::app_of(&[("plan.json", &plan.to_string())]);
        let app = home.path().join("app");
        let expected: Vec<&str> = texts.iter().chain(texts).map(String::as_str).collect();
        for engine in ["native", "docker"] {
            let name = format!("texts-{engine}-{batch}");
            daemon
                .build(engine, &app, &name, &["--config", "plan.json"])
                .expect_success(engine);
            let said = daemon.run(&name, &[]);
            let said: Vec<&str> = said.trim_end_matches('\0').split('\0').collect();
            assert_eq!(said, expected, "{engine}");
        }
    }
}

#[test]
fn hooks_after_packaging_run_in_the_image_and_show_no_secret() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let file = |hook: &str| {
        format!(
            "[phases.build]\ncmds = [\"echo $PLANTED > leaked\"]\nsecrets = [\"PLANTED\"]\n\
             [hooks]\npostPackage = [\"{hook}\"]\n[start]\ncmd = \"true\"\n"
        )
    };
    for engine in ["native", "docker"] {
        let build = |hook: &str| {
            let home = common::app_of(&[("nixpacks.toml", &file(hook))]);
            let more = ["--secret", "PLANTED=planted-in-a-hook"];
            daemon.build(engine, &home.path().join("app"), "hooked", &more)
        };
        let good = build("cat leaked; test \\\"$PWD\\\" = /app; echo end >&2");
        let good = good.expect_success(engine);
        assert!(
            good.stderr.contains("***") && good.stderr.contains("end"),
            "{engine}\n{good}"
        );
        let bad = build("cat leaked; exit 3");
        assert_eq!(bad.code(), 50, "{engine}\n{bad}");
        assert!(
            bad.stderr.contains("postPackage") && bad.stderr.contains("| ***"),
            "{engine}\n{bad}"
        );
        for output in [good, bad] {
            assert!(
                !output.to_string().contains("planted-in-a-hook"),
                "{engine}\n{output}"
            );
        }
    }
}

#[test]
fn cache_directories_come_back_from_their_image_when_the_daemon_lost_them() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let home = common::app_of(&[(
        "nixpacks.toml",
        "[phases.build]\ncacheDirectories = [\"/root/.one\", \"two\"]\n\
         cmds = [\"for one in /root/.one two; do date +%N >> $one/runs; wc -l < $one/runs; done > counted\"]\n\
         [start]\ncmd = \"cat counted\"\n",
    )]);
    let app = home.path().join("app");
    let counted = |turn: &str, more: &[&str]| {
        // The phase sees all files, so another one runs it again.
        fs::write(app.join("turn"), turn).unwrap();
        daemon
            .build("docker", &app, "counted", more)
            .expect_success("counted");
        let said = daemon.run("counted", &[]);
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let keep = ["--incremental-cache-image", "kept:1"];
    assert_eq!(counted("first", &keep), "1 1");
    assert_eq!(counted("second", &keep), "2 2");
    daemon.docker(&["builder", "prune", "-af"]);
    // Without the image they are lost; with it they are as they were.
    assert_eq!(counted("third", &[]), "1 1");
    daemon.docker(&["builder", "prune", "-af"]);
    assert_eq!(counted("fourth", &keep), "3 3");
    let files = daemon.files("kept:1");
    let kept = files.keys().filter(|path| path.ends_with("runs")).count();
    assert_eq!(kept, 2, "{:?}", files.keys());
}

/// Every file below a folder that holds one of the needles, also where it is compressed.
fn holding(folder: &Path, needles: &regex::bytes::Regex) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            found.extend(holding(&path, needles));
        } else if kind.is_file() {
            let Ok(bytes) = fs::read(&path) else { continue };
            let mut unpacked = Vec::new();
            if bytes.starts_with(&[0x1f, 0x8b]) {
                let _ = flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked);
            }
            if needles.is_match(&bytes) || needles.is_match(&unpacked) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn a_secret_reaches_its_phase_and_is_nowhere_afterwards() {
    use base64::Engine as _;
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let home = common::app_of(&[(
        "nixpacks.toml",
        "[phases.install]\ncmds = [\"echo it is $PLANTED; echo ${#PLANTED} > length\"]\nsecrets = [\"PLANTED\"]\n\
             [phases.build]\ndependsOn = [\"install\"]\ncmds = [\"echo other:${PLANTED-unset} > other\"]\n[start]\ncmd = \"cat length other\"\n",
    )]);
    let app = home.path().join("app");
    for engine in ["native", "docker"] {
        // One cache for each engine, so that all of it can be searched.
        let cache = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let value = format!("planted-{engine}-{}-value", std::process::id());
        let build = |value: &str| {
            let mut command = common::packwright(["build"]);
            command
                .arg(&app)
                .args([
                    "--name",
                    &format!("secret-{engine}"),
                    "--engine",
                    engine,
                    "--secret",
                    "PLANTED",
                    "--json",
                ])
                .args(["--docker-host", &daemon.host()])
                .env("PACKWRIGHT_CACHE_DIR", cache.path())
                .env("PLANTED", value);
            if engine == "docker" {
                command.args(["--network", "host"]);
            }
            common::finish(&mut command, LIMIT).expect_success(engine)
        };
        let first = build(&value);
        assert!(first.stdout.contains("it is ***"), "{engine}\n{first}");
        let said = daemon.run(&format!("secret-{engine}"), &[]);
        assert_eq!(said, format!("{}\nother:unset\n", value.len()), "{engine}");
        let needles = [
            value.clone(),
            base64::engine::general_purpose::STANDARD.encode(&value),
            value.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ];
        assert!(
            !needles
                .iter()
                .any(|needle| format!("{first}").contains(needle)),
            "{engine}\n{first}"
        );
        let needles: Vec<String> = needles.iter().map(|needle| regex::escape(needle)).collect();
        let needles = regex::bytes::Regex::new(&needles.join("|")).unwrap();
        // What is searched for is found where it is.
        fs::write(cache.path().join("witness"), format!("a {value} b")).unwrap();
        assert_eq!(
            holding(cache.path(), &needles),
            [cache.path().join("witness")],
            "{engine}"
        );
        fs::remove_file(cache.path().join("witness")).unwrap();
        let mut places = holding(cache.path(), &needles);
        places.extend(holding(&daemon.home().join("data"), &needles));
        assert!(places.is_empty(), "{engine}: {places:?}");
        // The same value runs nothing again, another one does.
        assert_eq!(
            common::Build::read(&build(&value)).phases_run,
            0,
            "{engine}"
        );
        assert!(
            common::Build::read(&build("another value")).phases_run > 0,
            "{engine}"
        );
    }
}

#[test]
fn a_second_load_sends_only_what_the_daemon_lacks() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let home = common::app_of(&[("start.sh", "echo one")]);
    let app = home.path().join("app");
    daemon
        .build("native", &app, "loaded", &[])
        .expect_success("first");
    let again = daemon
        .build("native", &app, "loaded", &[])
        .expect_success("again");
    fs::write(app.join("start.sh"), "echo two").unwrap();
    let changed = daemon
        .build("native", &app, "loaded", &[])
        .expect_success("changed");
    assert!(
        changed.stderr.contains("layers that it has"),
        "{again}{changed}"
    );
    assert_eq!(daemon.run("loaded", &[]), "two\n");
    let mut off = common::packwright([
        "build",
        "--name",
        "unloaded",
        "--no-load",
        "--docker-host",
        &daemon.host(),
    ]);
    common::finish(off.arg(&app), LIMIT).expect_success("without loading");
    assert!(
        !daemon
            .docker(&["images", "-q", "unloaded"])
            .stdout
            .contains(|c: char| c.is_ascii_hexdigit())
    );
}

#[test]
fn the_classic_builder_makes_the_same_program() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let mut command = common::packwright([
        "build",
        "--name",
        "classic",
        "--engine",
        "docker",
        "--network",
        "host",
        "--memory",
        "1g",
    ]);
    command
        .arg(common::example("shell-script"))
        .args(["--docker-host", &daemon.host(), "--env", "GREETING=classic"])
        .env("DOCKER_BUILDKIT", "0");
    let built = common::finish(&mut command, LIMIT).expect_success("classic");
    assert!(built.stderr.contains("classic builder"), "{built}");
    assert!(daemon.run("classic", &[]).contains("greeting: classic"));
}
