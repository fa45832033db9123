//! Making tokens for agents and taking them back, whoever asks for it: an administrator on a page, or somebody on the command
//! line. A token is checked before anything is made, on the record before it is valid, and its text is given out once; what
//! stays is its digest. A revocation takes hold before it is on the record.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value as Json;

use super::token;
use crate::{
    audit::{Entry, Record},
    config,
    error::{Code, Refusal},
    outside::{is_hidden, shown},
    store::{
        Filter, LONGEST_TOKEN, NewToken, Requester, Revoked, State, Store, StoreError, Token, TokenGrant, random_id,
    },
};

/// Longest name of an agent, a person or a role, in characters.
pub const NAME: usize = 64;
/// Most roles or patterns of one token.
const LIST: usize = 64;
/// Longest reason that is kept with a revocation, in characters.
const REASON: usize = 500;

/// Whom a token is to stand for, as it was written down.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The agent's name.
    pub agent: String,
    /// The person it acts for.
    pub person: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// Patterns of packs that exist for it; all without any.
    pub packs: Vec<String>,
    /// Patterns of targets that exist for it; all without any.
    pub targets: Vec<String>,
    /// How long it is valid: `30m`, `12h` or `90d`.
    pub expires: String,
}

/// What of it can't be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The field of [`Wanted`], in the singular.
    pub field: &'static str,
    /// Why.
    pub why: String,
}

/// A token that may be made.
#[derive(Clone, Debug)]
pub struct Order {
    grant: TokenGrant,
    valid: Duration,
}

/// A token that was made.
pub struct Made {
    /// What is known of it.
    pub token: Token,
    /// What the agent presents; nobody can be told it again.
    pub secret: String,
}

impl Order {
    /// Checks what was written down.
    ///
    /// # Errors
    /// The first field that can't be used.
    pub fn new(wanted: Wanted) -> Result<Self, Unusable> {
        let in_field = |field: &'static str| move |why: String| Unusable { field, why };
        let valid = lifetime(&wanted.expires).map_err(in_field("expires"))?;
        let person = wanted.person.map(|person| person.trim().to_owned());
        is_agent(&wanted.agent).map_err(in_field("agent"))?;
        person.as_deref().map_or(Ok(()), is_person).map_err(in_field("person"))?;
        wanted.roles.iter().try_for_each(|role| is_person(role)).map_err(in_field("role"))?;
        for (field, list) in [("role", &wanted.roles), ("pack", &wanted.packs), ("target", &wanted.targets)] {
            if list.len() > LIST {
                return Err(Unusable { field, why: format!("more than {LIST} of them") });
            }
        }
        let scope = |field, patterns: Vec<String>| {
            let patterns = (!patterns.is_empty()).then_some(patterns);
            config::scope(patterns.as_deref()).map_err(in_field(field))?;
            Ok::<_, Unusable>(patterns)
        };
        let grant = TokenGrant {
            agent: wanted.agent,
            person,
            roles: wanted.roles,
            packs: scope("pack", wanted.packs)?,
            targets: scope("target", wanted.targets)?,
        };
        Ok(Self { grant, valid })
    }
}

/// Makes a token. A running `lockgate serve` takes it at once.
///
/// # Errors
/// When there is no randomness, or the record or the store can't be written; then there is no token.
pub async fn create(store: &Arc<dyn Store>, record: &Record, order: Order, by: &str) -> Result<Made, Refusal> {
    let (secret, _) = token::generate().map_err(|e| Refusal::new(Code::InternalError, e.to_string()))?;
    let Order { grant, valid } = order;
    let new =
        NewToken { id: random_id("tok_")?, sha256: token::digest(&secret), grant, created_by: by.to_owned(), valid };
    // On the record first: a line about a token that never came to be does no harm, a token without its line would.
    let grant = &new.grant;
    let created = Entry::new("token.created")
        .field("token", new.id.as_str())
        .field("agent", grant.agent.as_str())
        .field("person", grant.person.clone())
        .field("roles", grant.roles.clone())
        .field("packs", grant.packs.clone().map(Json::from))
        .field("targets", grant.targets.clone().map(Json::from))
        .field("valid_seconds", valid.as_secs())
        .field("by", by);
    record.append(created).await?;
    let token = with_store(store, move |store| store.create_token(&new, Timestamp::now())).await?;
    Ok(Made { token, secret })
}

