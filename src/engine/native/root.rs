//! Makes the root file system that a command sees: overlay, `/dev`, `/proc`, binds.
//!
//! Runs in fresh user, mount and pid namespaces. Every mount point is resolved inside the new
//! root and mounted by descriptor, so that no symbolic link in the root can move a mount.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatVfsMountFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

use super::protocol::Failure;
use crate::engine::{Bind, Job};

/// Devices that every program may expect: name, major and minor number.
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// The workspace's folder of links to the lower trees.
const LOWERS: &str = "l";

/// Parts of `/proc` that belong to the whole machine: read-only.
const READ_ONLY: [&str; 5] = ["sys", "fs", "irq", "bus", "acpi"];

/// Parts of `/proc` that belong to the whole machine: empty.
const MASKED: [&str; 16] = [
    "asound",
    "interrupts",
    "kpagecgroup",
    "kpageflags",
    "mtrr",
    "slabinfo",
    "vmallocinfo",
    "sysrq-trigger",
    "kcore",
    "keys",
    "timer_list",
    "sched_debug",
    "scsi",
    "latency_stats",
    "kpagecount",
    "kmsg",
];

fn failure(action: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
    let action = action.into();
    move |reason| Failure::Sandbox {
        action,
        reason: reason.to_string(),
    }
}

fn refused(action: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> Failure {
    let action = action.into();
    move |reason| Failure::Sandbox {
        action,
        reason: reason.to_string(),
    }
}

/// Makes the job's root and makes it the root of this process.
pub fn enter(job: &Job) -> Result<(), Failure> {
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(refused("make the mounts private"))?;
    let merged = overlay(job)?;
    let root = rustix::fs::open(
        &merged,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(refused("open the root"))?;
    mount_dev(&root)?;
    mount_proc(&root)?;
    attach(
        &file_system("tmpfs", &[("mode", "0755")], "/run")?,
        &root,
        "run",
    )?;
    let scratch = Bind {
        source: job.workspace.join("tmp"),
        target: "/tmp".to_owned(),
        read_only: false,
    };
    for bind in std::iter::once(&scratch).chain(&job.binds) {
        mount_bind(&root, bind)?;
    }
    pivot(&root)?;
    enter_directory(&root, &job.directory)
}

/// Mounts the overlay below the workspace. The options are a string of at most a page in which
/// colons and commas have a meaning: links with short names of ours stand for the lower trees, so
/// that neither their paths nor their number matter.
fn overlay(job: &Job) -> Result<PathBuf, Failure> {
    let workspace = &job.workspace;
    rustix::process::chdir(workspace).map_err(refused(format!("enter {}", workspace.display())))?;
    // An earlier command's mount was volatile: the kernel refuses to use its work folder again.
    for name in ["work", LOWERS] {
        crate::cache::remove_tree(Path::new(name)).map_err(failure(format!("remove {name}")))?;
    }
    for name in ["upper", "work", "merged", "tmp", LOWERS] {
        fs::create_dir_all(name).map_err(failure(format!("create {name}")))?;
    }
    rustix::fs::chmod("tmp", Mode::from_raw_mode(0o1777)).map_err(refused("open up /tmp"))?;
    let mut lowers = Vec::new();
    for (number, lower) in job.lowers.iter().enumerate().rev() {
        let link = format!("{LOWERS}/{number}");
        std::os::unix::fs::symlink(lower, &link).map_err(failure(format!("create {link}")))?;
        lowers.push(link);
    }
    let options = format!(
        "userxattr,volatile,lowerdir={},upperdir=upper,workdir=work",
        lowers.join(":")
    );
    let options = std::ffi::CString::new(options)
        .map_err(|error| failure("mount the overlay")(error.into()))?;
    rustix::mount::mount(
        "overlay",
        "merged",
        "overlay",
        MountFlags::NODEV | MountFlags::NOSUID,
        Some(&*options),
    )
    .map_err(refused("mount the overlay"))?;
    Ok("merged".into())
}

/// A new file system, mounted nowhere yet.
fn file_system(kind: &str, options: &[(&str, &str)], target: &str) -> Result<OwnedFd, Failure> {
    let fail = || refused(format!("mount {target}"));
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(fail())?;
    for (key, value) in options {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(&context, *key).map_err(fail())?;
        } else {
            rustix::mount::fsconfig_set_string(&context, *key, *value).map_err(fail())?;
        }
    }
    rustix::mount::fsconfig_create(&context).map_err(fail())?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let flags = if kind == "proc" {
        flags | MountAttrFlags::MOUNT_ATTR_NODEV
    } else {
        MountAttrFlags::MOUNT_ATTR_NOSUID
    };
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags).map_err(fail())
}

