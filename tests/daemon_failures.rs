//! Docker Engine when something goes wrong: signals, pushes, commands that fail, files that change; and that it is told as
//! the sandbox tells it.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use common::daemon::{Daemon, LIMIT};
use common::registry::{ACCOUNTS, PASSWORD, Registry, USER};
use rustix::process::Signal;

/// `packwright build` of a folder, by the builders that a name stands for.
fn build(daemon: &Daemon, builder: &str, app: &Path, more: &[&str]) -> Command {
    let engine = if builder == "native" {
        builder
    } else {
        "docker"
    };
    let mut command = common::packwright(["build", "--engine", engine]);
    if !more.contains(&"--name") {
        command.args(["--name", "failing"]);
    }
    command
        .arg(app)
        .args(["--docker-host", &daemon.host()])
        .args(more);
    if builder != "native" {
        command.args(["--network", "host"]);
    }
    if builder == "classic" {
        command.env("DOCKER_BUILDKIT", "0");
    }
    command
}

/// An app whose build phase runs a command.
fn app_with(command: &str) -> tempfile::TempDir {
    let text = serde_json::json!({
        "providers": [],
        "variables": { "ODD": "a\"b\\c" },
        "phases": { "build": { "cmds": [command] } },
        "start": { "cmd": "true" },
    });
    common::app_of(&[("nixpacks.json", &text.to_string())])
}

#[test]
fn a_failed_command_is_told_by_every_builder_as_by_the_sandbox() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    // BuildKit names a step by its command with the values of variables.
    let home = app_with("echo last words; : \"$ODD\"; exit 3");
    let mut told = BTreeMap::new();
    for builder in ["native", "docker", "classic"] {
        let failed = common::finish(
            &mut build(daemon, builder, &home.path().join("app"), &[]),
            LIMIT,
        );
        assert_eq!(failed.code(), 50, "{builder}\n{failed}");
        let error = failed.stderr.split_once("\nerror: ").unwrap().1.to_owned();
        assert!(
            error.starts_with(
                "phase build failed with exit code 3: echo last words; : \"$ODD\"; exit 3\n"
            ),
            "{builder}\n{failed}"
        );
        assert!(error.contains("| last words\n"), "{builder}\n{failed}");
        told.insert(builder, error);
    }
    assert_eq!(told["native"], told["docker"]);
    assert_eq!(told["native"], told["classic"]);
}

#[test]
fn a_signal_ends_the_build_and_leaves_nothing() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let out = tempfile::tempdir().unwrap();
    let archive = format!("type=tar,dest={}", out.path().join("x.tar").display());
    let cases: [(&str, Signal, i32, &[&str]); 4] = [
        ("native", Signal::TERM, 143, &[]),
        ("docker", Signal::INT, 130, &[]),
        ("docker", Signal::TERM, 143, &["--docker-output", &archive]),
        ("classic", Signal::TERM, 143, &[]),
    ];
    for (builder, signal, code, more) in cases {
        let seconds = common::unique_seconds();
        let home = app_with(&format!("echo phase-is-running; sleep {seconds}"));
        let mut building =
            common::Running::start(&mut build(daemon, builder, &home.path().join("app"), more));
        building.wait_for_output("| phase-is-running", Duration::from_secs(300));
        common::soon("the phase sleeps", || common::process_with(&seconds));
        building.signal(signal);
        let output = building.wait(Duration::from_secs(20));
        assert_eq!(output.code(), code, "{builder}\n{output}");
        assert!(!output.stderr.contains("panicked"), "{builder}\n{output}");
        common::soon("no process of the phase is left", || {
            !common::process_with(&seconds)
        });
        common::soon("no container is left", || {
            daemon.docker(&["ps", "-aq"]).stdout.is_empty()
        });
        let left: Vec<_> = fs::read_dir(out.path()).unwrap().collect();
        assert!(left.is_empty(), "{builder}: {left:?}");
    }
}

#[test]
fn a_signal_in_a_hook_removes_its_container() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let seconds = common::unique_seconds();
    let text = format!(
        "[hooks]\npostPackage = [\"echo hook-is-running; exec sleep {seconds}\"]\n[start]\ncmd = \"true\"\n"
    );
    let home = common::app_of(&[("nixpacks.toml", &text), ("start.sh", "")]);
    let mut building =
        common::Running::start(&mut build(daemon, "docker", &home.path().join("app"), &[]));
    building.wait_for_output("| hook-is-running", Duration::from_secs(300));
    building.signal(Signal::INT);
    let output = building.wait(Duration::from_secs(20));
    assert_eq!(output.code(), 130, "{output}");
    assert_eq!(daemon.docker(&["ps", "-aq"]).stdout, "");
    assert!(!common::process_with(&seconds));
}

