//! Elixir applications: Mix projects, umbrellas, Phoenix, releases.
//!
//! - Claims: `mix.exs`
//! - Version from: `NIXPACKS_ELIXIR_VERSION`, `.elixir-version`, `.tool-versions`, mise.toml, mix.exs `elixir`; Erlang from `NIXPACKS_ERLANG_VERSION`, `.erlang-version`, `.tool-versions`, mise.toml
//! - Installs with: `mix deps.get` with Hex and Rebar, nothing when there are no dependencies
//! - Builds with: `mix compile`, the alias `assets.deploy`, `mix release` when mix.exs has releases
//! - Starts with: the release, `mix phx.server`, `mix run --no-halt`

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::Repo;
use crate::version::{self, Candidate, Grammar, Tool};

use super::{quote, strings};
use mix::Mix;

mod mix;
#[cfg(test)]
mod tests;

const MIX: &str = "mix.exs";
const LOCK: &str = "mix.lock";

/// The Elixir provider.
pub struct Elixir;

impl Provider for Elixir {
    fn name(&self) -> &'static str {
        "elixir"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        Ok(Evidence::first_file(repo, &[MIX])
            .map(|evidence| Claim::new(Strength::Definite, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &[MIX]
    }
}

/// Everything that Elixir decisions rest on, read once.
struct Facts {
    elixir: Tool,
    /// Erlang, where something asks for a version; Elixir brings one otherwise.
    erlang: Option<Tool>,
    mix: Mix,
    /// Names of dependencies in mix.exs, in those of an umbrella's applications, and in the lock.
    dependencies: BTreeSet<String>,
    git: bool,
    /// The manifests that installing needs, or why it may need more.
    manifests: Result<Vec<String>, String>,
    assets: Vec<String>,
    /// A front end with a package.json of its own: how it is installed and built.
    front_end: Option<FrontEnd>,
    tests: bool,
}

/// `assets/` as Phoenix made it before 1.6.
struct FrontEnd {
    node: Tool,
    install: &'static str,
    build: Option<&'static str>,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let text = repo.text(MIX)?.unwrap_or_default();
        let mix = Mix::parse(&text);
        let applications = applications(repo, &mix)?;
        let lock = repo.text(LOCK)?.unwrap_or_default();
        let (mut dependencies, locked_git) = mix::locked(&lock);
        let all = || applications.iter().map(|(_, one)| one).chain([&mix]);
        dependencies.extend(all().flat_map(|one| one.dependencies.iter().cloned()));
        let own: BTreeSet<&String> = all().filter_map(|one| one.app.as_ref()).collect();
        dependencies.retain(|name| !own.contains(name));
        Ok(Self {
            elixir: elixir(request, &mix, &text)?,
            erlang: erlang(request)?,
            dependencies,
            git: locked_git || all().any(|one| one.git),
            manifests: manifests(repo, &mix),
            assets: assets(&mix, &applications),
            front_end: front_end(repo)?,
            tests: request.test,
            mix,
        })
    }

    fn is_phoenix(&self) -> bool {
        self.dependencies.contains("phoenix")
    }
}

/// The applications of an umbrella, each with its folder.
fn applications(repo: &Repo, mix: &Mix) -> Result<Vec<(String, Mix)>, PlanError> {
    let Some(apps) = &mix.apps_path else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for folder in repo.list(apps.trim_matches('/'))? {
        if let Some(text) = repo.text(&format!("{}/{MIX}", folder.path))? {
            found.push((folder.path, Mix::parse(&text)));
        }
    }
    Ok(found)
}

fn elixir(request: &Request, mix: &Mix, text: &str) -> Result<Tool, PlanError> {
    let repo = request.repo;
    let mut candidates = Vec::new();
    candidates.extend(
        request
            .setting_with_evidence("ELIXIR_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence)),
    );
    candidates.extend(version::version_file(repo, ".elixir-version")?);
    candidates.extend(version::tool_managers(repo, &["elixir"])?);
    // Version managers say which Erlang it was compiled with: 1.18.4-otp-27.
    for candidate in &mut candidates {
        let bare = candidate.text.split("-otp-").next().unwrap_or_default();
        candidate.text = bare.trim_start_matches('v').to_owned();
    }
    if let Some(wish) = &mix.elixir {
        let line = crate::read::line_of(text, wish);
        candidates.push(Candidate::new(
            wish,
            Evidence::key(MIX, "elixir", line, wish),
        ));
    }
    version::tool("elixir", Grammar::Gem, &candidates)
}

fn erlang(request: &Request) -> Result<Option<Tool>, PlanError> {
    let repo = request.repo;
    let mut candidates = Vec::new();
    candidates.extend(
        request
            .setting_with_evidence("ERLANG_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence)),
    );
    candidates.extend(version::version_file(repo, ".erlang-version")?);
    candidates.extend(version::tool_managers(repo, &["erlang"])?);
    if candidates.is_empty() {
        return Ok(None);
    }
    version::tool("erlang", Grammar::Plain, &candidates).map(Some)
}

fn manifests(repo: &Repo, mix: &Mix) -> Result<Vec<String>, String> {
    if let Some(why) = &mix.reads {
        return Err(why.clone());
    }
    if mix.apps_path.is_some() {
        return Err("each application of the umbrella has a mix.exs".to_owned());
    }
    Ok([MIX, LOCK]
        .into_iter()
        .filter(|file| repo.in_image(file))
        .map(str::to_owned)
        .collect())
}

/// Commands of the alias that Phoenix defines for its assets, wherever it is defined.
fn assets(mix: &Mix, applications: &[(String, Mix)]) -> Vec<String> {
    let defines = |mix: &Mix| mix.aliases.iter().any(|alias| alias == "assets.deploy");
    if defines(mix) {
        return strings(&["mix assets.deploy"]);
    }
    applications
        .iter()
        .filter(|(_, mix)| defines(mix))
        .map(|(folder, _)| format!("(cd {} && mix assets.deploy)", quote(folder)))
        .collect()
}

fn front_end(repo: &Repo) -> Result<Option<FrontEnd>, PlanError> {
    const MANIFEST: &str = "assets/package.json";
    if !repo.in_image(MANIFEST) {
        return Ok(None);
    }
    let manifest = repo.parsed(MANIFEST, |text| {
        crate::read::json::<serde_json::Value>(MANIFEST, text)
    })?;
    let locked = repo.in_image("assets/package-lock.json");
    let scripts = manifest
        .as_ref()
        .and_then(|manifest| manifest.get("scripts"));
    Ok(Some(FrontEnd {
        node: version::node(&[])?,
        install: if locked {
            "npm ci --prefix assets"
        } else {
            "npm install --prefix assets"
        },
        build: scripts
            .and_then(|scripts| scripts.get("deploy"))
            .map(|_| "npm run deploy --prefix assets"),
    }))
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["elixir"]),
        ..Proposal::default()
    };
    if facts.is_phoenix() {
        proposal.metadata.push("phoenix".to_owned());
    }
    for tool in std::iter::once(&facts.elixir).chain(&facts.erlang) {
        proposal.decisions.push(tool.decision.clone());
        proposal.warnings.extend(tool.warnings.clone());
    }
    let plan = &mut proposal.plan;
    plan.variables = variables(facts);
    plan.phase("setup").nix_pkgs = Some(tools(facts));
    let (install, decision) = install(facts);
    let after = if install.cmds.is_some() {
        plan.phases.insert("install".to_owned(), install);
        "install"
    } else {
        "setup"
    };
    proposal.decisions.push(decision);
    let build = plan.phase("build");
    build.depends_on = Some(strings(&[after]));
    build.cmds = Some(build_commands(facts));
    if facts.tests {
        let test = plan.phase("test");
        test.depends_on = Some(strings(&[after]));
        test.cmds = Some(strings(&["MIX_ENV=test mix test"]));
    }
    let (start, decision) = start(facts);
    plan.start = Some(start);
    proposal.decisions.push(decision);
    proposal
}

fn variables(facts: &Facts) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::from([
        ("ELIXIR_ERL_OPTIONS".to_owned(), "+fnu".to_owned()),
        ("MIX_ENV".to_owned(), "prod".to_owned()),
    ]);
    if facts.is_phoenix() && !facts.mix.releases.is_empty() {
        variables.insert("PHX_SERVER".to_owned(), "true".to_owned());
    }
    variables
}

