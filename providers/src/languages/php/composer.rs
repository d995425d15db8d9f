//! composer.json and composer.lock, as far as decisions rest on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::plan::PlanError;
use crate::read;
use crate::repo::Repo;

pub(super) const MANIFEST: &str = "composer.json";
pub(super) const LOCK: &str = "composer.lock";

type Table = BTreeMap<String, Value>;

/// composer.json. Values that tools disagree about stay untyped.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", expecting = "an object")]
struct Manifest {
    #[serde(deserialize_with = "table")]
    require: Table,
    #[serde(deserialize_with = "table")]
    scripts: Table,
    #[serde(deserialize_with = "table")]
    config: Table,
    repositories: Value,
}

/// composer.lock; `packages` are those that are not for development alone.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
struct Lock {
    packages: Vec<Package>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a package")]
struct Package {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(deserialize_with = "table")]
    require: Table,
    dist: Value,
}

/// PHP writes an empty table as an empty list.
fn table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Table, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "an object")]
    enum Written {
        Table(Table),
        Empty([(); 0]),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Table(table) => table,
        Written::Empty([]) => Table::new(),
    })
}

/// Both files together.
pub(super) struct Composer {
    manifest: Arc<Manifest>,
    lock: Option<Arc<Lock>>,
}

impl Composer {
    /// `None` without a composer.json.
    pub(super) fn read(repo: &Repo) -> Result<Option<Self>, PlanError> {
        let manifest = repo.parsed(MANIFEST, |text| read::json::<Manifest>(MANIFEST, text))?;
        let Some(manifest) = manifest else {
            return Ok(None);
        };
        let lock = if repo.in_image(LOCK) {
            repo.parsed(LOCK, |text| read::json::<Lock>(LOCK, text))?
        } else {
            None
        };
        Ok(Some(Self { manifest, lock }))
    }

    pub(super) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    fn packages(&self) -> impl Iterator<Item = &Package> {
        self.lock.iter().flat_map(|lock| &lock.packages)
    }

    /// Whether a package is installed: by the lock, or by composer.json where there is none.
    pub(super) fn has(&self, package: &str) -> bool {
        self.packages().any(|one| one.name == package)
            || self.manifest.require.contains_key(package)
    }

    /// Whether there is anything to fetch.
    pub(super) fn has_packages(&self) -> bool {
        self.packages().next().is_some()
            || self.manifest.require.keys().any(|name| name.contains('/'))
    }

    /// The version of PHP that `require` asks for.
    pub(super) fn php(&self) -> Option<&str> {
        self.manifest.require.get("php")?.as_str()
    }

    /// The version of PHP that dependencies are resolved for.
    pub(super) fn platform_php(&self) -> Option<&str> {
        self.manifest.config.get("platform")?.get("php")?.as_str()
    }

    /// Each extension with the file and the package that asks for it, by name.
    pub(super) fn extensions(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let of_packages = self
            .packages()
            .map(|package| (&package.require, format!("{} needs it", package.name)));
        let own = (
            &self.manifest.require,
            "composer.json asks for it".to_owned(),
        );
        for (require, why) in std::iter::once(own).chain(of_packages) {
            for name in require.keys().filter_map(|name| name.strip_prefix("ext-")) {
                found
                    .entry(name.to_ascii_lowercase())
                    .or_insert_with(|| why.clone());
            }
        }
        found
    }

    /// Whether a script of composer.json belongs to an event.
    pub(super) fn script(&self, event: &str) -> bool {
        self.manifest.scripts.contains_key(event)
    }

    /// Why installing may read more than the manifests.
    pub(super) fn reads_source(&self) -> Option<String> {
        if self.repositories().contains("path") || self.repositories().contains("artifact") {
            return Some("packages are installed from local paths".to_owned());
        }
        let events = [
            "pre-install-cmd",
            "post-package-install",
            "pre-package-install",
        ];
        if let Some(event) = events.into_iter().find(|event| self.script(event)) {
            return Some(format!("the {event} script may read any file"));
        }
        let plugin = self
            .packages()
            .find(|package| package.kind == "composer-plugin")?;
        Some(format!(
            "{} is a plugin, which may read any file",
            plugin.name
        ))
    }

    /// Whether packages come from repositories of source, not from archives.
    pub(super) fn needs_git(&self) -> bool {
        let kinds = self.repositories();
        let local =
            |package: &Package| package.dist.get("type").and_then(Value::as_str) == Some("path");
        ["vcs", "git", "github", "gitlab", "bitbucket"]
            .iter()
            .any(|kind| kinds.contains(kind))
            || self.packages().any(|package| {
                package.dist.is_null() && package.kind != "metapackage" && !local(package)
            })
    }

    fn repositories(&self) -> BTreeSet<&str> {
        let list: Vec<&Value> = match &self.manifest.repositories {
            Value::Array(list) => list.iter().collect(),
            Value::Object(table) => table.values().collect(),
            _ => Vec::new(),
        };
        list.into_iter()
            .filter_map(|one| one.get("type")?.as_str())
            .collect()
    }
}
