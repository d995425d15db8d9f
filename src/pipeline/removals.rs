//! What a phase removed of what was there before it, so that no layer carries what the image does not show.
//!
//! Found once, when the phase ran, and kept beside its result.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::image::is_opaque;

/// Paths below the root.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Removals {
    /// Gone with everything below.
    paths: BTreeSet<PathBuf>,
    /// Folders that were made anew: what was below is gone.
    emptied: BTreeSet<PathBuf>,
}

/// Before each path in the file: what it is.
const PATH: u8 = b'-';
const EMPTIED: u8 = b'o';

impl Removals {
    /// Finds overlayfs' signs of deletion in a tree of changes.
    pub fn find(tree: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        found.search(tree, Path::new(""))?;
        Ok(found)
    }

    fn search(&mut self, tree: &Path, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(tree.join(folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if is_opaque(&entry.path()) {
                    self.emptied.insert(path.clone());
                }
                self.search(tree, &path)?;
            } else if kind.is_char_device() && entry.metadata()?.rdev() == 0 {
                self.paths.insert(path);
            }
        }
        Ok(())
    }

    /// Writes them to a file.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let mut bytes = Vec::new();
        let all = [(PATH, &self.paths), (EMPTIED, &self.emptied)];
        for (kind, path) in all
            .into_iter()
            .flat_map(|(kind, paths)| paths.iter().map(move |path| (kind, path)))
        {
            bytes.push(kind);
            bytes.extend(path.as_os_str().as_bytes());
            bytes.push(0);
        }
        fs::write(file, bytes)
    }

    /// Reads what [`Removals::write`] wrote.
    pub fn read(file: &Path) -> io::Result<Self> {
        let mut read = Self::default();
        for record in fs::read(file)?.split(|byte| *byte == 0) {
            let Some((kind, path)) = record.split_first() else {
                continue;
            };
            let path = PathBuf::from(OsStr::from_bytes(path));
            match *kind {
                PATH => read.paths.insert(path),
                _ => read.emptied.insert(path),
            };
        }
        Ok(read)
    }

    /// These and what was removed later.
    pub fn extend(&mut self, later: &Self) {
        self.paths.extend(later.paths.iter().cloned());
        self.emptied.extend(later.emptied.iter().cloned());
    }

    /// Those of which `there` knows something.
    #[must_use]
    pub fn among(&self, there: impl Fn(&Path) -> bool) -> Self {
        let some =
            |paths: &BTreeSet<PathBuf>| paths.iter().filter(|path| there(path)).cloned().collect();
        Self {
            paths: some(&self.paths),
            emptied: some(&self.emptied),
        }
    }

    /// Whether a path that was there before is gone.
    pub fn contain(&self, path: &Path) -> bool {
        let nothing = self.paths.is_empty() && self.emptied.is_empty();
        !nothing
            && (path.ancestors().any(|part| self.paths.contains(part))
                || path
                    .ancestors()
                    .skip(1)
                    .any(|part| self.emptied.contains(part)))
    }

    /// For keys: every path, what is gone before what was emptied.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let paths = self.paths.iter().map(|path| path.as_os_str().as_bytes());
        let emptied = self.emptied.iter().map(|path| path.as_os_str().as_bytes());
        paths.chain([&b"\0"[..]]).chain(emptied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removals(paths: &[&str], emptied: &[&str]) -> Removals {
        let set = |names: &[&str]| names.iter().map(PathBuf::from).collect();
        Removals {
            paths: set(paths),
            emptied: set(emptied),
        }
    }

    #[test]
    fn what_is_below_a_removed_path_is_gone_and_a_folder_made_anew_is_not() {
        let removals = removals(&["app/node_modules/a"], &["app/dist"]);
        for (path, gone) in [
            ("app/node_modules/a", true),
            ("app/node_modules/a/index.js", true),
            ("app/node_modules/ab", false),
            ("app/node_modules", false),
            ("app/dist", false),
            ("app/dist/old.js", true),
        ] {
            assert_eq!(removals.contain(Path::new(path)), gone, "{path}");
        }
    }

    #[test]
    fn they_survive_the_file_whatever_the_names() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("removed");
        let odd = PathBuf::from(OsStr::from_bytes(b"app/\xff\nname"));
        let mut before = removals(&["a"], &["b/c"]);
        before.paths.insert(odd);
        before.write(&file).unwrap();
        assert_eq!(Removals::read(&file).unwrap(), before);
    }

    #[test]
    fn a_tree_without_signs_removed_nothing() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("app/x")).unwrap();
        fs::write(home.path().join("app/x/y"), "").unwrap();
        assert_eq!(Removals::find(home.path()).unwrap(), Removals::default());
    }
}
