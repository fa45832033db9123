-- Whether who approves must say why: part of what was asked for.
ALTER TABLE approvals ADD COLUMN reason_required INTEGER NOT NULL DEFAULT 0 CHECK (reason_required IN (0, 1));

CREATE TRIGGER approvals_reason_fixed BEFORE UPDATE OF reason_required ON approvals
BEGIN
    SELECT raise(ABORT, 'what an approval was asked for does not change');
END;

-- Which evidence a vote was given on, where it is not that of the request.
ALTER TABLE votes ADD COLUMN seen BLOB CHECK (length(seen) = 32);

-- Every name of everybody who said yes, so that nobody says it twice, under whichever name.
CREATE TABLE vote_names (
    approval   TEXT NOT NULL REFERENCES approvals (id),
    name_key   TEXT NOT NULL CHECK (name_key <> ''),
    person_key TEXT NOT NULL,
    PRIMARY KEY (approval, name_key)
) STRICT, WITHOUT ROWID;

INSERT INTO vote_names SELECT approval, person_key, person_key FROM votes WHERE decision = 'approve';

CREATE TRIGGER vote_names_fixed BEFORE UPDATE ON vote_names
BEGIN
    SELECT raise(ABORT, 'the names of a voter do not change');
END;

CREATE TRIGGER vote_names_kept BEFORE DELETE ON vote_names
BEGIN
    SELECT raise(ABORT, 'the names of a voter are not deleted');
END;

-- Looks at the evidence of a pending request after it was made. One is asked for, claimed by a process with the target, and
-- answered; an answer stays. Beyond a few for each request the oldest go, but not those that somebody voted on.
CREATE TABLE reviews (
    id          TEXT PRIMARY KEY,
    approval    TEXT NOT NULL REFERENCES approvals (id),
    asked_at    INTEGER NOT NULL,
    claimed_by  TEXT,
    answered_at INTEGER,
    finding     TEXT CHECK (finding IN ('looked', 'gone', 'unavailable')),
    why         TEXT,
    digest      BLOB CHECK (length(digest) = 32),
    pins        TEXT,
    evidence    TEXT,
    CHECK ((answered_at IS NULL) = (finding IS NULL)),
    CHECK ((finding IS 'looked') = (digest IS NOT NULL)),
    CHECK ((digest IS NULL) = (pins IS NULL) AND (digest IS NULL) = (evidence IS NULL))
) STRICT;

CREATE INDEX reviews_of ON reviews (approval, asked_at);
CREATE INDEX reviews_open ON reviews (asked_at) WHERE answered_at IS NULL;

CREATE TRIGGER reviews_answered BEFORE UPDATE ON reviews
WHEN OLD.answered_at IS NOT NULL
BEGIN
    SELECT raise(ABORT, 'a review that was answered does not change');
END;

CREATE TRIGGER reviews_voted_on BEFORE DELETE ON reviews
WHEN EXISTS (SELECT 1 FROM votes WHERE approval = OLD.approval AND seen = OLD.digest)
BEGIN
    SELECT raise(ABORT, 'a review that somebody voted on is kept');
END;

-- Standing approvals: bounded grants that let calls through without asking each time. What is granted is fixed when it is
-- proposed; each use is a row, and the count of uses is kept by the database.
CREATE TABLE standing_approvals (
    id             TEXT PRIMARY KEY,
    digest         BLOB NOT NULL CHECK (length(digest) = 32),
    source         TEXT NOT NULL REFERENCES approvals (id),
    grant_json     TEXT NOT NULL,
    action         TEXT NOT NULL CHECK (action <> ''),
    risk           TEXT NOT NULL CHECK (risk IN ('low', 'medium', 'high')),
    uses           INTEGER NOT NULL CHECK (uses BETWEEN 1 AND 1000),
    until          INTEGER NOT NULL CHECK (until > proposed_at AND until <= proposed_at + 7776000000000),
    needed         INTEGER NOT NULL CHECK (needed >= 1),
    proposed_at    INTEGER NOT NULL,
    proposed_by    TEXT NOT NULL CHECK (proposed_by <> ''),
    reason         TEXT NOT NULL,

    state          TEXT NOT NULL DEFAULT 'proposed' CHECK (state IN ('proposed', 'active', 'revoked')),
    used           INTEGER NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND uses),
    approved_at    INTEGER,
    revoked_at     INTEGER,
    revoked_by     TEXT,
    revoked_reason TEXT,

    CHECK (state <> 'active' OR approved_at IS NOT NULL),
    CHECK ((state = 'revoked') = (revoked_at IS NOT NULL)),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL) AND (revoked_at IS NULL) = (revoked_reason IS NULL))
) STRICT;

CREATE INDEX standing_active ON standing_approvals (action, until) WHERE state = 'active';

-- Who approved one, under every name they are known by: nobody twice, and none of them may profit from it.
CREATE TABLE standing_votes (
    standing TEXT NOT NULL REFERENCES standing_approvals (id),
    person   TEXT NOT NULL CHECK (person <> ''),
    names    TEXT NOT NULL,
    reason   TEXT NOT NULL CHECK (trim(reason) <> ''),
    voted_at INTEGER NOT NULL,
    PRIMARY KEY (standing, person)
) STRICT, WITHOUT ROWID;

