//! Writes the entries of archives below one folder and nowhere else.
//!
//! Used for whatever comes from elsewhere: packages, toolchains, layers. Links, `..`, absolute
//! names, special files and sizes are an attacker's: paths are resolved inside the folder by the
//! kernel ([`Root`]), everything is bounded ([`Limits`]), and doubtful archives are refused by
//! name. Knows no compression and no package format.

mod reader;
mod root;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, XattrFlags};
use thiserror::Error;

use reader::{Entry, Kind, TarReader};
pub use root::Root;

/// What can go wrong; each names the entry.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// A file system call failed.
    #[error("{action} {path}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The entry's path below the root.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The archive could not be read or decompressed.
    #[error("read the archive")]
    Read(#[source] io::Error),
    /// The archive breaks the tar format, or readers would disagree about it.
    #[error("the archive is malformed: {reason}")]
    Malformed {
        /// How.
        reason: String,
    },
    /// An entry that is not unpacked, and why.
    #[error("refused {path:?}: {reason}")]
    Refused {
        /// The entry.
        path: PathBuf,
        /// The rule that it breaks.
        reason: String,
    },
    /// More than the caller allows.
    #[error("the archive has more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// An owner that this user namespace cannot give.
    #[error(
        "cannot give {path:?} to {uid}:{gid}: the id is not mapped in this user namespace (see /etc/subuid, /etc/subgid)"
    )]
    Unmapped {
        /// The entry.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

/// How much an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Entries of any kind.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 16 << 30,
            entries: 2_000_000,
        }
    }
}

/// What `.wh.` entries mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Whiteouts {
    /// Nothing: an archive that has one is refused.
    #[default]
    Refuse,
    /// Remove what earlier layers wrote below the same root.
    Apply,
    /// Become overlayfs whiteouts: character device 0:0, `user.overlay.opaque` on folders.
    Overlay,
}

/// What to unpack and how; the default takes everything to the root, with modes and times but
/// without owners.
#[derive(Clone, Copy)]
pub struct UnpackOptions<'a> {
    /// Leading components to drop from names (and hard link targets); shorter entries are left out.
    pub strip_components: usize,
    /// Folder below the root that everything is placed under.
    pub prefix: &'a Path,
    /// What `.wh.` entries mean.
    pub whiteouts: Whiteouts,
    /// Give entries to their numeric owners, and keep setuid and setgid bits.
    pub owners: bool,
    /// A folder entry over a symbolic link leaves the link in place, as dpkg does; otherwise it
    /// replaces the link, as layers do.
    pub through_links: bool,
    /// Takes an entry's path, stripped and before `prefix`; false leaves the entry out.
    pub keep: Option<&'a dyn Fn(&Path) -> bool>,
    /// List the written paths in [`Unpacked::paths`].
    pub list: bool,
    /// How much is accepted.
    pub limits: Limits,
}

impl Default for UnpackOptions<'_> {
    fn default() -> Self {
        Self {
            strip_components: 0,
            prefix: Path::new(""),
            whiteouts: Whiteouts::default(),
            owners: false,
            through_links: false,
            keep: None,
            list: false,
            limits: Limits::default(),
        }
    }
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries written.
    pub entries: u64,
    /// Bytes of the files written.
    pub bytes: u64,
    /// Device nodes and FIFOs, which are left out.
    pub skipped: u64,
    /// Paths below the root in archive order, if asked for.
    pub paths: Vec<PathBuf>,
}

/// Unpacks a tar stream, which the caller has decompressed, and reads it to its end.
pub fn unpack_tar(
    reader: impl Read,
    into: &Root,
    options: &UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    let mut tar = TarReader::new(reader);
    let mut writer = Writer {
        root: into,
        options,
        buffer: vec![0; 128 << 10],
        folder: None,
        folder_times: BTreeMap::new(),
        whiteouts: Vec::new(),
        written: BTreeSet::new(),
        done: Unpacked::default(),
    };
    let mut seen = 0;
    while let Some(entry) = tar.next()? {
        seen += 1;
        if seen > options.limits.entries {
            return Err(UnpackError::Limit {
                what: "entries",
                limit: options.limits.entries,
            });
        }
        writer.entry(&entry, &mut tar)?;
    }
    writer.finish()
}

struct Writer<'a> {
    root: &'a Root,
    options: &'a UnpackOptions<'a>,
    buffer: Vec<u8>,
    /// The folder of the last entry: archives list neighbours together.
    folder: Option<(PathBuf, Arc<OwnedFd>)>,
    /// Set at the end, because each new entry changes its folder's time.
    folder_times: BTreeMap<PathBuf, i64>,
    whiteouts: Vec<Whiteout>,
    /// What this archive wrote, where whiteouts have to spare it.
    written: BTreeSet<PathBuf>,
    done: Unpacked,
}

