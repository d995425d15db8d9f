//! The cache folder: content keys, atomic commits, locks, and what may be pruned.
//!
//! An entry is a folder or file named by its key. It is made under `tmp/`, where a kernel lock
//! says that its maker lives, and renamed into place once complete: what has its final name is
//! whole, whatever was killed when. Knows nothing of what the entries hold.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The layout's version: entries of another version are left alone.
const FORMAT: &str = "v1";

/// What can go wrong with the cache folder itself.
#[derive(Debug, Error)]
pub enum CacheError {
    /// A file system call failed.
    #[error("{action} {path}")]
    Io {
        /// What was tried: `create`, `rename`, `lock`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    move |source| CacheError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// The kinds of entry; each has a folder of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Verified downloads, named by their hash.
    Download,
    /// Resolutions and locks that were computed before.
    Lock,
    /// Root file system trees: `<key>/fs/`.
    Root,
    /// Copies of source files: `<key>/fs/`.
    Source,
    /// Results of phases: `<key>/fs/`.
    Step,
    /// Descriptors of layers that the image store holds.
    Layer,
    /// Layers unpacked for `run`: `<key>/fs/`.
    Unpacked,
    /// Cache mounts, which phases write; never part of an image.
    Mount,
    /// Links that hold what Nix made in its store: `<key>/store-path`.
    Nix,
}

impl Kind {
    /// Every kind, in the order of `cache ls`.
    pub const ALL: [Self; 9] = [
        Self::Download,
        Self::Lock,
        Self::Root,
        Self::Source,
        Self::Step,
        Self::Layer,
        Self::Unpacked,
        Self::Mount,
        Self::Nix,
    ];

    /// The folder's name.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Download => "downloads",
            Self::Lock => "locks",
            Self::Root => "roots",
            Self::Source => "sources",
            Self::Step => "steps",
            Self::Layer => "layers",
            Self::Unpacked => "unpacked",
            Self::Mount => "mounts",
            Self::Nix => "nix",
        }
    }
}

/// The content key of an entry: 64 hexadecimal digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Starts a key; `domain` keeps keys of different things apart.
    pub fn build(domain: &str) -> KeyBuilder {
        KeyBuilder(Sha256::new()).field("domain", domain)
    }

    /// The key as 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hashes named fields, each with its length, so that no two lists of fields collide.
pub struct KeyBuilder(Sha256);

impl KeyBuilder {
    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), value.as_ref()] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    /// Adds a list, with its length, so that two neighbouring lists cannot be confused.
    #[must_use]
    pub fn list<T: AsRef<[u8]>>(self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        let values: Vec<T> = values.into_iter().collect();
        let start = self.field(name, values.len().to_le_bytes());
        values
            .into_iter()
            .fold(start, |key, value| key.field("item", value))
    }

    /// Adds a map, in its order.
    #[must_use]
    pub fn map(self, name: &str, values: &BTreeMap<String, String>) -> Self {
        let start = self.field(name, values.len().to_le_bytes());
        values
            .iter()
            .fold(start, |key, (k, v)| key.field("key", k).field("value", v))
    }

    /// The key.
    pub fn finish(self) -> Key {
        Key(hex::encode(self.0.finalize()))
    }
}

/// The cache folder, open.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    /// Trees that this process uses, each under a shared lock, so that none is pruned.
    in_use: Arc<Mutex<BTreeMap<PathBuf, File>>>,
}

/// A folder under construction; gone when dropped without [`Cache::commit`].
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Staging {
    /// The folder, empty at first.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = remove_tree(&self.path);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// A held lock; released when dropped, and by the kernel when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What `cache ls` shows of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The kind.
    pub kind: Kind,
    /// How many entries.
    pub entries: usize,
    /// Bytes on disk.
    pub bytes: u64,
}

impl Cache {
    /// Opens the cache under `root`, making what is missing, readable by its owner alone, and
    /// removes what processes that died left under construction.
    pub fn open(root: &Path) -> Result<Self, CacheError> {
        let root = root.join(FORMAT);
        let cache = Self {
            root,
            in_use: Arc::default(),
        };
        make_private_dir(&cache.root)?;
        for folder in Kind::ALL
            .map(Kind::folder)
            .into_iter()
            .chain(["tmp", "held"])
        {
            make_private_dir(&cache.root.join(folder))?;
        }
        cache.remove_stale();
        Ok(cache)
    }

    /// The folder of this format's entries.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where an entry is or would be.
    pub fn path(&self, kind: Kind, key: &Key) -> PathBuf {
        self.root.join(kind.folder()).join(&key.0)
    }

