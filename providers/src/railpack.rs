//! Railpack's configuration, for projects and platforms that come from there: `railpack.json` and `RAILPACK_` variables.
//!
//! Owns their meaning in terms of a plan. What has no meaning here is told by its key. A step becomes a phase of its name,
//! `packages:...` the setup; what `deploy` says is for the run time alone. Layers and their order are for `overrides.rs`.

mod file;

use std::collections::{BTreeMap, BTreeSet};

use file::{Cache, Command, Deploy, File, Layer, LongLayer, Step};

use crate::languages::{quote, single_quoted};
use crate::plan::{BuildPlan, List, Phase, PlanError, Start};
use crate::read;

/// The file's own name.
pub(crate) const FILE: &str = "railpack.json";

/// What Railpack's file or variables say.
#[derive(Debug, Default)]
pub(crate) struct Railpack {
    /// As a layer over the providers' plan.
    pub(crate) plan: BuildPlan,
    /// Tools in a version, by name, which replace the providers' choice of that tool.
    pub(crate) tools: BTreeMap<String, String>,
    /// Settings of providers that are no variables of the plan: versions.
    pub(crate) settings: BTreeMap<String, String>,
    /// Secrets that every phase asks for that does not say which: in Railpack, steps see all.
    pub(crate) secrets: Vec<String>,
    /// Keys that have no meaning here.
    pub(crate) warnings: Vec<String>,
}

/// Railpack's names of languages that have another one here.
const PROVIDERS: [(&str, &str); 2] = [("golang", "go"), ("dotnet", "c#")];

/// mise's names of tools, the nixpkgs name, and the setting by which a provider is told its version.
const TOOLS: [(&str, &str, Option<&str>); 16] = [
    ("bun", "bun", Some("BUN_VERSION")),
    ("deno", "deno", Some("DENO_VERSION")),
    ("dotnet", "dotnet-sdk", Some("CSHARP_SDK_VERSION")),
    ("elixir", "elixir", Some("ELIXIR_VERSION")),
    ("erlang", "erlang", Some("ERLANG_VERSION")),
    ("go", "go", Some("GO_VERSION")),
    ("gradle", "gradle", Some("GRADLE_VERSION")),
    ("java", "jdk", Some("JDK_VERSION")),
    ("node", "nodejs", Some("NODE_VERSION")),
    ("nodejs", "nodejs", Some("NODE_VERSION")),
    ("php", "php", Some("PHP_VERSION")),
    ("poetry", "poetry", Some("POETRY_VERSION")),
    ("python", "python", Some("PYTHON_VERSION")),
    ("ruby", "ruby", Some("RUBY_VERSION")),
    ("rust", "rustc", Some("RUST_VERSION")),
    ("uv", "uv", Some("UV_VERSION")),
];

impl Railpack {
    /// Reads the text of a `railpack.json`; `file` is for messages.
    pub(crate) fn from_json(file: &str, text: &str) -> Result<Self, PlanError> {
        let (said, warnings) = read::jsonc_strict::<File>(file, text)?;
        let mut railpack = Self {
            warnings,
            ..Self::default()
        };
        railpack.take(file, said);
        Ok(railpack)
    }

