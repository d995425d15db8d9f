//! Deno programs.
//!
//! - Claims: `deno.json` or `deno.jsonc`; a program that uses `Deno.` or imports `jsr:`, `npm:` or from deno.land
//! - Version from: `NIXPACKS_DENO_VERSION`, `.deno-version`, `.dvmrc`, `.tool-versions`, mise.toml
//! - Installs with: `deno install` from the manifests, for Deno 2 with dependencies in them
//! - Builds with: the task `build`, and `deno cache` on the program
//! - Starts with: the task `start`, else `deno run` or `deno serve` on the first `index`, `main`, `server` or `app`

use crate::javascript;
use crate::plan::{BuildPlan, Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read;
use crate::repo::Repo;
use crate::version::{self, Candidate, Grammar, Tool};

use self::manifest::Manifest;
use self::start::StartFact;
use super::{quote, strings};

mod claim;
mod manifest;
mod start;

/// The Deno provider.
pub struct Deno;

const MANIFESTS: [&str; 2] = ["deno.json", "deno.jsonc"];
/// Where Deno keeps dependencies in the image, as in its own images.
const DEPENDENCIES: &str = "/deno-dir";

impl Provider for Deno {
    fn name(&self) -> &'static str {
        "deno"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        if let Some(evidence) = Evidence::first_file(repo, &MANIFESTS) {
            return Ok(Some(Claim::new(Strength::Definite, evidence)));
        }
        // A package.json makes it a program of Node.js, whatever a script imports.
        if repo.is_file("package.json") {
            return Ok(None);
        }
        let evidence = claim::imports_of_deno(repo)?;
        Ok(evidence.map(|evidence| Claim::new(Strength::Likely, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &MANIFESTS
    }
}

fn has_ending(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, ending)| javascript::ENDINGS.contains(&ending))
}

/// Everything that decisions about Deno rest on, read once.
struct Facts {
    version: Tool,
    /// The files that installing needs; nothing when the manifests name no dependency.
    manifests: Option<Vec<String>>,
    builds: bool,
    start: Option<StartFact>,
    tests: bool,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let mut candidates: Vec<Candidate> = request
            .setting_with_evidence("DENO_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence))
            .into_iter()
            .collect();
        for file in [".deno-version", ".dvmrc"] {
            candidates.extend(version::version_file(repo, file)?);
        }
        candidates.extend(version::tool_managers(repo, &["deno"])?);
        let version = version::tool("deno", Grammar::Npm, &candidates)?;
        let mut found = None;
        for file in MANIFESTS {
            if found.is_none() {
                let manifest = repo.parsed(file, |text| read::jsonc::<Manifest>(file, text))?;
                found = manifest.map(|manifest| (file, manifest));
            }
        }
        let manifest = found.as_ref().map(|(_, manifest)| manifest.as_ref());
        let of_npm = manifest::has_packages(repo)?;
        let depends = manifest.is_some_and(Manifest::has_packages) || of_npm;
        let alone = !manifest.is_some_and(Manifest::names_files);
        let installs = depends && alone && !version.range.starts_with(['0', '1']);
        let start = start::start(
            repo,
            found
                .as_ref()
                .map(|(file, manifest)| (*file, manifest.as_ref())),
        )?;
        Ok(Self {
            manifests: installs.then(|| manifest::manifests(repo)),
            builds: manifest.is_some_and(|manifest| manifest.tasks.contains_key("build")),
            start,
            version,
            tests: request.test,
        })
    }
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["deno"]),
        without_start: Some("add a task \"start\" to deno.json, or a main.ts".to_owned()),
        ..Proposal::default()
    };
    proposal.decisions.push(facts.version.decision.clone());
    proposal.warnings.extend(facts.version.warnings.clone());
    let plan = &mut proposal.plan;
    plan.variables = [("DENO_DIR", DEPENDENCIES), ("DENO_NO_UPDATE_CHECK", "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    plan.phase("setup").nix_pkgs = Some(vec![facts.version.entry()]);
    if let Some(files) = &facts.manifests {
        plan.phases.insert("install".to_owned(), install(files));
        let reason = "sees the manifests alone";
        proposal
            .decisions
            .push(Decision::new("install", "deno install", reason));
    }
    let commands = build_commands(facts);
    if !commands.is_empty() {
        let decision = Decision::new(
            "build",
            commands.join(" && "),
            "what it imports is in the image then",
        );
        proposal.decisions.push(decision);
        let after: &[&str] = match facts.manifests {
            Some(_) => &["install", "setup"],
            None => &["setup"],
        };
        let build = plan.phase("build");
        build.depends_on = Some(strings(after));
        build.cmds = Some(commands);
    }
    if let Some(start) = &facts.start {
        proposal.decisions.push(
            Decision::new("start", start.command.clone(), start.reason)
                .from(start.evidence.clone())
                .over(start.others.clone()),
        );
    }
    plan.start = Some(Start {
        cmd: facts.start.as_ref().map(|start| start.command.clone()),
        nix_pkgs: Some(vec![facts.version.entry()]),
        ..Start::default()
    });
    test(plan, facts);
    proposal
}

fn install(files: &[String]) -> Phase {
    Phase {
        depends_on: Some(strings(&["setup"])),
        cmds: Some(strings(&["deno install"])),
        only_include_files: Some(files.to_vec()),
        ..Phase::default()
    }
}

fn build_commands(facts: &Facts) -> Vec<String> {
    let build = facts.builds.then(|| "deno task build".to_owned());
    let program = facts
        .start
        .as_ref()
        .and_then(|start| start.program.as_ref());
    let cache = program.map(|program| format!("deno cache {}", quote(program)));
    build.into_iter().chain(cache).collect()
}

fn test(plan: &mut BuildPlan, facts: &Facts) {
    if facts.tests {
        let last = ["build", "install", "setup"]
            .into_iter()
            .find(|phase| plan.phases.contains_key(*phase));
        let test = plan.phase("test");
        test.depends_on = last.map(|phase| strings(&[phase]));
        test.cmds = Some(strings(&["deno test --allow-all"]));
    }
}

#[cfg(test)]
mod tests;
