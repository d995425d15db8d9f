//! Builds a Dockerfile in a daemon, and hands images to one.
//!
//! Two kinds of daemon: Docker Engine through its API, with the BuildKit inside it or the classic
//! builder where it has none; and buildkitd itself. Knows no plan: it is given files, arguments and
//! secrets, and tells what the daemon says.
//!
//! This is no [`super::Engine`]: a daemon builds a whole Dockerfile and runs no job of ours.

mod api;
mod buildkit;
mod classic;
mod content;
mod context;
mod credentials;
mod failure;
mod filesync;
mod folders;
mod host;
mod layout;
mod lines;
mod news;
mod output;
mod progress;
mod request;
mod session;
mod stream;

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::interrupt::Interrupt;
use crate::report::Stream;

pub use api::{Engine, Loaded};
pub use context::{ContextBody, ContextFile};
pub use host::{Address, Host};
pub use request::{Commands, DaemonOptions, Exported, ImageBuild, Typed, parse_cache, parse_typed};

/// Where Docker Engine listens unless it is told otherwise.
pub const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";

/// How long a buildkitd may take to say who it is.
const FIRST_ANSWER: Duration = Duration::from_secs(15);

/// How often it is looked for signals.
const GLANCE: Duration = Duration::from_millis(100);

/// What a daemon says while it builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A step began.
    Started {
        /// Its identity.
        step: String,
        /// For a person.
        title: String,
        /// It is a command of a phase.
        phase: bool,
    },
    /// It wrote a line.
    Output {
        /// The step.
        step: String,
        /// Where to.
        stream: Stream,
        /// The line.
        line: String,
    },
    /// It ended well.
    Finished {
        /// The step.
        step: String,
        /// An earlier build's result was used.
        cached: bool,
    },
    /// It ended badly.
    Failed {
        /// The step.
        step: String,
    },
    /// Advice of the daemon's.
    Warning(String),
}

/// Hears what a daemon says.
pub type Teller<'a> = dyn FnMut(Message) + Send + 'a;

/// Why a daemon did not do what it was asked.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// An address that is none.
    #[error("{text:?} is not the address of a daemon: {reason}")]
    Address {
        /// The text.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A flag's text that is wrong.
    #[error("{flag} {text}: {reason}")]
    Argument {
        /// The flag.
        flag: &'static str,
        /// The text.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody answers.
    #[error("cannot reach the daemon at {host}: {reason}")]
    Unreachable {
        /// Its address.
        host: String,
        /// Why not.
        reason: String,
    },
    /// Certificates for TLS cannot be used.
    #[error("cannot use {path}: {reason}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The daemon does not speak BuildKit's protocol.
    #[error("the daemon has no BuildKit ({0})")]
    NoBuildKit(String),
    /// It answers what it should not.
    #[error("the daemon says: {0}")]
    Protocol(String),
    /// A command of a phase failed.
    #[error("phase {phase} failed with exit code {code}: {command}")]
    Phase {
        /// The phase.
        phase: String,
        /// The command.
        command: String,
        /// How it ended.
        code: i32,
        /// Its last lines.
        tail: Vec<String>,
    },
    /// A step that is no phase's failed.
    #[error("the daemon could not build: {}{reason}", if step.is_empty() { String::new() } else { format!("{step}: ") })]
    Build {
        /// The step.
        step: String,
        /// The daemon's reason.
        reason: String,
        /// The step's last lines.
        tail: Vec<String>,
    },
    /// The result, or the steps of a cache, did not get where they should be.
    #[error("the builder could not deliver what it made: {0}")]
    Export(String),
    /// The file or folder of this machine that the result should become cannot be written.
    #[error("cannot write {path}")]
    Destination {
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A registry does not take an image.
    #[error("cannot push {name}: {reason}")]
    Push {
        /// The image's name.
        name: String,
        /// The daemon's reason.
        reason: String,
    },
    /// A file of the app changed while it was sent.
    #[error("{0} changed while it was read")]
    Changed(PathBuf),
    /// The builder cannot do what the build needs.
    #[error("the builder cannot {0}")]
    Unable(String),
    /// A signal asked for the end.
    #[error("interrupted")]
    Interrupted,
    /// A call of this side failed.
    #[error("{action}")]
    Io {
        /// What was tried.
        action: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// A buildkitd of its own.
pub struct BuildKit {
    host: Host,
    /// Docker Engine, when buildkitd is in a container of its.
    engine: Option<Engine>,
    /// Its version, as it says.
    pub version: String,
    /// The kind of its machine: `amd64`.
    pub architecture: String,
}

impl BuildKit {
    /// Asks a buildkitd who it is; one in a container is reached through `engine`.
    pub fn connect(host: Host, engine: Option<Engine>) -> Result<Self, DaemonError> {
        let mut daemon = Self {
            host,
            engine,
            version: String::new(),
            architecture: String::new(),
        };
        let asked = async { buildkit::describe(daemon.stream().await?).await };
        let (version, architecture) = wait(async {
            let answer = tokio::time::timeout(FIRST_ANSWER, asked).await;
            answer.map_err(|_| DaemonError::Unreachable {
                host: daemon.host.text.clone(),
                reason: "no answer".to_owned(),
            })?
        })?;
        (daemon.version, daemon.architecture) = (version, architecture);
        Ok(daemon)
    }

    async fn stream(&self) -> Result<Box<dyn host::Stream>, DaemonError> {
        match (&self.host.address, &self.engine) {
            (Address::Container(name), Some(engine)) => engine.dial_container(name).await,
            _ => self.host.connect(b"h2").await,
        }
    }

    /// Builds; the image's digest, empty for what has none.
    pub fn build(
        &self,
        build: ImageBuild,
        interrupt: &Interrupt,
        tell: &mut Teller<'_>,
    ) -> Result<String, DaemonError> {
        wait(heard(interrupt, async {
            let stream = self.stream().await?;
            buildkit::build(buildkit::Kind::Daemon(stream), build, tell).await
        }))
    }
}

/// Work that the first signal ends, wherever it is; a container that it may leave is its caller's business.
async fn heard<T>(
    interrupt: &Interrupt,
    work: impl Future<Output = Result<T, DaemonError>>,
) -> Result<T, DaemonError> {
    let _listening = interrupt.listen();
    let raised = async {
        while interrupt.count() == 0 {
            tokio::time::sleep(GLANCE).await;
        }
    };
    tokio::select! {
        outcome = work => outcome,
        () = raised => Err(DaemonError::Interrupted),
    }
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Runs what waits for the network to its end.
fn wait<T>(work: impl Future<Output = Result<T, DaemonError>>) -> Result<T, DaemonError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| DaemonError::Io {
            action: "start the network's event loop".to_owned(),
            source,
        })?;
    let outcome = runtime.block_on(work);
    // What still runs serves a daemon that has had its answer.
    runtime.shutdown_background();
    outcome
}
