//! What cannot be built is refused at once, by name, with the exit code of its band.
//!
//! Bands: 2 usage, 20s detect and plan, 30s environment, 50s a phase, 60s image, 70s destination.

mod common;

use std::fs;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::Output;

const PLAN: Range<i32> = 20..30;
const ENVIRONMENT: Range<i32> = 30..40;
const PHASE: Range<i32> = 50..60;
const IMAGE: Range<i32> = 60..70;
const DESTINATION: Range<i32> = 70..75;

/// The verb fails in the band, says each text, says no panic, and prints nothing on standard output.
#[track_caller]
fn refused(output: &Output, band: &Range<i32>, says: &[&str]) {
    assert!(band.contains(&output.code()), "not in {band:?}\n{output}");
    for text in says {
        assert!(
            output.stderr.contains(text),
            "{text:?} is not said\n{output}"
        );
    }
    assert!(output.stderr.contains("error"), "no error\n{output}");
    assert!(!output.stderr.contains("panicked"), "{output}");
}

/// `plan`, `detect`-like verbs and `build` have to agree on what they refuse, and none may take long.
#[track_caller]
fn cannot_be_planned(app: &Path, says: &[&str]) {
    for verb in ["plan", "build"] {
        let output = common::finish(common::packwright([verb]).arg(app), common::QUICK);
        refused(&output, &PLAN, says);
        assert_eq!(output.stdout, "", "{verb}");
    }
}

#[track_caller]
fn build(app: &Path) -> Output {
    common::finish(
        common::packwright(["build", "--name", "bad:input"]).arg(app),
        Duration::from_secs(300),
    )
}

#[test]
fn an_unknown_flag_and_a_missing_folder_name_are_usage_errors() {
    for args in [
        &["build", "--no-such-flag", "."][..],
        &["no-such-verb"],
        &["plan", ".", "-f", "yaml"],
    ] {
        let output = common::finish(&mut common::packwright(args), common::QUICK);
        assert_eq!(output.code(), 2, "{args:?}\n{output}");
    }
}

#[test]
fn a_bad_image_name_is_refused_before_any_work() {
    let app = common::example("shell-script");
    let output = common::finish(
        common::packwright(["build", "--name", "No Such/NAME"]).arg(app),
        common::QUICK,
    );
    assert!(
        output.code() == 2 || IMAGE.contains(&output.code()),
        "{output}"
    );
    assert!(output.stderr.contains("No Such/NAME"), "{output}");
}

#[test]
fn a_folder_that_does_not_exist_is_named() {
    let home = tempfile::tempdir().unwrap();
    let output = build(&home.path().join("nowhere"));
    assert!(
        output.code() == 2 || PLAN.contains(&output.code()),
        "{output}"
    );
    assert!(output.stderr.contains("nowhere"), "{output}");
}

#[test]
fn an_empty_folder_has_nothing_to_build() {
    let home = common::app_of(&[]);
    let output = build(&home.path().join("app"));
    refused(&output, &PLAN, &[]);
}

#[test]
fn a_malformed_package_json_is_named_with_the_line() {
    let home = common::app_of(&[(
        "package.json",
        "{\n  \"name\": \"x\",\n  \"scripts\": { \"start\": }\n}\n",
    )]);
    cannot_be_planned(&home.path().join("app"), &["package.json", "3"]);
}

#[test]
fn a_wrong_type_in_nixpacks_toml_is_named_with_line_and_key() {
    let text = "[phases.build]\ncmds = 3\n";
    let home = common::app_of(&[("start.sh", "#!/bin/sh\n"), ("nixpacks.toml", text)]);
    cannot_be_planned(&home.path().join("app"), &["nixpacks.toml", "cmds", "2"]);
}

#[test]
fn an_unknown_key_is_warned_of_with_what_was_meant() {
    let home = common::app_of(&[
        ("start.sh", "#!/bin/sh\necho hi\n"),
        ("nixpacks.toml", "[strat]\ncmd = \"x\"\n"),
    ]);
    let output = common::finish(
        common::packwright(["plan"]).arg(home.path().join("app")),
        common::QUICK,
    );
    let output = output.expect_success("plan");
    assert!(
        output.stderr.contains("strat") && output.stderr.contains("start"),
        "{output}"
    );
    serde_json::from_str::<serde_json::Value>(&output.stdout)
        .expect("JSON alone on standard output");
}

