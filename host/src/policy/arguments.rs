//! Conditions on arguments. They see the arguments as the action will get them: validated, defaults filled in. What can't be
//! told (an argument that is not there, a number where a text was expected) is said to be so, and never taken for *no*: a
//! rule that denies must not be dodged by leaving something out.

use std::{cmp::Ordering, fmt};

use lockgate_signing::glob;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value as Json;

use super::holds::Holds;
use crate::outside::is_hidden;

/// Characters of a text in a condition.
const LONGEST: usize = 1000;
/// Values of `one_of`.
const MOST: usize = 1000;

/// What an argument may be compared with.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

/// Values of one kind can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Boolean,
    Number,
    Text,
}

/// Everything that one rule asks of one argument; all of it must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub(super) struct ArgumentTest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) present: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is: Option<Scalar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) one_of: Option<Vec<Scalar>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) matches: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min: Option<Scalar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max: Option<Scalar>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    present: Option<bool>,
    is: Option<Scalar>,
    one_of: Option<Vec<Scalar>>,
    matches: Option<String>,
    min: Option<Scalar>,
    max: Option<Scalar>,
}

impl TryFrom<Written> for ArgumentTest {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { present, is, one_of, matches, min, max } = written;
        let compares = is.is_some() || one_of.is_some() || matches.is_some() || min.is_some() || max.is_some();
        if !compares && present.is_none() {
            return Err("a condition on an argument needs `is`, `one_of`, `matches`, `min`, `max` or `present`");
        }
        if compares && present == Some(false) {
            return Err(
                "an argument that is not there can't be compared; leave out `present = false` or the comparison",
            );
        }
        if [&min, &max].into_iter().flatten().any(|bound| !matches!(bound, Scalar::Integer(_) | Scalar::Number(_))) {
            return Err("`min` and `max` are numbers");
        }
        if let (Some(min), Some(max)) = (&min, &max)
            && min.compare(max) == Some(Ordering::Greater)
        {
            return Err("`min` is above `max`, so nothing is between them");
        }
        if matches.as_ref().is_some_and(|pattern| pattern.is_empty() || !is_plain(pattern)) {
            return Err("`matches` is empty, too long, or has characters that can't be seen");
        }
        let mut one_of = one_of;
        if let Some(values) = &mut one_of {
            if values.is_empty() || values.len() > MOST {
                return Err("`one_of` needs 1 to 1000 values");
            }
            values.sort_by_cached_key(Scalar::sort_key);
            values.dedup();
        }
        Ok(Self { present, is, one_of, matches, min, max })
    }
}

impl ArgumentTest {
    /// Whether it holds for the argument's value; `None` where the call has no such argument.
    pub(super) fn holds(&self, value: Option<&Json>) -> Holds {
        let value = value.filter(|value| !value.is_null());
        let there = match (self.present, value) {
            (Some(wanted), value) => Holds::from(wanted == value.is_some()),
            (None, Some(_)) => Holds::Yes,
            (None, None) => Holds::Untold,
        };
        let Some(value) = value else { return there };
        let equal = |wanted: &Scalar| wanted.equals(value).map_or(Holds::Untold, Holds::from);
        let within = |bound: &Option<Scalar>, allowed: [Ordering; 2]| match bound {
            None => Holds::Yes,
            Some(bound) => match Scalar::of(value).and_then(|value| value.compare(bound)) {
                Some(order) => Holds::from(allowed.contains(&order)),
                None => Holds::Untold,
            },
        };
        let pattern = match (&self.matches, value) {
            (None, _) => Holds::Yes,
            (Some(pattern), Json::String(text)) => Holds::from(glob::matches(pattern, text)),
            (Some(_), _) => Holds::Untold,
        };
        let one_of = self.one_of.as_ref().map_or(Holds::Yes, |values| Holds::any(values.iter().map(equal)));
        Holds::all([
            there,
            self.is.as_ref().map_or(Holds::Yes, equal),
            one_of,
            pattern,
            within(&self.min, [Ordering::Greater, Ordering::Equal]),
            within(&self.max, [Ordering::Less, Ordering::Equal]),
        ])
    }

    /// Of which kinds the values are that it compares with.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let scalars = [&self.is, &self.min, &self.max].into_iter().flatten().chain(self.one_of.iter().flatten());
        scalars.map(Scalar::kind).chain(self.matches.iter().map(|_| Kind::Text)).collect()
    }
}

impl fmt::Display for ArgumentTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &Vec<Scalar>| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let parts = [
            self.present.map(|there| if there { "is given".to_owned() } else { "is not given".to_owned() }),
            self.is.as_ref().map(|value| format!("is {value}")),
            self.one_of.as_ref().map(|values| format!("is one of {}", list(values))),
            self.matches.as_ref().map(|pattern| format!("matches `{pattern}`")),
            self.min.as_ref().map(|bound| format!("is at least {bound}")),
            self.max.as_ref().map(|bound| format!("is at most {bound}")),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(" and "))
    }
}

impl Scalar {
    fn of(json: &Json) -> Option<Self> {
        match json {
            Json::Bool(value) => Some(Self::Boolean(*value)),
            Json::String(text) => Some(Self::Text(text.clone())),
            Json::Number(number) => match number.as_i64() {
                Some(value) => Some(Self::Integer(value)),
                None => number.as_f64().map(Self::Number),
            },
            Json::Null | Json::Array(_) | Json::Object(_) => None,
        }
    }

