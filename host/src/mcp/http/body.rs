//! The body of a request: bounded in length and time, and one message in strict JSON, before anything else sees it.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody as _},
    http::{Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;

use super::super::strict_json::{self, MessageError};

/// Reads the body, bounded in length and time, and refuses it unless it is one message in strict JSON.
pub(super) async fn with_strict_body(
    request: Request<Body>,
    limit: usize,
    time: Duration,
) -> Result<Request<Body>, Response> {
    let (parts, body) = request.into_parts();
    // What says that it is too long is not waited for.
    if body.size_hint().lower() > limit as u64 {
        return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, &MessageError::TooLong { limit }));
    }
    let reading = tokio::time::timeout(time, read(body, limit));
    let bytes = match reading.await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(None)) => {
            return Err((StatusCode::BAD_REQUEST, "the body ended early\n").into_response());
        }
        Ok(Err(Some(error))) => return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, &error)),
        Err(_) => {
            return Err((StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n").into_response());
        }
    };
    match strict_json::message(&bytes) {
        Ok(_) => Ok(Request::from_parts(parts, Body::from(strict_json::without_mark(bytes)))),
        Err(error) => Err(refused(StatusCode::BAD_REQUEST, &error)),
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Option<MessageError>> {
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| None)?;
        if bytes.len() + piece.len() > limit {
            return Err(Some(MessageError::TooLong { limit }));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}

fn refused(status: StatusCode, error: &MessageError) -> Response {
    let json = serde_json::to_vec(&error.to_response()).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], json).into_response()
}
