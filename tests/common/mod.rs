//! What the end-to-end tests share: building, running and asking images, with everything bounded.
//!
//! Speaks to the `packwright` binary alone, through its command line, as a user would.

#![allow(dead_code, reason = "each test binary uses a part of this")]

pub mod daemon;
pub mod nix;
pub mod registry;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No single build may take longer, however slow the network.
const BUILD_LIMIT: Duration = Duration::from_secs(600);
/// Refusing bad input, planning: things that need no work.
pub const QUICK: Duration = Duration::from_secs(20);
/// Until a server answers, and until it is gone after SIGTERM.
const SERVER_LIMIT: Duration = Duration::from_secs(60);

/// The binary under test: the one just built, or an installed one that `PACKWRIGHT_TEST_BINARY` names.
pub fn binary() -> PathBuf {
    std::env::var_os("PACKWRIGHT_TEST_BINARY").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_packwright")),
        PathBuf::from,
    )
}

/// The repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One cache for all tests and test runs: bases and packages are fetched once.
pub fn shared_cache() -> PathBuf {
    std::env::var_os("PACKWRIGHT_TEST_CACHE").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).join("packwright-cache"),
        PathBuf::from,
    )
}

/// The folder of an example, as it is in the repository.
pub fn example(name: &str) -> PathBuf {
    repository().join("examples").join(name)
}

/// A copy of an example that a test may change; permissions and symbolic links are kept.
pub fn copy_of_example(name: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let status = Command::new("cp")
        .arg("-a")
        .arg(example(name))
        .arg(home.path().join("app"))
        .status()
        .unwrap();
    assert!(status.success(), "cp of {name}");
    home
}

/// A folder `app` with the given files.
pub fn app_of(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = home.path().join("app").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir_all(home.path().join("app")).unwrap();
    home
}

/// `packwright ARGS` with the shared cache.
pub fn packwright<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(binary());
    command
        .args(args)
        .env("PACKWRIGHT_CACHE_DIR", shared_cache())
        .env_remove("NO_COLOR");
    command
}

/// What a finished command said.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

impl Output {
    /// The exit code; a signal is a failure of the test.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("ended by a signal\n{self}"))
    }

    /// Panics with all output unless the command ended well.
    pub fn expect_success(self, what: &str) -> Self {
        assert!(self.status.success(), "{what} failed\n{self}");
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            self.status, self.stdout, self.stderr
        )
    }
}

/// A process in a group of its own, which dies with this value.
pub struct Running {
    child: Child,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts a command and reads what it writes.
    pub fn start(command: &mut Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().unwrap(), Arc::clone(&stdout)),
            collect(child.stderr.take().unwrap(), Arc::clone(&stderr)),
        ];
        Self {
            child,
            stdout,
            stderr,
            readers,
        }
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Standard output and then standard error, so far.
    pub fn output_so_far(&self) -> String {
        let text = |part: &Arc<Mutex<Vec<u8>>>| {
            String::from_utf8_lossy(&part.lock().unwrap()).into_owned()
        };
        text(&self.stdout) + &text(&self.stderr)
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until the output contains `text`.
    pub fn wait_for_output(&mut self, text: &str, limit: Duration) {
        let start = Instant::now();
        while !self.output_so_far().contains(text) {
            assert!(
                !self.ended(),
                "ended without saying {text:?}:\n{}",
                self.output_so_far()
            );
            assert!(
                start.elapsed() < limit,
                "no {text:?} in {limit:?}:\n{}",
                self.output_so_far()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal to the process alone, not to its group.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end.
    pub fn wait(mut self, limit: Duration) -> Output {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                start.elapsed() < limit,
                "still running after {limit:?}:\n{}",
                self.output_so_far()
            );
            thread::sleep(Duration::from_millis(10));
        };
        // What the process started may still hold the pipes: it has no business to.
        self.kill_group();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let text = |part: &Arc<Mutex<Vec<u8>>>| {
            String::from_utf8_lossy(&part.lock().unwrap()).into_owned()
        };
        Output {
            status,
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }

    fn kill_group(&self) {
        let group = rustix::process::Pid::from_child(&self.child);
        // There may be nobody left, which is what is wanted.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended() {
            self.signal(rustix::process::Signal::TERM);
            thread::sleep(Duration::from_millis(200));
        }
        self.kill_group();
        let _ = self.child.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static, into: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            into.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
    })
}

/// Runs a command to its end.
pub fn finish(command: &mut Command, limit: Duration) -> Output {
    Running::start(command).wait(limit)
}

/// A build that ended well, as `--json` told it.
#[derive(Debug)]
pub struct Build {
    /// Every event, in order.
    pub events: Vec<Value>,
    /// `sha256:...` of the manifest.
    pub digest: String,
    /// Compressed bytes.
    pub size: u64,
    /// Unpacked bytes.
    pub unpacked_size: u64,
    /// Phases that ran.
    pub phases_run: u64,
    /// Layers that were written.
    pub layers_written: u64,
}

