//! Writes the entries of archives below one folder and nowhere else.
//!
//! Every path is resolved by the kernel with the folder as its root, so that no link, `..` or
//! absolute name leads out of it; modes, owners and links are set without following anything.
//! Knows nothing of where archives come from or what their entries mean.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, XattrFlags};
use rustix::io::Errno;
use thiserror::Error;

/// Why an archive was not unpacked to its end.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// An entry's name, or a hard link's target, leads out of the folder.
    #[error("entry {0:?} leads out of its folder")]
    Escapes(PathBuf),
    /// A whiteout, where none may be, or one without a name.
    #[error("entry {0:?} is a whiteout that makes no sense here")]
    Whiteout(PathBuf),
    /// A hard link to something that is not there, or not a file.
    #[error("entry {entry:?} is a hard link to {target:?}, which is not a file of this archive's folder")]
    Link {
        /// The entry.
        entry: PathBuf,
        /// What it points to.
        target: PathBuf,
    },
    /// More bytes or entries than allowed.
    #[error("the archive has more than {limit} {unit}")]
    Limit {
        /// The limit.
        limit: u64,
        /// `bytes` or `entries`.
        unit: &'static str,
    },
    /// The owner of an entry is an id that this user namespace does not have.
    #[error("entry {entry:?} belongs to {uid}:{gid}, an id that is not mapped here")]
    Owner {
        /// The entry.
        entry: PathBuf,
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
    /// The archive is truncated or not a tar archive.
    #[error("the archive cannot be read")]
    Read(#[source] io::Error),
    /// A file system call failed.
    #[error("{action} {path:?}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what, relative to the folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(Errno) -> UnpackError {
    move |error| UnpackError::Io { action, path: path.to_owned(), source: error.into() }
}

/// How much an archive may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all files.
    pub bytes: u64,
    /// Number of entries.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 30, entries: 2_000_000 }
    }
}

/// What a `.wh.` entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// The archive is no layer: such a name is an error.
    Refuse,
    /// Deletes what the folder has of that name.
    Apply,
    /// Is kept as overlayfs keeps deletions: a character device 0:0, an opaque attribute.
    Overlay,
}

/// How entries become files.
pub struct UnpackOptions<'a> {
    /// Leading components of each name that are dropped.
    pub strip_components: usize,
    /// Folder below the root that entries go to.
    pub prefix: &'a Path,
    /// What layers' deletions do.
    pub whiteouts: Whiteouts,
    /// Give files their owners and set-id bits; else they belong to the caller, without such bits.
    pub owners: bool,
    /// Which entries are wanted, by their path with `prefix`.
    pub keep: Option<&'a dyn Fn(&Path) -> bool>,
    /// How much there may be.
    pub limits: Limits,
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unpacked {
    /// Entries that were written.
    pub entries: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Devices and pipes, which were left out.
    pub skipped: u64,
}

/// A folder that nothing written through it can leave.
pub struct Root {
    folder: OwnedFd,
    /// The last parent folder, open; forgotten whenever a link or a removal could move it.
    parent: std::cell::RefCell<Option<(PathBuf, OwnedFd)>>,
}

impl Root {
    /// Opens an existing folder.
    pub fn open(path: &Path) -> Result<Self, UnpackError> {
        let folder = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(refused("open", path))?;
        Ok(Self { folder, parent: std::cell::RefCell::new(None) })
    }

