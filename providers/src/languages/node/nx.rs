//! Nx: which application of its workspace is built, and what starts it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::languages::quote;
use crate::plan::PlanError;
use crate::provider::{Evidence, Request};
use crate::read;
use crate::repo::Repo;

use super::manager::Manager;
use super::monorepo::Runner;
use super::package::{self, Package};

/// project.json, or the key `nx` of a package.json.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, expecting = "an object")]
struct Project {
    name: Option<String>,
    #[serde(rename = "projectType")]
    kind: Option<String>,
    targets: BTreeMap<String, Target>,
}

#[derive(Debug, Clone, Default, Deserialize)]
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
    fn name(&self, app: &str, target: &str) -> String {
        let production = self
            .configurations
            .as_ref()
            .is_some_and(|all| all.get("production").is_some());
        let suffix = if production { ":production" } else { "" };
        quote(&format!("{app}:{target}{suffix}"))
    }
}

/// The application to build, and why.
struct Choice {
    app: String,
    evidence: Evidence,
    others: Vec<String>,
}

pub(super) fn runner(
    request: &Request,
    package: &Package,
    manager: &Manager,
) -> Result<Option<Runner>, PlanError> {
    let repo = request.repo;
    let Some(settings) = repo.parsed("nx.json", |text| read::jsonc::<Value>("nx.json", text))?
    else {
        return Ok(None);
    };
    let Some(choice) = choice(request, &settings)? else {
        return Ok(None);
    };
    let app = choice.app;
    let program = manager.program(package.uses("nx"), "nx", "nx");
    let run = |name: String| format!("{program} run {name}");
    let plain = |target: &str| run(quote(&format!("{app}:{target}")));
    let project = project(repo, &app)?.unwrap_or_default();
    let build = project.targets.get("build");
    let start = match (project.targets.get("start"), build) {
        (Some(start), _) => run(start.name(&app, "start")),
        (None, Some(build)) => of_output(build, &app, manager),
        (None, None) => plain("start"),
    };
    Ok(Some(Runner {
        name: "nx",
        // Plugins of Nx infer targets from other files.
        build: Some(build.map_or_else(|| plain("build"), |build| run(build.name(&app, "build")))),
        start: Some(start),
        caches: vec![".nx".to_owned()],
        evidence: Some(choice.evidence),
        others: choice.others,
        ..Runner::default()
    }))
}

fn choice(request: &Request, settings: &Value) -> Result<Option<Choice>, PlanError> {
    let asked = request
        .setting_with_evidence("NX_APP_NAME")
        .or_else(|| request.setting_with_evidence("NX_APP"));
    let default = || {
        let app = settings.get("defaultProject")?.as_str()?;
        let evidence = Evidence::key("nx.json", "defaultProject", None, app);
        Some((app.to_owned(), evidence))
    };
    if let Some((app, evidence)) = asked.or_else(default) {
        let others = Vec::new();
        return Ok(Some(Choice {
            app,
            evidence,
            others,
        }));
    }
    let mut found = applications(request.repo)?;
    if found.is_empty() {
        return Ok(None);
    }
    let (app, file) = found.remove(0);
    let others = found
        .into_iter()
        .map(|(app, file)| format!("{app}: {file}"));
    Ok(Some(Choice {
        app,
        evidence: Evidence::file(&file, "the first application with a target build"),
        others: others.collect(),
    }))
}

/// The applications below `apps/` that say how they are built: names, and the files that say it.
fn applications(repo: &Repo) -> Result<Vec<(String, String)>, PlanError> {
    let mut found = Vec::new();
    for file in repo.glob("apps/*/{project,package}.json")? {
        let folder = file.split('/').nth(1).unwrap_or_default();
        let project = read_project(repo, &file)?.unwrap_or_default();
        let builds = project.targets.contains_key("build");
        let library = project.kind.as_deref() == Some("library");
        let known = found
            .iter()
            .any(|(_, one): &(String, String)| one.starts_with(&format!("apps/{folder}/")));
        if builds && !library && !known && !folder.ends_with("-e2e") {
            let name = project.name.as_deref().unwrap_or(folder).to_owned();
            found.push((name, file.clone()));
        }
    }
    Ok(found)
}

fn read_project(repo: &Repo, file: &str) -> Result<Option<Arc<Project>>, PlanError> {
    if file.ends_with("project.json") {
        return repo.parsed(file, |text| read::json::<Project>(file, text));
    }
    let Some(package) = package::at(repo, file)? else {
        return Ok(None);
    };
    let own = package.nx.as_ref();
    let project = own.and_then(|nx| Project::deserialize(nx).ok());
    Ok(project.map(Arc::new))
}

/// The project of a name, in `apps/NAME` or wherever it is.
fn project(repo: &Repo, app: &str) -> Result<Option<Arc<Project>>, PlanError> {
    let mut files = Vec::new();
    for folder in [format!("apps/{app}"), app.to_owned()] {
        files.push(format!("{folder}/project.json"));
        files.push(format!("{folder}/package.json"));
    }
    files.retain(|file| repo.is_file(file));
    files.extend(repo.glob("{apps,packages,libs}/**/project.json")?);
    files.extend(repo.glob("project.json")?);
    for file in files {
        let conventional = file.starts_with(&format!("apps/{app}/"));
        let Some(project) = read_project(repo, &file)? else {
            continue;
        };
        let named = project.name.as_deref();
        if named.map_or(conventional, |name| name == app) {
            return Ok(Some(project));
        }
    }
    Ok(None)
}

/// What runs the output of a build target, as nixpacks.
fn of_output(build: &Target, app: &str, manager: &Manager) -> String {
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
