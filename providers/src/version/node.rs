//! Node's versions: npm's ranges and the names of its long-term lines.

use nodejs_semver::Range;

use super::{Candidate, Grammar, Tool, releases};
use crate::plan::PlanError;

/// The names of long-term lines. Source: nodejs/Release schedule, 2026-11-21.
const NAMES: &[(&str, &str)] = &[
    ("krypton", "24"),
    ("jod", "22"),
    ("iron", "20"),
    ("hydrogen", "18"),
    ("gallium", "16"),
    ("fermium", "14"),
    ("erbium", "12"),
];

/// The Node to use: the first candidate decides.
pub(crate) fn node(candidates: &[Candidate]) -> Result<Tool, PlanError> {
    let mut candidates = candidates.to_vec();
    if let Some(first) = candidates.first_mut() {
        first.text =
            plain(&first.text).ok_or_else(|| first.refuse("nodejs", "no such release line"))?;
    }
    super::tool("nodejs", Grammar::Npm, &candidates)
}

/// Whether one wish allows less than another, and nothing else.
pub(crate) fn is_part_of(one: &Candidate, other: &Candidate) -> bool {
    let range = |wish: &Candidate| Range::parse(plain(&wish.text)?).ok();
    match (range(one), range(other)) {
        (Some(one), Some(other)) => other.allows_all(&one) && !one.allows_all(&other),
        _ => false,
    }
}

/// Without nvm's words: `lts/iron` is `20`.
fn plain(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "lts/*" | "--lts" => Some("lts".to_owned()),
        "node" | "latest" | "current" | "stable" => {
            Some(releases::of("nodejs").lines.first()?.name.to_owned())
        }
        other => match other
            .strip_prefix("lts/")
            .or_else(|| other.strip_prefix("lts-"))
        {
            Some(name) => NAMES
                .iter()
                .find(|line| line.0 == name)
                .map(|line| line.1.to_owned()),
            None => Some(text.to_owned()),
        },
    }
}
