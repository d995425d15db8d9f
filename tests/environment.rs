//! Real environments: locked from the real archives, made on this machine, and used.
//!
//! Needs root, overlayfs, the network and a minute, so it runs when `TEST_ALL=1` is
//! set and says loudly when it does not. `PACKWRIGHT_TEST_CACHE` keeps the cache between runs.

#![allow(
    clippy::cast_precision_loss,
    clippy::format_push_string,
    reason = "sizes and scripts for people"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use packwright::cache::Cache;
use packwright::environment::{
    Context, EnvironmentRequest, LockedDebian, LockedEnvironment, NixSettings, Packages, RootJob,
    RootRunner, Roots, Sources, realise, resolve_lock,
};
use packwright::interrupt::Interrupt;
use packwright::report::{Event, Report};
use sha2::{Digest, Sha256};

struct Print;

impl Report for Print {
    fn event(&self, event: Event) {
        match event {
            Event::StepFinished {
                step,
                cached,
                milliseconds,
                note,
            } => {
                eprintln!(
                    "    {step}: {milliseconds} ms{} {note}",
                    if cached { " (cached)" } else { "" }
                );
            }
            Event::Warning { message } => eprintln!("    warning: {message}"),
            _ => {}
        }
    }
}

/// Runs jobs with the system's own tools: an overlay and a chroot in a mount namespace.
struct Chroot;

impl Chroot {
    fn command(
        lowers: &[PathBuf],
        upper: &Path,
        binds: &[(PathBuf, String)],
        script: &str,
    ) -> Command {
        let base = upper.parent().unwrap();
        let (work, root) = (base.join("overlay-work"), base.join("overlay-root"));
        for dir in [&work, &root] {
            fs::create_dir_all(dir).unwrap();
        }
        let lower: Vec<String> = lowers
            .iter()
            .rev()
            .map(|dir| dir.display().to_string())
            .collect();
        let mut setup = format!(
            "set -e; mount -t overlay overlay -o lowerdir={},upperdir={},workdir={},userxattr {root}; \
             mount -t proc proc {root}/proc; mount --rbind /dev {root}/dev; ",
            lower.join(":"),
            upper.display(),
            work.display(),
            root = root.display()
        );
        for (from, to) in binds {
            setup.push_str(&format!(
                "mount --bind -o ro {} {}{to}; ",
                from.display(),
                root.display()
            ));
        }
        setup.push_str(&format!(
            "exec chroot {} /bin/sh -e -c \"$0\"",
            root.display()
        ));
        let mut command = Command::new("unshare");
        command.args([
            "--mount", "--pid", "--fork", "/bin/sh", "-c", &setup, script,
        ]);
        command
    }

