//! Runs the plan's phases, each from the snapshot before it, and remembers what they changed.
//!
//! A step's key is the hash of its parent, its commands, its variables and the files that it
//! sees; a step with a known key does not run again. What a phase may see is decided here, how
//! it is confined is the engine's business.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use packwright_providers::{BuildPlan, Phase};

use super::authorities::network_binds;
use super::removals::Removals;
use super::secrets::{Secret, fingerprint};
use super::source::{APP, SourceFile, SourceTree};
use super::{Build, PipelineError, references};
use crate::cache::{Key, Kind, Lock};
use crate::engine::{Bind, Exit, Job, Network, Streams, Tail};
use crate::environment::Roots;
use crate::report::{Event, Step};

/// Raised when the meaning of a step's key changes, so that results of old versions are not used.
const STEP_FORMAT: &str = "2";

/// Beside a step's tree: what it removed.
const REMOVED: &str = "removed";

/// Folders of which a cache mount is shared by all of the user's apps: what lies in the app's own
/// folder belongs to one app.
const SHARED_OUTSIDE: &str = "/app";

/// What a phase left: an overlay's upper folder.
#[derive(Debug)]
pub struct StepResult {
    /// The phase.
    pub phase: String,
    /// The tree of changes.
    pub dir: PathBuf,
    /// Its key.
    pub key: Key,
    /// True when the phase saw only the files it named: its output changes with those.
    pub before_source: bool,
    /// False when an earlier build's result was used.
    pub ran: bool,
    /// Absolute paths of the cache mounts, which are not part of the result.
    pub mounts: Vec<String>,
    /// What it removed of what was there.
    pub removed: Removals,
}

/// What the phases made of the source.
#[derive(Debug, Default)]
pub struct Results {
    /// In the order in which they ran.
    pub steps: Vec<StepResult>,
    /// Files that were in a root before a step which saw only some, by path; a step that changed
    /// one of them wins over the source.
    pub placed_early: BTreeSet<PathBuf>,
    /// `PATH` of the last phase, first entry first.
    pub path: Vec<String>,
}

/// Runs all phases in their order.
pub fn run(
    build: &Build<'_>,
    plan: &BuildPlan,
    source: &SourceTree,
    roots: &Roots,
) -> Result<Results, PipelineError> {
    let mut state = State {
        build,
        plan,
        source,
        roots,
        lowers: roots.build.iter().cloned().map(Lower::Tree).collect(),
        parent: roots.key.clone(),
        placed: BTreeSet::new(),
        results: Results {
            path: roots.around.build_path.clone(),
            ..Results::default()
        },
    };
    state.place_assets()?;
    for name in plan.phases_in_order()? {
        if let Some(phase) = plan.phases.get(name) {
            state.run_phase(name, phase)?;
        }
    }
    Ok(state.results)
}

/// A part of a root. Source files are copied only when a step has to run on them.
enum Lower<'a> {
    Tree(PathBuf),
    Source(Vec<&'a SourceFile>),
}

struct State<'a> {
    build: &'a Build<'a>,
    plan: &'a BuildPlan,
    source: &'a SourceTree,
    roots: &'a Roots,
    lowers: Vec<Lower<'a>>,
    parent: Key,
    placed: BTreeSet<PathBuf>,
    results: Results,
}

/// A phase with everything that its key and its jobs need.
struct Prepared<'a> {
    name: &'a str,
    commands: Vec<String>,
    env: BTreeMap<String, String>,
    network: Network,
    mounts: Vec<String>,
    /// Values that belong to no key; what stands for them there.
    secrets: BTreeMap<&'a str, &'a Secret>,
    fingerprint: String,
}

impl<'a> State<'a> {
    /// Puts the plan's static assets into the root, where commands of any phase find them.
    fn place_assets(&mut self) -> Result<(), PipelineError> {
        let assets = &self.plan.static_assets;
        if assets.is_empty() {
            return Ok(());
        }
        let key = Key::build("assets").map("files", assets).finish();
        let cache = self.build.cache;
        let path = match cache.find(Kind::Source, &key) {
            Some(path) => path,
            None => {
                let staging = cache.staging()?;
                let folder = staging.path().join("fs/assets");
                for (name, text) in assets {
                    let file = super::asset_path(&folder, name)?;
                    let parent = file.parent().unwrap_or(&folder);
                    fs::create_dir_all(parent)
                        .map_err(|e| PipelineError::io("create", parent, e))?;
                    fs::write(&file, text).map_err(|e| PipelineError::io("write", &file, e))?;
                }
                cache.commit(staging, Kind::Source, &key)?
            }
        };
        self.lowers.push(Lower::Tree(path.join("fs")));
        self.parent = Key::build("step-parent")
            .field("parent", self.parent.as_str())
            .field("assets", key.as_str())
            .finish();
        Ok(())
    }

