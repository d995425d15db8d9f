//! The lock: exact packages and toolchains for a request, and how a request becomes one.
//!
//! Two builds of one lock make the same trees. A lock names registries by kind and artifacts by
//! hash, never a host, so that it holds on machines with other mirrors.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nodejs_semver::{Range, Version};
use serde::{Deserialize, Serialize};

use super::catalog::{NEWER_WILL_DO, Need, SUITED, Suited, needs};
use super::debian::index::{Index, Package};
use super::debian::resolver::{self, Given};
use super::debian::{self, SUITES};
use super::http::Client;
use super::toolchain::{self, Asking, Toolchain};
use super::{Context, EnvironmentError, EnvironmentRequest, Sources};
use crate::cache::{Cache, Key, Kind};
use crate::report::{Event, Report, Step};

/// How long a resolution stands before the archives are asked again.
pub(super) const FRESH: Duration = Duration::from_secs(24 * 3600);
/// Of the lock's form and of the rules that make it.
const FORMAT: u32 = 1;

/// Every package and toolchain of an environment of Debian's, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedDebian {
    /// The form of this lock.
    pub format: u32,
    /// Debian's suite: `trixie`.
    pub suite: String,
    /// Debian's name of the architecture: `amd64`.
    pub architecture: String,
    /// The root that phases run on.
    pub base: Vec<DebianPackage>,
    /// The root that images start from; unpacked, not installed.
    pub run_base: Vec<DebianPackage>,
    /// Packages of `base` that the started app needs beyond `run_base`.
    pub run_from_base: Vec<DebianPackage>,
    /// Installed over `base`, and kept in the image.
    pub run: Vec<DebianPackage>,
    /// Installed over `base` and `run`, for phases alone.
    pub build: Vec<DebianPackage>,
    /// Toolchains, sorted by name and version.
    pub toolchains: Vec<LockedToolchain>,
}

/// One Debian package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DebianPackage {
    /// Its name.
    pub name: String,
    /// Its exact version.
    pub version: String,
    /// `debian` or `debian-security`.
    pub archive: String,
    /// Its path in that archive.
    pub filename: String,
    /// Its bytes.
    pub size: u64,
    /// Its hash, hexadecimal.
    pub sha256: String,
}

/// One toolchain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedToolchain {
    /// Its name in plans.
    pub tool: String,
    /// Its exact version.
    pub version: String,
    /// The range that was asked for.
    pub asked: String,
    /// Phases have it.
    pub build: bool,
    /// The image has it.
    pub run: bool,
    /// What it is made of, first the tool itself.
    pub artifacts: Vec<Artifact>,
}

/// A file of a language registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Artifact {
    /// `npm`, `pypi`, `go` or `maven`.
    pub registry: String,
    /// The package's name there.
    pub name: String,
    /// Its version there.
    pub version: String,
    /// The file's path within the registry, or its name.
    pub file: String,
    /// `sha256:`, `sha512-` or `h1:` and the hash.
    pub hash: String,
    /// Its bytes, when the registry says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    resolved: u64,
    lock: LockedDebian,
}

/// A request in the catalog's terms, each set without duplicates.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    build: Side,
    run: Side,
}

#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Side {
    toolchains: BTreeMap<&'static Toolchain, BTreeSet<String>>,
    /// Tools of Debian's and the ranges asked of each.
    suited: BTreeMap<&'static str, BTreeSet<String>>,
    debian: Vec<Vec<String>>,
}

impl Side {
    fn read(tools: &[String], apt: &[String]) -> Result<Self, EnvironmentError> {
        let mut side = Self::default();
        for entry in tools {
            match needs(entry)? {
                Need::Toolchain(tool, range) => {
                    if tool.on_python() {
                        side.suited.entry("python").or_default();
                    }
                    side.toolchains.entry(tool).or_default().insert(range);
                }
                Need::Suited(tool, range) => {
                    side.suited.entry(tool).or_default().insert(range);
                }
                Need::Debian(groups) => side.debian.extend(groups),
                Need::Nothing => {}
            }
        }
        side.debian
            .extend(apt.iter().map(|name| vec![name.trim().to_owned()]));
        side.debian.sort();
        side.debian.dedup();
        Ok(side)
    }

    fn compiles(&self) -> bool {
        self.debian
            .iter()
            .flatten()
            .any(|name| name == "build-essential")
    }
}

