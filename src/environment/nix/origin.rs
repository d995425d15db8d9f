//! Where expressions come from on this machine, and what they may read when they are evaluated.
//!
//! An app's expressions are anybody's, and Nix evaluates them outside the sandbox, as the caller. So all that is
//! fetched is fetched before, by an expression of ours alone, and theirs are evaluated in Nix's restricted mode: they
//! read the app's folder, the sets they are given and what they build, nothing else and no network. Nix follows
//! links before it decides. What a plan names itself is held to the same here.

use std::cell::Ref;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::closure::is_store_path;
use super::pin::{LockedSource, Reference, read};
use super::{Attribute, LockedNix, LockedSet, Nix, render};
use crate::cache::{Key, Kind};
use crate::environment::EnvironmentError;
use crate::report::Step;

/// What an expression may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reads {
    /// What the user can read: it is the user's own.
    Anything,
    /// The same, and flakes: it is ours and fetches them.
    Flakes,
    /// These files and folders, and what evaluation puts into the store.
    Alone(Vec<PathBuf>),
}

/// Sources, and where each of them is.
#[derive(Debug, Default)]
pub(super) struct Origins(Vec<(LockedSource, PathBuf)>);

impl Origins {
    /// Where a source is, once it is here.
    fn find<'s>(&'s self, source: &'s LockedSource) -> Option<&'s Path> {
        match source {
            LockedSource::Path(path) => Some(Path::new(path)),
            other => {
                let found = self.0.iter().find(|(source, _)| source == other);
                found.map(|(_, path)| path.as_path())
            }
        }
    }

    /// Where a source is that was brought.
    pub(super) fn path<'s>(&'s self, source: &'s LockedSource) -> &'s Path {
        self.find(source)
            .expect("sources are brought before they are used")
    }
}

