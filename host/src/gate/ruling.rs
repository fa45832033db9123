//! How the gate asks policy: one call as policy sees it, when it is made and again before an approval is used.

use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use super::{Gate, Prepared, call::Principal, resolve::Asked};
use crate::{
    error::{Code, Refusal},
    pack::catalog::{Entry, ValidatedArgs},
    policy::{Decision, Subject, Verdict},
    postgres::Target,
    statement::Role,
    store::{Approval, Request},
};

/// A call that policy denied, with what it was denied on.
pub(super) struct Denied {
    pub(super) refusal: Refusal,
    pub(super) prepared: Box<Prepared>,
}

/// Why a call goes no further than being looked at.
pub(super) enum Unprepared {
    /// It can't be: what it names is not there, or its arguments are not fit.
    Refused(Refusal),
    /// It could be, and policy says no.
    Denied(Denied),
}

impl From<Refusal> for Unprepared {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Gate {
    /// What policy says to a call.
    pub(super) fn decide(&self, principal: &Principal, asked: &Asked, arguments: &ValidatedArgs) -> Decision {
        let subject = subject(principal, &asked.entry, &asked.target, arguments.json(), Timestamp::now());
        self.rules().policy.decide(&subject)
    }

    /// Policy once more, before an approval is used: the time, or the target's place, may be another by now. What people were
    /// asked must still be all that is asked.
    pub(super) fn still_ruled(
        &self,
        approval: &Approval,
        entry: &Entry,
        target: &Target,
        arguments: &ValidatedArgs,
    ) -> Result<(), Refusal> {
        let request = &approval.request;
        let roles: Vec<String> = request.requester.roles.iter().cloned().collect();
        let subject = Subject {
            action: &entry.name,
            risk: entry.action.declared().risk,
            target: target.name(),
            target_role: place(target),
            agent: &request.requester.agent,
            person: request.requester.behind(),
            roles: &roles,
            arguments: arguments.json(),
            at: Timestamp::now(),
        };
        still_asked(&self.rules().policy.decide(&subject), request)
    }
}

/// Whether what people were asked is still all that policy asks.
fn still_asked(decision: &Decision, request: &Request) -> Result<(), Refusal> {
    let groups = decision.approvers();
    let of_groups = groups.is_empty() || (!request.approvers.is_empty() && request.approvers.is_subset(groups));
    let of_reason = request.reason_required || !decision.reason_required();
    match decision.verdict() {
        Verdict::Allow => Ok(()),
        Verdict::Deny => Err(denied(decision)),
        Verdict::Approve if decision.approvals() <= request.needed && of_groups && of_reason => Ok(()),
        Verdict::Approve => Err(Refusal::new(
            Code::TargetChanged,
            format!("policy asks for more by now than what was approved: {}", decision.rule()),
        )),
    }
}

/// A call as policy sees it.
pub(super) fn subject<'a>(
    principal: &'a Principal,
    entry: &'a Entry,
    target: &'a Target,
    arguments: &'a Map<String, Json>,
    at: Timestamp,
) -> Subject<'a> {
    Subject {
        action: &entry.name,
        risk: entry.action.declared().risk,
        target: target.name(),
        target_role: place(target),
        agent: &principal.agent,
        person: behind(principal),
        roles: &principal.roles,
        arguments,
        at,
    }
}

/// Whether a target is a primary or a standby, as it was last seen. Nothing is asked of it: nothing is on the record yet.
pub(super) fn place(target: &Target) -> Option<Role> {
    target.role_hint().filter(|role| *role != Role::Any)
}

/// The person behind an agent, as approvals know them.
fn behind(principal: &Principal) -> Option<&str> {
    // INVARIANT: as `Requester::behind`, which owns its names.
    [&principal.person, &principal.os_user].into_iter().flatten().map(|name| name.trim()).find(|name| !name.is_empty())
}

