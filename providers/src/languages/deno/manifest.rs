//! deno.json, and a package.json beside the program.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::plan::PlanError;
use crate::read;
use crate::repo::Repo;

/// deno.json, as far as decisions need it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Manifest {
    pub(super) tasks: BTreeMap<String, Task>,
    imports: BTreeMap<String, serde_json::Value>,
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

impl Manifest {
    /// Whether it names a package of a registry.
    pub(super) fn has_packages(&self) -> bool {
        self.imports
            .values()
            .filter_map(serde_json::Value::as_str)
            .any(|import| import.starts_with("npm:") || import.starts_with("jsr:"))
    }

    /// Whether installing reads files that it names: members, an import map, another lock file.
    pub(super) fn names_files(&self) -> bool {
        ["importMap", "links", "lock", "patch", "workspace"]
            .iter()
            .filter_map(|key| self.other.get(*key))
            .any(|value| !value.is_boolean() && !value.is_null())
    }
}

/// A command, or a command among settings.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Task {
    Command(String),
    Settings {
        command: Option<String>,
        #[serde(default)]
        dependencies: Vec<String>,
    },
}

impl Task {
    /// The command, when that is all there is to the task.
    pub(super) fn command(&self) -> Option<&str> {
        match self {
            Self::Command(command) => Some(command),
            Self::Settings {
                command,
                dependencies,
            } if dependencies.is_empty() => command.as_deref(),
            Self::Settings { .. } => None,
        }
    }
}

/// Whether a package.json beside the program has dependencies.
pub(super) fn has_packages(repo: &Repo) -> Result<bool, PlanError> {
    let package = repo.parsed("package.json", |text| {
        read::json::<serde_json::Value>("package.json", text)
    })?;
    Ok(package.is_some_and(|package| {
        ["dependencies", "devDependencies"]
            .iter()
            .filter_map(|key| package.get(key)?.as_object())
            .any(|list| !list.is_empty())
    }))
}

/// The files that installing needs.
pub(super) fn manifests(repo: &Repo) -> Vec<String> {
    [
        "deno.json",
        "deno.jsonc",
        "deno.lock",
        "package.json",
        ".npmrc",
    ]
    .into_iter()
    .filter(|file| repo.in_image(file))
    .map(str::to_owned)
    .collect()
}