CREATE TABLE standing_names (
    standing TEXT NOT NULL REFERENCES standing_approvals (id),
    name_key TEXT NOT NULL CHECK (name_key <> ''),
    PRIMARY KEY (standing, name_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE standing_uses (
    standing TEXT NOT NULL REFERENCES standing_approvals (id),
    number   INTEGER NOT NULL,
    run      TEXT NOT NULL UNIQUE,
    instance TEXT NOT NULL,
    agent    TEXT NOT NULL,
    person   TEXT,
    target   TEXT NOT NULL,
    used_at  INTEGER NOT NULL,
    PRIMARY KEY (standing, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER standing_start BEFORE INSERT ON standing_approvals
WHEN NEW.state <> 'proposed' OR NEW.used <> 0 OR NEW.approved_at IS NOT NULL
BEGIN
    SELECT raise(ABORT, 'a standing approval starts as proposed and unused');
END;

CREATE TRIGGER standing_fixed BEFORE UPDATE OF
    id, digest, source, grant_json, action, risk, uses, until, needed, proposed_at, proposed_by, reason
ON standing_approvals
BEGIN
    SELECT raise(ABORT, 'what a standing approval grants does not change');
END;

CREATE TRIGGER standing_edges BEFORE UPDATE OF state ON standing_approvals
WHEN NOT (
    (OLD.state = 'proposed' AND NEW.state IN ('active', 'revoked'))
    OR (OLD.state = 'active' AND NEW.state = 'revoked')
)
BEGIN
    SELECT raise(ABORT, 'this state of a standing approval can not follow the one it is in');
END;

-- In force only with as many votes as it needs.
CREATE TRIGGER standing_counted BEFORE UPDATE OF state ON standing_approvals
WHEN NEW.state = 'active' AND NEW.needed > (SELECT count(*) FROM standing_votes WHERE standing = NEW.id)
BEGIN
    SELECT raise(ABORT, 'too few people have approved this standing approval');
END;

CREATE TRIGGER standing_end BEFORE UPDATE ON standing_approvals
WHEN OLD.state = 'revoked'
BEGIN
    SELECT raise(ABORT, 'a revoked standing approval stays as it is');
END;

CREATE TRIGGER standing_counts BEFORE UPDATE OF used ON standing_approvals
WHEN NEW.used <> (SELECT count(*) FROM standing_uses WHERE standing = NEW.id)
BEGIN
    SELECT raise(ABORT, 'the uses of a standing approval are counted, not set');
END;

CREATE TRIGGER standing_kept BEFORE DELETE ON standing_approvals
BEGIN
    SELECT raise(ABORT, 'standing approvals are not deleted');
END;

CREATE TRIGGER standing_votes_open BEFORE INSERT ON standing_votes
WHEN (SELECT state FROM standing_approvals WHERE id = NEW.standing) <> 'proposed'
BEGIN
    SELECT raise(ABORT, 'only a proposed standing approval takes votes');
END;

CREATE TRIGGER standing_votes_fixed BEFORE UPDATE ON standing_votes
BEGIN
    SELECT raise(ABORT, 'votes for a standing approval do not change');
END;

CREATE TRIGGER standing_votes_kept BEFORE DELETE ON standing_votes
BEGIN
    SELECT raise(ABORT, 'votes for a standing approval are not deleted');
END;

CREATE TRIGGER standing_names_fixed BEFORE UPDATE ON standing_names
BEGIN
    SELECT raise(ABORT, 'the names of a voter do not change');
END;

CREATE TRIGGER standing_names_kept BEFORE DELETE ON standing_names
BEGIN
    SELECT raise(ABORT, 'the names of a voter are not deleted');
END;

-- A use is one more than there were, of one that is in force at that time and has uses left.
CREATE TRIGGER standing_uses_covered BEFORE INSERT ON standing_uses
WHEN NOT EXISTS (
    SELECT 1 FROM standing_approvals AS s
     WHERE s.id = NEW.standing AND s.state = 'active' AND s.until > NEW.used_at AND s.used < s.uses
       AND NEW.number = s.used + 1 AND NEW.used_at >= s.approved_at
)
BEGIN
    SELECT raise(ABORT, 'this standing approval does not cover one more use now');
END;

CREATE TRIGGER standing_uses_count AFTER INSERT ON standing_uses
BEGIN
    UPDATE standing_approvals SET used = used + 1 WHERE id = NEW.standing;
END;

CREATE TRIGGER standing_uses_fixed BEFORE UPDATE ON standing_uses
BEGIN
    SELECT raise(ABORT, 'a use of a standing approval does not change');
END;

CREATE TRIGGER standing_uses_kept BEFORE DELETE ON standing_uses
BEGIN
    SELECT raise(ABORT, 'a use of a standing approval is not forgotten');
END;
