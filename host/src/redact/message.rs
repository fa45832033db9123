//! The server's error messages and notices: which object and which rule stays, which value goes.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// More of a message than anybody reads.
const MAX_CHARS: usize = 500;

/// Quoted and parenthesised parts. The words around them depend on the server's language (`lc_messages`), so none is
/// relied upon; a part whose end is missing goes to the end of the text.
static PARTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?x)
        (?P<assigned> (?: (?: ^ | \s ) \( [^()\n]* \) )? \s* = \s* ) \( [\s\S]*   # Key (email)=(…), to the end: a value may hold any bracket
      | (?P<row> (?: ^ | \s ) ) \( [^()\n]* , [\s\S]*         # Failing row contains (…, …)
      | (?P<value> :\s* ) " [\s\S]*                           # invalid input syntax for type integer: "…"
      | " (?P<name> [A-Za-z_][A-Za-z0-9_$.]{0,126} ) "        # relation "…"
      | " (?: [^"] | "" )* (?: " | \z )
      | ' (?: [^'] | '' )* (?: ' | \z )"#,
    )
    .ok()
});

/// A server's message without the values that it quotes: names of objects stay, keys, rows and inputs go. Cut at 500
/// characters, one line, without characters that disguise it.
///
/// ```
/// use lockgate::redact::redact_message;
/// assert_eq!(redact_message("Key (email)=(ann@example.com) already exists."), "Key (email)=(?)");
/// assert_eq!(redact_message("relation \"public.orders\" does not exist"), "relation \"public.orders\" does not exist");
/// ```
#[must_use]
pub fn redact_message(message: &str) -> String {
    without_values(message, true)
}

/// The same for a message that quotes values only: what looks like a name goes too.
#[must_use]
pub fn redact_values(message: &str) -> String {
    without_values(message, false)
}

fn without_values(message: &str, names: bool) -> String {
    let clean: String = super::plain(message).replace(['\n', '\t'], " ");
    let Some(parts) = PARTS.as_ref() else {
        return "(message withheld)".to_owned();
    };
    let shown = parts.replace_all(&clean, |found: &Captures<'_>| {
        let part = |name| found.name(name).map(|part| part.as_str());
        if let Some(equals) = part("assigned") {
            format!("{equals}(?)")
        } else if let Some(space) = part("row") {
            format!("{space}(?)")
        } else if let Some(colon) = part("value") {
            format!("{colon}\"?\"")
        } else if let Some(name) = part("name").filter(|_| names) {
            format!("\"{name}\"")
        } else if found.get(0).is_some_and(|part| part.as_str().starts_with('"')) {
            "\"?\"".to_owned()
        } else {
            "'?'".to_owned()
        }
    });
    shown.chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn objects_stay_and_values_go() {
        for (message, expected) in [
            ("permission denied for table orders", "permission denied for table orders"),
            ("column \"a.b\" does not exist", "column \"a.b\" does not exist"),
            ("syntax error at or near \"FORM\"", "syntax error at or near \"FORM\""),
            ("invalid input syntax for type integer: \"12x\"", "invalid input syntax for type integer: \"?\""),
            ("invalid input syntax for type integer: \"ann\" \"x\"", "invalid input syntax for type integer: \"?\""),
            ("value \"99999999999\" is out of range for type integer", "value \"?\" is out of range for type integer"),
            ("Key (email)=(ann@example.com) already exists.", "Key (email)=(?)"),
            ("Key (a, b)=(x), (y)) is missing", "Key (a, b)=(?)"),
            ("Failing row contains (1, ann, null).", "Failing row contains (?)"),
            ("unterminated \"ann", "unterminated \"?\""),
            ("role 'ann''s' is gone", "role '?' is gone"),
            ("función \"f\": valor «x»\u{202e}\n", "función \"f\": valor «x» "),
        ] {
            assert_eq!(redact_message(message), expected);
        }
        assert_eq!(redact_message(&"a".repeat(900)).len(), MAX_CHARS);
        assert_eq!(redact_values("invalid value \"Ann\" for \"YYYY\""), "invalid value \"?\" for \"?\"");
    }

    proptest! {
        #[test]
        fn quoted_values_never_survive(
            words in "[a-z ]{0,20}",
            secret in "[0-9][a-zA-Z0-9]{7,20}",
            form in 0..6usize,
        ) {
            let form = ["{w} \"{s}\" {w}", "{w} '{s}' {w}", "{w}: \"{s}\"", "Key ({w})=({s}) x", "{w} ({s}, 2, {w})", "{w}: \"a\" {s}"][form];
            let message = form.replace("{w}", &words).replace("{s}", &secret);
            prop_assert!(!redact_message(&message).contains(&secret), "{} → {}", message, redact_message(&message));
        }

        #[test]
        fn any_text_is_taken(text in any::<String>()) {
            let shown = redact_message(&text);
            prop_assert!(shown.chars().count() <= MAX_CHARS && !shown.contains(['\n', '\0']));
        }
    }
}
