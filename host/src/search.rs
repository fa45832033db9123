//! Finds the actions that fit what somebody says is wrong.
//!
//! It knows text and nothing else: no client, no policy, no database, no pack by name. It is given the actions that a
//! principal may see and never learns of others.

use crate::gate::call::OfferedAction;

/// An action that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// `pack.action`.
    pub name: String,
    /// How well; it compares within one answer only.
    pub score: f64,
    /// What it was found by, in plain words: `term: stuck on a lock`.
    pub why: Vec<String>,
}

/// The actions that fit a query, the best first, at most `limit`; none rather than something near.
#[must_use]
pub fn find(query: &str, actions: &[OfferedAction], limit: usize) -> Vec<Found> {
    let query: String = query.chars().take(500).collect::<String>().to_lowercase();
    let words: Vec<&str> = query.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 3).collect();
    let mut found: Vec<Found> = actions
        .iter()
        .filter_map(|action| {
            let text =
                [&action.name, &action.title, &action.search_terms.join(" ")].map(|t| t.to_lowercase()).join(" ");
            let hits: Vec<&str> = words.iter().filter(|word| text.contains(**word)).copied().collect();
            (!hits.is_empty() && hits.len() * 2 >= words.len()).then(|| Found {
                name: action.name.clone(),
                score: f64::from(u16::try_from(hits.len()).unwrap_or(u16::MAX)),
                why: vec![format!("words: {}", hits.join(", "))],
            })
        })
        .collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.name.cmp(&b.name)));
    found.truncate(limit);
    found
}
