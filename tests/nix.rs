//! Environments by real Nix, from the small package set in `tests/nixpkgs/`: images, layers, locks, shells, errors.
//!
//! Nix fetches nothing here. Its store is the one below the shared cache, so that packages are made once.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::Build;
use common::nix::{app, archive_of, build, packwright, refused, run};
use rustix::process::Signal;

/// What an image may have beside the app and the store.
const LINKS: [&str; 33] = [
    "bin",
    "bin/bash",
    "bin/sh",
    "dev",
    "etc",
    "etc/group",
    "etc/nsswitch.conf",
    "etc/passwd",
    "etc/pki",
    "etc/pki/tls",
    "etc/pki/tls/certs",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl",
    "etc/ssl/certs",
    "etc/ssl/certs/ca-bundle.crt",
    "etc/ssl/certs/ca-certificates.crt",
    "opt",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
    "usr/bin/env",
    "var",
    "var/empty",
    "var/tmp",
    "lib64",
    "lib64/ld-linux-x86-64.so.2",
    "lib",
    "lib/ld-linux-aarch64.so.1",
    "nix",
];

fn names(layout: &Path) -> Vec<String> {
    let layers = common::layers_of_layout(layout);
    layers
        .iter()
        .flat_map(|digest| common::names_in_layer(&common::blob(layout, digest)))
        .collect()
}

/// The bytes of a store path's closure, in Nix's own form.
fn closure_size(path: &str) -> u64 {
    let store = common::shared_cache().join("v1/nix-store");
    let query = |args: &[&str], paths: &[String]| {
        let mut command = Command::new("nix-store");
        command
            .arg("--store")
            .arg(&store)
            .arg("--query")
            .args(args)
            .args(paths);
        common::finish(&mut command, common::QUICK)
            .expect_success("nix-store")
            .stdout
    };
    let paths: Vec<String> = query(&["--requisites"], &[path.to_owned()])
        .lines()
        .map(str::to_owned)
        .collect();
    query(&["--size"], &paths)
        .lines()
        .map(|size| size.parse::<u64>().unwrap())
        .sum()
}

/// Outside the store and the app there are links, accounts and empty folders.
#[track_caller]
fn expect_links_alone(names: &[String]) {
    let allowed = |name: &&String| {
        let name = name.trim_end_matches('/');
        let below = |folder: &str| {
            name.strip_prefix(folder)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        LINKS.contains(&name) || below("nix/store") || below("app")
    };
    let strange: Vec<&String> = names.iter().filter(|name| !allowed(name)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

fn ask(image: &str, path: &str, text: &str) {
    let mut server = common::Server::start(image.as_ref(), &BTreeMap::new());
    let answer = server.ask(path);
    assert!(
        answer.status == 200 && answer.body.contains(text),
        "{}: {}",
        answer.status,
        answer.body
    );
    server.wait_for_url();
    server.stop();
}

#[test]
fn the_express_image_has_node_the_app_and_links_and_little_more() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let layout = out.path().join("express");
    let built = build(
        set,
        &common::example("node-express"),
        "nix-express:test",
        &layout,
        &[],
    );
    ask("nix-express:test", "/", "Hello from express");

    let names = names(&layout);
    expect_links_alone(&names);
    let node = names
        .iter()
        .find(|name| name.ends_with("/bin/node") && name.contains("-nodejs-"))
        .unwrap();
    let node = format!("/{}", node.trim_end_matches("/bin/node"));
    let layers = common::manifest_of_layout(&layout)["layers"]
        .as_array()
        .unwrap()
        .len();
    // The app's two layers: its dependencies and its files.
    let app: u64 = (layers - 2..layers)
        .map(|number| {
            let digest = &common::layers_of_layout(&layout)[number];
            let file = fs::File::open(common::blob(&layout, digest)).unwrap();
            std::io::copy(
                &mut flate2::read::MultiGzDecoder::new(file),
                &mut std::io::sink(),
            )
            .unwrap()
        })
        .sum();
    let most = (closure_size(&node) + app) * 11 / 10;
    assert!(
        built.unpacked_size <= most,
        "{} bytes unpacked, {most} are allowed",
        built.unpacked_size
    );
}

#[test]
fn a_go_program_is_built_and_its_image_has_no_go() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    build(
        set,
        &common::example("go-http"),
        "nix-go:test",
        &out.path().join("go"),
        &[],
    );
    ask("nix-go:test", "/quotes/2", "Errors are values.");
    let names = names(&out.path().join("go"));
    expect_links_alone(&names);
    assert!(
        !names
            .iter()
            .any(|name| name.contains("-go-1") || name.ends_with("/gofmt"))
    );
}

#[test]
fn flask_runs_and_a_wheel_that_was_built_elsewhere_finds_the_c_plus_plus_library() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let version = version_of(set, "python", "PYTHON");
    let layout = out.path().join("flask");
    build(
        set,
        &common::example("python-flask"),
        "nix-flask:test",
        &layout,
        &["-e", &version],
    );
    ask("nix-flask:test", "/?name=grace", "hello grace from Flask");
    let outside = names(&layout).into_iter();
    // Where the virtual environment is.
    let outside = outside.filter(|name| !name.starts_with("opt/venv"));
    expect_links_alone(&outside.collect::<Vec<_>>());

    // Written in C++, as NumPy is, and small.
    let home = common::app_of(&[
        ("requirements.txt", "greenlet\n"),
        // As above: Debian's loader does not look beside itself.
        ("nixpacks.toml", "[phases.setup]\nnixLibs = [\"glibc\"]\n"),
        (
            "main.py",
            "import greenlet\nprint('greenlet', greenlet.__version__)\n",
        ),
    ]);
    let app = home.path().join("app");
    build(
        set,
        &app,
        "nix-wheel:test",
        &out.path().join("wheel"),
        &["-e", &version],
    );
    let output = run(&mut common::packwright(["run", "nix-wheel:test"])).expect_success("run");
    assert!(output.stdout.starts_with("greenlet "), "{output}");
}

