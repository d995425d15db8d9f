//! Reads the layout of a .cabal file: sections, their names, and fields by indentation.
//!
//! Conditions are read as if they held; common stanzas as if everybody imported them.

use std::collections::BTreeSet;

/// What a .cabal file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cabal {
    /// Names of `executable` sections, in their order.
    pub(super) executables: Vec<String>,
    /// Names of packages in `build-depends` of libraries and executables.
    pub(super) dependencies: BTreeSet<String>,
}

impl Cabal {
    pub(super) fn parse(text: &str) -> Self {
        let mut cabal = Self::default();
        let mut tested = false;
        // The indentation of the `build-depends` that is being read.
        let mut depends: Option<usize> = None;
        for line in text.lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with("--") {
                continue;
            }
            let indentation = line.len() - line.trim_start().len();
            if depends.is_some_and(|field| indentation > field) {
                cabal.depend(trimmed);
                continue;
            }
            depends = None;
            if let Some((field, value)) = field(trimmed) {
                if field.eq_ignore_ascii_case("build-depends") && !tested {
                    depends = Some(indentation);
                    cabal.depend(value);
                }
            } else if indentation == 0 {
                let mut words = trimmed.split_whitespace();
                let kind = words.next().unwrap_or_default().to_ascii_lowercase();
                tested = matches!(kind.as_str(), "test-suite" | "benchmark");
                if kind == "executable"
                    && let Some(name) = words.next()
                {
                    cabal.executables.push(name.to_owned());
                }
            }
        }
        cabal
    }

    /// Takes the names of `base >=4 && <5, text, pkg:{lib, other}`.
    fn depend(&mut self, text: &str) {
        for one in text.split(',') {
            let name: String = one
                .trim()
                .chars()
                .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '-')
                .collect();
            if !name.is_empty() {
                self.dependencies.insert(name);
            }
        }
    }
}

/// `name: value`; a section's line has no colon after its first word.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let word = name
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    (word && !name.is_empty()).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_dependencies_are_told_apart() {
        let cabal = Cabal::parse(
            "cabal-version: 2.4\nname: a\n\nexecutable a-exe\n  main-is: Main.hs\n  -- build-depends: gone\n  Build-Depends: base >=4 && <5,\n                 text\n    , warp ^>=3\n  ghc-options: -O2\n\ntest-suite spec\n  build-depends: hspec\n",
        );
        assert_eq!(cabal.executables, ["a-exe"]);
        assert_eq!(Vec::from_iter(cabal.dependencies), ["base", "text", "warp"]);
    }
}
