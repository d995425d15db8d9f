//! Wheels: which of an index's files fit a Python, and what one says of itself.

use std::collections::BTreeMap;
use std::io::Read;
use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{MarkerEnvironment, MarkerEnvironmentBuilder};

use super::super::pypi::File;
use super::super::{Asking, pypi};
use crate::environment::lock::Artifact;
use crate::environment::{EnvironmentError, Registry};

/// The most bytes of the list of what a wheel requires.
const METADATA_LIMIT: u64 = 4 << 20;
/// The newest C library that wheels may want: that of the oldest suite.
const GLIBC: u64 = 31;

/// What the wheels run on.
pub(super) struct Target {
    pub(super) minor: u64,
    pub(super) version: Version,
    pub(super) machine: &'static str,
    pub(super) markers: MarkerEnvironment,
}

impl Target {
    pub(super) fn new(asking: Asking<'_>) -> Result<Self, EnvironmentError> {
        let malformed = |reason: String| EnvironmentError::Malformed {
            what: "the table of Pythons".to_owned(),
            reason,
        };
        let full = asking.python;
        let version = Version::from_str(full).map_err(|error| malformed(error.to_string()))?;
        let short = full.rsplit_once('.').map_or(full, |(short, _)| short);
        let machine = pypi::machine(asking.architecture);
        let markers = MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
            implementation_name: "cpython",
            implementation_version: full,
            os_name: "posix",
            platform_machine: machine,
            platform_python_implementation: "CPython",
            platform_release: "",
            platform_system: "Linux",
            platform_version: "",
            python_full_version: full,
            python_version: short,
            sys_platform: "linux",
        });
        Ok(Self {
            minor: version.release().get(1).copied().unwrap_or_default(),
            version,
            machine,
            markers: markers.map_err(|error| malformed(error.to_string()))?,
        })
    }

    /// How well a wheel's tags fit, the least the best.
    fn rank(&self, python: &str, abi: &str, platform: &str) -> Option<u8> {
        let platforms: Vec<&str> = platform.split('.').collect();
        let native = platforms.iter().any(|tag| self.platform(tag));
        if !native && !platforms.contains(&"any") {
            return None;
        }
        let minor = |tag: &str, prefix: &str| tag.strip_prefix(prefix)?.parse::<u64>().ok();
        let exact = |tag: &str| minor(tag, "cp3") == Some(self.minor);
        let not_newer = |tag: &str| minor(tag, "cp3").is_some_and(|minor| minor <= self.minor);
        let pure =
            |tag: &str| tag == "py3" || minor(tag, "py3").is_some_and(|minor| minor <= self.minor);
        let mut pythons = python.split('.');
        let abis: Vec<&str> = abi.split('.').collect();
        if abis.iter().any(|tag| exact(tag)) && pythons.clone().any(exact) {
            return Some(0);
        }
        if abis.contains(&"abi3") && pythons.clone().any(not_newer) {
            return Some(1);
        }
        let fits = abis.contains(&"none") && pythons.any(|tag| pure(tag) || exact(tag));
        fits.then_some(if native { 2 } else { 3 })
    }

    fn platform(&self, tag: &str) -> bool {
        let Some(rest) = tag
            .strip_suffix(self.machine)
            .and_then(|rest| rest.strip_suffix('_'))
        else {
            return false;
        };
        if matches!(rest, "manylinux1" | "manylinux2010" | "manylinux2014") {
            return true;
        }
        let minor = rest
            .strip_prefix("manylinux_2_")
            .and_then(|minor| minor.parse::<u64>().ok());
        minor.is_some_and(|minor| minor <= GLIBC)
    }
}

/// The best wheel of one version.
#[derive(Debug, Clone)]
pub(super) struct Wheel {
    pub(super) version: Version,
    /// The version as the file has it.
    pub(super) text: String,
    pub(super) file: File,
}

impl Wheel {
    pub(super) fn artifact(&self, project: &str) -> Artifact {
        Artifact {
            registry: Registry::Pypi.name().to_owned(),
            name: project.to_owned(),
            version: self.text.clone(),
            file: self.file.name.clone(),
            hash: format!("sha256:{}", self.file.sha256),
            size: None,
        }
    }
}