    /// Railpack's global variables; those of its languages are settings of our providers.
    pub(crate) fn from_environment(env: &BTreeMap<String, String>) -> Self {
        let words = |name: &str| -> Vec<String> {
            let value = env.get(&format!("RAILPACK_{name}"));
            let words = value.map(String::as_str).unwrap_or_default();
            words
                .split([' ', ',', '\t', '\n', '\r'])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let mut railpack = Self::default();
        for package in words("PACKAGES") {
            let (name, version) = package.split_once('@').unwrap_or((&package, "latest"));
            railpack.tool("RAILPACK_PACKAGES", name, version);
        }
        let (build, deploy) = (words("BUILD_APT_PACKAGES"), words("DEPLOY_APT_PACKAGES"));
        railpack.apt(build, (!deploy.is_empty()).then(|| with_marker(deploy)));
        railpack
    }

    fn take(&mut self, file: &str, said: File) {
        let File {
            provider,
            build_apt_packages,
            packages,
            caches,
            secrets,
            exclude,
            steps,
            deploy,
            ..
        } = said;
        self.plan.providers = provider.map(|name| {
            let known = PROVIDERS.iter().find(|(theirs, _)| *theirs == name);
            vec![known.map_or(name, |(_, ours)| (*ours).to_owned())]
        });
        for (name, version) in packages {
            self.tool(file, &name, &version);
        }
        if !exclude.is_empty() {
            self.warn(file, "exclude", "write the patterns into .dockerignore");
        }
        let contested = contested(&steps);
        for (name, mut step) in steps {
            let place = format!("{file}: steps.{name}");
            let assets = assets_of(&name, std::mem::take(&mut step.assets), &contested);
            let phase_name = phase_of(&name);
            let phase = self.phase(&place, phase_name, step, &assets, &caches);
            self.plan.static_assets.extend(assets.into_values());
            // Of the steps for packages there may be several.
            let phase = match self.plan.phases.remove(phase_name) {
                Some(before) => joined(before, phase),
                None => phase,
            };
            self.plan.phases.insert(phase_name.to_owned(), phase);
        }
        self.secrets = secrets;
        self.deploy(file, build_apt_packages, deploy);
    }

    fn deploy(&mut self, file: &str, build_apt: Vec<String>, deploy: Deploy) {
        let Deploy {
            base,
            inputs,
            start_command,
            variables,
            paths,
            apt_packages,
        } = deploy;
        if base.is_some() {
            self.warn(file, "deploy.base", "images here have no base image");
        }
        let start = self.plan.start.get_or_insert_default();
        start.cmd = start_command;
        start.variables = variables;
        if let Some(inputs) = inputs {
            self.deploy_inputs(file, inputs);
        }
        if !paths.is_empty() {
            self.plan.phase("setup").paths = Some(with_marker(paths));
        }
        self.apt(build_apt, apt_packages);
        if self.plan.start == Some(Start::default()) {
            self.plan.start = None;
        }
    }

    /// What of `/app` stays, where the inputs of `deploy` say so.
    fn deploy_inputs(&mut self, file: &str, inputs: Vec<Layer>) {
        let mut kept = Vec::new();
        let mut all = false;
        for input in inputs {
            match input.long() {
                LongLayer { spread: true, .. } => all = true,
                LongLayer {
                    image: Some(image), ..
                } => {
                    self.warn(
                        file,
                        "deploy.inputs",
                        &format!("nothing is copied from the image {image}"),
                    );
                }
                LongLayer {
                    step: Some(step), ..
                } if step.starts_with("packages:") => {}
                LongLayer {
                    include, exclude, ..
                } => {
                    if !exclude.is_empty() {
                        self.warn(
                            file,
                            "deploy.inputs",
                            "what is excluded stays: remove it in a command",
                        );
                    }
                    // Outside of /app everything stays anyway.
                    let inside = include.into_iter().filter_map(|path| relative(&path));
                    kept.extend(inside);
                }
            }
        }
        if !all && !kept.is_empty() && !kept.iter().any(|path| path == ".") {
            self.plan.start.get_or_insert_default().only_include_files = Some(kept);
        }
    }

    fn phase(
        &mut self,
        place: &str,
        name: &str,
        step: Step,
        assets: &Assets,
        caches: &BTreeMap<String, Cache>,
    ) -> Phase {
        let Step {
            inputs,
            commands,
            secrets: asked,
            variables,
            caches: mounts,
            deploy_outputs,
            ..
        } = step;
        let mut phase = Phase::default();
        if !deploy_outputs.is_empty() {
            self.warn(place, "deployOutputs", "say deploy.inputs");
        }
        if let Some(inputs) = inputs {
            self.inputs(place, inputs, &mut phase);
            let before = phase.depends_on.iter_mut();
            before.for_each(|before| before.retain(|step| step != name));
        } else if !matches!(name, "setup" | "install" | "build") {
            phase.depends_on = Some(vec!["setup".to_owned()]);
        }
        if let Some(commands) = commands {
            let exports: Vec<String> = variables
                .iter()
                .map(|(name, value)| format!("export {name}={}", single_quoted(value)))
                .collect();
            self.commands(place, commands, &exports, assets, &mut phase);
        } else if !variables.is_empty() {
            self.warn(
                place,
                "variables",
                "they belong to the step's commands, of which there are none",
            );
        }
        if let Some(names) = mounts {
            let mut folders = Vec::new();
            for name in names {
                match caches.get(&name).map(|cache| &cache.directory) {
                    _ if name == "..." => folders.push(name),
                    Some(folder) if !folder.is_empty() => folders.push(folder.clone()),
                    _ => self.warn(
                        place,
                        "caches",
                        &format!("caches.{name}.directory is not given"),
                    ),
                }
            }
            phase.cache_directories = Some(folders);
        }
        phase.secrets = asked.filter(|names| !names.iter().any(|name| name == "*"));
        phase
    }

    fn inputs(&mut self, place: &str, inputs: Vec<Layer>, phase: &mut Phase) {
        let mut before = Vec::new();
        for input in inputs {
            match input.long() {
                LongLayer { spread: true, .. } => before.push("...".to_owned()),
                LongLayer {
                    image: Some(image), ..
                } => {
                    self.warn(
                        place,
                        "inputs",
                        &format!("nothing is copied from the image {image}"),
                    );
                }
                LongLayer {
                    step: Some(step), ..
                } => before.push(phase_of(&step).to_owned()),
                LongLayer {
                    local: true,
                    include,
                    ..
                } => {
                    let files: Vec<String> =
                        include.iter().filter_map(|path| relative(path)).collect();
                    if !files.is_empty() && !files.iter().any(|path| path == ".") {
                        phase.only_include_files = Some(files);
                    }
                }
                LongLayer { .. } => {}
            }
        }
        before.dedup();
        phase.depends_on = (!before.is_empty()).then_some(before);
    }

    fn commands(
        &mut self,
        place: &str,
        commands: Vec<Command>,
        exports: &[String],
        assets: &Assets,
        phase: &mut Phase,
    ) {
        let mut lines = Vec::new();
        let mut paths = Vec::new();
        for command in commands {
            match command.plain() {
                Command::Text(text) if text == "..." => lines.push(text),
                Command::Text(cmd) | Command::Exec { cmd } => {
                    lines.push(
                        exports
                            .iter()
                            .chain([&cmd])
                            .map(String::as_str)
                            .collect::<Vec<_>>()
                            .join("\n"),
                    );
                }
                Command::Path { path } => paths.push(path),
                Command::Copy {
                    image: Some(image), ..
                } => {
                    self.warn(
                        place,
                        "commands",
                        &format!("nothing is copied from the image {image}"),
                    );
                }
                // The files of the app are there already.
                Command::Copy { src, dest, .. } if relative(&src) == relative(&dest) => {}
                Command::Copy { src, dest, .. } => {
                    let (src, dest) = (quote(&src), quote(&dest));
                    lines.push(format!(
                        "mkdir -p \"$(dirname {dest})\" && cp -a {src} {dest}"
                    ));
                }
                Command::File { path, name, mode } => {
                    if let Some((stored, _)) = assets.get(&name) {
                        let target = quote(&path);
                        let asset = quote(&format!("/assets/{stored}"));
                        lines.push(format!(
                            "install -D -m {:o} {asset} {target}",
                            mode.unwrap_or(0o644)
                        ));
                    } else {
                        self.warn(
                            place,
                            "commands",
                            &format!("there is no asset {name:?} to write to {path}"),
                        );
                    }
                }
            }
        }
        phase.cmds = Some(lines);
        phase.paths = (!paths.is_empty()).then(|| with_marker(paths));
    }

    /// A tool in a version: for the provider that knows it by a setting, and as a package.
    fn tool(&mut self, file: &str, name: &str, version: &str) {
        if name.contains(':') {
            self.warn(
                file,
                &format!("packages.{name}"),
                "tools of mise's other sources are not known: install it in a command",
            );
            return;
        }
        let known = TOOLS.iter().find(|(theirs, _, _)| *theirs == name);
        let (tool, setting) = known.map_or((name, None), |(_, ours, setting)| (*ours, *setting));
        // What mise chooses by itself is what is chosen here without a version.
        if matches!(version, "" | "latest" | "lts") {
            self.tools.insert(tool.to_owned(), tool.to_owned());
            return;
        }
        self.tools
            .insert(tool.to_owned(), format!("{tool}@{version}"));
        if let Some(setting) = setting {
            self.settings
                .insert(format!("RAILPACK_{setting}"), version.to_owned());
        }
    }

    /// Debian packages for the build alone, and for the run time.
    fn apt(&mut self, build: Vec<String>, deploy: List) {
        if build.is_empty() && deploy.is_none() {
            return;
        }
        if !build.is_empty() {
            self.plan.phase("setup").apt_pkgs = Some(with_marker(build));
        }
        // Said, so that what the build alone needs does not stay.
        self.plan.start.get_or_insert_default().apt_pkgs =
            Some(deploy.unwrap_or_else(|| vec!["...".to_owned()]));
    }

    fn warn(&mut self, place: &str, key: &str, remedy: &str) {
        let separator = if place.contains(": ") { "." } else { ": " };
        self.warnings
            .push(format!("{place}{separator}{key} has no effect: {remedy}"));
    }
}

/// A path below `/app`, without what says that it is there; nothing for one elsewhere.
fn relative(path: &str) -> Option<String> {
    let path = match path.strip_prefix("/app") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.trim_start_matches('/'),
        _ if path.starts_with('/') => return None,
        _ => path,
    };
    let path = path.trim_start_matches("./").trim_end_matches('/');
    Some(if path.is_empty() { "." } else { path }.to_owned())
}