impl Wanted {
    fn read(request: &EnvironmentRequest) -> Result<Self, EnvironmentError> {
        let build = Side::read(&request.build_tools, &request.build_apt)?;
        let run = if request.run_everything {
            let tools = [request.build_tools.as_slice(), &request.run_tools].concat();
            Side::read(
                &tools,
                &[request.build_apt.as_slice(), &request.run_apt].concat(),
            )?
        } else {
            Side::read(&request.run_tools, &request.run_apt)?
        };
        Ok(Self { build, run })
    }

    /// The Debian packages of a side, by name.
    fn debian(
        side: &Side,
        index: &Index,
        for_build: bool,
    ) -> Result<Vec<String>, EnvironmentError> {
        let mut names = Vec::new();
        for group in &side.debian {
            let found = group
                .iter()
                .find(|name| resolver::find(index, name).is_ok());
            names.push(match found {
                Some(name) => name.clone(),
                None => resolver::find(index, &group[0]).map(|package| package.name.to_owned())?,
            });
        }
        for (tool, ranges) in &side.suited {
            let Some((row, _)) = offer(tool, &parse_ranges(tool, ranges)?, index.suite()) else {
                continue;
            };
            let mut packages = vec![row.packages];
            if for_build {
                packages.push(row.for_build);
            }
            if for_build && side.compiles() {
                packages.push(row.for_compiling);
            }
            let packages = packages.iter().flat_map(|names| names.split_whitespace());
            names.extend(packages.map(str::to_owned));
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

pub(super) fn resolve(
    request: &EnvironmentRequest,
    context: &Context<'_>,
) -> Result<LockedDebian, EnvironmentError> {
    let architecture = context.machine()?.debian();
    let Context {
        sources,
        cache,
        report,
        ..
    } = *context;
    let key = request_key(request, architecture, sources);
    let now = SystemTime::now();
    if let Some(lock) = remembered(cache, &key, now) {
        return Ok(lock);
    }
    let step = Step::start(report, "lock", "choose exact versions");
    let wanted = Wanted::read(request)?;
    let suite = choose_suite(&wanted, sources, report)?;
    let client = Client::default();
    let (index, toolchains) = std::thread::scope(|scope| {
        let index =
            scope.spawn(|| debian::open(suite, architecture, sources, &client, cache, report));
        let toolchains = lock_toolchains(
            &wanted,
            Asking {
                sources,
                client: &client,
                cache,
                architecture,
                python: python_of(suite),
            },
        );
        let index = index
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (index, toolchains)
    });
    let lock = assemble(&wanted, &index?, toolchains?, architecture)?;
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let bytes = serde_json::to_vec(&Remembered {
        resolved: seconds,
        lock: lock.clone(),
    })
    .unwrap_or_default();
    cache.write(Kind::Lock, &key, &bytes)?;
    step.finish(false, summary(&lock));
    Ok(lock)
}

fn summary(lock: &LockedDebian) -> String {
    let tools: Vec<String> = lock
        .toolchains
        .iter()
        .map(|t| format!("{} {}", t.tool, t.version))
        .collect();
    let packages = lock.base.len() + lock.run.len() + lock.build.len();
    [
        tools,
        vec![format!("{packages} packages of {}", lock.suite)],
    ]
    .concat()
    .join(", ")
}

fn request_key(request: &EnvironmentRequest, architecture: &str, sources: &Sources) -> Key {
    let EnvironmentRequest {
        build_tools,
        run_tools,
        build_apt,
        run_apt,
        run_everything,
        // Says the same again, for Nix.
        nix: _,
    } = request;
    let variables = [
        "SUITE",
        "DEBIAN_MIRROR",
        "DEBIAN_SECURITY_MIRROR",
        "NPM_REGISTRY",
        "PYPI_INDEX",
        "GOPROXY",
        "MAVEN_REPOSITORY",
    ]
    .map(|name| {
        sources
            .variable(&format!("PACKWRIGHT_{name}"))
            .unwrap_or_default()
            .to_owned()
    });
    Key::build("environment request")
        .field("format", FORMAT.to_le_bytes())
        .field("architecture", architecture)
        .list("build tools", build_tools)
        .list("run tools", run_tools)
        .list("build apt", build_apt)
        .list("run apt", run_apt)
        .field("run everything", [u8::from(*run_everything)])
        .list("sources", variables)
        .finish()
}

fn remembered(cache: &Cache, key: &Key, now: SystemTime) -> Option<LockedDebian> {
    let bytes = std::fs::read(cache.find(Kind::Lock, key)?).ok()?;
    let remembered: Remembered = serde_json::from_slice(&bytes).ok()?;
    let age = now
        .duration_since(UNIX_EPOCH + Duration::from_secs(remembered.resolved))
        .ok()?;
    (age < FRESH && remembered.lock.format == FORMAT).then_some(remembered.lock)
}

/// How well a suite's version meets a wish, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// The range has the version.
    Exact,
    /// The range has another patch release of the same line.
    Patch,
    /// The version is above the range, and the tool promises that this is enough.
    Newer,
}

/// The best version of a tool that a suite has for all of some ranges: of those that fit best, the highest.
fn offer(tool: &str, ranges: &[Range], suite: &str) -> Option<(&'static Suited, Fit)> {
    SUITED
        .iter()
        .filter(|row| row.tool == tool && row.suite == suite)
        .filter_map(|row| {
            let version = Version::parse(row.version).ok()?;
            Some((row, fit(tool, &version, ranges)?, version))
        })
        .min_by(|(_, fit, version), (_, other_fit, other)| {
            fit.cmp(other_fit).then(other.cmp(version))
        })
        .map(|(row, fit, _)| (row, fit))
}

fn fit(tool: &str, version: &Version, ranges: &[Range]) -> Option<Fit> {
    if ranges.iter().all(|range| range.satisfies(version)) {
        return Some(Fit::Exact);
    }
    let line = Range::parse(format!("{}.{}", version.major(), version.minor())).ok()?;
    if ranges.iter().all(|range| range.allows_any(&line)) {
        return Some(Fit::Patch);
    }
    let (_, oldest) = NEWER_WILL_DO.iter().find(|(name, _)| *name == tool)?;
    let newer = |range: &Range| {
        range
            .min_version()
            .is_some_and(|least| least <= *version && least.major() >= *oldest)
    };
    ranges.iter().all(newer).then_some(Fit::Newer)
}

/// Tools of Debian's decide the suite of the whole root: the first in which every tool fits, the better the fit the sooner.
fn choose_suite(
    wanted: &Wanted,
    sources: &Sources,
    report: &dyn Report,
) -> Result<&'static str, EnvironmentError> {
    let mut asked: BTreeMap<&'static str, BTreeSet<String>> = wanted.build.suited.clone();
    for (tool, ranges) in &wanted.run.suited {
        asked
            .entry(tool)
            .or_default()
            .extend(ranges.iter().cloned());
    }
    let asked: Vec<(&str, &BTreeSet<String>, Vec<Range>)> = asked
        .iter()
        .map(|(tool, ranges)| Ok((*tool, ranges, parse_ranges(tool, ranges)?)))
        .collect::<Result<_, EnvironmentError>>()?;
    let suites = suites(sources)?;
    let best = suites
        .iter()
        .enumerate()
        .filter_map(|(place, suite)| {
            let offers: Vec<(&Suited, Fit)> = asked
                .iter()
                .map(|(tool, _, ranges)| offer(tool, ranges, suite))
                .collect::<Option<_>>()?;
            let worst = offers.iter().map(|(_, fit)| *fit).max();
            Some((worst, place, *suite, offers))
        })
        .min_by_key(|(worst, place, _, _)| (*worst, *place));
    let Some((_, _, suite, offers)) = best else {
        return Err(no_suite(&asked, &suites));
    };
    for ((tool, ranges, _), (row, fit)) in asked.iter().zip(offers) {
        if fit != Fit::Exact {
            let ranges = words(ranges);
            let version = row.version;
            report.event(Event::Warning {
                message: format!(
                    "{tool} {ranges} is asked for, and Debian {suite} has {version}: taking that"
                ),
            });
        }
    }
    Ok(suite)
}

/// The suites to choose from: all, or the one that `PACKWRIGHT_SUITE` names.
fn suites(sources: &Sources) -> Result<Vec<&'static str>, EnvironmentError> {
    let Some(name) = sources.variable("PACKWRIGHT_SUITE") else {
        return Ok(SUITES.to_vec());
    };
    match SUITES.iter().find(|suite| **suite == name) {
        Some(suite) => Ok(vec![suite]),
        None => Err(EnvironmentError::Unknown {
            kind: "Debian suite".to_owned(),
            name: name.to_owned(),
            nearest: SUITES.map(str::to_owned).to_vec(),
        }),
    }
}

