//! What the user sets on top of what providers decide: file, `--env`, flags.
//!
//! Owns the layers, their precedence (provider < Procfile < file < environment < `--json-plan` < flags) and how two plans
//! merge: the last scalar wins, maps extend, a list replaces unless it contains `"..."` (or `"@auto"`), which stands for the
//! list below. Detection is for `detect.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::plan::{BuildPlan, Hooks, ImageSettings, List, Phase, PlanError, Start};
use crate::provider::Decision;
use crate::railpack::{self, Railpack};
use crate::repo::Repo;

/// Everything that the command line and its environment say about the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--config`, relative to the application's folder.
    pub config_file: Option<PathBuf>,
    /// `--config-file` of Railpack, which has its format; relative to the application's folder.
    pub railpack_file: Option<PathBuf>,
    /// `--env`: variables for phases and image, and `NIXPACKS_*` settings.
    pub env: BTreeMap<String, String>,
    /// What `--env` gives is no part of the plan: phases ask for each name as a secret, as with Railpack.
    pub env_are_secrets: bool,
    /// `--json-plan`: a partial plan as JSON text.
    pub json_plan: Option<String>,
    /// `--install-cmd`.
    pub install_cmd: Option<String>,
    /// `--build-cmd`.
    pub build_cmd: Option<String>,
    /// `--start-cmd`.
    pub start_cmd: Option<String>,
    /// `--pkgs`.
    pub pkgs: Vec<String>,
    /// `--apt`.
    pub apt: Vec<String>,
    /// `--libs`.
    pub libs: Vec<String>,
    /// `--test`: a test phase is wanted.
    pub test: bool,
}

impl Overrides {
    /// What of `--env` are secrets: everything but settings of builders, where they are secrets at all.
    pub fn secrets(&self) -> impl Iterator<Item = (&String, &String)> {
        let is_setting = |name: &String| {
            let mut prefixes = ["NIXPACKS_", "RAILPACK_"].iter();
            prefixes.any(|prefix| name.starts_with(prefix))
        };
        let secrets = self.env.iter().filter(move |(name, _)| !is_setting(name));
        secrets.filter(|_| self.env_are_secrets)
    }
}

/// The overrides as plans, lowest first, with where each comes from.
pub(crate) struct Layers {
    pub(crate) plans: Vec<(String, BuildPlan)>,
    /// What providers see: the variables of all layers.
    pub(crate) variables: BTreeMap<String, String>,
    /// Where Railpack's words are used: tools in a version that take the place of the providers' choice.
    tools: Option<BTreeMap<String, String>>,
    /// Names that phases ask for as secrets, unless the user says which.
    secrets: Vec<String>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) warnings: Vec<String>,
}

impl Layers {
    /// Reads the configuration file and turns everything into plans.
    pub(crate) fn read(repo: &Repo, overrides: &Overrides) -> Result<Self, PlanError> {
        let mut layers = Self {
            plans: Vec::new(),
            variables: BTreeMap::new(),
            tools: None,
            secrets: Vec::new(),
            decisions: Vec::new(),
            warnings: Vec::new(),
        };
        if let Some((file, text, format)) = config_text(repo, overrides)? {
            let plan = match format {
                Format::Railpack => {
                    let said = Railpack::from_json(&file, &text)?;
                    layers.add_railpack(&file, said)
                }
                Format::Json => layers.hear(BuildPlan::from_json(&file, &text)?),
                Format::Toml => layers.hear(BuildPlan::from_toml(&file, &text)?),
            };
            layers.note_beaten_variables(&file, &plan, overrides);
            layers.plans.push((file, plan));
        }
        let railpack = Railpack::from_environment(&overrides.env);
        let railpack = layers.add_railpack("environment", railpack);
        for plan in [railpack, from_environment(overrides)] {
            layers.plans.push(("environment".to_owned(), plan));
        }
        if overrides.env_are_secrets {
            let names = overrides.secrets().map(|(name, _)| name.clone());
            layers.secrets.extend(names);
            layers.secrets.sort();
            layers.secrets.dedup();
            layers.variables.extend(overrides.env.clone());
        }
        if let Some(text) = &overrides.json_plan {
            let plan = layers.hear(BuildPlan::from_json("--json-plan", text)?);
            layers.plans.push(("--json-plan".to_owned(), plan));
        }
        layers
            .plans
            .push(("flags".to_owned(), from_flags(overrides)));
        for (_, plan) in &layers.plans {
            layers.variables.extend(plan.variables.clone());
        }
        Ok(layers)
    }

