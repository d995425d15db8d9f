//! The version catalog of a build of Gradle: `gradle/libs.versions.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::plan::PlanError;
use crate::read;
use crate::repo::Repo;

/// What scripts mean by `libs`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Catalog {
    versions: BTreeMap<String, toml::Value>,
    plugins: BTreeMap<String, toml::Value>,
    libraries: BTreeMap<String, toml::Value>,
}

impl Catalog {
    pub(super) fn read(repo: &Repo) -> Result<Self, PlanError> {
        let file = "gradle/libs.versions.toml";
        let text = repo.text(file)?;
        text.map_or_else(|| Ok(Self::default()), |text| read::toml(file, &text))
    }

    /// The plugin of an alias as scripts write it: `spring.boot` for `spring-boot`.
    pub(super) fn plugin(&self, alias: &str) -> Option<String> {
        let value = named(&self.plugins, alias)?;
        let id = value
            .as_str()
            .map(|text| text.split(':').next().unwrap_or_default());
        id.or_else(|| value.get("id")?.as_str()).map(str::to_owned)
    }

    /// Coordinates of all libraries.
    pub(super) fn libraries(&self) -> Vec<String> {
        let module = |value: &toml::Value| {
            let text = value.as_str().or_else(|| value.get("module")?.as_str());
            text.map(str::to_owned).or_else(|| {
                let (group, name) = (value.get("group")?.as_str()?, value.get("name")?.as_str()?);
                Some(format!("{group}:{name}"))
            })
        };
        self.libraries.values().filter_map(module).collect()
    }

    /// The version of an alias: `libs.versions.java` asks for `java`. A rich version means what it wants most.
    pub(super) fn version(&self, alias: &str) -> Option<&str> {
        let value = named(&self.versions, alias)?;
        let wish = ["strictly", "require", "prefer"]
            .iter()
            .find_map(|key| value.get(key));
        wish.unwrap_or(value).as_str()
    }
}

/// The entry of an alias as scripts write it: dots for dashes and underscores.
fn named<'a>(table: &'a BTreeMap<String, toml::Value>, alias: &str) -> Option<&'a toml::Value> {
    let mut entries = table.iter();
    entries
        .find(|(name, _)| name.replace(['-', '_'], ".") == alias)
        .map(|(_, value)| value)
}