#[test]
fn programs_and_libraries_that_npm_brings_run() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    // A program in Go, and a library in C++ with some of its own.
    let home = common::app_of(&[
        (
            "package.json",
            r#"{ "private": true, "scripts": { "start": "node index.js" }, "dependencies": { "esbuild": "^0.25.0", "sharp": "^0.34.0" } }"#,
        ),
        (
            "index.js",
            "const { transformSync } = require('esbuild');\n\
             const red = { create: { width: 8, height: 8, channels: 3, background: 'red' } };\n\
             require('sharp')(red).png().toBuffer().then((png) =>\n\
                 console.log(png.toString('latin1', 1, 4), transformSync('let x: number = 1', { loader: 'ts' }).code));\n",
        ),
        // As with Python: Debian's loader does not look beside itself. The set has no compiler.
        (
            "nixpacks.toml",
            "[phases.setup]\nnixPkgs = [\"nodejs\"]\nnixLibs = [\"glibc\"]\n",
        ),
    ]);
    let (app, layout) = (home.path().join("app"), home.path().join("layout"));
    build(set, &app, "nix-npm:test", &layout, &[]);
    let output = run(&mut common::packwright(["run", "nix-npm:test"])).expect_success("run");
    assert!(output.stdout.contains("PNG let x = 1;"), "{output}");
}

/// `NIXPACKS_NAME_VERSION=` with the major and minor version that the set has of a program.
fn version_of(set: &Path, program: &str, name: &str) -> String {
    let version = fs::read_to_string(set.join("files").join(program).join("version")).unwrap();
    let numbers: Vec<&str> = version.trim().split('.').take(2).collect();
    format!("NIXPACKS_{name}_VERSION={}", numbers.join("."))
}

#[test]
fn php_is_served_with_its_extensions_and_the_apps_settings() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let home = common::copy_of_example("php-composer-autoload");
    let app = home.path().join("app");
    fs::write(app.join("php.ini"), "memory_limit = 77M\n").unwrap();
    let script =
        "<?php echo ini_get('memory_limit'), ' ', extension_loaded('intl') ? 'intl' : 'none';";
    fs::write(app.join("public/settings.php"), script).unwrap();
    let version = version_of(set, "php", "PHP");
    let layout = home.path().join("layout");
    // Debian's PHP, of which the set's is made, has no time zones of its own.
    let more = ["-e", &version, "--pkgs", "tzdata"];
    build(set, &app, "nix-php:test", &layout, &more);
    ask(
        "nix-php:test",
        "/",
        "hello world, five letters, made by a script",
    );
    ask("nix-php:test", "/settings.php", "77M intl");
    let names = names(&layout);
    assert!(names.iter().any(|name| name == "etc/nginx"));
    // Composer and the extensions that nothing asks for are not in the image.
    assert!(!names.iter().any(|name| name.contains("-composer-")));

    let lacking = ["-e", &version, "-e", "NIXPACKS_PHP_EXTENSIONS=redis"];
    let (code, said) = refused(set, &app, &lacking);
    assert!(code == 31 && said.contains(" is called redis"), "{said}");
}

#[test]
fn what_programs_expect_outside_the_store_is_linked() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let home = app(
        "nixPkgs = [\"chromium\"]\nnixOverlays = [\"./overlay.nix\"]",
        "cmd = \"/usr/bin/chromium\"",
    );
    let app = home.path().join("app");
    let overlay = "final: previous: { chromium = final.package { pname = \"chromium\"; version = \"1\"; } \"mkdir -p $out/bin; printf '#!/bin/sh\\necho a browser\\n' >$out/bin/chromium; chmod +x $out/bin/chromium\"; }\n";
    fs::write(app.join("overlay.nix"), overlay).unwrap();
    build(
        set,
        &app,
        "nix-linked:test",
        &home.path().join("layout"),
        &[],
    );
    let output = run(&mut common::packwright(["run", "nix-linked:test"])).expect_success("run");
    assert_eq!(output.stdout, "a browser\n", "{output}");
}

