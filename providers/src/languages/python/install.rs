//! How dependencies get into `/opt/venv`: the phases of each manager.
//!
//! Poetry, PDM and Pipenv say what their lock file means, as requirements with hashes; uv installs that. So each of them
//! works with every kind of index and needs no access to one, and only uv has a cache to keep.

use std::collections::BTreeMap;

use crate::languages::strings;
use crate::plan::Phase;
use crate::provider::Decision;

use super::manager::Manager;

/// Byte code whose content does not depend on clock or hash seed, so that two builds are alike; packages may hold
/// templates that are no valid Python, hence the last part.
const COMPILE: &str = "PYTHONHASHSEED=0 /opt/venv/bin/python -m compileall -q -f -j 1 --invalidation-mode unchecked-hash /opt/venv/lib > /dev/null || true";

/// The same for what the build phase adds. What was there before is not written again: it would be in the layer of the
/// build once more, and each edit of the source would compile all dependencies.
const COMPILE_NEW: &str = "PYTHONHASHSEED=0 /opt/venv/bin/python -c \"import glob, importlib.util as u, os, py_compile as c; [c.compile(f, quiet=2, invalidation_mode=c.PycInvalidationMode.UNCHECKED_HASH) for f in sorted(glob.glob('/opt/venv/lib/**/*.py', recursive=True)) if not os.path.exists(u.cache_from_source(f))]\" || true";

/// A fresh environment for what uv installs by itself.
const VENV: &str = "uv venv /opt/venv";

/// Where a manager writes requirements: a folder that no layer has.
const WRITTEN: &str = "/tmp/requirements.txt";

const UV_INSTALL: &str = "uv pip install --python /opt/venv/bin/python --no-deps";

/// What installing rests on.
pub(super) struct Installation {
    pub(super) manager: Manager,
    /// Why this manager.
    pub(super) reason: String,
    /// Whether its lock file is there.
    pub(super) locked: bool,
    /// Whether it installs the project itself.
    pub(super) package: bool,
    /// Whether the manifest names an index of its own.
    pub(super) own_index: bool,
    /// The manifests that installing needs, or why it may need more.
    pub(super) manifests: Result<Vec<String>, String>,
}

/// The variables of phases and of the image.
pub(super) fn variables(manager: Manager) -> BTreeMap<String, String> {
    let mut pairs = vec![
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONFAULTHANDLER", "1"),
        ("PYTHONHASHSEED", "random"),
        ("PYTHONUNBUFFERED", "1"),
    ];
    match manager {
        Manager::Requirements => pairs.extend([
            ("PIP_DEFAULT_TIMEOUT", "100"),
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
            ("PIP_ROOT_USER_ACTION", "ignore"),
        ]),
        Manager::None => {}
        _ => pairs.extend([
            ("UV_LINK_MODE", "copy"),
            // The interpreter is locked with the environment; a patch level in .python-version must not make uv look for another.
            ("UV_PYTHON", "python3"),
            ("UV_PYTHON_DOWNLOADS", "never"),
        ]),
    }
    match manager {
        Manager::Uv => pairs.push(("UV_PROJECT_ENVIRONMENT", "/opt/venv")),
        Manager::Poetry | Manager::Pdm | Manager::Pipenv => pairs.extend([
            // Hashes say what is right, so any index may have it, as with the managers themselves.
            ("UV_INDEX_STRATEGY", "unsafe-best-match"),
            ("VIRTUAL_ENV", "/opt/venv"),
        ]),
        _ => {}
    }
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    pairs.into_iter().map(owned).collect()
}

