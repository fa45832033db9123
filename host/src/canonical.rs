//! Canonical JSON: the one text of a JSON value that digests are taken over. Knows no room; approvals, the store and
//! the record use it.

use std::fmt::Write as _;

use serde_json::Value;

/// The value as JSON without whitespace, the keys of every object sorted by their UTF-8 bytes.
///
/// Two values have the same text only if they are equal: `1` and `1.0` differ, and integers keep all their digits. That
/// is where this differs from RFC 8785, which turns every number into a double.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

/// [`canonical_json`] of an object that is held as its map.
#[must_use]
pub fn canonical_object(map: &serde_json::Map<String, Value>) -> String {
    let mut text = String::new();
    write_object(map, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(map) => write_object(map, text),
        // Writing to a string can't fail, and `Value`'s own text of a scalar is already the only one.
        scalar => _ = write!(text, "{scalar}"),
    }
}

fn write_object(map: &serde_json::Map<String, Value>, text: &mut String) {
    // Sorted here and not left to the map: whether it sorts depends on a feature that any dependency may turn on.
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| key.as_bytes());
    text.push('{');
    for (position, (key, value)) in entries.into_iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        _ = write!(text, "{}:", Value::from(key.as_str()));
        write(value, text);
    }
    text.push('}');
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn sorts_keys_and_drops_whitespace() {
        let value: Value =
            serde_json::from_str(r#" { "b" : [1, 2.5, null], "a" : { "z": "x\n", "é": true } } "#).unwrap();
        assert_eq!(canonical_json(&value), r#"{"a":{"z":"x\n","é":true},"b":[1,2.5,null]}"#);
    }

    #[test]
    fn tells_an_integer_from_a_number_and_keeps_every_digit() {
        assert_eq!(
            canonical_json(&json!([1, 1.0, i64::MAX, u64::MAX])),
            "[1,1.0,9223372036854775807,18446744073709551615]"
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((".{0,4}", inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn survives_a_round_trip(value in any_json()) {
            let text = canonical_json(&value);
            let back: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&back, &value);
            prop_assert_eq!(canonical_json(&back), text);
        }
    }
}
