//! Which package manager an application uses, and in what version.
//!
//! Owns the places that say so: package.json, lock files, settings of managers, tool managers' files.

use std::collections::BTreeMap;

use nodejs_semver::Range;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::plan::PlanError;
use crate::provider::{Decision, Evidence};
use crate::read;
use crate::repo::Repo;
use crate::version;

use super::manager::{Kind, Manager};
use super::package::Package;

pub(super) const NPM_LOCKS: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];
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
#[derive(Debug, Default)]
struct PnpmLock {
    /// Its format, `9.0`; empty when it does not say.
    format: String,
    packages: BTreeMap<String, PnpmPackage>,
}

/// The packages of a lock file, which were written down with what they need before format 9.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
struct PnpmPackages {
    packages: Option<BTreeMap<String, PnpmPackage>>,
}

impl PnpmLock {
    fn read(file: &str, text: &str) -> Result<Self, PlanError> {
        let format = match read::yaml_head(file, text, "lockfileVersion")? {
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let major = format.split('.').next().unwrap_or_default();
        let old = major.parse::<u32>().is_ok_and(|major| major < 9);
        let packages = if old {
            document::<PnpmPackages>(file, text)?.packages
        } else {
            None
        };
        Ok(Self {
            format,
            packages: packages.unwrap_or_default(),
        })
    }
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
    #[serde(rename = "patchedDependencies")]
    patched_dependencies: Option<BTreeMap<String, Value>>,
    #[serde(flatten)]
    #[allow(clippy::zero_sized_map_values)] // serde flattens into maps alone.
    settings: BTreeMap<String, IgnoredAny>,
}

impl PnpmWorkspace {
    /// The files that dependencies are changed with.
    pub(super) fn patches(&self) -> impl Iterator<Item = &str> {
        let files = self.patched_dependencies.iter().flatten();
        files.filter_map(|(_, file)| file.as_str())
    }

    /// Settings, and a file without packages, are of pnpm 10.
    fn is_newer(&self) -> bool {
        let known = ["catalog", "catalogs"];
        let mut names = self.settings.keys();
        self.packages.is_none()
            || self.patched_dependencies.is_some()
            || names.any(|name| !known.contains(&name.as_str()))
    }
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

/// The manager of an application.
pub(super) fn read(repo: &Repo, package: &Package, text: &str) -> Result<Manager, PlanError> {
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
    let reason = evidence.as_ref().map_or(reason, |_| "asked for");
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
    Ok(Manager {
        kind,
        version,
        lock,
        native,
        decision,
        warnings,
    })
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
    let range = |version: &str| Range::parse(version).is_ok().then(|| version.to_owned());
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
    let lock = repo.parsed(file, |text| PnpmLock::read(file, text))?;
    for (name, package) in lock.iter().flat_map(|lock| &lock.packages) {
        if package.requires_build == Some(true) {
            native.push(name.trim_start_matches('/').to_owned());
        }
    }
    let format = lock.as_ref().map_or("", |lock| lock.format.as_str());
    let (lines, reason): (&[&str], _) = match format.split('.').next().unwrap_or_default() {
        "5" if format == "5.4" => (&["7"], "its lock file is of pnpm 7"),
        "5" => (&["6"], "its lock file is of pnpm 6"),
        "6" => (&["8"], "its lock file is of pnpm 8"),
        _ if pnpm_workspace(repo)?.is_some_and(|workspace| workspace.is_newer()) => (
            &["10", "11", "12"],
            "pnpm-workspace.yaml has settings that older ones do not read",
        ),
        "9" => (&["9", "10", "11", "12"], "its lock file is of pnpm 9"),
        _ => (&["10", "9", "11", "12"], "nothing asks for a version"),
    };
    let version = match wish {
        Some((wish, _)) => within(wish, lines),
        None => lines[0].to_owned(),
    };
    Ok((version, reason))
}

/// The part of a range that lies in the first release line that it allows; the range itself when it allows none.
fn within(range: &str, lines: &[&str]) -> String {
    let Ok(wish) = Range::parse(range) else {
        return range.to_owned();
    };
    let mut parts = lines.iter().filter_map(|line| {
        let all = Range::parse(line).ok()?;
        let part = wish.intersect(&all)?;
        let whole = wish.allows_all(&all);
        Some(if whole {
            (*line).to_owned()
        } else {
            part.to_string()
        })
    });
    parts.next().unwrap_or_else(|| range.to_owned())
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
        Range::parse(version)
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
        .map(|(version, _)| version.as_str());
    let (lines, reason): (&[&str], _) = match (berry, format) {
        (false, _) => (&["1"], "its lock file is of yarn 1"),
        (true, Some("4")) => (&["2"], "its lock file is of yarn Berry"),
        (true, Some("5" | "6")) => (&["3", "4"], "its lock file is of yarn Berry"),
        (true, _) => (&["4", "3", "2"], "its lock file is of yarn Berry"),
    };
    let version = wish.map_or_else(|| lines[0].to_owned(), |wish| within(wish, lines));
    if !berry {
        return Ok((Kind::Yarn, Some(version), reason));
    }
    let file = ".yarnrc.yml";
    let settings = repo.parsed(file, |text| document::<YarnSettings>(file, text))?;
    let linker = settings.and_then(|settings| settings.node_linker.clone());
    let archives = linker.is_none_or(|linker| linker == "pnp");
    Ok((Kind::Berry { archives }, Some(version), reason))
}

/// Whether package.json has workspaces of npm, yarn or bun.
pub(super) fn has_workspaces(package: &Package) -> bool {
    package
        .workspaces
        .as_ref()
        .is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
}

#[cfg(test)]
mod tests;
