//! Names: of packs, of publishers and keys, of actions and statement classes. A file name is only ever made from
//! names that passed here.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::encoding::printable;

/// The classes that a statement can be of, from the harmless to the never granted by default.
pub const CLASSES: [&str; 5] = ["read", "data", "maintain", "signal", "write"];

/// The risks that an action can have, rising.
pub const RISKS: [&str; 4] = ["low", "medium", "high", "critical"];

/// A name or pattern that is not well formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not {expected}", printable(text))]
pub struct NameError {
    text: String,
    expected: &'static str,
}

/// The name of a pack: `^[a-z][a-z0-9-]{0,62}$`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackName(String);

impl PackName {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PackName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for PackName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        if is_name(&text, |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
            Ok(Self(text))
        } else {
            Err(NameError { text, expected: "a pack name (`^[a-z][a-z0-9-]{0,62}$`)" })
        }
    }
}

impl From<PackName> for String {
    fn from(name: PackName) -> Self {
        name.0
    }
}

impl Borrow<str> for PackName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the name of an action: `^[a-z][a-z0-9_]{0,62}$`.
///
/// # Errors
///
/// [`NameError`] if it is not one.
pub fn check_action(text: &str) -> Result<(), NameError> {
    check(text, "an action name (`^[a-z][a-z0-9_]{0,62}$`)", |text| {
        is_name(text, |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    })
}

/// Checks the name of a publisher or of a key in `trust.toml`: `^[a-z][a-z0-9._-]{0,62}$`.
///
/// # Errors
///
/// [`NameError`] if it is not one.
pub fn check_label(text: &str) -> Result<(), NameError> {
    check(text, "a name (`^[a-z][a-z0-9._-]{0,62}$`)", |text| {
        is_name(text, |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
    })
}

/// Checks a statement class.
///
/// # Errors
///
/// [`NameError`] if it is not one of [`CLASSES`].
pub fn check_class(text: &str) -> Result<(), NameError> {
    check(text, "a statement class (read, data, maintain, signal or write)", |text| CLASSES.contains(&text))
}

/// Checks a risk.
///
/// # Errors
///
/// [`NameError`] if it is not one of [`RISKS`].
pub fn check_risk(text: &str) -> Result<(), NameError> {
    check(text, "a risk (low, medium, high or critical)", |text| RISKS.contains(&text))
}

fn check(text: &str, expected: &'static str, fits: impl Fn(&str) -> bool) -> Result<(), NameError> {
    if fits(text) { Ok(()) } else { Err(NameError { text: text.to_owned(), expected }) }
}

fn is_name(text: &str, rest: impl Fn(u8) -> bool) -> bool {
    text.len() <= 63 && text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase()) && text.bytes().all(rest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pack_names_cannot_leave_the_directory() {
        for good in ["a", "postgres", "my-pack-2", &"a".repeat(63)] {
            assert!(good.parse::<PackName>().is_ok(), "{good}");
        }
        for bad in ["", "A", "1a", "-a", "a_b", "a.b", "a/b", "..", "a\0", "a ", "é", &"a".repeat(64)] {
            assert!(bad.parse::<PackName>().is_err(), "{bad:?}");
        }
    }
}
