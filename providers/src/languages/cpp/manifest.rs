//! Reads CMakeLists.txt and meson.build, which are programs, for the calls that say what they make.
//!
//! Branches are read as if all of them ran.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::plan::PlanError;
use crate::repo::{Repo, join};
use crate::tokens::{Style, Token, calls, tokens};

/// No call of a real manifest that is looked at has more words than this before those that matter.
const WORD_LIMIT: usize = 64;

/// Manifests deeper than this are not the application's.
const DEPTH_LIMIT: usize = 8;

/// What manifests say, those in subfolders too.
#[derive(Default)]
pub(super) struct Manifest {
    pub(super) project: String,
    pub(super) executables: Vec<Executable>,
    pub(super) libraries: Vec<String>,
    /// Folders whose manifests were read.
    read: BTreeSet<String>,
    /// Whether the manifest asks pkg-config.
    pub(super) asks: bool,
    /// Whether sources are fetched while configuring.
    pub(super) fetches: bool,
    /// Whether there are shared libraries, which programs load.
    pub(super) shares: bool,
    /// Variables of `CMake` that were set, so far.
    variables: BTreeMap<String, String>,
}

pub(super) struct Executable {
    /// Of the target.
    pub(super) name: String,
    /// Of its file, mostly the same.
    pub(super) file: String,
    /// Relative to the root, for telling those of the same name apart.
    pub(super) path: String,
}

impl Executable {
    fn new(name: &str, folder: &str) -> Self {
        Self {
            name: name.to_owned(),
            file: name.to_owned(),
            path: join(folder, name),
        }
    }
}

/// Folders whose programs are not the application.
fn is_aside(folder: &str) -> bool {
    folder.split('/').any(|part| {
        matches!(
            part,
            "test"
                | "tests"
                | "example"
                | "examples"
                | "bench"
                | "benchmark"
                | "benchmarks"
                | "docs"
        )
    })
}

