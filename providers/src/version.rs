//! Versions that repositories ask for, as ranges in one grammar (npm's), with where each is written.
//!
//! Owns the grammars of the ecosystems and the tables of what is current. Finding the exact version is for the environment.

use std::collections::BTreeMap;
use std::str::FromStr;

use nodejs_semver::Range;
use pep440_rs::{Operator, VersionSpecifiers};
use serde::Deserialize;

use crate::plan::PlanError;
use crate::provider::{Decision, Evidence};
use crate::read;
use crate::repo::Repo;

/// A longer text is no version.
const LENGTH_LIMIT: usize = 200;

/// Node majors: major, codename of its long-term line, last day of support. Source: nodejs/Release schedule, 2026-11-21.
const NODE: &[(u64, Option<&str>, &str)] = &[
    (26, Some(""), "2029-04-30"), // Long-term since October 2026.
    (25, None, "2026-06-01"),
    (24, Some("krypton"), "2028-04-30"),
    (23, None, "2025-06-01"),
    (22, Some("jod"), "2027-04-30"),
    (21, None, "2024-06-01"),
    (20, Some("iron"), "2026-04-30"),
    (19, None, "2023-06-01"),
    (18, Some("hydrogen"), "2025-04-30"),
    (16, Some("gallium"), "2023-09-11"),
    (14, Some("fermium"), "2023-04-30"),
    (12, Some("erbium"), "2022-04-30"),
];
/// The day on which the tables were right.
const TABLE_DATE: &str = "2026-11-21";
/// What a Node application gets that asks for nothing.
pub(crate) const NODE_DEFAULT: u64 = 24;
/// What a Python application gets that asks for nothing: the version of the default Debian suite.
pub(crate) const PYTHON_DEFAULT: &str = "3.13";
/// What a Go program gets that asks for nothing: the older of the two supported lines on 2026-11-21.
pub(crate) const GO_DEFAULT: &str = "1.26";
/// The first Go that is distributed as a module, which is where toolchains come from.
const GO_OLDEST: (u64, u64) = (1, 21);

/// A text that asks for a version, and where it is written.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) text: String,
    pub(crate) evidence: Evidence,
}

impl Candidate {
    pub(crate) fn new(text: &str, evidence: Evidence) -> Self {
        Self {
            text: text.trim().to_owned(),
            evidence,
        }
    }

    fn refuse(&self, tool: &'static str, message: &str) -> PlanError {
        let value: String = self.text.chars().take(40).collect();
        PlanError::Version {
            place: self.evidence.to_string(),
            value,
            tool,
            message: message.to_owned(),
        }
    }
}

/// A tool with its range.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) range: String,
    pub(crate) decision: Decision,
    pub(crate) warnings: Vec<String>,
}

impl Tool {
    /// As in a plan: `nodejs@22`.
    pub(crate) fn entry(&self) -> String {
        format!("{}@{}", self.name, self.range)
    }

    fn new(name: &'static str, range: String, reason: &str, candidates: &[Candidate]) -> Self {
        let rejected = candidates
            .iter()
            .skip(1)
            .map(|other| format!("{}: {}", other.evidence, other.text))
            .collect();
        let evidence = candidates.first().map(|first| first.evidence.clone());
        let decision = Decision::new(name, range.clone(), reason)
            .from(evidence)
            .over(rejected);
        Self {
            name,
            range,
            decision,
            warnings: Vec::new(),
        }
    }
}

/// The first line of a one-line version file that says something.
pub(crate) fn version_file(repo: &Repo, file: &str) -> Result<Option<Candidate>, PlanError> {
    let Some(text) = repo.text(file)? else {
        return Ok(None);
    };
    let line = text
        .lines()
        .enumerate()
        .find(|(_, line)| !line.trim().is_empty() && !line.trim().starts_with('#'));
    Ok(line.map(|(index, line)| {
        let line = line.split('#').next().unwrap_or_default().trim();
        Candidate::new(
            line,
            Evidence {
                file: file.to_owned(),
                key: None,
                line: Some(index + 1),
                note: shorten(line),
            },
        )
    }))
}

