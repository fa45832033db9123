//! `lockgate approvals`: what agents ask for, and a person's decision. The person is the operating system's user who runs
//! this; what they decide on is what is on the screen, by its digest.

mod remote;
mod watch;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};

use super::{
    terminal::{self, say, say_json},
    voter::voter,
};
use crate::{
    approval::{self, PeopleAt, digest, evidence::Snapshot, look, render},
    config::Config,
    error::{Code, Refusal},
    gate::decide,
    outside,
    startup::State as HostState,
    store::{Approval, Decision, EvidenceDigest, Finding, RequestDigest, Review, Seen, State, Store, Vote},
};

#[derive(Debug, Args)]
pub(super) struct ApprovalsArgs {
    /// Ask the portal at this address, with a token made there, rather than the host on this machine
    #[arg(long, global = true, value_name = "URL", env = "LOCKGATE_PORTAL")]
    portal: Option<PeopleAt>,
    /// The file with that token; without it the environment's LOCKGATE_API_TOKEN
    #[arg(long, global = true, value_name = "FILE", requires = "portal")]
    token_file: Option<PathBuf>,
    #[command(subcommand)]
    command: ApprovalsCommand,
}

#[derive(Debug, Subcommand)]
enum ApprovalsCommand {
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
        /// Look at the target again, and say what has changed since it was asked
        #[arg(long)]
        fresh: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show requests as they come, and what becomes of them, until interrupted; decides nothing
    Watch(watch::WatchArgs),
    /// Approve one request, for one use
    Approve(ApproveArgs),
    /// Deny one request
    Deny(DecideArgs),
}

#[derive(Debug, Args)]
pub(super) struct ApproveArgs {
    #[command(flatten)]
    decide: DecideArgs,
    /// The evidence that you saw, as `show --fresh` names it; without it, that of the request
    #[arg(long, value_name = "HEX", conflicts_with = "as_requested")]
    seen: Option<String>,
    /// Decide on the evidence of the request, though nobody could look again; say why with `--reason`
    #[arg(long)]
    as_requested: bool,
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
    /// With a portal: read your password from standard input rather than from the terminal
    #[arg(long)]
    password_stdin: bool,
}

