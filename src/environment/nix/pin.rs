//! Which nixpkgs: the default, what the user names, and what a plan's phases name.
//!
//! Whatever is fetched has a hash, from the pin itself or from the lock, which notes it at the first
//! fetch. A folder has none: what is built from it is named by the outputs in the lock.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Nix;
use crate::cache::{Key, Kind};
use crate::environment::EnvironmentError;
use crate::report::{Event, Step};

/// The release that is used when nothing else is named, as a lock has it.
/// Source: the lock file of Nix's own repository, 2026-11.
const DEFAULT_URL: &str =
    "https://releases.nixos.org/nixos/26.05/nixos-26.05.9592.21a67dc47014/nixexprs.tar.xz";
const DEFAULT_HASH: &str = "sha256-eeH+/1GxEjw8NCObjaHVIy3YvCQ4Qckrx4LZj5xBaU4=";

/// Where a revision of nixpkgs is, in plans that name one.
const REVISIONS: &str = "https://github.com/NixOS/nixpkgs/archive/{revision}.tar.gz";

/// Where expressions of Nix come from, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum LockedSource {
    /// An archive and the hash of its unpacked files.
    Archive {
        /// Its address.
        url: String,
        /// `sha256-...` or `sha256:...`.
        hash: String,
    },
    /// A file or folder of this machine.
    Path(String),
    /// A flake, as its lock file would have it.
    Flake(Value),
}

impl LockedSource {
    /// The release that is used when nothing else is named.
    pub(super) fn default_nixpkgs() -> Self {
        Self::Archive {
            url: DEFAULT_URL.to_owned(),
            hash: DEFAULT_HASH.to_owned(),
        }
    }

    /// Whether what it stands for cannot change.
    pub(super) fn is_fixed(&self) -> bool {
        !matches!(self, Self::Path(_))
    }

    /// For errors: `nixos-26.05.9592.21a67dc47014`, or what there is.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Path(path) => path.clone(),
            Self::Flake(locked) => locked["rev"].as_str().unwrap_or("the flake").to_owned(),
            Self::Archive { url, .. } => {
                let mut parts = url.rsplit('/');
                let file = parts.next().unwrap_or(url);
                let name = if file.starts_with("nixexprs") {
                    parts.next().unwrap_or(file)
                } else {
                    file
                };
                name.trim_end_matches(".tar.gz")
                    .trim_end_matches(".tar.xz")
                    .to_owned()
            }
        }
    }
}

