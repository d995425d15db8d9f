use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode};

use super::*;

fn temporary(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn error(dir: &tempfile::TempDir, path: &str) -> String {
    let started = Instant::now();
    let error = Repo::open(dir.path()).unwrap().read(path).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5), "it waited");
    assert!(error.hint().is_some(), "{error}");
    error.to_string()
}

fn names(repo: &Repo) -> Vec<String> {
    repo.entries()
        .unwrap()
        .iter()
        .map(|entry| entry.path.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_fifo_as_a_manifest_is_refused_at_once() {
    let dir = temporary(&[]);
    rustix::fs::mknodat(
        CWD,
        dir.path().join("package.json"),
        FileType::Fifo,
        Mode::from(0o644),
        0,
    )
    .unwrap();
    assert_eq!(
        error(&dir, "package.json"),
        "package.json is a FIFO, not a regular file"
    );
}

#[test]
fn a_link_to_dev_zero_is_refused_at_once() {
    let dir = temporary(&[]);
    symlink("/dev/zero", dir.path().join("package.json")).unwrap();
    assert_eq!(
        error(&dir, "package.json"),
        "package.json leads out of the repository"
    );
}

#[test]
fn two_sparse_gigabytes_are_refused_at_once() {
    let dir = temporary(&[]);
    fs::File::create(dir.path().join("package-lock.json"))
        .unwrap()
        .set_len(2 << 30)
        .unwrap();
    assert!(error(&dir, "package-lock.json").starts_with("package-lock.json has 2147483648 bytes"));
}

#[test]
fn bytes_that_are_not_utf8_are_refused_and_utf16_is_named() {
    let dir = temporary(&[]);
    fs::write(dir.path().join("package.json"), b"{\"a\":\"\xe9\"}").unwrap();
    fs::write(dir.path().join("Procfile"), b"\xff\xfew\0e\0").unwrap();
    assert_eq!(
        error(&dir, "package.json"),
        "package.json is not UTF-8 text (first bad byte at offset 6)"
    );
    let utf16 = Repo::open(dir.path())
        .unwrap()
        .read("Procfile")
        .unwrap_err();
    assert_eq!(
        utf16.hint().as_deref(),
        Some("Procfile is UTF-16; save it as UTF-8")
    );
}

#[test]
fn links_out_of_the_tree_are_refused_whatever_their_form() {
    let outside = temporary(&[("secret", "canary")]);
    let dir = temporary(&[("a/x", "")]);
    symlink(outside.path().join("secret"), dir.path().join("absolute")).unwrap();
    symlink(
        "../../../../../../etc/passwd",
        dir.path().join("a/relative"),
    )
    .unwrap();
    symlink(outside.path(), dir.path().join("folder")).unwrap();
    for path in ["absolute", "a/relative", "folder/secret"] {
        assert_eq!(
            error(&dir, path),
            format!("{path} leads out of the repository")
        );
        let repo = Repo::open(dir.path()).unwrap();
        assert!(!repo.exists(path) && !repo.in_image(path));
    }
    assert!(
        Repo::open(dir.path())
            .unwrap()
            .list("folder")
            .unwrap_or_default()
            .is_empty()
    );
    for path in ["../x", "/etc/passwd", "a/../../x"] {
        assert!(
            matches!(
                Repo::open(dir.path()).unwrap().read(path),
                Err(RepoError::Outside { .. })
            ),
            "{path}"
        );
    }
}

#[test]
fn links_inside_are_followed_for_reading_and_kept_as_links() {
    let dir = temporary(&[("real.json", "{}")]);
    symlink("real.json", dir.path().join("package.json")).unwrap();
    symlink("package.json", dir.path().join("again")).unwrap();
    symlink(".", dir.path().join("self")).unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    let repo = Repo::open(dir.path()).unwrap();
    assert_eq!(repo.read("again").unwrap().as_deref(), Some("{}"));
    assert!(repo.read("loop").is_err());
    let entries = repo.entries().unwrap();
    let link = entries
        .iter()
        .find(|entry| entry.path == Path::new("package.json"))
        .unwrap();
    assert_eq!(
        link.kind,
        EntryKind::Symlink {
            target: PathBuf::from("real.json")
        }
    );
    assert_eq!(
        names(&repo),
        ["again", "loop", "package.json", "real.json", "self"]
    );
}

#[test]
fn special_files_are_skipped_and_named() {
    let dir = temporary(&[("a", "")]);
    rustix::fs::mknodat(
        CWD,
        dir.path().join("pipe"),
        FileType::Fifo,
        Mode::from(0o644),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let repo = Repo::open(dir.path()).unwrap();
    assert_eq!(names(&repo), ["a"]);
    assert_eq!(repo.skipped(), ["pipe", "socket"]);
}

/// Runs in a thread without the capabilities that let root read everything.
fn without_privilege<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let mut sets: CapabilitySets = capabilities(None).unwrap();
                sets.effective
                    .remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
                set_capabilities(None, sets).unwrap();
                work()
            })
            .join()
            .unwrap()
    })
}

