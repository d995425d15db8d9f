//! Which source has which tool, and what the names of nixpkgs mean here.
//!
//! Plans ask for tools (`nodejs@22`) and people write nixpkgs attributes (`nodejs_20`, `ffmpeg`);
//! this table says what they become. Versions are chosen elsewhere.

mod debian;
mod suited;

use super::EnvironmentError;
use super::toolchain::{TOOLCHAINS, Toolchain, named};
use debian::DEBIAN;
pub use suited::{NEWER_WILL_DO, SUITED, Suited};

/// What one entry of a plan becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A toolchain in a range of versions, empty for any.
    Toolchain(&'static Toolchain, String),
    /// A tool of Debian's in a range of versions; its version decides the suite.
    Suited(&'static str, String),
    /// Debian packages; the first of each group that the suite has.
    Debian(Vec<Vec<String>>),
    /// Always there.
    Nothing,
}

/// Known tools that no source here has, and what to do.
const ELSEWHERE: &[(&str, &str)] = &[
    ("dart", FETCH_IT),
    ("dotnet-aspnetcore", FETCH_IT),
    ("dotnet-runtime", FETCH_IT),
    ("dotnet-sdk", FETCH_IT),
    ("gleam", FETCH_IT),
    ("stack", FETCH_IT),
];

const FETCH_IT: &str =
    "fetch it in the commands of phases.setup in nixpacks.toml, and leave it out of nixPkgs there";

/// Attributes that every root has already.
const ALWAYS: [&str; 11] = [
    "bash",
    "bashInteractive",
    "cacert",
    "coreutils",
    "findutils",
    "glibc",
    "gnugrep",
    "gnused",
    "gawk",
    "gzip",
    "stdenv.cc.cc.lib",
];

/// What a plan's entry (`nodejs@22`, `nodejs_20`, `ffmpeg`) becomes.
pub fn needs(entry: &str) -> Result<Need, EnvironmentError> {
    let entry = entry.trim();
    let attribute = entry.strip_prefix("pkgs.").unwrap_or(entry);
    let alias = ALIASES.iter().find(|(name, _)| *name == attribute);
    let attribute = alias.map_or(attribute, |(_, tool)| *tool);
    let (name, range) = attribute
        .split_once('@')
        .map_or((attribute, None), |(n, r)| (n, Some(r.trim())));
    let wish = || range.unwrap_or_default().to_owned();
    if let Some(tool) = named(name) {
        return Ok(Need::Toolchain(tool, wish()));
    }
    if let Some(row) = SUITED.iter().find(|row| row.tool == name) {
        return Ok(Need::Suited(row.tool, wish()));
    }
    if range.is_none()
        && let Some(need) = versioned_attribute(name)
    {
        return Ok(need);
    }
    if ALWAYS.contains(&name) {
        return Ok(Need::Nothing);
    }
    if let Some((tool, remedy)) = ELSEWHERE.iter().find(|(tool, _)| *tool == name) {
        return Err(EnvironmentError::Elsewhere {
            tool: (*tool).to_owned(),
            remedy,
        });
    }
    match DEBIAN.iter().find(|(attribute, _)| *attribute == name) {
        Some((_, _))
            if range
                .is_some_and(|range| !range.is_empty() && range != "*" && range != "latest") =>
        {
            Err(EnvironmentError::NoVersion {
                tool: name.to_owned(),
                range: range.unwrap_or_default().to_owned(),
                available: "Debian has one version in each suite; ask for it without a version"
                    .to_owned(),
            })
        }
        Some((_, "")) => Ok(Need::Nothing),
        Some((_, packages)) => Ok(Need::Debian(
            packages
                .split(' ')
                .map(|group| group.split('|').map(str::to_owned).collect())
                .collect(),
        )),
        None => Err(EnvironmentError::Unknown {
            kind: "tool or package".to_owned(),
            name: name.to_owned(),
            nearest: nearest(name, names()),
        }),
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    TOOLCHAINS
        .iter()
        .map(|tool| tool.name)
        .chain(SUITED.iter().map(|row| row.tool))
        .chain(DEBIAN.iter().map(|(name, _)| *name))
        .chain(ALWAYS)
}

/// Attributes of nixpkgs that plans name as they are.
pub(super) fn plain_attributes() -> impl Iterator<Item = &'static str> {
    DEBIAN.iter().map(|(name, _)| *name)
}

/// The tools that plans name with a range of versions, whoever has them.
#[cfg(test)]
pub(super) fn tools() -> impl Iterator<Item = &'static str> {
    TOOLCHAINS
        .iter()
        .map(|tool| tool.name)
        .chain(SUITED.iter().map(|row| row.tool))
        .chain(ELSEWHERE.iter().map(|(tool, _)| *tool))
}

