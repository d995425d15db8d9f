//! Which manager installs: the one that is named, else the one whose lock file or manifest there is.
//!
//! Owns nixpacks' order among managers, and where the managers' own versions come from. What they run is for `install.rs`.

use crate::plan::PlanError;
use crate::provider::{Decision, Request};
use crate::repo::Repo;
use crate::version::{self, Candidate};

use super::pipfile::PIPFILE;
use super::pyproject::{PYPROJECT, Pyproject};
use super::setup::Setup;

pub(super) const REQUIREMENTS: &str = "requirements.txt";

/// How dependencies come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    /// A requirements.txt, by pip.
    Requirements,
    /// The project as a package, by whatever builds it.
    Setuptools,
    Uv,
    Poetry,
    Pdm,
    Pipenv,
    None,
}

impl Manager {
    /// Its lock file.
    pub(super) fn lock_file(self) -> Option<&'static str> {
        match self {
            Self::Uv => Some("uv.lock"),
            Self::Poetry => Some("poetry.lock"),
            Self::Pdm => Some("pdm.lock"),
            Self::Pipenv => Some("Pipfile.lock"),
            Self::Requirements | Self::Setuptools | Self::None => None,
        }
    }

    /// The tools of the plan that installing takes, the manager's own last.
    pub(super) fn tools(self) -> &'static [&'static str] {
        match self {
            Self::Uv | Self::Setuptools => &["uv"],
            Self::Poetry => &["uv", "poetry"],
            Self::Pdm => &["uv", "pdm"],
            Self::Pipenv => &["uv", "pipenv"],
            Self::Requirements | Self::None => &[],
        }
    }

    /// Its name, as decisions have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Requirements => "pip",
            Self::Setuptools => "setuptools",
            Self::Uv => "uv",
            Self::Poetry => "poetry",
            Self::Pdm => "pdm",
            Self::Pipenv => "pipenv",
            Self::None => "none",
        }
    }

    /// What makes its lock file.
    fn locking(self) -> &'static str {
        match self {
            Self::Poetry => "poetry lock",
            Self::Pdm => "pdm lock",
            Self::Pipenv => "pipenv lock",
            _ => "uv lock",
        }
    }
}

/// Values of `NIXPACKS_PYTHON_PACKAGE_MANAGER`; `auto` aside, which is as if there were none.
const NAMES: [(&str, Manager); 8] = [
    ("pdm", Manager::Pdm),
    ("pip", Manager::Requirements),
    ("pipenv", Manager::Pipenv),
    ("poetry", Manager::Poetry),
    ("requirements", Manager::Requirements),
    ("setuptools", Manager::Setuptools),
    ("skip", Manager::None),
    ("uv", Manager::Uv),
];

/// The manager, and why.
pub(super) fn choose(
    request: &Request,
    pyproject: Option<&Pyproject>,
    setup: Option<&Setup>,
    warnings: &mut Vec<String>,
) -> Result<(Manager, String), PlanError> {
    let named = request.setting_with_evidence("PYTHON_PACKAGE_MANAGER");
    let Some((name, evidence)) = named.filter(|(name, _)| !name.eq_ignore_ascii_case("auto"))
    else {
        return Ok(detected(request.repo, pyproject, setup, warnings));
    };
    let known = NAMES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(&name));
    match known {
        Some((_, manager)) => Ok((
            *manager,
            "NIXPACKS_PYTHON_PACKAGE_MANAGER names it".to_owned(),
        )),
        None => Err(PlanError::Invalid {
            file: evidence.file,
            line: 1,
            column: 1,
            key: "NIXPACKS_PYTHON_PACKAGE_MANAGER".to_owned(),
            message: format!(
                "{name:?} is not available; auto, {} are",
                NAMES.map(|(name, _)| name).join(", ")
            ),
        }),
    }
}

/// Files that decide, in nixpacks' order.
const FILES: [(&str, Manager); 6] = [
    (REQUIREMENTS, Manager::Requirements),
    ("poetry.lock", Manager::Poetry),
    ("pdm.lock", Manager::Pdm),
    ("uv.lock", Manager::Uv),
    ("Pipfile.lock", Manager::Pipenv),
    (PIPFILE, Manager::Pipenv),
];

