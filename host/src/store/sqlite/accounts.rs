//! The queries for accounts, their names, passwords, identities and links.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    rows::{later, micros, timestamp},
    sessions,
};
use crate::store::{
    ACCOUNT_LIMIT, Account, AccountChange, AccountError, Disabled, Link, NewAccount, NewLink, StoreError, account_keys,
    person_key,
};

const SELECT: &str = "SELECT name, handle, role, groups, os_user, email, password IS NOT NULL,
    (SELECT count(*) FROM passkeys WHERE account = name), EXISTS (SELECT 1 FROM identities WHERE account = name),
    created_at, created_by, last_login_at, disabled_at, disabled_by, disabled_reason FROM accounts";

/// Administrators who are not disabled and have something to log in with.
const ADMINS: &str =
    "SELECT count(*) FROM accounts WHERE role = 'admin' AND disabled_at IS NULL AND (password IS NOT NULL
    OR EXISTS (SELECT 1 FROM passkeys WHERE account = name) OR EXISTS (SELECT 1 FROM identities WHERE account = name))";

pub(super) fn get(tx: &Connection, name: &str) -> Result<Option<Account>, StoreError> {
    Ok(find(tx, "WHERE name = ?1", params![person_key(name)])?.pop())
}

/// One that must be there.
pub(super) fn known(tx: &Connection, name: &str) -> Result<Account, AccountError> {
    get(tx, name)?.ok_or_else(|| AccountError::Unknown { name: name.to_owned() })
}

/// One that must be there and may come in.
pub(super) fn enabled(tx: &Connection, name: &str) -> Result<Account, AccountError> {
    let account = known(tx, name)?;
    if account.disabled.is_some() { Err(AccountError::Disabled { name: account.name }) } else { Ok(account) }
}

pub(super) fn all(tx: &Connection) -> Result<Vec<Account>, StoreError> {
    find(tx, "ORDER BY name", params![])
}

pub(super) fn of_os_user(tx: &Connection, os_user: &str) -> Result<Option<Account>, StoreError> {
    let key = person_key(os_user);
    let named = find(
        tx,
        "WHERE os_user IS NOT NULL AND name = (SELECT account FROM account_names WHERE key = ?1)",
        params![key],
    )?;
    Ok(named.into_iter().find(|account| account.os_user.as_deref().is_some_and(|user| person_key(user) == key)))
}

pub(super) fn create(tx: &Connection, new: &NewAccount, now: Timestamp) -> Result<Account, AccountError> {
    let count: u32 = tx.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0))?;
    if count >= ACCOUNT_LIMIT {
        return Err(AccountError::TooMany { what: "accounts, as many as a host", limit: ACCOUNT_LIMIT });
    }
    for key in new.keys() {
        free(tx, &key, &new.name)?;
    }
    if get(tx, &new.name)?.is_some() {
        return Err(AccountError::NameTaken { name: new.name.clone(), account: new.name.clone() });
    }
    tx.execute(
        "INSERT INTO accounts (name, handle, role, groups, os_user, email, created_at, created_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            new.name,
            new.handle,
            new.role.as_str(),
            to_json(&new.groups)?,
            new.os_user,
            new.email,
            micros(now),
            new.created_by
        ],
    )?;
    for key in new.keys() {
        tx.execute("INSERT INTO account_names (key, account) VALUES (?1, ?2)", params![key, new.name])?;
    }
    known(tx, &new.name)
}

pub(super) fn create_first_admin(
    tx: &Connection,
    link: &[u8; 32],
    new: &NewAccount,
    password: &str,
    now: Timestamp,
) -> Result<Account, AccountError> {
    let count: u32 = tx.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0))?;
    match self::link(tx, link, now)? {
        Some(Link { account: None, .. }) if count == 0 => {}
        _ => return Err(AccountError::LinkClosed),
    }
    create(tx, new, now)?;
    write_password(tx, &new.name, password, now)?;
    close_link(tx, link, "used", now)?;
    known(tx, &new.name)
}

