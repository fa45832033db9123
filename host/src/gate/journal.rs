//! What the gate puts on the record, one function an event, so that the names and fields of the record's lines stand in
//! one place. An intent that is durable is a value that the executor asks for.

use hmac::{Hmac, KeyInit, Mac};
use lockgate_signing::encoding::hex;
use serde_json::{Value as Json, json};
use sha2::Sha256;

use super::call::{Call, Outcome, Principal, Refused};
use crate::{
    audit::{Entry, Health, Record},
    canonical::canonical_object,
    error::{Code, Refusal},
    pack::catalog::Entry as Action,
    policy::Decision,
    redact::Redactor,
    statement::{Mode, Role},
    store::{self, Approval, Creation, Operation, code_of},
    value::Value,
};

/// Characters of a refused call's message on the record: a call with a thousand unknown arguments is still one short line.
const MESSAGE: usize = 4000;
/// Bytes of an act's rows on the record, of a line's 256 KiB. Two hundred backends with their queries are some 60 KiB.
const EFFECT_BYTES: usize = 128 * 1024;

/// Writes the gate's lines.
pub struct Journal {
    record: Record,
    redactor: Redactor,
    argument_key: [u8; 32],
}

/// What is about to be done, for whom and why.
pub struct Intent<'a> {
    /// Identifies the run.
    pub run: &'a str,
    /// Who calls.
    pub principal: &'a Principal,
    /// As it was made: what the caller says of it.
    pub call: &'a Call,
    /// What policy was asked and said.
    pub ruled: Ruled<'a>,
    /// The run of a process that died, in whose place this one is.
    pub instead_of: Option<&'a str>,
}

/// A call that policy has decided on: what it saw, as far as the record has it, and what it said.
pub struct Ruled<'a> {
    /// What.
    pub action: &'a Action,
    /// With what, defaults filled in.
    pub arguments: &'a serde_json::Map<String, Json>,
    /// Where.
    pub target: &'a str,
    /// The place of the target, as policy saw it.
    pub target_role: Option<Role>,
    /// What policy said.
    pub decision: &'a Decision,
}

/// An intent that is on the record, durably. Without one nothing is executed. Only the journal makes it.
#[derive(Debug)]
pub struct RecordedIntent {
    run: String,
}

impl RecordedIntent {
    /// The run it stands for.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }
}

