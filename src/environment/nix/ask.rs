//! What is asked of Nix: to evaluate, to build, to fetch, and what its store has.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::closure::{Closure, is_store_path};
use super::command::Commands;
use super::failure::Failed;
use super::log::Log;
use super::place::Place;
use crate::report::Step;

impl Commands {
    /// The value of an expression, or of one of its attributes.
    pub(super) fn evaluate(
        &self,
        file: &Path,
        attribute: Option<&str>,
        step: &Step<'_>,
    ) -> Result<Value, Failed> {
        let mut command = self.command("nix-instantiate");
        command
            .args(["--eval", "--strict", "--json", "--read-write-mode"])
            .arg(file);
        if let Some(attribute) = attribute {
            command.args(["-A", attribute]);
        }
        let text = self.run(&mut command, step)?;
        serde_json::from_str(&text).map_err(|error| {
            Failed::new(
                Log::default(),
                format!("its answer cannot be read: {error}"),
            )
        })
    }

    /// The derivations of an expression's attributes.
    pub(super) fn instantiate(
        &self,
        file: &Path,
        attributes: &[&str],
        step: &Step<'_>,
    ) -> Result<Vec<String>, Failed> {
        let mut command = self.command("nix-instantiate");
        command.arg(file);
        for attribute in attributes {
            command.args(["-A", attribute]);
        }
        Ok(lines(&self.run(&mut command, step)?))
    }

    /// Builds or fetches what is missing of some derivations or store paths.
    pub(super) fn realise(&self, paths: &[String], step: &Step<'_>) -> Result<Vec<String>, Failed> {
        let mut command = self.command("nix-store");
        command.arg("--realise").args(paths);
        Ok(lines(&self.run(&mut command, step)?))
    }

    /// Keeps a store path from the garbage collector for as long as `link` exists. A store that is
    /// elsewhere has no such links.
    pub(super) fn hold(&self, path: &str, link: &Path, step: &Step<'_>) {
        if matches!(self.place, Place::Elsewhere(_)) {
            return;
        }
        let mut command = self.command("nix-store");
        command
            .args(["--realise", path, "--indirect", "--add-root"])
            .arg(link);
        // Without it a garbage collection makes the next build fetch the path again.
        let _ = self.run(&mut command, step);
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
        let store = self.arguments.last().cloned().unwrap_or_default();
        let mut command = self.new_command("copy");
        // They come from the store that the user named, over the user's own connection.
        command
            .args(["--no-check-sigs", "--from", &store, "--to"])
            .arg(folder)
            .args(paths);
        self.run(&mut command, step).map(drop)
    }

    /// The same store's copy on this machine, when it is elsewhere.
    pub(super) fn here(&self) -> Option<Self> {
        let Place::Elsewhere(folder) = &self.place else {
            return None;
        };
        let mut arguments = self.arguments.clone();
        arguments.pop();
        arguments.push(folder.display().to_string());
        Some(Self {
            folder: self.folder.clone(),
            version: self.version.clone(),
            place: Place::Folder(folder.clone()),
            arguments,
            interrupt: self.interrupt.clone(),
        })
    }

    /// The hash of an archive's unpacked files.
    pub(super) fn prefetch(&self, url: &str, step: &Step<'_>) -> Result<String, Failed> {
        let mut command = self.command("nix-prefetch-url");
        command.args(["--unpack", "--type", "sha256", url]);
        let hash = self.run(&mut command, step)?;
        Ok(format!("sha256:{}", hash.trim()))
    }

    /// What a flake reference is now, as the attributes of a locked one.
    pub(super) fn lock_flake(&self, reference: &str, step: &Step<'_>) -> Result<Value, Failed> {
        let mut command = self.new_command("flake");
        command.args(["metadata", "--json", "--no-write-lock-file", reference]);
        let text = self.run(&mut command, step)?;
        let metadata: Value = serde_json::from_str(&text).unwrap_or_default();
        Ok(metadata["locked"].clone())
    }

    /// The new command line, which flakes and copies need.
    fn new_command(&self, verb: &str) -> Command {
        let mut command = Command::new(self.folder.join("nix"));
        let without_store = match self.arguments.as_slice() {
            [first @ .., flag, _] if flag == "--store" && verb == "copy" => first,
            all => all,
        };
        command
            .arg(verb)
            .args(without_store)
            .args(["--log-format", "internal-json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

fn lines(text: &str) -> Vec<String> {
    let first = |line: &str| line.split('!').next().unwrap_or_default().trim().to_owned();
    text.lines()
        .map(first)
        .filter(|line| is_store_path(line))
        .collect()
}