#[test]
fn a_program_that_was_built_elsewhere_finds_its_loader_and_libraries() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    // The loader of nixpkgs finds its C library by itself; the set's, which is Debian's, looks in Debian's folders.
    let home = app(
        "nixLibs = [\"glibc\"]\ncmds = [\"./tool --version\"]",
        "cmd = \"./tool --version; cat app.txt\"",
    );
    // Debian's own build, which nothing has patched; it is written in C++.
    let tool = home.path().join("app/tool");
    fs::copy(set.join("files/patchelf/usr/bin/patchelf"), &tool).unwrap();
    build(
        set,
        &home.path().join("app"),
        "nix-foreign:test",
        &out.path().join("x"),
        &[],
    );
    let output = run(&mut common::packwright(["run", "nix-foreign:test"])).expect_success("run");
    assert!(
        output.stdout.starts_with("patchelf ") && output.stdout.ends_with("here\n"),
        "{output}"
    );
}

#[test]
fn a_changed_app_rewrites_one_layer_and_a_changed_package_those_that_hold_it() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let expression = |letter: &str| {
        format!(
            "nixExpr = '''[ nodejs_22 (runCommand \"data\" {{ }} \"mkdir $out; head -c 3000000 /dev/zero | tr '\\\\0' {letter} >$out/data\") ]'''"
        )
    };
    let home = app(&expression("a"), "cmd = \"cat app.txt\"");
    let folder = home.path().join("app");
    let layers = |name: &str| {
        let layout = out.path().join(name);
        let built = build(set, &folder, "nix-layers:test", &layout, &[]);
        (built, common::layers_of_layout(&layout))
    };
    let (_, first) = layers("first");
    let now = std::time::SystemTime::now();
    fs::write(folder.join("app.txt"), format!("{now:?}\n")).unwrap();
    let (built, second) = layers("second");
    assert_eq!(built.layers_written, 1, "{:?}", built.steps_run());
    assert_eq!(differences(&first, &second), 1);

    let plan = fs::read_to_string(folder.join("nixpacks.toml")).unwrap();
    fs::write(
        folder.join("nixpacks.toml"),
        plan.replace("} a >", "} b >").replace("' a >", "' b >"),
    )
    .unwrap();
    let (_, third) = layers("third");
    // The package, the environment that names it, and the file of the app that asks for it.
    let changed = differences(&second, &third);
    assert!(
        (2..=3).contains(&changed) && third.len() > 6,
        "{changed} of {}",
        third.len()
    );
}

fn differences(one: &[String], other: &[String]) -> usize {
    let one: BTreeSet<&String> = one.iter().collect();
    other.iter().filter(|layer| !one.contains(layer)).count()
}

#[test]
fn two_empty_stores_give_one_digest() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let digests: BTreeSet<String> = (0..2)
        .map(|_| {
            let cache = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let mut command = packwright(set, "build", &["--json", "--name", "nix-fresh:test"]);
            command
                .arg(common::example("node-express"))
                .env("PACKWRIGHT_CACHE_DIR", cache.path());
            Build::read(&run(&mut command).expect_success("build")).digest
        })
        .collect();
    assert_eq!(digests.len(), 1, "{digests:?}");
}

#[test]
fn packages_of_debian_and_of_nix_are_in_one_image() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let home = app(
        "nixPkgs = [\"which\"]\naptPkgs = [\"jq\"]\ncmds = [\"jq --version\", \"which jq\"]",
        "cmd = \"jq --version; which which\"",
    );
    build(
        set,
        &home.path().join("app"),
        "nix-apt:test",
        &out.path().join("x"),
        &[],
    );
    let output = run(&mut common::packwright(["run", "nix-apt:test"])).expect_success("run");
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(
        lines[0].starts_with("jq-") && lines[1].starts_with("/nix/store/"),
        "{output}"
    );
}

#[test]
fn libraries_are_on_the_paths_of_loader_compiler_and_pkg_config() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let check = "ls $(echo $PKG_CONFIG_PATH | cut -d: -f1)/zlib.pc && ls $CPATH/zlib.h && echo $LD_LIBRARY_PATH | grep -q zlib";
    let home = app(
        &format!("nixPkgs = [\"zlib.dev\"]\nnixLibs = [\"openssl\"]\ncmds = [\"{check}\"]"),
        "cmd = \"echo $LD_LIBRARY_PATH\"",
    );
    build(
        set,
        &home.path().join("app"),
        "nix-libs:test",
        &out.path().join("x"),
        &[],
    );
    let output = run(&mut common::packwright(["run", "nix-libs:test"])).expect_success("run");
    assert!(output.stdout.contains("-openssl-"), "{output}");
}

