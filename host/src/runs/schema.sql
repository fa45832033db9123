-- Times are as the record writes them, microseconds beside them for comparing. Nothing here is kept: a file of another
-- version is emptied and filled again from the record.

CREATE TABLE position (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    -- Where the next line begins.
    segment       INTEGER NOT NULL,
    offset        INTEGER NOT NULL,
    -- The last line that was read, to tell whether this is still the record that it was read from.
    last_segment  INTEGER NOT NULL,
    last_offset   INTEGER NOT NULL,
    last_length   INTEGER NOT NULL,
    last_hash     BLOB NOT NULL CHECK (length(last_hash) = 32),
    -- How many stood where a line should and were none.
    passed_over   INTEGER NOT NULL
) STRICT;

CREATE TABLE runs (
    run       TEXT PRIMARY KEY,
    agent     TEXT NOT NULL,
    person    TEXT,
    door      TEXT NOT NULL,
    action    TEXT NOT NULL,
    target    TEXT,
    risk      TEXT,
    verdict   TEXT,
    reason    TEXT NOT NULL,
    evidence  TEXT,
    expected  TEXT,
    operation TEXT,
    state     TEXT NOT NULL,
    summary   TEXT,
    code      TEXT,
    approval  TEXT,
    joined    TEXT,
    started   TEXT NOT NULL,
    began     INTEGER NOT NULL,
    ended     TEXT,
    ms        INTEGER,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL
) STRICT;

CREATE INDEX runs_of_a_principal ON runs (agent, person, first_seq);
CREATE INDEX runs_in_order ON runs (first_seq);

-- The lines of an approval that do not name a run (votes) belong to the run that asked.
CREATE TABLE approvals (
    approval TEXT PRIMARY KEY,
    run      TEXT NOT NULL
) STRICT;

CREATE TABLE lines (
    seq     INTEGER PRIMARY KEY,
    run     TEXT NOT NULL,
    segment INTEGER NOT NULL,
    offset  INTEGER NOT NULL,
    length  INTEGER NOT NULL
) STRICT;

CREATE INDEX lines_of_a_run ON lines (run, seq);

-- Lines that changed who may do what.
CREATE TABLE changes (
    seq     INTEGER PRIMARY KEY,
    kind    TEXT NOT NULL,
    -- Who did it, and what or whom it is about, where the line says so.
    by      TEXT,
    about   TEXT,
    at      INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    offset  INTEGER NOT NULL,
    length  INTEGER NOT NULL
) STRICT;

-- What was last said of each pack that was taken in: every start says it again, and that is no change.
CREATE TABLE admitted (
    pack TEXT PRIMARY KEY,
    said TEXT NOT NULL
) STRICT;