fn cmake(
    repo: &Repo,
    folder: &str,
    manifest: &mut Manifest,
    depth: usize,
) -> Result<(), PlanError> {
    let Some(text) = manifest.open(repo, folder, "CMakeLists.txt", depth)? else {
        return Ok(());
    };
    for (name, arguments) in calls(&tokens(&text, Style::Cmake)) {
        let words: Vec<String> = arguments
            .iter()
            .take(WORD_LIMIT)
            .filter_map(|token| token.word().or(token.text()))
            .map(|word| manifest.resolve(word))
            .collect();
        let Some(first) = words.first() else {
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "project" if manifest.project.is_empty() => {
                manifest.project.clone_from(first);
                for name in ["PROJECT_NAME", "CMAKE_PROJECT_NAME"] {
                    manifest.variables.insert(name.to_owned(), first.clone());
                }
            }
            "add_executable"
                if !is_aside(folder)
                    && !words
                        .iter()
                        .any(|word| matches!(word.as_str(), "IMPORTED" | "ALIAS")) =>
            {
                manifest.executables.push(Executable::new(first, folder));
            }
            "add_library" => {
                let shared = |word: &String| matches!(word.as_str(), "SHARED" | "MODULE");
                manifest.shares |= words.iter().any(shared);
            }
            "set" => manifest.set(&words),
            "set_target_properties" => manifest.rename(&words),
            "find_package" => manifest.libraries.push(first.clone()),
            "pkg_check_modules" | "pkg_search_module" => {
                manifest.asks = true;
                let options = [
                    "REQUIRED",
                    "QUIET",
                    "IMPORTED_TARGET",
                    "GLOBAL",
                    "NO_CMAKE_PATH",
                    "NO_CMAKE_ENVIRONMENT_PATH",
                ];
                let modules = words
                    .iter()
                    .skip(1)
                    .filter(|word| !options.contains(&word.as_str()));
                manifest
                    .libraries
                    .extend(modules.map(|module| module_name(module)));
            }
            "fetchcontent_declare" | "externalproject_add" | "cpmaddpackage" => {
                manifest.fetches = true;
            }
            // An absolute path is no folder of the repository.
            "add_subdirectory" if !first.starts_with('/') => {
                cmake(repo, &join(folder, first), manifest, depth + 1)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The folder without `.` and `..`, so that one that includes itself is read once; none outside the repository.
fn repo_path(folder: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// `libpq>=12` is `libpq`.
fn module_name(module: &str) -> String {
    let end = module.find(['<', '>', '=']).unwrap_or(module.len());
    module[..end].to_owned()
}

/// A variable with a longer value is no name.
const VALUE_LIMIT: usize = 200;

impl Manifest {
    pub(super) fn of_cmake(repo: &Repo) -> Result<Self, PlanError> {
        let mut manifest = Self::default();
        cmake(repo, "", &mut manifest, 0)?;
        Ok(manifest.without_repetitions())
    }

    pub(super) fn of_meson(repo: &Repo) -> Result<Self, PlanError> {
        let mut manifest = Self::default();
        meson(repo, "", &mut manifest, 0)?;
        Ok(manifest.without_repetitions())
    }

    fn without_repetitions(mut self) -> Self {
        let mut seen = BTreeSet::new();
        self.executables.retain(|one| seen.insert(one.path.clone()));
        self
    }

    /// The text of a folder's manifest, once.
    fn open(
        &mut self,
        repo: &Repo,
        folder: &str,
        file: &str,
        depth: usize,
    ) -> Result<Option<Arc<str>>, PlanError> {
        let Some(path) = repo_path(folder).filter(|_| depth < DEPTH_LIMIT) else {
            return Ok(None);
        };
        if !self.read.insert(path.clone()) {
            return Ok(None);
        }
        Ok(repo.text(&join(&path, file))?)
    }

    /// The word with the values of known variables in place of `${NAME}`.
    fn resolve(&self, word: &str) -> String {
        let mut resolved = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else {
                break;
            };
            let value = self.variables.get(name);
            resolved += before;
            resolved += &value.map_or_else(|| format!("${{{name}}}"), Clone::clone);
            rest = after;
        }
        resolved + rest
    }

    /// `set(NAME value)`; lists and empty values are no names.
    fn set(&mut self, words: &[String]) {
        if let [name, value, more @ ..] = words
            && value.len() < VALUE_LIMIT
            && matches!(
                more.first().map(String::as_str),
                None | Some("CACHE" | "PARENT_SCOPE")
            )
        {
            self.variables.insert(name.clone(), value.clone());
        }
    }

    /// `set_target_properties(name ... PROPERTIES OUTPUT_NAME file)`
    fn rename(&mut self, words: &[String]) {
        let Some(at) = words.iter().position(|word| word == "OUTPUT_NAME") else {
            return;
        };
        let Some(file) = words.get(at + 1) else {
            return;
        };
        let targets = words.iter().take_while(|word| *word != "PROPERTIES");
        for target in targets {
            for one in &mut self.executables {
                if one.name == *target {
                    one.file.clone_from(file);
                }
            }
        }
    }
}

fn meson(
    repo: &Repo,
    folder: &str,
    manifest: &mut Manifest,
    depth: usize,
) -> Result<(), PlanError> {
    let Some(text) = manifest.open(repo, folder, "meson.build", depth)? else {
        return Ok(());
    };
    let all = tokens(&text, Style::Meson);
    for (name, arguments) in calls(&all) {
        let project = manifest.project.clone();
        let first = match arguments.first() {
            Some(Token::Text(text)) => text.clone(),
            // meson.project_name()
            Some(Token::Word(word)) if word == "meson" => project,
            _ => continue,
        };
        match name {
            "project" => manifest.project = first,
            "executable" if !is_aside(folder) => {
                manifest.executables.push(Executable::new(&first, folder));
            }
            "shared_library" | "shared_module" | "both_libraries" => manifest.shares = true,
            "dependency" => {
                manifest.asks = true;
                manifest.libraries.push(first);
            }
            "find_library" => manifest.libraries.push(first),
            "subdir" => meson(repo, &join(folder, &first), manifest, depth + 1)?,
            _ => {}
        }
    }
    Ok(())
}
