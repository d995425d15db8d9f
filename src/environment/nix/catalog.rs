//! Which attribute of nixpkgs a tool of a plan is.
//!
//! Plans name tools (`nodejs@22`) and attributes (`ffmpeg`). A tool has one attribute for each line of
//! versions; which of them a nixpkgs has, and in which version, is asked of that nixpkgs. Everything
//! that this table can write into an expression is listed by [`attributes`].

use std::collections::BTreeSet;

use nodejs_semver::{Range, Version};

use super::{Attribute, php};
use crate::environment::EnvironmentError;
use crate::environment::lock::parse_range;

/// A tool of plans.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    /// Its name in plans.
    pub(crate) name: &'static str,
    /// How many numbers of a version name a line that stays compatible: 1 for Node.js, 2 for Python.
    pub(crate) line: usize,
    /// Attributes that have it, the one for any version last.
    pub(crate) attributes: &'static [&'static str],
    /// Attributes that come along with each of them.
    pub(crate) with: &'static [&'static str],
}

const fn tool(name: &'static str, line: usize, attributes: &'static [&'static str]) -> Tool {
    Tool {
        name,
        line,
        attributes,
        with: &[],
    }
}

/// By name. Source: nixpkgs of the releases 23.11 to 26.05; a set need not have all of an entry.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    tool("bun", 1, &["bun"]),
    tool("caddy", 1, &["caddy"]),
    tool("clojure", 1, &["clojure"]),
    Tool { with: &["shards"], ..tool("crystal", 2, &["crystal_1_11", "crystal_1_14", "crystal_1_15", "crystal_1_16", "crystal"]) },
    tool("dart", 1, &["dart"]),
    tool("deno", 1, &["deno"]),
    tool("dotnet-aspnetcore", 1, &["dotnet-aspnetcore_6", "dotnet-aspnetcore_8", "dotnet-aspnetcore_9", "dotnet-aspnetcore_10", "dotnet-aspnetcore"]),
    tool("dotnet-runtime", 1, &["dotnet-runtime_6", "dotnet-runtime_8", "dotnet-runtime_9", "dotnet-runtime_10", "dotnet-runtime"]),
    tool("dotnet-sdk", 1, &["dotnet-sdk_6", "dotnet-sdk_8", "dotnet-sdk_9", "dotnet-sdk_10", "dotnet-sdk"]),
    tool("elixir", 2, &["elixir_1_14", "elixir_1_15", "elixir_1_16", "elixir_1_17", "elixir_1_18", "elixir_1_19", "elixir"]),
    tool("erlang", 1, &["erlang_24", "erlang_25", "erlang_26", "erlang_27", "erlang_28", "erlang"]),
    tool("ghc", 2, &["haskell.compiler.ghc94", "haskell.compiler.ghc96", "haskell.compiler.ghc98", "haskell.compiler.ghc910", "haskell.compiler.ghc912", "ghc"]),
    tool("gleam", 1, &["gleam"]),
    tool("go", 2, &["go_1_19", "go_1_20", "go_1_21", "go_1_22", "go_1_23", "go_1_24", "go_1_25", "go_1_26", "go"]),
    tool("gradle", 1, &["gradle_6", "gradle_7", "gradle_8", "gradle_9", "gradle"]),
    tool("haunt", 1, &["haunt"]),
    tool("jdk", 1, &["jdk8", "jdk11", "jdk17", "jdk21", "jdk25", "jdk"]),
    tool("jre", 1, &["temurin-jre-bin-8", "temurin-jre-bin-11", "temurin-jre-bin-17", "temurin-jre-bin-21", "temurin-jre-bin-25", "temurin-jre-bin"]),
    tool("lua", 2, &["lua5_1", "lua5_2", "lua5_3", "lua5_4", "lua5_5", "lua"]),
    tool("nodejs", 1, &["nodejs_16", "nodejs_18", "nodejs_20", "nodejs_22", "nodejs_24", "nodejs_25", "nodejs_26", "nodejs"]),
    tool("npm", 1, &["nodePackages.npm"]),
    tool("ocaml", 2, &["ocaml-ng.ocamlPackages_4_14.ocaml", "ocaml-ng.ocamlPackages_5_1.ocaml", "ocaml-ng.ocamlPackages_5_2.ocaml", "ocaml-ng.ocamlPackages_5_3.ocaml", "ocaml"]),
    tool("pdm", 1, &["pdm"]),
    tool("perl", 1, &["perl"]),
    tool("php", 2, &["php81", "php82", "php83", "php84", "php85", "php"]),
    tool("pipenv", 1, &["pipenv"]),
    tool("pnpm", 1, &["pnpm_8", "pnpm_9", "pnpm_10", "pnpm"]),
    tool("poetry", 1, &["poetry"]),
    tool("python", 2, &["python27", "python38", "python39", "python310", "python311", "python312", "python313", "python314", "python315", "python3"]),
    tool("ruby", 2, &["ruby_3_1", "ruby_3_2", "ruby_3_3", "ruby_3_4", "ruby_4_0", "ruby"]),
    Tool { with: &["cargo", "gcc"], ..tool("rust", 1, &["rustc"]) },
    tool("sbt", 1, &["sbt"]),
    tool("stack", 1, &["stack"]),
    Tool { with: &["swiftpm"], ..tool("swift", 1, &["swift"]) },
    tool("uv", 1, &["uv"]),
    tool("yarn", 1, &["yarn", "yarn-berry_3", "yarn-berry_4", "yarn-berry"]),
    tool("zig", 2, &["zig_0_11", "zig_0_12", "zig_0_13", "zig_0_14", "zig_0_15", "zig_0_16", "zig"]),
];