/// The refusal of a call that policy denies.
pub(super) fn denied(decision: &Decision) -> Refusal {
    Refusal::new(Code::DeniedByPolicy, format!("denied by {}", decision.rule()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use serde_json::json;

    use super::*;
    use crate::{
        gate::{call::Door, requester},
        pack::manifest::Risk,
        policy::Policy,
        store::Requester,
    };

    fn request(needed: u32, approvers: &[&str]) -> Request {
        Request {
            run: "run_1".into(),
            requester: Requester {
                agent: "claude".into(),
                person: Some("ada".into()),
                os_user: None,
                roles: BTreeSet::new(),
                door: "stdio".into(),
            },
            action: "postgres.kill_idle".into(),
            pack_digest: String::new(),
            risk: "high".into(),
            target: "primary".into(),
            target_identity: String::new(),
            arguments: Map::new(),
            reason: String::new(),
            agent_evidence: None,
            agent_expected: None,
            operation: None,
            rule: String::new(),
            policy_digest: String::new(),
            pins: Vec::new(),
            evidence: json!({}),
            needed,
            approvers: approvers.iter().map(|&group| group.to_owned()).collect(),
            reason_required: false,
            decide_within: Duration::from_secs(60),
            execute_within: Duration::from_secs(60),
        }
    }

    #[test]
    fn an_approval_is_used_only_if_it_is_still_all_that_policy_asks() {
        let office = "version = 1\n[[rule]]\nname = \"day\"\nactions = [\"*\"]\ndecision = \"approve\"\napprovals = 2\napprovers = [\"dba\", \"lead\"]\nduring = [{ from = \"08:00\", to = \"18:00\" }]\n[[rule]]\nname = \"night\"\nactions = [\"*\"]\ndecision = \"deny\"\noutside = [{ from = \"06:00\", to = \"22:00\" }]\n";
        let policy = Policy::parse(office, "policy.toml").unwrap();
        let none = Map::new();
        let at = |at: &str, risk: Risk| {
            policy.decide(&Subject {
                action: "postgres.kill_idle",
                risk,
                target: "primary",
                target_role: None,
                agent: "claude",
                person: Some("ada"),
                roles: &[],
                arguments: &none,
                at: at.parse().unwrap(),
            })
        };
        let (day, evening, night) = (
            at("2026-11-20T12:00:00Z", Risk::High),
            at("2026-11-20T19:00:00Z", Risk::High),
            at("2026-11-20T23:00:00Z", Risk::High),
        );
        let code = |decision: &Decision, request: &Request| still_asked(decision, request).err().map(|r| r.code);
        assert_eq!(code(&day, &request(2, &["dba", "lead"])), None);
        assert_eq!(code(&day, &request(3, &["lead"])), None, "more was asked than need be");
        assert_eq!(code(&day, &request(1, &["dba", "lead"])), Some(Code::TargetChanged), "too few");
        assert_eq!(code(&day, &request(2, &[])), Some(Code::TargetChanged), "anyone was asked");
        assert_eq!(code(&day, &request(2, &["dba", "intern"])), Some(Code::TargetChanged), "others were asked");
        assert_eq!(code(&evening, &request(1, &[])), None, "the default asks one person");
        assert_eq!(code(&night, &request(2, &["dba", "lead"])), Some(Code::DeniedByPolicy), "the night has begun");
        assert_eq!(code(&at("2026-11-20T19:00:00Z", Risk::Low), &request(1, &[])), None, "allowed by now");
    }

    #[test]
    fn policy_and_approvals_see_the_same_person_behind_an_agent() {
        for (person, os_user) in [
            (Some("Ada"), Some("deploy")),
            (Some(" "), Some("deploy")),
            (None, Some("deploy")),
            (Some(" ada "), None),
            (None, None),
        ] {
            let principal = Principal {
                agent: "claude".into(),
                person: person.map(Into::into),
                os_user: os_user.map(Into::into),
                roles: Vec::new(),
                door: Door::Http,
                scope: crate::gate::call::Scope::default(),
                credential: None,
            };
            let known: Requester = requester(&principal);
            assert_eq!(behind(&principal), known.behind());
        }
    }
}
