//! What a registry wants to see of who asks: the user's own credentials, or a token that a service gives for them.

use http_auth::ChallengeParser;
use oci_client::{Reference, RegistryOperation, secrets::RegistryAuth};
use reqwest::{Client, StatusCode, Url, header::WWW_AUTHENTICATE};
use serde::Deserialize;

use super::{
    credentials,
    exchange::{Answer, Question, SMALL, ask, failed},
    leads,
};
use crate::error::Refusal;

/// An answer with a token. One is a few kilobytes.
const TOKEN_BYTES: u64 = 64 << 10;
const JSON: &str = "application/json";

/// Turns what is stored into what the registry takes.
///
/// # Errors
/// When it asks for what lockgate does not have, or would have it sent where nobody said.
pub(super) async fn log_in(
    http: &Client,
    home: &Url,
    what: &str,
    (place, operation): (&Reference, RegistryOperation),
    stored: RegistryAuth,
) -> Result<RegistryAuth, Refusal> {
    if matches!(stored, RegistryAuth::Bearer(_)) {
        return Ok(stored);
    }
    let url = home.join("v2/").map_err(|error| failed(what, &error.to_string()))?;
    let nobody = &RegistryAuth::Anonymous;
    let answer = ask(http, Question { what, url, accept: JSON, auth: nobody, limit: TOKEN_BYTES, time: SMALL }).await?;
    match answer.status {
        StatusCode::OK => return Ok(RegistryAuth::Anonymous),
        StatusCode::UNAUTHORIZED => {}
        _ => return Err(answer.refusal(what, nobody)),
    }
    let (realm, service) = match wanted(&answer) {
        Some(Wanted::Token { realm, service }) => (realm, service),
        Some(Wanted::Password) => {
            // What is public is given to nobody in particular, but nothing is taken from them.
            if matches!((operation, &stored), (RegistryOperation::Push, RegistryAuth::Anonymous)) {
                return Err(answer.refusal(what, nobody));
            }
            return Ok(stored);
        }
        None => return Err(failed(what, "the registry asks for a login of a kind that lockgate does not know")),
    };
    let mut url = leads::realm(home, &realm, credentials::token_host().as_deref()).map_err(|why| {
        failed(what, &why).with_remedy(format!(
            "if this registry's page says so, name that host in {}; or give a registry's token in {}",
            credentials::TOKEN_HOST,
            credentials::TOKEN
        ))
    })?;
    let actions = match operation {
        RegistryOperation::Pull => "pull",
        RegistryOperation::Push => "pull,push",
    };
    url.query_pairs_mut()
        .extend_pairs(service.map(|service| ("service", service)))
        // Never what the registry says: it would have a token for more.
        .append_pair("scope", &format!("repository:{}:{actions}", place.repository()));
    let answer =
        ask(http, Question { what, url, accept: JSON, auth: &stored, limit: TOKEN_BYTES, time: SMALL }).await?;
    if answer.status != StatusCode::OK {
        return Err(answer.refusal(what, &stored));
    }
    token(&answer.body).map(RegistryAuth::Bearer).ok_or_else(|| failed(what, "its service for tokens gives none"))
}

enum Wanted {
    Token { realm: String, service: Option<String> },
    Password,
}

/// The first challenge for a token, else one for a password.
fn wanted(answer: &Answer) -> Option<Wanted> {
    let mut password = None;
    for text in answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()) {
        for challenge in ChallengeParser::new(text).map_while(Result::ok) {
            let parameter = |name: &str| {
                let found = challenge.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                return Some(Wanted::Token { realm: parameter("realm")?, service: parameter("service") });
            }
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                password = Some(Wanted::Password);
            }
        }
    }
    password
}

/// The token of an answer, which has to be one that can be sent.
fn token(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Given {
        token: Option<String>,
        access_token: Option<String>,
    }
    let given: Given = serde_json::from_slice(body).ok()?;
    let token = given.token.or(given.access_token)?;
    (!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())).then_some(token)
}
