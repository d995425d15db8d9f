//! Lock files: what is installed in the end, and what of it has to be built from its source.
//!
//! Owns the formats of Poetry, PDM, uv and Pipenv. Nothing is resolved here: from what the manifest names, the lock's own
//! dependencies are followed, so that development's packages do not count.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Value;

use crate::plan::PlanError;
use crate::read;
use crate::repo::Repo;

use super::requirements::{normal, requirement};

/// What a lock file says of production.
#[derive(Debug, Default)]
pub(super) struct Locked {
    /// Names, normalised.
    pub(super) names: BTreeSet<String>,
    /// Packages for which there is no wheel.
    pub(super) from_source: Vec<String>,
    /// Whether one is fetched with git.
    pub(super) git: bool,
    /// The place of one that is built from a folder of the repository.
    pub(super) local: Option<String>,
}

/// A package of a lock file.
#[derive(Debug, Default, Clone)]
struct Package {
    name: String,
    /// Whether production has it, where the lock file says so.
    main: Option<bool>,
    dependencies: Vec<Need>,
    extras: BTreeMap<String, Vec<Need>>,
    /// The files that the index has of it; none for what comes from elsewhere.
    files: Vec<String>,
    git: bool,
    local: Option<String>,
    /// Only an extra of the project asks for it.
    optional: bool,
    /// The repository's own project.
    itself: bool,
}

#[derive(Debug, Clone)]
struct Need {
    name: String,
    extras: Vec<String>,
}

impl Need {
    /// Of a requirement in PEP 508's form.
    fn of(text: &str) -> Option<Self> {
        let requirement = requirement(text)?;
        Some(Self {
            name: requirement.name.to_string(),
            extras: requirement.extras.iter().map(ToString::to_string).collect(),
        })
    }
}

impl Locked {
    /// Reads the lock file of a name; `direct` are the names that the manifest asks for, extras too.
    pub(super) fn read(
        repo: &Repo,
        file: &'static str,
        direct: &BTreeSet<String>,
    ) -> Result<Self, PlanError> {
        let packages = match file {
            "Pipfile.lock" => repo.parsed(file, |text| {
                Ok::<_, PlanError>(of_pipenv(read::json(file, text)?))
            })?,
            _ => repo.parsed(file, |text| {
                let lock: Lock = read::toml(file, text)?;
                Ok::<_, PlanError>(
                    lock.package
                        .into_iter()
                        .map(Entry::read)
                        .collect::<Vec<Package>>(),
                )
            })?,
        };
        Ok(packages.map_or_else(Self::default, |packages| Self::of(&packages, direct)))
    }

    fn of(packages: &[Package], direct: &BTreeSet<String>) -> Self {
        let told = packages.iter().any(|package| package.main.is_some());
        let closure = if told {
            BTreeSet::new()
        } else {
            closure(packages, direct)
        };
        let mut found = Self::default();
        for package in packages
            .iter()
            .filter(|package| !package.itself && !package.optional)
        {
            let production = package
                .main
                .unwrap_or_else(|| closure.contains(&package.name));
            if !production {
                continue;
            }
            found.names.insert(package.name.clone());
            found.git |= package.git;
            found.local = found.local.or_else(|| package.local.clone());
            if !package.files.is_empty() && !package.files.iter().any(|file| fits(file)) {
                found.from_source.push(package.name.clone());
            }
        }
        found
    }
}

/// Whether a file is a wheel for Linux.
fn fits(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or_default();
    name.strip_suffix(".whl")
        .and_then(|name| name.rsplit('-').next())
        .is_some_and(|platform| {
            platform
                .split('.')
                .any(|tag| tag == "any" || tag.starts_with("manylinux"))
        })
}

/// Everything that is reached from the manifest's names, extras as `name[extra]`.
fn closure(packages: &[Package], direct: &BTreeSet<String>) -> BTreeSet<String> {
    let mut by_name: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    for package in packages {
        by_name.entry(&package.name).or_default().push(package);
    }
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut pending: Vec<String> = direct.iter().cloned().collect();
    while let Some(next) = pending.pop() {
        if !reached.insert(next.clone()) {
            continue;
        }
        let (name, extra) = match next.split_once('[') {
            Some((name, extra)) => (name, Some(extra.trim_end_matches(']'))),
            None => (next.as_str(), None),
        };
        for package in by_name.get(name).into_iter().flatten() {
            let needs = match extra {
                None => Some(&package.dependencies),
                Some(extra) => package.extras.get(extra),
            };
            for need in needs.into_iter().flatten() {
                let name = normal(&need.name);
                pending.extend(
                    need.extras
                        .iter()
                        .map(|extra| format!("{name}[{}]", normal(extra))),
                );
                pending.push(name);
            }
        }
    }
    reached
}

