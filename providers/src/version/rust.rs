//! Rust's versions: toolchain files name channels, manifests the least that will do.

use nodejs_semver::{Range, Version};

use super::{Candidate, Grammar, Tool, releases};
use crate::plan::PlanError;

/// The least Rust of each edition. Source: the edition guide.
const EDITIONS: &[(&str, &str)] = &[("2018", "1.31"), ("2021", "1.56"), ("2024", "1.85")];

/// The least Rust that knows an edition.
pub(crate) fn edition(year: &str) -> Option<&'static str> {
    EDITIONS
        .iter()
        .find(|(name, _)| *name == year)
        .map(|(_, least)| *least)
}

/// The Rust to use: the first candidate decides. `rust-version` and `edition` are the least that will do.
pub(crate) fn rust(candidates: &[Candidate]) -> Result<Tool, PlanError> {
    let mut candidates = candidates.to_vec();
    let Some(first) = candidates.first_mut() else {
        return super::tool("rust", Grammar::Plain, &[]);
    };
    let key = first.evidence.key.as_deref().unwrap_or_default();
    let least = key.ends_with("rust-version") || key.ends_with("edition");
    let text = first.text.clone();
    let channel = text.split('-').next().unwrap_or_default();
    if matches!(channel, "nightly" | "beta" | "dev") {
        "stable".clone_into(&mut first.text);
        let mut tool = super::tool("rust", Grammar::Plain, &candidates)?;
        tool.warnings.push(format!(
            "{} asks for Rust {text}; there are stable releases alone, so {} is used: features that only {channel} has fail",
            first_place(&candidates), tool.range
        ));
        return Ok(tool);
    }
    if channel == "stable" {
        "stable".clone_into(&mut first.text);
    }
    if !least {
        return super::tool("rust", Grammar::Plain, &candidates);
    }
    let default = releases::of("rust").default;
    let enough = Range::parse(format!(">={text}"))
        .ok()
        .zip(Version::parse(format!("{default}.0")).ok());
    let Some((range, version)) = enough else {
        return Err(candidates[0].refuse("rust", "not a version"));
    };
    let (range, reason) = if range.satisfies(&version) {
        (
            default.to_owned(),
            "newer Rust builds what was made for older ones; this is the default",
        )
    } else {
        (format!(">={text}"), "the least that will do")
    };
    Ok(Tool::new("rust", range, reason, &candidates))
}

fn first_place(candidates: &[Candidate]) -> String {
    candidates
        .first()
        .map(|first| first.evidence.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Evidence;

    #[test]
    fn channels_are_releases_and_manifests_say_the_least() {
        for (text, key, range) in [
            ("1.80", "toolchain.channel", "1.80"),
            ("1.80.1", "toolchain.channel", "1.80.1"),
            ("stable", "toolchain.channel", "1.96"),
            (
                "stable-x86_64-unknown-linux-gnu",
                "toolchain.channel",
                "1.96",
            ),
            ("nightly-2024-05-01", "toolchain.channel", "1.96"),
            ("1.70", "package.rust-version", "1.96"),
            ("1.99", "workspace.package.rust-version", ">=1.99"),
            ("1.85", "package.edition", "1.96"),
        ] {
            let tool = rust(&[Candidate::new(text, Evidence::key("f", key, None, text))]).unwrap();
            assert_eq!(tool.range, range, "{text}");
            assert_eq!(tool.warnings.is_empty(), !text.starts_with("nightly"));
        }
        let bad = [Candidate::new(
            "banana",
            Evidence::key("f", "package.rust-version", None, ""),
        )];
        assert!(rust(&bad).is_err());
    }
}