#[test]
fn overlays_archives_and_expressions_of_the_user_count() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let revision = "0123456789abcdef0123456789abcdef01234567";
    let archive = archive_of(set, out.path(), revision);
    let home = app(
        &format!(
            "nixPkgs = [\"greeting\", \"(runCommand \\\"inline\\\" {{ }} \\\"mkdir -p $out/bin; ln -s ${{bash}}/bin/bash $out/bin/inline\\\")\"]\nnixOverlays = [\"./overlay.nix\"]\nnixpkgsArchive = \"{revision}\"\nnixExpr = \"own.nix\""
        ),
        "cmd = \"greeting; inline -c 'echo inline'; own\"",
    );
    let folder = home.path().join("app");
    let script = |name: &str| {
        format!(
            "runCommand \"{name}\" {{ }} ''mkdir -p $out/bin; printf '#!/bin/sh\\necho {name}\\n' >$out/bin/{name}; chmod +x $out/bin/{name}''"
        )
    };
    fs::write(
        folder.join("overlay.nix"),
        format!(
            "final: previous: {{ greeting = final.{}; }}\n",
            script("greeting")
        ),
    )
    .unwrap();
    fs::write(
        folder.join("own.nix"),
        format!("{{ runCommand }}:\n{}\n", script("own")),
    )
    .unwrap();
    let layout = format!("oci:{}", out.path().join("x").display());
    let mut command = packwright(
        set,
        "build",
        &["--name", "nix-own:test", "--output", &layout],
    );
    let pattern = format!("file://{}", archive.replace(revision, "{revision}"));
    run(command
        .arg(&folder)
        .env("PACKWRIGHT_NIXPKGS_ARCHIVES", pattern))
    .expect_success("build");
    let output = run(&mut common::packwright(["run", "nix-own:test"])).expect_success("run");
    assert_eq!(output.stdout, "greeting\ninline\nown\n", "{output}");
}

#[test]
fn a_flake_an_archive_and_a_folder_are_the_same_nixpkgs() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let archive = archive_of(set, out.path(), "set-of-tests");
    let tree = out.path().join("set");
    fs::copy(set.join("flake.nix"), tree.join("flake.nix")).unwrap();
    let home = app("", "cmd = \"cat app.txt\"");
    let digest = |nixpkgs: &str| {
        let mut command = common::packwright([
            "build",
            "--json",
            "--name",
            "nix-named:test",
            "--packages",
            "nix",
            "--nixpkgs",
            nixpkgs,
        ]);
        command
            .arg(home.path().join("app"))
            .env("NIX_CONFIG", "substituters =");
        Build::read(&run(&mut command).expect_success(nixpkgs)).digest
    };
    let folder = digest(&set.display().to_string());
    assert_eq!(digest(&format!("file://{archive}")), folder);
    assert_eq!(digest(&format!("path:{}", tree.display())), folder);
}

#[test]
fn a_lock_is_kept_used_and_refused_for_another_plan() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let home = app("nixPkgs = [\"which\"]", "cmd = \"which which\"");
    let folder = home.path().join("app");
    let (code, said) = refused(set, &folder, &["--locked"]);
    assert!(
        code == 30 && said.contains("packwright.lock cannot be used: there is none"),
        "{said}"
    );

    run(packwright(set, "lock", &[]).arg(&folder)).expect_success("lock");
    let text = fs::read_to_string(folder.join("packwright.lock")).unwrap();
    for part in [
        "\"packages\": \"nix\"",
        "\"which\"",
        "-packwright-run\"",
        "\"system\": ",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let out = tempfile::tempdir().unwrap();
    let locked = build(
        set,
        &folder,
        "nix-locked:test",
        &out.path().join("a"),
        &["--locked"],
    );
    assert_eq!(
        build(set, &folder, "nix-locked:test", &out.path().join("b"), &[]).digest,
        locked.digest
    );

    let plan = fs::read_to_string(folder.join("nixpacks.toml")).unwrap();
    fs::write(
        folder.join("nixpacks.toml"),
        plan.replace("[\"which\"]", "[\"which\", \"gawk\"]"),
    )
    .unwrap();
    let (_, said) = refused(set, &folder, &["--locked"]);
    assert!(
        said.contains("it was made for another plan") && said.contains("packwright lock"),
        "{said}"
    );
    let output = run(packwright(set, "build", &["--name", "nix-locked:test"]).arg(&folder))
        .expect_success("build");
    assert!(
        output.stderr.contains("packwright.lock is not used"),
        "{output}"
    );
}

#[test]
fn a_shell_has_the_packages_and_the_files_and_leaves_no_trace() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let home = app("nixPkgs = [\"which\"]", "cmd = \"true\"");
    let folder = home.path().join("app");
    let before = common::fingerprint(&folder);
    let mut command = packwright(set, "shell", &[]);
    let script =
        "cat app.txt; which which; echo changed >app.txt; ls /nix/store | grep -c go-1; exit 7";
    let output = run(command.arg(&folder).args(["--", "/bin/bash", "-c", script]));
    assert_eq!(output.code(), 7, "{output}");
    assert!(
        output.stdout.starts_with("here\n/nix/store/") && output.stdout.ends_with("\n0\n"),
        "{output}"
    );
    assert_eq!(common::fingerprint(&folder), before);
}