/// The best wheel of each version, oldest first.
pub(super) fn wheels(files: Vec<File>, target: &Target) -> Vec<Wheel> {
    let mut best: BTreeMap<Version, (u8, Wheel)> = BTreeMap::new();
    for file in files {
        let allowed = file.requires_python.as_deref().is_none_or(|range| {
            VersionSpecifiers::from_str(range).is_ok_and(|range| range.contains(&target.version))
        });
        let parts: Vec<&str> = file
            .name
            .strip_suffix(".whl")
            .unwrap_or_default()
            .split('-')
            .collect();
        let [_, text, .., python, abi, platform] = parts.as_slice() else {
            continue;
        };
        let rank = target.rank(python, abi, platform).filter(|_| allowed);
        let (Some(rank), Ok(version)) = (rank, Version::from_str(text)) else {
            continue;
        };
        let wheel = Wheel {
            version: version.clone(),
            text: (*text).to_owned(),
            file,
        };
        let better = best.get(&version).is_none_or(|(other, _)| rank < *other);
        if better {
            best.insert(version, (rank, wheel));
        }
    }
    best.into_values().map(|(_, wheel)| wheel).collect()
}

/// The METADATA of a wheel.
pub(super) fn metadata(path: &std::path::Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut archive =
        zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(|error| error.to_string())?;
    let is_it = |name: &str| {
        let inside = name.strip_suffix(".dist-info/METADATA");
        inside.is_some_and(|folder| !folder.contains('/'))
    };
    let names = archive
        .file_names()
        .filter_map(Result::ok)
        .map(std::borrow::Cow::into_owned);
    let name = names
        .into_iter()
        .find(|name| is_it(name))
        .ok_or("it has no METADATA")?;
    let entry = archive.by_name(&name).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    entry
        .take(METADATA_LIMIT)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn target(python: &'static str) -> Target {
        let full = python;
        Target {
            minor: Version::from_str(full).unwrap().release()[1],
            version: Version::from_str(full).unwrap(),
            machine: "x86_64",
            markers: MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
                implementation_name: "cpython",
                implementation_version: full,
                os_name: "posix",
                platform_machine: "x86_64",
                platform_python_implementation: "CPython",
                platform_release: "",
                platform_system: "Linux",
                platform_version: "",
                python_full_version: full,
                python_version: "3.13",
                sys_platform: "linux",
            })
            .unwrap(),
        }
    }

    pub(in super::super) fn file(name: &str, requires_python: Option<&str>) -> File {
        File {
            name: name.to_owned(),
            url: String::new(),
            sha256: "a".repeat(64),
            requires_python: requires_python.map(str::to_owned),
        }
    }

    #[test]
    fn wheels_of_the_python_come_before_those_of_any() {
        let target = target("3.13.5");
        for (python, abi, platform, rank) in [
            (
                "cp313",
                "cp313",
                "manylinux_2_17_x86_64.manylinux2014_x86_64",
                Some(0),
            ),
            ("cp39", "abi3", "manylinux_2_28_x86_64", Some(1)),
            ("cp314", "abi3", "manylinux_2_28_x86_64", None),
            ("py3", "none", "manylinux1_x86_64", Some(2)),
            ("py2.py3", "none", "any", Some(3)),
            ("cp313", "cp313t", "manylinux_2_17_x86_64", None),
            ("cp312", "cp312", "manylinux_2_17_x86_64", None),
            ("cp313", "cp313", "manylinux_2_39_x86_64", None),
            ("cp313", "cp313", "musllinux_1_2_x86_64", None),
            ("cp313", "cp313", "manylinux_2_17_aarch64", None),
            ("py2", "none", "any", None),
        ] {
            assert_eq!(
                target.rank(python, abi, platform),
                rank,
                "{python}-{abi}-{platform}"
            );
        }
    }

    #[test]
    fn versions_for_other_pythons_are_not_there() {
        let found = wheels(
            vec![
                file("a-2.0-py3-none-any.whl", Some(">=3.14")),
                file("a-1.10-py3-none-any.whl", Some(">=3.9")),
                file("a-1.9-1-py3-none-any.whl", None),
                file("a-1.9.tar.gz", None),
            ],
            &target("3.13.5"),
        );
        let names: Vec<&str> = found.iter().map(|wheel| wheel.text.as_str()).collect();
        assert_eq!(names, ["1.9", "1.10"]);
    }
}
