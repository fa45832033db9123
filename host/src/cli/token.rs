//! `lockgate token`: tokens for agents that come over HTTP.

use std::process::ExitCode;

use clap::Subcommand;

use super::terminal::say;
use crate::{
    error::{Code, Refusal},
    mcp::token,
};

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Print a new token, and the digest that the configuration keeps of it
    New,
}

pub(super) fn run(command: &TokenCommand) -> Result<ExitCode, Refusal> {
    match command {
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
