//! The shape of somebody's query: its words without its values. Read by PostgreSQL's own scanner; where that gives up
//! (text that `track_activity_query_size` cut, or that is no SQL) or could read it otherwise than the server did, by a
//! scanner of our own that drops all it is not sure of.

use pg_query::protobuf::Token;

use crate::statement::tokens;

/// Characters of a shape, as `actions.md` promises: enough to recognise a query by.
const MAX_CHARS: usize = 200;

/// Bytes of a query that are looked at. A shape of 200 characters is full long before, unless nearly all of it is literals.
const MAX_INPUT: usize = 16 << 10;

/// A longer quoted identifier is none to PostgreSQL either (manual, 4.1.1); it may be anything.
const MAX_IDENTIFIER: usize = 63;

/// What stands for a literal, and for all further ones of a list.
const LITERAL: &str = "?";
const MORE: &str = "…";

/// A query's words with every literal replaced by `?`, without comments, cut at 200 characters.
///
/// ```
/// use lockgate::redact::shape_query;
/// assert_eq!(shape_query("SELECT * FROM t WHERE a = 'x' AND b IN (1,2,3) -- ann"), "SELECT * FROM t WHERE a = ? AND b IN (?,…)");
/// ```
#[must_use]
pub fn shape_query(sql: &str) -> String {
    let sql = &sql[..sql.floor_char_boundary(MAX_INPUT)];
    let shape = by_tokens(sql).unwrap_or_else(|| by_characters(sql));
    let shape = super::plain(&shape.text);
    shape.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).take(MAX_CHARS).collect::<String>().trim().to_owned()
}

/// What has been written so far, and where in a statement that is.
#[derive(Default)]
struct Shape {
    text: String,
    /// The last two pieces, to see the middle of a list.
    last: [&'static str; 2],
    gap: bool,
    setting: Setting,
}

/// `SET name = value` has values without quotes: `SET app.token = abc`, `ALTER ROLE a SET app.token = abc`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Setting {
    #[default]
    Start,
    /// In a statement that may say `SET` further on, and mean a parameter.
    Define,
    Name,
    Value,
    No,
}

impl Shape {
    fn space(&mut self) {
        self.gap = true;
    }

    fn word(&mut self, word: &str) {
        let keyword = |expected: &str| word.eq_ignore_ascii_case(expected);
        self.setting = match self.setting {
            _ if word == ";" => Setting::Start,
            Setting::Start | Setting::Define if keyword("set") => Setting::Name,
            Setting::Start if keyword("alter") || keyword("create") => Setting::Define,
            Setting::Start => Setting::No,
            Setting::Name if word == "=" || keyword("to") => {
                self.push(word, "");
                self.gap = true;
                self.push(LITERAL, LITERAL);
                Setting::Value
            }
            Setting::Value => {
                self.gap = false;
                return;
            }
            same => same,
        };
        if self.setting != Setting::Value {
            self.push(word, if word == "," { "," } else { "" });
        }
    }

    fn literal(&mut self) {
        if self.setting == Setting::Value {
            self.gap = false;
            return;
        }
        if self.setting == Setting::Start {
            self.setting = Setting::No;
        }
        match self.last {
            [LITERAL, ","] => self.push(MORE, MORE),
            // The comma was one too many.
            [MORE, ","] => {
                let before =
                    self.text.rsplit_once(',').map_or(self.text.as_str(), |(before, _)| before).trim_end().len();
                self.text.truncate(before);
                self.last = ["", MORE];
                self.gap = false;
            }
            _ => self.push(LITERAL, LITERAL),
        }
    }

    fn push(&mut self, piece: &str, kind: &'static str) {
        if std::mem::take(&mut self.gap) && !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(piece);
        let [_, last] = self.last;
        self.last = [last, kind];
    }
}

