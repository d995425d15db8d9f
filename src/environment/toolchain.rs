//! Toolchains from the language registries: which artifacts make one, and the tree they become.

use std::collections::{BTreeMap, BTreeSet};

use nodejs_semver::{Range, Version};

use super::http::Client;
use super::lock::{Artifact, LockedToolchain, highest, parse_ranges};
use super::{EnvironmentError, Registry, Sources};
use crate::cache::Cache;

mod clojure;
mod golang;
mod maven;
mod npm;
mod program;
pub(super) mod pypi;
mod sumdb;
mod table;
pub(super) mod tree;

use table::{Layout, Package};
pub use table::{TOOLCHAINS, Toolchain};

/// The toolchain of a name.
pub fn named(name: &str) -> Option<&'static Toolchain> {
    TOOLCHAINS.iter().find(|tool| tool.name == name)
}

/// What a registry has of one package.
trait Offers: Send {
    /// The versions, each with its name there.
    fn versions(&self) -> &[(Version, String)];

    /// Versions that their makers advise against.
    fn withdrawn(&self) -> &[(Version, String)] {
        &[]
    }

    /// The file of a version.
    fn artifact(&self, version: &str) -> Result<Artifact, EnvironmentError>;
}

/// What registries are asked with.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) sources: &'a Sources,
    pub(super) client: &'a Client,
    pub(super) cache: &'a Cache,
    pub(super) architecture: &'a str,
    /// The version of the suite's Python.
    pub(super) python: &'a str,
}

impl<'a> Asking<'a> {
    fn offers(self, package: &Package) -> Result<Box<dyn Offers + 'a>, EnvironmentError> {
        let name = package.name(self.architecture);
        Ok(match package.registry {
            Registry::Npm => Box::new(npm::versions(name, self)?),
            Registry::GoProxy => Box::new(golang::versions(name, self)?),
            Registry::Maven => Box::new(maven::versions(name, self)?),
            _ => Box::new(pypi::versions(name, self)?),
        })
    }
}

/// Chooses the highest version that all `ranges` allow, and its artifacts.
pub(super) fn lock(
    tool: &Toolchain,
    ranges: &BTreeSet<String>,
    asking: Asking<'_>,
) -> Result<LockedToolchain, EnvironmentError> {
    let architecture = asking.architecture;
    let meant: BTreeSet<String> = ranges
        .iter()
        .map(|range| match range.as_str() {
            "" => tool.unasked.to_owned(),
            range => range.to_owned(),
        })
        .collect();
    if tool.on_python() {
        return program::lock(tool, &meant, asking);
    }
    let parsed = parse_ranges(tool.name, &meant)?;
    // Companions are asked for beside the tool: the document about npm is the slowest of all.
    let (version, artifacts) = std::thread::scope(|scope| {
        let mut asked = BTreeMap::new();
        for companion in tool.companions.iter().filter(|c| possible(c.with, &parsed)) {
            asked
                .entry(companion.package.name(architecture))
                .or_insert_with(|| scope.spawn(move || asking.offers(&companion.package)));
        }
        let libraries = scope.spawn(move || libraries(tool, asking));
        let (version, own) = choose(tool, &meant, &parsed, asking)?;
        let mut artifacts = vec![own];
        for companion in tool.companions.iter().filter(|c| covers(c.with, &version)) {
            if let Some(thread) = asked.remove(companion.package.name(architecture)) {
                let offers = joined(thread)?;
                artifacts.push(accompany(&companion.package, &version, offers.as_ref())?);
            }
        }
        artifacts.extend(joined(libraries)?);
        Ok::<_, EnvironmentError>((version, artifacts))
    })?;
    Ok(LockedToolchain {
        tool: tool.name.to_owned(),
        version,
        asked: meant.into_iter().collect::<Vec<_>>().join(" "),
        build: false,
        run: false,
        artifacts,
    })
}

/// How many libraries are asked for at the same time.
const AT_ONCE: usize = 8;

/// The jars that a tool loads, in the table's order.
fn libraries(tool: &Toolchain, asking: Asking<'_>) -> Result<Vec<Artifact>, EnvironmentError> {
    let mut found = Vec::new();
    for some in tool.libraries.chunks(AT_ONCE) {
        let artifacts: Result<Vec<_>, _> = std::thread::scope(|scope| {
            let one = |(name, version): &(&'static str, &'static str)| {
                let (name, version) = (*name, *version);
                scope.spawn(move || maven::artifact(name, version, asking))
            };
            let threads: Vec<_> = some.iter().map(one).collect();
            threads.into_iter().map(joined).collect()
        });
        found.extend(artifacts?);
    }
    Ok(found)
}

