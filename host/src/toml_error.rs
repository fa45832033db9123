//! What is wrong with an operator's TOML file, said so that it can be corrected: file, line, column, and the nearest key
//! for a typo.

use lockgate_signing::encoding::closest;

/// An error of the TOML parser as `file:line:column: what`, with the nearest key for a typo.
#[must_use]
pub fn toml_error(place: &str, text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    let near = nearest(&message).map(|known| format!("; did you mean `{known}`")).unwrap_or_default();
    at_line(place, text, at, &format!("{message}{near}"))
}

/// What is wrong at a byte of a text as `file:line:column: what`.
#[must_use]
pub fn at_line(place: &str, text: &str, at: usize, what: &str) -> String {
    let before = text.get(..at.min(text.len())).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{place}:{line}:{column}: {what}")
}

/// The known key or word nearest to an unknown one, out of serde's own message.
fn nearest(message: &str) -> Option<&str> {
    let rest = ["unknown field `", "unknown variant `"].iter().find_map(|start| message.strip_prefix(start))?;
    let (unknown, known) = rest.split_once('`')?;
    closest(unknown, known.split('`').skip(1).step_by(2))
}
