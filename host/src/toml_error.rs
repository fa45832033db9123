//! What is wrong with an operator's TOML file, said so that it can be corrected: file, line, column, and the nearest key
//! for a typo.

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
    known
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|key| (distance(unknown, key), key))
        .min()
        .filter(|(d, key)| *d <= key.len() / 2)
        .map(|(_, key)| key)
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, cb) in row.iter_mut().skip(1).zip(b.chars()) {
            let here = if ca == cb { diagonal } else { 1 + diagonal.min(*cell).min(left) };
            diagonal = *cell;
            *cell = here;
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