/// poetry.lock, pdm.lock and uv.lock, which have one table a package.
#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Entry>,
}

/// A package's table: the keys of all three.
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Entry {
    name: String,
    /// Poetry's.
    optional: bool,
    /// Poetry's before 1.5.
    category: Option<String>,
    /// Poetry from 2.0 on, and PDM.
    groups: Option<Vec<String>>,
    /// Tables by name with Poetry, requirements with PDM, tables in a list with uv.
    dependencies: Option<Value>,
    /// Poetry's: requirements by extra.
    extras: Option<Value>,
    /// uv's: tables by extra.
    optional_dependencies: BTreeMap<String, Vec<Value>>,
    /// Poetry's and PDM's.
    files: Vec<Value>,
    /// uv's.
    wheels: Vec<Value>,
    sdist: Option<Value>,
    source: BTreeMap<String, Value>,
    /// PDM's.
    git: Option<String>,
    path: Option<String>,
}

impl Entry {
    fn read(self) -> Package {
        let text = |key: &str| self.source.get(key).and_then(Value::as_str);
        let of_poetry = text("type");
        let itself = ["editable", "virtual"]
            .iter()
            .any(|key| text(key) == Some("."));
        let folder = ["editable", "directory", "path"]
            .iter()
            .find_map(|key| text(key));
        let folder = folder
            .or_else(|| text("url").filter(|_| matches!(of_poetry, Some("directory" | "file"))));
        let folder = folder.or(self.path.as_deref()).filter(|_| !itself);
        let groups = self.groups.as_ref();
        let groups = groups.map(|groups| {
            groups
                .iter()
                .any(|group| matches!(group.as_str(), "main" | "default"))
        });
        let category = self.category.as_ref().map(|category| category == "main");
        Package {
            main: category.or(groups),
            dependencies: self.dependencies.as_ref().map(needs).unwrap_or_default(),
            extras: self.extras(),
            files: self.file_names(),
            git: self.git.is_some() || text("git").is_some() || of_poetry == Some("git"),
            local: folder.map(|folder| format!("{} is built from {folder}", self.name)),
            optional: self.optional,
            itself,
            name: normal(&self.name),
        }
    }

    fn extras(&self) -> BTreeMap<String, Vec<Need>> {
        let of_uv = self.optional_dependencies.iter();
        let mut found: BTreeMap<String, Vec<Need>> = of_uv
            .map(|(extra, list)| (normal(extra), list.iter().filter_map(of_table).collect()))
            .collect();
        let of_poetry = self.extras.as_ref().and_then(Value::as_table);
        for (extra, list) in of_poetry.into_iter().flatten() {
            let texts = list
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            found
                .entry(normal(extra))
                .or_default()
                .extend(texts.filter_map(of_poetrys_text));
        }
        found
    }

    fn file_names(&self) -> Vec<String> {
        let text = |table: &Value| {
            let mut names = ["file", "filename", "url", "path"].iter();
            names
                .find_map(|key| table.get(key)?.as_str())
                .map(str::to_owned)
        };
        let own = self.files.iter().chain(&self.wheels).chain(&self.sdist);
        own.filter_map(text).collect()
    }
}

/// `redis (>=3,<4) ; marker` as a requirement: Poetry writes the versions in brackets.
fn of_poetrys_text(text: &str) -> Option<Need> {
    let end = text.find([' ', '(', ';']).unwrap_or(text.len());
    Need::of(&text[..end])
}

/// A package's dependencies, in any of the three forms. Optional ones count with the extra that asks for them.
fn needs(value: &Value) -> Vec<Need> {
    if let Some(table) = value.as_table() {
        let required = table
            .iter()
            .filter(|(_, value)| value.get("optional").and_then(Value::as_bool) != Some(true));
        return required
            .map(|(name, value)| Need {
                name: name.clone(),
                extras: texts(value.get("extras")),
            })
            .collect();
    }
    let list = value.as_array().into_iter().flatten();
    list.filter_map(|one| one.as_str().map_or_else(|| of_table(one), Need::of))
        .collect()
}