/// The phase that a step is; Railpack has several for packages.
fn phase_of(step: &str) -> &str {
    if step.starts_with("packages:") {
        "setup"
    } else {
        step
    }
}

/// The assets of a step by their names there, each with its name in the plan and its text.
type Assets = BTreeMap<String, (String, String)>;

/// Names of assets, and whether steps have different texts under one: each step has its own, a plan has one for all.
fn contested(steps: &BTreeMap<String, Step>) -> BTreeMap<String, bool> {
    let mut texts: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for (name, text) in steps.values().flat_map(|step| &step.assets) {
        texts.entry(name).or_default().insert(text);
    }
    let names = texts.into_iter();
    names
        .map(|(name, texts)| (name.clone(), texts.len() > 1))
        .collect()
}

fn assets_of(
    step: &str,
    assets: BTreeMap<String, String>,
    contested: &BTreeMap<String, bool>,
) -> Assets {
    let stored = |name: &String| {
        let mut stored = name.clone();
        if contested.get(name) == Some(&true) {
            stored = format!("{name}.{step}");
            while contested.contains_key(&stored) {
                stored.push('_');
            }
        }
        stored
    };
    assets
        .into_iter()
        .map(|(name, text)| (name.clone(), (stored(&name), text)))
        .collect()
}

/// Two steps of Railpack that are one phase here: the commands and all that they need, one after the other.
fn joined(first: Phase, second: Phase) -> Phase {
    let list = |first: List, second: List| match (first, second) {
        (Some(first), Some(second)) => {
            let mut all = first;
            // What is there is not there twice, such as the mark of the provider's own.
            for entry in second {
                if !all.contains(&entry) {
                    all.push(entry);
                }
            }
            Some(all)
        }
        (first, second) => first.or(second),
    };
    let cmds = match (first.cmds, second.cmds) {
        (Some(mut first), Some(second)) => {
            let marked = first.iter().any(|line| line == "...");
            first.extend(second.into_iter().filter(|line| !(marked && line == "...")));
            Some(first)
        }
        (first, second) => first.or(second),
    };
    Phase {
        depends_on: list(first.depends_on, second.depends_on),
        cmds,
        paths: list(first.paths, second.paths),
        cache_directories: list(first.cache_directories, second.cache_directories),
        secrets: list(first.secrets, second.secrets),
        // One that sees all files makes both see them.
        only_include_files: match (first.only_include_files, second.only_include_files) {
            (Some(first), Some(second)) => list(Some(first), Some(second)),
            _ => None,
        },
        // No step says more.
        ..Phase::default()
    }
}

