//! What serves PHP: nginx with php-fpm, or FrankenPHP.
//!
//! Owns the folder that is served, the program that gets what is no file, and the files under `/assets`.

use std::collections::BTreeMap;

use crate::languages::quote;
use crate::plan::PlanError;
use crate::provider::{Decision, Evidence, Request};
use crate::template;

use super::composer::Composer;
use super::framework::Framework;

/// The repository's root in the image.
pub(super) const APP: &str = "/app";

const NGINX: &str = include_str!("../../../../templates/nginx-php.conf");
const FPM: &str = include_str!("../../../../templates/php-fpm.conf");
const START: &str = include_str!("../../../../templates/php-start.sh");
const TEMPLATE: &str = include_str!("../../../../templates/php-template.php");

/// Folders with an `index.php` that many applications serve instead of their root.
const FOLDERS: [&str; 4] = ["public", "web", "webroot", "htdocs"];

/// What is served.
pub(super) struct Site {
    /// A folder of the image.
    pub(super) root: String,
    /// As nginx' `try_files` ends.
    fallback: String,
    pub(super) decision: Decision,
}

impl Site {
    pub(super) fn read(
        request: &Request,
        framework: Option<&'static Framework>,
    ) -> Result<Self, PlanError> {
        let (root, decision) = root(request, framework)?;
        let front = framework.is_some() || root != APP;
        let fallback = match request.setting_with_evidence("PHP_FALLBACK_PATH") {
            Some((path, evidence)) => {
                if !path.starts_with('/') || !safe(&path) {
                    return Err(refuse(&path, evidence, "is not a path such as /index.php"));
                }
                format!("{path}?$query_string")
            }
            None if front => "/index.php?$query_string".to_owned(),
            None => "=404".to_owned(),
        };
        Ok(Self {
            root,
            fallback,
            decision,
        })
    }
}

fn root(
    request: &Request,
    framework: Option<&'static Framework>,
) -> Result<(String, Decision), PlanError> {
    if let Some((value, evidence)) = request.setting_with_evidence("PHP_ROOT_DIR") {
        let clean = value.trim_end_matches('/').trim_start_matches("./");
        if !safe(clean) || clean.split('/').any(|part| part == "..") {
            return Err(refuse(&value, evidence, "is not a folder"));
        }
        let root = if clean.starts_with('/') {
            clean.to_owned()
        } else {
            format!("{APP}/{clean}")
        };
        let decision = Decision::new("root", root.clone(), "what is served").from(evidence);
        return Ok((root, decision));
    }
    let below = |folder: &str| {
        if folder.is_empty() {
            APP.to_owned()
        } else {
            format!("{APP}/{folder}")
        }
    };
    if let Some(framework) = framework {
        let root = below(framework.root);
        let reason = format!("{} serves this folder", framework.name);
        return Ok((root.clone(), Decision::new("root", root, reason)));
    }
    let repo = request.repo;
    let folder = FOLDERS
        .into_iter()
        .find(|folder| !repo.is_file("index.php") && repo.in_image(&format!("{folder}/index.php")));
    let root = below(folder.unwrap_or_default());
    let reason = if folder.is_some() {
        "it has the only index.php; NIXPACKS_PHP_ROOT_DIR names another folder"
    } else {
        "the whole repository; NIXPACKS_PHP_ROOT_DIR names a folder"
    };
    Ok((root.clone(), Decision::new("root", root, reason)))
}

/// Characters that mean nothing to nginx.
fn safe(path: &str) -> bool {
    !path.is_empty()
        && path
            .chars()
            .all(|letter| letter.is_alphanumeric() || "/._-@+".contains(letter))
}

fn refuse(value: &str, evidence: Evidence, message: &str) -> PlanError {
    PlanError::Invalid {
        file: evidence.file,
        line: evidence.line.unwrap_or(1),
        column: 1,
        key: evidence.key.unwrap_or_default(),
        message: format!("{value:?} {message}"),
    }
}

