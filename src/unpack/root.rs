//! A folder that paths cannot leave.
//!
//! Every path is resolved by the kernel with `openat2` and `RESOLVE_IN_ROOT`: symbolic links and
//! `..` in them stay below the folder, as if it were `/`. What then happens to the last component
//! never follows a link. Reads no archives.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid,
};
use rustix::io::Errno;

use super::UnpackError;

type Result<T> = std::result::Result<T, UnpackError>;

/// Directories nest no deeper than this when a tree is removed.
const DEPTH_LIMIT: usize = 4096;

/// A folder, open; all that is done through it stays below it.
#[derive(Debug, Clone)]
pub struct Root {
    fd: Arc<OwnedFd>,
}

/// Where an entry goes: its folder, open, and its name there.
pub(super) struct Place {
    pub(super) folder: Arc<OwnedFd>,
    name: Vec<u8>,
    path: PathBuf,
}

impl Root {
    /// Opens an existing folder.
    pub fn open(dir: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(dir, flags, Mode::empty()).map_err(io_error("open", dir))?;
        Ok(Self { fd: Arc::new(fd) })
    }

    /// Makes a folder, or gives an existing one the mode; anything else there is replaced.
    pub fn mkdir(&self, path: &Path, mode: u32) -> Result<()> {
        match self.place(path)? {
            None => Ok(()),
            Some(place) => place.directory(mode, false).map(drop),
        }
    }

    /// Writes a file of at most `limit` bytes; returns how many it has.
    pub fn file(&self, path: &Path, mode: u32, content: &mut dyn Read, limit: u64) -> Result<u64> {
        let place = self.place_of(path)?;
        let (mut file, _) = place.create(mode)?;
        let mut buffer = vec![0; 128 << 10];
        let written = copy(content, &mut file, limit, &mut buffer, path)?;
        place.finish_file(&file, mode)?;
        Ok(written)
    }

    /// Makes a symbolic link; the target is data and may be anything.
    pub fn symlink(&self, path: &Path, target: &Path) -> Result<()> {
        self.place_of(path)?.symlink(target).map(drop)
    }

    /// Gives `existing`, which is not followed when it is a symbolic link, a second name.
    pub fn hard_link(&self, path: &Path, existing: &Path) -> Result<()> {
        let place = self.place_of(path)?;
        place.hard_link(&self.existing(existing, path)?).map(drop)
    }

    /// Sets owner and group, of a symbolic link itself.
    pub fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> Result<()> {
        match self.place(path)? {
            Some(place) => place.set_owner(uid, gid),
            None => chown(&self.fd, Path::new("."), uid, gid, Path::new("/")),
        }
    }

    /// Lets everybody run a regular file; anything else there, or nothing, is refused.
    pub fn make_executable(&self, path: &Path) -> Result<()> {
        let place = self
            .lookup(path)?
            .ok_or_else(|| refused(path, "a program that is not there"))?;
        place.make_executable()
    }

    /// Removes a file, link or whole tree, if it is there.
    pub fn remove(&self, path: &Path) -> Result<()> {
        match self.lookup(path)? {
            Some(place) => place.remove(),
            None => Ok(()),
        }
    }

    /// The kind of what is there, not following a final link; `None` if there is nothing.
    pub(super) fn kind_at(&self, path: &Path) -> Result<Option<FileType>> {
        match self.lookup(path)? {
            Some(place) => Ok(place
                .stat()?
                .map(|stat| FileType::from_raw_mode(stat.st_mode))),
            None => Ok(None),
        }
    }

