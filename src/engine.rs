//! Runs one command in a root file system: the nouns that all engines share.
//!
//! An engine knows no language, no package and no image. It is handed folders and a command,
//! and hands back the changes that the command made and how it ended.

pub mod docker;
pub mod fake;
pub mod native;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::interrupt::Interrupt;
use crate::report::Stream;

/// One command and all that it may see.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// Read-only trees that make the root, bottom first; absolute.
    pub lowers: Vec<PathBuf>,
    /// An absolute path of an empty folder on a file system that overlayfs can write. The changes are
    /// in its `upper/` afterwards, as overlayfs records them (`user.overlay.*` attributes).
    pub workspace: PathBuf,
    /// Further folders and files of the host, by their place in the root.
    pub binds: Vec<Bind>,
    /// The program and its arguments; the program is an absolute path in the root.
    pub argv: Vec<String>,
    /// The whole environment of the command.
    pub env: BTreeMap<String, String>,
    /// Absolute working directory in the root.
    pub directory: String,
    /// What of the network the command reaches.
    pub network: Network,
    /// Where its standard streams go.
    pub streams: Streams,
    /// Numeric user and group to run as; 0 and 0 for a build.
    pub user: (u32, u32),
}

/// A folder or file of the host, shown in the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Path on the host.
    pub source: PathBuf,
    /// Absolute path in the root; made where it is missing.
    pub target: String,
    /// False for what the command may change.
    pub read_only: bool,
}

/// What of the network a command reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The host's network, without its abstract sockets where the kernel can hide them.
    Host,
    /// A loopback interface of its own and nothing else.
    None,
}

/// Where a command's standard streams go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Streams {
    /// Standard input is empty; output comes line by line.
    Captured,
    /// The caller's own.
    Inherited,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How the command itself ended.
    pub exit: Exit,
    /// Names of processes that it left running and that were killed.
    pub leftovers: Vec<String>,
}

/// Exit code or signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// Whether it ended well.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }

    /// The code a shell would show: 128 + n for a signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(9) => write!(f, "killed by signal 9, likely out of memory"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// Why a command could not be run, or not to its end.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The sandbox could not be made.
    #[error("cannot make the sandbox: {action}: {reason}")]
    Sandbox {
        /// The step that failed, such as `mount /proc`.
        action: String,
        /// The system's reason.
        reason: String,
    },
    /// This user may not have user namespaces.
    #[error("user namespaces cannot be used: {reason}")]
    Namespaces {
        /// What was tried and what came back.
        reason: String,
        /// The remedy.
        hint: String,
    },
    /// The program does not exist in the root or cannot be executed.
    #[error("cannot execute {program}: {reason}")]
    Execute {
        /// The program.
        program: String,
        /// The system's reason.
        reason: String,
    },
    /// A signal asked for the end.
    #[error("interrupted")]
    Interrupted,
    /// The helper process ended without an answer.
    #[error("the sandbox ended without an answer ({0})")]
    Lost(String),
    /// A call of the parent's side failed.
    #[error("{action}")]
    Io {
        /// What was tried.
        action: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// The last lines of a command, for its error: however much it writes, few are kept.
#[derive(Debug, Default)]
pub struct Tail(VecDeque<String>);

impl Tail {
    /// How many lines are kept.
    pub const LINES: usize = 50;

    /// Adds a line.
    pub fn push(&mut self, line: &str) {
        if self.0.len() == Self::LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    /// At most so many of the last lines, in their order.
    pub fn last(self, count: usize) -> Vec<String> {
        let skipped = self.0.len().saturating_sub(count);
        self.0.into_iter().skip(skipped).collect()
    }
}

/// Takes a command's output, a line at a time.
pub type Output<'a> = dyn FnMut(Stream, &[u8]) + Send + 'a;

/// Runs jobs. `output` takes each line; it is called from two threads, never at once.
pub trait Engine: Sync {
    /// Runs one job to its end.
    fn run(
        &self,
        job: &Job,
        interrupt: &Interrupt,
        output: &mut Output<'_>,
    ) -> Result<Outcome, EngineError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_much_output_few_lines_are_kept() {
        let mut tail = Tail::default();
        for number in 0..1000 {
            tail.push(&number.to_string());
        }
        assert_eq!(tail.0.len(), Tail::LINES);
        assert_eq!(tail.last(2), ["998", "999"]);
    }
}
