//! `lockgate-sign`: keys, envelopes and their verification, for signing pipelines. No WebAssembly runtime, no database, no
//! network. Exit status: 0 done, 1 refused, 2 wrong usage or a file that can't be used.

mod args;
mod attach;
mod envelope;
mod failure;
mod inspect;
mod keys;
mod output;
mod passphrase;
mod sign;
mod verify;

use std::{io::Write as _, process::ExitCode};

use clap::{Parser as _, error::ErrorKind};
use lockgate_signing::memory::{self, Locked};

use crate::{
    args::{Arguments, Command, KeyCommand},
    failure::Failure,
};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit_code()
        }
    }
}

fn run() -> Result<(), Failure> {
    // Before anything else: the environment may hold a passphrase.
    memory::keep_to_itself().map_err(|error| Failure::unprotected(&error))?;
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return output::text(&error.to_string());
        }
        Err(error) => return Err(Failure::arguments(&error)),
    };
    if matches!(arguments.command, Command::Key(_) | Command::Sign(_)) {
        stay_out_of_swap();
    }
    match arguments.command {
        Command::Key(KeyCommand::Generate(generate)) => keys::generate(&generate),
        Command::Key(KeyCommand::Show(show)) => keys::show(&show),
        Command::Key(KeyCommand::Passphrase(change)) => keys::change_passphrase(&change),
        Command::Sign(sign) => sign::sign(&sign),
        Command::AttachSignature(attach) => attach::attach(&attach),
        Command::Verify(verify) => verify::verify(&verify),
        Command::Inspect(inspect) => inspect::inspect(&inspect),
    }
}

/// A low limit on locked memory is usual for users other than root, and no reason not to sign.
fn stay_out_of_swap() {
    if memory::lock() == Locked::Nothing && memory::may_swap() {
        let _ = writeln!(
            std::io::stderr(),
            "warning: keys may be swapped to disk: the limit on locked memory is too low (`ulimit -l`)"
        );
    }
}
