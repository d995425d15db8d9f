//! `packwright explain`: each decision with its reason, its evidence and what lost.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use packwright_providers::{Evidence, Planned, Repo};

use super::{Global, PlanFlags, text};
use crate::error::Failure;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The folder
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten, next_help_heading = "Changes to the plan")]
    flags: PlanFlags,
}

/// Runs the verb.
pub fn run(args: &ExplainArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let (repo, planned) = packwright_providers::open_and_plan(&args.path, &args.flags.overrides()?)
        .map_err(Failure::from)?;
    if global.json {
        let decisions: Vec<_> = planned
            .decisions
            .iter()
            .map(|decision| {
                serde_json::json!({
                    "subject": decision.subject, "choice": decision.choice, "reason": decision.reason,
                    "evidence": decision.evidence, "rejected": decision.rejected,
                })
            })
            .collect();
        let object = serde_json::json!({
            "providers": planned.providers, "decisions": decisions, "warnings": planned.warnings,
            "filesRead": repo.files_read(),
        });
        return super::print(format!("{object}\n").as_bytes());
    }
    super::print(text::escape(&explanation(&planned, &repo)).as_bytes())
}

/// All of it, for a person.
pub(super) fn explanation(planned: &Planned, repo: &Repo) -> String {
    let mut lines = vec![match planned.providers.as_slice() {
        [] => "providers: none".to_owned(),
        names => format!("providers: {}", names.join(", ")),
    }];
    for decision in &planned.decisions {
        lines.push(format!("\n{}: {}", decision.subject, decision.choice));
        lines.push(format!("  reason: {}", decision.reason));
        if let Some(evidence) = &decision.evidence {
            lines.push(format!("  seen in {}", place(evidence)));
        }
        lines.extend(
            decision
                .rejected
                .iter()
                .map(|rejected| format!("  not {rejected}")),
        );
    }
    lines.extend(
        planned
            .warnings
            .iter()
            .map(|warning| format!("\nwarning: {warning}")),
    );
    lines.extend(
        planned
            .advice
            .iter()
            .map(|advice| format!("\nadvice: {advice}")),
    );
    lines.push(format!("\nfiles read: {}", repo.files_read().join(", ")));
    lines.join("\n") + "\n"
}

/// `package.json:4, engines.node`.
fn place(evidence: &Evidence) -> String {
    let mut place = evidence.file.clone();
    if let Some(line) = evidence.line {
        let _ = write!(place, ":{line}");
    }
    if let Some(key) = &evidence.key {
        let _ = write!(place, ", {key}");
    }
    if !evidence.note.is_empty() {
        let _ = write!(place, " ({})", evidence.note);
    }
    place
}
