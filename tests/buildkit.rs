//! `--buildkit-host`: a buildkitd at each kind of address, and steps shared among builders.
//!
//! In every run, BuildKit is the one inside Docker Engine: it speaks buildkitd's protocol behind an upgraded connection,
//! which a door of this test hides. `TEST_ALL=1` adds two real ones, built from their sources.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::daemon::{Daemon, LIMIT};
use common::registry::Registry;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// What is behind a door.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// The API of Docker Engine.
    Engine,
    /// The BuildKit inside, as a buildkitd.
    BuildKit,
}

/// Where a door is.
enum Door {
    Unix(PathBuf),
    Tcp(u16),
    /// With the folder of its certificates: both sides have to show theirs.
    Tls(u16, PathBuf),
}

impl Door {
    /// Opens it for as long as this process lives.
    fn open(self, docker: PathBuf, behind: Behind) {
        let (ready, opened) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                match self {
                    Self::Unix(path) => {
                        let listener = UnixListener::bind(path).unwrap();
                        ready.send(()).unwrap();
                        while let Ok((client, _)) = listener.accept().await {
                            tokio::spawn(pass(client, docker.clone(), behind));
                        }
                    }
                    Self::Tcp(port) => {
                        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
                        ready.send(()).unwrap();
                        while let Ok((client, _)) = listener.accept().await {
                            tokio::spawn(pass(client, docker.clone(), behind));
                        }
                    }
                    Self::Tls(port, folder) => {
                        let acceptor = TlsAcceptor::from(Arc::new(server_config(&folder, behind)));
                        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
                        ready.send(()).unwrap();
                        while let Ok((client, _)) = listener.accept().await {
                            let (acceptor, docker) = (acceptor.clone(), docker.clone());
                            tokio::spawn(async move {
                                // Who has no certificate is turned away.
                                if let Ok(client) = acceptor.accept(client).await {
                                    pass(client, docker, behind).await;
                                }
                            });
                        }
                    }
                }
            });
        });
        opened.recv().unwrap();
    }
}

/// Leads one caller to Docker Engine.
async fn pass<T: AsyncRead + AsyncWrite + Unpin>(mut client: T, docker: PathBuf, behind: Behind) {
    let mut engine = UnixStream::connect(docker).await.unwrap();
    if behind == Behind::BuildKit {
        upgrade(&mut engine).await;
    }
    // A caller may go away in the middle of anything.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
}

/// Makes a connection one to the BuildKit inside.
async fn upgrade(engine: &mut UnixStream) {
    let request =
        "POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    engine.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(engine.read_u8().await.unwrap());
    }
}

fn server_config(folder: &Path, behind: Behind) -> ServerConfig {
    let chain = |name: &str| -> Vec<CertificateDer<'static>> {
        let certificates = CertificateDer::pem_file_iter(folder.join(name)).unwrap();
        certificates.map(Result::unwrap).collect()
    };
    let mut roots = RootCertStore::empty();
    for authority in chain("ca.pem") {
        roots.add(authority).unwrap();
    }
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            chain("server.pem"),
            PrivateKeyDer::from_pem_file(folder.join("server-key.pem")).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = match behind {
        Behind::Engine => vec![b"http/1.1".to_vec()],
        Behind::BuildKit => vec![b"h2".to_vec()],
    };
    config
}

/// A folder with an authority's certificate (`ca.pem`), a server's and a client's (`cert.pem`, `key.pem`).
fn make_certificates(folder: &Path) {
    let script = r#"
        new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "$@"; }
        new -x509 -days 2 -subj /CN=authority -keyout ca-key.pem -out ca.pem
        echo 'subjectAltName = IP:127.0.0.1' >names
        sign() {
            new -subj "/CN=$1" -keyout "$2" -out request
            openssl x509 -req -days 2 -in request -CA ca.pem -CAkey ca-key.pem -CAcreateserial -extfile names -out "$3"
        }
        sign server server-key.pem server.pem
        sign client key.pem cert.pem
    "#;
    let mut command = Command::new("bash");
    command.args(["-euc", script]).current_dir(folder);
    common::finish(&mut command, common::QUICK).expect_success("openssl");
}

