//! The sandbox's boundary, tried from inside: each test is a way in which sandboxes were left.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use packwright::engine::native::Native;
use packwright::engine::{Bind, Engine, EngineError, Exit, Job, Network, Outcome, Streams};
use packwright::interrupt::Interrupt;
use packwright::report::Stream;

/// A root made of the host's `/usr`, read-only, with a folder to work in.
struct Sandbox {
    home: tempfile::TempDir,
    network: Network,
    binds: Vec<Bind>,
}

impl Sandbox {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("root");
        for folder in [
            "usr", "etc", "app", "root", "var", "proc", "dev", "run", "tmp",
        ] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for link in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n").unwrap();
        fs::write(root.join("app/file"), "untouched").unwrap();
        let usr = Bind {
            source: "/usr".into(),
            target: "/usr".to_owned(),
            read_only: true,
        };
        Self {
            home,
            network: Network::None,
            binds: vec![usr],
        }
    }

    fn job(&self, script: &str) -> Job {
        let base = fs::canonicalize(self.home.path()).unwrap();
        let workspace = base.join(format!("work-{}", fs::read_dir(&base).unwrap().count()));
        fs::create_dir(&workspace).unwrap();
        Job {
            lowers: vec![base.join("root")],
            workspace,
            binds: self.binds.clone(),
            argv: ["/bin/bash", "-c", script].map(str::to_owned).to_vec(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin:/usr/sbin".to_owned())]),
            directory: "/app".to_owned(),
            network: self.network,
            streams: Streams::Captured,
            user: (0, 0),
        }
    }

    fn run(&self, script: &str) -> (Outcome, String) {
        let (result, text) = run(&self.job(script));
        (result.unwrap(), text)
    }
}

fn run(job: &Job) -> (Result<Outcome, EngineError>, String) {
    let mut text = String::new();
    let engine = Native::with_program(env!("CARGO_BIN_EXE_packwright"));
    let result = engine.run(job, &Interrupt::default(), &mut |_: Stream, line| {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    });
    (result, text)
}

#[test]
fn output_comes_line_by_line_and_the_exit_code_is_kept() {
    let (outcome, text) = Sandbox::new().run("echo one; echo two >&2; printf three; exit 7");
    assert_eq!(outcome.exit, Exit::Code(7));
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one", "three", "two"]);
}

#[test]
fn changes_are_in_the_upper_folder_and_the_lower_ones_stay_as_they_were() {
    let sandbox = Sandbox::new();
    let job = sandbox.job("echo changed > file; echo new > other; mkdir -p sub; rm /etc/passwd");
    run(&job).0.unwrap();
    let upper = job.workspace.join("upper");
    assert_eq!(
        fs::read_to_string(upper.join("app/file")).unwrap(),
        "changed\n"
    );
    assert_eq!(
        fs::read_to_string(upper.join("app/other")).unwrap(),
        "new\n"
    );
    assert!(upper.join("app/sub").is_dir());
    let root = sandbox.home.path().join("root");
    assert_eq!(
        fs::read_to_string(root.join("app/file")).unwrap(),
        "untouched"
    );
    assert!(root.join("etc/passwd").exists());
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let sandbox = Sandbox::new();
    let mut job = sandbox.job("");
    job.argv = vec!["/no/such/program".to_owned()];
    let error = run(&job).0.unwrap_err();
    assert!(
        matches!(&error, EngineError::Execute { program, .. } if program == "/no/such/program"),
        "{error}"
    );
}

#[test]
fn neither_many_lower_trees_nor_odd_names_are_too_much_for_the_overlay() {
    let sandbox = Sandbox::new();
    let mut job = sandbox.job("ls | wc -l; cat 'app one'");
    let odd = sandbox.home.path().join("a:b,c\\d \"é\"");
    let mut lowers: Vec<PathBuf> = (0..150)
        .map(|number| odd.join(format!("{}-{number}", "k".repeat(64))))
        .collect();
    for (number, lower) in lowers.iter().enumerate() {
        fs::create_dir_all(lower.join("app")).unwrap();
        fs::write(lower.join(format!("app/{number}")), "").unwrap();
        fs::write(lower.join("app/app one"), number.to_string()).unwrap();
    }
    job.lowers.append(&mut lowers);
    job.workspace = odd.join("work space");
    fs::create_dir(&job.workspace).unwrap();
    let (result, text) = run(&job);
    assert!(result.unwrap().exit.success(), "{text}");
    assert_eq!(text, "152\n149\n");
}

