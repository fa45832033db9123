//! What a token with a right signature says (RFC 9068): whether it is for us and for now, and whom it stands for. What can't
//! be read for certain refuses the token; nothing is made up for it.

use jiff::{SignedDuration, Timestamp};
use lockgate_signing::glob::Pattern;
use serde_json::{Map, Value};

use super::{OAuthError, OAuthSettings, jwt::refused};
use crate::{
    gate::call::{Door, Principal, Scope},
    outside::is_hidden,
};

/// Longest name of an agent, a person or a role.
const NAME: usize = 200;
/// Most roles or patterns.
const LIST: usize = 128;

/// Whom a token stands for.
#[derive(Debug)]
pub(crate) struct Found {
    /// Who.
    pub(crate) principal: Principal,
    /// From when on it is not valid any more, leeway included.
    pub(crate) until: Timestamp,
}

/// Reads claims whose signature was found to be right.
pub(crate) fn read(claims: Map<String, Value>, settings: &OAuthSettings, now: Timestamp) -> Result<Found, OAuthError> {
    let claims = Value::Object(claims);
    if claims.get("iss").and_then(Value::as_str) != Some(&settings.issuer) {
        return Err(refused("its `iss` is not the configured issuer"));
    }
    if !is_for(claims.get("aud"), &settings.resource) {
        return Err(refused("its `aud` does not name this resource"));
    }
    let until = in_time(&claims, settings, now)?;
    if let Some(needed) = &settings.scope
        && !has_scope(&claims, needed)?
    {
        return Err(OAuthError::NoScope { needed: needed.clone() });
    }
    let scope = Scope {
        packs: patterns(&claims, settings.packs_claim.as_deref())?,
        targets: patterns(&claims, settings.targets_claim.as_deref())?,
    };
    let jti = claims.get("jti").and_then(Value::as_str).filter(|id| is_name(id));
    let principal = Principal {
        agent: agent(&claims, settings)?,
        person: person(&claims, settings)?,
        os_user: None,
        roles: match at(&claims, &settings.roles_claim) {
            None => Vec::new(),
            Some(value) => words(value, &settings.roles_claim)?,
        },
        door: Door::Http,
        scope,
        credential: jti.map(|id| format!("jwt:{id}")),
    };
    Ok(Found { principal, until })
}

/// `aud` is one text or a list of them (RFC 7519, section 4.1.3).
fn is_for(audience: Option<&Value>, resource: &str) -> bool {
    match audience {
        Some(Value::String(one)) => one == resource,
        Some(Value::Array(several)) => several.iter().any(|one| one == resource),
        _ => false,
    }
}

/// Whether it has begun and not ended, give or take what clocks differ by; until when.
fn in_time(claims: &Value, settings: &OAuthSettings, now: Timestamp) -> Result<Timestamp, OAuthError> {
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            // Seconds since 1970, with a fraction or without.
            let seconds = value.as_f64().filter(|seconds| (0.0..=2e11).contains(seconds));
            let seconds = seconds.ok_or_else(|| refused(format!("its `{name}` is no time")))?;
            let since = SignedDuration::try_from_secs_f64(seconds).map_err(|_| refused(format!("its `{name}` is no time")))?;
            Timestamp::UNIX_EPOCH.checked_add(since).map(Some).map_err(|_| refused(format!("its `{name}` is no time")))
        }
    };
    let leeway = SignedDuration::from_secs(i64::try_from(settings.leeway_seconds).unwrap_or(0));
    let expires = time("exp")?.ok_or_else(|| refused("it has no `exp`"))?;
    let until = expires.checked_add(leeway).unwrap_or(Timestamp::MAX);
    if until <= now {
        return Err(refused("it has expired"));
    }
    if time("nbf")?.is_some_and(|begins| begins.checked_sub(leeway).unwrap_or(Timestamp::MIN) > now) {
        return Err(refused("it is not valid yet"));
    }
    Ok(until)
}

