-- Times are microseconds since 1970-01-01 UTC. JSON is canonical text.

CREATE TABLE approvals (
    id              TEXT PRIMARY KEY,
    digest          BLOB NOT NULL CHECK (length(digest) = 32),
    nonce           BLOB NOT NULL CHECK (length(nonce) = 32),
    run             TEXT NOT NULL,
    agent           TEXT NOT NULL,
    person          TEXT,
    os_user         TEXT,
    roles           TEXT NOT NULL,
    door            TEXT NOT NULL,
    action          TEXT NOT NULL,
    pack_digest     TEXT NOT NULL,
    risk            TEXT NOT NULL,
    target          TEXT NOT NULL,
    target_identity TEXT NOT NULL,
    arguments       TEXT NOT NULL,
    reason          TEXT NOT NULL,
    rule            TEXT NOT NULL,
    policy_digest   TEXT NOT NULL,
    pins            TEXT NOT NULL,
    evidence        TEXT NOT NULL,
    needed          INTEGER NOT NULL CHECK (needed >= 1),
    approvers       TEXT NOT NULL,
    execute_within  INTEGER NOT NULL CHECK (execute_within > 0),
    created_at      INTEGER NOT NULL,
    decide_by       INTEGER NOT NULL CHECK (decide_by > created_at),

    state           TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'approved', 'consumed', 'succeeded',
                        'failed', 'unknown', 'denied', 'expired', 'withdrawn', 'superseded')),
    execute_by      INTEGER,
    decided_at      INTEGER,
    decided_by      TEXT,
    decision_reason TEXT,
    consumed_at     INTEGER,
    consumed_by     TEXT,
    finished_at     INTEGER,
    outcome         TEXT,
    refusal         TEXT,

    CHECK (state <> 'approved' OR (execute_by IS NOT NULL AND decided_by IS NOT NULL)),
    CHECK (state NOT IN ('consumed', 'succeeded', 'failed', 'unknown') OR consumed_by IS NOT NULL),
    CHECK ((finished_at IS NULL) = (state IN ('pending', 'approved', 'consumed')))
) STRICT;

CREATE INDEX approvals_open ON approvals (state, decide_by) WHERE state IN ('pending', 'approved', 'consumed');
CREATE INDEX approvals_by_time ON approvals (created_at);

CREATE TABLE votes (
    approval   TEXT NOT NULL REFERENCES approvals (id),
    person_key TEXT NOT NULL CHECK (person_key <> ''),
    person     TEXT NOT NULL,
    decision   TEXT NOT NULL CHECK (decision IN ('approve', 'deny')),
    reason     TEXT NOT NULL,
    voted_at   INTEGER NOT NULL,
    PRIMARY KEY (approval, person_key)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER approvals_start BEFORE INSERT ON approvals
WHEN NEW.state <> 'pending'
BEGIN
    SELECT raise(ABORT, 'an approval starts as pending');
END;

CREATE TRIGGER approvals_edges BEFORE UPDATE OF state ON approvals
WHEN NOT (
    (OLD.state = 'pending' AND NEW.state IN ('approved', 'denied', 'expired', 'withdrawn', 'superseded'))
    OR (OLD.state = 'approved' AND NEW.state IN ('consumed', 'denied', 'expired', 'withdrawn', 'superseded'))
    OR (OLD.state = 'consumed' AND NEW.state IN ('succeeded', 'failed', 'unknown'))
)
BEGIN
    SELECT raise(ABORT, 'this state of an approval can not follow the one it is in');
END;

CREATE TRIGGER approvals_end BEFORE UPDATE ON approvals
WHEN OLD.finished_at IS NOT NULL
BEGIN
    SELECT raise(ABORT, 'an approval in a terminal state does not change');
END;

CREATE TRIGGER approvals_fixed BEFORE UPDATE OF
    id, digest, nonce, run, agent, person, os_user, roles, door, action, pack_digest, risk, target, target_identity,
    arguments, reason, rule, policy_digest, pins, evidence, needed, approvers, execute_within, created_at, decide_by
ON approvals
BEGIN
    SELECT raise(ABORT, 'what an approval was asked for does not change');
END;

CREATE TRIGGER approvals_kept BEFORE DELETE ON approvals
BEGIN
    SELECT raise(ABORT, 'approvals are not deleted');
END;

CREATE TRIGGER votes_open BEFORE INSERT ON votes
WHEN (SELECT state FROM approvals WHERE id = NEW.approval) NOT IN ('pending', 'approved')
BEGIN
    SELECT raise(ABORT, 'a closed approval takes no votes');
END;

CREATE TRIGGER votes_last BEFORE UPDATE ON votes
WHEN NOT (
    OLD.approval = NEW.approval AND OLD.person_key = NEW.person_key
    AND OLD.decision = 'approve' AND NEW.decision = 'deny'
    AND (SELECT state FROM approvals WHERE id = NEW.approval) IN ('pending', 'approved')
)
BEGIN
    SELECT raise(ABORT, 'a vote only changes from yes to no, and only while the approval is open');
END;

CREATE TRIGGER votes_kept BEFORE DELETE ON votes
BEGIN
    SELECT raise(ABORT, 'votes are not deleted');
END;

CREATE TABLE pack_floors (
    name    TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    digest  TEXT NOT NULL,
    since   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pack_history (
    seq     INTEGER PRIMARY KEY,
    name    TEXT NOT NULL,
    version TEXT NOT NULL,
    digest  TEXT NOT NULL,
    change  TEXT NOT NULL CHECK (change IN ('seen', 'raised', 'reset')),
    by      TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

CREATE INDEX pack_history_by_name ON pack_history (name, seq);

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