    fn run_phase(&mut self, name: &'a str, phase: &'a Phase) -> Result<(), PipelineError> {
        for path in phase.paths.iter().flatten() {
            self.results.path.insert(0, path.clone());
        }
        let commands = super::hooks::commands_of(self.plan, name, phase);
        if commands.is_empty() {
            return Ok(());
        }
        // Hooks are the user's own and may read any file.
        let hooked = commands.len() != phase.cmds.iter().flatten().count();
        let patterns = phase.only_include_files.as_deref().filter(|_| !hooked);
        let files: Vec<&'a SourceFile> = self
            .source
            .select(patterns)?
            .into_iter()
            .filter(|file| !self.placed.contains(&file.path))
            .collect();
        let source_key = super::source::key(&files);
        let secrets = self.build.options.secrets.of_phase(phase);
        let prepared = Prepared {
            fingerprint: fingerprint(self.build.cache, &secrets)?,
            secrets,
            name,
            commands,
            env: variables(self.plan, self.roots, &self.results.path),
            network: if phase.network == Some(false) {
                Network::None
            } else {
                Network::Host
            },
            mounts: phase
                .cache_directories
                .iter()
                .flatten()
                .map(|path| absolute(path))
                .collect(),
        };
        let key = self.step_key(&prepared, &source_key);
        let title = format!("{name}: {}", prepared.commands.join(" && "));
        let title = self.build.options.secrets.mask(&title);
        let step = Step::start(self.build.report, format!("phase:{name}"), title);
        let found = if self.build.options.no_cache {
            None
        } else {
            self.build.cache.find(Kind::Step, &key)
        };
        let ran = found.is_none();
        self.placed
            .extend(files.iter().map(|file| file.path.clone()));
        if patterns.is_some() {
            self.results
                .placed_early
                .extend(files.iter().map(|file| file.path.clone()));
        }
        if !files.is_empty() {
            self.lowers.push(Lower::Source(files));
        }
        let result = match found {
            Some(path) => path,
            None => self.execute(&prepared, &key, step.name())?,
        };
        let dir = result.join("fs");
        let removed = result.join(REMOVED);
        let removed =
            Removals::read(&removed).map_err(|e| PipelineError::io("read", &removed, e))?;
        step.finish(!ran, "");
        self.lowers.push(Lower::Tree(dir.clone()));
        self.parent = key.clone();
        let before_source =
            patterns.is_some() && !self.results.steps.iter().any(|step| !step.before_source);
        self.results.steps.push(StepResult {
            phase: name.to_owned(),
            dir,
            key,
            before_source,
            ran,
            mounts: prepared.mounts,
            removed,
        });
        Ok(())
    }

    fn step_key(&self, phase: &Prepared<'_>, source: &Key) -> Key {
        let Prepared {
            name,
            commands,
            env,
            network,
            mounts,
            secrets: _,
            fingerprint,
        } = phase;
        let key = Key::build("step")
            .field("format", STEP_FORMAT)
            .field("parent", self.parent.as_str())
            .field("source", source.as_str())
            .field("phase", name)
            .list("commands", commands)
            .map("env", env)
            .field("network", format!("{network:?}"))
            .list("mounts", mounts);
        // Most steps have none.
        match fingerprint.as_str() {
            "" => key.finish(),
            fingerprint => key.field("secrets", fingerprint).finish(),
        }
    }

