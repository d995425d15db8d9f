//! What a second build does again, and what it gives: nothing needless, and the same bytes.

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn an_unchanged_build_runs_no_phase_and_a_changed_line_rewrites_the_app_layer_alone() {
    let home = common::copy_of_example("node-express");
    let (app, out) = (home.path().join("app"), home.path());
    let build = |name: &str| {
        let layout = format!("oci:{}", out.join(name).display());
        common::build(&app, "rebuilds:express", &["--output", &layout])
    };
    let first = build("first");

    let second = build("second");
    assert_eq!(
        (second.phases_run, second.layers_written),
        (0, 0),
        "{:?}",
        second.steps_run()
    );
    assert_eq!(second.digest, first.digest);

    let source = fs::read_to_string(app.join("server.js")).unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    fs::write(
        app.join("server.js"),
        source.replace("hello from Express", &format!("hello at {now}")),
    )
    .unwrap();
    let changed = build("changed");
    assert_eq!(changed.layers_written, 1, "{:?}", changed.steps_run());
    assert!(
        !changed
            .steps_run()
            .iter()
            .any(|step| step.contains("install")),
        "{:?}",
        changed.steps_run()
    );
    assert_eq!(
        different_layers(&out.join("first"), &out.join("changed")),
        1
    );

    fs::write(app.join("server.js"), source).unwrap();
    assert_eq!(build("reverted").digest, first.digest);
}

fn different_layers(one: &Path, other: &Path) -> usize {
    let (one, other) = (
        common::layers_of_layout(one),
        common::layers_of_layout(other),
    );
    assert_eq!(one.len(), other.len());
    one.iter()
        .zip(&other)
        .filter(|(one, other)| one != other)
        .count()
}

#[test]
fn the_source_files_times_do_not_matter() {
    let home = common::copy_of_example("shell-script");
    let app = home.path().join("app");
    let first = common::build(&app, "rebuilds:times", &[]);
    let hour_ago = SystemTime::now() - std::time::Duration::from_secs(3600);
    fs::File::open(app.join("names.txt"))
        .unwrap()
        .set_modified(hour_ago)
        .unwrap();
    assert_eq!(
        common::build(&app, "rebuilds:times", &[]).digest,
        first.digest
    );
}

#[test]
fn another_folder_and_another_name_give_the_same_digest() {
    let (one, other) = (
        common::copy_of_example("static-site"),
        common::copy_of_example("static-site"),
    );
    let first = common::build(&one.path().join("app"), "rebuilds:one", &[]);
    let second = common::build(&other.path().join("app"), "rebuilds:other", &[]);
    assert_eq!(first.digest, second.digest);
}

/// Two empty caches, filled in opposite orders: nothing of the way there may be in the image.
fn digests_of_fresh_caches(examples: &[&str]) {
    let caches = [fresh_cache(), fresh_cache()];
    let build = |cache: &tempfile::TempDir, name: &str| {
        common::build_in(
            cache.path(),
            &common::example(name),
            &format!("fresh-{name}:test"),
            &[],
        )
        .digest
    };
    let forward: Vec<String> = examples
        .iter()
        .map(|name| build(&caches[0], name))
        .collect();
    let mut backward: Vec<String> = examples
        .iter()
        .rev()
        .map(|name| build(&caches[1], name))
        .collect();
    backward.reverse();
    for ((name, one), other) in examples.iter().zip(&forward).zip(&backward) {
        assert_eq!(one, other, "{name}: two fresh caches, two digests");
    }
}

/// Beside the shared cache, which has the space, unlike a small /tmp.
fn fresh_cache() -> tempfile::TempDir {
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).unwrap();
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

#[test]
fn fresh_caches_give_the_same_static_and_shell_images() {
    digests_of_fresh_caches(&["static-site", "shell-script"]);
}

#[test]
fn fresh_caches_give_the_same_go_node_and_python_images() {
    if !common::test_all() {
        eprintln!("SKIPPED: needs TEST_ALL=1, since it fetches everything twice");
        return;
    }
    digests_of_fresh_caches(&[
        "go-http",
        "node-express",
        "python-flask",
        "python-fastapi-uv",
        "apt-packages",
    ]);
}

#[test]
fn what_a_later_phase_removes_is_in_no_layer_and_comes_back_when_it_stays() {
    let plan = |prune: &str| {
        format!(
            r#"providers = []
[phases.install]
cmds = ["mkdir -p deps/kept deps/dropped /opt/tool", "echo 1 > deps/kept/a", "head -c 3000000 /dev/urandom > deps/dropped/b", "cp deps/dropped/b /opt/tool/b", "cp deps/dropped/b deps/kept/old"]
onlyIncludeFiles = []
[phases.build]
dependsOn = ["install"]
cmds = ["{prune}", "cat deps/kept/* | wc -c"]
[start]
cmd = "ls deps deps/kept /opt; cat source.txt"
"#
        )
    };
    let remove = "rm -rf deps/dropped /opt/tool source.txt && rm -rf deps/kept && mkdir deps/kept && echo 2 > deps/kept/a";
    let home = common::app_of(&[("nixpacks.toml", &plan(remove)), ("source.txt", "here\n")]);
    let (app, out) = (home.path().join("app"), home.path());
    let build = |name: &str| {
        let layout = out.join(name);
        let build = common::build(
            &app,
            "rebuilds:removals",
            &["--output", &format!("oci:{}", layout.display())],
        );
        let names: Vec<String> = common::layers_of_layout(&layout)
            .iter()
            .flat_map(|digest| common::names_in_layer(&common::blob(&layout, digest)))
            .collect();
        (build, names)
    };
    let run = || {
        let mut run = common::packwright(["run", "rebuilds:removals"]);
        common::finish(&mut run, Duration::from_secs(60)).stdout
    };
    let (small, names) = build("pruned");
    for gone in [
        "app/deps/dropped",
        "opt/tool",
        "app/source.txt",
        "kept/old",
        ".wh.",
    ] {
        assert!(
            !names.iter().any(|name| name.contains(gone)),
            "{gone} is there"
        );
    }
    assert!(names.iter().any(|name| name == "app/deps/kept/a"));
    assert_eq!(run(), "/opt:\n\ndeps:\nkept\n\ndeps/kept:\na\n");

    fs::write(app.join("nixpacks.toml"), plan("true")).unwrap();
    let (whole, names) = build("whole");
    assert!(names.iter().any(|name| name == "app/deps/dropped/b"));
    assert!(whole.size > small.size + 5_000_000);
    assert!(run().ends_with("here\n"));
}
