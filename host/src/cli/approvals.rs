//! `lockgate approvals`: what agents ask for, and a person's decision. The person is the operating system's user who runs
//! this; what they decide on is what is on the screen, by its digest.

mod watch;

use std::{collections::BTreeSet, process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::terminal::{self, say};
use crate::{
    approval::{digest, render},
    config::Config,
    error::{Code, Refusal},
    gate::decide,
    outside,
    startup::State as HostState,
    store::{Approval, Decision, Filter, RequestDigest, State, Store, Vote},
};

#[derive(Debug, Subcommand)]
pub(super) enum ApprovalsCommand {
    /// List requests that wait for a decision
    List {
        /// Decided and past ones too
        #[arg(long)]
        all: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one request: who asks for what, and what would be hit
    Show {
        /// Its id, `apr_…`
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show requests as they come, and what becomes of them, until interrupted; decides nothing
    Watch(watch::WatchArgs),
    /// Approve one request, for one use
    Approve(DecideArgs),
    /// Deny one request
    Deny(DecideArgs),
}

#[derive(Debug, Args)]
pub(super) struct DecideArgs {
    /// Its id, `apr_…`
    id: String,
    /// The digest of the request as you saw it; asked for interactively if left out
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
    /// Why, for the record and the agent
    #[arg(long, default_value = "")]
    reason: String,
}

pub(super) async fn run(command: ApprovalsCommand, config: &Config) -> Result<ExitCode, Refusal> {
    if let ApprovalsCommand::Watch(args) = command {
        return watch::run(&args, config).await;
    }
    let state = HostState::open(config)?;
    let store = Arc::clone(&state.store);
    match command {
        ApprovalsCommand::List { all, json } => list(&*store, all, json)?,
        ApprovalsCommand::Show { id, json } => {
            let approval = get(&*store, &id)?;
            say(&if json { render::to_json(&approval, Timestamp::now()) } else { shown(&approval) });
        }
        // Before, since it opens no record.
        ApprovalsCommand::Watch(_) => {}
        ApprovalsCommand::Approve(args) => return decide_on(&state, args, Decision::Approve).await,
        ApprovalsCommand::Deny(args) => return decide_on(&state, args, Decision::Deny).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(store: &dyn Store, all: bool, json: bool) -> Result<(), Refusal> {
    let states = if all { Vec::new() } else { vec![State::Pending, State::Approved, State::Consumed] };
    let now = Timestamp::now();
    let mut found = store.list(&Filter { states, ..Filter::default() })?;
    if !all {
        found.retain(|approval| !approval.state_at(now).is_terminal());
    }
    if json {
        found.iter().for_each(|approval| say(&render::to_json(approval, now)));
    } else if found.is_empty() {
        say("nothing waits for a decision");
    } else {
        say(render::render_list(&found, now).trim_end());
    }
    Ok(())
}

async fn decide_on(state: &HostState, args: DecideArgs, decision: Decision) -> Result<ExitCode, Refusal> {
    let approval = get(&*state.store, &args.id)?;
    let digest_shown = match &args.digest {
        // The short form that the screen shows names this request as well as the long one does.
        Some(text) if digest::is_typed(&approval.digest, text) => approval.digest,
        Some(text) => {
            text.parse::<RequestDigest>().map_err(|e| Refusal::new(Code::ConfigInvalid, format!("--digest: {e}")))?
        }
        None => confirm(&approval, decision)?,
    };
    let vote = Vote {
        id: args.id,
        person: terminal::os_user(),
        roles: BTreeSet::new(),
        decision,
        reason: args.reason,
        digest_shown,
        now: Timestamp::now(),
    };
    let decided = decide::decide(&state.record, Arc::clone(&state.store), vote).await?;
    let needed = decided.request.needed;
    say(&match decided.state_at(Timestamp::now()) {
        State::Pending => format!("counted: {} of {needed} approvals of {}", decided.approvals(), decided.id),
        _ => format!("{} {} by {}", decided.id, decided.state, decided.decided_by.as_deref().unwrap_or("you")),
    });
    state.record.close().await?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the request and asks. What is decided on is what was shown.
fn confirm(approval: &Approval, decision: Decision) -> Result<RequestDigest, Refusal> {
    if !terminal::is_interactive() {
        return Err(Refusal::new(Code::ConfigInvalid, "nobody is at a terminal to look at the request").with_remedy(
            "look at it with `lockgate approvals show`, then decide with `--digest` and the digest it shows",
        ));
    }
    say(&shown(approval));
    let word = decision.as_str();
    let question = format!("\nType `{word}` to {word} this, once; anything else leaves it as it is: ");
    match terminal::ask(&question) {
        Ok(Some(answer)) if answer == word => Ok(approval.digest),
        Ok(_) => Err(Refusal::new(Code::Cancelled, "nothing was decided").with_remedy("")),
        Err(error) => Err(Refusal::new(Code::InternalError, format!("the terminal can't be read: {error}"))),
    }
}

pub(super) fn shown(approval: &Approval) -> String {
    render::render(approval, Timestamp::now()).trim_end().to_owned()
}

fn get(store: &dyn Store, id: &str) -> Result<Approval, Refusal> {
    store.get(id)?.ok_or_else(|| {
        let shown = outside::shown(id, 40);
        Refusal::new(Code::UnknownApproval, format!("no approval `{shown}`"))
            .with_remedy("`lockgate approvals list` shows what waits")
    })
}
