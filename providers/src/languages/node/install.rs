//! What installing reads, runs and keeps.
//!
//! Owns the question which files installing needs: with the manifests alone, an edit of the source does not install again.

use crate::languages::{quote, strings};
use crate::plan::PlanError;
use crate::repo::Repo;

use super::Application;
use super::choice;
use super::framework;
use super::libraries;
use super::manager::{Kind, Manager};
use super::package::{Lock, Package};

/// Scripts that package managers run on install; they may read any file.
const LIFECYCLE: [&str; 9] = [
    "preinstall",
    "install",
    "postinstall",
    "prepublish",
    "preprepare",
    "prepare",
    "postprepare",
    "dependencies",
    "pnpm:devPreinstall",
];
/// Dependencies whose own install script reads the application's files.
const READS_SOURCE: [&str; 3] = ["@prisma/client", "prisma", "patch-package"];

/// A script of a package that its manager runs on install.
pub(super) fn lifecycle(package: &Package) -> Option<&'static str> {
    LIFECYCLE
        .into_iter()
        .find(|script| package.script(script).is_some())
}

/// Whether installing makes something from the application's files, which installing anew would not.
pub(super) fn generates(package: &Package) -> bool {
    package.uses_any(&READS_SOURCE)
}

/// The only files that installing reads, or why there may be others.
pub(super) fn manifests(app: &Application) -> Result<Result<Vec<String>, String>, PlanError> {
    let repo = app.request.repo;
    let mut files = Vec::new();
    if let Some(patterns) = app.request.setting("NODE_INSTALL_PATTERNS") {
        for pattern in patterns.split_whitespace() {
            files.extend(repo.glob(pattern)?);
        }
    } else if let Some(why) = reads_more(app) {
        return Ok(Err(why));
    }
    let workspace = choice::pnpm_workspace(repo)?;
    let patches = workspace.iter().flat_map(|workspace| workspace.patches());
    let own = app.manager.manifests().iter().copied();
    let named = std::iter::once("package.json")
        .chain(own)
        .chain(app.package.patches())
        .chain(patches);
    let members = app.members.iter();
    let members = members.map(|member| format!("{}/package.json", member.folder));
    let mut all: Vec<String> = named.map(str::to_owned).chain(members).collect();
    all.extend(files);
    let mut manifests: Vec<String> = Vec::new();
    for file in all {
        let file = file.trim_start_matches("./").to_owned();
        if repo.in_image(&file) && !manifests.contains(&file) {
            manifests.push(file);
        }
    }
    Ok(Ok(manifests))
}

/// Why installing may read more than manifests.
fn reads_more(app: &Application) -> Option<String> {
    let repo = app.request.repo;
    let known = |folder: &str| app.members.iter().any(|member| member.folder == folder);
    if choice::has_workspaces(&app.package) && app.members.is_empty() {
        return Some("no package of the workspace was found".to_owned());
    }
    if let Some(folder) = app.lock.links().find(|folder| !known(folder)) {
        return Some(format!("{folder} is installed from the source"));
    }
    for (folder, package) in app.packages() {
        let file = match folder {
            "" => "package.json".to_owned(),
            folder => format!("{folder}/package.json"),
        };
        if let Some(script) = lifecycle(package) {
            return Some(format!("the {script} script of {file} may read any file"));
        }
        if let Some(name) = package.local_dependency() {
            return Some(format!("{name} is installed from a local path"));
        }
        // Managers make links to programs, and want the files to be there.
        if package.has_programs() && !folder.is_empty() {
            return Some(format!("{file} has programs"));
        }
        let own_lock = format!("{folder}/pnpm-lock.yaml");
        if app.manager.kind == Kind::Pnpm && !folder.is_empty() && repo.in_image(&own_lock) {
            return Some(format!("{own_lock} is a lock file of its own"));
        }
        if let Some(name) = READS_SOURCE.iter().find(|name| package.uses(name)) {
            return Some(format!("{name} reads the source when it is installed"));
        }
    }
    if repo.is_file("binding.gyp") {
        return Some("binding.gyp makes npm compile the package itself".to_owned());
    }
    let may_have = match app.manager.kind {
        Kind::Berry { .. } => repo.is_dir(".yarn"),
        _ => false,
    };
    may_have.then(|| ".yarn/ may have what is installed".to_owned())
}

/// Packages that run something when they are installed.
pub(super) fn scripts(package: &Package, manager: &Manager, lock: &Lock) -> Vec<String> {
    let mut found = lock.install_scripts();
    found.extend(manager.native.iter().cloned());
    if manager.kind != Kind::Npm && manager.native.is_empty() {
        let known = libraries::COMPILED.iter().filter(|name| package.uses(name));
        found.extend(known.map(|name| (*name).to_owned()));
    }
    found
}

fn uses_cypress(app: &Application) -> bool {
    app.packages().any(|(_, package)| package.uses("cypress"))
}

/// Whether Cypress is there and neither the tests nor the build script run it.
pub(super) fn leaves_out_cypress(app: &Application) -> bool {
    let build = app.package.script("build").unwrap_or_default();
    let runs = framework::all_words(&app.package, build).contains(&"cypress");
    uses_cypress(app) && !runs && !app.request.test
}

/// Cache directories of the install phase.
pub(super) fn caches(app: &Application) -> Vec<String> {
    let cypress = uses_cypress(app) && !leaves_out_cypress(app);
    let cypress = cypress.then_some("/root/.cache/Cypress");
    cypress
        .into_iter()
        .chain([app.manager.cache()])
        .map(str::to_owned)
        .collect()
}

/// Cache directories of the build phase.
pub(super) fn build_caches(app: &Application) -> Vec<String> {
    let own = app.package.cache_directories.iter().flatten();
    let mut caches: Vec<String> = own.cloned().collect();
    for (folder, package) in app.packages() {
        if package.uses("next") {
            let folder = if folder.is_empty() {
                String::new()
            } else {
                format!("{folder}/")
            };
            caches.push(format!("{folder}.next/cache"));
        }
    }
    caches.extend(app.runner.caches.clone());
    caches.push("node_modules/.cache".to_owned());
    caches.sort();
    caches.dedup();
    caches
}

/// Where dependencies are.
pub(super) fn modules(app: &Application) -> Vec<String> {
    if !app.manager.has_modules() {
        return strings(&[".pnp.*", ".yarn/cache", ".yarn/unplugged"]);
    }
    let members = app.members.iter();
    let members = members.map(|member| quote(&format!("{}/node_modules", member.folder)));
    let root = "node_modules".to_owned();
    std::iter::once(root).chain(members).collect()
}

/// npm's lock file.
pub(super) fn npm_lock(repo: &Repo) -> Option<&'static str> {
    choice::NPM_LOCKS
        .into_iter()
        .find(|file| repo.in_image(file))
}
