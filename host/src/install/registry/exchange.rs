//! One question to a registry and its answer: it leads nowhere by itself, and takes no more time and room than it may. What an
//! answer says that is none is not repeated: whoever answers knows who asked, and by what.

use std::time::Duration;

use oci_client::secrets::RegistryAuth;
use reqwest::{
    Client, StatusCode, Url,
    header::{ACCEPT, HeaderMap, HeaderName},
};
use serde::Deserialize;

use crate::{
    error::{Code, Refusal},
    install::bounded::Bounded,
    outbound,
    outside::shown,
};

/// For whatever is small: a manifest, a page of tags, a token.
pub(super) const SMALL: Duration = Duration::from_secs(30);
/// What is read of an answer that says why there is none.
const ERROR_BYTES: u64 = 16 << 10;
/// What registries call their errors (OCI distribution specification 1.1, error codes).
const ERRORS: &[&str] = &[
    "BLOB_UNKNOWN",
    "DENIED",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "TOOMANYREQUESTS",
    "UNAUTHORIZED",
    "UNSUPPORTED",
];

/// What is asked.
pub(super) struct Question<'a> {
    /// For messages: what this is about.
    pub(super) what: &'a str,
    pub(super) url: Url,
    pub(super) accept: &'static str,
    /// Who asks.
    pub(super) auth: &'a RegistryAuth,
    /// Bytes of the answer.
    pub(super) limit: u64,
    pub(super) time: Duration,
}

/// What was answered. The body is whole where the status is 200, and nothing to rely on where it is another.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Asks, by a client that follows nothing.
pub(super) async fn ask(http: &Client, question: Question<'_>) -> Result<Answer, Refusal> {
    let Question { what, url, accept, auth, limit, time } = question;
    let broken = |error: reqwest::Error| {
        let why = if error.is_timeout() && !error.is_connect() {
            format!("no whole answer in {} s", time.as_secs())
        } else {
            outbound::said(error)
        };
        failed(what, &why)
    };
    let request = http.get(url).timeout(time).header(ACCEPT, accept);
    let request = match auth {
        RegistryAuth::Anonymous => request,
        RegistryAuth::Basic(user, password) => request.basic_auth(user, Some(password)),
        RegistryAuth::Bearer(token) => request.bearer_auth(token),
    };
    let mut answer = request.send().await.map_err(broken)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let is_good = status == StatusCode::OK;
    let mut body = Bounded::new(if is_good { limit } else { ERROR_BYTES });
    while !status.is_redirection() {
        match answer.chunk().await {
            Ok(Some(part)) if body.take(&part) => {}
            Ok(Some(_)) if is_good => {
                let message = format!("{} has more than {limit} bytes", shown(what, 300));
                return Err(Refusal::new(Code::FileTooLarge, message));
            }
            Err(error) if is_good => return Err(broken(error)),
            Ok(_) | Err(_) => break,
        }
    }
    Ok(Answer { status, headers, body: body.into_bytes() })
}

impl Answer {
    /// A header, if it is text.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Why there is nothing of use in it.
    pub(super) fn refusal(&self, what: &str, auth: &RegistryAuth) -> Refusal {
        let status = self.status;
        if status.is_redirection() {
            return failed(what, "it leads elsewhere, and only a layer is followed")
                .with_remedy("give the registry's own address");
        }
        let codes = self.codes();
        match (status, auth) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, RegistryAuth::Anonymous) => failed(
                what,
                &format!("it is not for everybody ({status}{codes}), and no credentials are stored for this registry"),
            )
            .with_remedy("store them with `docker login` or a tool like it, or give LOCKGATE_REGISTRY_TOKEN"),
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                failed(what, &format!("the credentials for this registry are not accepted ({status}{codes})"))
                    .with_remedy("store others with `docker login` or a tool like it, and ask who runs the registry")
            }
            (StatusCode::NOT_FOUND, _) => failed(what, &format!("it is not there ({status}{codes})")),
            _ => failed(what, &format!("the registry answers {status}{codes}")),
        }
    }

    /// The codes of its errors, of those that everybody knows.
    fn codes(&self) -> String {
        #[derive(Deserialize)]
        struct Errors {
            errors: Vec<Error>,
        }
        #[derive(Deserialize)]
        struct Error {
            code: String,
        }
        let said = serde_json::from_slice::<Errors>(&self.body).map(|said| said.errors).unwrap_or_default();
        let known = said.iter().filter_map(|said| ERRORS.iter().find(|known| **known == said.code));
        known.take(3).map(|code| format!(", {code}")).collect()
    }
}

pub(super) fn failed(what: &str, why: &str) -> Refusal {
    Refusal::new(Code::FetchFailed, format!("{}: {}", shown(what, 300), shown(why, 500)))
}
