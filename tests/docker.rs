//! Docker Engine and buildkitd: the same image as the sandbox makes, what platforms do with ours, and secrets that stay
//! secret. Starts its own daemons, on this machine alone.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde_json::Value;
use sha2::Digest as _;

const LIMIT: Duration = Duration::from_secs(900);

/// A Docker Engine of the tests' own, with the host's network and nothing else.
struct Daemon {
    _process: common::Running,
    home: tempfile::TempDir,
}

impl Daemon {
    /// One for all tests of this file, which take turns: two cores are soon busy.
    fn lock() -> Option<std::sync::MutexGuard<'static, Option<Self>>> {
        static DAEMON: OnceLock<Mutex<Option<Daemon>>> = OnceLock::new();
        let daemon = DAEMON.get_or_init(|| Mutex::new(Self::start()));
        // A test that failed left nothing behind that another one would mind.
        let guard = daemon
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        guard.is_some().then_some(guard)
    }

    fn start() -> Option<Self> {
        if !common::can_start_dockerd() {
            return None;
        }
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        // Values that live as long as the process are never dropped, so somebody else has to end the daemon after it.
        let script = "dockerd \"$@\" & daemon=$!; tail --pid=\"$0\" -f /dev/null; kill $daemon; wait $daemon; \
            umount -l \"$HOME_OF_DAEMON\"/exec/netns/* \"$HOME_OF_DAEMON/data\" 2>/dev/null; \
            rm -rf --one-file-system \"$HOME_OF_DAEMON\"";
        let mut command = Command::new("bash");
        command
            .args(["-c", script, &std::process::id().to_string()])
            .args(common::dockerd_arguments(home.path()))
            .env("HOME_OF_DAEMON", home.path())
            .env("PATH", common::search_path_of_root());
        let mut process = common::Running::start(&mut command);
        process.wait_for_output("API listen on", Duration::from_secs(60));
        Some(Self {
            _process: process,
            home,
        })
    }

    fn host(&self) -> String {
        format!("unix://{}", self.home.path().join("docker.sock").display())
    }

    fn docker(&self, args: &[&str]) -> common::Output {
        let program = if Path::new("/usr/bin/docker").exists() {
            "/usr/bin/docker"
        } else {
            "docker"
        };
        let mut command = Command::new(program);
        command.args(args).env("DOCKER_HOST", self.host());
        common::finish(&mut command, LIMIT).expect_success(&format!("docker {args:?}"))
    }

    /// `packwright build APP --name NAME` by an engine.
    fn build(&self, engine: &str, app: &Path, name: &str, more: &[&str]) -> common::Output {
        let mut command = common::packwright(["build"]);
        command
            .arg(app)
            .args([
                "--name",
                name,
                "--engine",
                engine,
                "--docker-host",
                &self.host(),
            ])
            .args(more);
        if engine == "docker" {
            command.args(["--network", "host"]);
        }
        common::finish(&mut command, LIMIT)
    }

    fn run(&self, image: &str, more: &[&str]) -> String {
        let mut args = vec!["run", "--rm", "--network", "host", image];
        args.extend(more);
        self.docker(&args).stdout
    }

    /// Kind, mode, owner, link and content of every path of an image.
    fn files(&self, image: &str) -> BTreeMap<PathBuf, String> {
        let id = self
            .docker(&["create", "--network", "host", image, "x"])
            .stdout;
        let archive = self.home.path().join("files.tar");
        self.docker(&["export", "-o", archive.to_str().unwrap(), id.trim()]);
        self.docker(&["rm", id.trim()]);
        let mut files = BTreeMap::new();
        let mut archive = tar::Archive::new(fs::File::open(archive).unwrap());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let header = entry.header();
            let (mode, owner) = (header.mode().unwrap(), header.uid().unwrap());
            let link = entry.link_name().unwrap();
            let says = format!(
                "{:?} {mode:o} {owner}:{} {link:?} {}",
                header.entry_type(),
                header.gid().unwrap(),
                hex::encode(sha2::Sha256::digest(&bytes))
            );
            files.insert(entry.path().unwrap().into_owned(), says);
        }
        files
    }

    fn config(&self, image: &str) -> Value {
        let inspected: Value =
            serde_json::from_str(&self.docker(&["inspect", image]).stdout).unwrap();
        let config = &inspected[0]["Config"];
        let keys = [
            "Env",
            "Cmd",
            "Entrypoint",
            "WorkingDir",
            "User",
            "Labels",
            "ExposedPorts",
            "Healthcheck",
            "StopSignal",
        ];
        let pairs = keys.map(|key| {
            (
                key.to_owned(),
                config.get(key).cloned().unwrap_or(Value::Null),
            )
        });
        let mut config = Value::Object(pairs.into_iter().collect());
        if config["Labels"] == serde_json::json!({}) {
            config["Labels"] = Value::Null;
        }
        config
    }
}

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
            .filter(|path| native.get(*path) != docker.get(*path))
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
    for example in ["node-express", "apt-packages", "shell-script"] {
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
    let words: Vec<String> = texts.iter().map(quoted).collect();
    // Ten texts to a variable: a hundred variables are more than any app has.
    let variables: serde_json::Map<String, Value> = texts
        .chunks(10)
        .enumerate()
        .map(|(number, texts)| (format!("VALUE_{number}"), Value::from(texts.join("\u{1}"))))
        .collect();
    // The start command holds every text itself, and prints every variable.
    let start = format!(
        "printf '%s\\0' {}; for number in $(seq 0 99); do name=VALUE_$number; printf '%s\\0' \"${{!name}}\"; done",
        words.join(" ")
    );
    let plan = serde_json::json!({ "providers": [], "variables": variables, "phases": {}, "start": { "cmd": start } });
    let home = common::app_of(&[("plan.json", &plan.to_string())]);
    let app = home.path().join("app");
    let expected: Vec<&str> = texts.iter().chain(&texts).map(String::as_str).collect();
    for engine in ["native", "docker"] {
        let name = format!("texts-{engine}");
        daemon
            .build(engine, &app, &name, &["--config", "plan.json"])
            .expect_success(engine);
        let said = daemon.run(&name, &[]);
        let said: Vec<&str> = said.trim_end_matches('\0').split(['\0', '\u{1}']).collect();
        assert_eq!(said.len(), expected.len());
        for (said, expected) in said.iter().zip(&expected) {
            assert_eq!(said, expected, "{engine}");
        }
    }
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
        places.extend(holding(&daemon.home.path().join("data"), &needles));
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

/// A buildkitd from the Go module proxy, built once and kept below the target folder; minutes the first time.
fn buildkitd() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("buildkit");
    let program = folder.join("buildkitd");
    if program.exists() {
        return program;
    }
    let script = "set -e; cd \"$0\"; [ -e go.mod ] || go mod init x; \
        at=$(go mod download -json github.com/moby/buildkit@v0.32.2 | sed -n 's/^.*\"Dir\": \"\\(.*\\)\".*$/\\1/p'); \
        rm -rf source; cp -r \"$at\" source; chmod -R u+w source; cd source; go build -mod=mod -o .. ./cmd/buildkitd";
    fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new("bash");
    command.args(["-c", script]).arg(&folder);
    common::finish(&mut command, Duration::from_secs(3600)).expect_success("go build of buildkitd");
    program
}