enum Whiteout {
    Path(PathBuf),
    Opaque(PathBuf),
}

impl Writer<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut impl Read) -> Result<(), UnpackError> {
        let Some(stripped) = self.strip(&entry.path)? else {
            return Ok(());
        };
        if self.options.keep.is_some_and(|keep| !keep(&stripped)) {
            return Ok(());
        }
        let path = self.options.prefix.join(stripped);
        if let Some(whiteout) = self.whiteout(&path, entry)? {
            self.whiteouts.push(whiteout);
            return Ok(());
        }
        match entry.kind {
            Kind::Special => {
                self.done.skipped += 1;
                return Ok(());
            }
            _ if path.as_os_str().is_empty() => self.write_root(entry)?,
            Kind::Directory => self.write_directory(&path, entry)?,
            Kind::File => self.write_file(&path, entry, content)?,
            Kind::Symlink => self.write_symlink(&path, entry)?,
            Kind::HardLink => self.write_hard_link(&path, entry)?,
        }
        self.done.entries += 1;
        if self.options.whiteouts != Whiteouts::Refuse {
            let above = path
                .ancestors()
                .take_while(|path| !self.written.contains(*path))
                .map(Path::to_owned);
            self.written.extend(above.collect::<Vec<_>>());
        }
        if self.options.list {
            self.done.paths.push(path);
        }
        Ok(())
    }

    /// The clean relative path; `None` when stripping leaves nothing of an entry.
    fn strip(&self, path: &[u8]) -> Result<Option<PathBuf>, UnpackError> {
        let clean = root::normal(Path::new(OsStr::from_bytes(path)))?;
        let count = self.options.strip_components;
        if count == 0 {
            return Ok(Some(clean));
        }
        let rest: PathBuf = clean.components().skip(count).collect();
        Ok((!rest.as_os_str().is_empty()).then_some(rest))
    }

    fn whiteout(&self, path: &Path, entry: &Entry) -> Result<Option<Whiteout>, UnpackError> {
        let is_marker = |name: &OsStr| name.as_bytes().starts_with(b".wh.");
        if path
            .parent()
            .is_some_and(|parent| parent.iter().any(is_marker))
        {
            return Err(root::refused(path, "it is below a whiteout"));
        }
        let Some(name) = path.file_name().filter(|name| is_marker(name)) else {
            return Ok(None);
        };
        if self.options.whiteouts == Whiteouts::Refuse {
            return Err(root::refused(
                path,
                "names that begin with `.wh.` mean deletion and are not allowed here",
            ));
        }
        if entry.kind != Kind::File {
            return Err(root::refused(path, "a whiteout that is no plain file"));
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        match &name.as_bytes()[b".wh.".len()..] {
            b".wh..opq" => Ok(Some(Whiteout::Opaque(parent.to_owned()))),
            b"" | b"." | b".." => Err(root::refused(path, "a whiteout of nothing")),
            target if target.starts_with(b".wh.") => {
                Err(root::refused(path, "a whiteout of a whiteout"))
            }
            target => Ok(Some(Whiteout::Path(parent.join(OsStr::from_bytes(target))))),
        }
    }

    fn place(&mut self, path: &Path) -> Result<root::Place, UnpackError> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().unwrap_or_default();
        if self
            .folder
            .as_ref()
            .is_none_or(|(known, _)| known != parent)
        {
            self.folder = Some((parent.to_owned(), self.root.make_folder(parent, path)?));
        }
        let Some((_, fd)) = &self.folder else {
            return self.root.place_of(path);
        };
        Ok(Root::place_in(fd, name, path))
    }

    fn write_root(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        if entry.kind != Kind::Directory {
            return Err(root::refused(
                Path::new("/"),
                "only a folder can be the root",
            ));
        }
        let folder = self.root.directory(Path::new(""))?;
        if self.options.owners {
            let (uid, gid) = ids(entry)?;
            self.root.set_owner(Path::new(""), uid, gid)?;
        }
        rustix::fs::fchmod(&folder, rustix::fs::Mode::from_raw_mode(self.mode(entry)))
            .map_err(root::io_error("set the mode of", Path::new("/")))?;
        self.folder_times.insert(PathBuf::new(), entry.mtime);
        Ok(())
    }

    fn write_directory(&mut self, path: &Path, entry: &Entry) -> Result<(), UnpackError> {
        let place = self.place(path)?;
        let through = self.options.through_links;
        if place.directory(self.mode(entry), through)? {
            self.folder = None;
        }
        if through && place.is_symlink()? {
            return Ok(());
        }
        if self.options.owners {
            let (uid, gid) = ids(entry)?;
            place.set_owner(uid, gid)?;
        }
        self.folder_times.insert(path.to_owned(), entry.mtime);
        Ok(())
    }

    fn write_file(
        &mut self,
        path: &Path,
        entry: &Entry,
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        let left = self.options.limits.bytes - self.done.bytes;
        if entry.size > left {
            return Err(UnpackError::Limit {
                what: "bytes",
                limit: self.options.limits.bytes,
            });
        }
        let place = self.place(path)?;
        let mut file = self.note(place.create(0o600)?);
        self.done.bytes += root::copy(content, &mut file, entry.size, &mut self.buffer, path)?;
        if self.options.owners {
            let (uid, gid) = ids(entry)?;
            place.set_owner(uid, gid)?;
        }
        place.finish_file(&file, self.mode(entry))?;
        place.set_time(entry.mtime)
    }

    fn write_symlink(&mut self, path: &Path, entry: &Entry) -> Result<(), UnpackError> {
        if entry.link.is_empty() || entry.link.contains(&0) {
            return Err(root::refused(
                path,
                "a symbolic link without a valid target",
            ));
        }
        let place = self.place(path)?;
        self.note(place.symlink(Path::new(OsStr::from_bytes(&entry.link)))?);
        if self.options.owners {
            let (uid, gid) = ids(entry)?;
            place.set_owner(uid, gid)?;
        }
        place.set_time(entry.mtime)
    }

    /// Links to an entry that is there already, which is not followed if it is a symbolic link.
    fn write_hard_link(&mut self, path: &Path, entry: &Entry) -> Result<(), UnpackError> {
        let target = self
            .strip(&entry.link)?
            .map(|target| self.options.prefix.join(target));
        let target = target.ok_or_else(|| root::refused(path, "a hard link to nothing"))?;
        if target == path {
            return Err(root::refused(path, "a hard link to itself"));
        }
        let existing = self.root.existing(&target, path)?;
        let place = self.place(path)?;
        self.note(place.hard_link(&existing)?);
        Ok(())
    }

    /// Forgets what is known of folders if one may have been replaced.
    fn note<T>(&mut self, (made, replaced): (T, bool)) -> T {
        if replaced {
            self.folder = None;
        }
        made
    }

    fn mode(&self, entry: &Entry) -> u32 {
        if self.options.owners {
            entry.mode & 0o7777
        } else {
            entry.mode & 0o1777
        }
    }

    fn finish(mut self) -> Result<Unpacked, UnpackError> {
        for whiteout in std::mem::take(&mut self.whiteouts) {
            match (self.options.whiteouts, whiteout) {
                (Whiteouts::Refuse, _) => {}
                (Whiteouts::Apply, Whiteout::Path(path)) => self.clear(&path)?,
                (Whiteouts::Apply, Whiteout::Opaque(path)) => self.clear_children(&path)?,
                (Whiteouts::Overlay, Whiteout::Path(path)) => self.overlay_whiteout(&path)?,
                (Whiteouts::Overlay, Whiteout::Opaque(path)) => self.overlay_opaque(&path)?,
            }
        }
        for (path, seconds) in &self.folder_times {
            if self
                .root
                .kind_at(path)?
                .is_some_and(|kind| kind == FileType::Directory)
            {
                root::set_folder_time(&self.root.directory(path)?, *seconds, path)?;
            }
        }
        Ok(self.done)
    }

    /// Removes what lower layers have at `path`, but nothing that this archive wrote.
    fn clear(&self, path: &Path) -> Result<(), UnpackError> {
        if self.written.contains(path) {
            self.clear_children(path)
        } else {
            self.root.remove(path)
        }
    }

    fn clear_children(&self, path: &Path) -> Result<(), UnpackError> {
        if self.root.kind_at(path)? != Some(FileType::Directory) {
            return Ok(());
        }
        let names = root::children(&self.root.directory(path)?, path)?;
        for name in names {
            self.clear(&path.join(OsStr::from_bytes(&name)))?;
        }
        Ok(())
    }

    fn overlay_whiteout(&self, path: &Path) -> Result<(), UnpackError> {
        match self.root.kind_at(path)? {
            None => self.root.place_of(path)?.whiteout(),
            Some(FileType::Directory) if self.written.contains(path) => self.overlay_opaque(path),
            Some(_) => Ok(()),
        }
    }

    fn overlay_opaque(&self, path: &Path) -> Result<(), UnpackError> {
        if self.root.kind_at(path)?.is_none() {
            self.root.mkdir(path, 0o755)?;
        }
        let folder = self.root.directory(path)?;
        rustix::fs::fsetxattr(&folder, "user.overlay.opaque", b"y", XattrFlags::empty())
            .map_err(root::io_error("mark as opaque", path))
    }
}

fn ids(entry: &Entry) -> Result<(u32, u32), UnpackError> {
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    id(entry.uid).zip(id(entry.gid)).ok_or_else(|| {
        reader::refused(
            &entry.path,
            format!("{}:{} are no valid ids", entry.uid, entry.gid),
        )
    })
}

#[cfg(test)]
mod tests;
