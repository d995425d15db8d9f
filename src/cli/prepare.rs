//! `packwright prepare`: the plan and what is known of it as files, for platforms that call Railpack.
//!
//! Every `--env` is a secret of the build, as with Railpack: its name is in the plan, its value is not. The plan is
//! one of ours, for `packwright build --config`; Railpack's own frontend knows only Railpack's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use packwright_providers::{PlanError, Planned};
use serde::Serialize;

use super::{Global, PlanFlags, explain, text};
use crate::error::Failure;
use crate::pipeline::PipelineError;

/// Arguments of `prepare`.
#[derive(Debug, Args)]
pub struct PrepareArgs {
    /// The folder
    path: PathBuf,
    /// Write the plan to this file
    #[arg(long, value_name = "FILE")]
    plan_out: Option<PathBuf>,
    /// Write what was found to this file: packages, providers, messages
    #[arg(long, value_name = "FILE")]
    info_out: Option<PathBuf>,
    /// Print the plan
    #[arg(long)]
    show_plan: bool,
    /// Do not print what was decided and why
    #[arg(long)]
    hide_pretty_plan: bool,
    /// Fail when nothing says how to start
    #[arg(long)]
    error_missing_start: bool,
    #[command(flatten, next_help_heading = "Changes to the plan")]
    flags: PlanFlags,
}

/// What `--info-out` writes, in Railpack's shape.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    packwright_version: &'static str,
    resolved_packages: BTreeMap<String, Package>,
    metadata: BTreeMap<String, String>,
    detected_providers: Vec<String>,
    logs: Vec<Log>,
    success: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_version: Option<String>,
    source: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Log {
    level: &'static str,
    msg: String,
}

/// Runs the verb. What was found is written when there is no plan, too.
pub fn run(args: &PrepareArgs, _: &Global) -> anyhow::Result<ExitCode> {
    let mut overrides = args.flags.overrides()?;
    overrides.env_are_secrets = true;
    let planned = packwright_providers::open_and_plan(&args.path, &overrides)
        .map_err(Failure::from)
        .and_then(|(repo, planned)| {
            args.check(&planned)
                .map(|()| (repo, planned))
                .map_err(Failure::from)
        });
    let (repo, planned) = match planned {
        Ok(found) => found,
        Err(failure) => {
            args.write_info(&Info::of_failure(&failure))?;
            return Err(failure.into());
        }
    };
    for warning in &planned.warnings {
        text::say(&format!("warning: {}", text::escape(warning)));
    }
    let plan = planned.plan.to_json().map_err(Failure::from)?;
    if let Some(file) = &args.plan_out {
        write(file, &plan)?;
    }
    args.write_info(&Info::of(&planned))?;
    let mut said = String::new();
    if !args.hide_pretty_plan {
        said += &text::escape(&explain::explanation(&planned, &repo));
    }
    if args.show_plan {
        said += &plan;
    }
    super::print(said.as_bytes())
}

impl PrepareArgs {
    /// What has to be there before anything is written.
    fn check(&self, planned: &Planned) -> Result<(), PipelineError> {
        let plan = &planned.plan;
        if plan.phases.is_empty() && plan.start.is_none() {
            return Err(PipelineError::NothingDetected(
                self.path.clone(),
                planned.advice.clone(),
            ));
        }
        let starts = plan.start.as_ref().is_some_and(|start| start.cmd.is_some());
        if self.error_missing_start && !starts {
            return Err(PipelineError::NoStart(self.path.clone()));
        }
        plan.phases_in_order().map(drop).map_err(PlanError::into)
    }

    fn write_info(&self, info: &Info) -> anyhow::Result<()> {
        match &self.info_out {
            Some(file) => Ok(write(file, &(serde_json::to_string_pretty(info)? + "\n"))?),
            None => Ok(()),
        }
    }
}

impl Info {
    fn of(planned: &Planned) -> Self {
        let plan = &planned.plan;
        let tools = plan
            .phases
            .get("setup")
            .and_then(|setup| setup.nix_pkgs.as_ref());
        let packages = tools.into_iter().flatten().map(|tool| {
            let (name, version) = tool
                .split_once('@')
                .map_or((tool.as_str(), None), |(name, version)| {
                    (name, Some(version))
                });
            let decided = planned
                .decisions
                .iter()
                .find(|decision| decision.subject == name || decision.choice == *tool);
            let package = Package {
                name: name.to_owned(),
                requested_version: version.map(str::to_owned),
                source: decided
                    .map_or_else(|| "plan".to_owned(), |decision| decision.reason.clone()),
            };
            (name.to_owned(), package)
        });
        let mut metadata = BTreeMap::from([("providers".to_owned(), planned.providers.join(","))]);
        if let Some(more) = plan.variables.get("NIXPACKS_METADATA") {
            metadata.insert("metadata".to_owned(), more.clone());
        }
        let warnings = planned.warnings.iter().map(|warning| log("warn", warning));
        let decisions = planned.decisions.iter();
        let decisions = decisions.map(|it| {
            log(
                "info",
                &format!("{}: {} ({})", it.subject, it.choice, it.reason),
            )
        });
        Self {
            packwright_version: env!("CARGO_PKG_VERSION"),
            resolved_packages: packages.collect(),
            metadata,
            detected_providers: planned.providers.clone(),
            logs: decisions.chain(warnings).collect(),
            success: true,
        }
    }

    fn of_failure(failure: &Failure) -> Self {
        let more = failure.details.iter().chain(&failure.hint);
        Self {
            packwright_version: env!("CARGO_PKG_VERSION"),
            logs: std::iter::once(log("error", &failure.to_string()))
                .chain(more.map(|line| log("info", line)))
                .collect(),
            ..Self::default()
        }
    }
}

fn log(level: &'static str, message: &str) -> Log {
    Log {
        level,
        msg: message.to_owned(),
    }
}

/// Writes a file whole, with the folders that lead to it.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let write = || {
        fs::create_dir_all(folder)?;
        crate::whole::write(path, text)
    };
    write().map_err(|error| Failure::unwritable(path, &error))
}
