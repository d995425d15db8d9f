//! pyproject.toml, as far as it matters: the project itself, and the tables of the managers.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Value;

use crate::plan::PlanError;
use crate::read;
use crate::repo::Repo;

pub(super) const PYPROJECT: &str = "pyproject.toml";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Pyproject {
    pub(super) project: Option<Project>,
    pub(super) build_system: Option<Value>,
    pub(super) tool: Tools,
    pub(super) dependency_groups: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, expecting = "a table")]
pub(super) struct Project {
    pub(super) name: Option<String>,
    pub(super) requires_python: Option<String>,
    pub(super) dependencies: Vec<String>,
    readme: Option<Value>,
    license: Option<Value>,
    scripts: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Tools {
    pub(super) uv: Option<Uv>,
    pub(super) poetry: Option<Poetry>,
    pub(super) pdm: Option<Pdm>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, expecting = "a table")]
pub(super) struct Uv {
    pub(super) package: Option<bool>,
    pub(super) required_version: Option<String>,
    pub(super) sources: Option<BTreeMap<String, Value>>,
    pub(super) workspace: Option<Value>,
}

/// Poetry's own table, which before 2.0 held the project as well.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, expecting = "a table")]
pub(super) struct Poetry {
    name: Option<String>,
    readme: Option<Value>,
    package_mode: Option<bool>,
    packages: Option<Vec<Value>>,
    #[serde(rename = "requires-poetry")]
    pub(super) required_version: Option<String>,
    pub(super) dependencies: BTreeMap<String, Value>,
    scripts: Option<BTreeMap<String, Value>>,
    pub(super) source: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, expecting = "a table")]
pub(super) struct Pdm {
    distribution: Option<bool>,
    package_type: Option<String>,
}

impl Pyproject {
    pub(super) fn read(repo: &Repo) -> Result<Option<std::sync::Arc<Self>>, PlanError> {
        repo.parsed(PYPROJECT, |text| read::toml::<Self>(PYPROJECT, text))
    }

    pub(super) fn name(&self) -> Option<&str> {
        let project = self
            .project
            .as_ref()
            .and_then(|project| project.name.as_deref());
        let poetry = || self.tool.poetry.as_ref()?.name.as_deref();
        project.or_else(poetry)
    }

    /// The names of its commands.
    pub(super) fn scripts(&self) -> Vec<&str> {
        let project = self
            .project
            .as_ref()
            .and_then(|project| project.scripts.as_ref());
        let poetry = self
            .tool
            .poetry
            .as_ref()
            .and_then(|poetry| poetry.scripts.as_ref());
        let mut names: Vec<&str> = project
            .into_iter()
            .flat_map(BTreeMap::keys)
            .map(String::as_str)
            .collect();
        names.extend(
            poetry
                .into_iter()
                .flat_map(BTreeMap::keys)
                .map(String::as_str),
        );
        names
    }

    /// Files beside the manifests that describing the project reads.
    pub(super) fn described_by(&self) -> Vec<String> {
        let project = self
            .project
            .iter()
            .flat_map(|project| [&project.readme, &project.license]);
        let poetry = self.tool.poetry.iter().map(|poetry| &poetry.readme);
        let mut files = Vec::new();
        for value in project.chain(poetry).flatten() {
            let many = value
                .as_array()
                .map_or(std::slice::from_ref(value), Vec::as_slice);
            let names = many
                .iter()
                .filter_map(|one| one.as_str().or_else(|| one.get("file")?.as_str()));
            files.extend(names.map(str::to_owned));
        }
        files
    }

    /// Whether uv installs the project itself. Poetry's builder stops when it finds nothing of the project's name.
    pub(super) fn is_package_of_uv(&self, repo: &Repo) -> bool {
        let wish = self.tool.uv.as_ref().and_then(|uv| uv.package);
        let backend = self.build_system.as_ref();
        let of_poetry = backend
            .and_then(|table| table.get("build-backend")?.as_str())
            .is_some_and(|backend| backend.starts_with("poetry."));
        wish.unwrap_or(backend.is_some() && (!of_poetry || self.is_package_of_poetry(repo)))
    }

    /// Whether PDM installs the project itself.
    pub(super) fn is_package_of_pdm(&self) -> bool {
        let pdm = self.tool.pdm.as_ref();
        let library = pdm.and_then(|pdm| Some(pdm.package_type.as_deref()? == "library"));
        let wish = library.or_else(|| pdm?.distribution);
        self.name().is_some() && wish.unwrap_or(self.build_system.is_some())
    }

    /// Whether Poetry installs the project itself: Poetry stops when it finds nothing of the project's name.
    pub(super) fn is_package_of_poetry(&self, repo: &Repo) -> bool {
        let poetry = self.tool.poetry.as_ref();
        if poetry.and_then(|poetry| poetry.package_mode) == Some(false) {
            return false;
        }
        if let Some(packages) = poetry.and_then(|poetry| poetry.packages.as_ref()) {
            return packages.iter().any(|package| {
                let text = |key: &str| package.get(key).and_then(Value::as_str);
                let include = text("include").unwrap_or_default();
                let path = match text("from") {
                    Some(from) => format!("{from}/{include}"),
                    None => include.to_owned(),
                };
                // A pattern is not followed: there is something of it, or its maker would have noticed.
                include.contains('*') || repo.in_image(&path)
            });
        }
        let Some(module) = self.name().map(module) else {
            return false;
        };
        let places = [
            format!("{module}/__init__.py"),
            format!("src/{module}/__init__.py"),
            format!("{module}.py"),
            format!("src/{module}.py"),
        ];
        places.iter().any(|place| repo.in_image(place))
    }
}

/// A project's name as Python imports it.
pub(super) fn module(name: &str) -> String {
    name.replace(['-', '.', ' '], "_").to_lowercase()
}
