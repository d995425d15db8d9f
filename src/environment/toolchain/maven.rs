//! Artifacts of a Maven repository: the versions of one, and its jar.

use nodejs_semver::Version;
use roxmltree::Document;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Asking, Offers, number};
use crate::environment::lock::Artifact;
use crate::environment::{EnvironmentError, Registry};

const METADATA_LIMIT: u64 = 16 << 20;
const HASH_LIMIT: u64 = 4096;
/// The jars of launchers are small; they are read into memory once, to learn their hash.
const JAR_LIMIT: u64 = 64 << 20;

/// The versions of one artifact.
pub(super) struct Versions<'a> {
    /// `group:artifact`.
    coordinates: &'static str,
    asking: Asking<'a>,
    all: Vec<(Version, String)>,
}

/// Asks the repository for the versions of `group:artifact`.
pub(super) fn versions<'a>(
    coordinates: &'static str,
    asking: Asking<'a>,
) -> Result<Versions<'a>, EnvironmentError> {
    let endpoint = asking.sources.endpoint(Registry::Maven)?;
    let path = format!("{}/maven-metadata.xml", folder(coordinates));
    let bytes = asking
        .client
        .needed(endpoint, &path, "*/*", METADATA_LIMIT)?;
    let all = listed(&bytes).map_err(|reason| EnvironmentError::Malformed {
        what: format!("the Maven repository's document about {coordinates}"),
        reason,
    })?;
    Ok(Versions {
        coordinates,
        asking,
        all,
    })
}

/// `org.example:tool` as `org/example/tool`.
fn folder(coordinates: &str) -> String {
    let (group, artifact) = coordinates.split_once(':').unwrap_or(("", coordinates));
    format!("{}/{artifact}", group.replace('.', "/"))
}

fn listed(metadata: &[u8]) -> Result<Vec<(Version, String)>, String> {
    let text = std::str::from_utf8(metadata).map_err(|error| error.to_string())?;
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let names = document
        .descendants()
        .filter(|node| node.has_tag_name("version"))
        .filter_map(|node| node.text().map(str::trim));
    Ok(names
        .filter_map(|name| Some((number(name)?, name.to_owned())))
        .collect())
}

impl Offers for Versions<'_> {
    fn versions(&self) -> &[(Version, String)] {
        &self.all
    }

    fn artifact(&self, version: &str) -> Result<Artifact, EnvironmentError> {
        artifact(self.coordinates, version, self.asking)
    }
}

/// The jar of a version, with the hash that it has now: the repository's own hash of it may be a weak one.
pub(super) fn artifact(
    coordinates: &str,
    version: &str,
    asking: Asking<'_>,
) -> Result<Artifact, EnvironmentError> {
    let endpoint = asking.sources.endpoint(Registry::Maven)?;
    let client = asking.client;
    let folder = folder(coordinates);
    let artifact = folder.rsplit('/').next().unwrap_or_default();
    let file = format!("{folder}/{version}/{artifact}-{version}.jar");
    let jar = client.needed(endpoint, &file, "*/*", JAR_LIMIT)?;
    let sha256 = hex::encode(Sha256::digest(&jar));
    let promised = |kind: &str| -> Result<Option<String>, EnvironmentError> {
        let bytes = client.document(endpoint, &format!("{file}.{kind}"), "*/*", HASH_LIMIT)?;
        Ok(bytes.and_then(|bytes| first_word(&bytes)))
    };
    let (expected, found) = match promised("sha256")? {
        Some(expected) => (expected, sha256.clone()),
        None => match promised("sha1")? {
            Some(expected) => (expected, hex::encode(<Sha1 as sha1::Digest>::digest(&jar))),
            None => {
                return Err(EnvironmentError::Malformed {
                    what: file,
                    reason: "the repository has no hash of it".to_owned(),
                });
            }
        },
    };
    if expected != found {
        return Err(EnvironmentError::Mismatch {
            what: file,
            expected,
            found,
            authority: "the repository",
        });
    }
    Ok(Artifact {
        registry: Registry::Maven.name().to_owned(),
        name: coordinates.to_owned(),
        version: version.to_owned(),
        file,
        hash: format!("sha256:{sha256}"),
        size: Some(jar.len() as u64),
    })
}

/// The hash in a file of one, which may name the file after it.
fn first_word(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.split_whitespace().next().map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_that_the_metadata_lists() {
        let metadata = b"<metadata><versioning><release>2.0.0</release><versions><version>1.9.7</version>\
                         <version>2.0.0-RC1</version><version> 2.0.0 </version></versions></versioning></metadata>";
        let names: Vec<String> = listed(metadata)
            .unwrap()
            .into_iter()
            .map(|(_, name)| name)
            .collect();
        assert_eq!(names, ["1.9.7", "2.0.0-RC1", "2.0.0"]);
        assert!(listed(b"<metadata>").is_err());
    }

    #[test]
    fn coordinates_are_folders() {
        assert_eq!(
            folder("org.scala-sbt:sbt-launch"),
            "org/scala-sbt/sbt-launch"
        );
    }
}
