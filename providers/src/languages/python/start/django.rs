//! Django: which settings, which application, which server.

use crate::languages::quote;
use crate::plan::PlanError;
use crate::provider::{Decision, Evidence};
use crate::repo::Repo;

use super::framework::Interface;
use super::object::{Object, source};
use super::{Choice, Chosen, identifier};

/// An application that settings name: `site.wsgi.application`.
struct Application {
    module: String,
    object: String,
    evidence: Evidence,
}

pub(super) fn start(choice: &Choice, warnings: &mut Vec<String>) -> Result<Chosen, PlanError> {
    let repo = choice.repo;
    let settings = settings(repo)?;
    let asgi = application(repo, &settings, "ASGI_APPLICATION")?;
    let asgi = asgi.and_then(|one| Some((served(choice, Interface::Asgi, &one)?, one)));
    let wsgi = application(repo, &settings, "WSGI_APPLICATION")?;
    let wsgi = wsgi.or_else(|| beside(repo, &settings, "wsgi"));
    let wsgi = wsgi.and_then(|one| Some((served(choice, Interface::Wsgi, &one)?, one)));
    let unset = || {
        let one = beside(repo, &settings, "asgi")?;
        Some((served(choice, Interface::Asgi, &one)?, one))
    };
    let (command, evidence) = match asgi.or(wsgi).or_else(unset) {
        Some((command, one)) => (command, one.evidence),
        None => {
            warnings.push(
                "django's own server is for development: add gunicorn to the dependencies"
                    .to_owned(),
            );
            let command = "python manage.py runserver 0.0.0.0:${PORT:-8000}".to_owned();
            (command, Evidence::file("manage.py", "Django's own program"))
        }
    };
    let command = format!("python manage.py migrate && {command}");
    let reason = "Django, by its dependency and manage.py";
    let decision = Decision::new("start", command.clone(), reason).from(evidence);
    Ok(Chosen {
        command: Some((command, decision)),
        framework: Some("django"),
    })
}

fn served(choice: &Choice, interface: Interface, application: &Application) -> Option<String> {
    let object = Object::of(&application.module, &application.object);
    // gunicorn takes `application` when nothing is said; nixpacks says nothing.
    if interface == Interface::Wsgi && application.object == "application" && choice.has("gunicorn")
    {
        return Some(format!(
            "gunicorn --bind 0.0.0.0:${{PORT:-8000}} {}",
            quote(&application.module)
        ));
    }
    choice.served(interface, &object)
}

/// The files of settings, those that manage.py names first.
fn settings(repo: &Repo) -> Result<Vec<String>, PlanError> {
    let manage = source(repo, "manage.py")?;
    let named = manage
        .arguments("setdefault")
        .find_map(|(_, texts)| match texts.as_slice() {
            ["DJANGO_SETTINGS_MODULE", module] => Some(module.replace('.', "/")),
            _ => None,
        });
    let mut files: Vec<String> = Vec::new();
    if let Some(path) = named {
        let places = [
            format!("{path}.py"),
            format!("{path}/__init__.py"),
            format!("src/{path}.py"),
        ];
        files.extend(places.into_iter().filter(|file| repo.is_file(file)));
    }
    for pattern in ["*/settings.py", "*/settings/*.py", "*/*/settings.py"] {
        files.extend(repo.glob(pattern)?);
    }
    Ok(files)
}

/// The application that a setting names, in the first file that has it.
fn application(
    repo: &Repo,
    settings: &[String],
    key: &str,
) -> Result<Option<Application>, PlanError> {
    for file in settings {
        let source = source(repo, file)?;
        let Some((line, value)) = source.text(key) else {
            continue;
        };
        let parts = value.rsplit_once('.');
        let sound = |(module, object): &(&str, &str)| {
            identifier(object) && module.split('.').all(identifier)
        };
        if let Some((module, object)) = parts.filter(sound) {
            return Ok(Some(Application {
                module: module.to_owned(),
                object: object.to_owned(),
                evidence: Evidence::key(file, key, Some(line), value),
            }));
        }
    }
    Ok(None)
}

/// The wsgi.py or asgi.py beside the settings, which Django's own generator makes.
fn beside(repo: &Repo, settings: &[String], name: &str) -> Option<Application> {
    settings.iter().find_map(|file| {
        let folder = file.strip_suffix("/settings.py")?;
        let path = format!("{folder}/{name}.py");
        repo.in_image(&path).then(|| Application {
            module: format!("{}.{name}", folder.replace('/', ".")),
            object: "application".to_owned(),
            evidence: Evidence::file(&path, "beside the settings"),
        })
    })
}
