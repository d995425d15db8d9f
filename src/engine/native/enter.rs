//! Becoming root without being root: the user namespace in which an ordinary user's build runs.
//!
//! The whole process starts itself again in a user namespace where the user is root and where
//! the user's subordinate ids (`/etc/subuid`, `/etc/subgid`) are the other ids. From there on
//! rootless and root builds are one code path: a sandbox maps the ids it has onto themselves.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode};

use rustix::io::FdFlags;
use rustix::process::{Pid, Signal, getegid, geteuid, getpgrp};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use super::sys;
use crate::engine::EngineError;

/// Set in the process that runs in the user namespace: `READ,WRITE` names its pipes before the
/// ids are mapped, `root` says that they are.
const STAGE: &str = "PACKWRIGHT_NAMESPACE";

/// Makes sure that this process is root, of the machine or of a user namespace of its own.
///
/// Returns `None` when it is; else the exit code of the process that ran in the namespace.
/// Must be called before any thread starts.
pub fn become_root() -> Result<Option<ExitCode>, EngineError> {
    match std::env::var(STAGE).as_deref() {
        Ok("root") => Ok(None),
        Ok(pipes) => Err(leave(pipes)),
        Err(_) if geteuid().is_root() => Ok(None),
        Err(_) => start_in_namespace().map(Some),
    }
}

/// Why this process, which is root, cannot make a sandbox; found out by a thread that ends at once.
pub fn obstacle() -> Option<String> {
    let probe = std::thread::spawn(|| sys::unshare(libc::CLONE_NEWNS));
    match probe.join() {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("a mount namespace: {error}")),
        Err(_) => Some("a thread cannot be started".to_owned()),
    }
}

fn fail(action: &'static str) -> impl FnOnce(io::Error) -> EngineError {
    move |source| EngineError::Io {
        action: action.to_owned(),
        source,
    }
}

/// This program with its own arguments; the name that it was called by decides how it behaves.
fn again() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(std::env::args_os().next().unwrap_or_default())
        .args(std::env::args_os().skip(1));
    command
}

/// Starts this program again, maps its ids from outside and waits for it.
fn start_in_namespace() -> Result<ExitCode, EngineError> {
    let (uids, gids) = (subordinate("/etc/subuid")?, subordinate("/etc/subgid")?);
    let (mut ready, their_ready) = io::pipe().map_err(fail("make a pipe"))?;
    let (their_go, mut go) = io::pipe().map_err(fail("make a pipe"))?;
    for pipe in [their_go.as_fd(), their_ready.as_fd()] {
        rustix::io::fcntl_setfd(pipe, FdFlags::empty())
            .map_err(|error| fail("share a pipe")(error.into()))?;
    }
    let mut child = again()
        .env(
            STAGE,
            format!("{},{}", their_go.as_raw_fd(), their_ready.as_raw_fd()),
        )
        .spawn()
        .map_err(fail("start this program again"))?;
    drop((their_go, their_ready));
    let mut told = [0; 256];
    let length = ready
        .read(&mut told)
        .map_err(fail("wait for the namespace"))?;
    if &told[..length] != b"R" {
        let _ = child.wait();
        let reason = String::from_utf8_lossy(&told[..length]).into_owned();
        return Err(EngineError::Namespaces {
            reason,
            hint: namespace_hint(),
        });
    }
    let mapped = map("newuidmap", child.id(), geteuid().as_raw(), uids)
        .and_then(|()| map("newgidmap", child.id(), getegid().as_raw(), gids));
    if let Err(error) = mapped {
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    go.write_all(b"G").map_err(fail("start the namespace"))?;
    pass_signals(&child)?;
    let status = child.wait().map_err(fail("wait for the build"))?;
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(9));
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// What a terminal sends, such as Ctrl-C's signal, reaches both processes and the child decides;
/// what a supervisor sends to this one alone is passed on.
fn pass_signals(child: &Child) -> Result<(), EngineError> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT]).map_err(fail("handle signals"))?;
    let child = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    std::thread::spawn(move || {
        for number in signals.forever() {
            if number != SIGTERM && in_foreground() {
                continue;
            }
            if let (Some(child), Some(signal)) = (child, Signal::from_named_raw(number)) {
                let _ = rustix::process::kill_process(child, signal);
            }
        }
    });
    Ok(())
}

