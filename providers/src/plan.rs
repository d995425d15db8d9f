//! The build plan: the whole decision as data, in the shape of a nixpacks plan and of `nixpacks.toml`.
//!
//! Owns the schema, reading and writing it (JSON and TOML), and the order of phases. Keys beyond nixpacks' are additive:
//! `packages`, `hooks`, `image`, `start.nixPkgs`, `start.aptPkgs`, `start.nixExpr`, `start.variables`, `phases.*.nixExpr`,
//! `phases.*.network`, `phases.*.secrets`. How plans merge is for `overrides.rs`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::repo::RepoError;

/// A list in a plan: absent is not the same as empty.
pub type List = Option<Vec<String>>;

/// Everything that a build does, in the order that a plan is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a plan (a table)")]
pub struct BuildPlan {
    /// Providers to ask; `[]` in a finished plan, so that feeding it back detects nothing again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: List,
    /// Base image of a nixpacks plan. Carried along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_image: Option<String>,
    /// Where packages come from: `auto`, `nix` or `debian`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<String>,
    /// Environment variables of phases and of the image. Always written: platforms index it without asking.
    pub variables: BTreeMap<String, String>,
    /// File name to text, put under `/assets`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub static_assets: BTreeMap<String, String>,
    /// What runs at build time.
    pub phases: BTreeMap<String, Phase>,
    /// What runs in the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// Commands around the phases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// The image's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSettings>,
}

/// One step of the build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a phase (a table)")]
pub struct Phase {
    /// Phases that come before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depends_on: List,
    /// Tools with a range (`nodejs@22`) and nixpkgs attributes (`ffmpeg`).
    #[serde(skip_serializing_if = "Option::is_none", alias = "nixPackages")]
    pub nix_pkgs: List,
    /// nixpkgs attributes whose libraries are on the loader's path.
    #[serde(skip_serializing_if = "Option::is_none", alias = "nixLibraries")]
    pub nix_libs: List,
    /// Overlay tarballs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nix_overlays: List,
    /// A nixpkgs revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nixpkgs_archive: Option<String>,
    /// A Nix expression for further packages: text in which `pkgs` is the set, or a file ending in `.nix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nix_expr: Option<String>,
    /// Debian packages.
    #[serde(skip_serializing_if = "Option::is_none", alias = "aptPackages")]
    pub apt_pkgs: List,
    /// Shell commands, one after the other.
    #[serde(skip_serializing_if = "Option::is_none", alias = "commands")]
    pub cmds: List,
    /// The only source files that the phase sees; absent means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_include_files: List,
    /// Directories kept between builds and left out of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_directories: List,
    /// Directories put on PATH from here on.
    #[serde(skip_serializing_if = "Option::is_none", alias = "envPaths")]
    pub paths: List,
    /// Whether the phase may use the network; absent means yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<bool>,
    /// Names of the secrets that the phase sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: List,
}

