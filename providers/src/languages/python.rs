//! Python applications, installed by pip or uv into `/opt/venv`.
//!
//! - Claims: `requirements.txt`, `pyproject.toml`, `uv.lock`, `Pipfile`; `main.py` or `app.py` at the root
//! - Version from: `NIXPACKS_PYTHON_VERSION`, `.python-version`, `runtime.txt`, `.tool-versions`, mise.toml, pyproject.toml `requires-python`
//! - Installs with: `pip install -r requirements.txt`, else `uv sync` for a pyproject.toml, frozen when there is a uv.lock
//! - Builds with: `uv sync` once more when the project itself is a package
//! - Starts with: Django, `FastAPI` or Flask by their dependency, `main.py`, `app.py`, `python -m PROJECT`, the command in `project.scripts`

mod libraries;
mod start;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::Deserialize;

use crate::plan::{Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read;
use crate::repo::{Repo, join};
use crate::version::{self, Candidate, Tool};

use super::strings;

/// The Python provider.
pub struct Python;

impl Provider for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let manifests = ["requirements.txt", "pyproject.toml", "uv.lock", "Pipfile"];
        let of = |files: &[&str], strength| {
            Evidence::first_file(repo, files).map(|evidence| Claim::new(strength, evidence))
        };
        Ok(of(&manifests, Strength::Definite)
            .or_else(|| of(&["main.py", "app.py"], Strength::Likely)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &[
            "requirements.txt",
            "pyproject.toml",
            "uv.lock",
            "main.py",
            "app.py",
        ]
    }
}

/// pyproject.toml, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Pyproject {
    project: Option<Project>,
    build_system: Option<toml::Value>,
    tool: Option<Tools>,
    dependency_groups: Option<toml::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, expecting = "a table")]
struct Project {
    name: Option<String>,
    requires_python: Option<String>,
    dependencies: Vec<String>,
    readme: Option<toml::Value>,
    license: Option<toml::Value>,
    scripts: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tools {
    uv: Option<Uv>,
    poetry: Option<toml::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Uv {
    package: Option<bool>,
    sources: Option<BTreeMap<String, toml::Value>>,
    workspace: Option<toml::Value>,
}

/// How dependencies come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Pip,
    Uv { locked: bool, package: bool },
    None,
}

/// Everything that Python decisions rest on, read once.
struct Facts {
    python: Tool,
    manager: Manager,
    manager_reason: String,
    /// Names of direct dependencies, normalised.
    dependencies: BTreeSet<String>,
    /// The manifests that installing needs, or why it may need more.
    manifests: Result<Vec<String>, String>,
    start: Option<(String, Decision)>,
    framework: Option<&'static str>,
    git: bool,
    test: bool,
    warnings: Vec<String>,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let pyproject = repo.parsed("pyproject.toml", |text| {
            read::toml::<Pyproject>("pyproject.toml", text)
        })?;
        let mut warnings = Vec::new();
        let (manager, manager_reason) = manager(request, pyproject.as_deref(), &mut warnings)?;
        let mut requirements = Requirements::default();
        if manager == Manager::Pip {
            requirements.read(repo, "requirements.txt")?;
        }
        let declared = pyproject
            .as_ref()
            .and_then(|one| one.project.as_ref())
            .map(|project| &project.dependencies);
        for line in declared.into_iter().flatten() {
            requirements.line(line);
        }
        let manifests = match manager {
            Manager::Pip => requirements.local.map_or(Ok(requirements.files), Err),
            Manager::Uv { .. } => uv_manifests(repo, pyproject.as_deref(), requirements.local),
            Manager::None => Err("nothing is installed".to_owned()),
        };
        let project = pyproject.as_ref().and_then(|one| one.project.as_ref());
        let itself = start::Itself {
            name: project.and_then(|project| project.name.as_deref()),
            scripts: project.and_then(|project| project.scripts.as_ref()),
            installed: matches!(manager, Manager::Uv { package: true, .. }),
        };
        let chosen = start::choose(repo, &requirements.names, &itself, &mut warnings)?;
        Ok(Self {
            python: python_version(request, pyproject.as_deref())?,
            manager,
            manager_reason,
            manifests,
            framework: chosen.framework,
            start: chosen.command,
            git: requirements.git,
            test: request.test && requirements.names.contains("pytest"),
            dependencies: requirements.names,
            warnings,
        })
    }
}

