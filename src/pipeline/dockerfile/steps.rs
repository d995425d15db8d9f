//! The phases as instructions of the first stage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use minijinja::{Value, context};
use packwright_providers::Phase;

use super::names::{mount_id, secrets_argument};
use super::quote::{context_path, is_name, quoted};
use super::{AUTHORITIES, Dialect, Dockerfile, Recipe, json};
use crate::pipeline::source::{SourceFile, SourceKind};
use crate::pipeline::{PipelineError, hooks, phases, search_path};

/// More folders than this are not copied one by one: builders limit the layers of a stage.
const COPIES: usize = 40;

/// Instructions that copy files, and the paths that they bring.
#[derive(Default)]
struct Copies {
    lines: Vec<String>,
    paths: Vec<String>,
}

/// What a phase's instructions depend on of those before.
struct State {
    path: Vec<String>,
    path_written: bool,
    /// What was copied for phases that see only some files.
    early: Vec<String>,
    /// The whole source is there.
    whole: bool,
    steps: Vec<Value>,
}

impl Recipe<'_> {
    /// The instructions of all phases, each with a title, and `PATH` after the last one.
    pub(super) fn steps(
        &self,
        file: &mut Dockerfile,
    ) -> Result<(Vec<Value>, Vec<String>), PipelineError> {
        let mut state = State {
            path: self.kit.around.build_path.clone(),
            path_written: true,
            early: Vec::new(),
            whole: false,
            steps: Vec::new(),
        };
        for name in self.plan.phases_in_order()? {
            let phase = &self.plan.phases[name];
            for path in phase.paths.iter().flatten() {
                state.path.insert(0, path.clone());
                state.path_written = false;
            }
            let commands = hooks::commands_of(self.plan, name, phase);
            if !commands.is_empty() {
                let lines = self.phase(name, phase, &commands, &mut state, file)?;
                state.push(&format!("Phase {name}"), lines);
            }
        }
        if !state.whole {
            let lines = state.copy_whole();
            state.push("The rest of the source", lines);
        }
        Ok((state.steps, state.path))
    }

    fn phase(
        &self,
        name: &str,
        phase: &Phase,
        commands: &[String],
        state: &mut State,
        file: &mut Dockerfile,
    ) -> Result<Vec<String>, PipelineError> {
        file.commands.insert(name.to_owned(), commands.to_vec());
        let mut lines = Vec::new();
        if !state.path_written {
            lines.push(format!("ENV PATH={}", quoted(&search_path(&state.path))));
            state.path_written = true;
        }
        // Hooks are the user's own and may read any file.
        let hooked = commands.len() != phase.cmds.iter().flatten().count();
        let patterns = phase.only_include_files.as_deref().filter(|_| !hooked);
        if !state.whole {
            match self.copies(patterns, &state.early)? {
                Some(copies) => {
                    lines.extend(copies.lines);
                    state.early.extend(copies.paths);
                }
                None => lines.extend(state.copy_whole()),
            }
        }
        let flags = self.flags(name, phase, &mut lines, file)?;
        for (number, command) in commands.iter().enumerate() {
            // Whoever reads a daemon's words knows the command by its phase and number.
            let number = number.to_string();
            let argv = ["/bin/bash", "/packwright/run.sh", name, &number, command];
            lines.push(format!("RUN {flags}{}", json(&argv)));
        }
        Ok(lines)
    }

    /// Flags of the phase's `RUN` instructions, and arguments before them.
    fn flags(
        &self,
        name: &str,
        phase: &Phase,
        lines: &mut Vec<String>,
        file: &mut Dockerfile,
    ) -> Result<String, PipelineError> {
        let secrets: BTreeSet<&String> = phase.secrets.iter().flatten().collect();
        if let Some(wrong) = secrets.iter().find(|name| !is_name(name)) {
            return Err(PipelineError::Setting {
                key: "secrets",
                value: (*wrong).clone(),
                reason: "is not a name of letters, digits and underscores",
            });
        }
        for secret in &secrets {
            let phases = file.secrets.entry((*secret).clone()).or_default();
            phases.push(secrets_argument(name));
        }
        if !secrets.is_empty() {
            lines.push(format!("ARG {}", secrets_argument(name)));
        }
        if self.dialect == Dialect::Classic {
            return Ok(String::new());
        }
        let mut flags = Vec::new();
        for path in phase.cache_directories.iter().flatten() {
            let target = phases::absolute(path);
            phases::check_mount(&target)?;
            if target.contains(|letter: char| ",\"$\\".contains(letter) || letter.is_whitespace()) {
                return Err(PipelineError::Setting {
                    key: "cacheDirectories",
                    value: target,
                    reason: "has white space or a sign that a Dockerfile cannot have in a mount",
                });
            }
            flags.push(format!(
                "--mount=type=cache,id={},target={target},sharing=locked",
                mount_id(&self.scope, &target)
            ));
        }
        if phase.network == Some(false) {
            flags.push("--network=none".to_owned());
        } else {
            flags.push(format!(
                "--mount=type=secret,id={AUTHORITIES},target=/run/packwright/ca-certificates.crt"
            ));
        }
        let secrets = secrets.into_iter();
        flags.extend(secrets.map(|secret| format!("--mount=type=secret,id={secret}")));
        Ok(flags.join(" ") + " ")
    }

    /// The instructions that put the named files there; `None` where only all will do.
    fn copies(
        &self,
        patterns: Option<&[String]>,
        placed: &[String],
    ) -> Result<Option<Copies>, PipelineError> {
        let Some(patterns) = patterns else {
            return Ok(None);
        };
        let selected = self.source.select(Some(patterns))?;
        let mut folders: Vec<&Path> = Vec::new();
        let mut groups: BTreeMap<&Path, Vec<String>> = BTreeMap::new();
        let mut copies = Copies::default();
        for SourceFile { path, kind, .. } in selected {
            let there = |known: &String| path.starts_with(known);
            if placed.iter().any(there) || folders.iter().any(|folder| path.starts_with(folder)) {
                continue;
            }
            let Some(text) = path.to_str() else {
                return Ok(None);
            };
            match kind {
                // COPY would follow it.
                SourceKind::Symlink(_) => return Ok(None),
                SourceKind::Directory => folders.push(path),
                SourceKind::File { .. } => {
                    let folder = path.parent().unwrap_or(Path::new(""));
                    groups.entry(folder).or_default().push(context_path(text));
                }
            }
            copies.paths.push(text.to_owned());
        }
        if folders.len() + groups.len() > COPIES {
            return Ok(None);
        }
        for (folder, mut files) in groups {
            files.push(in_app(folder));
            copies.lines.push(format!("COPY {}", json(&files)));
        }
        for folder in folders {
            let from = context_path(&folder.to_string_lossy()) + "/";
            copies
                .lines
                .push(format!("COPY {}", json(&[from, in_app(folder)])));
        }
        Ok(Some(copies))
    }
}

impl State {
    fn push(&mut self, title: &str, lines: Vec<String>) {
        // A phase may be called anything; a comment is one line.
        let title = title.replace(['\n', '\r'], " ");
        self.steps.push(context! { title, lines });
    }

    /// Puts the whole source there, without the loss of what phases made of the files that they saw.
    fn copy_whole(&mut self) -> Vec<String> {
        self.whole = true;
        let script = |argv: &[&str]| {
            let all: Vec<&str> = [&["/bin/bash", "/packwright/stage.sh"], argv].concat();
            format!("RUN {}", json(&all))
        };
        let mut lines = Vec::new();
        if !self.steps.is_empty() {
            lines.push(script(&["state", "early"]));
        }
        if !self.early.is_empty() {
            let names: Vec<&str> = self.early.iter().map(String::as_str).collect();
            lines.push(script(&[&["keep"], names.as_slice()].concat()));
        }
        lines.push("COPY [\".\", \"/app/\"]".to_owned());
        lines.push(script(&["restore"]));
        lines
    }
}

fn in_app(folder: &Path) -> String {
    let folder = context_path(&folder.to_string_lossy());
    if folder.is_empty() {
        "/app/".to_owned()
    } else {
        format!("/app/{folder}/")
    }
}
