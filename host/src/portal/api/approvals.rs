//! Requests, as `/api` shows them and takes what is decided on them.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{Approver, Caller, Failed, answer};
use crate::{
    approval::{self, look, render},
    error::{Code, Refusal},
    people::login::LoginError,
    portal::{
        Portal, Problem,
        decision::{self, Given, RECENT},
    },
    store::{Approval, State as Stand},
};

/// Requests in one list. Each is whole, with its evidence.
const LISTED: usize = 200;

pub(super) fn router() -> Router<Portal> {
    Router::new()
        .route("/", get(list))
        .route("/{id}", get(show))
        .route("/{id}/look", post(look_again))
        .route("/{id}/approve", post(approve))
        .route("/{id}/deny", post(deny))
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    all: bool,
}

async fn list(State(portal): State<Portal>, _: Caller, Query(which): Query<Which>) -> Result<Response, Failed> {
    let (store, now) = (Arc::clone(&portal.store), Timestamp::now());
    let listed = tokio::task::spawn_blocking(move || approval::listed(&*store, which.all, now)).await;
    let found = listed.map_err(|e| Refusal::new(Code::StoreUnavailable, e.to_string()))?.map_err(Refusal::from)?;
    let (shown, left_off) = found.split_at(found.len().min(LISTED));
    let views: Vec<_> = shown.iter().map(|approval| render::View::new(approval, now)).collect();
    let text = render::render_list(shown, now);
    Ok(answer(StatusCode::OK, &json!({ "approvals": views, "text": text, "left_off": left_off.len() })))
}

async fn show(State(portal): State<Portal>, _: Caller, Path(id): Path<String>) -> Result<Response, Failed> {
    Ok(shown(&decision::find(&portal, &id).await?))
}

/// Looks at the target again, or takes what somebody just found there: that runs the pack's preview in the database.
async fn look_again(State(portal): State<Portal>, _: Approver, Path(id): Path<String>) -> Result<Response, Failed> {
    let approval = decision::find(&portal, &id).await?;
    if approval.state_at(Timestamp::now()) != Stand::Pending {
        return Ok(shown(&approval));
    }
    let review = decision::looked_at(&portal, &id, RECENT).await?;
    // A look may have ended it.
    let (approval, now) = (decision::find(&portal, &id).await?, Timestamp::now());
    let changes = review.answer.as_ref().and_then(|(_, finding)| look::since_request(&approval, finding));
    let text =
        format!("{}\n{}", render::render(&approval, now).trim_end(), render::render_fresh(&approval, &review, now));
    let view = render::View::new(&approval, now);
    let found = json!({ "request": view, "review": review, "changes": changes, "text": text });
    Ok(answer(StatusCode::OK, &found))
}

/// What is sent with a decision.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    digest: String,
    #[serde(default)]
    seen: String,
    #[serde(default)]
    reason: String,
    password: String,
}

async fn approve(
    State(portal): State<Portal>,
    Approver(caller): Approver,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Failed> {
    let given = proven(&portal, &caller, &id, &body).await?;
    Ok(shown(&decision::approve(&portal, &caller.account, &id, &given).await?))
}

async fn deny(
    State(portal): State<Portal>,
    Approver(caller): Approver,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Failed> {
    let given = proven(&portal, &caller, &id, &body).await?;
    Ok(shown(&decision::deny(&portal, &caller.account, &id, &given).await?))
}

/// What an approver decides, who has just shown who they are.
async fn proven(portal: &Portal, caller: &Caller, id: &str, body: &[u8]) -> Result<Given, Failed> {
    let Caller { token, origin, .. } = caller;
    let Decided { digest, seen, reason, password } = serde_json::from_slice(body).map_err(|error| {
        let what = format!("the body can't be read: {error}");
        Failed::new(
            StatusCode::BAD_REQUEST,
            Code::InvalidArguments,
            what,
            "send `digest`, `seen`, `reason`, `password`",
        )
    })?;
    decision::find(portal, id).await?;
    let at = portal.access.site.base().link(id);
    match portal.access.people.prove(token, password, origin).await {
        Ok(()) => Ok(Given { digest, seen, reason }),
        Err(LoginError::Wrong) => {
            let remedy = format!("try again; without a password here decide at {at}");
            let what = "nothing was decided: that is not the password of this token's person";
            Err(Failed::new(StatusCode::FORBIDDEN, Code::Unauthorized, what, remedy))
        }
        Err(LoginError::TooOften { wait }) => {
            let problem = Problem::too_many("nothing was decided: too many attempts", wait.as_secs().max(1));
            Err(problem.into())
        }
        Err(LoginError::Refused(refusal)) => Err(refusal.into()),
    }
}

fn shown(approval: &Approval) -> Response {
    let now = Timestamp::now();
    let view = json!({ "request": render::View::new(approval, now), "text": render::render(approval, now) });
    answer(StatusCode::OK, &view)
}
