//! The operator's trust policy as something that is changed: its text edited so that remarks and order stay, what a change
//! widens and narrows in words, and the change itself, on the record before it is in force. What the policy says is read by
//! `lockgate_signing::trust`; nothing here decides whether a pack is accepted.

pub mod change;
pub mod edit;
pub mod replace;

pub use self::{
    change::{Change, changes},
    edit::TrustText,
    replace::{Prepared, note},
};