    /// A plan whose warnings are noted.
    fn hear(&mut self, (plan, warnings): (BuildPlan, Vec<String>)) -> BuildPlan {
        self.warnings.extend(warnings);
        plan
    }

    /// Notes what Railpack's words say beside the plan, which it returns.
    fn add_railpack(&mut self, place: &str, said: Railpack) -> BuildPlan {
        for tool in said.tools.values() {
            let reason = format!("{place} asks for it");
            self.decisions.push(Decision::new("packages", tool, reason));
        }
        if said.plan != BuildPlan::default() || !said.tools.is_empty() {
            self.tools.get_or_insert_default().extend(said.tools);
        }
        self.variables.extend(said.settings);
        self.warnings.extend(said.warnings);
        self.secrets.extend(said.secrets);
        said.plan
    }

    /// The providers that the highest layer asks for, and which layer that is.
    pub(crate) fn providers(&self) -> Option<(&str, &[String])> {
        self.plans
            .iter()
            .rev()
            .find_map(|(place, plan)| Some((place.as_str(), plan.providers.as_deref()?)))
    }

    fn note_beaten_variables(&mut self, file: &str, plan: &BuildPlan, overrides: &Overrides) {
        for (name, value) in &plan.variables {
            if overrides.env.get(name).is_some_and(|given| given != value) {
                let reason = format!("an explicit --env beats [variables] of {file}");
                self.decisions
                    .push(Decision::new("variable", name.clone(), reason));
            }
        }
    }
}

/// How a configuration is written.
#[derive(Clone, Copy)]
enum Format {
    Json,
    Toml,
    Railpack,
}

/// `--config`, else `NIXPACKS_CONFIG_FILE`, else Railpack's two, else the first of the files that have a name for it.
fn config_text(
    repo: &Repo,
    overrides: &Overrides,
) -> Result<Option<(String, std::sync::Arc<str>, Format)>, PlanError> {
    let setting = |name: &str| overrides.env.get(name).map(PathBuf::from);
    let ours = overrides
        .config_file
        .clone()
        .or_else(|| setting("NIXPACKS_CONFIG_FILE"));
    let theirs = overrides
        .railpack_file
        .clone()
        .or_else(|| setting("RAILPACK_CONFIG_FILE"));
    let given = ours.map(|path| {
        let json = path
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        (path, if json { Format::Json } else { Format::Toml })
    });
    if let Some((path, format)) = given.or(theirs.map(|path| (path, Format::Railpack))) {
        let file = path.to_string_lossy().into_owned();
        let text = repo.text_given(&path)?;
        return text
            .map(|text| Some((file.clone(), text, format)))
            .ok_or(PlanError::ConfigMissing { file });
    }
    for (file, format) in [
        ("nixpacks.toml", Format::Toml),
        ("nixpacks.json", Format::Json),
        (railpack::FILE, Format::Railpack),
    ] {
        if let Some(text) = repo.text(file)? {
            return Ok(Some((file.to_owned(), text, format)));
        }
    }
    Ok(None)
}

