//! Python applications, installed into `/opt/venv` by pip, uv, Poetry, PDM, Pipenv or as a package.
//!
//! - Claims: `requirements.txt`, `pyproject.toml`, `uv.lock`, `poetry.lock`, `pdm.lock`, `Pipfile`; `setup.py`, `main.py` or `app.py` at the root; less surely `server.py`, `bot.py`, `start.py`, `run.py` or `hello.py`
//! - Version from: `NIXPACKS_PYTHON_VERSION`, `.python-version`, `runtime.txt`, Pipfile `requires`, `.tool-versions`, mise.toml, pyproject.toml `requires-python` or Poetry's `python`, `python_requires` of setup.cfg or setup.py
//! - Installs with: `pip install -r requirements.txt`; `uv sync`; else `poetry export`, `pdm export` or `pipenv requirements`, and what they write by uv; `uv pip install .` for a setup.py; development's packages left out
//! - Builds with: `uv sync`, `poetry install --only-root` or `uv pip install -e .` when the project itself is a package
//! - Starts with: Django, `FastAPI`, Litestar, `FastHTML`, Quart, Sanic, Starlette, Dash, Flask, aiohttp, Streamlit or Gradio by their dependency and the server that is installed; a script at the root, `python -m PROJECT`, the project's own command

mod install;
mod libraries;
mod locked;
mod manager;
mod pipfile;
mod pyproject;
mod requirements;
mod setup;
mod source;
mod start;

use std::collections::BTreeSet;

use crate::plan::{Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read;
use crate::repo::Repo;
use crate::version::{self, Candidate, Tool};

use super::strings;
use install::Installation;
use libraries::Libraries;
use locked::Locked;
use manager::{Manager, REQUIREMENTS};
use pipfile::{PIPFILE, Pipfile};
use pyproject::{PYPROJECT, Pyproject};
use requirements::Requirements;
pub use requirements::requirement;
use setup::{SETUP_PY, Setup};
use start::Itself;

/// What an application of Python has: manifests, then a script or program without one.
const MARKERS: [&str; 9] = [
    REQUIREMENTS,
    PYPROJECT,
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    PIPFILE,
    SETUP_PY,
    "main.py",
    "app.py",
];
/// How many of them are manifests.
const MANIFESTS: usize = 6;

/// The Python provider.
pub struct Python;

impl Provider for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let of = |files: &[&str], strength| {
            Evidence::first_file(repo, files).map(|evidence| Claim::new(strength, evidence))
        };
        let (manifests, likely) = MARKERS.split_at(MANIFESTS);
        Ok(of(manifests, Strength::Definite)
            .or_else(|| of(likely, Strength::Likely))
            .or_else(|| of(&start::SCRIPTS, Strength::Weak)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &MARKERS
    }
}

/// What the manifests say, parsed.
struct Manifests {
    pyproject: Option<std::sync::Arc<Pyproject>>,
    pipfile: Option<std::sync::Arc<Pipfile>>,
    setup: Option<Setup>,
}

/// Everything that Python decisions rest on, read once.
struct Facts {
    python: Tool,
    installation: Installation,
    /// Entries of the plan for the manager, and the decisions about their versions.
    tools: Vec<String>,
    tool_decisions: Vec<Decision>,
    libraries: Libraries,
    start: Option<(String, Decision)>,
    metadata: Vec<String>,
    git: bool,
    test: bool,
    warnings: Vec<String>,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let manifests = Manifests {
            pyproject: Pyproject::read(repo)?,
            pipfile: Pipfile::read(repo)?,
            setup: Setup::read(repo)?,
        };
        let pyproject = manifests.pyproject.as_deref();
        let mut warnings = Vec::new();
        let (manager, reason) =
            manager::choose(request, pyproject, manifests.setup.as_ref(), &mut warnings)?;
        let requirements = manifests.requirements(repo, manager)?;
        let lock = manager
            .lock_file()
            .filter(|file| repo.is_file(file) && repo.in_image(file));
        let mut locked = match lock {
            Some(file) => Locked::read(repo, file, &requirements.names)?,
            None => Locked::default(),
        };
        locked.names.extend(requirements.names.iter().cloned());
        let package = manifests.is_package(repo, manager);
        let itself = manifests.itself(manager, package);
        let chosen = start::choose(repo, &locked.names, &itself, &mut warnings)?;
        let (mut tools, mut tool_decisions) = (Vec::new(), Vec::new());
        for name in manager.tools() {
            let (entry, decision) = manager::tool(request, name, pyproject)?;
            tools.push(entry);
            tool_decisions.extend(decision);
        }
        let poetry = pyproject.and_then(|one| one.tool.poetry.as_ref());
        Ok(Self {
            python: manifests.python(request)?,
            installation: Installation {
                manager,
                reason,
                locked: lock.is_some(),
                package,
                own_index: poetry.is_some_and(|poetry| !poetry.source.is_empty()),
                manifests: manifests.seen(repo, manager, &requirements, locked.local),
            },
            tools,
            tool_decisions,
            libraries: libraries::of(&locked.names, &locked.from_source),
            metadata: metadata(chosen.framework, manager, &locked.names),
            start: chosen.command,
            git: requirements.git || locked.git,
            test: request.test && requirements.names.contains("pytest"),
            warnings,
        })
    }
}

