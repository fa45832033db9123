//! `.pgpass`: one `host:port:database:user:password` a line, the first line that fits wins, `*` fits anything, `\` escapes
//! `:` and `\`, `#` starts a comment line (PostgreSQL manual, "The Password File").

use super::secret::Secret;

/// Whom a password is looked up for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The host as it is configured; `localhost` for a Unix socket, as libpq looks it up.
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) dbname: &'a str,
    pub(super) user: &'a str,
}

/// The password of the first line that fits.
pub(super) fn find(text: &str, wanted: Wanted<'_>) -> Option<Secret> {
    let port = wanted.port.to_string();
    let keys = [wanted.host, &port, wanted.dbname, wanted.user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for key in keys {
            let (field, after) = split_field(rest)?;
            if field.as_deref() != Some(key) && field.is_some() {
                return None;
            }
            rest = after;
        }
        // The password is the last field; libpq undoes its escapes and takes an unescaped `:` for its end.
        let password = unescape(end_of_field(rest));
        (!password.is_empty()).then(|| Secret::new(password))
    })
}

/// The next field and what follows its colon; `None` inside for a lone `*`, and `None` outside where there is no colon.
fn split_field(text: &str) -> Option<(Option<String>, &str)> {
    let raw = end_of_field(text);
    let after = text.get(raw.len()..)?.strip_prefix(':')?;
    Some(((raw != "*").then(|| unescape(raw)), after))
}

/// Up to the first colon that is not escaped.
fn end_of_field(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ':' => return text.get(..at).unwrap_or(text),
            _ => {}
        }
    }
    text
}

fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().unwrap_or('\\')),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(text: &str) -> Option<String> {
        let wanted = Wanted { host: "db:1", port: 5432, dbname: r"or\ders", user: "lock" };
        find(text, wanted).map(|s| String::from_utf8(s.expose().to_vec()).unwrap())
    }

    #[test]
    fn the_first_line_that_fits_wins() {
        let text = "# comment\nother:5432:*:*:no\ndb\\:1:5432:or\\\\ders:lock:first\n*:*:*:*:second\n";
        assert_eq!(lookup(text).as_deref(), Some("first"));
        assert_eq!(lookup("*:*:*:*:any").as_deref(), Some("any"));
        assert_eq!(lookup("*:5433:*:*:any"), None);
        assert_eq!(lookup("*:*:*:someone:any"), None);
    }

    #[test]
    fn escapes_in_the_password_are_undone() {
        assert_eq!(lookup(r"*:*:*:*:a\:b\\c").as_deref(), Some(r"a:b\c"));
        assert_eq!(lookup(r"*:*:*:*:a:b").as_deref(), Some("a"));
    }

    #[test]
    fn short_lines_and_an_escaped_star_match_nothing() {
        assert_eq!(lookup("*:*:*"), None);
        assert_eq!(lookup("*:*:*:*:"), None);
        assert_eq!(lookup(r"\*:*:*:*:x"), None);
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_found_again(host in "[a-z:\\\\é*]{2,8}", password in "[ -~é]{1,20}") {
            let escape = |s: &str| s.replace('\\', "\\\\").replace(':', "\\:");
            prop_assume!(!host.starts_with('#'));
            let line = format!("{}:1:d:u:{}", escape(&host), escape(&password));
            let wanted = Wanted { host: &host, port: 1, dbname: "d", user: "u" };
            let found = find(&line, wanted).unwrap();
            prop_assert_eq!(found.expose(), password.as_bytes());
        }

        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = lookup(&text);
        }
    }
}
