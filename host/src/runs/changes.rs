//! The lines that changed who may do what: policy, packs and trust, accounts, logins, tokens, standing approvals. Whatever an
//! event of these rooms is called, it is one; so nothing that is added to a room later is missing here.

use std::fmt;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value as Json, json};

use super::{
    LONGEST_PAGE, RunsError,
    query::{Kept, cursor_seq, number},
    take::signed,
};
use crate::audit::{Line, Place};

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Which policy is in force.
    Policy,
    /// Packs that came in, went out or were refused, and what their publishers may do.
    Packs,
    /// People: accounts, their roles, groups and ways to log in.
    Accounts,
    /// Logins, failed ones too, and sessions that were ended.
    Logins,
    /// Agents' tokens.
    Tokens,
    /// Standing approvals: proposed, approved, revoked. That one was used is part of a run.
    Grants,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Policy, Self::Packs, Self::Accounts, Self::Logins, Self::Tokens, Self::Grants];

    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Packs => "packs",
            Self::Accounts => "accounts",
            Self::Logins => "logins",
            Self::Tokens => "tokens",
            Self::Grants => "grants",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What an event changes, if it changes anything.
    #[must_use]
    pub fn of(event: &str) -> Option<Self> {
        match event {
            "standing.used" => return None,
            "host.reload" | "host.reload_refused" => return Some(Self::Packs),
            _ => {}
        }
        match event.split('.').next().unwrap_or_default() {
            "policy" => Some(Self::Policy),
            "pack" | "trust" => Some(Self::Packs),
            "account" | "passkey" => Some(Self::Accounts),
            "login" | "logout" | "session" | "sessions" => Some(Self::Logins),
            "token" => Some(Self::Tokens),
            "standing" => Some(Self::Grants),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which kinds are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kinds {
    /// All but logins, which anybody can cause any number of.
    #[default]
    ButLogins,
    /// All.
    All,
    /// One.
    One(Kind),
}

/// Which changes are wanted. What is left out does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeFilter {
    /// Of which kinds.
    pub kinds: Kinds,
    /// Who did it, or what it is about: an account, a token's id, a pack, a standing approval.
    pub who: Option<String>,
    /// Made at this time or later.
    pub since: Option<Timestamp>,
    /// Made before this time.
    pub until: Option<Timestamp>,
    /// [`ChangePage::next`] of the page before.
    pub cursor: Option<String>,
}

/// Some changes, the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangePage {
    /// Lines as they stand on the record.
    pub lines: Vec<Json>,
    /// Asks for those before; none when there are none.
    pub next: Option<String>,
}

/// Takes a line in if it is a change.
pub(super) fn take(tx: &Connection, line: &Line, place: Place) -> rusqlite::Result<()> {
    let Some(kind) = Kind::of(line.event()) else { return Ok(()) };
    if !is_news(tx, line)? {
        return Ok(());
    }
    let first = |names: &[&str]| names.iter().map(|name| line.text(name)).find(|text| !text.is_empty());
    let at = line.time().parse::<Timestamp>().map_or(0, Timestamp::as_microsecond);
    tx.prepare_cached(
        "INSERT OR IGNORE INTO changes (seq, kind, by, about, at, segment, offset, length)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        signed(line.seq()),
        kind.as_str(),
        first(&["by", "person"]),
        first(&["account", "token", "standing", "pack", "file"]),
        at,
        signed(place.segment),
        signed(place.offset),
        signed(place.length),
    ])?;
    Ok(())
}

/// Whether a line says anything that was not so before. Every start takes the same packs in again; once a pack is out, or
/// any was refused, the next that comes in is news.
fn is_news(tx: &Connection, line: &Line) -> rusqlite::Result<bool> {
    let field = |name: &str| line.fields().get(name).cloned().unwrap_or_default();
    match line.event() {
        "pack.admitted" => {
            let said = ["digest", "publisher", "signers", "classes"].map(field);
            let said = json!(said).to_string();
            let known: Option<String> = tx
                .prepare_cached("SELECT said FROM admitted WHERE pack = ?1")?
                .query_row([line.text("pack")], |row| row.get(0))
                .optional()?;
            tx.prepare_cached("INSERT OR REPLACE INTO admitted (pack, said) VALUES (?1, ?2)")?
                .execute([line.text("pack"), &said])?;
            Ok(known.as_deref() != Some(&said))
        }
        "pack.refused" => tx.execute("DELETE FROM admitted", []).map(|_| true),
        "host.reload" | "host.reload_refused" => {
            for pack in field("packs_out").as_array().into_iter().flatten() {
                let name = pack.get("pack").and_then(Json::as_str).unwrap_or_default();
                tx.execute("DELETE FROM admitted WHERE pack = ?1", [name])?;
            }
            Ok(true)
        }
        _ => Ok(true),
    }
}

/// Where the lines of a page stand, and where the next page begins.
pub(super) fn query(connection: &Connection, filter: &ChangeFilter) -> Result<(Vec<Kept>, Option<String>), RunsError> {
    let before = filter.cursor.as_deref().map_or(Ok(i64::MAX), cursor_seq)?;
    let (kind, but_logins) = match filter.kinds {
        Kinds::ButLogins => (None, true),
        Kinds::All => (None, false),
        Kinds::One(kind) => (Some(kind.as_str()), false),
    };
    let since = filter.since.map_or(i64::MIN, Timestamp::as_microsecond);
    let until = filter.until.map_or(i64::MAX, Timestamp::as_microsecond);
    let mut statement = connection.prepare_cached(
        "SELECT seq, segment, offset, length FROM changes
         WHERE seq < ?1 AND (?2 IS NULL OR kind = ?2) AND NOT (?3 AND kind = 'logins')
             AND (?4 IS NULL OR by = ?4 OR about = ?4) AND at >= ?5 AND at < ?6
         ORDER BY seq DESC LIMIT ?7",
    )?;
    let limit = i64::try_from(LONGEST_PAGE).unwrap_or(i64::MAX - 1);
    let kept = statement.query_map(params![before, kind, but_logins, filter.who, since, until, limit + 1], |row| {
        let place = Place { segment: number(row, 1)?, offset: number(row, 2)?, length: number(row, 3)? };
        Ok(Kept { seq: number(row, 0)?, place })
    })?;
    let mut kept = kept.collect::<Result<Vec<_>, _>>()?;
    let more = kept.len() > LONGEST_PAGE;
    kept.truncate(LONGEST_PAGE);
    let next = kept.last().filter(|_| more).map(|last| last.seq.to_string());
    Ok((kept, next))
}
