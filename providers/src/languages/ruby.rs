//! Ruby applications: Rails, Rack, and programs.
//!
//! - Claims: `Gemfile`
//! - Version from: `NIXPACKS_RUBY_VERSION`, `.ruby-version`, `.tool-versions`, mise.toml, Gemfile `ruby`, Gemfile.lock `RUBY VERSION`
//! - Installs with: `bundle install`; libraries that gems need by the names of gems
//! - Builds with: `rake assets:precompile` when a gem for assets is there, `bootsnap precompile`; a front end by the Node.js provider
//! - Starts with: `rails server`, `rackup` or the locked server for `config.ru`, `main.rb` and such, `rake`

use std::collections::BTreeMap;

use crate::plan::{Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::Repo;
use crate::version::{self, Candidate, Grammar, Tool};

use super::strings;
use gems::{GEMFILE, Gems};
use libraries::Libraries;
use lock::LOCK;

mod gemfile;
mod gems;
mod libraries;
mod lock;
mod start;
#[cfg(test)]
mod tests;

/// The Ruby provider.
pub struct Ruby;

impl Provider for Ruby {
    fn name(&self) -> &'static str {
        "ruby"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let Some(mut evidence) = Evidence::first_file(repo, &[GEMFILE]) else {
            return Ok(None);
        };
        if start::find(repo, &Gems::read(repo)?)?.is_some() {
            return Ok(Some(Claim::new(Strength::Definite, evidence)));
        }
        // Many repositories of other languages keep a Gemfile for fastlane, CocoaPods or a linter.
        "found at the root, though nothing beside it says how to start"
            .clone_into(&mut evidence.note);
        Ok(Some(Claim::new(Strength::Likely, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &[GEMFILE]
    }
}

/// Everything that Ruby decisions rest on, read once.
struct Facts {
    ruby: Tool,
    /// Node.js, where a gem runs it and no other provider brings it; the gem.
    node: Option<(Tool, &'static str)>,
    /// Whether there is a Gemfile.lock that Bundler can keep to.
    frozen: bool,
    /// Tools for the build alone.
    tools: Vec<&'static str>,
    libraries: Libraries,
    /// The manifests that installing needs, or why it may need more.
    manifests: Result<Vec<String>, String>,
    rails: bool,
    /// The gem that makes assets, and the variable that Rails needs for it.
    assets: Option<(&'static str, &'static str)>,
    /// The folders that bootsnap compiles.
    bootsnap: Option<Vec<&'static str>>,
    start: Option<(String, Decision)>,
    metadata: Vec<String>,
    warnings: Vec<String>,
}

/// Gems whose `assets:precompile` makes something.
const ASSETS: [&str; 8] = [
    "sprockets-rails",
    "propshaft",
    "webpacker",
    "shakapacker",
    "vite_rails",
    "vite_ruby",
    "cssbundling-rails",
    "jsbundling-rails",
];

/// Gems that run Node.js while assets are made.
const RUN_NODE: [&str; 7] = [
    "webpacker",
    "shakapacker",
    "vite_rails",
    "vite_ruby",
    "cssbundling-rails",
    "jsbundling-rails",
    "execjs",
];

/// JavaScript engines that execjs prefers to Node.js.
const ENGINES: [&str; 3] = ["mini_racer", "therubyracer", "duktape"];

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let gems = Gems::read(repo)?;
        let mut warnings = Vec::new();
        let ruby = ruby_version(request, &gems, &mut warnings)?;
        let rails = gems.is_rails(repo);
        let metadata = ["rails", "sinatra"].into_iter().filter(|gem| gems.has(gem));
        Ok(Self {
            ruby,
            node: node(request, &gems)?,
            frozen: is_frozen(&gems, &mut warnings),
            tools: build_tools(&gems),
            libraries: libraries::of(|gem, directly| {
                if directly {
                    gems.asks_for(gem)
                } else {
                    gems.has(gem)
                }
            }),
            manifests: manifests(repo, &gems),
            rails,
            assets: gems
                .any(&ASSETS)
                .filter(|_| rails)
                .map(|gem| (gem, dummy_key(&gems))),
            bootsnap: gems.has("bootsnap").then(|| {
                let folders = ["app/", "lib/"].into_iter();
                folders.filter(|folder| repo.is_dir(folder)).collect()
            }),
            start: start::find(repo, &gems)?,
            metadata: metadata.map(str::to_owned).collect(),
            warnings,
        })
    }
}

/// Any gem may have to be compiled; those of Git repositories are fetched by it.
fn build_tools(gems: &Gems) -> Vec<&'static str> {
    let git = gems.lock.as_ref().is_some_and(|lock| lock.git);
    let all = [(!gems.is_empty(), "gcc"), (git, "git")];
    all.into_iter()
        .filter(|(wanted, _)| *wanted)
        .map(|(_, tool)| tool)
        .collect()
}

/// What lets Rails start without its secret, to make assets.
fn dummy_key(gems: &Gems) -> &'static str {
    match gems.version("railties").or_else(|| gems.version("rails")) {
        Some(version) if version < (7, 1) => "SECRET_KEY_BASE=unused",
        _ => "SECRET_KEY_BASE_DUMMY=1",
    }
}