/// `--env`: all of it as variables, the global `NIXPACKS_*` settings, and Railpack's of the same names, as a plan.
fn from_environment(overrides: &Overrides) -> BuildPlan {
    let setting = |name: &str| {
        ["NIXPACKS_", "RAILPACK_"].into_iter().find_map(|prefix| {
            let value = overrides.env.get(&format!("{prefix}{name}"))?;
            let value = value.replace(['\n', '\r'], "");
            (!value.trim().is_empty()).then_some(value)
        })
    };
    let words = |name: &str| -> Vec<String> {
        let value = setting(name).unwrap_or_default();
        value
            .split([' ', ',', '\t'])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let mut plan = BuildPlan::default();
    if !overrides.env_are_secrets {
        plan.variables.clone_from(&overrides.env);
    }
    for (phase, upper) in [("install", "INSTALL"), ("build", "BUILD")] {
        if let Some(command) = setting(&format!("{upper}_CMD")) {
            plan.phase(phase).cmds = Some(vec![command]);
            let directories = words(&format!("{upper}_CACHE_DIRS"));
            if !directories.is_empty() {
                plan.phase(phase).cache_directories = Some(directories);
            }
        }
    }
    if let Some(command) = setting("START_CMD") {
        plan.start = Some(Start {
            cmd: Some(command),
            ..Start::default()
        });
    }
    add_packages(&mut plan, words("PKGS"), words("APT_PKGS"), words("LIBS"));
    plan
}

fn from_flags(overrides: &Overrides) -> BuildPlan {
    let mut plan = BuildPlan::default();
    for (phase, command) in [
        ("install", &overrides.install_cmd),
        ("build", &overrides.build_cmd),
    ] {
        if let Some(command) = command {
            let command = Some(command.trim()).filter(|command| !command.is_empty());
            plan.phase(phase).cmds = Some(command.into_iter().map(str::to_owned).collect());
        }
    }
    if let Some(command) = &overrides.start_cmd {
        plan.start = Some(Start {
            cmd: Some(command.clone()),
            ..Start::default()
        });
    }
    add_packages(
        &mut plan,
        overrides.pkgs.clone(),
        overrides.apt.clone(),
        overrides.libs.clone(),
    );
    plan
}

/// Adds to the setup phase and erases nothing there.
fn add_packages(
    plan: &mut BuildPlan,
    packages: Vec<String>,
    apt: Vec<String>,
    libraries: Vec<String>,
) {
    let extend = |added: Vec<String>| -> List {
        (!added.is_empty()).then(|| std::iter::once("...".to_owned()).chain(added).collect())
    };
    let setup = Phase {
        nix_pkgs: extend(packages),
        apt_pkgs: extend(apt),
        nix_libs: extend(libraries),
        ..Phase::default()
    };
    if setup != Phase::default() {
        plan.phases.insert("setup".to_owned(), setup);
    }
}

fn is_marker(entry: &str) -> bool {
    matches!(entry, "..." | "@auto")
}

/// An upper list over a lower one; a marker expands in place.
pub(crate) fn merge_list(lower: List, upper: List) -> List {
    let Some(upper) = upper else { return lower };
    let lower = lower.unwrap_or_default();
    let expand = |entry: String| {
        if is_marker(&entry) {
            lower.clone()
        } else {
            vec![entry]
        }
    };
    Some(upper.into_iter().flat_map(expand).collect())
}

/// One plan over another. The upper plan may have default dependencies filled in: see [`default_dependencies`].
pub(crate) fn merge(lower: BuildPlan, upper: BuildPlan) -> BuildPlan {
    let BuildPlan {
        providers,
        build_image,
        packages,
        variables,
        static_assets,
        phases,
        start,
        hooks,
        image,
    } = upper;
    let mut plan = lower;
    plan.providers = merge_list(plan.providers, providers);
    plan.build_image = build_image.or(plan.build_image);
    plan.packages = packages.or(plan.packages);
    plan.variables.extend(variables);
    plan.static_assets.extend(static_assets);
    for (name, phase) in phases {
        let below = plan.phases.remove(&name).unwrap_or_default();
        plan.phases.insert(name, merge_phase(below, phase));
    }
    plan.start = merge_option(plan.start, start, merge_start);
    plan.hooks = merge_option(plan.hooks, hooks, merge_hooks);
    plan.image = merge_option(plan.image, image, merge_image);
    plan
}

fn merge_option<T>(lower: Option<T>, upper: Option<T>, merge: impl FnOnce(T, T) -> T) -> Option<T> {
    match (lower, upper) {
        (Some(lower), Some(upper)) => Some(merge(lower, upper)),
        (lower, upper) => upper.or(lower),
    }
}

fn merge_phase(lower: Phase, upper: Phase) -> Phase {
    // The list of files fits the commands that it was made for, not others.
    let other_commands = upper.cmds.is_some() && upper.cmds != lower.cmds;
    let files = if other_commands {
        None
    } else {
        lower.only_include_files
    };
    Phase {
        depends_on: merge_list(lower.depends_on, upper.depends_on),
        nix_pkgs: merge_list(lower.nix_pkgs, upper.nix_pkgs),
        nix_libs: merge_list(lower.nix_libs, upper.nix_libs),
        nix_overlays: merge_list(lower.nix_overlays, upper.nix_overlays),
        nixpkgs_archive: upper.nixpkgs_archive.or(lower.nixpkgs_archive),
        nix_expr: upper.nix_expr.or(lower.nix_expr),
        apt_pkgs: merge_list(lower.apt_pkgs, upper.apt_pkgs),
        cmds: merge_list(lower.cmds, upper.cmds),
        only_include_files: merge_list(files, upper.only_include_files),
        cache_directories: merge_list(lower.cache_directories, upper.cache_directories),
        paths: merge_list(lower.paths, upper.paths),
        network: upper.network.or(lower.network),
        secrets: merge_list(lower.secrets, upper.secrets),
    }
}

fn merge_start(lower: Start, upper: Start) -> Start {
    let mut variables = lower.variables;
    variables.extend(upper.variables);
    Start {
        cmd: upper.cmd.or(lower.cmd),
        run_image: upper.run_image.or(lower.run_image),
        only_include_files: merge_list(lower.only_include_files, upper.only_include_files),
        user: upper.user.or(lower.user),
        nix_pkgs: merge_list(lower.nix_pkgs, upper.nix_pkgs),
        nix_expr: upper.nix_expr.or(lower.nix_expr),
        apt_pkgs: merge_list(lower.apt_pkgs, upper.apt_pkgs),
        variables,
    }
}

fn merge_hooks(lower: Hooks, upper: Hooks) -> Hooks {
    Hooks {
        pre_install: merge_list(lower.pre_install, upper.pre_install),
        post_install: merge_list(lower.post_install, upper.post_install),
        pre_build: merge_list(lower.pre_build, upper.pre_build),
        post_build: merge_list(lower.post_build, upper.post_build),
        pre_test: merge_list(lower.pre_test, upper.pre_test),
        post_test: merge_list(lower.post_test, upper.post_test),
        pre_package: merge_list(lower.pre_package, upper.pre_package),
        post_package: merge_list(lower.post_package, upper.post_package),
    }
}

fn merge_image(lower: ImageSettings, upper: ImageSettings) -> ImageSettings {
    let mut labels = lower.labels;
    labels.extend(upper.labels);
    ImageSettings {
        user: upper.user.or(lower.user),
        exposed_ports: merge_list(lower.exposed_ports, upper.exposed_ports),
        stop_signal: upper.stop_signal.or(lower.stop_signal),
        entrypoint: merge_list(lower.entrypoint, upper.entrypoint),
        layer_budget: upper.layer_budget.or(lower.layer_budget),
        compression: upper.compression.or(lower.compression),
        labels,
        healthcheck: upper.healthcheck.or(lower.healthcheck),
    }
}

/// What a layer says instead of the providers: how to start, and which packages the setup has.
fn replacements(base: &BuildPlan, layers: &[(String, BuildPlan)]) -> Vec<Decision> {
    let start = layers.iter().rev().find_map(|(place, plan)| {
        let command = plan.start.as_ref()?.cmd.as_ref()?;
        Some(Decision::new("start", command, format!("{place} says so")))
    });
    let known = base
        .phases
        .get("setup")
        .is_some_and(|setup| setup.nix_pkgs.is_some());
    let packages = layers
        .iter()
        .rev()
        .filter(|_| known)
        .find_map(|(place, plan)| {
            let packages = plan.phases.get("setup")?.nix_pkgs.as_ref()?;
            let extends = packages.iter().any(|name| name == "..." || name == "@auto");
            let reason = format!("{place} says so, instead of what was found");
            (!extends).then(|| Decision::new("packages", packages.join(", "), reason))
        });
    start.into_iter().chain(packages).collect()
}

/// Whether a provider's decision still holds in the finished plan: one about the start command or a tool of the setup
/// does not when a layer replaced it.
pub(crate) fn holds(decision: &Decision, base: &BuildPlan, plan: &BuildPlan) -> bool {
    fn command(plan: &BuildPlan) -> Option<&String> {
        plan.start.as_ref()?.cmd.as_ref()
    }
    fn tool<'a>(plan: &'a BuildPlan, name: &str) -> Option<&'a String> {
        let tools = plan.phases.get("setup")?.nix_pkgs.as_ref()?;
        tools
            .iter()
            .find(|entry| entry.split('@').next() == Some(name))
    }
    if decision.subject == "start" {
        return command(base) == command(plan);
    }
    tool(base, &decision.subject).is_none()
        || tool(base, &decision.subject) == tool(plan, &decision.subject)
}