/// Takes a token back, for good. A running `lockgate serve` refuses it within a second.
///
/// # Errors
/// When the store or the record can't be written; if only the record can't, it is revoked all the same and the error says so.
pub async fn revoke(
    store: &Arc<dyn Store>,
    record: &Record,
    id: &str,
    reason: &str,
    by: &str,
) -> Result<Revoked, Refusal> {
    let (named, why, who) = (id.to_owned(), shown(reason.trim(), REASON), by.to_owned());
    let kept = why.clone();
    // Before the record: a token that is lost must stop working even if the record can't be written.
    let revoked = with_store(store, move |store| store.revoke_token(&named, &who, &kept, Timestamp::now())).await?;
    if let Revoked::Now(token) = &revoked {
        let line = Entry::new("token.revoked")
            .field("token", token.id.as_str())
            .field("agent", token.grant.agent.as_str())
            .field("person", token.grant.person.clone())
            .field("by", by)
            .field("reason", why);
        record.append(line).await.map_err(|error| {
            let refusal = Refusal::from(error);
            let message = format!("{} is revoked, and that is not on the record: {}", token.id, refusal.message);
            Refusal { message, ..refusal }
        })?;
    }
    Ok(revoked)
}

/// What the agent of a token asked for and nobody has decided or used: revoking does not take it back, since it may have come
/// with another token.
///
/// # Errors
/// The store's.
pub async fn open_requests(store: &Arc<dyn Store>, token: &Token) -> Result<usize, Refusal> {
    let filter = Filter { states: vec![State::Pending, State::Approved], ..Filter::default() };
    let open = with_store(store, move |store| store.list(&filter)).await?;
    let (now, grant) = (Timestamp::now(), &token.grant);
    let is_its = |requester: &Requester| requester.agent == grant.agent && requester.person == grant.person;
    Ok(open.iter().filter(|a| is_its(&a.request.requester) && !a.state_at(now).is_terminal()).count())
}

async fn with_store<T: Send + 'static>(
    store: &Arc<dyn Store>,
    work: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    let store = Arc::clone(store);
    let done = tokio::task::spawn_blocking(move || work(&*store)).await;
    Ok(done.map_err(|error| Refusal::new(Code::StoreUnavailable, error.to_string()))??)
}

/// An agent's name has no `@`: agents of an OAuth issuer are `name@issuer`, and nobody must pass for one.
fn is_agent(name: &str) -> Result<(), String> {
    let fits = (1..=NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if fits { Ok(()) } else { Err(format!("a name is 1 to {NAME} ASCII letters, digits, `.`, `_` and `-`")) }
}

fn is_person(name: &str) -> Result<(), String> {
    let fits = (1..=NAME).contains(&name.chars().count()) && name.trim() == name && !name.chars().any(is_hidden);
    if fits { Ok(()) } else { Err(format!("a name is 1 to {NAME} visible characters")) }
}

/// Reads `30m`, `12h` or `90d`.
fn lifetime(text: &str) -> Result<Duration, String> {
    if text.eq_ignore_ascii_case("never") {
        return Err("every token expires: give a time of at most 366d, and make a new one before it is over".to_owned());
    }
    let wrong = || format!("`{}` is no time: write 30m, 12h or 90d", shown(text, 40));
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = text.strip_suffix(unit).unwrap_or_default().parse().map_err(|_| wrong())?;
    let valid = Duration::from_secs(number.checked_mul(seconds).ok_or_else(wrong)?);
    if valid.is_zero() || valid > LONGEST_TOKEN {
        return Err("a token is valid for at least a minute and at most 366d".to_owned());
    }
    Ok(valid)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_bounded() {
        for (text, seconds) in [("1m", 60), ("12h", 43_200), ("90d", 7_776_000), ("366d", 31_622_400)] {
            assert_eq!(lifetime(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for bad in [
            "",
            "d",
            "0d",
            "367d",
            "never",
            "Never",
            "90",
            "90s",
            "-1d",
            "1.5h",
            "90 d",
            "99999999999999999999d",
            "9d9d",
            "9é",
        ] {
            assert!(lifetime(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_hides_nothing_and_passes_for_nobody_elses() {
        assert!(is_agent("claude-oncall.2").is_ok());
        for bad in ["", "a b", "a@issuer", "ä", "a\u{200b}", &"x".repeat(65)] {
            assert!(is_agent(bad).is_err(), "{bad:?}");
        }
        assert!(is_person("Ana Müller").is_ok());
        for bad in ["", " ana", "ana\n", "an\u{202e}a"] {
            assert!(is_person(bad).is_err(), "{bad:?}");
        }
    }
}
