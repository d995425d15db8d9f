//! Package managers: which one, in what version, and its commands.
//!
//! Owns everything that differs between npm, pnpm, yarn 1, yarn Berry and bun.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::plan::PlanError;
use crate::provider::{Decision, Evidence};
use crate::read;
use crate::repo::Repo;
use crate::version;

use super::package::Package;

/// What installs the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Npm,
    Pnpm,
    Yarn,
    /// Yarn 2 and newer; whether packages stay in archives instead of `node_modules`.
    Berry {
        archives: bool,
    },
    Bun,
}

/// The chosen manager.
#[derive(Debug, Clone)]
pub(super) struct Manager {
    pub(super) kind: Kind,
    /// A range of versions; `None` is the npm that Node.js has.
    version: Option<String>,
    pub(super) lock: Option<&'static str>,
    /// Packages that run something when they are installed, where the lock says so.
    pub(super) native: Vec<String>,
    pub(super) decision: Option<Decision>,
    pub(super) warnings: Vec<String>,
}

const NPM_LOCKS: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];
/// The best first; npm's come last.
const LOCKS: [(&str, &str); 6] = [
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("bun.lock", "bun"),
    ("bun.lockb", "bun"),
    ("npm-shrinkwrap.json", "npm"),
    ("package-lock.json", "npm"),
];
const MANAGERS: [&str; 4] = ["npm", "pnpm", "yarn", "bun"];

/// A manager that something names, and what version it should have.
struct Wish {
    name: &'static str,
    version: Option<String>,
    evidence: Evidence,
}

/// pnpm-lock.yaml, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a table")]
struct PnpmLock {
    lockfile_version: Option<Value>,
    packages: Option<BTreeMap<String, PnpmPackage>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a table")]
struct PnpmPackage {
    requires_build: Option<bool>,
}

/// pnpm-workspace.yaml, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct PnpmWorkspace {
    pub(super) packages: Option<Vec<String>>,
    #[serde(flatten)]
    #[allow(clippy::zero_sized_map_values)] // serde flattens into maps alone.
    settings: BTreeMap<String, IgnoredAny>,
}

/// .yarnrc.yml, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a table")]
struct YarnSettings {
    node_linker: Option<String>,
}

/// A YAML document; an empty one is the default.
fn document<T: DeserializeOwned + Default>(file: &str, text: &str) -> Result<T, PlanError> {
    Ok(read::yaml::<Option<T>>(file, text)?.unwrap_or_default())
}

pub(super) fn pnpm_workspace(
    repo: &Repo,
) -> Result<Option<std::sync::Arc<PnpmWorkspace>>, PlanError> {
    let file = "pnpm-workspace.yaml";
    repo.parsed(file, |text| document::<PnpmWorkspace>(file, text))
}

impl Manager {
    pub(super) fn read(repo: &Repo, package: &Package, text: &str) -> Result<Self, PlanError> {
        let mut warnings = Vec::new();
        let wishes = wishes(repo, package, text, &mut warnings)?;
        let first = wishes.first();
        let name = first.map_or("npm", |wish| wish.name);
        let wish = wishes
            .iter()
            .filter(|wish| wish.name == name)
            .find_map(|wish| wish.version.clone().zip(Some(wish.evidence.clone())));
        let lock = LOCKS
            .iter()
            .find(|(file, manager)| *manager == name && repo.in_image(file))
            .map(|(file, _)| *file);
        let mut native = Vec::new();
        let (kind, version, reason) = match name {
            "pnpm" => {
                let (version, reason) = pnpm(repo, wish.as_ref(), &mut native)?;
                (Kind::Pnpm, Some(version), reason)
            }
            "yarn" => yarn(repo, wish.as_ref())?,
            "bun" => {
                let version = wish
                    .as_ref()
                    .map_or_else(|| "1".to_owned(), |(version, _)| version.clone());
                (Kind::Bun, Some(version), "its lock file is here")
            }
            _ => (
                Kind::Npm,
                wish.as_ref().map(|(version, _)| version.clone()),
                "",
            ),
        };
        if lock.is_none() && package.all_dependencies().next().is_some() {
            let file = LOCKS
                .iter()
                .rev()
                .find(|(_, manager)| *manager == name)
                .map_or("package-lock.json", |(file, _)| file);
            warnings.push(format!("there is no {file}: each build may install other versions; run `{name} install` and commit it"));
        }
        let evidence = wish.map(|(_, evidence)| evidence);
        let reason = evidence.as_ref().map_or(reason, |_| "pinned");
        let decision = version.as_ref().map(|version| {
            let rejected = wishes
                .iter()
                .skip(1)
                .filter(|other| other.name != name)
                .map(|other| format!("{}: {}", other.evidence, other.name));
            Decision::new(name, version.clone(), reason)
                .from(evidence.or_else(|| first.map(|wish| wish.evidence.clone())))
                .over(rejected.collect())
        });
        Ok(Self {
            kind,
            version,
            lock,
            native,
            decision,
            warnings,
        })
    }

