//! Text that is meant letter for letter: statements, arguments, digests. Hidden characters are shown as escapes, long lines
//! wrap, so nothing of what is decided on can stand outside the screen.

use maud::{Markup, html};

use crate::outside::is_hidden;

/// A block of code, by what it is.
#[must_use]
pub fn block(name: &str, text: &str) -> Markup {
    html! {
        figure.code {
            figcaption { (name) }
            pre { code { (visible(text)) } }
        }
    }
}

/// A statement.
#[must_use]
pub fn sql(name: &str, text: &str) -> Markup {
    block(name, text)
}

/// The text with every character seen: what is hidden as `\u{…}`, line breaks as they are.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) && c != '\n' && c != '\t' {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides_and_nothing_is_markup() {
        let html = block("SQL", "SELECT '<b>'\n\u{202e}x\r").into_string();
        assert!(html.contains("SELECT '&lt;b&gt;'\n\\u{202e}x\\u{d}"), "{html}");
    }
}
