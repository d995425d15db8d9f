//! What a command in the sandbox may not ask of the kernel: capabilities, system calls, sockets.
//!
//! A build needs a shell, compilers and package managers. It does not need to load kernel code,
//! to type into its caller's terminal or to make sandboxes of its own.

use std::collections::BTreeMap;
use std::io;

use landlock::{CompatLevel, Compatible, Ruleset, RulesetAttr, Scope};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

/// What package managers and maintainer scripts need, within the sandbox's own files.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT);

/// Requests to a terminal, as the kernel numbers them: C libraries differ in the type of theirs.
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541C;

/// Calls that fail with EPERM whatever their arguments.
const DENIED: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_writev,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

/// Calls that programs try and do without: they fail with ENOSYS, so that the fallback is taken.
const ABSENT: &[libc::c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
];

/// Drops all that a command must not have. Called in the process that becomes the command; the
/// caller sets the user afterwards. Nothing here can be undone.
pub fn drop_capabilities() -> io::Result<()> {
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if !KEPT.contains(capability) && remove_capability_from_bounding_set(capability).is_err() {
            break; // the first number beyond the kernel's last capability
        }
    }
    clear_ambient_capability_set()?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: KEPT,
            permitted: KEPT,
            inheritable: CapabilitySet::empty(),
        },
    )?;
    Ok(())
}

/// Hides the abstract sockets outside the sandbox where the kernel can (Landlock ABI 6, Linux 6.12).
pub fn hide_abstract_sockets() -> io::Result<()> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .scope(Scope::AbstractUnixSocket)
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    ruleset.restrict_self().map(drop).map_err(io::Error::other)
}

/// Installs the system call filter for this process and its children.
pub fn filter_system_calls() -> io::Result<()> {
    set_no_new_privs(true)?;
    for (rules, errno) in [
        (denied_rules()?, libc::EPERM),
        (absent_rules(), libc::ENOSYS),
    ] {
        let filter = SeccompFilter::new(
            rules,
            SeccompAction::Allow,
            SeccompAction::Errno(errno.unsigned_abs()),
            architecture(),
        )
        .map_err(io::Error::other)?;
        let program = BpfProgram::try_from(filter).map_err(io::Error::other)?;
        seccompiler::apply_filter(&program).map_err(io::Error::other)?;
    }
    seccompiler::apply_filter(&no_second_numbers()).map_err(io::Error::other)
}

/// Refuses the numbers from 2^30 on with ENOSYS. Kernels with the x32 interface have every call a
/// second time there, which the filters above do not know.
fn no_second_numbers() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS, from the start of seccomp_data
    const AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let instruction = |code, jf, k| sock_filter { code, jt: 0, jf, k };
    vec![
        instruction(LOAD_NUMBER, 0, 0),
        instruction(AT_LEAST, 1, 1 << 30),
        instruction(
            RETURN,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs(),
        ),
        instruction(RETURN, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

fn architecture() -> TargetArch {
    if cfg!(target_arch = "aarch64") {
        TargetArch::aarch64
    } else {
        TargetArch::x86_64
    }
}

fn absent_rules() -> BTreeMap<i64, Vec<SeccompRule>> {
    ABSENT.iter().map(|call| (*call, Vec::new())).collect()
}

fn denied_rules() -> io::Result<BTreeMap<i64, Vec<SeccompRule>>> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        DENIED.iter().map(|call| (*call, Vec::new())).collect();
    // The kernel reads 32 bits of the request and ignores the rest, so the filter does too.
    let requests = [TIOCSTI, TIOCLINUX].map(|request| argument(1, SeccompCmpOp::Eq, request));
    rules.insert(libc::SYS_ioctl, alternatives(requests)?);
    let families = [libc::AF_ALG, libc::AF_VSOCK, libc::AF_PACKET, libc::AF_KEY];
    let families =
        families.map(|family| argument(0, SeccompCmpOp::Eq, family.unsigned_abs().into()));
    rules.insert(libc::SYS_socket, alternatives(families)?);
    let user_namespace = u64::from(libc::CLONE_NEWUSER.unsigned_abs());
    let clone = argument(0, SeccompCmpOp::MaskedEq(user_namespace), user_namespace);
    rules.insert(libc::SYS_clone, alternatives([clone])?);
    Ok(rules)
}

fn argument(
    index: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
}

fn alternatives<const N: usize>(
    conditions: [Result<SeccompCondition, seccompiler::BackendError>; N],
) -> io::Result<Vec<SeccompRule>> {
    conditions
        .into_iter()
        .map(|condition| condition.and_then(|condition| SeccompRule::new(vec![condition])))
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)
}
