//! Node.js applications.
//!
//! - Claims: `package.json`
//! - Version from: `NIXPACKS_NODE_VERSION`, package.json `engines.node`, `devEngines.runtime`, `.nvmrc`, `.node-version`, `.tool-versions`, mise.toml, package.json `volta.node`
//! - Installs with: npm, pnpm, yarn or bun, by `packageManager`, `devEngines.packageManager`, the lock file, `engines`
//! - Builds with: moon, Nx, Turborepo, or the script `build`
//! - Starts with: moon, Nx, Turborepo; Caddy on the files, or Node.js on the server, that a framework's build makes; the script `start`, package.json `main`, `index.js`, `server.js`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minijinja::context;
use serde_json::Value;

use crate::plan::{BuildPlan, Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read;
use crate::repo::Repo;
use crate::template;
use crate::version::{self, Candidate, Tool};

use self::framework::{Framework, Output, Program};
use self::libraries::Libraries;
use self::manager::{Kind, Manager};
use self::monorepo::Runner;
use self::package::{Lock, Package};
use super::{quote, strings};

mod framework;
mod libraries;
mod manager;
mod monorepo;
mod package;
mod prune;

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
            || entry(repo, &package).is_some();
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
        Facts::read(request).and_then(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &["package.json"]
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
    /// Whether development dependencies go, and why or why not; nothing when there are none.
    prune: Option<Result<String, String>>,
    libraries: Libraries,
    /// Files of the user's own for Caddy.
    caddyfile: Option<Arc<str>>,
    test: bool,
    assisting: bool,
    install_caches: Vec<String>,
    caches: Vec<String>,
    warnings: Vec<String>,
}

/// How the application is started.
enum Begin {
    Nothing,
    Command(String, Decision),
    /// The server that a framework's build makes.
    Program(Program, Decision),
    /// Caddy, on a folder; whether it is one page.
    Files(String, bool, Decision),
}

/// Scripts that package managers run on install; they may read any file.
const LIFECYCLE: [&str; 8] = [
    "preinstall",
    "install",
    "postinstall",
    "prepublish",
    "preprepare",
    "prepare",
    "postprepare",
    "dependencies",
];
/// Dependencies whose own install script reads the application's files.
const READS_SOURCE: [&str; 3] = ["@prisma/client", "prisma", "patch-package"];

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let package = package::root(repo)?;
        let text = repo.text("package.json")?.unwrap_or_default();
        let manager = Manager::read(repo, &package, &text)?;
        let members = monorepo::members(repo, &package)?;
        let mut packages = Vec::new();
        for member in &members {
            let file = format!("{member}/package.json");
            packages.extend(package::at(repo, &file)?.map(|one| (format!("{member}/"), one)));
        }
        let lock = match manager::npm_lock(repo).filter(|_| manager.kind == Kind::Npm) {
            Some(file) => repo
                .parsed(file, |text| read::json::<Lock>(file, text))?
                .unwrap_or_default(),
            None => Arc::default(),
        };
        let runner = monorepo::runner(request, &package, &manager, &members)?.unwrap_or_default();
        let framework = if request.assisting || runner.build.is_some() {
            None
        } else {
            framework::read(repo, &package)?
        };
        let mut warnings = manager.warnings.clone();
        let start = start(
            request,
            &package,
            &text,
            &manager,
            &runner,
            framework,
            &mut warnings,
        );
        let start = match start {
            Begin::Nothing if !members.is_empty() => member_start(repo, &manager, &members)?,
            other => other,
        };
        let programs = lock.programs();
        let all: Vec<&Package> = std::iter::once(&*package)
            .chain(packages.iter().map(|(_, one)| &**one))
            .collect();
        Ok(Self {
            node: node_version(request, &package, &text)?,
            install_scripts: install_scripts(&package, &manager, &lock),
            manifests: manifests(repo, &package, &manager, lock.links(), &members),
            build: build(&package, &text, &manager, &runner),
            prune: prune(request, &package, &manager, &programs, &start)?,
            start,
            libraries: Libraries::of(&all),
            caddyfile: repo
                .text("Caddyfile")?
                .filter(|_| repo.in_image("Caddyfile")),
            test: request.test
                && package
                    .script("test")
                    .is_some_and(|script| !script.contains("no test specified")),
            assisting: request.assisting,
            install_caches: install_caches(&all, &manager),
            caches: caches(&package, &packages, &runner),
            warnings,
            manager,
        })
    }
}

