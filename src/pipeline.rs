//! A build from beginning to end, and the run of an image: the only place where the
//! environment, the engine and the image meet.
//!
//! ```text
//! Repo -> plan -> LockedEnvironment -> Roots -> phases -> Layers -> Image -> destinations
//! ```

mod assemble;
mod authorities;
mod context;
mod daemon;
mod dockerfile;
mod hooks;
mod kept;
mod lock;
mod out;
mod phases;
mod references;
mod removals;
pub mod run;
mod secrets;
mod shell;
mod source;
mod start;
mod store;

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use packwright_providers::{BuildPlan, Overrides, PlanError, Planned, Repo};
use thiserror::Error;

use crate::cache::{Cache, CacheError};
use crate::engine::docker::DaemonError;
use crate::engine::{Engine, EngineError, Exit, Job, Network, Outcome, Streams, Tail};
use crate::environment::{EnvironmentError, NixSettings, Packages, RootJob, RootRunner, Sources};
use crate::image::{Destination, ImageError, ImageStore, WrittenImage};
use crate::interrupt::Interrupt;
use crate::report::{Event, Report, Step};

pub use daemon::Builder;
use dockerfile::Dialect;
pub use secrets::{Secret, Secrets};
pub use source::SourceError;

/// The system's own part of `PATH`, behind what toolchains and phases add.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why there is no image.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The repository or its plan is wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Nothing says how to build this repository.
    #[error("nothing here says how to build {0}")]
    NothingDetected(PathBuf, Vec<String>),
    /// The plan has no start command.
    #[error("no start command was found for {0}")]
    NoStart(PathBuf),
    /// The start command names a program that the image lacks.
    #[error("the start command's program {program} is not in the image")]
    StartNotFound {
        /// The first word of the start command.
        program: String,
        /// The start command.
        command: String,
    },
    /// The environment could not be made.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The app's files could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The sandbox could not be made.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A daemon did not do what it was asked.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// A command of a phase failed.
    #[error("phase {phase} failed with {exit}: {command}")]
    PhaseFailed {
        /// The phase.
        phase: String,
        /// The command.
        command: String,
        /// How it ended.
        exit: Exit,
        /// Its last lines.
        tail: Vec<String>,
        /// The lines look as if a script had Windows line ends.
        carriage_return: bool,
    },
    /// A signal asked for the end.
    #[error("interrupted")]
    Interrupted(i32),
    /// Layers or the image could not be written or read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image could not be delivered.
    #[error("cannot write {destination}")]
    Destination {
        /// Where to.
        destination: String,
        /// Why not.
        source: ImageError,
    },
    /// A static asset's name leads out of its folder.
    #[error("staticAssets: {0:?} is not a path inside /assets")]
    AssetName(String),
    /// The image's user is not in its account files.
    #[error("the image has no user {0}")]
    UnknownUser(String),
    /// A value of the plan is not one of those that there are.
    #[error("{key}: {value:?} {reason}")]
    Setting {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        reason: &'static str,
    },
    /// A template of ours is wrong.
    #[error("cannot fill in a template: {0}")]
    Template(String),
    /// There is no folder for caches and images.
    #[error("{0}")]
    Folder(String),
    /// The cache folder failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file system call failed.
    #[error("{action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl PipelineError {
    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    fn json(error: serde_json::Error) -> Self {
        Self::Io {
            action: "encode",
            path: PathBuf::from("a layer's descriptor"),
            source: error.into(),
        }
    }
}

/// What the caller wants built.
#[derive(Debug, Default)]
pub struct BuildOptions {
    /// The app's folder.
    pub source: PathBuf,
    /// What the command line changes of the plan.
    pub overrides: Overrides,
    /// Names for the local store; the first is the image's own.
    pub names: Vec<String>,
    /// Labels beyond the plan's.
    pub labels: BTreeMap<String, String>,
    /// Where else the image goes.
    pub destinations: Vec<Destination>,
    /// Build although nothing says how to start.
    pub allow_no_start: bool,
    /// Run every phase, whatever the cache has.
    pub no_cache: bool,
    /// Names the cache mounts, instead of the app's path.
    pub cache_key: Option<String>,
    /// Values for the phases that name them.
    pub secrets: Secrets,
    /// Where packages come from, when the command line or its environment says so.
    pub packages: Option<Packages>,
    /// How Nix is used.
    pub nix: NixSettings,
    /// Use the lock that is kept with the app, or refuse.
    pub locked: bool,
}

