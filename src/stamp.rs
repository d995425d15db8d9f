//! Tells a changed file from an unchanged one without reading it.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What the system says of a file, and does not say of it after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Takes it from what the system says.
    pub fn of(meta: &Metadata) -> Self {
        Self {
            inode: meta.ino(),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        }
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Nanoseconds since 1970.
    pub fn modified(&self) -> i64 {
        self.modified.0.saturating_mul(1_000_000_000) + self.modified.1
    }
}

/// A file changed while it was read.
#[derive(Debug, Error)]
#[error("{0} changed while it was read")]
pub struct Changed(pub PathBuf);

/// A file that must be as it was to its last byte; else reading it is an error that holds [`Changed`].
#[derive(Debug)]
pub struct Unchanged {
    file: File,
    stamp: Stamp,
    path: PathBuf,
    left: u64,
}

impl Unchanged {
    /// Takes an open file; `path` is for the error.
    pub fn new(file: File, stamp: Stamp, path: &Path) -> io::Result<Self> {
        let file = Self {
            file,
            stamp,
            path: path.to_owned(),
            left: stamp.size,
        };
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> io::Result<()> {
        if Stamp::of(&self.file.metadata()?) == self.stamp {
            return Ok(());
        }
        Err(io::Error::other(Changed(self.path.clone())))
    }
}

impl Read for Unchanged {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        // Whoever knows the length does not ask for what is behind it.
        if count == 0 || self.left == 0 {
            self.check()?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_changes_before_its_last_byte_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        fs::write(&path, vec![b'x'; 1000]).unwrap();
        let stamp = Stamp::of(&fs::metadata(&path).unwrap());
        let open = || Unchanged::new(File::open(&path).unwrap(), stamp, Path::new("a"));
        let mut read = Vec::new();
        assert_eq!(open().unwrap().read_to_end(&mut read).unwrap(), 1000);
        let mut late = open().unwrap();
        late.read_exact(&mut [0; 500]).unwrap();
        fs::write(&path, vec![b'y'; 1001]).unwrap();
        let refused = late.read_exact(&mut [0; 500]).unwrap_err();
        let changed = refused.get_ref().unwrap().downcast_ref::<Changed>();
        assert_eq!(changed.unwrap().0, Path::new("a"));
        assert!(open().is_err());
    }
}
