//! How requests and standing approvals stand at one time, as far as open pages show it, and what became different since an
//! earlier time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{Change, Kind};
use crate::store::{Approval, ChangeMark, Filter, StandingState, State, Store, StoreError};

/// What has ended is shown for so long, and so many of it.
const LATELY: SignedDuration = SignedDuration::from_hours(24);
const ENDED: usize = 12;
/// The newest requests that have ended, among which those are sought.
const LOOKED_AT: u32 = 60;
/// What nothing follows any more.
const OVER: [State; 7] = [
    State::Succeeded,
    State::Failed,
    State::Unknown,
    State::Denied,
    State::Expired,
    State::Withdrawn,
    State::Superseded,
];

/// How things stand.
pub struct Snapshot {
    /// Another one whenever something is different.
    pub version: u64,
    /// Requests that wait for people, the most urgent first.
    pub pending: Vec<Approval>,
    /// Requests that people let through and that have not ended, newest first.
    pub under_way: Vec<Approval>,
    /// What has ended lately, what ended last first.
    pub ended: Vec<Approval>,
    /// When this was looked at.
    pub at: Timestamp,
    requests: BTreeMap<String, Stand>,
    standing: BTreeMap<String, (StandingState, u32, usize)>,
    mark: ChangeMark,
    /// When something runs out by itself.
    due: Option<Timestamp>,
}

/// What of a request shows on a page and may change.
#[derive(PartialEq, Eq)]
struct Stand {
    state: State,
    votes: Vec<(String, Timestamp)>,
}

impl Snapshot {
    /// Looks, unless nothing was written since `known` and nothing has run out.
    pub(super) fn take(store: &dyn Store, known: Option<Arc<Self>>, now: Timestamp) -> Result<Arc<Self>, StoreError> {
        // Before looking: what is written in between is found the next time.
        let mark = store.change_mark()?;
        if let Some(known) = &known
            && known.mark == mark
            && known.due.is_none_or(|due| now < due)
        {
            return Ok(Arc::clone(known));
        }
        let open = Filter { states: vec![State::Pending, State::Approved, State::Consumed], ..Filter::default() };
        let over = Filter { states: OVER.to_vec(), limit: Some(LOOKED_AT), ..Filter::default() };
        let mut found: BTreeMap<String, Approval> = BTreeMap::new();
        // What ends between the two is in both, as it was last.
        for approval in store.list(&open)?.into_iter().chain(store.list(&over)?) {
            found.insert(approval.id.clone(), approval);
        }
        let standing = store.standings()?;
        let due = found
            .values()
            .filter_map(|approval| limit(approval, now))
            .chain(standing.iter().map(|one| one.grant.until).filter(|until| *until > now))
            .min();
        let requests = found.iter().map(|(id, approval)| (id.clone(), Stand::of(approval, now))).collect();
        let standing =
            standing.into_iter().map(|one| (one.id.clone(), (one.state_at(now), one.used, one.votes.len()))).collect();
        let mut snapshot = Self {
            version: 0,
            pending: vec![],
            under_way: vec![],
            ended: vec![],
            at: now,
            requests,
            standing,
            mark,
            due,
        };
        snapshot.sort(found, now);
        if let Some(known) = known {
            let is_same = known.requests == snapshot.requests && known.standing == snapshot.standing;
            snapshot.version = known.version + u64::from(!is_same);
        }
        Ok(Arc::new(snapshot))
    }

    fn sort(&mut self, found: BTreeMap<String, Approval>, now: Timestamp) {
        for approval in found.into_values() {
            match approval.state_at(now) {
                State::Pending => self.pending.push(approval),
                State::Approved | State::Consumed => self.under_way.push(approval),
                _ if now.duration_since(ended_at(&approval)) < LATELY => self.ended.push(approval),
                _ => {}
            }
        }
        let rank = |risk: &str| ["critical", "high", "medium", "low"].iter().position(|known| *known == risk);
        self.pending.sort_by_key(|approval| (approval.decide_by, rank(&approval.request.risk), approval.created_at));
        self.under_way.sort_by_key(|approval| std::cmp::Reverse(approval.decided_at));
        self.ended.sort_by_key(|approval| std::cmp::Reverse(ended_at(approval)));
        self.ended.truncate(ENDED);
    }