/// Whether this process is one of those that its terminal sends signals to.
fn in_foreground() -> bool {
    fs::File::open("/dev/tty")
        .is_ok_and(|terminal| rustix::termios::tcgetpgrp(terminal).ok() == Some(getpgrp()))
}

/// In the new process: leaves the user namespace, waits for the maps, and becomes the program.
fn leave(pipes: &str) -> EngineError {
    let attempt = || -> io::Result<io::Error> {
        let (go, ready) = pipes
            .split_once(',')
            .ok_or_else(|| io::Error::other("not started by packwright"))?;
        let mut go = fs::File::open(format!("/proc/self/fd/{go}"))?;
        let mut ready = fs::File::options()
            .write(true)
            .open(format!("/proc/self/fd/{ready}"))?;
        if let Err(error) = sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) {
            ready.write_all(error.to_string().as_bytes())?;
            return Err(error);
        }
        ready.write_all(b"R")?;
        go.read_exact(&mut [0])?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        sys::close_on_exec_from(3)?;
        Ok(again().env(STAGE, "root").exec())
    };
    fail("enter a user namespace")(attempt().unwrap_or_else(|error| error))
}

/// The first id and the number of ids that this user was given in `/etc/subuid` or `/etc/subgid`.
fn subordinate(file: &str) -> Result<(u32, u32), EngineError> {
    let user = geteuid().as_raw().to_string();
    let name = user_name(&user);
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let owner = fields.next()?;
            let range = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            (owner == user || Some(owner) == name.as_deref()).then_some(range)
        })
        .find(|(_, count): &(u32, u32)| *count >= 65_535)
        .ok_or_else(|| {
            let who = name.unwrap_or(user);
            EngineError::Namespaces {
                reason: format!("{file} gives {who} no range of 65536 ids"),
                hint: format!(
                    "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {who}"
                ),
            }
        })
}

fn user_name(id: &str) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    })
}

fn map(
    program: &str,
    process: u32,
    own: u32,
    (first, count): (u32, u32),
) -> Result<(), EngineError> {
    let numbers =
        [process, 0, own, 1, 1, first, count.min(65_535)].map(|number| number.to_string());
    let output = Command::new(program).args(&numbers).output();
    let reason = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(EngineError::Namespaces {
        reason: format!("{program}: {reason}"),
        hint:
            "install Debian's package uidmap, which has newuidmap and newgidmap, or build as root"
                .to_owned(),
    })
}

/// Maps every id that this process has onto itself for the helper's new user namespace.
pub fn map_same_ids(helper: u32) -> io::Result<()> {
    for kind in ["uid_map", "gid_map"] {
        let own = fs::read_to_string(format!("/proc/self/{kind}"))?;
        let lines: Vec<String> = own
            .lines()
            .filter_map(|line| {
                let mut fields = line.split_whitespace();
                let (first, _, count) = (fields.next()?, fields.next()?, fields.next()?);
                Some(format!("{first} {first} {count}\n"))
            })
            .collect();
        fs::write(format!("/proc/{helper}/{kind}"), lines.concat())?;
    }
    Ok(())
}

/// What to do where namespaces are refused: the cause decides the remedy.
pub fn namespace_hint() -> String {
    let setting = |path: &str| {
        fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        return "AppArmor forbids them here: sysctl kernel.apparmor_restrict_unprivileged_userns=0"
            .to_owned();
    }
    if setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        return "the kernel's setting forbids them: sysctl kernel.unprivileged_userns_clone=1"
            .to_owned();
    }
    if setting("/proc/sys/user/max_user_namespaces") == "0" {
        return "the kernel's limit is 0: sysctl user.max_user_namespaces=10000".to_owned();
    }
    "inside a container, allow unshare and mount (seccomp and AppArmor unconfined), or run as root outside".to_owned()
}