/// An app of a name of its own, whose build makes a file with another number each time that it really runs.
fn app(name: &str) -> tempfile::TempDir {
    let phase = format!("[phases.build]\ncmds = [\"echo {name} $(date +%N) > stamp\"]\n");
    common::app_of(&[("start.sh", "cat stamp"), ("nixpacks.toml", &phase)])
}

/// `packwright build APP --buildkit-host ADDRESS`.
fn build_at(address: &str, app: &Path, more: &[&str]) -> common::Output {
    let mut command = common::packwright(["build", "--json", "--cache-key", "shared"]);
    command
        .arg(app)
        .args(["--network", "host", "--buildkit-host", address])
        .args(more);
    common::finish(&mut command, LIMIT)
}

/// Starts the container `builder`, whose `buildctl dial-stdio` leads to the door at `port` as that of buildkitd does.
fn start_container(daemon: &Daemon, home: &Path, port: u16) {
    let shell = common::copy_of_example("shell-script");
    daemon
        .build("native", &shell.path().join("app"), "shell", &[])
        .expect_success("shell");
    let buildctl = home.join("buildctl");
    let script = format!(
        "#!/bin/bash\n[ \"$*\" = dial-stdio ] || exit 1\nexec 3<>/dev/tcp/127.0.0.1/{port}\ncat <&3 &\nexec cat >&3\n"
    );
    fs::write(&buildctl, script).unwrap();
    fs::set_permissions(&buildctl, fs::Permissions::from_mode(0o755)).unwrap();
    let mount = format!("{}:/usr/local/bin/buildctl", buildctl.display());
    let mut run = vec![
        "run",
        "-d",
        "--rm",
        "--network",
        "host",
        "--name",
        "builder",
    ];
    run.extend(["-v", &mount, "shell", "sleep 600"]);
    daemon.docker(&run);
}

#[test]
fn a_buildkitd_is_reached_at_each_kind_of_address() {
    if !common::have("openssl") {
        return;
    }
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = |name: &str| home.path().join(name).display().to_string();
    let certificates = home.path().join("certificates");
    fs::create_dir(&certificates).unwrap();
    make_certificates(&certificates);
    let [tcp, tls] = [(); 2].map(|()| common::free_port());
    let docker = daemon.home().join("docker.sock");
    Door::Unix(home.path().join("door")).open(docker.clone(), Behind::BuildKit);
    Door::Tcp(tcp).open(docker.clone(), Behind::BuildKit);
    Door::Tls(tls, certificates.clone()).open(docker, Behind::BuildKit);

    start_container(daemon, home.path(), tcp);
    let app = app("addresses");
    let app = app.path().join("app");
    let tls = format!("tcp://127.0.0.1:{tls}");
    let with_certificates = ["--docker-cert-path", certificates.to_str().unwrap()];
    let docker = daemon.host();
    let by_docker = ["--docker-host", docker.as_str()];
    let addresses: [(String, &[&str]); 4] = [
        (format!("unix://{}", path("door")), &[]),
        (format!("tcp://127.0.0.1:{tcp}"), &[]),
        (tls.clone(), &with_certificates),
        ("docker-container://builder".to_owned(), &by_docker),
    ];
    let mut stamps = Vec::new();
    for (number, (address, more)) in addresses.iter().enumerate() {
        let out = path(&format!("out-{number}"));
        let output = format!("type=local,dest={out}");
        let built = build_at(
            address,
            &app,
            &[more, &["--docker-output", &output][..]].concat(),
        );
        let built = built.expect_success(address);
        let ran = common::Build::read(&built).phases_run;
        assert_eq!(ran, u64::from(number == 0), "{address}\n{built}");
        stamps.push(fs::read_to_string(Path::new(&out).join("app/stamp")).unwrap());
        let bash = fs::metadata(Path::new(&out).join("bin/bash")).unwrap();
        assert_eq!(bash.permissions().mode() & 0o7777, 0o755, "{address}");
    }
    daemon.docker(&["rm", "-f", "builder"]);
    assert!(stamps.iter().all(|stamp| *stamp == stamps[0]), "{stamps:?}");
    // An archive is the same files; nothing is left beside it.
    let archive = path("files.tar");
    let output = format!("type=tar,dest={archive}");
    build_at(&addresses[0].0, &app, &["--docker-output", &output]).expect_success("tar");
    let mut archive = tar::Archive::new(fs::File::open(archive).unwrap());
    let names = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().into_owned());
    assert!(names.into_iter().any(|name| name == Path::new("app/stamp")));
    let left = fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        !left
            .into_iter()
            .any(|name| name.to_string_lossy().starts_with(".packwright"))
    );
    // Who shows no certificate, or trusts another authority, gets nothing.
    let refused = build_at(&tls, &app, &[]);
    assert_eq!(refused.code(), 37, "{refused}");
    make_certificates(&certificates);
    let refused = build_at(&tls, &app, &with_certificates);
    assert_eq!(refused.code(), 37, "{refused}");
}