pub(super) async fn run(
    args: ApprovalsArgs,
    config: impl FnOnce() -> Result<Config, Refusal>,
) -> Result<ExitCode, Refusal> {
    let ApprovalsArgs { portal, token_file, command } = args;
    if let Some(portal) = portal {
        return remote::run(command, portal, token_file.as_deref()).await;
    }
    let config = config()?;
    if let ApprovalsCommand::Watch(args) = command {
        return watch::run(&args, &config).await;
    }
    let state = HostState::open(&config)?;
    let store = Arc::clone(&state.store);
    match command {
        ApprovalsCommand::List { all, json } => list(&*store, all, json)?,
        ApprovalsCommand::Show { id, fresh, json } => show(&store, &id, fresh, json).await?,
        ApprovalsCommand::Approve(args) => return approve(&state, args).await,
        ApprovalsCommand::Deny(args) => {
            let approval = get(&*state.store, &args.id)?;
            let digest = shown_digest(&approval, &args, Decision::Deny, None)?;
            return cast(&state, args, Decision::Deny, digest, Seen::AsRequested).await;
        }
        // Before, since it opens no record.
        ApprovalsCommand::Watch(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn list(store: &dyn Store, all: bool, json: bool) -> Result<(), Refusal> {
    let now = Timestamp::now();
    let found = approval::listed(store, all, now)?;
    if json {
        found.iter().for_each(|approval| say(&render::to_json(approval, now)));
    } else if found.is_empty() {
        say("nothing waits for a decision");
    } else {
        say(render::render_list(&found, now).trim_end());
    }
    Ok(())
}

async fn show(store: &Arc<dyn Store>, id: &str, fresh: bool, json: bool) -> Result<(), Refusal> {
    let approval = get(&**store, id)?;
    let review =
        if fresh { Some(look::look(Arc::clone(store), id, SignedDuration::ZERO, look::PATIENCE).await?) } else { None };
    // A look may have ended it.
    let (approval, now) = (get(&**store, id).unwrap_or(approval), Timestamp::now());
    match (&review, json) {
        (None, true) => say(&render::to_json(&approval, now)),
        (None, false) => say(&shown(&approval)),
        (Some(review), true) => {
            let changes = review.answer.as_ref().and_then(|(_, finding)| look::since_request(&approval, finding));
            let view = render::View::new(&approval, now);
            say_json(&serde_json::json!({ "request": view, "review": review, "changes": changes }));
        }
        (Some(review), false) => {
            say(&format!("{}\n{}", shown(&approval), render::render_fresh(&approval, review, now).trim_end()));
        }
    }
    Ok(())
}

/// Approves what is there now, as far as it can be looked at.
async fn approve(state: &HostState, args: ApproveArgs) -> Result<ExitCode, Refusal> {
    let ApproveArgs { decide, seen, as_requested } = args;
    let approval = get(&*state.store, &decide.id)?;
    if decide.digest.is_none() && !terminal::is_interactive() {
        return Err(nobody_looks());
    }
    let is_open = approval.state_at(Timestamp::now()) == State::Pending;
    let review = if is_open && !as_requested {
        Some(look::look(Arc::clone(&state.store), &decide.id, SignedDuration::ZERO, look::PATIENCE).await?)
    } else {
        None
    };
    if let Some((_, finding)) = review.as_ref().and_then(|review| review.answer.as_ref()) {
        can_be_decided(&approval, finding)?;
    }
    let digest = shown_digest(&approval, &decide, Decision::Approve, review.as_ref())?;
    let seen = match (&review, seen) {
        (None, _) => Seen::AsRequested,
        (Some(_), Some(typed)) => Seen::Now(evidence(&*state.store, &approval, &typed)?),
        // Whoever sits here has just been shown what is there now; who only types a digest saw what was asked.
        (Some(review), None) => match &review.answer {
            Some((_, Finding::Looked { digest, .. })) if decide.digest.is_none() => Seen::Now(*digest),
            _ => Seen::Now(Snapshot::of(&approval.request).digest()),
        },
    };
    cast(state, decide, Decision::Approve, digest, seen).await
}

fn can_be_decided(approval: &Approval, finding: &Finding) -> Result<(), Refusal> {
    let id = &approval.id;
    match finding {
        Finding::Looked { .. } => Ok(()),
        Finding::Gone { why } => {
            Err(Refusal::new(Code::TargetChanged, format!("approval `{id}` can't hold any more: {why}")))
        }
        Finding::Unavailable { why } => {
            Err(Refusal::new(Code::EvidenceUnavailable, format!("what `{id}` rests on can't be looked at: {why}"))
                .with_remedy("try again, or decide on the evidence of the request with `--as-requested --reason TEXT`"))
        }
    }
}

/// The evidence that somebody names: that of the request, or of a look at it.
fn evidence(store: &dyn Store, approval: &Approval, typed: &str) -> Result<EvidenceDigest, Refusal> {
    let looks = store.reviews(&approval.id)?;
    let looked = looks.iter().filter_map(|review| match &review.answer {
        Some((_, Finding::Looked { digest, .. })) => Some(*digest),
        _ => None,
    });
    let mut known = looked.chain([Snapshot::of(&approval.request).digest()]);
    known.find(|digest| digest::is_typed(&RequestDigest(digest.0), typed)).ok_or_else(|| {
        Refusal::new(Code::EvidenceChanged, "--seen names no evidence of this request that is kept here")
            .with_remedy("look with `lockgate approvals show ID --fresh`, and decide on the evidence that it names")
    })
}

/// The digest of the request that somebody typed, or was shown and confirmed.
fn shown_digest(
    approval: &Approval,
    args: &DecideArgs,
    decision: Decision,
    review: Option<&Review>,
) -> Result<RequestDigest, Refusal> {
    match &args.digest {
        // The short form that the screen shows names this request as well as the long one does.
        Some(text) if digest::is_typed(&approval.digest, text) => Ok(approval.digest),
        Some(text) => {
            text.parse::<RequestDigest>().map_err(|e| Refusal::new(Code::ConfigInvalid, format!("--digest: {e}")))
        }
        None => confirm(approval, decision, review),
    }
}

async fn cast(
    state: &HostState,
    args: DecideArgs,
    decision: Decision,
    digest_shown: RequestDigest,
    seen: Seen,
) -> Result<ExitCode, Refusal> {
    let voter = voter(&*state.store)?;
    let vote = Vote {
        id: args.id,
        person: voter.person,
        also_known_as: voter.also_known_as,
        roles: voter.groups,
        decision,
        reason: args.reason,
        digest_shown,
        seen,
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
fn confirm(approval: &Approval, decision: Decision, review: Option<&Review>) -> Result<RequestDigest, Refusal> {
    if !terminal::is_interactive() {
        return Err(nobody_looks());
    }
    say(&shown(approval));
    if let Some(review) = review {
        say(render::render_fresh(approval, review, Timestamp::now()).trim_end());
    }
    let word = decision.as_str();
    let question = format!("\nType `{word}` to {word} this, once; anything else leaves it as it is: ");
    match terminal::ask(&question) {
        Ok(Some(answer)) if answer == word => Ok(approval.digest),
        Ok(_) => Err(Refusal::new(Code::Cancelled, "nothing was decided").with_remedy("")),
        Err(error) => Err(Refusal::new(Code::InternalError, format!("the terminal can't be read: {error}"))),
    }
}

fn nobody_looks() -> Refusal {
    Refusal::new(Code::ConfigInvalid, "nobody is at a terminal to look at the request")
        .with_remedy("look at it with `lockgate approvals show`, then decide with `--digest` and the digest it shows")
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
