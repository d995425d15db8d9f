//! What this machine has of what environments need, without asking any network.

use std::collections::BTreeSet;
use std::path::Path;

use super::endpoint::Registry;
use super::{Context, EnvironmentError, NixSettings, Packages, Sources, nix};
use crate::cache::Cache;
use crate::interrupt::Interrupt;
use crate::report::Silent;

/// One thing that builds may need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The thing.
    pub what: String,
    /// What there is of it, or why there is none.
    pub state: Result<String, String>,
}

/// Looks at registries, keys and Nix.
pub fn examine(cache: &Cache, settings: &NixSettings) -> Vec<Finding> {
    let sources = Sources::discover(cache);
    let mut findings: Vec<Finding> = Registry::ALL
        .into_iter()
        .map(|registry| Finding {
            what: registry.title().to_owned(),
            state: match sources.endpoint(registry) {
                Ok(endpoint) => Ok(format!("{} ({})", endpoint.url, endpoint.provenance)),
                Err(error) => Err(error.to_string()),
            },
        })
        .collect();
    let keyring = super::debian::keyring_path(&sources);
    findings.push(Finding {
        what: "Debian's keys".to_owned(),
        state: if keyring.is_file() {
            Ok(keyring.display().to_string())
        } else {
            Err(format!("{} is missing", keyring.display()))
        },
    });
    let context = Context {
        folder: Path::new("/"),
        packages: Packages::Nix,
        machine: None,
        nix: settings,
        sources: &sources,
        cache,
        report: &Silent,
        interrupt: &Interrupt::default(),
    };
    findings.extend(nix::examine(&context));
    findings
}

/// Every attribute of nixpkgs that a plan of a provider's can ask for, sorted.
pub fn catalog_attributes() -> BTreeSet<String> {
    nix::catalog::attributes()
}

/// Store paths in the store that Nix has below the cache folder, and their bytes.
pub fn nix_usage(cache: &Cache) -> (usize, u64) {
    nix::keep::usage(cache)
}

/// Has Nix remove what no build holds of the store below the cache folder; how many paths, and their bytes.
pub fn sweep_nix(cache: &Cache, interrupt: &Interrupt) -> Result<(usize, u64), EnvironmentError> {
    nix::keep::sweep(cache, interrupt)
}
