-- What people are told. `events` has one line for each change that somebody may want to hear of, written by a trigger in the
-- transaction of the change itself: no crash is between the two. `notify_messages` is the outbox, one row a channel and event.

CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    event   TEXT NOT NULL,
    subject TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

-- Counts stay when old events go.
CREATE TABLE event_counts (
    event TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER events_counted AFTER INSERT ON events
BEGIN
    INSERT INTO event_counts (event, count) VALUES (NEW.event, 1) ON CONFLICT (event) DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER events_asked AFTER INSERT ON approvals
BEGIN
    INSERT INTO events (event, subject, at) VALUES ('requested', NEW.id, NEW.created_at);
END;

CREATE TRIGGER events_changed AFTER UPDATE OF state ON approvals
WHEN NEW.state <> OLD.state
BEGIN
    INSERT INTO events (event, subject, at)
    VALUES (NEW.state, NEW.id, coalesce(NEW.finished_at, NEW.consumed_at, NEW.decided_at, NEW.created_at));
END;

CREATE TRIGGER events_standing_proposed AFTER INSERT ON standing_approvals
BEGIN
    INSERT INTO events (event, subject, at) VALUES ('standing_proposed', NEW.id, NEW.proposed_at);
END;

CREATE TRIGGER events_standing_changed AFTER UPDATE OF state ON standing_approvals
WHEN NEW.state <> OLD.state
BEGIN
    INSERT INTO events (event, subject, at)
    VALUES (CASE NEW.state WHEN 'active' THEN 'standing_approved' ELSE 'standing_revoked' END, NEW.id,
            coalesce(NEW.revoked_at, NEW.approved_at, NEW.proposed_at));
END;

CREATE TRIGGER events_standing_used_up AFTER INSERT ON standing_uses
WHEN NEW.number >= (SELECT uses FROM standing_approvals WHERE id = NEW.standing)
BEGIN
    INSERT INTO events (event, subject, at) VALUES ('standing_used_up', NEW.standing, NEW.used_at);
END;

-- Up to which event each channel has been given its messages.
CREATE TABLE notify_channels (
    name TEXT PRIMARY KEY,
    seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE notify_messages (
    id          TEXT PRIMARY KEY,
    channel     TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    event       TEXT NOT NULL,
    subject     TEXT NOT NULL,
    at          INTEGER NOT NULL,
    try_until   INTEGER NOT NULL,
    state       TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sent', 'dropped', 'failed')),
    attempts    INTEGER NOT NULL DEFAULT 0,
    next_at     INTEGER NOT NULL,
    lease       TEXT,
    lease_until INTEGER,
    ended_at    INTEGER,
    error       TEXT,
    recorded    INTEGER NOT NULL DEFAULT 0,
    UNIQUE (channel, seq),
    CHECK ((ended_at IS NULL) = (state = 'queued')),
    CHECK ((lease IS NULL) = (lease_until IS NULL))
) STRICT;

CREATE INDEX notify_due ON notify_messages (channel, next_at) WHERE state = 'queued';
CREATE INDEX notify_recorded ON notify_messages (channel, subject) WHERE recorded = 1;

CREATE TRIGGER notify_ended BEFORE UPDATE OF state ON notify_messages
WHEN OLD.state <> 'queued'
BEGIN
    SELECT raise(ABORT, 'a message that was sent or given up stays so');
END;