/// Names of nixpkgs for toolchains, as an entry of a plan.
const ALIASES: &[(&str, &str)] = &[
    ("nodePackages.npm", "npm"),
    ("nodePackages.pnpm", "pnpm"),
    ("nodePackages.yarn", "yarn"),
    ("nodejs-slim", "nodejs"),
    ("yarn-berry", "yarn@>=2"),
];

/// `nodejs_20`, `nodejs-18_x`, `pnpm-9_x`, `go_1_24`: a toolchain, a separator, numbers.
fn versioned_toolchain(name: &str) -> Option<Need> {
    let split = name
        .find(['_', '-'])
        .or_else(|| name.find(char::is_numeric))?;
    let (tool, rest) = name.split_at_checked(split)?;
    let rest = rest.trim_start_matches(['_', '-']);
    let numbers = rest.strip_suffix("_x").unwrap_or(rest);
    let tool = named(tool)?;
    let legal = numbers
        .split('_')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    legal.then(|| Need::Toolchain(tool, numbers.replace('_', ".")))
}

/// `python311`, `python312Full`, `gcc13`, `postgresql_16`, and toolchains with a version.
fn versioned_attribute(name: &str) -> Option<Need> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let plain = name.replacen("nodejs-slim_", "nodejs_", 1);
    if let Some(need) = versioned_toolchain(&plain) {
        return Some(need);
    }
    if let Some(rest) = name.strip_prefix("python") {
        let version = rest.trim_end_matches("Full").trim_end_matches("Minimal");
        return match version.split_at_checked(1) {
            Some((major @ ("2" | "3"), "")) => Some(Need::Suited("python", major.to_owned())),
            Some(("3", minor)) if digits(minor) => {
                Some(Need::Suited("python", format!("3.{minor}")))
            }
            _ => None,
        };
    }
    if let Some(rest) = name.strip_prefix("php") {
        return php_attribute(rest);
    }
    if let Some(version) = name.strip_prefix("ruby_") {
        return version
            .split('_')
            .all(digits)
            .then(|| Need::Suited("ruby", version.replace('_', ".")));
    }
    if let Some(version) = name.strip_prefix("jdk").filter(|version| digits(version)) {
        return Some(Need::Suited("jdk", version.to_owned()));
    }
    let debian = |package: String| Some(Need::Debian(vec![vec![package]]));
    if let Some(major) = name
        .strip_prefix("postgresql_")
        .filter(|major| digits(major))
    {
        return debian(format!("postgresql-client-{major}"));
    }
    if let Some(major) = name.strip_prefix("gcc").filter(|major| digits(major)) {
        return debian(format!("g++-{major}"));
    }
    name.strip_prefix("openssl_")
        .and_then(|_| debian("openssl".to_owned()))
}

/// What follows `php`: `83`, `83Packages.composer`, `83Extensions.redis`.
fn php_attribute(rest: &str) -> Option<Need> {
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, member) = rest.split_at(end);
    if let Some(tool) = member.strip_prefix("Packages.") {
        return (tool == "composer").then(|| needs(tool).ok()).flatten();
    }
    if let Some(extension) = member.strip_prefix("Extensions.") {
        return needs(&format!("php-ext-{extension}")).ok();
    }
    let (major, minor) = digits.split_at_checked(1)?;
    (member.is_empty() && !minor.is_empty())
        .then(|| Need::Suited("php", format!("{major}.{minor}")))
}

