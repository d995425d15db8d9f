//! Gleam programs that run on Erlang.
//!
//! - Claims: `gleam.toml`
//! - Version from: `NIXPACKS_GLEAM_VERSION`, `.tool-versions`, mise.toml, gleam.toml `gleam`; Erlang's from `NIXPACKS_ERLANG_VERSION`, `.tool-versions`, mise.toml
//! - Installs with: `gleam deps download`, from the manifests
//! - Builds with: `gleam export erlang-shipment`
//! - Starts with: the shipment's `entrypoint.sh run`

use serde::Deserialize;

use crate::plan::{Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read;
use crate::repo::Repo;
use crate::version::{self, Candidate, Grammar, Tool};

use super::strings;

/// The Gleam provider.
pub struct Gleam;

const MANIFEST: &str = "gleam.toml";
const LOCK: &str = "manifest.toml";

impl Provider for Gleam {
    fn name(&self) -> &'static str {
        "gleam"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let evidence = Evidence::first_file(repo, &[MANIFEST]);
        Ok(evidence.map(|evidence| Claim::new(Strength::Definite, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &[MANIFEST]
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Manifest {
    gleam: Option<String>,
    target: Option<String>,
    dependencies: toml::Table,
    #[serde(alias = "dev-dependencies")]
    dev_dependencies: toml::Table,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Lock {
    packages: Vec<Package>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Package {
    build_tools: Vec<String>,
}

/// Everything that Gleam decisions rest on, read once.
struct Facts {
    gleam: Tool,
    erlang: Tool,
    /// Build tools that locked packages ask for: `rebar3`, `mix`.
    build_tools: Vec<&'static str>,
    /// The manifests that installing needs, or why it may need more.
    manifests: Result<Vec<String>, String>,
    locked: bool,
    javascript: bool,
    test: bool,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let manifest = repo.parsed(MANIFEST, |text| read::toml::<Manifest>(MANIFEST, text))?;
        let nothing = Manifest::default();
        let manifest = manifest.as_deref().unwrap_or(&nothing);
        let locked = repo.in_image(LOCK);
        let lock = if locked {
            repo.parsed(LOCK, |text| read::toml::<Lock>(LOCK, text))?
        } else {
            None
        };
        let needs = |tool: &str| {
            lock.as_ref().is_some_and(|lock| {
                let mut tools = lock
                    .packages
                    .iter()
                    .flat_map(|package| &package.build_tools);
                tools.any(|name| name == tool)
            })
        };
        let tools = [("rebar3", "rebar3"), ("mix", "elixir")];
        Ok(Self {
            gleam: version_of(request, "gleam", &["gleam"], manifest.gleam.as_deref())?,
            erlang: version_of(request, "erlang", &["erlang"], None)?,
            build_tools: tools
                .into_iter()
                .filter(|(name, _)| needs(name))
                .map(|(_, tool)| tool)
                .collect(),
            manifests: manifests(repo, manifest),
            locked,
            javascript: manifest.target.as_deref() == Some("javascript"),
            test: request.test,
        })
    }
}

fn version_of(
    request: &Request,
    tool: &'static str,
    names: &[&str],
    wish: Option<&str>,
) -> Result<Tool, PlanError> {
    let mut candidates = Vec::new();
    candidates.extend(
        request
            .setting_with_evidence(&format!("{}_VERSION", tool.to_uppercase()))
            .map(|(value, evidence)| Candidate::new(&value, evidence)),
    );
    candidates.extend(version::tool_managers(request.repo, names)?);
    if let Some(wish) = wish {
        let text = request.repo.text(MANIFEST)?.unwrap_or_default();
        let line = read::line_of(&text, tool);
        candidates.push(Candidate::new(
            wish,
            Evidence::key(MANIFEST, tool, line, wish),
        ));
    }
    version::tool(tool, Grammar::Gem, &candidates)
}

fn manifests(repo: &Repo, manifest: &Manifest) -> Result<Vec<String>, String> {
    let mut all = manifest
        .dependencies
        .iter()
        .chain(&manifest.dev_dependencies);
    if let Some((name, _)) = all.find(|(_, wish)| wish.get("path").is_some()) {
        return Err(format!("{name} is a folder of the repository"));
    }
    Ok([MANIFEST, LOCK]
        .into_iter()
        .filter(|file| repo.in_image(file))
        .map(str::to_owned)
        .collect())
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["gleam"]),
        ..Proposal::default()
    };
    for tool in [&facts.gleam, &facts.erlang] {
        proposal.decisions.push(tool.decision.clone());
        proposal.warnings.extend(tool.warnings.clone());
    }
    if !facts.locked {
        proposal.warnings.push("there is no manifest.toml: each build may install other versions; run `gleam deps download` and commit it".to_owned());
    }
    if facts.javascript {
        proposal.warnings.push("gleam.toml targets javascript: it is built for Erlang all the same; name another build and start command in nixpacks.toml".to_owned());
    }
    let plan = &mut proposal.plan;
    let mut tools = vec![facts.gleam.entry(), facts.erlang.entry()];
    tools.extend(strings(&facts.build_tools));
    plan.phase("setup").nix_pkgs = Some(tools);
    let (files, sees) = match &facts.manifests {
        Ok(files) => (Some(files.clone()), "sees the manifests alone".to_owned()),
        Err(why) => (None, format!("sees all files: {why}")),
    };
    let phase = |command: &str, after: &str| Phase {
        depends_on: Some(strings(&[after])),
        cmds: Some(strings(&[command])),
        ..Phase::default()
    };
    plan.phases.insert(
        "install".to_owned(),
        Phase {
            only_include_files: files,
            ..phase("gleam deps download", "setup")
        },
    );
    plan.phases.insert(
        "build".to_owned(),
        phase("gleam export erlang-shipment", "install"),
    );
    if facts.test {
        plan.phases
            .insert("test".to_owned(), phase("gleam test", "build"));
    }
    plan.start = Some(Start {
        cmd: Some("./build/erlang-shipment/entrypoint.sh run".to_owned()),
        nix_pkgs: Some(vec![facts.erlang.entry()]),
        only_include_files: Some(strings(&["build/erlang-shipment/**", "priv/**"])),
        ..Start::default()
    });
    proposal
        .decisions
        .push(Decision::new("install", "gleam deps download", sees));
    proposal
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const GLEAM: &str =
        "name = \"shop\"\ngleam = \">= 1.4.0\"\n[dependencies]\nwisp = \">= 1.0.0 and < 2.0.0\"\n";
    const LOCKED: &str = "packages = [\n  { name = \"telemetry\", version = \"1.3.0\", build_tools = [\"rebar3\"], requirements = [] },\n]\n";

    fn propose(files: &[(&str, &str)]) -> Result<Proposal, PlanError> {
        Gleam.propose(&Request {
            repo: &Repo::in_memory(files),
            variables: &BTreeMap::new(),
            test: false,
            assisting: false,
        })
    }

    #[test]
    fn the_image_keeps_the_shipment_and_erlang() {
        let plan = propose(&[(MANIFEST, GLEAM), (LOCK, LOCKED)]).unwrap().plan;
        assert_eq!(
            plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
            ["gleam@>=1.4.0", "erlang@27", "rebar3"]
        );
        assert_eq!(
            plan.phases["install"]
                .only_include_files
                .as_deref()
                .unwrap(),
            [MANIFEST, LOCK]
        );
        let start = plan.start.unwrap();
        assert_eq!(start.nix_pkgs.unwrap(), ["erlang@27"]);
    }

    #[test]
    fn a_dependency_in_a_folder_needs_all_files() {
        let manifest = "name = \"a\"\n[dependencies]\nown = { path = \"./own\" }\n";
        let plan = propose(&[(MANIFEST, manifest)]).unwrap().plan;
        assert!(plan.phases["install"].only_include_files.is_none());
    }

    #[test]
    fn a_broken_manifest_names_its_line() {
        let error = propose(&[(MANIFEST, "name = \"a\"\ngleam = 3\n")])
            .err()
            .unwrap();
        assert!(error.to_string().starts_with("gleam.toml:2:"), "{error}");
    }
}
