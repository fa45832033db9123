//! Lists of names and of patterns as rules write them: each once, in a fixed order, and none that could match without
//! being seen to.

use std::collections::BTreeSet;

use lockgate_signing::glob;
use serde::{Deserialize, Serialize};

use crate::outside::is_hidden;

/// Longest name or pattern. `pack.action` has at most 130 characters.
const LONGEST: usize = 200;
/// Most entries of one list.
const MOST: usize = 1000;

/// A list that is not empty. What its entries are compared with, and how, is its user's business.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Whether a pattern of the list fits the whole of a text.
    pub(super) fn fit(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| glob::matches(pattern, text))
    }

    /// Whether a text is in the list as it stands.
    pub(super) fn contain(&self, text: &str) -> bool {
        self.0.contains(text)
    }

    pub(super) fn as_set(&self) -> &BTreeSet<String> {
        &self.0
    }

    /// Whether these patterns fit whatever the others fit. Says no where it can't tell.
    pub(super) fn cover(&self, others: &Self) -> bool {
        // Taken as a text, a pattern's `*` can only be taken up by a `*` here, which takes what that stands for as well.
        others.0.iter().all(|other| self.fit(other))
    }
}

impl TryFrom<Vec<String>> for Names {
    type Error = String;

    fn try_from(list: Vec<String>) -> Result<Self, String> {
        if list.is_empty() {
            return Err("the list is empty and so would match nothing; leave the key out to match all".into());
        }
        if list.len() > MOST {
            return Err(format!("the list has more than {MOST} entries"));
        }
        match list.iter().find(|name| !is_fit(name, LONGEST)) {
            Some(_) => Err(format!(
                "an entry is empty, longer than {LONGEST} characters, begins or ends with a space, or has characters that can't be seen"
            )),
            None => Ok(Self(list.into_iter().collect())),
        }
    }
}

impl From<Names> for Vec<String> {
    fn from(names: Names) -> Self {
        names.0.into_iter().collect()
    }
}

/// Whether a name can be told from others by looking at it.
pub(super) fn is_fit(name: &str, longest: usize) -> bool {
    !name.is_empty() && name.trim() == name && name.chars().count() <= longest && !name.chars().any(is_hidden)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(list: &[&str]) -> Names {
        list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>().try_into().unwrap()
    }

    #[test]
    fn what_would_match_nothing_or_could_not_be_seen_is_refused() {
        for bad in [vec![], vec![""], vec!["a", " b"], vec!["pay\u{200b}ments"], vec!["a\nb"]] {
            let list: Vec<String> = bad.iter().map(|&name| name.to_owned()).collect();
            assert!(Names::try_from(list).is_err(), "{bad:?}");
        }
    }

    proptest! {
        /// What is said to be covered is.
        #[test]
        fn cover_is_never_claimed_wrongly(wide in "[ab*]{1,5}", narrow in "[ab*]{1,5}", text in "[ab]{0,6}") {
            let (wide, narrow) = (names(&[&wide]), names(&[&narrow]));
            if wide.cover(&narrow) && narrow.fit(&text) {
                prop_assert!(wide.fit(&text));
            }
        }
    }
}
