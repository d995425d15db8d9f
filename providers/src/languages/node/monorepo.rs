//! Repositories of several packages: workspaces, Turborepo and moon.
//!
//! Owns which packages there are, and the commands that build and start one of them. Nx has a file of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::languages::quote;
use crate::plan::PlanError;
use crate::provider::{Evidence, Request};
use crate::read;
use crate::repo::Repo;

use super::choice::{has_workspaces, pnpm_workspace};
use super::manager::Manager;
use super::nx;
use super::package::{self, Package};

/// A task runner's commands.
#[derive(Debug, Clone, Default)]
pub(super) struct Runner {
    pub(super) name: &'static str,
    pub(super) build: Option<String>,
    pub(super) start: Option<String>,
    pub(super) caches: Vec<String>,
    pub(super) variables: &'static [(&'static str, &'static str)],
    pub(super) evidence: Option<Evidence>,
    /// Applications that were not chosen.
    pub(super) others: Vec<String>,
}

/// A package of the workspace.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) folder: String,
    pub(super) package: Arc<Package>,
}

/// The packages of the workspace. Nothing when it is one package alone.
pub(super) fn members(repo: &Repo, package: &Package) -> Result<Vec<Member>, PlanError> {
    let mut patterns = Vec::new();
    if let Some(workspaces) = &package.workspaces {
        // yarn 1 also takes an object with a list.
        let list = workspaces.get("packages").unwrap_or(workspaces);
        let names = list.as_array().into_iter().flatten();
        patterns.extend(names.filter_map(Value::as_str).map(str::to_owned));
    }
    if let Some(workspace) = pnpm_workspace(repo)? {
        patterns.extend(workspace.packages.iter().flatten().cloned());
    }
    let mut files = BTreeSet::new();
    for pattern in &patterns {
        let (pattern, without) = match pattern.strip_prefix('!') {
            Some(pattern) => (pattern, true),
            None => (pattern.as_str(), false),
        };
        let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
        let mut found = repo.glob(&format!("{pattern}/package.json"))?;
        found.retain(|path| !path.contains("node_modules/"));
        for file in found {
            if without {
                files.remove(&file);
            } else {
                files.insert(file);
            }
        }
    }
    let mut members = Vec::new();
    for file in files {
        let Some(folder) = file.strip_suffix("/package.json") else {
            continue;
        };
        if let Some(package) = package::at(repo, &file)? {
            let folder = folder.to_owned();
            members.push(Member { folder, package });
        }
    }
    Ok(members)
}

/// Whether the repository is of several packages.
pub(super) fn is_monorepo(repo: &Repo, package: &Package) -> bool {
    has_workspaces(package)
        || [
            "nx.json",
            "turbo.json",
            "turbo.jsonc",
            "lerna.json",
            "rush.json",
        ]
        .into_iter()
        .any(|file| repo.is_file(file))
        || repo.is_dir(".moon")
        || pnpm_workspace(repo)
            .is_ok_and(|workspace| workspace.is_some_and(|workspace| workspace.packages.is_some()))
}

/// The runner that builds the repository: moon, Nx, Turborepo, in nixpacks' order.
pub(super) fn runner(
    request: &Request,
    package: &Package,
    manager: &Manager,
    members: &[Member],
) -> Result<Option<Runner>, PlanError> {
    if let Some(runner) = moon(request, package, manager) {
        return Ok(Some(runner));
    }
    if let Some(runner) = nx::runner(request, package, manager)? {
        return Ok(Some(runner));
    }
    turbo(request, package, manager, members)
}

fn moon(request: &Request, package: &Package, manager: &Manager) -> Option<Runner> {
    let (app, evidence) = request.setting_with_evidence("MOON_APP_NAME")?;
    let installed = package.uses("@moonrepo/cli");
    request.repo.is_dir(".moon").then(|| {
        let run = |asked: Option<String>, default: &str| {
            let task = asked.unwrap_or_else(|| default.to_owned());
            let task = quote(&format!("{app}:{task}"));
            // Its program has another name than its package.
            let program = manager.program(installed, "moon", "@moonrepo/cli");
            format!("{program} run {task}")
        };
        let build = run(request.setting("MOON_BUILD_TASK"), "build");
        Runner {
            name: "moon",
            // It gives each machine an identity, which would be another one in each image.
            build: Some(format!("{build} && rm -f ~/.moon/id")),
            start: Some(run(request.setting("MOON_START_TASK"), "start")),
            // Beside what tasks made it writes down when they ran. Nothing there is found again without a Git repository.
            caches: vec![".moon/cache".to_owned()],
            evidence: Some(evidence),
            ..Runner::default()
        }
    })
}

fn turbo(
    request: &Request,
    package: &Package,
    manager: &Manager,
    members: &[Member],
) -> Result<Option<Runner>, PlanError> {
    let repo = request.repo;
    let Some(file) = ["turbo.json", "turbo.jsonc"]
        .into_iter()
        .find(|file| repo.is_file(file))
    else {
        return Ok(None);
    };
    let settings = repo
        .parsed(file, |text| read::jsonc::<Value>(file, text))?
        .unwrap_or_default();
    // `pipeline` until version 2.
    let tasks = settings.get("tasks").or_else(|| settings.get("pipeline"));
    let has = |task: &str| tasks.is_some_and(|tasks| tasks.get(task).is_some());
    let turbo = |task: &str| {
        if manager.has_modules() {
            format!("npx turbo run {task}")
        } else {
            let program = manager.program(package.uses("turbo"), "turbo", "turbo");
            format!("{program} run {task}")
        }
    };
    let app = request.setting_with_evidence("TURBO_APP_NAME");
    // It keeps what it built, and writes the time that it took into logs.
    let own = members
        .iter()
        .map(|member| format!("{}/.turbo", member.folder));
    let caches = std::iter::once(".turbo".to_owned()).chain(own);
    let start = match (&app, only_starter(members)) {
        (Some((app, _)), _) => Some(manager.run_in(&quote(app), "start")),
        // Without Turborepo nothing is built when it starts, and variables reach the program.
        (None, Some(name)) => Some(manager.run_in(&quote(name), "start")),
        (None, None) => has("start").then(|| turbo("start --env-mode=loose")),
    };
    Ok(Some(Runner {
        name: "turborepo",
        build: has("build").then(|| match &app {
            Some((app, _)) => turbo(&format!("build --filter={}", quote(app))),
            None => turbo("build"),
        }),
        start,
        caches: caches.collect(),
        // It writes down a number of its own for each machine, in the image too.
        variables: &[("TURBO_TELEMETRY_DISABLED", "1")],
        evidence: Some(app.map_or_else(
            || Evidence::file(file, "found at the root"),
            |(_, evidence)| evidence,
        )),
        ..Runner::default()
    }))
}

/// The only package of the workspace that has a start script.
pub(super) fn only_starter(members: &[Member]) -> Option<&str> {
    let mut starters = members
        .iter()
        .filter(|member| member.package.script("start").is_some())
        .filter_map(|member| member.package.name.as_ref()?.as_str());
    match (starters.next(), starters.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