/// Which tool has no suite at all; otherwise which tools have none in common.
fn no_suite(
    asked: &[(&str, &BTreeSet<String>, Vec<Range>)],
    suites: &[&'static str],
) -> EnvironmentError {
    let offers = |tool: &str, ranges: &[Range]| {
        let mut there: Vec<&Suited> = SUITED
            .iter()
            .filter(|row| row.tool == tool && suites.contains(&row.suite))
            .collect();
        // The nearest first, the newer of two.
        let lowest = ranges.iter().filter_map(Range::min_version).max();
        there.sort_by_key(|row| {
            let place = suites.iter().position(|suite| *suite == row.suite);
            let version = Version::parse(row.version).ok();
            let apart = lowest.as_ref().zip(version).map(|(lowest, version)| {
                (
                    version.major().abs_diff(lowest.major()),
                    version.minor().abs_diff(lowest.minor()),
                    version < *lowest,
                )
            });
            (apart, place)
        });
        let fits = there
            .iter()
            .any(|row| offer(tool, ranges, row.suite).is_some());
        let there: Vec<String> = there
            .iter()
            .map(|row| format!("{} ({})", row.version, row.suite))
            .collect();
        (fits, there.join(", "))
    };
    let alone = asked
        .iter()
        .find(|(tool, _, ranges)| !offers(tool, ranges).0);
    let (tool, range, there) = match alone {
        Some((tool, ranges, all)) => ((*tool).to_owned(), words(ranges), offers(tool, all).1),
        None => {
            let tools: Vec<&str> = asked.iter().map(|(tool, _, _)| *tool).collect();
            let wishes: Vec<String> = asked.iter().map(|(_, ranges, _)| words(ranges)).collect();
            let there: Vec<String> = asked
                .iter()
                .map(|(tool, _, ranges)| format!("{tool} {}", offers(tool, ranges).1))
                .collect();
            (
                tools.join(" and "),
                format!("{} in one suite", wishes.join(" and ")),
                there.join("; "),
            )
        }
    };
    EnvironmentError::NoVersion {
        tool,
        range,
        available: format!("there is {there}"),
    }
}

fn words(ranges: &BTreeSet<String>) -> String {
    let words: Vec<&str> = ranges.iter().map(String::as_str).collect();
    words.join(" and ")
}

pub(super) fn parse_ranges(
    tool: &str,
    ranges: &BTreeSet<String>,
) -> Result<Vec<Range>, EnvironmentError> {
    ranges
        .iter()
        .map(|range| parse_range(tool, range))
        .collect()
}

/// An npm range; empty and `latest` mean any version.
pub(super) fn parse_range(tool: &str, range: &str) -> Result<Range, EnvironmentError> {
    let text = match range.trim() {
        "" | "latest" | "stable" | "current" => "*",
        other => other,
    };
    Range::parse(text).map_err(|_| EnvironmentError::NoVersion {
        tool: tool.to_owned(),
        range: range.to_owned(),
        available: "that is not a range of versions, such as 22, 1.24.1, ~3.12 or >=1.21"
            .to_owned(),
    })
}

/// The highest of `versions` that all `ranges` allow; pre-releases only when nothing else is asked.
pub(super) fn highest<'a>(
    tool: &str,
    ranges: &BTreeSet<String>,
    versions: &'a [(Version, String)],
) -> Result<&'a str, EnvironmentError> {
    let parsed = parse_ranges(tool, ranges)?;
    let matching = versions
        .iter()
        .filter(|(version, _)| parsed.iter().all(|range| range.satisfies(version)));
    if let Some((_, name)) = matching.max_by(|a, b| a.0.cmp(&b.0)) {
        return Ok(name);
    }
    Err(EnvironmentError::NoVersion {
        tool: tool.to_owned(),
        range: ranges.iter().cloned().collect::<Vec<_>>().join(" and "),
        available: available(&parsed, versions),
    })
}