/// Puts all layers over the providers' plan and finishes it.
pub(crate) fn apply(
    base: &BuildPlan,
    procfile: Option<BuildPlan>,
    layers: Layers,
) -> (BuildPlan, Vec<Decision>) {
    let mut decisions = layers.decisions;
    let (tools, secrets) = (layers.tools, layers.secrets);
    decisions.extend(replacements(base, &layers.plans));
    let uppers: Vec<BuildPlan> = procfile
        .into_iter()
        .chain(layers.plans.into_iter().map(|(_, plan)| plan))
        .collect();
    let mut plan = uppers.iter().cloned().fold(base.clone(), merge);
    if let Some(tools) = tools {
        railpack::ask_for(&mut plan, &tools);
    }
    if !secrets.is_empty() {
        for phase in plan
            .phases
            .values_mut()
            .filter(|phase| phase.cmds.is_some())
        {
            phase.secrets.get_or_insert_with(|| secrets.clone());
        }
    }
    default_dependencies(&mut plan);
    drop_files_under_hooks(&mut plan, &uppers);
    for (name, phase) in &base.phases {
        let lost =
            phase.only_include_files.is_some() && plan.phases[name].only_include_files.is_none();
        if lost {
            let reason = "its commands are the user's, which may read any file";
            decisions.push(Decision::new(name, "sees all source files", reason));
        }
    }
    keep_at_run_time(&mut plan, base, &uppers, &mut decisions);
    plan.providers = Some(Vec::new());
    (plan, decisions)
}

