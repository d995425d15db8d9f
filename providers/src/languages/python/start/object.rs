//! Where the application object is: `app = FastAPI()` in one of the usual modules, else in the packages of the repository.

use std::sync::Arc;

use crate::plan::PlanError;
use crate::repo::{FileKind, Repo};

use super::super::source::Source;
use super::framework::Framework;
use super::{Itself, identifier};

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

/// Files at the root that are no program of the application.
const NOT_A_SCRIPT: [&str; 8] = [
    "conftest.py",
    "fabfile.py",
    "gunicorn.conf.py",
    "manage.py",
    "noxfile.py",
    "setup.py",
    "tasks.py",
    "versioneer.py",
];

/// An application object: where it is, and what makes it.
pub(super) struct Object {
    /// The file, from the root.
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) name: String,
    /// Whether the name is a function that makes it.
    pub(super) factory: bool,
    /// The module as servers are told it.
    module: String,
    /// The folder that packages are below, when Python does not find them by itself.
    below: Option<&'static str>,
}

impl Object {
    /// One that something else named.
    pub(super) fn of(module: &str, name: &str) -> Self {
        Self {
            path: String::new(),
            line: 0,
            name: name.to_owned(),
            factory: false,
            module: module.to_owned(),
            below: None,
        }
    }

    /// `package.module:name`; a factory is called where the server takes an expression.
    pub(super) fn target(&self, expression: bool) -> String {
        let call = if self.factory && expression { "()" } else { "" };
        format!("{}:{}{call}", self.module, self.name)
    }

    pub(super) fn command(&self, server: &str) -> String {
        match self.below {
            Some(folder) => format!("PYTHONPATH={folder} {server}"),
            None => server.to_owned(),
        }
    }
}

/// A file of Python, split once.
pub(super) fn source(repo: &Repo, file: &str) -> Result<Arc<Source>, PlanError> {
    let source = repo.parsed(file, |text| Ok::<_, PlanError>(Source::new(text)))?;
    Ok(source.unwrap_or_default())
}

/// The search through a repository.
pub(super) struct Search<'a> {
    repo: &'a Repo,
    project: &'a Itself,
    /// The packages at the root and below `src/`, the project's own first.
    packages: Vec<String>,
}

impl<'a> Search<'a> {
    pub(super) fn new(repo: &'a Repo, project: &'a Itself) -> Result<Self, PlanError> {
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
        Ok(Self {
            repo,
            project,
            packages,
        })
    }

    /// The first object of a framework, else the first function that makes one.
    pub(super) fn object(&self, framework: &Framework) -> Result<Option<Object>, PlanError> {
        for file in MODULES.into_iter().filter(|file| self.there(file)) {
            if let Some(object) = self.made_in(file, framework)? {
                return Ok(Some(object));
            }
        }
        for package in &self.packages {
            for module in PACKAGE_MODULES {
                let file = format!("{package}/{module}");
                if !self.there(&file) {
                    continue;
                }
                let Some(object) = self.made_in(&file, framework)? else {
                    continue;
                };
                let Some(inner) = file.strip_prefix("src/") else {
                    return Ok(Some(object));
                };
                return Ok(Some(Object {
                    module: dotted(inner),
                    below: (!self.project.installed).then_some("src"),
                    ..object
                }));
            }
        }
        Ok(None)
    }

    /// The packages at the root that are programs: `bot/__main__.py`.
    pub(super) fn mains(&self) -> Result<Vec<String>, PlanError> {
        let found = self.repo.glob("*/__main__.py")?.into_iter();
        Ok(found
            .filter_map(|file| file.strip_suffix("/__main__.py").map(str::to_owned))
            .filter(|name| identifier(name) && !NOT_THE_PROGRAM.contains(&name.as_str()))
            .collect())
    }

    /// The scripts at the root.
    pub(super) fn scripts(&self) -> Result<Vec<String>, PlanError> {
        let entries = self.repo.list("")?.into_iter();
        Ok(entries
            .filter(|entry| entry.kind == FileKind::File)
            .map(|entry| entry.name)
            .filter(|name| {
                let test = name.starts_with("test_") || name.ends_with("_test.py");
                let python = name
                    .strip_suffix(".py")
                    .is_some_and(|stem| !stem.starts_with("__"));
                python && !test && !NOT_A_SCRIPT.contains(&name.as_str())
            })
            .collect())
    }

    fn there(&self, file: &str) -> bool {
        self.repo.is_file(file) && self.repo.in_image(file)
    }

    fn made_in(&self, file: &str, framework: &Framework) -> Result<Option<Object>, PlanError> {
        let source = source(self.repo, file)?;
        let makes = |called: &str| {
            let (path, last) = called.rsplit_once('.').unwrap_or(("", called));
            let of_module = path.is_empty() || path.split('.').next() == Some(framework.name);
            // What makes one elsewhere in the repository is known by its usual name.
            (of_module && framework.makers.contains(&last)) || last == "create_app"
        };
        let bound = source.bound().find(|one| makes(&one.called));
        let bound = bound.map(|one| (one.line, one.name.to_owned(), false));
        // Only the framework's name tells its factory from any other function; Flask finds this one by itself.
        let own =
            framework.name == "flask" || framework.makers.iter().any(|maker| source.says(maker));
        let factory = source.function("create_app").filter(|_| own);
        let found = bound.or_else(|| Some((factory?, "create_app".to_owned(), true)));
        Ok(found.map(|(line, name, factory)| Object {
            path: file.to_owned(),
            line,
            name,
            factory,
            module: dotted(file),
            below: None,
        }))
    }
}

/// A file as the module that Python imports.
fn dotted(file: &str) -> String {
    let module = file.trim_end_matches(".py");
    module.trim_end_matches("/__init__").replace('/', ".")
}
