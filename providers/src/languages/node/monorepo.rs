//! Repositories of several packages: workspaces, Nx, Turborepo and moon.
//!
//! Owns which packages there are, and the commands that build and start one of them.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

use crate::languages::quote;
use crate::plan::PlanError;
use crate::provider::{Evidence, Request};
use crate::read;
use crate::repo::Repo;

use super::manager::{self, Manager};
use super::package::{self, Package};

/// A task runner's commands.
#[derive(Debug, Clone, Default)]
pub(super) struct Runner {
    pub(super) name: &'static str,
    pub(super) build: Option<String>,
    pub(super) start: Option<String>,
    pub(super) caches: Vec<String>,
    pub(super) evidence: Option<Evidence>,
}

/// The packages of the workspace: their folders. Nothing when it is one package alone.
pub(super) fn members(repo: &Repo, package: &Package) -> Result<Vec<String>, PlanError> {
    let mut patterns = Vec::new();
    if let Some(workspaces) = &package.workspaces {
        // yarn 1 also takes an object with a list.
        let list = workspaces.get("packages").unwrap_or(workspaces);
        let names = list.as_array().into_iter().flatten();
        patterns.extend(names.filter_map(Value::as_str).map(str::to_owned));
    }
    if let Some(workspace) = manager::pnpm_workspace(repo)? {
        patterns.extend(workspace.packages.iter().flatten().cloned());
    }
    let mut folders = Vec::new();
    for pattern in patterns.iter().filter(|pattern| !pattern.starts_with('!')) {
        let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
        let found = repo.glob(&format!("{pattern}/package.json"))?;
        let found = found.iter().filter(|path| !path.contains("node_modules/"));
        folders
            .extend(found.filter_map(|path| path.strip_suffix("/package.json").map(str::to_owned)));
    }
    folders.sort();
    folders.dedup();
    Ok(folders)
}

/// Whether the repository is of several packages.
pub(super) fn is_monorepo(repo: &Repo, package: &Package) -> bool {
    manager::has_workspaces(package)
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
        || manager::pnpm_workspace(repo)
            .is_ok_and(|workspace| workspace.is_some_and(|workspace| workspace.packages.is_some()))
}

/// The runner that builds the repository: moon, Nx, Turborepo, in nixpacks' order.
pub(super) fn runner(
    request: &Request,
    package: &Package,
    manager: &Manager,
    members: &[String],
) -> Result<Option<Runner>, PlanError> {
    if let Some(runner) = moon(request, manager) {
        return Ok(Some(runner));
    }
    if let Some(runner) = nx(request, manager)? {
        return Ok(Some(runner));
    }
    turbo(request, package, manager, members)
}

