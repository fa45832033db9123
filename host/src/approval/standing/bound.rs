//! What one argument of a call may be under a standing approval.

use std::cmp::Ordering;

use lockgate_signing::glob::{self, Pattern};
use serde_json::{Number, Value as Json};

use crate::store::Bound;

/// Values that a list may have: more is no bound that a person reads.
const LISTED: usize = 50;

/// A list of values as somebody writes it, with commas between; each of the kind that the argument had, so that `4242` is a
/// number only where one stood.
#[must_use]
pub fn one_of(before: Option<&Json>, text: &str) -> Bound {
    let value = |text: &str| match before {
        Some(Json::String(_)) | None => Json::String(text.to_owned()),
        Some(_) => serde_json::from_str(text.trim()).unwrap_or_else(|_| Json::String(text.to_owned())),
    };
    Bound::OneOf(text.split(',').map(value).collect())
}

/// A range as somebody writes it, `MIN..MAX`; `None` if that is not two numbers.
#[must_use]
pub fn range(text: &str) -> Option<Bound> {
    let (min, max) = text.split_once("..")?;
    let number = |text: &str| serde_json::from_str(text.trim()).ok();
    Some(Bound::Range { min: number(min)?, max: number(max)? })
}

/// Whether a value is within a bound.
#[must_use]
pub fn admits(bound: &Bound, value: &Json) -> bool {
    match (bound, value) {
        (Bound::Equal(one), value) => one == value,
        (Bound::OneOf(list), value) => list.contains(value),
        (Bound::Glob(pattern), Json::String(text)) => glob::matches(pattern, text),
        (Bound::Range { min, max }, Json::Number(number)) => {
            let ordered = |a: &Number, b: &Number| matches!(compare(a, b), Some(Ordering::Less | Ordering::Equal));
            ordered(min, number) && ordered(number, max)
        }
        (Bound::Glob(_) | Bound::Range { .. }, _) => false,
    }
}

/// Whole numbers as whole numbers: a double has not room for all of them.
fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Refuses a bound that bounds nothing or can't be met; the error is one sentence.
pub(super) fn check(name: &str, bound: &Bound) -> Result<(), String> {
    match bound {
        Bound::OneOf(list) if list.is_empty() || list.len() > LISTED => {
            Err(format!("`{name}` may be one of 1 to {LISTED} values"))
        }
        Bound::Equal(_) | Bound::OneOf(_) => Ok(()),
        Bound::Glob(pattern) if pattern.bytes().all(|byte| byte == b'*') => {
            Err(format!("the pattern of `{name}` lets everything through and so bounds nothing"))
        }
        Bound::Glob(pattern) => pattern.parse::<Pattern>().map(drop).map_err(|error| format!("`{name}`: {error}")),
        Bound::Range { min, max } => match compare(min, max) {
            Some(Ordering::Less | Ordering::Equal) => Ok(()),
            _ => Err(format!("the range of `{name}` is empty")),
        },
    }
}
