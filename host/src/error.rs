//! The closed list of codes that a refusal carries, the same in MCP results, on the command line and in the record,
//! and the refusal itself. Knows nothing of where a refusal came from; every room above turns its own errors into one.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal, $remedy:literal;)+) => {
        /// Why a call was refused or failed. The list is closed and the texts are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+
        }

        impl Code {
            /// Every code, in the order of the reference page.
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// The stable text of the code.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)+ }
            }

            /// What it means, one sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// What the caller can do about it, where nothing more specific is known.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Code::$name => $remedy,)+ }
            }
        }
    };
}

codes! {
    /// No trusted pack has an action of this name.
    UnknownAction => "unknown_action", "list the actions and use a name from the list";
    /// No target of this name is configured, or the caller may not use it.
    UnknownTarget => "unknown_target", "use one of the targets that the action lists";
    /// Arguments are missing, unknown, of the wrong type or out of range.
    InvalidArguments => "invalid_arguments", "correct the arguments that are named and call again";
    /// Policy does not let this caller run this action.
    DeniedByPolicy => "denied_by_policy", "do not retry; ask the operator if this should be possible";
    /// A person must approve the call first.
    PendingApproval => "pending_approval", "call `lockgate.await_approval` with the approval id; do not repeat the call";
    /// A person denied the call.
    ApprovalDenied => "approval_denied", "do not retry; read the reason and choose another way";
    /// Nobody decided in time, or the approval was not used in time.
    ApprovalExpired => "approval_expired", "call again if the action is still needed";
    /// The request was withdrawn by its requester.
    ApprovalWithdrawn => "approval_withdrawn", "call again if the action is still needed";
    /// The operation id was used before for another call.
    OperationConflict => "operation_conflict", "use a new `operation_id` for a new call; to ask for the old answer, repeat the old call exactly";
    /// No approval of this id is known, or it is somebody else's.
    UnknownApproval => "unknown_approval", "use the approval id from the pending result";
    /// No run of this id is on the record for whoever asks.
    UnknownRun => "unknown_run", "list the recent runs and use an id from there";
    /// The approval was decided or used before.
    ApprovalClosed => "approval_closed", "nothing to do; its state says what became of it";
    /// The person behind the request may not decide it.
    SelfApproval => "self_approval", "ask another person to decide";
    /// What was decided on is not what is stored: the digests differ.
    DigestMismatch => "digest_mismatch", "look at the request again and decide on what it shows now";
    /// A reason is asked for and none was given.
    ReasonRequired => "reason_required", "decide again and say why";
    /// What the request rests on is not what the person saw.
    EvidenceChanged => "evidence_changed", "look at what changed and decide again on what is there now";
    /// What the request rests on was not looked at again, or could not be.
    EvidenceUnavailable => "evidence_unavailable", "look again when the target can be reached, or decide on the evidence of the request and say why";
    /// The standing approval was revoked, has run out or is used up.
    StandingClosed => "standing_closed", "nothing to do; its state says what became of it";
    /// What the call names does not exist.
    NotFound => "not_found", "look up what exists and call again";
    /// There is nothing for this action to do.
    NothingToDo => "nothing_to_do", "nothing needs doing";
    /// The action would not help here.
    NotApplicable => "not_applicable", "use the action that the message names";
    /// The action ran and its effect did not come about.
    NoEffect => "no_effect", "look at the present state before trying anything else";
    /// What was approved is no longer what is there; nothing was done.
    TargetChanged => "target_changed", "investigate again; what was approved is gone";
    /// A statement or the whole call ran out of time and was cancelled on the server.
    Timeout => "timeout", "narrow the call or try again when the server is less busy";
    /// The result has more rows than the statement declared.
    TooManyRows => "too_many_rows", "narrow the call";
    /// The result has more bytes than the host lets out.
    OutputTooLarge => "output_too_large", "narrow the call";
    /// The pack asked for a statement that the action did not declare.
    UndeclaredStatement => "undeclared_statement", "tell the pack's publisher";
    /// The pack gave a statement inputs that don't fit its declaration.
    WrongInputs => "wrong_inputs", "tell the pack's publisher";
    /// The database role lacks a privilege.
    MissingPrivilege => "missing_privilege", "ask the operator for what the message names; `lockgate doctor` prints the grants";
    /// The action does not work on this server version or without this extension.
    UnsupportedServerVersion => "unsupported_server_version", "use a target of a version that the message names";
    /// The action does not work on a standby.
    NotOnStandby => "not_on_standby", "use the primary";
    /// The server skipped the work, or a part of it, with a warning that no missing privilege on the object explains.
    Skipped => "skipped", "look at what the warning names; a partition may belong to another role";
    /// PostgreSQL answered with an error.
    DatabaseError => "database_error", "read the message; the server refused the statement";
    /// The database could not be reached.
    ConnectionFailed => "connection_failed", "check that the target is up; the operator can run `lockgate doctor`";
    /// The act may or may not have happened.
    OutcomeUnknown => "outcome_unknown", "look at the state of the database; this call is never repeated by itself";
    /// The pack's code crashed.
    PackTrap => "pack_trap", "tell the pack's publisher";
    /// The pack's code used more memory, stack or output than it may.
    PackLimit => "pack_limit", "tell the pack's publisher";
    /// The pack's code ran longer than it may.
    PackTimeout => "pack_timeout", "tell the pack's publisher";
    /// The pack says that it has a defect.
    PackFailure => "pack_failure", "tell the pack's publisher";
    /// The record can't be written, so nothing may run.
    RecordUnavailable => "record_unavailable", "the operator must make the record writable, verify it and restart lockgate";
    /// The store of approvals can't be used, so nothing that needs it may run.
    StoreUnavailable => "store_unavailable", "the operator must make the state directory usable";
    /// Too many calls at once.
    Overloaded => "overloaded", "wait a moment and call again";
    /// The caller cancelled the call.
    Cancelled => "cancelled", "call again if it is still needed";
    /// No caller could be made out, or it may not use this door.
    Unauthorized => "unauthorized", "present a valid agent token";
    /// An account, or what it logs in with, can't be made or changed so.
    AccountRefused => "account_refused", "read the message; it says what must be otherwise";
    /// A configuration, policy or command line can't be used.
    ConfigInvalid => "config_invalid", "correct the place that is named";
    /// A defect of lockgate.
    InternalError => "internal_error", "report it; the record has the run id";

    /// The pack has no envelope beside it.
    EnvelopeMissing => "envelope_missing", "put `NAME-VERSION.wasm.dsse.json` beside the component";
    /// The envelope is not a well-formed lockgate envelope.
    EnvelopeInvalid => "envelope_invalid", "sign the component again with `lockgate-sign sign`";
    /// No trusted key signed this envelope, or a signature does not verify.
    SignatureInvalid => "signature_invalid", "get the component and its envelope from the publisher again";
    /// Fewer trusted keys signed than the trust policy asks for.
    ThresholdNotMet => "threshold_not_met", "have another of the publisher's keys sign the envelope";
    /// The envelope or the key is not valid at this time.
    NotValidNow => "not_valid_now", "get an envelope that is valid now; check the clock";
    /// The key or the component has been revoked.
    Revoked => "revoked", "do not use this pack; get a later version";
    /// The bytes are not the ones that were signed.
    ComponentMismatch => "component_mismatch", "get the component and its envelope from the publisher again";
    /// The trust policy has no publisher for this pack name.
    PublisherNotTrusted => "publisher_not_trusted", "add the publisher to `trust.toml` if you mean to trust it";
    /// A later version of this pack has been used here.
    Rollback => "rollback", "use the later version, or allow going back explicitly";
    /// A pack or a change of trust would be let do more, and nobody has agreed to it.
    ConsentRequired => "consent_required", "look at what is shown and agree at a terminal, or name it beside `--yes`";
    /// A registry or a server does not give what was asked of it.
    FetchFailed => "fetch_failed", "check the address, the credentials and the network; nothing was changed";
    /// A version of a pack that was used here is offered with other bytes.
    TagMoved => "tag_moved", "do not use it; ask the publisher why a version was published twice";
    /// A file is larger than its bound.
    FileTooLarge => "file_too_large", "check that this is the right file";
    /// A file can't be read, or is no regular file.
    FileRefused => "file_refused", "give a regular file that lockgate may read; links are not followed";
    /// The trust policy can't be used.
    TrustInvalid => "trust_invalid", "correct `trust.toml` at the place that is named";
    /// The bytes are no WebAssembly component, or use a feature that packs may not use.
    ComponentInvalid => "component_invalid", "build the pack with `lockgate pack build`";
    /// The component imports something other than the query interface.
    ImportRefused => "import_refused", "build the pack without WASI and other imports";
    /// The component does not export the contract.
    ExportMissing => "export_missing", "export the `actions` interface of a supported contract version";
    /// The component failed to describe itself.
    DescribeFailed => "describe_failed", "tell the pack's publisher";
    /// The component described itself differently the second time.
    DescribeUnstable => "describe_unstable", "tell the pack's publisher";
    /// The component's manifest breaks a rule.
    ManifestInvalid => "manifest_invalid", "correct the place that is named";
    /// The component declares something other than what was signed.
    ManifestMismatch => "manifest_mismatch", "sign the manifest that this component has";
    /// A statement breaks a rule.
    StatementRefused => "statement_refused", "correct the statement that is named";
    /// A statement is of a class that the trust policy does not grant to this publisher.
    ClassNotGranted => "class_not_granted", "grant the class in `trust.toml` if you mean to";
    /// An action's declared risk is lower than the class of its statements allows.
    RiskBelowFloor => "risk_below_floor", "raise the declared risk of the action";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing wrong with one argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The argument's name; empty for the whole call.
    pub argument: String,
    /// What is wrong and what would be right; one sentence, lower case.
    pub message: String,
}