#[test]
fn auto_takes_debian_where_nix_has_no_nixpkgs_and_says_so() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let decided = |more: &[&str]| {
        let cache = tempfile::tempdir().unwrap();
        let home = app("nixPkgs = [\"no-such-package\"]", "cmd = \"true\"");
        let mut command = common::packwright(["build", "--json"]);
        command
            .arg(home.path().join("app"))
            .args(more)
            .env("NIX_CONFIG", "substituters =")
            .env("PACKWRIGHT_CACHE_DIR", cache.path());
        let output = run(&mut command);
        let event = common::events(&output)
            .into_iter()
            .find(|event| event["subject"] == "packages");
        let event = event.unwrap_or_else(|| panic!("{output}"));
        (
            event["choice"].as_str().unwrap().to_owned(),
            event["reason"].as_str().unwrap().to_owned(),
        )
    };
    let (choice, reason) = decided(&[]);
    assert!(
        choice == "debian" && reason.contains("no nixpkgs is named"),
        "{choice}: {reason}"
    );
    assert_eq!(decided(&["--nixpkgs", &set.display().to_string()]).0, "nix");
}

#[test]
fn a_machine_without_nix_is_told_how_to_get_it() {
    let home = app("", "cmd = \"true\"");
    let mut command = common::packwright(["build", "--packages", "nix"]);
    let output = run(command
        .arg(home.path().join("app"))
        .env("PATH", "/nonexistent")
        .env_remove("HOME"));
    assert_eq!(output.code(), 30, "{output}");
    assert!(
        output.stderr.contains("nix-bin") && output.stderr.contains("--packages debian"),
        "{output}"
    );
}

#[test]
fn without_a_nixpkgs_it_is_said_how_to_name_one() {
    if !common::have("nix-instantiate") {
        return;
    }
    let home = app("", "cmd = \"true\"");
    let mut command = common::packwright(["build", "--packages", "nix"]);
    let output = run(command.arg(home.path().join("app")));
    assert_eq!(output.code(), 32, "{output}");
    assert!(
        output.stderr.contains("no nixpkgs is named")
            && output.stderr.contains("PACKWRIGHT_NIXPKGS"),
        "{output}"
    );
}

#[test]
fn an_unknown_package_and_a_missing_version_tell_the_nearest() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let home = app("nixPkgs = [\"nodjs_22\"]", "cmd = \"true\"");
    let (code, said) = refused(set, &home.path().join("app"), &[]);
    assert!(
        code == 31 && said.contains("did you mean nodejs_22"),
        "{said}"
    );
    let home = app("nixPkgs = [\"nodejs@17\"]", "cmd = \"true\"");
    let (code, said) = refused(set, &home.path().join("app"), &[]);
    assert!(
        code == 31
            && said.contains("no nodejs matches 17; ")
            && said.contains(" has 22.")
            && said.contains("name another nixpkgs with --nixpkgs"),
        "{said}"
    );
    // One whose revision is known, and cannot be had.
    let home = app("nixPkgs = [\"nodejs@18\"]", "cmd = \"true\"");
    let mut command = packwright(set, "build", &[]);
    let output = run(command.arg(home.path().join("app")).env(
        "PACKWRIGHT_NIXPKGS_ARCHIVES",
        "file:///nonexistent/{revision}.tar.gz",
    ));
    assert_eq!(output.code(), 31, "{output}");
    assert!(
        output.stderr.contains("has 18.20.8, which cannot be had: "),
        "{output}"
    );
}

#[test]
fn a_wrong_hash_is_refused_with_both() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let home = app("", "cmd = \"true\"");
    // One of the app's own.
    let folder = home.path().canonicalize().unwrap().join("app");
    let archive = archive_of(set, &folder, "wrong");
    let hash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let setup = format!("nixPkgs = [\"which\"]\nnixpkgsArchive = \"file://{archive}#{hash}\"");
    let plan = format!("providers = []\n[phases.setup]\n{setup}\n[start]\ncmd = \"true\"\n");
    fs::write(folder.join("nixpacks.toml"), plan).unwrap();
    let (code, said) = refused(set, &home.path().join("app"), &[]);
    assert!(
        code == 33 && said.contains("wrong.tar.gz has sha256") && said.contains("was promised"),
        "{said}"
    );
}

#[test]
fn an_error_in_the_users_expression_names_its_line() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let home = app("nixExpr = '''[\n  which\n  nope\n]'''", "cmd = \"true\"");
    let (code, said) = refused(set, &home.path().join("app"), &[]);
    assert!(
        code == 30
            && said.contains("evaluate phases.setup.nixExpr, line 3: undefined variable 'nope'"),
        "{said}"
    );

    let home = app("nixExpr = \"own.nix\"", "cmd = \"true\"");
    fs::write(home.path().join("app/own.nix"), "{ pkgs }:\n\npkgs.nope\n").unwrap();
    let (_, said) = refused(set, &home.path().join("app"), &[]);
    assert!(
        said.contains("evaluate own.nix, line 3: attribute 'nope' missing"),
        "{said}"
    );
}

#[test]
fn a_builder_that_fails_or_is_killed_is_told_by_its_last_words() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let home = app("nixPkgs = [\"broken\"]", "cmd = \"true\"");
    let (code, said) = refused(set, &home.path().join("app"), &[]);
    assert!(
        code == 30
            && said.contains("build broken-1: its builder failed with exit code 3")
            && said.contains("| the reason of the failure"),
        "{said}"
    );

    let home = app(
        "nixExpr = \"runCommand \\\"killed\\\" { } \\\"ulimit -t 1; while true; do true; done\\\"\"",
        "cmd = \"true\"",
    );
    let (_, said) = refused(set, &home.path().join("app"), &[]);
    assert!(
        said.contains("build killed: its builder was killed by signal 9, likely out of memory"),
        "{said}"
    );
}

