//! The digest that binds a decision: SHA-256 over everything that was decided on, written so that no two different requests
//! have the same bytes. Every part is preceded by its length and every list by its count (64-bit, big-endian), in a fixed
//! order after a name that no other digest of lockgate starts with.

use sha2::{Digest as _, Sha256};

pub use crate::canonical::canonical_json;
use crate::{
    canonical::canonical_object,
    store::{Pin, Request, RequestDigest},
    value::Value,
};

/// What the preimage starts with. A change to what follows is a new version.
const DOMAIN: &str = "lockgate approval request v3";

/// Hexadecimal digits of the short form.
const SHORT_DIGITS: usize = 12;

/// The digest of a request and its nonce: pack digest, action, risk, canonical arguments, target's name and identity, agent,
/// person, operating system's user, roles, reason, the agent's evidence and expectation, its name for the operation, rule,
/// policy digest, pins, evidence, how many must approve, with which roles and whether with a reason, nonce. So it is over
/// everything that a person is shown and everything that is then executed.
///
/// Left out are the run and the door (how it came, not what it is) and the time limits, which the store's own guarded
/// updates enforce.
#[must_use]
pub fn request_digest(request: &Request, nonce: &[u8; 32]) -> RequestDigest {
    RequestDigest(Sha256::digest(preimage(request, nonce)).into())
}

/// The digest as people compare and type it: its first 48 bits in three groups. Enough where the host itself mixes a random
/// nonce into each request, so that nobody can look for a second one that starts alike.
#[must_use]
pub fn short(digest: &RequestDigest) -> String {
    let full = digest.to_string();
    let groups: Vec<&str> = [0..4, 4..8, 8..SHORT_DIGITS].into_iter().filter_map(|range| full.get(range)).collect();
    groups.join("-")
}

/// Whether a person typed this digest: the whole of it or at least the short form, with or without dashes and spaces.
#[must_use]
pub fn is_typed(digest: &RequestDigest, typed: &str) -> bool {
    let typed: String = typed.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    typed.len() >= SHORT_DIGITS && digest.to_string().starts_with(&typed)
}

fn preimage(request: &Request, nonce: &[u8; 32]) -> Vec<u8> {
    let mut out = Preimage::default();
    out.text(DOMAIN);
    out.text(&request.pack_digest);
    out.text(&request.action);
    out.text(&request.risk);
    out.text(&canonical_object(&request.arguments));
    out.text(&request.target);
    out.text(&request.target_identity);
    out.text(&request.requester.agent);
    out.option(request.requester.person.as_deref());
    out.option(request.requester.os_user.as_deref());
    // A sorted set: the order in which a configuration lists roles says nothing.
    out.list(&request.requester.roles, |out, role| out.text(role));
    out.text(&request.reason);
    out.option(request.agent_evidence.as_deref());
    out.option(request.agent_expected.as_deref());
    out.option(request.operation.as_deref());
    out.text(&request.rule);
    out.text(&request.policy_digest);
    out.list(&request.pins, Preimage::pin);
    out.text(&canonical_json(&request.evidence));
    out.part(&request.needed.to_be_bytes());
    out.list(&request.approvers, |out, role| out.text(role));
    out.part(&[u8::from(request.reason_required)]);
    out.part(nonce);
    out.0
}

#[derive(Default)]
struct Preimage(Vec<u8>);

impl Preimage {
    fn number(&mut self, number: usize) {
        // A `usize` has at most 64 bits on every platform that Rust supports.
        self.0.extend_from_slice(&u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes());
    }

    fn part(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.part(text.as_bytes());
    }