fn moon(request: &Request, manager: &Manager) -> Option<Runner> {
    let app = request.setting("MOON_APP_NAME")?;
    request.repo.is_dir(".moon").then(|| {
        let task = |name: &str, default: &str| {
            let task = request.setting(name).unwrap_or_else(|| default.to_owned());
            manager.execute(&format!(
                "@moonrepo/cli run {}",
                quote(&format!("{app}:{task}"))
            ))
        };
        Runner {
            name: "moon",
            build: Some(task("MOON_BUILD_TASK", "build")),
            start: Some(task("MOON_START_TASK", "start")),
            caches: vec![".moon/cache/outputs".to_owned()],
            evidence: Some(Evidence::key(
                "environment",
                "NIXPACKS_MOON_APP_NAME",
                None,
                &app,
            )),
        }
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
struct Project {
    name: Option<String>,
    targets: BTreeMap<String, Target>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
struct Target {
    executor: Option<String>,
    options: Option<Value>,
    configurations: Option<Value>,
}

impl Target {
    fn option(&self, name: &str) -> Option<&str> {
        self.options.as_ref()?.get(name)?.as_str()
    }

    /// The target's name as Nx runs it for production.
    fn command(&self, app: &str, target: &str) -> String {
        let production = self
            .configurations
            .as_ref()
            .is_some_and(|all| all.get("production").is_some());
        let suffix = if production { ":production" } else { "" };
        format!("nx run {}", quote(&format!("{app}:{target}{suffix}")))
    }
}

fn nx(request: &Request, manager: &Manager) -> Result<Option<Runner>, PlanError> {
    let repo = request.repo;
    let Some(settings) = repo.parsed("nx.json", |text| read::jsonc::<Value>("nx.json", text))?
    else {
        return Ok(None);
    };
    let default = settings.get("defaultProject").and_then(Value::as_str);
    let (app, evidence) = match (request.setting_with_evidence("NX_APP_NAME"), default) {
        (Some(asked), _) => asked,
        (None, Some(app)) => (
            app.to_owned(),
            Evidence::key("nx.json", "defaultProject", None, app),
        ),
        (None, None) => return Ok(None),
    };
    let Some(project) = nx_project(repo, &app)? else {
        return Ok(Some(Runner {
            name: "nx",
            build: Some(manager.execute(&format!("nx run {}", quote(&format!("{app}:build"))))),
            start: Some(manager.execute(&format!("nx run {}", quote(&format!("{app}:start"))))),
            evidence: Some(evidence),
            ..Runner::default()
        }));
    };
    let build = project.targets.get("build");
    let start = project.targets.get("start");
    let start = match (start, build) {
        (Some(start), _) => Some(manager.execute(&start.command(&app, "start"))),
        (None, Some(build)) => Some(start_of_nx(build, &app, manager)),
        (None, None) => None,
    };
    Ok(build.map(|build| Runner {
        name: "nx",
        build: Some(manager.execute(&build.command(&app, "build"))),
        start,
        evidence: Some(evidence),
        ..Runner::default()
    }))
}

/// The project of a name: its project.json, in `apps/NAME` or wherever it is.
fn nx_project(repo: &Repo, app: &str) -> Result<Option<std::sync::Arc<Project>>, PlanError> {
    let mut files = vec![
        format!("apps/{app}/project.json"),
        format!("{app}/project.json"),
    ];
    files.retain(|file| repo.is_file(file));
    files.extend(repo.glob("{apps,packages,libs}/**/project.json")?);
    files.extend(repo.glob("project.json")?);
    for file in files {
        let conventional = file == format!("apps/{app}/project.json");
        let Some(project) = repo.parsed(&file, |text| read::json::<Project>(&file, text))? else {
            continue;
        };
        if project
            .name
            .as_deref()
            .map_or(conventional, |name| name == app)
        {
            return Ok(Some(project));
        }
    }
    Ok(None)
}

/// What runs the output of an Nx build target, as nixpacks.
fn start_of_nx(build: &Target, app: &str, manager: &Manager) -> String {
    let default = format!("dist/apps/{app}");
    let output = build.option("outputPath").unwrap_or(&default);
    if matches!(
        build.executor.as_deref(),
        Some("@nx/next:build" | "@nrwl/next:build")
    ) {
        return format!("cd {} && {}", quote(output), manager.run("start"));
    }
    let main = build
        .option("main")
        .and_then(|main| main.rsplit('/').next());
    let stem = main
        .and_then(|main| main.split('.').next())
        .unwrap_or("index");
    format!("node {}", quote(&format!("{output}/{stem}.js")))
}

fn turbo(
    request: &Request,
    package: &Package,
    manager: &Manager,
    members: &[String],
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
        if package.uses("turbo") || manager.has_modules() {
            format!("npx turbo run {task}")
        } else {
            manager.execute(&format!("turbo run {task}"))
        }
    };
    let app = request.setting_with_evidence("TURBO_APP_NAME");
    let start = match &app {
        Some((app, _)) => Some(manager.run_in(&quote(app), "start")),
        None if has("start") => Some(turbo("start")),
        None => only_starter(repo, members)?.map(|name| manager.run_in(&quote(&name), "start")),
    };
    Ok(Some(Runner {
        name: "turborepo",
        build: has("build").then(|| match &app {
            Some((app, _)) => turbo(&format!("build --filter={}", quote(app))),
            None => turbo("build"),
        }),
        start,
        evidence: Some(app.map_or_else(
            || Evidence::file(file, "found at the root"),
            |(_, evidence)| evidence,
        )),
        ..Runner::default()
    }))
}

/// The only package of the workspace that has a start script.
pub(super) fn only_starter(repo: &Repo, members: &[String]) -> Result<Option<String>, PlanError> {
    let mut found = Vec::new();
    for member in members {
        let Some(package) = package::at(repo, &format!("{member}/package.json"))? else {
            continue;
        };
        let name = package.name.as_ref().and_then(Value::as_str);
        if let Some(name) = name.filter(|_| package.script("start").is_some()) {
            found.push(name.to_owned());
        }
    }
    Ok((found.len() == 1).then(|| found.remove(0)))
}
