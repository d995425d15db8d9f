//! What is required: requirement files with their includes, and requirements wherever else they are written.

use std::collections::BTreeSet;
use std::str::FromStr;

use toml::Value;

use crate::plan::PlanError;
use crate::repo::{Repo, join};

/// What is required, includes followed.
#[derive(Debug, Default)]
pub(super) struct Requirements {
    /// Normalised names; `name[extra]` too for each extra.
    pub(super) names: BTreeSet<String>,
    pub(super) files: Vec<String>,
    /// Why installing reads more than the files.
    pub(super) local: Option<String>,
    pub(super) git: bool,
}

impl Requirements {
    /// Reads a requirement file and those that it includes.
    pub(super) fn read(&mut self, repo: &Repo, file: &str) -> Result<(), PlanError> {
        // The list of files is bounded by what a repository can hold, and each is read once.
        let mut pending = vec![file.to_owned()];
        while let Some(file) = pending.pop() {
            if self.files.contains(&file) {
                continue;
            }
            let Some(text) = repo.text(&file)? else {
                continue;
            };
            self.files.push(file.clone());
            for line in logical_lines(&text) {
                pending.extend(self.file_line(&file, &line));
            }
        }
        self.files.sort();
        Ok(())
    }

    /// Reads a line of a file; returns the file that it includes.
    fn file_line(&mut self, file: &str, line: &str) -> Option<String> {
        let dir = file.rsplit_once('/').map_or("", |(dir, _)| dir);
        if let Some(included) = option(line, &["-r", "--requirement", "-c", "--constraint"]) {
            let outside = included.starts_with('/')
                || included.split('/').any(|part| part == "..")
                || included.contains("://");
            if outside {
                self.local = Some(format!("{file} includes {included}"));
                return None;
            }
            return Some(join(dir, included.trim_start_matches("./")));
        }
        if let Some(path) = option(line, &["-e", "--editable"]) {
            self.git |= path.starts_with("git+");
            self.local = Some(format!("{file} installs {path} from the source"));
        } else if option(line, &["-f", "--find-links"]).is_some_and(|place| !place.contains("://"))
        {
            self.local = Some(format!("{file} finds packages in a local folder"));
        } else if !line.starts_with('-') {
            self.line(line);
        }
        None
    }

    /// Reads one requirement, as pip takes it.
    pub(super) fn line(&mut self, line: &str) {
        let bare = line.split(" --").next().unwrap_or_default().trim();
        self.git |= bare.contains("git+");
        match requirement(bare) {
            Some(requirement) => {
                let extras = requirement.extras.iter().map(ToString::to_string);
                self.name(requirement.name.as_ref(), extras);
                if bare.contains("file:") || bare.contains("@ .") {
                    self.local = Some(format!("{bare} is a local path"));
                }
            }
            // A path, or a URL without a name: pip takes both.
            None if bare.contains("://") => {}
            None if bare.starts_with('.') || bare.contains('/') => {
                self.local = Some(format!("{bare} is a local path"));
            }
            None => {}
        }
    }

    /// Reads an entry of a table of dependencies, as Poetry and Pipenv write it: a version, or a table, or several.
    pub(super) fn entry(&mut self, name: &str, value: &Value) {
        let tables = value
            .as_array()
            .map_or(std::slice::from_ref(value), Vec::as_slice);
        for table in tables {
            let optional = table.get("optional").and_then(Value::as_bool) == Some(true);
            let extras = table
                .get("extras")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            if !optional {
                self.name(name, extras.filter_map(Value::as_str).map(str::to_owned));
            }
            self.git |= table.get("git").is_some();
            let path = table
                .get("path")
                .or_else(|| table.get("file"))
                .and_then(Value::as_str);
            if let Some(path) = path.filter(|path| !path.contains("://")) {
                self.local = Some(format!("{name} is installed from {path}"));
            }
        }
    }

    fn name(&mut self, name: &str, extras: impl IntoIterator<Item = String>) {
        let name = normal(name);
        let extras = extras
            .into_iter()
            .map(|extra| format!("{name}[{}]", normal(&extra)));
        self.names.extend(extras.collect::<Vec<_>>());
        self.names.insert(name);
    }
}

/// A name as indexes compare it: lower case, with one dash for any run of separators.
pub(super) fn normal(name: &str) -> String {
    let mut found = String::with_capacity(name.len());
    for letter in name.trim().chars() {
        match letter {
            '-' | '_' | '.' if found.ends_with('-') => {}
            '-' | '_' | '.' => found.push('-'),
            letter => found.extend(letter.to_lowercase()),
        }
    }
    found
}

/// A requirement in the form of PEP 508; `None` for what pip takes beside it. The parser panics on
/// a name that ends in a separator, so such a name is refused before.
pub fn requirement(text: &str) -> Option<pep508_rs::Requirement<pep508_rs::VerbatimUrl>> {
    let name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let length = text.bytes().take_while(|byte| name_byte(byte)).count();
    let name = text.as_bytes().get(..length)?;
    let sound = name.first()?.is_ascii_alphanumeric() && name.last()?.is_ascii_alphanumeric();
    sound
        .then(|| pep508_rs::Requirement::from_str(text).ok())
        .flatten()
}

/// Lines without comments, continued lines joined.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for line in text.lines() {
        let comment = if line.trim_start().starts_with('#') {
            Some(0)
        } else {
            line.find(" #").or_else(|| line.find("\t#"))
        };
        let line = line[..comment.unwrap_or(line.len())].trim_end();
        if let Some(head) = line.strip_suffix('\\') {
            current.push_str(head);
            continue;
        }
        current.push_str(line);
        let whole = std::mem::take(&mut current).trim().to_owned();
        if !whole.is_empty() {
            lines.push(whole);
        }
    }
    lines.extend(Some(current.trim().to_owned()).filter(|rest| !rest.is_empty()));
    lines
}

/// The value of an option line: `-r a`, `-ra`, `--requirement=a`.
fn option<'a>(line: &'a str, names: &[&str]) -> Option<&'a str> {
    for name in names {
        let Some(rest) = line.strip_prefix(name) else {
            continue;
        };
        let separated = rest.starts_with([' ', '\t', '=']);
        if separated || (name.len() == 2 && !rest.is_empty()) {
            return Some(rest.trim_start_matches([' ', '\t', '=']).trim())
                .filter(|value| !value.is_empty());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_ends_in_a_separator_is_no_requirement_and_no_panic() {
        for bad in ["flask..>=1", "flask-", "-", ".", "a_ ==1", ""] {
            assert!(requirement(bad).is_none(), "{bad}");
        }
        assert!(requirement("zope.interface>=5; python_version > '3.8'").is_some());
    }

    #[test]
    fn names_are_compared_as_indexes_do() {
        let mut requirements = Requirements::default();
        requirements.line("Flask_SQLAlchemy[Async-IO]>=3");
        let table: Value =
            toml::from_str("version = '1'\nextras = ['Standard']\ngit = 'x'").unwrap();
        requirements.entry("Uvi.corn", &table);
        let names: Vec<&str> = requirements.names.iter().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "flask-sqlalchemy",
                "flask-sqlalchemy[async-io]",
                "uvi-corn",
                "uvi-corn[standard]"
            ]
        );
        assert!(requirements.git && requirements.local.is_none());
    }
}
