//! The app's files as the build sees them: hashed once, copied below the cache on demand.
//!
//! The user's tree is only read. A file that changes between its hash and its use is an error,
//! because what is stored under a key must be what the key says.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};
use packwright_providers::{Entry, EntryKind};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use thiserror::Error;

use crate::cache::{Cache, CacheError, Key, KeyBuilder, Kind};
use crate::stamp::Stamp;

/// The app's folder in a root.
pub const APP: &str = "app";

/// What can go wrong with the app's files.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A file could not be read or copied.
    #[error("{action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file changed while the build read it.
    #[error("{0} changed while it was read")]
    Changed(PathBuf),
    /// A pattern of `onlyIncludeFiles` is not a glob.
    #[error("onlyIncludeFiles: {0}")]
    Pattern(globset::Error),
    /// The cache folder failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SourceError {
    move |source| SourceError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// One file, folder or link of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Relative to the app's folder.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub kind: SourceKind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A regular file.
    File {
        /// SHA-256 of its bytes.
        hash: [u8; 32],
        /// What the system said of it when it was hashed.
        stamp: Stamp,
    },
    /// A folder.
    Directory,
    /// A symbolic link, never followed.
    Symlink(PathBuf),
}

/// The app's files, sorted by path.
#[derive(Debug)]
pub struct SourceTree {
    root: PathBuf,
    folder: Arc<OwnedFd>,
    files: Vec<SourceFile>,
}