/// A finished build.
#[derive(Debug)]
pub struct Built {
    /// The image in the store.
    pub image: WrittenImage,
    /// Its names.
    pub names: Vec<String>,
    /// Phases that ran.
    pub phases_run: usize,
    /// Layers that had to be written.
    pub layers_written: usize,
}

/// Everything that the parts of a build share.
pub struct Build<'a> {
    /// What is wanted.
    pub options: &'a BuildOptions,
    /// The cache folder.
    pub cache: &'a Cache,
    /// The local images.
    pub store: &'a ImageStore,
    /// Runs commands.
    pub engine: &'a dyn Engine,
    /// Where registries are.
    pub sources: &'a Sources,
    /// Hears what happens.
    pub report: &'a dyn Report,
    /// Signals that ask for the end.
    pub interrupt: &'a Interrupt,
}

impl Build<'_> {
    /// Whatever a signal made fail, the signal is what happened.
    pub fn told(&self, error: PipelineError) -> PipelineError {
        match self.interrupt.count() {
            0 => error,
            _ => PipelineError::Interrupted(self.interrupt.signal()),
        }
    }

    /// Builds the image; `folder` gets `.nixpacks/` as well.
    pub fn run(&self, folder: Option<&Path>) -> Result<Built, PipelineError> {
        let prepared = self.prepare(None)?;
        let plan = &prepared.plan;
        let context = self.environment_of(&prepared)?;
        let mut roots = crate::environment::realise(&prepared.lock, &context, self)?;
        let source = self.read_source(&prepared.repo)?;
        if let Some(folder) = folder {
            let context = self.context(&prepared, &source, Dialect::Mounts)?;
            self.write_context(&context, &prepared, &source, folder)?;
        }
        let results = phases::run(self, plan, &source, &roots)?;
        references::bring(self, plan, &mut roots, &results)?;
        let held = self.store.hold()?;
        let layers = assemble::layers(self, plan, &source, &roots, &results)?;
        let spec = assemble::spec(self, plan, &roots, &results.path, layers.layers)?;
        start::check(self, plan, &spec, &roots, &source, &results)?;
        let image = self.store.write_image(&spec, &self.options.names)?;
        drop(held);
        self.smoke_test(plan, &image)?;
        self.deliver(&image)?;
        let built = Built {
            names: self.options.names.clone(),
            phases_run: results.steps.iter().filter(|step| step.ran).count(),
            layers_written: layers.written,
            image,
        };
        Ok(self.finished(built))
    }

    fn plan(&self) -> Result<(Repo, Planned), PipelineError> {
        let (repo, planned) =
            packwright_providers::open_and_plan(&self.options.source, &self.options.overrides)?;
        for decision in &planned.decisions {
            self.report.event(Event::Decided {
                subject: decision.subject.clone(),
                choice: decision.choice.clone(),
                reason: decision.reason.clone(),
            });
        }
        for message in &planned.warnings {
            self.report.event(Event::Warning {
                message: message.clone(),
            });
        }
        for message in unasked(&planned.plan, &self.options.secrets) {
            self.report.event(Event::Warning { message });
        }
        // Found now, and not after minutes of work.
        assemble::compression(&planned.plan)?;
        let source = self.options.source.clone();
        if planned.plan.phases.is_empty() && planned.plan.start.is_none() {
            return Err(PipelineError::NothingDetected(source, planned.advice));
        }
        let starts = planned
            .plan
            .start
            .as_ref()
            .is_some_and(|start| start.cmd.is_some());
        if !starts && !self.options.allow_no_start {
            return Err(PipelineError::NoStart(source));
        }
        Ok((repo, planned))
    }

    fn read_source(&self, repo: &Repo) -> Result<source::SourceTree, PipelineError> {
        let entries = repo.entries().map_err(PlanError::from)?;
        for path in repo.skipped() {
            let message = format!("{path} is a socket, pipe or device and is left out");
            self.report.event(Event::Warning { message });
        }
        let root = repo.root().unwrap_or(&self.options.source);
        Ok(source::SourceTree::read(root, &entries)?)
    }

    /// Tells one app's cache mounts from another's.
    fn app_identity(&self) -> String {
        std::fs::canonicalize(&self.options.source)
            .unwrap_or_default()
            .display()
            .to_string()
    }

    /// Tells that an image is there.
    fn finished(&self, built: Built) -> Built {
        self.report.event(Event::Finished {
            digest: built.image.manifest_digest.clone(),
            size: built.image.size,
            unpacked_size: built.image.unpacked_size,
            names: built.names.clone(),
            phases_run: built.phases_run,
            layers_written: built.layers_written,
        });
        built
    }

    /// Runs the `postPackage` hooks inside the finished image.
    fn smoke_test(&self, plan: &BuildPlan, image: &WrittenImage) -> Result<(), PipelineError> {
        self.each_post_package(plan, |command, step| {
            let container = run::Container {
                cache: self.cache,
                store: self.store,
                engine: self.engine,
                report: self.report,
                interrupt: self.interrupt,
            };
            container.smoke_test(&image.manifest_digest, command, &self.options.secrets, step)
        })
    }

    /// Runs each of the `postPackage` hooks, which is given with its step's name.
    fn each_post_package(
        &self,
        plan: &BuildPlan,
        run: impl Fn(&str, &str) -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        let hooks = plan.hooks.as_ref();
        for command in hooks
            .and_then(|hooks| hooks.post_package.as_ref())
            .into_iter()
            .flatten()
        {
            let step = Step::start(
                self.report,
                "postPackage",
                self.options
                    .secrets
                    .mask(&format!("postPackage: {command}")),
            );
            run(command, step.name())?;
            step.finish(false, "");
        }
        Ok(())
    }

    fn deliver(&self, image: &WrittenImage) -> Result<(), PipelineError> {
        for destination in &self.options.destinations {
            let step = Step::start(
                self.report,
                format!("output:{destination}"),
                format!("write {destination}"),
            );
            crate::image::export(
                self.store,
                &image.manifest_digest,
                &self.options.names,
                destination,
            )
            .map_err(|source| PipelineError::Destination {
                destination: destination.to_string(),
                source,
            })?;
            step.finish(false, "");
        }
        Ok(())
    }
}