/// One statement that was sent to a server in the course of a run.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Executed {
    /// The statement's id.
    pub statement: String,
    /// `read`, `act` or `maintain`.
    pub mode: Mode,
    /// Rows that came back; `None` if it failed.
    pub rows: Option<usize>,
    /// Milliseconds.
    pub ms: u64,
    /// How it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Journal {
    /// `argument_key` keys the digests of arguments, so that a reader of the record can't guess short ones.
    #[must_use]
    pub fn new(record: Record, redactor: Redactor, argument_key: [u8; 32]) -> Self {
        Self { record, redactor, argument_key }
    }

    /// Whether anything may be executed at all.
    pub fn check(&self) -> Result<(), Refusal> {
        match self.record.health() {
            Health::Latched { reason } => Err(unavailable(&reason)),
            // Lines are durable; a checkpoint that could not be exported is the operator's to see, not the caller's.
            _ => Ok(()),
        }
    }

    /// A call that policy allows or holds, before anything touches a database.
    pub async fn intent(&self, intent: &Intent<'_>) -> Result<RecordedIntent, Refusal> {
        let entry = self
            .caller("call.intent", intent.run, intent.principal)
            .field("action", &*intent.ruled.action.name)
            .field("target", intent.ruled.target)
            .field("reason", self.redactor.text(&intent.call.reason).into_owned());
        let entry = self.ruled(entry, &intent.ruled);
        let entry = match intent.instead_of {
            Some(run) => entry.field("instead_of", run),
            None => entry,
        };
        self.durable(self.said(entry, intent.call)).await?;
        Ok(RecordedIntent { run: intent.run.to_owned() })
    }

    /// A call that goes no further. If even this can't be recorded, that is the refusal.
    pub async fn refused(&self, run: &str, principal: &Principal, call: &Call, refusal: Refusal) -> Refused {
        let entry = self.refusal(run, principal, call, call.target.as_deref(), &refusal);
        self.recorded(entry, run, call, refusal).await
    }

    /// The same of a call that policy denied, with what it was denied on: a later policy can be put to it.
    pub async fn denied(
        &self,
        run: &str,
        principal: &Principal,
        call: &Call,
        ruled: &Ruled<'_>,
        refusal: Refusal,
    ) -> Refused {
        // The target that was meant, also where it was not named.
        let entry = self.refusal(run, principal, call, Some(ruled.target), &refusal);
        self.recorded(self.ruled(entry, ruled), run, call, refusal).await
    }

    fn refusal(&self, run: &str, principal: &Principal, call: &Call, target: Option<&str>, refusal: &Refusal) -> Entry {
        let name: String = call.action.chars().take(130).collect();
        self.caller("call.refused", run, principal)
            .field("action", self.redactor.text(&name).into_owned())
            .field("target", target.map(|t| self.redactor.text(t).chars().take(130).collect::<String>()))
            .field("reason", self.redactor.text(&call.reason).chars().take(1000).collect::<String>())
            .field("code", refusal.code.as_str())
            .field("message", self.redactor.text(&refusal.message).chars().take(MESSAGE).collect::<String>())
    }

    async fn recorded(&self, entry: Entry, run: &str, call: &Call, refusal: Refusal) -> Refused {
        match self.durable(self.said(entry, call)).await {
            Ok(()) => Refused { run: run.to_owned(), refusal },
            Err(unrecorded) => Refused { run: String::new(), refusal: unrecorded },
        }
    }

    /// An approval that came to an end without being used, or whose process did not live to say how it ended.
    pub async fn closed(&self, approval: &Approval) -> Result<(), Refusal> {
        self.durable(closed(approval)).await
    }

    /// The start of an approved execution, after the approval was consumed and before its effect.
    pub async fn consumed(&self, approval: &Approval) -> Result<RecordedIntent, Refusal> {
        let run = approval.request.run.clone();
        self.durable(
            Entry::new("approval.consumed")
                .field("run", run.as_str())
                .field("approval", approval.id.as_str())
                .field("digest", approval.digest.to_string())
                .field("approved_by", approval.decided_by.clone())
                .field("pins", serde_json::to_value(&approval.request.pins).unwrap_or(Json::Null)),
        )
        .await?;
        Ok(RecordedIntent { run })
    }

    /// A named call that was made again: whoever made it is given the answer of this run, which has ended or is held.
    pub async fn replayed(
        &self,
        run: &str,
        principal: &Principal,
        operation: &str,
        state: &str,
    ) -> Result<(), Refusal> {
        let entry = self.caller("operation.replayed", run, principal);
        let operation = self.redactor.text(operation).into_owned();
        self.durable(entry.field("operation", operation).field("state", state)).await
    }

    /// A named call that had begun to act when the process that carried it out died.
    pub async fn operation_lost(&self, lost: &Operation) -> Result<(), Refusal> {
        self.durable(
            Entry::new("operation.closed")
                .field("run", lost.run.as_str())
                .field("agent", lost.key.agent.as_str())
                .field("person", lost.key.person.clone())
                .field("operation", self.redactor.text(&lost.key.id).into_owned())
                .field("action", lost.action.as_str())
                .field("target", lost.target.as_str())
                .field("state", "unknown")
                .field("code", Code::OutcomeUnknown.as_str()),
        )
        .await
    }

    /// How a run ended.
    pub async fn ended(
        &self,
        run: &str,
        executed: &[Executed],
        ms: u64,
        end: Result<&Outcome, &Refusal>,
    ) -> Result<(), Refusal> {
        let entry = Entry::new("call.outcome")
            .field("run", run)
            .field("executed", serde_json::to_value(executed).unwrap_or(Json::Null))
            .field("ms", ms);
        let entry = match end {
            Ok(outcome) => entry
                .field("status", "succeeded")
                .field("summary", outcome.summary.as_str())
                .field("tables", tables(outcome, executed.iter().any(|one| one.mode != Mode::Read))),
            Err(refusal) => entry
                .field("status", if refusal.code == Code::OutcomeUnknown { "unknown" } else { "failed" })
                .field("code", refusal.code.as_str())
                .field("message", refusal.message.as_str()),
        };
        self.durable(entry).await
    }

    /// The record itself, for what is written inside a step of the store.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Anything else, by the rooms that start and stop the host.
    pub async fn note(&self, entry: Entry) -> Result<(), Refusal> {
        self.durable(entry).await
    }

    /// Writes what is queued, cuts a checkpoint and closes the record.
    pub async fn close(&self) -> Result<(), Refusal> {
        Ok(self.record.close().await?)
    }

    fn caller(&self, event: &str, run: &str, principal: &Principal) -> Entry {
        let entry = Entry::new(event)
            .field("run", run)
            .field("agent", principal.agent.as_str())
            .field("person", principal.person.clone())
            .field("roles", principal.roles.clone())
            .field("door", principal.door.as_str());
        // A later look at what a lost token was used for starts here.
        match &principal.credential {
            Some(credential) => entry.field("credential", credential.as_str()),
            None => entry,
        }
    }

    /// What a caller may say of its call and need not; a call that was refused may say anything at any length.
    fn said(&self, entry: Entry, call: &Call) -> Entry {
        let said = [("evidence", &call.evidence), ("expected", &call.expected), ("operation", &call.operation)];
        said.into_iter().fold(entry, |entry, (name, text)| match text {
            Some(text) => entry.field(name, self.redactor.text(text).chars().take(1000).collect::<String>()),
            None => entry,
        })
    }

    /// What policy saw and said.
    fn ruled(&self, entry: Entry, ruled: &Ruled<'_>) -> Entry {
        let (decision, signed) = (ruled.decision, ruled.action.action.declared().risk);
        let entry = entry
            .field("pack_digest", ruled.action.pack.digest())
            .field("risk", decision.risk().as_str())
            .field("arguments", self.redacted(ruled.arguments))
            .field("arguments_hmac", self.keyed(ruled.arguments))
            .field("verdict", decision.verdict().as_str())
            .field("rule", decision.rule())
            .field("policy_digest", decision.policy_digest());
        let entry = if signed == decision.risk() { entry } else { entry.field("signed_risk", signed.as_str()) };
        match ruled.target_role {
            Some(Role::Primary) => entry.field("target_role", "primary"),
            Some(Role::Standby) => entry.field("target_role", "standby"),
            Some(Role::Any) | None => entry,
        }
    }

    fn redacted(&self, arguments: &serde_json::Map<String, Json>) -> Json {
        let shown = |value: &Json| match value {
            Json::String(text) => Json::String(self.redactor.text(text).into_owned()),
            other => other.clone(),
        };
        Json::Object(arguments.iter().map(|(name, value)| (name.clone(), shown(value))).collect())
    }

    /// A key for another purpose, named by a label that nothing else has: it tells nothing of the others, and every process
    /// with this host's key has the same.
    #[must_use]
    pub fn derived_key(&self, label: &str) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.argument_key) else {
            // HMAC takes keys of every length.
            return store::random_bytes().unwrap_or_default();
        };
        mac.update(label.as_bytes());
        mac.finalize().into_bytes().into()
    }

    fn keyed(&self, arguments: &serde_json::Map<String, Json>) -> Json {
        keyed_digest(&self.argument_key, arguments).map_or(Json::Null, Json::String)
    }

    /// Whether these arguments, as the record has them, are all that the call had: nothing of them was redacted.
    #[must_use]
    pub fn is_exact(&self, arguments: &serde_json::Map<String, Json>, digest: &str) -> bool {
        is_exact(&self.argument_key, arguments, digest)
    }

    async fn durable(&self, entry: Entry) -> Result<(), Refusal> {
        self.record.append(entry).await.map(|_| ()).map_err(|e| unavailable(&e.to_string()))
    }
}

