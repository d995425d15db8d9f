//! `packwright logs`: the last builds, whole, as they were told; and the files behind it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::build::Log;
use super::{Global, text};
use crate::error::Failure;

/// How many builds' logs are kept.
const KEPT: usize = 20;

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Which build: 1 is the last one, 2 the one before it
    #[arg(default_value_t = 1)]
    build: usize,
    /// List the logs that there are
    #[arg(long)]
    list: bool,
}

/// Makes the log of a new build and removes the oldest. A build goes on without one.
pub(super) fn new_log(folder: &Path) -> Option<Log> {
    let folder = folder.join("logs");
    fs::create_dir_all(&folder).ok()?;
    let logs = newest_first(&folder);
    let last = logs.first().and_then(|path| number(path)).unwrap_or(0);
    for old in logs.iter().skip(KEPT - 1) {
        let _ = fs::remove_file(old);
    }
    // Builds that start at once take the next free number.
    (last + 1..last + 100).find_map(|number| {
        File::create_new(folder.join(format!("{number:08}.jsonl")))
            .ok()
            .map(io::LineWriter::new)
    })
}

fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

fn newest_first(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut logs: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| number(path).is_some())
        .collect();
    logs.sort();
    logs.reverse();
    logs
}

/// Runs the verb.
pub fn run(args: &LogsArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let logs = newest_first(&global.folder()?.join("logs"));
    if args.list {
        let lines = logs
            .iter()
            .enumerate()
            .map(|(at, path)| format!("{}  {}\n", at + 1, path.display()));
        return super::print(lines.collect::<String>().as_bytes());
    }
    let path = args.build.checked_sub(1).and_then(|at| logs.get(at));
    let path = path.ok_or_else(|| {
        Failure::usage(format!(
            "there is no log {}; {} are kept",
            args.build,
            logs.len()
        ))
    })?;
    let mut stdout = io::stdout().lock();
    for line in BufReader::new(File::open(path)?).lines() {
        let line = line?;
        let written = if global.json {
            writeln!(stdout, "{line}")
        } else {
            serde_json::from_str(&line).map_or(Ok(()), |event| write!(stdout, "{}", told(&event)))
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            other => other?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One event as plain lines.
fn told(event: &Value) -> String {
    let field = |name: &str| text::escape(event[name].as_str().unwrap_or_default());
    match event["event"].as_str().unwrap_or_default() {
        "decided" => format!(
            "  {}: {} ({})\n",
            field("subject"),
            field("choice"),
            field("reason")
        ),
        "warning" => format!("warning: {}\n", field("message")),
        "step_started" => format!("> {}\n", field("title")),
        "output" => format!(
            "  {} | {}\n",
            field("step"),
            text::strip(event["line"].as_str().unwrap_or_default(), false)
        ),
        "step_finished" => {
            let note = Some(field("note")).filter(|note| !note.is_empty());
            let note = note.map_or_else(String::new, |note| format!(", {note}"));
            format!("✓ {} ({} ms{note})\n", field("step"), event["milliseconds"])
        }
        "step_failed" => format!("✗ {}\n", field("step")),
        "finished" => format!("{}\n", field("digest")),
        _ => String::new(),
    }
}