/// `packwright build APP --name NAME --json` with a cache of its own choice; panics unless it ends well.
pub fn build_in(cache: &Path, app: &Path, name: &str, more: &[&str]) -> Build {
    build_with(cache, app, name, more, &BTreeMap::new())
}

/// [`build_in`], with variables of the process.
pub fn build_with(
    cache: &Path,
    app: &Path,
    name: &str,
    more: &[&str],
    env: &BTreeMap<String, String>,
) -> Build {
    let mut command = packwright(["build"]);
    command
        .arg(app)
        .args(["--name", name, "--json"])
        .args(more)
        .envs(env)
        .env("PACKWRIGHT_CACHE_DIR", cache);
    let output =
        finish(&mut command, BUILD_LIMIT).expect_success(&format!("build of {}", app.display()));
    Build::read(&output)
}

/// [`build_in`] the shared cache.
pub fn build(app: &Path, name: &str, more: &[&str]) -> Build {
    build_in(&shared_cache(), app, name, more)
}

impl Build {
    /// Reads the events of a build with `--json`.
    pub fn read(output: &Output) -> Self {
        let events = events(output);
        let finished = events
            .iter()
            .find(|event| event["event"] == "finished")
            .unwrap_or_else(|| panic!("no event `finished`\n{output}"));
        let number = |key: &str| {
            finished[key]
                .as_u64()
                .unwrap_or_else(|| panic!("no {key} in {finished}"))
        };
        Self {
            digest: finished["digest"].as_str().unwrap().to_owned(),
            size: number("size"),
            unpacked_size: number("unpacked_size"),
            phases_run: number("phases_run"),
            layers_written: number("layers_written"),
            events,
        }
    }

    /// The lines that phases wrote.
    pub fn phase_output(&self) -> String {
        let lines = self
            .events
            .iter()
            .filter(|event| event["event"] == "output");
        let lines: Vec<&str> = lines.map(|event| event["line"].as_str().unwrap()).collect();
        lines.join("\n")
    }

