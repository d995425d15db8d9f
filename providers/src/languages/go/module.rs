//! `go.mod` and `go.work`: what a module needs, and which modules belong together.
//!
//! Owns reading both files. Their versions and programs are decided by the provider.

use std::str::FromStr;

use gomod_parser::{GoMod, Replacement};

use crate::plan::PlanError;
use crate::provider::Evidence;
use crate::read;
use crate::repo::{Repo, join};
use crate::version::Candidate;

/// A module: its folder, empty for the root, and its manifest.
pub(super) struct Module {
    pub(super) dir: String,
    manifest: std::sync::Arc<Manifest>,
}

/// go.mod as its crate reads it.
struct Manifest(GoMod);

impl Module {
    /// The module of a folder, if there is one.
    pub(super) fn read(repo: &Repo, dir: &str) -> Result<Option<Self>, PlanError> {
        let file = join(dir, "go.mod");
        let manifest = repo.parsed(&file, |text| parse(&file, text))?;
        Ok(manifest.map(|manifest| Self {
            dir: dir.to_owned(),
            manifest,
        }))
    }

    /// What it says about Go's version, best first.
    pub(super) fn versions(&self, repo: &Repo) -> Result<Vec<Candidate>, PlanError> {
        let manifest = &self.manifest.0;
        let values = [
            ("toolchain", manifest.toolchain.as_deref()),
            ("go", manifest.go.as_deref()),
        ];
        candidates(repo, &join(&self.dir, "go.mod"), values)
    }

    /// The paths of the modules that it needs, its indirect ones too.
    pub(super) fn requirements(&self) -> impl Iterator<Item = &str> {
        let required = self.manifest.0.require.iter();
        required.map(|dependency| dependency.module.module_path.as_str())
    }

    /// The modules that a folder of the repository replaces: path, and the folder from the root.
    ///
    /// # Errors
    /// A folder outside the repository, which no build sees.
    pub(super) fn local_replacements(
        &self,
        repo: &Repo,
    ) -> Result<Vec<(String, String)>, PlanError> {
        let mut found = Vec::new();
        for replace in &self.manifest.0.replace {
            let Replacement::FilePath(path) = &replace.replacement else {
                continue;
            };
            let Some(folder) = inside(&self.dir, path) else {
                let what = format!("{} is replaced by {path}", replace.module_path);
                return Err(outside(
                    repo,
                    &join(&self.dir, "go.mod"),
                    "replace",
                    path,
                    &what,
                ));
            };
            found.push((replace.module_path.clone(), folder));
        }
        Ok(found)
    }
}

/// A workspace: the folders of its modules, in its order.
pub(super) struct Workspace {
    pub(super) folders: Vec<String>,
    pub(super) versions: Vec<Candidate>,
}

impl Workspace {
    /// The workspace of the root, if there is one.
    ///
    /// # Errors
    /// A folder outside the repository, or one that is no module.
    pub(super) fn read(repo: &Repo) -> Result<Option<Self>, PlanError> {
        const FILE: &str = "go.work";
        let Some(text) = repo.text(FILE)?.filter(|_| repo.in_image(FILE)) else {
            return Ok(None);
        };
        let directives = directives(&text);
        let first = |name: &str| {
            let found = directives.iter().find(|directive| directive.name == name);
            found.map(|directive| directive.argument.as_str())
        };
        let values = [("toolchain", first("toolchain")), ("go", first("go"))];
        let versions = candidates(repo, FILE, values)?;
        let mut folders = Vec::new();
        for directive in directives
            .iter()
            .filter(|directive| directive.name == "use")
        {
            let path = directive.argument.as_str();
            let Some(folder) = inside("", path) else {
                return Err(outside(repo, FILE, "use", path, &format!("it uses {path}")));
            };
            if !repo.is_file(&join(&folder, "go.mod")) {
                return Err(PlanError::Invalid {
                    file: FILE.to_owned(),
                    line: directive.line,
                    column: 1,
                    key: "use".to_owned(),
                    message: format!(
                        "it uses {path}, and there is no {}",
                        join(&folder, "go.mod")
                    ),
                });
            }
            folders.push(folder);
        }
        Ok(Some(Self { folders, versions }))
    }
}

/// One line of go.work, or one of the lines in its parentheses.
struct Directive {
    name: String,
    /// The first argument, without quotes.
    argument: String,
    line: usize,
}

