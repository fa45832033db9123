//! One line of the record: how it is put together, how its head is read, and the line as readers outside see it.

use std::io::Write as _;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    chain::Digest,
    entry::{Body, is_name},
    json,
};

/// The longest line, without its line feed. Bounds every reader's memory; the largest honest entry (a call with its
/// arguments and the statements it ran) is a few tens of kilobytes.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

/// Puts a line together, without its line feed.
pub(super) fn encode(out: &mut Vec<u8>, seq: u64, time: Timestamp, prev: &Digest, body: &Body) {
    // Writing to a vector doesn't fail.
    let _ = write!(out, "{{\"v\":1,\"seq\":{seq},\"ts\":\"{time:.6}\",\"prev\":\"{prev}\",");
    out.extend_from_slice(body.as_bytes());
}

/// The head of a line, checked byte by byte. What follows the event is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) seq: u64,
    pub(super) time: &'a str,
    pub(super) prev: Digest,
    pub(super) event: &'a str,
}

/// Reads the head of a line; an error says what was expected.
pub(super) fn parse(line: &[u8]) -> Result<Head<'_>, &'static str> {
    const ORDER: &str = "a line that begins `{\"v\":1,\"seq\":…,\"ts\":…,\"prev\":…,\"ev\":…`";
    let rest = line.strip_prefix(b"{\"v\":1,\"seq\":").ok_or(ORDER)?;
    let (seq, rest) = split_at_byte(rest, b',').ok_or(ORDER)?;
    let seq = number(seq).ok_or("a sequence number from 1 up, without leading zeros")?;
    let rest = rest.strip_prefix(b"\"ts\":\"").ok_or(ORDER)?;
    let (time, rest) = split_at_byte(rest, b'"').ok_or(ORDER)?;
    let time = std::str::from_utf8(time).ok().filter(|time| is_time(time));
    let time = time.ok_or("a time of the form 2026-01-31T23:59:59.000000Z")?;
    let rest = rest.strip_prefix(b",\"prev\":\"").ok_or(ORDER)?;
    let (prev, rest) = split_at_byte(rest, b'"').ok_or(ORDER)?;
    let prev = Digest::from_hex(prev).ok_or("a hash of 64 lower-case hexadecimal digits")?;
    let rest = rest.strip_prefix(b",\"ev\":\"").ok_or(ORDER)?;
    let (event, rest) = split_at_byte(rest, b'"').ok_or(ORDER)?;
    let event = std::str::from_utf8(event).ok().filter(|event| is_name(event)).ok_or("an event name")?;
    match (rest.first(), rest.last()) {
        (Some(b',' | b'}'), Some(b'}')) => Ok(Head { seq, time, prev, event }),
        _ => Err("a line that ends with `}`"),
    }
}

fn split_at_byte(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|found| *found == byte)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.first().is_none_or(|first| !matches!(first, b'1'..=b'9')) {
        return None;
    }
    std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

fn is_time(text: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00.000000Z";
    text.len() == SHAPE.len()
        && text.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            other => byte == *other,
        })
        && text.parse::<Timestamp>().is_ok()
}

/// A whole line, well formed. That it is in its right place on an untouched record is what [`super::verify()`] says.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    raw: String,
    seq: u64,
    prev: Digest,
    fields: Map<String, Value>,
}

impl Line {
    /// Reads a line, given without its line feed; an error says what is wrong.
    pub fn parse(raw: &str) -> Result<Self, String> {
        let head = parse(raw.as_bytes()).map_err(|expected| format!("expected {expected}"))?;
        json::check(raw.as_bytes())?;
        let (seq, prev) = (head.seq, head.prev);
        let fields = serde_json::from_str(raw).map_err(|error| error.to_string())?;
        Ok(Self { raw: raw.to_owned(), seq, prev, fields })
    }

    /// The exact text, without the line feed.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The sequence number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The hash of the line before.
    #[must_use]
    pub fn prev(&self) -> Digest {
        self.prev
    }

    /// When it was written, by the writer's clock: RFC 3339 with microseconds, UTC.
    #[must_use]
    pub fn time(&self) -> &str {
        self.text("ts")
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &str {
        self.text("ev")
    }

    /// Every key of the line, the head's five among them.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// A field that is a text; empty if there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]
mod tests {
    use super::*;
    use crate::audit::{Entry, chain};

    fn line() -> String {
        let mut out = Vec::new();
        let body = Entry::new("call.requested").field("run", "r1").into_body().unwrap();
        encode(&mut out, 7, Timestamp::from_microsecond(1_700_000_000_000_000).unwrap(), &chain::genesis(), &body);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let line = Line::parse(&line()).unwrap();
        assert_eq!((line.seq(), line.event(), line.text("run")), (7, "call.requested", "r1"));
        assert_eq!((line.time(), line.prev()), ("2023-11-14T22:13:20.000000Z", chain::genesis()));
    }

    #[test]
    fn no_other_spelling_of_the_head_is_read() {
        let line = line();
        for (from, to) in [
            ("{\"v\":1,", "{\"v\": 1,"),
            ("{\"v\":1,", "{\"v\":2,"),
            ("\"seq\":7", "\"seq\":07"),
            ("\"seq\":7", "\"seq\":+7"),
            ("\"seq\":7", "\"seq\":0"),
            ("\"seq\":7", "\"seq\":99999999999999999999"),
            (".000000Z", ".000Z"),
            ("2023-11-14", "2023-13-14"),
            ("call.requested", "call requested"),
            ("\"r1\"}", "\"r1\"}x"),
            ("\"run\":", "\"seq\":"),
        ] {
            let changed = line.replace(from, to);
            assert_ne!(changed, line, "{from}");
            assert!(Line::parse(&changed).is_err(), "{changed}");
        }
    }
}