/// What answers requests, and why it does.
pub(super) enum Server {
    /// nginx with our configuration.
    Nginx,
    /// nginx with the repository's template.
    Template(&'static str),
    /// nginx with the repository's configuration, as it stands.
    Configuration(&'static str),
    /// FrankenPHP: how it is started, and the reason.
    FrankenPhp(Franken, Evidence),
}

/// Ways to start FrankenPHP.
pub(super) enum Franken {
    /// Through Laravel Octane.
    Octane,
    /// With the repository's Caddyfile.
    Caddyfile,
    /// With its own defaults.
    Plain,
}

const CADDYFILE: &str = "Caddyfile";

impl Server {
    pub(super) fn read(
        request: &Request,
        composer: Option<&Composer>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, PlanError> {
        let repo = request.repo;
        let has = |package: &str| composer.is_some_and(|all| all.has(package));
        let caddyfile = if repo.in_image(CADDYFILE) {
            repo.text(CADDYFILE)?
        } else {
            None
        };
        let of_franken = caddyfile.as_deref().is_some_and(names_franken_php);
        if let Some(evidence) = asked_for(request, composer, of_franken) {
            let how = match () {
                () if has("laravel/octane") => Franken::Octane,
                () if of_franken => Franken::Caddyfile,
                () => Franken::Plain,
            };
            warnings.push("of the package sources only Nix has FrankenPHP (--packages nix); NIXPACKS_PHP_SERVER=nginx serves with nginx and php-fpm".to_owned());
            return Ok(Self::FrankenPhp(how, evidence));
        }
        if caddyfile.is_some() {
            warnings.push("the Caddyfile is not used: nginx serves PHP".to_owned());
        }
        Ok(if repo.in_image("nginx.conf") {
            Self::Configuration("nginx.conf")
        } else if repo.in_image("nginx.template.conf") {
            Self::Template("nginx.template.conf")
        } else {
            Self::Nginx
        })
    }

    /// Its name in a plan.
    pub(super) fn tool(&self) -> &'static str {
        match self {
            Self::FrankenPhp(..) => "frankenphp",
            _ => "nginx",
        }
    }

    /// The start command.
    pub(super) fn start(&self, site: &Site) -> (String, Decision) {
        let (command, choice, reason, evidence) = match self {
            Self::Nginx => (
                "bash /assets/start.sh".to_owned(),
                "nginx and php-fpm",
                "on $PORT, or 80",
                None,
            ),
            Self::Template(file) => (
                format!("bash /assets/start.sh {APP}/{file}"),
                "nginx and php-fpm",
                "with the repository's template",
                Some(Evidence::file(file, "a template of nginx' configuration")),
            ),
            Self::Configuration(file) => (
                format!("bash /assets/start.sh --as-is {APP}/{file}"),
                "nginx and php-fpm",
                "with the repository's configuration, as it stands",
                Some(Evidence::file(file, "nginx' configuration")),
            ),
            Self::FrankenPhp(how, evidence) => (
                franken(how, site),
                "frankenphp",
                "asked for",
                Some(evidence.clone()),
            ),
        };
        (
            command,
            Decision::new("start", choice, reason).from(evidence),
        )
    }

    /// The files that starting needs.
    pub(super) fn assets(&self, site: &Site) -> Result<BTreeMap<String, String>, PlanError> {
        if matches!(self, Self::FrankenPhp(..)) {
            return Ok(BTreeMap::new());
        }
        let values = minijinja::context! {
            root => &site.root,
            fallback => &site.fallback,
            whole_repository => site.root == APP,
        };
        let nginx = template::render("nginx-php.conf", NGINX, values)?;
        let assets = [
            ("nginx.template.conf", nginx.as_str()),
            ("php-fpm.conf", FPM),
            ("start.sh", START),
            ("template.php", TEMPLATE),
        ];
        Ok(assets
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect())
    }
}

/// What asks for FrankenPHP; `NIXPACKS_PHP_SERVER` may ask for the other.
fn asked_for(request: &Request, composer: Option<&Composer>, caddyfile: bool) -> Option<Evidence> {
    if let Some((value, evidence)) = request.setting_with_evidence("PHP_SERVER") {
        return value.eq_ignore_ascii_case("frankenphp").then_some(evidence);
    }
    let has = |package: &str| composer.is_some_and(|all| all.has(package));
    let octane = request.variables.get("OCTANE_SERVER");
    if has("laravel/octane") && octane.is_some_and(|server| server == "frankenphp") {
        return Some(Evidence::key(
            "environment",
            "OCTANE_SERVER",
            None,
            "frankenphp",
        ));
    }
    let runtime = "runtime/frankenphp-symfony";
    if has(runtime) {
        return Some(Evidence::key(super::MANIFEST, "require", None, runtime));
    }
    caddyfile.then(|| Evidence::file(CADDYFILE, "names FrankenPHP's directives"))
}

/// Whether a directive of a Caddyfile is one of FrankenPHP's.
fn names_franken_php(caddyfile: &str) -> bool {
    caddyfile.lines().any(|line| {
        let first = line.split_whitespace().next();
        matches!(first, Some("frankenphp" | "php_server" | "php"))
    })
}

fn franken(how: &Franken, site: &Site) -> String {
    match how {
        Franken::Octane => {
            "php artisan octane:frankenphp --host=0.0.0.0 --port=${PORT:-80}".to_owned()
        }
        Franken::Caddyfile => format!("frankenphp run --config {APP}/{CADDYFILE}"),
        Franken::Plain => format!(
            "frankenphp php-server --listen :${{PORT:-80}} --root {}",
            quote(&site.root)
        ),
    }
}