/// Entries of plans that are called otherwise in nixpkgs; sorted.
#[rustfmt::skip]
const CALLED: &[(&str, &str)] = &[
    ("cpanminus", "perlPackages.Appcpanminus"),
    ("dune", "dune_3"),
    ("libclang", "llvmPackages.libclang"),
    ("libmagic", "file"),
    ("libmagickwand", "imagemagick"),
    ("libudev", "udev"),
    ("libvips", "vips"),
    ("mariadb-client", "mariadb.client"),
    ("netcat", "netcat-openbsd"),
    ("poppler_utils", "poppler-utils"),
];

/// What every environment has beside what is asked for; of the first set.
pub(super) const SHELL: [&str; 5] = ["bash", "coreutils", "findutils", "gnugrep", "gnused"];

/// What phases have beside that.
pub(super) const FOR_PHASES: [&str; 5] = ["diffutils", "gawk", "gnutar", "gzip", "which"];

/// What programs and wheels that were built elsewhere load, and what the root's links point to.
const FOUNDATION: [&str; 4] = ["cacert", "glibc", "stdenv.cc.cc.lib", "zlib"];

/// What providers ask for and only nixpkgs has.
const NOWHERE_ELSE: [&str; 1] = ["lunatic"];

/// What one entry of a plan asks of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Want {
    /// A tool in a range of versions, empty for any.
    Tool(&'static Tool, String),
    /// What it says, whatever its version.
    Exactly(Attribute),
    /// An extension or a tool of the PHP that is chosen.
    OfPhp(String),
    /// It comes with another tool.
    Nothing,
}

/// What a plan's entry asks for.
pub(super) fn want(entry: &str) -> Result<Want, EnvironmentError> {
    let entry = entry.trim();
    if entry.starts_with('(') && entry.ends_with(')') {
        return Ok(Want::Exactly(Attribute::Text(entry.to_owned())));
    }
    let entry = entry.strip_prefix("pkgs.").unwrap_or(entry);
    let (name, range) = entry
        .split_once('@')
        .map_or((entry, None), |(name, range)| (name, Some(range.trim())));
    if let Some(part) = php::part(name).filter(|_| range.is_none()) {
        return Ok(Want::OfPhp(part));
    }
    let found = TOOLS.iter().find(|tool| tool.name == name);
    match (found, range) {
        // The npm that comes with Node.js, and the library that comes with Python.
        (Some(tool), None | Some("")) if tool.name == "npm" => Ok(Want::Nothing),
        (None, None) if name == "libpython" => Ok(Want::Nothing),
        (Some(tool), range) => Ok(Want::Tool(tool, range.unwrap_or_default().to_owned())),
        (None, Some(range)) if !["", "*", "latest"].contains(&range) => Err(EnvironmentError::NoVersion {
            tool: name.to_owned(),
            range: range.to_owned(),
            available: "a nixpkgs has one version of it: ask for it without a version, and name another nixpkgs with nixpkgsArchive".to_owned(),
        }),
        (None, _) => Ok(Want::Exactly(Attribute::Path(called(name)?))),
    }
}

/// The attribute of nixpkgs for an entry: `openssl.dev` stays, `dune` is `dune_3`.
fn called(name: &str) -> Result<String, EnvironmentError> {
    let legal = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "_-+'".contains(letter))
    };
    if !name.split('.').all(legal) {
        return Err(EnvironmentError::Unknown {
            kind: "package of nixpkgs".to_owned(),
            name: name.to_owned(),
            nearest: Vec::new(),
        });
    }
    let (base, output) = split_output(name);
    let base = CALLED
        .iter()
        .find(|(entry, _)| *entry == base)
        .map_or(base, |(_, attribute)| attribute);
    Ok(output.map_or_else(|| base.to_owned(), |output| format!("{base}.{output}")))
}

