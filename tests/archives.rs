//! Images are accepted by tools that we did not write: skopeo, umoci and Docker.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

/// Builds the shell example into `destination`; the same image for every test here.
fn export(destination: &str) {
    let output = common::build(
        &common::example("shell-script"),
        "archives:shell",
        &["--output", destination],
    );
    assert!(output.digest.starts_with("sha256:"));
}

fn tool(name: &str, arguments: &[&str]) -> common::Output {
    let mut command = Command::new(name);
    common::finish(command.args(arguments), LIMIT).expect_success(&format!("{name} {arguments:?}"))
}

#[test]
fn skopeo_reads_and_copies_both_archives_and_sees_the_same_image() {
    if !common::have("skopeo") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let layers = ["oci-archive", "docker-archive"].map(|kind| {
        let archive = format!("{kind}:{}", home.path().join(kind).display());
        export(&archive);
        let inspected = tool("skopeo", &["inspect", &archive]);
        let inspected: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
        assert_eq!(
            (&inspected["Os"], &inspected["Architecture"]),
            (&"linux".into(), &"amd64".into())
        );
        // Copying verifies each blob against its digest and each diff ID.
        let copy = format!("oci:{}", home.path().join(format!("{kind}-copy")).display());
        tool(
            "skopeo",
            &["--insecure-policy", "copy", "--quiet", &archive, &copy],
        );
        let config = tool("skopeo", &["inspect", "--config", &archive]);
        let config: serde_json::Value = serde_json::from_str(&config.stdout).unwrap();
        config["rootfs"]["diff_ids"].clone()
    });
    assert!(
        layers[0]
            .as_array()
            .is_some_and(|layers| !layers.is_empty())
    );
    assert_eq!(layers[0], layers[1]);
}

#[test]
fn umoci_unpacks_the_layout() {
    if !common::have("umoci") {
        return;
    }
    if !common::is_root() {
        return common::skip("umoci as an ordinary user maps owners in its own way");
    }
    let home = tempfile::tempdir().unwrap();
    let layout = home.path().join("layout");
    export(&format!("oci:{}", layout.display()));
    let listed = tool("umoci", &["ls", "--layout", layout.to_str().unwrap()]);
    let tag = listed
        .stdout
        .lines()
        .next()
        .expect("the layout names its image")
        .to_owned();
    let bundle = home.path().join("bundle");
    tool(
        "umoci",
        &[
            "unpack",
            "--image",
            &format!("{}:{tag}", layout.display()),
            bundle.to_str().unwrap(),
        ],
    );
    let script = fs::read(bundle.join("rootfs/app/start.sh")).unwrap();
    assert_eq!(
        script,
        fs::read(common::example("shell-script").join("start.sh")).unwrap()
    );
    assert!(bundle.join("rootfs/bin/bash").exists() || bundle.join("rootfs/usr/bin/bash").exists());
}

#[test]
fn the_config_says_what_to_start_and_nothing_of_the_clock_or_the_host() {
    let home = tempfile::tempdir().unwrap();
    let layout = home.path().join("layout");
    export(&format!("oci:{}", layout.display()));
    let config = common::config_of_layout(&layout);
    assert_eq!(
        config["config"]["Entrypoint"],
        serde_json::json!(["/bin/bash", "-l", "-c"])
    );
    assert_eq!(config["config"]["WorkingDir"], "/app");
    assert!(
        config["created"]
            .as_str()
            .is_none_or(|created| created.starts_with("1970-01-01T00:00:0"))
    );
    let text = config.to_string();
    for private in [
        common::repository().to_str().unwrap(),
        home.path().to_str().unwrap(),
    ] {
        assert!(!text.contains(private), "{private} is in {text}");
    }
}

#[test]
fn an_archive_on_standard_output_is_the_one_in_a_file() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("image.tar");
    export(&format!("oci-archive:{}", file.display()));
    let mut command = common::packwright([
        "build",
        "--name",
        "archives:shell",
        "--output",
        "oci-archive:-",
    ]);
    let output = command
        .arg(common::example("shell-script"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(
        output.stdout == fs::read(file).unwrap(),
        "{} bytes on standard output",
        output.stdout.len()
    );
}

#[test]
fn a_root_filesystem_has_the_app_with_its_modes() {
    if !common::is_root() {
        return common::skip("owners are kept as root");
    }
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    export(&format!("rootfs:{}", root.display()));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(root.join("app/start.sh"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o755);
    let run = Command::new("chroot")
        .arg(&root)
        .args(["/bin/bash", "-lc", "cd /app && cat names.txt"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&run.stdout).contains("ada:programmer"));
}

/// A Docker daemon of this test alone, which ends with it.
struct Daemon {
    process: common::Running,
    home: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Option<Self> {
        if !common::can_start_dockerd() {
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new("dockerd");
        command
            .args(common::dockerd_arguments(home.path()))
            .arg("--storage-driver=vfs")
            .env("PATH", common::search_path_of_root());
        let process = common::Running::start(&mut command);
        let mut daemon = Self { process, home };
        daemon
            .process
            .wait_for_output("API listen on", Duration::from_secs(60));
        Some(daemon)
    }

    fn docker(&self, arguments: &[&str]) -> common::Output {
        let mut command = Command::new("docker");
        command.env(
            "DOCKER_HOST",
            format!("unix://{}", self.home.path().join("docker.sock").display()),
        );
        common::finish(command.args(arguments), LIMIT)
            .expect_success(&format!("docker {arguments:?}"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Docker unmounts what it mounted when it is asked to end, not when it is killed.
        self.process.signal(rustix::process::Signal::TERM);
        let start = std::time::Instant::now();
        while !self.process.ended() && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn docker_loads_and_runs_the_archive() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    let archive: PathBuf = daemon.home.path().join("image.tar");
    export(&format!("docker-archive:{}", archive.display()));
    let loaded = daemon.docker(&["load", "--input", path_text(&archive)]);
    assert!(loaded.stdout.contains("archives:shell"), "{loaded}");
    let run = daemon.docker(&[
        "run",
        "--rm",
        "--network=none",
        "-e",
        "GREETING=docker",
        "archives:shell",
    ]);
    assert!(run.stdout.contains("greeting: docker"), "{run}");
}

fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}
