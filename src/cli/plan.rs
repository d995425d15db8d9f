//! `packwright plan`: the plan on standard output and nothing else there.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Global, PlanFlags, text};
use crate::error::Failure;

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The folder
    #[arg(default_value = ".")]
    path: PathBuf,
    /// How to write it
    #[arg(long, short, value_name = "FORMAT", default_value = "json")]
    format: Format,
    #[command(flatten, next_help_heading = "Changes to the plan")]
    flags: PlanFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Json,
    Toml,
}

/// Runs the verb.
pub fn run(args: &PlanArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let (_, planned) = packwright_providers::open_and_plan(&args.path, &args.flags.overrides()?)
        .map_err(Failure::from)?;
    for warning in planned.warnings.iter().chain(&planned.advice) {
        // Standard output belongs to the plan.
        text::say(&format!("warning: {}", text::escape(warning)));
    }
    if global.json {
        let plan = serde_json::to_string(&planned.plan)?;
        return super::print(format!("{plan}\n").as_bytes());
    }
    let mut plan = match args.format {
        Format::Json => planned.plan.to_json(),
        Format::Toml => planned.plan.to_toml(),
    }
    .map_err(Failure::from)?;
    if !plan.ends_with('\n') {
        plan.push('\n');
    }
    super::print(plan.as_bytes())
}
