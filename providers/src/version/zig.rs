//! Zig's versions: before 1.0 each minor release breaks programs, so that the least version names a line too.

use super::{Candidate, Grammar, Tool};
use crate::plan::PlanError;

/// The key of build.zig.zon.
pub(crate) const MINIMUM: &str = "minimum_zig_version";

/// The Zig to use: the first candidate decides. Builds between releases are not to be had: the release after them is used.
pub(crate) fn zig(candidates: &[Candidate]) -> Result<Tool, PlanError> {
    let mut candidates = candidates.to_vec();
    let Some(first) = candidates.first_mut() else {
        return super::tool("zig", Grammar::Npm, &[]);
    };
    let asked = first.text.clone();
    let least = first.evidence.key.as_deref() == Some(MINIMUM);
    let development = asked.split_once("-dev");
    if let Some((release, _)) = development {
        // 0.15.0-dev.27+1a2b3c is on the way to 0.15.0.
        first.text = format!("~{release}");
    } else if matches!(asked.as_str(), "master" | "nightly" | "dev") {
        "latest".clone_into(&mut first.text);
    } else if least {
        first.text = format!("~{asked}");
    }
    let place = first.evidence.to_string();
    let between = development.is_some() || first.text == "latest" && asked != "latest";
    let mut tool = super::tool("zig", Grammar::Npm, &candidates)?;
    if between {
        tool.warnings.push(format!(
            "{place} asks for Zig {asked}; there are releases alone, so {} is used",
            tool.range
        ));
    }
    Ok(tool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Evidence;

    #[test]
    fn the_least_version_names_a_line_and_builds_between_releases_the_next_one() {
        for (text, key, range, warned) in [
            ("0.13.0", "file", "0.13.0", false),
            ("0.14.0", MINIMUM, "0.14", false),
            ("0.14.1", MINIMUM, "~0.14.1", false),
            ("0.15.0-dev.27+1a2b3c", MINIMUM, "0.15", true),
            ("master", "file", "0.15", true),
            ("latest", "file", "0.15", false),
        ] {
            let candidate = Candidate::new(text, Evidence::key("f", key, None, text));
            let tool = zig(&[candidate]).unwrap();
            assert_eq!(tool.range, range, "{text}");
            assert_eq!(!tool.warnings.is_empty(), warned, "{text}");
        }
        let bad = Candidate::new("banana", Evidence::key("f", MINIMUM, None, ""));
        assert!(zig(&[bad]).is_err());
    }
}