#[test]
fn a_second_builder_takes_what_the_first_one_kept_in_a_registry() {
    if !common::test_all() || !common::have("docker-registry") || !common::have("go") {
        return;
    }
    let program = buildkitd();
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = |name: &str| home.path().join(name).display().to_string();
    let registry = format!("127.0.0.1:{}", common::free_port());
    let written = fs::write(
        path("registry.yml"),
        format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {registry}}}\n",
            path("registry")
        ),
    );
    written.unwrap();
    fs::write(
        path("buildkitd.toml"),
        format!("[worker.oci]\nnetworkMode = \"host\"\n[registry.\"{registry}\"]\nhttp = true\n"),
    )
    .unwrap();
    let mut serving = common::Running::start(
        Command::new("docker-registry").args(["serve", &path("registry.yml")]),
    );
    serving.wait_for_output("listening on", Duration::from_secs(30));
    let app = common::app_of(&[
        ("start.sh", "cat stamp"),
        (
            "nixpacks.toml",
            "[phases.build]\ncmds = [\"date +%N > stamp\"]\n",
        ),
    ]);
    let mut ran = Vec::new();
    for builder in ["first", "second"] {
        let address = format!("unix://{}", path(&format!("{builder}.sock")));
        let mut daemon = Command::new(&program);
        daemon.args([
            "--config",
            &path("buildkitd.toml"),
            "--root",
            &path(builder),
            "--addr",
            &address,
        ]);
        let mut daemon = common::Running::start(&mut daemon);
        daemon.wait_for_output("running server on", Duration::from_secs(60));
        let cache = format!("type=registry,ref={registry}/cache");
        let mut command =
            common::packwright(["build", "--json", "--push", "--cache-key", "shared"]);
        command
            .arg(app.path().join("app"))
            .args([
                "--name",
                &format!("{registry}/app:{builder}"),
                "--buildkit-host",
                &address,
            ])
            .args([
                "--cache-from",
                &cache,
                "--cache-to",
                &format!("{cache},mode=max"),
            ]);
        let output = common::finish(&mut command, LIMIT).expect_success(builder);
        ran.push(common::Build::read(&output).phases_run);
    }
    assert_eq!(ran, [1, 0], "commands that each builder ran");
}