#[test]
fn a_docker_engine_elsewhere_is_reached_over_tcp_and_over_tls() {
    if !common::have("openssl") {
        return;
    }
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let certificates = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    make_certificates(certificates.path());
    let [tcp, tls] = [(); 2].map(|()| common::free_port());
    let docker = daemon.home().join("docker.sock");
    Door::Tcp(tcp).open(docker.clone(), Behind::Engine);
    Door::Tls(tls, certificates.path().to_owned()).open(docker, Behind::Engine);
    let app = app("elsewhere");
    let build = |engine: &str, port: u16, variables: &[(&str, &str)]| {
        let mut command = common::packwright(["build", "--engine", engine, "--name", "elsewhere"]);
        command.arg(app.path().join("app"));
        if engine == "docker" {
            command.args(["--network", "host"]);
        }
        command.env("DOCKER_HOST", format!("tcp://127.0.0.1:{port}"));
        command.envs(variables.iter().copied());
        common::finish(&mut command, LIMIT)
    };
    let path = certificates.path().to_str().unwrap();
    let with_certificates = [("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", path)];
    let mut said = Vec::new();
    for engine in ["docker", "native"] {
        for (port, variables) in [(tcp, &[][..]), (tls, &with_certificates[..])] {
            build(engine, port, variables).expect_success(engine);
            said.push(daemon.run("elsewhere", &[]));
            daemon.docker(&["rmi", "elsewhere"]);
        }
    }
    assert!(
        said.iter().all(|text| text.starts_with("elsewhere ")),
        "{said:?}"
    );
    // Each engine ran the build once.
    assert!(
        said[0] == said[1] && said[2] == said[3] && said[0] != said[2],
        "{said:?}"
    );
    let refused = build("docker", tls, &[]);
    assert_eq!(refused.code(), 37, "{refused}");
}

#[test]
fn a_second_docker_engine_takes_the_steps_that_the_first_one_pushed_with_its_image() {
    if !common::have("docker-registry") {
        return;
    }
    let Some(first) = Daemon::lock() else { return };
    let first = first.as_ref().unwrap();
    // Ends after this process, as the first one does.
    let second = Box::leak(Box::new(Daemon::start().unwrap()));
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let serving = Registry::start(home.path(), None);
    let registry = &serving.address;
    let name = format!("{registry}/app");
    let app = app("engines");
    let app = app.path().join("app");
    let keep = ["--json", "--cache-key", "shared", "--inline-cache"];
    let built = first
        .build("docker", &app, &name, &keep)
        .expect_success("first");
    assert_eq!(common::Build::read(&built).phases_run, 1, "{built}");
    first.docker(&["push", &name]);
    let take = [
        "--json",
        "--cache-key",
        "shared",
        "--cache-from",
        name.as_str(),
    ];
    let built = second
        .build("docker", &app, &name, &take)
        .expect_success("second");
    assert_eq!(common::Build::read(&built).phases_run, 0, "{built}");
    assert_eq!(first.run(&name, &[]), second.run(&name, &[]));
}