#[test]
fn a_cycle_in_depends_on_names_its_members() {
    let text = "[phases.one]\ndependsOn = [\"two\"]\ncmds = [\"true\"]\n[phases.two]\ndependsOn = [\"one\"]\ncmds = [\"true\"]\n";
    let home = common::app_of(&[("start.sh", "#!/bin/sh\n"), ("nixpacks.toml", text)]);
    refused(&build(&home.path().join("app")), &PLAN, &["one", "two"]);
}

#[test]
fn a_phase_that_nothing_defines_is_named() {
    let text = "[phases.build]\ndependsOn = [\"instal\"]\ncmds = [\"true\"]\n";
    let home = common::app_of(&[("start.sh", "#!/bin/sh\n"), ("nixpacks.toml", text)]);
    refused(&build(&home.path().join("app")), &PLAN, &["instal"]);
}

#[test]
fn a_manifest_that_is_a_fifo_is_refused_at_once() {
    let home = common::app_of(&[]);
    let app = home.path().join("app");
    assert!(
        Command::new("mkfifo")
            .arg(app.join("package.json"))
            .status()
            .unwrap()
            .success()
    );
    cannot_be_planned(&app, &["package.json"]);
}

#[test]
fn a_manifest_that_is_a_device_is_refused_at_once() {
    if !common::is_root() {
        return common::skip("only root makes devices");
    }
    let home = common::app_of(&[]);
    let app = home.path().join("app");
    let made = Command::new("mknod")
        .arg(app.join("requirements.txt"))
        .args(["c", "1", "5"])
        .status()
        .unwrap();
    assert!(made.success());
    cannot_be_planned(&app, &["requirements.txt"]);
}

#[test]
fn a_manifest_that_leads_out_of_the_folder_is_refused() {
    let home = common::app_of(&[]);
    let app = home.path().join("app");
    fs::write(home.path().join("package.json"), "{\"name\":\"outside\"}").unwrap();
    symlink("../package.json", app.join("package.json")).unwrap();
    cannot_be_planned(&app, &["package.json"]);

    fs::remove_file(app.join("package.json")).unwrap();
    symlink("/etc/passwd", app.join("nixpacks.toml")).unwrap();
    cannot_be_planned(&app, &["nixpacks.toml"]);
}

#[test]
fn a_folder_of_an_export_that_leads_elsewhere_is_refused_and_nothing_there_is_touched() {
    for link in [".nixpacks", ".nixpacks/environment"] {
        let home = common::copy_of_example("shell-script");
        let app = home.path().join("app");
        let elsewhere = home.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("precious"), "kept").unwrap();
        let link = app.join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&elsewhere, &link).unwrap();
        let mut command = common::packwright(["build"]);
        command.arg(&app).arg("--out").arg(&app);
        let output = common::finish(&mut command, Duration::from_secs(120));
        refused(&output, &(1..100), &["symbolic link"]);
        let left: Vec<_> = fs::read_dir(&elsewhere).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

#[test]
fn flags_that_only_a_daemon_obeys_are_refused_by_the_sandbox() {
    let app = common::example("shell-script");
    let mut command = common::packwright(["build"]);
    command.arg(&app).args(["--engine", "native", "--push"]);
    let output = common::finish(&mut command, common::QUICK);
    refused(&output, &(2..40), &["--push"]);
}

#[test]
fn tls_without_certificates_is_refused_instead_of_speaking_in_the_clear() {
    let app = common::example("shell-script");
    let mut command = common::packwright(["build"]);
    command
        .arg(&app)
        .args(["--engine", "docker", "--docker-host", "tcp://127.0.0.1:9"])
        .args(["--docker-tls-verify", "1"])
        .env("HOME", "/nonexistent")
        .env_remove("DOCKER_CERT_PATH");
    let output = common::finish(&mut command, common::QUICK);
    refused(&output, &(2..40), &["certificates"]);
}

#[test]
fn a_manifest_of_two_gigabytes_is_refused_at_once() {
    let home = common::app_of(&[("package.json", "{")]);
    let app = home.path().join("app");
    fs::File::options()
        .write(true)
        .open(app.join("package.json"))
        .unwrap()
        .set_len(2 << 30)
        .unwrap();
    cannot_be_planned(&app, &["package.json"]);
}

