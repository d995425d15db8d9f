//! The frameworks whose application is an object of a module, and the servers that take it.
//!
//! Tables alone: a row a framework, a row a server for each interface. Source: each one's own pages about deployment.

/// How a framework's object is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interface {
    Asgi,
    Wsgi,
    /// aiohttp's own, which gunicorn knows as well.
    Aiohttp,
}

/// A framework whose application is an object of a module.
pub(super) struct Framework {
    /// Its name in metadata, and the module that is imported.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// What has to be installed.
    pub(super) package: &'static str,
    /// What makes an object: classes and functions of the module.
    pub(super) makers: &'static [&'static str],
    pub(super) interface: Interface,
}

/// Those that build upon others come first.
#[rustfmt::skip]
pub(super) const FRAMEWORKS: &[Framework] = &[
    Framework { name: "fastapi", title: "FastAPI", package: "fastapi", makers: &["FastAPI"], interface: Interface::Asgi },
    Framework { name: "litestar", title: "Litestar", package: "litestar", makers: &["Litestar"], interface: Interface::Asgi },
    Framework { name: "fasthtml", title: "FastHTML", package: "python-fasthtml", makers: &["FastHTML", "fast_app"], interface: Interface::Asgi },
    Framework { name: "quart", title: "Quart", package: "quart", makers: &["Quart"], interface: Interface::Asgi },
    Framework { name: "sanic", title: "Sanic", package: "sanic", makers: &["Sanic"], interface: Interface::Asgi },
    Framework { name: "starlette", title: "Starlette", package: "starlette", makers: &["Starlette"], interface: Interface::Asgi },
    Framework { name: "dash", title: "Dash", package: "dash", makers: &["Dash"], interface: Interface::Wsgi },
    Framework { name: "flask", title: "Flask", package: "flask", makers: &["Flask"], interface: Interface::Wsgi },
    Framework { name: "aiohttp", title: "aiohttp", package: "aiohttp", makers: &["Application"], interface: Interface::Aiohttp },
];

/// What some packages bring along, for projects without a lock file.
pub(super) const BRING: &[(&str, &[&str])] = &[
    ("channels[daphne]", &["daphne"]),
    ("dash", &["flask"]),
    ("fastapi[all]", &["uvicorn"]),
    ("fastapi[standard]", &["uvicorn"]),
    ("litestar[standard]", &["uvicorn"]),
    ("python-fasthtml", &["uvicorn"]),
    ("quart", &["hypercorn"]),
];

/// A server of an interface.
pub(super) struct Server {
    pub(super) interface: Interface,
    /// What has to be installed.
    pub(super) package: &'static str,
    /// Its command; `{target}` is `module:object`.
    pub(super) plain: &'static str,
    /// Its command for a function that makes the object, which `{call}` calls; empty when it takes none.
    pub(super) factory: &'static str,
}

/// The best first.
#[rustfmt::skip]
pub(super) const SERVERS: &[Server] = &[
    Server {
        interface: Interface::Asgi,
        package: "uvicorn",
        plain: "uvicorn {target} --host 0.0.0.0 --port ${PORT:-8000}",
        factory: "uvicorn --factory {target} --host 0.0.0.0 --port ${PORT:-8000}",
    },
    Server {
        interface: Interface::Asgi,
        package: "hypercorn",
        plain: "hypercorn --bind 0.0.0.0:${PORT:-8000} {target}",
        factory: "hypercorn --bind 0.0.0.0:${PORT:-8000} {call}",
    },
    Server {
        interface: Interface::Asgi,
        package: "granian",
        plain: "granian --interface asgi --host 0.0.0.0 --port ${PORT:-8000} {target}",
        factory: "granian --interface asgi --factory --host 0.0.0.0 --port ${PORT:-8000} {target}",
    },
    Server {
        interface: Interface::Asgi,
        package: "daphne",
        plain: "daphne -b 0.0.0.0 -p ${PORT:-8000} {target}",
        factory: "",
    },
    Server {
        interface: Interface::Wsgi,
        package: "gunicorn",
        plain: "gunicorn --bind 0.0.0.0:${PORT:-8000} {target}",
        factory: "gunicorn --bind 0.0.0.0:${PORT:-8000} {call}",
    },
    Server {
        interface: Interface::Wsgi,
        package: "waitress",
        plain: "waitress-serve --listen=0.0.0.0:${PORT:-8000} {target}",
        factory: "waitress-serve --listen=0.0.0.0:${PORT:-8000} --call {target}",
    },
    Server {
        interface: Interface::Wsgi,
        package: "uwsgi",
        plain: "uwsgi --http 0.0.0.0:${PORT:-8000} --master --module {target}",
        factory: "uwsgi --http 0.0.0.0:${PORT:-8000} --master --module {call}",
    },
    Server {
        interface: Interface::Wsgi,
        package: "granian",
        plain: "granian --interface wsgi --host 0.0.0.0 --port ${PORT:-8000} {target}",
        factory: "granian --interface wsgi --factory --host 0.0.0.0 --port ${PORT:-8000} {target}",
    },
    Server {
        interface: Interface::Aiohttp,
        package: "gunicorn",
        plain: "gunicorn --bind 0.0.0.0:${PORT:-8000} --worker-class aiohttp.GunicornWebWorker {target}",
        factory: "",
    },
];

/// What serves a script that describes pages: the package, its title, the command for a `{file}`.
#[rustfmt::skip]
pub(super) const PAGES: &[(&str, &str, &str)] = &[
    ("streamlit", "Streamlit", "streamlit run {file} --server.address 0.0.0.0 --server.port ${PORT:-8501} --server.headless true"),
    ("gradio", "Gradio", "GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=${PORT:-7860} python {file}"),
];
