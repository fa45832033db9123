//! Quoted parts of text that is no statement but may quote one: what a client calls itself, the id of a two-phase
//! transaction, a definition, a setting. As in a query, the words stay and what stands in quotes goes.

use std::borrow::Cow;

use super::shape::{closing, dollar_tag};

/// What stands for a literal, as in the shape of a query.
const LITERAL: char = '?';

/// What follows the apostrophe of an English word.
const CONTRACTIONS: &[&str] = &["s", "t", "d", "m", "re", "ll", "ve"];

/// The text with `?` for everything between single quotes or dollar quotes. One that is never closed, or that holds a
/// backslash, which may hide its end, takes the rest of the text with it. Double quotes are left: they stand around names.
pub(super) fn without_literals(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    let mut apostrophes = false;
    while let Some(at) = rest.find(['\'', '$']) {
        let (before, here) = rest.split_at(at);
        out.push_str(before);
        let after = &here[1..];
        if here.starts_with('\'') && is_apostrophe(&out, after) {
            apostrophes = true;
            out.push('\'');
            rest = after;
            continue;
        }
        let end = if here.starts_with('\'') {
            // Where some are apostrophes and others are quotes, nobody can tell which close which.
            closing(after, '\'').filter(|(inner, _)| !apostrophes && !inner.contains('\\')).map(|(_, after)| after)
        } else if let Some(tag) = dollar_tag(here).filter(|_| !out.ends_with(is_word)) {
            let body = &here[tag.len()..];
            body.find(tag).map(|end| &body[end + tag.len()..])
        } else {
            out.push('$');
            rest = after;
            continue;
        };
        out.push(LITERAL);
        match end {
            Some(after) => rest = after,
            None => return Cow::Owned(out),
        }
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// As in `it's` and `can't`; not as in `E's'`, which is a string with a prefix.
fn is_apostrophe(before: &str, after: &str) -> bool {
    let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
    let start =
        before.rfind(|c| !is_word(c)).map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let word = &before[start..];
    CONTRACTIONS.contains(&&after[..end])
        && word.ends_with(char::is_alphabetic)
        && !["e", "b", "x", "n"].contains(&word.to_ascii_lowercase().as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_quoted_goes_and_the_words_stay() {
        for (text, expected) in [
            ("worker for 'ann@example.com' no 3", "worker for ? no 3"),
            ("name='ann' id=$$4711$$ $x$ a 'b' $x$ end", "name=? id=? ? end"),
            (
                "CREATE INDEX i ON s.t (a) WHERE (state = 'it''s'::text)",
                "CREATE INDEX i ON s.t (a) WHERE (state = ?::text)",
            ),
            ("E'a' N'b' foo'c' U&'d'", "E? N? foo? U&?"),
            ("e's secret' rest", "e? rest"),
            ("='s secret'", "=?"),
            // Cut off, as a name of more than 63 bytes is.
            ("worker for 'ann@exam", "worker for ?"),
            ("worker $$ann", "worker ?"),
            ("a 'b\\' c' d", "a ?"),
            ("it's 'ann' and 'bob'", "it's ?"),
            // What stays.
            ("it's what they've said, don't", "it's what they've said, don't"),
            ("\"$user\", public", "\"$user\", public"),
            ("costs $5 or a$b$c, \"Odd Name\"", "costs $5 or a$b$c, \"Odd Name\""),
            ("migrate-svc", "migrate-svc"),
            ("", ""),
        ] {
            assert_eq!(without_literals(text), expected, "{text}");
            assert_eq!(without_literals(expected), expected, "twice is as once");
        }
    }

    proptest! {
        #[test]
        fn planted_literals_never_survive(
            words in prop::collection::vec("[a-zA-Z0-9 ,=:()|/_.-]{0,12}", 1..6),
            form in 0..6usize,
            apostrophe in any::<bool>(),
            cut in 0..80usize,
        ) {
            let quoted = ["'Zq8wVx'", "'a''Zq8wVx'", "$$Zq8wVx$$", "$t$ ' Zq8wVx$t$", "'\\'Zq8wVx'", "'$$Zq8wVx'"][form];
            let more = if apostrophe { "don't " } else { "" };
            // A word that ends right before a dollar quote is part of a name to PostgreSQL.
            let text = format!("{more}{}", words.iter().map(|w| format!("{w} {quoted} ")).collect::<String>());
            for text in [&text[..], &text[..cut.min(text.len())]] {
                let clean = without_literals(text);
                prop_assert!(!clean.contains("Zq8"), "{text} → {clean}");
                prop_assert_eq!(&without_literals(&clean), &clean);
            }
        }

        #[test]
        fn any_text_is_taken(text in any::<String>()) {
            let clean = without_literals(&text);
            prop_assert_eq!(&without_literals(&clean), &clean);
        }
    }
}
