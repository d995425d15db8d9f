//! From a request to a lock: which nixpkgs, which attributes in which versions, which store paths.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nodejs_semver::Range;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::catalog::{self, Fit, Tool, Want, split_output};
use super::command::Failed;
use super::pin::{LockedSource, is_nix_file};
use super::render::{self, Question, SCOPE_LINES, Written};
use super::request::{NixRequest, Wish};
use super::revisions::REVISIONS;
use super::{Attribute, LockedAttribute, LockedNix, LockedSet, Nix};
use crate::cache::{Key, Kind};
use crate::environment::catalog::nearest;
use crate::environment::lock::{self, FRESH};
use crate::environment::{EnvironmentError, EnvironmentRequest};
use crate::report::{Event, Step};

/// Of the lock's form, and of the expression that is made from it.
const FORMAT: u32 = 1;

/// Names one set: `nixpkgsArchive` and `nixOverlays` as the plan has them.
type SetName = (Option<String>, Vec<String>);

/// An entry of the plan, where it is asked for and by whom.
#[derive(Debug, Clone)]
struct Asked {
    set: usize,
    place: String,
    entry: String,
    want: Want,
    build: bool,
    run: bool,
    library: bool,
}

/// What is asked, by set.
#[derive(Debug)]
struct Wanted {
    sets: Vec<SetName>,
    asked: Vec<Asked>,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    resolved: u64,
    lock: LockedNix,
}

impl Wanted {
    fn read(request: &NixRequest) -> Result<Self, EnvironmentError> {
        let mut wanted = Self {
            sets: vec![(None, Vec::new())],
            asked: Vec::new(),
        };
        let stays = request.start.is_none();
        for wish in &request.phases {
            let set = wanted.set(wish);
            for entry in &wish.packages {
                wanted.ask(set, wish, entry, (true, stays), false)?;
            }
            // Programs load libraries when they run, and only the user asks for them.
            for entry in &wish.libraries {
                wanted.ask(set, wish, entry, (true, true), true)?;
            }
            let kept = request
                .start
                .as_ref()
                .is_none_or(|start| start.expression.is_none());
            if let Some(text) = &wish.expression {
                wanted.give(set, wish, text, (true, kept));
            }
        }
        if let Some(start) = &request.start {
            for entry in &start.packages {
                let set = wanted.set_of(entry);
                wanted.ask(set, start, entry, (false, true), false)?;
            }
            if let Some(text) = &start.expression {
                wanted.give(wanted.usual_set(), start, text, (false, true));
            }
        }
        Ok(wanted)
    }

    /// The number of a wish's set, made when it is new.
    fn set(&mut self, wish: &Wish) -> usize {
        let name = (wish.archive.clone(), wish.overlays.clone());
        match self.sets.iter().position(|set| *set == name) {
            Some(number) => number,
            None => {
                self.sets.push(name);
                self.sets.len() - 1
            }
        }
    }

    /// The set that a phase takes an entry from, for the app that needs it too.
    fn set_of(&self, entry: &str) -> usize {
        let same = self.asked.iter().find(|asked| asked.entry == entry);
        same.map_or_else(|| self.usual_set(), |asked| asked.set)
    }

    fn usual_set(&self) -> usize {
        self.asked.first().map_or(0, |asked| asked.set)
    }

    fn ask(
        &mut self,
        set: usize,
        wish: &Wish,
        entry: &str,
        (build, run): (bool, bool),
        library: bool,
    ) -> Result<(), EnvironmentError> {
        let want = catalog::want(entry)?;
        // `openssl.out` is asked for because a program links it.
        let library = library
            || matches!(&want, Want::Exactly(Attribute::Path(path)) if split_output(path).1.is_some_and(|output| output != "bin"));
        self.push(Asked {
            set,
            place: format!("{}.nixPkgs, {entry}", wish.place),
            entry: entry.to_owned(),
            want,
            build,
            run,
            library,
        });
        Ok(())
    }

