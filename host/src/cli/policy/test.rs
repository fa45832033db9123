//! `lockgate policy test`: a file of cases, for the CI that guards a policy.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{Surroundings, policy, unusable};
use crate::{
    cli::terminal::{say, say_json},
    config::Config,
    error::Refusal,
    policy::{Installed, cases::Cases},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct TestArgs {
    /// The cases
    #[arg(value_name = "FILE")]
    cases: PathBuf,
    /// The policy; the configuration's if left out
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: TestArgs, config: impl Fn() -> Result<Config, Refusal>) -> Result<ExitCode, Refusal> {
    let policy = policy(args.policy.as_deref(), &config)?;
    let cases = Cases::load(&args.cases).map_err(|e| unusable(&e))?;
    // Cases that say the risk themselves need no packs: a policy can be tested where nothing else is.
    let around = match cases.say_risks() {
        true => None,
        false => Some(Surroundings::of(&config()?).await?),
    };
    let tested = cases.run(&policy, Installed(around.as_ref().map(|around| &around.catalog)));
    if args.json {
        say_json(&tested);
    } else {
        say(&tested.render());
    }
    Ok(if tested.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
