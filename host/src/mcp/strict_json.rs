//! Reads JSON from a client and refuses what two parsers could read differently: an object with the same key twice.
//! Both transports use it before anything else looks at a message.

use std::{cell::RefCell, fmt};

use bytes::Bytes;
use rmcp::model::{ClientJsonRpcMessage, ErrorData, JsonRpcError, RequestId};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a message is not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MessageError {
    /// It is not JSON.
    #[error("the message is not valid JSON: {0}")]
    Syntax(String),
    /// It is JSON with a key that occurs twice in one object.
    #[error("the key `{key}` occurs twice in one object; send each key once")]
    DuplicateKey {
        /// The key.
        key: String,
        /// The request's id, where that can be told for certain.
        id: Option<RequestId>,
    },
    /// It is JSON and no JSON-RPC message.
    #[error("the message is not a JSON-RPC 2.0 request or notification: {detail}")]
    Shape {
        /// What is missing or wrong.
        detail: String,
        /// The request's id, where it has a usable one.
        id: Option<RequestId>,
    },
    /// It is longer than the transport takes.
    #[error("the message is longer than {limit} bytes")]
    TooLong {
        /// In bytes.
        limit: usize,
    },
}

impl MessageError {
    /// The error as a JSON-RPC response (codes of the JSON-RPC 2.0 specification, section 5.1).
    #[must_use]
    pub fn to_response(&self) -> JsonRpcError {
        let text = self.to_string();
        match self {
            Self::Syntax(_) => JsonRpcError::new(None, ErrorData::parse_error(text, None)),
            Self::TooLong { .. } => JsonRpcError::new(None, ErrorData::invalid_request(text, None)),
            Self::DuplicateKey { id, .. } | Self::Shape { id, .. } => {
                JsonRpcError::new(id.clone(), ErrorData::invalid_request(text, None))
            }
        }
    }
}

/// RFC 8259, section 8.1, lets a parser ignore a byte order mark.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// The message without a byte order mark, for a reader that would not ignore it.
#[must_use]
pub fn without_mark(bytes: Bytes) -> Bytes {
    if bytes.starts_with(MARK) { bytes.slice(MARK.len()..) } else { bytes }
}

/// Parses one message.
///
/// # Errors
///
/// [`MessageError::Syntax`] or [`MessageError::DuplicateKey`].
pub fn parse(bytes: &[u8]) -> Result<Value, MessageError> {
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let duplicate = RefCell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { duplicate: &duplicate, depth: 0 }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| MessageError::Syntax(error.to_string()))?;
    match duplicate.into_inner() {
        None => Ok(value),
        // With the id itself given twice there is no telling which one the client waits for.
        Some((key, 0)) if key == "id" => Err(MessageError::DuplicateKey { key, id: None }),
        Some((key, _)) => Err(MessageError::DuplicateKey { key, id: request_id(&value) }),
    }
}

/// Reads one message of a client.
///
/// # Errors
///
/// Those of [`parse`], and [`MessageError::Shape`].
pub fn message(bytes: &[u8]) -> Result<ClientJsonRpcMessage, MessageError> {
    let value = parse(bytes)?;
    let id = request_id(&value);
    serde_json::from_value(value).map_err(|error| MessageError::Shape { detail: error.to_string(), id })
}

/// The id of a request, if it has one that JSON-RPC allows.
#[must_use]
pub fn request_id(message: &Value) -> Option<RequestId> {
    serde_json::from_value(message.get("id")?.clone()).ok()
}

/// Builds a value and notes the first duplicate key: its name and how deep it is.
#[derive(Clone, Copy)]
struct Strict<'a> {
    duplicate: &'a RefCell<Option<(String, usize)>>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = Self { depth: self.depth.saturating_add(1), ..self };
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = Self { depth: self.depth.saturating_add(1), ..self };
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inner)?;
            if object.contains_key(&key) {
                self.duplicate.borrow_mut().get_or_insert((key, self.depth));
            } else {
                object.insert(key, value);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_a_key_given_twice_at_any_depth() {
        let error = parse(br#"{"id":7,"params":{"arguments":{"pid":1,"pid":2}}}"#).unwrap_err();
        assert_eq!(error, MessageError::DuplicateKey { key: "pid".into(), id: Some(RequestId::Number(7)) });
        assert!(parse(br#"[{"a":1},{"a":[{"b":1,"b":1}]}]"#).is_err());
        // Escapes don't hide it.
        assert!(matches!(parse(br#"{"pid":1,"p\u0069d":2}"#), Err(MessageError::DuplicateKey { .. })));
    }

    #[test]
    fn an_id_given_twice_is_not_answered_to_either() {
        let error = parse(br#"{"id":1,"id":2}"#).unwrap_err();
        assert_eq!(error, MessageError::DuplicateKey { key: "id".into(), id: None });
        let nested = parse(br#"{"id":1,"params":{"id":1,"id":2}}"#).unwrap_err();
        assert_eq!(nested, MessageError::DuplicateKey { key: "id".into(), id: Some(RequestId::Number(1)) });
    }

    #[test]
    fn refuses_what_is_not_json() {
        for bad in ["", "{", "{]", "nul", "{\"a\":1}x", "{\"a\":1e999}", "\"\u{1}\"", "{a:1}", "'a'"] {
            assert!(matches!(parse(bad.as_bytes()), Err(MessageError::Syntax(_))), "{bad}");
        }
        assert!(matches!(parse(b"\"\xff\""), Err(MessageError::Syntax(_))));
        let deep = "[".repeat(100_000);
        assert!(matches!(parse(deep.as_bytes()), Err(MessageError::Syntax(_))));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(".*", inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_the_same_as_the_usual_parser(value in json()) {
            let bytes = serde_json::to_vec(&value).unwrap();
            prop_assert_eq!(parse(&bytes), Ok(value));
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