/// The words of `NIXPACKS_METADATA`.
fn metadata(
    framework: Option<&'static str>,
    manager: Manager,
    names: &BTreeSet<String>,
) -> Vec<String> {
    let mut words = strings(&["python"]);
    words.extend(framework.map(str::to_owned));
    let postgres = ["psycopg", "psycopg2", "psycopg2-binary"];
    if postgres.iter().any(|name| names.contains(*name)) {
        words.push("postgres".to_owned());
    }
    if matches!(manager, Manager::Poetry | Manager::Pdm) {
        words.push(manager.name().to_owned());
    }
    words
}

impl Manifests {
    /// What the manifest of a manager asks for.
    fn requirements(&self, repo: &Repo, manager: Manager) -> Result<Requirements, PlanError> {
        let mut found = Requirements::default();
        if manager == Manager::Requirements {
            found.read(repo, REQUIREMENTS)?;
        }
        if manager == Manager::Pipenv {
            let packages = self.pipfile.iter().flat_map(|pipfile| &pipfile.packages);
            packages.for_each(|(name, value)| found.entry(name, value));
            return Ok(found);
        }
        let pyproject = self.pyproject.as_ref();
        let project = pyproject.and_then(|one| one.project.as_ref());
        let of_setup = self.setup.iter().filter(|_| manager == Manager::Setuptools);
        let lines = project
            .into_iter()
            .flat_map(|project| &project.dependencies);
        for line in lines.chain(of_setup.flat_map(|setup| &setup.requires)) {
            found.line(line);
        }
        let poetry = pyproject.and_then(|one| one.tool.poetry.as_ref());
        for (name, value) in poetry.into_iter().flat_map(|poetry| &poetry.dependencies) {
            if name != "python" {
                found.entry(name, value);
            }
        }
        Ok(found)
    }

    /// Whether a manager installs the project itself in a phase of its own.
    fn is_package(&self, repo: &Repo, manager: Manager) -> bool {
        self.pyproject.as_ref().is_some_and(|one| match manager {
            Manager::Uv => one.is_package_of_uv(repo),
            Manager::Poetry => one.is_package_of_poetry(repo),
            Manager::Pdm => one.is_package_of_pdm(),
            _ => false,
        })
    }

    /// What is said of the project itself.
    fn itself(&self, manager: Manager, package: bool) -> Itself {
        let pyproject = self.pyproject.as_deref();
        let setup = self.setup.as_ref();
        let installed = package || manager == Manager::Setuptools;
        let of_pyproject: Vec<String> = pyproject
            .iter()
            .flat_map(|one| one.scripts())
            .map(str::to_owned)
            .collect();
        let name = pyproject.and_then(Pyproject::name).map(str::to_owned);
        let (scripts, manifest) = match setup {
            Some(setup) if of_pyproject.is_empty() => (setup.scripts.clone(), SETUP_PY),
            _ => (of_pyproject, PYPROJECT),
        };
        Itself {
            name: name.or_else(|| setup?.name.clone()),
            scripts,
            manifest,
            installed,
        }
    }