    fn give(&mut self, set: usize, wish: &Wish, text: &str, (build, run): (bool, bool)) {
        let source = if is_nix_file(text) {
            Attribute::File(text.to_owned())
        } else {
            Attribute::Text(text.to_owned())
        };
        self.push(Asked {
            set,
            place: format!("{}.nixExpr", wish.place),
            entry: text.to_owned(),
            want: Want::Exactly(source),
            build,
            run,
            library: false,
        });
    }

    fn push(&mut self, asked: Asked) {
        let same = self.asked.iter_mut().find(|other| {
            (other.set, &other.want, other.library) == (asked.set, &asked.want, asked.library)
        });
        match same {
            Some(other) => {
                other.build |= asked.build;
                other.run |= asked.run;
            }
            None => self.asked.push(asked),
        }
    }

    /// The ranges that all askers of a tool in one set have of it.
    fn ranges(&self, set: usize, tool: &'static Tool) -> Result<Vec<Range>, EnvironmentError> {
        let asked = self.asked.iter().filter(|asked| asked.set == set);
        asked
            .filter_map(|asked| match &asked.want {
                Want::Tool(other, range) if *other == tool => Some(catalog::range(tool, range)),
                _ => None,
            })
            .collect()
    }

    /// What a set is asked about, sorted.
    fn attributes(&self, set: usize) -> Vec<String> {
        let mut names = BTreeSet::new();
        for asked in self.asked.iter().filter(|asked| asked.set == set) {
            match &asked.want {
                Want::Tool(tool, _) => {
                    names.extend(tool.attributes.iter().map(|name| (*name).to_owned()));
                }
                Want::Exactly(Attribute::Path(path)) => {
                    names.insert(split_output(path).0.to_owned());
                }
                Want::Exactly(_) | Want::Nothing => {}
            }
        }
        names.into_iter().collect()
    }
}