#[test]
fn a_manifest_that_is_not_utf8_is_refused() {
    let home = common::app_of(&[]);
    let app = home.path().join("app");
    fs::write(app.join("package.json"), b"{\"name\": \"caf\xe9\"}").unwrap();
    cannot_be_planned(&app, &["package.json", "UTF-8"]);
}

#[test]
fn a_failing_command_shows_phase_command_last_lines_and_code() {
    let text = "[phases.build]\ncmds = [\"echo about-to-fail; exit 7\"]\n[start]\ncmd = \"true\"\n";
    let home = common::app_of(&[("start.sh", "#!/bin/sh\n"), ("nixpacks.toml", text)]);
    let output = build(&home.path().join("app"));
    refused(&output, &PHASE, &["build", "exit 7", "about-to-fail", "7"]);
}

#[test]
fn a_smoke_test_that_fails_fails_the_build() {
    let text = "[hooks]\npostPackage = [\"test -e /app/missing-file\"]\n[start]\ncmd = \"true\"\n";
    let home = common::app_of(&[("start.sh", "#!/bin/sh\n"), ("nixpacks.toml", text)]);
    let output = build(&home.path().join("app"));
    assert!((50..70).contains(&output.code()), "{output}");
    assert!(
        output.stderr.contains("postPackage") && output.stderr.contains("missing-file"),
        "{output}"
    );
}

#[test]
fn an_unknown_apt_package_is_named() {
    let text = "[phases.setup]\naptPkgs = [\"fliget-no-such\"]\n[start]\ncmd = \"true\"\n";
    let home = common::app_of(&[("start.sh", "#!/bin/sh\n"), ("nixpacks.toml", text)]);
    refused(
        &build(&home.path().join("app")),
        &ENVIRONMENT,
        &["fliget-no-such"],
    );
}

#[test]
fn a_start_command_that_does_not_exist_ends_with_127_and_its_name() {
    let home = common::app_of(&[
        ("start.sh", "#!/bin/sh\n"),
        (
            "nixpacks.toml",
            "[start]\ncmd = \"no-such-program --now\"\n",
        ),
    ]);
    let app = home.path().join("app");
    let output = common::finish(
        common::packwright(["run"]).arg(&app),
        Duration::from_secs(300),
    );
    assert_eq!(output.code(), 127, "{output}");
    assert!(output.stderr.contains("no-such-program"), "{output}");
}

/// Runs packwright with a tiny file system at `full`, in a mount namespace that ends with it.
fn with_a_full_disk(full: &Path, size: &str, arguments: &[&str], cache: &Path) -> Output {
    let script = "mount -t tmpfs -o size=$1 none \"$2\" || exit 99; full=$2; shift 2; \"$@\"; code=$?; \
                  echo \"left: $(find \"$full\" -type f -size +0 -not -path '*/cache/*' | tr '\\n' ' ')\" >&2; exit $code";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh", size])
        .arg(full)
        .arg(common::binary())
        .args(arguments);
    common::finish(
        command.env("PACKWRIGHT_CACHE_DIR", cache),
        Duration::from_secs(300),
    )
}

#[test]
fn a_full_disk_under_the_cache_is_an_environment_error() {
    if !common::is_root() {
        return common::skip("only root mounts a small tmpfs");
    }
    let full = tempfile::tempdir().unwrap();
    let app = common::example("shell-script");
    let output = with_a_full_disk(
        full.path(),
        "6m",
        &["build", app.to_str().unwrap()],
        &full.path().join("cache"),
    );
    refused(&output, &ENVIRONMENT, &["No space left on device"]);
}

#[test]
fn a_full_disk_under_the_archive_is_a_destination_error_and_leaves_nothing() {
    if !common::is_root() {
        return common::skip("only root mounts a small tmpfs");
    }
    let full = tempfile::tempdir().unwrap();
    let app = common::example("shell-script");
    let archive = format!("oci-archive:{}", full.path().join("image.tar").display());
    let arguments = ["build", app.to_str().unwrap(), "--output", &archive];
    let output = with_a_full_disk(full.path(), "1m", &arguments, &common::shared_cache());
    refused(
        &output,
        &DESTINATION,
        &["No space left on device", "left: \n"],
    );
}
