//! setup.py and setup.cfg, as far as they say something without being run: literal lists and texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::plan::PlanError;
use crate::provider::Evidence;
use crate::repo::Repo;
use crate::tokens::Token;
use crate::version::Candidate;

use super::source::{Source, keyword};

pub(super) const SETUP_PY: &str = "setup.py";
pub(super) const SETUP_CFG: &str = "setup.cfg";

/// What both files say together.
#[derive(Debug, Default)]
pub(super) struct Setup {
    pub(super) name: Option<String>,
    pub(super) requires: Vec<String>,
    /// Names of commands.
    pub(super) scripts: Vec<String>,
    pub(super) python: Option<Candidate>,
}

impl Setup {
    /// `None` when neither file makes a package.
    pub(super) fn read(repo: &Repo) -> Result<Option<Self>, PlanError> {
        let configuration = repo.parsed(SETUP_CFG, |text| {
            Ok::<_, PlanError>(Configuration::new(text))
        })?;
        let source = repo.parsed(SETUP_PY, |text| Ok::<_, PlanError>(Source::new(text)))?;
        let configuration = configuration.filter(|_| repo.in_image(SETUP_CFG));
        let source = source.filter(|_| repo.in_image(SETUP_PY));
        let describes = |one: &Arc<Configuration>| one.sections.contains_key("metadata");
        if source.is_none() && !configuration.as_ref().is_some_and(describes) {
            return Ok(None);
        }
        let mut setup = Self::default();
        if let Some(configuration) = configuration {
            setup.add_configuration(&configuration);
        }
        if let Some(source) = source {
            setup.add_source(&source);
        }
        Ok(Some(setup))
    }

    fn add_configuration(&mut self, configuration: &Configuration) {
        let value = |section: &str, key: &str| configuration.value(section, key);
        let lines = |text: &str| -> Vec<String> {
            text.lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect()
        };
        self.name = value("metadata", "name").map(|(text, _)| text.to_owned());
        self.requires = value("options", "install_requires")
            .map(|(text, _)| lines(text))
            .unwrap_or_default();
        let scripts = value("options.entry_points", "console_scripts").map(|(text, _)| lines(text));
        self.scripts = scripts
            .iter()
            .flatten()
            .filter_map(|line| command(line))
            .collect();
        self.python = value("options", "python_requires").map(|(text, line)| {
            let evidence = Evidence::key(SETUP_CFG, "options.python_requires", Some(line), text);
            Candidate::new(text, evidence)
        });
    }

    fn add_source(&mut self, source: &Source) {
        for arguments in source.calls_of("setup") {
            let texts = |name: &str| -> Vec<&str> {
                let value = keyword(arguments, name).unwrap_or_default();
                value.iter().filter_map(Token::text).collect()
            };
            let only = |name: &str| match keyword(arguments, name) {
                Some([Token::Text(text)]) => Some(text.clone()),
                _ => None,
            };
            self.name = self.name.take().or_else(|| only("name"));
            self.requires
                .extend(texts("install_requires").into_iter().map(str::to_owned));
            let points = texts("entry_points");
            self.scripts.extend(
                points
                    .iter()
                    .flat_map(|text| text.lines())
                    .filter_map(command),
            );
            if self.python.is_none() {
                self.python = only("python_requires").map(|text| {
                    let evidence = Evidence::key(SETUP_PY, "python_requires", None, &text);
                    Candidate::new(&text, evidence)
                });
            }
        }
    }
}

/// The name of `name = module:function`.
fn command(line: &str) -> Option<String> {
    let (name, target) = line.split_once('=')?;
    let name = name.trim();
    (target.contains(':') && !name.is_empty()).then(|| name.to_owned())
}

/// setup.cfg, in the format of Python's configparser.
#[derive(Debug, Default)]
struct Configuration {
    /// Sections, their keys, and the values with the lines of the keys.
    sections: BTreeMap<String, BTreeMap<String, (String, usize)>>,
}

impl Configuration {
    fn new(text: &str) -> Self {
        let mut found = Self::default();
        let mut section = String::new();
        let mut key: Option<String> = None;
        for (index, line) in text.lines().enumerate() {
            let bare = line.trim();
            if bare.starts_with(['#', ';']) {
                continue;
            }
            let entries = found.sections.entry(section.clone()).or_default();
            let continued = line.starts_with([' ', '\t']) || bare.is_empty();
            if let (true, Some(key)) = (continued, &key) {
                if let Some((value, _)) = entries.get_mut(key) {
                    value.push('\n');
                    value.push_str(bare);
                }
                continue;
            }
            if let Some(name) = bare
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                name.trim().clone_into(&mut section);
                found.sections.entry(section.clone()).or_default();
                key = None;
            } else if let Some((name, value)) = bare.split_once(['=', ':']) {
                let name = name.trim().to_lowercase();
                entries.insert(name.clone(), (value.trim().to_owned(), index + 1));
                key = Some(name);
            }
        }
        found
    }

    fn value(&self, section: &str, key: &str) -> Option<(&str, usize)> {
        let (value, line) = self.sections.get(section)?.get(key)?;
        Some((value.trim(), *line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_texts_of_both_files_are_read() {
        let repo = Repo::in_memory(&[
            (
                "setup.cfg",
                "[metadata]\nname = shop\n[options]\npython_requires = >=3.9\n# x\ninstall_requires =\n  flask\n  \n  gunicorn>=20\n[options.entry_points]\nconsole_scripts =\n  shop = shop:main\n",
            ),
            (
                "setup.py",
                "from setuptools import setup\nsetup(name='other', install_requires=['a', *more], entry_points={'console_scripts': ['b=c:d']})\n",
            ),
        ]);
        let setup = Setup::read(&repo).unwrap().unwrap();
        assert_eq!(setup.name.as_deref(), Some("shop"));
        assert_eq!(setup.requires, ["flask", "gunicorn>=20", "a"]);
        assert_eq!(setup.scripts, ["shop", "b"]);
        assert_eq!(setup.python.unwrap().evidence.line, Some(4));
    }

    #[test]
    fn the_configuration_of_a_linter_makes_no_package() {
        let repo = Repo::in_memory(&[("setup.cfg", "[flake8]\nmax-line-length = 100\n")]);
        assert!(Setup::read(&repo).unwrap().is_none());
    }
}
