//! A pin: a fact that `preview` found and `run` is given back. It is stored with its kind, so that what an approver saw and
//! what a statement is given are the same value: an empty list of texts must not come back as a list of integers.

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// One fact that an approval rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Pin {
    /// Its name, as the pack gave it.
    pub name: String,
    /// The fact.
    pub value: Value,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    name: String,
    kind: String,
    value: serde_json::Value,
}

impl From<Pin> for Stored {
    fn from(pin: Pin) -> Self {
        Self { kind: pin.value.kind_name().to_owned(), value: pin.value.to_json(), name: pin.name }
    }
}

impl TryFrom<Stored> for Pin {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        let Stored { name, kind, value } = stored;
        let wrong = |error: serde_json::Error| format!("pin `{name}` is not of kind `{kind}`: {error}");
        let value = match kind.as_str() {
            "null" => Value::Null,
            "boolean" => Value::Boolean(serde_json::from_value(value).map_err(wrong)?),
            "integer" => Value::Integer(serde_json::from_value(value).map_err(wrong)?),
            "number" => Value::Number(serde_json::from_value(value).map_err(wrong)?),
            "text" => Value::Text(serde_json::from_value(value).map_err(wrong)?),
            "integers" => Value::Integers(serde_json::from_value(value).map_err(wrong)?),
            "texts" => Value::Texts(serde_json::from_value(value).map_err(wrong)?),
            _ => return Err(format!("pin `{name}` is of an unknown kind `{kind}`")),
        };
        Ok(Self { name, value })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_as_itself() {
        let values = [
            Value::Null,
            Value::Boolean(true),
            Value::Integer(i64::MIN),
            Value::Number(1.0),
            Value::Number(0.1 + 0.2),
            Value::Text("2026-01-01 00:00:00+00".into()),
            Value::Integers(vec![]),
            Value::Texts(vec![]),
        ];
        for value in values {
            let pin = Pin { name: "p".into(), value };
            let text = serde_json::to_string(&pin).unwrap();
            assert_eq!(serde_json::from_str::<Pin>(&text).unwrap(), pin, "{text}");
        }
    }

    #[test]
    fn a_pin_of_the_wrong_kind_is_refused() {
        assert!(serde_json::from_str::<Pin>(r#"{"name":"p","kind":"integer","value":"1"}"#).is_err());
        assert!(serde_json::from_str::<Pin>(r#"{"name":"p","kind":"other","value":1}"#).is_err());
    }
}
