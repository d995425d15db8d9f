//! Pipfile, as far as it matters.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use toml::Value;

use crate::plan::PlanError;
use crate::provider::Evidence;
use crate::read;
use crate::repo::Repo;
use crate::version::Candidate;

pub(super) const PIPFILE: &str = "Pipfile";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pipfile {
    pub(super) packages: BTreeMap<String, Value>,
    requires: Requires,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
struct Requires {
    python_version: Option<String>,
    python_full_version: Option<String>,
}

impl Pipfile {
    pub(super) fn read(repo: &Repo) -> Result<Option<Arc<Self>>, PlanError> {
        repo.parsed(PIPFILE, |text| read::toml::<Self>(PIPFILE, text))
    }

    /// The Python that it wants.
    pub(super) fn python(&self, repo: &Repo) -> Result<Option<Candidate>, PlanError> {
        let Requires {
            python_version,
            python_full_version,
        } = &self.requires;
        let full = python_full_version
            .as_ref()
            .map(|text| ("python_full_version", text));
        let short = python_version.as_ref().map(|text| ("python_version", text));
        let Some((key, value)) = full.or(short) else {
            return Ok(None);
        };
        let text = repo.text(PIPFILE)?.unwrap_or_default();
        let evidence = Evidence::key(
            PIPFILE,
            &format!("requires.{key}"),
            read::line_of(&text, key),
            value,
        );
        Ok(Some(Candidate::new(value, evidence)))
    }
}