#[test]
fn folders_of_steps_that_cannot_be_used_are_told_of() {
    let Some(daemon) = Daemon::lock() else { return };
    let daemon = daemon.as_ref().unwrap();
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let app = app("folders");
    let app = app.path().join("app");
    let build = |more: &[&str]| daemon.build("docker", &app, "folders", more);
    let steps = home.path().join("steps");
    let from = format!("type=local,src={}", steps.display());
    let said = build(&["--cache-from", &from]).expect_success("no folder");
    assert!(said.stderr.contains("no steps of other builds"), "{said}");
    // This Docker Engine writes to no folder, and nothing is left of the try.
    let to = format!("type=local,dest={}", steps.display());
    let refused = build(&["--cache-to", &to]);
    assert_eq!(refused.code(), 38, "{refused}");
    assert!(
        refused.stderr.contains("keep steps by type=local")
            && refused.stderr.contains("--buildkit-host"),
        "{refused}"
    );
    assert_eq!(count(&steps.join("ingest")), 0);
    fs::write(steps.join("index.json"), "{\"manifests\": 1").unwrap();
    let said = build(&["--cache-from", &from]).expect_success("no index");
    assert!(
        said.stderr.contains("index.json is not as it should be"),
        "{said}"
    );
    let refused = build(&["--cache-to", &to]);
    assert_eq!(refused.code(), 37, "{refused}");
    assert!(
        refused.stderr.contains("index.json is not as it should be"),
        "{refused}"
    );
    for (flag, text, says) in [
        ("--cache-to", "type=local", "it must say dest=DIR"),
        ("--cache-from", "type=local", "it must say src=DIR"),
    ] {
        let refused = build(&[flag, text]);
        assert_eq!(refused.code(), 2, "{refused}");
        assert!(refused.stderr.contains(says), "{refused}");
    }
}

/// The folder of a buildkitd and a buildctl from the Go module proxy, built once and kept below the target folder; minutes
/// the first time.
fn buildkit() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("buildkit");
    if folder.join("buildkitd").exists() && folder.join("buildctl").exists() {
        return folder;
    }
    let script = "set -e; cd \"$0\"; [ -e go.mod ] || go mod init x; \
        at=$(go mod download -json github.com/moby/buildkit@v0.32.2 | sed -n 's/^.*\"Dir\": \"\\(.*\\)\".*$/\\1/p'); \
        rm -rf source; cp -r \"$at\" source; chmod -R u+w source; cd source; go build -mod=mod -o .. ./cmd/buildkitd ./cmd/buildctl; \
        cd ..; rm -rf source";
    fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new("bash");
    command.args(["-c", script]).arg(&folder);
    common::finish(&mut command, Duration::from_secs(3600)).expect_success("go build of buildkitd");
    folder
}

/// A buildkitd with a state of its own, below `home`.
fn start_buildkitd(home: &Path, state: &str, address: &str, more: &[String]) -> common::Running {
    let path = |name: &str| home.join(name).display().to_string();
    let mut daemon = Command::new(buildkit().join("buildkitd"));
    daemon.args(["--config", &path("buildkitd.toml")]);
    daemon.args(["--root", &path(state), "--addr", address]);
    daemon.args(["--allow-insecure-entitlement", "network.host"]);
    daemon.args(more);
    daemon.env("PATH", common::search_path_of_root());
    let mut daemon = common::Running::start(&mut daemon);
    daemon.wait_for_output("running server on", Duration::from_secs(60));
    daemon
}

