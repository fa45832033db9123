//! The text of a variant before it is parsed: which characters and which forms of strings it may hold, and where its
//! placeholders stand. PostgreSQL's own scanner says what a token is; nothing here is found by searching in text.

use std::ops::Range;

use pg_query::protobuf::{ScanToken, Token};

use super::proof::{Finding, MAX_SQL_BYTES};

/// Marks a placeholder in the text that goes to the parser. A pack's own text can't hold it: control characters are
/// refused first. So whatever the parse tree says of an identifier that starts with it, it says of a placeholder.
pub(super) const MARK: char = '\u{1}';

/// The placeholder for the schema of the variant's extension.
pub(super) const EXTENSION_SCHEMA: &str = "extension_schema";

/// PostgreSQL cuts longer identifiers silently, and so would name another object (manual, 4.1.1).
pub(super) const MAX_IDENTIFIER_BYTES: usize = 63;

/// The scanner and parser are linear in tokens, but a tree is as deep as its text is long. No reviewed statement comes near.
const MAX_TOKENS: usize = 8192;

/// A `:"name"` and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placeholder {
    pub(super) name: String,
    /// Of the whole `:"name"` in the variant's text, in bytes.
    pub(super) span: Range<usize>,
}

/// A variant's text that has passed the rules of this file.
#[derive(Clone, Debug)]
pub(super) struct Scanned {
    /// The same text, byte for byte as long, with each placeholder turned into an identifier that starts with [`MARK`].
    pub(super) parseable: String,
    pub(super) placeholders: Vec<Placeholder>,
}

/// Checks the characters and tokens of a variant's text and finds its placeholders.
pub(super) fn scan(sql: &str) -> Result<Scanned, Vec<Finding>> {
    check_characters(sql).map_err(|finding| vec![finding])?;
    let tokens = super::parse::tokens(sql).map_err(|error| {
        vec![Finding::new("syntax", None, format!("the text can't be scanned: {error}"), "close every quote")]
    })?;
    if tokens.len() > MAX_TOKENS {
        let message = format!("the text has {} tokens, and {MAX_TOKENS} are allowed", tokens.len());
        return Err(vec![Finding::new("size", None, message, "split the statement")]);
    }
    let mut findings = Vec::new();
    let mut placeholders = Vec::new();
    let mut before = 0;
    let mut previous: Option<Piece<'_>> = None;
    for token in &tokens {
        let Some(piece) = Piece::of(sql, token) else {
            findings.push(Finding::new("syntax", None, "the scanner lost its place".to_owned(), "simplify the text"));
            break;
        };
        if !is_blank(sql.get(before..piece.span.start)) {
            findings.push(hidden(before));
        }
        before = piece.span.end;
        findings.extend(check_token(&piece));
        if let Some(colon) = previous.as_ref().filter(|p| p.kind == Token::Ascii58 && p.span.end == piece.span.start)
            && let Some(name) = piece.text.strip_prefix('"').and_then(|text| text.strip_suffix('"'))
        {
            placeholders.push(Placeholder { name: name.to_owned(), span: colon.span.start..piece.span.end });
        }
        previous = Some(piece);
    }
    if !is_blank(sql.get(before..)) {
        findings.push(hidden(before));
    }
    if tokens.is_empty() {
        findings.push(Finding::new("one-statement", None, "the text is empty".to_owned(), "write one statement"));
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    Ok(Scanned { parseable: mark(sql, &placeholders), placeholders })
}

struct Piece<'a> {
    kind: Token,
    text: &'a str,
    span: Range<usize>,
}

impl<'a> Piece<'a> {
    fn of(sql: &'a str, token: &ScanToken) -> Option<Self> {
        let span = usize::try_from(token.start).ok()?..usize::try_from(token.end).ok()?;
        let text = sql.get(span.clone())?;
        Some(Self { kind: Token::try_from(token.token).ok()?, text, span })
    }
}

