//! `packwright build`: from a folder to an image in the local store.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::human::Human;
use super::json::Lines;
use super::packages::PackageFlags;
use super::{Global, PlanFlags, Tee};
use crate::engine::Interrupt;
use crate::engine::native::Native;
use crate::environment::Sources;
use crate::error::Failure;
use crate::image::{Destination, Reference};
use crate::pipeline::{Build, BuildOptions, Built, PipelineError, size};
use crate::report::Report;

/// Arguments of `build`.
#[derive(Debug, Args)]
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
    /// Use the packages of packwright.lock, or refuse
    #[arg(long)]
    pub locked: bool,
    /// Build although nothing says how to start, or the program is not in the image
    #[arg(long)]
    pub no_error_without_start: bool,
    #[command(flatten, next_help_heading = "Changes to the plan")]
    pub(super) flags: PlanFlags,
    #[command(flatten, next_help_heading = "Packages")]
    pub(super) packages: PackageFlags,
}

impl BuildArgs {
    /// The build of a folder with nothing said about it but its plan.
    pub(super) fn of(path: PathBuf, flags: PlanFlags) -> Self {
        Self {
            path,
            name: None,
            tag: Vec::new(),
            label: Vec::new(),
            output: Vec::new(),
            no_cache: false,
            cache_key: None,
            locked: false,
            no_error_without_start: false,
            flags,
            packages: PackageFlags::default(),
        }
    }

    pub(super) fn options(&self) -> anyhow::Result<BuildOptions> {
        let name = match &self.name {
            Some(name) => name.parse().map_err(Failure::from)?,
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
            .map(|text| text.parse())
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
                let pair = label.split_once('=').filter(|(key, _)| !key.is_empty());
                let (key, value) = pair.ok_or_else(|| {
                    Failure::usage(format!("--label {label}: it must be KEY=VALUE"))
                })?;
                Ok((key.to_owned(), value.to_owned()))
            })
            .collect::<Result<_, Failure>>()?;
        Ok(BuildOptions {
            source: self.path.clone(),
            overrides: self.flags.overrides()?,
            names: std::iter::once(name)
                .chain(tags)
                .map(|name| name.to_string())
                .collect(),
            labels,
            destinations,
            allow_no_start: self.no_error_without_start,
            no_cache: self.no_cache,
            cache_key: self.cache_key.clone(),
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
    let built = build(&options, global, &interrupt, global.json).map_err(Failure::from)?;
    if global.json {
        return Ok(ExitCode::SUCCESS);
    }
    let summary = format!("{}\n", summary(&built));
    if carries_image {
        let _ = io::stderr().write_all(summary.as_bytes());
        return Ok(ExitCode::SUCCESS);
    }
    super::print(summary.as_bytes())
}

/// `name sha256:... 61.0 MB (190.2 MB unpacked)`.
fn summary(built: &Built) -> String {
    let image = &built.image;
    format!(
        "{} {} {} ({} unpacked)",
        built.names.join(" "),
        image.manifest_digest,
        size(image.size),
        size(image.unpacked_size)
    )
}

/// Builds, with a log on disk.
pub(super) fn build(
    options: &BuildOptions,
    global: &Global,
    interrupt: &Interrupt,
    json: bool,
) -> Result<Built, PipelineError> {
    with(options, global, interrupt, json, |build: &Build<'_>| {
        build.run()
    })
}

/// Hands everything that a build shares to `work`, with the reports that the flags ask for.
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
    work(&build)
}

/// Keeps the type of log files in one place.
pub(super) type Log = io::LineWriter<File>;