/// Up to three names that look like `name`, best first.
pub(super) fn nearest<'a>(name: &str, among: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = among
        .filter(|other| other.len().abs_diff(name.len()) <= 12)
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .filter(|(score, _)| *score > 0.84)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored
        .into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(name: &str, range: &str) -> Need {
        Need::Toolchain(named(name).unwrap(), range.to_owned())
    }

    #[test]
    fn tools_keep_their_range() {
        assert_eq!(needs("nodejs@22").unwrap(), toolchain("nodejs", "22"));
        assert_eq!(needs("go@>=1.21").unwrap(), toolchain("go", ">=1.21"));
        assert_eq!(
            needs("python@~3.12").unwrap(),
            Need::Suited("python", "~3.12".to_owned())
        );
        assert_eq!(needs("uv").unwrap(), toolchain("uv", ""));
    }

    #[test]
    fn attributes_of_nixpkgs_become_tools() {
        for (attribute, need) in [
            ("nodejs_20", toolchain("nodejs", "20")),
            ("nodejs-18_x", toolchain("nodejs", "18")),
            ("nodejs-slim", toolchain("nodejs", "")),
            ("nodejs-slim_22", toolchain("nodejs", "22")),
            ("npm-9_x", toolchain("npm", "9")),
            ("pnpm_9", toolchain("pnpm", "9")),
            ("yarn-berry", toolchain("yarn", ">=2")),
            ("python311", Need::Suited("python", "3.11".to_owned())),
            ("python312Full", Need::Suited("python", "3.12".to_owned())),
            ("python3", Need::Suited("python", "3".to_owned())),
            ("go_1_24", toolchain("go", "1.24")),
            ("zig_0_13", toolchain("zig", "0.13")),
            ("php84", Need::Suited("php", "8.4".to_owned())),
            ("ruby_3_3", Need::Suited("ruby", "3.3".to_owned())),
            (
                "php84Extensions.redis",
                Need::Debian(vec![vec!["php-redis".to_owned()]]),
            ),
            ("pkgs.cacert", Need::Nothing),
        ] {
            assert_eq!(needs(attribute).unwrap(), need, "{attribute}");
        }
    }

    #[test]
    fn alternatives_of_suites_stay_alternatives() {
        let Need::Debian(groups) = needs("nginx").unwrap() else {
            panic!()
        };
        assert_eq!(groups, [vec!["nginx-light".to_owned(), "nginx".to_owned()]]);
    }

    #[test]
    fn an_unknown_name_tells_the_nearest_ones() {
        let error = needs("imagemagik").unwrap_err().to_string();
        assert!(error.contains("did you mean imagemagick"), "{error}");
    }

    #[test]
    fn a_tool_that_nobody_here_has_is_said_with_what_to_do() {
        let error = needs("dotnet-sdk@10").unwrap_err();
        assert!(matches!(error, EnvironmentError::Elsewhere { .. }));
        assert_eq!(
            error.to_string(),
            "dotnet-sdk is in neither Debian nor a language registry"
        );
    }

    #[test]
    fn a_version_of_a_plain_package_is_refused() {
        assert!(matches!(
            needs("ffmpeg@5"),
            Err(EnvironmentError::NoVersion { .. })
        ));
    }

    #[test]
    fn every_entry_of_the_table_is_sorted_and_resolves() {
        assert!(DEBIAN.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (name, _) in DEBIAN {
            assert!(needs(name).is_ok(), "{name}");
            assert!(
                SUITED.iter().all(|row| row.tool != *name),
                "{name} is twice"
            );
        }
    }

    #[test]
    fn every_extension_of_php_is_a_package() {
        for extension in packwright_providers::languages::php::extensions::SEPARATE {
            assert!(
                needs(&format!("php-ext-{extension}")).is_ok(),
                "{extension}"
            );
        }
    }

    #[test]
    fn every_version_of_a_suite_is_one_of_a_suite_that_there_is() {
        for row in SUITED {
            assert!(
                super::super::debian::SUITES.contains(&row.suite),
                "{}",
                row.suite
            );
            assert!(nodejs_semver::Version::parse(row.version).is_ok());
        }
    }
}
