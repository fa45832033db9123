-- Agents' bearer tokens: whom each stands for. The token itself is nowhere here.

CREATE TABLE tokens (
    id             TEXT PRIMARY KEY,
    sha256         BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    agent          TEXT NOT NULL CHECK (agent <> ''),
    person         TEXT CHECK (person <> ''),
    roles          TEXT NOT NULL,
    packs          TEXT,
    targets        TEXT,
    created_at     INTEGER NOT NULL,
    created_by     TEXT NOT NULL,
    expires_at     INTEGER NOT NULL CHECK (expires_at > created_at AND expires_at <= created_at + 31622400000000),
    last_used_at   INTEGER,
    revoked_at     INTEGER,
    revoked_by     TEXT,
    revoked_reason TEXT,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL) AND (revoked_at IS NULL) = (revoked_reason IS NULL))
) STRICT;

CREATE INDEX tokens_valid ON tokens (expires_at) WHERE revoked_at IS NULL;

CREATE TRIGGER tokens_fixed BEFORE UPDATE OF
    id, sha256, agent, person, roles, packs, targets, created_at, created_by, expires_at
ON tokens
BEGIN
    SELECT raise(ABORT, 'what a token stands for does not change');
END;

CREATE TRIGGER tokens_revoked BEFORE UPDATE OF revoked_at, revoked_by, revoked_reason ON tokens
WHEN OLD.revoked_at IS NOT NULL
BEGIN
    SELECT raise(ABORT, 'a revoked token stays as it is');
END;

CREATE TRIGGER tokens_kept BEFORE DELETE ON tokens
BEGIN
    SELECT raise(ABORT, 'tokens are not deleted');
END;
