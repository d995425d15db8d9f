//! What is asked of Nix: to evaluate, to build, to fetch, and what its store has.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::closure::{Closure, is_store_path};
use super::command::{Commands, option, told_in_full};
use super::failure::Failed;
use super::log::Log;
use super::origin::Reads;
use super::place::Place;
use super::render::Written;
use crate::attached;
use crate::report::Step;

/// Nix's setting of features that are not for everybody.
const FEATURES: &str = "extra-experimental-features";

impl Commands {
    /// The value of an expression, or of one of its attributes.
    pub(super) fn evaluate(
        &self,
        written: &Written,
        attribute: Option<&str>,
        step: &Step<'_>,
    ) -> Result<Value, Failed> {
        let mut command = self.evaluation(written);
        command.args(["--eval", "--strict", "--json", "--read-write-mode"]);
        if let Some(attribute) = attribute {
            command.args(["-A", attribute]);
        }
        json(&self.run(&mut command, step)?)
    }

    /// The derivations of an expression's attributes.
    pub(super) fn instantiate(
        &self,
        written: &Written,
        attributes: &[&str],
        step: &Step<'_>,
    ) -> Result<Vec<String>, Failed> {
        let mut command = self.evaluation(written);
        for attribute in attributes {
            command.args(["-A", attribute]);
        }
        Ok(lines(&self.run(&mut command, step)?))
    }

    /// An evaluation, which reads what it may and nothing else.
    fn evaluation(&self, written: &Written) -> Command {
        let program = "nix-instantiate";
        let mut command = match &written.reads {
            Reads::Anything => self.command(program),
            Reads::Flakes => self.command_with(program, &option(FEATURES, "flakes")),
            Reads::Alone(paths) => {
                let limits = [
                    option("restrict-eval", "true"),
                    // Releases before 2.20 let `fetchTree` read every file; it is a feature.
                    option("experimental-features", ""),
                    option("nix-path", ""),
                ];
                let mut command = self.command_with(program, &limits.concat());
                command.env_remove("NIX_PATH");
                for (number, path) in paths.iter().enumerate() {
                    // With a name, since a path may have the sign that separates the two.
                    let mut entry = OsString::from(format!("packwright-{number}="));
                    entry.push(path);
                    command.arg("-I").arg(entry);
                }
                command
            }
        };
        command.arg("--show-trace").arg(&written.file);
        command
    }

    /// Builds or fetches what is missing of some derivations or store paths.
    pub(super) fn realise(&self, paths: &[String], step: &Step<'_>) -> Result<Vec<String>, Failed> {
        let mut command = self.command("nix-store");
        command.arg("--realise").args(paths);
        Ok(lines(&self.run(&mut command, step)?))
    }

    /// Keeps a store path of this machine from the garbage collector for as long as `link` exists.
    pub(super) fn hold(&self, path: &str, link: &Path, step: &Step<'_>) -> Result<(), Failed> {
        let mut command = self.command("nix-store");
        command
            .args(["--realise", path, "--indirect", "--add-root"])
            .arg(link);
        self.run(&mut command, step).map(drop)
    }

    /// Removes what nothing holds.
    pub(super) fn collect_garbage(&self, step: &Step<'_>) -> Result<(), Failed> {
        let mut command = self.command("nix-store");
        command.arg("--gc");
        self.run(&mut command, step).map(drop)
    }

    /// Whether some store paths are in the store.
    pub(super) fn has(&self, paths: &[String]) -> bool {
        let mut command = self.command("nix-store");
        command.arg("--check-validity").args(paths);
        command.output().is_ok_and(|output| output.status.success())
    }

    /// Everything that a store path needs, and what refers to what.
    pub(super) fn closure(&self, path: &str, step: &Step<'_>) -> Result<Closure, Failed> {
        let mut command = self.command("nix-store");
        command.args(["--query", "--requisites", path]);
        let paths = lines(&self.run(&mut command, step)?);
        let mut command = self.command("nix-store");
        command.arg("--dump-db").args(&paths);
        let text = self.run(&mut command, step)?;
        Closure::read(&text, self.physical()).map_err(|reason| Failed::new(Log::default(), reason))
    }

    /// Copies a store path, with all that it needs, from a store on another machine.
    pub(super) fn fetch_here(&self, paths: &[String], step: &Step<'_>) -> Result<(), Failed> {
        let Place::Elsewhere(folder) = &self.place else {
            return Ok(());
        };
        let store = self.store.as_deref().unwrap_or_default();
        let mut command = self.new_command("copy");
        // They come from the store that the user named, over the user's own connection.
        command
            .args(["--no-check-sigs", "--from", store, "--to"])
            .arg(folder)
            .args(paths);
        self.run(&mut command, step).map(drop)
    }

    /// The same store's copy on this machine, when it is elsewhere, and else itself.
    pub(super) fn here(&self) -> Self {
        match &self.place {
            Place::Elsewhere(folder) => Self {
                place: Place::Folder(folder.clone()),
                store: Some(folder.display().to_string()),
                ..self.clone()
            },
            Place::Machine | Place::Folder(_) => self.clone(),
        }
    }

    /// The hash of an archive's unpacked files.
    pub(super) fn prefetch(&self, url: &str, step: &Step<'_>) -> Result<String, Failed> {
        let mut command = self.command("nix-prefetch-url");
        // By the name that `fetchTarball` gives it, so that it is fetched once.
        command.args(["--unpack", "--name", "source", "--type", "sha256", url]);
        let hash = self.run(&mut command, step)?;
        Ok(format!("sha256:{}", hash.trim()))
    }

    /// What a flake reference is now, as the attributes of a locked one.
    pub(super) fn lock_flake(&self, reference: &str, step: &Step<'_>) -> Result<Value, Failed> {
        let mut command = self.new_command("flake");
        command.args(["metadata", "--json", "--no-write-lock-file", reference]);
        if let Some(store) = &self.store {
            command.args(["--store", store]);
        }
        let metadata = json(&self.run(&mut command, step)?)?;
        Ok(metadata["locked"].clone())
    }

    /// The new command line, which flakes and copies need.
    fn new_command(&self, verb: &str) -> Command {
        let mut command = attached::command(&self.folder.join("nix"));
        command
            .arg(verb)
            .args(&self.ours)
            .args(option(FEATURES, "nix-command flakes"))
            .args(&self.users);
        told_in_full(&mut command);
        command
    }
}

/// An answer in JSON.
fn json(text: &str) -> Result<Value, Failed> {
    serde_json::from_str(text).map_err(|error| {
        Failed::new(
            Log::default(),
            format!("its answer cannot be read: {error}"),
        )
    })
}

fn lines(text: &str) -> Vec<String> {
    let first = |line: &str| line.split('!').next().unwrap_or_default().trim().to_owned();
    text.lines()
        .map(first)
        .filter(|line| is_store_path(line))
        .collect()
}
