//! `packwright lock`: the packages of a folder's plan, exactly, in a file beside it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::build::BuildArgs;
use super::packages::PackageFlags;
use super::{Global, PlanFlags};
use crate::error::Failure;
use crate::interrupt::Interrupt;

/// Arguments of `lock`.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// The folder
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten, next_help_heading = "Changes to the plan")]
    flags: PlanFlags,
    #[command(flatten, next_help_heading = "Packages")]
    packages: PackageFlags,
}

/// Runs the verb; the file's path is the result.
pub fn run(args: LockArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let mut build = BuildArgs::of(args.path, args.flags);
    build.packages = args.packages;
    build.no_error_without_start = true;
    let options = build.options()?;
    let interrupt = Interrupt::default();
    super::handle_signals(&interrupt)?;
    let path = super::build::with(&options, global, &interrupt, global.json, |build| {
        build.write_lock()
    })
    .map_err(Failure::from)?;
    if global.json {
        let object = serde_json::json!({ "event": "locked", "path": path });
        return super::print(format!("{object}\n").as_bytes());
    }
    super::print(format!("{}\n", path.display()).as_bytes())
}