/// A phase without `dependsOn` gets what nixpacks gives it, as far as that exists.
fn default_dependencies(plan: &mut BuildPlan) {
    for (name, chain) in [
        ("install", &["setup"][..]),
        ("build", &["install", "setup"]),
        ("test", &["build", "install", "setup"]),
    ] {
        let below = chain
            .iter()
            .find(|name| plan.phases.contains_key(**name))
            .map(|name| vec![(*name).to_owned()]);
        if let Some(phase) = plan.phases.get_mut(name) {
            phase.depends_on = phase.depends_on.take().or(below);
        }
    }
}

/// Hooks around the install phase may read any file, so the provider's list no longer holds; a list that the user wrote does.
fn drop_files_under_hooks(plan: &mut BuildPlan, uppers: &[BuildPlan]) {
    let hooked = plan
        .hooks
        .as_ref()
        .is_some_and(|hooks| hooks.pre_install.is_some() || hooks.post_install.is_some());
    let explicit = uppers.iter().any(|upper| {
        upper
            .phases
            .get("install")
            .is_some_and(|phase| phase.only_include_files.is_some())
    });
    if let Some(install) = plan
        .phases
        .get_mut("install")
        .filter(|_| hooked && !explicit)
    {
        install.only_include_files = None;
    }
}