impl SourceTree {
    /// Hashes the files of a repository, on all cores.
    pub fn read(root: &Path, entries: &[Entry]) -> Result<Self, SourceError> {
        let folder = Arc::new(open_folder(root)?);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let share = entries.len().div_ceil(cores).max(64);
        let parts: Vec<Result<Vec<SourceFile>, SourceError>> = std::thread::scope(|scope| {
            let workers: Vec<_> = entries
                .chunks(share)
                .map(|part| {
                    scope.spawn(|| {
                        part.iter()
                            .map(|entry| read_entry(&folder, entry))
                            .collect()
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| {
                    worker
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        let mut files = Vec::with_capacity(entries.len());
        for part in parts {
            files.extend(part?);
        }
        Ok(Self {
            root: root.to_owned(),
            folder,
            files,
        })
    }

    /// The app's folder on the host.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The same folder, open: what a path names may change, this does not.
    pub fn folder(&self) -> &Arc<OwnedFd> {
        &self.folder
    }

    /// The entries that a phase asks for: all, or those named by path, by folder or by glob.
    pub fn select(&self, patterns: Option<&[String]>) -> Result<Vec<&SourceFile>, SourceError> {
        let Some(patterns) = patterns else {
            return Ok(self.files.iter().collect());
        };
        let selection = Selection::new(patterns)?;
        Ok(self
            .files
            .iter()
            .filter(|file| selection.contains(&file.path))
            .collect())
    }

    /// What lies in the app's folder and is not the app's, by the highest path.
    pub fn left_out(&self) -> Result<Vec<PathBuf>, SourceError> {
        let kept: std::collections::BTreeSet<&Path> =
            self.files.iter().map(|file| file.path.as_path()).collect();
        let folders = self
            .files
            .iter()
            .filter(|file| file.kind == SourceKind::Directory);
        let mut left_out = Vec::new();
        for folder in std::iter::once(Path::new("")).chain(folders.map(|file| file.path.as_path()))
        {
            let place = self.root.join(folder);
            for entry in fs::read_dir(&place).map_err(io_error("list", &place))? {
                let entry = entry.map_err(io_error("list", &place))?;
                let path = folder.join(entry.file_name());
                if !kept.contains(path.as_path()) {
                    left_out.push(path);
                }
            }
        }
        left_out.sort();
        Ok(left_out)
    }

    /// A tree with copies of the files under `/app`, from the cache when it is there.
    pub fn snapshot(
        &self,
        files: &[&SourceFile],
        cache: &Cache,
    ) -> Result<(PathBuf, Key), SourceError> {
        let key = key(files);
        if let Some(found) = cache.find(Kind::Source, &key) {
            return Ok((found.join("fs"), key));
        }
        let staging = cache.staging()?;
        let app = staging.path().join("fs").join(APP);
        fs::create_dir_all(&app).map_err(io_error("create", &app))?;
        for folder in [app.as_path(), app.parent().unwrap_or(&app)] {
            let open = fs::Permissions::from_mode(0o755);
            fs::set_permissions(folder, open).map_err(io_error("open up", folder))?;
        }
        for file in files {
            copy_entry(&self.folder, file, &app)?;
        }
        for file in files
            .iter()
            .rev()
            .filter(|file| file.kind == SourceKind::Directory)
        {
            let path = app.join(&file.path);
            fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))
                .map_err(io_error("set the mode of", &path))?;
        }
        Ok((cache.commit(staging, Kind::Source, &key)?.join("fs"), key))
    }
}

/// Identifies files by path, mode and content.
pub fn key(files: &[&SourceFile]) -> Key {
    let mut key = Key::build("source");
    for file in files {
        key = add(key, file);
    }
    key.finish()
}

fn add(key: KeyBuilder, file: &SourceFile) -> KeyBuilder {
    let key = key
        .field("path", file.path.as_os_str().as_bytes())
        .field("mode", file.mode.to_le_bytes());
    match &file.kind {
        SourceKind::File { hash, .. } => key.field("file", hash),
        SourceKind::Directory => key.field("directory", ""),
        SourceKind::Symlink(target) => key.field("symlink", target.as_os_str().as_bytes()),
    }
}

/// Paths, folders and globs of `onlyIncludeFiles`.
pub struct Selection {
    names: Vec<PathBuf>,
    globs: GlobSet,
}

impl Selection {
    /// Reads the patterns.
    pub fn new(patterns: &[String]) -> Result<Self, SourceError> {
        let mut globs = GlobSetBuilder::new();
        let mut names = Vec::new();
        for pattern in patterns {
            let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
            globs.add(Glob::new(pattern).map_err(SourceError::Pattern)?);
            names.push(PathBuf::from(pattern));
        }
        Ok(Self {
            names,
            globs: globs.build().map_err(SourceError::Pattern)?,
        })
    }

    /// Whether a path is named, or lies in a folder that is.
    pub fn contains(&self, path: &Path) -> bool {
        path.ancestors().any(|ancestor| {
            !ancestor.as_os_str().is_empty()
                && (self.names.iter().any(|name| name == ancestor) || self.globs.is_match(ancestor))
        })
    }
}

impl Selection {
    /// As [`Selection::contains`], and true for the folders above a named path.
    pub fn contains_or_leads_to(&self, path: &Path) -> bool {
        self.contains(path) || self.names.iter().any(|name| name.starts_with(path))
    }
}

fn open_folder(path: &Path) -> Result<OwnedFd, SourceError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(|error| io_error("open", path)(error.into()))
}

/// Opens a regular file below the folder; a link on the way, or in its place, is an error.
fn open_file(folder: &OwnedFd, path: &Path) -> Result<File, SourceError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(folder.as_fd(), path, flags, Mode::empty(), resolve)
        .map(File::from)
        .map_err(|error| io_error("open", path)(error.into()))
}

fn read_entry(folder: &OwnedFd, entry: &Entry) -> Result<SourceFile, SourceError> {
    let kind = match &entry.kind {
        EntryKind::Directory => SourceKind::Directory,
        EntryKind::Symlink { target } => SourceKind::Symlink(target.clone()),
        EntryKind::File { .. } => {
            let file = open_file(folder, &entry.path)?;
            let meta = file.metadata().map_err(io_error("examine", &entry.path))?;
            let hash = crate::hash::of_reader(&file).map_err(io_error("read", &entry.path))?;
            SourceKind::File {
                hash,
                stamp: Stamp::of(&meta),
            }
        }
    };
    Ok(SourceFile {
        path: entry.path.clone(),
        mode: entry.mode,
        kind,
    })
}

fn copy_entry(folder: &OwnedFd, file: &SourceFile, app: &Path) -> Result<(), SourceError> {
    let target = app.join(&file.path);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(io_error("create", parent))?;
    }
    match &file.kind {
        SourceKind::Directory => fs::create_dir_all(&target).map_err(io_error("create", &target)),
        SourceKind::Symlink(to) => {
            std::os::unix::fs::symlink(OsStr::from_bytes(to.as_os_str().as_bytes()), &target)
                .map_err(io_error("create", &target))
        }
        SourceKind::File { stamp, .. } => {
            let mut from = open_file(folder, &file.path)?;
            let mut to = File::create_new(&target).map_err(io_error("create", &target))?;
            io::copy(&mut from, &mut to).map_err(io_error("copy", &file.path))?;
            to.set_permissions(fs::Permissions::from_mode(file.mode))
                .map_err(io_error("set the mode of", &target))?;
            let meta = from.metadata().map_err(io_error("examine", &file.path))?;
            if Stamp::of(&meta) == *stamp {
                Ok(())
            } else {
                Err(SourceError::Changed(file.path.clone()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use packwright_providers::Repo;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, SourceTree) {
        let home = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = fs::canonicalize(home.path()).unwrap();
        let source =
            SourceTree::read(&root, &Repo::open(&root).unwrap().entries().unwrap()).unwrap();
        (home, source)
    }

    fn paths(files: &[&SourceFile]) -> Vec<String> {
        files
            .iter()
            .map(|file| file.path.display().to_string())
            .collect()
    }

    #[test]
    fn files_are_selected_by_name_folder_and_glob() {
        let (_home, source) = tree(&[
            ("a.txt", ""),
            ("b/c.txt", ""),
            ("b/d/e.md", ""),
            ("f.json", ""),
        ]);
        let select = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
            paths(&source.select(Some(&patterns)).unwrap())
        };
        assert_eq!(select(&["a.txt", "*.json"]), ["a.txt", "f.json"]);
        assert_eq!(select(&["b/d"]), ["b/d", "b/d/e.md"]);
        assert!(select(&[]).is_empty());
    }

    #[test]
    fn a_changed_byte_changes_the_key_and_a_changed_time_does_not() {
        let (home, before) = tree(&[("a", "1")]);
        fs::write(home.path().join("a"), "1").unwrap();
        let reread = |(): ()| {
            SourceTree::read(
                before.root(),
                &Repo::open(before.root()).unwrap().entries().unwrap(),
            )
            .unwrap()
        };
        let same = reread(());
        assert_eq!(
            key(&before.select(None).unwrap()),
            key(&same.select(None).unwrap())
        );
        fs::write(home.path().join("a"), "2").unwrap();
        let other = reread(());
        assert_ne!(
            key(&before.select(None).unwrap()),
            key(&other.select(None).unwrap())
        );
        let store = tempfile::tempdir().unwrap();
        let cache = Cache::open(store.path()).unwrap();
        assert!(matches!(
            before.snapshot(&before.select(None).unwrap(), &cache),
            Err(SourceError::Changed(_))
        ));
    }

    #[test]
    fn a_snapshot_keeps_modes_and_links() {
        let (home, _) = tree(&[("bin/run", "x")]);
        fs::set_permissions(
            home.path().join("bin/run"),
            fs::Permissions::from_mode(0o750),
        )
        .unwrap();
        std::os::unix::fs::symlink("/etc/passwd", home.path().join("link")).unwrap();
        let root = fs::canonicalize(home.path()).unwrap();
        let source =
            SourceTree::read(&root, &Repo::open(&root).unwrap().entries().unwrap()).unwrap();
        let store = tempfile::tempdir().unwrap();
        let cache = Cache::open(store.path()).unwrap();
        let (tree, _) = source
            .snapshot(&source.select(None).unwrap(), &cache)
            .unwrap();
        let mode = fs::metadata(tree.join("app/bin/run"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o750);
        assert_eq!(
            fs::read_link(tree.join("app/link")).unwrap(),
            Path::new("/etc/passwd")
        );
    }
}