#[test]
fn a_full_store_is_told_with_its_folder() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    if !common::is_root() {
        return common::skip("mounting a small disk needs root");
    }
    let home = app("nixPkgs = [\"bash\"]", "cmd = \"true\"");
    let store = home.path().join("store");
    fs::create_dir(&store).unwrap();
    // In a mount namespace of its own, which takes the disk away with it.
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=6m none \"$1\" && shift && exec \"$@\"";
    let build = packwright(set, "build", &["--name", "nix-full:test", "--store"]);
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(&store)
        .arg(build.get_program())
        .args(build.get_args())
        .arg(&store);
    command.arg(home.path().join("app")).envs(
        build
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let output = run(&mut command);
    assert_eq!(output.code(), 30, "{output}");
    assert!(
        output.stderr.contains("No space left on device")
            || output.stderr.contains("no storage space"),
        "{output}"
    );
    assert!(
        output.stderr.contains("store/nix/store") && output.stderr.contains("free some space"),
        "{output}"
    );
}

#[test]
fn a_store_on_another_machine_builds_and_the_image_is_made_here() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let home = app("nixPkgs = [\"which\"]", "cmd = \"which which\"");
    let folder = |name: &str| {
        let folder = home.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    };
    let (bin, store, cache) = (folder("bin"), folder("store"), folder("cache"));
    // The other machine is this one, with a store of its own.
    let ssh = format!(
        "#!/bin/sh\n[ \"$1\" != -O ] || exit 1\ncase \"$*\" in *LocalCommand*) echo started ;; esac\nexec nix-daemon --stdio --store {} --option build-users-group ''\n",
        store.display()
    );
    fs::write(bin.join("ssh"), ssh).unwrap();
    fs::set_permissions(
        bin.join("ssh"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let app = home.path().join("app");
    let mut command = packwright(
        set,
        "build",
        &[
            "--json",
            "--name",
            "nix-remote:test",
            "--store",
            "ssh-ng://other",
        ],
    );
    command
        .arg(&app)
        .env("PATH", path)
        .env("PACKWRIGHT_CACHE_DIR", &cache);
    let remote = Build::read(&run(&mut command).expect_success("build"));
    assert!(store.join("nix/store").is_dir() && cache.join("v1/nix-store/nix/store").is_dir());
    let out = tempfile::tempdir().unwrap();
    let here = build(set, &app, "nix-remote:test", &out.path().join("x"), &[]);
    assert_eq!(here.digest, remote.digest);
}

#[test]
fn everything_that_plans_can_ask_of_nixpkgs_is_listed() {
    let mut command = common::packwright(["doctor", "--catalog", "--json"]);
    let output = common::finish(&mut command, common::QUICK).expect_success("doctor");
    let names: Vec<String> = serde_json::from_str(&output.stdout).unwrap();
    assert!(
        names.len() > 300 && names.iter().any(|name| name == "nodejs_22"),
        "{names:?}"
    );
    let mut command = common::packwright(["doctor", "--catalog"]);
    let text = common::finish(&mut command, common::QUICK)
        .expect_success("doctor")
        .stdout;
    assert_eq!(text.lines().collect::<Vec<_>>(), names);
}

/// An expression of a package with a program of its name, in the quotes of a plan.
fn tool(name: &str) -> String {
    format!(
        "(runCommand \\\"{name}\\\" {{ }} \\\"mkdir -p $out/bin; printf '#!${{bash}}/bin/sh\\\\necho {name}\\\\n' >$out/bin/{name}; chmod +x $out/bin/{name}\\\")"
    )
}

#[test]
fn what_the_apps_files_need_of_the_build_is_brought_in_and_what_they_name_is_warned_of() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let setup = format!(
        "nixPkgs = [\"{}\", \"{}\", \"{}\"]\ncmds = [\"ln -s $(command -v linked) link\", \"printf '#!%s\\\\n' $(command -v interpreter) >script\", \"command -v named >note.txt\"]",
        tool("linked"),
        tool("interpreter"),
        tool("named")
    );
    let home = app(&setup, "nixPkgs = []\ncmd = \"./link; cat note.txt\"");
    let out = tempfile::tempdir().unwrap();
    let layout = out.path().join("x");
    let output = format!("oci:{}", layout.display());
    let app = home.path().join("app");
    // The second build finds the phases' results and what these name.
    for _ in 0..2 {
        let output = run(packwright(
            set,
            "build",
            &["--name", "nix-brought:test", "--output", &output],
        )
        .arg(&app))
        .expect_success("build");
        let warnings: Vec<&str> = output
            .stderr
            .lines()
            .filter(|line| line.contains("is not in the image"))
            .collect();
        assert!(
            warnings.len() == 1
                && warnings[0].contains("/app/note.txt names /nix/store/")
                && warnings[0].contains("-named,"),
            "{output}"
        );
        let names = names(&layout);
        let has = |name: &str| {
            names
                .iter()
                .any(|path| path.ends_with(&format!("-{name}/bin/{name}")))
        };
        assert!(has("linked") && has("interpreter") && !has("named"));
    }
    let output = run(&mut common::packwright(["run", "nix-brought:test"])).expect_success("run");
    assert!(output.stdout.starts_with("linked\n/nix/store/"), "{output}");
}