fn detected(
    repo: &Repo,
    pyproject: Option<&Pyproject>,
    setup: Option<&Setup>,
    warnings: &mut Vec<String>,
) -> (Manager, String) {
    let there = |file: &str| repo.is_file(file) && repo.in_image(file);
    let mut files = FILES.iter().filter(|(file, _)| there(file));
    let (manager, reason) = match files.next() {
        Some((file, manager)) => {
            let others: Vec<&str> = files
                .filter(|(_, other)| other != manager)
                .map(|(file, _)| *file)
                .collect();
            if !others.is_empty() {
                warnings.push(format!(
                    "{file} is used, as nixpacks does, and {} is not; remove one, or set NIXPACKS_PYTHON_PACKAGE_MANAGER",
                    others.join(", ")
                ));
            }
            (*manager, format!("there is a {file}"))
        }
        None => by_manifest(pyproject, setup),
    };
    if let Some(lock) = manager.lock_file().filter(|lock| !there(lock)) {
        warnings.push(format!(
            "there is no {lock}: each build may install other versions; run `{}` and commit it",
            manager.locking()
        ));
    }
    (manager, reason)
}

/// The manager of a manifest without a lock file.
fn by_manifest(pyproject: Option<&Pyproject>, setup: Option<&Setup>) -> (Manager, String) {
    let told = |manager, text: &str| (manager, text.to_owned());
    match pyproject {
        Some(one) if one.tool.poetry.is_some() => {
            told(Manager::Poetry, "pyproject.toml has [tool.poetry]")
        }
        Some(one) if one.tool.pdm.is_some() => told(Manager::Pdm, "pyproject.toml has [tool.pdm]"),
        Some(one) if one.project.is_some() || one.dependency_groups.is_some() => {
            told(Manager::Uv, "pyproject.toml lists the dependencies")
        }
        _ if setup.is_some() => told(Manager::Setuptools, "there is a setup.py or setup.cfg"),
        _ => told(Manager::None, "there are no dependencies"),
    }
}

/// An entry of the plan for a tool of a manager, and the decision where something asks for its version:
/// `NIXPACKS_PDM_VERSION`, `NIXPACKS_PIPENV_VERSION`, `NIXPACKS_POETRY_VERSION` and `NIXPACKS_UV_VERSION` before all.
pub(super) fn tool(
    request: &Request,
    name: &'static str,
    pyproject: Option<&Pyproject>,
) -> Result<(String, Option<Decision>), PlanError> {
    let setting = format!("{}_VERSION", name.to_ascii_uppercase());
    let mut candidates: Vec<Candidate> = request
        .setting_with_evidence(&setting)
        .map(|(value, evidence)| Candidate::new(&value, evidence))
        .into_iter()
        .collect();
    candidates.extend(version::tool_managers(request.repo, &[name])?);
    let table = pyproject.map(|one| &one.tool);
    let (key, range) = match name {
        "poetry" => (
            "tool.poetry.requires-poetry",
            table.and_then(|tool| tool.poetry.as_ref()?.required_version.as_ref()),
        ),
        "uv" => (
            "tool.uv.required-version",
            table.and_then(|tool| tool.uv.as_ref()?.required_version.as_ref()),
        ),
        _ => ("", None),
    };
    candidates.extend(range.map(|range| {
        let evidence = crate::provider::Evidence::key(PYPROJECT, key, None, range);
        Candidate::new(range, evidence)
    }));
    let Some(first) = candidates.first() else {
        return Ok((name.to_owned(), None));
    };
    let range = version::pep440(&first.text).map_err(|message| first.refuse(name, &message))?;
    if range == "*" {
        return Ok((name.to_owned(), None));
    }
    let rejected = candidates
        .iter()
        .skip(1)
        .map(|other| format!("{}: {}", other.evidence, other.text));
    let decision = Decision::new(name, range.clone(), "as asked for")
        .from(first.evidence.clone())
        .over(rejected.collect());
    Ok((format!("{name}@{range}"), Some(decision)))
}
