use super::*;

pub(super) fn propose(files: &[(&str, &str)]) -> Proposal {
    propose_with(files, &[]).unwrap()
}

fn propose_with(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Proposal, PlanError> {
    let repo = Repo::in_memory(files);
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Python.propose(&Request {
        repo: &repo,
        variables: &variables,
        test: true,
        assisting: false,
    })
}

#[test]
fn requirements_are_installed_from_their_files_alone() {
    let proposal = propose(&[
        ("requirements.txt", "-r reqs/base.txt\nflask"),
        (
            "reqs/base.txt",
            "-c pins.txt\ngunicorn \\\n  --hash=sha256:ab # x\n",
        ),
        ("reqs/pins.txt", ""),
        ("main.py", ""),
    ]);
    let install = &proposal.plan.phases["install"];
    assert_eq!(
        install.only_include_files.as_deref().unwrap(),
        ["reqs/base.txt", "reqs/pins.txt", "requirements.txt"]
    );
    assert_eq!(
        install.cmds.as_ref().unwrap()[1],
        "/opt/venv/bin/pip install --no-compile -r requirements.txt"
    );
    assert_eq!(install.paths.as_deref().unwrap(), ["/opt/venv/bin"]);
    assert_eq!(
        proposal.plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
        ["python@3.13"]
    );
    assert_eq!(
        proposal.plan.start.unwrap().nix_pkgs.unwrap(),
        ["python@3.13"]
    );
}

#[test]
fn local_requirements_need_the_source() {
    for line in [
        "-e .",
        "./lib",
        "lib/a.whl",
        "a @ file:///x",
        "-r ../x.txt",
        "-f wheels",
    ] {
        assert_eq!(
            propose(&[("requirements.txt", line)]).plan.phases["install"].only_include_files,
            None,
            "{line}"
        );
    }
    let git = propose(&[("requirements.txt", "a @ git+https://example.org/a")]);
    assert_eq!(
        git.plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
        ["python@3.13", "git"]
    );
}

#[test]
fn a_uv_lock_is_installed_frozen_and_a_package_in_the_build_phase() {
    let project = "[project]\nname = 'a-b'\nreadme = 'README.md'\nrequires-python = '>=3.11'\n";
    let plain = propose(&[
        ("pyproject.toml", project),
        ("uv.lock", ""),
        ("README.md", ""),
        ("a_b/__main__.py", ""),
    ]);
    let install = &plain.plan.phases["install"];
    assert_eq!(
        install.cmds.as_ref().unwrap()[0],
        "uv sync --frozen --no-dev --no-install-project"
    );
    assert_eq!(
        install.only_include_files.as_deref().unwrap(),
        ["pyproject.toml", "uv.lock", "README.md"]
    );
    assert_eq!(plain.plan.variables["UV_PROJECT_ENVIRONMENT"], "/opt/venv");
    assert!(!plain.plan.phases.contains_key("build"));
    assert_eq!(plain.plan.start.unwrap().cmd.unwrap(), "python -m a_b");
    let packaged = format!("{project}[build-system]\nrequires = ['hatchling']\n");
    let packaged = propose(&[("pyproject.toml", &packaged)]);
    assert_eq!(
        packaged.plan.phases["build"].cmds.as_ref().unwrap()[0],
        "UV_NO_INSTALLER_METADATA=1 uv sync --no-dev --no-editable"
    );
    assert!(
        packaged
            .warnings
            .iter()
            .any(|warning| warning.contains("uv.lock"))
    );
}

#[test]
fn a_project_that_poetry_would_not_build_is_not_built_by_uv_either() {
    let text = "[project]\nname = 'shop'\n[build-system]\nrequires = []\nbuild-backend = 'poetry.core.masonry.api'\n";
    let files = [("pyproject.toml", text), ("shop.py", "")];
    assert_eq!(commands(&propose(&files), "build").len(), 2);
    assert!(commands(&propose(&files[..1]), "build").is_empty());
}

#[test]
fn uv_sources_from_a_path_need_the_source() {
    let text = "[project]\nname = 'a'\n[tool.uv.sources]\nlib = { path = 'lib' }\n";
    let install = propose(&[("pyproject.toml", text)]).plan.phases["install"].clone();
    assert_eq!(install.only_include_files, None);
    // Or uv writes down the times of the source files, and two builds differ.
    assert_eq!(
        install.cmds.unwrap()[0],
        "UV_NO_INSTALLER_METADATA=1 uv sync --no-dev --no-install-project"
    );
}

#[test]
fn the_variable_beats_every_file_and_all_others_are_told() {
    let files = [
        ("requirements.txt", ""),
        ("runtime.txt", "python-3.12.1"),
        (".python-version", "3.11.4"),
    ];
    let proposal = propose_with(&files, &[("NIXPACKS_PYTHON_VERSION", "3.9")]).unwrap();
    assert_eq!(
        proposal.plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
        ["python@3.9"]
    );
    assert_eq!(proposal.decisions[0].rejected.len(), 2);
    assert_eq!(
        propose(&files).plan.phases["setup"]
            .nix_pkgs
            .as_deref()
            .unwrap(),
        ["python@3.11"]
    );
}

fn tools(proposal: &Proposal) -> Vec<String> {
    proposal.plan.phases["setup"].nix_pkgs.clone().unwrap()
}

fn commands(proposal: &Proposal, phase: &str) -> Vec<String> {
    let phase = proposal.plan.phases.get(phase);
    phase
        .and_then(|phase| phase.cmds.clone())
        .unwrap_or_default()
}

const POETRY_1: &str = "[tool.poetry]\nname = 'shop'\nreadme = 'README.md'\n[tool.poetry.dependencies]\npython = '~3.11'\nflask = '^3'\n[tool.poetry.group.dev.dependencies]\npytest = '*'\n";

#[test]
fn poetry_s_lock_file_is_written_as_requirements_and_the_project_installed_after_them() {
    let files = [
        ("pyproject.toml", POETRY_1),
        (
            "poetry.lock",
            "[[package]]\nname='flask'\ngroups=['main']\n",
        ),
        ("README.md", ""),
        ("shop/__init__.py", ""),
    ];
    let found = propose(&files);
    assert_eq!(tools(&found), ["python@>=3.11 <3.12", "uv", "poetry"]);
    assert_eq!(
        commands(&found, "install")[..2],
        [
            "uv venv /opt/venv",
            "poetry export --only main --no-interaction -o /tmp/requirements.txt && uv pip install --python /opt/venv/bin/python --no-deps -r /tmp/requirements.txt"
        ]
    );
    assert_eq!(
        found.plan.phases["install"]
            .only_include_files
            .as_deref()
            .unwrap(),
        ["pyproject.toml", "poetry.lock", "README.md"]
    );
    assert_eq!(
        commands(&found, "build"),
        ["poetry install --only-root --no-interaction"]
    );
    assert_eq!(found.metadata, ["python", "poetry"]);
    assert_eq!(found.warnings, [""; 0]);
    // Poetry would stop at a project that has nothing of its name.
    assert!(commands(&propose(&files[..3]), "build").is_empty());
    let off = POETRY_1.replace("readme", "package-mode = false\nreadme");
    assert!(commands(&propose(&[("pyproject.toml", &off), files[3]]), "build").is_empty());
    let elsewhere = POETRY_1.replace(
        "readme",
        "packages = [{ include = 'store', from = 'lib' }]\nreadme",
    );
    let elsewhere = propose(&[
        ("pyproject.toml", &elsewhere),
        ("lib/store/__init__.py", ""),
    ]);
    assert_eq!(commands(&elsewhere, "build").len(), 1);
}

#[test]
fn a_manager_without_its_lock_file_locks_first_and_warns() {
    for (file, text, command) in [
        (
            "pyproject.toml",
            POETRY_1,
            "poetry lock --no-interaction && poetry export",
        ),
        (
            "pyproject.toml",
            "[project]\nname='a'\n[tool.pdm]\n",
            "pdm lock && pdm export",
        ),
        (
            "Pipfile",
            "[packages]\nflask='*'\n",
            "pipenv lock && pipenv requirements",
        ),
    ] {
        let found = propose(&[(file, text)]);
        assert!(
            commands(&found, "install")[1].starts_with(command),
            "{command}"
        );
        assert!(
            found.warnings[0].contains("each build may install other versions"),
            "{:?}",
            found.warnings
        );
    }
}

#[test]
fn pdm_installs_a_distribution_where_it_is() {
    let project = "[project]\nname='a'\ndependencies=['flask']\n[build-system]\nrequires=[]\n";
    let found = propose(&[("pyproject.toml", project), ("pdm.lock", "")]);
    assert_eq!(
        commands(&found, "install")[1],
        "pdm export --prod -f requirements -o /tmp/requirements.txt && uv pip install --python /opt/venv/bin/python --no-deps -r /tmp/requirements.txt"
    );
    assert_eq!(
        commands(&found, "build"),
        ["UV_NO_INSTALLER_METADATA=1 uv pip install --python /opt/venv/bin/python --no-deps -e ."]
    );
    let application = format!("{project}[tool.pdm]\ndistribution = false\n");
    let application = propose(&[("pyproject.toml", &application), ("pdm.lock", "")]);
    assert!(commands(&application, "build").is_empty());
}

#[test]
fn a_pipfile_says_the_python_and_its_lock_file_is_verified() {
    let pipfile = "[packages]\nflask = {extras = ['async'], version = '*'}\n[requires]\npython_version = '3.11'\n";
    let files = [
        ("Pipfile", pipfile),
        ("Pipfile.lock", "{\"default\":{\"flask\":{}}}"),
    ];
    let found = propose(&files);
    assert_eq!(tools(&found), ["python@3.11", "uv", "pipenv"]);
    assert_eq!(
        commands(&found, "install")[1],
        "pipenv verify && pipenv requirements --hash > /tmp/requirements.txt && uv pip install --python /opt/venv/bin/python --no-deps -r /tmp/requirements.txt"
    );
    let full = pipfile.replace(
        "python_version = '3.11'",
        "python_version = '3.11'\npython_full_version = '3.9.2'",
    );
    assert_eq!(tools(&propose(&[("Pipfile", &full)]))[0], "python@3.9");
    let local = pipfile.replace(
        "[requires]",
        "mine = {path = './mine', editable = true}\n[requires]",
    );
    assert_eq!(
        propose(&[("Pipfile", &local)]).plan.phases["install"].only_include_files,
        None
    );
}

#[test]
fn a_setup_py_is_installed_from_its_source() {
    let setup = "from setuptools import setup\nsetup(name='shop', install_requires=['psycopg2'], python_requires='>=3.9,<3.12', entry_points={'console_scripts': ['shop=shop:main']})\n";
    let found = propose(&[("setup.py", setup), ("shop/__init__.py", "")]);
    assert_eq!(
        tools(&found),
        [
            "python@>=3.9 <3.12",
            "uv",
            "gcc",
            "postgresql.dev",
            "postgresql.lib"
        ]
    );
    assert_eq!(
        commands(&found, "install")[1],
        "UV_NO_INSTALLER_METADATA=1 CFLAGS=\"-g0 $CFLAGS\" uv pip install --python /opt/venv/bin/python ."
    );
    assert_eq!(found.plan.phases["install"].only_include_files, None);
    assert_eq!(found.plan.start.unwrap().cmd.unwrap(), "shop");
}

#[test]
fn the_first_lock_file_in_nixpacks_order_decides_and_the_others_are_told() {
    let found = propose(&[
        ("pyproject.toml", "[project]\nname='a'\n"),
        ("uv.lock", ""),
        ("poetry.lock", ""),
        ("Pipfile", ""),
    ]);
    assert_eq!(tools(&found), ["python@3.13", "uv", "poetry"]);
    assert!(
        found.warnings[0].starts_with("poetry.lock is used"),
        "{:?}",
        found.warnings
    );
    assert!(
        found.warnings[0].contains("uv.lock, Pipfile is not"),
        "{:?}",
        found.warnings
    );
}

#[test]
fn the_variable_names_the_manager_in_nixpacks_words() {
    let files = [("requirements.txt", "flask"), ("Pipfile", "")];
    let with = |name: &str| propose_with(&files, &[("NIXPACKS_PYTHON_PACKAGE_MANAGER", name)]);
    for (name, command) in [
        ("auto", "/opt/venv/bin/pip install"),
        ("requirements", "/opt/venv/bin/pip install"),
        ("Pipenv", "pipenv lock"),
        ("setuptools", "UV_NO_INSTALLER_METADATA=1 uv pip install"),
    ] {
        let found = with(name).unwrap();
        assert!(
            commands(&found, "install")[1].starts_with(command),
            "{name}"
        );
    }
    assert!(commands(&with("skip").unwrap(), "install").is_empty());
    let error = with("conda").unwrap_err().to_string();
    assert!(error.contains("NIXPACKS_PYTHON_PACKAGE_MANAGER"), "{error}");
}

#[test]
fn managers_come_in_the_version_that_is_asked_for() {
    let poetry = [
        ("pyproject.toml", POETRY_1),
        (".tool-versions", "poetry 1.8.3\n"),
    ];
    assert_eq!(tools(&propose(&poetry))[2], "poetry@1.8.3");
    let found = propose_with(&poetry, &[("NIXPACKS_POETRY_VERSION", "1.7.1")]).unwrap();
    assert_eq!(tools(&found)[2], "poetry@1.7.1");
    let uv = "[project]\nname='a'\n[tool.uv]\nrequired-version = '>=0.5,<1'\n";
    assert_eq!(tools(&propose(&[("pyproject.toml", uv)]))[1], "uv@>=0.5 <1");
    let refused = propose_with(&poetry, &[("NIXPACKS_POETRY_VERSION", "banana")]);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("NIXPACKS_POETRY_VERSION")
    );
}

