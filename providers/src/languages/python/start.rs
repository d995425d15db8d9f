//! How a Python application starts.
//!
//! Owns the order Django, `FastAPI`, Flask, plain script, and the search for the application object. The object is looked
//! for in the usual modules, then in the packages of the repository, line by line; no source is executed.

use std::collections::{BTreeMap, BTreeSet};

use crate::languages::quote;
use crate::plan::PlanError;
use crate::provider::{Decision, Evidence};
use crate::repo::Repo;

/// What starts, and which framework that is.
pub(super) struct Chosen {
    pub(super) command: Option<(String, Decision)>,
    pub(super) framework: Option<&'static str>,
}

/// Where the application object usually is.
const MODULES: [&str; 16] = [
    "main.py",
    "app.py",
    "wsgi.py",
    "asgi.py",
    "server.py",
    "api.py",
    "application.py",
    "run.py",
    "app/main.py",
    "app/__init__.py",
    "app/app.py",
    "src/main.py",
    "src/app.py",
    "src/app/main.py",
    "api/main.py",
    "backend/main.py",
];

/// Where the application object is in a package, as `flask` and its tutorial have it.
const PACKAGE_MODULES: [&str; 8] = [
    "__init__.py",
    "main.py",
    "app.py",
    "wsgi.py",
    "asgi.py",
    "api.py",
    "server.py",
    "application.py",
];

/// Packages that may make applications of their own, none of which is the program.
const NOT_THE_PROGRAM: [&str; 5] = ["tests", "test", "docs", "examples", "scripts"];

/// What pyproject.toml says of the project itself.
#[derive(Default)]
pub(super) struct Itself<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) scripts: Option<&'a BTreeMap<String, String>>,
    /// Whether the build installs it, so that its packages are found without `src/`.
    pub(super) installed: bool,
}

impl Itself<'_> {
    /// The name as Python imports it.
    fn module(&self) -> Option<String> {
        let module = self.name?.replace(['-', '.'], "_");
        identifier(&module).then_some(module)
    }

    /// The command that starts it: the only one, else the one of its name.
    fn script(&self) -> Option<&str> {
        let scripts = self.scripts.filter(|_| self.installed)?;
        let name = match scripts.len() {
            1 => scripts.keys().next()?,
            _ => scripts
                .keys()
                .find(|name| Some(name.as_str()) == self.name)?,
        };
        Some(name)
    }
}

pub(super) fn choose(
    repo: &Repo,
    names: &BTreeSet<String>,
    project: &Itself,
    warnings: &mut Vec<String>,
) -> Result<Chosen, PlanError> {
    let has = |name: &str| names.contains(name);
    if repo.in_image("manage.py") && has("django") {
        return django(repo, names, warnings);
    }
    if has("fastapi")
        && let Some(found) = object(repo, "FastAPI", project)?
    {
        let server = has("uvicorn") || has("fastapi[standard]");
        if server {
            let factory = if found.factory { " --factory" } else { "" };
            let command = found.command(&format!(
                "uvicorn{factory} {} --host 0.0.0.0 --port ${{PORT:-8000}}",
                quote(&found.target(false))
            ));
            return Ok(chosen(
                command,
                "FastAPI, by its dependency",
                &found,
                "fastapi",
            ));
        }
        warnings.push("fastapi needs a server: add uvicorn to the dependencies".to_owned());
    }
    if has("flask")
        && let Some(found) = object(repo, "Flask", project)?
    {
        let command = if has("gunicorn") {
            found.command(&format!(
                "gunicorn --bind 0.0.0.0:${{PORT:-8000}} {}",
                quote(&found.target(true))
            ))
        } else {
            warnings.push(
                "flask's own server is for development: add gunicorn to the dependencies"
                    .to_owned(),
            );
            found.command(&format!(
                "flask --app {} run --host 0.0.0.0 --port ${{PORT:-8000}}",
                quote(&found.target(true))
            ))
        };
        return Ok(chosen(command, "Flask, by its dependency", &found, "flask"));
    }
    Ok(Chosen {
        command: script(repo, project),
        framework: None,
    })
}