    /// As in a plan: `pnpm@9`.
    pub(super) fn entry(&self) -> Option<String> {
        let version = self.version.as_ref()?;
        Some(format!("{}@{version}", self.name()))
    }

    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Npm => "npm",
            Kind::Pnpm => "pnpm",
            Kind::Yarn | Kind::Berry { .. } => "yarn",
            Kind::Bun => "bun",
        }
    }

    /// Whether packages are in `node_modules`, where Node.js finds them without the manager's help.
    pub(super) fn has_modules(&self) -> bool {
        self.kind != Kind::Berry { archives: true }
    }

    pub(super) fn install(&self) -> &'static str {
        match (self.kind, self.lock.is_some()) {
            (Kind::Npm, true) => "npm ci",
            (Kind::Npm, false) => "npm i",
            (Kind::Pnpm, true) => "pnpm i --frozen-lockfile",
            (Kind::Pnpm, false) => "pnpm i",
            (Kind::Yarn, true) => "yarn install --frozen-lockfile",
            (Kind::Yarn, false) => "yarn install",
            (Kind::Berry { .. }, true) => "yarn install --check-cache",
            // With CI set, yarn refuses to write a lock file.
            (Kind::Berry { .. }, false) => "yarn install --no-immutable",
            (Kind::Bun, _) => "bun i --no-save",
        }
    }

    /// Takes development dependencies away; `None` when the manager cannot do it in place.
    pub(super) fn prune(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Npm => {
                // The variable would keep them: what npm is told to include beats what it is told to omit.
                Some("env -u NPM_CONFIG_PRODUCTION npm prune --omit=dev --ignore-scripts")
            }
            Kind::Pnpm => Some("pnpm prune --prod --ignore-scripts"),
            Kind::Yarn => Some(
                "yarn install --production --ignore-scripts --frozen-lockfile --prefer-offline",
            ),
            Kind::Bun => Some("rm -rf node_modules && bun i --production --no-save"),
            Kind::Berry { .. } => None,
        }
    }

    pub(super) fn run(&self, script: &str) -> String {
        format!("{} run {script}", self.name())
    }

    /// Runs a package's program, as nixpacks does.
    pub(super) fn execute(&self, command: &str) -> String {
        let with = match self.kind {
            Kind::Npm | Kind::Bun => "npx",
            Kind::Pnpm => "pnpx",
            Kind::Yarn | Kind::Berry { .. } => "yarn",
        };
        format!("{with} {command}")
    }

    /// Runs a script of a package of the workspace.
    pub(super) fn run_in(&self, package: &str, script: &str) -> String {
        match self.kind {
            Kind::Npm => format!("npm --workspace {package} run {script}"),
            Kind::Pnpm => format!("pnpm --filter {package} run {script}"),
            Kind::Yarn | Kind::Berry { .. } => format!("yarn workspace {package} run {script}"),
            Kind::Bun => format!("bun --filter {package} run {script}"),
        }
    }

    /// Runs a file.
    pub(super) fn node(&self, file: &str) -> String {
        match self.kind {
            Kind::Berry { archives: true } => format!("yarn node {file}"),
            _ => format!("node {file}"),
        }
    }

    pub(super) fn cache(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Npm => Some("/root/.npm"),
            Kind::Pnpm => Some("/root/.local/share/pnpm/store"),
            Kind::Yarn => Some("/usr/local/share/.cache/yarn/v6"),
            Kind::Berry { archives: false } => Some("/root/.yarn/berry/cache"),
            // The program reads its packages there.
            Kind::Berry { archives: true } => None,
            Kind::Bun => Some("/root/.bun"),
        }
    }

    pub(super) fn variables(&self) -> Vec<(&'static str, &'static str)> {
        match self.kind {
            // Exact versions with hashes: what is in the cache needs no question whether it is fresh.
            Kind::Npm if self.lock.is_some() => vec![("NPM_CONFIG_PREFER_OFFLINE", "true")],
            Kind::Npm | Kind::Bun | Kind::Pnpm | Kind::Yarn => Vec::new(),
            Kind::Berry { archives } => vec![
                ("YARN_ENABLE_TELEMETRY", "0"),
                (
                    "YARN_ENABLE_GLOBAL_CACHE",
                    if archives { "false" } else { "true" },
                ),
            ],
        }
    }

    /// Files that installing reads beside package.json.
    pub(super) fn manifests(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Npm => &["package-lock.json", "npm-shrinkwrap.json", ".npmrc"],
            Kind::Pnpm => &[
                "pnpm-lock.yaml",
                "pnpm-workspace.yaml",
                ".npmrc",
                ".pnpmfile.cjs",
                ".pnpmfile.mjs",
            ],
            Kind::Yarn => &["yarn.lock", ".npmrc", ".yarnrc"],
            Kind::Berry { .. } => &["yarn.lock", ".yarnrc.yml"],
            Kind::Bun => &["bun.lock", "bun.lockb", "bunfig.toml", ".npmrc"],
        }
    }
}