fn runtime(facts: &Facts) -> Vec<String> {
    std::iter::once(&facts.elixir)
        .chain(&facts.erlang)
        .map(Tool::entry)
        .collect()
}

fn tools(facts: &Facts) -> Vec<String> {
    let mut tools = runtime(facts);
    if !facts.dependencies.is_empty() {
        // Dependencies may compile C for the virtual machine.
        tools.push("gcc".to_owned());
    }
    if facts.git {
        tools.push("git".to_owned());
    }
    if let Some(front_end) = &facts.front_end {
        tools.push(front_end.node.entry());
    }
    if !facts.mix.releases.is_empty() {
        tools.extend(strings(&FOR_RELEASES));
    }
    tools
}

fn install(facts: &Facts) -> (Phase, Decision) {
    let mut commands = Vec::new();
    if !facts.dependencies.is_empty() {
        commands.extend(strings(&[
            "mix local.hex --force",
            "mix local.rebar --force",
            "mix deps.get --only prod",
        ]));
    }
    if let Some(front_end) = &facts.front_end {
        commands.push(front_end.install.to_owned());
    }
    if commands.is_empty() {
        let decision = Decision::new("install", "nothing", "there are no dependencies");
        return (Phase::default(), decision);
    }
    let (files, sees) = match &facts.manifests {
        Ok(_) if facts.front_end.is_some() => {
            (None, "sees all files: assets/ has packages too".to_owned())
        }
        Ok(files) => (Some(files.clone()), "sees the manifests alone".to_owned()),
        Err(why) => (None, format!("sees all files: {why}")),
    };
    let phase = Phase {
        depends_on: Some(strings(&["setup"])),
        cmds: Some(commands),
        only_include_files: files,
        ..Phase::default()
    };
    (phase, Decision::new("install", "mix deps.get", sees))
}

