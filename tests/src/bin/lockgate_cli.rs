//! The real command line, built where the tests of this package can find and start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    lockgate::cli::main()
}