    /// Titles and names of the steps that really ran, that is, that did not take an earlier result.
    pub fn steps_run(&self) -> Vec<String> {
        let ran = |event: &&Value| event["event"] == "step_finished" && event["cached"] == false;
        self.events
            .iter()
            .filter(ran)
            .map(|event| event["step"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The JSON lines of a command.
pub fn events(output: &Output) -> Vec<Value> {
    output
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// A free port that no other test of this process was given. The range lies below the one that the
/// kernel takes ports of outgoing connections from.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let turn = std::process::id()
            .wrapping_mul(97)
            .wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + u16::try_from(turn % 12_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A server that `packwright run` started.
pub struct Server {
    process: Running,
    port: u16,
}

/// A status and a body.
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

impl Server {
    /// `packwright run WHAT` on a free port; ready when that port answers.
    pub fn start(what: &OsStr, env: &BTreeMap<String, String>) -> Self {
        let port = free_port();
        let mut command = packwright(["run"]);
        command
            .args(["-p", &port.to_string()])
            .args(env_arguments(env))
            .arg(what);
        let mut process = Running::start(&mut command);
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                !process.ended(),
                "the server ended:\n{}",
                process.output_so_far()
            );
            assert!(
                start.elapsed() < SERVER_LIMIT,
                "no answer on {port}:\n{}",
                process.output_so_far()
            );
            thread::sleep(Duration::from_millis(50));
        }
        Self { process, port }
    }

    /// A GET.
    pub fn ask(&self, path: &str) -> Answer {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut response = ureq::get(&url)
            .config()
            .http_status_as_error(false)
            .timeout_global(Some(QUICK))
            .build()
            .call()
            .unwrap_or_else(|error| panic!("GET {url}: {error}\n{}", self.process.output_so_far()));
        let body = response.body_mut().read_to_string().unwrap();
        Answer {
            status: response.status().as_u16(),
            body,
        }
    }

    /// Waits until `packwright run` printed the URL.
    pub fn wait_for_url(&mut self) {
        let url = format!("http://127.0.0.1:{}", self.port);
        self.process.wait_for_output(&url, SERVER_LIMIT);
    }

    /// SIGTERM to `packwright run`: the server has to end, and the port to be free.
    pub fn stop(self) -> Output {
        self.process.signal(rustix::process::Signal::TERM);
        let output = self.process.wait(SERVER_LIMIT);
        assert!(
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err(),
            "the server outlived its run"
        );
        output
    }
}

/// `-e K=V` for each.
pub fn env_arguments(env: &BTreeMap<String, String>) -> Vec<String> {
    env.iter()
        .flat_map(|(key, value)| ["-e".to_owned(), format!("{key}={value}")])
        .collect()
}

/// Whether a tool is there. In CI its absence is a failure; elsewhere the test says that it was skipped.
pub fn have(tool: &str) -> bool {
    let path = search_path_of_root();
    if path
        .split(':')
        .any(|folder| Path::new(folder).join(tool).is_file())
    {
        return true;
    }
    skip(&format!("{tool} is not installed"));
    false
}

/// Says loudly that a test did not run, and fails in CI.
pub fn skip(why: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "in CI nothing is skipped: {why}"
    );
    eprintln!("SKIPPED: {why}");
}

/// Whether a test can start a Docker daemon of its own; says why not.
pub fn can_start_dockerd() -> bool {
    if !have("dockerd") || !have("docker") {
        return false;
    }
    if !is_root() {
        skip("only root starts a Docker daemon");
        return false;
    }
    true
}

/// Arguments of a Docker daemon that keeps everything in one folder and leaves the machine's network alone.
pub fn dockerd_arguments(home: &Path) -> Vec<String> {
    let path = |name: &str| home.join(name).display().to_string();
    [
        format!("--host=unix://{}", path("docker.sock")),
        format!("--data-root={}", path("data")),
        format!("--exec-root={}", path("exec")),
        format!("--pidfile={}", path("pid")),
        "--bridge=none".to_owned(),
        "--iptables=false".to_owned(),
        "--ip6tables=false".to_owned(),
    ]
    .into()
}

/// `PATH` with the administrator's folders, which need not be on it.
pub fn search_path_of_root() -> String {
    std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin"
}

/// Whether this process is root: some tests need mounts, devices or other users.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether the slow tests were asked for, by `TEST_ALL=1`.
pub fn test_all() -> bool {
    std::env::var_os("TEST_ALL").is_some_and(|value| value == "1")
}

/// Every path of a tree with type, mode, time of change and length: equal before and after means untouched.
pub fn fingerprint(tree: &Path) -> String {
    let output = Command::new("find")
        .arg(tree)
        .args(["-printf", "%P %y %m %s %T@ %l\\n"])
        .output()
        .unwrap();
    let mut lines: Vec<&str> = std::str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// The manifest of the only image in an OCI layout folder.
pub fn manifest_of_layout(layout: &Path) -> Value {
    let index = read_json(&layout.join("index.json"));
    read_json(&blob(
        layout,
        index["manifests"][0]["digest"].as_str().unwrap(),
    ))
}

/// The config of the only image in an OCI layout folder.
pub fn config_of_layout(layout: &Path) -> Value {
    read_json(&blob(
        layout,
        manifest_of_layout(layout)["config"]["digest"]
            .as_str()
            .unwrap(),
    ))
}

/// The layers' digests, bottom first.
pub fn layers_of_layout(layout: &Path) -> Vec<String> {
    let manifest = manifest_of_layout(layout);
    let layers = manifest["layers"].as_array().unwrap();
    layers
        .iter()
        .map(|layer| layer["digest"].as_str().unwrap().to_owned())
        .collect()
}

/// Where a blob of a layout is.
pub fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

/// The names of a gzipped layer's entries.
pub fn names_in_layer(blob: &Path) -> Vec<String> {
    let file = fs::File::open(blob).unwrap();
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
    let names = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string());
    names.collect()
}

fn read_json(path: &Path) -> Value {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The package set of `tests/nixpkgs` with its programs, made once; `None` where Nix or what makes it is missing.
pub fn nixpkgs_of_tests() -> Option<&'static Path> {
    static SET: OnceLock<PathBuf> = OnceLock::new();
    let tools = ["nix-instantiate", "npm", "go", "apt-get", "dpkg-deb"];
    if !tools.into_iter().all(have) {
        return None;
    }
    Some(SET.get_or_init(|| {
        let folder = shared_cache().join("nixpkgs-of-tests");
        fs::create_dir_all(shared_cache()).unwrap();
        // One test run after the other, and one program at a time.
        let lock = fs::File::create(shared_cache().join("nixpkgs-of-tests.lock")).unwrap();
        lock.lock().unwrap();
        let mut fetch = Command::new(repository().join("tests/nixpkgs/fetch"));
        finish(fetch.arg(&folder), Duration::from_secs(600)).expect_success("tests/nixpkgs/fetch");
        folder
    }))
}

/// A number of seconds that no other process sleeps, so that it can be found.
pub fn unique_seconds() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    format!("4{:08}", now.as_micros() % 100_000_000)
}

/// Whether any process has `argument` among its arguments.
pub fn process_with(argument: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        fs::read(entry.path().join("cmdline")).is_ok_and(|line| {
            line.split(|&byte| byte == 0)
                .any(|part| part == argument.as_bytes())
        })
    })
}

/// Waits a while for a condition.
#[track_caller]
pub fn soon(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "still not: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}
