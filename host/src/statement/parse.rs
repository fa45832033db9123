//! PostgreSQL's own parser, kept from hurting its host: bounded text, a stack of its own, one statement out.

use std::{cell::Cell, panic::catch_unwind};

use pg_query::{Node, protobuf::ScanToken};

use super::proof::Finding;

/// The parser's C code recurses as deep as the text nests, with frames of a few hundred bytes; with at most 8,192 tokens
/// this leaves 8 KiB for each. The pages are touched only by a statement that needs them.
const STACK_BYTES: usize = 64 << 20;

thread_local! {
    /// Whether this thread was started by [`with_parser_stack`].
    static ROOMY: Cell<bool> = const { Cell::new(false) };
}

/// Runs work on a thread with a stack that the parser can't exhaust. Whoever has many texts to parse does so inside: a
/// thread for each would cost more than parsing it.
///
/// # Errors
///
/// If the thread could not be started, or the work panicked.
pub(crate) fn with_parser_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().name("lockgate-parser".to_owned()).stack_size(STACK_BYTES);
        let work = || {
            ROOMY.set(true);
            work()
        };
        match parser.spawn_scoped(scope, work) {
            Ok(thread) => thread.join().map_err(|_| "the parser failed on it".to_owned()),
            Err(error) => Err(format!("the parser could not be started: {error}")),
        }
    })
}

/// The tokens of a text, comments among them, by PostgreSQL's own scanner.
pub(crate) fn tokens(sql: &str) -> pg_query::Result<Vec<ScanToken>> {
    // For a text without any token the binding (18.1) makes a slice of a null pointer.
    if sql.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)) {
        return Ok(Vec::new());
    }
    pg_query::scan_tokens(sql)
}

/// Parses text that has passed the text rules into exactly one statement.
pub(super) fn parse_one(sql: &str) -> Result<Node, Finding> {
    let parse = || pg_query::parse(sql, 0).map(|result| result.protobuf.stmts);
    let result = if ROOMY.get() {
        catch_unwind(parse).map_err(|_| "the parser failed on it".to_owned())
    } else {
        with_parser_stack(parse)
    };
    let fault = |message| Finding::new("syntax", None, message, "write one statement that PostgreSQL can parse");
    match result {
        Err(message) => Err(fault(message)),
        // The decoder follows a hundred levels of messages, about forty-five of expressions.
        Ok(Err(pg_query::Error::Decode(_))) => Err(Finding::new(
            "nesting",
            None,
            "the statement nests too deeply".to_owned(),
            "nest less: use CTEs, IN, concat",
        )),
        Ok(Err(pg_query::Error::Parse(message))) => {
            let at = place_of(sql, &message);
            Err(Finding {
                at,
                ..fault(format!("PostgreSQL does not parse it: {}", message.replace(super::placeholders::MARK, "")))
            })
        }
        Ok(Err(error)) => Err(fault(format!("PostgreSQL does not parse it: {error}"))),
        Ok(Ok(statements)) => {
            let count = statements.len();
            let mut statements = statements.into_iter();
            match (statements.next().and_then(|raw| raw.stmt), statements.next()) {
                (Some(node), None) => Ok(*node),
                _ => {
                    let message = format!("there are {count} statements in the text");
                    Err(Finding::new("one-statement", None, message, "write exactly one statement"))
                }
            }
        }
    }
}

/// The parser's message quotes the token that it stopped at but not its place; where that token occurs once, that is it.
fn place_of(sql: &str, message: &str) -> Option<usize> {
    if message.ends_with("at end of input") {
        return Some(sql.len());
    }
    let quoted = message.split_once("at or near \"")?.1.strip_suffix('"')?;
    let tokens = tokens(sql).ok()?;
    let span = |token: &ScanToken| Some((usize::try_from(token.start).ok()?, usize::try_from(token.end).ok()?));
    let mut places = tokens.iter().filter_map(span).filter(|(start, end)| sql.get(*start..*end) == Some(quoted));
    match (places.next(), places.next()) {
        (Some((start, _)), None) => Some(start),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_or_a_reason() {
        assert!(parse_one("SELECT 1").is_ok());
        assert_eq!(parse_one("SELECT 1; SELECT 2").unwrap_err().rule, "one-statement");
        assert_eq!(parse_one("").unwrap_err().rule, "one-statement");
        let error = parse_one("SELECT 1 FORM x").unwrap_err();
        assert_eq!((error.rule, error.at), ("syntax", Some(14)));
    }

    #[test]
    fn depth_is_an_answer_not_a_crash() {
        depth();
        with_parser_stack(depth).unwrap();
    }

    fn depth() {
        for sql in [
            format!("SELECT {}1{}", "(".repeat(4000), ")".repeat(4000)),
            format!("SELECT {}1", "- ".repeat(4000)),
            format!("SELECT {}true", "NOT ".repeat(8000)),
            format!("SELECT 1{}", "+1".repeat(4000)),
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(2000)),
            format!("SELECT {}1{}", "(SELECT ".repeat(2500), ")".repeat(2500)),
            format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(1200), " END".repeat(1200)),
            format!("SELECT a{}", "[1]".repeat(2500)),
            format!("SELECT * FROM {}x{}", "(".repeat(3000), ")".repeat(3000)),
        ] {
            drop(parse_one(&sql));
        }
        assert_eq!(parse_one(&format!("SELECT 1{}", "+1".repeat(4000))).unwrap_err().rule, "nesting");
    }
}
