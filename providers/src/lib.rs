//! Reads a repository and decides how it is built. Runs nothing, asks no network, knows no clock.
//!
//! The tour: [`Repo`] is the only way to the files. [`detect`] asks every language of `languages.rs` for a claim and picks
//! one; the language reads its facts once and proposes a [`BuildPlan`]; [`Overrides`] put the user's file, variables and
//! flags over it. [`plan`] does all of that and returns the plan with the decisions behind it. Same files and same
//! overrides give the same bytes.

mod credentials;
mod detect;
mod dotnet;
mod javascript;
mod jvm;
pub mod languages;
mod leftovers;
mod libraries;
mod overrides;
mod plan;
mod procfile;
mod provider;
mod railpack;
mod read;
mod repo;
mod template;
mod tokens;
mod version;

use std::collections::BTreeMap;
use std::path::Path;

pub use detect::Detected;
pub use overrides::Overrides;
pub use plan::{BuildPlan, Healthcheck, Hooks, ImageSettings, List, Phase, PlanError, Start};
pub use provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
pub use repo::{Counts, DirEntry, Entry, EntryKind, FileKind, MANIFEST_LIMIT, Repo, RepoError};
pub use template::environment as template_environment;

use overrides::Layers;

/// A finished plan, and how it came about.
#[derive(Debug, Clone, Default)]
pub struct Planned {
    /// The plan; its `providers` is empty so that it can be fed back.
    pub plan: BuildPlan,
    /// The providers that made it, the first one first. Empty when nothing was found.
    pub providers: Vec<String>,
    /// Every choice with its reason.
    pub decisions: Vec<Decision>,
    /// What the user should know, each a line.
    pub warnings: Vec<String>,
    /// When nothing was found: what was looked for, and files that are nearly it.
    pub advice: Vec<String>,
}

impl Planned {
    /// Whether nothing says how to build.
    fn is_empty(&self) -> bool {
        self.providers.is_empty() && self.plan.phases.is_empty() && self.plan.start.is_none()
    }
}

/// Decides how a repository is built. A repository that nothing claims gives an empty plan with advice.
pub fn plan(repo: &Repo, overrides: &Overrides) -> Result<Planned, PlanError> {
    detect::refuse_unreadable(repo)?;
    let layers = Layers::read(repo, overrides)?;
    let mut selection = detect::select(repo, layers.providers())?;
    let request = Request {
        repo,
        variables: &layers.variables,
        test: overrides.test,
        assisting: false,
    };
    let mut planned = Planned {
        decisions: std::mem::take(&mut selection.decisions),
        warnings: layers.warnings.clone(),
        ..Planned::default()
    };
    let (base, without_start) = propose(&selection, &request, &mut planned)?;
    let mut of_procfile = Vec::new();
    let procfile = procfile::layer(repo)?;
    let procfile = procfile.map(|(plan, decisions, warnings)| {
        of_procfile = decisions;
        planned.warnings.extend(warnings);
        plan
    });
    let (plan, decisions) = overrides::apply(&base, procfile, layers);
    plan.phases_in_order()?;
    planned
        .decisions
        .retain(|decision| overrides::holds(decision, &base, &plan));
    // A start command above the Procfile's is told by its own decision.
    let said_above = decisions.iter().any(|decision| decision.subject == "start");
    of_procfile.retain(|decision| !(said_above && decision.subject == "start"));
    planned.decisions.extend(of_procfile);
    planned.plan = plan;
    planned.decisions.extend(decisions);
    if planned
        .plan
        .start
        .as_ref()
        .is_none_or(|start| start.cmd.is_none())
    {
        planned
            .warnings
            .extend(without_start.map(|advice| format!("nothing says how to start: {advice}")));
    }
    if !overrides.env_are_secrets {
        let warning = credentials::warning(&overrides.env);
        planned.warnings.extend(warning);
    }
    planned.warnings.extend(repo.warnings());
    planned.warnings.extend(submodules(repo)?);
    if planned.is_empty() {
        planned.advice = detect::advice(repo)?;
    }
    Ok(planned)
}

/// How deep a repository may hide its only folder with something to build.
const DESCENT_LIMIT: usize = 4;

/// Opens a folder and decides how it is built. When nothing there says how, and it has exactly one folder, that one is
/// the application, as with nixpacks.
pub fn open_and_plan(dir: &Path, overrides: &Overrides) -> Result<(Repo, Planned), PlanError> {
    let top = Repo::open(dir)?;
    let at_top = plan(&top, overrides)?;
    let mut folder = dir.to_owned();
    let mut repo = None;
    let mut empty = at_top.is_empty();
    for _ in 0..DESCENT_LIMIT {
        if !empty {
            break;
        }
        let Some(only) = only_folder(repo.as_ref().unwrap_or(&top))? else {
            break;
        };
        folder.push(&only);
        let below = Repo::open(&folder)?;
        let mut planned = plan(&below, overrides)?;
        empty = planned.is_empty();
        if !empty {
            let reason = "nothing above says how to build; it is the only folder there";
            let place = folder.strip_prefix(dir).unwrap_or(&folder).display();
            planned
                .decisions
                .insert(0, Decision::new("folder", place.to_string(), reason));
            return Ok((below, planned));
        }
        repo = Some(below);
    }
    Ok((top, at_top))
}