fn install_scripts(package: &Package, manager: &Manager, lock: &Lock) -> Vec<String> {
    let mut found = lock.install_scripts();
    found.extend(manager.native.iter().cloned());
    if manager.kind != Kind::Npm && manager.native.is_empty() {
        let known = libraries::COMPILED.iter().filter(|name| package.uses(name));
        found.extend(known.map(|name| (*name).to_owned()));
    }
    found
}

fn node_version(request: &Request, package: &Package, text: &str) -> Result<Tool, PlanError> {
    let repo = request.repo;
    let mut candidates = Vec::new();
    candidates.extend(
        request
            .setting_with_evidence("NODE_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence)),
    );
    if let Some(wish) = package.engine("node") {
        let line = read::line_of(text, "\"node\"");
        candidates.push(Candidate::new(
            wish,
            Evidence::key("package.json", "engines.node", line, wish),
        ));
    }
    if let Some(("node", Some(wish))) = package.dev_engine("runtime") {
        candidates.push(Candidate::new(
            wish,
            Evidence::key("package.json", "devEngines.runtime", None, wish),
        ));
    }
    for file in [".nvmrc", ".node-version"] {
        candidates.extend(version::version_file(repo, file)?);
    }
    candidates.extend(version::tool_managers(repo, &["nodejs", "node"])?);
    if let Some(wish) = package.volta("node") {
        candidates.push(Candidate::new(
            wish,
            Evidence::key("package.json", "volta.node", None, wish),
        ));
    }
    version::node(&candidates)
}

/// The only files that installing reads, or why there may be others.
fn manifests(
    repo: &Repo,
    package: &Package,
    manager: &Manager,
    links: bool,
    members: &[String],
) -> Result<Vec<String>, String> {
    if manager::has_workspaces(package) || links || !members.is_empty() {
        return Err("workspaces and linked packages are installed from the source".to_owned());
    }
    if let Some(script) = LIFECYCLE
        .iter()
        .find(|script| package.script(script).is_some())
    {
        return Err(format!(
            "the {script} script of package.json may read any file"
        ));
    }
    let local = |value: &Value| {
        value.as_str().is_some_and(|wish| {
            wish.starts_with("file:") || wish.starts_with("link:") || wish.starts_with('.')
        })
    };
    if let Some((name, _)) = package.all_dependencies().find(|(_, wish)| local(wish)) {
        return Err(format!("{name} is installed from a local path"));
    }
    if let Some((name, _)) = package
        .all_dependencies()
        .find(|(name, _)| READS_SOURCE.contains(&name.as_str()))
    {
        return Err(format!("{name} reads the source when it is installed"));
    }
    if repo.is_file("binding.gyp") {
        return Err("binding.gyp makes npm compile the package itself".to_owned());
    }
    if let Kind::Berry { .. } | Kind::Pnpm = manager.kind
        && let Some(folder) = [".yarn", "patches"]
            .into_iter()
            .find(|folder| repo.is_dir(folder))
    {
        return Err(format!("{folder}/ may have what is installed"));
    }
    let own = manager.manifests().iter().copied();
    Ok(std::iter::once("package.json")
        .chain(own)
        .filter(|file| repo.in_image(file))
        .map(str::to_owned)
        .collect())
}

fn caches(package: &Package, packages: &[(String, Arc<Package>)], runner: &Runner) -> Vec<String> {
    let mut caches: Vec<String> = package
        .cache_directories
        .iter()
        .flatten()
        .cloned()
        .collect();
    let own = std::iter::once((String::new(), package));
    for (folder, one) in own.chain(
        packages
            .iter()
            .map(|(folder, one)| (folder.clone(), &**one)),
    ) {
        if one.uses("next") {
            caches.push(format!("{folder}.next/cache"));
        }
    }
    caches.extend(runner.caches.clone());
    caches.push("node_modules/.cache".to_owned());
    caches.sort();
    caches.dedup();
    caches
}

fn install_caches(packages: &[&Package], manager: &Manager) -> Vec<String> {
    let cypress = packages.iter().any(|one| one.uses("cypress"));
    let cypress = cypress.then_some("/root/.cache/Cypress");
    cypress
        .into_iter()
        .chain(manager.cache())
        .map(str::to_owned)
        .collect()
}

fn build(
    package: &Package,
    text: &str,
    manager: &Manager,
    runner: &Runner,
) -> Option<(String, Decision)> {
    if let Some(command) = &runner.build {
        let decision = Decision::new(
            "build",
            command.clone(),
            format!("{} builds it", runner.name),
        );
        return Some((command.clone(), decision.from(runner.evidence.clone())));
    }
    let script = package.script("build")?;
    let line = read::line_of(text, "\"build\"");
    let command = manager.run("build");
    let decision = Decision::new("build", command.clone(), "the build script").from(Evidence::key(
        "package.json",
        "scripts.build",
        line,
        script,
    ));
    Some((command, decision))
}

/// A file that can be started although nothing says so: as nixpacks, then as npm's own default.
fn entry(repo: &Repo, package: &Package) -> Option<String> {
    let declared = package.main().into_iter().flat_map(|main| {
        [
            main.to_owned(),
            format!("{main}.js"),
            format!("{main}/index.js"),
        ]
    });
    let candidates = declared.chain(strings(&["index.js", "index.mjs", "server.js"]));
    candidates
        .map(|file| file.trim_start_matches("./").to_owned())
        .find(|file| repo.is_file(file) && repo.in_image(file))
}

fn decided(command: String, reason: &str, evidence: impl Into<Option<Evidence>>) -> Begin {
    let decision = Decision::new("start", command.clone(), reason).from(evidence);
    Begin::Command(command, decision)
}

/// The only package of a workspace that can be started.
fn member_start(repo: &Repo, manager: &Manager, members: &[String]) -> Result<Begin, PlanError> {
    let Some(name) = monorepo::only_starter(repo, members)? else {
        return Ok(Begin::Nothing);
    };
    let command = manager.run_in(&quote(&name), "start");
    Ok(decided(
        command,
        "the only package with a start script",
        None,
    ))
}

fn start(
    request: &Request,
    package: &Package,
    text: &str,
    manager: &Manager,
    runner: &Runner,
    framework: Option<Framework>,
    warnings: &mut Vec<String>,
) -> Begin {
    if let Some(command) = &runner.start {
        let reason = format!("{} starts it", runner.name);
        return decided(command.clone(), &reason, runner.evidence.clone());
    }
    if let Some(begin) = served(request, package, framework, warnings) {
        return begin;
    }
    let script = |name: &str, reason: &str| {
        let text_of = package.script(name)?;
        let line = read::line_of(text, &format!("\"{name}\""));
        let evidence = Evidence::key("package.json", &format!("scripts.{name}"), line, text_of);
        Some(decided(manager.run(name), reason, evidence))
    };
    // Nest's own start script compiles; what it compiled is started by another one.
    let nest = package
        .script("start")
        .is_some_and(|text| text.trim() == "nest start");
    if let Some(begin) = script(
        "start:prod",
        "the built program; `nest start` would compile again",
    )
    .filter(|_| nest && package.script("build").is_some())
    {
        return begin;
    }
    if let Some(begin) = script("start", "the start script") {
        return begin;
    }
    let found = entry(request.repo, package);
    if let Some(main) = package
        .main()
        .filter(|_| found.is_none() && package.script("build").is_some())
    {
        let line = read::line_of(text, "\"main\"");
        let evidence = Evidence::key("package.json", "main", line, main);
        let command = manager.node(&quote(main));
        return decided(command, "main, which the build has to make", evidence);
    }
    if let Some(file) = found {
        let evidence = Evidence::file(&file, "found");
        let command = manager.node(&quote(&file));
        return decided(command, "there is no start script", evidence);
    }
    let file =
        (manager.kind == Kind::Bun && request.repo.in_image("index.ts")).then_some("index.ts");
    file.map_or(Begin::Nothing, |file| {
        let evidence = Evidence::file(file, "found");
        decided(format!("bun {file}"), "there is no start script", evidence)
    })
}

/// What a framework's build makes, unless the start script is a program of the user's own.
fn served(
    request: &Request,
    package: &Package,
    framework: Option<Framework>,
    warnings: &mut Vec<String>,
) -> Option<Begin> {
    let caddy = request.setting("SPA_CADDY");
    let refused = caddy
        .as_deref()
        .is_some_and(|value| matches!(value, "0" | "false"));
    let forced = caddy.is_some() && !refused;
    let asked = request
        .setting_with_evidence("SPA_OUT_DIR")
        .filter(|_| !refused);
    let script = package.script("start");
    if let Some((wish, evidence)) = asked {
        let single = !matches!(
            &framework,
            Some(Framework {
                output: Output::Files { single: false, .. },
                ..
            })
        );
        match framework::folder(&wish) {
            Some(folder) => {
                let decision =
                    Decision::new("start", "caddy", format!("serves {folder}")).from(evidence);
                return Some(Begin::Files(folder, single, decision));
            }
            None => warnings.push(format!(
                "NIXPACKS_SPA_OUT_DIR is no folder of the application: {wish:?}"
            )),
        }
    }
    let framework = framework?;
    let free = script.is_none_or(framework::is_preview)
        // It refuses to serve an export.
        || (framework.name == "next" && script.is_some_and(|script| starts(script, ".next/")));
    match framework.output {
        Output::Files { folder, single } => {
            let folder = framework::folder(&folder)?;
            let reason = format!(
                "serves {folder}, which {} makes: {}",
                framework.name, framework.reason
            );
            let decision = Decision::new("start", "caddy", reason);
            (!refused && (free || forced)).then_some(Begin::Files(folder, single, decision))
        }
        Output::Program(program) => {
            let same = script.is_some_and(|script| starts(script, &program.file));
            let reason = format!("{}: {}", framework.name, framework.reason);
            let decision = Decision::new("start", program.file.clone(), reason);
            (free || same).then_some(Begin::Program(program, decision))
        }
    }
}

/// Whether a script does nothing but what starting a framework's own server does.
fn starts(script: &str, file: &str) -> bool {
    let words: Vec<&str> = script.split_whitespace().collect();
    match words.as_slice() {
        ["next", "start"] => file.starts_with(".next/"),
        ["nuxt" | "nuxi", "start" | "preview"] => file.starts_with(".output/"),
        ["node", path] => path.trim_start_matches("./").trim_end_matches('/') == file,
        _ => false,
    }
}

/// Whether development dependencies go: nothing when it makes no difference.
fn prune(
    request: &Request,
    package: &Package,
    manager: &Manager,
    programs: &BTreeSet<String>,
    start: &Begin,
) -> Result<Option<Result<String, String>>, PlanError> {
    let setting = ["NIXPACKS_PRUNE_DEPS", "RAILPACK_PRUNE_DEPS"]
        .into_iter()
        .find_map(|name| request.variables.get(name));
    let wish = setting.map(|value| matches!(value.trim(), "1" | "true"));
    if package.for_development().is_empty() || wish == Some(false) {
        return Ok(None);
    }
    let keeps_all = match start {
        Begin::Files(..) => return Ok(None),
        Begin::Program(program, _) if !program.only.is_empty() => return Ok(None),
        Begin::Program(program, _) => !program.bundled,
        _ => true,
    };
    let Some(command) = manager.prune() else {
        return Ok(Some(Err(format!(
            "{} cannot do it in place",
            manager.name()
        ))));
    };
    if wish == Some(true) {
        return Ok(Some(Ok(command.to_owned())));
    }
    if monorepo::is_monorepo(request.repo, package) {
        return Ok(Some(Err("there are several packages".to_owned())));
    }
    // It installs anew, and would run them again.
    let scripts = LIFECYCLE
        .iter()
        .any(|script| package.script(script).is_some());
    if manager.kind == Kind::Bun && (scripts || package.trusted_dependencies.is_some()) {
        return Ok(Some(Err("install scripts would run again".to_owned())));
    }
    if manager.lock.is_none() && manager.kind != Kind::Npm {
        return Ok(Some(Err("there is no lock file".to_owned())));
    }
    let why = match start {
        Begin::Command(command, _) => prune::needed_by_command(package, programs, command, 0),
        Begin::Nothing => Some("nothing says how to start".to_owned()),
        _ => None,
    };
    let why = match why {
        None if keeps_all => prune::needed_by_source(request.repo, package)?,
        why => why,
    };
    Ok(Some(why.map_or_else(|| Ok(command.to_owned()), Err)))
}

fn decide(facts: &Facts) -> Result<Proposal, PlanError> {
    let mut proposal = Proposal {
        metadata: strings(&["node"]),
        warnings: facts.warnings.clone(),
        ..Proposal::default()
    };
    proposal.warnings.extend(facts.node.warnings.clone());
    proposal.decisions.push(facts.node.decision.clone());
    let plan = &mut proposal.plan;
    plan.variables = variables(facts);
    let (setup, decisions) = setup(facts);
    plan.phases.insert("setup".to_owned(), setup);
    proposal.decisions.extend(decisions);
    let (install, decision) = install(facts);
    plan.phases.insert("install".to_owned(), install);
    proposal.decisions.push(decision);
    if let Some((command, decision)) = &facts.build {
        let build = plan.phase("build");
        build.depends_on = Some(strings(&["install"]));
        let mut commands = vec![command.clone()];
        if let Begin::Program(program, _) = &facts.start {
            commands.extend(program.after_build.clone());
        }
        build.cmds = Some(commands);
        build.cache_directories = Some(facts.caches.clone());
        proposal.decisions.push(decision.clone());
    }
    if facts.test {
        let test = plan.phase("test");
        test.depends_on = Some(strings(&[built(facts)]));
        test.cmds = Some(vec![facts.manager.run("test")]);
    }
    proposal.decisions.extend(pruned(plan, facts));
    if facts.assisting {
        return Ok(proposal);
    }
    let (start, decision) = begin(plan, facts)?;
    plan.start = Some(start);
    match decision {
        Some(decision) => proposal.decisions.push(decision),
        None => proposal.without_start = Some("add a \"start\" script to package.json".to_owned()),
    }
    Ok(proposal)
}

/// The last phase before what comes after building.
fn built(facts: &Facts) -> &'static str {
    if facts.build.is_some() {
        "build"
    } else {
        "install"
    }
}

