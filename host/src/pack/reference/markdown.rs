//! Text of a manifest in Markdown, where it is only ever text: a pack can't open a heading, a link, a table or a tag with it
//! (CommonMark 0.31, 2.4 backslash escapes; GitHub's tables, bare links and mathematics on top).

use crate::outside;

/// Characters of one piece of a manifest that a page shows.
const MOST: usize = 10_000;

/// Text on one line: what can't be seen is left out, what means something to Markdown is escaped.
pub(super) fn text(text: &str) -> String {
    let plain = outside::plain(text, MOST).text;
    let mut out = String::with_capacity(plain.len() + 8);
    // Marks of a list or a heading count only where a line begins; a number does with what follows it.
    let digits = plain.bytes().take_while(u8::is_ascii_digit).count();
    for (at, c) in plain.char_indices() {
        let opens =
            (at == 0 && matches!(c, '#' | '+' | '-' | '=' | ':')) || (at > 0 && at == digits && matches!(c, '.' | ')'));
        // `www.` and `https://` become links by themselves.
        let links = (c == ':' && plain[at..].starts_with("://"))
            || (c == '.' && plain[..at].to_ascii_lowercase().ends_with("www"));
        if opens || links || matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '$' | '!') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The same as code within a line; in a table's cell, too, where a bar would end the cell.
pub(super) fn code(text: &str) -> String {
    let plain = outside::plain(text, MOST).text;
    if plain.is_empty() {
        return String::new();
    }
    let ticks = "`".repeat(longest_run(&plain) + 1);
    // One space inside each end is dropped when the page is shown, unless there is nothing but spaces (6.1).
    let pad = if plain.starts_with('`') || plain.ends_with('`') { " " } else { "" };
    // GitHub takes a backslash before a bar for part of the cell, in code as elsewhere; another one before it would be
    // taken for text, so a cell that holds both is written in text.
    if plain.contains("\\|") {
        return self::text(&plain);
    }
    format!("{ticks}{pad}{}{pad}{ticks}", plain.replace('|', "\\|"))
}

/// Lines as they are, in a fence that none of them can close.
pub(super) fn fenced(language: &str, lines: &str) -> String {
    let fence = "`".repeat((longest_run(lines) + 1).max(3));
    let clean: String =
        lines.chars().filter(|c| !outside::is_hidden(*c) || matches!(c, '\n' | '\t')).collect::<String>();
    format!("{fence}{language}\n{}\n{fence}\n", clean.trim_end_matches('\n'))
}

/// Of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_only_text() {
        for (given, written) in [
            ("Ends one backend: it's gone (at last), 5 % of 3.", "Ends one backend: it's gone (at last), 5 % of 3."),
            ("# a\n# b", "\\# a # b"),
            ("- a", "\\- a"),
            ("12. a", "12\\. a"),
            ("1) a 2) b", "1\\) a 2) b"),
            ("[x](https://evil.example) <img src=x> &lt;", "\\[x\\](https\\://evil.example) \\<img src=x\\> \\&lt;"),
            ("www.evil.example", "www\\.evil.example"),
            ("a | b `c` *d* _e_ ~f~ $g$ h\\", "a \\| b \\`c\\` \\*d\\* \\_e\\_ \\~f\\~ \\$g\\$ h\\\\"),
            ("a\u{202e}b\u{1b}[31m", "ab"),
        ] {
            assert_eq!(text(given), written);
        }
    }

    #[test]
    fn code_and_fences_hold_backticks() {
        assert_eq!(code("a|b"), "`a\\|b`");
        assert_eq!(code("a`b``"), "``` a`b`` ```");
        assert_eq!(code("\\|"), "\\\\\\|");
        assert_eq!(code(" \n"), "");
        assert_eq!(fenced("sql", "a\n````\nb\n\n"), "`````sql\na\n````\nb\n`````\n");
    }

    proptest! {
        /// Whatever a manifest says: one line, with every character that opens something behind a backslash.
        #[test]
        fn nothing_opens(given in prop_oneof![any::<String>(), "[-#>|`\\[\\]()<&*_~!$:/w.0-9 a\\\\\n]{0,40}"]) {
            let written = text(&given);
            prop_assert!(!written.contains('\n'));
            let mut escaped = false;
            for c in written.chars() {
                prop_assert!(escaped || !"`*_[]<>|~&$!".contains(c), "{}", written);
                escaped = c == '\\' && !escaped;
            }
            prop_assert!(!escaped, "{}", written);
            prop_assert!(!written.starts_with(['#', '-', '+', '=', ':', '>']), "{}", written);
            prop_assert!(!written.replace("\\://", "").contains("://"), "{}", written);
        }

        #[test]
        fn no_line_closes_its_fence(given in "[`~a\n ]{0,60}") {
            let page = fenced("text", &given);
            let fence: String = page.chars().take_while(|c| *c == '`').collect();
            let closing = page.lines().skip(1).filter(|line| line.trim_start().starts_with(&fence)).count();
            prop_assert_eq!(closing, 1, "{}", page);
        }

        #[test]
        fn code_ends_where_it_should(given in "[`a|\\\\]{1,20}") {
            let written = code(&given);
            if !given.contains("\\|") {
                let ticks = written.chars().take_while(|c| *c == '`').count();
                let inner = &written[ticks..written.len() - ticks];
                prop_assert!(inner.split(|c| c != '`').all(|run| run.len() != ticks), "{}", written);
                prop_assert!(!inner.replace("\\|", "").contains('|'), "{}", written);
            }
        }
    }
}
