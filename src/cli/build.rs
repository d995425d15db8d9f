//! `packwright build`: from a folder to an image in the local store.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::builder::{Choice, DaemonFlags};
use super::caller::Caller;
use super::human::Human;
use super::json::Lines;
use super::packages::PackageFlags;
use super::{Global, PlanFlags, Tee, text};
use crate::engine::native::Native;
use crate::environment::Sources;
use crate::error::Failure;
use crate::image::{Destination, Reference};
use crate::interrupt::Interrupt;
use crate::pipeline::{Build, BuildOptions, Built, PipelineError, Secret, size};
use crate::report::Report;

/// Arguments of `build`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct BuildArgs {
    /// The folder
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// Name of the image [default: the folder's name]
    #[arg(long, short, value_name = "NAME")]
    pub name: Option<String>,
    /// A further name for the image; may be given several times
    #[arg(long, short, value_name = "NAME")]
    pub tag: Vec<String>,
    /// A label of the image
    #[arg(long, short, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Write a Dockerfile and all that it needs to DIR/.nixpacks, and build nothing
    #[arg(long, short, value_name = "DIR", conflicts_with = "dockerfile")]
    pub out: Option<PathBuf>,
    /// Print the Dockerfile, and build nothing
    #[arg(long, short = 'd')]
    pub dockerfile: bool,
    /// Write .nixpacks into the app's own folder too
    #[arg(long)]
    pub current_dir: bool,
    /// Also write the image: oci-archive:FILE, docker-archive:FILE, oci:DIR, rootfs:DIR; a dash as
    /// FILE is standard output
    #[arg(long, value_name = "DESTINATION")]
    pub output: Vec<String>,
    /// Run every phase, whatever the cache has
    #[arg(long)]
    pub no_cache: bool,
    /// Share cache mounts among the builds with this key, instead of by folder
    #[arg(long, value_name = "KEY")]
    pub cache_key: Option<String>,
    /// A value for the phases that name it, and for nothing else: NAME takes it from the environment, NAME=@FILE from a
    /// file
    #[arg(long, value_name = "NAME[=VALUE|=@FILE]")]
    pub secret: Vec<String>,
    /// Use the packages of packwright.lock, or refuse
    #[arg(long)]
    pub locked: bool,
    /// Build although nothing says how to start, or the program is not in the image
    #[arg(long)]
    pub no_error_without_start: bool,
    /// Accepted for nixpacks' sake: progress is always told
    #[arg(long, short, hide = true)]
    pub verbose: bool,
    #[command(flatten)]
    pub(super) railpack: RailpackFlags,
    #[command(flatten, next_help_heading = "Who builds")]
    pub(super) daemon: DaemonFlags,
    #[command(flatten, next_help_heading = "Changes to the plan")]
    pub(super) flags: PlanFlags,
    #[command(flatten, next_help_heading = "Packages")]
    pub(super) packages: PackageFlags,
}

/// Flags of Railpack's `build` that mean nothing under another name.
#[derive(Debug, Default, Args)]
pub(super) struct RailpackFlags {
    /// How to show progress: it is shown where there is a terminal
    #[arg(long, value_name = "MODE", hide = true)]
    progress: Option<String>,
    /// Print the plan first: the verb `plan` does
    #[arg(long, hide = true)]
    show_plan: bool,
    /// Fail when nothing says how to start, which is what happens without it, too
    #[arg(long, hide = true)]
    error_missing_start: bool,
}

impl BuildArgs {
    /// The build of a folder with nothing said about it but its plan.
    pub(super) fn of(path: PathBuf, flags: PlanFlags) -> Self {
        Self {
            path,
            name: None,
            tag: Vec::new(),
            label: Vec::new(),
            out: None,
            dockerfile: false,
            current_dir: false,
            output: Vec::new(),
            no_cache: false,
            cache_key: None,
            secret: Vec::new(),
            locked: false,
            no_error_without_start: false,
            verbose: false,
            railpack: RailpackFlags::default(),
            daemon: DaemonFlags::default(),
            flags,
            packages: PackageFlags::default(),
        }
    }

