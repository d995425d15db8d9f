//! What a language says about a repository, and what it is asked with.
//!
//! Owns the vocabulary: provider, claim, evidence, decision, proposal. Choosing among claims is for `detect.rs`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::plan::{BuildPlan, PlanError};
use crate::read;
use crate::repo::Repo;

/// Why something was decided: the file, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Relative to the root; `environment` for a variable.
    pub file: String,
    /// The key in the file, where it has keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What is there, in words.
    pub note: String,
}

impl Evidence {
    /// A file that is there.
    pub fn file(file: &str, note: &str) -> Self {
        Self {
            file: file.to_owned(),
            key: None,
            line: None,
            note: note.to_owned(),
        }
    }

    /// A key in a file.
    pub fn key(file: &str, key: &str, line: Option<usize>, note: &str) -> Self {
        Self {
            file: file.to_owned(),
            key: Some(key.to_owned()),
            line,
            note: note.to_owned(),
        }
    }

    /// The first of some files that goes into the image.
    pub(crate) fn first_file(repo: &Repo, files: &[&str]) -> Option<Self> {
        let file = files
            .iter()
            .find(|file| repo.is_file(file) && repo.in_image(file))?;
        Some(Self::file(file, "found at the root"))
    }
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(formatter, " ({key})")?;
        }
        Ok(())
    }
}

/// One choice, with its reason and what else there was. `explain` prints these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// What was chosen: `provider`, `nodejs`, `install`, `start`.
    pub subject: String,
    /// The choice.
    pub choice: String,
    /// Why, as a lowercase fragment.
    pub reason: String,
    /// Where it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What was not chosen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<String>,
}

impl Decision {
    pub(crate) fn new(subject: &str, choice: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            subject: subject.to_owned(),
            choice: choice.into(),
            reason: reason.into(),
            evidence: None,
            rejected: Vec::new(),
        }
    }

    pub(crate) fn from(mut self, evidence: impl Into<Option<Evidence>>) -> Self {
        self.evidence = evidence.into();
        self
    }

    pub(crate) fn over(mut self, rejected: Vec<String>) -> Self {
        self.rejected = rejected;
        self
    }
}

/// How sure a provider is. The stronger claim wins; among equals the table in `detect.rs` decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Something that many kinds of repository have: `public/`, `start.sh`.
    Weak,
    /// A program or page of the language, without a manifest: `main.go`, `main.py`, `index.html`.
    Likely,
    /// The language's own manifest: `package.json`, `go.mod`.
    Definite,
}

/// A provider's claim on a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// How sure it is.
    pub strength: Strength,
    /// Why.
    pub evidence: Evidence,
    /// Whether it makes something that another language's program serves: assets, a front end.
    pub assists: bool,
}

impl Claim {
    /// A claim on the whole repository.
    pub fn new(strength: Strength, evidence: Evidence) -> Self {
        Self {
            strength,
            evidence,
            assists: false,
        }
    }

    /// The same claim by a language that makes assets for others, or not.
    #[must_use]
    pub fn assisting(self, assists: bool) -> Self {
        Self { assists, ..self }
    }
}

/// What a provider is asked with.
pub struct Request<'a> {
    /// The application.
    pub repo: &'a Repo,
    /// `[variables]` of the file and `--env`, the latter winning.
    pub variables: &'a BTreeMap<String, String>,
    /// Whether a test phase is wanted.
    pub test: bool,
    /// Whether another language has the program: assets are built, nothing is started, served or kept for run time.
    pub assisting: bool,
}

impl Request<'_> {
    /// A `NIXPACKS_` variable, or Railpack's of the same name, without newlines; `None` when it is empty.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.setting_with_evidence(name).map(|(value, _)| value)
    }

    /// Such a variable and the evidence for it.
    pub fn setting_with_evidence(&self, name: &str) -> Option<(String, Evidence)> {
        ["NIXPACKS_", "RAILPACK_"].into_iter().find_map(|prefix| {
            let name = format!("{prefix}{name}");
            let value = self.variables.get(&name)?.replace(['\n', '\r'], "");
            let value = value.trim();
            let evidence = Evidence::key("environment", &name, None, value);
            (!value.is_empty()).then(|| (value.to_owned(), evidence))
        })
    }
}

/// A provider's part of the plan.
#[derive(Debug, Clone, Default)]
pub struct Proposal {
    /// The plan.
    pub plan: BuildPlan,
    /// How it came about.
    pub decisions: Vec<Decision>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What to do when nothing says how to start, no override either.
    pub without_start: Option<String>,
    /// What it is, for `NIXPACKS_METADATA`: `python`, `django`.
    pub metadata: Vec<String>,
}

/// What tests ask of a proposal.
#[cfg(test)]
impl Proposal {
    /// The tools of its setup phase.
    pub(crate) fn tools(&self) -> Vec<String> {
        self.plan.phases["setup"].nix_pkgs.clone().unwrap()
    }

    /// The commands of a phase.
    pub(crate) fn commands(&self, phase: &str) -> Vec<String> {
        self.plan.phases[phase].cmds.clone().unwrap()
    }

    /// How it starts, and the files that it keeps.
    pub(crate) fn started(&self) -> (String, Vec<String>) {
        let start = self.plan.start.clone().unwrap();
        (start.cmd.unwrap(), start.only_include_files.unwrap())
    }
}

/// One language.
pub trait Provider: Sync {
    /// Its name in `providers`.
    fn name(&self) -> &'static str;
    /// Whether the repository is one of its own.
    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError>;
    /// What building it takes. Also asked when it was named and did not detect.
    fn propose(&self, request: &Request) -> Result<Proposal, PlanError>;
    /// The files that it looks for, for advice when nothing is found.
    fn markers(&self) -> &'static [&'static str];
}

/// Names that are nearly a marker: other case, a slip of a finger, a doubled ending.
pub(crate) fn near_markers(names: &[String], markers: &[&str]) -> Vec<String> {
    let mut advice = Vec::new();
    for name in names
        .iter()
        .filter(|name| !markers.contains(&name.as_str()))
    {
        let plain = name.trim_end_matches(".txt");
        let same = markers
            .iter()
            .find(|marker| marker.eq_ignore_ascii_case(name) || **marker == plain)
            .map(|marker| (*marker).to_owned());
        let near = same.or_else(|| {
            (name.len() >= 6)
                .then(|| read::nearest(name, markers.iter().copied()))
                .flatten()
        });
        if let Some(marker) = near {
            advice.push(format!(
                "{name} looks like {marker}; rename it if that is what it is"
            ));
        }
    }
    advice
}
