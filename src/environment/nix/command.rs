//! Runs the Nix of this machine and reads its answers.
//!
//! The old commands (`nix-instantiate`, `nix-store`) do all but flakes: they are in every release from
//! 2.8 on, in its forks, and need no experimental feature. Settings of the user's, such as
//! substituters and builders, stay as they are.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::failure::Failed;
use super::keep::own_store;
use super::log::{Log, Told};
use super::place::{Place, store_of};
use crate::attached;
use crate::environment::{Context, EnvironmentError};
use crate::interrupt::Interrupt;
use crate::report::{Event, Step, Stream};

/// The oldest release that is known to work.
const OLDEST: (u64, u64) = (2, 8);

/// How to get Nix, for whoever has none.
const HOW_TO_GET: &str = "it is not installed: apt-get install nix-bin, another system's package nix, or the installer of the Nix project";

/// How often it is looked whether a signal came, and how long Nix has to end after one.
const EACH: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(10);

/// Where installers put Nix's programs, beside `PATH`.
const FOLDERS: [&str; 2] = [
    "/nix/var/nix/profiles/default/bin",
    "/run/current-system/sw/bin",
];

/// The programs of Nix, and what each is told.
#[derive(Debug, Clone)]
pub(super) struct Commands {
    pub(super) folder: PathBuf,
    pub(super) version: String,
    pub(super) place: Place,
    /// Options that are ours, before those of the user's.
    pub(super) ours: Vec<String>,
    /// Options that the user gave: they have the last word.
    pub(super) users: Vec<String>,
    /// Nix's `--store`, where it is not the machine's own.
    pub(super) store: Option<String>,
    pub(super) interrupt: Interrupt,
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
        let own = own_store(context.cache);
        let (place, store) = store_of(context, &own);
        let mut ours = Vec::new();
        if place != Place::Machine || builds_without_users() {
            ours.extend(option("build-users-group", ""));
        }
        if place.has_our_builders() {
            // A builder without a sandbox would see this machine, as its user.
            ours.extend(option("sandbox", "true"));
            ours.extend(option("sandbox-fallback", "false"));
        }
        if let Some(builders) = &context.nix.builders {
            ours.extend(option("builders", builders));
        }
        let users = context.nix.options.iter();
        let users = users
            .flat_map(|(name, value)| option(name, value))
            .collect();
        Ok(Self {
            folder,
            version: text
                .split_whitespace()
                .last()
                .unwrap_or_default()
                .to_owned(),
            place,
            ours,
            users,
            store,
            interrupt: context.interrupt.clone(),
        })
    }

    /// The folder below which `/nix/store` is, as far as files are concerned.
    pub(super) fn physical(&self) -> &Path {
        match &self.place {
            Place::Machine => Path::new("/"),
            Place::Folder(folder) | Place::Elsewhere(folder) => folder,
        }
    }

    pub(super) fn command(&self, program: &str) -> Command {
        self.command_with(program, &[])
    }

    /// A command with further options.
    pub(super) fn command_with(&self, program: &str, more: &[String]) -> Command {
        let mut command = attached::command(&self.folder.join(program));
        // Expressions of the app's can read every variable that Nix has, secrets too.
        let own = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_for_nix));
        command.env_clear().envs(own);
        command.args(&self.ours).args(more).args(&self.users);
        if let Some(store) = &self.store {
            command.args(["--store", store]);
        }
        told_in_full(&mut command);
        command
    }

    /// Runs a command to its end, or to that of the build, and tells its progress.
    pub(super) fn run(&self, command: &mut Command, step: &Step<'_>) -> Result<String, Failed> {
        let mut log = Log::default();
        // In a group of its own, so that a signal reaches it once, and from here.
        let mut child = match command.process_group(0).spawn() {
            Ok(child) => child,
            Err(error) => return Err(Failed::new(log, error.to_string())),
        };
        let group = Pid::from_child(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let answer = thread::scope(|scope| {
            let (finished, running) = mpsc::channel();
            scope.spawn(move || self.end_with_the_build(group, &running));
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
            let answer = answer.join().unwrap_or_default();
            drop(finished);
            answer
        });
        match child.wait() {
            Ok(status) if status.success() => Ok(String::from_utf8_lossy(&answer).into_owned()),
            Ok(status) => Err(Failed::new(log, status.to_string())),
            Err(error) => Err(Failed::new(log, error.to_string())),
        }
    }

    /// Asks Nix to end, with its builders, when a signal asks the build to; not kindly the second time.
    fn end_with_the_build(&self, group: Pid, running: &mpsc::Receiver<Infallible>) {
        let _heard = self.interrupt.listen();
        let mut asked: Option<Instant> = None;
        while running.recv_timeout(EACH) == Err(RecvTimeoutError::Timeout) {
            let told = self.interrupt.count();
            let late = asked.is_some_and(|asked| asked.elapsed() > PATIENCE);
            if told > 1 || late {
                let _ = kill_process_group(group, Signal::KILL);
            } else if told > 0 && asked.is_none() {
                asked = Some(Instant::now());
                let _ = kill_process_group(group, Signal::TERM);
            }
        }
    }
}

/// An option in the form that all of Nix's programs take.
pub(super) fn option(name: &str, value: &str) -> [String; 3] {
    ["--option", name, value].map(str::to_owned)
}

/// Has a command of Nix's tell its progress in a form to be read; it is the same in all of them.
pub(super) fn told_in_full(command: &mut Command) {
    command
        .args(["--log-format", "internal-json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
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

/// Whether Nix, as root, would look for users to build as who are not there.
fn builds_without_users() -> bool {
    let said = |text: &str| text.contains("build-users-group");
    let has_group = std::fs::read_to_string("/etc/group").unwrap_or_default();
    rustix::process::geteuid().is_root()
        && !has_group.lines().any(|line| line.starts_with("nixbld:"))
        && !said(&std::env::var("NIX_CONFIG").unwrap_or_default())
        && !said(&std::fs::read_to_string("/etc/nix/nix.conf").unwrap_or_default())
}

/// Whether Nix needs a variable: its own, and those that say who asks and how to reach the network.
fn is_for_nix(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "HOME",
        "LOGNAME",
        "PATH",
        "SSH_AUTH_SOCK",
        "SSL_CERT_FILE",
        "TERM",
        "TMPDIR",
        "USER",
    ];
    NAMES.contains(&name)
        || name.to_ascii_lowercase().ends_with("_proxy")
        || ["NIX_", "XDG_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::version_of;

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
}
