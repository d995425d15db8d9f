//! What tests of environments by Nix share: `packwright` with the small package set in `tests/nixpkgs/`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Build, Output};

/// `packwright VERB ARGS` with packages from Nix, from the set.
pub fn packwright(set: &Path, verb: &str, args: &[&str]) -> Command {
    let mut command = super::packwright([verb]);
    command
        .args(["--packages", "nix", "--nixpkgs"])
        .arg(set)
        .args(args)
        .env("NIX_CONFIG", "substituters =");
    command
}

pub fn run(command: &mut Command) -> Output {
    super::finish(command, Duration::from_secs(300))
}

/// Builds an app, also into a layout.
pub fn build(set: &Path, app: &Path, name: &str, layout: &Path, more: &[&str]) -> Build {
    let output = format!("oci:{}", layout.display());
    let mut command = packwright(
        set,
        "build",
        &["--json", "--name", name, "--output", &output],
    );
    Build::read(
        &run(command.arg(app).args(more)).expect_success(&format!("build of {}", app.display())),
    )
}

/// A build that has to fail: its exit code and what it said.
pub fn refused(set: &Path, app: &Path, more: &[&str]) -> (i32, String) {
    let output = run(packwright(set, "build", &["--name", "nix-refused:test"])
        .arg(app)
        .args(more));
    assert!(!output.status.success(), "{output}");
    (output.code(), output.stderr)
}

/// An app that prints, with a `nixpacks.toml` of this setup and start.
pub fn app(setup: &str, start: &str) -> tempfile::TempDir {
    let plan = format!("providers = []\n[phases.setup]\n{setup}\n[start]\n{start}\n");
    super::app_of(&[("nixpacks.toml", &plan), ("app.txt", "here\n")])
}

/// The set as an archive, with the programs that every environment has.
pub fn archive_of(set: &Path, folder: &Path, name: &str) -> String {
    let tree = folder.join("set");
    for program in ["node", "php", "python"] {
        fs::create_dir_all(tree.join("files").join(program)).unwrap();
    }
    for file in [
        "builders.nix",
        "default.nix",
        "lib.nix",
        "packages.nix",
        "files/node/version",
        "files/php/version",
        "files/python/version",
    ] {
        fs::copy(set.join(file), tree.join(file)).unwrap();
    }
    let mut copy = Command::new("cp");
    copy.arg("-a");
    copy.args(
        [
            "bash", "busybox", "cacert", "gcc", "glibc", "ncurses", "patchelf", "zlib",
        ]
        .map(|program| set.join("files").join(program)),
    );
    super::finish(copy.arg(tree.join("files")), super::QUICK).expect_success("cp");
    let archive = folder.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.arg("-czf")
        .arg(&archive)
        .arg("-C")
        .arg(folder)
        .arg("set");
    super::finish(&mut tar, super::QUICK).expect_success("tar");
    archive.display().to_string()
}
