//! What is written beside an app: `--out`, `--current-dir` and `prepare`, which leave the app's image as it was, and are
//! there as a whole or not at all.

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::daemon::{Daemon, LIMIT};
use rustix::process::Signal;

/// Length and name of every file below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                waiting.push(entry.path());
            } else {
                found.insert(entry.path(), meta.len());
            }
        }
    }
    found
}

#[test]
fn files_of_exports_and_of_prepare_are_no_source() {
    let home = common::app_of(&[("start.sh", "echo hello")]);
    let app = home.path().join("app");
    let build = || common::build(&app, "out:source", &["--engine", "native"]);
    let before = build();
    let plan = app.join(".railpack/plan.json");
    let mut prepare = common::packwright(["prepare"]);
    prepare.arg(&app).args([
        "--plan-out",
        plan.to_str().unwrap(),
        "--info-out",
        app.join(".railpack/info.json").to_str().unwrap(),
    ]);
    common::finish(&mut prepare, LIMIT).expect_success("prepare");
    let mut out = common::packwright(["build", "--out"]);
    out.arg(&app).arg(&app);
    common::finish(&mut out, LIMIT).expect_success("out");
    assert!(plan.exists() && app.join(".nixpacks/Dockerfile").exists());
    let after = build();
    assert_eq!(after.digest, before.digest);
    assert_eq!(after.steps_run(), Vec::<String>::new());
    // What is there can be used all the same.
    let given = common::finish(
        common::packwright(["plan", "--config", ".railpack/plan.json"]).arg(&app),
        common::QUICK,
    );
    let given = given.expect_success("plan");
    assert_eq!(given.stdout, fs::read_to_string(&plan).unwrap());
}

#[test]
fn a_build_that_also_writes_its_files_plans_once_and_makes_the_same_image() {
    let home = common::app_of(&[("start.sh", "echo hello")]);
    let app = home.path().join("app");
    let alone = common::build(&app, "out:alone", &["--engine", "native"]);
    let mut command = common::packwright(["build", "--name", "out:both", "--engine", "native"]);
    command.arg(&app).arg("--current-dir");
    let both = common::finish(&mut command, LIMIT).expect_success("both");
    assert!(both.stdout.contains(&alone.digest), "{both}");
    assert!(app.join(".nixpacks/Dockerfile").exists());
    for once in ["provider: ", "start: ", "packages: "] {
        assert_eq!(both.stderr.matches(once).count(), 1, "{once}\n{both}");
    }
}

#[test]
fn an_export_that_a_signal_ends_leaves_nothing() {
    let home = common::app_of(&[("start.sh", "echo hello")]);
    let out = home.path().join("out");
    let command = || {
        let mut command = common::packwright(["build", "--out"]);
        command.arg(&out).arg(home.path().join("app"));
        command
    };
    // What it needs is in the cache afterwards.
    common::finish(&mut command(), LIMIT).expect_success("first");
    let whole = files(&out);
    assert!(whole.len() > 5, "{whole:?}");
    let mut interrupted = 0;
    for _ in 0..20 {
        fs::remove_dir_all(&out).unwrap();
        let mut writing = common::Running::start(&mut command());
        while !out.join(".nixpacks").exists() && !writing.ended() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if !writing.ended() {
            writing.signal(Signal::INT);
        }
        let ended = writing.wait(LIMIT);
        if ended.status.success() {
            assert_eq!(files(&out), whole);
            continue;
        }
        assert_eq!(ended.code(), 130, "{ended}");
        assert!(!out.exists(), "{:?}", files(&out));
        interrupted += 1;
        fs::create_dir(&out).unwrap();
    }
    assert!(interrupted > 0);
    // One that is there stays as it was.
    common::finish(&mut command(), LIMIT).expect_success("again");
    assert_eq!(files(&out), whole);
}

#[test]
fn names_that_rules_cannot_say_are_refused_and_all_others_are_left_out() {
    let odd = [
        &b" leading"[..],
        b"trailing ",
        b"tab\t",
        b"Icon\r",
        b"line\nbreak",
        b"not \xff",
        b"#a",
        b"!b",
        b"[c]*",
        b"back\\slash",
    ];
    let rules = "*\n!c\n!start.sh\n";
    let home = common::app_of(&[("start.sh", "ls"), ("c", ""), (".gitignore", rules)]);
    let app = home.path().join("app");
    for name in odd {
        fs::write(app.join(OsStr::from_bytes(name)), "odd").unwrap();
    }
    let export = || {
        let mut out = common::packwright(["build", "--out"]);
        common::finish(out.arg(&app).arg(&app), LIMIT)
    };
    export().expect_success("out");
    if let Some(daemon) = Daemon::lock() {
        let daemon = daemon.as_ref().unwrap();
        let file = app.join(".nixpacks/Dockerfile");
        let (file, app) = (file.to_str().unwrap(), app.to_str().unwrap());
        daemon.docker(&[
            "build",
            "-q",
            "--network",
            "host",
            "-f",
            file,
            "-t",
            "odd",
            app,
        ]);
        assert_eq!(daemon.run("odd", &[]), "c\nstart.sh\n");
    }
    fs::write(app.join("Icon1"), "").unwrap();
    fs::write(app.join(".gitignore"), "*\n!c\n!start.sh\n!Icon1\n").unwrap();
    let refused = export();
    assert_eq!(refused.code(), 21, "{refused}");
    assert!(
        refused.stderr.contains("rename it, or remove it"),
        "{refused}"
    );
}

/// The machine that an ELF program is for, by its header; the first one of a name in an archive.
fn machine_of(archive: &Path, name: &str) -> Option<u16> {
    let archive = flate2::read::GzDecoder::new(fs::File::open(archive).unwrap());
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with(name) && entry.size() > 20 {
            let mut header = [0; 20];
            entry.read_exact(&mut header).unwrap();
            return Some(u16::from_le_bytes([header[18], header[19]]));
        }
    }
    None
}

#[test]
fn an_export_for_a_machine_has_programs_for_it() {
    let home = common::app_of(&[("start.sh", "echo hello")]);
    // EM_X86_64 and EM_AARCH64.
    for (platform, machine) in [("linux/amd64", 62), ("linux/arm64", 183)] {
        let out = home.path().join(platform);
        let mut command = common::packwright(["build", "--platform", platform, "--out"]);
        command.arg(&out).arg(home.path().join("app"));
        common::finish(&mut command, LIMIT).expect_success(platform);
        let script = fs::read_to_string(out.join(".nixpacks/build.sh")).unwrap();
        assert!(
            script.contains(&format!("--platform {platform} ")),
            "{script}"
        );
        let archives = files(&out.join(".nixpacks/environment"));
        let machines = archives
            .keys()
            .map(|archive| machine_of(archive, "bin/bash"));
        let machines: Vec<u16> = machines.flatten().collect();
        assert!(
            machines.len() > 1 && machines.iter().all(|found| *found == machine),
            "{machines:?}"
        );
    }
}