/// The sandbox's root user owns the host's device nodes when the build runs as root.
#[test]
fn the_hosts_devices_can_be_used_and_not_changed() {
    let before = fs::metadata("/dev/null").unwrap();
    let (outcome, text) = Sandbox::new().run(
        "echo x > /dev/null && head -c 4 /dev/zero | wc -c && : >> /dev/full; \
         chmod 600 /dev/null; chown 1:1 /dev/null; touch -d @1 /dev/zero; \
         ls -l /dev/null",
    );
    assert!(outcome.exit.success(), "{text}");
    assert!(text.contains("\n4\n") || text.starts_with("4\n"), "{text}");
    assert_eq!(text.matches("Read-only file system").count(), 3, "{text}");
    let after = fs::metadata("/dev/null").unwrap();
    assert_eq!(
        (before.mode(), before.uid(), before.gid()),
        (after.mode(), after.uid(), after.gid())
    );
}

#[test]
fn a_link_to_nothing_makes_way_for_a_bound_file() {
    let mut sandbox = Sandbox::new();
    let root = sandbox.home.path().join("root");
    std::os::unix::fs::symlink(
        "../run/resolvconf/resolv.conf",
        root.join("etc/resolv.conf"),
    )
    .unwrap();
    sandbox.binds.push(Bind {
        source: "/etc/passwd".into(),
        target: "/etc/resolv.conf".to_owned(),
        read_only: true,
    });
    let (outcome, text) = sandbox.run("head -c 4 /etc/resolv.conf");
    assert!(outcome.exit.success(), "{text}");
    assert_eq!(text, "root\n");
}

/// C1: CVE-2019-5736. A command whose interpreter is `/proc/self/exe` runs the helper's program.
#[test]
fn the_program_that_a_command_could_reach_is_a_copy() {
    let sandbox = Sandbox::new();
    let job = sandbox.job("echo running; sleep 0.3");
    let engine = Native::with_program(env!("CARGO_BIN_EXE_packwright"));
    let mut programs = Vec::new();
    let result = engine.run(&job, &Interrupt::default(), &mut |_: Stream, _| {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            if line.contains("\0__sandbox\0") && line.starts_with("/proc/self/fd/") {
                programs.extend(fs::read_link(entry.path().join("exe")));
            }
        }
    });
    assert!(result.unwrap().exit.success());
    assert!(!programs.is_empty());
    for program in programs {
        assert!(
            program.starts_with("/memfd:packwright (deleted)"),
            "{program:?}"
        );
    }
}

/// C2: CVE-2024-21626.
#[test]
fn a_working_directory_outside_the_root_is_refused() {
    let sandbox = Sandbox::new();
    for directory in [
        "/proc/self/fd/3",
        "/proc/self/fd/7",
        "/proc/self/root",
        "/no/such/folder",
    ] {
        let mut job = sandbox.job("ls /work; pwd");
        job.directory = directory.to_owned();
        let (result, text) = run(&job);
        assert!(result.is_err(), "{directory}: {text}");
    }
}

/// C3: descriptors of the caller's caller.
#[test]
fn no_descriptor_of_the_caller_is_open_inside() {
    let canary = tempfile::NamedTempFile::new().unwrap();
    fs::write(canary.path(), "canary").unwrap();
    let mut kept = Vec::new();
    for _ in 3..50 {
        let file = fs::File::open(canary.path()).unwrap();
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
        assert!(file.as_raw_fd() > 2);
        kept.push(file);
    }
    let (outcome, text) = Sandbox::new()
        .run("cd /proc/self/fd && for f in *; do readlink $f; done; ls -l /proc/1/fd");
    assert!(
        !text.contains("canary") && !text.contains(canary.path().to_str().unwrap()),
        "{text}"
    );
    assert!(outcome.leftovers.is_empty());
    drop(kept);
}

/// C8: CVE-2024-23652.
#[test]
fn nothing_outside_is_removed_when_a_mount_point_is_swapped_for_a_link() {
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("empty")).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let mut sandbox = Sandbox::new();
    sandbox.binds.push(Bind {
        source: cache.path().into(),
        target: "/app/cache/deep".to_owned(),
        read_only: false,
    });
    let job = sandbox.job(&format!(
        "echo x > cache/deep/kept; mv cache elsewhere; ln -s {} cache; ls cache",
        outside.path().display()
    ));
    let (result, text) = run(&job);
    assert!(result.is_ok(), "{text}");
    assert!(outside.path().join("empty").is_dir());
    assert_eq!(
        fs::read_to_string(cache.path().join("kept")).unwrap(),
        "x\n"
    );
}