/// Opens a place inside `root`; links are resolved as if `root` were `/`.
fn resolve(root: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    let path = path.trim_start_matches('/');
    let path = if path.is_empty() { "." } else { path };
    rustix::fs::openat2(
        root,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
}

/// Opens a folder inside `root`, making what is missing of it.
fn resolve_or_make(root: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    let mut place = resolve(root, "")?;
    let mut walked = String::new();
    for name in path
        .split('/')
        .filter(|name| !name.is_empty() && *name != ".")
    {
        walked = format!("{walked}/{name}");
        place = match resolve(root, &walked) {
            Err(rustix::io::Errno::NOENT) => {
                rustix::fs::mkdirat(&place, name, Mode::from_raw_mode(0o755))?;
                resolve(root, &walked)?
            }
            other => other?,
        };
    }
    Ok(place)
}

/// Opens a file inside `root`, making an empty one where it is missing.
fn resolve_or_make_file(root: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    match resolve(root, path) {
        Err(rustix::io::Errno::NOENT) => {}
        other => return other,
    }
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = resolve_or_make(root, parent)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let create = || rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o644));
    match create() {
        // A link to nothing, as resolvconf makes of /etc/resolv.conf: a file takes its place.
        Err(rustix::io::Errno::EXIST) => {
            rustix::fs::unlinkat(&folder, name, AtFlags::empty())?;
            create()?
        }
        other => other?,
    };
    resolve(root, path)
}

/// Moves a mount that is nowhere yet to a place in `root`.
fn attach(mount: &OwnedFd, root: &OwnedFd, path: &str) -> Result<(), Failure> {
    let target =
        resolve_or_make(root, path).map_err(refused(format!("find /{path} in the root")))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", &target, "", flags)
        .map_err(refused(format!("mount /{path}")))
}

/// A copy of the mount of a host path, mounted nowhere yet.
fn host_tree(source: &Path) -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(CWD, source, flags)
        .map_err(refused(format!("open {}", source.display())))
}

fn mount_bind(root: &OwnedFd, bind: &Bind) -> Result<(), Failure> {
    let path = bind.target.trim_start_matches('/');
    let folder = fs::metadata(&bind.source)
        .map_err(failure(format!("open {}", bind.source.display())))?
        .is_dir();
    let tree = host_tree(&bind.source)?;
    if folder {
        attach(&tree, root, path)?;
    } else {
        let target = resolve_or_make_file(root, path)
            .map_err(refused(format!("find /{path} in the root")))?;
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(&tree, "", &target, "", flags)
            .map_err(refused(format!("mount /{path}")))?;
    }
    restrict(root, path, bind.read_only)
}

/// Takes set-user-id programs and devices, and on demand writing, from a mount.
fn restrict(root: &OwnedFd, path: &str, read_only: bool) -> Result<(), Failure> {
    let target = resolve(root, path).map_err(refused(format!("find /{path} in the root")))?;
    let mut flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV;
    if read_only {
        flags |= MountFlags::RDONLY;
    }
    remount(&target, flags).map_err(refused(format!("restrict /{path}")))
}

/// Gives a mount further flags.
fn remount(target: &OwnedFd, mut flags: MountFlags) -> rustix::io::Result<()> {
    // Flags that the host set are locked in a user namespace: a remount must repeat them.
    let present = rustix::fs::fstatvfs(target)?.f_flag;
    for (locked, flag) in [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ] {
        if present.contains(locked) {
            flags |= flag;
        }
    }
    let by_descriptor = format!("/proc/self/fd/{}", target.as_raw_fd());
    rustix::mount::mount_remount(by_descriptor, flags, "")
}

