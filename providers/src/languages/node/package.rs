//! package.json and npm's lock file, as far as they matter.
//!
//! Owns their types and the questions about dependencies. What follows from the answers is for others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nodejs_semver::Range;
use serde::Deserialize;
use serde_json::Value;

use crate::plan::PlanError;
use crate::read;
use crate::repo::Repo;

type Dependencies = Option<BTreeMap<String, Value>>;

/// package.json, as far as it matters. Values that tools disagree about stay untyped.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct Package {
    pub(super) name: Option<Value>,
    main: Option<Value>,
    scripts: Option<BTreeMap<String, Value>>,
    engines: Option<Value>,
    volta: Option<Value>,
    dev_engines: Option<Value>,
    #[serde(rename = "packageManager")]
    pub(super) manager: Option<String>,
    pub(super) workspaces: Option<Value>,
    pub(super) cache_directories: Option<Vec<String>>,
    pub(super) trusted_dependencies: Option<Value>,
    pub(super) nx: Option<Value>,
    bin: Option<Value>,
    directories: Option<Value>,
    patched_dependencies: Option<Value>,
    pnpm: Option<Value>,
    resolutions: Option<Value>,
    dependencies_meta: Option<Value>,
    dependencies: Dependencies,
    dev_dependencies: Dependencies,
    optional_dependencies: Dependencies,
}

impl Package {
    pub(super) fn script(&self, name: &str) -> Option<&str> {
        self.scripts
            .as_ref()?
            .get(name)?
            .as_str()
            .filter(|script| !script.trim().is_empty())
    }

    /// The scripts of a name as runners of scripts write it: `build-only`, `npm:build`, `build:*`.
    pub(super) fn scripts_like(&self, word: &str) -> Vec<(&str, &str)> {
        let word = word.strip_prefix("npm:").unwrap_or(word);
        let scripts = self.scripts.iter().flatten();
        let scripts = scripts.filter(|(name, _)| match word.split_once('*') {
            Some((start, _)) => !start.is_empty() && name.starts_with(start),
            None => *name == word,
        });
        let texts = scripts.filter_map(|(name, text)| Some((name.as_str(), text.as_str()?)));
        texts.collect()
    }

    pub(super) fn main(&self) -> Option<&str> {
        self.main.as_ref()?.as_str().filter(|main| !main.is_empty())
    }

    /// `engines.node`, `engines.pnpm`.
    pub(super) fn engine(&self, name: &str) -> Option<&str> {
        self.engines.as_ref()?.get(name)?.as_str()
    }

    /// `volta.node`, `volta.yarn`.
    pub(super) fn volta(&self, name: &str) -> Option<&str> {
        self.volta.as_ref()?.get(name)?.as_str()
    }

    /// `devEngines.runtime`, `devEngines.packageManager`: name and version of the first.
    pub(super) fn dev_engine(&self, kind: &str) -> Option<(&str, Option<&str>)> {
        let value = self.dev_engines.as_ref()?.get(kind)?;
        let first = value
            .as_array()
            .and_then(|list| list.first())
            .unwrap_or(value);
        let version = first.get("version").and_then(Value::as_str);
        Some((first.get("name")?.as_str()?, version))
    }

    pub(super) fn all_dependencies(&self) -> impl Iterator<Item = (&String, &Value)> {
        [
            &self.dependencies,
            &self.dev_dependencies,
            &self.optional_dependencies,
        ]
        .into_iter()
        .flatten()
        .flatten()
    }

    /// Whether it has programs, which a package manager links where they are.
    pub(super) fn has_programs(&self) -> bool {
        let directories = self.directories.as_ref();
        self.bin.is_some() || directories.is_some_and(|all| all.get("bin").is_some())
    }

    /// The files that pnpm and bun change dependencies with.
    pub(super) fn patches(&self) -> impl Iterator<Item = &str> {
        let pnpm = self.pnpm.as_ref();
        let lists = [
            self.patched_dependencies.as_ref(),
            pnpm.and_then(|pnpm| pnpm.get("patchedDependencies")),
        ];
        let files = lists.into_iter().flatten().filter_map(Value::as_object);
        files.flatten().filter_map(|(_, file)| file.as_str())
    }

