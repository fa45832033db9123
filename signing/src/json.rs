//! Strict JSON. A document is accepted only if it has one reading: no duplicate keys, no trailing data, no unknown fields,
//! and what was read, written again, is the same document (which excludes a struct spelled as an array, `null` for a
//! field left out, or a time in another notation).

use std::{collections::BTreeSet, fmt};

use serde::{
    Serialize,
    de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

use crate::encoding::printable;

/// A document that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, not of the expected shape, or with a key twice.
    #[error("{0}")]
    Shape(String),
    /// It can be read, but not as the one spelling of what it says.
    #[error(
        "the document does not have the one accepted spelling (objects as objects, times as `2026-01-31T12:00:00Z`, nothing set to null)"
    )]
    Spelling,
}

/// Reads a document strictly.
///
/// # Errors
///
/// [`JsonError`], with line and column where there is one.
pub fn from_slice<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, JsonError> {
    let shape = |error: serde_json::Error| JsonError::Shape(printable(&error.to_string()));
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let written = Unique.deserialize(&mut deserializer).map_err(shape)?;
    deserializer.end().map_err(shape)?;
    let read: T = serde_json::from_slice(bytes).map_err(shape)?;
    if serde_json::to_value(&read).ok() == Some(written) { Ok(read) } else { Err(JsonError::Spelling) }
}

/// Reads any value and refuses a key that occurs twice in one object, escapes resolved.
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Unique)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut seen = BTreeSet::new();
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format_args!("the key `{key}` occurs twice")));
            }
            object.insert(key, entries.next_value_seed(Unique)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        a: u8,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        b: Option<String>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        c: BTreeMap<String, u8>,
    }

    #[test]
    fn one_document_has_one_reading() {
        assert!(from_slice::<Sample>(br#" {"b":"x", "a":1} "#).is_ok());
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":1,"c":{"x":1,"x":1}}"#,
            r#"{"a":1,"c":{"x":1,"\u0078":2}}"#,
            r#"{"a":1,"d":1}"#,
            r#"{"a":1} {}"#,
            r#"{"a":1}x"#,
            r#"{"a":1,"b":null}"#,
            r#"[1,"x",{}]"#,
            r#"{"a":1,}"#,
            r#"{"a":1.0}"#,
            r#"{"a":"1"}"#,
            "",
            "{",
            "\u{feff}{\"a\":1}",
        ] {
            assert!(from_slice::<Sample>(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(from_slice::<Sample>(b"{\"a\":1,\"b\":\"\xff\"}").is_err());
        assert!(from_slice::<Sample>("[".repeat(100_000).as_bytes()).is_err(), "depth is bounded");
    }
}