    /// What is different from an earlier time. What had ended then and is not looked at any more is no change.
    pub(super) fn since<'a>(&'a self, before: &'a Self) -> Vec<Change> {
        let mut requests = changed(&before.requests, &self.requests);
        let was_open = before.requests.iter().filter(|(_, stand)| !stand.state.is_terminal()).map(|(id, _)| id);
        requests.extend(was_open.filter(|id| !self.requests.contains_key(*id)));
        let standing = changed(&before.standing, &self.standing);
        let of = |kind| move |id: &String| Change { kind, id: id.clone() };
        requests.into_iter().map(of(Kind::Request)).chain(standing.into_iter().map(of(Kind::Standing))).collect()
    }
}

impl Stand {
    fn of(approval: &Approval, now: Timestamp) -> Self {
        let votes = approval.votes.iter().map(|vote| (vote.person.clone(), vote.at)).collect();
        Self { state: approval.state_at(now), votes }
    }
}

fn changed<'a, T: PartialEq>(before: &BTreeMap<String, T>, now: &'a BTreeMap<String, T>) -> BTreeSet<&'a String> {
    now.iter().filter(|(id, stand)| before.get(*id) != Some(stand)).map(|(id, _)| id).collect()
}

/// When it will have ended by itself.
fn limit(approval: &Approval, now: Timestamp) -> Option<Timestamp> {
    match approval.state_at(now) {
        State::Pending => Some(approval.decide_by),
        State::Approved => approval.execute_by,
        _ => None,
    }
}

/// When it ended, written down or not.
pub(crate) fn ended_at(approval: &Approval) -> Timestamp {
    let ran_out = match approval.state {
        State::Pending => Some(approval.decide_by),
        State::Approved => approval.execute_by,
        _ => None,
    };
    ran_out.or(approval.finished_at).or(approval.decided_at).unwrap_or(approval.created_at)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::store::testing;

    fn ids(found: &[Approval]) -> Vec<&str> {
        found.iter().map(|approval| approval.id.as_str()).collect()
    }

    #[test]
    fn what_waits_is_sorted_by_urgency_and_every_step_is_one_change() {
        let (_state, store) = testing::store();
        let later = testing::asked(&store, |request| request.decide_within = std::time::Duration::from_secs(3_000));
        let first = Snapshot::take(&store, None, testing::at(1)).unwrap();
        let sooner = testing::asked(&store, |request| {
            request.decide_within = std::time::Duration::from_secs(60);
            request.target = "other".into();
        });
        let second = Snapshot::take(&store, Some(Arc::clone(&first)), testing::at(1)).unwrap();
        assert_eq!(ids(&second.pending), [sooner.id.as_str(), later.id.as_str()]);
        assert_eq!(second.since(&first), [Change { kind: Kind::Request, id: sooner.id.clone() }]);
        assert_eq!(second.version, first.version + 1);

        store_vote(&store, &later);
        let third = Snapshot::take(&store, Some(Arc::clone(&second)), testing::at(3)).unwrap();
        assert_eq!(third.since(&second), [Change { kind: Kind::Request, id: later.id.clone() }]);
        assert_eq!((ids(&third.pending), ids(&third.under_way)), (vec![sooner.id.as_str()], vec![later.id.as_str()]));

        // Nobody writes an expiry down here: the time alone brings it about.
        let fourth = Snapshot::take(&store, Some(Arc::clone(&third)), testing::at(61)).unwrap();
        assert_eq!(fourth.since(&third), [Change { kind: Kind::Request, id: sooner.id.clone() }]);
        assert_eq!((fourth.pending.len(), ids(&fourth.ended)), (0, vec![sooner.id.as_str()]));
        let same = Snapshot::take(&store, Some(Arc::clone(&fourth)), testing::at(62)).unwrap();
        assert!(Arc::ptr_eq(&same, &fourth), "nothing was written, so nothing is read");
    }

    fn store_vote(store: &dyn Store, approval: &Approval) {
        crate::approval::vote(store, &testing::approve(approval, "grace", 2)).unwrap();
    }

    #[test]
    fn what_does_not_show_is_no_change() {
        let (_state, store) = testing::store();
        testing::asked(&store, |_| ());
        let before = Snapshot::take(&store, None, testing::at(1)).unwrap();
        store.set_meta("some", "thing").unwrap();
        let after = Snapshot::take(&store, Some(Arc::clone(&before)), testing::at(1)).unwrap();
        assert!(!Arc::ptr_eq(&before, &after));
        assert_eq!((after.since(&before), after.version), (vec![], before.version));
    }
}
