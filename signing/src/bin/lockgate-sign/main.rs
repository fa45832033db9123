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

use std::process::ExitCode;

use clap::{Parser as _, error::ErrorKind};

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
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return output::text(&error.to_string());
        }
        Err(error) => return Err(Failure::arguments(&error)),
    };
    match arguments.command {
        Command::Key(KeyCommand::Generate(generate)) => keys::generate(&generate),
        Command::Key(KeyCommand::Show(show)) => keys::show(&show),
        Command::Sign(sign) => sign::sign(&sign),
        Command::AttachSignature(attach) => attach::attach(&attach),
        Command::Verify(verify) => verify::verify(&verify),
        Command::Inspect(inspect) => inspect::inspect(&inspect),
    }
}