/// What a call that waits for people puts on the record before anybody can see it: a request, with what a person will be shown;
/// or that it asks for what is being asked for already, where one decision will do for both.
pub(super) fn held(run: &str, creation: &Creation) -> Vec<Entry> {
    match creation {
        Creation::Created { approval, superseded } => {
            superseded.iter().map(|old| closed(old)).chain([requested(approval)]).collect()
        }
        Creation::Joined(approval) => vec![
            Entry::new("approval.joined")
                .field("run", run)
                .field("approval", approval.id.as_str())
                .field("first_run", approval.request.run.as_str()),
        ],
    }
}

fn requested(approval: &Approval) -> Entry {
    let request = &approval.request;
    let said = [
        ("agent_evidence", &request.agent_evidence),
        ("agent_expected", &request.agent_expected),
        ("operation", &request.operation),
    ];
    said.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?))).fold(
        Entry::new("approval.requested")
            .field("run", request.run.as_str())
            .field("approval", approval.id.as_str())
            .field("digest", approval.digest.to_string())
            .field("action", request.action.as_str())
            .field("target", request.target.as_str())
            .field("target_identity", request.target_identity.as_str())
            .field("pins", serde_json::to_value(&request.pins).unwrap_or(Json::Null))
            .field("evidence", request.evidence.get("summary").cloned().unwrap_or(Json::Null))
            .field("needed", request.needed)
            .field("approvers", request.approvers.iter().cloned().collect::<Vec<_>>())
            .field("reason_required", request.reason_required)
            .field("decide_by", approval.decide_by.to_string()),
        |entry, (name, text)| entry.field(name, text),
    )
}

