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
    let text = first.text.trim_start_matches("python-");
    let text = text
        .strip_prefix("cpython")
        .map_or(text, |rest| rest.get(1..).unwrap_or_default());
    let text = text.split("-linux").next().unwrap_or_default();
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
            let range = format!("{major}.{minor}");
            Ok(Tool::new("python", range, reason, candidates))
        }
        _ => {
            let ranges = alternatives(text)
                .ok_or_else(|| first.refuse("python", "not a version or range"))?;
            let (range, reason) = python_range(&ranges);
            Ok(Tool::new("python", range, reason, candidates))
        }
    }
}

/// A range in PEP 440's grammar or in Poetry's as one of npm's; what is wrong otherwise.
pub(crate) fn pep440(text: &str) -> Result<String, String> {
    let ranges = alternatives(text).ok_or("not a version or range")?;
    Ok(npm_range(&ranges, true))
}

/// The ranges of which one has to hold. Poetry writes `^3.9`, `~3.9`, `3.9 || 3.11` and spaces beside what PEP 440 has.
fn alternatives(text: &str) -> Option<Vec<VersionSpecifiers>> {
    if matches!(text.trim(), "*" | "latest" | "any") {
        return Some(vec![VersionSpecifiers::empty()]);
    }
    let ranges = text.split('|').filter(|part| !part.is_empty());
    let ranges: Option<Vec<VersionSpecifiers>> = ranges.map(all_of).collect();
    ranges.filter(|ranges| !ranges.is_empty())
}

/// Conditions that all hold, between commas or spaces.
fn all_of(text: &str) -> Option<VersionSpecifiers> {
    let mut conditions = Vec::new();
    let mut operator = String::new();
    for word in text.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
        operator.push_str(word);
        // An operator may stand apart from its version.
        if word.contains(|letter: char| letter.is_ascii_digit() || letter == '*') {
            conditions.push(condition(&std::mem::take(&mut operator))?);
        }
    }
    if !operator.is_empty() || conditions.is_empty() {
        return None;
    }
    VersionSpecifiers::from_str(&conditions.join(",")).ok()
}

/// One condition as PEP 440 writes it.
fn condition(text: &str) -> Option<String> {
    let split = text
        .find(|letter: char| !"<>=!~^".contains(letter))
        .unwrap_or_default();
    let (operator, version) = text.split_at(split);
    let numbers =
        || -> Option<Vec<u64>> { version.split('.').map(|part| part.parse().ok()).collect() };
    let below = |numbers: &[u64], shared: usize| {
        let mut upper = numbers.get(..shared.min(numbers.len()))?.to_vec();
        let last = upper.last_mut()?;
        *last = last.saturating_add(1);
        let words: Vec<String> = upper.iter().map(u64::to_string).collect();
        Some(format!(">={version},<{}", words.join(".")))
    };
    match operator {
        "" if version.ends_with('*') => Some(format!("=={version}")),
        // Poetry means this release alone; a line is what Debian has.
        "" if version.split('.').count() < 3 => Some(format!("=={version}.*")),
        "" => Some(format!("=={version}")),
        "^" => {
            let numbers = numbers()?;
            let zeros = numbers.iter().take_while(|number| **number == 0).count();
            below(&numbers, zeros + 1)
        }
        "~" => below(&numbers()?, 2),
        _ => Some(text.to_owned()),
    }
}

fn python_range(ranges: &[VersionSpecifiers]) -> (String, &'static str) {
    // A patch level that any distribution has passed by now: a floor such as >=3.13.2 is met as well.
    let default = pep440_rs::Version::from_str(&format!("{}.99", releases::of("python").default));
    if default.is_ok_and(|version| ranges.iter().any(|range| range.contains(&version))) {
        return (
            releases::of("python").default.to_owned(),
            "the default, which the range allows",
        );
    }
    (npm_range(ranges, false), "the default is not in the range")
}

/// A version of three numbers stays one when releases of a line are told apart.
fn npm_range(ranges: &[VersionSpecifiers], releases: bool) -> String {
    let each = ranges.iter().map(|range| {
        let parts: Vec<String> = range
            .iter()
            .filter_map(|one| npm_part(one, releases))
            .collect();
        if parts.is_empty() {
            "*".to_owned()
        } else {
            parts.join(" ")
        }
    });
    each.collect::<Vec<_>>().join(" || ")
}

fn npm_part(specifier: &pep440_rs::VersionSpecifier, releases: bool) -> Option<String> {
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
        Operator::Equal | Operator::ExactEqual if release.len() > 2 && !releases => {
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