/// `openssl.dev` is the output `dev` of `openssl`. A package without that output gives what it has.
pub(super) fn split_output(attribute: &str) -> (&str, Option<&str>) {
    const OUTPUTS: [&str; 6] = ["bin", "dev", "lib", "man", "out", "static"];
    match attribute.rsplit_once('.') {
        Some((base, output)) if OUTPUTS.contains(&output) && base != "stdenv.cc.cc" => {
            (base, Some(output))
        }
        _ => (attribute, None),
    }
}

/// A version that may have more or fewer numbers than three, and letters behind.
pub(super) fn version(text: &str) -> Option<Version> {
    let numbers = |part: &str| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().ok()
    };
    let mut parts = text.split(['.', '+', '-', 'p']).map_while(numbers);
    let major = parts.next()?;
    Some(Version::from((
        major,
        parts.next().unwrap_or(0),
        parts.next().unwrap_or(0),
    )))
}

/// How well a version meets a range, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// The range has it.
    Exact,
    /// The range has another version of the same line.
    SameLine,
}

/// How a version of a tool meets all of some ranges, if it does.
pub(super) fn fit(tool: &Tool, version: &Version, ranges: &[Range]) -> Option<Fit> {
    if ranges.iter().all(|range| range.satisfies(version)) {
        return Some(Fit::Exact);
    }
    let line = match tool.line {
        1 => version.major().to_string(),
        _ => format!("{}.{}", version.major(), version.minor()),
    };
    let line = Range::parse(line).ok()?;
    ranges
        .iter()
        .all(|range| range.allows_any(&line))
        .then_some(Fit::SameLine)
}

