//! The state that a client of revision 2026-07-28 carries from the answer that gave it a link to the call that follows: which
//! approval the call waits for. It is sealed to who was answered and to the very call, since a client can send anything.
//! Even so it opens no more than `lockgate.await_approval` does: the gate looks up whose the approval is.

use rmcp::{
    ErrorData,
    model::{CallToolRequestParams, RequestStateCodec, SealOptions},
};
use serde_json::Map;

use crate::{canonical::canonical_object, gate::call::Principal, store};

/// Seals states and opens them again.
#[derive(Clone, Debug)]
pub(in crate::mcp) struct Seal(RequestStateCodec);

impl Default for Seal {
    /// With a key of this process alone.
    fn default() -> Self {
        // Without randomness nothing starts; were this reached, states could be forged that name an approval, and the gate
        // would still ask whose it is.
        Self::new(&store::random_bytes().unwrap_or_default())
    }
}

impl Seal {
    /// With a key that other processes of this host have too, and this one when it starts again.
    pub(in crate::mcp) fn new(key: &[u8; 32]) -> Self {
        // 32 bytes are as many as the codec asks for.
        Self(RequestStateCodec::new_unchecked(key.to_vec()))
    }

    /// The state of a call that waits for an approval.
    pub(in crate::mcp) fn seal(&self, approval: &str, principal: &Principal, call: &CallToolRequestParams) -> String {
        self.0.seal_with(approval.as_bytes(), &SealOptions::new().associated_data(&bound(principal, call)))
    }

    /// The approval that a call waits for, if the state was given to this principal for this call.
    pub(in crate::mcp) fn open(
        &self,
        state: &str,
        principal: &Principal,
        call: &CallToolRequestParams,
    ) -> Result<String, ErrorData> {
        // One answer for all that can be wrong with it, so that nothing is learnt from trying.
        let opened = self.0.open_with(state, &bound(principal, call)).ok();
        opened.and_then(|approval| String::from_utf8(approval).ok()).ok_or_else(|| {
            let message = "the request state is not one that was given for this call; call again without it: a call \
                that is waiting already is joined";
            ErrorData::invalid_params(message, None)
        })
    }
}

/// Who calls and what, each part preceded by its length.
fn bound(principal: &Principal, call: &CallToolRequestParams) -> Vec<u8> {
    let arguments = canonical_object(call.arguments.as_ref().unwrap_or(&Map::new()));
    let mut bytes = b"lockgate held call v1".to_vec();
    for part in [&principal.agent, principal.person.as_deref().unwrap_or_default(), &call.name, &arguments] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::needless_pass_by_value)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::gate::call::{Door, Scope};

    fn who(agent: &str, person: &str) -> Principal {
        Principal {
            agent: agent.into(),
            person: Some(person.into()),
            os_user: None,
            roles: Vec::new(),
            door: Door::Http,
            scope: Scope::default(),
            credential: None,
        }
    }

    fn call(name: &str, arguments: Value) -> CallToolRequestParams {
        let Value::Object(arguments) = arguments else { unreachable!() };
        CallToolRequestParams::new(name.to_owned()).with_arguments(arguments)
    }

    #[test]
    fn a_state_opens_for_whom_and_what_it_was_sealed() {
        let seal = Seal::new(&[7; 32]);
        let (ana, act) = (who("bot", "ana"), call("a.act", json!({"pid": 1, "reason": "x"})));
        let state = seal.seal("apr_1", &ana, &act);
        let reordered = call("a.act", json!({"reason": "x", "pid": 1}));
        assert_eq!(seal.open(&state, &ana, &reordered).unwrap(), "apr_1");
        assert_eq!(Seal::new(&[7; 32]).open(&state, &ana, &act).unwrap(), "apr_1", "also after a restart");
        let strange = [
            seal.open(&state, &who("bot", "ben"), &act),
            seal.open(&state, &who("bo", "tana"), &act),
            seal.open(&state, &ana, &call("a.act", json!({"pid": 2, "reason": "x"}))),
            seal.open(&state, &ana, &call("a.other", json!({"pid": 1, "reason": "x"}))),
            seal.open(&state.replacen("rs1.", "rs1.A", 1), &ana, &act),
            seal.open("", &ana, &act),
            seal.open("apr_1", &ana, &act),
            Seal::new(&[8; 32]).open(&state, &ana, &act),
            Seal::default().open(&state, &ana, &act),
        ];
        let messages: Vec<_> = strange.into_iter().map(|opened| opened.unwrap_err().message).collect();
        assert!(messages.iter().all(|message| message == &messages[0]), "nothing is learnt from trying");
    }
}
