//! Node.js applications.
//!
//! - Claims: `package.json`
//! - Version from: `NIXPACKS_NODE_VERSION`; package.json `devEngines.runtime`, `.nvmrc`, `.node-version`, `.tool-versions`, mise.toml or package.json `volta.node` when it lies in `engines.node`; `engines.node`; any of the former
//! - Installs with: npm, pnpm, yarn or bun, by `packageManager`, `devEngines.packageManager`, the lock file, `engines`
//! - Builds with: moon, Nx, Turborepo, or the script `build`
//! - Starts with: moon, Nx, Turborepo; Caddy on the files, or Node.js on the server, that a framework's build makes; the script `start`, package.json `main`, `index.js`, `server.js`

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::plan::PlanError;
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read;
use crate::repo::Repo;
use crate::version::Tool;

use self::framework::Framework;
use self::libraries::Libraries;
use self::manager::{Kind, Manager};
use self::monorepo::{Member, Runner};
use self::package::{Lock, Package};
use self::start::Begin;

mod choice;
mod framework;
mod install;
mod libraries;
mod manager;
mod monorepo;
mod nx;
mod package;
mod phases;
mod prune;
mod runtime;
mod servers;
mod sites;
mod start;

/// The Node.js provider.
pub struct Node;

impl Provider for Node {
    fn name(&self) -> &'static str {
        "node"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let Some(mut evidence) = Evidence::first_file(repo, &["package.json"]) else {
            return Ok(None);
        };
        let package = package::root(repo)?;
        let starts = package.script("start").is_some()
            || package.main().is_some()
            || start::entry(repo, &package).is_some();
        if !starts {
            // Many repositories of other languages keep a package.json for a formatter or for their assets.
            "found at the root, though nothing in it says how to start"
                .clone_into(&mut evidence.note);
        }
        let strength = if starts {
            Strength::Definite
        } else {
            Strength::Likely
        };
        Ok(Some(
            Claim::new(strength, evidence).assisting(package.script("build").is_some()),
        ))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).and_then(|facts| phases::decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &["package.json"]
    }
}

/// What is read of an application before anything is decided.
struct Application<'a> {
    request: &'a Request<'a>,
    package: Arc<Package>,
    /// The text of package.json.
    text: Arc<str>,
    members: Vec<Member>,
    manager: Manager,
    /// npm's lock file; empty when another manager installs.
    lock: Arc<Lock>,
    runner: Runner,
    framework: Option<Framework>,
}

impl<'a> Application<'a> {
    fn read(request: &'a Request<'a>) -> Result<Self, PlanError> {
        let repo = request.repo;
        let package = package::root(repo)?;
        let text = repo.text("package.json")?.unwrap_or_default();
        let manager = choice::read(repo, &package, &text)?;
        let members = monorepo::members(repo, &package)?;
        let lock = match install::npm_lock(repo).filter(|_| manager.kind == Kind::Npm) {
            Some(file) => repo
                .parsed(file, |text| read::json::<Lock>(file, text))?
                .unwrap_or_default(),
            None => Arc::default(),
        };
        let runner = monorepo::runner(request, &package, &manager, &members)?.unwrap_or_default();
        let framework = if request.assisting || runner.build.is_some() {
            None
        } else {
            framework::read(request, &package, &lock)?
        };
        Ok(Self {
            request,
            package,
            text,
            members,
            manager,
            lock,
            runner,
            framework,
        })
    }

    /// The packages of the repository with their folders; the root's is empty.
    fn packages(&self) -> impl Iterator<Item = (&str, &Package)> {
        let members = self.members.iter();
        let members = members.map(|member| (member.folder.as_str(), &*member.package));
        std::iter::once(("", &*self.package)).chain(members)
    }
}

/// Everything that Node decisions rest on, read once.
struct Facts {
    node: Tool,
    manager: Manager,
    /// Packages that run something when they are installed.
    install_scripts: Vec<String>,
    /// The manifests that installing needs, or why it may need more.
    manifests: Result<Vec<String>, String>,
    build: Option<(String, Decision)>,
    start: Begin,
    /// Whether the start command needs nothing but Bun.
    of_bun: bool,
    /// Whether development dependencies go, and why or why not; nothing when there are none.
    prune: Option<Result<String, String>>,
    libraries: Libraries,
    variables: BTreeMap<String, String>,
    /// Files of the user's own for Caddy.
    caddyfile: Option<Arc<str>>,
    test: bool,
    assisting: bool,
    /// Where dependencies are: what goes when another language has the program.
    modules: Vec<String>,
    install_caches: Vec<String>,
    caches: Vec<String>,
    warnings: Vec<String>,
    /// What to do when nothing says how to start.
    advice: &'static str,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let app = Application::read(request)?;
        let (repo, package) = (request.repo, &app.package);
        let node = runtime::node(request, package, &app.text)?;
        let mut warnings = app.manager.warnings.clone();
        let start = start::start(&app, &mut warnings);
        if let (Begin::Program(..), Some(framework)) = (&start, &app.framework) {
            warnings.extend(framework.warning.map(str::to_owned));
        }
        let libraries = Libraries::of(&app);
        Ok(Self {
            install_scripts: install::scripts(package, &app.manager, &app.lock),
            manifests: install::manifests(&app)?,
            build: build(&app, &start),
            of_bun: start::needs_bun_alone(&app, &start),
            prune: prune::prune(&app, &node, &start)?,
            variables: phases::variables(&app, &node, &libraries),
            start,
            libraries,
            caddyfile: repo
                .text("Caddyfile")?
                .filter(|_| repo.in_image("Caddyfile")),
            test: request.test
                && package
                    .script("test")
                    .is_some_and(|script| !script.contains("no test specified")),
            assisting: request.assisting,
            modules: install::modules(&app),
            install_caches: install::caches(&app),
            caches: install::build_caches(&app),
            warnings,
            advice: framework::advice(package),
            manager: app.manager,
            node,
        })
    }
}

/// What builds the application, and why.
fn build(app: &Application, start: &Begin) -> Option<(String, Decision)> {
    if let Some(command) = &app.runner.build {
        let reason = format!("{} builds it", app.runner.name);
        let decision = Decision::new("build", command.clone(), reason)
            .from(app.runner.evidence.clone())
            .over(app.runner.others.clone());
        return Some((command.clone(), decision));
    }
    let script = app.package.script("build")?;
    let line = read::line_of(&app.text, "\"build\"");
    let evidence = Evidence::key("package.json", "scripts.build", line, script);
    let variables = match start {
        Begin::Program(program, _) => program.build_variables,
        _ => "",
    };
    let command = format!("{variables}{}", app.manager.run("build"));
    let decision = Decision::new("build", command.clone(), "the build script").from(evidence);
    Some((command, decision))
}

#[cfg(test)]
mod tests;
