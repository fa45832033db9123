-- People: accounts and all their names, what they log in with, their sessions, and links that can be used once. No password,
-- no session's secret and no link is here, only what they can be compared with.

CREATE TABLE accounts (
    name            TEXT PRIMARY KEY CHECK (name <> '' AND name = lower(name)),
    handle          BLOB NOT NULL UNIQUE CHECK (length(handle) = 16),
    role            TEXT NOT NULL CHECK (role IN ('viewer', 'approver', 'admin')),
    groups          TEXT NOT NULL,
    os_user         TEXT CHECK (os_user <> ''),
    email           TEXT CHECK (email <> ''),
    password        TEXT CHECK (password LIKE '$argon2id$%'),
    password_at     INTEGER,
    created_at      INTEGER NOT NULL,
    created_by      TEXT NOT NULL,
    last_login_at   INTEGER,
    disabled_at     INTEGER,
    disabled_by     TEXT,
    disabled_reason TEXT,
    CHECK ((password IS NULL) = (password_at IS NULL)),
    CHECK ((disabled_at IS NULL) = (disabled_by IS NULL) AND (disabled_at IS NULL) = (disabled_reason IS NULL))
) STRICT;

CREATE TRIGGER accounts_fixed BEFORE UPDATE OF name, handle, created_at, created_by ON accounts
BEGIN
    SELECT raise(ABORT, 'whom an account stands for does not change');
END;

CREATE TRIGGER accounts_kept BEFORE DELETE ON accounts
BEGIN
    SELECT raise(ABORT, 'accounts are not deleted');
END;

-- Every name of every account as names are compared: one name, one person.
CREATE TABLE account_names (
    key     TEXT PRIMARY KEY CHECK (key <> ''),
    account TEXT NOT NULL REFERENCES accounts (name)
) STRICT;

CREATE INDEX account_names_of ON account_names (account);

CREATE TABLE identities (
    issuer   TEXT NOT NULL CHECK (issuer <> ''),
    subject  TEXT NOT NULL CHECK (subject <> ''),
    account  TEXT NOT NULL REFERENCES accounts (name),
    bound_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT;

CREATE TRIGGER identities_fixed BEFORE UPDATE ON identities
BEGIN
    SELECT raise(ABORT, 'an identity stays with its account');
END;

CREATE TABLE passkeys (
    id           TEXT PRIMARY KEY,
    account      TEXT NOT NULL REFERENCES accounts (name),
    credential   BLOB NOT NULL UNIQUE,
    label        TEXT NOT NULL,
    data         TEXT NOT NULL,
    added_at     INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;

CREATE INDEX passkeys_of ON passkeys (account);

CREATE TRIGGER passkeys_fixed BEFORE UPDATE OF id, account, credential, added_at ON passkeys
BEGIN
    SELECT raise(ABORT, 'a passkey stays with its account');
END;

CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    sha256       BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    account      TEXT NOT NULL REFERENCES accounts (name),
    method       TEXT NOT NULL CHECK (method IN ('password', 'passkey', 'oidc', 'link')),
    address      TEXT NOT NULL,
    agent        TEXT NOT NULL,
    began_at     INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL,
    ended_at     INTEGER,
    ended_why    TEXT,
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
) STRICT;

CREATE INDEX sessions_of ON sessions (account) WHERE ended_at IS NULL;

CREATE TRIGGER sessions_fixed BEFORE UPDATE OF id, account, method, began_at ON sessions
BEGIN
    SELECT raise(ABORT, 'a session stays with its account');
END;

CREATE TRIGGER sessions_ended BEFORE UPDATE ON sessions WHEN OLD.ended_at IS NOT NULL
BEGIN
    SELECT raise(ABORT, 'a session that has ended stays so');
END;

CREATE TABLE links (
    sha256     BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    account    TEXT REFERENCES accounts (name),
    made_at    INTEGER NOT NULL,
    made_by    TEXT NOT NULL,
    expires_at INTEGER NOT NULL CHECK (expires_at > made_at),
    closed_at  INTEGER,
    closed_why TEXT CHECK (closed_why IN ('used', 'replaced', 'withdrawn')),
    CHECK ((closed_at IS NULL) = (closed_why IS NULL))
) STRICT;

CREATE INDEX links_open ON links (account) WHERE closed_at IS NULL;

CREATE TRIGGER links_fixed BEFORE UPDATE OF sha256, account, made_at, made_by, expires_at ON links
BEGIN
    SELECT raise(ABORT, 'what a link is for does not change');
END;

CREATE TRIGGER links_closed BEFORE UPDATE OF closed_at, closed_why ON links WHEN OLD.closed_at IS NOT NULL
BEGIN
    SELECT raise(ABORT, 'a link that is closed stays so');
END;
