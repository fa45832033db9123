//! Clients that lockgate's authors did not write, against the real binary: the official SDKs for TypeScript and Python live
//! through the incident, the Inspector lists and calls, a client starts what `lockgate mcp config` prints, and the
//! conformance suite has its say. `scripts/setup` installs them all.

mod bridge;
mod config;
mod conformance;
mod exceptions;
mod inspector;
mod page;
mod story;
