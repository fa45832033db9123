//! One strict look at a line's JSON: well-formed, an object, and no key twice at any depth. Two readers that keep
//! different ones of two equal keys would read different records from the same bytes.

use std::{collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Any JSON value without a repeated key; keeps nothing.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value without repeated keys")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Strict, A::Error> {
        while list.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<Strict>()?;
            if let Some(twice) = keys.replace(key) {
                return Err(A::Error::custom(format_args!("the key `{}` is there twice", twice.escape_debug())));
            }
        }
        Ok(Strict)
    }
}

/// Refuses what is not one JSON value, or has a key twice in one object. Says why.
pub(super) fn check(line: &[u8]) -> Result<(), String> {
    serde_json::from_slice::<Strict>(line).map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_repeated_key_is_refused_at_any_depth() {
        assert!(check(br#"{"a":1,"b":{"a":[null,true,-1,1.5,"x",{"a":2}]}}"#).is_ok());
        assert!(check(br#"{"a":1,"a":1}"#).is_err_and(|why| why.contains("`a`")));
        assert!(check(br#"{"x":[{"b":1,"c":2,"b":3}]}"#).is_err());
        // The same key, spelt differently.
        assert!(check(br#"{"a":1,"\u0061":2}"#).is_err());
        assert!(check(br#"{"a":1} {"b":1}"#).is_err());
        assert!(check(b"{\"a\":\"\xff\"}").is_err());
    }
}