/// Secrets that no phase asks for, and secrets that phases ask for and nobody gave.
fn unasked(plan: &BuildPlan, secrets: &Secrets) -> Vec<String> {
    let asked: std::collections::BTreeSet<&String> = plan
        .phases
        .values()
        .flat_map(|phase| phase.secrets.iter().flatten())
        .collect();
    let given = secrets.0.keys().filter(|name| !asked.contains(name));
    let given = given.map(|name| format!("no phase asks for the secret {name}: write phases.install.secrets = [\"{name}\"], or the phase that needs it"));
    let missing = asked.iter().filter(|name| !secrets.0.contains_key(**name));
    let missing = missing.map(|name| {
        format!("a phase asks for the secret {name}, which is not given: say --secret {name}")
    });
    given.chain(missing).collect()
}

/// Variables over others. A value that begins with a colon, as lists of folders have it, comes after the one below.
fn lay_over(below: &mut BTreeMap<String, String>, above: &BTreeMap<String, String>) {
    for (name, value) in above {
        match below.get_mut(name) {
            Some(all) if value.starts_with(':') => all.push_str(value),
            _ => drop(below.insert(name.clone(), value.clone())),
        }
    }
}

/// `PATH` with the given entries before the system's.
fn search_path(entries: &[String]) -> String {
    entries
        .iter()
        .map(String::as_str)
        .chain([SYSTEM_PATH])
        .collect::<Vec<_>>()
        .join(":")
}

