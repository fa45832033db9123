//! `lockgate pack`: for authors (build), reviewers (inspect, docs) and operators (verify). One file a subcommand.

mod build;
mod docs;
mod inspect;
mod verify;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use lockgate_signing::file::{self, MAX_COMPONENT_BYTES};

pub(super) use self::build::{build_and_describe, write};
use crate::{
    config::Config,
    error::{Code, Refusal},
    pack::{
        admission::{Admission, Described},
        sandbox::Sandbox,
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum PackCommand {
    /// Build a Rust pack, check it as a host would, and write what is to be signed
    Build {
        /// The pack's crate
        #[arg(default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// Where to write NAME-VERSION.wasm and NAME-VERSION.declaration.json
        #[arg(long, default_value = ".", value_name = "DIR")]
        out: PathBuf,
    },
    /// Print all that a reviewer must see: actions, arguments, SQL; runs only `describe`
    Inspect {
        /// The component
        component: PathBuf,
        /// The manifest as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the reference page of a pack, in Markdown; runs only `describe`
    Docs {
        /// The component
        component: PathBuf,
        /// Recorded calls to show beside the actions, as JSON
        #[arg(long, value_name = "FILE")]
        examples: Option<PathBuf>,
        /// Where to write the page; standard output if left out
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Check signature, trust and manifest, as a host would at start
    Verify {
        /// The component; its envelope must be beside it
        component: PathBuf,
        /// The trust policy; the configuration's if left out
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(
    command: PackCommand,
    config: impl FnOnce() -> Result<Config, Refusal>,
) -> Result<ExitCode, Refusal> {
    match command {
        PackCommand::Build { dir, out } => build::build(&dir, &out).await?,
        PackCommand::Inspect { component, json } => inspect::inspect(&component, json).await?,
        PackCommand::Docs { component, examples, out } => {
            docs::docs(&component, examples.as_deref(), out.as_deref()).await?;
        }
        PackCommand::Verify { component, trust, json } => {
            let trust = match trust {
                Some(path) => path,
                None => config()?.trust,
            };
            verify::verify(&component, &trust, json).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn admission() -> Result<Admission, Refusal> {
    Ok(Admission::new(Sandbox::new()?, None))
}

/// What a component declares, by its own account.
async fn describe(component: &Path) -> Result<Described, Refusal> {
    let bytes = file::read_once(component, MAX_COMPONENT_BYTES).map_err(|e| refused_file(&e))?;
    Ok(admission()?.describe_unverified(&bytes).await?)
}

fn refused_file(error: &file::FileError) -> Refusal {
    Refusal::new(Code::FileRefused, error.to_string())
}

fn refused_path(path: &Path, error: &std::io::Error) -> Refusal {
    Refusal::new(Code::FileRefused, format!("{}: {error}", path.display()))
}