pub(super) fn change(
    tx: &Connection,
    name: &str,
    change: &AccountChange,
    now: Timestamp,
) -> Result<Account, AccountError> {
    let before = known(tx, name)?;
    let name = before.name.as_str();
    let keys = account_keys(name, change.os_user.as_deref(), change.email.as_deref());
    for key in &keys {
        free(tx, key, name)?;
    }
    tx.execute("DELETE FROM account_names WHERE account = ?1", [name])?;
    for key in &keys {
        tx.execute("INSERT INTO account_names (key, account) VALUES (?1, ?2)", params![key, name])?;
    }
    let admins = admins(tx)?;
    tx.execute(
        "UPDATE accounts SET role = ?2, groups = ?3, os_user = ?4, email = ?5 WHERE name = ?1",
        params![name, change.role.as_str(), to_json(&change.groups)?, change.os_user, change.email],
    )?;
    still_administered(tx, admins, name)?;
    if before.role != change.role || before.groups != change.groups {
        sessions::end_all(tx, name, None, "what the account may do has changed", now)?;
    }
    known(tx, name)
}

pub(super) fn set_disabled(tx: &Connection, name: &str, disabled: Option<&Disabled>) -> Result<Account, AccountError> {
    let name = known(tx, name)?.name;
    let admins = admins(tx)?;
    tx.execute(
        "UPDATE accounts SET disabled_at = ?2, disabled_by = ?3, disabled_reason = ?4 WHERE name = ?1",
        params![name, disabled.map(|d| micros(d.at)), disabled.map(|d| &d.by), disabled.map(|d| &d.reason)],
    )?;
    if let Some(disabled) = disabled {
        still_administered(tx, admins, &name)?;
        sessions::end_all(tx, &name, None, "the account was disabled", disabled.at)?;
        close_links_of(tx, Some(&name), "withdrawn", disabled.at)?;
    }
    known(tx, &name)
}

pub(super) fn password(tx: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    let found = tx.query_row("SELECT password FROM accounts WHERE name = ?1", [person_key(name)], |row| row.get(0));
    Ok(found.optional()?.flatten())
}

pub(super) fn set_password(
    tx: &Connection,
    name: &str,
    new: &str,
    but: Option<&str>,
    now: Timestamp,
) -> Result<(), AccountError> {
    let name = enabled(tx, name)?.name;
    write_password(tx, &name, new, now)?;
    sessions::end_all(tx, &name, but, "the password was changed", now)?;
    close_links_of(tx, Some(&name), "withdrawn", now)?;
    Ok(())
}

pub(super) fn rehash_password(tx: &Connection, name: &str, old: &str, new: &str) -> Result<(), StoreError> {
    tx.execute("UPDATE accounts SET password = ?3 WHERE name = ?1 AND password = ?2", params![name, old, new])?;
    Ok(())
}

pub(super) fn of_identity(tx: &Connection, issuer: &str, subject: &str) -> Result<Option<Account>, StoreError> {
    let condition = "WHERE name = (SELECT account FROM identities WHERE issuer = ?1 AND subject = ?2)";
    Ok(find(tx, condition, params![issuer, subject])?.pop())
}

pub(super) fn bind_identity(
    tx: &Connection,
    issuer: &str,
    subject: &str,
    name: &str,
    now: Timestamp,
) -> Result<(), AccountError> {
    let account = enabled(tx, name)?;
    if account.can_log_in() {
        // Whoever may choose their name at the issuer must not become somebody who is here already.
        return Err(AccountError::NameTaken { name: name.to_owned(), account: account.name });
    }
    tx.execute(
        "INSERT INTO identities (issuer, subject, account, bound_at) VALUES (?1, ?2, ?3, ?4)",
        params![issuer, subject, account.name, micros(now)],
    )?;
    Ok(())
}

pub(super) fn create_link(tx: &Connection, new: &NewLink, now: Timestamp) -> Result<Link, AccountError> {
    let account = new.account.as_deref().map(|name| enabled(tx, name)).transpose()?.map(|account| account.name);
    close_links_of(tx, account.as_deref(), "replaced", now)?;
    tx.execute(
        "INSERT INTO links (sha256, account, made_at, made_by, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![new.sha256, account, micros(now), new.made_by, later(now, new.valid)],
    )?;
    link(tx, &new.sha256, now)?.ok_or(AccountError::LinkClosed)
}