    /// The folder at `path` itself, for its attributes; refuses a symbolic link.
    pub(super) fn directory(&self, path: &Path) -> Result<OwnedFd> {
        match self.lookup(path)? {
            Some(place) => place.open_directory(),
            None => rustix::fs::openat(
                &self.fd,
                ".",
                OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .map_err(io_error("open", path)),
        }
    }

    /// Where `path` goes, making missing folders above it; `None` for the root itself.
    pub(super) fn place(&self, path: &Path) -> Result<Option<Place>> {
        let Some((parent, name)) = split(path)? else {
            return Ok(None);
        };
        let folder = self.make_folder(&parent, path)?;
        Ok(Some(Place {
            folder,
            name,
            path: path.to_owned(),
        }))
    }

    pub(super) fn place_of(&self, path: &Path) -> Result<Place> {
        self.place(path)?
            .ok_or_else(|| refused(path, "only a folder can be the root"))
    }

    /// As [`Root::place`] in a folder opened before.
    pub(super) fn place_in(folder: &Arc<OwnedFd>, name: &OsStr, path: &Path) -> Place {
        Place {
            folder: Arc::clone(folder),
            name: name.as_bytes().to_owned(),
            path: path.to_owned(),
        }
    }

    /// As [`Root::place`], making nothing; `None` also if a folder above it is missing.
    fn lookup(&self, path: &Path) -> Result<Option<Place>> {
        let Some((parent, name)) = split(path)? else {
            return Ok(None);
        };
        match self.open_folder(&parent) {
            Ok(folder) => Ok(Some(Place {
                folder: Arc::new(folder),
                name,
                path: path.to_owned(),
            })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(io_error("open", path)(error)),
        }
    }

    pub(super) fn existing(&self, path: &Path, link: &Path) -> Result<Place> {
        let place = self.lookup(path)?;
        place.ok_or_else(|| {
            refused(
                link,
                &format!("a hard link to {}, which is not there", path.display()),
            )
        })
    }

    /// Opens a folder below the root, all links resolved inside it.
    fn open_folder(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // The kernel gives up with EAGAIN when something was renamed while it resolved a `..`.
        for _ in 0..128 {
            match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    pub(super) fn make_folder(&self, folder: &Path, entry: &Path) -> Result<Arc<OwnedFd>> {
        match self.open_folder(folder) {
            Ok(fd) => return Ok(Arc::new(fd)),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(io_error("open the folder of", entry)(error)),
        }
        // Top down, in a loop: names may nest deeper than our stack.
        let mut missing: Vec<&Path> = Vec::new();
        let mut present = folder;
        let mut fd = loop {
            missing.push(present);
            present = present.parent().unwrap_or(Path::new(""));
            match self.open_folder(present) {
                Ok(fd) => break fd,
                Err(Errno::NOENT) if !present.as_os_str().is_empty() => {}
                Err(error) => return Err(io_error("open the folder of", entry)(error)),
            }
        };
        for path in missing.into_iter().rev() {
            let name = path.file_name().unwrap_or_default();
            match rustix::fs::mkdirat(&fd, name, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    let made = open_real_directory(&fd, name).map_err(io_error("open", path))?;
                    chmod(&made, 0o755, path)?;
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(io_error("create", path)(error)),
            }
            // Again from the root: another writer may have made a link there.
            fd = self.open_folder(path).map_err(|error| match error {
                Errno::NOENT => refused(entry, "a folder above it is a link to nowhere"),
                error => io_error("open the folder of", entry)(error),
            })?;
        }
        Ok(Arc::new(fd))
    }
}

impl Place {
    fn name(&self) -> &OsStr {
        OsStr::from_bytes(&self.name)
    }

    pub(super) fn stat(&self) -> Result<Option<Stat>> {
        match rustix::fs::statat(&self.folder, self.name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(io_error("read", &self.path)(error)),
        }
    }

    pub(super) fn is_symlink(&self) -> Result<bool> {
        Ok(self
            .stat()?
            .is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink))
    }

    fn open_directory(&self) -> Result<OwnedFd> {
        open_real_directory(&self.folder, self.name()).map_err(io_error("open", &self.path))
    }

    /// Makes the folder; true if something that is no folder had to go. With `through_links` a
    /// symbolic link to a folder stays as it is.
    pub(super) fn directory(&self, mode: u32, through_links: bool) -> Result<bool> {
        let mut replaced = false;
        if let Err(error) = self.try_mkdir() {
            if error != Errno::EXIST {
                return Err(io_error("create", &self.path)(error));
            }
            let kind = self
                .stat()?
                .map(|stat| FileType::from_raw_mode(stat.st_mode));
            if kind == Some(FileType::Symlink) && through_links {
                return Ok(false);
            }
            if kind != Some(FileType::Directory) {
                replaced = true;
                self.remove()?;
                self.try_mkdir().map_err(io_error("create", &self.path))?;
            }
        }
        chmod(&self.open_directory()?, mode, &self.path)?;
        Ok(replaced)
    }

    fn try_mkdir(&self) -> rustix::io::Result<()> {
        rustix::fs::mkdirat(&self.folder, self.name(), Mode::from_raw_mode(0o755))
    }

    /// A new, empty file; true if something was removed to make place for it.
    pub(super) fn create(&self, mode: u32) -> Result<(File, bool)> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o777);
        let (fd, replaced) =
            self.replacing(|| rustix::fs::openat(&self.folder, self.name(), flags, mode))?;
        Ok((File::from(fd), replaced))
    }

    /// Sets the mode, past umask and after owners, since a change of owner clears setuid.
    pub(super) fn finish_file(&self, file: &File, mode: u32) -> Result<()> {
        chmod(file, mode, &self.path)
    }

    fn make_executable(&self) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.folder, self.name(), flags, Mode::empty())
            .map_err(io_error("open", &self.path))?;
        let stat = rustix::fs::fstat(&file).map_err(io_error("read", &self.path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refused(&self.path, "a program that is no file"));
        }
        chmod(&file, 0o755, &self.path)
    }

    pub(super) fn symlink(&self, target: &Path) -> Result<((), bool)> {
        self.replacing(|| rustix::fs::symlinkat(target, &self.folder, self.name()))
    }

    pub(super) fn hard_link(&self, existing: &Place) -> Result<((), bool)> {
        let missing = || {
            refused(
                &self.path,
                &format!(
                    "a hard link to {}, which is not there",
                    existing.path.display()
                ),
            )
        };
        let target = existing.stat()?.ok_or_else(missing)?;
        if FileType::from_raw_mode(target.st_mode) == FileType::Directory {
            return Err(refused(&self.path, "a hard link to a folder"));
        }
        if let Some(here) = self.stat()?
            && (here.st_dev, here.st_ino) == (target.st_dev, target.st_ino)
        {
            return Ok(((), false));
        }
        let link = || {
            rustix::fs::linkat(
                &existing.folder,
                existing.name(),
                &self.folder,
                self.name(),
                AtFlags::empty(),
            )
        };
        self.replacing(link)
    }

    /// An overlay whiteout: a character device 0:0.
    pub(super) fn whiteout(&self) -> Result<()> {
        let name = self.name();
        self.replacing(|| {
            rustix::fs::mknodat(
                &self.folder,
                name,
                FileType::CharacterDevice,
                Mode::empty(),
                0,
            )
        })
        .map(drop)
    }

    pub(super) fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        chown(&self.folder, Path::new(self.name()), uid, gid, &self.path)
    }

    pub(super) fn set_time(&self, seconds: i64) -> Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(&self.folder, self.name(), &times(seconds), flags)
            .map_err(io_error("set the time of", &self.path))
    }

    pub(super) fn remove(&self) -> Result<()> {
        match rustix::fs::unlinkat(&self.folder, self.name(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR) => {}
            Err(error) => return Err(io_error("remove", &self.path)(error)),
        }
        remove_children(&self.open_directory()?, &self.path, 0)?;
        rustix::fs::unlinkat(&self.folder, self.name(), AtFlags::REMOVEDIR)
            .map_err(io_error("remove", &self.path))
    }

    /// Does something that needs the name to be free; if it is not, frees it and tries again.
    fn replacing<T>(&self, make: impl Fn() -> rustix::io::Result<T>) -> Result<(T, bool)> {
        match make() {
            Err(Errno::EXIST) => {
                self.remove()?;
                Ok((make().map_err(io_error("create", &self.path))?, true))
            }
            result => Ok((result.map_err(io_error("create", &self.path))?, false)),
        }
    }
}