/// What a thread came to; its panic goes on here.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The best version of a tool among all packages that can have it, and its file.
fn choose(
    tool: &Toolchain,
    meant: &BTreeSet<String>,
    parsed: &[Range],
    asking: Asking<'_>,
) -> Result<(String, Artifact), EnvironmentError> {
    let mut all = Vec::new();
    for package in tool.packages {
        if tool.packages.len() == 1 || possible(package.versions, parsed) {
            all.push((package.versions, asking.offers(package)?));
        }
    }
    let having = |withdrawn: bool| -> Vec<(Version, String)> {
        let listed = all.iter().flat_map(|(range, offers)| {
            let versions = if withdrawn {
                offers.withdrawn()
            } else {
                offers.versions()
            };
            versions.iter().filter(|(_, name)| covers(range, name))
        });
        listed.cloned().collect()
    };
    let usable = having(false);
    let chosen = match highest(tool.name, meant, &usable) {
        Ok(chosen) => chosen.to_owned(),
        Err(error) => highest(tool.name, meant, &having(true))
            .map(str::to_owned)
            .map_err(|_| error)?,
    };
    let (_, offers) = all
        .iter()
        .find(|(range, _)| covers(range, &chosen))
        .ok_or_else(|| EnvironmentError::Malformed {
            what: "the table of toolchains".to_owned(),
            reason: format!("no package has {} {chosen}", tool.name),
        })?;
    let artifact = offers.artifact(&chosen)?;
    Ok((chosen, artifact))
}

/// The file of a companion: of the tool's own version, or the highest of the companion's range.
fn accompany(
    package: &Package,
    version: &str,
    offers: &dyn Offers,
) -> Result<Artifact, EnvironmentError> {
    let range = match package.versions {
        "" => version,
        range => range,
    };
    let range = BTreeSet::from([range.to_owned()]);
    offers.artifact(highest(package.amd64, &range, offers.versions())?)
}

/// Whether a version that all of `asked` allow can be in `range`.
fn possible(range: &str, asked: &[Range]) -> bool {
    Range::parse(range).is_ok_and(|range| asked.iter().all(|asked| asked.allows_any(&range)))
}

/// Whether a range has a version, or the release that a preliminary version leads to.
fn covers(range: &str, version: &str) -> bool {
    let (Ok(range), Some(version)) = (Range::parse(range), number(version)) else {
        return false;
    };
    range.satisfies(&(version.major(), version.minor(), version.patch()).into())
}

/// The version that a registry writes as `1.2.3`, `1.2` or, made anew, as `1.2.3.post1`.
fn number(text: &str) -> Option<Version> {
    let text = text
        .split_once(".post")
        .map_or(text, |(release, _)| release);
    Version::parse(text)
        .or_else(|_| Version::parse(format!("{text}.0")))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Registered(Vec<(Version, String)>);

    impl Offers for Registered {
        fn versions(&self) -> &[(Version, String)] {
            &self.0
        }

        fn artifact(&self, version: &str) -> Result<Artifact, EnvironmentError> {
            Ok(Artifact {
                registry: "npm".to_owned(),
                name: "test".to_owned(),
                version: version.to_owned(),
                file: String::new(),
                hash: String::new(),
                size: None,
            })
        }
    }

    fn registered(versions: &[&str]) -> Registered {
        let read = |text: &&str| (number(text).unwrap(), (*text).to_owned());
        Registered(versions.iter().map(read).collect())
    }

    fn companion(tool: &str, version: &str) -> Option<&'static Package> {
        let companions = named(tool).unwrap().companions.iter();
        let mut found = companions.filter(|companion| covers(companion.with, version));
        let package = found.next().map(|companion| &companion.package);
        assert_eq!(found.count(), 0, "{tool} {version}");
        package
    }

    #[test]
    fn each_nodejs_has_the_npm_of_its_releases() {
        for (node, npm) in [
            ("8.17.0", "5"),
            ("12.22.12", "6"),
            ("16.20.2", "8"),
            ("22.0.0-rc.1", "10"),
            ("26.10.0", "11"),
        ] {
            assert_eq!(companion("nodejs", node).unwrap().versions, npm, "{node}");
        }
    }

    #[test]
    fn native_programs_of_pnpm_have_its_version() {
        assert_eq!(companion("pnpm", "11.28.11"), None);
        let package = companion("pnpm", "12.20.0").unwrap();
        let offers = registered(&["12.20.0", "12.21.0"]);
        let artifact = accompany(package, "12.20.0", &offers).unwrap();
        assert_eq!(artifact.version, "12.20.0");
        assert!(accompany(package, "12.19.0", &offers).is_err());
    }

    #[test]
    fn the_range_says_which_package_has_a_yarn() {
        let having = |range: &str| -> Vec<&str> {
            let asked = [Range::parse(range).unwrap()];
            let packages = named("yarn").unwrap().packages.iter();
            let possible = packages.filter(|package| possible(package.versions, &asked));
            possible.map(|package| package.amd64).collect()
        };
        assert_eq!(having("1"), ["yarn"]);
        assert_eq!(having("^4.1"), ["@yarnpkg/cli-dist"]);
        assert_eq!(having("*"), ["yarn", "@yarnpkg/cli-dist"]);
    }

    #[test]
    fn versions_that_were_made_anew_are_numbers_too() {
        assert_eq!(number("0.10.1.post1").unwrap().to_string(), "0.10.1");
        assert_eq!(number("1.24").unwrap().to_string(), "1.24.0");
        assert!(number("one").is_none());
    }
}
