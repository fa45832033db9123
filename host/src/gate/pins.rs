//! What a preview may pin. An approval's digest is over the pins, an approver reads them, the store keeps them and `run` is
//! given them as they are: so they are refused when they are not plain, never mended.

use std::collections::BTreeSet;

use crate::{
    error::{Code, Refusal},
    outside::is_hidden,
    pack::{prove::is_name, sandbox::Evidence},
    store::Pin,
    value::Value,
};

/// Pins of one approval. The stock packs pin three facts at most.
const PINS: usize = 32;
/// Bytes of all pins together: lists of some thousand pids with the instants that their backends started.
const BYTES: usize = 256 << 10;

/// The pins of evidence, as they are stored.
pub(super) fn of(evidence: &Evidence) -> Vec<Pin> {
    evidence.pins.iter().map(|(name, value)| Pin { name: name.clone(), value: value.clone() }).collect()
}

/// Refuses pins that could not stand for a fact: unnamed or named twice, no number, disguised, or too many.
pub(super) fn check(pins: &[(String, Value)]) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::new(Code::PackFailure, format!("the pack's preview {why}")));
    if pins.len() > PINS {
        return refuse(format!("pins {} facts, and {PINS} are allowed", pins.len()));
    }
    let mut names = BTreeSet::new();
    let mut bytes = 0_usize;
    for (name, value) in pins {
        if !is_name(name) {
            return refuse("pins a fact whose name is none".into());
        }
        if !names.insert(name) {
            return refuse(format!("pins `{name}` twice"));
        }
        let texts: &[String] = match value {
            Value::Text(text) => std::slice::from_ref(text),
            Value::Texts(texts) => texts,
            Value::Number(number) if !number.is_finite() => return refuse(format!("pins `{name}` to no number")),
            _ => &[],
        };
        if texts.iter().flat_map(|text| text.chars()).any(is_hidden) {
            return refuse(format!("pins `{name}` to a text with control or invisible characters"));
        }
        bytes += match value {
            Value::Integers(list) => list.len() * 8,
            _ => 8 + texts.iter().map(|text| text.len() + 2).sum::<usize>(),
        };
    }
    if bytes > BYTES {
        return refuse(format!("pins {bytes} bytes, and {BYTES} are allowed"));
    }
    Ok(())
}
