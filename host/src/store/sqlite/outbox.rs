//! The queries for events and messages.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    SqliteStore,
    rows::{later, micros, timestamp},
};
use crate::store::{
    StoreError,
    outbox::{ChannelState, Delivery, Event, Happened, Message, Outbox, Settled, Wish},
    random_id,
};

/// Events that are looked at in one transaction. More come the next time.
const AT_ONCE: u32 = 200;
/// What was sent or given up stays this long, for whoever looks into it.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// For which time a channel's failures are shown after they are over.
const RECENT: Duration = Duration::from_secs(24 * 3600);

impl Outbox for SqliteStore {
    fn last_event(&self) -> Result<i64, StoreError> {
        self.read(|tx| Ok(tx.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0))?))
    }

    fn events_after(&self, seq: i64, most: u32) -> Result<Vec<Event>, StoreError> {
        self.read(|tx| {
            let mut statement =
                tx.prepare_cached("SELECT seq, event, subject, at FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
            let mut rows = statement.query(params![seq, most])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(event(row)?);
            }
            Ok(found)
        })
    }

    fn event_counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached("SELECT event, count FROM event_counts ORDER BY event")?;
            let found = statement.query_map([], |row| Ok((row.get(0)?, count(row.get(1)?))))?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    fn open_channel(&self, channel: &str) -> Result<(), StoreError> {
        self.write(|tx| open(tx, channel))
    }

    fn queue_messages(
        &self,
        channel: &str,
        wish: &dyn Fn(&Happened) -> Wish,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        // Looked at first without the write lock: mostly there is nothing.
        let is_behind: bool = self.read(|tx| {
            let sql = "SELECT NOT EXISTS (SELECT 1 FROM notify_channels WHERE name = ?1)
                OR (SELECT coalesce(max(seq), 0) FROM events) > (SELECT seen FROM notify_channels WHERE name = ?1)";
            Ok::<_, StoreError>(tx.prepare_cached(sql)?.query_row([channel], |row| row.get(0))?)
        })?;
        if !is_behind {
            return Ok(0);
        }
        self.write(|tx| queue(tx, channel, wish, now))
    }

    fn take_message(
        &self,
        channel: &str,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Message>, StoreError> {
        if self.read(|tx| due(tx, channel, now))?.is_none() {
            return Ok(None);
        }
        self.write(|tx| {
            let Some(id) = due(tx, channel, now)? else { return Ok(None) };
            let mut statement = tx.prepare_cached(
                "UPDATE notify_messages SET attempts = attempts + 1, lease = ?2, lease_until = ?3 WHERE id = ?1
                 RETURNING seq, event, subject, at, try_until, attempts",
            )?;
            let mut rows = statement.query(params![id, holder, later(now, lease)])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let until = timestamp(row.get("try_until")?)?;
            let (event, attempt) = (event(row)?, row.get("attempts")?);
            Ok(Some(Message::leased(id, channel.to_owned(), event, until, attempt, holder.to_owned())))
        })
    }

    fn settle_message(&self, message: &Message, end: &Delivery, now: Timestamp) -> Result<Settled, StoreError> {
        self.write(|tx| settle(tx, message, end, now))
    }

    fn channel_states(&self, now: Timestamp) -> Result<Vec<ChannelState>, StoreError> {
        self.read(|tx| {
            let since = micros(now).saturating_sub(i64::try_from(RECENT.as_micros()).unwrap_or(i64::MAX));
            let mut statement = tx.prepare_cached(
                "SELECT c.name,
                    count(*) FILTER (WHERE m.state = 'queued'),
                    count(*) FILTER (WHERE m.state = 'queued' AND m.error IS NOT NULL),
                    min(m.at) FILTER (WHERE m.state = 'queued'),
                    count(*) FILTER (WHERE m.state = 'failed' AND m.ended_at > ?1),
                    (SELECT error FROM notify_messages WHERE channel = c.name AND error IS NOT NULL
                        AND (state = 'queued' OR (state = 'failed' AND ended_at > ?1)) ORDER BY seq DESC LIMIT 1)
                 FROM notify_channels c LEFT JOIN notify_messages m ON m.channel = c.name GROUP BY c.name ORDER BY c.name",
            )?;
            let mut rows = statement.query([since])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(ChannelState {
                    channel: row.get(0)?,
                    queued: count(row.get(1)?),
                    failing: count(row.get(2)?),
                    oldest: row.get::<_, Option<i64>>(3)?.map(timestamp).transpose()?,
                    given_up: count(row.get(4)?),
                    error: row.get(5)?,
                });
            }
            Ok(found)
        })
    }
}