/// C4: a link in the root does not move a mount.
#[test]
fn a_mount_goes_where_the_link_points_inside_the_root() {
    let outside = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let mut sandbox = Sandbox::new();
    let root = sandbox.home.path().join("root");
    std::os::unix::fs::symlink(outside.path(), root.join("app/link")).unwrap();
    sandbox.binds.push(Bind {
        source: cache.path().into(),
        target: "/app/link/cache".to_owned(),
        read_only: false,
    });
    let job = sandbox.job("echo x > /app/link/cache/file");
    let _ = run(&job);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

/// C11: CVE-2017-5226 and, with upper bits set, CVE-2019-10063.
#[test]
fn a_terminal_cannot_be_typed_into() {
    let script = r#"python3 - <<'PY'
import fcntl, os, pty, ctypes, termios
libc = ctypes.CDLL(None, use_errno=True)
master, slave = pty.openpty()
for request in (termios.TIOCSTI, termios.TIOCSTI | (1 << 32)):
    result = libc.syscall(16, slave, ctypes.c_ulong(request), ctypes.c_char_p(b"x"))
    print("TIOCSTI", result, ctypes.get_errno())
try:
    os.open("/dev/tty", os.O_RDWR); print("has a terminal")
except OSError as error:
    print("no terminal", error.errno)
PY"#;
    let (_, text) = Sandbox::new().run(script);
    assert_eq!(text, "TIOCSTI -1 1\nTIOCSTI -1 1\nno terminal 6\n");
}

/// C13 and C14: sockets by path and abstract sockets.
#[test]
fn no_unix_socket_of_the_host_can_be_reached() {
    let mut sandbox = Sandbox::new();
    sandbox.network = Network::Host;
    let (_, text) = sandbox
        .run("find / -xdev -type s 2>/dev/null; find /run /tmp /dev /app -type s; echo done");
    assert_eq!(text, "done\n");
    let name = format!("packwright-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let (_, text) = sandbox.run(&format!(
        "python3 -c \"import socket; s = socket.socket(socket.AF_UNIX); s.connect('\\0{name}'); print('reached')\""
    ));
    assert!(
        text.contains("PermissionError") && !text.contains("reached"),
        "{text}"
    );
}

/// C15: without the network nothing is there but a loopback interface.
#[test]
fn without_network_only_loopback_exists() {
    let (_, text) = Sandbox::new().run("cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '; python3 -c \"
import socket
s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); print('loopback works')\"");
    assert_eq!(text, "lo\nloopback works\n");
}

/// C16.
#[test]
fn processes_outside_cannot_be_signalled_or_seen() {
    let pid = std::process::id();
    let (_, text) = Sandbox::new().run(&format!("kill -0 {pid} 2>&1; kill -0 1 && echo first; ls -d /proc/[0-9]* | wc -l; cat /proc/1/environ /proc/1/maps 2>&1 | head -c 200; readlink /proc/1/exe"));
    assert!(text.contains("No such process"), "{text}");
    let processes: usize = text.lines().find_map(|line| line.parse().ok()).unwrap();
    assert!(processes < 10, "{text}");
    assert!(
        !text.contains("packwright") && !text.contains("PATH="),
        "{text}"
    );
}

/// C17.
#[test]
fn a_leftover_process_is_ended_and_reported() {
    let sandbox = Sandbox::new();
    let job = sandbox.job("setsid sleep 1000 >/dev/null 2>&1 & disown; sleep 0.2; echo ended");
    let (result, text) = run(&job);
    assert_eq!(text, "ended\n");
    assert_eq!(result.unwrap().leftovers, ["sleep"]);
    let survivors = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == b"sleep\x001000\x00")
    });
    assert_eq!(survivors.count(), 0);
}

/// C20: the machine's switches.
#[test]
fn the_machines_switches_cannot_be_written() {
    let (_, text) = Sandbox::new().run(
        "for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/kcore; do (echo 0 > $f) 2>/dev/null && [ ! -c $f ] && echo wrote $f; done; head -c 10 /proc/kcore 2>/dev/null | wc -c; ls /sys 2>/dev/null | wc -l",
    );
    assert_eq!(text, "0\n0\n");
}

