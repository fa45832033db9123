-- People's tokens for the command line. No token is here, only what one can be compared with.

CREATE TABLE api_tokens (
    id           TEXT PRIMARY KEY,
    sha256       BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    account      TEXT NOT NULL REFERENCES accounts (name),
    label        TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL CHECK (expires_at > created_at),
    last_used_at INTEGER,
    ended_at     INTEGER,
    ended_why    TEXT,
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
) STRICT;

CREATE INDEX api_tokens_of ON api_tokens (account) WHERE ended_at IS NULL;

CREATE TRIGGER api_tokens_fixed BEFORE UPDATE OF id, sha256, account, label, created_at, expires_at ON api_tokens
BEGIN
    SELECT raise(ABORT, 'whom a token stands for does not change');
END;

CREATE TRIGGER api_tokens_ended BEFORE UPDATE OF ended_at ON api_tokens
WHEN OLD.ended_at IS NOT NULL
BEGIN
    SELECT raise(ABORT, 'a token that has ended stays so');
END;
