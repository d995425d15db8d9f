//! Builds that are killed: nothing stays mounted or running, and the next build is good.

mod common;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

/// A phase that, the first time, says so and sleeps for `seconds`; its cache folder remembers that it did.
fn slow_app(seconds: &str) -> tempfile::TempDir {
    let text = format!(
        "[phases.build]\n\
         cacheDirectories = [\"/root/.cache/slow-{seconds}\"]\n\
         cmds = [\"\"\"cd /root/.cache/slow-{seconds}; \
         if ! [ -e before ]; then touch before; echo phase-is-running; sleep {seconds}; fi; \
         echo made > /app/made.txt\"\"\"]\n\
         [start]\ncmd = \"cat made.txt\"\n"
    );
    common::app_of(&[("start.sh", "#!/bin/sh\n"), ("nixpacks.toml", &text)])
}

fn mounts_of(cache: &Path) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let cache = cache.to_str().unwrap();
    mounts
        .lines()
        .filter(|line| line.contains(cache))
        .map(str::to_owned)
        .collect()
}

fn interrupt(signal: Signal) -> common::Output {
    let seconds = common::unique_seconds();
    let home = slow_app(&seconds);
    let app = home.path().join("app");
    // A base made by a first build, so that the phase is what is interrupted.
    common::build(&common::example("shell-script"), "interruption:base", &[]);

    let mut build = common::Running::start(
        common::packwright(["build", "--name", "interruption:slow"]).arg(&app),
    );
    build.wait_for_output("phase-is-running", Duration::from_secs(300));
    common::soon("the phase sleeps", || common::process_with(&seconds));
    build.signal(signal);
    let output = build.wait(Duration::from_secs(20));
    assert!(!output.status.success(), "{output}");

    common::soon("no process of the phase is left", || {
        !common::process_with(&seconds)
    });
    assert_eq!(mounts_of(&common::shared_cache()), Vec::<String>::new());

    let next = common::build(&app, "interruption:slow", &[]);
    assert_eq!(next.phases_run, 1);
    let run = common::finish(
        &mut common::packwright(["run", "interruption:slow"]),
        Duration::from_secs(60),
    );
    assert_eq!(run.expect_success("run").stdout.trim_end(), "made");
    output
}

#[test]
fn kill_9_in_a_phase_leaves_no_mount_no_process_and_a_good_cache() {
    interrupt(Signal::KILL);
}

#[test]
fn ctrl_c_in_a_phase_ends_it_and_says_so() {
    let output = interrupt(Signal::INT);
    assert!(!output.stderr.contains("panicked"), "{output}");
}

#[test]
fn kill_9_while_the_base_is_made_leaves_a_cache_that_the_next_build_uses() {
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let cache = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let app = common::example("shell-script");
    // Some moment of downloading, some moment of unpacking.
    for milliseconds in [700, 2500] {
        let mut command = common::packwright(["build", "--name", "interruption:base"]);
        let mut build =
            common::Running::start(command.arg(&app).env("PACKWRIGHT_CACHE_DIR", cache.path()));
        thread::sleep(Duration::from_millis(milliseconds));
        if !build.ended() {
            build.signal(Signal::KILL);
        }
        build.wait(Duration::from_secs(20));
        assert_eq!(mounts_of(cache.path()), Vec::<String>::new());
    }
    common::build_in(cache.path(), &app, "interruption:base", &[]);
}

#[test]
fn sigterm_to_run_ends_the_server() {
    common::build(&common::example("static-site"), "interruption:site", &[]);
    let server = common::Server::start(
        "interruption:site".as_ref(),
        &std::collections::BTreeMap::new(),
    );
    assert_eq!(server.ask("/").status, 200);
    server.stop();
}

#[test]
fn two_builds_of_one_app_at_once_give_one_digest() {
    let home = common::copy_of_example("shell-script");
    let app = home.path().join("app");
    fs::write(app.join("unique.txt"), common::unique_seconds()).unwrap();
    let digests: Vec<String> = thread::scope(|scope| {
        let builds: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| common::build(&app, "interruption:together", &[]).digest))
            .collect();
        builds
            .into_iter()
            .map(|build| build.join().unwrap())
            .collect()
    });
    assert!(
        digests.iter().all(|digest| *digest == digests[0]),
        "{digests:?}"
    );
}
