//! `lockgate token create`: whom the new token stands for, checked before anything is made, and on the record before it is
//! valid.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::super::terminal::{self, say, say_json};
use crate::{
    audit::Entry,
    config,
    error::{Code, Refusal},
    mcp::token,
    outside::is_hidden,
    startup::State,
    store::{LONGEST_TOKEN, NewToken, TokenGrant, random_id},
};

/// Longest name of an agent, a person or a role, in characters.
const NAME: usize = 64;
/// Most roles or patterns of one token.
const LIST: usize = 64;

#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArgs {
    /// The agent's name, for policy and the record
    #[arg(long, value_name = "NAME")]
    agent: String,
    /// The person it acts for, who may then never approve what it asks; as they are named when they approve
    #[arg(long, value_name = "PERSON")]
    person: Option<String>,
    /// A role of it, for policy; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A pattern of packs that exist for it; may be given several times; all without
    #[arg(long = "pack", value_name = "PATTERN")]
    packs: Vec<String>,
    /// A pattern of targets that exist for it; may be given several times; all without
    #[arg(long = "target", value_name = "PATTERN")]
    targets: Vec<String>,
    /// How long it is valid: minutes, hours or days (`30m`, `12h`, `90d`), at most 366d
    #[arg(long, default_value = "90d", value_name = "TIME")]
    expires: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(state: &State, args: CreateArgs) -> Result<(), Refusal> {
    let valid = lifetime(&args.expires).map_err(|e| unusable("--expires", &e))?;
    let json = args.json;
    let grant = grant(args)?;
    let (plain, _) = token::generate().map_err(|e| Refusal::new(Code::InternalError, e.to_string()))?;
    let new = NewToken {
        id: random_id("tok_")?,
        sha256: token::digest(&plain),
        grant,
        created_by: terminal::os_user(),
        valid,
    };
    // On the record first: a line about a token that never came to be does no harm, a token without its line would.
    let grant = &new.grant;
    let created = Entry::new("token.created")
        .field("token", new.id.as_str())
        .field("agent", grant.agent.as_str())
        .field("person", grant.person.clone())
        .field("roles", grant.roles.clone())
        .field("packs", grant.packs.clone().map(serde_json::Value::from))
        .field("targets", grant.targets.clone().map(serde_json::Value::from))
        .field("valid_seconds", valid.as_secs())
        .field("by", new.created_by.as_str());
    state.note(created).await?;
    let made = state.store.create_token(&new, Timestamp::now())?;
    state.record.close().await?;
    if json {
        let expires = made.expires_at.to_string();
        say_json(&json!({ "id": made.id, "token": plain, "agent": made.grant.agent, "expires_at": expires }));
    } else {
        say(&format!("token    {plain}"));
        say(&format!("id       {}", made.id));
        say(&format!("expires  {}", super::second(made.expires_at)));
        say("");
        say("Give the token to the agent; it is shown only now. `lockgate token revoke` takes it back.");
    }
    Ok(())
}

fn grant(args: CreateArgs) -> Result<TokenGrant, Refusal> {
    let person = args.person.map(|person| person.trim().to_owned());
    is_agent(&args.agent).map_err(|e| unusable("--agent", &e))?;
    if let Some(person) = &person {
        is_person(person).map_err(|e| unusable("--person", &e))?;
    }
    for role in &args.roles {
        is_person(role).map_err(|e| unusable("--role", &e))?;
    }
    let scope = |option: &str, patterns: Vec<String>| {
        let patterns = (!patterns.is_empty()).then_some(patterns);
        config::scope(patterns.as_deref()).map_err(|e| unusable(option, &e))?;
        Ok::<_, Refusal>(patterns)
    };
    let lists = [args.roles.len(), args.packs.len(), args.targets.len()];
    if lists.iter().any(|length| *length > LIST) {
        return Err(Refusal::new(Code::ConfigInvalid, format!("more than {LIST} roles, packs or targets")));
    }
    Ok(TokenGrant {
        agent: args.agent,
        person,
        roles: args.roles,
        packs: scope("--pack", args.packs)?,
        targets: scope("--target", args.targets)?,
    })
}

fn unusable(option: &str, problem: &str) -> Refusal {
    Refusal::new(Code::ConfigInvalid, format!("{option}: {problem}"))
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
    let wrong = || format!("`{}` is no time: write 30m, 12h or 90d", crate::outside::shown(text, 40));
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