fn script(repo: &Repo, project: &Itself) -> Option<(String, Decision)> {
    let start = |command: String, reason: &str, evidence| {
        let decision = Decision::new("start", command.clone(), reason).from(evidence);
        Some((command, decision))
    };
    if let Some(file) = ["main.py", "app.py"]
        .into_iter()
        .find(|file| repo.in_image(file))
    {
        let evidence = Evidence::file(file, "at the root");
        return start(format!("python {file}"), "found", evidence);
    }
    if let Some(module) = project.module() {
        let file = [
            format!("{module}/__main__.py"),
            format!("src/{module}/__main__.py"),
        ]
        .into_iter()
        .find(|file| repo.in_image(file));
        if let Some(file) = file {
            let evidence = Evidence::file(&file, "the project's own module");
            return start(
                format!("python -m {module}"),
                "the project's name",
                evidence,
            );
        }
    }
    let name = project.script()?;
    let evidence = Evidence::key("pyproject.toml", "project.scripts", None, name);
    start(quote(name), "the project's own command", evidence)
}

fn chosen(command: String, reason: &str, found: &Object, framework: &'static str) -> Chosen {
    let evidence = Evidence {
        file: found.file.clone(),
        key: None,
        line: Some(found.line),
        note: found.name.clone(),
    };
    let decision = Decision::new("start", command.clone(), reason).from(evidence);
    Chosen {
        command: Some((command, decision)),
        framework: Some(framework),
    }
}

fn django(
    repo: &Repo,
    names: &BTreeSet<String>,
    warnings: &mut Vec<String>,
) -> Result<Chosen, PlanError> {
    let wsgi = wsgi(repo)?;
    let (command, evidence) = match wsgi {
        Some((module, evidence)) if names.contains("gunicorn") => (
            format!("gunicorn --bind 0.0.0.0:${{PORT:-8000}} {}", quote(&module)),
            evidence,
        ),
        _ => {
            if !names.contains("gunicorn") {
                warnings.push(
                    "django's own server is for development: add gunicorn to the dependencies"
                        .to_owned(),
                );
            }
            (
                "python manage.py runserver 0.0.0.0:${PORT:-8000}".to_owned(),
                Evidence::file("manage.py", "Django's own program"),
            )
        }
    };
    let command = format!("python manage.py migrate && {command}");
    let decision = Decision::new(
        "start",
        command.clone(),
        "Django, by its dependency and manage.py",
    )
    .from(evidence);
    Ok(Chosen {
        command: Some((command, decision)),
        framework: Some("django"),
    })
}

/// The module that `WSGI_APPLICATION` names, in a settings file at most two folders down.
fn wsgi(repo: &Repo) -> Result<Option<(String, Evidence)>, PlanError> {
    let mut files = repo.glob("*/settings.py")?;
    files.extend(repo.glob("*/settings/*.py")?);
    files.extend(repo.glob("*/*/settings.py")?);
    for file in files {
        let text = repo.text(&file)?.unwrap_or_default();
        for (index, line) in text.lines().enumerate() {
            let value = line
                .strip_prefix("WSGI_APPLICATION")
                .and_then(|rest| rest.trim_start().strip_prefix('='));
            let Some(value) = value.map(|value| {
                value
                    .split('#')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .trim_matches(['"', '\''])
            }) else {
                continue;
            };
            if let Some((module, object)) = value
                .rsplit_once('.')
                .filter(|(module, object)| identifier(object) && module.split('.').all(identifier))
            {
                let target = if object == "application" {
                    module.to_owned()
                } else {
                    format!("{module}:{object}")
                };
                return Ok(Some((
                    target,
                    Evidence::key(&file, "WSGI_APPLICATION", Some(index + 1), value),
                )));
            }
        }
    }
    Ok(None)
}

/// An application object: where it is, and what makes it.
struct Object {
    file: String,
    line: usize,
    name: String,
    /// Whether the name is a function that makes it.
    factory: bool,
    /// The folder that packages are below, when Python does not find them by itself.
    below: Option<&'static str>,
}

