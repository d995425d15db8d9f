//! Store paths with what each refers to, as Nix registered them, and where their files are here.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Where every store is in a root.
pub(super) const STORE: &str = "/nix/store/";

/// As many links as the kernel follows.
const LINKS: usize = 40;

/// One path of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePath {
    /// `/nix/store/<hash>-<name>`.
    pub path: String,
    /// Where its files are on this machine.
    pub source: PathBuf,
    /// SHA-256 of its files, in Nix's own form.
    pub nar_hash: String,
    /// Bytes of its files, in Nix's own form.
    pub nar_size: u64,
    /// Other store paths that its files name, sorted.
    pub references: Vec<String>,
}

impl StorePath {
    /// The name after the hash: `nodejs-22.20.0`.
    pub fn name(&self) -> &str {
        let base = self.path.strip_prefix(STORE).unwrap_or(&self.path);
        base.split_once('-').map_or(base, |(_, name)| name)
    }
}

/// Store paths that are complete: what one refers to is there too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closure(BTreeMap<String, StorePath>);

impl Closure {
    /// Reads what `nix-store --dump-db` printed, for a store whose files are below `physical`:
    /// for each path its name, hash, size, deriver, the number of references, and these.
    pub fn read(text: &str, physical: &Path) -> Result<Self, String> {
        let mut paths = BTreeMap::new();
        let mut lines = text.lines();
        while let Some(path) = lines.next().filter(|line| !line.is_empty()) {
            if !is_store_path(path) {
                return Err(format!("{path:?} is not a store path"));
            }
            let mut next = |what: &str| lines.next().ok_or_else(|| format!("{path} has no {what}"));
            let nar_hash = next("hash")?.to_owned();
            let number = |text: &str| {
                text.parse::<u64>()
                    .map_err(|_| format!("{text:?} of {path} is not a number"))
            };
            let nar_size = number(next("size")?)?;
            next("deriver")?;
            let count = number(next("number of references")?)?;
            let mut references = (0..count)
                .map(|_| next("reference").map(str::to_owned))
                .collect::<Result<Vec<_>, _>>()?;
            references.retain(|reference| reference != path);
            references.sort();
            let source = physical.join(path.trim_start_matches('/'));
            let entry = StorePath {
                path: path.to_owned(),
                source,
                nar_hash,
                nar_size,
                references,
            };
            paths.insert(path.to_owned(), entry);
        }
        let missing = paths
            .values()
            .flat_map(|path| &path.references)
            .find(|reference| !paths.contains_key(*reference));
        match missing {
            Some(missing) => Err(format!("{missing} is referred to and not listed")),
            None => Ok(Self(paths)),
        }
    }

    /// By path.
    pub fn paths(&self) -> impl Iterator<Item = &StorePath> {
        self.0.values()
    }

