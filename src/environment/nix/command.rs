//! Runs the Nix of this machine and reads its answers.
//!
//! The old commands (`nix-instantiate`, `nix-store`) do all but flakes: they are in every release from
//! 2.8 on, in its forks, and need no experimental feature. Settings of the user's, such as
//! substituters and builders, stay as they are.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::closure::{Closure, is_store_path};
use super::log::{Log, Told, name_of};
use crate::environment::{Context, EnvironmentError};
use crate::report::{Event, Step, Stream};

/// The oldest release that is known to work.
const OLDEST: (u64, u64) = (2, 8);

/// How to get Nix, for whoever has none.
const HOW_TO_GET: &str = "it is not installed: apt-get install nix-bin, another system's package nix, or the installer of the Nix project";

/// Where installers put Nix's programs, beside `PATH`.
const FOLDERS: [&str; 2] = [
    "/nix/var/nix/profiles/default/bin",
    "/run/current-system/sw/bin",
];

/// Where a store's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Below `/`.
    Machine,
    /// Below a folder, which Nix sees as the root.
    Folder(PathBuf),
    /// On another machine; closures are copied into the store of this folder.
    Elsewhere(PathBuf),
}

/// The programs of Nix, and what each is told.
#[derive(Debug)]
pub(super) struct Commands {
    folder: PathBuf,
    pub(super) version: String,
    pub(super) place: Place,
    arguments: Vec<String>,
}

/// A command that ended badly.
pub(super) struct Failed {
    log: Box<Log>,
    status: String,
}