/// The directives of a go.work: one on each line, or several in parentheses.
fn directives(text: &str) -> Vec<Directive> {
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let code = line.split_once("//").map_or(line, |(code, _)| code).trim();
        let (name, argument) = match &block {
            Some(_) if code == ")" => {
                block = None;
                continue;
            }
            Some(name) => (name.clone(), code),
            None => {
                let (name, rest) = code.split_once([' ', '\t', '(']).unwrap_or((code, ""));
                if code.ends_with('(') {
                    block = Some(name.to_owned());
                    continue;
                }
                (name.to_owned(), rest.trim())
            }
        };
        let word = match argument.chars().next() {
            Some(mark @ ('"' | '`')) => argument[1..].split(mark).next(),
            _ => argument.split_whitespace().next(),
        };
        if let Some(word) = word.filter(|word| !word.is_empty()) {
            found.push(Directive {
                name,
                argument: word.to_owned(),
                line: index + 1,
            });
        }
    }
    found
}

/// The folder that a relative path names, from the root; none when it is outside.
fn inside(dir: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in dir.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn outside(repo: &Repo, file: &str, key: &str, path: &str, what: &str) -> PlanError {
    let text = repo.text(file).ok().flatten().unwrap_or_default();
    PlanError::Invalid {
        file: file.to_owned(),
        line: read::line_of(&text, path).unwrap_or(1),
        column: 1,
        key: key.to_owned(),
        message: format!("{what}, which is outside the repository"),
    }
}

fn candidates(
    repo: &Repo,
    file: &str,
    values: [(&'static str, Option<&str>); 2],
) -> Result<Vec<Candidate>, PlanError> {
    let text = repo.text(file)?.unwrap_or_default();
    let line = |key: &str| {
        let mut lines = text.lines();
        let found = lines.position(|line| line.split_whitespace().next() == Some(key));
        found.map(|index| index + 1)
    };
    Ok(values
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.filter(|value| *value != "default")?)))
        .map(|(key, value)| Candidate::new(value, Evidence::key(file, key, line(key), value)))
        .collect())
}

fn parse(file: &str, text: &str) -> Result<Manifest, PlanError> {
    // The crate reads lines that end in a newline, and not those that end in CR LF.
    let text = text.replace("\r\n", "\n");
    GoMod::from_str(&text).map(Manifest).map_err(|message| {
        let message = message
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        PlanError::Invalid {
            file: file.to_owned(),
            line: 1,
            column: 1,
            key: String::new(),
            message,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_lists_its_folders_in_blocks_and_lines_and_quotes() {
        let files = [
            (
                "go.work",
                "go 1.24.0 // the least\nuse . \nuse (\n\t./a b // no\n\t\"./c d\"\n)\nreplace x => ./y\n",
            ),
            ("go.mod", ""),
            ("a/go.mod", ""),
            ("c d/go.mod", ""),
        ];
        let workspace = Workspace::read(&Repo::in_memory(&files)).unwrap().unwrap();
        assert_eq!(workspace.folders, ["", "a", "c d"]);
        assert_eq!(workspace.versions[0].text, "1.24.0");
        assert_eq!(workspace.versions[0].evidence.line, Some(1));
    }

    #[test]
    fn a_folder_that_is_outside_or_no_module_is_an_error_with_its_line() {
        let error = |text: &str| {
            Workspace::read(&Repo::in_memory(&[("go.work", text)]))
                .err()
                .unwrap()
                .to_string()
        };
        assert_eq!(
            error("go 1.24\nuse ../x\n"),
            "go.work:2:1: use: it uses ../x, which is outside the repository"
        );
        assert_eq!(
            error("go 1.24\n\nuse (\n ./x\n)\n"),
            "go.work:4:1: use: it uses ./x, and there is no x/go.mod"
        );
    }

    #[test]
    fn replacements_are_folders_from_the_root() {
        let repo = Repo::in_memory(&[(
            "a/go.mod",
            "module a\n\nreplace b => ../b\n\nreplace c => d v1.0.0\n",
        )]);
        let module = Module::read(&repo, "a").unwrap().unwrap();
        assert_eq!(
            module.local_replacements(&repo).unwrap(),
            [("b".to_owned(), "b".to_owned())]
        );
    }
}