fn event(row: &Row<'_>) -> Result<Event, StoreError> {
    Ok(Event {
        seq: row.get("seq")?,
        event: row.get("event")?,
        subject: row.get("subject")?,
        at: timestamp(row.get("at")?)?,
    })
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn open(tx: &Connection, channel: &str) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO notify_channels (name, seen) SELECT ?1, coalesce(max(seq), 0) FROM events WHERE true
         ON CONFLICT (name) DO NOTHING",
        [channel],
    )?;
    Ok(())
}

fn queue(
    tx: &Connection,
    channel: &str,
    wish: &dyn Fn(&Happened) -> Wish,
    now: Timestamp,
) -> Result<usize, StoreError> {
    open(tx, channel)?;
    let seen: i64 = tx.query_row("SELECT seen FROM notify_channels WHERE name = ?1", [channel], |row| row.get(0))?;
    let happened = happened(tx, seen)?;
    let mut queued = 0;
    for one in &happened {
        let Wish::Send { until } = wish(one) else { continue };
        let Event { seq, event, subject, at } = &one.event;
        queued += tx
            .prepare_cached(
                "INSERT INTO notify_messages (id, channel, seq, event, subject, at, try_until, next_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (channel, seq) DO NOTHING",
            )?
            .execute(params![
                random_id("msg_")?,
                channel,
                seq,
                event,
                subject,
                micros(*at),
                micros(until),
                micros(now)
            ])?;
    }
    if let Some(last) = happened.last() {
        tx.execute("UPDATE notify_channels SET seen = ?2 WHERE name = ?1", params![channel, last.event.seq])?;
        forget(tx, now)?;
    }
    Ok(queued)
}

fn happened(tx: &Connection, seen: i64) -> Result<Vec<Happened>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT e.seq, e.event, e.subject, e.at, coalesce(a.risk, s.risk) AS risk, a.target,
             coalesce(a.decide_by, s.until) AS decide_by, coalesce(a.state = 'pending', s.state = 'proposed', 0) AS waits
         FROM events e LEFT JOIN approvals a ON a.id = e.subject LEFT JOIN standing_approvals s ON s.id = e.subject
         WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![seen, AT_ONCE])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Happened {
            event: event(row)?,
            risk: row.get("risk")?,
            target: row.get("target")?,
            decide_by: row.get::<_, Option<i64>>("decide_by")?.map(timestamp).transpose()?,
            waits: row.get("waits")?,
        });
    }
    Ok(found)
}

/// Removes what is over for long. Events of an open message stay: it says what they were.
fn forget(tx: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let kept = SignedDuration::try_from(KEPT).unwrap_or_default();
    let before = micros(now.checked_sub(kept).unwrap_or(Timestamp::MIN));
    tx.prepare_cached("DELETE FROM notify_messages WHERE ended_at < ?1")?.execute([before])?;
    tx.prepare_cached(
        "DELETE FROM events WHERE at < ?1 AND seq <= (SELECT coalesce(min(seen), 0) FROM notify_channels)",
    )?
    .execute([before])?;
    Ok(())
}

fn due(tx: &Connection, channel: &str, now: Timestamp) -> Result<Option<String>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT id FROM notify_messages WHERE channel = ?1 AND state = 'queued' AND next_at <= ?2
             AND (lease_until IS NULL OR lease_until <= ?2)
         ORDER BY next_at, seq LIMIT 1",
    )?;
    Ok(statement.query_row(params![channel, micros(now)], |row| row.get(0)).optional()?)
}