impl Nix<'_> {
    /// Chooses exact packages for a request. What cannot change is remembered for a day.
    pub(in crate::environment) fn resolve(
        &self,
        request: &EnvironmentRequest,
    ) -> Result<LockedNix, EnvironmentError> {
        let system = system()?;
        let key = self.request_key(request, &system);
        if let Some(lock) = self.remembered(&key) {
            return Ok(lock);
        }
        let step = Step::start(
            self.context.report,
            "lock",
            format!("choose packages with nix {}", self.commands.version),
        );
        let wanted = Wanted::read(&request.nix)?;
        let debian = self.debian_part(request)?;
        let mut sets = self.lock_sets(&wanted, &step)?;
        self.choose(&wanted, &mut sets, &system, &step)?;
        let mut lock = LockedNix {
            format: FORMAT,
            system,
            sets,
            build: String::new(),
            run: String::new(),
            debian,
        };
        self.name_outputs(&wanted, &mut lock, &step)?;
        if self.context.nix.nixpkgs.is_none() {
            self.note_default()?;
        }
        self.remember(&key, &lock)?;
        step.finish(false, summary(&lock));
        Ok(lock)
    }

    /// Packages that the plan wants from Debian come from Debian, with its root.
    fn debian_part(
        &self,
        request: &EnvironmentRequest,
    ) -> Result<Option<lock::LockedDebian>, EnvironmentError> {
        if request.build_apt.is_empty() && request.run_apt.is_empty() {
            return Ok(None);
        }
        let apt = EnvironmentRequest {
            build_apt: request.build_apt.clone(),
            run_apt: request.run_apt.clone(),
            run_everything: request.run_everything,
            ..EnvironmentRequest::default()
        };
        let context = self.context;
        lock::resolve(&apt, context.sources, context.cache, context.report).map(Some)
    }

    fn lock_sets(
        &self,
        wanted: &Wanted,
        step: &Step<'_>,
    ) -> Result<Vec<LockedSet>, EnvironmentError> {
        let main = self.main_nixpkgs(step)?;
        wanted
            .sets
            .iter()
            .map(|(archive, overlays)| {
                let lock =
                    |text: &String, place| self.lock_source(text, self.context.folder, place, step);
                Ok(LockedSet {
                    nixpkgs: match archive {
                        Some(text) => lock(text, "nixpkgsArchive")?,
                        None => main.clone(),
                    },
                    overlays: overlays
                        .iter()
                        .map(|text| lock(text, "nixOverlays"))
                        .collect::<Result<_, _>>()?,
                    packages: Vec::new(),
                })
            })
            .collect()
    }

    /// Asks the sets what they have, and chooses.
    fn choose(
        &self,
        wanted: &Wanted,
        sets: &mut [LockedSet],
        system: &str,
        step: &Step<'_>,
    ) -> Result<(), EnvironmentError> {
        let attributes: Vec<Vec<String>> =
            (0..sets.len()).map(|set| wanted.attributes(set)).collect();
        let answers = self.ask(sets, &attributes, None, system, step)?;
        for asked in &wanted.asked {
            let packages = match &asked.want {
                Want::Nothing => continue,
                Want::Tool(tool, range) => {
                    let ranges = wanted.ranges(asked.set, tool)?;
                    self.tool(
                        asked,
                        tool,
                        (range, &ranges),
                        &sets[asked.set],
                        &answers[asked.set],
                    )?
                }
                Want::Exactly(Attribute::Path(path)) => {
                    let (base, _) = split_output(path);
                    let version = match &answers[asked.set][base] {
                        Value::String(version) => {
                            Some(version.clone()).filter(|version| !version.is_empty())
                        }
                        Value::Null => return Err(self.unknown(asked, base, sets, system, step)),
                        Value::Array(members) => return Err(is_a_set(base, members)),
                        // Evaluation will tell why it refuses.
                        _ => None,
                    };
                    vec![(Attribute::Path(path.clone()), version)]
                }
                Want::Exactly(source) => vec![(source.clone(), None)],
            };
            sets[asked.set]
                .packages
                .extend(
                    packages
                        .into_iter()
                        .map(|(source, version)| LockedAttribute {
                            asked: asked.entry.clone(),
                            source,
                            version,
                            build: asked.build,
                            run: asked.run,
                            library: asked.library,
                        }),
                );
        }
        Ok(())
    }

    /// The attributes of a tool in the best version that a set has of it.
    fn tool(
        &self,
        asked: &Asked,
        tool: &'static Tool,
        (text, ranges): (&str, &[Range]),
        set: &LockedSet,
        answers: &Value,
    ) -> Result<Vec<(Attribute, Option<String>)>, EnvironmentError> {
        let candidates: Vec<(&str, String)> = tool
            .attributes
            .iter()
            .filter_map(|name| Some((*name, answers[*name].as_str()?.to_owned())))
            .collect();
        let title = set.nixpkgs.title();
        let Some((attribute, version, fit)) = catalog::choose(tool, ranges, &candidates) else {
            return Err(no_version(tool, text, &candidates, &title));
        };
        if fit == Fit::SameLine {
            let message = format!(
                "{} is asked for, and {title} has {} {version}: taking that",
                asked.entry, tool.name
            );
            self.context.report.event(Event::Warning { message });
        }
        let path = |name: &str| Attribute::Path(name.to_owned());
        let with = tool.with.iter().map(|name| (path(name), None));
        Ok(std::iter::once((path(attribute), Some(version)))
            .chain(with)
            .collect())
    }

    /// The versions of attributes in each set, and the names of all in one of them.
    fn ask(
        &self,
        sets: &[LockedSet],
        attributes: &[Vec<String>],
        all: Option<usize>,
        system: &str,
        step: &Step<'_>,
    ) -> Result<Vec<Value>, EnvironmentError> {
        let questions: Vec<Question<'_>> = sets
            .iter()
            .zip(attributes)
            .enumerate()
            .map(|(number, (set, attributes))| Question {
                nixpkgs: &set.nixpkgs,
                overlays: &set.overlays,
                attributes: attributes.clone(),
                all: all == Some(number),
            })
            .collect();
        let staging = self.context.cache.staging()?;
        let written = render::versions(staging.path(), system, &questions)?;
        let answer = self.commands.evaluate(&written.file, None, step);
        match answer.map_err(|failed| self.failure(&failed, "evaluate nixpkgs"))? {
            Value::Array(answers) if answers.len() == sets.len() => Ok(answers),
            other => Err(EnvironmentError::Malformed {
                what: "nix' answer".to_owned(),
                reason: format!("{other} is not what was asked for"),
            }),
        }
    }

    fn unknown(
        &self,
        asked: &Asked,
        name: &str,
        sets: &[LockedSet],
        system: &str,
        step: &Step<'_>,
    ) -> EnvironmentError {
        let nothing = vec![Vec::new(); sets.len()];
        let names = match self.ask(sets, &nothing, Some(asked.set), system, step) {
            Ok(answers) => answers[asked.set][""].clone(),
            Err(error) => return error,
        };
        let names: Vec<&str> = names
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        EnvironmentError::Unknown {
            kind: format!("package in {}", sets[asked.set].nixpkgs.title()),
            name: name.to_owned(),
            nearest: nearest(name, names.into_iter()),
        }
    }

    /// Evaluates the environment: its store paths are known before anything is built.
    fn name_outputs(
        &self,
        wanted: &Wanted,
        lock: &mut LockedNix,
        step: &Step<'_>,
    ) -> Result<(), EnvironmentError> {
        let staging = self.context.cache.staging()?;
        let place = |entry: &str| {
            let asked = wanted.asked.iter().find(|asked| asked.entry == entry);
            asked.map_or_else(|| entry.to_owned(), |asked| asked.place.clone())
        };
        let written = render::environment(staging.path(), self.context.folder, lock, &place)?;
        for (attribute, output) in [("build", &mut lock.build), ("run", &mut lock.run)] {
            let value =
                self.commands
                    .evaluate(&written.file, Some(&format!("{attribute}.outPath")), step);
            let value = value
                .map_err(|failed| self.failure_in(&failed, "evaluate the environment", &written))?;
            value.as_str().unwrap_or_default().clone_into(output);
        }
        Ok(())
    }

    /// The error of a command that reads no expression of the user's.
    pub(super) fn failure(&self, failed: &Failed, what: &str) -> EnvironmentError {
        failed.explain(what, self.commands.physical(), &|_| None)
    }

    /// The error of a command, where it may lie in a text or file of the user's.
    pub(super) fn failure_in(
        &self,
        failed: &Failed,
        what: &str,
        written: &Written,
    ) -> EnvironmentError {
        let app = self.context.folder.display().to_string();
        failed.explain(what, self.commands.physical(), &|file| {
            let text = written
                .texts
                .iter()
                .find(|(path, _)| path.as_os_str() == file);
            match text {
                Some((_, place)) => Some((place.clone(), SCOPE_LINES)),
                None => Some((
                    file.strip_prefix(&app)?.trim_start_matches('/').to_owned(),
                    0,
                )),
            }
        })
    }

    fn request_key(&self, request: &EnvironmentRequest, system: &str) -> Key {
        let settings = self.context.nix;
        let suite = self
            .context
            .sources
            .variable("PACKWRIGHT_SUITE")
            .unwrap_or_default();
        Key::build("nix request")
            .field("format", FORMAT.to_le_bytes())
            .field("system", system)
            .field("request", format!("{request:?}"))
            .field("nixpkgs", settings.nixpkgs.as_deref().unwrap_or_default())
            .field("suite", suite)
            .field("store", self.commands.physical().display().to_string())
            .finish()
    }

    fn remembered(&self, key: &Key) -> Option<LockedNix> {
        let bytes = std::fs::read(self.context.cache.find(Kind::Lock, key)?).ok()?;
        let remembered: Remembered = serde_json::from_slice(&bytes).ok()?;
        let age = SystemTime::now()
            .duration_since(UNIX_EPOCH + Duration::from_secs(remembered.resolved))
            .ok()?;
        (age < FRESH).then_some(remembered.lock)
    }

    /// Files and folders may change at any time: what rests on them is found anew.
    fn remember(&self, key: &Key, lock: &LockedNix) -> Result<(), EnvironmentError> {
        let fixed = lock.sets.iter().all(|set| {
            let files = set
                .packages
                .iter()
                .any(|package| matches!(package.source, Attribute::File(_)));
            set.nixpkgs.is_fixed() && set.overlays.iter().all(LockedSource::is_fixed) && !files
        });
        if fixed {
            let resolved = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs();
            let remembered = Remembered {
                resolved,
                lock: lock.clone(),
            };
            let bytes = serde_json::to_vec(&remembered).unwrap_or_default();
            self.context.cache.write(Kind::Lock, key, &bytes)?;
        }
        Ok(())
    }
}