/// A `/dev` of its own: the harmless devices, terminals and shared memory, all new.
fn mount_dev(root: &OwnedFd) -> Result<(), Failure> {
    let dev = file_system("tmpfs", &[("mode", "0755"), ("size", "1m")], "/dev")?;
    attach(&dev, root, "dev")?;
    for (name, major, minor) in DEVICES {
        let source = Path::new("/dev").join(name);
        let meta = fs::symlink_metadata(&source)
            .map_err(failure(format!("examine {}", source.display())))?;
        if meta.rdev() != rustix::fs::makedev(major, minor) {
            let reason = "it is not the device of that name".to_owned();
            return Err(Failure::Sandbox {
                action: format!("open {}", source.display()),
                reason,
            });
        }
        let place = rustix::fs::openat(
            &dev,
            name,
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o666),
        )
        .map_err(refused(format!("create /dev/{name}")))?;
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(host_tree(&source)?, "", &place, "", flags)
            .map_err(refused(format!("mount /dev/{name}")))?;
        // The node is the host's own and so is its owner: no new mode, owner or time. Reading and
        // writing a device are no changes of its file system.
        let place =
            resolve(root, &format!("dev/{name}")).map_err(refused(format!("find /dev/{name}")))?;
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NOEXEC;
        remount(&place, flags).map_err(refused(format!("restrict /dev/{name}")))?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        rustix::fs::symlinkat(target, dev.as_fd(), name)
            .map_err(refused(format!("link /dev/{name}")))?;
    }
    attach(
        &file_system("tmpfs", &[("mode", "1777")], "/dev/shm")?,
        root,
        "dev/shm",
    )?;
    let terminals = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")];
    attach(
        &file_system("devpts", &terminals, "/dev/pts")?,
        root,
        "dev/pts",
    )
}

/// A `/proc` of the new pid namespace, without the machine's switches.
fn mount_proc(root: &OwnedFd) -> Result<(), Failure> {
    let proc = file_system("proc", &[], "/proc")?;
    attach(&proc, root, "proc")?;
    for name in READ_ONLY {
        if exists(&proc, name) {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let tree = rustix::mount::open_tree(&proc, name, flags)
                .map_err(refused(format!("open /proc/{name}")))?;
            attach(&tree, root, &format!("proc/{name}"))?;
            restrict(root, &format!("proc/{name}"), true)?;
        }
    }
    for name in MASKED {
        if exists(&proc, name) {
            mask(root, &format!("proc/{name}"))?;
        }
    }
    Ok(())
}

fn exists(folder: &OwnedFd, name: &str) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Covers a file by the null device, or a folder by an empty one.
fn mask(root: &OwnedFd, path: &str) -> Result<(), Failure> {
    let target = resolve(root, path).map_err(refused(format!("find /{path}")))?;
    let stat = rustix::fs::fstat(&target).map_err(refused(format!("examine /{path}")))?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
        let empty = file_system("tmpfs", &[("mode", "0555"), ("size", "4k")], path)?;
        return attach(&empty, root, path);
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(host_tree(Path::new("/dev/null"))?, "", &target, "", flags)
        .map_err(refused(format!("mask /{path}")))?;
    let cover = resolve(root, path).map_err(refused(format!("find /{path}")))?;
    remount(&cover, MountFlags::BIND | MountFlags::RDONLY).map_err(refused(format!("mask /{path}")))
}

/// Makes `root` the root and forgets the old one.
fn pivot(root: &OwnedFd) -> Result<(), Failure> {
    rustix::process::fchdir(root).map_err(refused("enter the root"))?;
    rustix::process::pivot_root(".", ".").map_err(refused("change the root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(refused("leave the old root"))?;
    rustix::process::chdir("/").map_err(refused("enter the root"))
}

/// Enters the working directory, not by a link of `/proc` to what a process has open, and makes
/// sure that it lies inside the root.
fn enter_directory(root: &OwnedFd, path: &str) -> Result<(), Failure> {
    resolve(root, path)
        .and_then(|folder| rustix::process::fchdir(&folder))
        .map_err(refused(format!("enter the working directory {path}")))?;
    let here =
        rustix::process::getcwd(Vec::new()).map_err(refused("name the working directory"))?;
    if here.as_bytes().starts_with(b"/") {
        return Ok(());
    }
    let reason = "it lies outside the root".to_owned();
    Err(Failure::Sandbox {
        action: format!("enter the working directory {path}"),
        reason,
    })
}
