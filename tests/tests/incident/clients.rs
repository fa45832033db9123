//! Clients that lockgate's authors did not write, against the real binary: the official SDKs for TypeScript and Python live
//! through the incident, the Inspector lists and calls, a client starts what `lockgate mcp config` prints, and the
//! conformance suite has its say. `scripts/setup` installs them all.

mod bridge;
mod config;
mod conformance;
mod exceptions;
mod inspector;
mod page;
mod script;
mod story;

use std::path::{Path, PathBuf};

use lockgate_tests::site::root;

/// A program of the installed clients.
///
/// # Panics
/// If it is not there.
fn installed(path: impl AsRef<Path>) -> PathBuf {
    let path = root().join("target/clients").join(path);
    assert!(path.exists(), "{} is missing: run scripts/setup", path.display());
    path
}

/// Node 22, whatever the system has.
fn node() -> PathBuf {
    installed("js/node_modules/.bin/node")
}
