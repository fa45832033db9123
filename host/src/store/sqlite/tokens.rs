//! The queries for agents' tokens.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::rows::{later, micros, timestamp};
use crate::store::{LONGEST_TOKEN, NewToken, Revocation, Revoked, StoreError, TOKEN_LIMIT, Token, TokenGrant};

const SELECT: &str = "SELECT id, sha256, agent, person, roles, packs, targets, created_at, created_by, expires_at,
    last_used_at, revoked_at, revoked_by, revoked_reason FROM tokens";

pub(super) fn create(tx: &Connection, new: &NewToken, now: Timestamp) -> Result<Token, StoreError> {
    if new.valid.is_zero() || new.valid > LONGEST_TOKEN {
        return Err(StoreError::Invalid("a token is valid for some time and for at most 366 days".to_owned()));
    }
    let valid: u32 = tx.query_row(
        "SELECT count(*) FROM tokens WHERE revoked_at IS NULL AND expires_at > ?1",
        [micros(now)],
        |row| row.get(0),
    )?;
    if valid >= TOKEN_LIMIT {
        return Err(StoreError::Invalid(format!("{valid} tokens are valid already: revoke what is not used")));
    }
    let grant = &new.grant;
    tx.execute(
        "INSERT INTO tokens (id, sha256, agent, person, roles, packs, targets, created_at, created_by, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            new.id,
            new.sha256,
            grant.agent,
            grant.person,
            to_json(&grant.roles)?,
            grant.packs.as_ref().map(to_json).transpose()?,
            grant.targets.as_ref().map(to_json).transpose()?,
            micros(now),
            new.created_by,
            later(now, new.valid),
        ],
    )?;
    get(tx, &new.id)?.ok_or_else(|| StoreError::Corrupt("a token that was just made is gone".to_owned()))
}

pub(super) fn get(tx: &Connection, id: &str) -> Result<Option<Token>, StoreError> {
    Ok(find(tx, "WHERE id = ?1", params![id])?.pop())
}

pub(super) fn all(tx: &Connection) -> Result<Vec<Token>, StoreError> {
    find(tx, "ORDER BY created_at DESC, rowid DESC", params![])
}

pub(super) fn valid(tx: &Connection, now: Timestamp) -> Result<Vec<Token>, StoreError> {
    find(tx, "WHERE revoked_at IS NULL AND expires_at > ?1", params![micros(now)])
}

pub(super) fn revoke(tx: &Connection, id: &str, by: &str, reason: &str, now: Timestamp) -> Result<Revoked, StoreError> {
    let changed = tx.execute(
        "UPDATE tokens SET revoked_at = ?2, revoked_by = ?3, revoked_reason = ?4 WHERE id = ?1 AND revoked_at IS NULL",
        params![id, micros(now), by, reason],
    )?;
    Ok(match get(tx, id)? {
        Some(token) if changed > 0 => Revoked::Now(token),
        Some(token) => Revoked::Before(token),
        None => Revoked::Unknown,
    })
}

pub(super) fn used(tx: &Connection, used: &[(String, Timestamp)]) -> Result<(), StoreError> {
    let mut statement =
        tx.prepare("UPDATE tokens SET last_used_at = max(coalesce(last_used_at, 0), ?2) WHERE id = ?1")?;
    for (id, at) in used {
        statement.execute(params![id, micros(*at)])?;
    }
    Ok(())
}

fn find(tx: &Connection, condition: &str, params: impl rusqlite::Params) -> Result<Vec<Token>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} {condition}"))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Token, StoreError> {
    let time = |at: Option<i64>| at.map(timestamp).transpose();
    let list = |text: Option<String>| text.as_deref().map(from_json).transpose();
    let revoked = match (time(row.get(11)?)?, row.get(12)?, row.get(13)?) {
        (Some(at), Some(by), Some(reason)) => Some(Revocation { at, by, reason }),
        (None, None, None) => None,
        _ => return Err(StoreError::Corrupt("a token is half revoked".to_owned())),
    };
    Ok(Token {
        id: row.get(0)?,
        sha256: row.get(1)?,
        grant: TokenGrant {
            agent: row.get(2)?,
            person: row.get(3)?,
            roles: from_json(&row.get::<_, String>(4)?)?,
            // What can't be read back must not become "all".
            packs: list(row.get(5)?)?,
            targets: list(row.get(6)?)?,
        },
        created_at: timestamp(row.get(7)?)?,
        created_by: row.get(8)?,
        expires_at: timestamp(row.get(9)?)?,
        last_used_at: time(row.get(10)?)?,
        revoked,
    })
}