fn python_version(request: &Request, pyproject: Option<&Pyproject>) -> Result<Tool, PlanError> {
    let repo = request.repo;
    let mut candidates = Vec::new();
    candidates.extend(
        request
            .setting_with_evidence("PYTHON_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence)),
    );
    for file in [".python-version", "runtime.txt"] {
        candidates.extend(version::version_file(repo, file)?);
    }
    candidates.extend(version::tool_managers(repo, &["python"])?);
    if let Some(range) = pyproject
        .and_then(|one| one.project.as_ref())
        .and_then(|project| project.requires_python.as_deref())
    {
        let text = repo.text("pyproject.toml")?.unwrap_or_default();
        let line = read::line_of(&text, "requires-python");
        candidates.push(Candidate::new(
            range,
            Evidence::key("pyproject.toml", "project.requires-python", line, range),
        ));
    }
    version::python(&candidates)
}

/// Lock files of managers that are not here yet.
const OTHER_LOCKS: [(&str, &str); 3] = [
    ("poetry.lock", "poetry"),
    ("pdm.lock", "pdm"),
    ("Pipfile", "pipenv"),
];

fn manager(
    request: &Request,
    pyproject: Option<&Pyproject>,
    warnings: &mut Vec<String>,
) -> Result<(Manager, String), PlanError> {
    let repo = request.repo;
    let there = |file: &str| repo.is_file(file) && repo.in_image(file);
    let uv = || {
        let packaged = pyproject.is_some_and(|one| one.build_system.is_some());
        let wish = pyproject.and_then(|one| one.tool.as_ref()?.uv.as_ref()?.package);
        Manager::Uv {
            locked: there("uv.lock"),
            package: wish.unwrap_or(packaged),
        }
    };
    if let Some((name, evidence)) = request.setting_with_evidence("PYTHON_PACKAGE_MANAGER") {
        return match name.as_str() {
            "pip" => Ok((Manager::Pip, "NIXPACKS_PYTHON_PACKAGE_MANAGER".to_owned())),
            "uv" => Ok((uv(), "NIXPACKS_PYTHON_PACKAGE_MANAGER".to_owned())),
            "auto" => Ok(detected_manager(repo, pyproject, &uv, warnings)),
            _ => Err(PlanError::Invalid {
                file: evidence.file,
                line: 1,
                column: 1,
                key: "NIXPACKS_PYTHON_PACKAGE_MANAGER".to_owned(),
                message: format!("{name:?} is not available; pip and uv are"),
            }),
        };
    }
    Ok(detected_manager(repo, pyproject, &uv, warnings))
}

fn detected_manager(
    repo: &Repo,
    pyproject: Option<&Pyproject>,
    uv: &dyn Fn() -> Manager,
    warnings: &mut Vec<String>,
) -> (Manager, String) {
    let there = |file: &str| repo.is_file(file) && repo.in_image(file);
    if there("requirements.txt") {
        if there("uv.lock") {
            warnings.push("both requirements.txt and uv.lock are there; requirements.txt is used, as nixpacks does; remove one".to_owned());
        }
        return (Manager::Pip, "there is a requirements.txt".to_owned());
    }
    if there("uv.lock") {
        return (uv(), "there is a uv.lock".to_owned());
    }
    let other = OTHER_LOCKS.iter().find(|(file, _)| there(file));
    if let Some((file, name)) = other {
        warnings.push(format!(
            "{file} is for {name}, which is not available yet; export a requirements.txt"
        ));
    }
    match pyproject {
        Some(one) if one.project.is_some() || one.dependency_groups.is_some() => {
            if other.is_none() {
                warnings.push("there is no uv.lock: each build may install other versions; run `uv lock` and commit it".to_owned());
            }
            (uv(), "pyproject.toml lists the dependencies".to_owned())
        }
        Some(one)
            if one
                .tool
                .as_ref()
                .is_some_and(|tools| tools.poetry.is_some()) =>
        {
            warnings.push("[tool.poetry] of pyproject.toml needs poetry, which is not available yet; move the dependencies to [project]".to_owned());
            (Manager::None, "no manifest that pip or uv reads".to_owned())
        }
        _ => (Manager::None, "there are no dependencies".to_owned()),
    }
}

fn uv_manifests(
    repo: &Repo,
    pyproject: Option<&Pyproject>,
    local: Option<String>,
) -> Result<Vec<String>, String> {
    let Some(pyproject) = pyproject else {
        return Err("there is no pyproject.toml".to_owned());
    };
    if let Some(why) = local {
        return Err(why);
    }
    let uv = pyproject.tool.as_ref().and_then(|tools| tools.uv.as_ref());
    if uv.is_some_and(|uv| uv.workspace.is_some()) {
        return Err("a workspace is installed from the source".to_owned());
    }
    let sources = uv.and_then(|uv| uv.sources.as_ref()).into_iter().flatten();
    for (name, source) in sources {
        let tables: Vec<&toml::Value> = source
            .as_array()
            .map_or_else(|| vec![source], |list| list.iter().collect());
        if tables
            .iter()
            .any(|table| table.get("path").is_some() || table.get("workspace").is_some())
        {
            return Err(format!("{name} is installed from a local path"));
        }
    }
    let mut files = strings(&["pyproject.toml", "uv.lock", "uv.toml", ".python-version"]);
    let project = pyproject.project.as_ref();
    for value in project
        .into_iter()
        .flat_map(|project| [&project.readme, &project.license])
        .flatten()
    {
        files.extend(
            value
                .as_str()
                .or_else(|| value.get("file").and_then(toml::Value::as_str))
                .map(str::to_owned),
        );
    }
    files.retain(|file| repo.in_image(file));
    Ok(files)
}

/// What requirement files say, includes followed.
#[derive(Default)]
struct Requirements {
    names: BTreeSet<String>,
    files: Vec<String>,
    /// Why installing reads more than the files.
    local: Option<String>,
    git: bool,
}

impl Requirements {
    fn read(&mut self, repo: &Repo, file: &str) -> Result<(), PlanError> {
        // The list of files is bounded by what a repository can hold, and each is read once.
        let mut pending = vec![file.to_owned()];
        while let Some(file) = pending.pop() {
            if self.files.contains(&file) {
                continue;
            }
            let Some(text) = repo.text(&file)? else {
                continue;
            };
            self.files.push(file.clone());
            let dir = file.rsplit_once('/').map_or("", |(dir, _)| dir);
            for line in logical_lines(&text) {
                if let Some(included) =
                    option(&line, &["-r", "--requirement", "-c", "--constraint"])
                {
                    if included.starts_with('/')
                        || included.split('/').any(|part| part == "..")
                        || included.contains("://")
                    {
                        self.local = Some(format!("{file} includes {included}"));
                    } else {
                        pending.push(join(dir, included.trim_start_matches("./")));
                    }
                } else if let Some(path) = option(&line, &["-e", "--editable"]) {
                    self.git |= path.starts_with("git+");
                    self.local = Some(format!("{file} installs {path} from the source"));
                } else if option(&line, &["-f", "--find-links"])
                    .is_some_and(|place| !place.contains("://"))
                {
                    self.local = Some(format!("{file} finds packages in a local folder"));
                } else if !line.starts_with('-') {
                    self.line(&line);
                }
            }
        }
        self.files.sort();
        Ok(())
    }

    fn line(&mut self, line: &str) {
        let bare = line.split(" --").next().unwrap_or_default().trim();
        self.git |= bare.contains("git+");
        match requirement(bare) {
            Some(requirement) => {
                let name = requirement.name.to_string();
                if requirement
                    .extras
                    .iter()
                    .any(|extra| extra.to_string() == "standard")
                {
                    self.names.insert(format!("{name}[standard]"));
                }
                self.names.insert(name);
                if bare.contains("file:") || bare.contains("@ .") {
                    self.local = Some(format!("{bare} is a local path"));
                }
            }
            // A path, or a URL without a name: pip takes both.
            None if bare.contains("://") => {}
            None if bare.starts_with('.') || bare.contains('/') => {
                self.local = Some(format!("{bare} is a local path"));
            }
            None => {}
        }
    }
}

/// A requirement in the form of PEP 508; `None` for what pip takes beside it. The parser panics on
/// a name that ends in a separator, so such a name is refused before.
pub fn requirement(text: &str) -> Option<pep508_rs::Requirement<pep508_rs::VerbatimUrl>> {
    let name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let length = text.bytes().take_while(|byte| name_byte(byte)).count();
    let name = text.as_bytes().get(..length)?;
    let sound = name.first()?.is_ascii_alphanumeric() && name.last()?.is_ascii_alphanumeric();
    sound
        .then(|| pep508_rs::Requirement::from_str(text).ok())
        .flatten()
}

/// Lines without comments, continued lines joined.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for line in text.lines() {
        let comment = if line.trim_start().starts_with('#') {
            Some(0)
        } else {
            line.find(" #").or_else(|| line.find("\t#"))
        };
        let line = line[..comment.unwrap_or(line.len())].trim_end();
        if let Some(head) = line.strip_suffix('\\') {
            current.push_str(head);
            continue;
        }
        current.push_str(line);
        let whole = std::mem::take(&mut current).trim().to_owned();
        if !whole.is_empty() {
            lines.push(whole);
        }
    }
    lines.extend(Some(current.trim().to_owned()).filter(|rest| !rest.is_empty()));
    lines
}