/// Adds the phase that takes away what only building needed.
fn pruned(plan: &mut BuildPlan, facts: &Facts) -> Option<Decision> {
    if facts.assisting {
        let prune = plan.phase("prune");
        prune.depends_on = Some(strings(&[built(facts)]));
        prune.cmds = Some(strings(&["rm -rf node_modules"]));
        return None;
    }
    match facts.prune.as_ref()? {
        Ok(command) => {
            let after = if facts.test { "test" } else { built(facts) };
            let prune = plan.phase("prune");
            prune.depends_on = Some(strings(&[after]));
            prune.cmds = Some(vec![command.clone()]);
            prune.cache_directories = facts.manager.cache().map(|cache| strings(&[cache]));
            let reason =
                "nothing that runs uses development dependencies; NIXPACKS_PRUNE_DEPS=0 keeps them";
            Some(Decision::new("prune", command.clone(), reason))
        }
        Err(why) => {
            let reason = format!("development dependencies stay: {why}");
            Some(Decision::new("prune", "nothing", reason))
        }
    }
}

const CADDY_START: &str = "exec caddy run --config /assets/Caddyfile --adapter caddyfile 2>&1";

/// The start of the plan and what explains it, with all that it takes.
fn begin(plan: &mut BuildPlan, facts: &Facts) -> Result<(Start, Option<Decision>), PlanError> {
    let mut tools = vec![facts.node.entry()];
    let mut start = Start::default();
    let decision = match &facts.start {
        Begin::Files(folder, single, decision) => {
            let (caddy, decision) = caddy(plan, facts, folder, *single, decision)?;
            return Ok((caddy, Some(decision)));
        }
        Begin::Program(program, decision) => {
            start.cmd = Some(format!(
                "{}{}",
                program.variables,
                facts.manager.node(&quote(&program.file))
            ));
            if !program.only.is_empty() {
                start.only_include_files = Some(program.only.clone());
            }
            if !facts.manager.has_modules() {
                tools.extend(facts.manager.entry());
            }
            Some(decision.clone())
        }
        Begin::Command(command, decision) => {
            start.cmd = Some(command.clone());
            tools.extend(facts.manager.entry());
            Some(decision.clone())
        }
        Begin::Nothing => {
            tools.extend(facts.manager.entry());
            None
        }
    };
    start.nix_pkgs = Some(tools);
    let libraries = &facts.libraries.run;
    start.apt_pkgs = (!libraries.is_empty()).then(|| libraries.clone());
    Ok((start, decision))
}

