use super::super::tests::propose;

fn start(files: &[(&str, &str)]) -> String {
    propose(files).plan.start.unwrap().cmd.unwrap_or_default()
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
fn the_server_is_the_one_that_is_installed() {
    let app = (
        "main.py",
        "from starlette.applications import Starlette\napp = Starlette()\n",
    );
    for (requirements, command) in [
        (
            "starlette\nuvicorn",
            "uvicorn main:app --host 0.0.0.0 --port ${PORT:-8000}",
        ),
        (
            "starlette\nhypercorn",
            "hypercorn --bind 0.0.0.0:${PORT:-8000} main:app",
        ),
        (
            "starlette\ngranian",
            "granian --interface asgi --host 0.0.0.0 --port ${PORT:-8000} main:app",
        ),
        (
            "starlette\ndaphne",
            "daphne -b 0.0.0.0 -p ${PORT:-8000} main:app",
        ),
        ("starlette", "python main.py"),
    ] {
        assert_eq!(start(&[("requirements.txt", requirements), app]), command);
    }
    let factory = ("wsgi.py", "import flask\ndef create_app(): pass\n");
    assert_eq!(
        start(&[("requirements.txt", "flask\nwaitress"), factory]),
        "waitress-serve --listen=0.0.0.0:${PORT:-8000} --call wsgi:create_app"
    );
}

#[test]
fn each_framework_is_found_by_its_object() {
    for (requirements, file, text, command) in [
        (
            "python-fasthtml",
            "main.py",
            "from fasthtml.common import *\napp, rt = fast_app()\nserve()\n",
            "uvicorn main:app --host 0.0.0.0 --port ${PORT:-8000}",
        ),
        (
            "litestar[standard]",
            "app.py",
            "from litestar import Litestar\napp = Litestar([])\n",
            "uvicorn app:app --host 0.0.0.0 --port ${PORT:-8000}",
        ),
        (
            "quart",
            "app.py",
            "from quart import Quart\napp = Quart(__name__)\n",
            "hypercorn --bind 0.0.0.0:${PORT:-8000} app:app",
        ),
        (
            "sanic",
            "server.py",
            "import sanic\napp = sanic.Sanic('x')\n",
            "sanic server:app --host 0.0.0.0 --port ${PORT:-8000}",
        ),
        (
            "dash",
            "app.py",
            "from dash import Dash\napp = Dash(__name__)\nserver = app.server\n",
            "HOST=0.0.0.0 PORT=${PORT:-8050} python app.py",
        ),
        (
            "dash\ngunicorn",
            "app.py",
            "from dash import Dash\napp = Dash(__name__)\nserver = app.server\n",
            "gunicorn --bind 0.0.0.0:${PORT:-8000} app:server",
        ),
        (
            "aiohttp\ngunicorn",
            "server.py",
            "from aiohttp import web\napp = web.Application()\n",
            "gunicorn --bind 0.0.0.0:${PORT:-8000} --worker-class aiohttp.GunicornWebWorker server:app",
        ),
        (
            "aiohttp",
            "server.py",
            "from aiohttp import web\napp = web.Application()\nweb.run_app(app)\n",
            "python server.py",
        ),
        ("tornado", "main.py", "import tornado\n", "python main.py"),
        (
            "streamlit",
            "dashboard.py",
            "import streamlit as st\nst.title('x')\n",
            "streamlit run dashboard.py --server.address 0.0.0.0 --server.port ${PORT:-8501} --server.headless true",
        ),
        (
            "gradio",
            "app.py",
            "import gradio as gr\ndemo = gr.Interface(f)\n",
            "GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=${PORT:-7860} python app.py",
        ),
    ] {
        assert_eq!(
            start(&[("requirements.txt", requirements), (file, text)]),
            command
        );
    }
}

#[test]
fn an_object_of_another_package_with_the_same_name_is_not_the_framework_s() {
    let text = "from aiohttp import web\nfrom other import Flask\napp = Flask()\n";
    assert_eq!(
        start(&[("requirements.txt", "flask\ngunicorn"), ("main.py", text)]),
        "python main.py"
    );
}

#[test]
fn django_s_settings_are_those_that_manage_py_names() {
    let manage =
        "import os\nos.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"config.settings\")\n";
    let files = [
        ("manage.py", manage),
        (
            "api/settings.py",
            "WSGI_APPLICATION = 'wrong.wsgi.application'",
        ),
        (
            "config/settings.py",
            "WSGI_APPLICATION = 'config.wsgi.application'\nASGI_APPLICATION = 'config.asgi.application'",
        ),
    ];
    let with = |requirements| start(&[&files[..], &[("requirements.txt", requirements)]].concat());
    for (requirements, command) in [
        (
            "django\ngunicorn",
            "gunicorn --bind 0.0.0.0:${PORT:-8000} config.wsgi",
        ),
        (
            "django\ngunicorn\nchannels[daphne]",
            "daphne -b 0.0.0.0 -p ${PORT:-8000} config.asgi:application",
        ),
        (
            "django\nuvicorn",
            "uvicorn config.asgi:application --host 0.0.0.0 --port ${PORT:-8000}",
        ),
        ("django", "python manage.py runserver 0.0.0.0:${PORT:-8000}"),
    ] {
        assert_eq!(
            with(requirements),
            format!("python manage.py migrate && {command}")
        );
    }
    let generated = [
        ("requirements.txt", "django\nuvicorn"),
        ("manage.py", manage),
        ("config/settings.py", ""),
        ("config/asgi.py", ""),
    ];
    assert!(
        start(&generated)
            .ends_with("uvicorn config.asgi:application --host 0.0.0.0 --port ${PORT:-8000}")
    );
}

#[test]
fn a_script_or_a_module_starts_where_no_framework_does() {
    let requirements = ("requirements.txt", "requests");
    for (files, command) in [
        (&["bot.py", "hello.py"][..], "python bot.py"),
        (
            &["worker.py", "setup.py", "test_worker.py"],
            "python worker.py",
        ),
        (&["a.py", "b.py"], ""),
        (
            &["bot/__init__.py", "bot/__main__.py", "a.py", "b.py"],
            "python -m bot",
        ),
        (&["src/main.py"], "python src/main.py"),
    ] {
        let mut all = vec![requirements];
        all.extend(files.iter().map(|file| (*file, "")));
        assert_eq!(start(&all), command, "{files:?}");
    }
}
