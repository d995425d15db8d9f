//! GHC's versions by those of its own library, which each package names a range of.

use nodejs_semver::Range;

use super::releases;

/// The line of `base` that each line of GHC brings. Source: the release notes of GHC.
const BASES: &[(&str, &str)] = &[
    ("9.12", "4.21"),
    ("9.10", "4.20"),
    ("9.8", "4.19"),
    ("9.6", "4.18"),
    ("9.4", "4.17"),
    ("9.2", "4.16"),
    ("9.0", "4.15"),
];

/// The best line of GHC whose `base` is in a range; none when the range says nothing of these lines.
pub(crate) fn ghc_of_base(range: &str) -> Option<&'static str> {
    let wish = Range::parse(range).ok()?;
    let allowed = |line: &&str| {
        let base = BASES.iter().find(|(ghc, _)| ghc == line);
        let base = base.and_then(|(_, base)| Range::parse(base).ok());
        base.is_some_and(|base| wish.allows_any(&base))
    };
    releases::of("ghc").by_preference().find(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_best_where_it_is_allowed() {
        for (range, line) in [
            (">=4.7 <5", Some("9.6")),
            (">=4.18.2 <4.19", Some("9.6")),
            ("<4.18", Some("9.4")),
            (">=4.19", Some("9.12")),
            (">=5", None),
        ] {
            assert_eq!(ghc_of_base(range), line, "{range}");
        }
        let lines = releases::of("ghc").lines.iter().map(|line| line.name);
        assert!(lines.eq(BASES.iter().map(|(line, _)| *line)));
    }
}
