//! Versions that repositories ask for, as ranges in one grammar (npm's), with where each is written.
//!
//! Owns where versions are written and how one is chosen: `grammar.rs` has the ecosystems' ways to write ranges,
//! `releases.rs` what is current. Finding the exact version is for the environment.

use std::collections::BTreeMap;

use nodejs_semver::Range;
use serde::Deserialize;

use crate::plan::PlanError;
use crate::provider::{Decision, Evidence};
use crate::read;
use crate::repo::Repo;

mod go;
mod grammar;
mod haskell;
mod node;
mod python;
mod releases;
mod rust;
mod zig;

pub(crate) use go::go;
pub(crate) use grammar::Grammar;
pub(crate) use haskell::ghc_of_base;
pub(crate) use node::{is_part_of, node};
pub(crate) use python::{pep440, python};
pub(crate) use rust::{edition as rust_of_edition, rust};
pub(crate) use zig::{MINIMUM as ZIG_MINIMUM, zig};

/// A longer text is no version.
const LENGTH_LIMIT: usize = 200;

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

    pub(crate) fn refuse(&self, tool: &'static str, message: &str) -> PlanError {
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

/// The tool to use: the first candidate decides, nothing means the default of `releases.rs`.
///
/// The range is the simplest that says it: a release line (`22`, `3.3`) when the wish allows all of it, the wish's part
/// of one line otherwise. A tool without lines gets the wish itself.
pub(crate) fn tool(
    name: &'static str,
    grammar: Grammar,
    candidates: &[Candidate],
) -> Result<Tool, PlanError> {
    let releases = releases::of(name);
    let Some(first) = candidates.first() else {
        let reason = "nothing asks for a version; this is the default";
        return Ok(Tool::new(
            name,
            releases.default.to_owned(),
            reason,
            candidates,
        ));
    };
    if first.text.len() > LENGTH_LIMIT {
        return Err(first.refuse(name, "too long"));
    }
    if matches!(
        first.text.to_ascii_lowercase().as_str(),
        "" | "*" | "x" | "latest" | "stable" | "lts" | "current"
    ) {
        return Ok(Tool::new(
            name,
            releases.default.to_owned(),
            "any version will do; this is the default",
            candidates,
        ));
    }
    let (range, reason) = grammar
        .range(&first.text)
        .and_then(|wish| simplest(releases, &wish))
        .map_err(|message| first.refuse(name, &message))?;
    let mut tool = Tool::new(name, range, reason, candidates);
    tool.warnings.extend(unsupported(releases, &tool.range));
    Ok(tool)
}

/// The part of a wish that lies in the best line that it allows.
fn simplest(releases: &releases::Releases, text: &str) -> Result<(String, &'static str), String> {
    let wish = Range::parse(text).map_err(|_| "not a range of versions".to_owned())?;
    for line in releases.by_preference() {
        let Ok(all) = Range::parse(line) else {
            continue;
        };
        if wish.allows_all(&all) {
            return Ok((
                line.to_owned(),
                "the best release line that the range allows",
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
    let clean = text.trim().trim_start_matches(['v', '=']).to_owned();
    Ok((clean, "as asked for; a release that is not in the table"))
}

/// A warning for a range whose lowest version gets no fixes any more.
fn unsupported(releases: &releases::Releases, range: &str) -> Option<String> {
    let lowest = Range::parse(range).ok()?.min_version()?;
    let line = releases
        .lines
        .iter()
        .find(|line| Range::parse(line.name).is_ok_and(|all| all.satisfies(&lowest)))?;
    (!line.until.is_empty() && line.until < releases::DATE).then(|| {
        format!(
            "{} {} has had no security fixes since {}; {} is current",
            releases.tool, line.name, line.until, releases.default
        )
    })
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
            // Poetry's.
            ("^3.10", "3.13"),
            ("^3.14", ">=3.14 <4"),
            ("~3.11", ">=3.11 <3.12"),
            ("~3.10 || ~3.11", ">=3.10 <3.11 || >=3.11 <3.12"),
            (">=3.9 <3.12", ">=3.9 <3.12"),
            ("3.11.*", "3.11"),
            ("*", "3.13"),
            ("latest", "3.13"),
            ("cpython-3.11.2-linux-x86_64-gnu", "3.11"),
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
            ("1.18", "go", releases::of("go").default),
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