/// The folder of a repository that has exactly one, hidden and ignored ones aside.
fn only_folder(repo: &Repo) -> Result<Option<String>, PlanError> {
    let mut folders = repo
        .list("")?
        .into_iter()
        .filter(|entry| entry.kind == FileKind::Directory && !entry.name.starts_with('.'));
    Ok(match (folders.next(), folders.next()) {
        (Some(only), None) => Some(only.name),
        _ => None,
    })
}

/// What the chosen providers and their assistants want, and what to do when nothing says how to start.
fn propose(
    selection: &detect::Selection,
    request: &Request,
    planned: &mut Planned,
) -> Result<(BuildPlan, Option<String>), PlanError> {
    let mut base = BuildPlan::default();
    let mut metadata = Vec::new();
    let mut without_start = None;
    for (index, (provider, _)) in selection.chosen.iter().enumerate() {
        let mut proposal = provider.propose(request)?;
        if index == 0 {
            without_start = proposal.without_start;
        } else if base.start.as_ref().is_some_and(|start| start.cmd.is_some()) {
            proposal
                .decisions
                .retain(|decision| decision.subject != "start");
        }
        planned.providers.push(provider.name().to_owned());
        planned.decisions.extend(proposal.decisions);
        planned.warnings.extend(proposal.warnings);
        metadata.extend(proposal.metadata);
        base = if index == 0 {
            proposal.plan
        } else {
            beside(base, proposal.plan, provider.name())
        };
    }
    for provider in &selection.assistants {
        let mut proposal = provider.propose(&Request {
            test: false,
            assisting: true,
            ..*request
        })?;
        proposal
            .decisions
            .retain(|decision| decision.subject != "start");
        planned.decisions.extend(proposal.decisions);
        planned.warnings.extend(proposal.warnings);
        base = assisted(base, proposal.plan, provider.name());
    }
    if !metadata.is_empty() {
        base.variables
            .insert("NIXPACKS_METADATA".to_owned(), metadata.join(","));
    }
    Ok((base, without_start))
}

/// The providers that [`plan`] would use, with the evidence.
pub fn detect(repo: &Repo, overrides: &Overrides) -> Result<Vec<Detected>, PlanError> {
    detect::refuse_unreadable(repo)?;
    let layers = Layers::read(repo, overrides)?;
    let selection = detect::select(repo, layers.providers())?;
    let chosen = selection.chosen.into_iter();
    Ok(chosen
        .map(|(provider, evidence)| Detected {
            name: provider.name().to_owned(),
            evidence,
        })
        .collect())
}

/// A further provider's plan beside the first's: its phases get a prefix, and what is there already wins.
fn beside(first: BuildPlan, mut other: BuildPlan, name: &str) -> BuildPlan {
    let prefixed = |phase: String| format!("{name}:{phase}");
    let own: BTreeMap<String, Phase> = std::mem::take(&mut other.phases);
    for (phase, mut content) in own {
        content.depends_on = content
            .depends_on
            .map(|names| names.into_iter().map(prefixed).collect());
        other.phases.insert(prefixed(phase), content);
    }
    let mut tools = first
        .start
        .as_ref()
        .and_then(|start| start.nix_pkgs.clone());
    if let (Some(tools), Some(more)) = (
        &mut tools,
        other
            .start
            .as_ref()
            .and_then(|start| start.nix_pkgs.clone()),
    ) {
        tools.extend(more);
    }
    let mut plan = overrides::merge(other, first);
    if let Some(start) = &mut plan.start {
        start.nix_pkgs = tools.or(start.nix_pkgs.take());
    }
    plan
}

/// A program's plan with an assistant's: the assistant builds when the program's dependencies are there (front ends read
/// them), the program builds what it made, and nothing of the assistant is there at run time.
fn assisted(program: BuildPlan, mut assistant: BuildPlan, name: &str) -> BuildPlan {
    assistant.start = None;
    let own: Vec<String> = assistant.phases.keys().cloned().collect();
    let mut plan = beside(program, assistant, name);
    let theirs = |phase: &str| format!("{name}:{phase}");
    let last = ["build", "install", "setup"]
        .into_iter()
        .find(|phase| own.iter().any(|one| one == phase));
    let has = |plan: &BuildPlan, phase: &str| plan.phases.contains_key(phase);
    if own.iter().any(|phase| phase == "build") && has(&plan, "install") {
        let build = plan.phase(&theirs("build"));
        build
            .depends_on
            .get_or_insert_default()
            .push("install".to_owned());
    }
    if let Some(last) = last
        && has(&plan, "build")
    {
        let build = plan.phase("build");
        build.depends_on.get_or_insert_default().push(theirs(last));
    }
    // What it leaves for its own use goes when the program is built.
    if own.iter().any(|phase| phase == "prune") && has(&plan, "build") {
        let prune = plan.phase(&theirs("prune"));
        prune
            .depends_on
            .get_or_insert_default()
            .push("build".to_owned());
    }
    plan
}

/// Submodules that were not fetched: their folders are empty.
fn submodules(repo: &Repo) -> Result<Vec<String>, PlanError> {
    let Some(text) = repo.text(".gitmodules")? else {
        return Ok(Vec::new());
    };
    let mut missing = Vec::new();
    for line in text.lines().take(10_000) {
        let Some((key, path)) = line.split_once('=') else {
            continue;
        };
        if key.trim() == "path"
            && repo
                .list(path.trim())
                .is_ok_and(|entries| entries.is_empty())
        {
            missing.push(format!(
                "the submodule {} is empty; fetch it with `git submodule update --init`",
                path.trim()
            ));
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests;
