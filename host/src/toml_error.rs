//! What is wrong with an operator's TOML file, said so that it can be corrected: file, line, column, and the nearest key
//! for a typo.

use lockgate_signing::encoding::closest;

/// An error of the TOML parser as `file:line:column: what`, with the nearest key for a typo.
#[must_use]
pub fn toml_error(place: &str, text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |s| s.start.min(text.len()));
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    let near = nearest(&message).map(|key| format!("; did you mean `{key}`")).unwrap_or_default();
    format!("{place}:{line}:{column}: {message}{near}")
}

/// The known key nearest to an unknown one, out of serde's own message.
fn nearest(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("unknown field `")?;
    let (unknown, known) = rest.split_once('`')?;
    closest(unknown, known.split('`').skip(1).step_by(2))
}
