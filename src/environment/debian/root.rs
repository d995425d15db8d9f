//! What Debian roots consist of, and how they are made from packages.

use super::index::Index;

/// Dependencies that only installing and configuring needs; a root that is only unpacked and never
/// changed by dpkg does without them.
pub(crate) const PACKAGING_ONLY: &[&str] = &[
    "adduser",
    "awk",
    "base-passwd",
    "cdebconf",
    "debconf",
    "debconf-2.0",
    "dpkg",
    "gcc-10-base",
    "gcc-12-base",
    "gcc-14-base",
    "gcc-15-base",
    "gcc-16-base",
    "init-system-helpers",
    "install-info",
    "libpam-runtime",
    "login",
    "lsb-base",
    "passwd",
    "sysvinit-utils",
    "tar",
    "ucf",
    "usr-is-merged",
    "usrmerge",
];

/// As [`PACKAGING_ONLY`], for the root of images: its certificates are made here, without OpenSSL.
pub(crate) fn not_in_run_base() -> Vec<&'static str> {
    [PACKAGING_ONLY, &["openssl", "openssl-provider-legacy"]].concat()
}

/// What a build root has besides the essential packages.
const BASE: [&str; 19] = [
    "apt",
    "base-files",
    "bash",
    "ca-certificates",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "gzip",
    "libatomic1",
    "libstdc++6",
    // Debian's own awk; the first that provides one would be a larger one.
    "mawk",
    "netbase",
    "procps",
    "sed",
    "tar",
    "tzdata",
    "usr-is-merged",
    "xz-utils",
];

/// What every image has.
const RUN_BASE: [&str; 16] = [
    "base-files",
    "bash",
    "ca-certificates",
    "coreutils",
    "dash",
    "debianutils",
    "findutils",
    "grep",
    "libatomic1",
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "ncurses-base",
    "netbase",
    "sed",
    "tzdata",
];

fn existing(index: &Index, names: &[&str]) -> Vec<String> {
    names
        .iter()
        .filter(|name| index.package(name).is_some())
        .map(|name| (*name).to_owned())
        .collect()
}

/// The packages that a build root is resolved from.
pub(crate) fn base_wanted(index: &Index) -> Vec<String> {
    let mut wanted: Vec<String> = index.essential().into_iter().map(str::to_owned).collect();
    wanted.extend(existing(index, &BASE));
    wanted
}

/// The packages that the root of an image is resolved from.
pub(crate) fn run_base_wanted(index: &Index) -> Vec<String> {
    existing(index, &RUN_BASE)
}

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::deb::{Deb, MERGED};
use crate::environment::lock::DebianPackage;
use crate::environment::{EnvironmentError, RootJob, RootRunner, io_error};
use crate::unpack::Root;

/// Of the rules by which trees are made from packages; part of their keys.
pub(crate) const FORMAT: &str = "1";

/// Where the packages to install are bound; base-files has it in every suite.
pub(crate) const PACKAGES_AT: &str = "/mnt";

/// Runs the scripts of packages that are only unpacked.
pub(crate) const CONFIGURE: &str = "dpkg --configure -a";

/// Installs the packages at [`PACKAGES_AT`]. Their scripts register manual pages, whose folders have to be there.
pub(crate) const INSTALL: &str = "mkdir -p /usr/share/man/man1 /usr/share/man/man5 /usr/share/man/man7 /usr/share/man/man8; \
    dpkg --force-depends --no-triggers --unpack /mnt/*.deb && dpkg --configure -a";

