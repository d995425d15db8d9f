//! The processes inside: the one that leaves the host's namespaces, the sandbox's process 1,
//! and the command.
//!
//! `leave` (host's pid namespace) -> `init` (process 1: makes the root, reaps) -> `command`.
//! All die with the parent: each has a death signal, and process 1 takes the rest along.

use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus};
use rustix::thread::{Gid, Uid};

use super::protocol::{Answer, Failure, Order, receive, send};
use super::{filter, root, sys};
use crate::engine::{Exit, Job, Network, Outcome};

/// Exit code of the helper when its message could not be delivered.
const SPEECHLESS: u8 = 125;

/// Entry of the hidden verb: its argument is the number of the socket to the parent.
pub fn main() -> ExitCode {
    match leave() {
        Ok(code) => ExitCode::from(code),
        Err(_) => ExitCode::from(SPEECHLESS),
    }
}

/// Leaves the host's namespaces, starts process 1 and waits for it.
fn leave() -> io::Result<u8> {
    let number = std::env::args().nth(2).and_then(|text| text.parse().ok());
    let control = sys::only_descriptor(number.unwrap_or(3))?;
    // A terminal's Ctrl-C reaches the parent, which decides; the command gets its signals from there.
    sys::block_signals()?;
    die_with_parent()?;
    let Some(Order::Run(job)) = receive(&control)? else {
        return Ok(SPEECHLESS);
    };
    let network = if job.network == Network::None {
        libc::CLONE_NEWNET
    } else {
        0
    };
    let namespaces = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP
        | network;
    if let Err(error) = sys::unshare(namespaces) {
        send(
            &control,
            &Answer::Failed(Failure::Namespaces(error.to_string())),
        )?;
        return Ok(0);
    }
    send(&control, &Answer::Ready)?;
    let Some(Order::Go) = receive(&control)? else {
        return Ok(SPEECHLESS);
    };
    match sys::fork()? {
        sys::Fork::Child => init(&control, &job),
        sys::Fork::Parent(child) => wait_for(child).map(|_| 0),
    }
}

fn die_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

fn wait_for(child: Pid) -> io::Result<WaitStatus> {
    loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Process 1: makes the root, starts the command, reaps what is orphaned, tells how it ended.
fn init(control: &UnixStream, job: &Job) -> io::Result<u8> {
    let answer = match prepare(job).and_then(|()| start(job)) {
        Ok(command) => Answer::Ended(supervise(control, command)?),
        Err(failure) => Answer::Failed(failure),
    };
    send(control, &answer)?;
    Ok(0)
}

fn prepare(job: &Job) -> Result<(), Failure> {
    let fail = |action: &str| {
        let action = action.to_owned();
        move |reason: io::Error| Failure::Sandbox {
            action,
            reason: reason.to_string(),
        }
    };
    become_root().map_err(fail("become the sandbox's root user"))?;
    die_with_parent().map_err(fail("tie the sandbox to its parent"))?;
    // Nothing inside may look into this process: its executable is the host's.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| fail("protect the sandbox's first process")(error.into()))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::system::sethostname(b"packwright")
        .map_err(|error| fail("name the host")(error.into()))?;
    if job.network == Network::None {
        sys::loopback_up().map_err(fail("bring up the loopback interface"))?;
    }
    // A kernel without keys has none to leak.
    let _ = sys::new_session_keyring();
    root::enter(job)
}

fn become_root() -> io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    Ok(())
}

/// Starts the command; a pipe that closes on exec tells whether it could be executed.
fn start(job: &Job) -> Result<Pid, Failure> {
    let fail = |reason: io::Error| Failure::Sandbox {
        action: "start the command".to_owned(),
        reason: reason.to_string(),
    };
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| fail(error.into()))?;
    match sys::fork().map_err(fail)? {
        sys::Fork::Child => {
            drop(read);
            let failure = command(job);
            let _ = send(std::fs::File::from(write), &failure);
            // The parent tells; this process must not run the parent's code any further.
            std::process::exit(127)
        }
        sys::Fork::Parent(child) => {
            drop(write);
            match receive::<Failure>(std::fs::File::from(read)).map_err(fail)? {
                None => Ok(child),
                Some(failure) => Err(failure),
            }
        }
    }
}

/// Gives up everything that a command must not have and becomes it. Returns only on failure.
fn command(job: &Job) -> Failure {
    let confined = || -> io::Result<()> {
        // A session of its own: no terminal to type into; the parent passes signals on.
        rustix::process::setsid()?;
        limit(Resource::Core, 0)?;
        limit(Resource::Nofile, 65_536)?;
        filter::drop_capabilities()?;
        let (user, group) = job.user;
        if user != 0 || group != 0 {
            let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
            rustix::thread::set_thread_res_gid(group, group, group)?;
            rustix::thread::set_thread_res_uid(user, user, user)?;
        }
        filter::hide_abstract_sockets()?;
        filter::filter_system_calls()?;
        sys::unblock_signals()?;
        sys::close_on_exec_from(3)
    };
    if let Err(reason) = confined() {
        return Failure::Sandbox {
            action: "confine the command".to_owned(),
            reason: reason.to_string(),
        };
    }
    let Some((program, arguments)) = job.argv.split_first() else {
        return Failure::Execute {
            program: String::new(),
            reason: "no program is named".to_owned(),
        };
    };
    let error = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(&job.env)
        .exec();
    Failure::Execute {
        program: program.clone(),
        reason: error.to_string(),
    }
}

/// Lowers a limit to `most`; a lower one stays.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let present = rustix::process::getrlimit(resource);
    let lower = |value: Option<u64>| Some(value.map_or(most, |value| value.min(most)));
    let new = Rlimit {
        current: lower(present.maximum),
        maximum: lower(present.maximum),
    };
    rustix::process::setrlimit(resource, new)?;
    Ok(())
}

/// Reaps every process until the command itself ends; passes signals on meanwhile.
fn supervise(control: &UnixStream, command: Pid) -> io::Result<Outcome> {
    let orders = control.try_clone()?;
    std::thread::spawn(move || pass_signals(&orders, command));
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == command => {
                let exit = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, signal) => Exit::Signal(signal.unwrap_or(0)),
                };
                return Ok(Outcome {
                    exit,
                    leftovers: running_processes(),
                });
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Passes signals to the command's process group; when the parent is gone, ends everything.
fn pass_signals(orders: &UnixStream, command: Pid) {
    loop {
        match receive(orders) {
            Ok(Some(Order::Signal(number))) => {
                let Some(signal) = Signal::from_named_raw(number) else {
                    continue;
                };
                // Gone between the signal and now: nothing is left to tell.
                let _ = rustix::process::kill_process_group(command, signal);
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => std::process::exit(i32::from(SPEECHLESS)),
        }
    }
}

/// The names of the processes that still run, this one aside.
fn running_processes() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != "1" && name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .collect();
    names.sort();
    names
}