/// Whether this machine can and shall run a real buildkitd, with other programs.
fn can_start_buildkitd(programs: &[&'static str]) -> bool {
    if !common::test_all() {
        eprintln!("SKIPPED: needs TEST_ALL=1");
        return false;
    }
    if !programs
        .iter()
        .chain(&["go", "runc"])
        .all(|program| common::have(program))
    {
        return false;
    }
    if !common::is_root() {
        common::skip("only root starts buildkitd here");
        return false;
    }
    true
}

/// What a buildkitd says of a failed command, a push that nobody takes, and an image for a machine that it is not.
fn failures_are_told(address: &str, certificates: &Path) {
    let certificates = ["--docker-cert-path", certificates.to_str().unwrap()];
    let build_at =
        |app: &Path, more: &[&str]| build_at(address, app, &[&certificates, more].concat());
    let failing = common::app_of(&[(
        "nixpacks.toml",
        "[phases.build]\ncmds = [\"echo last words; exit 3\"]\n[start]\ncmd = \"true\"\n",
    )]);
    let failed = build_at(&failing.path().join("app"), &[]);
    assert_eq!(failed.code(), 50, "{failed}");
    assert!(
        failed
            .stderr
            .contains("phase build failed with exit code 3: echo last words; exit 3"),
        "{failed}"
    );
    let nobody = format!("127.0.0.1:{}/app", common::free_port());
    let app = app("unpushed");
    let app = app.path().join("app");
    let refused = build_at(&app, &["--push", "--name", &nobody]);
    assert_eq!(refused.code(), 70, "{refused}");
    let absent = format!("type=registry,ref={nobody}");
    let built = build_at(&app, &["--cache-from", &absent]).expect_success("no cache");
    assert!(built.stdout.contains("no steps of other builds"), "{built}");
}

#[test]
fn a_second_buildkitd_takes_what_the_first_one_kept_in_a_registry() {
    if !can_start_buildkitd(&["docker-registry", "openssl"]) {
        return;
    }
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = |name: &str| home.path().join(name).display().to_string();
    make_certificates(home.path());
    let serving = Registry::start(home.path(), None);
    let registry = &serving.address;
    let settings =
        format!("[worker.oci]\nnetworkMode = \"host\"\n[registry.\"{registry}\"]\nhttp = true\n");
    fs::write(path("buildkitd.toml"), settings).unwrap();
    let app = app("daemons");
    let app = app.path().join("app");
    let port = common::free_port();
    let tls = [
        ("--tlscacert", path("ca.pem")),
        ("--tlscert", path("server.pem")),
        ("--tlskey", path("server-key.pem")),
    ];
    let builders = [
        ("first", format!("unix://{}", path("first.sock")), false),
        ("second", format!("tcp://127.0.0.1:{port}"), true),
    ];
    let mut ran = Vec::new();
    for (builder, address, with_tls) in builders {
        let mut flags = Vec::new();
        let mut more = vec!["--push".to_owned()];
        if with_tls {
            let tls = tls
                .iter()
                .flat_map(|(flag, file)| [(*flag).to_owned(), file.clone()]);
            flags.extend(tls);
            more.extend([
                "--docker-cert-path".to_owned(),
                home.path().display().to_string(),
            ]);
        }
        let _daemon = start_buildkitd(home.path(), builder, &address, &flags);
        let cache = format!("type=registry,ref={registry}/cache");
        more.extend(["--name".to_owned(), format!("{registry}/app:{builder}")]);
        more.extend(["--cache-from".to_owned(), cache.clone()]);
        more.extend(["--cache-to".to_owned(), format!("{cache},mode=max")]);
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let output = build_at(&address, &app, &more).expect_success(builder);
        ran.push(common::Build::read(&output).phases_run);
        // What platforms call it with: files for other tools.
        for kind in ["oci", "docker", "tar"] {
            let file = path(&format!("{builder}-{kind}.tar"));
            let output = format!("type={kind},dest={file}");
            let cert = home.path().display().to_string();
            let mut more = vec!["--docker-output", &output];
            if with_tls {
                more.extend(["--docker-cert-path", &cert]);
            }
            build_at(&address, &app, &more).expect_success(kind);
            assert!(fs::metadata(&file).unwrap().len() > 1 << 20, "{file}");
        }
        failures_are_told(&address, home.path());
    }
    assert_eq!(ran, [1, 0], "commands that each builder ran");
}

/// How many files a folder has.
fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// The files of `folder/blobs/sha256` with their bytes, those of layers as the tar inside.
fn blobs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder.join("blobs/sha256")).unwrap();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return (path, bytes);
        }
        let mut plain = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::MultiGzDecoder::new(&bytes[..]),
            &mut plain,
        )
        .unwrap();
        (path, plain)
    };
    files.map(|file| read(file.unwrap().path())).collect()
}

const SECRET: &str = "planted-in-a-folder";

/// An app whose steps are kept in the folder `steps`, built by buildkitds that know nothing of each other.
struct Keeping {
    home: tempfile::TempDir,
    app: tempfile::TempDir,
}

