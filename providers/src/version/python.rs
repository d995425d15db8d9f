//! Python's versions, in PEP 440's grammar.

use std::str::FromStr;

use pep440_rs::{Operator, VersionSpecifiers};

use super::{Candidate, LENGTH_LIMIT, Tool, releases};
use crate::plan::PlanError;

/// The Python to use: the first candidate decides. Patch releases are left to the source of packages.
pub(crate) fn python(candidates: &[Candidate]) -> Result<Tool, PlanError> {
    let Some(first) = candidates.first() else {
        let reason = "nothing asks for a version; this is the default";
        return Ok(Tool::new(
            "python",
            releases::of("python").default.to_owned(),
            reason,
            candidates,
        ));
    };
    if first.text.len() > LENGTH_LIMIT {
        return Err(first.refuse("python", "too long"));
    }
    let text = first
        .text
        .trim_start_matches("python-")
        .trim_start_matches("cpython-")
        .trim_start_matches("cpython@");
    let numbers: Option<Vec<u64>> = text.split('.').map(|part| part.parse().ok()).collect();
    match numbers.as_deref() {
        Some([major, minor]) => Ok(Tool::new(
            "python",
            format!("{major}.{minor}"),
            "as asked for",
            candidates,
        )),
        Some([major, minor, _]) => {
            let reason = "as asked for; the patch release is the package source's";
            Ok(Tool::new(
                "python",
                format!("{major}.{minor}"),
                reason,
                candidates,
            ))
        }
        _ => {
            let text = if numbers.is_some() {
                format!("=={text}.*")
            } else {
                text.to_owned()
            };
            let specifiers = VersionSpecifiers::from_str(&text)
                .map_err(|_| first.refuse("python", "not a version or PEP 440 range"))?;
            let (range, reason) = python_range(&specifiers);
            Ok(Tool::new("python", range, reason, candidates))
        }
    }
}

fn python_range(specifiers: &VersionSpecifiers) -> (String, &'static str) {
    // A patch level that any distribution has passed by now: a floor such as >=3.13.2 is met as well.
    let default = pep440_rs::Version::from_str(&format!("{}.99", releases::of("python").default));
    if default.is_ok_and(|version| specifiers.contains(&version)) {
        return (
            releases::of("python").default.to_owned(),
            "the default, which the range allows",
        );
    }
    let parts: Vec<String> = specifiers.iter().filter_map(python_part).collect();
    let range = if parts.is_empty() {
        "3".to_owned()
    } else {
        parts.join(" ")
    };
    (range, "the default is not in the range")
}

fn python_part(specifier: &pep440_rs::VersionSpecifier) -> Option<String> {
    let release = specifier.version().release();
    let number = |index: usize| release.get(index).copied().unwrap_or_default();
    let plain = || {
        release
            .iter()
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join(".")
    };
    match specifier.operator() {
        Operator::Equal | Operator::ExactEqual if release.len() > 2 => {
            Some(format!("{}.{}", number(0), number(1)))
        }
        Operator::Equal | Operator::ExactEqual | Operator::EqualStar => Some(plain()),
        Operator::TildeEqual if release.len() > 2 => {
            Some(format!(">={} <{}.{}", plain(), number(0), number(1) + 1))
        }
        Operator::TildeEqual => Some(format!(">={} <{}", plain(), number(0) + 1)),
        Operator::GreaterThan => Some(format!(">{}", plain())),
        Operator::GreaterThanEqual => Some(format!(">={}", plain())),
        Operator::LessThan => Some(format!("<{}", plain())),
        Operator::LessThanEqual => Some(format!("<={}", plain())),
        Operator::NotEqual | Operator::NotEqualStar => None,
    }
}
