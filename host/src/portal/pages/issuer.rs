//! The way to a company's issuer and back. Both are links: what is sent there says nothing, and what comes back is good for
//! the browser that was sent, once.

use axum::{
    extract::Query,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::login::{Asked, said};
use crate::{
    outside::shown,
    people::Secret,
    portal::{Next, Problem, Visitor},
};

/// To the issuer.
pub(super) async fn go(visitor: Visitor, Query(asked): Query<Asked>) -> Response {
    let again = visitor.account().is_some();
    let people = &visitor.access.people;
    match people.send_to_issuer(visitor.browser(), asked.next.as_str(), again, &visitor.origin).await {
        Ok(address) => Redirect::to(&address).into_response(),
        Err(error) => problem(error),
    }
}

/// What the issuer sends somebody back with.
#[derive(Deserialize)]
pub(super) struct Back {
    #[serde(default)]
    state: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    error: Option<String>,
}

/// Back from it.
pub(super) async fn back(visitor: Visitor, Query(back): Query<Back>) -> Response {
    if let Some(error) = &back.error {
        let message = format!("the issuer did not let you through (`{}`)", shown(error, 60));
        return Problem::new(StatusCode::UNAUTHORIZED, "Not logged in", message, "Start again from the login page.")
            .into_response();
    }
    let (people, current) = (&visitor.access.people, visitor.account().map(|account| account.name.as_str()));
    let returned = people.back_from_issuer(visitor.browser(), &back.state, &back.code, current, &visitor.origin).await;
    match returned {
        Ok(returned) => {
            let secret: &Secret = &returned.opened.secret;
            visitor.go_as(secret, Some(&returned.opened.device), Next::new(&returned.next).as_str(), None)
        }
        Err(error) => problem(error),
    }
}

fn problem(error: crate::people::login::LoginError) -> Response {
    match said(error) {
        Ok(text) => Problem::new(StatusCode::UNAUTHORIZED, "Not logged in", text, "Start again from the login page.")
            .into_response(),
        Err(problem) => problem.into_response(),
    }
}