#[test]
fn a_version_that_the_nixpkgs_lacks_comes_from_the_revision_that_has_it() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    archive_of(set, out.path(), "set");
    let older = out.path().join("set");
    fs::rename(older.join("default.nix"), older.join("set.nix")).unwrap();
    let text = "arguments: import ./set.nix (arguments // { overlays = [ (final: previous: { nodejs_18 = previous.which // { version = \"18.20.8\"; }; }) ]; })";
    fs::write(older.join("default.nix"), text).unwrap();
    // The revision that the table has for this version.
    let revision = "ebe4301cbd8f81c4f8d3244b3632338bbeb6d49c";
    let mut tar = Command::new("tar");
    tar.arg("-czf")
        .arg(out.path().join(format!("{revision}.tar.gz")))
        .arg("-C")
        .arg(out.path())
        .arg("set");
    common::finish(&mut tar, common::QUICK).expect_success("tar");
    let home = app(
        "nixPkgs = [\"nodejs@18\"]",
        "nixPkgs = [\"nodejs@18\"]\ncmd = \"node --version\"",
    );
    let pattern = format!("file://{}/{{revision}}.tar.gz", out.path().display());
    let mut command = packwright(set, "lock", &[]);
    let output = run(command
        .arg(home.path().join("app"))
        .env("PACKWRIGHT_NIXPKGS_ARCHIVES", pattern))
    .expect_success("lock");
    assert!(
        output.stderr.contains("18.20.8") && output.stderr.contains(revision),
        "{output}"
    );
    let text = fs::read_to_string(home.path().join("app/packwright.lock")).unwrap();
    let lock: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sets = lock["environment"]["sets"].as_array().unwrap();
    let last = &sets[sets.len() - 1];
    assert_eq!(last["packages"][0]["source"]["path"], "nodejs_18", "{text}");
    let url = last["nixpkgs"]["archive"]["url"].as_str().unwrap();
    assert!(url.ends_with(&format!("{revision}.tar.gz")), "{url}");
}

#[test]
fn a_signal_ends_nix_and_its_builders_also_one_that_kills() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    for (signal, code) in [
        (Signal::TERM, Some(143)),
        (Signal::INT, Some(130)),
        (Signal::KILL, None),
    ] {
        let seconds = common::unique_seconds();
        let expression = format!(
            "nixExpr = \"runCommand \\\"slow\\\" {{ }} \\\"echo builder-is-running; sleep {seconds}\\\"\""
        );
        let home = app(&expression, "cmd = \"true\"");
        let mut build = common::Running::start(
            packwright(set, "build", &["--name", "nix-slow:test"]).arg(home.path().join("app")),
        );
        build.wait_for_output("builder-is-running", Duration::from_secs(120));
        common::soon("the builder sleeps", || common::process_with(&seconds));
        build.signal(signal);
        let output = build.wait(Duration::from_secs(20));
        assert_eq!(output.status.code(), code, "{output}");
        common::soon("no builder is left", || !common::process_with(&seconds));
    }
}

#[test]
fn the_store_below_the_cache_is_listed_and_pruned() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let cache = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let ask = |args: &[&str]| {
        let mut command = common::packwright(args);
        command
            .arg("--json")
            .env("PACKWRIGHT_CACHE_DIR", cache.path());
        common::finish(&mut command, Duration::from_secs(60)).expect_success("cache")
    };
    let paths = || -> u64 {
        let output = ask(&["cache", "ls"]);
        let rows = common::events(&output);
        let row = rows.iter().find(|row| row["kind"] == "nix-store").unwrap();
        assert_eq!(row["entries"] == 0, row["bytes"] == 0);
        row["entries"].as_u64().unwrap()
    };
    assert_eq!(paths(), 0);
    // Nix keeps what any process of the machine names, so this is what no other test has.
    let home = app(
        &format!("nixPkgs = [\"{}\"]", tool("pruned")),
        "cmd = \"pruned\"",
    );
    let build = || {
        let mut command = packwright(set, "build", &["--name", "nix-pruned:test"]);
        command
            .arg(home.path().join("app"))
            .env("PACKWRIGHT_CACHE_DIR", cache.path());
        run(&mut command).expect_success("build");
    };
    let store = cache.path().join("v1/nix-store/nix/store");
    let has = |end: &str| {
        let entries = fs::read_dir(&store).unwrap().flatten();
        let mut names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names.any(|name| name.ends_with(end))
    };
    build();
    let all = paths();
    assert!(has("-pruned") && all > 10, "{all}");
    // What a build of today stands on is held.
    ask(&["cache", "prune", "--kind", "nix", "--older-than", "1"]);
    assert!(has("-pruned") && paths() <= all);
    ask(&["cache", "prune"]);
    assert!(!has("-pruned"));
    build();
}