/// The newest of each of the nearest major versions, or of the minor versions of the same major.
fn available(ranges: &[Range], versions: &[(Version, String)]) -> String {
    let lowest = ranges.iter().filter_map(Range::min_version).max();
    let mut newest: BTreeMap<(u64, u64), &Version> = BTreeMap::new();
    for (version, _) in versions
        .iter()
        .filter(|(version, _)| !version.is_prerelease())
    {
        let same_major = lowest
            .as_ref()
            .is_some_and(|lowest| lowest.major() == version.major());
        let slot = newest
            .entry((
                version.major(),
                if same_major { version.minor() } else { 0 },
            ))
            .or_insert(version);
        *slot = (*slot).max(version);
    }
    let mut near: Vec<&Version> = newest.into_values().collect();
    if let Some(lowest) = lowest {
        near.sort_by_key(|v| {
            (
                v.major().abs_diff(lowest.major()),
                v.minor().abs_diff(lowest.minor()),
            )
        });
    }
    if near.is_empty() {
        return "the registry has none".to_owned();
    }
    let near: Vec<String> = near.iter().take(5).map(ToString::to_string).collect();
    format!("the registry has {}", near.join(", "))
}

/// The version of a suite's Python.
fn python_of(suite: &str) -> &'static str {
    let row = SUITED
        .iter()
        .find(|row| row.tool == "python" && row.suite == suite);
    row.map_or("", |row| row.version)
}

