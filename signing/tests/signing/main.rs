//! What crosses the boundaries of `lockgate-signing`: verification under attack, its files, OpenSSL on the other side, and
//! the command as a process. One binary, so that it is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod authority;
mod command;
mod dependencies;
mod documentation;
mod files;
mod fixture;
mod keys;
mod openssl;
mod pipeline;
mod place;
mod properties;
mod rotation;
mod secrets;
mod shell;
mod signer;
mod tampering;