    /// Runs a phase's commands one after the other over one set of changes, and keeps these.
    fn execute(
        &self,
        phase: &Prepared<'_>,
        key: &Key,
        step: &str,
    ) -> Result<PathBuf, PipelineError> {
        let cache = self.build.cache;
        let staging = cache.staging()?;
        let (mounts, _locks) = self.mounts(phase)?;
        // What stands on the store comes after it: a link of the root may lead there.
        let mut binds = super::store::binds(&self.roots.around.build_store);
        binds.extend(mounts);
        let mut env = phase.env.clone();
        let secrets = phase.secrets.iter();
        env.extend(secrets.map(|(name, value)| ((*name).to_owned(), value.reveal().to_owned())));
        let lowers: Vec<PathBuf> = self
            .lowers
            .iter()
            .map(|lower| match lower {
                Lower::Tree(path) => Ok(path.clone()),
                Lower::Source(files) => self.source.snapshot(files, cache).map(|(path, _)| path),
            })
            .collect::<Result<_, _>>()?;
        let scratch = cache.staging()?;
        if phase.network == Network::Host {
            binds.extend(network_binds(&mut env, &lowers, scratch.path())?);
        }
        for command in &phase.commands {
            let job = Job {
                lowers: lowers.clone(),
                workspace: staging.path().to_owned(),
                binds: binds.clone(),
                argv: ["/bin/bash", "-c", command].map(str::to_owned).to_vec(),
                env: env.clone(),
                directory: format!("/{APP}"),
                network: phase.network,
                streams: Streams::Captured,
                user: (0, 0),
            };
            self.run_command(&job, phase.name, command, step)?;
        }
        let upper = staging.path().join("upper");
        let fs_dir = staging.path().join("fs");
        fs::rename(&upper, &fs_dir).map_err(|e| PipelineError::io("rename", &upper, e))?;
        super::remove_workspace(staging.path())?;
        Removals::find(&fs_dir)
            .and_then(|removed| removed.write(&staging.path().join(REMOVED)))
            .map_err(|e| PipelineError::io("examine", &fs_dir, e))?;
        references::note(staging.path(), &fs_dir, &self.roots.around.build_store)
            .map_err(|e| PipelineError::io("examine", &fs_dir, e))?;
        if self.build.options.no_cache {
            // The new result takes the old one's place, unless another build works on that.
            cache.forget(Kind::Step, key)?;
        }
        Ok(cache.commit(staging, Kind::Step, key)?)
    }