/// uv's `{ name = "a", extra = ["b"] }`.
fn of_table(table: &Value) -> Option<Need> {
    Some(Need {
        name: table.get("name")?.as_str()?.to_owned(),
        extras: texts(table.get("extra")),
    })
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Pipfile.lock, whose `default` is what production has. It has hashes, no files.
#[derive(Deserialize)]
struct PipfileLock {
    #[serde(default)]
    default: BTreeMap<String, serde_json::Value>,
}

fn of_pipenv(lock: PipfileLock) -> Vec<Package> {
    let of = |(name, value): (String, serde_json::Value)| Package {
        name: normal(&name),
        main: Some(true),
        git: value.get("git").is_some(),
        local: value
            .get("path")
            .or_else(|| value.get("file"))
            .and_then(|path| {
                let path = path.as_str().filter(|path| !path.contains("://"))?;
                Some(format!("{name} is built from {path}"))
            }),
        ..Package::default()
    };
    lock.default.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &'static str, text: &str, direct: &[&str]) -> Locked {
        let direct = direct.iter().map(|name| (*name).to_owned()).collect();
        Locked::read(&Repo::in_memory(&[(file, text)]), file, &direct).unwrap()
    }

    fn names(locked: &Locked) -> Vec<&str> {
        locked.names.iter().map(String::as_str).collect()
    }

    #[test]
    fn uv_s_lock_is_followed_from_the_manifest() {
        let text = "
[[package]]
name = \"shop\"
source = { editable = \".\" }
[[package]]
name = \"fastapi\"
dependencies = [{ name = \"Starlette\" }]
wheels = [{ url = \"x/fastapi-1-py3-none-any.whl\" }]
[package.optional-dependencies]
standard = [{ name = \"uvicorn\", extra = [\"standard\"] }]
[[package]]
name = \"starlette\"
sdist = { url = \"x/starlette-1.tar.gz\" }
wheels = [{ url = \"x/starlette-1-cp313-cp313-win_amd64.whl\" }]
[[package]]
name = \"uvicorn\"
source = { git = \"https://x?rev=1\" }
[[package]]
name = \"pytest\"
";
        let locked = read("uv.lock", text, &["fastapi", "fastapi[standard]"]);
        assert_eq!(names(&locked), ["fastapi", "starlette", "uvicorn"]);
        assert_eq!(locked.from_source, ["starlette"]);
        assert!(locked.git && locked.local.is_none());
        assert_eq!(
            names(&read("uv.lock", text, &["fastapi"])),
            ["fastapi", "starlette"]
        );
    }

    #[test]
    fn poetry_s_lock_says_what_is_production_s_in_two_ways_or_not_at_all() {
        let new =
            "[[package]]\nname='a'\ngroups=['main','dev']\n[[package]]\nname='b'\ngroups=['dev']\n";
        assert_eq!(names(&read("poetry.lock", new, &["a", "b"])), ["a"]);
        let old = "[[package]]\nname='a'\ncategory='main'\n[[package]]\nname='b'\ncategory='dev'\n";
        assert_eq!(names(&read("poetry.lock", old, &[])), ["a"]);
        let silent = "
[[package]]
name='a'
files = [{file = 'a-1.tar.gz', hash = 'x'}]
[package.dependencies]
b = {version = '>=1', extras = ['fast']}
c = {version = '>=1', optional = true}
[[package]]
name='b'
[package.extras]
fast = ['d (>=1,<2)', 'e[x] ; python_version > \"3\"']
[package.source]
type = 'directory'
url = '../b'
[[package]]
name='c'
optional = true
[[package]]
name='d'
[[package]]
name='e'
";
        let locked = read("poetry.lock", silent, &["a"]);
        assert_eq!(names(&locked), ["a", "b", "d", "e"]);
        assert_eq!(locked.from_source, ["a"]);
        assert_eq!(locked.local.as_deref(), Some("b is built from ../b"));
    }

    #[test]
    fn pdm_s_and_pipenv_s_locks_have_groups() {
        let text = "[[package]]\nname='a'\ngroups=['default']\ndependencies=['b>=1']\n[[package]]\nname='b'\ngroups=['test']\n";
        assert_eq!(names(&read("pdm.lock", text, &["a"])), ["a"]);
        let text = r#"{"default":{"A_b":{"version":"==1"},"c":{"path":"./c","editable":true}},"develop":{"d":{}}}"#;
        let locked = read("Pipfile.lock", text, &[]);
        assert_eq!(names(&locked), ["a-b", "c"]);
        assert_eq!(locked.local.as_deref(), Some("c is built from ./c"));
    }
}
