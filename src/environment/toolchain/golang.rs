//! Go toolchains from the module proxy, proved by the checksum database.

use nodejs_semver::Version;

use super::{Asking, Offers, sumdb};
use crate::environment::lock::Artifact;
use crate::environment::{EnvironmentError, Registry};

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

/// The Go versions that a module carries.
pub(super) struct Versions<'a> {
    module: &'static str,
    asking: Asking<'a>,
    all: Vec<(Version, String)>,
}

/// Asks the proxy for the versions of the module that carries toolchains.
pub(super) fn versions<'a>(
    module: &'static str,
    asking: Asking<'a>,
) -> Result<Versions<'a>, EnvironmentError> {
    let endpoint = asking.sources.endpoint(Registry::GoProxy)?;
    let list = format!("{module}/@v/list");
    let list = asking.client.needed(endpoint, &list, "*/*", LIMIT)?;
    let list = String::from_utf8_lossy(&list);
    let platform = format!("linux-{}", asking.architecture);
    let all = list
        .lines()
        .filter_map(|line| go_version(line.trim(), &platform))
        .map(|(version, name)| (version, name.to_owned()))
        .collect();
    Ok(Versions {
        module,
        asking,
        all,
    })
}

impl Offers for Versions<'_> {
    fn versions(&self) -> &[(Version, String)] {
        &self.all
    }

    fn artifact(&self, version: &str) -> Result<Artifact, EnvironmentError> {
        let Asking {
            sources,
            client,
            architecture,
            ..
        } = self.asking;
        let version = format!("v0.0.1-go{version}.linux-{architecture}");
        Ok(Artifact {
            registry: Registry::GoProxy.name().to_owned(),
            name: self.module.to_owned(),
            file: format!("{}/@v/{version}.zip", self.module),
            hash: sumdb::hash(self.module, &version, sources, client)?,
            version,
            size: None,
        })
    }
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
