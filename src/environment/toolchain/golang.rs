//! Go toolchains from the module proxy, proved by the checksum database.

use std::collections::BTreeSet;

use nodejs_semver::Version;

use super::sumdb;
use crate::environment::http::Client;
use crate::environment::lock::{Artifact, highest};
use crate::environment::{EnvironmentError, Registry, Sources};

/// The module that carries the toolchains.
pub(crate) const MODULE: &str = "golang.org/toolchain";
const LIMIT: u64 = 16 << 20;

/// The Go version, as numbers, of a toolchain module's version: `v0.0.1-go1.24.5.linux-amd64`.
fn go_version<'a>(module_version: &'a str, platform: &str) -> Option<(Version, &'a str)> {
    let name = module_version
        .strip_prefix("v0.0.1-go")?
        .strip_suffix(platform)?
        .strip_suffix('.')?;
    let mut numbers = name.split('.').map(str::parse::<u64>);
    let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    let patch = numbers.next().unwrap_or(Ok(0)).ok()?;
    Some(((major, minor, patch).into(), name))
}

/// The highest version that all ranges allow.
pub(super) fn lock(
    ranges: &BTreeSet<String>,
    sources: &Sources,
    client: &Client,
    architecture: &str,
) -> Result<(String, Vec<Artifact>), EnvironmentError> {
    let platform = format!("linux-{architecture}");
    let endpoint = sources.endpoint(Registry::GoProxy)?;
    let list = client.needed(endpoint, &format!("{MODULE}/@v/list"), "*/*", LIMIT)?;
    let list = String::from_utf8_lossy(&list);
    let versions: Vec<(Version, String)> = list
        .lines()
        .filter_map(|line| go_version(line.trim(), &platform))
        .map(|(version, name)| (version, name.to_owned()))
        .collect();
    let chosen = highest("go", ranges, &versions)?.to_owned();
    let version = format!("v0.0.1-go{chosen}.{platform}");
    let hash = sumdb::hash(MODULE, &version, sources, client)?;
    let artifact = Artifact {
        registry: "go".to_owned(),
        name: MODULE.to_owned(),
        file: format!("{MODULE}/@v/{version}.zip"),
        version,
        hash,
        size: None,
    };
    Ok((chosen, vec![artifact]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toolchain_versions_become_go_versions() {
        let read = |text| {
            go_version(text, "linux-amd64").map(|(version, name)| (version.to_string(), name))
        };
        assert_eq!(
            read("v0.0.1-go1.24.5.linux-amd64"),
            Some(("1.24.5".to_owned(), "1.24.5"))
        );
        assert_eq!(
            read("v0.0.1-go1.20.linux-amd64"),
            Some(("1.20.0".to_owned(), "1.20"))
        );
        assert_eq!(read("v0.0.1-go1.24rc1.linux-amd64"), None);
        assert_eq!(read("v0.0.1-go1.24.5.darwin-amd64"), None);
    }
}
