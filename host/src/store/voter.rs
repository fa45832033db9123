//! A person at a door that decides, as the door authenticated them: one person under all of their names.

use std::collections::BTreeSet;

use super::model::person_key;

/// Whoever decides. Made by a door from whom it authenticated; never an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voter {
    /// Their name.
    pub person: String,
    /// Whatever else the same person is called: an account on the host, a mail address. None of them counts as somebody else.
    pub also_known_as: BTreeSet<String>,
    /// The groups that the operator put them in, which policy names as approvers.
    pub groups: BTreeSet<String>,
    /// Whether they may put a standing approval in force.
    pub is_admin: bool,
}

impl Voter {
    /// A person of whom nothing but the name is known.
    #[must_use]
    pub fn named(person: impl Into<String>) -> Self {
        Self { person: person.into(), ..Self::default() }
    }

    /// Every name, as names are compared; blank ones name nobody.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<String> {
        keys(&self.person, &self.also_known_as)
    }
}

/// Every name of one person, as names are compared.
pub(super) fn keys(person: &str, also_known_as: &BTreeSet<String>) -> BTreeSet<String> {
    let names = also_known_as.iter().map(String::as_str).chain([person]);
    names.map(person_key).filter(|key| !key.is_empty()).collect()
}

/// Whether a reason says nothing: white space, punctuation, or what can't be seen.
#[must_use]
pub fn says_nothing(reason: &str) -> bool {
    !reason.chars().any(char::is_alphanumeric)
}
