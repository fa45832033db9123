//! `lockgate pack diff`: two versions of a pack, for a publisher's CI and for whoever is to take an update.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    super::terminal::{say, say_json},
    describe,
};
use crate::{error::Refusal, pack::diff::diff};

/// What a shell script asks about: authority grew.
const GREW: u8 = 3;

#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    /// The component as it was
    old: PathBuf,
    /// The component as it would be
    new: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &DiffArgs) -> Result<ExitCode, Refusal> {
    let (old, new) = (describe(&args.old).await?, describe(&args.new).await?);
    let diff = diff(&old.manifest, &new.manifest);
    if args.json {
        say_json(&diff);
    } else {
        say(&diff.render());
    }
    Ok(if diff.grew() { ExitCode::from(GREW) } else { ExitCode::SUCCESS })
}