/// A call that was not carried out, or failed: a value, not a bug.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// Which of the closed list.
    pub code: Code,
    /// What was wrong and where; one sentence, lower case, no period.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// For `invalid_arguments`: every problem at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// True if this answers a call that was made before under the same operation id: nothing ran for this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

impl Refusal {
    /// A refusal with the code's general remedy.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), remedy: code.remedy().to_owned(), problems: Vec::new(), replayed: false }
    }

    /// The same with a remedy that fits this very case.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The same as the answer to an earlier call under the same operation id.
    #[must_use]
    pub fn as_replay(mut self) -> Self {
        self.replayed = true;
        self
    }

    /// The same with the problems, one per argument.
    #[must_use]
    pub fn with_problems(mut self, problems: Vec<Problem>) -> Self {
        self.problems = problems;
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The reference page as it should be.
    fn page() -> String {
        let mut text = String::from(
            "# Codes\n\n\
             Every refusal and failure carries one code of this closed list, the same in MCP results, on the command line and in\n\
             the record. Codes are stable: programs may rely on them. The message says what and where; the remedy here is the\n\
             general one, and a message may carry a better one.\n\n\
             | code | meaning | what to do |\n|---|---|---|\n",
        );
        for code in Code::ALL {
            text.push_str(&format!("| `{code}` | {} | {} |\n", code.meaning(), code.remedy()));
        }
        text
    }

    /// `LOCKGATE_WRITE_DOCS=1` writes the page instead.
    #[test]
    fn the_reference_page_lists_every_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
        if std::env::var_os("LOCKGATE_WRITE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page());
    }

    #[test]
    fn codes_are_distinct_and_plain() {
        let texts: std::collections::BTreeSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(texts.iter().all(|t| t.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
