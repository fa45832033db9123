//! An entry before it has a place on the record: an event and its fields, bounded and in the caller's order.

use serde_json::Value;

use super::{line::MAX_LINE_BYTES, record::RecordError};

/// The keys that the writer itself puts at the head of each line.
const RESERVED: [&str; 5] = ["v", "seq", "ts", "prev", "ev"];

/// The head of a line (version, sequence number, time, hash) is shorter than this for every value it can take.
const HEAD_BYTES: usize = 256;

/// Readers of JSON commonly stop at 128 levels. A reader must be able to read what was written.
const MAX_DEPTH: usize = 64;

/// Something to put on the record.
///
/// Event names and field names are short ASCII words (`call.requested`, `run`); events that begin with `record.` are the
/// record's own. A problem found while building comes out when the entry is appended.
#[derive(Clone, Debug)]
pub struct Entry {
    names: Vec<String>,
    /// `"ev":"…","field":…` without the closing brace.
    text: Vec<u8>,
    problem: Option<String>,
}

impl Entry {
    /// An entry for this event, without fields.
    #[must_use]
    pub fn new(event: &str) -> Self {
        let mut entry = Self::internal(event);
        if event.starts_with("record.") {
            entry.problem = Some(format!("the event `{event}` is one that only the record itself writes"));
        }
        entry
    }

    /// An entry of the record's own.
    pub(super) fn internal(event: &str) -> Self {
        let problem = (!is_name(event))
            .then(|| "an event name is 1 to 64 ASCII letters, digits, dots, dashes and underscores".to_owned());
        let shown = if problem.is_none() { event } else { "" };
        Self { names: Vec::new(), text: format!("\"ev\":\"{shown}\"").into_bytes(), problem }
    }

    /// The entry with one more field. Names are unique, and `v`, `seq`, `ts`, `prev` and `event` are taken.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if RESERVED.contains(&name) || self.names.iter().any(|known| known == name) {
            self.refuse(format!("the field `{name}` is taken"));
        } else if !is_name(name) {
            self.refuse("a field name is 1 to 64 ASCII letters, digits, dots, dashes and underscores".to_owned());
        } else if !is_shallow(&value, MAX_DEPTH) {
            self.refuse(format!("the field `{name}` is nested deeper than {MAX_DEPTH} levels"));
        } else {
            self.text.extend_from_slice(format!(",\"{name}\":").as_bytes());
            if let Err(error) = serde_json::to_writer(&mut self.text, &value) {
                self.refuse(format!("the field `{name}` has no form in JSON: {error}"));
            }
            self.names.push(name.to_owned());
        }
        self
    }

    fn refuse(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    /// The tail of the line, from `"ev"` to the closing brace, if this may be written.
    pub(super) fn into_body(mut self) -> Result<Body, RecordError> {
        if let Some(reason) = self.problem {
            return Err(RecordError::Entry { reason });
        }
        self.text.push(b'}');
        let bytes = self.text.len() + HEAD_BYTES;
        if bytes > MAX_LINE_BYTES {
            return Err(RecordError::TooLarge { bytes, limit: MAX_LINE_BYTES });
        }
        Ok(Body(self.text))
    }
}

/// The checked part of a line that doesn't depend on its place.
#[derive(Clone, Debug)]
pub(super) struct Body(Vec<u8>);

impl Body {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// True for what may name an event or a field: it needs no escaping in JSON and can't be mistaken on a screen.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

fn is_shallow(value: &Value, left: usize) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) if left == 0 => false,
        Value::Array(items) => items.iter().all(|item| is_shallow(item, left - 1)),
        Value::Object(fields) => fields.values().all(|item| is_shallow(item, left - 1)),
        _ => true,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]
mod tests {
    use super::*;

    fn refused(entry: Entry) -> bool {
        matches!(entry.into_body(), Err(RecordError::Entry { .. }))
    }

    #[test]
    fn the_tail_of_the_line_is_in_the_callers_order() {
        let entry = Entry::new("call.requested").field("run", "r1").field("args", serde_json::json!({"a": [1]}));
        let body = entry.into_body().unwrap();
        assert_eq!(body.as_bytes(), br#""ev":"call.requested","run":"r1","args":{"a":[1]}}"#);
    }

    #[test]
    fn names_that_are_taken_repeated_or_odd_are_refused() {
        for name in RESERVED {
            assert!(refused(Entry::new("e").field(name, 1)), "{name}");
        }
        assert!(refused(Entry::new("e").field("a", 1).field("a", 2)));
        assert!(refused(Entry::new("e").field("a\"b", 1)));
        assert!(refused(Entry::new("e").field("", 1)));
        assert!(refused(Entry::new("two words")));
        assert!(refused(Entry::new("record.torn_tail")));
    }

    #[test]
    fn what_no_reader_could_read_back_is_refused() {
        let deep = (0..100).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        assert!(refused(Entry::new("e").field("deep", deep)));
        let large = Entry::new("e").field("large", "x".repeat(MAX_LINE_BYTES));
        assert!(matches!(large.into_body(), Err(RecordError::TooLarge { .. })));
    }
}