/// What a text names.
#[derive(Debug, PartialEq, Eq)]
enum Reference<'a> {
    Revision(&'a str),
    Archive(&'a str, Option<&'a str>),
    Path(&'a str),
    Flake(&'a str),
}

fn read(text: &str) -> Reference<'_> {
    let text = text.trim();
    let revision = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let archive = ["http://", "https://", "file://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    if revision {
        Reference::Revision(text)
    } else if archive {
        match text.split_once('#') {
            Some((url, hash)) => Reference::Archive(url, Some(hash)),
            None => Reference::Archive(text, None),
        }
    } else if text.starts_with('/') || text.starts_with('.') || is_nix_file(text) {
        Reference::Path(text)
    } else {
        Reference::Flake(text)
    }
}

/// Whether a text names a file of expressions.
pub(super) fn is_nix_file(text: &str) -> bool {
    Path::new(text)
        .extension()
        .is_some_and(|ending| ending == "nix")
        && !text.contains(char::is_whitespace)
}

impl Nix<'_> {
    /// The nixpkgs that the user named, or the default.
    pub(super) fn main_nixpkgs(&self, step: &Step<'_>) -> Result<LockedSource, EnvironmentError> {
        match &self.context.nix.nixpkgs {
            None => Ok(LockedSource::default_nixpkgs()),
            Some(text) => {
                let here = std::env::current_dir().unwrap_or_default();
                self.lock_source(text, &here, "--nixpkgs", step)
            }
        }
    }

    /// What a text names, with its hash. Paths are relative to `folder`.
    pub(super) fn lock_source(
        &self,
        text: &str,
        folder: &Path,
        place: &str,
        step: &Step<'_>,
    ) -> Result<LockedSource, EnvironmentError> {
        match read(text) {
            Reference::Revision(revision) => {
                let pattern = self.context.sources.variable("PACKWRIGHT_NIXPKGS_ARCHIVES");
                let url = pattern.unwrap_or(REVISIONS).replace("{revision}", revision);
                self.with_hash(&url, step)
            }
            Reference::Archive(url, Some(hash)) => Ok(LockedSource::Archive {
                url: url.to_owned(),
                hash: hash.to_owned(),
            }),
            Reference::Archive(url, None) => {
                let locked = self.with_hash(url, step)?;
                if let LockedSource::Archive { hash, .. } = &locked {
                    let message = format!(
                        "{place}: {url} has no hash, so that what it gives may change; {url}#{hash} does not"
                    );
                    self.context.report.event(Event::Warning { message });
                }
                Ok(locked)
            }
            Reference::Path(path) => {
                let path = folder.join(path);
                let full = std::fs::canonicalize(&path).map_err(|source| EnvironmentError::Io {
                    action: "find",
                    path: path.clone(),
                    source,
                })?;
                Ok(LockedSource::Path(full.display().to_string()))
            }
            Reference::Flake(reference) => {
                let locked = self.commands.lock_flake(reference, step);
                let mut locked = locked.map_err(|failed| {
                    self.failure(&failed, &format!("find the flake {reference}"))
                })?;
                if let Some(attributes) = locked.as_object_mut() {
                    // Notes of Nix's own, which the next release need not read.
                    attributes.retain(|name, _| !name.starts_with("__"));
                }
                Ok(LockedSource::Flake(locked))
            }
        }
    }

    fn with_hash(&self, url: &str, step: &Step<'_>) -> Result<LockedSource, EnvironmentError> {
        let hash = self.commands.prefetch(url, step);
        Ok(LockedSource::Archive {
            url: url.to_owned(),
            hash: hash.map_err(|failed| self.failure(&failed, &format!("fetch {url}")))?,
        })
    }

    /// Whether the default was fetched before, into this store.
    pub(super) fn default_is_at_hand(&self) -> bool {
        self.context
            .cache
            .find(Kind::Lock, &self.default_key())
            .is_some()
    }

    /// Notes that the default was fetched.
    pub(super) fn note_default(&self) -> Result<(), EnvironmentError> {
        self.context
            .cache
            .write(Kind::Lock, &self.default_key(), b"")?;
        Ok(())
    }

    fn default_key(&self) -> Key {
        Key::build("default nixpkgs")
            .field("hash", DEFAULT_HASH)
            .field("store", self.commands.physical().display().to_string())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_revision_an_archive_a_path_or_a_flake() {
        let revision = "5148520bfab61f99fd25fb9ff7bfbb50dad3c9db";
        assert_eq!(read(revision), Reference::Revision(revision));
        assert_eq!(
            read("https://x.example/a.tar.gz"),
            Reference::Archive("https://x.example/a.tar.gz", None)
        );
        assert_eq!(
            read("file:///a.tar#sha256-x="),
            Reference::Archive("file:///a.tar", Some("sha256-x="))
        );
        assert_eq!(read("./overlay"), Reference::Path("./overlay"));
        assert_eq!(read("nix/overlay.nix"), Reference::Path("nix/overlay.nix"));
        assert_eq!(
            read("github:NixOS/nixpkgs/nixos-26.05"),
            Reference::Flake("github:NixOS/nixpkgs/nixos-26.05")
        );
        assert_eq!(read("nixpkgs"), Reference::Flake("nixpkgs"));
    }

    #[test]
    fn the_default_is_called_by_its_release() {
        assert_eq!(
            LockedSource::default_nixpkgs().title(),
            "nixos-26.05.9592.21a67dc47014"
        );
    }
}
