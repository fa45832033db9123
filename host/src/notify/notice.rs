//! What people are told, before it is given a channel's form: who asks for what, where, how risky it is, what would be hit,
//! until when, and where to look. Text of agents, packs, databases and people is plain and short by now, and has been
//! redacted once more; arguments are not part of it at all, and neither is anything by which somebody could decide.

use jiff::Timestamp;
use serde::Serialize;

use super::event::EventKind;
use crate::{
    approval::{
        PeopleAt, digest,
        render::time::{absolute, relative},
    },
    outside::plain,
    redact::Redactor,
    store::{Approval, State, outbox::Message},
};

/// Characters of a name.
const NAME: usize = 130;
/// Characters of a text: a phone's screen.
const TEXT: usize = 400;

/// A message's content.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The message's id: the same each time it is tried.
    pub id: String,
    /// What happened; `None` for a test.
    pub event: Option<EventKind>,
    /// When it happened.
    pub at: Timestamp,
    /// What it happened to.
    pub about: Option<About>,
    /// Where to look.
    pub link: Option<String>,
}

/// A request, as far as it leaves the host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct About {
    /// Its id.
    pub approval: String,
    /// Its run on the record.
    pub run: String,
    /// Its state as the message is sent.
    pub state: State,
    /// `pack.action`.
    pub action: String,
    /// The target's name.
    pub target: String,
    /// `low`, `medium`, `high` or `critical`.
    pub risk: String,
    /// The agent's name.
    pub agent: String,
    /// The person it acts for.
    pub person: Option<String>,
    /// What would be hit, in the pack's words.
    pub summary: String,
    /// Why, in the agent's words.
    pub reason: String,
    /// How many people must approve, and how many have.
    pub approvals_needed: u32,
    /// See `approvals_needed`.
    pub approvals_given: usize,
    /// When it can no longer be decided, or used.
    pub expires_at: Option<Timestamp>,
    /// Who decided.
    pub decided_by: Option<String>,
    /// Why, in that person's words, or why it was set aside.
    pub decision_reason: Option<String>,
    /// The digest of what is decided on, as screens show it: to compare, nothing more.
    pub digest_short: String,
}

/// One fact with its label. The label is ours; the text may be anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub label: &'static str,
    /// The text, on one line.
    pub text: String,
}

impl Notice {
    /// Of a message about an approval.
    #[must_use]
    pub fn of(
        message: &Message,
        event: EventKind,
        approval: &Approval,
        redactor: &Redactor,
        people_at: Option<&PeopleAt>,
        now: Timestamp,
    ) -> Self {
        Self {
            id: message.id.clone(),
            event: Some(event),
            at: message.event.at,
            about: Some(About::of(approval, redactor, now)),
            link: people_at.map(|people| people.link(&approval.id)),
        }
    }

    /// What `lockgate notify test` sends.
    #[must_use]
    pub fn test(id: String, now: Timestamp) -> Self {
        Self { id, event: None, at: now, about: None, link: None }
    }

    /// One line: what it is about and what happened to it.
    #[must_use]
    pub fn headline(&self) -> String {
        match (&self.about, self.event) {
            (Some(about), Some(event)) => {
                format!("{} risk: {} on {} {}", about.risk, about.action, about.target, event.title())
            }
            _ => "a test of this channel: nothing waits".to_owned(),
        }
    }

    /// The facts, most important first.
    #[must_use]
    pub fn facts(&self, now: Timestamp) -> Vec<Fact> {
        let Some(about) = &self.about else {
            let text = "lockgate reaches this channel; requests will be told here".to_owned();
            return vec![Fact { label: "test", text }];
        };
        let time = |at: Timestamp| format!("{} ({})", absolute(at), relative(at, now));
        let for_whom = about.person.as_ref().map(|person| format!(" for {person}")).unwrap_or_default();
        let given = if about.approvals_needed > 1 {
            Some(format!("{} of {} given", about.approvals_given, about.approvals_needed))
        } else {
            None
        };
        let facts = [
            ("what", Some(format!("{} on {}", about.action, about.target))),
            ("risk", Some(about.risk.clone())),
            ("would hit", Some(about.summary.clone())),
            ("agent's reason", Some(about.reason.clone())),
            ("asked by", Some(format!("{}{for_whom}", about.agent))),
            ("state", Some(about.state.to_string())),
            ("approvals", given),
            ("decided by", about.decided_by.clone()),
            ("why", about.decision_reason.clone()),
            ("expires", about.expires_at.map(time)),
            ("request", Some(about.approval.clone())),
            ("digest", Some(about.digest_short.clone())),
        ];
        let facts = facts.into_iter().filter_map(|(label, text)| Some(Fact { label, text: text? }));
        facts.filter(|fact| !fact.text.is_empty()).collect()
    }
}

impl About {
    fn of(approval: &Approval, redactor: &Redactor, now: Timestamp) -> Self {
        let request = &approval.request;
        let short = |text: &str, most: usize| plain(&redactor.text(text), most).text;
        let name = |text: &str| short(text, NAME);
        let state = approval.state_at(now);
        let evidence = request.evidence.get("summary").and_then(serde_json::Value::as_str).unwrap_or_default();
        Self {
            approval: approval.id.clone(),
            run: request.run.clone(),
            state,
            action: name(&request.action),
            target: name(&request.target),
            risk: name(&request.risk),
            agent: name(&request.requester.agent),
            person: request.requester.person.as_deref().map(name),
            summary: short(evidence, TEXT),
            reason: short(&request.reason, TEXT),
            approvals_needed: request.needed,
            approvals_given: approval.approvals(),
            expires_at: match state {
                State::Pending => Some(approval.decide_by),
                State::Approved => approval.execute_by,
                _ => None,
            },
            decided_by: approval.decided_by.as_deref().map(name),
            decision_reason: approval.decision_reason.as_deref().map(|text| short(text, TEXT)),
            digest_short: digest::short(&approval.digest),
        }
    }
}