/// Nix's name of this machine.
fn system() -> Result<String, EnvironmentError> {
    match std::env::consts::ARCH {
        arch @ ("x86_64" | "aarch64") => Ok(format!("{arch}-linux")),
        other => Err(EnvironmentError::Architecture(other.to_owned())),
    }
}

fn summary(lock: &LockedNix) -> String {
    let packages = lock.sets.iter().flat_map(|set| &set.packages);
    let named: BTreeMap<&str, &str> = packages
        .filter_map(|package| Some((package.asked.as_str(), package.version.as_deref()?)))
        .collect();
    let named: Vec<String> = named
        .iter()
        .map(|(asked, version)| format!("{} {version}", asked.split('@').next().unwrap_or(asked)))
        .collect();
    let title = lock
        .sets
        .first()
        .map(|set| set.nixpkgs.title())
        .unwrap_or_default();
    format!("{} of {title}", named.join(", "))
}

fn is_a_set(name: &str, members: &[Value]) -> EnvironmentError {
    let members: Vec<&str> = members.iter().filter_map(Value::as_str).take(5).collect();
    EnvironmentError::Conflict(format!(
        "{name} is no package but a set of them: name one, such as {name}.{}",
        members.join(&format!(" or {name}."))
    ))
}

/// What there is, the nearest first, and how to get another.
fn no_version(
    tool: &Tool,
    range: &str,
    candidates: &[(&str, String)],
    title: &str,
) -> EnvironmentError {
    let least = catalog::range(tool, range)
        .ok()
        .and_then(|range| range.min_version());
    let mut there: Vec<_> = candidates
        .iter()
        .filter_map(|(_, text)| Some((catalog::version(text)?, text)))
        .collect();
    if let Some(least) = least {
        there.sort_by_key(|(version, _)| {
            (
                version.major().abs_diff(least.major()),
                version.minor().abs_diff(least.minor()),
            )
        });
    }
    let mut versions: Vec<&str> = there.iter().map(|(_, text)| text.as_str()).collect();
    versions.dedup();
    versions.truncate(5);
    let there = if versions.is_empty() {
        "none".to_owned()
    } else {
        versions.join(", ")
    };
    EnvironmentError::NoVersion {
        tool: tool.name.to_owned(),
        range: range.to_owned(),
        available: format!("{title} has {there}: {}", another_nixpkgs(tool, range)),
    }
}