    fn output(mut command: Command, base: &Path) -> Result<String, String> {
        let output = command.output().unwrap();
        for dir in ["overlay-work", "overlay-root"] {
            let _ = fs::remove_dir_all(base.join(dir));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

impl RootRunner for Chroot {
    fn run(&self, job: &RootJob<'_>) -> Result<(), String> {
        let mut command = Self::command(job.lowers, job.upper, &job.binds, job.script);
        command.env_clear().envs(&job.env);
        Self::output(command, job.upper.parent().unwrap()).map(|text| {
            if std::env::var_os("PACKWRIGHT_TEST_VERBOSE").is_some() {
                eprintln!("{text}");
            }
        })
    }
}

fn enabled() -> bool {
    let wanted = std::env::var("TEST_ALL").is_ok_and(|value| value == "1");
    let root = rustix::process::geteuid().is_root();
    if !wanted || !root {
        eprintln!("SKIPPED: needs TEST_ALL=1 and root");
    }
    wanted && root
}

struct Place {
    _home: Option<tempfile::TempDir>,
    dir: PathBuf,
    cache: Cache,
}

fn place() -> Place {
    let kept = std::env::var_os("PACKWRIGHT_TEST_CACHE").map(PathBuf::from);
    let home = kept.is_none().then(|| tempfile::tempdir().unwrap());
    let dir = kept.unwrap_or_else(|| home.as_ref().unwrap().path().to_owned());
    Place {
        _home: home,
        cache: Cache::open(&dir).unwrap(),
        dir,
    }
}

fn request(build: &[&str], run: &[&str]) -> EnvironmentRequest {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    EnvironmentRequest {
        build_tools: texts(build),
        run_tools: texts(run),
        ..Default::default()
    }
}

/// Packages of Debian's, whatever the machine has.
fn context<'a>(
    sources: &'a Sources,
    cache: &'a Cache,
    nix: &'a NixSettings,
    interrupt: &'a Interrupt,
) -> Context<'a> {
    Context {
        folder: Path::new("/"),
        packages: Packages::Debian,
        machine: None,
        nix,
        sources,
        cache,
        report: &Print,
        interrupt,
    }
}

fn made(place: &Place, request: &EnvironmentRequest) -> (LockedDebian, Roots) {
    let (sources, nix) = (Sources::discover(&place.cache), NixSettings::default());
    let interrupt = Interrupt::default();
    let context = context(&sources, &place.cache, &nix, &interrupt);
    let start = Instant::now();
    let lock = resolve_lock(request, &context).unwrap_or_else(|error| panic!("{error}"));
    eprintln!("  locked in {} ms", start.elapsed().as_millis());
    let start = Instant::now();
    assert_eq!(resolve_lock(request, &context).unwrap(), lock);
    eprintln!("  locked again in {} us", start.elapsed().as_micros());
    let start = Instant::now();
    let roots = realise(&lock, &context, &Chroot)
        .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
    eprintln!("  realised in {} ms", start.elapsed().as_millis());
    let start = Instant::now();
    assert_eq!(realise(&lock, &context, &Chroot).unwrap(), roots);
    eprintln!("  realised again in {} us", start.elapsed().as_micros());
    let LockedEnvironment::Debian(lock) = lock else {
        panic!("not a lock of Debian's packages");
    };
    (lock, roots)
}

/// Runs a script in trees as a login shell would, with the `PATH` entries in front.
fn shell(
    place: &Place,
    trees: &[PathBuf],
    path: &[String],
    script: &str,
) -> Result<String, String> {
    let work = tempfile::tempdir_in(&place.dir).unwrap();
    let upper = work.path().join("upper");
    fs::create_dir(&upper).unwrap();
    let mut command = Chroot::command(trees, &upper, &[], script);
    let path = [
        path,
        &["/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
    ]
    .concat()
    .join(":");
    command.env_clear().env("PATH", path).env("HOME", "/root");
    Chroot::output(command, work.path())
}

fn in_build(place: &Place, roots: &Roots, script: &str) -> String {
    shell(place, &roots.build, &roots.around.build_path, script)
        .unwrap_or_else(|error| panic!("{script}: {error}"))
}

/// The image's trees as they would be in layers, with what is excluded left out.
fn image(place: &Place, roots: &Roots) -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir_in(&place.dir).unwrap();
    let mut trees = Vec::new();
    for (number, tree) in roots.run.iter().enumerate() {
        let copy = dir.path().join(number.to_string());
        assert!(
            Command::new("cp")
                .arg("-a")
                .arg(&tree.dir)
                .arg(&copy)
                .status()
                .unwrap()
                .success()
        );
        for pattern in &tree.excluded {
            let glob = globset::GlobBuilder::new(pattern)
                .literal_separator(true)
                .build()
                .unwrap()
                .compile_matcher();
            for (path, _) in listing(&copy).into_iter().rev() {
                if glob.is_match(&path) {
                    let path = copy.join(path);
                    if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
                        let _ = fs::remove_dir_all(path);
                    } else {
                        let _ = fs::remove_file(path);
                    }
                }
            }
        }
        let tar = Command::new("tar")
            .arg("-C")
            .arg(&copy)
            .args(["-czf", "-", "."])
            .output()
            .unwrap();
        let plain: u64 = listing(&copy)
            .keys()
            .map(|path| size(&copy.join(path)))
            .sum();
        eprintln!(
            "  {:?} {}: {:.1} MB, {:.1} MB gz",
            tree.cause,
            tree.title,
            plain as f64 / 1e6,
            tar.stdout.len() as f64 / 1e6
        );
        trees.push(copy);
    }
    (dir, trees)
}

fn size(path: &Path) -> u64 {
    fs::symlink_metadata(path).map_or(0, |meta| {
        if meta.is_file() {
            meta.len() / meta.nlink().max(1)
        } else {
            0
        }
    })
}

