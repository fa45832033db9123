//! `lockgate token create`: whom the new token stands for, and its text, once.

use clap::Args;
use serde_json::json;

use super::super::terminal::{self, say, say_json};
use crate::{
    error::{Code, Refusal},
    mcp::issue::{self, Made, Order, Wanted},
    startup::State,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArgs {
    /// The agent's name, for policy and the record
    #[arg(long, value_name = "NAME")]
    agent: String,
    /// The person it acts for, who may then never approve what it asks; as they are named when they approve
    #[arg(long, value_name = "PERSON")]
    person: Option<String>,
    /// A role of it, for policy; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A pattern of packs that exist for it; may be given several times; all without
    #[arg(long = "pack", value_name = "PATTERN")]
    packs: Vec<String>,
    /// A pattern of targets that exist for it; may be given several times; all without
    #[arg(long = "target", value_name = "PATTERN")]
    targets: Vec<String>,
    /// How long it is valid: minutes, hours or days (`30m`, `12h`, `90d`), at most 366d
    #[arg(long, default_value = "90d", value_name = "TIME")]
    expires: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(state: &State, args: CreateArgs) -> Result<(), Refusal> {
    let CreateArgs { agent, person, roles, packs, targets, expires, json } = args;
    let order = Order::new(Wanted { agent, person, roles, packs, targets, expires })
        .map_err(|e| Refusal::new(Code::ConfigInvalid, format!("--{}: {}", e.field, e.why)))?;
    let Made { token, secret } = issue::create(&state.store, &state.record, order, &terminal::os_user()).await?;
    state.record.close().await?;
    if json {
        let expires = token.expires_at.to_string();
        say_json(&json!({ "id": token.id, "token": secret, "agent": token.grant.agent, "expires_at": expires }));
    } else {
        say(&format!("token    {secret}"));
        say(&format!("id       {}", token.id));
        say(&format!("expires  {}", super::second(token.expires_at)));
        say("");
        say("Give the token to the agent; it is shown only now. `lockgate token revoke` takes it back.");
    }
    Ok(())
}
