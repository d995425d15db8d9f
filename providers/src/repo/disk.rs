//! The repository on disk: every path is resolved by the kernel beneath one open directory.
//!
//! Owns the system calls and their error messages. Which paths matter is for `repo.rs`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{FileKind, MANIFEST_LIMIT, RawEntry, RepoError, Stat};

pub(crate) struct Disk {
    root: PathBuf,
    dir: OwnedFd,
}

impl Disk {
    pub(crate) fn open(dir: &Path) -> Result<Disk, RepoError> {
        let refuse = |reason: String| RepoError::Root {
            path: dir.to_owned(),
            reason,
        };
        let root = std::fs::canonicalize(dir).map_err(|error| refuse(sentence(&error)))?;
        if root == Path::new("/") {
            return Err(refuse(
                "it is the root of the file system, not an application".to_owned(),
            ));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&root, flags, Mode::empty())
            .map_err(|error| refuse(sentence(&error.into())))?;
        Ok(Disk { root, dir: fd })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What a path is, links inside the repository followed. `None` when it is absent or cannot be reached.
    pub(crate) fn kind(&self, path: &str) -> Option<FileKind> {
        let fd = self.resolve(Path::new(path), OFlags::PATH).ok()?;
        let stat = rustix::fs::fstat(&fd).ok()?;
        Some(kind_of(FileType::from_raw_mode(stat.st_mode)))
    }

    /// The bytes of a regular file, links inside the repository followed; `None` when it does not exist.
    pub(crate) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RepoError> {
        read_by(path, |flags| self.resolve(Path::new(path), flags))
    }

    /// The same for a path that the user gave, which may lie anywhere.
    pub(crate) fn read_given(&self, path: &Path) -> Result<Option<Vec<u8>>, RepoError> {
        let name = path.to_string_lossy();
        read_by(&name, |flags| {
            rustix::fs::openat(&self.dir, path, flags | OFlags::CLOEXEC, Mode::empty())
        })
    }

    /// The names in a directory, sorted by bytes; empty when there is none. A link to a directory is not followed.
    pub(crate) fn list(&self, dir: &Path) -> Result<Vec<RawEntry>, RepoError> {
        let failed = |error: Errno| refused("list", dir, error);
        let fd = match self.resolve(dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut entries = Vec::new();
        for entry in Dir::new(fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let name = OsString::from_vec(name.to_vec());
            let kind = match entry.file_type() {
                FileType::Unknown => self.stat(&dir.join(&name))?.kind,
                known => kind_of(known),
            };
            entries.push(RawEntry { name, kind });
        }
        entries.sort_by(|left, right| left.name.as_bytes().cmp(right.name.as_bytes()));
        Ok(entries)
    }

    /// What a path is, a link at its end not followed. Permission bits without setuid and setgid.
    pub(crate) fn stat(&self, path: &Path) -> Result<Stat, RepoError> {
        let failed = |error: Errno| refused("read", path, error);
        let fd = self
            .resolve(path, OFlags::PATH | OFlags::NOFOLLOW)
            .map_err(failed)?;
        let stat = rustix::fs::fstat(&fd).map_err(failed)?;
        Ok(Stat {
            kind: kind_of(FileType::from_raw_mode(stat.st_mode)),
            mode: stat.st_mode & 0o1777,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
        })
    }

    /// Where a link points, as written.
    pub(crate) fn link_target(&self, path: &Path) -> Result<PathBuf, RepoError> {
        let failed = |error: Errno| refused("read", path, error);
        let fd = self
            .resolve(path, OFlags::PATH | OFlags::NOFOLLOW)
            .map_err(failed)?;
        let target = rustix::fs::readlinkat(&fd, "", Vec::new()).map_err(failed)?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = flags | OFlags::CLOEXEC;
        let confined = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..16 {
            match rustix::fs::openat2(&self.dir, path, flags, Mode::empty(), confined) {
                // The kernel saw a rename somewhere on the way and asks to be asked again (openat2(2)).
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Kernels before 5.6, and seccomp filters that do not know the call.
                Err(Errno::NOSYS | Errno::PERM) => return self.resolve_stepwise(path, flags),
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }

    /// One component at a time, following no link at all: stricter than the kernel's own way, and safe everywhere.
    fn resolve_stepwise(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut parts: Vec<&OsStr> = path.iter().collect();
        let last = parts.pop().ok_or(Errno::NOENT)?;
        let mut dir = self.dir.try_clone().map_err(|_| Errno::MFILE)?;
        for part in parts {
            let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            dir = rustix::fs::openat(&dir, part, step, Mode::empty())?;
        }
        let stat = rustix::fs::statat(&dir, last, AtFlags::SYMLINK_NOFOLLOW)?;
        let link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        if link && !flags.contains(OFlags::NOFOLLOW) {
            return Err(Errno::XDEV);
        }
        rustix::fs::openat(&dir, last, flags | OFlags::NOFOLLOW, Mode::empty())
    }
}

fn read_by(
    path: &str,
    open: impl Fn(OFlags) -> Result<OwnedFd, Errno>,
) -> Result<Option<Vec<u8>>, RepoError> {
    // First without opening the file itself: opening a device or a FIFO can already do something, or wait.
    let probe = match open(OFlags::PATH) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(refused("read", Path::new(path), error)),
    };
    let failed = |error: Errno| refused("read", Path::new(path), error);
    regular(
        path,
        FileType::from_raw_mode(rustix::fs::fstat(&probe).map_err(failed)?.st_mode),
    )?;
    let fd = open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map_err(failed)?;
    // Again on what was opened: the name may have changed hands in between.
    let stat = rustix::fs::fstat(&fd).map_err(failed)?;
    regular(path, FileType::from_raw_mode(stat.st_mode))?;
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    if size > MANIFEST_LIMIT {
        return Err(RepoError::TooLarge {
            path: path.to_owned(),
            size,
        });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    let read = File::from(fd)
        .take(MANIFEST_LIMIT + 1)
        .read_to_end(&mut bytes);
    read.map_err(|source| RepoError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > MANIFEST_LIMIT {
        return Err(RepoError::TooLarge {
            path: path.to_owned(),
            size: bytes.len() as u64,
        });
    }
    Ok(Some(bytes))
}

fn kind_of(kind: FileType) -> FileKind {
    match kind {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Special,
    }
}

fn regular(path: &str, kind: FileType) -> Result<(), RepoError> {
    let kind = match kind {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "directory",
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "special file",
    };
    Err(RepoError::NotAFile {
        path: path.to_owned(),
        kind,
    })
}

fn refused(action: &'static str, path: &Path, error: Errno) -> RepoError {
    let path = path.to_string_lossy().into_owned();
    let path = if path.is_empty() {
        ".".to_owned()
    } else {
        path
    };
    match error {
        Errno::XDEV => RepoError::Outside { path },
        error => RepoError::Io {
            action,
            path,
            source: error.into(),
        },
    }
}

/// The system's words without "(os error 13)".
pub(crate) fn sentence(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().collect::<String>() + letters.as_str())
        .unwrap_or_default()
}