    fn wanted(&self) -> Wanted<'_> {
        match &self.out {
            _ if self.dockerfile => Wanted::Dockerfile(&self.daemon),
            Some(folder) => Wanted::Out(&self.daemon, folder.clone()),
            None => Wanted::Image {
                flags: &self.daemon,
                folder: self.current_dir.then(|| self.path.clone()),
            },
        }
    }

    pub(super) fn options(&self) -> anyhow::Result<BuildOptions> {
        let caller = Caller::of_process();
        let name = match &self.name {
            Some(name) => name.parse().map_err(Failure::from)?,
            // nixpacks' images have no name that another one could have.
            None if caller == Caller::Nixpacks => random_name().parse().map_err(Failure::from)?,
            None => default_name(&self.path),
        };
        let tags: Vec<Reference> = self
            .tag
            .iter()
            .map(|tag| tag.parse())
            .collect::<Result<_, _>>()
            .map_err(Failure::from)?;
        let destinations: Vec<Destination> = self
            .output
            .iter()
            .map(|text| match caller {
                // Railpack's word for it.
                Caller::Railpack => format!("rootfs:{text}").parse(),
                _ => text.parse(),
            })
            .collect::<Result<_, _>>()
            .map_err(Failure::from)?;
        if destinations
            .iter()
            .filter(|destination| destination.is_stdout())
            .count()
            > 1
        {
            return Err(
                Failure::usage("standard output can carry one image only".to_owned()).into(),
            );
        }
        let labels: BTreeMap<String, String> = self
            .label
            .iter()
            .map(|label| {
                // Docker takes a name alone for one without a value.
                let (key, value) = label.split_once('=').unwrap_or((label, ""));
                if key.is_empty() {
                    let message = format!("--label {label}: it must be KEY=VALUE");
                    return Err(Failure::usage(message));
                }
                Ok((key.to_owned(), value.to_owned()))
            })
            .collect::<Result<_, Failure>>()?;
        let overrides = self.flags.overrides()?;
        let mut secrets = super::secrets(&self.secret)?;
        for (name, value) in overrides.secrets() {
            let secret = || Secret::new(value.clone());
            secrets.0.entry(name.clone()).or_insert_with(secret);
        }
        Ok(BuildOptions {
            source: self.path.clone(),
            overrides,
            names: std::iter::once(name)
                .chain(tags)
                .map(|name| name.to_string())
                .collect(),
            labels,
            destinations,
            allow_no_start: self.no_error_without_start
                || (caller == Caller::Railpack && !self.railpack.error_missing_start),
            no_cache: self.no_cache,
            cache_key: self.cache_key.clone(),
            secrets,
            packages: self.packages.packages(),
            nix: self.packages.nix()?,
            locked: self.locked,
        })
    }
}

fn default_name(path: &Path) -> Reference {
    let full = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    Reference::from_folder(&full.file_name().unwrap_or_default().to_string_lossy())
}

/// A random UUID, as nixpacks names images.
fn random_name() -> String {
    let mut bytes = [0_u8; 16];
    // Without randomness it is a name all the same; the kernel has it in practice.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &text[part]);
    parts.join("-")
}

/// Runs the verb.
pub fn run(args: &BuildArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let options = args.options()?;
    let carries_image = options.destinations.iter().any(Destination::is_stdout);
    if carries_image && global.json {
        return Err(Failure::usage(
            "standard output cannot carry both JSON and an image".to_owned(),
        )
        .into());
    }
    let interrupt = Interrupt::default();
    super::handle_signals(&interrupt)?;
    let wanted = args.wanted();
    let outcome = with(&options, global, &interrupt, global.json, |build| {
        wanted.done_by(build)
    })
    .map_err(Failure::from)?;
    let built = match outcome {
        Outcome::Built(built) => built,
        Outcome::Text(text) => return super::print(text.as_bytes()),
    };
    if global.json {
        return Ok(ExitCode::SUCCESS);
    }
    let summary = summary(&built);
    if carries_image {
        text::say(&summary);
        return Ok(ExitCode::SUCCESS);
    }
    super::print(format!("{summary}\n").as_bytes())
}

