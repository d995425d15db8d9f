//! The native engine: a command in namespaces of its own over an overlay, without a daemon.
//!
//! The boundary. A command sees its root, its binds and a fresh `/proc`, `/dev`, `/tmp`; it is
//! process 1's child in pid, mount, ipc, uts, cgroup and user namespaces of its own, with few
//! capabilities, a system call filter, no terminal, no descriptor and no variable of ours. With
//! `Network::None` it has a network namespace too. What is *not* promised: with `Network::Host`
//! it reaches the host's loopback services, and memory, disk and processes are not limited.
//!
//! This side starts the helper, writes its id maps, reads its output and ends it on demand.

mod enter;
mod filter;
mod protocol;
mod root;
mod stage;
mod sys;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::FdFlags;

use protocol::{Answer, Failure, Order, receive, send};

pub use enter::{become_root, obstacle};

use super::{Engine, EngineError, Job, Outcome, Output, Streams};
use crate::interrupt::Interrupt;
use crate::report::Stream;

/// The hidden verb under which the binary is its own helper.
pub const HELPER: &str = "__sandbox";

/// How long a command may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(5);

/// The longest line that is passed on whole; a longer one is cut into pieces of this many bytes.
const LINE_LIMIT: u64 = 64 << 10;

/// Runs the helper; `main` calls this when the first argument is [`HELPER`].
pub fn helper_main() -> ExitCode {
    stage::main()
}

/// The native engine.
#[derive(Debug)]
pub struct Native {
    /// The packwright binary, which is its own helper.
    program: PathBuf,
    copy: OnceLock<OwnedFd>,
}

impl Default for Native {
    fn default() -> Self {
        Self::with_program("/proc/self/exe")
    }
}

impl Native {
    /// An engine whose helper is another copy of the binary; for callers that are not packwright.
    pub fn with_program(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            copy: OnceLock::new(),
        }
    }

    /// The helper's path: a sealed copy in memory. A command whose interpreter is
    /// `/proc/self/exe` becomes the helper's program, with libraries of the root, and would hold
    /// the host's file in its hands (CVE-2019-5736).
    fn helper(&self) -> Result<PathBuf, EngineError> {
        let copy = match self.copy.get() {
            Some(copy) => copy,
            None => {
                let copy = sealed_copy(&self.program).map_err(io_error("copy this program"))?;
                self.copy.get_or_init(|| copy)
            }
        };
        Ok(format!("/proc/self/fd/{}", copy.as_raw_fd()).into())
    }
}

fn sealed_copy(program: &Path) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know the flag, later ones may demand it.
    let memory = rustix::fs::memfd_create("packwright", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("packwright", flags))?;
    let mut memory = File::from(memory);
    io::copy(&mut File::open(program)?, &mut memory)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&memory, seals)?;
    Ok(memory.into())
}

fn io_error(action: &str) -> impl FnOnce(io::Error) -> EngineError {
    move |source| EngineError::Io {
        action: action.to_owned(),
        source,
    }
}

impl Engine for Native {
    fn run(
        &self,
        job: &Job,
        interrupt: &Interrupt,
        output: &mut Output<'_>,
    ) -> Result<Outcome, EngineError> {
        let _listening = interrupt.listen();
        let (control, theirs) = UnixStream::pair().map_err(io_error("make a socket pair"))?;
        let mut helper = spawn(&self.helper()?, job, &theirs)?;
        drop(theirs);
        let pipes = (helper.stdout.take(), helper.stderr.take());
        let output = Mutex::new(output);
        std::thread::scope(|scope| {
            if let Some(pipe) = pipes.0 {
                scope.spawn(|| pass_lines(pipe, Stream::Stdout, &output));
            }
            if let Some(pipe) = pipes.1 {
                scope.spawn(|| pass_lines(pipe, Stream::Stderr, &output));
            }
            let answer = converse(&control, job, helper.id(), interrupt);
            if answer.is_err() {
                // The helper's death takes everything inside along; the pipes close by it.
                let _ = helper.kill();
            }
            drop(control);
            let _ = helper.wait();
            answer
        })
    }
}