    /// Whether a store path is one of them.
    pub fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// Adds a path of another closure, with all that it needs.
    pub fn bring(&mut self, path: &str, from: &Self) {
        let mut waiting = vec![path.to_owned()];
        while let Some(path) = waiting.pop() {
            let new = from.0.get(&path).filter(|_| !self.contains(&path));
            if let Some(new) = new {
                waiting.extend(new.references.iter().cloned());
                self.0.insert(path, new.clone());
            }
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all files, in Nix's own form.
    pub fn nar_size(&self) -> u64 {
        self.paths().map(|path| path.nar_size).sum()
    }

    /// Where a file of the store is on this machine: its links are followed inside the closure.
    pub fn find(&self, path: &str) -> Option<PathBuf> {
        self.follow(path, LINKS)
    }

    fn follow(&self, path: &str, links: usize) -> Option<PathBuf> {
        let inside = path.strip_prefix(STORE)?;
        let (base, rest) = inside.split_once('/').unwrap_or((inside, ""));
        let store_path = self.0.get(&format!("{STORE}{base}"))?;
        let mut here = store_path.source.clone();
        let mut shown = PathBuf::from(&store_path.path);
        let mut parts = rest.split('/').filter(|part| !part.is_empty());
        loop {
            if let Ok(target) = std::fs::read_link(&here) {
                let parent = shown.parent().unwrap_or(Path::new("/"));
                let rest: PathBuf = parts.collect();
                let target = normal(&parent.join(target).join(rest));
                return (links > 0).then(|| self.follow(target.to_str()?, links - 1))?;
            }
            let Some(part) = parts.next() else { break };
            here.push(part);
            shown.push(part);
        }
        here.symlink_metadata().is_ok().then_some(here)
    }
}

/// Whether a text is the path of something in the store, and of nothing below it: 32 letters of Nix's
/// alphabet for the hash, then a name of at most 211 letters.
pub(super) fn is_store_path(path: &str) -> bool {
    let in_hash = |letter: char| {
        letter.is_ascii_digit() || (letter.is_ascii_lowercase() && !"eotu".contains(letter))
    };
    let in_name = |letter: char| letter.is_ascii_alphanumeric() || "+-._?=".contains(letter);
    let parts = path
        .strip_prefix(STORE)
        .and_then(|base| base.split_once('-'));
    parts.is_some_and(|(hash, name)| {
        hash.len() == 32
            && hash.chars().all(in_hash)
            && (1..=211).contains(&name.len())
            && name.chars().all(in_name)
    })
}

/// A path without `.` and `..`, by its text alone.
fn normal(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    const A: &str = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-app";
    const B: &str = "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lib";

    fn closure(physical: &Path) -> Closure {
        let text = format!("{A}\nabc\n10\n\n2\n{A}\n{B}\n{B}\ndef\n5\n/nix/store/x.drv\n0\n");
        Closure::read(&text, physical).unwrap()
    }

    #[test]
    fn a_dump_is_read_and_a_reference_to_itself_is_none() {
        let closure = closure(Path::new("/"));
        let paths: Vec<_> = closure.paths().collect();
        assert_eq!((closure.len(), closure.nar_size()), (2, 15));
        assert_eq!(paths[0].references, [B]);
        assert_eq!((paths[1].name(), &*paths[1].nar_hash), ("lib", "def"));
    }

    #[test]
    fn a_path_is_brought_with_what_it_needs() {
        let whole = closure(Path::new("/"));
        let mut part = Closure::default();
        part.bring(B, &whole);
        assert!(part.contains(B) && !part.contains(A));
        part.bring(A, &whole);
        assert_eq!(part, whole);
    }

    #[test]
    fn a_store_path_has_a_hash_and_a_name_and_nothing_else() {
        assert!(is_store_path(A));
        let hash = "a".repeat(32);
        for wrong in [
            "/nix/store/../../etc-x",
            &format!("/nix/store/{hash}-x/../../x"),
            &format!("/nix/store/{hash}-x\ny"),
            &format!("/nix/store/{}-x", "e".repeat(32)),
            &format!("/nix/store/{hash}-"),
            &format!("/other/store/{hash}-x"),
            &format!("/nix/store/{hash}-{}", "x".repeat(212)),
        ] {
            assert!(!is_store_path(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_dump_is_an_error_that_says_why() {
        for (text, reason) in [
            ("/etc/passwd\n", "not a store path"),
            (&format!("{A}\n"), "no hash"),
            (&format!("{A}\nabc\nmany\n"), "not a number"),
            (&format!("{A}\nabc\n1\n\n1\n{B}\n"), "not listed"),
        ] {
            let error = Closure::read(text, Path::new("/")).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn links_are_followed_inside_the_closure_alone() {
        let home = tempfile::tempdir().unwrap();
        let place = |path: &str| home.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(place(A)).unwrap();
        fs::create_dir_all(place(B).join("bin")).unwrap();
        fs::write(place(B).join("bin/tool"), "").unwrap();
        symlink(format!("{B}/bin"), place(A).join("bin")).unwrap();
        symlink("bin/../bin/tool", place(A).join("near")).unwrap();
        symlink("/etc/passwd", place(A).join("out")).unwrap();
        symlink("round", place(A).join("round")).unwrap();
        let closure = closure(home.path());
        let found = |path: &str| closure.find(&format!("{A}/{path}"));
        let tool = place(B).join("bin/tool");
        assert_eq!(found("bin/tool"), Some(tool.clone()));
        assert_eq!(found("near"), Some(tool));
        for path in ["out", "round", "bin/none", "bin/tool/x"] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
