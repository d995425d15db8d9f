//! Versions of tools that some revision of nixpkgs is known to have.
//!
//! A nixpkgs has one version of each line; for another one this says which nixpkgs to name.

use nodejs_semver::Range;

use super::catalog::{self, Tool};
use crate::environment::EnvironmentError;

/// A tool, its version and the revision, by tool and version.
/// Source: lock files in public repositories, 2023 to 2026.
#[rustfmt::skip]
const REVISIONS: &[(&str, &str, &str)] = &[
    ("bun", "1.0.33", "ca00bc5e9419b97c1a11210f08f9338e6ba7515c"),
    ("bun", "1.3.13", "4a29d733e8a7d5b824c3d8c958a946a9867b3eb2"),
    ("caddy", "2.7.6", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("caddy", "2.11.4", "891eaa77f0eed53352194677991bd30978f9b0ad"),
    ("dotnet-sdk", "6.0.418", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("dotnet-sdk", "8.0.421", "4a29d733e8a7d5b824c3d8c958a946a9867b3eb2"),
    ("elixir", "1.15.7", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("elixir", "1.18.1", "7cc0bff31a3a705d3ac4fdceb030a17239412210"),
    ("ghc", "9.4.8", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("go", "1.19.8", "8670e496ffd093b60e74e7fa53526aa5920d09eb"),
    ("go", "1.22.1", "58ae79ea707579c40102ddf62d84b902a987c58b"),
    ("go", "1.24.5", "648f70160c03151bc2121d179291337ad6bc564b"),
    ("go", "1.25.0", "f4b140d5b253f5e2a1ff4e5506edbf8267724bde"),
    ("go", "1.25.5", "a1bab9e494f5f4939442a57a58d0449a109593fe"),
    ("go", "1.26.1", "09061f748ee21f68a089cd5d91ec1859cd93d0be"),
    ("go", "1.26.3", "4a29d733e8a7d5b824c3d8c958a946a9867b3eb2"),
    ("gradle", "8.6", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("gradle", "8.14.4", "4a29d733e8a7d5b824c3d8c958a946a9867b3eb2"),
    ("jdk", "17.0.5", "7d0ed7f2e5aea07ab22ccb338d27fbe347ed2f11"),
    ("jdk", "17.0.10", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("jdk", "17.0.12", "01b6809f7f9d1183a2b3e081f0a1e6f8f415cb09"),
    ("jdk", "19.0.2", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("nodejs", "16.8.0", "fc3de6da83863f8f36fdcac1c199c6066a6a0378"),
    ("nodejs", "16.20.2", "a71323f68d4377d12c04a5410e214495ec598d4c"),
    ("nodejs", "18.19.1", "085589047343aad800c4d305cf7b98e8a3d51ae2"),
    ("nodejs", "18.20.8", "ebe4301cbd8f81c4f8d3244b3632338bbeb6d49c"),
    ("nodejs", "20.12.2", "a9858885e197f984d92d7fe64e9fff6b2e488d40"),
    ("nodejs", "21.6.2", "9a9dae8f6319600fa9aebde37f340975cab4b8c0"),
    ("nodejs", "25.8.1", "09061f748ee21f68a089cd5d91ec1859cd93d0be"),
    ("nodejs", "26.3.0", "4df1b885d76a54e1aa1a318f8d16fd6005b6401f"),
    ("php", "8.1.27", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("php", "8.3.3", "5e55f0bb65124b05d0a52e164514c03596023634"),
    ("php", "8.5.6", "b3da656039dc7a6240f27b2ef8cc6a3ef3bccae7"),
    ("python", "3.10.13", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("python", "3.10.19", "a1bab9e494f5f4939442a57a58d0449a109593fe"),
    ("python", "3.11.4", "517501bcf14ae6ec47efd6a17dda0ca8e6d866f9"),
    ("python", "3.11.7", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("python", "3.11.15", "4a29d733e8a7d5b824c3d8c958a946a9867b3eb2"),
    ("python", "3.12.1", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("python", "3.12.8", "3df3c47c19dc90fec35359e89ffb52b34d2b0e94"),
    ("python", "3.14.4", "4a29d733e8a7d5b824c3d8c958a946a9867b3eb2"),
    ("ruby", "3.1.4", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("ruby", "3.1.7", "bce5fe2bb998488d8e7e7856315f90496723793c"),
    ("ruby", "3.3.0", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("ruby", "4.0.2", "09061f748ee21f68a089cd5d91ec1859cd93d0be"),
    ("ruby", "4.0.5", "4a29d733e8a7d5b824c3d8c958a946a9867b3eb2"),
    ("stack", "2.13.1", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("stack", "3.9.3", "4a29d733e8a7d5b824c3d8c958a946a9867b3eb2"),
    ("yarn", "1.22.19", "085589047343aad800c4d305cf7b98e8a3d51ae2"),
    ("yarn", "1.22.22", "09061f748ee21f68a089cd5d91ec1859cd93d0be"),
    ("zig", "0.11.0", "10b813040df67c4039086db0f6eaf65c536886c6"),
    ("zig", "0.16.0", "a5cbcfe954791221bfffe2307f7d1a1bf61a871e"),
];

/// What there is, the nearest first, and how to get another.
pub(super) fn no_version(
    tool: &Tool,
    range: &str,
    candidates: &[(&str, String)],
    title: &str,
) -> EnvironmentError {
    let least = catalog::range(tool, range)
        .ok()
        .and_then(|range| range.min_version());
    let mut there: Vec<_> = candidates
        .iter()
        .filter_map(|(_, text)| Some((catalog::version(text)?, text)))
        .collect();
    if let Some(least) = least {
        there.sort_by_key(|(version, _)| {
            (
                version.major().abs_diff(least.major()),
                version.minor().abs_diff(least.minor()),
            )
        });
    }
    let mut versions: Vec<&str> = there.iter().map(|(_, text)| text.as_str()).collect();
    versions.dedup();
    versions.truncate(5);
    let there = if versions.is_empty() {
        "none".to_owned()
    } else {
        versions.join(", ")
    };
    EnvironmentError::NotInNixpkgs {
        tool: tool.name.to_owned(),
        range: range.to_owned(),
        available: format!("{title} has {there}: {}", another_nixpkgs(tool, range)),
    }
}

/// How to get a version that a nixpkgs lacks.
fn another_nixpkgs(tool: &Tool, range: &str) -> String {
    let range = catalog::range(tool, range).ok();
    match range.and_then(|range| known(tool, &[range])) {
        Some((version, revision)) => format!("nixpkgsArchive = \"{revision}\" has {version}"),
        None => "name another nixpkgs with --nixpkgs or nixpkgsArchive, or take --packages debian"
            .to_owned(),
    }
}

/// The newest version that all ranges allow and the revision that has it, as far as one is known here.
pub(super) fn known(tool: &Tool, ranges: &[Range]) -> Option<(&'static str, &'static str)> {
    let fits = |text: &str| {
        catalog::version(text)
            .is_some_and(|version| ranges.iter().all(|range| range.satisfies(&version)))
    };
    let mut rows = REVISIONS.iter().rev();
    rows.find(|(name, version, _)| *name == tool.name && fits(version))
        .map(|(_, version, revision)| (*version, *revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_missing_is_told_with_the_nearest_ones() {
        let tool = catalog::TOOLS
            .iter()
            .find(|tool| tool.name == "nodejs")
            .unwrap();
        let candidates = [
            ("nodejs_18", "18.1.0".to_owned()),
            ("nodejs_22", "22.2.0".to_owned()),
            ("nodejs", "22.2.0".to_owned()),
        ];
        let error = no_version(tool, "23", &candidates, "nixos-x").to_string();
        assert!(
            error.starts_with("no nodejs matches 23; nixos-x has 22.2.0, 18.1.0: name another"),
            "{error}"
        );
        let error = no_version(tool, "16", &candidates, "nixos-x").to_string();
        assert!(
            error.contains(": nixpkgsArchive = \"") && error.ends_with("\" has 16.20.2"),
            "{error}"
        );
    }

    #[test]
    fn revisions_are_of_tools_that_there_are_in_order() {
        for (name, text, revision) in REVISIONS {
            assert!(
                catalog::TOOLS.iter().any(|tool| tool.name == *name),
                "{name}"
            );
            assert!(
                catalog::version(text).is_some() && revision.len() == 40,
                "{text}"
            );
        }
        let key = |row: &(&'static str, &str, &str)| (row.0, catalog::version(row.1));
        assert!(
            REVISIONS
                .windows(2)
                .all(|pair| key(&pair[0]) <= key(&pair[1]))
        );
    }
}