    /// Makes a folder, or gives an existing one the mode. What else has the name is replaced.
    pub fn mkdir(&self, path: &Path, mode: u32) -> Result<(), UnpackError> {
        let Some((parent, name)) = self.locate(path)? else { return Ok(()) };
        if file_type(&parent, name) != Some(FileType::Directory) {
            self.remove_at(&parent, name, path)?;
            rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)).map_err(refused("create", path))?;
        }
        self.change_mode(&parent, name, path, mode)
    }

    /// Writes a file of at most `limit` bytes; returns its size.
    pub fn file(&self, path: &Path, mode: u32, bytes: &mut dyn Read, limit: u64) -> Result<u64, UnpackError> {
        let (parent, name) = self.required(path)?;
        self.remove_at(&parent, name, path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600)).map_err(refused("create", path))?;
        let mut file = File::from(file);
        let mut bounded = bytes.take(limit.saturating_add(1));
        let size = io::copy(&mut bounded, &mut file)
            .map_err(|source| UnpackError::Io { action: "write", path: path.to_owned(), source })?;
        if size > limit {
            return Err(UnpackError::Limit { limit, unit: "bytes" });
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o7777)).map_err(refused("set the mode of", path))?;
        Ok(size)
    }

    /// Makes a symbolic link; its target is data and not looked at.
    pub fn symlink(&self, path: &Path, target: &Path) -> Result<(), UnpackError> {
        let (parent, name) = self.required(path)?;
        self.remove_at(&parent, name, path)?;
        self.forget();
        rustix::fs::symlinkat(target, &parent, name).map_err(refused("create", path))
    }

    /// Makes a hard link to an existing file of the root.
    pub fn hard_link(&self, path: &Path, existing: &Path) -> Result<(), UnpackError> {
        let missing = || UnpackError::Link { entry: path.to_owned(), target: existing.to_owned() };
        let (old_parent, old_name) = self.locate(existing)?.ok_or_else(missing)?;
        if file_type(&old_parent, old_name) != Some(FileType::RegularFile) {
            return Err(missing());
        }
        let (parent, name) = self.required(path)?;
        let same = |at: &OwnedFd, name: &OsStr| {
            rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| (stat.st_dev, stat.st_ino)).ok()
        };
        if same(&old_parent, old_name) == same(&parent, name) {
            return Ok(());
        }
        self.remove_at(&parent, name, path)?;
        rustix::fs::linkat(&old_parent, old_name, &parent, name, AtFlags::empty()).map_err(refused("link", path))
    }

    /// Gives an entry its owner, without following a link. Clears set-id bits, as the system does.
    pub fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> Result<(), UnpackError> {
        let Some((parent, name)) = self.locate(path)? else { return Ok(()) };
        let ids = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(&parent, name, ids.0, ids.1, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| match error {
            Errno::INVAL => UnpackError::Owner { entry: path.to_owned(), uid, gid },
            other => refused("set the owner of", path)(other),
        })
    }

    /// Removes an entry and what is below it; nothing there is well too.
    pub fn remove(&self, path: &Path) -> Result<(), UnpackError> {
        match self.locate(path)? {
            Some((parent, name)) => self.remove_at(&parent, name, path),
            None => Ok(()),
        }
    }

    /// Marks a deletion as overlayfs does.
    fn delete_in_overlay(&self, path: &Path) -> Result<(), UnpackError> {
        let (parent, name) = self.required(path)?;
        self.remove_at(&parent, name, path)?;
        let mode = Mode::from_raw_mode(0);
        rustix::fs::mknodat(&parent, name, FileType::CharacterDevice, mode, 0).map_err(refused("delete", path))
    }

    /// Marks a folder as hiding what is below it, as overlayfs does.
    fn make_opaque(&self, path: &Path) -> Result<(), UnpackError> {
        let folder = self.folder(path)?;
        let readable = rustix::fs::openat(&folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(refused("open", path))?;
        rustix::fs::fsetxattr(&readable, "user.overlay.opaque", b"y", XattrFlags::empty()).map_err(refused("hide", path))
    }

    /// Removes everything in a folder.
    fn clear(&self, path: &Path) -> Result<(), UnpackError> {
        let folder = self.folder(path)?;
        for name in names(&folder, path)? {
            self.remove_at(&folder, &name, &path.join(&name))?;
        }
        Ok(())
    }

    fn forget(&self) {
        *self.parent.borrow_mut() = None;
    }

    /// The parent folder and the name of a path; `None` for the root itself.
    fn locate<'p>(&self, path: &'p Path) -> Result<Option<(OwnedFd, &'p OsStr)>, UnpackError> {
        let escapes = || UnpackError::Escapes(path.to_owned());
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(escapes());
        }
        let Some(name) = path.file_name() else { return Ok(None) };
        let parent = path.parent().unwrap_or(Path::new(""));
        if let Some((known, fd)) = &*self.parent.borrow() {
            if known == parent {
                let fd = fd.try_clone().map_err(|source| UnpackError::Io { action: "open", path: parent.to_owned(), source })?;
                return Ok(Some((fd, name)));
            }
        }
        let fd = self.folder(parent)?;
        let copy = fd.try_clone().map_err(|source| UnpackError::Io { action: "open", path: parent.to_owned(), source })?;
        *self.parent.borrow_mut() = Some((parent.to_owned(), copy));
        Ok(Some((fd, name)))
    }

    fn required<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), UnpackError> {
        self.locate(path)?.ok_or_else(|| UnpackError::Escapes(path.to_owned()))
    }

    /// Opens a folder, making what is missing of it with mode 0755.
    fn folder(&self, path: &Path) -> Result<OwnedFd, UnpackError> {
        match self.open_folder(path) {
            Err(Errno::NOENT) => {}
            other => return other.map_err(refused("open", path)),
        }
        let mut walked = PathBuf::new();
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            let parent = self.open_folder(&walked).map_err(refused("open", &walked))?;
            walked.push(name);
            match self.open_folder(&walked) {
                Ok(_) => {}
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)).map_err(refused("create", &walked))?;
                    let mode = Mode::from_raw_mode(0o755);
                    rustix::fs::chmodat(&parent, name, mode, AtFlags::empty()).map_err(refused("set the mode of", &walked))?;
                }
                Err(error) => return Err(refused("open", &walked)(error)),
            }
        }
        self.open_folder(path).map_err(refused("open", path))
    }

    fn open_folder(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let relative: PathBuf = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let relative = if relative.as_os_str().is_empty() { PathBuf::from(".") } else { relative };
        rustix::fs::openat2(
            &self.folder,
            &relative,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    }

    /// Sets the mode of a file or folder, refusing a link.
    fn change_mode(&self, parent: &OwnedFd, name: &OsStr, path: &Path, mode: u32) -> Result<(), UnpackError> {
        let kind = file_type(parent, name);
        if kind == Some(FileType::Symlink) || kind.is_none() {
            return Ok(());
        }
        // The parent is held open and the name is no link; nobody else writes below the root.
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(mode & 0o7777), AtFlags::empty())
            .map_err(refused("set the mode of", path))
    }

    fn remove_at(&self, parent: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), UnpackError> {
        match file_type(parent, name) {
            None => Ok(()),
            Some(FileType::Directory) => {
                self.forget();
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let folder = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(refused("open", path))?;
                for child in names(&folder, path)? {
                    self.remove_at(&folder, &child, &path.join(&child))?;
                }
                rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(refused("remove", path))
            }
            Some(kind) => {
                if kind == FileType::Symlink {
                    self.forget();
                }
                rustix::fs::unlinkat(parent, name, AtFlags::empty()).map_err(refused("remove", path))
            }
        }
    }
}

