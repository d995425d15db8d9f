use super::*;

fn propose(files: &[(&str, &str)]) -> Proposal {
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

fn start(files: &[(&str, &str)]) -> String {
    propose(files).plan.start.unwrap().cmd.unwrap_or_default()
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
fn frameworks_start_by_dependency_and_object() {
    let flask = ("requirements.txt", "Flask==3.0\ngunicorn");
    assert_eq!(
        start(&[
            flask,
            ("app.py", "import flask\nserver = flask.Flask(__name__)\n")
        ]),
        "gunicorn --bind 0.0.0.0:${PORT:-8000} app:server"
    );
    assert_eq!(
        start(&[flask, ("app/__init__.py", "def create_app():\n  pass\n")]),
        "gunicorn --bind 0.0.0.0:${PORT:-8000} 'app:create_app()'"
    );
    assert_eq!(
        start(&[
            ("requirements.txt", "flask"),
            ("app.py", "app = Flask(__name__)")
        ]),
        "flask --app app:app run --host 0.0.0.0 --port ${PORT:-8000}"
    );
    let fastapi = (
        "pyproject.toml",
        "[project]\nname='a'\ndependencies=['fastapi[standard]>=0.1']",
    );
    assert_eq!(
        start(&[
            fastapi,
            ("src/main.py", "api: FastAPI = FastAPI(title='x')")
        ]),
        "uvicorn src.main:api --host 0.0.0.0 --port ${PORT:-8000}"
    );
    let settings = (
        "site/settings.py",
        "WSGI_APPLICATION = 'site.wsgi.application'  # x",
    );
    let django = [
        ("requirements.txt", "Django>=5\ngunicorn"),
        ("manage.py", ""),
        settings,
    ];
    assert_eq!(
        start(&django),
        "python manage.py migrate && gunicorn --bind 0.0.0.0:${PORT:-8000} site.wsgi"
    );
    assert_eq!(propose(&django).metadata, ["python", "django"]);
}

#[test]
fn a_name_that_merely_contains_a_framework_is_not_it() {
    assert_eq!(
        start(&[
            ("requirements.txt", "flask-cors\n# fastapi\n"),
            ("main.py", "app = Flask(1)")
        ]),
        "python main.py"
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

#[test]
fn managers_that_are_not_here_are_told() {
    assert!(propose(&[("Pipfile", ""), ("main.py", "")]).warnings[0].contains("pipenv"));
    let error = propose_with(
        &[("main.py", "")],
        &[("NIXPACKS_PYTHON_PACKAGE_MANAGER", "poetry")],
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("NIXPACKS_PYTHON_PACKAGE_MANAGER"),
        "{error}"
    );
}

#[test]
fn psycopg2_without_wheels_asks_for_a_compiler_and_libpq_and_the_binary_one_does_not() {
    let plan = |text: &str| {
        let plan = propose(&[("requirements.txt", text), ("main.py", "")]).plan;
        let setup = plan.phases["setup"].clone();
        (setup.nix_pkgs.unwrap(), setup.apt_pkgs, plan.start.unwrap())
    };
    let (tools, build, start) = plan("psycopg2");
    assert_eq!(tools, ["python@3.13", "gcc"]);
    assert_eq!(build.unwrap(), ["libpq-dev"]);
    let install = propose(&[("requirements.txt", "psycopg2")]).plan.phases["install"].clone();
    assert_eq!(
        install.cmds.unwrap()[1],
        "CFLAGS=\"-g0 $CFLAGS\" /opt/venv/bin/pip install --no-compile -r requirements.txt"
    );
    assert_eq!(start.nix_pkgs.unwrap(), ["python@3.13"]);
    assert_eq!(start.apt_pkgs.unwrap(), ["libpq5"]);
    let (tools, build, start) = plan("psycopg2-binary");
    assert_eq!(tools, ["python@3.13"]);
    assert_eq!((build, start.apt_pkgs), (None, None));
}

#[test]
fn what_is_called_at_run_time_alone_needs_no_compiler() {
    let plan = propose(&[("requirements.txt", "pydub\npdf2image"), ("main.py", "")]).plan;
    assert_eq!(
        plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
        ["python@3.13"]
    );
    assert_eq!(
        plan.start.unwrap().apt_pkgs.unwrap(),
        ["ffmpeg", "poppler-utils"]
    );
}

#[test]
fn the_application_is_found_in_a_package_of_any_name() {
    let factory = "import flask\ndef create_app(test_config=None):\n    pass";
    let requirements = ("requirements.txt", "flask\ngunicorn");
    assert_eq!(
        start(&[
            requirements,
            ("tests/__init__.py", factory),
            ("zoo/__init__.py", factory)
        ]),
        "gunicorn --bind 0.0.0.0:${PORT:-8000} 'zoo:create_app()'"
    );
    assert_eq!(
        start(&[
            requirements,
            ("src/zoo/__init__.py", ""),
            ("src/zoo/wsgi.py", "app = Flask('a')")
        ]),
        "PYTHONPATH=src gunicorn --bind 0.0.0.0:${PORT:-8000} zoo.wsgi:app"
    );
}

#[test]
fn a_project_that_is_installed_is_found_without_its_source_folder() {
    let pyproject = "[project]\nname = 'the-zoo'\nversion = '1'\ndependencies = ['fastapi[standard]']\n[project.scripts]\nzoo-keeper = 'the_zoo:main'\n[build-system]\nrequires = []";
    let files = [
        ("pyproject.toml", pyproject),
        ("uv.lock", ""),
        ("ark/__init__.py", "app = FastAPI()"),
        ("src/the_zoo/__init__.py", ""),
    ];
    let with = |file, text| [&files[..], &[(file, text)]].concat();
    assert_eq!(
        start(&with("src/the_zoo/api.py", "app = FastAPI()")),
        "uvicorn the_zoo.api:app --host 0.0.0.0 --port ${PORT:-8000}"
    );
    let factory = "from fastapi import FastAPI\ndef create_app() -> FastAPI:";
    assert_eq!(
        start(&with("src/the_zoo/api.py", factory)),
        "uvicorn --factory the_zoo.api:create_app --host 0.0.0.0 --port ${PORT:-8000}"
    );
    assert_eq!(start(&[files[0], files[1], files[3]]), "zoo-keeper");
}

#[test]
fn a_name_that_ends_in_a_separator_is_no_requirement_and_no_panic() {
    for bad in ["flask..>=1", "flask-", "-", ".", "a_ ==1", ""] {
        assert!(super::requirement(bad).is_none(), "{bad}");
    }
    assert!(super::requirement("zope.interface>=5; python_version > '3.8'").is_some());
}