/// Caddy on the files that a build made: nothing else is in the image.
fn caddy(
    plan: &mut BuildPlan,
    facts: &Facts,
    folder: &str,
    single: bool,
    decision: &Decision,
) -> Result<(Start, Decision), PlanError> {
    let mut files = vec![folder.to_owned()];
    let mut decision = decision.clone();
    let text = match &facts.caddyfile {
        Some(own) => {
            files.push("Caddyfile".to_owned());
            decision.reason += ", as the application's own Caddyfile says";
            own.to_string()
        }
        None => template::render(
            "Caddyfile",
            include_str!("../../../templates/Caddyfile"),
            context! { folder, single },
        )?,
    };
    plan.static_assets.insert("Caddyfile".to_owned(), text);
    plan.variables
        .insert("NIXPACKS_SPA_OUTPUT_DIR".to_owned(), folder.to_owned());
    let caddy = plan.phase("caddy");
    caddy.depends_on = Some(strings(&["setup"]));
    caddy.nix_pkgs = Some(strings(&["caddy"]));
    let start = Start {
        cmd: Some(CADDY_START.to_owned()),
        nix_pkgs: Some(strings(&["caddy"])),
        only_include_files: Some(files),
        ..Start::default()
    };
    Ok((start, decision))
}

fn variables(facts: &Facts) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = [
        ("CI", "true"),
        ("NODE_ENV", "production"),
        ("NPM_CONFIG_PRODUCTION", "false"),
    ]
    .into_iter()
    .chain(facts.manager.variables())
    .chain(facts.libraries.variables.iter().copied())
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    if facts.assisting {
        // The program's own language says what is there at run time.
        variables.remove("PUPPETEER_EXECUTABLE_PATH");
    }
    variables
}