pub(super) fn link(tx: &Connection, sha256: &[u8; 32], now: Timestamp) -> Result<Option<Link>, StoreError> {
    let found = tx.query_row(
        "SELECT account, expires_at FROM links WHERE sha256 = ?1 AND closed_at IS NULL AND expires_at > ?2",
        params![sha256, micros(now)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    );
    found.optional()?.map(|(account, at)| Ok(Link { account, expires_at: timestamp(at)? })).transpose()
}

pub(super) fn use_link(
    tx: &Connection,
    sha256: &[u8; 32],
    password: &str,
    now: Timestamp,
) -> Result<Account, AccountError> {
    let Some(Link { account: Some(name), .. }) = link(tx, sha256, now)? else { return Err(AccountError::LinkClosed) };
    close_link(tx, sha256, "used", now)?;
    set_password(tx, &name, password, None, now)?;
    known(tx, &name)
}

pub(super) fn admins(tx: &Connection) -> Result<u32, StoreError> {
    Ok(tx.query_row(ADMINS, [], |row| row.get(0))?)
}

/// What had an administrator who can log in has one still.
pub(super) fn still_administered(tx: &Connection, before: u32, name: &str) -> Result<(), AccountError> {
    if before > 0 && admins(tx)? == 0 { Err(AccountError::LastAdmin { name: name.to_owned() }) } else { Ok(()) }
}

fn free(tx: &Connection, key: &str, name: &str) -> Result<(), AccountError> {
    let owner: Option<String> = tx
        .query_row("SELECT account FROM account_names WHERE key = ?1 AND account <> ?2", [key, name], |row| row.get(0))
        .optional()?;
    match owner {
        Some(account) => Err(AccountError::NameTaken { name: key.to_owned(), account }),
        None => Ok(()),
    }
}

fn write_password(tx: &Connection, name: &str, new: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE accounts SET password = ?2, password_at = ?3 WHERE name = ?1";
    tx.execute(sql, params![name, new, micros(now)])?;
    Ok(())
}

fn close_link(tx: &Connection, sha256: &[u8; 32], why: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE links SET closed_at = ?2, closed_why = ?3 WHERE sha256 = ?1 AND closed_at IS NULL";
    tx.execute(sql, params![sha256, micros(now), why])?;
    Ok(())
}

fn close_links_of(tx: &Connection, account: Option<&str>, why: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE links SET closed_at = ?2, closed_why = ?3 WHERE account IS ?1 AND closed_at IS NULL";
    tx.execute(sql, params![account, micros(now), why])?;
    Ok(())
}

fn find(tx: &Connection, condition: &str, params: impl rusqlite::Params) -> Result<Vec<Account>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} {condition}"))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Account, StoreError> {
    let time = |at: Option<i64>| at.map(timestamp).transpose();
    let role: String = row.get(2)?;
    let disabled = match (time(row.get(12)?)?, row.get(13)?, row.get(14)?) {
        (Some(at), Some(by), Some(reason)) => Some(Disabled { at, by, reason }),
        (None, None, None) => None,
        _ => return Err(StoreError::Corrupt("an account is half disabled".to_owned())),
    };
    Ok(Account {
        name: row.get(0)?,
        handle: row.get(1)?,
        role: role.parse().map_err(|_| StoreError::Corrupt(format!("a portal role: `{role}`")))?,
        groups: serde_json::from_str(&row.get::<_, String>(3)?)
            .map_err(|error| StoreError::Corrupt(format!("an account's groups: {error}")))?,
        os_user: row.get(4)?,
        email: row.get(5)?,
        has_password: row.get(6)?,
        passkeys: row.get(7)?,
        has_identity: row.get(8)?,
        created_at: timestamp(row.get(9)?)?,
        created_by: row.get(10)?,
        last_login_at: time(row.get(11)?)?,
        disabled,
    })
}