#[test]
fn what_may_not_be_read_is_an_error_that_names_it() {
    let dir = temporary(&[("locked/x", ""), ("package.json", "{}"), ("ok", "")]);
    fs::set_permissions(dir.path().join("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(
        dir.path().join("package.json"),
        fs::Permissions::from_mode(0o000),
    )
    .unwrap();
    without_privilege(|| {
        let repo = Repo::open(dir.path()).unwrap();
        let error = repo.entries().unwrap_err();
        assert_eq!(error.to_string(), "cannot list locked");
        assert!(error.hint().unwrap().contains("locked"));
        assert_eq!(
            repo.read("package.json").unwrap_err().to_string(),
            "cannot read package.json"
        );
    });
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o000)).unwrap();
    let error = without_privilege(|| Repo::open(dir.path()).unwrap_err().to_string());
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(
        error.starts_with("cannot open ") && error.ends_with("permission denied"),
        "{error}"
    );
}

#[test]
fn the_root_of_the_file_system_a_file_and_nothing_are_refused() {
    let dir = temporary(&[("file", "")]);
    let text = |path: &Path| Repo::open(path).unwrap_err().to_string();
    assert!(text(Path::new("/")).contains("root of the file system"));
    assert!(text(&dir.path().join("file")).ends_with("not a directory"));
    assert!(text(&dir.path().join("gone")).ends_with("no such file or directory"));
}

#[test]
fn modes_lose_setuid_and_setgid_and_keep_the_rest() {
    let dir = temporary(&[("run", ""), ("d/x", "")]);
    fs::set_permissions(dir.path().join("run"), fs::Permissions::from_mode(0o6755)).unwrap();
    let entries = Repo::open(dir.path()).unwrap().entries().unwrap();
    let run = entries
        .iter()
        .find(|entry| entry.path == Path::new("run"))
        .unwrap();
    assert_eq!((run.mode, &run.kind), (0o755, &EntryKind::File { size: 0 }));
}

#[test]
fn names_that_are_not_utf8_or_hold_newlines_are_kept() {
    let dir = temporary(&[("a\nb", ""), ("-rf", ""), ("$(x)", "")]);
    fs::write(dir.path().join(OsStr::from_bytes(b"caf\xe9")), "").unwrap();
    let entries = Repo::open(dir.path()).unwrap().entries().unwrap();
    let paths: Vec<&[u8]> = entries
        .iter()
        .map(|entry| entry.path.as_os_str().as_bytes())
        .collect();
    assert_eq!(paths, [&b"$(x)"[..], b"-rf", b"a\nb", b"caf\xe9"]);
}

#[test]
fn gitignore_holds_at_every_level_and_the_nearest_file_decides() {
    let files = [
        (".gitignore", "*.log\n/build/\nnode_modules\n"),
        ("a.log", ""),
        ("build/x", ""),
        ("src/build/x", ""),
        ("src/node_modules/y/z", ""),
        ("src/.gitignore", "!keep.log\n*.tmp\n"),
        ("src/keep.log", ""),
        ("src/b.tmp", ""),
        ("b.tmp", ""),
        (".git/config", ""),
        ("sub/.git", "gitdir: x"),
    ];
    let expected = [
        ".gitignore",
        "b.tmp",
        "src",
        "src/.gitignore",
        "src/build",
        "src/build/x",
        "src/keep.log",
        "sub",
    ];
    let memory: Vec<_> = names(&Repo::in_memory(&files));
    assert_eq!(
        memory,
        expected
            .iter()
            .filter(|name| **name != "sub")
            .copied()
            .chain(["sub"])
            .collect::<Vec<_>>()
    );
    assert_eq!(
        names(&Repo::open(temporary(&files).path()).unwrap()),
        expected
    );
}

