//! `lockgate token`: tokens for agents that come over HTTP. A token is shown once, when it is made; what stays is its digest,
//! in the store (`create`) or, for a host that takes all of its agents from a file, in the configuration (`new`).

mod create;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::terminal::{self, say, say_json};
use crate::{
    config::Config,
    error::{Code, Refusal},
    mcp::{issue, token},
    outside::shown,
    startup::State as HostState,
    store::{Revoked, Store, Token},
};

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token for an agent; a running `lockgate serve` takes it at once
    Create(create::CreateArgs),
    /// List tokens: whom each stands for, until when, and when it was last used
    List {
        /// Expired and revoked ones too
        #[arg(long)]
        all: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one token; never the secret, which nobody has but the agent
    Show {
        /// Its id, `tok_…`
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a token back, for good; a running `lockgate serve` refuses it within a second
    Revoke(RevokeArgs),
    /// Print a new token and the digest of it for an [[mcp.agent]] of the configuration
    New,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// Its id, `tok_…`
    id: String,
    /// Why, for the record
    #[arg(long, default_value = "")]
    reason: String,
}

pub(super) async fn run(
    command: TokenCommand,
    config: impl FnOnce() -> Result<Config, Refusal>,
) -> Result<ExitCode, Refusal> {
    let open = || HostState::open(&config()?);
    match command {
        TokenCommand::Create(args) => create::run(&open()?, args).await?,
        TokenCommand::List { all, json } => list(&*open()?.store, all, json)?,
        TokenCommand::Show { id, json } => {
            let token = find(&*open()?.store, &id)?;
            if json { say_json(&with_state(&token)) } else { show(&token) }
        }
        TokenCommand::Revoke(args) => revoke(&open()?, args).await?,
        TokenCommand::New => {
            let (token, sha256) = token::generate().map_err(|e| Refusal::new(Code::InternalError, e.to_string()))?;
            say(&format!("token         {token}"));
            say(&format!("token_sha256  {sha256}"));
            say("");
            say(
                "Give the token to the agent; it is shown only now. Put the digest under [[mcp.agent]] in lockgate.toml.",
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(store: &dyn Store, all: bool, json: bool) -> Result<(), Refusal> {
    let now = Timestamp::now();
    let mut tokens = store.tokens()?;
    if !all {
        tokens.retain(|token| token.state_at(now) == "valid");
    }
    if json {
        tokens.iter().for_each(|token| say_json(&with_state(token)));
    } else if tokens.is_empty() {
        say("there is no valid token; `lockgate token create` makes one");
    } else {
        for token in &tokens {
            let person = token.grant.person.as_deref().map(|person| format!(" for {person}")).unwrap_or_default();
            let used = token.last_used_at.map_or("never used".to_owned(), |at| format!("last used {}", second(at)));
            let until = second(token.expires_at);
            say(&format!(
                "{}  {}  {}{person}, until {until}, {used}",
                token.id,
                token.state_at(now),
                token.grant.agent
            ));
        }
    }
    Ok(())
}

fn show(token: &Token) {
    let grant = &token.grant;
    let all = |patterns: &Option<Vec<String>>| patterns.as_ref().map_or("all".to_owned(), |list| list.join(", "));
    let mut lines = vec![
        ("id", token.id.clone()),
        ("state", token.state_at(Timestamp::now()).to_owned()),
        ("agent", grant.agent.clone()),
        ("person", grant.person.clone().unwrap_or_else(|| "none".to_owned())),
        ("roles", if grant.roles.is_empty() { "none".to_owned() } else { grant.roles.join(", ") }),
        ("packs", all(&grant.packs)),
        ("targets", all(&grant.targets)),
        ("created", format!("{} by {}", second(token.created_at), token.created_by)),
        ("expires", second(token.expires_at)),
        ("last used", token.last_used_at.map_or("never".to_owned(), second)),
    ];
    if let Some(revoked) = &token.revoked {
        let why = if revoked.reason.is_empty() { String::new() } else { format!(": {}", revoked.reason) };
        lines.push(("revoked", format!("{} by {}{why}", second(revoked.at), revoked.by)));
    }
    for (name, text) in lines {
        say(&format!("{name:<9}  {text}"));
    }
}

async fn revoke(state: &HostState, args: RevokeArgs) -> Result<(), Refusal> {
    let revoked = issue::revoke(&state.store, &state.record, &args.id, &args.reason, &terminal::os_user()).await?;
    let token = match revoked {
        Revoked::Now(token) => token,
        Revoked::Before(token) => {
            let at = token.revoked.map(|revoked| second(revoked.at)).unwrap_or_default();
            say(&format!("{} was revoked before, {at}", token.id));
            return Ok(());
        }
        Revoked::Unknown => return Err(unknown(&args.id)),
    };
    state.record.close().await?;
    say(&format!("{} of {} is revoked", token.id, token.grant.agent));
    let open = issue::open_requests(&state.store, &token).await?;
    if open > 0 {
        say(&format!(
            "{open} requests of this agent still wait for a decision: look with `lockgate approvals list`, and deny what you \
             don't know"
        ));
    }
    Ok(())
}

fn find(store: &dyn Store, id: &str) -> Result<Token, Refusal> {
    store.tokens()?.into_iter().find(|token| token.id == id).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Refusal {
    Refusal::new(Code::NotFound, format!("no token `{}`", shown(id, 40)))
        .with_remedy("`lockgate token list --all` shows every token by its id")
}

fn with_state(token: &Token) -> serde_json::Value {
    let mut json = serde_json::to_value(token).unwrap_or_default();
    if let Some(object) = json.as_object_mut() {
        object.insert("state".to_owned(), token.state_at(Timestamp::now()).into());
    }
    json
}

/// A time to the second, as people read it.
fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
