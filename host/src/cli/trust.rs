//! `lockgate trust`: who may publish packs here, and what those may do. Every change is shown first, on the record before it
//! is made, and agreed to where it lets anybody do more. One file a subcommand.

mod add;
mod explain;
pub(super) mod first_use;
mod list;
mod remove;
mod revoke;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{
    consent,
    terminal::{self, say},
};
use crate::{config::Config, error::Refusal, outside::shown, people::acting, startup::State, trust::Prepared};

#[derive(Debug, Subcommand)]
pub(super) enum TrustCommand {
    /// List keys, publishers with what they may do, pins, lowest versions and revocations
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Trust a publisher, or let one do more; pin a version, set the lowest one, allow going back
    #[command(subcommand)]
    Add(add::AddCommand),
    /// Take something out of the trust policy
    #[command(subcommand)]
    Remove(remove::RemoveCommand),
    /// Never accept a key or a component again
    #[command(subcommand)]
    Revoke(revoke::RevokeCommand),
    /// Say what the trust policy makes of a component, and why
    Explain(explain::ExplainArgs),
}

/// How a script agrees to a change.
#[derive(Debug, Args)]
pub(super) struct Agreed {
    /// Agree without being asked
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(command: TrustCommand, config: &Config) -> Result<ExitCode, Refusal> {
    match command {
        TrustCommand::List { json } => list::run(config, json)?,
        TrustCommand::Add(command) => add::run(command, config).await?,
        TrustCommand::Remove(command) => remove::run(command, config).await?,
        TrustCommand::Revoke(command) => revoke::run(command, config).await?,
        TrustCommand::Explain(args) => return explain::run(&args, config),
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows a change, asks if it lets anybody do more, and makes it.
async fn make(prepared: Prepared, config: &Config, agreed: &Agreed) -> Result<(), Refusal> {
    if prepared.changes().is_empty() {
        say("the trust policy says so already; nothing was changed");
        return Ok(());
    }
    show(&prepared);
    if prepared.widens() && !agreed.yes {
        consent::ask("trust", "this change", "look at the change and give `--yes` to agree to it")?;
    }
    let state = State::open(config)?;
    put(prepared, config, &state).await?;
    state.record.close().await?;
    Ok(())
}

/// Shows what a change would make other.
pub(super) fn show(prepared: &Prepared) {
    for change in prepared.changes() {
        say(&format!("{} {}", if change.widens { '!' } else { '-' }, shown(&change.text, 2000)));
    }
}

/// Makes a change that was agreed to.
pub(super) async fn put(prepared: Prepared, config: &Config, state: &State) -> Result<(), Refusal> {
    let by = acting::of(&*state.store, &terminal::os_user())?.person;
    prepared.apply(&config.state_dir, &state.record, &*state.store, &by).await?;
    say(&format!("{} is changed; a host that runs sees it by itself", config.trust.display()));
    Ok(())
}