/// Printable ASCII, newline and tab: what a reviewer sees is what PostgreSQL reads. No look-alike letters, no text that
/// changes direction, and nothing whose meaning hangs on the server's encoding.
fn check_characters(sql: &str) -> Result<(), Finding> {
    if sql.len() > MAX_SQL_BYTES {
        let message = format!("the text has {} bytes, and {MAX_SQL_BYTES} are allowed", sql.len());
        return Err(Finding::new("size", None, message, "split the statement"));
    }
    match sql.char_indices().find(|(_, c)| !matches!(c, ' '..='~' | '\n' | '\t')) {
        None => Ok(()),
        Some((at, c)) => Err(Finding::new(
            "characters",
            Some(at),
            format!("the character {c:?} is not printable ASCII"),
            "use printable ASCII, newline and tab only",
        )),
    }
}

fn is_blank(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.bytes().all(|b| matches!(b, b' ' | b'\n' | b'\t')))
}

fn hidden(at: usize) -> Finding {
    Finding::new("comments", Some(at), "there is text that is no token".to_owned(), "remove it")
}

/// One literal, from its opening quote to its closing one. PostgreSQL joins literals that a newline separates, with
/// comments between them, into a single token: that is refused with everything else.
fn is_plain_string(text: &str) -> bool {
    let inner = text.len().checked_sub(1).and_then(|end| text.get(1..end));
    text.starts_with('\'') && text.ends_with('\'') && inner.is_some_and(|inner| !inner.replace("''", "").contains('\''))
}

fn check_token(piece: &Piece<'_>) -> Option<Finding> {
    let at = Some(piece.span.start);
    let text = piece.text;
    let found = |rule, message: &str, remedy| Some(Finding::new(rule, at, message.to_owned(), remedy));
    match piece.kind {
        Token::SqlComment | Token::CComment => {
            found("comments", "there is a comment", "say it in the statement's description")
        }
        Token::Ascii59 => found("one-statement", "there is a semicolon", "write one statement without a semicolon"),
        Token::Sconst if !is_plain_string(text) => {
            found("strings", "there is a string that is not one plain '…' literal", "write '…' with quotes doubled")
        }
        // With `standard_conforming_strings` off, a setting of the server, a backslash would hide the closing quote.
        Token::Sconst if text.contains('\\') => found(
            "strings",
            "there is a backslash in a string",
            "use a character class such as [.] or [0-9], or LIKE … ESCAPE '!'",
        ),
        Token::Usconst | Token::Uident => {
            found("strings", "there is a Unicode escape (U&)", "write the characters themselves")
        }
        Token::Bconst | Token::Xconst => found("strings", "there is a bit string", "write a number"),
        // `0x1F` and `1_000` are a number and an alias to servers before 16.
        Token::Iconst | Token::Fconst
            if !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) =>
        {
            found("numbers", "there is a number that older servers read differently", "write it in decimal digits")
        }
        Token::Ident if text.len() > MAX_IDENTIFIER_BYTES + 2 * usize::from(text.starts_with('"')) => {
            found("identifiers", "there is an identifier that PostgreSQL would cut", "keep identifiers to 63 bytes")
        }
        Token::Ident if text.starts_with('"') && text.contains("\"\"") => {
            found("identifiers", "there is a quote inside an identifier", "use another name")
        }
        _ => None,
    }
}

/// `:"name"` becomes `"␁name"`: as many bytes, so that places in the tree are places in the text.
fn mark(sql: &str, placeholders: &[Placeholder]) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut done = 0;
    for placeholder in placeholders {
        out.push_str(sql.get(done..placeholder.span.start).unwrap_or_default());
        out.push('"');
        out.push(MARK);
        out.push_str(&placeholder.name);
        out.push('"');
        done = placeholder.span.end;
    }
    out.push_str(sql.get(done..).unwrap_or_default());
    out
}