    /// A dependency that is a folder or file of the repository, or is changed by one.
    pub(super) fn local_dependency(&self) -> Option<&str> {
        let resolutions = self.resolutions.as_ref().and_then(Value::as_object);
        let all = self
            .all_dependencies()
            .chain(resolutions.into_iter().flatten());
        let mut local = all.filter(|(_, wish)| wish.as_str().is_some_and(is_local));
        let injected = self.dependencies_meta.as_ref().and_then(Value::as_object);
        let mut injected = injected
            .into_iter()
            .flatten()
            .filter(|(_, meta)| meta.get("injected") == Some(&Value::Bool(true)));
        let found = local.next().map(|(name, _)| name);
        let found = found.or_else(|| injected.next().map(|(name, _)| name));
        found.map(String::as_str)
    }

    /// Whether a package is installed for the application, at run time or not.
    pub(super) fn uses(&self, name: &str) -> bool {
        self.all_dependencies().any(|(one, _)| one == name)
    }

    pub(super) fn uses_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.uses(name))
    }

    /// Whether a package is there at run time without development dependencies.
    pub(super) fn needs(&self, name: &str) -> bool {
        [&self.dependencies, &self.optional_dependencies]
            .into_iter()
            .flatten()
            .any(|list| list.contains_key(name))
    }

    /// Whether a package is asked for in no version before a major one.
    pub(super) fn is_at_least(&self, name: &str, major: u64) -> bool {
        let mut wishes = self.all_dependencies().filter(|(one, _)| *one == name);
        let wish = wishes.next().and_then(|(_, wish)| wish.as_str());
        let range = wish.and_then(|wish| Range::parse(wish).ok());
        let lowest = range.and_then(|range| range.min_version());
        wish == Some("latest") || lowest.is_some_and(|lowest| lowest.major() >= major)
    }

    /// Packages that only development needs.
    pub(super) fn for_development(&self) -> BTreeSet<&str> {
        let names = self.dev_dependencies.iter().flatten();
        names
            .map(|(name, _)| name.as_str())
            .filter(|name| !self.needs(name))
            .collect()
    }
}

fn is_local(wish: &str) -> bool {
    ["file:", "link:", "portal:", "patch:", ".", "/"]
        .iter()
        .any(|prefix| wish.starts_with(prefix))
}

/// The package.json at a path; nothing when there is none.
pub(super) fn at(repo: &Repo, path: &str) -> Result<Option<Arc<Package>>, PlanError> {
    repo.parsed(path, |text| read::json::<Package>(path, text))
}

/// The application's own.
pub(super) fn root(repo: &Repo) -> Result<Arc<Package>, PlanError> {
    Ok(at(repo, "package.json")?.unwrap_or_default())
}

/// package-lock.json, as far as it matters: a few bytes of what may be many megabytes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct Lock {
    packages: Option<BTreeMap<String, LockedPackage>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
struct LockedPackage {
    has_install_script: bool,
    link: bool,
    resolved: Option<Value>,
    dev: bool,
    bin: Option<Value>,
}

impl Lock {
    fn packages(&self) -> impl Iterator<Item = (&String, &LockedPackage)> {
        self.packages
            .iter()
            .flatten()
            .filter(|(path, _)| !path.is_empty())
    }

    /// Packages that run something when they are installed.
    pub(super) fn install_scripts(&self) -> Vec<String> {
        let scripts = self.packages().filter(|(_, one)| one.has_install_script);
        scripts.map(|(path, _)| package_name(path)).collect()
    }

    /// The folders of the repository that packages are.
    pub(super) fn links(&self) -> impl Iterator<Item = &str> {
        let links = self.packages().filter(|(_, one)| one.link);
        links.map(|(_, one)| one.resolved.as_ref().and_then(Value::as_str).unwrap_or(""))
    }

    /// Programs that are there without development dependencies.
    pub(super) fn programs(&self) -> BTreeSet<String> {
        let kept = self.packages().filter(|(_, one)| !one.dev);
        let programs = kept.filter_map(|(_, one)| one.bin.as_ref()?.as_object());
        programs.flat_map(|bin| bin.keys().cloned()).collect()
    }
}

/// `node_modules/a/node_modules/@b/c` is `@b/c`.
fn package_name(path: &str) -> String {
    path.rsplit("node_modules/")
        .next()
        .unwrap_or(path)
        .to_owned()
}