fn settle(tx: &Connection, message: &Message, end: &Delivery, now: Timestamp) -> Result<Settled, StoreError> {
    let (state, next_at, error) = match end {
        Delivery::Sent => ("sent", None, None),
        Delivery::Dropped => ("dropped", None, None),
        Delivery::Again { at, error } => ("queued", Some(micros(*at)), Some(error)),
        Delivery::Failed { error } => ("failed", None, Some(error)),
    };
    let changed = tx
        .prepare_cached(
            "UPDATE notify_messages SET state = ?4, next_at = coalesce(?5, next_at), error = coalesce(?6, error),
                 ended_at = CASE ?4 WHEN 'queued' THEN NULL ELSE ?7 END, lease = NULL, lease_until = NULL
             WHERE id = ?1 AND lease = ?2 AND attempts = ?3 AND state = 'queued'",
        )?
        .execute(params![message.id, message.lease(), message.attempt, state, next_at, error, micros(now)])?;
    if changed == 0 {
        return Ok(Settled::Lost);
    }
    if error.is_none() {
        return Ok(Settled::Noted);
    }
    let first = tx
        .prepare_cached(
            "UPDATE notify_messages SET recorded = 1 WHERE id = ?1 AND NOT EXISTS
                 (SELECT 1 FROM notify_messages WHERE channel = ?2 AND subject = ?3 AND recorded = 1)",
        )?
        .execute(params![message.id, message.channel, message.event.subject])?;
    Ok(if first > 0 { Settled::FirstFailure } else { Settled::Noted })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::store::{
        Store as _,
        testing::{approve, at, deny, pending, store},
    };

    const LEASE: Duration = Duration::from_secs(60);

    fn all(_: &Happened) -> Wish {
        Wish::Send { until: at(3600) }
    }

    fn words(store: &SqliteStore) -> Vec<String> {
        store.events_after(0, 100).unwrap().into_iter().map(|event| event.event).collect()
    }

    #[test]
    fn every_change_of_an_approval_is_an_event_of_its_transaction() {
        let (_state, store) = store();
        let one = pending(&store, |_| ());
        store.vote(&approve(&one, "grace", 1)).unwrap();
        store.consume(&one.id, one.digest, "ins_1", at(2)).unwrap();
        let two = pending(&store, |request| request.needed = 2);
        store.vote(&approve(&two, "grace", 3)).unwrap();
        store.vote(&deny(&two, "edsger", 4)).unwrap();
        assert_eq!(words(&store), ["requested", "approved", "consumed", "requested", "denied"]);
        let counts = store.event_counts().unwrap();
        assert!(counts.contains(&("requested".into(), 2)) && counts.contains(&("denied".into(), 1)), "{counts:?}");
        assert_eq!(store.events_after(3, 1).unwrap()[0].subject, two.id);
        assert_eq!(store.events_after(4, 9).unwrap()[0].at, at(4));
    }

    #[test]
    fn a_vote_that_is_refused_makes_no_event() {
        let (_state, store) = store();
        let one = pending(&store, |_| ());
        store.vote(&approve(&one, "ada", 1)).unwrap_err();
        assert_eq!(words(&store), ["requested"]);
    }

    #[test]
    fn a_channel_hears_of_what_happens_after_it_is_opened_and_of_each_once() {
        let (_state, store) = store();
        pending(&store, |_| ());
        store.open_channel("oncall").unwrap();
        assert_eq!(store.queue_messages("oncall", &all, at(1)).unwrap(), 0);
        let second = pending(&store, |_| ());
        let other = SqliteStore::open(store.path()).unwrap();
        let queued = [&store, &other].map(|host| host.queue_messages("oncall", &all, at(1)).unwrap());
        assert_eq!(queued, [1, 0], "two hosts, one message");
        store.open_channel("oncall").unwrap();
        let message = other.take_message("oncall", "ins_2", LEASE, at(1)).unwrap().unwrap();
        assert_eq!((&message.event.subject, message.attempt), (&second.id, 1));
        assert_eq!(store.take_message("oncall", "ins_1", LEASE, at(1)).unwrap(), None, "somebody is sending it");
        assert_eq!(other.settle_message(&message, &Delivery::Sent, at(2)).unwrap(), Settled::Noted);
        assert_eq!(store.take_message("oncall", "ins_1", LEASE, at(999)).unwrap(), None);
    }

    #[test]
    fn what_a_channel_does_not_want_is_passed_over_for_good() {
        let (_state, store) = store();
        store.open_channel("oncall").unwrap();
        pending(&store, |request| request.risk = "low".into());
        pending(&store, |request| request.target = "prod".into());
        let wish = |happened: &Happened| match happened.target.as_deref() {
            Some("prod") if happened.waits && happened.decide_by == Some(at(3600)) => all(happened),
            _ => Wish::Pass,
        };
        assert_eq!(store.queue_messages("oncall", &wish, at(1)).unwrap(), 1);
        assert_eq!(store.queue_messages("oncall", &all, at(1)).unwrap(), 0);
    }

    #[test]
    fn whoever_dies_while_sending_leaves_it_to_another_under_the_same_id() {
        let (_state, store) = store();
        store.open_channel("oncall").unwrap();
        pending(&store, |_| ());
        store.queue_messages("oncall", &all, at(1)).unwrap();
        let first = store.take_message("oncall", "ins_1", LEASE, at(1)).unwrap().unwrap();
        assert_eq!(store.take_message("oncall", "ins_2", LEASE, at(60)).unwrap(), None);
        let second = store.take_message("oncall", "ins_2", LEASE, at(61)).unwrap().unwrap();
        assert_eq!((&second.id, second.attempt), (&first.id, 2));
        assert_eq!(store.settle_message(&first, &Delivery::Sent, at(62)).unwrap(), Settled::Lost, "its lease is over");
        assert_eq!(store.settle_message(&second, &Delivery::Sent, at(62)).unwrap(), Settled::Noted);
    }

    #[test]
    fn a_failure_is_tried_again_when_it_is_time_and_is_first_once() {
        let (_state, store) = store();
        store.open_channel("oncall").unwrap();
        let asked = pending(&store, |_| ());
        store.queue_messages("oncall", &all, at(1)).unwrap();
        let take = |seconds| store.take_message("oncall", "ins_1", LEASE, at(seconds)).unwrap();
        let again = |seconds| Delivery::Again { at: at(seconds), error: "refused".into() };
        let message = take(1).unwrap();
        assert_eq!(store.settle_message(&message, &again(10), at(2)).unwrap(), Settled::FirstFailure);
        assert_eq!(take(9), None);
        let message = take(10).unwrap();
        let state = &store.channel_states(at(10)).unwrap()[0];
        assert_eq!((state.queued, state.failing, state.error.as_deref()), (1, 1, Some("refused")));
        let failed = Delivery::Failed { error: "gone".into() };
        assert_eq!(store.settle_message(&message, &failed, at(11)).unwrap(), Settled::Noted);
        // Another event of the same request: it has been said.
        store.vote(&deny(&asked, "grace", 12)).unwrap();
        store.queue_messages("oncall", &all, at(12)).unwrap();
        let message = take(12).unwrap();
        assert_eq!(store.settle_message(&message, &again(20), at(12)).unwrap(), Settled::Noted);
        let state = &store.channel_states(at(13)).unwrap()[0];
        assert_eq!((state.queued, state.given_up, state.oldest), (1, 1, Some(at(12))));
    }

    #[test]
    fn a_standing_approval_s_proposal_and_end_are_events() {
        use crate::store::standing_tests::{in_force, new_use};
        let (_state, store) = store();
        store.open_channel("admins").unwrap();
        let standing = in_force(&store, |grant| grant.uses = 2);
        for (run, seconds) in [("run_1", 4), ("run_2", 5)] {
            let claimed = store.use_standing(&standing.id, standing.digest, &new_use(run), &|_| Ok(()), at(seconds));
            claimed.unwrap();
        }
        let events = store.events_after(0, 100).unwrap();
        let of: Vec<_> =
            events.iter().filter(|one| one.subject == standing.id).map(|one| (&*one.event, one.at)).collect();
        let expected = [("standing_proposed", at(2)), ("standing_approved", at(3)), ("standing_used_up", at(5))];
        assert_eq!(of, expected, "once it is used up, not at each use");
        let wish = |happened: &Happened| {
            let is_standing = happened.event.subject == standing.id;
            assert!(
                !is_standing || (happened.risk.as_deref(), happened.waits) == (Some("high"), false),
                "{happened:?}"
            );
            if is_standing { all(happened) } else { Wish::Pass }
        };
        assert_eq!(store.queue_messages("admins", &wish, at(6)).unwrap(), 3);
    }

    #[test]
    fn what_is_over_for_a_month_is_removed_and_still_counted() {
        let (_state, store) = store();
        store.open_channel("oncall").unwrap();
        pending(&store, |_| ());
        store.queue_messages("oncall", &all, at(1)).unwrap();
        let message = store.take_message("oncall", "ins_1", LEASE, at(1)).unwrap().unwrap();
        store.settle_message(&message, &Delivery::Sent, at(2)).unwrap();
        let later = at(31 * 24 * 3600);
        pending(&store, |request| request.decide_within = Duration::from_secs(60));
        store.expire_due(later).unwrap();
        store.queue_messages("oncall", &all, later).unwrap();
        let left = words(&store);
        assert_eq!(left, ["expired", "expired"], "both ran out; that they were asked for is long ago");
        assert!(store.event_counts().unwrap().contains(&("requested".into(), 2)));
        assert_eq!(store.channel_states(later).unwrap()[0].queued, 3);
    }
}