/// What the image runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "the start table")]
pub struct Start {
    /// The command, for `bash -l -c`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<String>,
    /// Another base image at run time (nixpacks).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_image: Option<String>,
    /// The only files of `/app` that stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_include_files: List,
    /// The user that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Tools that stay at run time. With neither this nor `aptPkgs`, everything stays.
    #[serde(skip_serializing_if = "Option::is_none", alias = "nixPackages")]
    pub nix_pkgs: List,
    /// The only Nix expression whose packages stay; absent, those of all phases do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nix_expr: Option<String>,
    /// Debian packages that stay at run time.
    #[serde(skip_serializing_if = "Option::is_none", alias = "aptPackages")]
    pub apt_pkgs: List,
    /// Variables of the image that no phase sees.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

/// Commands before and after phases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "the hooks table")]
#[allow(missing_docs)] // The names say it.
pub struct Hooks {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_install: List,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_install: List,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_build: List,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_build: List,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_test: List,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_test: List,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_package: List,
    /// Runs inside the finished image; a failure fails the build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_package: List,
}

/// The image's configuration beyond the start command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "the image table")]
pub struct ImageSettings {
    /// The user that runs the start command; `start.user` wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `8080`, `8080/tcp`, `53/udp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: List,
    /// `SIGTERM` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Replaces `["/bin/bash", "-l", "-c"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: List,
    /// The most layers that the image may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_budget: Option<u32>,
    /// `gzip`, `gzip:9`, `zstd`, `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// OCI labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How a running container is asked whether it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
}

/// A health check in Docker's terms; durations such as `30s`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "the healthcheck table")]
#[allow(missing_docs)] // Docker's own names.
pub struct Healthcheck {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

/// The keys that a table of the schema has, for "did you mean" (a test keeps phases complete).
pub(crate) fn keys_beside(path: &str) -> &'static [&'static str] {
    let parts: Vec<&str> = path.split('.').collect();
    match parts[..] {
        [_] => &[
            "providers",
            "buildImage",
            "packages",
            "variables",
            "staticAssets",
            "phases",
            "start",
            "hooks",
            "image",
        ],
        ["phases", _, _] => PHASE_KEYS,
        ["start", _] => &[
            "cmd",
            "runImage",
            "onlyIncludeFiles",
            "user",
            "nixPkgs",
            "nixPackages",
            "nixExpr",
            "aptPkgs",
            "aptPackages",
            "variables",
        ],
        ["hooks", _] => &[
            "preInstall",
            "postInstall",
            "preBuild",
            "postBuild",
            "preTest",
            "postTest",
            "prePackage",
            "postPackage",
        ],
        ["image", _] => &[
            "user",
            "exposedPorts",
            "stopSignal",
            "entrypoint",
            "layerBudget",
            "compression",
            "labels",
            "healthcheck",
        ],
        ["image", "healthcheck", _] => &["cmd", "interval", "timeout", "startPeriod", "retries"],
        _ => &[],
    }
}

const PHASE_KEYS: &[&str] = &[
    "dependsOn",
    "nixPkgs",
    "nixPackages",
    "nixLibs",
    "nixLibraries",
    "nixOverlays",
    "nixpkgsArchive",
    "nixExpr",
    "aptPkgs",
    "aptPackages",
    "cmds",
    "commands",
    "onlyIncludeFiles",
    "cacheDirectories",
    "paths",
    "envPaths",
    "network",
    "secrets",
];

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A file cannot be read.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// A file is not what its format asks for, or a key has a wrong type.
    #[error("{file}:{line}:{column}: {}{message}", if key.is_empty() { String::new() } else { format!("{key}: ") })]
    Invalid {
        /// Relative to the root, or what stands for a file (`--json-plan`).
        file: String,
        /// From 1.
        line: usize,
        /// From 1, in characters for TOML and bytes for JSON.
        column: usize,
        /// `phases.build.cmds`; empty for a syntax error.
        key: String,
        /// What the parser says.
        message: String,
    },
    /// A version that no grammar understands.
    #[error("{place}: {value:?} is not a version of {tool}: {message}")]
    Version {
        /// File and key, or variable.
        place: String,
        /// What is written there, shortened.
        value: String,
        /// `nodejs`, `python`, `go`.
        tool: &'static str,
        /// What is wrong.
        message: String,
    },
    /// A provider that does not exist.
    #[error("{place}: there is no provider {name:?}")]
    UnknownProvider {
        /// Where it was named.
        place: String,
        /// The name.
        name: String,
        /// The names that exist, the nearest first.
        known: Vec<String>,
    },
    /// The file that the user named is not there.
    #[error("the configuration file {file} does not exist")]
    ConfigMissing {
        /// As given.
        file: String,
    },
    /// The file that the user named cannot be read.
    #[error("the configuration file {file}: {message}")]
    ConfigUnreadable {
        /// As given.
        file: String,
        /// Why.
        message: String,
    },
    /// `dependsOn` goes in a circle.
    #[error("phases depend on each other in a circle: {}", members.join(" -> "))]
    Cycle {
        /// In order; the first is repeated at the end.
        members: Vec<String>,
    },
    /// `dependsOn` names a phase that does not exist.
    #[error("phases.{phase}.dependsOn names {dependency:?}, which is no phase")]
    UnknownPhase {
        /// The phase that depends.
        phase: String,
        /// What it names.
        dependency: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// A plan cannot be written.
    #[error("cannot write the plan: {0}")]
    Write(String),
    /// A template of ours is wrong.
    #[error("cannot fill in {template}: {message}")]
    Template {
        /// Its name.
        template: &'static str,
        /// What minijinja says.
        message: String,
    },
}

impl PlanError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Repo(error) => error.hint(),
            Self::Invalid { message, .. } if message.contains("expected a sequence") => {
                Some("write a list: [\"...\"]".to_owned())
            }
            Self::Invalid { .. }
            | Self::Write(_)
            | Self::Template { .. }
            | Self::ConfigUnreadable { .. } => None,
            Self::Version { tool, .. } => Some(format!(
                "write a version or a range, for example {}",
                example(tool)
            )),
            Self::UnknownProvider { known, .. } => {
                Some(format!("providers are {}", known.join(", ")))
            }
            Self::ConfigMissing { .. } => {
                Some("the path is relative to the application's folder".to_owned())
            }
            Self::Cycle { .. } => Some("take one of them out of dependsOn".to_owned()),
            Self::UnknownPhase { nearest, .. } => nearest
                .as_ref()
                .map(|name| format!("did you mean {name:?}?")),
        }
    }
}

