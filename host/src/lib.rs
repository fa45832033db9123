//! lockgate lets AI agents operate PostgreSQL through declared actions only.
//!
//! Packs of actions are signed WebAssembly components. The host verifies a pack before it parses a byte of it, sandboxes
//! it, lets it request only the statements it declared, decides each call by policy, holds what is risky for one human
//! approval, executes, redacts, and keeps a tamper-evident record. [`gate`] is the pipeline: start there.
//!
//! Imports run one way, top to bottom in this list.

pub mod cli;
pub mod watchers;

pub mod mcp;
pub mod portal;

pub mod install;

pub mod config;
pub mod startup;

pub mod notify;
pub mod search;

pub mod gate;

pub mod observe;

pub mod runs;

pub mod people;

pub mod approval;
pub mod audit;
pub mod policy;
pub mod trust;

pub mod pack;
pub mod postgres;
pub mod redact;
pub mod statement;
pub mod store;

pub mod canonical;
pub mod error;
pub mod listen;
pub mod outbound;
pub mod outside;
pub mod privilege;
pub mod rate;
pub mod toml_error;
pub mod value;

/// The C library's allocator keeps an arena for each of the many threads and hands little of it back: a host that served ten
/// thousand calls had grown by a seventh, with as much in use as before. This one stays where it was.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
