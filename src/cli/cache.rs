//! `packwright cache`: what builds keep for each other.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Subcommand;

use super::Global;
use crate::cache::Kind;
use crate::environment::{nix_usage, sweep_nix};
use crate::error::Failure;
use crate::interrupt::Interrupt;
use crate::pipeline::size;

/// What to do with the caches.
#[derive(Debug, Subcommand)]
pub enum CacheVerb {
    /// List the kinds of entry, their number and size
    Ls,
    /// Remove entries; images stay
    Prune {
        /// Only what no build used for so many days
        #[arg(long, value_name = "DAYS", default_value_t = 0)]
        older_than: u64,
        /// Only these kinds, as cache ls names them; several with commas between
        #[arg(long, value_name = "KIND", value_delimiter = ',')]
        kind: Vec<String>,
    },
}

/// Runs the verb.
pub fn run(verb: &CacheVerb, global: &Global) -> anyhow::Result<ExitCode> {
    let cache = global.cache()?;
    match verb {
        CacheVerb::Ls => {
            let usage = cache.usage().map_err(Failure::from)?;
            let rows = usage
                .iter()
                .map(|usage| (usage.kind.folder(), usage.entries, usage.bytes));
            let (paths, bytes) = nix_usage(&cache);
            let lines = rows
                .chain([("nix-store", paths, bytes)])
                .map(|(kind, entries, bytes)| {
                    if global.json {
                        let row =
                            serde_json::json!({ "kind": kind, "entries": entries, "bytes": bytes });
                        return format!("{row}\n");
                    }
                    format!("{kind:<10} {entries:>6}  {:>9}\n", size(bytes))
                });
            super::print(lines.collect::<String>().as_bytes())
        }
        CacheVerb::Prune { older_than, kind } => {
            let kinds = kinds(kind)?;
            let age = Duration::from_secs(older_than.saturating_mul(24 * 3600));
            let before = SystemTime::now()
                .checked_sub(age)
                .unwrap_or(SystemTime::UNIX_EPOCH);
            let (mut count, mut bytes) = cache.prune(&kinds, before).map_err(Failure::from)?;
            if kinds.contains(&Kind::Nix) {
                // What these entries held is in Nix's store until Nix removes it.
                let interrupt = Interrupt::default();
                super::handle_signals(&interrupt)?;
                let swept = sweep_nix(&cache, &interrupt).map_err(Failure::from)?;
                count += swept.0;
                bytes += swept.1;
            }
            let text = if global.json {
                serde_json::json!({ "removed": count, "bytes": bytes }).to_string()
            } else {
                format!("removed: {count}, freed: {}", size(bytes))
            };
            super::print(format!("{text}\n").as_bytes())
        }
    }
}

fn kinds(names: &[String]) -> Result<Vec<Kind>, Failure> {
    if names.is_empty() {
        return Ok(Kind::ALL.to_vec());
    }
    names
        .iter()
        .map(|name| {
            let known = || Kind::ALL.map(Kind::folder).join(", ");
            let found = Kind::ALL.into_iter().find(|kind| kind.folder() == name);
            found.ok_or_else(|| {
                Failure::usage(format!(
                    "no kind of cache is called {name}; there are {}",
                    known()
                ))
            })
        })
        .collect()
}
