//! The root around the store: the few paths that programs expect outside it, as links into it.
//!
//! `/bin/sh` and `/bin/bash` for scripts, `/usr/bin/env` for their first lines, the loader for programs
//! that were built elsewhere, certificates, and the accounts that every system has.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::closure::{Closure, STORE};
use crate::cache::{Cache, Key, Kind};
use crate::environment::{Cause, EnvironmentError, RunTree, io_error};

/// Of the rules by which these trees are made; part of their keys.
const FORMAT: &str = "2";

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/var/empty:/bin/false
";

const GROUP: &str = "\
root:x:0:
www-data:x:33:
nogroup:x:65534:
";

const NSSWITCH: &str = "\
passwd: files
group: files
hosts: files dns
";

/// Files, and what they say.
const FILES: [(&str, &str); 3] = [
    ("etc/passwd", PASSWD),
    ("etc/group", GROUP),
    ("etc/nsswitch.conf", NSSWITCH),
];

/// Folders, and their modes.
const FOLDERS: [(&str, u32); 14] = [
    ("app", 0o755),
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("opt", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr/bin", 0o755),
    ("var", 0o755),
    ("var/empty", 0o555),
    ("var/tmp", 0o1777),
];

/// What the expression noted of an environment, in its file `packwright.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Notes {
    /// For `PATH`: the folder of each package, which stays the same when another one changes.
    pub(super) path: String,
    /// For `LD_LIBRARY_PATH`.
    pub(super) library_path: String,
    /// The folder of bash.
    shell: String,
    /// The folder of coreutils.
    tools: String,
    /// The folder of the dynamic loader.
    loader: String,
    /// The certificate authorities.
    certificates: String,
    /// Of packages that are found by them.
    pub(super) variables: BTreeMap<String, String>,
    /// Further links, and what they point to: what packages are expected to have outside the store.
    links: BTreeMap<String, String>,
}

impl Notes {
    /// Reads the notes of an environment.
    pub(super) fn read(environment: &str, closure: &Closure) -> Result<Self, EnvironmentError> {
        let path = format!("{environment}/packwright.json");
        let malformed = |reason: String| EnvironmentError::Malformed {
            what: path.clone(),
            reason,
        };
        let file = closure
            .find(&path)
            .ok_or_else(|| malformed("it is not there".to_owned()))?;
        let text = fs::read(&file).map_err(io_error("read", &file))?;
        serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))
    }

    /// Each link of the root and what it points to, sorted.
    fn links(&self) -> Vec<(String, String)> {
        let loader = match std::env::consts::ARCH {
            "aarch64" => ("lib", "ld-linux-aarch64.so.1"),
            _ => ("lib64", "ld-linux-x86-64.so.2"),
        };
        let mut links = vec![
            ("bin/bash".to_owned(), format!("{}/bash", self.shell)),
            ("bin/sh".to_owned(), format!("{}/sh", self.shell)),
            ("usr/bin/env".to_owned(), format!("{}/env", self.tools)),
            (
                format!("{}/{}", loader.0, loader.1),
                format!("{}/{}", self.loader, loader.1),
            ),
        ];
        for name in [
            "etc/ssl/certs/ca-certificates.crt",
            "etc/ssl/certs/ca-bundle.crt",
            "etc/pki/tls/certs/ca-bundle.crt",
        ] {
            links.push((name.to_owned(), self.certificates.clone()));
        }
        links.extend(self.links.clone());
        links.sort();
        links
    }
}

/// The tree of links and accounts, in the cache. Above Debian's own root it is what packages expect outside the store
/// alone, and there is none where they expect nothing.
pub(super) fn links(
    notes: &Notes,
    above_debian: bool,
    cache: &Cache,
) -> Result<Option<RunTree>, EnvironmentError> {
    let (links, folders, files) = if above_debian {
        let expected: Vec<_> = notes.links.clone().into_iter().collect();
        (expected, &[][..], &[][..])
    } else {
        (notes.links(), &FOLDERS[..], &FILES[..])
    };
    if links.is_empty() {
        return Ok(None);
    }
    let key = Key::build("nix base")
        .field("format", FORMAT)
        .list(
            "links",
            links.iter().flat_map(|(name, target)| [name, target]),
        )
        .list("files", files.iter().map(|(name, _)| name))
        .finish();
    let tree = tree(cache, &key, |root| {
        for (name, mode) in folders {
            folder(&root.join(name), *mode)?;
        }
        for (name, target) in &links {
            let path = root.join(name);
            folder(path.parent().unwrap_or(root), 0o755)?;
            symlink(target, &path).map_err(io_error("link", &path))?;
        }
        for (name, text) in files {
            let path = root.join(name);
            fs::write(&path, text).map_err(io_error("write", &path))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))
                .map_err(io_error("open up", &path))?;
        }
        Ok(())
    })?;
    Ok(Some(RunTree {
        dir: tree,
        key,
        cause: Cause::Base,
        title: "links into the Nix store".to_owned(),
        excluded: Vec::new(),
        overlay: false,
    }))
}

/// An empty place for each store path, so that they can be mounted without a change of the root.
pub(super) fn places(closure: &Closure, cache: &Cache) -> Result<PathBuf, EnvironmentError> {
    let key = Key::build("nix places")
        .field("format", FORMAT)
        .list("paths", closure.paths().map(|path| &path.path))
        .finish();
    tree(cache, &key, |root| {
        folder(&root.join(STORE.trim_matches('/')), 0o755)?;
        for path in closure.paths() {
            let place = root.join(path.path.trim_start_matches('/'));
            let meta =
                fs::symlink_metadata(&path.source).map_err(io_error("examine", &path.source))?;
            if meta.is_dir() {
                folder(&place, 0o755)?;
            } else if meta.is_symlink() {
                // A link cannot be mounted; it is the same link here.
                let target = fs::read_link(&path.source).map_err(io_error("read", &path.source))?;
                symlink(target, &place).map_err(io_error("link", &place))?;
            } else {
                fs::write(&place, "").map_err(io_error("write", &place))?;
            }
        }
        Ok(())
    })
}

/// A tree of the cache, made unless it is there.
fn tree(
    cache: &Cache,
    key: &Key,
    make: impl FnOnce(&Path) -> Result<(), EnvironmentError>,
) -> Result<PathBuf, EnvironmentError> {
    if let Some(found) = cache.find(Kind::Root, key) {
        return Ok(found.join("fs"));
    }
    let staging = cache.staging()?;
    let root = staging.path().join("fs");
    folder(&root, 0o755)?;
    make(&root)?;
    Ok(cache.commit(staging, Kind::Root, key)?.join("fs"))
}

fn folder(path: &Path, mode: u32) -> Result<(), EnvironmentError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(io_error("create", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(io_error("open up", path))
}