fn to_json(groups: &BTreeSet<String>) -> Result<String, StoreError> {
    serde_json::to_string(groups).map_err(|error| StoreError::Invalid(error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use std::time::Duration;

    use rusqlite::Connection as Raw;

    use super::*;
    use crate::store::{
        Accounts as _, Method, NewSession, PortalRole, SESSION_LIMIT, SessionLimits, SqliteStore,
        testing::{at, store},
    };

    const LIMITS: SessionLimits =
        SessionLimits { idle: Duration::from_secs(1_000), absolute: Duration::from_secs(10_000) };
    const PHC: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA";

    fn new(name: &str, byte: u8, role: PortalRole) -> NewAccount {
        NewAccount {
            name: name.into(),
            handle: [byte; 16],
            role,
            groups: BTreeSet::from(["dba".to_owned()]),
            os_user: None,
            email: None,
            created_by: "tests".into(),
        }
    }

    fn session(n: u8, account: &str) -> NewSession {
        NewSession {
            id: format!("ses_{n}"),
            sha256: [n; 32],
            account: account.into(),
            method: Method::Password,
            address: "127.0.0.1".into(),
            agent: "tests".into(),
            confirmed_at: at(i64::from(n)),
        }
    }

    fn admin() -> (tempfile::TempDir, SqliteStore) {
        let (state, store) = store();
        store.create_account(&new("grace", 1, PortalRole::Admin), at(0)).unwrap();
        store.set_password("grace", PHC, None, at(0)).unwrap();
        (state, store)
    }

    #[test]
    fn an_account_has_few_sessions_and_the_one_used_longest_ago_makes_room() {
        let (_state, store) = admin();
        let last = u8::try_from(SESSION_LIMIT).unwrap() + 1;
        for n in 1..=last {
            store.open_session(&session(n, "grace"), None, at(i64::from(n))).unwrap();
        }
        let open = store.sessions_of("grace", LIMITS, at(100)).unwrap();
        assert_eq!(open.len(), usize::try_from(SESSION_LIMIT).unwrap());
        assert!(open.iter().all(|session| session.id != "ses_1"), "the first made room");
        assert!(store.session(&[1; 32], LIMITS, at(100)).unwrap().is_none());
        assert!(store.session(&[last; 32], LIMITS, at(100)).unwrap().is_some());
    }

    #[test]
    fn a_session_of_a_disabled_account_is_none_though_nobody_ended_it() {
        let (_state, store) = admin();
        store.create_account(&new("ada", 2, PortalRole::Viewer), at(0)).unwrap();
        store.open_session(&session(1, "ada"), None, at(1)).unwrap();
        let raw = Raw::open(store.path()).unwrap();
        let sql = "UPDATE accounts SET disabled_at = 1, disabled_by = 'x', disabled_reason = '' WHERE name = 'ada'";
        raw.execute(sql, []).unwrap();
        assert!(store.session(&[1; 32], LIMITS, at(2)).unwrap().is_none());
        assert!(store.open_session(&session(2, "ada"), None, at(2)).is_err());
    }

    #[test]
    fn of_two_who_take_each_others_role_away_one_stays() {
        let (_state, store) = admin();
        store.create_account(&new("ada", 2, PortalRole::Admin), at(0)).unwrap();
        store.set_password("ada", PHC, None, at(0)).unwrap();
        let lower = |name: &str| {
            let account = store.account(name).unwrap().unwrap();
            let change = AccountChange { role: PortalRole::Viewer, ..AccountChange::of(&account) };
            store.change_account(name, &change, at(1))
        };
        let both = std::thread::scope(|scope| {
            let (one, other) = (scope.spawn(|| lower("ada")), scope.spawn(|| lower("grace")));
            [one.join().unwrap(), other.join().unwrap()]
        });
        assert_eq!(both.iter().filter(|result| result.is_ok()).count(), 1);
        assert!(both.iter().any(|result| matches!(result, Err(AccountError::LastAdmin { .. }))));
    }

    #[test]
    fn a_password_that_was_changed_meanwhile_is_not_written_over() {
        let (_state, store) = admin();
        store.rehash_password("grace", "$argon2id$other", "$argon2id$new").unwrap();
        assert_eq!(store.password("grace").unwrap().as_deref(), Some(PHC));
        store.rehash_password("grace", PHC, "$argon2id$new").unwrap();
        assert_eq!(store.password("grace").unwrap().as_deref(), Some("$argon2id$new"));
    }

    #[test]
    fn whoever_opens_the_file_can_not_bend_what_stays() {
        let (_state, store) = admin();
        store.open_session(&session(1, "grace"), None, at(1)).unwrap();
        store.end_session("grace", "ses_1", "tests", at(2)).unwrap();
        let link = NewLink { sha256: [5; 32], account: None, made_by: "tests".into(), valid: Duration::from_secs(60) };
        store.create_link(&link, at(3)).unwrap();
        store.create_link(&NewLink { sha256: [6; 32], ..link }, at(4)).unwrap();
        let raw = Raw::open(store.path()).unwrap();
        for sql in [
            "UPDATE accounts SET name = 'mallory'",
            "UPDATE accounts SET created_by = 'mallory'",
            "UPDATE accounts SET role = 'owner'",
            "UPDATE accounts SET password = 'in the clear'",
            "DELETE FROM accounts",
            "UPDATE sessions SET ended_at = NULL, ended_why = NULL",
            "UPDATE sessions SET account = 'mallory'",
            "UPDATE links SET account = 'grace'",
            "UPDATE links SET closed_at = NULL, closed_why = NULL WHERE sha256 = X'0505050505050505050505050505050505050505050505050505050505050505'",
            "INSERT INTO account_names VALUES ('grace', 'grace')",
        ] {
            assert!(raw.execute(sql, []).is_err(), "{sql}");
        }
    }
}