fn is_frozen(gems: &Gems, warnings: &mut Vec<String>) -> bool {
    match &gems.lock {
        Some(lock) if lock.is_for_linux() => true,
        Some(_) => {
            warnings.push("Gemfile.lock is not for Linux; run `bundle lock --add-platform x86_64-linux` and commit it".to_owned());
            false
        }
        None => {
            if !gems.is_empty() {
                warnings.push("there is no Gemfile.lock: each build may install other versions; run `bundle lock` and commit it".to_owned());
            }
            false
        }
    }
}

/// Where Ruby's version may be written, without `ruby-` and patch levels.
fn ruby_version(
    request: &Request,
    gems: &Gems,
    warnings: &mut Vec<String>,
) -> Result<Tool, PlanError> {
    let repo = request.repo;
    let mut candidates = Vec::new();
    candidates.extend(
        request
            .setting_with_evidence("RUBY_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence)),
    );
    candidates.extend(version::version_file(repo, ".ruby-version")?);
    candidates.extend(version::tool_managers(repo, &["ruby"])?);
    if let Some(wish) = &gems.gemfile.ruby {
        let evidence = Evidence::key(GEMFILE, "ruby", Some(wish.line), &wish.version);
        let engine = wish.engine.as_deref().filter(|engine| *engine != "ruby");
        if let Some(engine) = engine {
            return Err(Candidate::new(engine, evidence).refuse("ruby", "only MRI is supported"));
        }
        match &wish.file {
            Some(file) if file != ".ruby-version" => {
                candidates.extend(version::version_file(repo, file)?);
            }
            Some(_) => {}
            None => candidates.push(Candidate::new(&wish.version, evidence)),
        }
        if wish
            .version
            .starts_with(|letter: char| letter.is_ascii_digit())
            && wish.version.split('.').count() > 2
        {
            warnings.push(format!(
                "the Gemfile asks for Ruby {0} exactly, and Bundler refuses any other; `ruby \"~> {0}\"` takes fixes too",
                wish.version
            ));
        }
    }
    if let Some((text, line)) = gems.lock.as_ref().and_then(|lock| lock.ruby.as_ref()) {
        let evidence = Evidence::key(LOCK, "RUBY VERSION", Some(*line), text);
        candidates.push(Candidate::new(text, evidence));
    }
    for candidate in &mut candidates {
        candidate.text = plain(&candidate.text)
            .ok_or_else(|| candidate.refuse("ruby", "only MRI is supported"))?;
    }
    version::tool("ruby", Grammar::Gem, &candidates)
}

/// `ruby-3.3.0` and `ruby 3.3.0p0` are 3.3.0; `None` for other engines.
fn plain(text: &str) -> Option<String> {
    let bare = text
        .strip_prefix("ruby")
        .unwrap_or(text)
        .trim_start_matches(['-', ' ']);
    if ["jruby", "truffleruby", "rbx", "mruby"]
        .iter()
        .any(|engine| bare.contains(engine))
    {
        return None;
    }
    let patch = bare.find('p').filter(|at| {
        bare.get(at + 1..)
            .is_some_and(|level| level.bytes().all(|byte| byte.is_ascii_digit()))
    });
    Some(
        patch
            .and_then(|at| bare.get(..at))
            .unwrap_or(bare)
            .to_owned(),
    )
}

/// Node.js for gems that run it, where no build script of package.json makes the Node.js provider come.
fn node(request: &Request, gems: &Gems) -> Result<Option<(Tool, &'static str)>, PlanError> {
    let own = gems.any(&ENGINES).is_some();
    let gem = gems.any(&RUN_NODE).filter(|gem| *gem != "execjs" || !own);
    let assists = super::node::Node
        .detect(request.repo)?
        .is_some_and(|claim| claim.assists);
    match gem.filter(|_| !assists) {
        Some(gem) => Ok(Some((version::node(&[])?, gem))),
        None => Ok(None),
    }
}

/// The only files that installing reads, or why there may be others.
fn manifests(repo: &Repo, gems: &Gems) -> Result<Vec<String>, String> {
    if let Some(why) = &gems.gemfile.reads {
        return Err(why.clone());
    }
    if let Some(path) = gems.lock.as_ref().and_then(|lock| lock.path.as_deref()) {
        return Err(format!("gems are installed from {path}"));
    }
    if repo.is_dir("vendor/cache") {
        return Err("gems are in vendor/cache".to_owned());
    }
    let version = gems
        .gemfile
        .ruby
        .as_ref()
        .and_then(|wish| wish.file.as_deref());
    Ok([GEMFILE, LOCK]
        .into_iter()
        .chain(version)
        .filter(|file| repo.in_image(file))
        .map(str::to_owned)
        .collect())
}

const GEM_HOME: &str = "/usr/local/bundle";
const CACHE: &str = "/root/.bundle/cache";

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["ruby"]),
        warnings: facts.warnings.clone(),
        ..Proposal::default()
    };
    proposal.metadata.extend(facts.metadata.clone());
    proposal.warnings.extend(facts.ruby.warnings.clone());
    proposal.decisions.push(facts.ruby.decision.clone());
    proposal.decisions.extend(facts.libraries.decisions.clone());
    let plan = &mut proposal.plan;
    plan.variables = variables(facts);
    let (setup, decisions) = setup(facts);
    plan.phases.insert("setup".to_owned(), setup);
    proposal.decisions.extend(decisions);
    let (install, decision) = install(facts);
    plan.phases.insert("install".to_owned(), install);
    proposal.decisions.push(decision);
    let commands = build(facts);
    if !commands.is_empty() {
        let build = plan.phase("build");
        build.depends_on = Some(strings(&["install"]));
        build.cmds = Some(commands);
    }
    let mut tools = vec![facts.ruby.entry()];
    tools.extend(facts.libraries.tools.clone());
    let run = facts.libraries.run.clone();
    let mut start = Start {
        nix_pkgs: Some(tools),
        apt_pkgs: (!run.is_empty()).then_some(run),
        ..Start::default()
    };
    match &facts.start {
        Some((command, decision)) => {
            start.cmd = Some(command.clone());
            proposal.decisions.push(decision.clone());
        }
        None => {
            proposal.without_start = Some(
                "add config.ru, a Rakefile or main.rb, a Procfile, or start.cmd in nixpacks.toml"
                    .to_owned(),
            );
        }
    }
    plan.start = Some(start);
    proposal
}