    /// Whether a value is this one; `None` if it is of another kind.
    fn equals(&self, json: &Json) -> Option<bool> {
        match (self, Self::of(json)?) {
            (Self::Boolean(a), Self::Boolean(b)) => Some(*a == b),
            (Self::Text(a), Self::Text(b)) => Some(*a == b),
            (a, b) => a.compare(&b).map(|order| order == Ordering::Equal),
        }
    }

    /// The order of two numbers, exactly; `None` for what is not a number.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(b),
            (Self::Integer(a), Self::Number(b)) => whole_and_real(*a, *b),
            (Self::Number(a), Self::Integer(b)) => whole_and_real(*b, *a).map(Ordering::reverse),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Boolean(_) => Kind::Boolean,
            Self::Integer(_) | Self::Number(_) => Kind::Number,
            Self::Text(_) => Kind::Text,
        }
    }

    fn sort_key(&self) -> (Kind, String) {
        (self.kind(), self.to_string())
    }
}

/// The order of a whole number and a real one. Turning the whole one into a double would lose its last digits.
fn whole_and_real(whole: i64, real: f64) -> Option<Ordering> {
    if real.is_nan() {
        return None;
    }
    // Exact for every double within the range of i64, and saturated beyond it, where it decides all the same.
    #[allow(clippy::cast_possible_truncation)]
    let floor = real.floor() as i128;
    Some(i128::from(whole).cmp(&floor).then(if real > real.floor() { Ordering::Less } else { Ordering::Equal }))
}

fn is_plain(text: &str) -> bool {
    text.chars().count() <= LONGEST && !text.chars().any(is_hidden)
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            // With its point: `5.0` in a file is another text than `5`.
            Self::Number(value) => write!(f, "{value:?}"),
            Self::Text(text) => write!(f, "`{text}`"),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, or true or false")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Boolean(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                i64::try_from(value).map(Scalar::Integer).map_err(|_| E::custom("the number is too large"))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
                if value.is_finite() { Ok(Scalar::Number(value)) } else { Err(E::custom("the number is not finite")) }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                if is_plain(text) {
                    Ok(Scalar::Text(text.to_owned()))
                } else {
                    Err(E::custom("the text is too long or has characters that can't be seen"))
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn test(text: &str) -> ArgumentTest {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn every_comparison_says_yes_no_or_that_it_cannot_tell() {
        use Holds::{No, Untold, Yes};
        for (written, value, holds) in [
            ("is = \"billing\"", json!("billing"), Yes),
            ("is = \"billing\"", json!("Billing"), No),
            ("is = \"5\"", json!(5), Untold),
            ("is = 5", json!(5), Yes),
            ("is = 5", json!(5.0), Yes),
            ("is = 5", json!("5"), Untold),
            ("is = true", json!(false), No),
            ("is = true", json!(1), Untold),
            ("one_of = [\"a\", \"b\"]", json!("b"), Yes),
            ("one_of = [\"a\", \"b\"]", json!("c"), No),
            ("one_of = [\"a\", 1]", json!("c"), Untold),
            ("one_of = [\"a\", 1]", json!(1), Yes),
            ("matches = \"tmp_*\"", json!("tmp_x"), Yes),
            ("matches = \"tmp_*\"", json!("x_tmp_"), No),
            ("matches = \"*\"", json!(1), Untold),
            ("min = 60", json!(60), Yes),
            ("min = 60", json!(59), No),
            ("min = 60\nmax = 90", json!(91), No),
            ("max = 0.5", json!(0), Yes),
            ("max = 0.5", json!(1), No),
            ("min = -0.5", json!(0), Yes),
            ("min = -0.5", json!(-1), No),
            ("min = 60", json!("60"), Untold),
            ("present = true", json!(0), Yes),
            ("present = false", json!(0), No),
        ] {
            assert_eq!(test(written).holds(Some(&value)), holds, "{written} of {value}");
        }
        for (written, holds) in [
            ("is = 1", Untold),
            ("matches = \"*\"", Untold),
            ("min = 1", Untold),
            ("present = true", No),
            ("present = false", Yes),
            ("present = true\nis = 1", No),
        ] {
            assert_eq!(test(written).holds(None), holds, "{written} of nothing");
            assert_eq!(test(written).holds(Some(&Json::Null)), holds, "{written} of null");
        }
    }

    #[test]
    fn large_numbers_keep_their_last_digit() {
        let bound = test(&format!("max = {}", i64::MAX - 1));
        assert_eq!(bound.holds(Some(&json!(i64::MAX))), Holds::No);
        assert_eq!(bound.holds(Some(&json!(i64::MAX - 1))), Holds::Yes);
        assert_eq!(test("max = 9007199254740992.0").holds(Some(&json!(9_007_199_254_740_993_i64))), Holds::No);
        assert_eq!(test("min = 1e300").holds(Some(&json!(i64::MAX))), Holds::No);
        assert_eq!(test("min = -1e300").holds(Some(&json!(i64::MIN))), Holds::Yes);
    }

    #[test]
    fn a_condition_that_never_holds_or_says_nothing_is_refused() {
        for bad in [
            "",
            "min = 2\nmax = 1",
            "min = 1.5\nmax = 1",
            "min = \"a\"",
            "one_of = []",
            "present = false\nis = 1",
            "is = [1]",
            "is = nan",
            "is = 2026-01-01",
            "matches = \"\"",
            "matches = \"a\\u200b\"",
            "equals = 1",
        ] {
            assert!(toml::from_str::<ArgumentTest>(bad).is_err(), "{bad}");
        }
    }
}