/// `scope` is a text of words (RFC 8693, section 4.2); some issuers call it `scp`, and some write a list.
fn has_scope(claims: &Value, needed: &str) -> Result<bool, OAuthError> {
    for name in ["scope", "scp"] {
        if let Some(value) = claims.get(name) {
            return Ok(words(value, name)?.iter().any(|word| word == needed));
        }
    }
    Ok(false)
}

/// The agent is the client that the token was given to, under the issuer's label, so that it never passes for an agent of the
/// configuration. A token without a client stands for its subject, which is marked: clients and subjects are named by
/// different people.
fn agent(claims: &Value, settings: &OAuthSettings) -> Result<String, OAuthError> {
    let named = |claim: &str| match at(claims, claim) {
        None => Ok(None),
        Some(Value::String(name)) if is_name(name) => Ok(Some(name.clone())),
        Some(_) => Err(refused(format!("its `{claim}` is no name for an agent"))),
    };
    let name = match &settings.agent_claim {
        Some(claim) => named(claim)?.ok_or_else(|| refused(format!("it has no `{claim}`")))?,
        None => match named("client_id")?.map_or_else(|| named("azp"), |name| Ok(Some(name)))? {
            Some(client) if client.starts_with("sub:") => return Err(refused("its client is named like a subject")),
            Some(client) => client,
            None => {
                let subject = named("sub")?.ok_or_else(|| refused("it has neither `client_id`, `azp` nor `sub`"))?;
                format!("sub:{subject}")
            }
        },
    };
    Ok(format!("{name}@{}", settings.label))
}

fn person(claims: &Value, settings: &OAuthSettings) -> Result<Option<String>, OAuthError> {
    let Some(claim) = &settings.person_claim else { return Ok(None) };
    // Without the person nobody would be kept from approving their own agent's request.
    let Some(Value::String(name)) = at(claims, claim) else { return Err(refused(format!("it has no `{claim}`"))) };
    if claim == "email" && claims.get("email_verified").is_some_and(|verified| *verified != Value::Bool(true)) {
        return Err(refused("its `email` was not verified"));
    }
    let sound = (1..=NAME).contains(&name.chars().count()) && name.trim() == name && !name.chars().any(is_hidden);
    if !sound {
        return Err(refused(format!("its `{claim}` is no name for a person")));
    }
    Ok(Some(match (&settings.person_domain, name.rsplit_once('@')) {
        (Some(domain), Some((local, of))) if of.eq_ignore_ascii_case(domain) && !local.is_empty() => local.to_owned(),
        _ => name.clone(),
    }))
}

/// The patterns of a claim. Where one is configured and a token has none, nothing is open.
fn patterns(claims: &Value, claim: Option<&str>) -> Result<Option<Vec<String>>, OAuthError> {
    let Some(claim) = claim else { return Ok(None) };
    let words = at(claims, claim).map_or_else(|| Ok(Vec::new()), |value| words(value, claim))?;
    if words.iter().any(|word| word.parse::<Pattern>().is_err()) {
        return Err(refused(format!("its `{claim}` has something that is no pattern")));
    }
    Ok(Some(words))
}

/// A list of texts, or one text of words. What can't be read refuses the token: a role may be what a rule denies by.
fn words(value: &Value, claim: &str) -> Result<Vec<String>, OAuthError> {
    let words: Option<Vec<String>> = match value {
        Value::String(text) => Some(text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()),
        Value::Array(list) => list.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    let is_word = |word: &String| (1..=NAME).contains(&word.chars().count()) && !word.chars().any(is_hidden);
    words
        .filter(|words| words.len() <= LIST && words.iter().all(is_word))
        .ok_or_else(|| refused(format!("its `{claim}` is no list of names")))
}

/// A claim by its name, which may itself have dots, or by a path of names (`realm_access.roles`).
fn at<'a>(claims: &'a Value, claim: &str) -> Option<&'a Value> {
    claims.get(claim).or_else(|| claim.split('.').try_fold(claims, |value, name| value.get(name)))
}

