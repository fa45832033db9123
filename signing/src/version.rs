//! Versions of packs: semantic versions (semver.org 2.0.0) without build metadata, so that two versions are equal exactly
//! when their texts are, and one version is one file name.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::encoding::printable;

/// Longest text of a version. It is part of a file name, and most file systems end at 255 bytes.
const MAX_LENGTH: usize = 64;

/// A semantic version. Ordered by semver precedence, which is what *later* means wherever going back is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackVersion {
    major: u64,
    minor: u64,
    patch: u64,
    pre: Vec<Identifier>,
}

/// A part of a pre-release. The derived order is semver's: numbers by value, before texts, which compare as ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Text(String),
}

/// A text that is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a version like `1.2.3` or `1.2.3-rc.1`: {reason}", printable(text))]
pub struct VersionError {
    text: String,
    reason: &'static str,
}

impl PackVersion {
    /// True for a pre-release such as `1.2.3-rc.1`.
    #[must_use]
    pub fn is_prerelease(&self) -> bool {
        !self.pre.is_empty()
    }
}

impl Ord for PackVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            // A release comes after its pre-releases; among those, a list that another one continues comes first.
            .then_with(|| self.pre.is_empty().cmp(&other.pre.is_empty()).then_with(|| self.pre.cmp(&other.pre)))
    }
}

impl PartialOrd for PackVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for PackVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        let mut separator = '-';
        for identifier in &self.pre {
            match identifier {
                Identifier::Number(number) => write!(f, "{separator}{number}")?,
                Identifier::Text(text) => write!(f, "{separator}{text}")?,
            }
            separator = '.';
        }
        Ok(())
    }
}

impl FromStr for PackVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        parse(text).map_err(|reason| VersionError { text: text.to_owned(), reason })
    }
}

impl TryFrom<String> for PackVersion {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<PackVersion> for String {
    fn from(version: PackVersion) -> Self {
        version.to_string()
    }
}

fn parse(text: &str) -> Result<PackVersion, &'static str> {
    if text.len() > MAX_LENGTH {
        return Err("it is longer than 64 characters");
    }
    if text.contains('+') {
        return Err("build metadata is not used");
    }
    let (core, pre) = match text.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (text, None),
    };
    let mut numbers = core.split('.');
    let mut next = || numbers.next().ok_or("it needs three numbers").and_then(number);
    let (major, minor, patch) = (next()?, next()?, next()?);
    if numbers.next().is_some() {
        return Err("it has more than three numbers");
    }
    let pre = pre.map_or(Ok(Vec::new()), |pre| pre.split('.').map(identifier).collect())?;
    Ok(PackVersion { major, minor, patch, pre })
}

fn number(text: &str) -> Result<u64, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("its numbers are decimal digits");
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err("numbers have no leading zeros");
    }
    text.parse().map_err(|_| "a number is too large")
}

fn identifier(text: &str) -> Result<Identifier, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err("a pre-release is made of letters, digits and hyphens, separated by dots");
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return number(text).map(Identifier::Number);
    }
    Ok(Identifier::Text(text.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn precedence_is_that_of_the_specification() {
        // The chain of semver.org, section 11, with a few of our own.
        let chain = [
            "0.0.0",
            "0.9.9",
            "1.0.0-1",
            "1.0.0-2",
            "1.0.0-10",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2.0",
            "1.10.0",
            "2.0.0",
        ];
        let versions: Vec<PackVersion> = chain.iter().map(|text| text.parse().unwrap()).collect();
        for (i, a) in versions.iter().enumerate() {
            for (j, b) in versions.iter().enumerate() {
                assert_eq!(a.cmp(b), i.cmp(&j), "{a} and {b}");
            }
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for bad in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.02.3",
            "1.2.3-",
            "1.2.3-a..b",
            "1.2.3-01",
            "1.2.3+b",
            "v1.2.3",
            " 1.2.3",
            "1.2.3-ä",
            "1.2.3-a/b",
            "1.2.-3",
            "+1.2.3",
            "1.2.99999999999999999999",
            "../1.2.3",
            "1.2.3\n",
        ] {
            assert!(bad.parse::<PackVersion>().is_err(), "{bad:?}");
        }
        assert!(format!("1.2.3-{}", "a".repeat(70)).parse::<PackVersion>().is_err());
    }

    proptest! {
        #[test]
        fn a_version_has_one_spelling(text in "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(-[0-9a-zA-Z-]{1,5}(\\.[0-9a-z]{1,3}){0,2})?") {
            if let Ok(version) = text.parse::<PackVersion>() {
                prop_assert_eq!(version.to_string(), text);
            }
        }
    }
}
