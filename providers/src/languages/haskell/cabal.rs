//! Reads the layout of a .cabal file: sections, their names, and fields by indentation.
//!
//! Conditions are read as if they held; common stanzas as if everybody imported them.

use std::collections::BTreeSet;

/// What a .cabal file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cabal {
    /// Names of `executable` sections, in their order.
    pub(super) executables: Vec<String>,
    /// Names of packages that libraries and executables are built with, this one and its parts aside.
    pub(super) dependencies: BTreeSet<String>,
    /// The first range of versions of `base`, GHC's own library, as npm writes it.
    pub(super) base: Option<String>,
}

impl Cabal {
    pub(super) fn parse(text: &str) -> Self {
        let mut cabal = Self::default();
        let mut own = String::new();
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
                let field = field.to_ascii_lowercase();
                if field == "name" && indentation == 0 {
                    value.trim().clone_into(&mut own);
                }
                if matches!(field.as_str(), "build-depends" | "build-tool-depends") && !tested {
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
        cabal.dependencies.remove(&own);
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
            if name == "base" && self.base.is_none() {
                let wish = one.trim().trim_start_matches("base");
                self.base = range(wish);
            }
            if !name.is_empty() {
                self.dependencies.insert(name);
            }
        }
    }
}

/// `>=4.7 && <5 || ^>=4.18.2.1` as npm writes it; none when there is no range, or no sense in it.
fn range(text: &str) -> Option<String> {
    let alternatives: Option<Vec<String>> = text.split("||").map(conditions).collect();
    let range = alternatives?.join(" || ");
    (!range.trim().is_empty()).then_some(range)
}

fn conditions(text: &str) -> Option<String> {
    let conditions: Option<Vec<String>> = text.split("&&").map(condition).collect();
    Some(conditions?.join(" "))
}

fn condition(text: &str) -> Option<String> {
    let text = text.trim();
    let end = text
        .find(|letter: char| letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (operator, version) = text.split_at(end);
    let numbers: Option<Vec<u64>> = version
        .trim_end_matches(".*")
        .split('.')
        .filter(|part| !part.is_empty())
        .take(3)
        .map(|part| part.trim().parse().ok())
        .collect();
    let numbers = numbers?;
    let written: Vec<String> = numbers.iter().map(u64::to_string).collect();
    let written = written.join(".");
    match (operator.trim(), numbers.as_slice()) {
        ("", []) => Some(String::new()),
        // The first two numbers are the major version.
        ("^>=", [first, second, ..]) => {
            let next = second.saturating_add(1);
            Some(format!(">={written} <{first}.{next}"))
        }
        (operator @ (">" | ">=" | "<" | "<="), [_, ..]) => Some(format!("{operator}{written}")),
        ("==", [_, ..]) => Some(written),
        _ => None,
    }
}

/// The compiler that cabal.project names: `with-compiler: ghc-9.6.6`, and its line.
pub(super) fn compiler(text: &str) -> Option<(&str, usize)> {
    text.lines().enumerate().find_map(|(index, line)| {
        let (name, value) = field(line.trim_end())?;
        let named = name.eq_ignore_ascii_case("with-compiler");
        named.then(|| (value.trim(), index + 1))
    })
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
        assert_eq!(cabal.base.as_deref(), Some(">=4 <5"));
    }

    #[test]
    fn a_program_of_its_own_library_depends_on_nothing_else() {
        // As `cabal init --libandexe` writes it.
        let cabal = Cabal::parse(
            "cabal-version:      3.0\nname:               shop\n\ncommon warnings\n    ghc-options: -Wall\n\nlibrary\n    import:           warnings\n    build-depends:    base ^>=4.18.2.1\n\nexecutable shop\n    build-depends:\n        base ^>=4.18.2.1,\n        shop\n    build-tool-depends: alex:alex\n",
        );
        assert_eq!(Vec::from_iter(cabal.dependencies), ["alex", "base"]);
        assert_eq!(cabal.base.as_deref(), Some(">=4.18.2 <4.19"));
    }

    #[test]
    fn ranges_are_written_as_npm_writes_them() {
        for (text, expected) in [
            ("", None),
            (" >= 4.7 && < 5", Some(">=4.7 <5")),
            ("== 4.*", Some("4")),
            (
                "^>=4.18 || ^>=4.19.1.0",
                Some(">=4.18 <4.19 || >=4.19.1 <4.20"),
            ),
            ("-any", None),
            ("{>=4}", None),
        ] {
            assert_eq!(range(text).as_deref(), expected, "{text}");
        }
        assert_eq!(
            compiler("packages: .\nwith-compiler: ghc-9.4.7\n"),
            Some(("ghc-9.4.7", 2))
        );
    }
}
