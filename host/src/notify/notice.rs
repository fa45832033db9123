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
    store::{Approval, Beneficiary, StandingApproval, StandingState, State, outbox::Message},
};

/// Characters of a name.
const NAME: usize = 130;
/// Characters of a text: a phone's screen.
const TEXT: usize = 400;

/// Targets that are named.
const TARGETS: usize = 10;

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
    pub about: Option<Subject>,
    /// Where to look.
    pub link: Option<String>,
}

/// What a notice is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Subject {
    /// A request.
    Approval(Box<About>),
    /// A standing approval.
    Standing(Box<AboutStanding>),
}

/// A standing approval, as far as it leaves the host: not the bounds of its arguments.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AboutStanding {
    /// Its id.
    pub standing: String,
    /// The approval that it was made from.
    pub from_approval: String,
    /// Its state as the message is sent.
    pub state: StandingState,
    /// `pack.action`.
    pub action: String,
    /// The targets' names.
    pub targets: Vec<String>,
    /// `low`, `medium` or `high`.
    pub risk: String,
    /// Whose calls it lets through.
    pub to: String,
    /// How many.
    pub uses: u32,
    /// How many it has let through.
    pub used: u32,
    /// Until when.
    pub until: Timestamp,
    /// Who proposed it.
    pub proposed_by: String,
    /// Why, in that person's words.
    pub reason: String,
    /// Who approved it.
    pub approved_by: String,
    /// Who took it back.
    pub revoked_by: Option<String>,
    /// Why, in that person's words.
    pub revoked_reason: Option<String>,
    /// The digest of what is decided on, as screens show it: to compare, nothing more.
    pub digest_short: String,
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
            about: Some(Subject::Approval(Box::new(About::of(approval, redactor, now)))),
            link: people_at.map(|people| people.link(&approval.id)),
        }
    }

    /// Of a message about a standing approval.
    #[must_use]
    pub fn of_standing(
        message: &Message,
        event: EventKind,
        standing: &StandingApproval,
        redactor: &Redactor,
        people_at: Option<&PeopleAt>,
        now: Timestamp,
    ) -> Self {
        Self {
            id: message.id.clone(),
            event: Some(event),
            at: message.event.at,
            about: Some(Subject::Standing(Box::new(AboutStanding::of(standing, redactor, now)))),
            link: people_at.map(|people| format!("{people}/")),
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
            (Some(Subject::Approval(about)), Some(event)) => {
                format!("{} risk: {} on {} {}", about.risk, about.action, about.target, event.title())
            }
            (Some(Subject::Standing(about)), Some(event)) => {
                format!("{} risk: {} on {} {}", about.risk, about.action, about.targets.join(", "), event.title())
            }
            _ => "a test of this channel: nothing waits".to_owned(),
        }
    }

    /// The facts, most important first. What is not known is left out.
    #[must_use]
    pub fn facts(&self, now: Timestamp) -> Vec<Fact> {
        let facts = match &self.about {
            Some(Subject::Approval(about)) => about.facts(now),
            Some(Subject::Standing(about)) => about.facts(now),
            None => vec![("test", Some("lockgate reaches this channel; requests will be told here".to_owned()))],
        };
        let facts = facts.into_iter().filter_map(|(label, text)| Some(Fact { label, text: text? }));
        facts.filter(|fact| !fact.text.is_empty()).collect()
    }
}

fn time(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", absolute(at), relative(at, now))
}

/// Text of others, on one short line.
fn short(text: &str, most: usize, redactor: &Redactor) -> String {
    plain(&redactor.text(text), most).text
}

impl AboutStanding {
    fn of(standing: &StandingApproval, redactor: &Redactor, now: Timestamp) -> Self {
        let grant = &standing.grant;
        let name = |text: &str| short(text, NAME, redactor);
        let to = match &grant.to {
            Beneficiary::Agent { agent, person: Some(person) } => format!("{agent} for {person}"),
            Beneficiary::Agent { agent, person: None } => agent.clone(),
            Beneficiary::Role(role) => format!("every agent with the role {role}"),
        };
        let revoked = standing.revoked.as_ref();
        Self {
            standing: standing.id.clone(),
            from_approval: standing.source.clone(),
            state: standing.state_at(now),
            action: name(&grant.action),
            targets: grant.targets.keys().take(TARGETS).map(|target| name(target)).collect(),
            risk: name(&grant.risk),
            to: name(&to),
            uses: grant.uses,
            used: standing.used,
            until: grant.until,
            proposed_by: name(&standing.proposed_by),
            reason: short(&standing.reason, TEXT, redactor),
            approved_by: name(&standing.approved_by()),
            revoked_by: revoked.map(|revoked| name(&revoked.by)),
            revoked_reason: revoked.map(|revoked| short(&revoked.reason, TEXT, redactor)),
            digest_short: digest::short(&standing.digest),
        }
    }

    fn facts(&self, now: Timestamp) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("what", Some(format!("{} on {}", self.action, self.targets.join(", ")))),
            ("risk", Some(self.risk.clone())),
            ("lets through", Some(format!("{} of {} calls used, of {}", self.used, self.uses, self.to))),
            ("until", Some(time(self.until, now))),
            ("state", Some(self.state.to_string())),
            ("proposed by", Some(self.proposed_by.clone())),
            ("why", Some(self.reason.clone())),
            ("approved by", Some(self.approved_by.clone())),
            ("revoked by", self.revoked_by.clone()),
            ("why revoked", self.revoked_reason.clone()),
            ("standing approval", Some(self.standing.clone())),
            ("digest", Some(self.digest_short.clone())),
        ]
    }
}

impl About {
    fn of(approval: &Approval, redactor: &Redactor, now: Timestamp) -> Self {
        let request = &approval.request;
        let short = |text: &str, most: usize| short(text, most, redactor);
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
    fn facts(&self, now: Timestamp) -> Vec<(&'static str, Option<String>)> {
        let for_whom = self.person.as_ref().map(|person| format!(" for {person}")).unwrap_or_default();
        let given = format!("{} of {} given", self.approvals_given, self.approvals_needed);
        vec![
            ("what", Some(format!("{} on {}", self.action, self.target))),
            ("risk", Some(self.risk.clone())),
            ("would hit", Some(self.summary.clone())),
            ("agent's reason", Some(self.reason.clone())),
            ("asked by", Some(format!("{}{for_whom}", self.agent))),
            ("state", Some(self.state.to_string())),
            ("approvals", (self.approvals_needed > 1).then_some(given)),
            ("decided by", self.decided_by.clone()),
            ("why", self.decision_reason.clone()),
            ("expires", self.expires_at.map(|at| time(at, now))),
            ("request", Some(self.approval.clone())),
            ("digest", Some(self.digest_short.clone())),
        ]
    }
}
