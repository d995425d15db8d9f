//! From a request to a lock: which nixpkgs, which attributes in which versions, which store paths.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nodejs_semver::Range;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::catalog::{self, Fit, Tool, Want, split_output};
use super::failure::Failed;
use super::pin::LockedSource;
use super::render::{self, Question, SCOPE_LINES, Written};
use super::revisions::{known, no_version};
use super::wanted::{Asked, Wanted};
use super::{Attribute, LockedAttribute, LockedNix, LockedSet, Nix};
use crate::cache::{Key, Kind};
use crate::environment::catalog::nearest;
use crate::environment::lock::{self, FRESH};
use crate::environment::{EnvironmentError, EnvironmentRequest};
use crate::report::{Event, Step};

#[derive(Serialize, Deserialize)]
struct Remembered {
    resolved: u64,
    lock: LockedNix,
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
        for asked in &wanted.asked {
            if let Want::Exactly(Attribute::File(file)) = &asked.want {
                self.inside(file, &asked.place)?;
            }
        }
        let debian = self.debian_part(request)?;
        let mut sets = self.lock_sets(&wanted, &step)?;
        self.choose(&wanted, &mut sets, &system, &step)?;
        let mut lock = LockedNix {
            format: LockedNix::FORMAT,
            system,
            sets,
            build: String::new(),
            run: String::new(),
            debian,
        };
        self.name_outputs(&wanted, &mut lock, &step)?;
        self.note_default()?;
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
        lock::resolve(&apt, context).map(Some)
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
                let lock = |text: &String, place| self.lock_of_plan(text, place, step);
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
        sets: &mut Vec<LockedSet>,
        system: &str,
        step: &Step<'_>,
    ) -> Result<(), EnvironmentError> {
        let attributes: Vec<Vec<String>> =
            (0..sets.len()).map(|set| wanted.attributes(set)).collect();
        let answers = self.ask(sets, &attributes, None, system, step)?;
        for asked in &wanted.asked {
            let mut set = asked.set;
            let packages = match &asked.want {
                Want::Nothing | Want::OfPhp(_) => continue,
                Want::Tool(tool, range) => {
                    let ranges = wanted.ranges(asked.set, tool)?;
                    match self.tool(asked, tool, &ranges, &sets[set], &answers[set]) {
                        Ok(packages) => packages,
                        Err(there) => {
                            let title = sets[set].nixpkgs.title();
                            let lacking = no_version(tool, range, &there, &title);
                            let found =
                                self.of_a_revision(asked, tool, &ranges, system, lacking, step)?;
                            set = place_of(sets, found.nixpkgs);
                            found.packages
                        }
                    }
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
            sets[set]
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
        self.complete_php(wanted, sets, system, step)
    }

    /// The attributes of a tool in the best version that a set has of it, or all that it has.
    fn tool(
        &self,
        asked: &Asked,
        tool: &'static Tool,
        ranges: &[Range],
        set: &LockedSet,
        answers: &Value,
    ) -> Result<Vec<Chosen>, Vec<(&'static str, String)>> {
        let candidates: Vec<(&'static str, String)> = tool
            .attributes
            .iter()
            .filter_map(|name| Some((*name, answers[*name].as_str()?.to_owned())))
            .collect();
        let Some((attribute, version, fit)) = catalog::choose(tool, ranges, &candidates) else {
            return Err(candidates);
        };
        if fit == Fit::SameLine {
            let title = set.nixpkgs.title();
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

    /// A tool in a version that its nixpkgs lacks, from the revision that is known to have it. `lacking` is
    /// the error where there is none.
    fn of_a_revision(
        &self,
        asked: &Asked,
        tool: &'static Tool,
        ranges: &[Range],
        system: &str,
        lacking: EnvironmentError,
        step: &Step<'_>,
    ) -> Result<Found, EnvironmentError> {
        let Some((version, revision)) = known(tool, ranges) else {
            return Err(lacking);
        };
        let find = || {
            let set = LockedSet {
                nixpkgs: self.lock_source(revision, &self.app, "", step)?,
                overlays: Vec::new(),
                packages: Vec::new(),
            };
            let names = tool.attributes.iter().map(|name| (*name).to_owned());
            let answers = self.ask(
                std::slice::from_ref(&set),
                &[names.collect()],
                None,
                system,
                step,
            )?;
            let packages = self.tool(asked, tool, ranges, &set, &answers[0]);
            let packages = packages
                .map_err(|there| no_version(tool, version, &there, &set.nixpkgs.title()))?;
            Ok(Found {
                nixpkgs: set.nixpkgs,
                packages,
            })
        };
        let found = find().map_err(|error: EnvironmentError| match lacking {
            EnvironmentError::NotInNixpkgs {
                tool,
                range,
                available,
            } => EnvironmentError::NotInNixpkgs {
                tool,
                range,
                available: format!("{available}, which cannot be had: {error}"),
            },
            other => other,
        })?;
        self.context.report.event(Event::Decided {
            subject: tool.name.to_owned(),
            choice: version.to_owned(),
            reason: format!(
                "{} is asked for, and the nixpkgs {revision} is the one known to have it",
                asked.entry
            ),
        });
        Ok(found)
    }

    /// The versions of attributes in each set, and the names of all in one of them.
    pub(super) fn ask(
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
                set,
                attributes: attributes.clone(),
                all: all == Some(number),
            })
            .collect();
        let staging = self.context.cache.staging()?;
        let origins = self.bring(sets, step)?;
        let reads = self.reads(staging.path(), sets, &origins);
        let written = render::versions(staging.path(), system, &questions, &origins, reads)?;
        let answer = self.commands.evaluate(&written, None, step);
        match answer.map_err(|failed| self.failure_in(&failed, "evaluate nixpkgs", &written))? {
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
        let place = |entry: &str| {
            let asked = wanted.asked.iter().find(|asked| asked.entry == entry);
            asked.map_or_else(|| entry.to_owned(), |asked| asked.place.clone())
        };
        [lock.build, lock.run] = self.outputs(lock, &place, step)?;
        Ok(())
    }

    /// The store paths of an environment, for phases and for the image, by its packages.
    pub(super) fn outputs(
        &self,
        lock: &LockedNix,
        place: &dyn Fn(&str) -> String,
        step: &Step<'_>,
    ) -> Result<[String; 2], EnvironmentError> {
        let staging = self.context.cache.staging()?;
        let written = self.write_environment(staging.path(), lock, place, step)?;
        let output = |attribute| -> Result<String, EnvironmentError> {
            let value = self.commands.evaluate(&written, Some(attribute), step);
            let value = value
                .map_err(|failed| self.failure_in(&failed, "evaluate the environment", &written))?;
            Ok(value.as_str().unwrap_or_default().to_owned())
        };
        Ok([output("build.outPath")?, output("run.outPath")?])
    }

    /// Writes the expression of an environment, with all that it needs here.
    pub(super) fn write_environment(
        &self,
        folder: &Path,
        lock: &LockedNix,
        place: &dyn Fn(&str) -> String,
        step: &Step<'_>,
    ) -> Result<Written, EnvironmentError> {
        let origins = self.bring(&lock.sets, step)?;
        let reads = self.reads(folder, &lock.sets, &origins);
        render::environment(folder, &self.app, lock, place, &origins, reads)
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
        failed.explain(what, self.commands.physical(), &|file| {
            let text = written
                .texts
                .iter()
                .find(|(path, _)| path.as_os_str() == file);
            match text {
                Some((_, place)) => Some((place.clone(), SCOPE_LINES)),
                None => {
                    let below = Path::new(file).strip_prefix(&self.app).ok()?;
                    Some((below.display().to_string(), 0))
                }
            }
        })
    }

    /// Of everything that a lock follows from, and that is not asked anew each time.
    fn request_key(&self, request: &EnvironmentRequest, system: &str) -> Key {
        let settings = self.context.nix;
        let variable = |name| self.context.sources.variable(name).unwrap_or_default();
        let options = settings.options.iter();
        Key::build("nix request")
            .field("format", LockedNix::FORMAT.to_le_bytes())
            .field("system", system)
            .field("request", format!("{request:?}"))
            .field("nixpkgs", self.main_reference().unwrap_or_default())
            .field("archives", self.archives().unwrap_or_default())
            .list("options", options.flat_map(|(name, value)| [name, value]))
            .field("configuration", variable("NIX_CONFIG"))
            .field("suite", variable("PACKWRIGHT_SUITE"))
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
        if lock.is_elsewhere() {
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

/// A package and its version, when it says so.
type Chosen = (Attribute, Option<String>);

/// A tool from a nixpkgs of its own.
struct Found {
    nixpkgs: LockedSource,
    packages: Vec<Chosen>,
}

/// The number of the set with this nixpkgs and no overlays, made when it is new.
fn place_of(sets: &mut Vec<LockedSet>, nixpkgs: LockedSource) -> usize {
    let same = |set: &LockedSet| set.nixpkgs == nixpkgs && set.overlays.is_empty();
    sets.iter().position(same).unwrap_or_else(|| {
        sets.push(LockedSet {
            nixpkgs,
            overlays: Vec::new(),
            packages: Vec::new(),
        });
        sets.len() - 1
    })
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