/// The place of a static asset below a folder.
fn asset_path(folder: &Path, name: &str) -> Result<PathBuf, PipelineError> {
    let inside = Path::new(name);
    let plain = inside
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if plain && !name.is_empty() {
        Ok(folder.join(inside))
    } else {
        Err(PipelineError::AssetName(name.to_owned()))
    }
}

/// Runs a job, tells what it writes as the output of `step`, and keeps its last lines.
fn run_told(
    engine: &dyn Engine,
    job: &Job,
    interrupt: &Interrupt,
    report: &dyn Report,
    secrets: &Secrets,
    step: &str,
) -> (Result<Outcome, EngineError>, Tail) {
    let mut tail = Tail::default();
    let outcome = engine.run(job, interrupt, &mut |stream, line| {
        let line = String::from_utf8_lossy(line);
        let line = secrets.mask(&line).into_owned();
        tail.push(&line);
        report.event(Event::Output {
            step: step.to_owned(),
            stream,
            line,
        });
    });
    (outcome, tail)
}

/// Removes the folders that a job needed beside its changes.
fn remove_workspace(workspace: &Path) -> Result<(), PipelineError> {
    for name in ["work", "merged", "tmp", "l"] {
        let path = workspace.join(name);
        crate::cache::remove_tree(&path).map_err(|e| PipelineError::io("remove", &path, e))?;
    }
    Ok(())
}

/// Bytes for a person: `1.2 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "kB", "MB", "GB"];
    let mut unit = 0;
    let mut scaled = bytes * 10;
    while scaled >= 10_000 && unit + 1 < UNITS.len() {
        scaled /= 1000;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{}.{} {}", scaled / 10, scaled % 10, UNITS[unit])
    }
}

/// The environment's scripts run in the same sandbox as phases, without the network.
impl RootRunner for Build<'_> {
    fn run(&self, job: &RootJob<'_>) -> Result<(), String> {
        let staging = self.cache.staging().map_err(|error| error.to_string())?;
        let binds = job
            .binds
            .iter()
            .map(|(source, target)| crate::engine::Bind {
                source: source.clone(),
                target: target.clone(),
                read_only: true,
            })
            .collect();
        let sandboxed = Job {
            lowers: job.lowers.to_vec(),
            workspace: staging.path().to_owned(),
            binds,
            argv: ["/bin/sh", "-e", "-c", job.script]
                .map(str::to_owned)
                .to_vec(),
            env: job.env.clone(),
            directory: "/".to_owned(),
            network: Network::None,
            streams: Streams::Captured,
            user: (0, 0),
        };
        let step = format!("root:{}", job.title);
        let (outcome, tail) = run_told(
            self.engine,
            &sandboxed,
            self.interrupt,
            self.report,
            &Secrets::default(),
            &step,
        );
        match outcome {
            Ok(outcome) if outcome.exit.success() => {}
            Ok(outcome) => {
                return Err(format!("{}\n{}", outcome.exit, tail.last(10).join("\n")));
            }
            Err(error) => return Err(error.to_string()),
        }
        // The caller's folder takes the place of the changes; it is empty and on the same disk.
        std::fs::remove_dir(job.upper)
            .and_then(|()| std::fs::rename(staging.path().join("upper"), job.upper))
            .map_err(|error| format!("keep the changes: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_stay_in_their_folder() {
        assert!(asset_path(Path::new("assets"), "a/b.conf").is_ok());
        for bad in ["../x", "/etc/passwd", "a/../../b", ""] {
            assert!(asset_path(Path::new("assets"), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_that_begins_with_a_colon_comes_after_the_one_below() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let owned = pairs.iter();
            owned
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let mut all = map(&[("A", "/a"), ("B", "/b")]);
        lay_over(&mut all, &map(&[("A", ":/x"), ("B", "/y"), ("C", ":/z")]));
        assert_eq!(all, map(&[("A", "/a:/x"), ("B", "/y"), ("C", ":/z")]));
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(12), "12 B");
        assert_eq!(size(1_234_567), "1.2 MB");
    }
}