impl Keeping {
    fn new() -> Self {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let settings = "[worker.oci]\nnetworkMode = \"host\"\n";
        fs::write(home.path().join("buildkitd.toml"), settings).unwrap();
        let phase = "[phases.build]\ncmds = [\"date +%N > stamp; echo ${#PLANTED} > length\"]\nsecrets = [\"PLANTED\"]\n";
        let app = common::app_of(&[("start.sh", "cat stamp"), ("nixpacks.toml", phase)]);
        Self { home, app }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Builds by a buildkitd of an own state.
    fn attempt(&self, state: &str, more: &[&str]) -> common::Output {
        let address = format!("unix://{}.sock", self.path(state).display());
        let _daemon = start_buildkitd(self.home.path(), state, &address, &[]);
        let output = format!(
            "type=local,dest={}",
            self.path(&format!("out-{state}")).display()
        );
        let secret = format!("PLANTED={SECRET}");
        let more = [&["--secret", &secret, "--docker-output", &output][..], more].concat();
        build_at(&address, &self.app.path().join("app"), &more)
    }

    /// The commands that ran, what they wrote, and what was said.
    fn build(&self, state: &str, more: &[&str]) -> (u64, String, common::Output) {
        let said = self.attempt(state, more).expect_success(state);
        let stamp = self.path(&format!("out-{state}/app/stamp"));
        let stamp = fs::read_to_string(stamp).unwrap();
        (common::Build::read(&said).phases_run, stamp, said)
    }

    /// `type=local` for `--cache-from` and `--cache-to`.
    fn caches(&self, name: &str) -> [String; 2] {
        let path = self.path(name);
        let path = path.display();
        [
            format!("type=local,src={path}"),
            format!("type=local,dest={path},mode=max"),
        ]
    }
}

#[test]
fn a_second_buildkitd_takes_what_the_first_one_kept_in_a_folder() {
    if !can_start_buildkitd(&[]) {
        return;
    }
    let keeping = Keeping::new();
    let steps = keeping.path("steps");
    let [from, to] = keeping.caches("steps");
    let both = ["--cache-from", &from, "--cache-to", &to];
    // The first build of all finds nothing, and is told so.
    let (ran, stamp, said) = keeping.build("first", &both);
    assert_eq!(ran, 1, "{said}");
    assert!(said.stdout.contains("no steps of other builds"), "{said}");
    let index = fs::read(steps.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let annotations = &index["manifests"][0]["annotations"];
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "latest");
    let kept = blobs(&steps);
    assert!(kept.iter().any(|(_, bytes)| bytes.len() > 1 << 20));
    for (path, bytes) in &kept {
        let secret = SECRET.as_bytes();
        let found = bytes.windows(secret.len()).any(|part| part == secret);
        assert!(!found, "{} has the secret", path.display());
    }
    assert_eq!(count(&steps.join("ingest")), 0);
    // The second one reuses the steps, also where it keeps them again.
    let (ran, same, said) = keeping.build("second", &both);
    assert_eq!((ran, &same), (0, &stamp), "{said}");
    assert!(!said.stdout.contains("no steps of other builds"), "{said}");
    broken_steps_are_told_of_and_mended(&keeping, &kept);
    other_clients_take_and_keep_steps(&keeping);
}

/// A layer that is missing, and blobs that are not what their names say.
fn broken_steps_are_told_of_and_mended(keeping: &Keeping, kept: &[(PathBuf, Vec<u8>)]) {
    let [from, to] = keeping.caches("steps");
    let blobs = || kept.iter().filter(|(_, bytes)| bytes.len() > 1 << 10);
    let (one, _) = blobs().next().unwrap();
    let whole = fs::read(one).unwrap();
    fs::remove_file(one).unwrap();
    let (ran, _, said) = keeping.build("missing", &["--cache-from", &from]);
    assert_eq!(ran, 1, "{said}");
    assert!(said.stdout.contains("is missing"), "{said}");
    fs::write(one, &whole).unwrap();
    let spoil = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    // Layers are looked at when the daemon wants them, what describes them before the build.
    let (layers, others): (Vec<_>, Vec<_>) =
        blobs().partition(|(path, _)| fs::read(path).unwrap().starts_with(&[0x1f, 0x8b]));
    for (path, _) in &layers {
        spoil(path);
    }
    let refused = keeping.attempt("spoiled", &["--cache-from", &from]);
    assert!(!refused.status.success(), "{refused}");
    let says = "is not what its name says: remove it";
    assert!(refused.stderr.contains(says), "{refused}");
    for (path, _) in &others {
        spoil(path);
    }
    let (ran, _, said) = keeping.build("lied", &["--cache-from", &from]);
    assert_eq!(ran, 1, "{said}");
    assert!(said.stdout.contains(says), "{said}");
    // The next build that keeps its steps there puts it right.
    let (ran, stamp, said) = keeping.build("mended", &["--cache-to", &to]);
    assert_eq!(ran, 1, "{said}");
    let (ran, same, said) = keeping.build("last", &["--cache-from", &from]);
    assert_eq!((ran, same), (0, stamp), "{said}");
}

/// BuildKit's own client takes these steps, and packwright those that it keeps.
fn other_clients_take_and_keep_steps(keeping: &Keeping) {
    let told = build_by_buildctl(keeping, "steps", "other");
    assert!(
        told.stderr.contains("importing cache manifest from local:"),
        "{told}"
    );
    // `#5 [stage-0 2/9] ADD [...build-root...]`, then `#5 CACHED`.
    let unpacked = |line: &&str| line.contains("ADD") && line.contains("build-root");
    let number = told.stderr.lines().find(unpacked).unwrap();
    let number = number.split(' ').next().unwrap();
    let cached = format!("{number} CACHED");
    assert!(told.stderr.lines().any(|line| line == cached), "{told}");
    let [from, _] = keeping.caches("other");
    let (_, _, said) = keeping.build("after", &["--cache-from", &from]);
    assert!(!said.stdout.contains("no steps of other builds"), "{said}");
    let events = common::events(&said);
    let of_root = |event: &&serde_json::Value| {
        event["event"] == "step_started" && event["title"].as_str().unwrap().contains("build-root")
    };
    let step = &events.iter().find(of_root).unwrap()["step"];
    let of_step =
        |event: &&serde_json::Value| event["event"] == "step_finished" && event["step"] == *step;
    assert_eq!(
        events.iter().find(of_step).unwrap()["cached"],
        true,
        "{said}"
    );
}

/// Builds what `--out` writes by BuildKit's own client, with steps from a folder and to another one.
fn build_by_buildctl(keeping: &Keeping, from: &str, to: &str) -> common::Output {
    let address = format!("unix://{}", keeping.path("buildctl.sock").display());
    let _daemon = start_buildkitd(keeping.home.path(), "buildctl", &address, &[]);
    let out = keeping.path("out");
    let mut command = common::packwright(["build", "--network", "host", "--cache-key", "shared"]);
    command.arg(keeping.app.path().join("app"));
    command
        .arg("--out")
        .arg(&out)
        .args(["--secret", &format!("PLANTED={SECRET}")]);
    common::finish(&mut command, LIMIT).expect_success("--out");
    let mut command = Command::new(buildkit().join("buildctl"));
    command.args(["--addr", &address, "build", "--progress", "plain"]);
    command.args([
        "--frontend",
        "dockerfile.v0",
        "--opt",
        "filename=.nixpacks/Dockerfile",
    ]);
    command.args([
        "--opt",
        "force-network-mode=host",
        "--allow",
        "network.host",
    ]);
    command
        .arg("--secret")
        .arg("id=PLANTED,env=PLANTED")
        .env("PLANTED", SECRET);
    for folder in ["context", "dockerfile"] {
        command
            .arg("--local")
            .arg(format!("{folder}={}", out.display()));
    }
    let [from, to] = [
        keeping.caches(from)[0].clone(),
        keeping.caches(to)[1].clone(),
    ];
    command.args(["--import-cache", &from, "--export-cache", &to]);
    common::finish(&mut command, LIMIT).expect_success("buildctl")
}
