//! The `lockgate` binary: see [`lockgate::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    lockgate::cli::main()
}
