//! How a Python application starts.
//!
//! Owns the order: Django, an application object of a framework with a server for it, pages that a program of their own
//! serves, then a plain script, a module or a command. Where the object is, is for `object.rs`; no source is executed.

mod django;
mod framework;
mod object;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::languages::quote;
use crate::plan::PlanError;
use crate::provider::{Decision, Evidence};
use crate::repo::Repo;

use super::pyproject;
use super::source::Source;
use framework::{BRING, FRAMEWORKS, Framework, Interface, PAGES, SERVERS};
use object::{Object, Search};

/// What starts, and which framework that is.
pub(super) struct Chosen {
    pub(super) command: Option<(String, Decision)>,
    pub(super) framework: Option<&'static str>,
}

/// What the manifests say of the project itself.
#[derive(Default)]
pub(super) struct Itself {
    pub(super) name: Option<String>,
    /// Names of its commands.
    pub(super) scripts: Vec<String>,
    /// Where these are written.
    pub(super) manifest: &'static str,
    /// Whether the build installs it, so that its packages are found without `src/`.
    pub(super) installed: bool,
}

impl Itself {
    /// The name as Python imports it.
    fn module(&self) -> Option<String> {
        let module = pyproject::module(self.name.as_deref()?);
        identifier(&module).then_some(module)
    }

    /// The command that starts it: the only one, else the one of its name.
    fn script(&self) -> Option<&str> {
        let scripts: &[String] = if self.installed { &self.scripts } else { &[] };
        match scripts {
            [only] => Some(only),
            _ => scripts
                .iter()
                .find(|name| Some(*name) == self.name.as_ref())
                .map(String::as_str),
        }
    }
}

/// What is chosen from.
struct Choice<'a> {
    repo: &'a Repo,
    names: BTreeSet<&'a str>,
    project: &'a Itself,
    search: Search<'a>,
}

/// How the application starts. `names` are those that are installed, extras of the manifest too.
pub(super) fn choose(
    repo: &Repo,
    names: &BTreeSet<String>,
    project: &Itself,
    warnings: &mut Vec<String>,
) -> Result<Chosen, PlanError> {
    let brought = BRING.iter().filter(|(name, _)| names.contains(*name));
    let brought = brought.flat_map(|(_, more)| more.iter().copied());
    let choice = Choice {
        repo,
        names: names.iter().map(String::as_str).chain(brought).collect(),
        project,
        search: Search::new(repo, project)?,
    };
    if repo.in_image("manage.py") && choice.has("django") {
        return django::start(&choice, warnings);
    }
    for framework in FRAMEWORKS.iter().filter(|one| choice.has(one.package)) {
        if let Some(chosen) = choice.of_framework(framework, warnings)? {
            return Ok(chosen);
        }
    }
    if let Some(chosen) = choice.pages()? {
        return Ok(chosen);
    }
    Ok(Chosen {
        command: choice.script()?,
        framework: None,
    })
}

