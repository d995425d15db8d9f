//! `packwright doctor`: what this machine has of what builds need.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;

use super::Global;
use super::packages::PackageFlags;
use crate::cache::Cache;
use crate::engine::native::Native;
use crate::engine::{Engine, EngineError, Job, Network, Streams};
use crate::environment::{Finding, catalog_attributes, examine};
use crate::error::Failure;
use crate::interrupt::Interrupt;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// List the attributes of nixpkgs that plans can ask for, instead
    #[arg(long)]
    catalog: bool,
    #[command(flatten, next_help_heading = "Packages")]
    packages: PackageFlags,
}

/// Whether the sandbox works: a program that is not there is looked for inside.
fn sandbox(cache: &Cache) -> Result<String, String> {
    let staging = cache.staging().map_err(|error| error.to_string())?;
    let (root, workspace) = (
        staging.path().join("root"),
        staging.path().join("workspace"),
    );
    for folder in [&root, &workspace] {
        std::fs::create_dir(folder).map_err(|error| error.to_string())?;
    }
    let job = Job {
        lowers: vec![root],
        workspace,
        binds: Vec::new(),
        argv: vec!["/nothing".to_owned()],
        env: BTreeMap::new(),
        directory: "/".to_owned(),
        network: Network::None,
        streams: Streams::Captured,
        user: (0, 0),
    };
    match Native::default().run(&job, &Interrupt::default(), &mut |_, _| {}) {
        Ok(_) | Err(EngineError::Execute { .. }) => Ok("can be made".to_owned()),
        Err(error) => Err(explained(error)),
    }
}

fn explained(error: EngineError) -> String {
    let failure = Failure::from(error);
    match failure.hint {
        Some(hint) => format!("{}: {hint}", failure.message),
        None => failure.message,
    }
}

/// Runs the verb; what is missing is said and is no failure, since not every build needs everything.
pub fn run(args: &DoctorArgs, global: &Global) -> anyhow::Result<ExitCode> {
    if args.catalog {
        let names = catalog_attributes();
        let text = if global.json {
            serde_json::to_string(&names)? + "\n"
        } else {
            names
                .iter()
                .fold(String::new(), |text, name| text + name + "\n")
        };
        return super::print(text.as_bytes());
    }
    let cache = global.cache()?;
    // An ordinary user's namespace is a process of its own, which says the rest.
    let namespaces = match crate::engine::native::become_root() {
        Ok(Some(code)) => return Ok(code),
        Ok(None) => sandbox(&cache),
        Err(error) => Err(explained(error)),
    };
    let mut findings = vec![Finding {
        what: "sandbox".to_owned(),
        state: namespaces,
    }];
    findings.extend(examine(&cache, &args.packages.nix()?));
    if global.json {
        let lines = findings.iter().map(|finding| {
            let (good, text) = match &finding.state {
                Ok(text) => (true, text),
                Err(text) => (false, text),
            };
            serde_json::json!({ "what": finding.what, "good": good, "state": text }).to_string()
                + "\n"
        });
        return super::print(lines.collect::<String>().as_bytes());
    }
    let wide = findings
        .iter()
        .map(|finding| finding.what.len())
        .max()
        .unwrap_or(0);
    let lines = findings.iter().map(|finding| {
        let (sign, text) = match &finding.state {
            Ok(text) => ('✓', text),
            Err(text) => ('✗', text),
        };
        format!(
            "{sign} {:wide$}  {}\n",
            finding.what,
            super::text::escape(text)
        )
    });
    super::print(lines.collect::<String>().as_bytes())
}