fn setup(facts: &Facts) -> (Phase, Vec<Decision>) {
    let mut tools = vec![facts.node.entry()];
    let mut decisions: Vec<Decision> = facts.manager.decision.clone().into_iter().collect();
    tools.extend(facts.manager.entry());
    if !facts.install_scripts.is_empty() {
        tools.extend(strings(&["gcc", "python"]));
        let names: Vec<&str> = facts
            .install_scripts
            .iter()
            .take(5)
            .map(String::as_str)
            .collect();
        let reason = format!(
            "at build time alone: install scripts of {} may compile",
            names.join(", ")
        );
        decisions.push(Decision::new("compiler", "gcc and python", reason));
    }
    let mut packages = facts.libraries.build.clone();
    if !facts.assisting {
        packages.extend(facts.libraries.run.clone());
    }
    packages.sort();
    packages.dedup();
    if !packages.is_empty() {
        let reason = format!("{} need them", facts.libraries.names.join(", "));
        decisions.push(Decision::new("libraries", packages.join(" "), reason));
    }
    (
        Phase {
            nix_pkgs: Some(tools),
            apt_pkgs: (!packages.is_empty()).then_some(packages),
            ..Phase::default()
        },
        decisions,
    )
}

fn install(facts: &Facts) -> (Phase, Decision) {
    let command = facts.manager.install();
    let (files, sees) = match &facts.manifests {
        Ok(files) => (Some(files.clone()), "sees the manifests alone".to_owned()),
        Err(why) => (None, format!("sees all files: {why}")),
    };
    let phase = Phase {
        depends_on: Some(strings(&["setup"])),
        cmds: Some(strings(&[command])),
        only_include_files: files,
        cache_directories: (!facts.install_caches.is_empty()).then(|| facts.install_caches.clone()),
        paths: Some(strings(&["/app/node_modules/.bin"])),
        ..Phase::default()
    };
    let decision = Decision::new("install", command, sees);
    (
        phase,
        match facts.manager.lock {
            Some(file) => decision.from(Evidence::file(file, "the lock file")),
            None => decision,
        },
    )
}

#[cfg(test)]
mod tests;