/// The variant's text with each placeholder replaced by what `value` gives for its name, quoted.
pub(super) fn substitute(
    sql: &str,
    placeholders: &[Placeholder],
    value: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let mut out = String::with_capacity(sql.len() + 64);
    let mut done = 0;
    for placeholder in placeholders {
        out.push_str(sql.get(done..placeholder.span.start)?);
        out.push('"');
        out.push_str(&value(&placeholder.name)?.replace('"', "\"\""));
        out.push('"');
        done = placeholder.span.end;
    }
    out.push_str(sql.get(done..)?);
    Some(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn rule(sql: &str) -> &'static str {
        scan(sql).err().map_or("ok", |findings| findings[0].rule)
    }

    #[test]
    fn placeholders_are_tokens() {
        let scanned = scan("VACUUM :\"schema\".:\"table\"").unwrap();
        let names: Vec<_> = scanned.placeholders.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["schema", "table"]);
        assert_eq!(scanned.parseable, "VACUUM \"\u{1}schema\".\"\u{1}table\"");
        for sql in ["SELECT ':\"schema\"'", "SELECT 1::\"schema\"", "SELECT \":\"\"schema\"", "SELECT \"a:\""] {
            assert!(scan(sql).map_or(true, |s| s.placeholders.is_empty()), "{sql}");
        }
    }

    #[test]
    fn substitution_quotes() {
        let sql = "ANALYZE :\"a\".:\"b\"";
        let scanned = scan(sql).unwrap();
        let done = substitute(sql, &scanned.placeholders, |name| Some(format!("{name}\"; DROP"))).unwrap();
        assert_eq!(done, "ANALYZE \"a\"\"; DROP\".\"b\"\"; DROP\"");
        assert!(substitute(sql, &scanned.placeholders, |_| None).is_none());
    }

    #[test]
    fn text_rules() {
        for (expected, sql) in [
            ("ok", "SELECT 'it''s'"),
            ("ok", "SELECT ''"),
            ("comments", "SELECT 1 -- x"),
            ("comments", "SELECT /* x */ 1"),
            ("comments", "SELECT /* a /* b */ c */ 1"),
            ("strings", "SELECT 'a' -- hidden\n'b'"),
            ("strings", "SELECT 'a'\n'b'"),
            ("strings", "SELECT $$a$$"),
            ("strings", "SELECT $t$ -- $t$"),
            ("strings", "SELECT E'a'"),
            ("strings", "SELECT e'a\\'b'"),
            ("strings", "SELECT '\\'"),
            ("strings", "SELECT U&'\\0041'"),
            ("strings", "SELECT U&\"\\0041\""),
            ("strings", "SELECT B'01'"),
            ("strings", "SELECT x'01'"),
            ("one-statement", "SELECT 1;"),
            ("one-statement", "SELECT 1; SELECT 2"),
            ("one-statement", ""),
            ("one-statement", " \n"),
            ("numbers", "SELECT 0x1F"),
            ("numbers", "SELECT 1_000"),
            ("characters", "SELECT '\u{0}'"),
            ("characters", "SELECT 'é'"),
            ("characters", "SELECT 1\r"),
            ("characters", "SELECT '\u{202e}'"),
            ("characters", "VACUUM \"\u{1}schema\".t"),
            ("syntax", "SELECT 'open"),
            ("syntax", "SELECT \"open"),
            ("syntax", "SELECT /* open"),
            ("identifiers", "SELECT \"a\"\"b\""),
        ] {
            assert_eq!(rule(sql), expected, "{sql}");
        }
        assert_eq!(rule(&format!("SELECT {}", "a".repeat(64))), "identifiers");
        assert_eq!(rule(&format!("SELECT \"{}\"", "a".repeat(64))), "identifiers");
        assert_eq!(rule(&format!("SELECT \"{}\"", "a".repeat(63))), "ok");
        assert_eq!(rule(&"1 ".repeat(9000)), "size");
        assert_eq!(rule(&" ".repeat(MAX_SQL_BYTES + 1)), "size");
    }
}