/// `name sha256:... 61.0 MB (190.2 MB unpacked)`.
fn summary(built: &Built) -> String {
    let image = &built.image;
    if image.size == 0 {
        // It is elsewhere, and its builder says no more of it.
        return format!("{} {}", built.names.join(" "), image.manifest_digest);
    }
    format!(
        "{} {} {} ({} unpacked)",
        built.names.join(" "),
        image.manifest_digest,
        size(image.size),
        size(image.unpacked_size)
    )
}

/// What `build` is asked for.
enum Wanted<'a> {
    Image {
        flags: &'a DaemonFlags,
        /// The folder that gets `.nixpacks` before.
        folder: Option<PathBuf>,
    },
    /// The folder that gets `.nixpacks`.
    Out(&'a DaemonFlags, PathBuf),
    Dockerfile(&'a DaemonFlags),
}

/// What `build` has to show.
enum Outcome {
    Built(Built),
    Text(String),
}

impl Wanted<'_> {
    fn done_by(&self, build: &Build<'_>) -> Result<Outcome, PipelineError> {
        match self {
            Self::Image { flags, folder } => {
                let choice = flags.choose(build.report)?;
                image_by(&choice, build, folder.as_deref()).map(Outcome::Built)
            }
            Self::Dockerfile(flags) => build.dockerfile(flags.machine()?).map(Outcome::Text),
            Self::Out(flags, folder) => {
                let written = build.write_out(folder, flags.machine()?)?;
                Ok(Outcome::Text(format!(
                    "\n=== Successfully Built! ===\n\nSaved output to:\n  {}\n",
                    written.display()
                )))
            }
        }
    }
}

fn image_by(
    choice: &Choice,
    build: &Build<'_>,
    folder: Option<&Path>,
) -> Result<Built, PipelineError> {
    match choice {
        Choice::Daemon(builder, options) => build.run_in(builder, options, folder),
        Choice::Native(engine) => {
            let made = build.run(folder)?;
            if let Some(engine) = engine {
                build.load_into(engine, &made.image)?;
            }
            Ok(made)
        }
    }
}

/// Builds, with a log on disk.
pub(super) fn build(
    options: &BuildOptions,
    global: &Global,
    interrupt: &Interrupt,
    json: bool,
) -> Result<Built, PipelineError> {
    with(options, global, interrupt, json, |build: &Build<'_>| {
        build.run(None)
    })
}

/// Hands everything that a build shares to `work`, with the reports that the flags ask for and a log on disk.
pub(super) fn with<T>(
    options: &BuildOptions,
    global: &Global,
    interrupt: &Interrupt,
    json: bool,
    work: impl FnOnce(&Build<'_>) -> Result<T, PipelineError>,
) -> Result<T, PipelineError> {
    let folder = global
        .folder()
        .map_err(|error| PipelineError::Folder(error.to_string()))?;
    let cache = crate::cache::Cache::open(&folder)?;
    let store = crate::image::ImageStore::open(&folder.join("images"))?;
    let mut reports: Vec<Arc<dyn Report>> = Vec::new();
    if let Some(log) = super::logs::new_log(&folder) {
        reports.push(Arc::new(Lines::new(log)));
    }
    if json {
        reports.push(Arc::new(Lines::stdout()));
    } else {
        let terminal = io::stderr().is_terminal()
            && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        reports.push(Human::start(terminal, global.colours(), global.quiet));
    }
    let report = Tee(reports);
    let engine = Native::default();
    let sources = Sources::discover(&cache);
    let build = Build {
        options,
        cache: &cache,
        store: &store,
        engine: &engine,
        sources: &sources,
        report: &report,
        interrupt,
    };
    work(&build).map_err(|error| build.told(error))
}

/// Keeps the type of log files in one place.
pub(super) type Log = io::LineWriter<File>;