/// A folder of Docker's client with an account of a registry.
fn logged_in(registry: &str, password: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
    let config = serde_json::json!({ "auths": { registry: { "auth": auth } } });
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

/// Builds and pushes an app that prints `version`, by two names, when a hook finds `wanted` in it.
fn push(
    (daemon, builder): (&Daemon, &str),
    name: &str,
    config: &Path,
    version: &str,
    wanted: &str,
) -> common::Output {
    let text = format!(
        "[hooks]\npostPackage = [\"grep -q {wanted} start.sh\"]\n[start]\ncmd = \"bash start.sh\"\n"
    );
    let start = format!("echo {version}");
    let home = common::app_of(&[("nixpacks.toml", &text), ("start.sh", &start)]);
    let also = format!("{name}-also");
    let more = ["--name", name, "--tag", &also, "--push"];
    let mut command = build(daemon, builder, &home.path().join("app"), &more);
    common::finish(command.env("DOCKER_CONFIG", config), LIMIT)
}

/// What the image prints that is in a registry, and in no daemon.
fn pulled(daemon: &Daemon, name: &str) -> String {
    let known = daemon.docker(&["images", "-q", name]).stdout;
    if !known.trim().is_empty() {
        daemon.docker(&["rmi", "-f", name]);
    }
    daemon.docker(&["pull", "-q", name]);
    daemon.run(name, &[]).trim().to_owned()
}

#[test]
fn an_engine_pushes_what_it_built_after_its_hooks_saw_it() {
    if !common::have("docker-registry") {
        return;
    }
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let registry = Registry::start(home.path(), None);
    let config = home.path();
    for builder in ["docker", "classic"] {
        let name = format!("{}/app/of:{builder}", registry.address);
        // The hooks see this build's image, and not the one that has had the name since the turn before.
        for turn in ["first", "second"] {
            let version = format!("{turn}-{builder}");
            let pushed = push((daemon, builder), &name, config, &version, &version);
            let pushed = pushed.expect_success(builder);
            assert!(pushed.stderr.contains("push | "), "{pushed}");
            // It is there by both names, and by the digest that was told.
            let mut words = pushed.stdout.split_whitespace();
            let digest = words.find(|word| word.starts_with("sha256:")).unwrap();
            let (path, _) = name.rsplit_once(':').unwrap();
            for name in [&name, &format!("{name}-also"), &format!("{path}@{digest}")] {
                assert_eq!(pulled(daemon, name), version);
            }
        }
        // A hook that fails keeps the image here.
        let failed = push((daemon, builder), &name, config, "third", "other");
        assert_eq!(failed.code(), 50, "{failed}");
        assert_eq!(pulled(daemon, &name), format!("second-{builder}"));
    }
}

#[test]
fn a_push_takes_the_password_of_dockers_client_and_a_refused_one_is_told() {
    if !common::have("docker-registry") {
        return;
    }
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let registry = Registry::start(home.path(), Some(ACCOUNTS));
    let name = format!("{}/app:1", registry.address);
    let of = |password: &str| logged_in(&registry.address, password);
    let (good, bad, none) = (of(PASSWORD), of("other"), tempfile::tempdir().unwrap());
    for builder in ["docker", "classic"] {
        let push = |config: &Path| push((daemon, builder), &name, config, "x", "x");
        let pushed = push(good.path()).expect_success(builder);
        assert!(!pushed.to_string().contains(PASSWORD), "{pushed}");
        for config in [&none, &bad] {
            let refused = push(config.path());
            assert_eq!(refused.code(), 70, "{refused}");
            assert!(
                refused.stderr.contains(&format!("cannot push {name}"))
                    && refused.stderr.contains("docker login"),
                "{refused}"
            );
        }
    }
    let nobody = format!("127.0.0.1:{}/app:1", common::free_port());
    let refused = push((daemon, "docker"), &nobody, none.path(), "x", "x");
    assert_eq!(refused.code(), 70, "{refused}");
}

#[test]
fn hooks_are_refused_where_the_image_is_not_among_the_daemons() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let home = common::app_of(&[(
        "nixpacks.toml",
        "[hooks]\npostPackage = [\"true\"]\n[start]\ncmd = \"true\"\n",
    )]);
    let out = home.path().join("out.tar");
    let output = format!("type=docker,dest={}", out.display());
    let mut command = build(
        daemon,
        "docker",
        &home.path().join("app"),
        &["--docker-output", &output],
    );
    let refused = common::finish(&mut command, LIMIT);
    assert_eq!(refused.code(), 38, "{refused}");
    assert!(
        refused.stderr.contains("leave out --docker-output"),
        "{refused}"
    );
    assert!(!out.exists());
}