fn with_marker(list: Vec<String>) -> Vec<String> {
    if list.iter().any(|entry| entry == "...") {
        return list;
    }
    std::iter::once("...".to_owned()).chain(list).collect()
}

/// Puts tools in their versions into a finished plan: instead of the provider's choice, or beside it.
pub(crate) fn ask_for(plan: &mut BuildPlan, tools: &BTreeMap<String, String>) {
    for (name, tool) in tools {
        let put = |list: &mut Vec<String>| {
            let place = list
                .iter()
                .position(|entry| entry.split('@').next() == Some(name));
            match place {
                // Without a version the provider's own choice is as good.
                Some(place) if tool.contains('@') => list[place].clone_from(tool),
                Some(_) => {}
                None => list.push(tool.clone()),
            }
        };
        put(plan.phase("setup").nix_pkgs.get_or_insert_default());
        if let Some(start) = &mut plan.start
            && let Some(list) = &mut start.nix_pkgs
        {
            put(list);
        }
    }
    // What the image keeps of Debian's is said; its tools are all of them, unless that is said too.
    let all: Vec<String> = plan
        .phases
        .values()
        .flat_map(|phase| phase.nix_pkgs.iter().flatten())
        .cloned()
        .collect();
    if let Some(start) = &mut plan.start
        && start.apt_pkgs.is_some()
        && start.nix_pkgs.is_none()
    {
        start.nix_pkgs = Some(all);
    }
}

#[cfg(test)]
mod tests;
