//! The system calls that have no safe wrapper, and nothing else.
//!
//! Each function is safe to call under the condition that its comment names.
#![expect(
    unsafe_code,
    reason = "the one file of system calls without a safe wrapper"
)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// Which side of a fork this is.
pub enum Fork {
    /// The new process.
    Child,
    /// The old one, with the child's process id.
    Parent(rustix::process::Pid),
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Forks. Refuses in a process with several threads, where the child could meet a held lock.
pub fn fork() -> io::Result<Fork> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads != 1 {
        return Err(io::Error::other("fork in a process with several threads"));
    }
    // SAFETY: a single thread runs, so the child's memory is consistent.
    match check(unsafe { libc::fork() }.into())? {
        0 => Ok(Fork::Child),
        pid => i32::try_from(pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .map(Fork::Parent)
            .ok_or_else(|| io::Error::other("fork gave no process id")),
    }
}

/// Leaves the given namespaces for new ones.
pub fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: namespace flags change no memory of ours; CLONE_FILES and CLONE_VM are never passed.
    check(unsafe { libc::unshare(flags) }.into()).map(drop)
}

/// Marks every file descriptor from `first` on as close-on-exec, also those of the caller's caller.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: only flags of descriptors change; none is closed under an owner.
    check(unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    })
    .map(drop)
}

/// Blocks the signals that a terminal or a supervisor sends, in this process and its children.
pub fn block_signals() -> io::Result<()> {
    change_mask(libc::SIG_BLOCK)
}

/// Undoes [`block_signals`], for a program that is about to be executed.
pub fn unblock_signals() -> io::Result<()> {
    change_mask(libc::SIG_UNBLOCK)
}

fn change_mask(how: libc::c_int) -> io::Result<()> {
    // SAFETY: the set lives on the stack and is initialised by `sigemptyset`.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [
            libc::SIGINT,
            libc::SIGTERM,
            libc::SIGHUP,
            libc::SIGQUIT,
            libc::SIGTSTP,
        ] {
            libc::sigaddset(&raw mut set, signal);
        }
        check(libc::sigprocmask(how, &raw const set, std::ptr::null_mut()).into()).map(drop)
    }
}

/// Closes every file descriptor but the standard streams and the socket `number`, which is taken.
/// For the start of a process, before it opens any.
pub fn only_descriptor(number: u32) -> io::Result<UnixStream> {
    let raw = RawFd::try_from(number).map_err(io::Error::other)?;
    let close = |first: u32, last: u32| {
        if first > last {
            return Ok(());
        }
        // SAFETY: nothing in this process owns a descriptor yet; what is closed came from the caller.
        check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
    };
    close(3, number.saturating_sub(1))?;
    close(number.saturating_add(1).max(3), libc::c_uint::MAX)?;
    // SAFETY: nothing owns the descriptor; that it is open is known from the next call.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(socket.into())
}

/// Gives the process a session keyring of its own.
pub fn new_session_keyring() -> io::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is read or written.
    check(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        )
    })
    .map(drop)
}

/// Brings the loopback interface of the current network namespace up.
pub fn loopback_up() -> io::Result<()> {
    // SAFETY: the descriptor is checked and closed; the request is a zeroed C structure with the
    // name `lo` in its first bytes, as the call demands.
    unsafe {
        let socket =
            check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0).into())?;
        let socket = libc::c_int::try_from(socket).map_err(io::Error::other)?;
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = libc::c_char::try_from(b'l').unwrap_or(0);
        request.ifr_name[1] = libc::c_char::try_from(b'o').unwrap_or(0);
        request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).unwrap_or(1);
        // Not `libc::ioctl`: C libraries differ in the type of its request.
        let result = check(libc::syscall(
            libc::SYS_ioctl,
            socket,
            libc::SIOCSIFFLAGS,
            &raw const request,
        ));
        libc::close(socket);
        result.map(drop)
    }
}