/// What `.tool-versions` (asdf) and `mise.toml` say about a tool.
pub(crate) fn tool_managers(repo: &Repo, names: &[&str]) -> Result<Vec<Candidate>, PlanError> {
    let mut found = Vec::new();
    if let Some(text) = repo.text(".tool-versions")? {
        for (index, line) in text.lines().enumerate() {
            let mut words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            let Some(name) = words.next().filter(|name| names.contains(name)) else {
                continue;
            };
            if let Some(version) = words.next().filter(|version| {
                !matches!(*version, "system" | "ref") && !version.starts_with("path:")
            }) {
                found.push(Candidate::new(
                    version,
                    Evidence::key(".tool-versions", name, Some(index + 1), &shorten(version)),
                ));
            }
        }
    }
    for file in ["mise.toml", ".mise.toml"] {
        let Some(mise) = repo.parsed(file, |text| read::toml::<Mise>(file, text))? else {
            continue;
        };
        for (name, value) in mise
            .tools
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()))
        {
            let first = value
                .as_array()
                .and_then(|list| list.first())
                .unwrap_or(value);
            let version = first
                .as_str()
                .or_else(|| first.get("version").and_then(toml::Value::as_str));
            if let Some(version) = version {
                found.push(Candidate::new(
                    version,
                    Evidence::key(file, &format!("tools.{name}"), None, &shorten(version)),
                ));
            }
        }
    }
    Ok(found)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Mise {
    tools: BTreeMap<String, toml::Value>,
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The Node to use: the first candidate decides.
pub(crate) fn node(candidates: &[Candidate]) -> Result<Tool, PlanError> {
    let Some(first) = candidates.first() else {
        let reason = "nothing asks for a version; this is the default";
        return Ok(Tool::new(
            "nodejs",
            NODE_DEFAULT.to_string(),
            reason,
            candidates,
        ));
    };
    let text =
        node_alias(&first.text).ok_or_else(|| first.refuse("nodejs", "no such release line"))?;
    let (range, reason) = node_range(&text).map_err(|message| first.refuse("nodejs", &message))?;
    let mut tool = Tool::new("nodejs", range, reason, candidates);
    tool.warnings.extend(node_warning(&tool.range));
    Ok(tool)
}

fn node_alias(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let newest_long = || {
        NODE.iter()
            .find(|line| line.0 == NODE_DEFAULT)
            .map(|line| line.0.to_string())
    };
    match lower.as_str() {
        "" | "*" | "x" | "lts" | "lts/*" | "--lts" => newest_long(),
        "node" | "latest" | "current" | "stable" => NODE.first().map(|line| line.0.to_string()),
        other => match other
            .strip_prefix("lts/")
            .or_else(|| other.strip_prefix("lts-"))
        {
            Some(name) => NODE
                .iter()
                .find(|line| !name.is_empty() && line.1 == Some(name))
                .map(|line| line.0.to_string()),
            None => Some(text.to_owned()),
        },
    }
}

/// The simplest range that says it: a major when the wish allows all of it.
fn node_range(text: &str) -> Result<(String, &'static str), String> {
    if text.len() > LENGTH_LIMIT {
        return Err("too long".to_owned());
    }
    let wish = Range::parse(text).map_err(|_| "not a range as npm writes it".to_owned())?;
    let mut majors: Vec<u64> = vec![NODE_DEFAULT];
    majors.extend(
        NODE.iter()
            .filter(|line| line.1.is_some() && line.2 >= TABLE_DATE && line.0 < NODE_DEFAULT)
            .map(|line| line.0),
    );
    majors.extend(
        NODE.iter()
            .filter(|line| line.1.is_some() && line.0 > NODE_DEFAULT)
            .map(|line| line.0),
    );
    majors.extend(NODE.iter().map(|line| line.0));
    for major in majors {
        let Ok(all) = Range::parse(major.to_string()) else {
            continue;
        };
        if wish.allows_all(&all) {
            return Ok((
                major.to_string(),
                "the newest long-term release that the range allows",
            ));
        }
        if wish.allows_any(&all) {
            let clean = text.trim().trim_start_matches(['v', '=']).trim().to_owned();
            let outside = wish.difference(&all).is_some();
            let range = if outside {
                wish.intersect(&all).map_or(clean, |part| part.to_string())
            } else {
                clean
            };
            return Ok((range, "as asked for"));
        }
    }
    Ok((
        text.trim().trim_start_matches(['v', '=']).to_owned(),
        "as asked for; a release that is not in the table",
    ))
}

fn node_warning(range: &str) -> Option<String> {
    let major = Range::parse(range).ok()?.min_version()?.major();
    let line = NODE.iter().find(|line| line.0 == major)?;
    (line.2 < TABLE_DATE).then(|| {
        format!(
            "nodejs {major} has had no security fixes since {}; {NODE_DEFAULT} is current",
            line.2
        )
    })
}

/// The Python to use: the first candidate decides. Patch releases are left to the source of packages.
pub(crate) fn python(candidates: &[Candidate]) -> Result<Tool, PlanError> {
    let Some(first) = candidates.first() else {
        let reason = "nothing asks for a version; this is the default";
        return Ok(Tool::new(
            "python",
            PYTHON_DEFAULT.to_owned(),
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
    let default = pep440_rs::Version::from_str(&format!("{PYTHON_DEFAULT}.99"));
    if default.is_ok_and(|version| specifiers.contains(&version)) {
        return (
            PYTHON_DEFAULT.to_owned(),
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

/// The Go to use: the first candidate decides. A `go` line is the least that the module needs.
pub(crate) fn go(candidates: &[Candidate]) -> Result<Tool, PlanError> {
    let Some(first) = candidates.first() else {
        let reason = "nothing asks for a version; this is the default";
        return Ok(Tool::new("go", GO_DEFAULT.to_owned(), reason, candidates));
    };
    let text = first.text.trim_start_matches("go").trim_start_matches('v');
    if matches!(text, "latest" | "default" | "stable") {
        return Ok(Tool::new(
            "go",
            GO_DEFAULT.to_owned(),
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
            Ok(Tool::new("go", GO_DEFAULT.to_owned(), reason, candidates))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(text: &str, key: &str) -> Vec<Candidate> {
        vec![Candidate::new(text, Evidence::key("file", key, None, text))]
    }

    #[test]
    fn node_wishes_become_the_simplest_range() {
        for (wish, range) in [
            ("22.x", "22"),
            ("22", "22"),
            ("^22", "22"),
            (">=18", "24"),
            ("*", "24"),
            ("lts/*", "24"),
            ("lts/iron", "20"),
            ("v20.11.0", "20.11.0"),
            ("^22.12.0", "^22.12.0"),
            (">=24 <25", "24"),
            ("18 || 20", "20"),
            (">=18 <23", "22"),
            ("^20.9.0 || >=22.3.0", "24"),
            ("20.11", "20.11"),
            ("26", "26"),
            (">=25", "26"),
            ("~23.1", "~23.1"),
        ] {
            assert_eq!(
                node(&candidate(wish, "engines.node")).unwrap().range,
                range,
                "{wish}"
            );
        }
    }

    #[test]
    fn a_range_over_several_majors_is_cut_to_one() {
        let tool = node(&candidate("^22.12.0 || ^20.1.0", "engines.node")).unwrap();
        assert_eq!(tool.range, ">=22.12.0 <23.0.0-0");
    }

    #[test]
    fn an_old_node_warns_and_a_current_one_does_not() {
        assert!(node(&candidate("18", "x")).unwrap().warnings[0].contains("2025-04-30"));
        assert!(node(&candidate("22", "x")).unwrap().warnings.is_empty());
    }

    #[test]
    fn python_wishes_become_the_simplest_range() {
        for (wish, range) in [
            ("3.11", "3.11"),
            ("3.11.4", "3.11"),
            ("python-3.12.1", "3.12"),
            (">=3.9", "3.13"),
            (">=3.13.2", "3.13"),
            ("3", "3.13"),
            (">=3.10,<3.12", ">=3.10 <3.12"),
            ("~=3.11.2", ">=3.11.2 <3.12"),
            ("==3.11.*", "3.11"),
            (">=3.14", ">=3.14"),
            ("<3.13,!=3.12.1", "<3.13"),
        ] {
            assert_eq!(
                python(&candidate(wish, "x")).unwrap().range,
                range,
                "{wish}"
            );
        }
    }

    #[test]
    fn go_lines_are_minimums_and_toolchains_are_exact() {
        for (wish, key, range) in [
            ("1.24", "go", "1.24"),
            ("1.24.1", "go", "~1.24.1"),
            ("1.24.0", "go", "1.24"),
            ("1.18", "go", GO_DEFAULT),
            ("go1.24.3", "toolchain", "1.24.3"),
            ("1.23.1", ".tool-versions", "1.23.1"),
            ("1.21rc2", "go", "1.21"),
        ] {
            assert_eq!(go(&candidate(wish, key)).unwrap().range, range, "{wish}");
        }
    }

    #[test]
    fn nonsense_is_an_error_that_names_its_place_and_is_short() {
        let long = "9".repeat(10_000);
        for wish in ["banana", ">=*||^", "pypy3.9", long.as_str()] {
            for result in [
                node(&candidate(wish, "k")),
                python(&candidate(wish, "k")),
                go(&candidate(wish, "k")),
            ] {
                if let Err(error) = result {
                    assert!(error.to_string().starts_with("file (k): "), "{error}");
                    assert!(error.to_string().len() < 200 && error.hint().is_some());
                }
            }
        }
        assert!(node(&candidate("banana", "k")).is_err());
        assert!(python(&candidate("pypy3.9", "k")).is_err());
        assert!(go(&candidate("banana", "k")).is_err());
    }

    #[test]
    fn asdf_and_mise_are_read() {
        let repo = Repo::in_memory(&[
            (
                ".tool-versions",
                "# x\nnodejs 20.1.0 system\npython system\n",
            ),
            ("mise.toml", "[tools]\nnode = ['22', '20']\n"),
        ]);
        let found = tool_managers(&repo, &["nodejs", "node"]).unwrap();
        assert_eq!(
            found
                .iter()
                .map(|one| one.text.as_str())
                .collect::<Vec<_>>(),
            ["20.1.0", "22"]
        );
        assert_eq!(found[0].evidence.line, Some(2));
        assert!(tool_managers(&repo, &["python"]).unwrap().is_empty());
    }
}