impl Nix<'_> {
    /// Fetches the sources of some sets, as far as they are not here.
    pub(super) fn bring(
        &self,
        sets: &[LockedSet],
        step: &Step<'_>,
    ) -> Result<Ref<'_, Origins>, EnvironmentError> {
        let missing: Vec<&LockedSource> = {
            let known = self.origins.borrow();
            let all = sets.iter().flat_map(LockedSet::sources);
            all.filter(|source| known.find(source).is_none()).collect()
        };
        if !missing.is_empty() {
            let paths = self.fetch(&missing, step)?;
            let found = missing.into_iter().cloned().zip(paths);
            self.origins.borrow_mut().0.extend(found);
        }
        Ok(self.origins.borrow())
    }

    fn fetch(
        &self,
        sources: &[&LockedSource],
        step: &Step<'_>,
    ) -> Result<Vec<PathBuf>, EnvironmentError> {
        // Their files are read here, also when packages are built elsewhere.
        let commands = self.commands.here();
        let staging = self.context.cache.staging()?;
        let written = render::sources(staging.path(), sources)?;
        let answer = commands.evaluate(&written, None, step);
        let answer = answer.map_err(|failed| self.failure(&failed, "fetch nixpkgs"))?;
        let physical = |path: &Value| {
            let inside = path.as_str()?.strip_prefix('/')?;
            Some(commands.physical().join(inside))
        };
        let paths: Option<Vec<PathBuf>> = answer
            .as_array()
            .filter(|paths| paths.len() == sources.len())
            .and_then(|paths| paths.iter().map(physical).collect());
        paths.ok_or_else(|| EnvironmentError::Malformed {
            what: "nix' answer".to_owned(),
            reason: format!("{answer} is not what was asked for"),
        })
    }

    /// What an expression in `folder` that uses some sets may read. All of it is the user's own where
    /// no set and no package is the app's.
    pub(super) fn reads(&self, folder: &Path, sets: &[LockedSet], origins: &Origins) -> Reads {
        let own = self.own_folder();
        let is_own = |set: &LockedSet| {
            let has_text =
                |source: &Attribute| matches!(source, Attribute::Text(_) | Attribute::File(_));
            own.as_ref() == Some(&set.nixpkgs)
                && set.overlays.is_empty()
                && !set.packages.iter().any(|package| has_text(&package.source))
        };
        if sets.iter().all(is_own) {
            return Reads::Anything;
        }
        let sources = sets.iter().flat_map(LockedSet::sources);
        let sources = sources.map(|source| origins.path(source).to_owned());
        // Nix looks at a path as it is said, and again without links.
        let mut paths = vec![folder.to_owned()];
        paths.extend(std::fs::canonicalize(folder));
        paths.push(self.app.clone());
        paths.extend(sources);
        paths.dedup();
        Reads::Alone(paths)
    }

    /// The folder that the user names as nixpkgs, unless it is a part of the app.
    fn own_folder(&self) -> Option<LockedSource> {
        let path = self.own_path()?;
        let outside = !Path::new(&path).starts_with(&self.app);
        outside.then_some(LockedSource::Path(path))
    }

    /// The file or folder that the user names as nixpkgs.
    fn own_path(&self) -> Option<String> {
        let Reference::Path(path) = read(self.main_reference()?) else {
            return None;
        };
        let path = std::fs::canonicalize(path).ok()?;
        Some(path.display().to_string())
    }

    /// What a plan names, which has to be of the app or of the network: who wrote the plan need not be
    /// who may read this machine's files.
    pub(super) fn lock_of_plan(
        &self,
        text: &str,
        place: &str,
        step: &Step<'_>,
    ) -> Result<LockedSource, EnvironmentError> {
        match read(text) {
            Reference::Path(path) => self.inside(path, place).map(|path| {
                let text = path.display().to_string();
                LockedSource::Path(text)
            }),
            Reference::Archive(url, _) if url.starts_with(FILE) => {
                self.archive_inside(url, place)?;
                self.lock_source(text, &self.app, place, step)
            }
            Reference::Archive(..) | Reference::Revision(_) => {
                self.lock_source(text, &self.app, place, step)
            }
            Reference::Flake(reference) if !is_far(reference) => Err(outside(place, reference)),
            Reference::Flake(_) => {
                let locked = self.lock_source(text, &self.app, place, step)?;
                match locked.of_this_machine() {
                    // Nix may take what is far for something that is here.
                    Some(file) => Err(outside(place, &file)),
                    None => Ok(locked),
                }
            }
        }
    }

    /// An archive of the app's, said as Nix and curl understand it alike: whole, and without signs that stand for others.
    fn archive_inside(&self, url: &str, place: &str) -> Result<(), EnvironmentError> {
        let path = url.strip_prefix(FILE).unwrap_or(url);
        if path.contains(['%', '?', '#']) {
            return Err(outside(place, url));
        }
        self.whole_inside(path, place)
    }

    /// A file or folder of the app, said as the kernel and Nix understand it alike: Nix takes dots away before it looks at
    /// links, and begins where the caller is.
    fn whole_inside(&self, path: &str, place: &str) -> Result<(), EnvironmentError> {
        let said = Path::new(path);
        if said.is_absolute() && self.inside(path, place)? == said {
            Ok(())
        } else {
            Err(outside(place, path))
        }
    }

    /// What a lock names of this machine has to be the app's, or what the user named. It may not even be copied: a store
    /// is everybody's to read.
    fn admit_source(&self, source: &LockedSource, file: &str) -> Result<(), EnvironmentError> {
        if self.is_users(source) {
            return Ok(());
        }
        match source {
            LockedSource::Path(path) => self.whole_inside(path, file),
            LockedSource::Archive { url, .. } if url.starts_with(FILE) => {
                self.archive_inside(url, file)
            }
            other => match other.of_this_machine() {
                Some(path) => Err(outside(file, &path)),
                None => Ok(()),
            },
        }
    }

    /// Whether a source is the one that the user names as nixpkgs, or of the place of archives that the user names.
    fn is_users(&self, source: &LockedSource) -> bool {
        if let LockedSource::Archive { url, .. } = source
            && let Some((before, after)) =
                self.archives().and_then(|all| all.split_once("{revision}"))
            && let Some(revision) = url
                .strip_prefix(before)
                .and_then(|url| url.strip_suffix(after))
        {
            return matches!(read(revision), Reference::Revision(_));
        }
        match (self.main_reference().map(read), source) {
            (Some(Reference::Path(_)), LockedSource::Path(path)) => {
                self.own_path().as_deref() == Some(path)
            }
            (Some(Reference::Archive(named, _)), LockedSource::Archive { url, .. }) => named == url,
            (Some(Reference::Flake(named)), other) => {
                let named = named.split(['?', '#']).next().unwrap_or(named);
                let named = ["git+", "tarball+", "path:"]
                    .iter()
                    .fold(named, |named, scheme| {
                        named.strip_prefix(scheme).unwrap_or(named)
                    });
                let whole = std::fs::canonicalize(named.strip_prefix(FILE).unwrap_or(named));
                other.of_this_machine().is_some_and(|path| {
                    path == named || whole.is_ok_and(|whole| whole == Path::new(&path))
                })
            }
            _ => false,
        }
    }

    /// Whether a kept lock may be used: it came with the app, so that whoever wrote it need not be who may read this
    /// machine's files. What it names is held to the same, and its store paths have to be what its packages give.
    pub(in crate::environment) fn admit(
        &self,
        lock: &LockedNix,
        file: &str,
    ) -> Result<(), EnvironmentError> {
        let malformed = |entry: &str, reason: String| EnvironmentError::Malformed {
            what: format!("{file}, environment.{entry}"),
            reason: format!("{reason}; packwright lock makes it anew"),
        };
        for (entry, path) in [("build", &lock.build), ("run", &lock.run)] {
            if !is_store_path(path) {
                return Err(malformed(entry, format!("{path:?} is no store path")));
            }
        }
        for set in &lock.sets {
            for package in &set.packages {
                if let Attribute::File(name) = &package.source {
                    self.inside(name, file)?;
                }
            }
            for source in set.sources() {
                if let LockedSource::Flake(locked) = source
                    && !locked["narHash"].is_string()
                {
                    return Err(malformed("sets", format!("{locked} has no narHash")));
                }
                self.admit_source(source, file)?;
            }
        }
        let known = admission(lock);
        if lock.is_elsewhere() && self.context.cache.find(Kind::Lock, &known).is_some() {
            return Ok(());
        }
        let step = Step::start(self.context.report, "lock", format!("check {file}"));
        let [build, run] = self.outputs(lock, &str::to_owned, &step)?;
        for (entry, locked, found) in [("build", &lock.build, build), ("run", &lock.run, run)] {
            if *locked != found {
                let reason = format!("its packages give {found} here, and it says {locked}");
                return Err(malformed(entry, reason));
            }
        }
        self.context.cache.write(Kind::Lock, &known, b"")?;
        step.finish(false, "its packages give its store paths");
        Ok(())
    }

    /// A file or folder of the app, without links on the way.
    pub(super) fn inside(&self, path: &str, place: &str) -> Result<PathBuf, EnvironmentError> {
        let path = self.app.join(path);
        let full = std::fs::canonicalize(&path).map_err(|source| EnvironmentError::Io {
            action: "find",
            path: path.clone(),
            source,
        })?;
        if full.starts_with(&self.app) {
            Ok(full)
        } else {
            Err(outside(place, &full.display().to_string()))
        }
    }
}

