//! Reads Gemfile.lock, in the format that Bundler documents: sections without indent, specifications with four spaces,
//! what these depend on with six.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::PlanError;

pub(super) const LOCK: &str = "Gemfile.lock";

/// What a lock says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lock {
    /// Every gem with its version, without the platform.
    pub(super) gems: BTreeMap<String, String>,
    /// Gems that come from a gem server.
    pub(super) served: bool,
    /// Gems that come from repositories of source.
    pub(super) git: bool,
    /// The first folder that a gem comes from.
    pub(super) path: Option<String>,
    pub(super) platforms: Vec<String>,
    /// What the Gemfile asks for itself.
    pub(super) direct: BTreeSet<String>,
    /// `ruby 3.3.0p0` and its line.
    pub(super) ruby: Option<(String, usize)>,
    pub(super) bundler: Option<String>,
}

impl Lock {
    pub(super) fn parse(text: &str) -> Result<Self, PlanError> {
        let mut lock = Self::default();
        let mut section = "";
        for (index, line) in text.lines().enumerate() {
            let content = line.trim();
            if ["<<<<<<<", "=======", ">>>>>>>"]
                .iter()
                .any(|mark| line.starts_with(mark))
            {
                return Err(PlanError::Invalid {
                    file: LOCK.to_owned(),
                    line: index + 1,
                    column: 1,
                    key: String::new(),
                    message: "a merge is not finished".to_owned(),
                });
            }
            let indent = line.len() - line.trim_start_matches(' ').len();
            match (indent, section) {
                _ if content.is_empty() => {}
                (0, _) => section = content,
                (2, "PATH") => {
                    let remote = content.strip_prefix("remote: ");
                    lock.path = lock.path.take().or(remote.map(str::to_owned));
                }
                (4, "GEM" | "GIT" | "PATH" | "PLUGIN SOURCE") => lock.gem(section, content),
                (_, "PLATFORMS") => lock.platforms.push(content.to_owned()),
                (_, "DEPENDENCIES") => {
                    let name = content.split([' ', '!']).next().unwrap_or_default();
                    lock.direct.insert(name.to_owned());
                }
                (_, "RUBY VERSION") => lock.ruby = Some((content.to_owned(), index + 1)),
                (_, "BUNDLED WITH") => lock.bundler = Some(content.to_owned()),
                _ => {}
            }
        }
        Ok(lock)
    }

    fn gem(&mut self, section: &str, content: &str) {
        let Some((name, version)) = content.split_once(" (") else {
            return;
        };
        // 1.16.0-x86_64-linux: what follows the dash is a platform.
        let version = version
            .trim_end_matches(')')
            .split('-')
            .next()
            .unwrap_or_default();
        self.gems.insert(name.to_owned(), version.to_owned());
        self.served |= section == "GEM";
        self.git |= section == "GIT";
    }

    /// Whether it was made for Linux among others.
    pub(super) fn is_for_linux(&self) -> bool {
        self.platforms.is_empty()
            || self
                .platforms
                .iter()
                .any(|platform| platform == "ruby" || platform.contains("linux"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "GIT\n  remote: https://x/y.git\n  revision: 1\n  specs:\n    y (1.0)\n\n\
        PATH\n  remote: engines/a\n  specs:\n    a (0.1.0)\n      rails (>= 7)\n\n\
        GEM\n  remote: https://gems.example/\n  specs:\n    nokogiri (1.16.0-x86_64-linux)\n      racc (~> 1.4)\n    rails (7.1.2)\n\n\
        PLATFORMS\n  arm64-darwin-23\n  x86_64-linux\n\nDEPENDENCIES\n  a!\n  rails (~> 7.1)\n\n\
        RUBY VERSION\n   ruby 3.3.0p0\n\nBUNDLED WITH\n   2.5.3\n";

    #[test]
    fn sections_are_read() {
        let lock = Lock::parse(TEXT).unwrap();
        let gems: Vec<(&str, &str)> = lock
            .gems
            .iter()
            .map(|(name, version)| (name.as_str(), version.as_str()))
            .collect();
        assert_eq!(
            gems,
            [
                ("a", "0.1.0"),
                ("nokogiri", "1.16.0"),
                ("rails", "7.1.2"),
                ("y", "1.0")
            ]
        );
        assert!(lock.served && lock.git && lock.is_for_linux());
        assert_eq!(lock.path.as_deref(), Some("engines/a"));
        assert_eq!(lock.ruby, Some(("ruby 3.3.0p0".to_owned(), 29)));
        assert_eq!(lock.bundler.as_deref(), Some("2.5.3"));
        assert_eq!(lock.direct.into_iter().collect::<Vec<_>>(), ["a", "rails"]);
    }

    #[test]
    fn a_lock_for_macs_alone_is_not_for_linux_and_an_unfinished_merge_is_an_error() {
        assert!(
            !Lock::parse("PLATFORMS\n  arm64-darwin\n")
                .unwrap()
                .is_for_linux()
        );
        let error = Lock::parse("GEM\n<<<<<<< HEAD\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "Gemfile.lock:2:1: a merge is not finished"
        );
    }
}