    /// The entry's path, if it exists; keeps a tree from [`Cache::prune`] while this process lives.
    pub fn find(&self, kind: Kind, key: &Key) -> Option<PathBuf> {
        let path = self.path(kind, key);
        let file = File::open(&path).ok()?;
        if file.metadata().ok()?.is_dir() && !self.hold(&path, &file) {
            return None;
        }
        // A failed touch only makes the entry look older than it is.
        let _ = file.set_modified(SystemTime::now());
        Some(path)
    }

    /// Locks an entry against pruning; false when it went while this waited for the lock.
    fn hold(&self, path: &Path, file: &File) -> bool {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if in_use.contains_key(path) {
            return true;
        }
        // File systems without locks have no such safety.
        let _ = file.lock_shared();
        if let Ok(file) = file.try_clone() {
            in_use.insert(path.to_owned(), file);
        }
        let exists = path.exists();
        if !exists {
            in_use.remove(path);
        }
        exists
    }

    /// A fresh folder to build an entry in.
    pub fn staging(&self) -> Result<Staging, CacheError> {
        let tmp = self.root.join("tmp");
        let lock_file = tempfile::Builder::new()
            .prefix("")
            .suffix(".lock")
            .tempfile_in(&tmp)
            .map_err(io_error("create a file in", &tmp))?;
        lock_file
            .as_file()
            .lock()
            .map_err(io_error("lock", lock_file.path()))?;
        let (lock, lock_path) = lock_file
            .keep()
            .map_err(|e| io_error("keep", &tmp)(e.error))?;
        let path = lock_path.with_extension("");
        let staging = Staging {
            path,
            lock_path,
            _lock: lock,
        };
        make_private_dir(&staging.path)?;
        Ok(staging)
    }

    /// Gives a finished folder its final name. When another process was first, its entry stays.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what is committed cannot be written any more"
    )]
    pub fn commit(&self, staging: Staging, kind: Kind, key: &Key) -> Result<PathBuf, CacheError> {
        let target = self.path(kind, key);
        let folder = File::open(&staging.path).map_err(io_error("open", &staging.path))?;
        // File systems without locks have no such safety.
        let _ = folder.lock_shared();
        // What has its final name must be whole after a loss of power too: overlays are mounted
        // without their own safety.
        rustix::fs::syncfs(&folder)
            .map_err(|error| io_error("write", &staging.path)(error.into()))?;
        match fs::rename(&staging.path, &target) {
            Ok(()) => {
                self.hold(&target, &folder);
                Ok(target)
            }
            Err(_) if self.find(kind, key).is_some() => Ok(target),
            Err(error) => Err(io_error("rename to", &target)(error)),
        }
    }

    /// Writes a small entry that is a file, whole or not at all.
    pub fn write(&self, kind: Kind, key: &Key, bytes: &[u8]) -> Result<PathBuf, CacheError> {
        let target = self.path(kind, key);
        let tmp = self.root.join("tmp");
        let mut file =
            tempfile::NamedTempFile::new_in(&tmp).map_err(io_error("create a file in", &tmp))?;
        io::Write::write_all(&mut file, bytes).map_err(io_error("write", &target))?;
        file.as_file()
            .sync_data()
            .map_err(io_error("write", &target))?;
        file.persist(&target)
            .map_err(|e| io_error("rename to", &target)(e.error))?;
        Ok(target)
    }

    /// Waits for the lock of that name and holds it. `waiting` is called once if it is taken.
    pub fn lock(&self, name: &Key, waiting: impl FnOnce()) -> Result<Lock, CacheError> {
        let path = self.root.join("held").join(&name.0);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io_error("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().map_err(io_error("lock", &path))?;
            }
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &path)(error)),
        }
        Ok(Lock { _file: file })
    }

    /// Entries and bytes of each kind.
    pub fn usage(&self) -> Result<Vec<Usage>, CacheError> {
        Kind::ALL
            .into_iter()
            .map(|kind| {
                let folder = self.root.join(kind.folder());
                let mut usage = Usage {
                    kind,
                    entries: 0,
                    bytes: 0,
                };
                for entry in fs::read_dir(&folder)
                    .map_err(io_error("list", &folder))?
                    .flatten()
                {
                    usage.entries += 1;
                    usage.bytes += tree_bytes(&entry.path());
                }
                Ok(usage)
            })
            .collect()
    }

    /// Removes the entries of `kinds` that nothing used since `before` and nothing uses now;
    /// returns how many and their bytes.
    pub fn prune(&self, kinds: &[Kind], before: SystemTime) -> Result<(usize, u64), CacheError> {
        let (mut count, mut bytes) = (0, 0);
        for kind in kinds {
            let folder = self.root.join(kind.folder());
            for entry in fs::read_dir(&folder)
                .map_err(io_error("list", &folder))?
                .flatten()
            {
                let path = entry.path();
                let used = entry.metadata().and_then(|m| m.modified());
                if !used.is_ok_and(|used| used < before) {
                    continue;
                }
                let size = tree_bytes(&path);
                if self.discard_unused(&path)? {
                    bytes += size;
                    count += 1;
                }
            }
        }
        Ok((count, bytes))
    }

    /// Removes an entry that shall be made anew, unless somebody uses it; tells whether it is gone.
    pub fn forget(&self, kind: Kind, key: &Key) -> Result<bool, CacheError> {
        self.discard_unused(&self.path(kind, key))
    }

    fn discard_unused(&self, path: &Path) -> Result<bool, CacheError> {
        let Ok(file) = File::open(path) else {
            return Ok(true);
        };
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Ok(false);
        }
        self.discard(path)?;
        Ok(true)
    }

    /// Removes an entry so that no reader meets it half removed.
    fn discard(&self, path: &Path) -> Result<(), CacheError> {
        let staging = self.staging()?;
        let inside = staging.path.join("discarded");
        match fs::rename(path, &inside) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_error("remove", path)(error)),
        }
    }

    fn remove_stale(&self) {
        let Ok(entries) = fs::read_dir(self.root.join("tmp")) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "lock") {
                continue;
            }
            let Ok(file) = File::open(&path) else {
                continue;
            };
            if file.try_lock().is_ok() {
                let _ = remove_tree(&path.with_extension(""));
                let _ = fs::remove_file(&path);
            }
        }
    }
}