/// Visible ASCII without what policy or a reader could take for something else. A client may be named by an address.
fn is_name(name: &str) -> bool {
    (1..=NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'`' | b'"' | b'\\' | b'<' | b'>'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mcp::oauth::settings::tests::settings;

    const NOW: i64 = 1_800_000_000;

    fn claims(more: Value) -> Map<String, Value> {
        let mut claims = json!({
            "iss": "https://idp.example", "aud": "https://gate.example/mcp", "exp": NOW + 60,
            "client_id": "claude", "sub": "u-1",
        });
        for (name, value) in more.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims.as_object().unwrap().clone()
    }

    fn read_at(more: Value, settings: &OAuthSettings, now: i64) -> Result<Found, OAuthError> {
        read(claims(more), settings, Timestamp::from_second(now).unwrap())
    }

    fn ok(more: Value, settings: &OAuthSettings) -> Principal {
        read_at(more, settings, NOW).unwrap().principal
    }

    fn is_refused(more: Value, settings: &OAuthSettings) -> bool {
        matches!(read_at(more, settings, NOW), Err(OAuthError::NotValid(_)))
    }

    #[test]
    fn a_token_is_for_one_issuer_and_one_resource() {
        let settings = settings("");
        assert!(read_at(json!({}), &settings, NOW).is_ok());
        assert!(read_at(json!({ "aud": ["https://other.example", "https://gate.example/mcp"] }), &settings, NOW).is_ok());
        for bad in [
            json!({ "iss": null }),
            json!({ "iss": "https://idp.example/" }),
            json!({ "iss": ["https://idp.example"] }),
            json!({ "iss": "https://evil.example" }),
            json!({ "aud": null }),
            json!({ "aud": "https://gate.example" }),
            json!({ "aud": "https://gate.example/mcp/" }),
            json!({ "aud": [] }),
            json!({ "aud": [["https://gate.example/mcp"]] }),
            json!({ "aud": { "https://gate.example/mcp": true } }),
        ] {
            assert!(is_refused(bad.clone(), &settings), "{bad}");
        }
    }

    #[test]
    fn a_token_is_for_its_time_give_or_take_the_leeway() {
        let settings = settings("");
        let valid = |more: Value, now: i64| read_at(more, &settings, now).is_ok();
        assert!(valid(json!({ "exp": NOW }), NOW + 29) && !valid(json!({ "exp": NOW }), NOW + 30));
        assert!(valid(json!({ "nbf": NOW + 30 }), NOW) && !valid(json!({ "nbf": NOW + 31 }), NOW));
        assert!(valid(json!({ "exp": f64::from(1_800_000_060_i32) + 0.5 }), NOW));
        for bad in [json!({ "exp": null }), json!({ "exp": "1800000060" }), json!({ "exp": -1 }), json!({ "exp": 1e300 }), json!({ "nbf": "now" })] {
            assert!(!valid(bad.clone(), NOW), "{bad}");
        }
        let found = read_at(json!({ "exp": NOW }), &settings, NOW).unwrap();
        assert_eq!(found.until, Timestamp::from_second(NOW + 30).unwrap());
    }

    #[test]
    fn an_agent_of_an_issuer_passes_for_no_other() {
        let default = settings("");
        assert_eq!(ok(json!({}), &default).agent, "claude@idp.example");
        assert_eq!(ok(json!({ "client_id": null, "azp": "cursor" }), &default).agent, "cursor@idp.example");
        assert_eq!(ok(json!({ "client_id": null }), &default).agent, "sub:u-1@idp.example");
        assert!(is_refused(json!({ "client_id": "sub:u-1" }), &default), "a client named like a subject");
        assert!(is_refused(json!({ "client_id": null, "sub": null }), &default));
        for bad in ["", "a b", "a\nb", "*", "ä", "a`b", &"x".repeat(201)] {
            assert!(is_refused(json!({ "client_id": bad }), &default), "{bad:?}");
        }
        assert!(is_refused(json!({ "client_id": ["claude"], "azp": "claude" }), &default), "nothing is skipped");
        let named = settings("label = \"corp\"\nagent_claim = \"ext.agent\"");
        assert_eq!(ok(json!({ "ext": { "agent": "a1" } }), &named).agent, "a1@corp");
        assert!(is_refused(json!({}), &named), "no other claim stands in for a configured one");
    }

    #[test]
    fn a_person_is_named_as_approvers_are() {
        assert_eq!(ok(json!({}), &settings("")).person, None);
        let by_subject = settings("person_claim = \"sub\"");
        assert_eq!(ok(json!({}), &by_subject).person.unwrap(), "u-1");
        assert!(is_refused(json!({ "sub": null }), &by_subject));
        let by_mail = settings("person_claim = \"email\"\nperson_domain = \"corp.example\"");
        let person = |more: Value| ok(more, &by_mail).person.unwrap();
        assert_eq!(person(json!({ "email": "ana@corp.example" })), "ana");
        assert_eq!(person(json!({ "email": "ana@CORP.example", "email_verified": true })), "ana");
        assert_eq!(person(json!({ "email": "ana@other.example" })), "ana@other.example");
        assert!(is_refused(json!({ "email": "ana@corp.example", "email_verified": false }), &by_mail));
        assert!(is_refused(json!({ "email": "ana@corp.example\u{200b}" }), &by_mail));
    }

    #[test]
    fn roles_come_from_a_path_and_none_is_dropped() {
        let nested = settings("roles_claim = \"realm_access.roles\"");
        assert_eq!(ok(json!({ "realm_access": { "roles": ["oncall", "dba"] } }), &nested).roles, ["oncall", "dba"]);
        assert!(ok(json!({}), &nested).roles.is_empty());
        let dotted = settings("roles_claim = \"https://corp.example/roles\"");
        assert_eq!(ok(json!({ "https://corp.example/roles": "oncall dba" }), &dotted).roles, ["oncall", "dba"]);
        for bad in [json!([7]), json!({}), json!(["a", null]), json!(["a\nb"]), json!(vec!["r"; LIST + 1])] {
            assert!(is_refused(json!({ "roles": bad.clone() }), &settings("")), "{bad}");
        }
    }

    #[test]
    fn a_scope_that_is_required_must_be_there() {
        let settings = settings("scope = \"lockgate\"");
        for good in [json!({ "scope": "openid lockgate" }), json!({ "scp": ["lockgate"] })] {
            assert!(read_at(good.clone(), &settings, NOW).is_ok(), "{good}");
        }
        for bad in [json!({}), json!({ "scope": "lockgate2" }), json!({ "scope": "", "scp": "lockgate" })] {
            let error = read_at(bad.clone(), &settings, NOW).unwrap_err();
            assert_eq!(error, OAuthError::NoScope { needed: "lockgate".into() }, "{bad}");
        }
        let expired = read_at(json!({ "scope": "lockgate", "exp": 1 }), &settings, NOW).unwrap_err();
        assert!(matches!(expired, OAuthError::NotValid(_)), "an expired token lacks no scope, it is none");
    }

    #[test]
    fn packs_and_targets_are_what_the_token_says_and_nothing_without_its_word() {
        let settings = settings("packs_claim = \"lockgate.packs\"\ntargets_claim = \"targets\"");
        let scope = ok(json!({ "lockgate": { "packs": ["diag*"] }, "targets": "shop-1 shop-2" }), &settings).scope;
        assert_eq!(scope.packs.unwrap(), ["diag*"]);
        assert_eq!(scope.targets.unwrap(), ["shop-1", "shop-2"]);
        let nothing = ok(json!({}), &settings).scope;
        assert!(!nothing.opens_action("postgres.uptime") && !nothing.opens_target("shop-1"));
        assert!(is_refused(json!({ "targets": ["a b"] }), &settings));
    }
}
