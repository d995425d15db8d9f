//! PHP applications, served by nginx and php-fpm.
//!
//! - Claims: `composer.json`, or `index.php` at the root
//! - Version from: `NIXPACKS_PHP_VERSION`, composer.json `require.php`, `.php-version`, `.tool-versions`, mise.toml, composer.json `config.platform.php`
//! - Installs with: `composer install --no-dev`; extensions from `ext-*` of composer.json and composer.lock, `NIXPACKS_PHP_EXTENSIONS`
//! - Builds with: `composer dump-autoload` and the scripts of composer.json; a front end by the Node.js provider
//! - Starts with: nginx and php-fpm on `PORT` (80 when unset), from templates rendered into `/assets`; the repository's own nginx.conf or nginx.template.conf; FrankenPHP when asked for

use std::collections::BTreeMap;

use crate::plan::{Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read;
use crate::repo::Repo;
use crate::version::{self, Candidate, Grammar, Tool};

use super::{quote, strings};
use composer::{Composer, LOCK, MANIFEST};
use extensions::Extension;
use framework::Framework;
use server::{Server, Site};

mod composer;
pub mod extensions;
mod framework;
mod server;
#[cfg(test)]
mod tests;

/// The PHP provider.
pub struct Php;

impl Provider for Php {
    fn name(&self) -> &'static str {
        "php"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let evidence = Evidence::first_file(repo, self.markers());
        Ok(evidence.map(|evidence| Claim::new(Strength::Definite, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        decide(&Facts::read(request)?)
    }

    fn markers(&self) -> &'static [&'static str] {
        &[MANIFEST, "index.php"]
    }
}

/// Everything that PHP decisions rest on, read once.
struct Facts {
    version: Tool,
    composer: Option<Installation>,
    /// Extensions that are tools of their own, each with the reason.
    extensions: BTreeMap<&'static str, String>,
    framework: Option<&'static Framework>,
    site: Site,
    server: Server,
    /// The repository's own php.ini.
    settings: Option<String>,
    warnings: Vec<String>,
}

/// What Composer does.
struct Installation {
    locked: bool,
    packages: bool,
    git: bool,
    /// The manifests that installing needs, or why it may need more.
    manifests: Result<Vec<String>, String>,
    /// Scripts of composer.json for after the installation.
    scripts: Vec<&'static str>,
    /// Extensions that nobody has.
    missing: Vec<String>,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let composer = Composer::read(repo)?;
        let framework = framework::find(repo, composer.as_ref());
        let wanted = wanted(request, composer.as_ref(), framework);
        let mut warnings = Vec::new();
        let (extensions, missing) = sort_out(wanted, &mut warnings);
        let composer = composer.map(|composer| (installation(repo, &composer, missing), composer));
        if let Some((installation, _)) = &composer
            && installation.packages
            && !installation.locked
        {
            warnings.push("there is no composer.lock: each build may install other versions; run `composer update` and commit it".to_owned());
        }
        Ok(Self {
            version: php_version(request, composer.as_ref().map(|both| &both.1))?,
            extensions,
            framework,
            site: Site::read(request, framework)?,
            server: Server::read(
                request,
                composer.as_ref().map(|both| &both.1),
                &mut warnings,
            )?,
            composer: composer.map(|both| both.0),
            settings: if repo.in_image("php.ini") {
                repo.read("php.ini")?
            } else {
                None
            },
            warnings,
        })
    }
}

fn php_version(request: &Request, composer: Option<&Composer>) -> Result<Tool, PlanError> {
    let repo = request.repo;
    let text = repo.text(MANIFEST)?.unwrap_or_default();
    let of_manifest = |key: &str, value: Option<&str>| {
        let line = read::line_of(&text, "\"php\"");
        value.map(|value| Candidate::new(value, Evidence::key(MANIFEST, key, line, value)))
    };
    let mut candidates = Vec::new();
    candidates.extend(
        request
            .setting_with_evidence("PHP_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence)),
    );
    candidates.extend(of_manifest("require.php", composer.and_then(Composer::php)));
    candidates.extend(version::version_file(repo, ".php-version")?);
    candidates.extend(version::tool_managers(repo, &["php"])?);
    // Last: dependencies that were resolved for it run on what `require` allows too.
    let platform = composer.and_then(Composer::platform_php);
    candidates.extend(of_manifest("config.platform.php", platform));
    version::tool("php", Grammar::Composer, &candidates)
}

/// The extensions that are asked for, each with the reason.
fn wanted(
    request: &Request,
    composer: Option<&Composer>,
    framework: Option<&'static Framework>,
) -> BTreeMap<String, String> {
    let mut wanted = composer.map(Composer::extensions).unwrap_or_default();
    if let Some(framework) = framework {
        for name in framework.extensions {
            let why = format!("{} uses it", framework.name);
            wanted.entry((*name).to_owned()).or_insert(why);
        }
    }
    let named = request.setting("PHP_EXTENSIONS").unwrap_or_default();
    for name in named.split([',', ' ']).filter(|name| !name.is_empty()) {
        let name = name.trim_start_matches("ext-").to_ascii_lowercase();
        wanted.insert(name, "NIXPACKS_PHP_EXTENSIONS names it".to_owned());
    }
    wanted
}

/// The extensions that are tools, and those that nobody has.
fn sort_out(
    wanted: BTreeMap<String, String>,
    warnings: &mut Vec<String>,
) -> (BTreeMap<&'static str, String>, Vec<String>) {
    let mut tools = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, why) in wanted {
        match extensions::find(&name) {
            Extension::Included => {}
            Extension::Separate(tool) => drop(tools.insert(tool, why)),
            Extension::Unknown(nearest) => {
                let advice =
                    nearest.map_or(String::new(), |near| format!("; did you mean {near}?"));
                warnings.push(format!("there is no extension {name} ({why}){advice}"));
                missing.push(name);
            }
        }
    }
    (tools, missing)
}

fn installation(repo: &Repo, composer: &Composer, missing: Vec<String>) -> Installation {
    let manifests = match composer.reads_source() {
        Some(why) => Err(why),
        None => Ok([MANIFEST, LOCK, "auth.json"]
            .into_iter()
            .filter(|file| repo.in_image(file))
            .map(str::to_owned)
            .collect()),
    };
    Installation {
        locked: composer.is_locked(),
        packages: composer.has_packages(),
        git: composer.needs_git(),
        manifests,
        scripts: ["post-install-cmd"]
            .into_iter()
            .filter(|event| composer.script(event))
            .collect(),
        missing,
    }
}

fn decide(facts: &Facts) -> Result<Proposal, PlanError> {
    let mut proposal = Proposal {
        metadata: strings(&["php"]),
        warnings: facts.warnings.clone(),
        ..Proposal::default()
    };
    proposal
        .metadata
        .extend(facts.framework.map(|one| one.name.to_owned()));
    proposal.warnings.extend(facts.version.warnings.clone());
    proposal.decisions.push(facts.version.decision.clone());
    for (name, why) in &facts.extensions {
        proposal
            .decisions
            .push(Decision::new("extension", *name, why.clone()));
    }
    proposal.decisions.push(facts.site.decision.clone());
    let (start, decision) = facts.server.start(&facts.site);
    proposal.decisions.push(decision);

    let plan = &mut proposal.plan;
    plan.variables = variables(facts);
    plan.static_assets = facts.server.assets(&facts.site)?;
    plan.static_assets.extend(
        facts
            .settings
            .clone()
            .map(|text| ("php/app.ini".to_owned(), text)),
    );
    plan.phase("setup").nix_pkgs = Some(setup(facts));
    if let Some(composer) = &facts.composer {
        let (install, decision) = install(composer);
        plan.phases.insert("install".to_owned(), install);
        proposal.decisions.push(decision);
    }
    let commands = build(facts);
    if !commands.is_empty() {
        let after = if facts.composer.is_some() {
            "install"
        } else {
            "setup"
        };
        let build = plan.phase("build");
        build.depends_on = Some(strings(&[after]));
        build.cmds = Some(commands);
    }
    plan.start = Some(Start {
        cmd: Some(start),
        nix_pkgs: Some(run_tools(facts)),
        ..Start::default()
    });
    Ok(proposal)
}

fn variables(facts: &Facts) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::from([("PORT", "80")]);
    if let Some(framework) = facts.framework {
        variables.extend(framework.variables.iter().copied());
    }
    if facts.site.root != server::APP {
        variables.insert("NIXPACKS_PHP_ROOT_DIR", &facts.site.root);
    }
    if facts.composer.is_some() {
        // Composer passes over plugins when root runs it, unless it is told that this is meant.
        variables.insert("COMPOSER_ALLOW_SUPERUSER", "1");
        variables.insert("COMPOSER_CACHE_DIR", CACHE);
        variables.insert("COMPOSER_NO_INTERACTION", "1");
    }
    if facts.settings.is_some() {
        // After the folder that PHP has of its own.
        variables.insert("PHP_INI_SCAN_DIR", ":/assets/php");
    }
    variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn run_tools(facts: &Facts) -> Vec<String> {
    let mut tools = vec![facts.version.entry(), facts.server.tool().to_owned()];
    tools.extend(
        facts
            .extensions
            .keys()
            .map(|name| format!("php-ext-{name}")),
    );
    tools
}

fn setup(facts: &Facts) -> Vec<String> {
    let mut tools = run_tools(facts);
    if let Some(composer) = &facts.composer {
        tools.push("composer".to_owned());
        tools.extend(composer.git.then(|| "git".to_owned()));
    }
    tools
}

const CACHE: &str = "/root/.composer/cache";

fn install(composer: &Installation) -> (Phase, Decision) {
    let mut command = "composer install --no-dev --no-progress".to_owned();
    // The other phases have the files that an autoloader and scripts are made of.
    command += match composer.manifests {
        Ok(_) => " --no-autoloader --no-scripts",
        Err(_) => " --optimize-autoloader",
    };
    for name in &composer.missing {
        command += " --ignore-platform-req=";
        command += &quote(&format!("ext-{name}"));
    }
    let (files, sees) = match &composer.manifests {
        Ok(files) => (Some(files.clone()), "sees the manifests alone".to_owned()),
        Err(why) => (None, format!("sees all files: {why}")),
    };
    let decision = Decision::new("install", command.clone(), sees);
    let phase = Phase {
        depends_on: Some(strings(&["setup"])),
        cmds: Some(vec![command]),
        only_include_files: files,
        cache_directories: Some(strings(&[CACHE])),
        ..Phase::default()
    };
    let decision = if composer.locked {
        decision.from(Evidence::file(LOCK, "the lock file"))
    } else {
        decision
    };
    (phase, decision)
}

fn build(facts: &Facts) -> Vec<String> {
    let mut commands = Vec::new();
    if let Some(composer) = &facts.composer
        && composer.manifests.is_ok()
    {
        commands.push("composer dump-autoload --no-dev --optimize".to_owned());
        let scripts = composer.scripts.iter();
        commands.extend(scripts.map(|event| format!("composer run-script --no-dev {event}")));
    }
    let folders = facts
        .framework
        .map(|one| one.writes.join(" "))
        .unwrap_or_default();
    if !folders.is_empty() {
        // The program runs as another user than the one who builds.
        commands.push(format!("mkdir -p {folders} && chmod -R a+rwX {folders}"));
    }
    commands
}
