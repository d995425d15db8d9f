//! How a Python application starts.
//!
//! Owns the order Django, `FastAPI`, Flask, plain script, and the search for the application object. The object is looked
//! for in the usual modules, line by line; no source is executed.

use std::collections::BTreeSet;

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

pub(super) fn choose(
    repo: &Repo,
    names: &BTreeSet<String>,
    project: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<Chosen, PlanError> {
    let has = |name: &str| names.contains(name);
    if repo.in_image("manage.py") && has("django") {
        return django(repo, names, warnings);
    }
    if has("fastapi")
        && let Some(found) = object(repo, "FastAPI")?
    {
        let server = has("uvicorn") || has("fastapi[standard]");
        if server {
            let command = format!(
                "uvicorn {} --host 0.0.0.0 --port ${{PORT:-8000}}",
                quote(&found.target())
            );
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
        && let Some(found) = object(repo, "Flask")?
    {
        let command = if has("gunicorn") {
            format!(
                "gunicorn --bind 0.0.0.0:${{PORT:-8000}} {}",
                quote(&found.target())
            )
        } else {
            warnings.push(
                "flask's own server is for development: add gunicorn to the dependencies"
                    .to_owned(),
            );
            format!(
                "flask --app {} run --host 0.0.0.0 --port ${{PORT:-8000}}",
                quote(&found.target())
            )
        };
        return Ok(chosen(command, "Flask, by its dependency", &found, "flask"));
    }
    Ok(Chosen {
        command: script(repo, project),
        framework: None,
    })
}

fn script(repo: &Repo, project: Option<&str>) -> Option<(String, Decision)> {
    if let Some(file) = ["main.py", "app.py"]
        .into_iter()
        .find(|file| repo.in_image(file))
    {
        let command = format!("python {file}");
        return Some((
            command.clone(),
            Decision::new("start", command, "found").from(Evidence::file(file, "at the root")),
        ));
    }
    let module = project?.replace(['-', '.'], "_");
    let valid = module
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let file = [
        format!("{module}/__main__.py"),
        format!("src/{module}/__main__.py"),
    ]
    .into_iter()
    .find(|file| repo.in_image(file))?;
    let command = format!("python -m {module}");
    let evidence = Evidence::file(&file, "the project's own module");
    valid.then(|| {
        (
            command.clone(),
            Decision::new("start", command, "the project's name").from(evidence),
        )
    })
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
}

impl Object {
    /// `package.module:name`.
    fn target(&self) -> String {
        let module = self
            .file
            .trim_end_matches(".py")
            .trim_end_matches("/__init__")
            .replace('/', ".");
        format!("{module}:{}", self.name)
    }
}

/// The first `NAME = Class(...)` at the left margin of a usual module, else a factory `def create_app()`.
fn object(repo: &Repo, class: &str) -> Result<Option<Object>, PlanError> {
    for file in MODULES
        .into_iter()
        .filter(|file| repo.is_file(file) && repo.in_image(file))
    {
        let text = repo.text(file)?.unwrap_or_default();
        for (index, line) in text.lines().enumerate() {
            if let Some(name) = assigned(line, class) {
                return Ok(Some(Object {
                    file: file.to_owned(),
                    line: index + 1,
                    name,
                }));
            }
        }
        let factory = text
            .lines()
            .position(|line| line.starts_with("def create_app("));
        if let Some(index) = factory.filter(|_| class == "Flask") {
            return Ok(Some(Object {
                file: file.to_owned(),
                line: index + 1,
                name: "create_app()".to_owned(),
            }));
        }
    }
    Ok(None)
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
