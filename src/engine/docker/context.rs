//! The files that a daemon builds.

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::DaemonError;
use crate::stamp::{Changed, Stamp, Unchanged};

/// One entry of a build context.
#[derive(Debug, Clone)]
pub struct ContextFile {
    /// Relative to the context.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// What it holds.
    pub body: ContextBody,
}

/// What an entry of a build context holds.
#[derive(Debug, Clone)]
pub enum ContextBody {
    /// A folder.
    Directory,
    /// A symbolic link, never followed.
    Symlink(PathBuf),
    /// A file whose bytes are at hand.
    Bytes(Vec<u8>),
    /// A file of this program's own.
    File(PathBuf),
    /// A file of the user's below a folder; no link on the way to it is followed.
    Beneath {
        /// The folder.
        folder: Arc<OwnedFd>,
        /// The path below it.
        path: PathBuf,
        /// It must be as it was then.
        stamp: Stamp,
    },
}

impl ContextFile {
    /// The content and its length; nothing for what is no file.
    pub fn open(&self) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let file = match &self.body {
            ContextBody::Directory | ContextBody::Symlink(_) => {
                return Ok((Box::new(io::empty()), 0));
            }
            ContextBody::Bytes(bytes) => {
                return Ok((Box::new(Cursor::new(bytes.clone())), bytes.len() as u64));
            }
            ContextBody::File(path) => File::open(path)?,
            ContextBody::Beneath {
                folder,
                path,
                stamp,
            } => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                // It was there when it was listed, and no link.
                let opened = rustix::fs::openat2(folder, path, flags, Mode::empty(), resolve);
                let file = opened.map_err(|errno| match errno {
                    Errno::NOENT | Errno::LOOP | Errno::NOTDIR => {
                        io::Error::other(Changed(path.clone()))
                    }
                    errno => errno.into(),
                })?;
                let file = Unchanged::new(file.into(), *stamp, path)?;
                return Ok((Box::new(file), stamp.size()));
            }
        };
        let size = file.metadata()?.len();
        Ok((Box::new(file), size))
    }
}

/// Remembers which file changed while it was sent: daemons pass errors on as text, if at all.
#[derive(Debug, Clone, Default)]
pub(super) struct Witness(Arc<OnceLock<PathBuf>>);

impl Witness {
    /// Hears an error about a context's file.
    pub(super) fn hear(&self, error: &io::Error) {
        let inner = error.get_ref().and_then(|error| error.downcast_ref());
        if let Some(Changed(path)) = inner {
            // The first one is enough.
            let _ = self.0.set(path.clone());
        }
    }

    /// Whatever a changed file made fail, the change is what happened.
    pub(super) fn told(&self, error: DaemonError) -> DaemonError {
        match self.0.get() {
            Some(path) => DaemonError::Changed(path.clone()),
            None => error,
        }
    }
}

/// A context as a tar archive, which is all that the classic builder takes.
pub(super) fn write_archive(files: &[ContextFile], to: &mut dyn Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(file.mode);
        header.set_mtime(315_532_800);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        match &file.body {
            ContextBody::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                archive.append_data(&mut header, &file.path, io::empty())?;
            }
            ContextBody::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                archive.append_link(&mut header, &file.path, target)?;
            }
            _ => {
                let (content, size) = file.open()?;
                header.set_size(size);
                archive.append_data(&mut header, &file.path, content.take(size))?;
            }
        }
    }
    archive.finish()
}