fn closed(approval: &Approval) -> Entry {
    Entry::new("approval.closed")
        .field("run", approval.request.run.as_str())
        .field("approval", approval.id.as_str())
        .field("state", approval.state.as_str())
        .field("code", code_of(approval.state).as_str())
        .field("why", approval.decision_reason.clone())
        .field("by", approval.decided_by.clone())
}

/// See [`Journal::is_exact`]; for who has the key and no journal.
pub(crate) fn is_exact(key: &[u8; 32], arguments: &serde_json::Map<String, Json>, digest: &str) -> bool {
    keyed_digest(key, arguments).is_some_and(|own| own == digest)
}

fn keyed_digest(key: &[u8; 32], arguments: &serde_json::Map<String, Json>) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(canonical_object(arguments).as_bytes());
    Some(hex(&mac.finalize().into_bytes()))
}

/// Titles and sizes: of a read the record says how much came out, not what. Of an act it has the rows too, which say what was
/// done to which object; they have been redacted like everything that leaves.
fn tables(outcome: &Outcome, acted: bool) -> Json {
    let mut room = EFFECT_BYTES;
    let tables = outcome.tables.iter().map(|table| {
        let (title, rows) = (&table.title, &table.rows.rows);
        if !acted {
            return json!({ "title": title, "rows": rows.len() });
        }
        let columns: Json = table.rows.columns.iter().map(|column| column.name.as_str()).collect();
        let mut effect = Vec::new();
        for row in rows {
            let row: Json = row.iter().map(Value::to_json).collect();
            let Some(left) = room.checked_sub(row.to_string().len()) else { break };
            room = left;
            effect.push(row);
        }
        json!({ "title": title, "rows": rows.len(), "columns": columns, "effect": effect })
    });
    tables.collect()
}

fn unavailable(reason: &str) -> Refusal {
    Refusal::new(Code::RecordUnavailable, format!("the record can't be written, so nothing runs: {reason}"))
}