fn file_type(parent: &OwnedFd, name: &OsStr) -> Option<FileType> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(stat.st_mode))
}

fn names(folder: &OwnedFd, path: &Path) -> Result<Vec<OsString>, UnpackError> {
    let readable = rustix::fs::openat(folder.as_fd(), ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(refused("list", path))?;
    let mut found = Vec::new();
    for entry in rustix::fs::Dir::read_from(&readable).map_err(refused("list", path))? {
        let entry = entry.map_err(refused("list", path))?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            found.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(found)
}

/// Unpacks a tar archive. What was written before an error stays for the caller to remove.
pub fn unpack_tar(reader: impl Read, into: &Root, options: &UnpackOptions<'_>) -> Result<Unpacked, UnpackError> {
    let mut archive = tar::Archive::new(reader);
    let mut unpacker = Unpacker { into, options, done: Unpacked::default(), folders: Vec::new(), fresh: Vec::new() };
    for entry in archive.entries().map_err(UnpackError::Read)? {
        unpacker.entry(entry.map_err(UnpackError::Read)?)?;
    }
    unpacker.finish()
}

struct Unpacker<'a> {
    into: &'a Root,
    options: &'a UnpackOptions<'a>,
    done: Unpacked,
    /// Modes of folders, set at the end so that a read-only folder can be filled before.
    folders: Vec<(PathBuf, u32)>,
    /// What this archive itself wrote, which an opaque whiteout spares.
    fresh: Vec<PathBuf>,
}

impl Unpacker<'_> {
    fn entry<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> Result<(), UnpackError> {
        if let Some(extensions) = entry.pax_extensions().map_err(UnpackError::Read)? {
            for extension in extensions {
                extension.map_err(UnpackError::Read)?;
            }
        }
        let name = PathBuf::from(OsStr::from_bytes(&entry.path_bytes()));
        let Some(path) = self.place(&name)? else { return Ok(()) };
        if self.options.keep.is_some_and(|keep| !keep(&path)) {
            return Ok(());
        }
        if self.whiteout(&path)? {
            return Ok(());
        }
        self.done.entries += 1;
        if self.done.entries > self.options.limits.entries {
            return Err(UnpackError::Limit { limit: self.options.limits.entries, unit: "entries" });
        }
        let mode = entry.header().mode().map_err(UnpackError::Read)?;
        let mode = if self.options.owners { mode & 0o7777 } else { mode & 0o1777 };
        match entry.header().entry_type() {
            tar::EntryType::Directory => self.directory(&path, mode)?,
            tar::EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                self.into.symlink(&path, Path::new(OsStr::from_bytes(&target)))?;
            }
            tar::EntryType::Link => {
                let target = PathBuf::from(OsStr::from_bytes(&entry.link_name_bytes().unwrap_or_default()));
                let target = self.place(&target)?.ok_or_else(|| UnpackError::Escapes(path.clone()))?;
                self.into.hard_link(&path, &target)?;
            }
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                let left = self.options.limits.bytes - self.done.bytes;
                let size = entry.size();
                let written = self.into.file(&path, mode & 0o777, &mut entry, left)?;
                if written != size {
                    return Err(UnpackError::Read(io::ErrorKind::UnexpectedEof.into()));
                }
                self.done.bytes += written;
            }
            _ => {
                self.done.skipped += 1;
                return Ok(());
            }
        }
        self.owner(&entry, &path, mode)?;
        if self.options.whiteouts != Whiteouts::Refuse {
            self.fresh.push(path);
        }
        Ok(())
    }

    /// Where an entry goes; `None` for the root itself and for what is stripped away.
    fn place(&self, name: &Path) -> Result<Option<PathBuf>, UnpackError> {
        let mut parts = Vec::new();
        for part in name.components() {
            match part {
                Component::Normal(part) => parts.push(part),
                Component::CurDir | Component::RootDir => {}
                Component::ParentDir | Component::Prefix(_) => return Err(UnpackError::Escapes(name.to_owned())),
            }
        }
        if parts.len() <= self.options.strip_components {
            return Ok(None);
        }
        Ok(Some(self.options.prefix.join(parts[self.options.strip_components..].iter().collect::<PathBuf>())))
    }

    /// In a package, a folder entry over a link to a folder leaves the link, as dpkg does; in a
    /// layer it replaces it, as overlayfs does.
    fn directory(&mut self, path: &Path, mode: u32) -> Result<(), UnpackError> {
        let Some((parent, name)) = self.into.locate(path)? else { return Ok(()) };
        let linked = file_type(&parent, name) == Some(FileType::Symlink) && self.into.open_folder(path).is_ok();
        if linked && self.options.whiteouts == Whiteouts::Refuse {
            return Ok(());
        }
        self.into.mkdir(path, mode | 0o700)?;
        self.folders.push((path.to_owned(), mode));
        Ok(())
    }

    fn owner<R: Read>(&self, entry: &tar::Entry<'_, R>, path: &Path, mode: u32) -> Result<(), UnpackError> {
        if !self.options.owners || entry.header().entry_type().is_hard_link() {
            return Ok(());
        }
        let id = |value: io::Result<u64>| {
            let value = value.map_err(UnpackError::Read)?;
            let wrong = || UnpackError::Read(io::Error::other(format!("{} has the owner {value}", path.display())));
            u32::try_from(value).map_err(|_| wrong())
        };
        let (uid, gid) = (id(entry.header().uid())?, id(entry.header().gid())?);
        self.into.set_owner(path, uid, gid)?;
        // A change of owner clears the set-id bits, so the mode comes after it.
        if entry.header().entry_type().is_file() && mode & 0o7000 != 0 {
            let (parent, name) = self.into.required(path)?;
            self.into.change_mode(&parent, name, path, mode)?;
        }
        Ok(())
    }

    /// Handles a `.wh.` entry; tells whether it was one.
    fn whiteout(&self, path: &Path) -> Result<bool, UnpackError> {
        let Some(name) = path.file_name().map(OsStr::as_bytes) else { return Ok(false) };
        let Some(hidden) = name.strip_prefix(b".wh.") else { return Ok(false) };
        let parent = path.parent().unwrap_or(Path::new(""));
        match (self.options.whiteouts, hidden) {
            (Whiteouts::Refuse, _) | (_, b"" | b"." | b"..") => return Err(UnpackError::Whiteout(path.to_owned())),
            (Whiteouts::Overlay, b".wh..opq") => self.into.make_opaque(parent)?,
            (Whiteouts::Apply, b".wh..opq") => {
                // What this layer wrote before stays: the order of entries must not matter.
                if !self.fresh.iter().any(|path| path.starts_with(parent)) {
                    self.into.clear(parent)?;
                } else {
                    self.clear_old(parent)?;
                }
            }
            (_, hidden) => {
                let target = parent.join(OsStr::from_bytes(hidden));
                if self.fresh.iter().any(|path| path.starts_with(&target)) {
                    return Ok(true);
                }
                match self.options.whiteouts {
                    Whiteouts::Overlay => self.into.delete_in_overlay(&target)?,
                    _ => self.into.remove(&target)?,
                }
            }
        }
        Ok(true)
    }

    fn clear_old(&self, folder: &Path) -> Result<(), UnpackError> {
        let open = self.into.folder(folder)?;
        for name in names(&open, folder)? {
            let path = folder.join(&name);
            if !self.fresh.iter().any(|fresh| fresh.starts_with(&path)) {
                self.into.remove(&path)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Unpacked, UnpackError> {
        for (path, mode) in self.folders.iter().rev() {
            let Some((parent, name)) = self.into.locate(path)? else { continue };
            self.into.change_mode(&parent, name, path, *mode)?;
        }
        Ok(self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

    /// A folder to unpack into, beside a canary that must stay as it is.
    struct Place {
        home: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            fs::create_dir(home.path().join("in")).unwrap();
            fs::create_dir(home.path().join("out")).unwrap();
            fs::write(home.path().join("out/canary"), "alive").unwrap();
            fs::set_permissions(home.path().join("out"), fs::Permissions::from_mode(0o750)).unwrap();
            Self { home }
        }

        fn path(&self, path: &str) -> PathBuf {
            self.home.path().join("in").join(path)
        }

        fn unpack(&self, archive: Vec<u8>, whiteouts: Whiteouts) -> Result<Unpacked, UnpackError> {
            let root = Root::open(&self.home.path().join("in")).unwrap();
            let options = UnpackOptions {
                strip_components: 0,
                prefix: Path::new(""),
                whiteouts,
                owners: true,
                keep: None,
                limits: Limits { bytes: 1 << 20, entries: 1000 },
            };
            let result = unpack_tar(&archive[..], &root, &options);
            assert_eq!(fs::read_to_string(self.home.path().join("out/canary")).unwrap(), "alive");
            assert_eq!(fs::read_dir(self.home.path().join("out")).unwrap().count(), 1);
            let mode = fs::metadata(self.home.path().join("out")).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o750);
            result
        }
    }

    enum Item<'a> {
        File(&'a str, &'a str, u32),
        Folder(&'a str, u32),
        Link(&'a str, String),
        Hard(&'a str, &'a str),
        Device(&'a str),
    }

    fn archive(items: &[Item<'_>]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for item in items {
            let mut header = tar::Header::new_ustar();
            let (name, body, kind, mode) = match item {
                Item::File(name, body, mode) => (name, *body, tar::EntryType::Regular, *mode),
                Item::Folder(name, mode) => (name, "", tar::EntryType::Directory, *mode),
                Item::Link(name, target) => {
                    header.as_ustar_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
                    (name, "", tar::EntryType::Symlink, 0o777)
                }
                Item::Hard(name, target) => {
                    header.as_ustar_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
                    (name, "", tar::EntryType::Link, 0o644)
                }
                Item::Device(name) => (name, "", tar::EntryType::Char, 0o666),
            };
            // Written as bytes, because the library refuses the names that matter here.
            header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(body.len() as u64);
            header.set_uid(0);
            header.set_gid(0);
            header.set_cksum();
            builder.append(&header, body.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../out/canary", "a/../../out/canary", "./../out/x"] {
            let result = Place::new().unpack(archive(&[Item::File(name, "dead", 0o644)]), Whiteouts::Refuse);
            assert!(matches!(result, Err(UnpackError::Escapes(_))), "{name}");
        }
    }

    #[test]
    fn absolute_names_and_links_are_inside_the_root() {
        let place = Place::new();
        let out = place.home.path().join("out").display().to_string();
        let items = [
            Item::File("/etc/file", "x", 0o644),
            Item::Link("escape", out.clone()),
            Item::File("escape/canary", "dead", 0o644),
            Item::Link("up", "../out".to_owned()),
            Item::File("up/canary", "dead", 0o644),
        ];
        // The links point to nothing inside the root, so their folders cannot be entered.
        let _ = place.unpack(archive(&items), Whiteouts::Apply);
        assert_eq!(fs::read_to_string(place.path("etc/file")).unwrap(), "x");
    }

    #[test]
    fn a_mode_does_not_go_through_a_link() {
        let place = Place::new();
        let out = place.home.path().join("out").display().to_string();
        for (whiteouts, stays) in [(Whiteouts::Apply, false), (Whiteouts::Refuse, false)] {
            let items = [Item::Link("dir", out.clone()), Item::Folder("dir/", 0o777), Item::File("dir/x", "x", 0o644)];
            place.unpack(archive(&items), whiteouts).unwrap();
            assert_eq!(place.path("dir").symlink_metadata().unwrap().is_symlink(), stays);
        }
    }

    #[test]
    fn a_folder_over_a_link_to_a_folder_stays_a_link_in_a_package() {
        let place = Place::new();
        let items = [
            Item::Folder("usr/lib/", 0o755),
            Item::Link("lib", "usr/lib".to_owned()),
            Item::Folder("lib/", 0o755),
            Item::File("lib/libc.so", "x", 0o644),
        ];
        place.unpack(archive(&items), Whiteouts::Refuse).unwrap();
        assert!(place.path("lib").symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(place.path("usr/lib/libc.so")).unwrap(), "x");
    }

    #[test]
    fn hard_links_reach_earlier_files_of_the_root_only() {
        let place = Place::new();
        let canary = place.home.path().join("out/canary").display().to_string();
        for target in [canary.as_str(), "missing", "../out/canary"] {
            let result = place.unpack(archive(&[Item::Hard("link", target)]), Whiteouts::Refuse);
            assert!(matches!(result, Err(UnpackError::Link { .. } | UnpackError::Escapes(_))), "{target}");
        }
        let link = Item::Link("link", place.home.path().join("out/canary").display().to_string());
        assert!(place.unpack(archive(&[link, Item::Hard("hard", "link")]), Whiteouts::Refuse).is_err());
        let items = [Item::File("a", "x", 0o644), Item::Hard("b", "a"), Item::Hard("a", "a")];
        place.unpack(archive(&items), Whiteouts::Refuse).unwrap();
        assert_eq!(fs::metadata(place.path("a")).unwrap().ino(), fs::metadata(place.path("b")).unwrap().ino());
    }

    #[test]
    fn the_last_of_two_entries_wins_whatever_they_are() {
        let place = Place::new();
        let items = [Item::File("a", "1", 0o644), Item::Folder("a/", 0o755), Item::File("a/b", "2", 0o644), Item::File("a", "3", 0o600)];
        place.unpack(archive(&items), Whiteouts::Refuse).unwrap();
        assert_eq!(fs::read_to_string(place.path("a")).unwrap(), "3");
    }

    #[test]
    fn set_id_bits_and_read_only_folders_are_kept() {
        let place = Place::new();
        let items = [Item::Folder("ro/", 0o555), Item::File("ro/su", "x", 0o4755), Item::Folder("tmp/", 0o1777)];
        place.unpack(archive(&items), Whiteouts::Refuse).unwrap();
        let mode = |path: &str| fs::metadata(place.path(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("ro"), mode("ro/su"), mode("tmp")), (0o555, 0o4755, 0o1777));
    }

    #[test]
    fn devices_are_left_out_and_counted() {
        let place = Place::new();
        let done = place.unpack(archive(&[Item::Device("null")]), Whiteouts::Refuse).unwrap();
        assert_eq!(done.skipped, 1);
        assert!(!place.path("null").exists());
    }

    #[test]
    fn whiteouts_delete_and_their_order_does_not_matter() {
        for reversed in [false, true] {
            let place = Place::new();
            fs::create_dir_all(place.path("d/old")).unwrap();
            fs::write(place.path("gone"), "x").unwrap();
            let mut items =
                vec![Item::File("d/.wh..wh..opq", "", 0), Item::File("d/new", "n", 0o644), Item::File(".wh.gone", "", 0)];
            if reversed {
                items.reverse();
            }
            place.unpack(archive(&items), Whiteouts::Apply).unwrap();
            assert!(!place.path("gone").exists() && !place.path("d/old").exists() && place.path("d/new").exists());
        }
    }

    #[test]
    fn whiteouts_without_a_name_or_outside_layers_are_refused() {
        for name in [".wh.", ".wh..", ".wh..."] {
            let result = Place::new().unpack(archive(&[Item::File(name, "", 0)]), Whiteouts::Apply);
            assert!(matches!(result, Err(UnpackError::Whiteout(_))), "{name}");
        }
        assert!(Place::new().unpack(archive(&[Item::File(".wh.x", "", 0)]), Whiteouts::Refuse).is_err());
    }

    #[test]
    fn overlay_whiteouts_are_devices_and_attributes() {
        let place = Place::new();
        place.unpack(archive(&[Item::File("d/.wh..wh..opq", "", 0), Item::File(".wh.x", "", 0)]), Whiteouts::Overlay).unwrap();
        let meta = place.path("x").symlink_metadata().unwrap();
        assert!(meta.file_type().is_char_device() && meta.rdev() == 0);
        let mut value = [0; 8];
        let length = rustix::fs::getxattr(place.path("d"), "user.overlay.opaque", &mut value).unwrap();
        assert_eq!(&value[..length], b"y");
    }

    #[test]
    fn too_much_and_too_little_are_errors() {
        let place = Place::new();
        let big = "x".repeat((1 << 20) + 1);
        assert!(matches!(place.unpack(archive(&[Item::File("a", &big, 0o644)]), Whiteouts::Refuse), Err(UnpackError::Limit { .. })));
        let mut cut = archive(&[Item::File("a", &"x".repeat(2000), 0o644)]);
        cut.truncate(1200);
        assert!(matches!(place.unpack(cut, Whiteouts::Refuse), Err(UnpackError::Read(_) | UnpackError::Io { .. })));
    }
}