    /// The Python that is asked for.
    fn python(&self, request: &Request) -> Result<Tool, PlanError> {
        let repo = request.repo;
        let mut candidates: Vec<Candidate> = request
            .setting_with_evidence("PYTHON_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence))
            .into_iter()
            .collect();
        for file in [".python-version", "runtime.txt"] {
            candidates.extend(version::version_file(repo, file)?);
        }
        if let Some(pipfile) = &self.pipfile {
            candidates.extend(pipfile.python(repo)?);
        }
        candidates.extend(version::tool_managers(repo, &["python"])?);
        let pyproject = self.pyproject.as_deref();
        let project = pyproject.and_then(|one| one.project.as_ref()?.requires_python.as_deref());
        let poetry = pyproject.and_then(|one| {
            one.tool
                .poetry
                .as_ref()?
                .dependencies
                .get("python")?
                .as_str()
        });
        for (key, word, range) in [
            ("project.requires-python", "requires-python", project),
            ("tool.poetry.dependencies.python", "python =", poetry),
        ] {
            let Some(range) = range else { continue };
            let text = repo.text(PYPROJECT)?.unwrap_or_default();
            let evidence = Evidence::key(PYPROJECT, key, read::line_of(&text, word), range);
            candidates.push(Candidate::new(range, evidence));
        }
        candidates.extend(self.setup.as_ref().and_then(|setup| setup.python.clone()));
        version::python(&candidates)
    }

    /// The files that installing reads, or why it may read any.
    fn seen(
        &self,
        repo: &Repo,
        manager: Manager,
        requirements: &Requirements,
        local: Option<String>,
    ) -> Result<Vec<String>, String> {
        if let Some(why) = requirements.local.clone().or(local) {
            return Err(why);
        }
        let pyproject = self.pyproject.as_deref();
        let mut files = match manager {
            Manager::Requirements => return Ok(requirements.files.clone()),
            Manager::None => return Err("nothing is installed".to_owned()),
            Manager::Setuptools => return Err("a package is built from its source".to_owned()),
            Manager::Pipenv => strings(&[PIPFILE, "Pipfile.lock"]),
            _ if pyproject.is_none() => return Err("there is no pyproject.toml".to_owned()),
            Manager::Uv => strings(&[PYPROJECT, "uv.lock", "uv.toml", ".python-version"]),
            Manager::Poetry => strings(&[PYPROJECT, "poetry.lock", "poetry.toml"]),
            Manager::Pdm => strings(&[PYPROJECT, "pdm.lock", "pdm.toml"]),
        };
        if let (Manager::Uv, Some(why)) = (manager, pyproject.and_then(from_folders)) {
            return Err(why);
        }
        files.extend(pyproject.iter().flat_map(|one| one.described_by()));
        files.retain(|file| repo.in_image(file));
        Ok(files)
    }
}

/// Why uv reads more than manifests.
fn from_folders(pyproject: &Pyproject) -> Option<String> {
    let uv = pyproject.tool.uv.as_ref()?;
    if uv.workspace.is_some() {
        return Some("a workspace is installed from the source".to_owned());
    }
    uv.sources.iter().flatten().find_map(|(name, source)| {
        let tables = source
            .as_array()
            .map_or(std::slice::from_ref(source), Vec::as_slice);
        let mut folders = tables
            .iter()
            .filter(|table| table.get("path").is_some() || table.get("workspace").is_some());
        folders
            .next()
            .map(|_| format!("{name} is installed from a local path"))
    })
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: facts.metadata.clone(),
        warnings: facts.warnings.clone(),
        ..Proposal::default()
    };
    proposal.warnings.extend(facts.python.warnings.clone());
    proposal.decisions.push(facts.python.decision.clone());
    proposal.decisions.extend(facts.tool_decisions.clone());
    proposal
        .decisions
        .extend(facts.libraries.needs.decisions.clone());
    proposal.plan.variables = install::variables(facts.installation.manager);
    let mut tools = vec![facts.python.entry()];
    tools.extend(facts.tools.clone());
    tools.extend(facts.libraries.asked());
    if facts.git {
        tools.push("git".to_owned());
        let reason = "a requirement comes from a git repository; at build time alone";
        proposal.decisions.push(Decision::new("git", "git", reason));
    }
    let setup = Phase {
        nix_pkgs: Some(tools),
        ..Phase::default()
    };
    let mut phases = install::phases(
        &facts.installation,
        facts.libraries.compiles,
        &mut proposal.decisions,
    );
    phases.insert("setup".to_owned(), setup);
    if facts.test {
        let last = ["build", "install", "setup"]
            .into_iter()
            .find(|name| phases.contains_key(*name));
        let test = Phase {
            depends_on: Some(strings(&[last.unwrap_or("setup")])),
            cmds: Some(strings(&["python -m pytest"])),
            ..Phase::default()
        };
        phases.insert("test".to_owned(), test);
    }
    proposal.plan.phases = phases;
    let mut kept = vec![facts.python.entry()];
    kept.extend(facts.libraries.needs.kept());
    let mut start = Start {
        nix_pkgs: Some(kept),
        ..Start::default()
    };
    match &facts.start {
        Some((command, decision)) => {
            start.cmd = Some(command.clone());
            proposal.decisions.push(decision.clone());
        }
        None => {
            proposal.without_start =
                Some("add a main.py, or a Procfile with a web process".to_owned());
        }
    }
    proposal.plan.start = Some(start);
    proposal
}

#[cfg(test)]
mod tests;
