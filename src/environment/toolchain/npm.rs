//! Packages of the npm registry: versions and their artifacts.

use std::collections::BTreeMap;

use nodejs_semver::Version;
use serde::Deserialize;

use super::{Asking, Offers};
use crate::environment::lock::Artifact;
use crate::environment::{EnvironmentError, Registry};

/// Documents of packages with thousands of versions have tens of megabytes.
const LIMIT: u64 = 256 << 20;
const ACCEPT: &str = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8";

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    versions: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    dist: Dist,
    deprecated: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Dist {
    integrity: Option<String>,
    tarball: String,
}

/// The versions of one package.
pub(super) struct Versions {
    name: String,
    usable: Vec<(Version, String)>,
    deprecated: Vec<(Version, String)>,
    entries: BTreeMap<String, Entry>,
}

/// Asks the registry for the versions of a package.
pub(super) fn versions(name: &str, asking: Asking<'_>) -> Result<Versions, EnvironmentError> {
    let endpoint = asking.sources.endpoint(Registry::Npm)?;
    let bytes = asking.client.needed(endpoint, name, ACCEPT, LIMIT)?;
    parse(name, &bytes)
}

fn parse(name: &str, bytes: &[u8]) -> Result<Versions, EnvironmentError> {
    let document: Document =
        serde_json::from_slice(bytes).map_err(|error| EnvironmentError::Malformed {
            what: format!("the npm registry's document about {name}"),
            reason: error.to_string(),
        })?;
    let listed = document.versions.iter().filter_map(|(text, entry)| {
        let version = (Version::parse(text).ok()?, text.clone());
        Some((version, entry.deprecated.is_some()))
    });
    let (deprecated, usable): (Vec<_>, Vec<_>) = listed.partition(|(_, deprecated)| *deprecated);
    let names = |versions: Vec<(_, bool)>| versions.into_iter().map(|(name, _)| name).collect();
    Ok(Versions {
        name: name.to_owned(),
        usable: names(usable),
        deprecated: names(deprecated),
        entries: document.versions,
    })
}

impl Offers for Versions {
    fn versions(&self) -> &[(Version, String)] {
        &self.usable
    }

    fn withdrawn(&self) -> &[(Version, String)] {
        &self.deprecated
    }

    /// The tarball of a version.
    fn artifact(&self, version: &str) -> Result<Artifact, EnvironmentError> {
        let malformed = |reason: &str| EnvironmentError::Malformed {
            what: format!("the npm registry's entry of {} {version}", self.name),
            reason: reason.to_owned(),
        };
        let entry = self
            .entries
            .get(version)
            .ok_or_else(|| malformed("it is missing"))?;
        let integrity = entry.dist.integrity.as_deref().unwrap_or_default();
        let hash = integrity
            .split_whitespace()
            .find(|hash| hash.starts_with("sha512-"))
            .ok_or_else(|| malformed("it has no sha512 integrity"))?;
        // Relative to the registry, whatever host the document names.
        let marker = format!("{}/-/", self.name);
        let start = entry
            .dist
            .tarball
            .find(&marker)
            .ok_or_else(|| malformed("its tarball is elsewhere"))?;
        let file = entry.dist.tarball[start..].to_owned();
        if file.contains("..") || file.contains(['?', '#', '%']) {
            return Err(malformed("its tarball has a strange name"));
        }
        Ok(Artifact {
            registry: Registry::Npm.name().to_owned(),
            name: self.name.clone(),
            version: version.to_owned(),
            file,
            hash: hash.to_owned(),
            size: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(integrity: &str, tarball: &str) -> Vec<u8> {
        format!(r#"{{"versions":{{"1.2.3":{{"dist":{{"tarball":"{tarball}"{integrity}}}}}}}}}"#)
            .into_bytes()
    }

    #[test]
    fn the_tarball_is_kept_relative_to_the_registry() {
        let bytes = document(
            r#","integrity":"sha1-x sha512-abc==""#,
            "https://r.test/npm/node/-/node-1.2.3.tgz",
        );
        let artifact = parse("node", &bytes).unwrap().artifact("1.2.3").unwrap();
        assert_eq!(
            (artifact.file.as_str(), artifact.hash.as_str()),
            ("node/-/node-1.2.3.tgz", "sha512-abc==")
        );
    }

    #[test]
    fn a_version_without_integrity_is_refused() {
        let versions = parse(
            "node",
            &document("", "https://r.test/node/-/node-1.2.3.tgz"),
        )
        .unwrap();
        assert!(
            versions
                .artifact("1.2.3")
                .unwrap_err()
                .to_string()
                .contains("no sha512")
        );
    }

    #[test]
    fn a_tarball_that_climbs_is_refused() {
        let bytes = document(
            r#","integrity":"sha512-abc==""#,
            "https://r.test/node/-/../../x.tgz",
        );
        assert!(parse("node", &bytes).unwrap().artifact("1.2.3").is_err());
    }
}
