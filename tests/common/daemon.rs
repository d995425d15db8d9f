//! A Docker Engine that tests start for themselves.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde_json::Value;
use sha2::Digest as _;

/// No build may take longer.
pub const LIMIT: Duration = Duration::from_secs(900);

/// A Docker Engine of the tests' own, with the host's network and nothing else.
pub struct Daemon {
    _process: super::Running,
    home: tempfile::TempDir,
}

impl Daemon {
    /// One for all tests of this file, which take turns: two cores are soon busy.
    pub fn lock() -> Option<std::sync::MutexGuard<'static, Option<Self>>> {
        static DAEMON: OnceLock<Mutex<Option<Daemon>>> = OnceLock::new();
        let daemon = DAEMON.get_or_init(|| Mutex::new(Self::start()));
        // A test that failed left nothing behind that another one would mind.
        let guard = daemon
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        guard.is_some().then_some(guard)
    }

    /// Starts one that ends after this process.
    pub fn start() -> Option<Self> {
        if !super::can_start_dockerd() {
            return None;
        }
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        // Values that live as long as the process are never dropped, so somebody else has to end the daemon after it.
        let script = "dockerd \"$@\" & daemon=$!; tail --pid=\"$0\" -f /dev/null; kill $daemon; wait $daemon; \
            umount -l \"$HOME_OF_DAEMON\"/exec/netns/* \"$HOME_OF_DAEMON/data\" 2>/dev/null; \
            rm -rf --one-file-system \"$HOME_OF_DAEMON\"";
        let mut command = Command::new("bash");
        command
            .args(["-c", script, &std::process::id().to_string()])
            .args(super::dockerd_arguments(home.path()))
            .env("HOME_OF_DAEMON", home.path())
            .env("PATH", super::search_path_of_root());
        let mut process = super::Running::start(&mut command);
        process.wait_for_output("API listen on", Duration::from_secs(60));
        Some(Self {
            _process: process,
            home,
        })
    }

    /// Its folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Its address.
    pub fn host(&self) -> String {
        format!("unix://{}", self.home.path().join("docker.sock").display())
    }

    /// Docker's own client; panics unless it ends well.
    pub fn docker(&self, args: &[&str]) -> super::Output {
        let program = if Path::new("/usr/bin/docker").exists() {
            "/usr/bin/docker"
        } else {
            "docker"
        };
        let mut command = Command::new(program);
        command
            .args(args)
            .env("DOCKER_HOST", self.host())
            .env("DOCKER_BUILDKIT", "1");
        super::finish(&mut command, LIMIT).expect_success(&format!("docker {args:?}"))
    }

    /// `packwright build APP --name NAME` by an engine.
    pub fn build(&self, engine: &str, app: &Path, name: &str, more: &[&str]) -> super::Output {
        let mut command = super::packwright(["build"]);
        command
            .arg(app)
            .args([
                "--name",
                name,
                "--engine",
                engine,
                "--docker-host",
                &self.host(),
            ])
            .args(more);
        if engine == "docker" {
            command.args(["--network", "host"]);
        }
        super::finish(&mut command, LIMIT)
    }

    /// What a container of an image prints.
    pub fn run(&self, image: &str, more: &[&str]) -> String {
        let mut args = vec!["run", "--rm", "--network", "host", image];
        args.extend(more);
        self.docker(&args).stdout
    }

    /// Kind, mode, owner, link and content of every path of an image.
    pub fn files(&self, image: &str) -> BTreeMap<PathBuf, String> {
        let id = self
            .docker(&["create", "--network", "host", image, "x"])
            .stdout;
        let archive = self.home.path().join("files.tar");
        self.docker(&["export", "-o", archive.to_str().unwrap(), id.trim()]);
        self.docker(&["rm", id.trim()]);
        let mut files = BTreeMap::new();
        let mut archive = tar::Archive::new(fs::File::open(archive).unwrap());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let header = entry.header();
            let (mode, owner) = (header.mode().unwrap(), header.uid().unwrap());
            let link = entry.link_name().unwrap();
            let says = format!(
                "{:?} {mode:o} {owner}:{} {link:?} {}",
                header.entry_type(),
                header.gid().unwrap(),
                hex::encode(sha2::Sha256::digest(&bytes))
            );
            files.insert(entry.path().unwrap().into_owned(), says);
        }
        files
    }

    /// An image's configuration, as far as builds decide it.
    pub fn config(&self, image: &str) -> Value {
        let inspected: Value =
            serde_json::from_str(&self.docker(&["inspect", image]).stdout).unwrap();
        let config = &inspected[0]["Config"];
        let keys = [
            "Env",
            "Cmd",
            "Entrypoint",
            "WorkingDir",
            "User",
            "Labels",
            "ExposedPorts",
            "Healthcheck",
            "StopSignal",
        ];
        let pairs = keys.map(|key| {
            (
                key.to_owned(),
                config.get(key).cloned().unwrap_or(Value::Null),
            )
        });
        let mut config = Value::Object(pairs.into_iter().collect());
        if config["Labels"] == serde_json::json!({}) {
            config["Labels"] = Value::Null;
        }
        config
    }
}