/// Starts this binary as the helper; its argument is the number of its end of the socket.
fn spawn(program: &Path, job: &Job, control: &UnixStream) -> Result<Child, EngineError> {
    let stream = || match job.streams {
        Streams::Captured => Stdio::piped(),
        Streams::Inherited => Stdio::inherit(),
    };
    let input = match job.streams {
        Streams::Captured => Stdio::null(),
        Streams::Inherited => Stdio::inherit(),
    };
    // Another helper that starts at this moment gets it too, and closes it first of all.
    rustix::io::fcntl_setfd(control, FdFlags::empty())
        .map_err(|error| io_error("share a socket")(error.into()))?;
    Command::new(program)
        .arg(HELPER)
        .arg(control.as_raw_fd().to_string())
        .env_clear()
        .stdin(input)
        .stdout(stream())
        .stderr(stream())
        .spawn()
        .map_err(io_error("start the sandbox's helper"))
}

/// Hands the job over, maps the ids, and waits for the end.
fn converse(
    control: &UnixStream,
    job: &Job,
    helper: u32,
    interrupt: &Interrupt,
) -> Result<Outcome, EngineError> {
    let lost = |error: io::Error| EngineError::Lost(error.to_string());
    send(control, &Order::Run(Box::new(job.clone()))).map_err(lost)?;
    match receive(control).map_err(lost)? {
        Some(Answer::Ready) => {}
        Some(Answer::Failed(failure)) => return Err(failure.into()),
        Some(Answer::Ended(_)) | None => {
            return Err(EngineError::Lost("before it was ready".to_owned()));
        }
    }
    enter::map_same_ids(helper).map_err(io_error("map the sandbox's user ids"))?;
    send(control, &Order::Go).map_err(lost)?;
    await_end(control, interrupt)
}

/// Waits for the answer. The first signal asks the command to end, a second one or the end of
/// the grace period ends it.
fn await_end(control: &UnixStream, interrupt: &Interrupt) -> Result<Outcome, EngineError> {
    let lost = |error: io::Error| EngineError::Lost(error.to_string());
    control
        .set_read_timeout(Some(Duration::from_millis(100)))
        .map_err(lost)?;
    let seen_before = interrupt.count();
    let mut asked: Option<Instant> = None;
    loop {
        match receive(control) {
            Ok(Some(Answer::Ended(_))) if asked.is_some() && seen_before == 0 => {
                return Err(EngineError::Interrupted);
            }
            Ok(Some(Answer::Ended(outcome))) => return Ok(outcome),
            Ok(Some(Answer::Failed(failure))) => return Err(failure.into()),
            Ok(Some(Answer::Ready)) => {}
            Ok(None) => return Err(EngineError::Lost("killed".to_owned())),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            Err(error) => return Err(lost(error)),
        }
        let signals = interrupt.count() - seen_before;
        match asked {
            None if signals > 0 => {
                let _ = send(control, &Order::Signal(interrupt.signal()));
                asked = Some(Instant::now());
            }
            Some(since) if signals > 1 || since.elapsed() > GRACE => {
                return Err(EngineError::Interrupted);
            }
            _ => {}
        }
    }
}

/// Reads lines of at most [`LINE_LIMIT`] bytes and passes them on without their ends.
fn pass_lines(pipe: impl Read, stream: Stream, output: &Mutex<&mut Output<'_>>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader
            .by_ref()
            .take(LINE_LIMIT)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = line.strip_suffix(b"\n").unwrap_or(&line);
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                if let Ok(mut output) = output.lock() {
                    output(stream, text);
                }
            }
        }
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Namespaces(reason) => Self::Namespaces {
                hint: enter::namespace_hint(),
                reason,
            },
            Failure::Sandbox { action, reason } => Self::Sandbox { action, reason },
            Failure::Execute { program, reason } => Self::Execute { program, reason },
        }
    }
}
