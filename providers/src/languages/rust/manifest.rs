//! What Cargo's manifests say: packages, programs, workspaces, targets.
//!
//! Owns the part of Cargo's schema that building rests on, and Cargo's rules of which files are programs. Which program
//! is built is for `rust.rs`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::plan::PlanError;
use crate::read;
use crate::repo::{FileKind, Repo, join};

/// A `Cargo.toml`.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Manifest {
    pub(crate) package: Option<Package>,
    pub(crate) workspace: Option<Workspace>,
    bin: Vec<Binary>,
    features: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Package {
    name: String,
    pub(crate) edition: Inherited,
    pub(crate) rust_version: Inherited,
    default_run: Option<String>,
    autobins: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Workspace {
    members: Vec<String>,
    default_members: Vec<String>,
    exclude: Vec<String>,
    pub(crate) package: Package,
}

/// A value, or `{ workspace = true }`.
#[derive(Deserialize, Clone, Default)]
#[serde(untagged)]
pub(crate) enum Inherited {
    Value(String),
    Workspace {
        #[allow(dead_code)] // Only its presence counts.
        workspace: bool,
    },
    #[default]
    Absent,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct Binary {
    name: String,
    path: Option<String>,
    required_features: Vec<String>,
}

/// The parts of `.cargo/config.toml` that say what comes out.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Configuration {
    build: BuildTable,
    target: BTreeMap<String, TargetTable>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct BuildTable {
    target: Option<toml::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TargetTable {
    runner: Option<toml::Value>,
}

impl Configuration {
    /// The configuration, by either of its names.
    pub(crate) fn read(repo: &Repo) -> Result<Self, PlanError> {
        for file in [".cargo/config.toml", ".cargo/config"] {
            if let Some(text) = repo.text(file)? {
                return read::toml(file, &text);
            }
        }
        Ok(Self::default())
    }

    /// What is compiled for, when it is one target.
    pub(crate) fn target(&self) -> Option<&str> {
        self.build.target.as_ref().and_then(toml::Value::as_str)
    }

    /// Whether programs run in lunatic.
    pub(crate) fn runs_in_lunatic(&self) -> bool {
        self.target.values().any(|table| {
            let runner = match &table.runner {
                Some(toml::Value::Array(words)) => words.first().and_then(toml::Value::as_str),
                Some(word) => word.as_str(),
                None => None,
            };
            runner.and_then(|runner| runner.split_whitespace().next()) == Some("lunatic")
        })
    }
}

/// A package with programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crate {
    /// Its folder, empty for the root.
    pub(crate) folder: String,
    pub(crate) name: String,
    pub(crate) programs: Vec<String>,
    pub(crate) default_run: Option<String>,
}

/// A manifest, when it is there.
pub(crate) fn manifest(
    repo: &Repo,
    folder: &str,
) -> Result<Option<std::sync::Arc<Manifest>>, PlanError> {
    let file = join(folder, "Cargo.toml");
    repo.parsed(&file, |text| read::toml::<Manifest>(&file, text))
}

/// The packages with programs: the root's, then those of default members, then of all members.
pub(crate) fn crates(repo: &Repo) -> Result<Vec<Crate>, PlanError> {
    let Some(root) = manifest(repo, "")? else {
        return Ok(Vec::new());
    };
    let mut folders = vec![String::new()];
    if let Some(workspace) = &root.workspace {
        for pattern in workspace.default_members.iter().chain(&workspace.members) {
            let mut found = repo.glob(pattern)?;
            found.retain(|folder| !workspace.exclude.contains(folder));
            folders.extend(found);
        }
    }
    let mut seen = BTreeSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    let mut crates = Vec::new();
    for folder in folders {
        if let Some(manifest) = manifest(repo, &folder)?
            && let Some(found) = programs(repo, &folder, &manifest)?
        {
            crates.push(found);
        }
    }
    Ok(crates)
}

/// Cargo's rule: `[[bin]]`, `src/main.rs`, `src/bin/*.rs` and `src/bin/*/main.rs`.
fn programs(repo: &Repo, folder: &str, manifest: &Manifest) -> Result<Option<Crate>, PlanError> {
    let Some(package) = &manifest.package else {
        return Ok(None);
    };
    let defaults = manifest.features.get("default");
    let mut names = Vec::new();
    let mut paths = BTreeSet::new();
    for binary in &manifest.bin {
        paths.extend(binary.path.clone());
        let enabled = binary
            .required_features
            .iter()
            .all(|feature| defaults.is_some_and(|defaults| defaults.contains(feature)));
        if enabled && !binary.name.is_empty() {
            names.push(binary.name.clone());
        } else {
            paths.insert(format!("src/bin/{}.rs", binary.name));
        }
    }
    if package.autobins != Some(false) {
        if repo.in_image(&join(folder, "src/main.rs")) && !paths.contains("src/main.rs") {
            names.insert(0, package.name.clone());
        }
        for entry in repo.list(&join(folder, "src/bin"))? {
            let name = match entry.kind {
                FileKind::Directory if repo.in_image(&join(&entry.path, "main.rs")) => {
                    Some(entry.name.as_str())
                }
                FileKind::File => entry.name.strip_suffix(".rs"),
                _ => None,
            };
            let inside = format!("src/bin/{}", entry.name);
            if let Some(name) = name.filter(|_| !paths.contains(&inside)) {
                names.push(name.to_owned());
            }
        }
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok((!names.is_empty()).then(|| Crate {
        folder: folder.to_owned(),
        name: package.name.clone(),
        programs: names,
        default_run: package.default_run.clone(),
    }))
}

/// `Cargo.lock`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Locked {
    name: String,
    source: Option<String>,
    dependencies: Vec<String>,
}

/// What the dependencies need of the system.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct System {
    /// Names of libraries.
    pub(crate) libraries: Vec<String>,
    /// Tools of the build, each with the crate that calls it.
    pub(crate) tools: Vec<(&'static str, String)>,
}

/// Crates whose build calls a tool.
const CALLS: &[(&str, &str)] = &[
    ("autotools", "autoconf"),
    ("cc", "gcc"),
    ("cmake", "cmake"),
    ("openssl-src", "perl"),
    ("pkg-config", "pkg-config"),
];

/// Crates that link a library of the system, unless the lock has the other crate: its source, compiled with the program.
const LINKS: &[(&str, &str)] = &[
    ("alsa-sys", ""),
    ("clang-sys", ""),
    ("libdbus-sys", ""),
    ("libsqlite3-sys", "cc"),
    ("libudev-sys", ""),
    ("mysqlclient-sys", "mysqlclient-src"),
    ("openssl-sys", "openssl-src"),
    ("pq-sys", "pq-src"),
    ("prost-build", "protobuf-src"),
    ("yeslogic-fontconfig-sys", ""),
];

impl Lock {
    pub(crate) fn read(repo: &Repo) -> Result<Option<std::sync::Arc<Self>>, PlanError> {
        repo.parsed("Cargo.lock", |text| read::toml("Cargo.lock", text))
    }

    pub(crate) fn system(&self) -> System {
        let mut system = System::default();
        for package in &self.package {
            let name = package.name.as_str();
            let depends = |other: &str| {
                package
                    .dependencies
                    .iter()
                    .any(|one| one.split(' ').next() == Some(other))
            };
            if LINKS
                .iter()
                .any(|(link, own)| *link == name && !depends(own))
            {
                system.libraries.push(name.to_owned());
            }
            if let Some((_, tool)) = CALLS.iter().find(|(call, _)| *call == name) {
                system.tools.push((tool, name.to_owned()));
            }
            if package
                .source
                .as_deref()
                .is_some_and(|source| source.starts_with("git+"))
                && !system.tools.iter().any(|(tool, _)| *tool == "git")
            {
                system.tools.push(("git", name.to_owned()));
            }
        }
        // pkg-config is asked for libraries of the system alone.
        if system.libraries.is_empty() {
            system.tools.retain(|(tool, _)| *tool != "pkg-config");
        }
        system
    }
}