/// `None` where PostgreSQL's scanner fails, or where the server may have read a string otherwise.
fn by_tokens(sql: &str) -> Option<Shape> {
    let mut shape = Shape::default();
    let mut end = 0;
    for token in tokens(sql).ok()? {
        let (start, stop) = (usize::try_from(token.start).ok()?, usize::try_from(token.end).ok()?);
        let text = sql.get(start..stop)?;
        if start > end {
            shape.space();
        }
        end = stop;
        match Token::try_from(token.token).ok()? {
            Token::SqlComment | Token::CComment => shape.space(),
            // With `standard_conforming_strings` off, a backslash may have hidden this string's end from us.
            Token::Sconst if text.contains('\\') && !text.starts_with(['e', 'E', '$']) => {
                return None;
            }
            Token::Sconst
            | Token::Usconst
            | Token::Bconst
            | Token::Xconst
            | Token::Iconst
            | Token::Fconst
            | Token::Uident => shape.literal(),
            Token::Ident if text.len() > MAX_IDENTIFIER + 2 * usize::from(text.starts_with('"')) => shape.literal(),
            _ => shape.word(text),
        }
    }
    Some(shape)
}

/// Drops every literal, closed or not. What follows a backslash in a string or an opening that is never closed could be
/// inside it or not, so it goes too.
fn by_characters(sql: &str) -> Shape {
    let mut shape = Shape::default();
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\'' => {
                shape.literal();
                match closing(after, '\'') {
                    Some((inner, after)) if !inner.contains('\\') => after,
                    _ => break,
                }
            }
            '"' => match closing(after, '"') {
                Some((inner, after)) if inner.len() <= MAX_IDENTIFIER && !inner.contains(['\\', '\n']) => {
                    shape.word(&rest[..rest.len() - after.len()]);
                    after
                }
                found => {
                    shape.literal();
                    match found {
                        Some((inner, after)) if !inner.contains('\\') => after,
                        _ => break,
                    }
                }
            },
            '-' if after.starts_with('-') => {
                shape.space();
                rest.find(['\n', '\r']).map_or("", |end| &rest[end..])
            }
            '/' if after.starts_with('*') => {
                shape.space();
                match past_comment(rest) {
                    Some(after) => after,
                    None => break,
                }
            }
            '$' if after.starts_with(|c: char| c.is_ascii_digit()) => {
                let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
                shape.word(&rest[..=end]);
                &after[end..]
            }
            '$' => match dollar_tag(rest) {
                Some(tag) => {
                    shape.literal();
                    let body = &rest[tag.len()..];
                    match body.find(tag) {
                        Some(end) => &body[end + tag.len()..],
                        None => break,
                    }
                }
                None => {
                    shape.word("$");
                    after
                }
            },
            _ if c.is_ascii_digit() => {
                shape.literal();
                let end = after.find(|c: char| !is_word(c) && c != '.').unwrap_or(after.len());
                &after[end..]
            }
            _ if is_word(c) => {
                let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
                if end > MAX_IDENTIFIER {
                    shape.literal();
                } else {
                    shape.word(&rest[..end]);
                }
                &rest[end..]
            }
            _ if c.is_whitespace() || super::is_disguise(c) => {
                shape.space();
                after
            }
            _ => {
                shape.word(&rest[..c.len_utf8()]);
                after
            }
        };
    }
    shape
}

/// As PostgreSQL's scanner takes identifiers: letters, digits, `_`, `$` and everything beyond ASCII.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '_' | '$')
        || (!c.is_ascii() && !c.is_whitespace() && !super::is_disguise(c))
}

/// What stands before the closing quote and what after it; doubled ones are inside.
pub(super) fn closing(text: &str, quote: char) -> Option<(&str, &str)> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find(quote)?;
        let after = &text[at + 1..];
        if !after.starts_with(quote) {
            return Some((&text[..at], after));
        }
        from = at + 2;
    }
}

/// What stands after a comment that may hold others.
fn past_comment(text: &str) -> Option<&str> {
    let (mut depth, mut at) = (0usize, 0);
    loop {
        let next = at + text.get(at..)?.find(['/', '*'])?;
        match text.as_bytes().get(next..next + 2)? {
            b"/*" => depth += 1,
            b"*/" => depth = depth.saturating_sub(1),
            _ => {
                at = next + 1;
                continue;
            }
        }
        at = next + 2;
        if depth == 0 {
            return text.get(at..);
        }
    }
}

