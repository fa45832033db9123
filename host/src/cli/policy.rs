//! `lockgate policy`: look at a policy before it is in force, and at why it decides as it does. Only reads: no state is
//! opened and nothing is put on the record. Everything that is worked out is worked out in `policy`.

mod check;
mod diff;
mod explain;
mod test;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;

use crate::{
    config::Config,
    error::{Code, Refusal},
    pack::catalog::Catalog,
    policy::{Policy, PolicyError},
    startup,
};

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Read a policy, and say what is wrong or odd about it
    Check(check::CheckArgs),
    /// Say how one call would be decided, and why: every rule that is looked at
    Explain(explain::ExplainArgs),
    /// Put a file of cases to a policy; exits with 1 if one comes out otherwise than expected
    Test(test::TestArgs),
    /// Say which calls of the record another policy would have decided differently
    Diff(diff::DiffArgs),
}

pub(super) async fn run(
    command: PolicyCommand,
    config: impl Fn() -> Result<Config, Refusal>,
) -> Result<ExitCode, Refusal> {
    match command {
        PolicyCommand::Check(args) => check::run(args, config).await,
        PolicyCommand::Explain(args) => explain::run(args, config).await,
        PolicyCommand::Test(args) => test::run(args, config).await,
        PolicyCommand::Diff(args) => diff::run(&args, &config()?),
    }
}

/// A policy's file, or what the configuration names.
fn policy(file: Option<&Path>, config: &impl Fn() -> Result<Config, Refusal>) -> Result<Policy, Refusal> {
    match file {
        Some(path) => Policy::load(path).map_err(|e| unusable(&e)),
        None => startup::policy(&config()?),
    }
}

fn unusable(error: &PolicyError) -> Refusal {
    Refusal::new(Code::ConfigInvalid, error.to_string()).with_remedy("docs/policy.md has every key")
}

/// What the configuration names beside the policy.
struct Surroundings {
    catalog: Catalog,
    targets: BTreeSet<String>,
    /// Components that stayed out.
    refused: Vec<PathBuf>,
}

impl Surroundings {
    async fn of(config: &Config) -> Result<Self, Refusal> {
        let (catalog, refused) = startup::installed(config).await?;
        if catalog.packs().next().is_none() {
            return Err(Refusal::new(Code::ConfigInvalid, "no pack that the configuration names can be admitted")
                .with_remedy("`lockgate doctor` says why"));
        }
        let targets = startup::targets(config)?.into_keys().collect();
        Ok(Self { catalog, targets, refused: refused.into_iter().map(|refused| refused.path).collect() })
    }
}
