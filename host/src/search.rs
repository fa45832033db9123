//! Finds the actions that fit what somebody says is wrong, and answers *nothing fits* rather than something near.
//!
//! It knows English a little and text otherwise: no client, no policy, no database, no pack by name. What is particular to a
//! field stands in the packs' manifests, in names, titles, examples and above all search terms. It is given the actions that
//! a principal may see, and nothing of others gets into an answer, not even by a word's weight.
//!
//! One query goes four steps, each in a file: `words` cuts the text into words and their stems, `commands` tells what is
//! asked to be done that no action does, `catalogue` knows in which texts of which action a word stands and how rare it is,
//! `fit` decides which actions fit and how well.

mod catalogue;
mod commands;
mod english;
mod fit;
mod words;

#[cfg(test)]
mod tests;

use self::{catalogue::Catalogue, words::Query};
use crate::gate::call::OfferedAction;

/// Longest query that is read, in characters; what is beyond is left out. Nobody describes an incident in one more sentence.
pub const LONGEST_QUERY: usize = 500;

/// An action that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// `pack.action`.
    pub name: String,
    /// How well it fits, above 0; it compares within one answer only.
    pub score: f64,
    /// What it was found by, in plain words: `title: lock`, `term: stuck on a lock`, ``spelled like `replication` ``.
    pub why: Vec<String>,
}

/// The actions that fit a query, the best first and equals by name, at most `limit`. Empty if nothing fits.
///
/// The same query and actions give the same answer whatever the order of the actions. The cost is linear in the text of the
/// actions.
#[must_use]
pub fn find(query: &str, actions: &[OfferedAction], limit: usize) -> Vec<Found> {
    let catalogue = Catalogue::of(actions);
    let query = Query::read(query, LONGEST_QUERY);
    let mut found = fit::fitting(&query, &catalogue);
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.name.cmp(&b.name)));
    found.truncate(limit);
    found
}