fn make_private_dir(path: &Path) -> Result<(), CacheError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io_error("create", path))
}

/// Removes a file or a tree, also where folders in it are not writable.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    if fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    open_up(path);
    fs::remove_dir_all(path)
}

/// Gives the owner access to each folder of a tree; symbolic links are not followed.
fn open_up(path: &Path) {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return;
    };
    if !meta.is_dir() {
        return;
    }
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        open_up(&entry.path());
    }
}

/// Bytes of the files of a tree.
pub(crate) fn tree_bytes(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !meta.is_dir() {
        return meta.len();
    }
    fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| tree_bytes(&entry.path()))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::build("test").field("text", text).finish()
    }

    #[test]
    fn neighbouring_lists_do_not_collide() {
        let one = Key::build("t")
            .list("a", ["x", "y"])
            .list("b", ["z"])
            .finish();
        let two = Key::build("t")
            .list("a", ["x"])
            .list("b", ["y", "z"])
            .finish();
        assert_ne!(one, two);
    }

    #[test]
    fn a_committed_entry_is_found_and_an_abandoned_one_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        let staging = cache.staging().unwrap();
        fs::write(staging.path().join("file"), "text").unwrap();
        cache.commit(staging, Kind::Root, &key("a")).unwrap();
        let found = cache.find(Kind::Root, &key("a")).unwrap();
        assert_eq!(fs::read_to_string(found.join("file")).unwrap(), "text");

        drop(cache.staging().unwrap());
        assert_eq!(fs::read_dir(cache.root().join("tmp")).unwrap().count(), 0);
        assert!(cache.find(Kind::Root, &key("b")).is_none());
    }

    #[test]
    fn the_first_commit_of_a_key_stays() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        for text in ["first", "second"] {
            let staging = cache.staging().unwrap();
            fs::write(staging.path().join("file"), text).unwrap();
            cache.commit(staging, Kind::Step, &key("k")).unwrap();
        }
        let path = cache.find(Kind::Step, &key("k")).unwrap();
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "first");
    }

    #[test]
    fn opening_removes_what_a_dead_process_left_and_keeps_what_a_living_one_holds() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        let living = cache.staging().unwrap();
        let tmp = cache.root().join("tmp");
        fs::create_dir(tmp.join("dead")).unwrap();
        fs::write(tmp.join("dead.lock"), "").unwrap();
        fs::set_permissions(tmp.join("dead"), fs::Permissions::from_mode(0o000)).unwrap();
        Cache::open(home.path()).unwrap();
        assert!(!tmp.join("dead").exists());
        assert!(living.path().exists());
    }

    #[test]
    fn what_another_process_uses_is_not_pruned() {
        let home = tempfile::tempdir().unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        let prune = || {
            let cache = Cache::open(home.path()).unwrap();
            cache.prune(&[Kind::Step], later).unwrap().0
        };
        let first = Cache::open(home.path()).unwrap();
        let staging = first.staging().unwrap();
        first.commit(staging, Kind::Step, &key("k")).unwrap();
        assert_eq!(prune(), 0);
        drop(first);
        let second = Cache::open(home.path()).unwrap();
        assert!(second.find(Kind::Step, &key("k")).is_some());
        assert!(second.find(Kind::Step, &key("k")).is_some());
        assert_eq!(prune(), 0);
        drop(second);
        assert_eq!(prune(), 1);
    }
}