/// Words that a start command may begin with, and the tool that has to stay for it.
const TOOL_OF_WORD: [(&str, &str); 6] = [
    ("go", "go"),
    ("gofmt", "go"),
    ("uv", "uv"),
    ("uvx", "uv"),
    ("git", "git"),
    ("nginx", "nginx"),
];

/// Packages that the user asked for stay at run time, unless the user says what stays.
fn keep_at_run_time(
    plan: &mut BuildPlan,
    base: &BuildPlan,
    uppers: &[BuildPlan],
    decisions: &mut Vec<Decision>,
) {
    let said = |list: fn(&Start) -> &List| {
        uppers.iter().any(|upper| {
            upper
                .start
                .as_ref()
                .is_some_and(|start| list(start).is_some())
        })
    };
    let (nix_said, apt_said) = (said(|start| &start.nix_pkgs), said(|start| &start.apt_pkgs));
    let limited = base
        .start
        .as_ref()
        .is_some_and(|start| start.nix_pkgs.is_some() || start.apt_pkgs.is_some());
    let Some(start) = plan.start.as_mut().filter(|_| limited) else {
        return;
    };
    let asked: BTreeSet<&String> = plan
        .phases
        .values()
        .flat_map(|phase| phase.nix_pkgs.iter().flatten())
        .collect();
    if !nix_said {
        let mut kept: Vec<String> = start.nix_pkgs.take().unwrap_or_default();
        kept.retain(|tool| asked.contains(tool));
        push_new(&mut kept, added(base, uppers, |phase| &phase.nix_pkgs));
        let words: Vec<&str> = start
            .cmd
            .as_deref()
            .unwrap_or_default()
            .split(|letter: char| " \t;&|()".contains(letter))
            .collect();
        for (word, tool) in TOOL_OF_WORD {
            let full = asked
                .iter()
                .find(|asked| asked.split('@').next() == Some(tool));
            if let Some(full) = full.filter(|full| words.contains(&word) && !kept.contains(full)) {
                decisions.push(Decision::new(
                    "run time",
                    (**full).clone(),
                    format!("the start command calls {word}"),
                ));
                kept.push((**full).clone());
            }
        }
        start.nix_pkgs = Some(kept);
    }
    if !apt_said {
        let mut kept: Vec<String> = start.apt_pkgs.take().unwrap_or_default();
        push_new(&mut kept, added(base, uppers, |phase| &phase.apt_pkgs));
        start.apt_pkgs = Some(kept).filter(|kept| !kept.is_empty());
    }
}

/// What the layers ask for in some list of any phase, beyond what the providers ask for.
fn added(base: &BuildPlan, uppers: &[BuildPlan], list: fn(&Phase) -> &List) -> Vec<String> {
    let known: BTreeSet<&String> = base
        .phases
        .values()
        .flat_map(|phase| list(phase).iter().flatten())
        .collect();
    let asked = uppers
        .iter()
        .flat_map(|upper| upper.phases.values())
        .flat_map(|phase| list(phase).iter().flatten());
    asked
        .filter(|name| !is_marker(name) && !known.contains(name))
        .cloned()
        .collect()
}

fn push_new(list: &mut Vec<String>, more: Vec<String>) {
    for entry in more {
        if !list.contains(&entry) {
            list.push(entry);
        }
    }
}

#[cfg(test)]
mod tests;
