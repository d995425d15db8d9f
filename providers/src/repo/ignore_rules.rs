//! What stays out of the image: `.gitignore` (nested) and `.dockerignore` (at the root).
//!
//! The two differ. In .gitignore a pattern without a slash matches at any depth and nothing below an ignored directory
//! comes back. In .dockerignore every pattern starts at the root, the last match wins, and `!` brings back what lies
//! below an ignored directory (and here also what .gitignore ignores). Reading the files is for `repo.rs`.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use regex::bytes::{Regex, RegexBuilder};

/// Lines beyond this length, and files beyond this many patterns, are not honest ignore files.
const LINE_LIMIT: usize = 4096;
const PATTERN_LIMIT: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    Ignored,
}

/// The .gitignore rules that hold in one directory.
pub(crate) struct DirectoryRules {
    above: Option<Arc<DirectoryRules>>,
    own: Option<Gitignore>,
    /// Whether the directory itself is ignored, and with it all below.
    ignored: bool,
    pub(crate) warnings: Vec<String>,
}

impl DirectoryRules {
    pub(crate) fn new(above: Option<Arc<DirectoryRules>>, dir: &Path, text: Option<&str>) -> Self {
        let ignored = above
            .as_ref()
            .is_some_and(|above| above.verdict(dir, true) == Verdict::Ignored);
        let mut warnings = Vec::new();
        let own = text.filter(|_| !ignored).map(|text| {
            // The builder joins paths with its root; "/" stands for the repository's own.
            let mut builder = GitignoreBuilder::new(Path::new("/").join(dir));
            for (number, line) in text.lines().take(PATTERN_LIMIT).enumerate() {
                let added = if line.len() > LINE_LIMIT {
                    Err("line too long".to_owned())
                } else {
                    builder
                        .add_line(None, line)
                        .map(|_| ())
                        .map_err(|error| error.to_string())
                };
                if let Err(error) = added {
                    let file = dir.join(".gitignore");
                    warnings.push(format!(
                        "{}:{}: pattern not understood: {error}",
                        file.display(),
                        number + 1
                    ));
                }
            }
            builder.build()
        });
        let own = match own {
            Some(Ok(rules)) if !rules.is_empty() => Some(rules),
            Some(Err(error)) => {
                warnings.push(format!("{}: {error}", dir.join(".gitignore").display()));
                None
            }
            _ => None,
        };
        Self {
            above,
            own,
            ignored,
            warnings,
        }
    }

    /// The nearest file that says something decides.
    pub(crate) fn verdict(&self, path: &Path, directory: bool) -> Verdict {
        if self.ignored {
            return Verdict::Ignored;
        }
        let absolute = Path::new("/").join(path);
        let mut level = Some(self);
        while let Some(rules) = level {
            if let Some(own) = &rules.own {
                match own.matched(&absolute, directory) {
                    Match::Ignore(_) => return Verdict::Ignored,
                    Match::Whitelist(_) => return Verdict::Kept,
                    Match::None => {}
                }
            }
            level = rules.above.as_deref();
        }
        Verdict::Kept
    }
}

struct Pattern {
    regex: Regex,
    negated: bool,
    /// The pattern up to its first special character.
    literal: Vec<u8>,
}

/// The root's .dockerignore.
#[derive(Default)]
pub(crate) struct DockerIgnore {
    patterns: Vec<Pattern>,
    pub(crate) warnings: Vec<String>,
}

impl DockerIgnore {
    pub(crate) fn parse(text: &str) -> Self {
        let mut rules = Self::default();
        for (number, line) in text.lines().take(PATTERN_LIMIT).enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (negated, body) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim_start()),
                None => (false, line),
            };
            let body = clean(body);
            if body.is_empty() {
                continue;
            }
            match pattern(&body) {
                Some((regex, literal)) => rules.patterns.push(Pattern {
                    regex,
                    negated,
                    literal,
                }),
                None => rules.warnings.push(format!(
                    ".dockerignore:{}: pattern not understood",
                    number + 1
                )),
            }
        }
        rules
    }

    /// `None` when no pattern matches the path or a directory above it.
    pub(crate) fn verdict(&self, path: &Path) -> Option<Verdict> {
        let bytes = path.as_os_str().as_bytes();
        let last = self
            .patterns
            .iter()
            .rev()
            .find(|pattern| pattern.regex.is_match(bytes))?;
        Some(if last.negated {
            Verdict::Kept
        } else {
            Verdict::Ignored
        })
    }

    /// Whether a `!` pattern could match something below this directory.
    pub(crate) fn may_keep_below(&self, dir: &Path) -> bool {
        let mut prefix = dir.as_os_str().as_bytes().to_vec();
        prefix.push(b'/');
        let mut negated = self.patterns.iter().filter(|pattern| pattern.negated);
        negated.any(|pattern| {
            pattern.literal.starts_with(&prefix) || prefix.starts_with(&pattern.literal)
        })
    }
}

/// As Go's `filepath.Clean`, which Docker applies, for relative patterns: no leading slash, no `.`, no trailing slash.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The regular expression of a .dockerignore pattern, and its literal beginning. Matches the path and all below it.
fn pattern(text: &str) -> Option<(Regex, Vec<u8>)> {
    if text.len() > LINE_LIMIT {
        return None;
    }
    let literal = text
        .split(['*', '?', '[', '\\'])
        .next()
        .unwrap_or_default()
        .as_bytes()
        .to_vec();
    let mut regex = String::from("^");
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' if letters.next_if_eq(&'*').is_some() => {
                while letters.next_if_eq(&'*').is_some() {}
                let slash = letters.next_if_eq(&'/').is_some();
                regex.push_str(if slash { "(?:.*/)?" } else { ".*" });
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '\\' => regex.push_str(&regex::escape(&letters.next()?.to_string())),
            '[' => class(&mut letters, &mut regex)?,
            other => regex.push_str(&regex::escape(&other.to_string())),
        }
    }
    regex.push_str("(?:/.*)?$");
    let built = RegexBuilder::new(&regex)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(1 << 20)
        .build()
        .ok()?;
    Some((built, literal))
}

/// A character class: `[a-z]`, `[^a]`. `None` when it does not end.
fn class(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, regex: &mut String) -> Option<()> {
    regex.push('[');
    if letters.next_if_eq(&'^').is_some() {
        regex.push('^');
    }
    loop {
        match letters.next()? {
            ']' => break,
            '-' => regex.push('-'),
            '\\' => regex.push_str(&regex::escape(&letters.next()?.to_string())),
            other => regex.push_str(&regex::escape(&other.to_string())),
        }
    }
    regex.push(']');
    Some(())
}