#[test]
fn dockerignore_is_anchored_its_last_match_wins_and_it_brings_back_what_gitignore_ignores() {
    let files = [
        (".gitignore", "dist\nsecret\n"),
        (
            ".dockerignore",
            "# x\n*.md\n**/*.test.js\nfolder\n!folder/keep\n!dist/app.js\n!README.md\n/docs/**\n",
        ),
        ("README.md", ""),
        ("NOTES.md", ""),
        ("sub/x.md", ""),
        ("a/b/c.test.js", ""),
        ("c.test.js", ""),
        ("folder/keep/a", ""),
        ("folder/drop", ""),
        ("dist/app.js", ""),
        ("dist/other.js", ""),
        ("secret", ""),
        ("docs/a/b", ""),
    ];
    let kept = [
        ".dockerignore",
        ".gitignore",
        "README.md",
        "a",
        "a/b",
        "dist",
        "dist/app.js",
        "docs",
        "folder",
        "folder/keep",
        "folder/keep/a",
        "sub",
        "sub/x.md",
    ];
    let repo = Repo::in_memory(&files);
    assert_eq!(names(&repo), kept);
    assert!(
        repo.in_image("dist/app.js")
            && !repo.in_image("dist/other.js")
            && !repo.in_image("folder/drop")
            && !repo.in_image("secret")
    );
    assert_eq!(repo.list("folder").unwrap().len(), 1);
}

#[test]
fn an_ignored_file_can_still_be_read_for_planning() {
    let repo = Repo::in_memory(&[(".dockerignore", "*"), ("Procfile", "\u{feff}web: x")]);
    assert_eq!(repo.read("Procfile").unwrap().as_deref(), Some("web: x"));
    assert!(repo.is_file("Procfile") && !repo.in_image("Procfile"));
    assert!(names(&repo).is_empty());
}

#[test]
fn strange_ignore_patterns_are_warnings_and_never_slow() {
    let text = format!("[\n{}\n{}\na[!\n\\\n", "*".repeat(4000), "**/".repeat(1000));
    let repo = Repo::in_memory(&[
        (".dockerignore", &text),
        (".gitignore", &text),
        ("x/y/z", ""),
    ]);
    let started = Instant::now();
    repo.entries().unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(!repo.warnings().is_empty());
}

#[test]
fn a_glob_walks_only_where_it_can_match() {
    let files = [
        ("cmd/a/main.go", ""),
        ("cmd/b/main.go", ""),
        ("cmd/b/x.go", ""),
        ("web/a/b/c/main.go", ""),
        ("main.go", ""),
    ];
    let repo = Repo::in_memory(&files);
    assert_eq!(
        repo.glob("cmd/*/main.go").unwrap(),
        ["cmd/a/main.go", "cmd/b/main.go"]
    );
    assert_eq!(repo.counts().listings.len(), 4);
    assert_eq!(repo.glob("**/main.go").unwrap().len(), 4);
    assert_eq!(
        repo.glob("cmd/b/*.{go,mod}").unwrap(),
        ["cmd/b/main.go", "cmd/b/x.go"]
    );
    assert!(repo.glob("[").is_err());
}

#[test]
fn a_given_configuration_may_lie_outside_and_must_be_a_regular_file() {
    let outside = temporary(&[("plan.json", "{}")]);
    let dir = temporary(&[]);
    let repo = Repo::open(dir.path()).unwrap();
    assert_eq!(
        repo.text_given(&outside.path().join("plan.json"))
            .unwrap()
            .as_deref(),
        Some("{}")
    );
    assert!(matches!(
        repo.text_given(Path::new("/dev/zero")),
        Err(RepoError::NotAFile { kind: "device", .. })
    ));
    assert!(
        repo.text_given(&outside.path().join("gone"))
            .unwrap()
            .is_none()
    );
}