/// The phases beside `setup`; `compiles` says whether a package is built by a compiler.
pub(super) fn phases(
    facts: &Installation,
    compiles: bool,
    decisions: &mut Vec<Decision>,
) -> BTreeMap<String, Phase> {
    let mut phases = BTreeMap::new();
    let install = facts.install(compiles);
    if !install.is_empty() {
        let (files, sees) = match &facts.manifests {
            Ok(files) => (Some(files.clone()), "sees the manifests alone".to_owned()),
            Err(why) => (None, format!("sees all files: {why}")),
        };
        let reason = format!("{}; {sees}", facts.reason);
        decisions.push(Decision::new("install", facts.manager.name(), reason));
        let install = Phase {
            only_include_files: files,
            paths: Some(strings(&["/opt/venv/bin"])),
            ..facts.phase("setup", install)
        };
        phases.insert("install".to_owned(), install);
    }
    let build = facts.build();
    if !build.is_empty() {
        phases.insert("build".to_owned(), facts.phase("install", build));
    }
    phases
}

impl Installation {
    fn phase(&self, after: &str, cmds: Vec<String>) -> Phase {
        let cache = match self.manager {
            Manager::Requirements => "/root/.cache/pip",
            _ => "/root/.cache/uv",
        };
        Phase {
            depends_on: Some(strings(&[after])),
            cmds: Some(cmds),
            cache_directories: Some(strings(&[cache])),
            ..Phase::default()
        }
    }

    fn install(&self, compiles: bool) -> Vec<String> {
        let mut variables = String::new();
        if self.manager != Manager::Requirements && self.manifests.is_err() {
            // What is built from the source gets a file with the times of its files; two builds would differ by it.
            variables.push_str("UV_NO_INSTALLER_METADATA=1 ");
        }
        if compiles {
            // Debug information names the folder in which a package was compiled, another one each time.
            variables.push_str("CFLAGS=\"-g0 $CFLAGS\" ");
        }
        let mut commands = match self.manager {
            Manager::None => return Vec::new(),
            Manager::Requirements => vec![
                "python3 -m venv /opt/venv".to_owned(),
                format!("{variables}/opt/venv/bin/pip install --no-compile -r requirements.txt"),
            ],
            Manager::Setuptools => vec![
                VENV.to_owned(),
                format!("{variables}uv pip install --python /opt/venv/bin/python ."),
            ],
            Manager::Uv => vec![format!(
                "{variables}{} --no-install-project",
                self.uv_sync()
            )],
            Manager::Poetry | Manager::Pdm | Manager::Pipenv => vec![
                VENV.to_owned(),
                format!("{} && {variables}{UV_INSTALL} -r {WRITTEN}", self.write()),
            ],
        };
        commands.push(COMPILE.to_owned());
        commands
    }

    /// What writes the requirements that a lock file means, and the lock file first where there is none.
    fn write(&self) -> String {
        let (lock, write) = match self.manager {
            Manager::Poetry => {
                let credentials = if self.own_index {
                    " --with-credentials"
                } else {
                    ""
                };
                let write = format!("poetry export --only main --no-interaction{credentials} -o");
                ("poetry lock --no-interaction", write)
            }
            Manager::Pdm => (
                "pdm lock",
                "pdm export --prod -f requirements -o".to_owned(),
            ),
            // A lock file that is older than its manifest is an error, as with `pipenv install --deploy`.
            _ if self.locked => (
                "",
                "pipenv verify && pipenv requirements --hash >".to_owned(),
            ),
            _ => ("pipenv lock", "pipenv requirements --hash >".to_owned()),
        };
        if self.locked {
            format!("{write} {WRITTEN}")
        } else {
            format!("{lock} && {write} {WRITTEN}")
        }
    }

    fn build(&self) -> Vec<String> {
        match self.manager {
            _ if !self.package => Vec::new(),
            Manager::Uv => vec![
                format!(
                    "UV_NO_INSTALLER_METADATA=1 {} --no-editable",
                    self.uv_sync()
                ),
                COMPILE_NEW.to_owned(),
            ],
            // As these managers install a project: its source stays where it is.
            Manager::Poetry => strings(&["poetry install --only-root --no-interaction"]),
            Manager::Pdm => vec![format!("UV_NO_INSTALLER_METADATA=1 {UV_INSTALL} -e .")],
            _ => Vec::new(),
        }
    }

    fn uv_sync(&self) -> &'static str {
        if self.locked {
            "uv sync --frozen --no-dev"
        } else {
            "uv sync --no-dev"
        }
    }
}
