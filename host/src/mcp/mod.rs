//! The agents' door: an MCP server over whoever keeps the gate. It turns declared actions into tools, calls into
//! [`Call`](crate::gate::call::Call)s and answers into results; it authenticates who calls over HTTP. It decides nothing
//! and knows neither packs nor, but for the playbooks' words, PostgreSQL: [`door::Gatekeeper`] is all it sees of the rooms
//! below.
//!
//! Read [`server`] first; `listing` shows what there is and `calling` carries a call. [`tool`] and [`schema`] describe actions
//! to clients, in one of two faces ([`face`]) beside lockgate's own tools ([`own`]); [`arguments`] takes a call apart,
//! [`result`] and [`table`] word the answers; [`stdio`] and [`http`] are the two transports, and both put what they
//! receive through [`strict_json`]; [`head`] is as strict with a request's header. Who calls over HTTP is made out by
//! [`token`] (of the configuration), [`tokens`] (of the store; [`issue`] makes and revokes them) and [`oauth`] (of an issuer); how often, by [`rate`](crate::rate).

use std::time::Duration;

use crate::listen;

mod approval_page;
pub mod arguments;
mod by_name;
mod calling;
pub mod catalogue;
mod changes;
mod complete;
pub mod door;
pub mod face;
pub mod gatekeeper;
pub mod head;
mod held;
pub mod http;
pub mod in_flight;
mod instructions;
pub mod issue;
mod limits;
pub mod lines;
mod listing;
mod logging;
mod memory;
pub mod oauth;
pub mod own;
mod playbooks;
mod prompts;
pub mod recent;
mod resources;
pub mod result;
pub mod schema;
pub mod server;
pub mod sessions;
pub mod stdio;
pub mod strict_json;
pub mod table;
mod telling;
pub mod token;
pub mod tokens;
pub mod tool;

/// What an operator may set of the door, the same for both transports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpSettings {
    /// How long a held call waits for its decision before it answers *pending*.
    pub hold_wait: Duration,
    /// The longest wait that `lockgate.await_approval` grants.
    pub longest_wait: Duration,
    /// Items on one page of a list.
    pub page_size: usize,
    /// Calls of one agent that may be under way at once, waiting ones too.
    pub calls_per_agent: usize,
    /// Calls of one agent in a minute, evenly spread.
    pub calls_per_minute: u32,
    /// Calls of one agent in a row after a pause.
    pub burst: u32,
    /// Bytes of one message.
    pub max_message: usize,
    /// What stands between pack and action in a tool's name.
    pub separator: tool::Separator,
    /// One tool for each action, or five for all.
    pub face: face::Face,
    /// How long a client may take to send a request.
    pub patience: listen::Patience,
}

impl Default for McpSettings {
    fn default() -> Self {
        Self {
            // Common clients give up on a request after 60 s without an answer.
            hold_wait: Duration::from_secs(50),
            longest_wait: Duration::from_secs(300),
            // Many clients never ask for a second page, so both stock packs fit on the first.
            page_size: 250,
            // An agent works on a handful at once; a loop that has run wild is stopped here.
            calls_per_agent: 32,
            // Ten a second is more than a model reads; sixty in a row is a look at everything there is.
            calls_per_minute: 600,
            burst: 60,
            max_message: 256 * 1024,
            separator: tool::Separator::Dot,
            face: face::Face::Auto,
            patience: listen::Patience::default(),
        }
    }
}