/// Everything that names a manager, the best first.
fn wishes(
    repo: &Repo,
    package: &Package,
    text: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<Wish>, PlanError> {
    let known = |name: &str| MANAGERS.iter().find(|known| **known == name).copied();
    let mut wishes = Vec::new();
    if let Some(pin) = package.manager.as_deref() {
        let (name, version) = pin.split_once('@').unwrap_or((pin, ""));
        let version = version.split('+').next().unwrap_or_default();
        let valid = nodejs_semver::Version::parse(version).is_ok();
        if known(name).is_none() {
            warnings.push(format!(
                "packageManager asks for {pin:?}, which is not known; managers are {}",
                MANAGERS.join(", ")
            ));
        } else if !valid && !version.is_empty() {
            warnings.push(format!(
                "packageManager's {pin:?} is not a version and is ignored"
            ));
        }
        let line = read::line_of(text, "\"packageManager\"");
        wishes.extend(known(name).map(|name| Wish {
            name,
            version: valid.then(|| version.to_owned()),
            evidence: Evidence::key("package.json", "packageManager", line, pin),
        }));
    }
    let range = |version: &str| {
        nodejs_semver::Range::parse(version)
            .is_ok()
            .then(|| version.to_owned())
    };
    if let Some((name, version)) = package.dev_engine("packageManager") {
        let evidence = Evidence::key("package.json", "devEngines.packageManager", None, name);
        wishes.extend(known(name).map(|name| Wish {
            name,
            version: version.and_then(range).filter(|_| name != "npm"),
            evidence,
        }));
    }
    for (file, name) in LOCKS {
        if repo.in_image(file) {
            wishes.push(Wish {
                name,
                version: None,
                evidence: Evidence::file(file, "the lock file"),
            });
        }
    }
    for name in ["pnpm", "yarn", "bun"] {
        for (key, version) in [
            ("engines", package.engine(name)),
            ("volta", package.volta(name)),
        ] {
            if let Some(version) = version {
                let key = format!("{key}.{name}");
                wishes.push(Wish {
                    name,
                    version: range(version).filter(|version| version != "*"),
                    evidence: Evidence::key("package.json", &key, None, version),
                });
            }
        }
    }
    for name in wishes.iter().map(|wish| wish.name).collect::<Vec<_>>() {
        if name == "npm" {
            continue;
        }
        let mut candidates = Vec::new();
        if name == "bun" {
            candidates.extend(version::version_file(repo, ".bun-version")?);
        }
        candidates.extend(version::tool_managers(repo, &[name])?);
        wishes.extend(candidates.into_iter().map(|candidate| Wish {
            name,
            version: range(&candidate.text),
            evidence: candidate.evidence,
        }));
    }
    Ok(wishes)
}

type Pinned<'a> = Option<&'a (String, Evidence)>;

fn pnpm(
    repo: &Repo,
    wish: Pinned,
    native: &mut Vec<String>,
) -> Result<(String, &'static str), PlanError> {
    let file = "pnpm-lock.yaml";
    let lock = repo.parsed(file, |text| document::<PnpmLock>(file, text))?;
    for (name, package) in lock.iter().flat_map(|lock| lock.packages.iter().flatten()) {
        if package.requires_build == Some(true) {
            native.push(name.trim_start_matches('/').to_owned());
        }
    }
    if let Some((version, _)) = wish {
        return Ok((version.clone(), ""));
    }
    let format = match lock
        .as_ref()
        .and_then(|lock| lock.lockfile_version.as_ref())
    {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let (version, reason) = match format.split('.').next().unwrap_or_default() {
        "5" if format == "5.4" => ("7", "its lock file is of pnpm 7"),
        "5" => ("6", "its lock file is of pnpm 6"),
        "6" => ("8", "its lock file is of pnpm 8"),
        _ if newer_settings(repo)? => (
            "10",
            "pnpm-workspace.yaml has settings that older ones do not read",
        ),
        "9" => ("9", "its lock file is of pnpm 9"),
        _ => ("10", "nothing asks for a version"),
    };
    Ok((version.to_owned(), reason))
}

/// Settings in pnpm-workspace.yaml, and a file without packages, are of pnpm 10.
fn newer_settings(repo: &Repo) -> Result<bool, PlanError> {
    let known = ["catalog", "catalogs"];
    Ok(pnpm_workspace(repo)?.is_some_and(|workspace| {
        let mut names = workspace.settings.keys();
        workspace.packages.is_none() || names.any(|name| !known.contains(&name.as_str()))
    }))
}

fn yarn(repo: &Repo, wish: Pinned) -> Result<(Kind, Option<String>, &'static str), PlanError> {
    let text = repo.text("yarn.lock")?.unwrap_or_default();
    // Berry's lock files begin with a table of their own version, which yarn 1 does not write.
    let format = text
        .lines()
        .skip_while(|line| *line != "__metadata:")
        .find_map(|line| line.trim().strip_prefix("version:"))
        .map(str::trim);
    let old = wish.map(|(version, _)| {
        nodejs_semver::Range::parse(version)
            .ok()
            .and_then(|range| range.min_version())
            .is_some_and(|lowest| lowest.major() < 2)
    });
    let berry = match old {
        Some(old) => !old || format.is_some(),
        None => format.is_some(),
    };
    // A range such as `>=1` beside a lock file of Berry says nothing about the version.
    let wish = wish
        .filter(|_| old != Some(berry))
        .map(|(version, _)| version.clone());
    if !berry {
        return Ok((
            Kind::Yarn,
            Some(wish.unwrap_or_else(|| "1".to_owned())),
            "its lock file is of yarn 1",
        ));
    }
    let version = match format {
        Some("4") => "2",
        Some("5" | "6") => "3",
        _ => "4",
    };
    let file = ".yarnrc.yml";
    let settings = repo.parsed(file, |text| document::<YarnSettings>(file, text))?;
    let linker = settings.and_then(|settings| settings.node_linker.clone());
    let archives = linker.is_none_or(|linker| linker == "pnp");
    let version = wish.unwrap_or_else(|| version.to_owned());
    Ok((
        Kind::Berry { archives },
        Some(version),
        "its lock file is of yarn Berry",
    ))
}

/// Whether package.json has workspaces of npm, yarn or bun.
pub(super) fn has_workspaces(package: &Package) -> bool {
    package
        .workspaces
        .as_ref()
        .is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
}

/// npm's lock file.
pub(super) fn npm_lock(repo: &Repo) -> Option<&'static str> {
    NPM_LOCKS.into_iter().find(|file| repo.in_image(file))
}
