//! The `packwright` program: its own helper inside sandboxes or before other programs, or the command line.

use std::process::ExitCode;

/// That of musl takes several times as long.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let verb = std::env::args_os().nth(1);
    match verb.as_ref().and_then(|verb| verb.to_str()) {
        Some(packwright::engine::native::HELPER) => packwright::engine::native::helper_main(),
        Some(packwright::attached::HELPER) => packwright::attached::helper_main(),
        _ => packwright::cli::main(),
    }
}
