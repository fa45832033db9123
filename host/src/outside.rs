//! Text from outside (an agent, a pack, a database, a file) made fit to be shown: which characters are never seen but
//! change what is, text without them for a terminal or a message, and JSON with them escaped. What is left is inert,
//! whatever it says. Nobody else decides what is hidden.

use unicode_width::UnicodeWidthChar as _;

/// Marks on one letter beyond these pile up over neighbouring lines; no language needs more.
const MARKS: usize = 2;

/// Text without anything a terminal would act on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plain {
    /// One line: every run of white space is one space.
    pub text: String,
    /// Whether something that can't be seen was left out.
    pub had_hidden: bool,
    /// How many characters were left out at the end, for length.
    pub cut: usize,
}

/// Makes text plain, and keeps at most so many characters.
#[must_use]
pub fn plain(text: &str, most: usize) -> Plain {
    let mut out = Plain::default();
    let mut kept = 0;
    let mut marks = 0;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let c = match c {
            '\u{1b}' => {
                rest = after_escape(rest);
                None
            }
            '\u{9b}' => {
                rest = after_parameters(rest);
                None
            }
            c if c.is_whitespace() => {
                if out.text.is_empty() || out.text.ends_with(' ') {
                    continue;
                }
                Some(' ')
            }
            c if is_hidden(c) => None,
            c if c.width() == Some(0) => {
                marks += 1;
                (marks <= MARKS && !out.text.is_empty()).then_some(c)
            }
            c => Some(c),
        };
        match c {
            None => out.had_hidden = true,
            Some(_) if kept == most => out.cut += 1,
            Some(c) => {
                if c.width() != Some(0) {
                    marks = 0;
                }
                kept += 1;
                out.text.push(c);
            }
        }
    }
    out.text.truncate(out.text.trim_end().len());
    if out.cut > 0 {
        out.text.push('…');
    }
    out
}

// Of a sequence only its introduction and its parameters go. Text that a terminal would swallow up to some end marker stays:
// otherwise an unfinished sequence could hide the rest of a statement from the one who decides on it.
fn after_escape(mut rest: std::str::Chars<'_>) -> std::str::Chars<'_> {
    let mut ahead = rest.clone();
    match ahead.next() {
        Some('[') => after_parameters(ahead),
        Some(']' | 'P' | 'X' | '^' | '_' | '\\' | '(' | ')' | '#' | '7' | '8' | '=' | '>' | 'c' | 'M') => {
            rest.next();
            rest
        }
        _ => rest,
    }
}

// ECMA-48, 5.4: parameter bytes 30–3F, intermediate bytes 20–2F, one final byte 40–7E.
fn after_parameters(rest: std::str::Chars<'_>) -> std::str::Chars<'_> {
    let mut ahead = rest.clone();
    while let Some(c) = ahead.next() {
        match c {
            '\u{20}'..='\u{3f}' => {}
            '\u{40}'..='\u{7e}' => return ahead,
            _ => break,
        }
    }
    // Not a whole sequence: what looked like its parameters is text.
    rest
}

/// Whether a character is never seen but changes what is: controls, Unicode's default-ignorable code points (bidirectional
/// controls, zero-width characters, variation selectors, tags), annotation marks, and blanks that pose as letters.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// JSON text with every hidden character as an escape: the same JSON, and safe to show. Outside of strings there are none.
#[must_use]
pub fn escape_hidden(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// A piece of somebody else's text to repeat in a message: what is hidden is seen to be there, and at most so many
/// characters.
#[must_use]
pub fn shown(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> String {
        plain(text, 1_000).text
    }

    #[test]
    fn what_a_terminal_acts_on_is_gone() {
        for (given, left) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[2J\u{1b}[1;1Hgone", "gone"),
            ("\u{9b}31mred", "red"),
            ("a\u{1b}]0;title\u{7}b", "a0;titleb"),
            ("a\u{1b}]8;;http://x\u{1b}\\link", "a8;;http://xlink"),
            ("SELECT 1 \u{1b}]never ended; DROP TABLE t", "SELECT 1 never ended; DROP TABLE t"),
            ("1\u{1b}[2;3é", "12;3é"),
            ("a\u{8}\u{8}b\0c\u{7f}d", "abcd"),
            ("user\u{202e}nimda\u{202c}", "usernimda"),
            ("pay\u{200b}ments\u{2060}\u{feff}\u{ad}", "payments"),
            ("tag\u{e0041}\u{e0042}s", "tags"),
            ("  two\r\n\tlines\u{2028}and\u{a0}more ", "two lines and more"),
        ] {
            assert_eq!(of(given), left, "{given:?}");
        }
        assert!(plain("a\u{200b}", 9).had_hidden && !plain("a\n b é", 9).had_hidden);
    }

    #[test]
    fn marks_do_not_pile_up_and_accents_stay() {
        assert_eq!(of("e\u{301}"), "e\u{301}");
        assert_eq!(of(&format!("x{}y", "\u{300}".repeat(50))), "x\u{300}\u{300}y");
    }

    #[test]
    fn length_is_bounded_and_said() {
        let cut = plain(&"ab ".repeat(100), 10);
        assert_eq!(cut.text, "ab ab ab a…");
        assert!(cut.cut > 100);
    }

    proptest! {
        #[test]
        fn whatever_is_given_what_is_left_is_one_visible_line(
            text in prop::collection::vec(any::<char>(), 0..80).prop_map(String::from_iter),
        ) {
            let left = of(&text);
            prop_assert!(!left.chars().any(is_hidden));
            prop_assert_eq!(&of(&left), &left);
            let json = serde_json::to_string(&text).unwrap();
            let escaped = escape_hidden(&json);
            prop_assert!(!escaped.chars().any(is_hidden));
            prop_assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        }
    }
}