/// The best of some candidates, each an attribute and its version: of those that fit best the
/// newest, of these the first.
pub(super) fn choose<'a>(
    tool: &Tool,
    ranges: &[Range],
    candidates: &[(&'a str, String)],
) -> Option<(&'a str, String, Fit)> {
    let mut best: Option<(Fit, Version, &'a str, &String)> = None;
    for (attribute, text) in candidates {
        let Some(version) = version(text) else {
            continue;
        };
        let Some(fit) = fit(tool, &version, ranges) else {
            continue;
        };
        let better = best.as_ref().is_none_or(|(other_fit, other, _, _)| {
            fit < *other_fit || (fit == *other_fit && version > *other)
        });
        if better {
            best = Some((fit, version, attribute, text));
        }
    }
    best.map(|(fit, _, attribute, text)| (attribute, text.clone(), fit))
}

/// The range of an entry; for Yarn, which has two programs of one name, none means the first.
pub(super) fn range(tool: &Tool, text: &str) -> Result<Range, EnvironmentError> {
    let text = if tool.name == "yarn" && text.is_empty() {
        "1"
    } else {
        text
    };
    parse_range(tool.name, text)
}

/// Every attribute that an expression for a plan of a provider's can have, sorted.
pub(crate) fn attributes() -> BTreeSet<String> {
    let tools = TOOLS
        .iter()
        .flat_map(|tool| tool.attributes.iter().chain(tool.with));
    let always = [&SHELL[..], &FOR_PHASES, &FOUNDATION, &NOWHERE_ELSE].concat();
    let asked = super::super::catalog::plain_attributes();
    let asked = asked.filter_map(|entry| match want(entry) {
        Ok(Want::Exactly(Attribute::Path(path))) => Some(path),
        Ok(Want::OfPhp(part)) => Some(format!("php.{part}")),
        _ => None,
    });
    tools
        .chain(&always)
        .map(|name| (*name).to_owned())
        .chain(asked)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> &'static Tool {
        TOOLS.iter().find(|tool| tool.name == name).unwrap()
    }

    fn chosen(name: &str, asked: &str, versions: &[&str]) -> Option<(String, Fit)> {
        let candidates: Vec<(&str, String)> = versions
            .iter()
            .map(|version| ("x", (*version).to_owned()))
            .collect();
        let ranges = [range(named(name), asked).unwrap()];
        choose(named(name), &ranges, &candidates).map(|(_, version, fit)| (version, fit))
    }

    #[test]
    fn the_tables_are_sorted_and_every_tool_ends_with_any_version() {
        assert!(TOOLS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(CALLED.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for tool in TOOLS {
            assert!(!tool.attributes.is_empty() && (1..=2).contains(&tool.line));
        }
    }

    #[test]
    fn every_tool_of_the_other_sources_is_in_the_table() {
        for name in super::super::super::catalog::tools() {
            assert!(TOOLS.iter().any(|tool| tool.name == name), "{name}");
        }
    }

    #[test]
    fn the_newest_version_of_a_range_is_chosen() {
        let versions = ["20.19.0", "22.20.0", "24.1.0"];
        assert_eq!(
            chosen("nodejs", "22", &versions),
            Some(("22.20.0".to_owned(), Fit::Exact))
        );
        assert_eq!(chosen("nodejs", ">=20", &versions).unwrap().0, "24.1.0");
        assert_eq!(
            chosen("jdk", "17", &["17.0.12+7", "21.0.4"]).unwrap().0,
            "17.0.12+7"
        );
    }

    #[test]
    fn another_version_stands_in_within_its_line_and_never_across() {
        let versions = ["22.20.0", "24.1.0"];
        assert_eq!(
            chosen("nodejs", "22.3.1", &versions),
            Some(("22.20.0".to_owned(), Fit::SameLine))
        );
        assert_eq!(chosen("nodejs", "23", &versions), None);
        assert_eq!(
            chosen("python", "3.12.1", &["3.12.8", "3.13.0"]).unwrap().0,
            "3.12.8"
        );
        assert_eq!(chosen("python", "3.9", &["3.12.8", "3.13.0"]), None);
    }

    #[test]
    fn attributes_stay_and_texts_that_are_none_are_refused() {
        let path = |entry: &str| match want(entry).unwrap() {
            Want::Exactly(Attribute::Path(path)) => path,
            other => panic!("{entry}: {other:?}"),
        };
        for name in [
            "ffmpeg",
            "openssl.dev",
            "python311Packages.pip",
            "stdenv.cc.cc.lib",
            "nodejs_18",
            "npm-9_x",
        ] {
            assert_eq!(path(name), name);
        }
        assert_eq!(path("pkgs.dune"), "dune_3");
        assert_eq!(path("libudev.dev"), "udev.dev");
        assert_eq!(want("npm").unwrap(), Want::Nothing);
        assert!(matches!(
            want("(python3.withPackages (p: [ p.pip ]))").unwrap(),
            Want::Exactly(Attribute::Text(_))
        ));
        for wrong in ["a b", "x;y", "${x}", "", "a..b", "\"x\""] {
            assert!(
                matches!(want(wrong), Err(EnvironmentError::Unknown { .. })),
                "{wrong}"
            );
        }
        assert!(matches!(
            want("ffmpeg@5"),
            Err(EnvironmentError::NoVersion { .. })
        ));
    }

    /// What the plans of all examples ask for, by phase and start.
    fn asked_by_examples() -> BTreeSet<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/providers/tests/snapshots");
        let mut asked = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            // Behind what was detected.
            let Some(start) = text.find("\n{") else {
                continue;
            };
            let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter();
            let plan: serde_json::Value = values.next().unwrap().unwrap();
            let phases = plan["phases"].as_object().into_iter().flatten();
            for table in phases.map(|(_, phase)| phase).chain([&plan["start"]]) {
                let lists = [&table["nixPkgs"], &table["nixLibs"]];
                let entries = lists.into_iter().filter_map(|list| list.as_array());
                let entries = entries.flatten().filter_map(|entry| entry.as_str());
                asked.extend(entries.map(str::to_owned));
            }
        }
        asked
    }

    #[test]
    fn what_plans_of_examples_ask_for_is_listed() {
        let (asked, all) = (asked_by_examples(), attributes());
        assert!(asked.len() > 50, "{asked:?}");
        let unlisted = |entry: &String| match want(entry).unwrap() {
            Want::Exactly(Attribute::Path(path)) => !all.contains(&path),
            Want::Tool(tool, text) => range(tool, &text).is_err(),
            Want::OfPhp(part) => !all.contains(&format!("php.{part}")),
            Want::Exactly(_) | Want::Nothing => false,
        };
        let missing: Vec<_> = asked.into_iter().filter(unlisted).collect();
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn everything_that_can_be_written_is_listed() {
        let all = attributes();
        for name in [
            "nodejs_22",
            "rustc",
            "cargo",
            "glibc",
            "ffmpeg",
            "openssl.dev",
            "php.extensions.redis",
            "php.packages.composer",
        ] {
            assert!(all.contains(name), "{name}");
        }
    }
}