/// Of a lock that was found to be what its packages give.
fn admission(lock: &LockedNix) -> Key {
    Key::build("nix lock admitted")
        .field("lock", serde_json::to_vec(lock).unwrap_or_default())
        .finish()
}

const FILE: &str = "file://";

/// Schemes of flake references that name nothing of this machine. A reference without one may be a path, an option or an
/// entry of the user's registry.
const FAR: [&str; 9] = [
    "github",
    "gitlab",
    "sourcehut",
    "http",
    "https",
    "tarball+http",
    "tarball+https",
    "git+https",
    "git+ssh",
];

fn is_far(reference: &str) -> bool {
    let scheme = reference.split_once(':').map_or("", |(scheme, _)| scheme);
    FAR.contains(&scheme)
}

fn outside(place: &str, what: &str) -> EnvironmentError {
    EnvironmentError::Outside {
        place: place.to_owned(),
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_far;

    #[test]
    fn flakes_that_may_be_of_this_machine_are_known_by_their_scheme() {
        for near in [
            "path:/a",
            "path:./a",
            "git+file:///a",
            "file:///a.tar",
            "tarball+file:///a",
            "nixpkgs",
            "flake:nixpkgs",
            "x/../../home/u",
            "--refresh",
        ] {
            assert!(!is_far(near), "{near}");
        }
        for far in [
            "github:NixOS/nixpkgs",
            "git+ssh://a/b",
            "https://a/b.tar.gz",
        ] {
            assert!(is_far(far), "{far}");
        }
    }
}
