//! The program in outline: read arguments and environment, run the command, turn its outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    wix_sync::cli::main()
}
