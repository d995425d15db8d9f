//! `plan` and `detect` as programs use them: pure, stable, and small whatever the repository's size.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

fn plan(app: &Path, arguments: &[&str]) -> String {
    let mut command = common::packwright(["plan"]);
    let output = common::finish(command.arg(app).args(arguments), common::QUICK);
    output
        .expect_success(&format!("plan {}", app.display()))
        .stdout
}

fn names_of_examples() -> Vec<String> {
    let folders = fs::read_dir(common::repository().join("examples")).unwrap();
    let mut names: Vec<String> = folders
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_plan_given_back_as_config_comes_out_byte_for_byte() {
    for name in names_of_examples() {
        let home = common::copy_of_example(&name);
        let app = home.path().join("app");
        for format in ["json", "toml"] {
            let first = plan(&app, &["-f", format]);
            let file = format!("plan.{format}");
            fs::write(app.join(&file), &first).unwrap();
            let second = plan(&app, &["-f", format, "--config", &file]);
            assert_eq!(first, second, "{name} as {format}");
            fs::remove_file(app.join(&file)).unwrap();
        }
    }
}

#[test]
fn every_plan_is_json_with_phases_and_a_start_command() {
    for name in names_of_examples() {
        let text = plan(&common::example(&name), &[]);
        let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(plan["phases"].is_object(), "{name}: {text}");
        assert!(plan["start"]["cmd"].is_string(), "{name}: {text}");
    }
}

#[test]
fn a_credential_is_warned_of_on_standard_error_without_its_value() {
    let mut command =
        common::packwright(["plan", "--env", "DB_PASSWORD=hunter2", "--env", "PORT=1"]);
    let output = common::finish(command.arg(common::example("shell-script")), common::QUICK);
    let output = output.expect_success("plan");
    assert!(
        output
            .stderr
            .contains("DB_PASSWORD looks like a credential"),
        "{output}"
    );
    assert!(
        !output.stderr.contains("hunter2") && !output.stderr.contains("PORT"),
        "{output}"
    );
    serde_json::from_str::<serde_json::Value>(&output.stdout).unwrap();
}

#[test]
fn prepare_writes_a_plan_and_what_was_found_and_values_nowhere() {
    let home = common::copy_of_example("railpack-json");
    let file = |name: &str| home.path().join("out").join(name);
    let prepare = |app: &Path| {
        let mut command = common::packwright(["prepare", "--env", "NPM_TOKEN=hunter2"]);
        command.arg("--plan-out").arg(file("plan.json"));
        command.arg("--info-out").arg(file("info.json")).arg(app);
        common::finish(&mut command, common::QUICK)
    };
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(file(name)).unwrap()).unwrap()
    };
    let output = prepare(&home.path().join("app")).expect_success("prepare");
    let (plan, info) = (read("plan.json"), read("info.json"));
    assert!(
        !format!("{output}{plan}{info}").contains("hunter2"),
        "{output}"
    );
    assert_eq!(plan["phases"]["install"]["secrets"][0], "NPM_TOKEN");
    assert_eq!(info["success"], true);
    assert_eq!(info["detectedProviders"][0], "node");
    assert_eq!(info["resolvedPackages"]["nodejs"]["requestedVersion"], "24");
    fs::remove_file(file("plan.json")).unwrap();
    fs::create_dir(home.path().join("empty")).unwrap();
    assert_eq!(prepare(&home.path().join("empty")).code(), 22);
    assert_eq!(read("info.json")["success"], false);
    assert!(!file("plan.json").exists());
}

#[test]
fn detect_names_what_plan_uses() {
    for (name, language) in [
        ("node-express", "node"),
        ("python-flask", "python"),
        ("go-http", "go"),
        ("static-site", "staticfile"),
        ("shell-script", "shell"),
    ] {
        let mut command = common::packwright(["detect"]);
        let output = common::finish(command.arg(common::example(name)), common::QUICK);
        let output = output.expect_success("detect");
        assert_eq!(output.stdout.trim_end(), language, "{name}");
    }
}

#[test]
fn explain_names_the_file_that_chose_the_version() {
    let mut command = common::packwright(["explain"]);
    let output = common::finish(command.arg(common::example("node-express")), common::QUICK);
    let output = output.expect_success("explain");
    assert!(output.stdout.contains("package.json"), "{output}");
    assert!(output.stdout.contains("engines"), "{output}");
}

#[test]
fn a_plan_needs_no_network_and_no_cache() {
    if !common::is_root() {
        return common::skip("only root takes the network away");
    }
    let home = tempfile::tempdir().unwrap();
    let app = common::example("node-express");
    let mut command = Command::new("unshare");
    command
        .arg("--net")
        .arg(common::binary())
        .arg("plan")
        .arg(&app);
    command.env("PACKWRIGHT_CACHE_DIR", home.path().join("cache"));
    let output = common::finish(&mut command, common::QUICK).expect_success("plan without network");
    assert_eq!(output.stdout, plan(&app, &[]));
    assert!(!home.path().join("cache").exists(), "plan wrote a cache");
}

#[test]
fn a_plan_of_a_hundred_thousand_files_stays_under_30_mib() {
    if !common::have("time") {
        return;
    }
    let home = common::app_of(&[(
        "package.json",
        r#"{ "workspaces": ["packages/*"], "scripts": { "start": "node x.js" } }"#,
    )]);
    let app = home.path().join("app");
    for package in 0..500 {
        let folder = app.join(format!("packages/part-{package}/src"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("../package.json"),
            format!(r#"{{ "name": "part-{package}" }}"#),
        )
        .unwrap();
        for module in 0..200 {
            fs::write(folder.join(format!("module-{module}.js")), "").unwrap();
        }
    }
    let report = home.path().join("memory");
    let mut command = Command::new("/usr/bin/time");
    command
        .args(["-f", "%M", "-o"])
        .arg(&report)
        .arg(common::binary())
        .arg("plan")
        .arg(&app);
    common::finish(&mut command, common::QUICK).expect_success("plan");
    let kib: u64 = fs::read_to_string(report).unwrap().trim().parse().unwrap();
    assert!(kib < 30 * 1024, "{kib} KiB");
}