#[test]
fn each_store_holds_what_a_build_uses_and_a_store_that_cannot_is_warned_of() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let home = app("nixPkgs = [\"which\"]", "cmd = \"true\"");
    let app = home.path().join("app");
    let build = |cache: &str, store: &Path| {
        let mut command = packwright(set, "build", &["--name", "nix-held:test", "--store"]);
        command
            .arg(store)
            .arg(&app)
            .env("PACKWRIGHT_CACHE_DIR", home.path().join(cache));
        run(&mut command).expect_success("build").stderr
    };
    let stores = ["one", "two"].map(|name| home.path().join(name));
    for store in &stores {
        build("cache", store);
        let roots = fs::read_dir(store.join("nix/var/nix/gcroots/auto")).unwrap();
        // One for phases, one for the image.
        assert_eq!(roots.count(), 2, "{}", store.display());
    }
    let roots = stores[0].join("nix/var/nix/gcroots/auto");
    fs::remove_dir_all(&roots).unwrap();
    fs::write(&roots, "").unwrap();
    let said = build("another", &stores[0]);
    assert!(
        said.contains("warning: keep /nix/store/") && said.contains("garbage collector may remove"),
        "{said}"
    );
}

#[test]
fn what_a_lock_follows_from_is_asked_anew_when_it_changes() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    archive_of(set, out.path(), "set");
    let home = app("", "cmd = \"true\"");
    let app = home.path().join("app");
    let lock = |nixpkgs: &str, more: &[&str], archives: &str| {
        let mut command = packwright(Path::new(nixpkgs), "lock", more);
        command
            .arg(&app)
            .env("PACKWRIGHT_NIXPKGS_ARCHIVES", archives)
            .env("PACKWRIGHT_CACHE_DIR", home.path().join("cache"));
        run(&mut command).expect_success("lock").stderr
    };
    let text = || fs::read_to_string(app.join("packwright.lock")).unwrap();
    let chosen = |said: &str| said.contains("choose packages with nix");

    // From a server it is remembered, as long as nothing else that counts is said.
    let port = common::free_port().to_string();
    let mut server = Command::new("python3");
    server
        .args(["-m", "http.server", "--bind", "127.0.0.1", &port])
        .current_dir(out.path());
    let mut server = common::Running::start(&mut server);
    let url = format!("http://127.0.0.1:{port}/set.tar.gz");
    common::soon("the server answers", || {
        std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok()
    });
    lock(&url, &[], "a/{revision}");
    let hash = serde_json::from_str::<serde_json::Value>(&text()).unwrap();
    let hash = &hash["environment"]["sets"][0]["nixpkgs"]["archive"]["hash"];
    let named = format!("{url}#{}", hash.as_str().unwrap());
    assert!(chosen(&lock(&named, &[], "a/{revision}")));
    assert!(!chosen(&lock(&named, &[], "a/{revision}")));
    assert!(chosen(&lock(&named, &[], "b/{revision}")));
    let option = ["--nix-option", "allow-import-from-derivation=false"];
    assert!(chosen(&lock(&named, &option, "b/{revision}")));
    assert!(!server.ended());
    server.signal(Signal::KILL);
    server.wait(common::QUICK);

    // What is on this machine may change at any time.
    let tree = out.path().join("set");
    fs::copy(set.join("flake.nix"), tree.join("flake.nix")).unwrap();
    let mut git = Command::new("git");
    git.args(["init", "-q"]).current_dir(&tree);
    common::finish(&mut git, common::QUICK).expect_success("git init");
    let mut git = Command::new("git");
    git.args(["add", "."]).current_dir(&tree);
    common::finish(&mut git, common::QUICK).expect_success("git add");
    for scheme in ["path:", "git+file://"] {
        let flake = format!("{scheme}{}", tree.display());
        lock(&flake, &[], "");
        let before = text();
        let file = tree.join("lib.nix");
        let changed = fs::read_to_string(&file).unwrap() + "# changed\n";
        fs::write(&file, changed).unwrap();
        assert!(chosen(&lock(&flake, &[], "")), "{flake}");
        assert_ne!(text(), before, "{flake}");
    }
}

#[test]
fn a_flake_that_nix_tells_nothing_of_is_an_error() {
    if !common::have("nix-instantiate") {
        return;
    }
    let home = app("", "cmd = \"true\"");
    let bin = home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let search = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&search).map(|folder| folder.join("nix-instantiate"));
    let real = real.into_iter().find(|program| program.is_file()).unwrap();
    std::os::unix::fs::symlink(real, bin.join("nix-instantiate")).unwrap();
    for (answer, reason) in [
        ("so so", "its answer cannot be read: "),
        ("{}", "it has no hash of the flake's files"),
    ] {
        fs::write(bin.join("nix"), format!("#!/bin/sh\necho '{answer}'\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(bin.join("nix"), mode).unwrap();
        let mut command = packwright(Path::new("github:a/b"), "lock", &[]);
        let path = format!("{}:{}", bin.display(), search);
        let output = run(command.arg(home.path().join("app")).env("PATH", path));
        let said = output.stderr.contains(reason) && output.stderr.contains("github:a/b");
        assert!(output.code() == 30 && said, "{output}");
    }
}