impl Commands {
    /// Finds Nix and the store that it shall use.
    pub(super) fn find(context: &Context<'_>) -> Result<Self, EnvironmentError> {
        let no = |reason: &str| EnvironmentError::NoNix(reason.to_owned());
        let folder = find_program("nix-instantiate").ok_or_else(|| no(HOW_TO_GET))?;
        let answer = Command::new(folder.join("nix-instantiate"))
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| no(&format!("{} cannot be run: {error}", folder.display())))?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let version = version_of(&text)
            .ok_or_else(|| no(&format!("{:?} is not a version of nix", text.trim())))?;
        if version < OLDEST {
            let (major, minor) = OLDEST;
            return Err(no(&format!(
                "{} is too old: {major}.{minor} or newer is needed",
                text.trim()
            )));
        }
        let own = context.cache.root().join("nix");
        let (place, store) = store_of(context, &own);
        let mut arguments = Vec::new();
        let mut option = |name: &str, value: &str| {
            arguments.extend(["--option", name, value].map(str::to_owned));
        };
        if place != Place::Machine || builds_without_users() {
            option("build-users-group", "");
        }
        // A nixpkgs may be named as a flake; the features of the user's stay.
        option("extra-experimental-features", "nix-command flakes");
        if let Some(builders) = &context.nix.builders {
            option("builders", builders);
        }
        for (name, value) in &context.nix.options {
            option(name, value);
        }
        if let Some(store) = store {
            arguments.extend(["--store".to_owned(), store]);
        }
        Ok(Self {
            folder,
            version: text
                .split_whitespace()
                .last()
                .unwrap_or_default()
                .to_owned(),
            place,
            arguments,
        })
    }

    /// The folder below which `/nix/store` is, as far as files are concerned.
    pub(super) fn physical(&self) -> &Path {
        match &self.place {
            Place::Machine => Path::new("/"),
            Place::Folder(folder) | Place::Elsewhere(folder) => folder,
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        // The log's form is the same in all of them.
        command
            .args(&self.arguments)
            .args(["--log-format", "internal-json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end and tells its progress.
    fn run(command: &mut Command, step: &Step<'_>) -> Result<String, Failed> {
        let mut log = Log::default();
        let failed = |log, status: String| Failed {
            log: Box::new(log),
            status,
        };
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Err(failed(log, error.to_string())),
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let answer = std::thread::scope(|scope| {
            let answer = scope.spawn(|| {
                let mut text = Vec::new();
                if let Some(mut stdout) = stdout {
                    let _ = stdout.read_to_end(&mut text);
                }
                text
            });
            for line in stderr
                .into_iter()
                .flat_map(|pipe| BufReader::new(pipe).split(b'\n'))
            {
                let Ok(line) = line else { break };
                if let Some(told) = log.line(&String::from_utf8_lossy(&line)) {
                    tell(told, step);
                }
            }
            answer.join().unwrap_or_default()
        });
        match child.wait() {
            Ok(status) if status.success() => Ok(String::from_utf8_lossy(&answer).into_owned()),
            Ok(status) => Err(failed(log, status.to_string())),
            Err(error) => Err(failed(log, error.to_string())),
        }
    }

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
        let text = Self::run(&mut command, step)?;
        serde_json::from_str(&text).map_err(|error| Failed {
            log: Box::default(),
            status: format!("its answer cannot be read: {error}"),
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
        Ok(lines(&Self::run(&mut command, step)?))
    }

    /// Builds or fetches what is missing of some derivations or store paths.
    pub(super) fn realise(&self, paths: &[String], step: &Step<'_>) -> Result<Vec<String>, Failed> {
        let mut command = self.command("nix-store");
        command.arg("--realise").args(paths);
        Ok(lines(&Self::run(&mut command, step)?))
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
        let _ = Self::run(&mut command, step);
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
        let paths = lines(&Self::run(&mut command, step)?);
        let mut command = self.command("nix-store");
        command.arg("--dump-db").args(&paths);
        let text = Self::run(&mut command, step)?;
        Closure::read(&text, self.physical()).map_err(|reason| Failed {
            log: Box::default(),
            status: reason,
        })
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
        Self::run(&mut command, step).map(drop)
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
        })
    }

    /// The hash of an archive's unpacked files.
    pub(super) fn prefetch(&self, url: &str, step: &Step<'_>) -> Result<String, Failed> {
        let mut command = self.command("nix-prefetch-url");
        command.args(["--unpack", "--type", "sha256", url]);
        let hash = Self::run(&mut command, step)?;
        Ok(format!("sha256:{}", hash.trim()))
    }

    /// What a flake reference is now, as the attributes of a locked one.
    pub(super) fn lock_flake(&self, reference: &str, step: &Step<'_>) -> Result<Value, Failed> {
        let mut command = self.new_command("flake");
        command.args(["metadata", "--json", "--no-write-lock-file", reference]);
        let text = Self::run(&mut command, step)?;
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

fn tell(told: Told, step: &Step<'_>) {
    match told {
        Told::Output(package, line) => step.report().event(Event::Output {
            step: step.name().to_owned(),
            stream: Stream::Stderr,
            line: format!("{package}> {line}"),
        }),
        Told::Progress(done, expected) => step.progress(done, Some(expected), "packages"),
        Told::Warning(message) => step.report().event(Event::Warning {
            message: format!("nix: {}", message.trim_start_matches("warning: ")),
        }),
    }
}

fn lines(text: &str) -> Vec<String> {
    let first = |line: &str| line.split('!').next().unwrap_or_default().trim().to_owned();
    text.lines()
        .map(first)
        .filter(|line| is_store_path(line))
        .collect()
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".nix-profile/bin"));
    std::env::split_paths(&path)
        .chain(home)
        .chain(FOLDERS.map(PathBuf::from))
        .find(|folder| folder.is_absolute() && folder.join(name).is_file())
}

/// The numbers at the end of `nix (Nix) 2.8.0` and of what its forks say.
fn version_of(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_whitespace().last()?.split(['.', '-', 'p']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The store to use: the one that the user names, the machine's, or one of ours, so that nothing is
/// written outside the cache's folder on a machine that has no store.
fn store_of(context: &Context<'_>, own: &Path) -> (Place, Option<String>) {
    let named = context.nix.store.clone().or_else(|| {
        std::env::var("NIX_REMOTE")
            .ok()
            .filter(|store| !store.is_empty())
    });
    let Some(store) = named else {
        let usable = rustix::fs::access("/nix/store", rustix::fs::Access::WRITE_OK).is_ok()
            || Path::new("/nix/var/nix/daemon-socket/socket").exists();
        return if usable {
            (Place::Machine, None)
        } else {
            (
                Place::Folder(own.to_owned()),
                Some(own.display().to_string()),
            )
        };
    };
    let parameters = store.split_once('?').map_or("", |(_, rest)| rest);
    let root = parameters
        .split('&')
        .find_map(|pair| pair.strip_prefix("root="));
    let place = match root {
        Some(root) => Place::Folder(PathBuf::from(root)),
        None if store.starts_with('/') => Place::Folder(PathBuf::from(&store)),
        None if ["auto", "daemon", "local"].contains(&store.as_str()) => Place::Machine,
        None if store.starts_with("unix://") => Place::Machine,
        None => Place::Elsewhere(own.to_owned()),
    };
    (place, Some(store))
}

/// Whether Nix, as root, would look for users to build as who are not there.
fn builds_without_users() -> bool {
    let said = |text: &str| text.contains("build-users-group");
    let has_group = std::fs::read_to_string("/etc/group").unwrap_or_default();
    rustix::process::geteuid().is_root()
        && !has_group.lines().any(|line| line.starts_with("nixbld:"))
        && !said(&std::env::var("NIX_CONFIG").unwrap_or_default())
        && !said(&std::fs::read_to_string("/etc/nix/nix.conf").unwrap_or_default())
}

impl Failed {
    /// The error for a person. `what` is what was tried; `place` names a file of the user's, and the
    /// lines before the user's own, by its path.
    pub(super) fn explain(
        &self,
        what: &str,
        store: &Path,
        place: &dyn Fn(&str) -> Option<(String, u64)>,
    ) -> EnvironmentError {
        let text = self.log.errors();
        if let Some(error) = known(&text, store) {
            return error;
        }
        if let Some(error) = self.of_builder(&text) {
            return error;
        }
        let text = if text.is_empty() {
            self.status.clone()
        } else {
            text
        };
        // Newer releases tell the way to the error first.
        let text = text
            .rsplit_once("error:")
            .map_or(text.as_str(), |(_, last)| last);
        let mut lines = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.trim().is_empty());
        let reason = lines.next().unwrap_or_default().trim().to_owned();
        let position = text.lines().find_map(|line| position(line.trim()));
        let at = position.and_then(|(file, line)| {
            let (name, before) = place(file)?;
            Some(format!(
                "{name}, line {}",
                line.saturating_sub(before).max(1)
            ))
        });
        EnvironmentError::Nix {
            what: at.map_or_else(|| what.to_owned(), |at| format!("evaluate {at}")),
            reason,
            details: lines.map(str::to_owned).collect(),
            hint: None,
        }
    }

    fn of_builder(&self, text: &str) -> Option<EnvironmentError> {
        let at = ["builder for '", "Cannot build '", "build of '"]
            .iter()
            .find_map(|start| text.find(start).map(|at| &text[at + start.len()..]))?;
        let (drv, rest) = at.split_once('\'')?;
        let name = name_of(drv);
        let reason = rest
            .lines()
            .next()
            .unwrap_or_default()
            .trim()
            .trim_end_matches([';', '.', ':']);
        let killed = text.contains("due to signal 9") || text.contains("signal 9 (");
        Some(EnvironmentError::Nix {
            what: format!("build {name}"),
            reason: if killed {
                "its builder was killed by signal 9, likely out of memory".to_owned()
            } else if reason.is_empty() {
                "its builder failed".to_owned()
            } else {
                format!("its builder {reason}")
            },
            details: self.log.tail(name),
            hint: killed.then_some("give the machine more memory, or build fewer packages at once: --nix-option max-jobs 1"),
        })
    }
}

/// Failures that have an error of their own here.
fn known(text: &str, store: &Path) -> Option<EnvironmentError> {
    if text.contains("No space left on device") {
        return Some(EnvironmentError::Io {
            action: "write to the store in",
            path: store.join("nix/store"),
            source: std::io::ErrorKind::StorageFull.into(),
        });
    }
    let quoted = |after: &str| {
        let rest = &text[text.find(after)? + after.len()..];
        Some(rest.split_once('\'')?.0.to_owned())
    };
    if text.contains("hash mismatch in") {
        let value = |name: &str| {
            let line = text.lines().find(|line| line.trim().starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let what = quoted("downloaded from '").or_else(|| quoted("derivation '"))?;
        return Some(EnvironmentError::Mismatch {
            what,
            found: value("got")?,
            expected: value("specified").or_else(|| value("wanted"))?,
            authority: "the plan or the lock",
        });
    }
    let url = quoted("unable to download '")?;
    let reason = text
        .split_once(&format!("'{url}': "))
        .map_or("", |(_, rest)| rest);
    Some(EnvironmentError::Download {
        what: url,
        reason: reason.lines().next().unwrap_or_default().to_owned(),
        temporary: true,
    })
}

/// The file and line of `at /some/file.nix:3:5:`.
fn position(line: &str) -> Option<(&str, u64)> {
    let place = line.strip_prefix("at ")?.trim_end_matches(':');
    let (rest, _column) = place.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file, line.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(text: &str) -> EnvironmentError {
        let mut log = Log::default();
        log.line("@nix {\"action\":\"start\",\"fields\":[\"/nix/store/ijvmg2hvp02lg97q6wqv655vdm6vx2qg-tool-1.drv\"],\"id\":7,\"type\":105}");
        log.line("@nix {\"action\":\"result\",\"fields\":[\"last words\"],\"id\":7,\"type\":101}");
        for line in text.lines() {
            log.line(line);
        }
        let failed = Failed {
            log: Box::new(log),
            status: "exit status: 1".to_owned(),
        };
        let place =
            |file: &str| (file == "/tmp/x/0.nix").then(|| ("phases.setup.nixExpr".to_owned(), 1));
        failed.explain("evaluate the environment", Path::new("/"), &place)
    }

    #[test]
    fn versions_of_nix_and_its_forks_are_read() {
        assert_eq!(version_of("nix-instantiate (Nix) 2.8.0\n"), Some((2, 8)));
        assert_eq!(
            version_of("nix-instantiate (Lix, like Nix) 2.93.3"),
            Some((2, 93))
        );
        assert_eq!(
            version_of("nix-instantiate (Nix) 2.32pre20251001_abc"),
            Some((2, 32))
        );
        assert_eq!(version_of("something else"), None);
    }

    #[test]
    fn an_error_of_the_users_expression_names_its_line() {
        for text in [
            "error: undefined variable 'nope'\n\n       at /tmp/x/0.nix:3:17:\n\n            2| a\n            3| nope",
            // Since 2.14 or so the trace comes first.
            "error:\n       … while calling the 'import' builtin\n         at /tmp/env.nix:9:1:\n\n       error: undefined variable 'nope'\n       at /tmp/x/0.nix:3:17:",
        ] {
            let EnvironmentError::Nix { what, reason, .. } = explained(text) else {
                panic!("{text}")
            };
            assert_eq!(what, "evaluate phases.setup.nixExpr, line 2");
            assert_eq!(reason, "undefined variable 'nope'");
        }
    }

    #[test]
    fn a_wrong_hash_is_told_with_both() {
        let text = "error: hash mismatch in file downloaded from 'file:///tmp/s.tgz':\n         specified: sha256:0kk\n         got:       sha256:1ln";
        let error = explained(text).to_string();
        assert!(
            error.starts_with("file:///tmp/s.tgz has sha256:1ln, but sha256:0kk was promised"),
            "{error}"
        );
    }

    #[test]
    fn a_builders_end_is_told_with_its_last_words() {
        let failed = "error: builder for '/nix/store/ijvmg2hvp02lg97q6wqv655vdm6vx2qg-tool-1.drv' failed with exit code 3";
        let EnvironmentError::Nix {
            what,
            reason,
            details,
            ..
        } = explained(failed)
        else {
            panic!()
        };
        assert_eq!(
            (what.as_str(), reason.as_str()),
            ("build tool-1", "its builder failed with exit code 3")
        );
        assert_eq!(details, ["last words"]);
        let killed = "error: builder for '/nix/store/ijvmg2hvp02lg97q6wqv655vdm6vx2qg-tool-1.drv' failed due to signal 9 (Killed)";
        let EnvironmentError::Nix { reason, hint, .. } = explained(killed) else {
            panic!()
        };
        assert!(reason.contains("out of memory") && hint.is_some());
    }

    #[test]
    fn a_full_disk_and_a_dead_network_are_what_they_are() {
        assert!(matches!(
            explained("error: writing to file: No space left on device"),
            EnvironmentError::Io { .. }
        ));
        let error = explained(
            "error: unable to download 'https://x.example/a': Couldn't resolve host name (6)",
        );
        assert!(
            matches!(
                error,
                EnvironmentError::Download {
                    temporary: true,
                    ..
                }
            ),
            "{error}"
        );
    }
}
