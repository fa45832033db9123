//! Text of others: an agent's, a pack's, the database's. It stands behind a mark that says whose it is, in a style that the
//! host's own words never have, without characters that hide; so it can't pass for the host's, whatever it says.

use maud::{Markup, html};

use crate::outside::plain;

/// Longest piece that is shown, in characters; what is more is said to be missing.
const LONGEST: usize = 4000;

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The agent's.
    Agent,
    /// The pack's.
    Pack,
    /// The database's.
    Database,
}

impl From {
    fn words(self) -> &'static str {
        match self {
            Self::Agent => "from the agent",
            Self::Pack => "from the pack",
            Self::Database => "from the database",
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Pack => "pack",
            Self::Database => "database",
        }
    }
}

/// A piece within a line.
#[must_use]
pub fn marked(from: From, text: &str) -> Markup {
    html! { span class={ "outside " (from.as_str()) } { span.whose { (from.words()) } " " q { (piece(text)) } } }
}

/// A paragraph.
#[must_use]
pub fn marked_block(from: From, text: &str) -> Markup {
    html! { div class={ "outside block " (from.as_str()) } { p.whose { (from.words()) } blockquote { p { (piece(text)) } } } }
}

/// Something made of such text, a table for example; each piece in it must be plain already.
#[must_use]
pub fn marked_markup(from: From, content: &Markup) -> Markup {
    html! { div class={ "outside block " (from.as_str()) } { p.whose { (from.words()) } (content) } }
}

fn piece(text: &str) -> Markup {
    let shown = plain(text, LONGEST);
    html! {
        (shown.text)
        @if shown.cut > 0 { " " small.ours { "[" (shown.cut) " more characters]" } }
        @if shown.had_hidden { " " small.ours { "[hidden characters left out]" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_words_they_are_is_said_and_markup_in_them_is_text() {
        let html = marked(From::Agent, "<script>alert(1)</script>\u{202e}").into_string();
        assert!(html.contains("from the agent") && html.contains("&lt;script&gt;"), "{html}");
        assert!(html.contains("hidden characters left out") && !html.contains('\u{202e}'), "{html}");
        assert!(marked_block(From::Pack, &"x".repeat(5000)).into_string().contains("[1000 more characters]"));
    }
}
