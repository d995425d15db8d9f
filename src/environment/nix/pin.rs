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

/// The nixpkgs that the binary's maker compiled in, in the form that `--nixpkgs` takes.
const DEFAULT: Option<&str> = option_env!("PACKWRIGHT_DEFAULT_NIXPKGS");

/// The address of a revision's archive that the maker compiled in, with `{revision}` in it.
const DEFAULT_ARCHIVES: Option<&str> = option_env!("PACKWRIGHT_DEFAULT_NIXPKGS_ARCHIVES");

/// What a plan's revision is a revision of, as Nix itself finds it.
const REPOSITORY: &str = "github:NixOS/nixpkgs";

/// How addresses begin that name nothing of this machine.
const FAR: [&str; 3] = ["https://", "http://", "ssh://"];

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
    /// Whether it is somewhere else: files of this machine may change at any time.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.of_this_machine().is_none()
    }

    /// What of this machine it names, if it does: its path or its address.
    pub(super) fn of_this_machine(&self) -> Option<String> {
        let far = |url: &str| FAR.iter().any(|scheme| url.starts_with(scheme));
        match self {
            Self::Path(path) => Some(path.clone()),
            Self::Archive { url, .. } => Some(url.clone()).filter(|url| !far(url)),
            Self::Flake(locked) => {
                let text = |name: &str| locked[name].as_str().map(str::to_owned);
                let named = || text("url").or(text("path")).unwrap_or(locked.to_string());
                match locked["type"].as_str() {
                    Some("github" | "gitlab" | "sourcehut") => None,
                    Some("git" | "hg" | "tarball" | "file") => {
                        Some(named()).filter(|url| !far(url))
                    }
                    _ => Some(named()),
                }
            }
        }
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
pub(super) enum Reference<'a> {
    Revision(&'a str),
    Archive(&'a str, Option<&'a str>),
    Path(&'a str),
    Flake(&'a str),
}

/// Reads what names a nixpkgs or an overlay.
pub(super) fn read(text: &str) -> Reference<'_> {
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
        let here = std::env::current_dir().unwrap_or_default();
        let text = self.main_reference().ok_or(EnvironmentError::NoNixpkgs)?;
        let place = match self.context.nix.nixpkgs {
            Some(_) => "--nixpkgs",
            None => "PACKWRIGHT_DEFAULT_NIXPKGS",
        };
        self.lock_source(text, &here, place, step)
    }

    /// What names the nixpkgs.
    pub(super) fn main_reference(&self) -> Option<&str> {
        self.context.nix.nixpkgs.as_deref().or(DEFAULT)
    }

    /// The address of a revision's archive, with `{revision}` in it.
    pub(super) fn archives(&self) -> Option<&str> {
        let own = self.context.sources.variable("PACKWRIGHT_NIXPKGS_ARCHIVES");
        own.or(DEFAULT_ARCHIVES)
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
            Reference::Revision(revision) => match self.archives() {
                Some(pattern) => self.with_hash(&pattern.replace("{revision}", revision), step),
                None => self.flake(&format!("{REPOSITORY}/{revision}"), step),
            },
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
            Reference::Flake(reference) => self.flake(reference, step),
        }
    }

    fn flake(&self, reference: &str, step: &Step<'_>) -> Result<LockedSource, EnvironmentError> {
        let locked = self.commands.here().lock_flake(reference, step);
        let mut locked = locked
            .map_err(|failed| self.failure(&failed, &format!("find the flake {reference}")))?;
        let has_hash = locked["narHash"].is_string();
        match locked.as_object_mut() {
            Some(attributes) if has_hash => {
                // Notes of Nix's own, which the next release need not read.
                attributes.retain(|name, _| !name.starts_with("__"));
                Ok(LockedSource::Flake(locked))
            }
            _ => Err(EnvironmentError::Malformed {
                what: format!("nix' answer about the flake {reference}"),
                reason: "it has no hash of the flake's files".to_owned(),
            }),
        }
    }

    fn with_hash(&self, url: &str, step: &Step<'_>) -> Result<LockedSource, EnvironmentError> {
        let hash = self.commands.here().prefetch(url, step);
        Ok(LockedSource::Archive {
            url: url.to_owned(),
            hash: hash.map_err(|failed| self.failure(&failed, &format!("fetch {url}")))?,
        })
    }

    /// What to take without being told more, and why; else why not. No network is asked.
    pub(super) fn at_hand(&self) -> Result<&str, String> {
        match (self.context.nix.nixpkgs.as_deref(), DEFAULT) {
            (Some(named), _) => Ok(named),
            (None, Some(text)) if self.was_fetched(text) => Ok(text),
            (None, Some(text)) => Err(format!(
                "{text} has not been fetched yet: --packages nix does"
            )),
            (None, None) => Err(EnvironmentError::NoNixpkgs.to_string()),
        }
    }

    /// Whether the default was fetched before, into this store.
    fn was_fetched(&self, text: &str) -> bool {
        let key = self.default_key(text);
        self.context.cache.find(Kind::Lock, &key).is_some()
    }

    /// Notes that the default was fetched.
    pub(super) fn note_default(&self) -> Result<(), EnvironmentError> {
        if let (None, Some(text)) = (&self.context.nix.nixpkgs, DEFAULT) {
            let key = self.default_key(text);
            self.context.cache.write(Kind::Lock, &key, b"")?;
        }
        Ok(())
    }

    fn default_key(&self, text: &str) -> Key {
        Key::build("default nixpkgs")
            .field("nixpkgs", text)
            .field("store", self.commands.physical().display().to_string())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
    fn a_release_is_called_by_its_name_and_an_archive_by_its_file() {
        for (url, title) in [
            (
                "https://x.example/26.05/nixos-26.05.9592.21a6/nixexprs.tar.xz",
                "nixos-26.05.9592.21a6",
            ),
            ("file:///tmp/set.tar.gz", "set"),
        ] {
            let archive = LockedSource::Archive {
                url: url.to_owned(),
                hash: String::new(),
            };
            assert_eq!(archive.title(), title);
        }
    }

    #[test]
    fn locked_flakes_of_this_machine_are_known_by_what_they_name() {
        let named = |locked| LockedSource::Flake(locked).of_this_machine();
        let far = json!({ "type": "github", "owner": "a", "repo": "b" });
        assert_eq!(named(far), None);
        let far = json!({ "type": "git", "url": "ssh://a/b" });
        assert_eq!(named(far), None);
        for near in [
            json!({ "type": "path", "path": "/a" }),
            json!({ "type": "git", "url": "/a" }),
            json!({ "type": "indirect", "id": "/a", "path": "/a" }),
        ] {
            assert_eq!(named(near).unwrap(), "/a");
        }
    }
}