/// `$$` or `$tag$` at the start of the text.
pub(super) fn dollar_tag(text: &str) -> Option<&str> {
    let name = text.strip_prefix('$')?;
    let end = name.find('$')?;
    let tag = &name[..end];
    (!tag.starts_with(|c: char| c.is_ascii_digit()) && tag.chars().all(is_word)).then(|| &text[..end + 2])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shapes() {
        for (sql, expected) in [
            ("SELECT * FROM t WHERE a='x'", "SELECT * FROM t WHERE a=?"),
            ("select 1, 1.5e3, .5, 0x1F, -7", "select ?, …, -?"),
            ("SELECT a FROM t WHERE b IN ( 1 , 2 , 3 ) AND c = 4", "SELECT a FROM t WHERE b IN ( ? , … ) AND c = ?"),
            ("INSERT INTO t VALUES (1, 'a', NULL), (2, 'b', TRUE)", "INSERT INTO t VALUES (?, …, NULL), (?, …, TRUE)"),
            ("SELECT 'it''s', E'a\\'b', $$c$$, $x$d $$ e$x$, B'1', X'ff', U&'\\0041'", "SELECT ?, …"),
            ("SELECT 'a'\n  'b' , c", "SELECT ? , c"),
            ("SELECT $1, a$2$ FROM t1 WHERE x = $3", "SELECT $1, a$2$ FROM t1 WHERE x = $3"),
            ("SELECT \"Col\", \"a\"\"b\" FROM \"S\".t", "SELECT \"Col\", \"a\"\"b\" FROM \"S\".t"),
            ("/* route=/u/ann */ SELECT 1 -- ann\n, 2", "SELECT ? , …"),
            ("SELECT /* a /* b */ c */ x", "SELECT x"),
            ("ALTER ROLE a PASSWORD 'x' VALID UNTIL '2026'", "ALTER ROLE a PASSWORD ? VALID UNTIL ?"),
            ("SET app.token = abc; SELECT x", "SET app.token = ?; SELECT x"),
            ("SET LOCAL app.token TO 'a', b", "SET LOCAL app.token TO ?"),
            ("ALTER ROLE a IN DATABASE b SET app.token = abc", "ALTER ROLE a IN DATABASE b SET app.token = ?"),
            ("ALTER SYSTEM SET app.token TO abc; SELECT x", "ALTER SYSTEM SET app.token TO ?; SELECT x"),
            ("ALTER TABLE t SET SCHEMA s", "ALTER TABLE t SET SCHEMA s"),
            ("CREATE TABLE t (a int DEFAULT 7)", "CREATE TABLE t (a int DEFAULT ?)"),
            ("UPDATE t SET a = b WHERE c = 'x'", "UPDATE t SET a = b WHERE c = ?"),
            ("SELECT\n\ta,\r\n\tb", "SELECT a, b"),
            ("", ""),
            (" \n", ""),
            ("<insufficient privilege>", "<insufficient privilege>"),
            // Cut off by the server.
            ("SELECT a FROM t WHERE b = 'x", "SELECT a FROM t WHERE b = ?"),
            ("SELECT a FROM t WHERE b = $tag$x", "SELECT a FROM t WHERE b = ?"),
            ("SELECT a FROM t /* x", "SELECT a FROM t"),
            ("SELECT a, \"b", "SELECT a, ?"),
            ("SELECT 'y', a, 12 FROM t, $1 -- 'z'\n WHERE b = E'x", "SELECT ?, a, ? FROM t, $1 WHERE b = E?"),
            // With standard_conforming_strings off the first string would end after the second quote.
            ("SELECT 'a\\' , x , 'b'", "SELECT ?"),
            // No SQL.
            ("123abc 'x' y", "? ? y"),
            ("GET /index?a=1'", "GET /index?a=??"),
        ] {
            assert_eq!(shape_query(sql), expected, "{sql}");
        }
        let long = format!("SELECT {}", "é, ".repeat(300));
        assert_eq!(shape_query(&long).chars().count(), MAX_CHARS);
        assert_eq!(shape_query("SELECT a\u{202e}b\u{0}c"), "SELECT a b c");
        assert_eq!(shape_query(&format!("SELECT {}", "k".repeat(64))), "SELECT ?");
        assert_eq!(shape_query(&"'".repeat(100_000)), "?");
        assert_eq!(shape_query(&format!("SELECT '{}", "é".repeat(MAX_INPUT))), "SELECT ?");
    }

    #[test]
    fn an_already_shaped_text_stays() {
        for sql in ["SELECT a FROM t WHERE b IN (?,…) AND c = ? AND d = $1", "SET a = ?", "INSERT INTO t VALUES (?, …)"]
        {
            assert_eq!(shape_query(sql), sql);
        }
    }

    /// What a query is made of: words that may stay, and literals around the planted secret.
    fn fragment(secret: &'static str) -> impl Strategy<Value = String> {
        let words = prop::sample::select(vec![
            "SELECT",
            "a",
            "FROM t",
            "WHERE b =",
            ",",
            "(",
            ")",
            "::text",
            "\"Q q\"",
            "$1",
            "AND",
            ";",
            "SET x =",
            "é",
            "'plain'",
            "12",
            "-- c\n",
            "/* c */",
            "E'\\''",
            "''",
            "$$ ' $$",
            "- -",
            "||",
            ":=",
            "/",
            "*",
        ]);
        let planted = prop::sample::select(vec![
            format!("'{secret}'"),
            format!("'a''{secret}'"),
            format!("'\"{secret}'"),
            format!("'--{secret}'"),
            format!("'/* {secret}'"),
            format!("'$$ {secret}'"),
            format!("'C:\\{secret}'"),
            format!("E'\\'{secret}'"),
            format!("e'{secret}\\\\'"),
            format!("N'{secret}'"),
            format!("U&'\\0041{secret}'"),
            format!("$$ '{secret}$$"),
            format!("$t$ $$ {secret} -- $t$"),
            format!("-- {secret} '\n"),
            format!("-- $$ {secret}\n"),
            format!("/* ' {secret} /* $$ */ {secret} */"),
            format!("'a'\n'{secret}'"),
        ]);
        prop_oneof![words.prop_map(str::to_owned), planted]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn planted_literals_never_survive(
            fragments in prop::collection::vec(fragment("Zq8wVx"), 1..12),
            cut in 0.0..1.5f64,
            broken in prop::option::of(prop::sample::select(vec!["'", "\"", "$x$", "/*", "E'"])),
        ) {
            let whole = fragments.join(" ") + &broken.map(|b| format!(" {b}Zq8wVx")).unwrap_or_default();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let at = whole.floor_char_boundary((whole.len() as f64 * cut) as usize);
            for text in [&whole[..at], &whole] {
                let shape = shape_query(text);
                prop_assert!(!shape.contains("Zq8"), "{text} → {shape}");
                let shape = by_characters(text).text;
                prop_assert!(!shape.contains("Zq8"), "by characters: {text} → {shape}");
            }
        }

        #[test]
        fn planted_numbers_never_survive(number in 10_000_000u64.., form in 0..5usize) {
            let form = ["SELECT {n}", "SELECT a FROM t WHERE b={n} AND 'x", "SELECT -{n}.5, {n}e5", "({n},{n})", "SET x = {n}"][form];
            let shape = shape_query(&form.replace("{n}", &number.to_string()));
            prop_assert!(!shape.contains(|c: char| c.is_ascii_digit()), "{shape}");
        }

        #[test]
        fn any_text_is_taken(text in any::<String>()) {
            for shape in [shape_query(&text), shape_query(&format!("'{text}")), shape_query(&format!("${text}$ \\ {text}"))] {
                prop_assert!(shape.chars().count() <= MAX_CHARS);
                prop_assert!(!shape.contains(|c: char| c.is_control() || super::super::is_disguise(c)));
            }
        }
    }
}
