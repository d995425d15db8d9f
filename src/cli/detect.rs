//! `packwright detect`: provider names, as nixpacks prints them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use packwright_providers::{PlanError, Repo};

use super::{Global, PlanFlags};
use crate::error::Failure;

/// Arguments of `detect`.
#[derive(Debug, Args)]
pub struct DetectArgs {
    /// The folder
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten, next_help_heading = "Changes to the plan")]
    flags: PlanFlags,
}

/// Runs the verb. Nothing detected is an empty line and success, as with nixpacks.
pub fn run(args: &DetectArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let repo = Repo::open(&args.path)
        .map_err(PlanError::from)
        .map_err(Failure::from)?;
    let detected =
        packwright_providers::detect(&repo, &args.flags.overrides()?).map_err(Failure::from)?;
    let text = if global.json {
        let objects: Vec<_> = detected
            .iter()
            .map(|found| serde_json::json!({ "provider": found.name, "evidence": found.evidence }))
            .collect();
        serde_json::Value::from(objects).to_string()
    } else {
        detected
            .iter()
            .map(|found| found.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    super::print(format!("{text}\n").as_bytes())
}
