//! Go's versions: the go line is a minimum, the toolchain line is exact.

use super::{Candidate, LENGTH_LIMIT, Tool, releases};
use crate::plan::PlanError;

/// The first Go that is distributed as a module, which is where toolchains come from.
const GO_OLDEST: (u64, u64) = (1, 21);

/// The Go to use: the first candidate decides. A `go` line is the least that the module needs.
pub(crate) fn go(candidates: &[Candidate]) -> Result<Tool, PlanError> {
    let Some(first) = candidates.first() else {
        let reason = "nothing asks for a version; this is the default";
        return Ok(Tool::new(
            "go",
            releases::of("go").default.to_owned(),
            reason,
            candidates,
        ));
    };
    let text = first.text.trim_start_matches("go").trim_start_matches('v');
    if matches!(text, "latest" | "default" | "stable") {
        return Ok(Tool::new(
            "go",
            releases::of("go").default.to_owned(),
            "the default",
            candidates,
        ));
    }
    // 1.21rc2 and 1.24.1-custom count as their release.
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let numbers: Option<Vec<u64>> = text[..end]
        .trim_end_matches('.')
        .split('.')
        .map(|part| part.parse().ok())
        .collect();
    let minimum = first.evidence.key.as_deref() == Some("go");
    let numbers = numbers
        .filter(|_| text.len() <= LENGTH_LIMIT)
        .ok_or_else(|| first.refuse("go", "not a Go version"))?;
    match numbers[..] {
        [major, minor, ..] if minimum && (major, minor) < GO_OLDEST => {
            let reason =
                "newer Go builds older modules, and this old one is not distributed as a module";
            Ok(Tool::new(
                "go",
                releases::of("go").default.to_owned(),
                reason,
                candidates,
            ))
        }
        [major, minor, patch] if minimum => {
            let range = if patch == 0 {
                format!("{major}.{minor}")
            } else {
                format!("~{major}.{minor}.{patch}")
            };
            Ok(Tool::new(
                "go",
                range,
                "the line of go.mod, or a later patch of it",
                candidates,
            ))
        }
        [major, minor, patch] => Ok(Tool::new(
            "go",
            format!("{major}.{minor}.{patch}"),
            "as asked for",
            candidates,
        )),
        [major, minor] => Ok(Tool::new(
            "go",
            format!("{major}.{minor}"),
            "as asked for",
            candidates,
        )),
        [major] => Ok(Tool::new(
            "go",
            major.to_string(),
            "as asked for",
            candidates,
        )),
        _ => Err(first.refuse("go", "not a Go version")),
    }
}
