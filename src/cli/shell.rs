//! `packwright shell`: a shell where the phases of a folder's plan would run.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::build::BuildArgs;
use super::packages::PackageFlags;
use super::{Global, PlanFlags};
use crate::error::Failure;
use crate::interrupt::Interrupt;

/// Arguments of `shell`.
#[derive(Debug, Args)]
pub struct ShellArgs {
    /// The folder
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Use the packages of packwright.lock, or refuse
    #[arg(long)]
    locked: bool,
    #[command(flatten, next_help_heading = "Changes to the plan")]
    flags: PlanFlags,
    #[command(flatten, next_help_heading = "Packages")]
    packages: PackageFlags,
    /// Run this instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the verb; the shell's exit code is the result.
pub fn run(args: ShellArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let mut build = BuildArgs::of(args.path, args.flags);
    build.packages = args.packages;
    build.locked = args.locked;
    build.no_error_without_start = true;
    let options = build.options()?;
    let interrupt = Interrupt::default();
    super::handle_signals(&interrupt)?;
    // Standard output belongs to the command.
    let exit = super::build::with(&options, global, &interrupt, false, |build| {
        build.shell(&args.command)
    })
    .map_err(Failure::from)?;
    Ok(ExitCode::from(u8::try_from(exit.code()).unwrap_or(1)))
}