impl Object {
    /// `package.module:name`; a factory is called where the server takes an expression.
    fn target(&self, expression: bool) -> String {
        let module = self.file.trim_end_matches(".py");
        let module = module.trim_end_matches("/__init__").replace('/', ".");
        let call = if self.factory && expression { "()" } else { "" };
        format!("{module}:{}{call}", self.name)
    }

    fn command(&self, server: &str) -> String {
        match self.below {
            Some(folder) => format!("PYTHONPATH={folder} {server}"),
            None => server.to_owned(),
        }
    }
}

/// The first `NAME = Class(...)` at the left margin of a usual module, else a factory `def create_app()`.
fn object(repo: &Repo, class: &str, project: &Itself) -> Result<Option<Object>, PlanError> {
    for file in MODULES
        .into_iter()
        .filter(|file| repo.is_file(file) && repo.in_image(file))
    {
        if let Some((line, name, factory)) = made_in(repo, file, class)? {
            return Ok(Some(Object {
                file: file.to_owned(),
                line,
                name,
                factory,
                below: None,
            }));
        }
    }
    for package in packages(repo, project)? {
        let modules = PACKAGE_MODULES
            .into_iter()
            .map(|module| format!("{package}/{module}"))
            .filter(|file| repo.is_file(file) && repo.in_image(file));
        for file in modules {
            let Some((line, name, factory)) = made_in(repo, &file, class)? else {
                continue;
            };
            let inner = file.strip_prefix("src/").map(str::to_owned);
            let below = inner.as_ref().filter(|_| !project.installed).map(|_| "src");
            return Ok(Some(Object {
                file: inner.unwrap_or(file),
                line,
                name,
                factory,
                below,
            }));
        }
    }
    Ok(None)
}

/// The packages at the root and below `src/`, the project's own first.
fn packages(repo: &Repo, project: &Itself) -> Result<Vec<String>, PlanError> {
    let mut found = repo.glob("*/__init__.py")?;
    found.extend(repo.glob("src/*/__init__.py")?);
    let mut packages: Vec<String> = found
        .into_iter()
        .filter_map(|file| file.strip_suffix("/__init__.py").map(str::to_owned))
        .filter(|package| {
            let name = package.rsplit('/').next().unwrap_or_default();
            identifier(name) && !NOT_THE_PROGRAM.contains(&name)
        })
        .collect();
    let own = project.module();
    packages.sort_by_key(|package| package.rsplit('/').next().map(str::to_owned) != own);
    Ok(packages)
}

/// Where in a file the object is made: the line, the name, whether that is a factory.
fn made_in(
    repo: &Repo,
    file: &str,
    class: &str,
) -> Result<Option<(usize, String, bool)>, PlanError> {
    let text = repo.text(file)?.unwrap_or_default();
    let object = text
        .lines()
        .enumerate()
        .find_map(|(index, line)| Some((index + 1, assigned(line, class)?, false)));
    let factory = || {
        // Only the framework's name tells a factory of FastAPI from any other function.
        let index = text
            .lines()
            .position(|line| line.starts_with("def create_app("))
            .filter(|_| class == "Flask" || text.contains(class))?;
        Some((index + 1, "create_app".to_owned(), true))
    };
    Ok(object.or_else(factory))
}

/// The name that a line binds to a new object: `app: Flask = flask.Flask(__name__)` is `app`.
fn assigned(line: &str, class: &str) -> Option<String> {
    let (left, right) = line.split_once('=')?;
    let name = left.split(':').next().unwrap_or_default().trim_end();
    let called = right
        .trim_start()
        .split('(')
        .next()
        .unwrap_or_default()
        .trim_end();
    let factory = class == "Flask" && called == "create_app";
    let made = called == class || called.rsplit('.').next() == Some(class) || factory;
    (identifier(name) && made && right.contains('(')).then(|| name.to_owned())
}

fn identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .chars()
            .all(|letter| letter.is_alphanumeric() || letter == '_')
}
