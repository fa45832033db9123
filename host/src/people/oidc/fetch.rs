//! Requests to the issuer: over TLS (plainly only on this machine), without following redirects, bounded in time and length.

use std::{net::IpAddr, pin::Pin, time::Duration};

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, Url, redirect};

use crate::error::{Code, Refusal};

/// For one request.
const TIME: Duration = Duration::from_secs(5);
/// Bytes of one answer; keys of large issuers are some tens of thousands.
const BYTES: usize = 256 * 1024;

/// A request to the issuer failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct FetchError(String);

/// Asks the issuer.
pub(super) struct Fetcher {
    client: Client,
    may_be_plain: bool,
}

impl Fetcher {
    pub(super) fn new(issuer: &str) -> Result<Self, Refusal> {
        let unusable = |why: String| {
            Refusal::new(Code::ConfigInvalid, format!("[portal.oidc] issuer: {why}"))
                .with_remedy("give the issuer's https address, as its metadata names it")
        };
        let url = Url::parse(issuer).map_err(|error| unusable(error.to_string()))?;
        let may_be_plain = is_near(&url);
        if !(url.scheme() == "https" || url.scheme() == "http" && may_be_plain) {
            return Err(unusable(format!("`{issuer}` must be https (or http on this machine)")));
        }
        // The first provider that was installed stays, and every room of this program takes the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(TIME)
            .user_agent(concat!("lockgate/", env!("CARGO_PKG_VERSION")));
        // A proxy of the environment is for what is elsewhere.
        let builder = if may_be_plain { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| unusable(error.to_string()))?;
        Ok(Self { client, may_be_plain })
    }

    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let failed = |error: reqwest::Error| FetchError(error.without_url().to_string());
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let url = request.url();
        // The issuer's metadata names further addresses: the code and our secret go to none that others can listen to.
        if !(url.scheme() == "https" || url.scheme() == "http" && self.may_be_plain && is_near(url)) {
            return Err(FetchError(format!("`{}` is not https", url.host_str().unwrap_or_default())));
        }
        let mut response = self.client.execute(request).await.map_err(failed)?;
        let mut builder = openidconnect::http::Response::builder().status(response.status());
        if let Some(headers) = builder.headers_mut() {
            headers.clone_from(response.headers());
        }
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            if bytes.len() + piece.len() > BYTES {
                return Err(FetchError(format!("an answer is longer than {BYTES} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        builder.body(bytes).map_err(|error| FetchError(error.to_string()))
    }
}

impl<'c> AsyncHttpClient<'c> for Fetcher {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.fetch(request))
    }
}

fn is_near(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}
