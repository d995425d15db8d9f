//! Packages of the npm registry: versions and their artifacts.

use std::collections::{BTreeMap, BTreeSet};

use nodejs_semver::Version;
use serde::Deserialize;

use crate::environment::http::Client;
use crate::environment::lock::{Artifact, highest};
use crate::environment::{EnvironmentError, Registry, Sources};

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
    /// In the order of versions.
    pub all: Vec<(Version, String)>,
    entries: BTreeMap<String, Entry>,
}

/// Asks the registry for the versions of a package.
pub(super) fn versions(
    name: &str,
    sources: &Sources,
    client: &Client,
) -> Result<Versions, EnvironmentError> {
    let endpoint = sources.endpoint(Registry::Npm)?;
    let bytes = client.needed(endpoint, name, ACCEPT, LIMIT)?;
    parse(name, &bytes)
}

fn parse(name: &str, bytes: &[u8]) -> Result<Versions, EnvironmentError> {
    let document: Document =
        serde_json::from_slice(bytes).map_err(|error| EnvironmentError::Malformed {
            what: format!("the npm registry's document about {name}"),
            reason: error.to_string(),
        })?;
    let usable = document
        .versions
        .into_iter()
        .filter(|(_, entry)| entry.deprecated.is_none());
    let entries: BTreeMap<String, Entry> = usable.collect();
    let mut versions: Vec<(Version, String)> = entries
        .keys()
        .filter_map(|text| Some((Version::parse(text).ok()?, text.clone())))
        .collect();
    versions.sort();
    Ok(Versions {
        name: name.to_owned(),
        all: versions,
        entries,
    })
}

impl Versions {
    /// The tarball of a version.
    pub(super) fn artifact(&self, version: &str) -> Result<Artifact, EnvironmentError> {
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
            registry: "npm".to_owned(),
            name: self.name.clone(),
            version: version.to_owned(),
            file,
            hash: hash.to_owned(),
            size: None,
        })
    }
}

/// The highest version of a package that all ranges allow.
pub(super) fn lock(
    tool: &str,
    name: &str,
    ranges: &BTreeSet<String>,
    sources: &Sources,
    client: &Client,
) -> Result<(String, Vec<Artifact>), EnvironmentError> {
    let versions = versions(name, sources, client)?;
    let chosen = highest(tool, ranges, &versions.all)?;
    Ok((chosen.to_owned(), vec![versions.artifact(chosen)?]))
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
