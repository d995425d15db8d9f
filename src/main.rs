//! The `packwright` program: its own helper inside sandboxes, or the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|verb| verb == packwright::engine::native::HELPER)
    {
        return packwright::engine::native::helper_main();
    }
    packwright::cli::main()
}
