//! `lockgate standing`: calls let through in advance, within bounds. Proposed from a request that people approved, put in force
//! by an admin, used by the gate, and taken back here at once.

mod page;
mod propose;

use std::{process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{
    terminal::{self, say, say_json},
    voter::voter,
};
use crate::{
    approval::{digest, standing::replay},
    config::Config,
    error::{Code, Refusal},
    gate::standing,
    outside,
    startup::State as HostState,
    store::{RequestDigest, StandingApproval, StandingState, StandingVote, Store},
};

#[derive(Debug, Subcommand)]
pub(super) enum StandingCommand {
    /// List standing approvals: what each lets through, how often it may and was used, and until when
    List {
        /// Those too that let nothing through any more
        #[arg(long)]
        all: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one: its bounds, its uses, and what it would have let through over the last 30 days
    Show {
        /// Its id, `sta_…`
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Propose one from a request that was approved; an admin's approval puts it in force
    Propose(propose::ProposeArgs),
    /// Put a proposed one in force
    Approve(ApproveArgs),
    /// Take one back, for good; no call uses it from this moment on
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct ApproveArgs {
    /// Its id, `sta_…`
    id: String,
    /// Its digest as you saw it; asked for interactively if left out
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
    /// Why, for the record
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// Its id, `sta_…`
    id: String,
    /// Why, for the record
    #[arg(long)]
    reason: String,
}

pub(super) async fn run(command: StandingCommand, config: &Config) -> Result<ExitCode, Refusal> {
    let state = HostState::open(config)?;
    match command {
        StandingCommand::List { all, json } => list(&*state.store, all, json)?,
        StandingCommand::Show { id, json } => show(&*state.store, &id, json)?,
        StandingCommand::Propose(args) => {
            let made = propose::run(&state, args).await?;
            say(&page::page(&made, &replay(&*state.store, &made, Timestamp::now())?, &[], Timestamp::now()));
            say(&format!("\nproposed; an admin puts it in force with `lockgate standing approve {}`", made.id));
            state.record.close().await?;
        }
        StandingCommand::Approve(args) => approve(&state, args).await?,
        StandingCommand::Revoke(args) => {
            let by = voter(&*state.store)?.person;
            let store = Arc::clone(&state.store);
            let revoked = standing::revoke(&state.record, store, &args.id, &by, &args.reason).await?;
            say(&format!("{} is revoked after {} of {} uses", revoked.id, revoked.used, revoked.grant.uses));
            state.record.close().await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(store: &dyn Store, all: bool, json: bool) -> Result<(), Refusal> {
    let now = Timestamp::now();
    let mut found = store.standings()?;
    if !all {
        found.retain(|one| matches!(one.state_at(now), StandingState::Proposed | StandingState::Active));
    }
    let mut lines = Vec::new();
    for one in &found {
        let would = replay(store, one, now)?;
        if json {
            say(&outside::escape_hidden(&page::json(one, &would, &[], now).to_string()));
        } else {
            lines.push(page::line(one, &would, now));
        }
    }
    if !json && lines.is_empty() {
        say("no standing approval lets anything through");
    }
    lines.iter().for_each(|line| say(line));
    Ok(())
}

fn show(store: &dyn Store, id: &str, json: bool) -> Result<(), Refusal> {
    let (one, now) = (find(store, id)?, Timestamp::now());
    let (would, uses) = (replay(store, &one, now)?, store.standing_uses(&one.id)?);
    if json {
        say_json(&page::json(&one, &would, &uses, now));
    } else {
        say(&page::page(&one, &would, &uses, now));
    }
    Ok(())
}

async fn approve(state: &HostState, args: ApproveArgs) -> Result<(), Refusal> {
    let (one, now) = (find(&*state.store, &args.id)?, Timestamp::now());
    let digest_shown = match &args.digest {
        Some(text) if digest::is_typed(&one.digest, text) => one.digest,
        Some(text) => {
            text.parse::<RequestDigest>().map_err(|e| Refusal::new(Code::ConfigInvalid, format!("--digest: {e}")))?
        }
        None => confirm(&*state.store, &one, now)?,
    };
    let vote = StandingVote { id: args.id, voter: voter(&*state.store)?, reason: args.reason, digest_shown, now };
    let after = standing::approve(&state.record, Arc::clone(&state.store), vote).await?;
    let alone = if after.is_of_one_person() { ", proposed and approved by the same person" } else { "" };
    say(&match after.approved_at {
        Some(_) => format!("{} is in force until {}{alone}", after.id, after.grant.until),
        None => format!("counted: {} of {} approvals of {}", after.votes.len(), after.grant.needed, after.id),
    });
    state.record.close().await?;
    Ok(())
}

/// Shows it and asks. What is put in force is what was shown.
fn confirm(store: &dyn Store, one: &StandingApproval, now: Timestamp) -> Result<RequestDigest, Refusal> {
    if !terminal::is_interactive() {
        return Err(Refusal::new(Code::ConfigInvalid, "nobody is at a terminal to look at it").with_remedy(
            "look at it with `lockgate standing show`, then approve with `--digest` and the digest it shows",
        ));
    }
    say(&page::page(one, &replay(store, one, now)?, &[], now));
    match terminal::ask(
        "\nType `approve` to let these calls through without asking; anything else leaves it as it is: ",
    ) {
        Ok(Some(answer)) if answer == "approve" => Ok(one.digest),
        Ok(_) => Err(Refusal::new(Code::Cancelled, "nothing was decided").with_remedy("")),
        Err(error) => Err(Refusal::new(Code::InternalError, format!("the terminal can't be read: {error}"))),
    }
}

fn find(store: &dyn Store, id: &str) -> Result<StandingApproval, Refusal> {
    store.standing(id)?.ok_or_else(|| {
        let shown = outside::shown(id, 40);
        Refusal::new(Code::NotFound, format!("no standing approval `{shown}`"))
            .with_remedy("`lockgate standing list --all` shows every one by its id")
    })
}
