//! Standing approvals: made from a request that people have approved, whether one covers a call, and what one would have let
//! through. A standing approval says *yes* in advance to calls that policy holds; it never says anything to what policy denies.

mod bound;
mod replay;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

pub use self::{
    bound::{admits, one_of, range},
    replay::{REPLAYED, Replay, Replayed, replay},
};
use crate::{
    canonical::canonical_json,
    store::{
        Approval, Beneficiary, Bound, Grant, NewStanding, Request, RequestDigest, Requester, StandingApproval,
        StandingError, State, Voter, person_key, random_id,
    },
};

/// What the digest's preimage starts with. A change to what follows is a new version.
const DOMAIN: &[u8] = b"lockgate standing approval v1\0";

/// Risks from the lowest on.
const RISKS: [&str; 4] = ["low", "medium", "high", "critical"];

/// What somebody proposes, beside the request that they make it from.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// How often.
    pub uses: u32,
    /// For how long from now.
    pub within: SignedDuration,
    /// For every agent with this role, rather than for the agent that asked.
    pub role: Option<String>,
    /// Arguments that may be something else than in the request.
    pub bounds: BTreeMap<String, Bound>,
    /// Who proposes it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Makes a proposal from a request that people approved: the same agent, action, pack and target, and the same arguments,
/// unless it says otherwise.
///
/// # Errors
/// [`StandingError::NotGrantable`].
pub fn propose(approval: &Approval, proposal: Proposal, now: Timestamp) -> Result<NewStanding, StandingError> {
    let request = &approval.request;
    let refuse = |why: String| Err(StandingError::NotGrantable(why));
    if request.risk == "critical" {
        return refuse(format!("`{}` is of critical risk, and such calls are decided one by one", request.action));
    }
    // Set by the approval and by nothing else.
    if approval.execute_by.is_none() || approval.state == State::Denied {
        return refuse(format!(
            "people have not approved `{}`; propose it from a request that they approved",
            approval.id
        ));
    }
    let to = match proposal.role {
        None => Beneficiary::Agent { agent: request.requester.agent.clone(), person: request.requester.person.clone() },
        Some(role) if request.requester.roles.contains(&role) => Beneficiary::Role(role),
        Some(role) => return refuse(format!("the agent that asked does not have the role `{role}`")),
    };
    let mut arguments: BTreeMap<String, Bound> =
        request.arguments.iter().map(|(name, value)| (name.clone(), Bound::Equal(value.clone()))).collect();
    for (name, bound) in proposal.bounds {
        bound::check(&name, &bound).map_err(StandingError::NotGrantable)?;
        let Some(value) = request.arguments.get(&name) else {
            return refuse(format!("the request has no argument `{name}`"));
        };
        if !admits(&bound, value) {
            return refuse(format!(
                "the bound of `{name}` does not let through the request itself, where it is {value}"
            ));
        }
        arguments.insert(name, bound);
    }
    let until =
        now.checked_add(proposal.within).map_err(|_| StandingError::NotGrantable("it ends too late".to_owned()))?;
    // To the second: a person reads it, and the store keeps microseconds.
    let until = Timestamp::from_second(until.as_second()).unwrap_or(until);
    let grant = Grant {
        to,
        action: request.action.clone(),
        pack_digest: request.pack_digest.clone(),
        risk: request.risk.clone(),
        arguments,
        targets: BTreeMap::from([(request.target.clone(), request.target_identity.clone())]),
        uses: proposal.uses,
        until,
        needed: request.needed,
        approvers: request.approvers.clone(),
    };
    let id = random_id("sta_")?;
    let digest = digest(&id, &approval.id, &grant, &proposal.by, &proposal.reason);
    Ok(NewStanding {
        id,
        digest,
        source: approval.id.clone(),
        grant,
        proposed_by: proposal.by,
        reason: proposal.reason,
    })
}

/// The digest of a standing approval, made again from what is stored. It differs from the stored one if somebody edited the store.
#[must_use]
pub fn digest_of(standing: &StandingApproval) -> RequestDigest {
    digest(&standing.id, &standing.source, &standing.grant, &standing.proposed_by, &standing.reason)
}