#[test]
fn what_cannot_be_written_here_ends_with_the_code_of_destinations() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let home = common::app_of(&[("start.sh", "")]);
    let app = home.path().join("app");
    common::finish(&mut build(daemon, "docker", &app, &[]), LIMIT).expect_success("first");
    let output = format!("type=tar,dest={}", home.path().join("x.tar").display());
    let inner = build(daemon, "docker", &app, &["--docker-output", &output]);
    // No file may have more than a megabyte, which the image has.
    let mut command = Command::new("bash");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$@\"", "bash"])
        .arg(inner.get_program())
        .args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let refused = common::finish(&mut command, LIMIT);
    assert_eq!(refused.code(), 70, "{refused}");
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn the_classic_builder_takes_several_hosts_and_refuses_caches_that_it_does_not_know() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let home =
        app_with("grep -c 'one.test\\|two.test' /etc/hosts >hosts; grep one.test /etc/hosts");
    let app = home.path().join("app");
    let hosts = [
        "--add-host",
        "one.test:10.0.0.1",
        "--add-host",
        "two.test:10.0.0.2",
    ];
    for builder in ["classic", "docker"] {
        let built = common::finish(&mut build(daemon, builder, &app, &hosts), LIMIT);
        built.expect_success(builder);
        assert_eq!(daemon.run("failing", &["cat hosts"]), "2\n", "{builder}");
    }
    for (flag, says) in [
        (&["--inline-cache"][..], "--inline-cache"),
        (&["--cache-to", "type=registry,ref=x"], "--cache-to"),
        (&["--cache-from", "type=gha"], "type=gha"),
    ] {
        let refused = common::finish(&mut build(daemon, "classic", &app, flag), LIMIT);
        assert_eq!(refused.code(), 38, "{refused}");
        assert!(refused.stderr.contains(says), "{refused}");
    }
}

#[test]
fn the_classic_builders_words_show_no_secret() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let home = app_with("echo planted-\"here\"; echo 'it is planted-here'; exit 4");
    let secret = ["--secret", "PLANTED=planted-here"];
    for builder in ["classic", "docker", "native"] {
        let failed = common::finish(
            &mut build(daemon, builder, &home.path().join("app"), &secret),
            LIMIT,
        );
        assert_eq!(failed.code(), 50, "{builder}\n{failed}");
        assert!(failed.stderr.contains("| it is ***"), "{builder}\n{failed}");
        assert!(
            !failed.to_string().contains("planted-here"),
            "{builder}\n{failed}"
        );
    }
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_an_error() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    for builder in ["docker", "classic"] {
        let home = common::app_of(&[("start.sh", "")]);
        let app = home.path().join("app");
        let big = app.join("big");
        fs::write(&big, vec![b'x'; 64 << 20]).unwrap();
        let mut building = common::Running::start(&mut build(daemon, builder, &app, &[]));
        // It is written to from before its hash is taken until the build has ended.
        let mut turn = 0_u64;
        while !building.ended() {
            turn += 1;
            let file = fs::File::options().write(true).open(&big).unwrap();
            std::os::unix::fs::FileExt::write_at(&file, &turn.to_le_bytes(), 0).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        let failed = building.wait(LIMIT);
        assert_eq!(failed.code(), 24, "{builder}\n{failed}");
        assert!(
            failed.stderr.contains("big changed while it was read"),
            "{builder}\n{failed}"
        );
    }
}

/// The kind of machine that this one is not.
fn other_machine() -> (&'static str, &'static str) {
    match std::env::consts::ARCH {
        "aarch64" => ("amd64", "qemu-x86_64"),
        _ => ("arm64", "qemu-aarch64"),
    }
}

#[test]
fn an_image_for_another_kind_of_machine_has_its_programs_or_is_refused() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let (other, emulator) = other_machine();
    let home = common::app_of(&[("start.sh", "")]);
    let app = home.path().join("app");
    let platform = format!("linux/{other}");
    let more = ["--platform", &platform];
    let built = common::finish(&mut build(daemon, "docker", &app, &more), LIMIT);
    if Path::new("/proc/sys/fs/binfmt_misc")
        .join(emulator)
        .exists()
    {
        built.expect_success(other);
        let said = daemon.docker(&["inspect", "-f", "{{.Architecture}}", "failing"]);
        assert_eq!(said.stdout.trim(), other);
    } else {
        assert_eq!(built.code(), 38, "{built}");
        assert!(built.stderr.contains("without emulation"), "{built}");
    }
    let both = ["--platform", "linux/amd64", "--platform", "linux/arm64"];
    let refused = common::finish(&mut build(daemon, "docker", &app, &both), LIMIT);
    assert_eq!(refused.code(), 2, "{refused}");
}