/// Every path with what identifies it: kind, mode, owner, content.
fn listing(dir: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(dir: &Path, base: &Path, into: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if meta.is_file() {
                hex::encode(Sha256::digest(fs::read(&path).unwrap()))
            } else {
                format!("{:?} {}", meta.file_type(), meta.rdev())
            };
            let line = format!(
                "{:o} {}:{} {content}",
                meta.permissions().mode(),
                meta.uid(),
                meta.gid()
            );
            into.insert(path.strip_prefix(base).unwrap().to_owned(), line);
            if meta.is_dir() {
                walk(&path, base, into);
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(dir, dir, &mut all);
    all
}

#[test]
fn node_builds_and_starts() {
    if !enabled() {
        return;
    }
    let place = place();
    let (lock, roots) = made(
        &place,
        &request(&["nodejs@22", "gcc", "python"], &["nodejs@22"]),
    );
    eprintln!(
        "  {} {:?}",
        lock.suite,
        lock.toolchains
            .iter()
            .map(|t| &t.version)
            .collect::<Vec<_>>()
    );
    eprintln!(
        "  base {} run base {} build {}",
        lock.base.len(),
        lock.run_base.len(),
        lock.build.len()
    );
    let run_base: Vec<&str> = lock.run_base.iter().map(|p| p.name.as_str()).collect();
    eprintln!("  run base: {run_base:?}");
    assert!(in_build(&place, &roots, "node --version").starts_with("v22."));
    assert!(in_build(&place, &roots, "npm --version").starts_with("10."));
    let compiled = "cd /tmp && echo 'int puts(const char*); int main(){puts(\"compiled\");}' > a.c && gcc a.c -o a && ./a && make --version";
    assert!(in_build(&place, &roots, compiled).starts_with("compiled"));
    assert!(in_build(&place, &roots, "python3 --version && python --version").contains("3.13"));

    let (_dir, trees) = image(&place, &roots);
    let script = "node -e 'console.log(process.version, os.userInfo().username)'; bash -l -c 'echo $PATH'; npm --version; \
                  id -un; ls / | tr '\\n' ' '; head -1 /etc/os-release; date; printf 'a b' | tr a c; which node; \
                  test $(grep -c BEGIN /etc/ssl/certs/ca-certificates.crt) -gt 100; TZ=Europe/Berlin date +%Z";
    let text = shell(&place, &trees, &roots.around.run_path, script)
        .unwrap_or_else(|error| panic!("{error}"));
    eprintln!("{text}");
    assert!(text.starts_with("v22.") && text.contains("root") && text.contains("/opt/nodejs-22."));
}

#[test]
fn go_and_uv_come_from_their_registries() {
    if !enabled() {
        return;
    }
    let place = place();
    let (lock, roots) = made(
        &place,
        &request(&["go@1.24", "uv", "npm@9", "nodejs@20"], &[]),
    );
    eprintln!(
        "  {:?}",
        lock.toolchains
            .iter()
            .map(|t| (&t.tool, &t.version))
            .collect::<Vec<_>>()
    );
    let script = "cd /tmp && printf 'package main\\nfunc main(){println(42)}' > a.go && GOTOOLCHAIN=local go run a.go 2>&1 && go version && uv --version && npm --version && node --version";
    let text = in_build(&place, &roots, script);
    eprintln!("{text}");
    assert!(
        text.starts_with("42")
            && text.contains("go1.24.")
            && text.contains("uv 0.")
            && text.contains("\n9.")
            && text.contains("v20.")
    );
}

#[test]
fn python_decides_its_suite_and_runs_without_the_build_root() {
    if !enabled() {
        return;
    }
    let place = place();
    for (range, version) in [("3.13", "3.13."), ("3.11", "3.11."), ("3.9", "3.9.")] {
        let tool = format!("python@{range}");
        let (_, roots) = made(&place, &request(&[&tool], &[&tool]));
        let built = in_build(
            &place,
            &roots,
            "python -m venv /opt/venv && /opt/venv/bin/pip --version && /opt/venv/bin/python --version",
        );
        assert!(built.contains(version), "{built}");
        let (_dir, trees) = image(&place, &roots);
        let script = "python3 -c 'import ssl, sqlite3, ctypes, sys; print(sys.version, len(ssl.create_default_context().get_ca_certs()))'; \
                      python3 -X importtime -c 'import json' 2>&1 | wc -l; find / -xdev -name '*.pyc' | wc -l; bash -c 'echo $BASH_VERSION'";
        let text = shell(&place, &trees, &roots.around.run_path, script)
            .unwrap_or_else(|error| panic!("{error}"));
        eprintln!("{text}");
        assert!(text.starts_with(version));
    }
}

#[test]
fn nginx_runs_from_the_images_trees() {
    if !enabled() {
        return;
    }
    let place = place();
    let (_, roots) = made(&place, &request(&[], &["nginx"]));
    let (_dir, trees) = image(&place, &roots);
    let text = shell(
        &place,
        &trees,
        &roots.around.run_path,
        "nginx -v 2>&1; nginx -t 2>&1",
    )
    .unwrap_or_else(|error| panic!("{error}"));
    eprintln!("{text}");
    assert!(text.contains("successful"));
}

#[test]
fn two_caches_get_the_same_trees() {
    if !enabled() {
        return;
    }
    let mut found: Vec<Vec<BTreeMap<PathBuf, String>>> = Vec::new();
    let mut lock = None;
    for _ in 0..2 {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        let (sources, nix) = (Sources::discover(&cache), NixSettings::default());
        let interrupt = Interrupt::default();
        let context = context(&sources, &cache, &nix, &interrupt);
        let request = request(
            &["nodejs@22", "gcc", "python", "git"],
            &["python", "nginx", "imagemagick"],
        );
        let lock = lock.get_or_insert_with(|| resolve_lock(&request, &context).unwrap());
        let roots = realise(lock, &context, &Chroot).unwrap_or_else(|error| panic!("{error}"));
        let trees = roots
            .build
            .iter()
            .chain(roots.run.iter().map(|tree| &tree.dir));
        found.push(trees.map(|dir| listing(dir)).collect());
    }
    let mut differences = Vec::new();
    for (number, (one, two)) in found[0].iter().zip(&found[1]).enumerate() {
        for path in one.keys().chain(two.keys()) {
            if one.get(path) != two.get(path) {
                differences.push(format!(
                    "tree {number}: {}: {:?} {:?}",
                    path.display(),
                    one.get(path),
                    two.get(path)
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
