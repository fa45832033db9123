//! The pages, one room each. [`of_access`] are those of logging in and of accounts; [`of_gate`] those over the gate.

mod account;
mod accounts;
mod api_tokens;
mod catalogue;
mod changes;
mod confirm;
mod inbox;
mod issuer;
mod links;
mod login;
mod passkey;
mod policy;
mod principals;
mod record;
mod request;
mod runs;
mod standing;
mod targets;
mod words;

use axum::{
    Router,
    routing::{get, post},
};

use super::{Portal, Problem, live};
use crate::error::{Code, Refusal};

/// Logging in, one's own account, and everybody's.
pub fn of_access<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/login", get(login::show).post(login::with_password))
        .route("/login/passkey", get(passkey::show_login).post(passkey::ask_login))
        .route("/login/passkey/answer", post(passkey::login))
        .route("/login/company", get(issuer::go))
        .route(crate::portal::ISSUER_BACK, get(issuer::back))
        .route("/logout", post(login::log_out))
        .route("/setup/{secret}", get(links::show_setup).post(links::set_up))
        .route("/link/{secret}", get(links::show).post(links::choose_password))
        .route("/confirm", get(confirm::show).post(confirm::with_password))
        .route("/confirm/passkey", post(passkey::ask_confirm))
        .route("/confirm/passkey/answer", post(passkey::confirm))
        .route("/account", get(account::show))
        .route("/account/password", post(account::change_password))
        .route("/account/passkeys/new", post(passkey::ask_add))
        .route("/account/passkeys/add", post(passkey::add))
        .route("/account/passkeys/remove", post(passkey::remove))
        .route("/account/sessions/end", post(account::end_session))
        .route("/account/sessions/end-others", post(account::end_others))
        .route(api_tokens::HERE, get(api_tokens::show).post(api_tokens::create))
        .route("/account/tokens/end", post(api_tokens::end))
        .route("/accounts", get(accounts::list).post(accounts::create))
        .route("/accounts/{name}", get(accounts::show).post(accounts::change))
        .route("/accounts/{name}/link", post(accounts::make_link))
        .route("/accounts/{name}/disable", post(accounts::disable))
        .route("/accounts/{name}/enable", post(accounts::enable))
        .route("/accounts/{name}/sessions/end", post(accounts::end_sessions))
        .route("/accounts/{name}/passkeys/remove", post(accounts::remove_passkey))
        .route("/accounts/{name}/tokens/end", post(accounts::end_token))
}

/// What there is to see of the gate.
pub fn of_gate() -> Router<Portal> {
    of_requests().merge(of_looking())
}

/// What waits for people, and what they let through in advance.
fn of_requests() -> Router<Portal> {
    use request::decide;
    Router::new()
        .route("/", get(inbox::show))
        .route(inbox::PART, get(inbox::part))
        .route(live::ROUTE, get(live::stream))
        .route("/approvals/{id}", get(request::show))
        .route("/approvals/{id}/part", get(request::part))
        .route("/approvals/{id}/still", get(decide::still))
        .route("/approvals/{id}/approve", get(decide::ask_approve).post(decide::approve))
        .route("/approvals/{id}/deny", get(decide::ask_deny).post(decide::deny))
        .route("/approvals/{id}/standing", get(standing::propose::show).post(standing::propose::propose))
        .route("/standing", get(standing::list))
        .route("/standing/{id}", get(standing::show))
        .route("/standing/{id}/approve", post(standing::approve))
        .route("/standing/{id}/revoke", post(standing::revoke))
}

/// Pages on which people look: what was run, what is there, who may do what.
fn of_looking() -> Router<Portal> {
    Router::new()
        .route("/runs", get(runs::list))
        .route("/runs/{run}", get(runs::show))
        .route("/record", get(record::show))
        .route("/record/verify", post(record::verify))
        .route("/catalogue", get(catalogue::list))
        .route("/catalogue/{pack}", get(catalogue::pack))
        .route("/catalogue/{pack}/{action}", get(catalogue::action))
        .route("/policy", get(policy::show))
        .route("/targets", get(targets::list))
        .route("/targets/{name}", get(targets::show))
        .route("/principals", get(principals::list))
        .route("/principals/tokens", post(principals::create))
        .route("/principals/tokens/{id}", get(principals::token))
        .route("/principals/tokens/{id}/revoke", post(principals::revoke))
        .route("/changes", get(changes::list))
}

/// Does a blocking piece of work off the async threads.
async fn off_thread<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, Problem>
where
    T: Send + 'static,
    E: Into<Refusal> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| Refusal::new(Code::InternalError, error.to_string()))?;
    done.map_err(|error| Problem::from(error.into()))
}
