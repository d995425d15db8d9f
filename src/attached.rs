//! Programs of others that are asked to end when this process ends, also when it is killed.
//!
//! The kernel sends such a signal at a parent's death (prctl(2), `PR_SET_PDEATHSIG`), and the child itself has to ask
//! for it. So the child is this program first, which asks and then becomes the other one. The parent is the thread
//! that starts the child: it has to wait for it.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal};

/// The hidden verb under which the binary becomes another program.
pub const HELPER: &str = "__attached";

/// What a shell says of a program that it cannot start.
const NOT_STARTED: u8 = 127;

/// A command that is sent SIGTERM when the thread that starts it ends.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(HELPER)
        .arg(std::process::id().to_string())
        .arg(program);
    command
}

/// Asks for the signal and becomes the program; `main` calls this when the first argument is [`HELPER`].
pub fn helper_main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(2);
    let parent = arguments.next().and_then(|id| id.into_string().ok());
    let parent = parent.and_then(|id| Pid::from_raw(id.parse().ok()?));
    let asked = rustix::process::set_parent_process_death_signal(Some(Signal::TERM)).is_ok();
    // A parent that ended before that sends nothing.
    if let Some(program) = arguments.next()
        && asked
        && rustix::process::getppid() == parent
    {
        let error = Command::new(&program).args(arguments).exec();
        let _ = writeln!(io::stderr(), "error: {}: {error}", program.display());
    }
    ExitCode::from(NOT_STARTED)
}