fn build_commands(facts: &Facts) -> Vec<String> {
    let mut commands = strings(&["mix compile"]);
    commands.extend(facts.assets.clone());
    if let Some(build) = facts.front_end.as_ref().and_then(|one| one.build)
        && facts.assets.is_empty()
    {
        commands.push(build.to_owned());
        if facts.is_phoenix() {
            commands.push("mix phx.digest".to_owned());
        }
    }
    if let Some(release) = facts.mix.releases.first() {
        commands.push(format!("mix release {} --overwrite", quote(release)));
    }
    commands
}

/// What a release's copy of Erlang needs of the system.
const FOR_RELEASES: [&str; 3] = ["ncurses.out", "openssl.out", "zlib.out"];

fn start(facts: &Facts) -> (Start, Decision) {
    if let Some((release, others)) = facts.mix.releases.split_first() {
        let folder = format!("_build/prod/rel/{release}");
        let start = Start {
            cmd: Some(format!("./{folder}/bin/{release} start")),
            nix_pkgs: Some(strings(&FOR_RELEASES)),
            only_include_files: Some(vec![folder]),
            ..Start::default()
        };
        let decision = Decision::new("start", release.clone(), "a release of mix.exs")
            .from(Evidence::key(MIX, "releases", None, release))
            .over(others.to_vec());
        return (start, decision);
    }
    let (command, reason) = if facts.is_phoenix() {
        ("mix phx.server", "phoenix is a dependency")
    } else {
        ("mix run --no-halt", "the application of mix.exs")
    };
    let start = Start {
        cmd: Some(command.to_owned()),
        nix_pkgs: Some(runtime(facts)),
        ..Start::default()
    };
    (start, Decision::new("start", command, reason))
}
