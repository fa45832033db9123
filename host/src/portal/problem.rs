//! What goes wrong, as a page in the same frame with the status that says it. A handler returns one; the door shows it.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::error::{Code, Refusal};

/// A page that says what is wrong and what to do.
#[derive(Clone, Debug)]
pub struct Problem {
    pub(super) status: StatusCode,
    pub(super) title: String,
    pub(super) message: String,
    pub(super) remedy: String,
    pub(super) code: Option<Code>,
    pub(super) retry_after: Option<u64>,
}

impl Problem {
    /// With this status, in these words.
    #[must_use]
    pub fn new(
        status: StatusCode,
        title: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            status,
            title: title.into(),
            message: message.into(),
            remedy: remedy.into(),
            code: None,
            retry_after: None,
        }
    }

    /// There is no such page, or no such thing, for whoever asks.
    #[must_use]
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", what, "Check the address, or start from the first page.")
    }

    /// The viewer's role is too low.
    #[must_use]
    pub fn forbidden(what: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Not yours to do", what, "Ask an administrator if this should be possible.")
    }

    /// Something of the request can't be used.
    #[must_use]
    pub fn bad_request(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "That did not work", what, "Go back, load the page again and try once more.")
    }

    /// Too much at once.
    #[must_use]
    pub fn too_many(what: impl Into<String>, seconds: u64) -> Self {
        let remedy = format!("Wait {seconds} s, then try again.");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many attempts", what, remedy);
        Self { retry_after: Some(seconds), ..problem }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, title) = match refusal.code {
            Code::NotFound | Code::UnknownApproval | Code::UnknownRun | Code::UnknownAction | Code::UnknownTarget => {
                (StatusCode::NOT_FOUND, "Not found")
            }
            Code::Unauthorized | Code::SelfApproval | Code::DeniedByPolicy => {
                (StatusCode::FORBIDDEN, "Not yours to do")
            }
            Code::InvalidArguments | Code::AccountRefused | Code::ConfigInvalid => {
                (StatusCode::UNPROCESSABLE_ENTITY, "That did not work")
            }
            Code::Overloaded => (StatusCode::TOO_MANY_REQUESTS, "Too much at once"),
            Code::RecordUnavailable | Code::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "Not available now"),
            Code::InternalError => (StatusCode::INTERNAL_SERVER_ERROR, "Something is broken"),
            _ => (StatusCode::CONFLICT, "That did not work"),
        };
        if status.is_server_error() {
            tracing::error!(code = %refusal.code, "the portal: {}", refusal.message);
        }
        let mut problem = Self::new(status, title, refusal.message, refusal.remedy);
        problem.code = Some(refusal.code);
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}