/// Which nixpkgs has a version that another one lacks, as far as that is known here.
fn another_nixpkgs(tool: &Tool, range: &str) -> String {
    let range = catalog::range(tool, range).ok();
    let fits = |text: &str| {
        let version = catalog::version(text);
        version
            .zip(range.as_ref())
            .is_some_and(|(version, range)| range.satisfies(&version))
    };
    let known = REVISIONS
        .iter()
        .rev()
        .find(|(name, version, _)| *name == tool.name && fits(version));
    match known {
        Some((_, version, revision)) => {
            format!("nixpkgsArchive = \"{revision}\" has {version}")
        }
        None => "name another nixpkgs with --nixpkgs or nixpkgsArchive, or take --packages debian"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(place: &str, packages: &[&str]) -> Wish {
        Wish {
            place: place.to_owned(),
            packages: packages.iter().map(|name| (*name).to_owned()).collect(),
            ..Wish::default()
        }
    }

    #[test]
    fn what_start_names_stays_from_the_set_of_its_phase() {
        let mut old = wish("phases.setup", &["nodejs@22", "gcc"]);
        old.archive = Some("0".repeat(40));
        let request = NixRequest {
            phases: vec![old, wish("phases.test", &["jq"])],
            start: Some(wish("start", &["nodejs@22"])),
        };
        let wanted = Wanted::read(&request).unwrap();
        assert_eq!(wanted.sets.len(), 2);
        let flags: Vec<_> = wanted
            .asked
            .iter()
            .map(|asked| (asked.entry.as_str(), asked.set, asked.build, asked.run))
            .collect();
        assert_eq!(
            flags,
            [
                ("nodejs@22", 1, true, true),
                ("gcc", 1, true, false),
                ("jq", 0, true, false)
            ]
        );
    }

    #[test]
    fn a_plan_that_does_not_say_what_stays_keeps_everything() {
        let request = NixRequest {
            phases: vec![wish("phases.setup", &["nodejs", "gcc"])],
            start: None,
        };
        let wanted = Wanted::read(&request).unwrap();
        assert!(wanted.asked.iter().all(|asked| asked.build && asked.run));
    }

    #[test]
    fn libraries_and_outputs_are_on_the_loaders_path_and_libraries_stay() {
        let mut setup = wish("phases.setup", &["openssl.dev", "jq"]);
        setup.libraries = vec!["zlib".to_owned()];
        let request = NixRequest {
            phases: vec![setup],
            start: Some(wish("start", &["openssl.out"])),
        };
        let wanted = Wanted::read(&request).unwrap();
        let flags: Vec<_> = wanted
            .asked
            .iter()
            .map(|asked| (asked.entry.as_str(), asked.library, asked.run))
            .collect();
        assert_eq!(
            flags,
            [
                ("openssl.dev", true, false),
                ("jq", false, false),
                ("zlib", true, true),
                ("openssl.out", true, true)
            ]
        );
    }

    #[test]
    fn a_version_that_is_missing_is_told_with_the_nearest_ones() {
        let tool = catalog::TOOLS
            .iter()
            .find(|tool| tool.name == "nodejs")
            .unwrap();
        let candidates = [
            ("nodejs_18", "18.1.0".to_owned()),
            ("nodejs_22", "22.2.0".to_owned()),
            ("nodejs", "22.2.0".to_owned()),
        ];
        let error = no_version(tool, "23", &candidates, "nixos-x").to_string();
        assert!(
            error.starts_with("no nodejs matches 23; nixos-x has 22.2.0, 18.1.0: name another"),
            "{error}"
        );
        let error = no_version(tool, "16", &candidates, "nixos-x").to_string();
        assert!(
            error.contains(": nixpkgsArchive = \"") && error.ends_with("\" has 16.20.2"),
            "{error}"
        );
    }

    #[test]
    fn revisions_are_of_tools_that_there_are_in_order() {
        for (name, text, revision) in REVISIONS {
            assert!(
                catalog::TOOLS.iter().any(|tool| tool.name == *name),
                "{name}"
            );
            assert!(
                catalog::version(text).is_some() && revision.len() == 40,
                "{text}"
            );
        }
        let key = |row: &(&'static str, &str, &str)| (row.0, catalog::version(row.1));
        assert!(
            REVISIONS
                .windows(2)
                .all(|pair| key(&pair[0]) <= key(&pair[1]))
        );
    }
}