#[test]
fn libraries_are_by_what_is_required_or_locked() {
    let found = propose(&[("requirements.txt", "psycopg2"), ("main.py", "")]);
    assert_eq!(
        tools(&found),
        ["python@3.13", "gcc", "postgresql.dev", "postgresql.lib"]
    );
    assert_eq!(
        commands(&found, "install")[1],
        "CFLAGS=\"-g0 $CFLAGS\" /opt/venv/bin/pip install --no-compile -r requirements.txt"
    );
    assert_eq!(
        found.plan.start.unwrap().nix_pkgs.unwrap(),
        ["python@3.13", "postgresql.lib"]
    );
    let binary = propose(&[("requirements.txt", "psycopg2-binary"), ("main.py", "")]);
    assert_eq!(tools(&binary), ["python@3.13"]);
    let called = propose(&[("requirements.txt", "pydub\npdf2image"), ("main.py", "")]);
    assert_eq!(tools(&called), ["python@3.13", "ffmpeg", "poppler_utils"]);
    let lock = "[[package]]\nname='reports'\ndependencies=[{name='weasyprint'}]\n[[package]]\nname='weasyprint'\n";
    let locked = propose(&[
        (
            "pyproject.toml",
            "[project]\nname='a'\ndependencies=['reports']\n",
        ),
        ("uv.lock", lock),
    ]);
    assert!(tools(&locked).contains(&"pango.out".to_owned()));
}