/// C21: namespaces of its own, kernel sockets, keys.
#[test]
fn the_kernels_attack_surface_is_closed() {
    let script = r#"unshare -U true 2>&1 | grep -c 'Operation not permitted'
python3 - <<'PY'
import ctypes, socket
libc = ctypes.CDLL(None, use_errno=True)
for name, number in (("bpf", 321), ("keyctl", 250), ("perf", 298), ("userfaultfd", 323), ("io_uring", 425), ("mount", 165)):
    result = libc.syscall(number, 0, 0, 0, 0, 0)
    print(name, result, ctypes.get_errno())
for family in (38, 40):
    try:
        socket.socket(family, socket.SOCK_STREAM if family == 40 else socket.SOCK_SEQPACKET); print("made", family)
    except OSError as error:
        print("refused", error.errno)
PY"#;
    let (_, text) = Sandbox::new().run(script);
    assert_eq!(
        text,
        "1\nbpf -1 1\nkeyctl -1 1\nperf -1 1\nuserfaultfd -1 1\nio_uring -1 38\nmount -1 1\nrefused 1\nrefused 1\n"
    );
}

/// C24 and C25: CVE-2022-24769 and kin.
#[test]
fn capabilities_are_few_and_none_is_inherited() {
    let (_, text) =
        Sandbox::new().run("grep -E 'Cap|Groups|NoNewPrivs|Seccomp:' /proc/self/status; id -G");
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit('\t').next().unwrap().trim().to_owned()
    };
    let kept = u64::from_str_radix(&value("CapEff"), 16).unwrap();
    assert_eq!(value("CapPrm"), value("CapEff"));
    assert_eq!(value("CapBnd"), value("CapEff"));
    for empty in ["CapInh", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&value(empty), 16).unwrap(), 0, "{text}");
    }
    for (name, bit) in [
        ("SYS_ADMIN", 21),
        ("SYS_PTRACE", 19),
        ("MKNOD", 27),
        ("NET_RAW", 13),
        ("NET_ADMIN", 12),
    ] {
        assert_eq!(kept >> bit & 1, 0, "CAP_{name}");
    }
    assert_eq!(value("NoNewPrivs"), "1");
    assert_eq!(value("Seccomp:"), "2");
    assert_eq!(text.lines().last(), Some("0"));
}

/// C26.
#[test]
fn no_variable_of_the_caller_is_seen() {
    // Cargo sets this one for the test process itself.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let (_, text) = Sandbox::new().run("env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'");
    for line in text.lines().filter(|line| !line.is_empty()) {
        let name = line.split('=').next().unwrap();
        assert!(["PATH", "PWD", "SHLVL", "_"].contains(&name), "{line}");
    }
}

/// C30.
#[test]
fn a_bound_folder_is_not_written() {
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("file"), "mine").unwrap();
    let mut sandbox = Sandbox::new();
    sandbox.binds.push(Bind {
        source: source.path().into(),
        target: "/app/source".to_owned(),
        read_only: true,
    });
    let (_, text) = sandbox.run("echo x > source/file; echo x > source/new; rm source/file; chmod 777 source; mount -o remount,rw /app/source; echo end");
    assert!(text.contains("end"));
    assert_eq!(
        fs::read_to_string(source.path().join("file")).unwrap(),
        "mine"
    );
    assert_eq!(fs::read_dir(source.path()).unwrap().count(), 1);
}

/// C32.
#[test]
fn a_crash_leaves_no_core_file() {
    let sandbox = Sandbox::new();
    let job =
        sandbox.job("ulimit -c unlimited 2>/dev/null; ulimit -c; bash -c 'kill -SEGV $$'; true");
    let (result, text) = run(&job);
    result.unwrap();
    assert_eq!(text.lines().next(), Some("0"), "{text}");
    let app = job.workspace.join("upper/app");
    assert!(!app.exists() || fs::read_dir(app).unwrap().count() == 0);
}

#[test]
fn when_the_parent_is_told_to_end_the_command_is_told_and_ends() {
    let sandbox = Sandbox::new();
    let job = sandbox.job("trap 'echo told; exit 3' TERM; while :; do sleep 0.1; done");
    let interrupt = Interrupt::default();
    let raised = interrupt.clone();
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        raised.raise(15);
    });
    let mut text = String::new();
    let engine = Native::with_program(env!("CARGO_BIN_EXE_packwright"));
    let result = engine.run(&job, &interrupt, &mut |_, line| {
        text.push_str(&String::from_utf8_lossy(line));
    });
    assert!(matches!(result, Err(EngineError::Interrupted)));
    assert!(text.contains("told"), "{text}");
}

#[test]
fn no_mount_is_left_on_the_host() {
    let sandbox = Sandbox::new();
    sandbox.run("true");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let home: PathBuf = fs::canonicalize(sandbox.home.path()).unwrap();
    assert!(!mounts.contains(Path::to_str(&home).unwrap()));
}
