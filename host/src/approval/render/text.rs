//! Plain text laid out in the columns of a terminal: its width, cut to fit, broken into lines.

use unicode_width::UnicodeWidthChar as _;

/// Columns that a plain text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// As much of it as fits, with an ellipsis if that is not all.
#[must_use]
pub fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut clipped = head(text, columns.saturating_sub(1)).to_owned();
    clipped.push('…');
    clipped
}

/// Lines of at most so many columns, broken at spaces where there are any.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    // Wide enough for the widest character there is.
    let columns = columns.max(4);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word;
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        while width(word) > columns {
            let fits = head(word, columns);
            lines.push(fits.to_owned());
            word = word.get(fits.len()..).unwrap_or_default();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

// The longest start that fits.
fn head(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += c.width().unwrap_or(0);
        if taken > columns {
            return text.get(..at).unwrap_or(text);
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outside::plain;

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(width("表é"), 3);
        assert_eq!(clip("表表表", 5), "表表…");
        assert_eq!(wrap("ab 表表表 c", 4), ["ab", "表表", "表 c"]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_asked_for(
            text in prop::collection::vec(any::<char>(), 0..80).prop_map(String::from_iter),
            columns in 4_usize..40,
        ) {
            let left = plain(&text, 1_000).text;
            for line in wrap(&left, columns) {
                prop_assert!(width(&line) <= columns);
            }
            prop_assert!(width(&clip(&left, columns)) <= columns);
        }
    }
}