impl Choice<'_> {
    fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The command of the first server of an interface that is installed.
    fn served(&self, interface: Interface, found: &Object) -> Option<String> {
        let mut servers = SERVERS
            .iter()
            .filter(|server| server.interface == interface && self.has(server.package));
        servers.find_map(|server| {
            let command = if found.factory {
                server.factory
            } else {
                server.plain
            };
            let command = command
                .replace("{target}", &quote(&found.target(false)))
                .replace("{call}", &quote(&found.target(true)));
            (!command.is_empty()).then(|| found.command(&command))
        })
    }

    fn of_framework(
        &self,
        framework: &Framework,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Chosen>, PlanError> {
        let Some(mut found) = self.search.object(framework)? else {
            return Ok(None);
        };
        if framework.name == "dash" {
            // Dash is a Flask application inside; that is what servers take.
            let source = self.source(&found.path)?;
            let Some(server) = source
                .alias(&found.name, "server")
                .filter(|_| self.served(Interface::Wsgi, &found).is_some())
            else {
                let command = format!(
                    "HOST=0.0.0.0 PORT=${{PORT:-8050}} python {}",
                    quote(&found.path)
                );
                return Ok(Some(chosen(command, framework, &found)));
            };
            server.clone_into(&mut found.name);
        }
        if let Some(command) = self.served(framework.interface, &found) {
            return Ok(Some(chosen(command, framework, &found)));
        }
        let own = match framework.name {
            "flask" => {
                warnings.push(
                    "flask's own server is for development: add gunicorn to the dependencies"
                        .to_owned(),
                );
                format!(
                    "flask --app {} run --host 0.0.0.0 --port ${{PORT:-8000}}",
                    quote(&found.target(true))
                )
            }
            "sanic" => {
                let factory = if found.factory { " --factory" } else { "" };
                format!(
                    "sanic {} --host 0.0.0.0 --port ${{PORT:-8000}}{factory}",
                    quote(&found.target(false))
                )
            }
            // Its program serves itself.
            "aiohttp" => return Ok(None),
            _ => {
                warnings.push(format!(
                    "{} needs a server: add uvicorn to the dependencies",
                    framework.name
                ));
                return Ok(None);
            }
        };
        Ok(Some(chosen(found.command(&own), framework, &found)))
    }

    /// Streamlit and Gradio: a script at the root that uses them.
    fn pages(&self) -> Result<Option<Chosen>, PlanError> {
        for (name, title, command) in PAGES.iter().filter(|(name, ..)| self.has(name)) {
            let scripts = self.search.scripts()?;
            let preferred = ["streamlit_app.py", "Home.py"].into_iter().chain(SCRIPTS);
            let preferred = preferred.filter(|file| scripts.iter().any(|one| one == file));
            for file in preferred.chain(scripts.iter().map(String::as_str)) {
                if self.source(file)?.imports(name) {
                    let command = command.replace("{file}", &quote(file));
                    let evidence = Evidence::file(file, &format!("imports {name}"));
                    let decision =
                        Decision::new("start", command.clone(), format!("{title}, by its import"))
                            .from(evidence);
                    return Ok(Some(Chosen {
                        command: Some((command, decision)),
                        framework: Some(name),
                    }));
                }
            }
        }
        Ok(None)
    }

    fn source(&self, file: &str) -> Result<Arc<Source>, PlanError> {
        object::source(self.repo, file)
    }

    fn script(&self) -> Result<Option<(String, Decision)>, PlanError> {
        let start = |command: String, reason: &str, evidence: Evidence| {
            let decision = Decision::new("start", command.clone(), reason).from(evidence);
            Ok(Some((command, decision)))
        };
        let there = |file: &&str| self.repo.is_file(file) && self.repo.in_image(file);
        let python = |file: &str, note: &str| {
            start(
                format!("python {}", quote(file)),
                "found",
                Evidence::file(file, note),
            )
        };
        if let Some(file) = SCRIPTS[..2].iter().copied().find(there) {
            return python(file, "at the root");
        }
        if let Some(module) = self.project.module() {
            let places = [
                format!("{module}/__main__.py"),
                format!("src/{module}/__main__.py"),
            ];
            if let Some(file) = places.iter().map(String::as_str).find(there) {
                let evidence = Evidence::file(file, "the project's own module");
                return start(
                    format!("python -m {module}"),
                    "the project's name",
                    evidence,
                );
            }
        }
        if let Some(name) = self.project.script() {
            let evidence = Evidence::key(self.project.manifest, "scripts", None, name);
            return start(quote(name), "the project's own command", evidence);
        }
        if let Some(file) = SCRIPTS[2..].iter().copied().find(there) {
            return python(file, "at the root");
        }
        if let [only] = self.search.mains()?.as_slice() {
            let evidence = Evidence::file(
                &format!("{only}/__main__.py"),
                "the only package that is a program",
            );
            return start(format!("python -m {only}"), "found", evidence);
        }
        if let Some(file) = ["src/main.py", "src/app.py"]
            .into_iter()
            .find(|file| there(file))
        {
            return python(file, "below src");
        }
        match self.search.scripts()?.as_slice() {
            [only] => python(only, "the only script at the root"),
            _ => Ok(None),
        }
    }
}

/// Scripts at the root, best first; the first two come before what the project says of itself.
pub(super) const SCRIPTS: [&str; 7] = [
    "main.py",
    "app.py",
    "server.py",
    "bot.py",
    "start.py",
    "run.py",
    "hello.py",
];

fn chosen(command: String, framework: &Framework, found: &Object) -> Chosen {
    let evidence = Evidence {
        file: found.path.clone(),
        key: None,
        line: Some(found.line),
        note: found.name.clone(),
    };
    let reason = format!("{}, by its dependency", framework.title);
    let decision = Decision::new("start", command.clone(), reason).from(evidence);
    Chosen {
        command: Some((command, decision)),
        framework: Some(framework.name),
    }
}

fn identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .chars()
            .all(|letter| letter.is_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests;