    fn list<'a, T: 'a, I>(&mut self, items: I, each: impl Fn(&mut Self, &'a T))
    where
        I: IntoIterator<Item = &'a T>,
        I::IntoIter: ExactSizeIterator,
    {
        let items = items.into_iter();
        self.number(items.len());
        items.for_each(|item| each(self, item));
    }

    // Absent is the empty list, so that it differs from the empty text.
    fn option(&mut self, text: Option<&str>) {
        self.number(usize::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }

    // The kind is written too: an empty list of texts is not an empty list of integers, nor is 1 the same as 1.0.
    fn pin(&mut self, pin: &Pin) {
        self.text(&pin.name);
        self.text(pin.value.kind_name());
        match &pin.value {
            Value::Null => {}
            Value::Boolean(value) => self.part(&[u8::from(*value)]),
            Value::Integer(value) => self.part(&value.to_be_bytes()),
            Value::Number(value) => self.part(&value.to_bits().to_be_bytes()),
            Value::Text(value) => self.text(value),
            Value::Integers(values) => self.list(values, |out, value| out.part(&value.to_be_bytes())),
            Value::Texts(values) => self.list(values, |out, value| out.text(value)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::store::testing;

    /// Reads a preimage back. What can be read back in only one way was written in only one way.
    struct Reader<'a>(&'a [u8]);

    impl<'a> Reader<'a> {
        fn number(&mut self) -> usize {
            let (number, rest) = self.0.split_first_chunk::<8>().unwrap();
            self.0 = rest;
            usize::try_from(u64::from_be_bytes(*number)).unwrap()
        }

        fn part(&mut self) -> &'a [u8] {
            let length = self.number();
            let (part, rest) = self.0.split_at(length);
            self.0 = rest;
            part
        }

        fn text(&mut self) -> String {
            String::from_utf8(self.part().to_vec()).unwrap()
        }

        fn option(&mut self) -> Option<String> {
            (self.number() == 1).then(|| self.text())
        }

        fn pin(&mut self) -> Pin {
            let name = self.text();
            let value = match self.text().as_str() {
                "null" => Value::Null,
                "boolean" => Value::Boolean(self.part() == [1]),
                "integer" => Value::Integer(i64::from_be_bytes(self.part().try_into().unwrap())),
                "number" => Value::Number(f64::from_bits(u64::from_be_bytes(self.part().try_into().unwrap()))),
                "text" => Value::Text(self.text()),
                "integers" => Value::Integers(
                    (0..self.number()).map(|_| i64::from_be_bytes(self.part().try_into().unwrap())).collect(),
                ),
                "texts" => Value::Texts((0..self.number()).map(|_| self.text()).collect()),
                other => panic!("{other}"),
            };
            Pin { name, value }
        }

        fn request(&mut self) -> (Request, Vec<u8>) {
            let mut request = testing::request();
            assert_eq!(self.text(), DOMAIN);
            request.pack_digest = self.text();
            request.action = self.text();
            request.risk = self.text();
            request.arguments = serde_json::from_str(&self.text()).unwrap();
            request.target = self.text();
            request.target_identity = self.text();
            request.requester.agent = self.text();
            request.requester.person = self.option();
            request.requester.os_user = self.option();
            request.requester.roles = (0..self.number()).map(|_| self.text()).collect();
            request.reason = self.text();
            request.agent_evidence = self.option();
            request.agent_expected = self.option();
            request.operation = self.option();
            request.rule = self.text();
            request.policy_digest = self.text();
            request.pins = (0..self.number()).map(|_| self.pin()).collect();
            request.evidence = serde_json::from_str(&self.text()).unwrap();
            request.needed = u32::from_be_bytes(self.part().try_into().unwrap());
            request.approvers = (0..self.number()).map(|_| self.text()).collect();
            request.reason_required = self.part() == [1];
            (request, self.part().to_vec())
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Boolean),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>().prop_map(Value::Number),
            ".{0,4}".prop_map(Value::Text),
            prop::collection::vec(any::<i64>(), 0..3).prop_map(Value::Integers),
            prop::collection::vec(".{0,3}", 0..3).prop_map(Value::Texts),
        ]
    }

    prop_compose! {
        fn any_request()(
            texts in prop::array::uniform9("[ab]{0,3}"),
            person in prop::option::of("[ab]{0,2}"),
            os_user in prop::option::of("[ab]{0,2}"),
            said in prop::array::uniform3(prop::option::of("[ab]{0,2}")),
            roles in prop::collection::btree_set("[ab]{0,2}", 0..3),
            approvers in prop::collection::btree_set("[ab]{0,2}", 0..3),
            needed in 1_u32..3,
            reason_required in any::<bool>(),
            evidence in any_value(),
            arguments in prop::collection::btree_map("[ab]{0,2}", any_value(), 0..3),
            pins in prop::collection::vec(("[ab]{0,2}", any_value()), 0..3),
            nonce in prop::array::uniform32(0_u8..2),
        ) -> (Request, [u8; 32]) {
            let mut request = testing::request();
            let [pack_digest, action, target, target_identity, agent, policy_digest, risk, reason, rule] = texts;
            request.risk = risk;
            request.reason = reason;
            [request.agent_evidence, request.agent_expected, request.operation] = said;
            request.rule = rule;
            request.evidence = evidence.to_json();
            request.needed = needed;
            request.approvers = approvers;
            request.reason_required = reason_required;
            request.pack_digest = pack_digest;
            request.action = action;
            request.target = target;
            request.target_identity = target_identity;
            request.requester.agent = agent;
            request.requester.person = person;
            request.requester.os_user = os_user;
            request.requester.roles = roles;
            request.policy_digest = policy_digest;
            request.arguments = arguments.into_iter().map(|(name, value)| (name, value.to_json())).collect();
            request.pins = pins.into_iter().map(|(name, value)| Pin { name, value }).collect();
            (request, nonce)
        }
    }

    proptest! {
        #[test]
        fn a_preimage_can_be_read_in_one_way_only((request, nonce) in any_request()) {
            let bytes = preimage(&request, &nonce);
            let mut reader = Reader(&bytes);
            let (back, nonce_back) = reader.request();
            prop_assert_eq!(back, request);
            prop_assert_eq!(nonce_back, nonce);
            prop_assert!(reader.0.is_empty());
        }

        #[test]
        fn no_preimage_is_the_start_of_another((one, nonce) in any_request(), (other, other_nonce) in any_request()) {
            let (a, b) = (preimage(&one, &nonce), preimage(&other, &other_nonce));
            if (one, nonce) != (other, other_nonce) {
                prop_assert!(!a.starts_with(&b) && !b.starts_with(&a));
            }
        }
    }

    #[test]
    fn every_bound_field_changes_the_digest() {
        let request = testing::request();
        let nonce = [7; 32];
        let changes: [fn(&mut Request); 28] = [
            |r| r.pack_digest.push('0'),
            |r| r.action.push('x'),
            |r| _ = r.arguments.insert("pid".into(), 4243.into()),
            |r| _ = r.arguments.insert("pid".into(), "4242".into()),
            |r| r.target.push('x'),
            |r| r.target_identity.push('x'),
            |r| r.requester.agent.push('x'),
            |r| r.requester.person = None,
            |r| r.requester.person = Some(String::new()),
            |r| r.requester.os_user = Some("deploy".into()),
            |r| _ = r.requester.roles.insert("admin".into()),
            |r| r.policy_digest.push('0'),
            |r| r.risk.push('x'),
            |r| r.reason.push('x'),
            |r| r.agent_evidence = None,
            |r| r.agent_evidence = Some(String::new()),
            |r| r.agent_expected = None,
            |r| r.agent_expected = r.agent_evidence.clone(),
            |r| r.operation = Some("op-12345".into()),
            |r| (r.agent_evidence, r.agent_expected) = (r.agent_expected.take(), r.agent_evidence.take()),
            |r| r.rule.push('x'),
            |r| r.evidence["summary"] = "nothing to see".into(),
            |r| r.needed += 1,
            |r| _ = r.approvers.insert("dba".into()),
            |r| r.reason_required = true,
            |r| r.pins.clear(),
            |r| r.pins[0].name.push('x'),
            |r| r.pins[0].value = Value::Text("4242".into()),
        ];
        let mut digests: BTreeSet<String> = changes
            .iter()
            .map(|change| {
                let mut changed = request.clone();
                change(&mut changed);
                request_digest(&changed, &nonce).to_string()
            })
            .collect();
        digests.insert(request_digest(&request, &nonce).to_string());
        digests.insert(request_digest(&request, &[8; 32]).to_string());
        assert_eq!(digests.len(), changes.len() + 2);
    }

    #[test]
    fn the_digest_of_a_request_is_stable() {
        // Computed by another program from the same description. If this changes, so must the domain's version: stored
        // approvals would no longer verify.
        assert_eq!(
            request_digest(&testing::request(), &[7; 32]).to_string(),
            "82b5814fa43ebda181947a51e5dbcb489d00510c73bb89308411204b17360df6"
        );
    }

    #[test]
    fn order_of_arguments_and_roles_does_not_matter() {
        let one = testing::request();
        let mut other = one.clone();
        other.arguments = one.arguments.iter().rev().map(|(k, v)| (k.clone(), v.clone())).collect();
        other.requester.roles = one.requester.roles.iter().rev().cloned().collect();
        assert_eq!(request_digest(&one, &[7; 32]), request_digest(&other, &[7; 32]));
    }

    #[test]
    fn the_short_form_can_be_typed_and_less_can_not() {
        let digest = RequestDigest(std::array::from_fn(|i| u8::try_from(i).unwrap()));
        assert_eq!(short(&digest), "0001-0203-0405");
        for typed in ["0001-0203-0405", "000102030405", " 0001 0203 0405 ", &digest.to_string(), "000102030405060"] {
            assert!(is_typed(&digest, typed), "{typed}");
        }
        for typed in ["", "0001-0203", "0001-0203-040", "0001-0203-0406", &format!("{digest}0")] {
            assert!(!is_typed(&digest, typed), "{typed}");
        }
    }
}
