//! The files that a daemon builds.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};

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
            ContextBody::Beneath { folder, path } => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                File::from(rustix::fs::openat2(
                    folder,
                    path,
                    flags,
                    Mode::empty(),
                    resolve,
                )?)
            }
        };
        let size = file.metadata()?.len();
        Ok((Box::new(file), size))
    }
}
