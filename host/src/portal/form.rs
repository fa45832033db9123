//! What was sent with a form. The door has read it, bounded it and checked its token before a page sees any of it; here it
//! only gets its type.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts},
    http::{Method, Request, header, request::Parts},
};
use serde::de::DeserializeOwned;

use super::Problem;

/// The body of a form whose token was right.
#[derive(Clone)]
pub(super) struct Checked(pub(super) Bytes);

/// A form's fields. `Form<Vec<(String, String)>>` takes any, in order, a name several times.
pub struct Form<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let unread = || Problem::bad_request("no form was sent, or its token was not looked at");
        let Checked(bytes) = parts.extensions.get::<Checked>().cloned().ok_or_else(unread)?;
        parse(bytes).await.map(Self)
    }
}

/// Reads the fields of a form's body.
pub(super) async fn parse<T: DeserializeOwned>(bytes: Bytes) -> Result<T, Problem> {
    let request = Request::builder()
        .method(Method::POST)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(bytes))
        .map_err(|_| Problem::bad_request("the form can't be read"))?;
    let axum::Form(fields) = axum::Form::<T>::from_request(request, &())
        .await
        .map_err(|error| Problem::bad_request(format!("the form can't be read: {}", error.body_text())))?;
    Ok(fields)
}