fn variables(facts: &Facts) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::from([
        ("BUNDLE_APP_CONFIG", GEM_HOME),
        ("BUNDLE_GEMFILE", "/app/Gemfile"),
        ("BUNDLE_SILENCE_ROOT_WARNING", "1"),
        ("BUNDLE_WITHOUT", "development:test"),
        ("GEM_HOME", GEM_HOME),
        ("MALLOC_ARENA_MAX", "2"),
        ("RACK_ENV", "production"),
    ]);
    if facts.frozen {
        variables.insert("BUNDLE_FROZEN", "true");
    }
    if facts.rails {
        variables.extend([
            ("RAILS_ENV", "production"),
            ("RAILS_LOG_TO_STDOUT", "enabled"),
            ("RAILS_SERVE_STATIC_FILES", "1"),
        ]);
    }
    variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn setup(facts: &Facts) -> (Phase, Vec<Decision>) {
    let mut tools = vec![facts.ruby.entry()];
    let mut decisions = Vec::new();
    tools.extend(strings(&facts.tools));
    if facts.tools.contains(&"gcc") {
        let reason = "at build time alone: gems may compile";
        decisions.push(Decision::new("compiler", "gcc", reason));
    }
    tools.extend(facts.libraries.tools.clone());
    if let Some((node, gem)) = &facts.node {
        tools.push(node.entry());
        let reason = format!("{gem} runs it at build time");
        decisions.push(Decision::new("nodejs", node.range.clone(), reason));
    }
    let mut packages = facts.libraries.build.clone();
    packages.extend(facts.libraries.run.clone());
    let phase = Phase {
        nix_pkgs: Some(tools),
        apt_pkgs: (!packages.is_empty()).then_some(packages),
        ..Phase::default()
    };
    (phase, decisions)
}

fn install(facts: &Facts) -> (Phase, Decision) {
    let mut commands = strings(&["bundle install"]);
    if facts.bootsnap.is_some() {
        commands.push("bundle exec bootsnap precompile --gemfile".to_owned());
    }
    let (files, sees) = match &facts.manifests {
        Ok(files) => (Some(files.clone()), "sees the manifests alone".to_owned()),
        Err(why) => (None, format!("sees all files: {why}")),
    };
    let decision = Decision::new("install", "bundle install", sees);
    let phase = Phase {
        depends_on: Some(strings(&["setup"])),
        cmds: Some(commands),
        only_include_files: files,
        cache_directories: Some(strings(&[CACHE])),
        paths: Some(vec![format!("{GEM_HOME}/bin")]),
        ..Phase::default()
    };
    let decision = if facts.frozen {
        decision.from(Evidence::file(LOCK, "the lock file"))
    } else {
        decision
    };
    (phase, decision)
}

fn build(facts: &Facts) -> Vec<String> {
    let mut commands = Vec::new();
    if let Some((_, variable)) = facts.assets {
        commands.push(format!("{variable} bundle exec rake assets:precompile"));
    }
    if let Some(folders) = &facts.bootsnap
        && !folders.is_empty()
    {
        commands.push(format!(
            "bundle exec bootsnap precompile {}",
            folders.join(" ")
        ));
    }
    commands
}
