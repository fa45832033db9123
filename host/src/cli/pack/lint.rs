//! `lockgate pack lint`: what a host would refuse a pack for, and what is not good practice, each with its place.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    super::terminal::{say, say_json},
    admission, component,
};
use crate::{error::Refusal, pack::lint::lint};

#[derive(Debug, Args)]
pub(in crate::cli) struct LintArgs {
    /// The pack's directory, which is built first, or a component
    #[arg(default_value = ".", value_name = "PATH")]
    path: PathBuf,
    /// Exit with 1 if there is a warning, too
    #[arg(long)]
    strict: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &LintArgs) -> Result<ExitCode, Refusal> {
    let bytes = component(&args.path).await?;
    let examined = admission()?.examine(&bytes).await?;
    let report = lint(&examined.manifest, &examined.proof);
    if args.json {
        say_json(&report);
    } else {
        say(&report.render());
    }
    let fails = report.errors > 0 || (args.strict && report.warnings > 0);
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