fn example(tool: &str) -> &'static str {
    match tool {
        "python" => "3.13",
        "go" => "1.25",
        _ => "24",
    }
}

/// Phases that nixpacks always knows; a plan may depend on one that it does not define.
const WELL_KNOWN: [&str; 3] = ["setup", "install", "build"];

impl BuildPlan {
    /// JSON as `plan` prints it: two spaces, a newline at the end.
    pub fn to_json(&self) -> Result<String, PlanError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| PlanError::Write(error.to_string()))?;
        Ok(text + "\n")
    }

    /// TOML as `plan -f toml` prints it.
    pub fn to_toml(&self) -> Result<String, PlanError> {
        toml::to_string_pretty(self).map_err(|error| PlanError::Write(error.to_string()))
    }

    /// Reads JSON; `file` is for messages. Unknown keys come back as warnings.
    pub fn from_json(file: &str, text: &str) -> Result<(Self, Vec<String>), PlanError> {
        crate::read::json_strict(file, text)
    }

    /// Reads TOML; `file` is for messages. Unknown keys come back as warnings.
    pub fn from_toml(file: &str, text: &str) -> Result<(Self, Vec<String>), PlanError> {
        crate::read::toml_strict(file, text)
    }

    /// The phases in the order they run: dependencies first, alphabetical within a level.
    pub fn phases_in_order(&self) -> Result<Vec<&str>, PlanError> {
        let mut waiting: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, phase) in &self.phases {
            let mut needs = BTreeSet::new();
            for dependency in phase.depends_on.iter().flatten() {
                if self.phases.contains_key(dependency) {
                    needs.insert(dependency.as_str());
                } else if !WELL_KNOWN.contains(&dependency.as_str()) {
                    return Err(self.unknown_phase(name, dependency));
                }
            }
            waiting.insert(name, needs);
        }
        let mut order = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let level: Vec<&str> = waiting
                .iter()
                .filter(|(_, needs)| needs.is_empty())
                .map(|(name, _)| *name)
                .collect();
            if level.is_empty() {
                return Err(PlanError::Cycle {
                    members: circle(&waiting),
                });
            }
            waiting.retain(|name, _| !level.contains(name));
            for needs in waiting.values_mut() {
                needs.retain(|name| !level.contains(name));
            }
            order.extend(level);
        }
        Ok(order)
    }

    /// The variables of the image: the plan's, and over them those of the run time alone.
    pub fn run_variables(&self) -> BTreeMap<String, String> {
        let mut variables = self.variables.clone();
        variables.extend(self.start.iter().flat_map(|start| start.variables.clone()));
        variables
    }

    fn unknown_phase(&self, phase: &str, dependency: &str) -> PlanError {
        let nearest = crate::read::nearest(dependency, self.phases.keys().map(String::as_str));
        PlanError::UnknownPhase {
            phase: phase.to_owned(),
            dependency: dependency.to_owned(),
            nearest,
        }
    }

    pub(crate) fn phase(&mut self, name: &str) -> &mut Phase {
        self.phases.entry(name.to_owned()).or_default()
    }
}

