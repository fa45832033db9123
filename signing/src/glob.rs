//! Patterns that operators write for names of packs and targets: `*` stands for any run of characters, everything else for
//! itself. Nothing more, so that what a pattern grants can be seen.

use std::str::FromStr;

use crate::encoding::printable;

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a pattern (letters, digits, `.`, `_`, `-`, and `*` for any run of characters)", printable(_0))]
pub struct PatternError(String);

/// Whether the whole of `text` fits `pattern`. Takes at most the product of the lengths, whatever the pattern.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(last) = parts.next_back() else { return text == first };
    let Some(mut middle) = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    // The leftmost place for each part in turn leaves the most room for the next.
    parts.all(|part| match middle.find(part) {
        Some(at) => {
            middle = middle.get(at + part.len()..).unwrap_or_default();
            true
        }
        None => false,
    })
}

/// A pattern for names, in which `*` stands for any run of characters and everything else for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `text` fits.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        matches(&self.0, text)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let fits = (1..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'*'));
        if fits { Ok(Self(text.to_owned())) } else { Err(PatternError(text.to_owned())) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "anything", true),
            ("acme-*", "acme-", true),
            ("acme-*", "acme", false),
            ("acme-*", "not-acme-x", false),
            ("*-x", "a-x", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("a**c", "ac", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(pattern.parse::<Pattern>().unwrap().matches(text), fits, "{pattern} {text}");
        }
        for bad in ["", "a?", "[a]", "a b", "a/b"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
        }
    }

    /// The definition, without cleverness.
    fn fits(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) if fits(rest, text) => true,
            (Some((b'*', _)), Some((_, rest))) => fits(pattern, rest),
            (Some((p, pattern)), Some((t, text))) => p == t && fits(pattern, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_the_definition(pattern in "[ab*]{1,6}", text in "[ab]{0,8}") {
            prop_assert_eq!(pattern.parse::<Pattern>().unwrap().matches(&text), fits(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