fn lock_toolchains(
    wanted: &Wanted,
    asking: Asking<'_>,
) -> Result<Vec<LockedToolchain>, EnvironmentError> {
    let mut tools: BTreeSet<&Toolchain> = wanted.build.toolchains.keys().copied().collect();
    tools.extend(wanted.run.toolchains.keys());
    let found: Vec<Result<Vec<LockedToolchain>, EnvironmentError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = tools
            .into_iter()
            .map(|tool| scope.spawn(move || lock_toolchain(tool, wanted, asking)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    let mut locked = found.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    locked.sort_by(|a, b| (&a.tool, &a.version).cmp(&(&b.tool, &b.version)));
    Ok(locked)
}

/// A tool in one version for phases and the app, or in two when their ranges exclude each other.
fn lock_toolchain(
    tool: &Toolchain,
    wanted: &Wanted,
    asking: Asking<'_>,
) -> Result<Vec<LockedToolchain>, EnvironmentError> {
    let build = wanted.build.toolchains.get(tool);
    let run = wanted.run.toolchains.get(tool);
    let both: BTreeSet<String> = build.into_iter().chain(run).flatten().cloned().collect();
    match toolchain::lock(tool, &both, asking) {
        Ok(found) => Ok(vec![LockedToolchain {
            build: build.is_some(),
            run: run.is_some(),
            ..found
        }]),
        Err(EnvironmentError::NoVersion { .. })
            if build.is_some() && run.is_some() && build != run =>
        {
            let lock = |ranges: Option<&BTreeSet<String>>| {
                toolchain::lock(tool, &ranges.cloned().unwrap_or_default(), asking)
            };
            let for_build = LockedToolchain {
                build: true,
                ..lock(build)?
            };
            Ok(vec![
                for_build,
                LockedToolchain {
                    run: true,
                    ..lock(run)?
                },
            ])
        }
        Err(error) => Err(error),
    }
}

fn assemble(
    wanted: &Wanted,
    index: &Index,
    toolchains: Vec<LockedToolchain>,
    architecture: &str,
) -> Result<LockedDebian, EnvironmentError> {
    let nothing = Given::default();
    let base = resolver::resolve(index, &debian::root::base_wanted(index), &nothing)?;
    let not_in_run_base = debian::root::not_in_run_base();
    let apart = Given {
        present: BTreeMap::new(),
        ignored: &not_in_run_base,
    };
    let run_base = resolver::resolve(index, &debian::root::run_base_wanted(index), &apart)?;

    let run_names = Wanted::debian(&wanted.run, index, false)?;
    let build_names = Wanted::debian(&wanted.build, index, true)?;
    let over_base = Given {
        present: present(&[&base]),
        ignored: &[],
    };
    let run = resolver::resolve(index, &run_names, &over_base)?;
    let over_run = Given {
        present: present(&[&base, &run]),
        ignored: &[],
    };
    let build = resolver::resolve(index, &build_names, &over_run)?;

    let over_run_base = Given {
        present: present(&[&run_base]),
        ignored: debian::root::PACKAGING_ONLY,
    };
    let in_base: BTreeSet<&str> = base.iter().map(|package| package.name).collect();
    let run_from_base: Vec<Package<'_>> = resolver::resolve(index, &run_names, &over_run_base)?
        .into_iter()
        .filter(|package| in_base.contains(package.name))
        .collect();
    let locked = |packages: &[Package<'_>]| packages.iter().map(DebianPackage::from).collect();
    Ok(LockedDebian {
        format: FORMAT,
        suite: index.suite().to_owned(),
        architecture: architecture.to_owned(),
        base: locked(&base),
        run_base: locked(&run_base),
        run_from_base: locked(&run_from_base),
        run: locked(&run),
        build: locked(&build),
        toolchains,
    })
}

fn present(sets: &[&[Package<'_>]]) -> BTreeMap<String, String> {
    sets.iter()
        .flat_map(|set| set.iter())
        .map(|p| (p.name.to_owned(), p.version.to_owned()))
        .collect()
}

impl From<&Package<'_>> for DebianPackage {
    fn from(package: &Package<'_>) -> Self {
        Self {
            name: package.name.to_owned(),
            version: package.version.to_owned(),
            archive: package.archive.to_owned(),
            filename: package.filename.to_owned(),
            size: package.size,
            sha256: package.sha256.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Silent;

    fn versions(texts: &[&str]) -> Vec<(Version, String)> {
        texts
            .iter()
            .map(|text| (Version::parse(text).unwrap(), (*text).to_owned()))
            .collect()
    }

    fn ranges(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_highest_version_of_a_range_is_chosen_and_no_pre_release() {
        let all = versions(&["20.1.0", "22.9.0", "22.11.0", "23.0.0-rc.1"]);
        for (range, expected) in [
            ("22", "22.11.0"),
            ("", "22.11.0"),
            ("<22", "20.1.0"),
            ("^20.0.0 || 22.9", "22.9.0"),
        ] {
            assert_eq!(
                highest("nodejs", &ranges(&[range]), &all).unwrap(),
                expected,
                "{range}"
            );
        }
    }

    #[test]
    fn ranges_that_exclude_each_other_are_an_error_that_says_what_there_is() {
        let all = versions(&["18.20.8", "20.20.2", "22.9.0"]);
        let error = highest("nodejs", &ranges(&["21"]), &all)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "no nodejs matches 21; the registry has 22.9.0, 20.20.2, 18.20.8"
        );
        assert!(highest("nodejs", &ranges(&["20", "22"]), &all).is_err());
        assert!(
            highest("nodejs", &ranges(&["banana"]), &all)
                .unwrap_err()
                .to_string()
                .contains("not a range")
        );
    }

    fn suite(python: &str) -> Result<&'static str, EnvironmentError> {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        let request = EnvironmentRequest {
            build_tools: vec![format!("python@{python}")],
            ..Default::default()
        };
        choose_suite(
            &Wanted::read(&request).unwrap(),
            &Sources::discover(&cache),
            &Silent,
        )
    }

    #[test]
    fn python_decides_the_suite() {
        assert_eq!(suite("3.13").unwrap(), "trixie");
        assert_eq!(suite("~3.11").unwrap(), "bookworm");
        assert_eq!(suite(">=3.8").unwrap(), "trixie");
        assert_eq!(suite("3.9").unwrap(), "bullseye");
        // A patch release that Debian does not have is met by its minor version.
        assert_eq!(suite("3.11.9").unwrap(), "bookworm");
        let error = suite("3.12").unwrap_err().to_string();
        assert_eq!(
            error,
            "no python matches 3.12; there is 3.13.5 (trixie), 3.11.2 (bookworm), 3.14.10 (sid), 3.9.2 (bullseye)"
        );
        // A range takes what there is in it.
        assert_eq!(suite(">=3.10 <3.13").unwrap(), "bookworm");
    }

    #[test]
    fn compilers_that_promise_it_build_what_was_made_for_older_ones() {
        let fit_of = |tool, range: &str| {
            let ranges = [Range::parse(range).unwrap()];
            offer(tool, &ranges, "trixie").map(|(_, fit)| fit)
        };
        assert_eq!(fit_of("crystal", "1"), Some(Fit::Exact));
        assert_eq!(fit_of("crystal", "1.10.1"), Some(Fit::Newer));
        assert_eq!(fit_of("crystal", "0.36.1"), None);
        assert_eq!(fit_of("crystal", ">=1.16"), None);
        assert_eq!(fit_of("swift", "5.9"), Some(Fit::Newer));
        assert_eq!(fit_of("swift", "4.2"), None);
        assert_eq!(fit_of("swift", ">=6.2"), None);
        assert_eq!(fit_of("ghc", "9.2"), None);
    }

    #[test]
    fn a_plan_that_does_not_say_what_stays_keeps_everything() {
        let request = EnvironmentRequest {
            build_tools: vec!["nodejs@22".to_owned(), "ffmpeg".to_owned()],
            run_everything: true,
            ..Default::default()
        };
        let wanted = Wanted::read(&request).unwrap();
        assert_eq!(wanted.run, wanted.build);
    }
}
