//! The plan of an application, from its facts.

use std::collections::BTreeMap;

use minijinja::context;

use crate::languages::{quote, strings};
use crate::plan::{BuildPlan, Phase, PlanError, Start};
use crate::provider::{Decision, Evidence, Proposal};
use crate::template;
use crate::version::Tool;

use super::libraries::Libraries;
use super::start::Begin;
use super::{Application, Facts};

pub(super) fn decide(facts: &Facts) -> Result<Proposal, PlanError> {
    let mut proposal = Proposal {
        metadata: strings(&["node"]),
        warnings: facts.warnings.clone(),
        ..Proposal::default()
    };
    proposal.warnings.extend(facts.node.warnings.clone());
    proposal.decisions.push(facts.node.decision.clone());
    let plan = &mut proposal.plan;
    plan.variables = facts.variables.clone();
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
    for (name, text) in &facts.libraries.scripts {
        plan.static_assets
            .insert((*name).to_owned(), (*text).to_owned());
    }
    let (start, decision) = begin(plan, facts)?;
    plan.start = Some(start);
    match decision {
        Some(decision) => proposal.decisions.push(decision),
        None => proposal.without_start = Some(facts.advice.to_owned()),
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
        prune.cmds = Some(vec![format!("rm -rf {}", facts.modules.join(" "))]);
        return None;
    }
    match facts.prune.as_ref()? {
        Ok(command) => {
            let after = if facts.test { "test" } else { built(facts) };
            let prune = plan.phase("prune");
            prune.depends_on = Some(strings(&[after]));
            prune.cmds = Some(vec![command.clone()]);
            prune.cache_directories = Some(strings(&[facts.manager.cache()]));
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
    let node = (!facts.of_bun).then(|| facts.node.entry());
    let mut tools: Vec<String> = node.into_iter().collect();
    let mut start = Start::default();
    let decision = match &facts.start {
        Begin::Files(folder, fallbacks, decision) => {
            let (caddy, decision) = caddy(plan, facts, folder, fallbacks, decision)?;
            return Ok((caddy, Some(decision)));
        }
        Begin::Program(program, decision) => {
            let file = quote(&program.file);
            let command = match &program.with {
                Some(with) => format!("{with} {file}"),
                None => facts.manager.node(&file),
            };
            start.cmd = Some(format!("{}{command}", program.variables));
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
    fallbacks: &'static [&'static str],
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
            include_str!("../../../../templates/Caddyfile"),
            context! { folder, fallbacks => fallbacks.to_vec() },
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

/// Variables of the phases and of the image.
pub(super) fn variables(
    app: &Application,
    node: &Tool,
    libraries: &Libraries,
) -> BTreeMap<String, String> {
    let request = app.request;
    let of_all = [("CI", "true"), ("NODE_ENV", "production")];
    let of_libraries = libraries.variables.iter().copied();
    // The program's own language says what is there at run time.
    let of_building = |name: &str| name.contains("SKIP") || name.contains("INSTALL");
    let of_libraries = of_libraries.filter(|(name, _)| !request.assisting || of_building(name));
    of_all
        .into_iter()
        .chain(app.manager.variables(node, request.variables))
        .chain(of_libraries)
        .chain(app.runner.variables.iter().copied())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
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
    let mut commands = strings(&[command]);
    if !facts.assisting {
        let scripts = facts.libraries.scripts.iter();
        commands.extend(scripts.map(|(name, _)| format!("node /assets/{name}")));
    }
    let (files, sees) = match &facts.manifests {
        Ok(files) => (Some(files.clone()), "sees the manifests alone".to_owned()),
        Err(why) => (None, format!("sees all files: {why}")),
    };
    let phase = Phase {
        depends_on: Some(strings(&["setup"])),
        cmds: Some(commands),
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