/// One circle among phases that all wait: follow the first dependency until a name comes again.
fn circle(waiting: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    let mut path: Vec<&str> = Vec::new();
    let mut here = waiting.keys().next().copied().unwrap_or_default();
    loop {
        if let Some(start) = path.iter().position(|name| *name == here) {
            let mut members: Vec<String> = path[start..]
                .iter()
                .map(|name| (*name).to_owned())
                .collect();
            members.push(here.to_owned());
            return members;
        }
        path.push(here);
        match waiting.get(here).and_then(|needs| needs.first()) {
            Some(next) => here = next,
            None => return path.into_iter().map(str::to_owned).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(edges: &[(&str, &[&str])]) -> BuildPlan {
        let mut plan = BuildPlan::default();
        for (name, needs) in edges {
            plan.phase(name).depends_on =
                Some(needs.iter().map(|name| (*name).to_owned()).collect());
        }
        plan
    }

    #[test]
    fn levels_come_in_order_and_are_sorted_within() {
        let plan = chain(&[
            ("build", &["install"]),
            ("install", &["setup"]),
            ("setup", &[]),
            ("a", &["install"]),
            ("zap", &[]),
        ]);
        assert_eq!(
            plan.phases_in_order().unwrap(),
            ["setup", "zap", "install", "a", "build"]
        );
    }

    #[test]
    fn a_circle_names_its_members_alone() {
        let plan = chain(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
        let error = plan.phases_in_order().unwrap_err();
        assert_eq!(
            error.to_string(),
            "phases depend on each other in a circle: b -> c -> b"
        );
    }

    #[test]
    fn an_unknown_phase_is_an_error_with_the_nearest_name() {
        let error = chain(&[("compile", &[]), ("pack", &["compil"])])
            .phases_in_order()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "phases.pack.dependsOn names \"compil\", which is no phase"
        );
        assert_eq!(error.hint().as_deref(), Some("did you mean \"compile\"?"));
    }

    #[test]
    fn build_may_depend_on_an_install_that_is_not_there_as_nixpacks_writes_it() {
        assert_eq!(
            chain(&[("build", &["install"])]).phases_in_order().unwrap(),
            ["build"]
        );
    }

    #[test]
    fn every_key_of_a_phase_that_can_be_written_is_known() {
        let list = Some(vec!["x".to_owned()]);
        let phase = Phase {
            depends_on: list.clone(),
            nix_pkgs: list.clone(),
            nix_libs: list.clone(),
            nix_overlays: list.clone(),
            nixpkgs_archive: Some(String::new()),
            nix_expr: Some(String::new()),
            apt_pkgs: list.clone(),
            cmds: list.clone(),
            only_include_files: list.clone(),
            cache_directories: list.clone(),
            paths: list.clone(),
            network: Some(true),
            secrets: list,
        };
        let value = serde_json::to_value(phase).unwrap();
        for key in value.as_object().unwrap().keys() {
            assert!(keys_beside("phases.x.y").contains(&key.as_str()), "{key}");
        }
    }

    #[test]
    fn aliases_of_nixpacks_are_read() {
        let text = "[phases.setup]\nnixPackages = ['a']\naptPackages = ['b']\ncommands = ['c']\nenvPaths = ['d']\nnixLibraries = ['e']";
        let (plan, warnings) = BuildPlan::from_toml("x", text).unwrap();
        let setup = &plan.phases["setup"];
        assert_eq!(
            (setup.nix_pkgs.as_deref(), setup.cmds.as_deref()),
            (Some(&["a".to_owned()][..]), Some(&["c".to_owned()][..]))
        );
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn a_wrong_type_names_file_line_column_and_key() {
        let toml =
            BuildPlan::from_toml("nixpacks.toml", "[phases.build]\ncmds = 'make'\n").unwrap_err();
        assert_eq!(
            toml.to_string(),
            "nixpacks.toml:2:8: phases.build.cmds: invalid type: string \"make\", expected a sequence"
        );
        let json = BuildPlan::from_json("p.json", "{\"phases\":\n {\"build\": {\"cmds\": 3}}}")
            .unwrap_err();
        assert!(
            json.to_string()
                .starts_with("p.json:2:21: phases.build.cmds: invalid type: integer `3`"),
            "{json}"
        );
        assert!(json.hint().is_some());
    }

    #[test]
    fn an_unknown_key_is_a_warning_with_a_suggestion() {
        let (_, warnings) = BuildPlan::from_toml(
            "nixpacks.toml",
            "[phase.build]\ncmds = []\n[phases.build]\ncmd = ['x']",
        )
        .unwrap();
        assert_eq!(
            warnings,
            [
                "nixpacks.toml: unknown key phase is ignored; did you mean phases?",
                "nixpacks.toml: unknown key phases.build.cmd is ignored; did you mean cmds?",
            ]
        );
    }
}