/// What documentation and translation is left out of every root, as dpkg's own option puts it.
const DPKG_CONFIG: &str = "\
force-unsafe-io
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/lintian/*
path-exclude=/usr/share/bug/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/gnome/help/*
";

/// A login shell's profile that leaves `PATH` as it is.
const PROFILE: &str = "\
# For login shells. PATH stays as it was set from outside.
if [ -d /etc/profile.d ]; then
  for file in /etc/profile.d/*.sh; do
    if [ -r \"$file\" ]; then . \"$file\"; fi
  done
  unset file
fi
";

const NSSWITCH: &str = "\
passwd: files
group: files
shadow: files
gshadow: files
hosts: files dns
networks: files
protocols: files
services: files
ethers: files
rpc: files
";

/// Debian's own accounts: base-passwd's table, which has not changed in years.
const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
sync:x:4:65534:sync:/bin:/bin/sync
games:x:5:60:games:/usr/games:/usr/sbin/nologin
man:x:6:12:man:/var/cache/man:/usr/sbin/nologin
lp:x:7:7:lp:/var/spool/lpd:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
news:x:9:9:news:/var/spool/news:/usr/sbin/nologin
uucp:x:10:10:uucp:/var/spool/uucp:/usr/sbin/nologin
proxy:x:13:13:proxy:/bin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
backup:x:34:34:backup:/var/backups:/usr/sbin/nologin
list:x:38:38:Mailing List Manager:/var/list:/usr/sbin/nologin
irc:x:39:39:ircd:/run/ircd:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";

const GROUP: &str = "\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
lp:x:7:
mail:x:8:
news:x:9:
uucp:x:10:
man:x:12:
proxy:x:13:
kmem:x:15:
dialout:x:20:
fax:x:21:
voice:x:22:
cdrom:x:24:
floppy:x:25:
tape:x:26:
sudo:x:27:
audio:x:29:
dip:x:30:
www-data:x:33:
backup:x:34:
operator:x:37:
list:x:38:
irc:x:39:
src:x:40:
shadow:x:42:
utmp:x:43:
video:x:44:
sasl:x:45:
plugdev:x:46:
staff:x:50:
games:x:60:
users:x:100:
nogroup:x:65534:
";

/// Paths of configured trees that are state of the machine that made them, or of packaging.
pub(crate) const NOT_IN_IMAGES: [&str; 22] = [
    "dev/**",
    "etc/.pwd.lock",
    "etc/apt/**",
    "etc/dpkg/**",
    "etc/machine-id",
    "etc/profile",
    "etc/resolv.conf",
    "mnt/**",
    "proc/**",
    "sys/**",
    "tmp/**",
    "usr/sbin/policy-rc.d",
    "usr/share/bug/**",
    "usr/share/debconf/**",
    "usr/share/lintian/**",
    "var/backups/**",
    "var/cache/apt/**",
    "var/cache/debconf/**",
    "var/cache/ldconfig/**",
    "var/lib/apt/**",
    "var/lib/dpkg/**",
    "var/lib/systemd/**",
];

/// True for documentation and translations, which no root has.
fn is_documentation(path: &Path) -> bool {
    const FOLDERS: [&str; 6] = [
        "usr/share/man/",
        "usr/share/info/",
        "usr/share/lintian/",
        "usr/share/bug/",
        "usr/share/locale/",
        "usr/share/gnome/help/",
    ];
    let Some(text) = path.to_str() else {
        return false;
    };
    FOLDERS.iter().any(|folder| text.starts_with(folder))
        || text
            .strip_prefix("usr/share/doc/")
            .is_some_and(|rest| rest.contains('/') && !rest.ends_with("/copyright"))
}

/// True for what images do without besides documentation: helpers of packaging, and folders of it.
fn is_packaging(path: &Path) -> bool {
    const FOLDERS: [&str; 9] = [
        "usr/share/debconf",
        "usr/share/doc-base",
        "usr/share/menu",
        "usr/share/base-files",
        "usr/share/locale",
        "usr/share/man",
        "usr/share/info",
        "usr/share/lintian",
        "usr/share/bug",
    ];
    FOLDERS.iter().any(|folder| path.starts_with(folder)) || is_rare_charset(path)
}

/// True for the C library's converters of mainframe and telex character sets, 4 MB of 8.
fn is_rare_charset(path: &Path) -> bool {
    const RARE: [&str; 6] = ["IBM", "EBCDIC", "INIS", "ISO_", "T.61", "DEC-MCS"];
    let converter = path.parent().is_some_and(|dir| dir.ends_with("gconv"));
    converter
        && path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| RARE.iter().any(|rare| name.starts_with(rare)))
}

/// One downloaded package.
pub(crate) struct Downloaded<'a> {
    /// As locked.
    pub package: &'a DebianPackage,
    /// Its file, verified.
    pub file: PathBuf,
    /// Debian's name of the machine that it is for.
    pub architecture: &'a str,
}

/// Reads packages in parallel and hands them over in their order.
fn each(
    packages: &[Downloaded<'_>],
    mut take: impl FnMut(&DebianPackage, Deb) -> Result<(), EnvironmentError>,
) -> Result<(), EnvironmentError> {
    let workers = std::thread::available_parallelism()
        .map_or(2, std::num::NonZero::get)
        .min(8);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(workers * 2);
        for _ in 0..workers {
            let sender = sender.clone();
            let next = &next;
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(downloaded) = packages.get(number) else {
                        return;
                    };
                    let deb = Deb::read(&downloaded.file, &downloaded.package.filename);
                    if sender.send((number, deb)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        for (wanted, downloaded) in packages.iter().enumerate() {
            while !waiting.contains_key(&wanted) {
                let Ok((number, deb)) = receiver.recv() else {
                    break;
                };
                waiting.insert(number, deb);
            }
            if let Some(deb) = waiting.remove(&wanted) {
                take(downloaded.package, deb?)?;
            }
        }
        Ok(())
    })
}

fn owners() -> bool {
    rustix::process::geteuid().is_root()
}

fn open_root(fs_dir: &Path) -> Result<Root, EnvironmentError> {
    Root::open(fs_dir).map_err(|source| EnvironmentError::Unpack {
        what: fs_dir.display().to_string(),
        source,
    })
}

/// Makes the folder of a root with the links of a merged `/usr`.
fn skeleton(fs_dir: &Path, packages: &[Downloaded<'_>]) -> Result<(), EnvironmentError> {
    make_dir(fs_dir, 0o755)?;
    make_dir(&fs_dir.join("usr"), 0o755)?;
    let native: &[&str] = if packages.iter().any(|one| one.architecture == "amd64") {
        &["bin", "sbin", "lib", "lib64"]
    } else {
        &["bin", "sbin", "lib"]
    };
    for name in MERGED.iter().filter(|name| native.contains(name)) {
        make_dir(&fs_dir.join("usr").join(name), 0o755)?;
        let link = fs_dir.join(name);
        std::os::unix::fs::symlink(format!("usr/{name}"), &link)
            .map_err(io_error("create", &link))?;
    }
    Ok(())
}

fn make_dir(path: &Path, mode: u32) -> Result<(), EnvironmentError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(io_error("create", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(io_error("change", path))
}

/// Writes a file into a root that packages were unpacked into; nothing in the way is followed.
fn write(fs_dir: &Path, path: &str, mode: u32, bytes: &[u8]) -> Result<(), EnvironmentError> {
    let root = open_root(fs_dir)?;
    root.file(Path::new(path), mode, &mut &bytes[..], bytes.len() as u64)
        .map(|_| ())
        .map_err(|source| EnvironmentError::Unpack {
            what: path.to_owned(),
            source,
        })
}

/// Unpacks packages and registers them with dpkg as unpacked, so that it can configure them.
fn unpack_registered(fs_dir: &Path, packages: &[Downloaded<'_>]) -> Result<(), EnvironmentError> {
    skeleton(fs_dir, packages)?;
    let root = open_root(fs_dir)?;
    let owners = owners();
    let mut status = String::new();
    let mut triggers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut info: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    each(packages, |package, deb| {
        let listed = deb.unpack(&root, owners, &|path| !is_documentation(path))?;
        let mut list = String::new();
        for path in listed {
            let path = path.to_string_lossy();
            let path = path.trim_end_matches('/');
            list.push_str(if path.is_empty() { "/." } else { "/" });
            list.push_str(path);
            list.push('\n');
        }
        let architecture = deb.field("Architecture").unwrap_or_default();
        let same = deb.field("Multi-Arch") == Some("same");
        let stem = if same {
            format!("{}:{architecture}", package.name)
        } else {
            package.name.clone()
        };
        info.insert(format!("{stem}.list"), list.into_bytes());
        read_triggers(
            deb.text("triggers").unwrap_or_default(),
            &package.name,
            &mut triggers,
        );
        let control = deb.text("control").unwrap_or_default().trim_end();
        let (first, rest) = control.split_once('\n').unwrap_or((control, ""));
        for part in [first, "\nStatus: install ok unpacked\n", rest, "\n\n"] {
            status.push_str(part);
        }
        info.extend(
            deb.control
                .into_iter()
                .filter(|(name, _)| name != "control")
                .map(|(name, bytes)| (format!("{stem}.{name}"), bytes)),
        );
        Ok(())
    })?;
    for (name, bytes) in &info {
        let script = ["preinst", "postinst", "prerm", "postrm", "config"]
            .iter()
            .any(|s| name.ends_with(&format!(".{s}")));
        write(
            fs_dir,
            &format!("var/lib/dpkg/info/{name}"),
            if script { 0o755 } else { 0o644 },
            bytes,
        )?;
    }
    write(fs_dir, "var/lib/dpkg/info/format", 0o644, b"1\n")?;
    write(fs_dir, "var/lib/dpkg/status", 0o644, status.as_bytes())?;
    write(fs_dir, "var/lib/dpkg/available", 0o644, b"")?;
    write(fs_dir, "var/lib/dpkg/statoverride", 0o644, b"")?;
    write(fs_dir, "var/lib/dpkg/diversions", 0o644, b"")?;
    for (name, lines) in &triggers {
        write(
            fs_dir,
            &format!("var/lib/dpkg/triggers/{name}"),
            0o644,
            (lines.join("\n") + "\n").as_bytes(),
        )?;
    }
    make_dir(&fs_dir.join("var/lib/dpkg/updates"), 0o755)?;
    make_dir(&fs_dir.join("var/lib/dpkg/alternatives"), 0o755)
}

/// dpkg's own files about who wants which trigger: `File` for paths, one file for each name.
fn read_triggers(text: &str, package: &str, triggers: &mut BTreeMap<String, Vec<String>>) {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(directive), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        let Some(kind) = directive.strip_prefix("interest") else {
            continue;
        };
        let package = if kind == "-noawait" {
            format!("{package}/noawait")
        } else {
            package.to_owned()
        };
        if name.starts_with('/') {
            triggers
                .entry("File".to_owned())
                .or_default()
                .push(format!("{name} {package}"));
        } else if name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && !name.starts_with('.')
        {
            triggers.entry(name.to_owned()).or_default().push(package);
        }
    }
}

/// The whole environment of packages' scripts.
pub(crate) fn variables() -> BTreeMap<String, String> {
    [
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        ("HOME", "/root"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
        ("DPKG_MAINTSCRIPT_DEBUG", ""),
        // Dates that scripts write (shadow, Python's caches) follow this, not the clock.
        ("SOURCE_DATE_EPOCH", "86400"),
        ("PYTHONHASHSEED", "0"),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// Unpacks a build root into `fs_dir`, ready for [`CONFIGURE`].
pub(crate) fn unpack_base(
    fs_dir: &Path,
    packages: &[Downloaded<'_>],
) -> Result<(), EnvironmentError> {
    unpack_registered(fs_dir, packages)?;
    write(fs_dir, "etc/passwd", 0o644, PASSWD.as_bytes())?;
    write(fs_dir, "etc/group", 0o644, GROUP.as_bytes())?;
    write(
        fs_dir,
        "etc/dpkg/dpkg.cfg.d/packwright",
        0o644,
        DPKG_CONFIG.as_bytes(),
    )?;
    write(
        fs_dir,
        "usr/sbin/policy-rc.d",
        0o755,
        b"#!/bin/sh\nexit 101\n",
    )?;
    for name in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
        write(fs_dir, name, 0o644, base_file(name))?;
    }
    let shell = fs_dir.join("usr/bin/sh");
    if fs::symlink_metadata(&shell).is_err() {
        std::os::unix::fs::symlink("dash", &shell).map_err(io_error("create", &shell))?;
    }
    Ok(())
}

/// Makes a build root in `staging/fs`: unpacked, then configured by dpkg's own scripts.
pub(crate) fn make_base(
    staging: &Path,
    packages: &[Downloaded<'_>],
    title: &str,
    runner: &dyn RootRunner,
) -> Result<(), EnvironmentError> {
    let fs_dir = staging.join("fs");
    unpack_base(&fs_dir, packages)?;
    let upper = staging.join("upper");
    make_dir(&upper, 0o755)?;
    let job = RootJob {
        title,
        lowers: std::slice::from_ref(&fs_dir),
        upper: &upper,
        binds: Vec::new(),
        env: variables(),
        script: CONFIGURE,
    };
    run(runner, &job)?;
    merge(&upper, &fs_dir)?;
    fs::remove_dir_all(&upper).map_err(io_error("remove", &upper))?;
    write(&fs_dir, "etc/profile", 0o644, PROFILE.as_bytes())?;
    make_dir(&fs_dir.join("app"), 0o755)?;
    make_dir(&fs_dir.join("assets"), 0o755)?;
    make_dir(&fs_dir.join("opt"), 0o755)?;
    clean(&fs_dir)
}

fn base_file(name: &str) -> &'static [u8] {
    match name {
        "etc/hosts" => b"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
        "etc/hostname" => b"packwright\n",
        _ => b"",
    }
}

/// Installs packages over trees; the change is left in `staging/fs`, an overlayfs upper folder.
pub(crate) fn install(
    staging: &Path,
    lowers: &[PathBuf],
    packages: &[Downloaded<'_>],
    title: &str,
    runner: &dyn RootRunner,
) -> Result<(), EnvironmentError> {
    let upper = staging.join("fs");
    make_dir(&upper, 0o755)?;
    let debs = staging.join("packages");
    make_dir(&debs, 0o755)?;
    for downloaded in packages {
        let target = debs.join(format!("{}.deb", downloaded.package.name));
        fs::hard_link(&downloaded.file, &target)
            .or_else(|_| fs::copy(&downloaded.file, &target).map(|_| ()))
            .map_err(io_error("link", &target))?;
    }
    let job = RootJob {
        title,
        lowers,
        upper: &upper,
        binds: vec![(debs.clone(), PACKAGES_AT.to_owned())],
        env: variables(),
        script: INSTALL,
    };
    run(runner, &job)?;
    fs::remove_dir_all(&debs).map_err(io_error("remove", &debs))?;
    clean(&upper)
}

fn run(runner: &dyn RootRunner, job: &RootJob<'_>) -> Result<(), EnvironmentError> {
    runner.run(job).map_err(|reason| EnvironmentError::Script {
        title: job.title.to_owned(),
        reason,
    })
}

/// Unpacks packages for an image: no documentation, nothing of packaging, no scripts.
pub(crate) fn unpack_for_run(
    fs_dir: &Path,
    packages: &[Downloaded<'_>],
) -> Result<(), EnvironmentError> {
    skeleton(fs_dir, packages)?;
    let root = open_root(fs_dir)?;
    let owners = owners();
    each(packages, |package, deb| {
        // The certificates go into one bundle; their package is otherwise tools to make it.
        let certificates = package.name == "ca-certificates";
        deb.unpack(&root, owners, &|path| {
            let dropped = is_documentation(path) || is_packaging(path);
            !dropped && (!certificates || path.starts_with("usr/share/doc"))
        })?;
        // What update-alternatives would have linked.
        match package.name.as_str() {
            "mawk" => link(fs_dir, "usr/bin/awk", "mawk")?,
            "debianutils" if fs_dir.join("usr/bin/which.debianutils").exists() => {
                link(fs_dir, "usr/bin/which", "which.debianutils")?;
            }
            _ => {}
        }
        if certificates {
            write_certificates(fs_dir, &deb)?;
        }
        Ok(())
    })
}

fn link(fs_dir: &Path, path: &str, target: &str) -> Result<(), EnvironmentError> {
    open_root(fs_dir)?
        .symlink(Path::new(path), Path::new(target))
        .map_err(|source| EnvironmentError::Unpack {
            what: path.to_owned(),
            source,
        })
}

/// The bundle as `update-ca-certificates` makes it, and OpenSSL's default name for it.
fn write_certificates(fs_dir: &Path, deb: &Deb) -> Result<(), EnvironmentError> {
    let files = deb
        .files_below("usr/share/ca-certificates/mozilla/")
        .map_err(io_error("read", fs_dir))?;
    let mut bundle = Vec::new();
    for bytes in files.values() {
        bundle.extend_from_slice(bytes);
        if !bytes.ends_with(b"\n") {
            bundle.push(b'\n');
        }
    }
    write(fs_dir, "etc/ssl/certs/ca-certificates.crt", 0o644, &bundle)?;
    link(
        fs_dir,
        "usr/lib/ssl/cert.pem",
        "/etc/ssl/certs/ca-certificates.crt",
    )
}

/// Makes the root that images start from.
pub(crate) fn make_run_base(
    staging: &Path,
    packages: &[Downloaded<'_>],
) -> Result<(), EnvironmentError> {
    let fs_dir = staging.join("fs");
    unpack_for_run(&fs_dir, packages)?;
    let names = PASSWD.lines().filter_map(|line| line.split(':').next());
    let shadow = names.fold(String::new(), |text, name| {
        text + name + ":*:1:0:99999:7:::\n"
    });
    for (path, mode, text) in [
        ("etc/passwd", 0o644, PASSWD),
        ("etc/group", 0o644, GROUP),
        ("etc/shadow", 0o640, shadow.as_str()),
        ("etc/nsswitch.conf", 0o644, NSSWITCH),
        ("etc/profile", 0o644, PROFILE),
    ] {
        write(&fs_dir, path, mode, text.as_bytes())?;
    }
    for name in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
        write(&fs_dir, name, 0o644, base_file(name))?;
    }
    if fs::symlink_metadata(fs_dir.join("usr/bin/sh")).is_err() {
        link(&fs_dir, "usr/bin/sh", "dash")?;
    }
    for (path, mode) in [
        ("tmp", 0o1777),
        ("var/tmp", 0o1777),
        ("root", 0o700),
        ("run", 0o755),
        ("app", 0o755),
        ("opt", 0o755),
        // Platforms put entrypoints of their own there.
        ("usr/local", 0o755),
        ("usr/local/bin", 0o755),
        ("proc", 0o755),
        ("sys", 0o755),
        ("dev", 0o755),
    ] {
        make_dir(&fs_dir.join(path), mode)?;
    }
    Ok(())
}

/// Moves the changes of an overlayfs upper folder into the tree below it.
fn merge(upper: &Path, lower: &Path) -> Result<(), EnvironmentError> {
    for entry in fs::read_dir(upper).map_err(io_error("list", upper))? {
        let entry = entry.map_err(io_error("list", upper))?;
        let (from, to) = (entry.path(), lower.join(entry.file_name()));
        let change = fs::symlink_metadata(&from).map_err(io_error("read", &from))?;
        let there = fs::symlink_metadata(&to).ok();
        let whiteout = change.file_type().is_char_device() && change.rdev() == 0;
        let both_folders = change.is_dir() && there.as_ref().is_some_and(fs::Metadata::is_dir);
        if both_folders && !is_opaque(&from) {
            merge(&from, &to)?;
            std::os::unix::fs::lchown(&to, Some(change.uid()), Some(change.gid()))
                .map_err(io_error("change", &to))?;
            fs::set_permissions(&to, change.permissions()).map_err(io_error("change", &to))?;
            continue;
        }
        if let Some(there) = there {
            if there.is_dir() {
                fs::remove_dir_all(&to)
            } else {
                fs::remove_file(&to)
            }
            .map_err(io_error("remove", &to))?;
        }
        if !whiteout {
            fs::rename(&from, &to).map_err(io_error("rename to", &to))?;
            strip_marks(&to)?;
        }
    }
    Ok(())
}

fn is_opaque(dir: &Path) -> bool {
    let mut value = [0_u8; 4];
    rustix::fs::lgetxattr(dir, "user.overlay.opaque", &mut value[..])
        .is_ok_and(|size| value[..size] == *b"y")
        || rustix::fs::lgetxattr(dir, "trusted.overlay.opaque", &mut value[..])
            .is_ok_and(|size| value[..size] == *b"y")
}

/// Removes what overlayfs notes in a folder that is new: whiteouts of nothing, and attributes.
fn strip_marks(path: &Path) -> Result<(), EnvironmentError> {
    let meta = fs::symlink_metadata(path).map_err(io_error("read", path))?;
    if !meta.is_dir() {
        return Ok(());
    }
    for name in [
        "user.overlay.opaque",
        "user.overlay.origin",
        "user.overlay.impure",
    ] {
        // Most folders have none of them.
        let _ = rustix::fs::lremovexattr(path, name);
    }
    for entry in fs::read_dir(path)
        .map_err(io_error("list", path))?
        .flatten()
    {
        let inner = entry.path();
        let meta = fs::symlink_metadata(&inner).map_err(io_error("read", &inner))?;
        if meta.file_type().is_char_device() && meta.rdev() == 0 {
            fs::remove_file(&inner).map_err(io_error("remove", &inner))?;
        } else {
            strip_marks(&inner)?;
        }
    }
    Ok(())
}

/// Folders whose files differ between two runs and serve nobody: logs, caches, locks.
pub(crate) const EMPTIED: [&str; 7] = [
    "var/log",
    "var/cache/apt",
    "var/cache/ldconfig",
    "var/lib/apt/lists",
    "tmp",
    "var/tmp",
    "run",
];

/// Files that differ between two runs and serve nobody: backups, locks, random state.
pub(crate) const REMOVED: [&str; 19] = [
    "etc/.pwd.lock",
    "etc/group-",
    "etc/gshadow-",
    "etc/machine-id",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/templates.dat-old",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/available-old",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/statoverride-old",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/systemd/random-seed",
];

/// Removes what differs between two runs and serves nobody.
fn clean(fs_dir: &Path) -> Result<(), EnvironmentError> {
    for folder in EMPTIED {
        empty(&fs_dir.join(folder))?;
    }
    for name in REMOVED {
        let path = fs_dir.join(name);
        // A whiteout in a change is kept: it hides something below.
        if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file()) {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

/// Removes the files below a folder, and keeps its folders, which packages own.
fn empty(folder: &Path) -> Result<(), EnvironmentError> {
    let Ok(meta) = fs::symlink_metadata(folder) else {
        return Ok(());
    };
    if !meta.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)
        .map_err(io_error("list", folder))?
        .flatten()
    {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            empty(&path)?;
        } else {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copyright_stays_and_documentation_goes() {
        for (path, gone) in [
            ("usr/share/doc/bash/copyright", false),
            ("usr/share/doc/bash/README", true),
            ("usr/share/doc/bash", false),
            ("usr/share/man/man1/ls.1.gz", true),
            ("usr/share/locale/de/LC_MESSAGES/bash.mo", true),
            ("usr/bin/man", false),
        ] {
            assert_eq!(is_documentation(Path::new(path)), gone, "{path}");
        }
    }

    #[test]
    fn triggers_are_registered_as_dpkg_writes_them() {
        let mut triggers = BTreeMap::new();
        read_triggers(
            "# x\ninterest-noawait ldconfig\ninterest /usr/share/x\nactivate y\n",
            "libc-bin",
            &mut triggers,
        );
        assert_eq!(triggers["ldconfig"], ["libc-bin/noawait"]);
        assert_eq!(triggers["File"], ["/usr/share/x libc-bin"]);
        assert_eq!(triggers.len(), 2);
    }

    #[test]
    fn a_change_is_merged_with_its_deletions() {
        let home = tempfile::tempdir().unwrap();
        let (upper, lower) = (home.path().join("upper"), home.path().join("lower"));
        for dir in [upper.join("etc"), lower.join("etc"), lower.join("gone")] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(lower.join("etc/kept"), "1").unwrap();
        fs::write(lower.join("etc/changed"), "1").unwrap();
        fs::write(upper.join("etc/changed"), "2").unwrap();
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root makes whiteouts");
            return;
        }
        let node = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            upper.join("gone"),
            node,
            rustix::fs::Mode::empty(),
            0,
        )
        .unwrap();
        merge(&upper, &lower).unwrap();
        assert_eq!(fs::read_to_string(lower.join("etc/changed")).unwrap(), "2");
        assert!(lower.join("etc/kept").exists() && !lower.join("gone").exists());
    }
}