    fn run_command(
        &self,
        job: &Job,
        phase: &str,
        command: &str,
        step: &str,
    ) -> Result<(), PipelineError> {
        let build = self.build;
        let (outcome, tail) = super::run_told(
            build.engine,
            job,
            build.interrupt,
            build.report,
            &build.options.secrets,
            step,
        );
        match outcome {
            // It may have ended well because it was told to end: its result is not whole.
            _ if build.interrupt.count() > 0 => {
                Err(PipelineError::Interrupted(build.interrupt.signal()))
            }
            Ok(outcome) if outcome.exit.success() => {
                if !outcome.leftovers.is_empty() {
                    let message = format!(
                        "phase {phase} left processes running, which were ended: {}",
                        outcome.leftovers.join(", ")
                    );
                    build.report.event(Event::Warning { message });
                }
                Ok(())
            }
            Ok(outcome) => Err(phase_failed(
                phase,
                &build.options.secrets.mask(command),
                outcome.exit,
                tail.last(Tail::LINES),
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// The cache mounts of a phase, each held under a lock while the phase runs.
    fn mounts(&self, phase: &Prepared<'_>) -> Result<(Vec<Bind>, Vec<Lock>), PipelineError> {
        let mut targets: Vec<&String> = phase.mounts.iter().collect();
        // Locks are taken in one order everywhere, so that two builds cannot wait for each other.
        targets.sort();
        targets.dedup();
        for target in &targets {
            check_mount(target)?;
        }
        let (mut binds, mut locks) = (Vec::new(), Vec::new());
        for target in targets {
            let owner = if Path::new(target).starts_with(SHARED_OUTSIDE) {
                self.build.app_identity()
            } else {
                String::new()
            };
            let scope = self.build.options.cache_key.clone().unwrap_or(owner);
            let key = Key::build("mount")
                .field("scope", scope)
                .field("target", target)
                .finish();
            let path = self.build.cache.path(Kind::Mount, &key);
            let waiting = || {
                let message = format!("waiting for another build that uses the cache of {target}");
                self.build.report.event(Event::Warning { message });
            };
            locks.push(self.build.cache.lock(&key, waiting)?);
            fs::create_dir_all(&path).map_err(|e| PipelineError::io("create", &path, e))?;
            // Keeps it from `cache prune`.
            let _ = self.build.cache.find(Kind::Mount, &key);
            binds.push(Bind {
                source: path,
                target: target.clone(),
                read_only: false,
            });
        }
        Ok((binds, locks))
    }
}

/// The variables of a phase: the system's, the toolchains', the plan's, in rising order.
pub fn variables(plan: &BuildPlan, roots: &Roots, path: &[String]) -> BTreeMap<String, String> {
    let mut env = system_variables();
    env.extend(roots.around.variables.clone());
    super::lay_over(&mut env, &plan.variables);
    env.insert("PATH".to_owned(), super::search_path(path));
    env
}

/// That a command failed, with its last lines.
pub fn phase_failed(phase: &str, command: &str, exit: Exit, tail: Vec<String>) -> PipelineError {
    let carriage_return = tail
        .iter()
        .any(|line| line.contains("^M") || line.contains("\r': No such file"));
    PipelineError::PhaseFailed {
        phase: phase.to_owned(),
        command: command.to_owned(),
        exit,
        tail,
        carriage_return,
    }
}

/// What every phase has in its environment, below all else.
pub fn system_variables() -> BTreeMap<String, String> {
    [
        ("HOME", "/root"),
        ("USER", "root"),
        ("LANG", "C.UTF-8"),
        ("SHELL", "/bin/bash"),
        // 1980, the first year that zip archives can express.
        ("SOURCE_DATE_EPOCH", "315532800"),
        ("DEBIAN_FRONTEND", "noninteractive"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Refuses a cache directory that would hide what a build needs.
pub fn check_mount(target: &str) -> Result<(), PipelineError> {
    if ["/", SHARED_OUTSIDE].contains(&target) {
        return Err(PipelineError::Setting {
            key: "cacheDirectories",
            value: target.to_owned(),
            reason: "would hide the whole root or the whole app",
        });
    }
    Ok(())
}

/// A cache directory's absolute path: `~` is the home folder, relative ones lie in the app.
pub fn absolute(path: &str) -> String {
    let path = match path.strip_prefix('~') {
        Some(rest) => format!("/root{rest}"),
        None if path.starts_with('/') => path.to_owned(),
        None => format!("/{APP}/{path}"),
    };
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != "." && *part != "..")
        .collect();
    format!("/{}", parts.join("/"))
}

/// Whether a step's tree has its own version, or the deletion, of a source file.
pub fn overrides(step: &StepResult, path: &Path) -> bool {
    debug_assert!(!path.as_os_str().as_bytes().starts_with(b"/"));
    step.dir.join(APP).join(path).symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;
    use crate::engine::fake::Fake;
    use crate::environment::{Sources, Surroundings};
    use crate::image::ImageStore;
    use crate::interrupt::Interrupt;
    use crate::pipeline::BuildOptions;
    use crate::report::Silent;
    use packwright_providers::{Hooks, Repo};

    #[test]
    fn cache_directories_are_absolute_and_stay_inside() {
        assert_eq!(absolute("~/.cache"), "/root/.cache");
        assert_eq!(absolute("node_modules/.cache"), "/app/node_modules/.cache");
        assert_eq!(absolute("/root/.npm/"), "/root/.npm");
        assert_eq!(absolute("../../etc"), "/app/etc");
    }

    /// Phases of an app, run by an engine that remembers.
    struct Place {
        home: tempfile::TempDir,
        plan: BuildPlan,
        roots: Roots,
        options: BuildOptions,
    }

    impl Place {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let app = home.path().join("app");
            fs::create_dir(&app).unwrap();
            fs::write(app.join("manifest"), "1").unwrap();
            fs::write(app.join("source"), "1").unwrap();
            let phase = |cmd: &str, files: Option<&str>, after: Option<&str>| Phase {
                cmds: Some(vec![cmd.to_owned()]),
                only_include_files: files.map(|file| vec![file.to_owned()]),
                depends_on: after.map(|phase| vec![phase.to_owned()]),
                ..Phase::default()
            };
            let mut plan = BuildPlan::default();
            let install = phase("install", Some("manifest"), None);
            plan.phases.insert("install".to_owned(), install);
            let build = phase("build", None, Some("install"));
            plan.phases.insert("build".to_owned(), build);
            let roots = Roots {
                around: Surroundings {
                    build_path: vec!["/opt/tool/bin".to_owned()],
                    ..Surroundings::default()
                },
                key: Key::build("roots").finish(),
                ..Roots::default()
            };
            let options = BuildOptions {
                source: app,
                ..BuildOptions::default()
            };
            Self {
                home,
                plan,
                roots,
                options,
            }
        }

        /// The phases that ran, and the commands that the engine was given.
        fn run(&self) -> (Vec<String>, Vec<Job>) {
            let cache = Cache::open(&self.home.path().join("cache")).unwrap();
            let store = ImageStore::open(&self.home.path().join("images")).unwrap();
            let (engine, interrupt) = (Fake::default(), Interrupt::default());
            let sources = Sources::discover(&cache);
            let build = Build {
                options: &self.options,
                cache: &cache,
                store: &store,
                engine: &engine,
                sources: &sources,
                report: &Silent,
                interrupt: &interrupt,
            };
            let repo = Repo::open(&self.options.source).unwrap();
            let source = SourceTree::read(repo.root().unwrap(), &repo.entries().unwrap()).unwrap();
            let results = run(&build, &self.plan, &source, &self.roots).unwrap();
            let ran = results.steps.iter().filter(|step| step.ran);
            (ran.map(|step| step.phase.clone()).collect(), engine.jobs())
        }
    }

    #[test]
    fn an_unchanged_step_does_not_run_again() {
        let place = Place::new();
        assert_eq!(place.run().0, ["install", "build"]);
        assert!(place.run().0.is_empty());
    }

    #[test]
    fn without_the_cache_every_step_runs_and_its_new_result_stays() {
        let mut place = Place::new();
        place.run();
        let steps = place.home.path().join("cache/v1/steps");
        let entries = || {
            fs::read_dir(&steps)
                .unwrap()
                .map(|entry| entry.unwrap().path())
        };
        for entry in entries() {
            fs::write(entry.join("of an earlier build"), "").unwrap();
        }
        place.options.no_cache = true;
        assert_eq!(place.run().0, ["install", "build"]);
        assert_eq!(entries().count(), 2);
        assert!(entries().all(|entry| !entry.join("of an earlier build").exists()));
        place.options.no_cache = false;
        assert!(place.run().0.is_empty());
    }

    #[test]
    fn a_changed_source_file_leaves_the_install_alone() {
        let place = Place::new();
        place.run();
        fs::write(place.options.source.join("source"), "2").unwrap();
        assert_eq!(place.run().0, ["build"]);
        fs::write(place.options.source.join("manifest"), "2").unwrap();
        assert_eq!(place.run().0, ["install", "build"]);
    }

    #[test]
    fn every_input_of_a_step_is_in_its_key() {
        type Change = fn(&mut Place);
        let changes: [(&str, Change); 8] = [
            ("command", |place| {
                install(place).cmds = Some(vec!["other".to_owned()]);
            }),
            ("network", |place| install(place).network = Some(false)),
            ("cache", |place| {
                install(place).cache_directories = Some(vec!["/root/.x".to_owned()]);
            }),
            ("path", |place| {
                install(place).paths = Some(vec!["/x".to_owned()]);
            }),
            ("variable", |place| {
                place.plan.variables.insert("A".to_owned(), "1".to_owned());
            }),
            ("toolchain variable", |place| {
                place
                    .roots
                    .around
                    .variables
                    .insert("B".to_owned(), "1".to_owned());
            }),
            ("roots", |place| {
                place.roots.key = Key::build("other roots").finish();
            }),
            ("asset", |place| {
                place
                    .plan
                    .static_assets
                    .insert("x".to_owned(), "y".to_owned());
            }),
        ];
        for (name, change) in changes {
            let mut place = Place::new();
            place.run();
            change(&mut place);
            assert_eq!(place.run().0, ["install", "build"], "{name}");
        }
    }

    fn install(place: &mut Place) -> &mut Phase {
        place.plan.phases.get_mut("install").unwrap()
    }

    #[test]
    fn hooks_run_around_their_phase_and_see_all_files() {
        let mut place = Place::new();
        place.plan.hooks = Some(Hooks {
            pre_install: Some(vec!["before".to_owned()]),
            post_install: Some(vec!["after".to_owned()]),
            ..Hooks::default()
        });
        let jobs = place.run().1;
        let commands: Vec<&str> = jobs
            .iter()
            .filter_map(|job| job.argv.last())
            .map(String::as_str)
            .collect();
        assert_eq!(commands, ["before", "install", "after", "build"]);
        let sees_source = |job: &Job| {
            job.lowers
                .iter()
                .any(|lower| lower.join("app/source").exists())
        };
        assert!(sees_source(&jobs[0]));
    }

    #[test]
    fn an_install_sees_its_manifests_alone_and_the_build_sees_the_rest() {
        let place = Place::new();
        let jobs = place.run().1;
        let sees = |job: &Job, file: &str| job.lowers.iter().any(|lower| lower.join(file).exists());
        assert!(sees(&jobs[0], "app/manifest") && !sees(&jobs[0], "app/source"));
        assert!(sees(&jobs[1], "app/source"));
        assert!(jobs[0].env["PATH"].starts_with("/opt/tool/bin:"));
    }
}