fn digest(id: &str, source: &str, grant: &Grant, by: &str, reason: &str) -> RequestDigest {
    // Canonical JSON of one object: two different ones have different texts.
    let json = serde_json::json!({
        "id": id, "source": source, "grant": grant, "proposed_by": person_key(by), "reason": reason,
    });
    let mut hash = Sha256::new();
    hash.update(DOMAIN);
    hash.update(canonical_json(&json).as_bytes());
    RequestDigest(hash.finalize().into())
}

/// A call that policy holds, as a standing approval looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Sought<'a> {
    /// Who calls.
    pub requester: &'a Requester,
    /// `pack.action`.
    pub action: &'a str,
    /// SHA-256 of the component, hexadecimal.
    pub pack_digest: &'a str,
    /// By which policy decided.
    pub risk: &'a str,
    /// Where.
    pub target: &'a str,
    /// What the target turned out to be.
    pub target_identity: &'a str,
    /// Validated, defaults filled in.
    pub arguments: &'a serde_json::Map<String, serde_json::Value>,
    /// How many people policy asks for.
    pub needed: u32,
    /// Groups of which each of them must have one.
    pub approvers: &'a std::collections::BTreeSet<String>,
}

impl<'a> Sought<'a> {
    /// A request as it was made.
    #[must_use]
    pub fn of(request: &'a Request) -> Self {
        Self {
            requester: &request.requester,
            action: &request.action,
            pack_digest: &request.pack_digest,
            risk: &request.risk,
            target: &request.target,
            target_identity: &request.target_identity,
            arguments: &request.arguments,
            needed: request.needed,
            approvers: &request.approvers,
        }
    }
}

/// Why a grant does not cover a call. `None`: it does, as far as the grant goes; whether it is in force, the store says.
#[must_use]
pub fn uncovered(grant: &Grant, call: &Sought<'_>) -> Option<&'static str> {
    let has = match &grant.to {
        Beneficiary::Agent { agent, person } => *agent == call.requester.agent && *person == call.requester.person,
        Beneficiary::Role(role) => call.requester.roles.contains(role),
    };
    let rank = |risk: &str| RISKS.iter().position(|known| *known == risk);
    // A name that nobody knows is worse than the worst.
    let risk_fits =
        matches!((rank(call.risk), rank(&grant.risk)), (Some(call), Some(most)) if call <= most && call < 3);
    // Whoever nobody stands behind needs an independent approver, as for a request.
    let needed =
        if call.requester.behind().is_none() { call.needed.max(super::NEEDED_IF_UNRESOLVED) } else { call.needed };
    let groups_fit =
        call.approvers.is_empty() || (!grant.approvers.is_empty() && grant.approvers.is_subset(call.approvers));
    let same_arguments = call.arguments.len() == grant.arguments.len()
        && grant
            .arguments
            .iter()
            .all(|(name, bound)| call.arguments.get(name).is_some_and(|value| admits(bound, value)));
    [
        (has, "it is for somebody else"),
        (grant.action == call.action, "it is for another action"),
        (grant.pack_digest == call.pack_digest, "it is for another version of the pack"),
        (risk_fits, "the risk of the call is higher"),
        (
            grant.targets.get(call.target).is_some_and(|identity| identity == call.target_identity),
            "it is for another target",
        ),
        (same_arguments, "an argument is outside of its bounds"),
        (grant.needed >= needed, "policy asks for more people by now"),
        (groups_fit, "policy asks for other people by now"),
    ]
    .into_iter()
    .find_map(|(holds, why)| (!holds).then_some(why))
}

/// Whether somebody who approved it is behind the call: nobody lets their own calls through, in advance no more than afterwards.
#[must_use]
pub fn is_by_its_own(standing: &StandingApproval, requester: &Requester) -> bool {
    standing.votes.iter().flat_map(|vote| &vote.names).any(|name| requester.is_behind(name))
}

/// Whether a person may put it in force, as far as the grant and the person say.
#[must_use]
pub fn may_approve(standing: &StandingApproval, voter: &Voter) -> bool {
    let groups = &standing.grant.approvers;
    voter.is_admin && (groups.is_empty() || !groups.is_disjoint(&voter.groups))
}

#[cfg(test)]
mod tests;