/// Names of what a folder holds, without `.` and `..`.
pub(super) fn children(folder: &OwnedFd, path: &Path) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).map_err(io_error("list", path))? {
        let entry = entry.map_err(io_error("list", path))?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Empties a folder through descriptors alone, so that a link swapped in is never followed.
fn remove_children(folder: &OwnedFd, path: &Path, depth: usize) -> Result<()> {
    if depth > DEPTH_LIMIT {
        return Err(refused(path, "folders nest too deep"));
    }
    for name in children(folder, path)? {
        let name = OsStr::from_bytes(&name);
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::ISDIR) => {}
            Err(error) => return Err(io_error("remove", &path.join(name))(error)),
        }
        let inner =
            open_real_directory(folder, name).map_err(io_error("open", &path.join(name)))?;
        remove_children(&inner, path, depth + 1)?;
        rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)
            .map_err(io_error("remove", &path.join(name)))?;
    }
    Ok(())
}

fn open_real_directory(folder: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

/// Copies at most `limit` bytes and fails when there are more.
pub(super) fn copy(
    content: &mut dyn Read,
    file: &mut File,
    limit: u64,
    buffer: &mut [u8],
    path: &Path,
) -> Result<u64> {
    let mut written = 0_u64;
    loop {
        let count = match content.read(buffer) {
            Ok(0) => return Ok(written),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(UnpackError::Read(error)),
        };
        written += count as u64;
        if written > limit {
            return Err(UnpackError::Limit {
                what: "bytes",
                limit,
            });
        }
        file.write_all(&buffer[..count])
            .map_err(|source| UnpackError::Io {
                action: "write",
                path: path.to_owned(),
                source,
            })?;
    }
}

fn chmod(fd: impl AsFd, mode: u32, path: &Path) -> Result<()> {
    rustix::fs::fchmod(fd, Mode::from_raw_mode(mode & 0o7777))
        .map_err(io_error("set the mode of", path))
}

fn chown(folder: &OwnedFd, name: &Path, uid: u32, gid: u32, path: &Path) -> Result<()> {
    if uid == u32::MAX || gid == u32::MAX {
        return Err(refused(path, "its owner is no valid id"));
    }
    let (owner, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    match rustix::fs::chownat(folder, name, owner, group, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL) => Err(UnpackError::Unmapped {
            path: path.to_owned(),
            uid,
            gid,
        }),
        Err(error) => Err(io_error("change the owner of", path)(error)),
    }
}

fn times(seconds: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

pub(super) fn set_folder_time(fd: &OwnedFd, seconds: i64, path: &Path) -> Result<()> {
    rustix::fs::futimens(fd, &times(seconds)).map_err(io_error("set the time of", path))
}

/// The path without `/`, `.` and empty components in front, between or behind; `None` when
/// nothing is left. `..` is refused.
pub(super) fn normal(path: &Path) -> Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) if name.as_bytes().contains(&0) => {
                return Err(refused(path, "its name has a NUL byte"));
            }
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(refused(path, "its name has `..`"));
            }
        }
    }
    Ok(clean)
}

fn split(path: &Path) -> Result<Option<(PathBuf, Vec<u8>)>> {
    let clean = normal(path)?;
    let name = clean.file_name().map(|name| name.as_bytes().to_owned());
    Ok(name.map(|name| (clean.parent().unwrap_or(Path::new("")).to_owned(), name)))
}

pub(super) fn refused(path: &Path, reason: &str) -> UnpackError {
    UnpackError::Refused {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(Errno) -> UnpackError {
    move |error| UnpackError::Io {
        action,
        path: path.to_owned(),
        source: error.into(),
    }
}
