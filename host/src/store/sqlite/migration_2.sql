-- What an agent says of its call beside the reason: fixed like all that was asked for.
ALTER TABLE approvals ADD COLUMN agent_evidence TEXT;
ALTER TABLE approvals ADD COLUMN agent_expected TEXT;
ALTER TABLE approvals ADD COLUMN operation TEXT;

CREATE TRIGGER approvals_words_fixed BEFORE UPDATE OF agent_evidence, agent_expected, operation ON approvals
BEGIN
    SELECT raise(ABORT, 'what an approval was asked for does not change');
END;

-- Calls that their callers gave a name, so that each is carried out once. `begun` is set before the first statement that is
-- no read is sent: from then on only the process that runs it can know how it ended.
CREATE TABLE operations (
    seq        INTEGER PRIMARY KEY,
    agent      TEXT NOT NULL,
    person     TEXT,
    id         TEXT NOT NULL,
    run        TEXT NOT NULL UNIQUE,
    instance   TEXT NOT NULL,
    action     TEXT NOT NULL,
    target     TEXT NOT NULL,
    facts      BLOB NOT NULL CHECK (length(facts) = 32),
    created_at INTEGER NOT NULL,

    state      TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'held', 'done')),
    begun      INTEGER NOT NULL DEFAULT 0 CHECK (begun IN (0, 1)),
    approval   TEXT REFERENCES approvals (id),
    result     TEXT,
    ended_at   INTEGER,

    CHECK ((ended_at IS NOT NULL) = (state = 'done')),
    CHECK ((approval IS NOT NULL) = (state = 'held' OR (state = 'done' AND result IS NULL))),
    CHECK (state = 'done' OR result IS NULL)
) STRICT;

-- NULLs differ from each other in an index; nobody behind an agent is one principal all the same, and not the person ''.
CREATE UNIQUE INDEX operations_key ON operations (agent, id, coalesce(person, ''), (person IS NULL));
CREATE INDEX operations_ended ON operations (ended_at) WHERE state = 'done';
CREATE INDEX operations_ended_of ON operations (agent, ended_at) WHERE state = 'done';
CREATE INDEX operations_running ON operations (run) WHERE state = 'running';
CREATE INDEX operations_held ON operations (approval) WHERE state = 'held';

CREATE TRIGGER operations_start BEFORE INSERT ON operations
WHEN NEW.state <> 'running' OR NEW.begun
BEGIN
    SELECT raise(ABORT, 'an operation starts as running');
END;

CREATE TRIGGER operations_edges BEFORE UPDATE OF state ON operations
WHEN NOT (
    OLD.state = NEW.state
    OR (OLD.state = 'running' AND NEW.state IN ('held', 'done'))
    OR (OLD.state = 'held' AND NEW.state = 'done')
)
BEGIN
    SELECT raise(ABORT, 'this state of an operation can not follow the one it is in');
END;

CREATE TRIGGER operations_end BEFORE UPDATE ON operations
WHEN OLD.state = 'done'
BEGIN
    SELECT raise(ABORT, 'an operation that has ended does not change');
END;

CREATE TRIGGER operations_fixed BEFORE UPDATE OF agent, person, id, action, target, facts ON operations
BEGIN
    SELECT raise(ABORT, 'what an operation is does not change');
END;

CREATE TRIGGER operations_begun BEFORE UPDATE OF begun, run, instance ON operations
WHEN OLD.begun AND (NOT NEW.begun OR NEW.run <> OLD.run OR NEW.instance <> OLD.instance)
BEGIN
    SELECT raise(ABORT, 'an operation that has begun is not begun again');
END;

CREATE TRIGGER operations_kept BEFORE DELETE ON operations
WHEN OLD.state = 'held' OR (OLD.state = 'running' AND OLD.begun)
BEGIN
    SELECT raise(ABORT, 'an operation that has begun or waits for a person is not forgotten');
END;

-- A held operation ends when its approval does, in the same transaction; its answer is the approval's.
CREATE TRIGGER operations_follow AFTER UPDATE OF finished_at ON approvals
WHEN NEW.finished_at IS NOT NULL
BEGIN
    UPDATE operations SET state = 'done', ended_at = NEW.finished_at WHERE approval = NEW.id AND state = 'held';
END;