fn to_json(list: &Vec<String>) -> Result<String, StoreError> {
    serde_json::to_string(list).map_err(|error| StoreError::Invalid(error.to_string()))
}

fn from_json(text: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("a token's list: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use std::time::Duration;

    use rusqlite::Connection as Raw;

    use super::*;
    use crate::store::{
        Store,
        testing::{at, store},
    };

    fn new(id: &str, byte: u8, seconds: u64) -> NewToken {
        NewToken {
            id: id.into(),
            sha256: [byte; 32],
            grant: TokenGrant {
                agent: "claude".into(),
                person: Some("ana".into()),
                roles: vec!["oncall".into()],
                packs: Some(vec!["postgres".into()]),
                targets: None,
            },
            created_by: "ben".into(),
            valid: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_token_is_valid_until_it_expires_or_is_revoked_whichever_is_first() {
        let (_state, store) = store();
        let made = store.create_token(&new("tok_a", 1, 60), at(0)).unwrap();
        assert_eq!((made.grant.clone(), made.expires_at), (new("tok_a", 1, 60).grant, at(60)));
        store.create_token(&new("tok_b", 2, 600), at(0)).unwrap();
        let valid = |now| {
            let mut ids: Vec<_> = store.valid_tokens(at(now)).unwrap().into_iter().map(|t| t.id).collect();
            ids.sort();
            ids
        };
        assert_eq!(valid(59), ["tok_a", "tok_b"]);
        assert_eq!(valid(60), ["tok_b"], "from its last moment on it is expired");
        assert_eq!(made.state_at(at(59)), "valid");
        assert_eq!(made.state_at(at(60)), "expired");

        let Revoked::Now(gone) = store.revoke_token("tok_b", "ben", "lost", at(5)).unwrap() else { panic!() };
        assert_eq!(gone.revoked, Some(Revocation { at: at(5), by: "ben".into(), reason: "lost".into() }));
        assert_eq!((valid(6), gone.state_at(at(6))), (vec!["tok_a".to_owned()], "revoked"));
        let again = store.revoke_token("tok_b", "eve", "other", at(7)).unwrap();
        assert_eq!(again, Revoked::Before(gone), "who was first stays");
        assert_eq!(store.revoke_token("tok_c", "ben", "", at(7)).unwrap(), Revoked::Unknown);
        assert_eq!(store.tokens().unwrap().len(), 2, "nothing is forgotten");
    }

    #[test]
    fn what_can_not_be_is_not_stored() {
        let (_state, store) = store();
        assert!(store.create_token(&new("tok_a", 1, 0), at(0)).is_err());
        assert!(store.create_token(&new("tok_a", 1, LONGEST_TOKEN.as_secs() + 1), at(0)).is_err());
        store.create_token(&new("tok_a", 1, LONGEST_TOKEN.as_secs()), at(0)).unwrap();
        assert!(store.create_token(&new("tok_b", 1, 60), at(0)).is_err(), "one secret stands for one token");
        assert!(store.create_token(&new("tok_a", 2, 60), at(0)).is_err());
    }

    #[test]
    fn use_is_noted_and_never_goes_back() {
        let (_state, store) = store();
        store.create_token(&new("tok_a", 1, 600), at(0)).unwrap();
        store.tokens_used(&[("tok_a".into(), at(50)), ("tok_none".into(), at(50))]).unwrap();
        store.tokens_used(&[("tok_a".into(), at(40))]).unwrap();
        assert_eq!(store.tokens().unwrap()[0].last_used_at, Some(at(50)));
    }

    #[test]
    fn whoever_opens_the_file_can_not_bend_a_token() {
        let (_state, store) = store();
        store.create_token(&new("tok_a", 1, 60), at(0)).unwrap();
        store.revoke_token("tok_a", "ben", "", at(1)).unwrap();
        let raw = Raw::open(store.path()).unwrap();
        for sql in [
            "UPDATE tokens SET agent = 'root'",
            "UPDATE tokens SET targets = NULL",
            "UPDATE tokens SET expires_at = expires_at + 1",
            "UPDATE tokens SET revoked_at = NULL, revoked_by = NULL, revoked_reason = NULL",
            "DELETE FROM tokens",
        ] {
            assert!(raw.execute(sql, []).is_err(), "{sql}");
        }
    }
}
