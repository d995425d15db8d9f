//! The `packwright` program: its own helper inside sandboxes, or the command line.

use std::process::ExitCode;

/// That of musl takes several times as long.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|verb| verb == packwright::engine::native::HELPER)
    {
        return packwright::engine::native::helper_main();
    }
    packwright::cli::main()
}