/// The value of an option line: `-r a`, `-ra`, `--requirement=a`.
fn option<'a>(line: &'a str, names: &[&str]) -> Option<&'a str> {
    for name in names {
        let Some(rest) = line.strip_prefix(name) else {
            continue;
        };
        let separated = rest.starts_with([' ', '\t', '=']);
        if separated || (name.len() == 2 && !rest.is_empty()) {
            return Some(rest.trim_start_matches([' ', '\t', '=']).trim())
                .filter(|value| !value.is_empty());
        }
    }
    None
}

/// Byte code whose content does not depend on clock or hash seed, so that two builds are alike; packages may hold
/// templates that are no valid Python, hence the last part.
const COMPILE: &str = "PYTHONHASHSEED=0 /opt/venv/bin/python -m compileall -q -f -j 1 --invalidation-mode unchecked-hash /opt/venv/lib > /dev/null || true";

/// The same for what the build phase adds. What was there before is not written again: it would be in the layer of the
/// build once more, and each edit of the source would compile all dependencies.
const COMPILE_NEW: &str = "PYTHONHASHSEED=0 /opt/venv/bin/python -c \"import glob, importlib.util as u, os, py_compile as c; [c.compile(f, quiet=2, invalidation_mode=c.PycInvalidationMode.UNCHECKED_HASH) for f in sorted(glob.glob('/opt/venv/lib/**/*.py', recursive=True)) if not os.path.exists(u.cache_from_source(f))]\" || true";

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["python"]),
        warnings: facts.warnings.clone(),
        ..Proposal::default()
    };
    proposal.metadata.extend(facts.framework.map(str::to_owned));
    proposal.warnings.extend(facts.python.warnings.clone());
    proposal.decisions.push(facts.python.decision.clone());
    proposal.plan.variables = variables(facts);
    proposal.plan.phases = phases(facts, &mut proposal.decisions);
    let libraries = libraries::of(&facts.dependencies);
    let mut start = Start {
        nix_pkgs: Some(vec![facts.python.entry()]),
        apt_pkgs: Some(libraries.run).filter(|packages| !packages.is_empty()),
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

fn variables(facts: &Facts) -> BTreeMap<String, String> {
    let mut pairs = vec![
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONFAULTHANDLER", "1"),
        ("PYTHONHASHSEED", "random"),
        ("PYTHONUNBUFFERED", "1"),
    ];
    match facts.manager {
        Manager::Pip => pairs.extend([
            ("PIP_DEFAULT_TIMEOUT", "100"),
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
            ("PIP_ROOT_USER_ACTION", "ignore"),
        ]),
        Manager::Uv { .. } => pairs.extend([
            ("UV_LINK_MODE", "copy"),
            ("UV_PROJECT_ENVIRONMENT", "/opt/venv"),
            // The interpreter is locked with the environment; a patch level in .python-version must not make uv look for another.
            ("UV_PYTHON", "python3"),
            ("UV_PYTHON_DOWNLOADS", "never"),
        ]),
        Manager::None => {}
    }
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn phases(facts: &Facts, decisions: &mut Vec<Decision>) -> BTreeMap<String, Phase> {
    let mut tools = vec![facts.python.entry()];
    if matches!(facts.manager, Manager::Uv { .. }) {
        tools.push("uv".to_owned());
    }
    let libraries = libraries::of(&facts.dependencies);
    if libraries.compiles {
        tools.push("gcc".to_owned());
    }
    decisions.extend(libraries.decisions);
    if facts.git {
        tools.push("git".to_owned());
        decisions.push(Decision::new(
            "git",
            "git",
            "a requirement comes from a git repository; at build time alone",
        ));
    }
    let mut phases = BTreeMap::from([(
        "setup".to_owned(),
        Phase {
            nix_pkgs: Some(tools),
            apt_pkgs: Some(libraries.build).filter(|packages| !packages.is_empty()),
            ..Phase::default()
        },
    )]);
    let (install, build) = commands(facts);
    if !install.is_empty() {
        let (files, sees) = match &facts.manifests {
            Ok(files) => (Some(files.clone()), "sees the manifests alone".to_owned()),
            Err(why) => (None, format!("sees all files: {why}")),
        };
        let choice = if facts.manager == Manager::Pip {
            "pip"
        } else {
            "uv"
        };
        decisions.push(Decision::new(
            "install",
            choice,
            format!("{}; {sees}", facts.manager_reason),
        ));
        phases.insert("install".to_owned(), phase("setup", install, facts, files));
    }
    if !build.is_empty() {
        phases.insert(
            "build".to_owned(),
            Phase {
                paths: None,
                ..phase("install", build, facts, None)
            },
        );
    }
    if facts.test {
        let after = ["build", "install", "setup"]
            .into_iter()
            .find(|name| phases.contains_key(*name))
            .unwrap_or("setup");
        let test = Phase {
            depends_on: Some(strings(&[after])),
            cmds: Some(strings(&["python -m pytest"])),
            ..Phase::default()
        };
        phases.insert("test".to_owned(), test);
    }
    phases
}

fn phase(after: &str, cmds: Vec<String>, facts: &Facts, files: Option<Vec<String>>) -> Phase {
    let cache = if facts.manager == Manager::Pip {
        "/root/.cache/pip"
    } else {
        "/root/.cache/uv"
    };
    Phase {
        depends_on: Some(strings(&[after])),
        cmds: Some(cmds),
        only_include_files: files,
        cache_directories: Some(strings(&[cache])),
        paths: Some(strings(&["/opt/venv/bin"])),
        ..Phase::default()
    }
}

/// The commands of install and build.
fn commands(facts: &Facts) -> (Vec<String>, Vec<String>) {
    // Debug information names the folder in which pip compiled, another one each time.
    let flags = if libraries::of(&facts.dependencies).compiles {
        "CFLAGS=\"-g0 $CFLAGS\" "
    } else {
        ""
    };
    match facts.manager {
        Manager::None => (Vec::new(), Vec::new()),
        Manager::Pip => {
            let pip = "/opt/venv/bin/pip install --no-compile -r requirements.txt";
            let install = vec![
                "python3 -m venv /opt/venv".to_owned(),
                format!("{flags}{pip}"),
                COMPILE.to_owned(),
            ];
            (install, Vec::new())
        }
        Manager::Uv { locked, package } => {
            let sync = if locked {
                "uv sync --frozen --no-dev"
            } else {
                "uv sync --no-dev"
            };
            // What is built from the source gets a file with the times of its files; two builds would differ by it.
            let from_source = format!("UV_NO_INSTALLER_METADATA=1 {sync}");
            let first = if facts.manifests.is_ok() {
                sync
            } else {
                &from_source
            };
            let install = vec![format!("{first} --no-install-project"), COMPILE.to_owned()];
            let build = if package {
                vec![
                    format!("{from_source} --no-editable"),
                    COMPILE_NEW.to_owned(),
                ]
            } else {
                Vec::new()
            };
            (install, build)
        }
    }
}

#[cfg(test)]
mod tests;
