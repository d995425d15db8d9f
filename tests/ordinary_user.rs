//! Everything works without root: user namespaces and newuidmap are enough.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

const NAME: &str = "packwright-test";
/// There is one such user, so one test at a time.
static USER: Mutex<()> = Mutex::new(());

/// A user with a range of subordinate ids and a folder that holds the binary and an app.
struct User {
    home: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl User {
    /// None where this cannot be: without root (all the other tests run as an ordinary user then), without tools.
    fn create(app: &Path) -> Option<Self> {
        if !common::is_root() {
            eprintln!("SKIPPED: already an ordinary user");
            return None;
        }
        if !["useradd", "userdel", "runuser", "newuidmap"]
            .into_iter()
            .all(common::have)
        {
            return None;
        }
        let alone = USER
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // One that a killed test left is taken over.
        let _ = Command::new("userdel").arg(NAME).output();
        let home = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        run(Command::new("useradd")
            .args(["--no-create-home", "--home-dir"])
            .arg(home.path())
            .arg(NAME));
        let ranges = fs::read_to_string("/etc/subuid").unwrap();
        assert!(
            ranges.contains(NAME),
            "useradd gave no subordinate ids:\n{ranges}"
        );
        fs::copy(common::binary(), home.path().join("packwright")).unwrap();
        run(Command::new("cp")
            .arg("-a")
            .arg(app)
            .arg(home.path().join("app")));
        run(Command::new("chown").arg("-R").arg(NAME).arg(home.path()));
        Some(Self {
            home,
            _alone: alone,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn packwright(&self, arguments: &[&str]) -> Command {
        self.program("packwright", arguments)
    }

    /// A program of the user's folder.
    fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("runuser");
        command
            .args(["-u", NAME, "--"])
            .arg(self.path(name))
            .args(arguments);
        command
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("USER", NAME)
            .env("PACKWRIGHT_CACHE_DIR", self.path("cache"))
            .env_remove("XDG_RUNTIME_DIR");
        command
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = Command::new("userdel").arg(NAME).output();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn an_ordinary_user_builds_and_runs_and_gets_roots_digest() {
    let app = common::example("node-express");
    let Some(user) = User::create(&app) else {
        return;
    };
    let mut command = user.packwright(&["build", "app", "--name", "mine:test", "--json"]);
    let output = common::finish(&mut command, Duration::from_secs(600))
        .expect_success("build as an ordinary user");
    let build = common::Build::read(&output);
    assert_eq!(
        build.digest,
        common::build(&app, "ordinary:root", &[]).digest
    );

    let look = "node --version; id -u; cat /etc/shadow | head -1";
    let mut command = user.packwright(&["run", "mine:test", "--", "/bin/bash", "-c", look]);
    let output = common::finish(&mut command, Duration::from_secs(60))
        .expect_success("run as an ordinary user");
    assert!(output.stdout.contains("v22."), "{output}");

    let again = common::finish(
        &mut user.packwright(&["build", "app", "--json"]),
        Duration::from_secs(60),
    );
    assert_eq!(
        common::Build::read(&again.expect_success("second build")).phases_run,
        0
    );
}

#[test]
fn an_ordinary_user_takes_packages_from_nix_and_gets_roots_digest() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    // Nix gives each builder a terminal.
    let terminals = fs::metadata("/dev/ptmx").is_ok_and(|meta| meta.permissions().mode() & 6 == 6);
    if !terminals {
        eprintln!("SKIPPED: on this machine ordinary users cannot open /dev/ptmx");
        return;
    }
    let plan = "providers = []\n[phases.setup]\nnixPkgs = [\"which\"]\ncmds = [\"which which >found\"]\n\
        [start]\ncmd = \"cat found\"\n";
    let home = common::app_of(&[("nixpacks.toml", plan)]);
    let app = home.path().join("app");
    let Some(user) = User::create(&app) else {
        return;
    };
    // The tests' cache is root's alone; the large programs are not asked for.
    let copy = "mkdir set && cd \"$0\" && tar -cf - --exclude=files/go --exclude=files/node --exclude=files/npm \
        --exclude=files/gnu . | tar -C \"$OLDPWD/set\" -xf -";
    run(Command::new("sh")
        .args(["-ec", copy])
        .arg(set)
        .current_dir(user.home.path()));
    let build = |mut command: Command, app: &Path, set: &Path| {
        command
            .arg("build")
            .arg(app)
            .args(["--name", "nix:test", "--json", "--packages", "nix"])
            .arg("--nixpkgs")
            .arg(set)
            .env("NIX_CONFIG", "substituters =");
        let output = common::finish(&mut command, Duration::from_secs(300));
        common::Build::read(&output.expect_success("build with Nix")).digest
    };
    let own = build(user.packwright(&[]), &user.path("app"), &user.path("set"));
    assert_eq!(own, build(common::packwright([""; 0]), &app, set));
    let mut command = user.packwright(&["run", "nix:test"]);
    let output = common::finish(&mut command, Duration::from_secs(60)).expect_success("run");
    assert!(output.stdout.starts_with("/nix/store/"), "{output}");
}

#[test]
fn the_name_that_the_program_is_called_by_counts_for_an_ordinary_user_too() {
    let Some(user) = User::create(&common::example("shell-script")) else {
        return;
    };
    std::os::unix::fs::symlink("packwright", user.path("nixpacks")).unwrap();
    fs::create_dir(user.path("empty")).unwrap();
    let nixpacks = |arguments: &[&str]| {
        common::finish(
            &mut user.program("nixpacks", arguments),
            Duration::from_secs(300),
        )
    };
    // One code of failure, and flags before the verb.
    let refused = nixpacks(&["build", "empty"]);
    assert_eq!(refused.code(), 1, "{refused}");
    let arguments = [
        "--start-cmd",
        "echo other",
        "build",
        "app",
        "--name",
        "called",
        "--no-load",
    ];
    nixpacks(&arguments).expect_success("nixpacks build");
    let said = common::finish(&mut user.packwright(&["run", "called"]), common::QUICK);
    assert_eq!(said.expect_success("run").stdout, "other\n");
}

#[test]
fn a_folder_without_read_permission_is_named() {
    let Some(user) = User::create(&common::example("shell-script")) else {
        return;
    };
    fs::set_permissions(user.path("app"), fs::Permissions::from_mode(0o000)).unwrap();
    let output = common::finish(&mut user.packwright(&["build", "app"]), common::QUICK);
    assert!((20..30).contains(&output.code()), "{output}");
    assert!(
        output.stderr.contains("app") && output.stderr.contains("ermission denied"),
        "{output}"
    );
}

#[test]
fn a_file_without_read_permission_is_named() {
    let Some(user) = User::create(&common::example("shell-script")) else {
        return;
    };
    fs::set_permissions(
        user.path("app").join("names.txt"),
        fs::Permissions::from_mode(0o000),
    )
    .unwrap();
    let output = common::finish(
        &mut user.packwright(&["build", "app"]),
        Duration::from_secs(300),
    );
    assert!((20..70).contains(&output.code()), "{output}");
    assert!(output.stderr.contains("names.txt"), "{output}");
}

#[test]
fn without_subordinate_ids_the_remedy_is_said() {
    let Some(user) = User::create(&common::example("shell-script")) else {
        return;
    };
    run(Command::new("usermod").args([
        "--del-subuids",
        "1-4294967294",
        "--del-subgids",
        "1-4294967294",
        NAME,
    ]));
    let output = common::finish(
        &mut user.packwright(&["build", "app"]),
        Duration::from_secs(120),
    );
    assert!(!output.status.success(), "{output}");
    assert!(output.stderr.contains("subuid"), "{output}");
}
