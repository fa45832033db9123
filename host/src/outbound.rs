//! What this host sends to others over HTTP: to addresses that its configuration or its operator names, over TLS (plainly only on
//! this machine), following no redirect, bounded in time. Knows nobody's protocol.

use std::{net::IpAddr, time::Duration};

use reqwest::{Client, ClientBuilder, Url, redirect};

/// To connect. What is up answers in a fraction of it.
const CONNECT: Duration = Duration::from_secs(5);

/// A client for one address. `near` if that is of this machine: a proxy of the environment is for what is elsewhere.
///
/// # Errors
/// When there is no TLS to be had.
pub fn client(near: bool, time: Duration) -> Result<Client, String> {
    let builder = builder().timeout(time).connect_timeout(CONNECT.min(time));
    let builder = if near { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| format!("no HTTP client: {error}"))
}

/// Has everything that speaks TLS in this process do so by the same provider.
pub fn install_tls() {
    // The first one that was installed stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn builder() -> ClientBuilder {
    install_tls();
    Client::builder().redirect(redirect::Policy::none()).user_agent(concat!("lockgate/", env!("CARGO_PKG_VERSION")))
}

/// An address that nobody in between can answer for. What is said of one that is none repeats nothing of it but its host:
/// paths and queries may be secrets.
///
/// # Errors
/// Why it is none.
pub fn secure(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("this is no address: {error}"))?;
    let host = url.host_str().unwrap_or_default();
    let plain = url.scheme() == "http" && is_near(&url);
    if !(url.scheme() == "https" || plain) || host.is_empty() {
        return Err(format!("`{}://{host}` must be https (or http on this machine)", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(format!("`{host}` must have neither a user nor a fragment"));
    }
    Ok(url)
}

/// Whether an address is of this machine.
#[must_use]
pub fn is_near(url: &Url) -> bool {
    is_near_host(url.host_str().unwrap_or_default())
}

/// The same of a host's name or address.
#[must_use]
pub fn is_near_host(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// An error with what is behind it, since a failed handshake says nothing by itself; without the address, whose path may
/// be a secret.
#[must_use]
pub fn said(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_nobody_can_answer_for_are_taken() {
        for good in ["https://idp.example/keys", "http://127.0.0.1:8080/k", "http://localhost/k", "http://[::1]:9/k"] {
            assert!(secure(good).is_ok(), "{good}");
        }
        for bad in [
            "http://idp.example/keys",
            "http://127.0.0.1.evil.example/",
            "http://localhost.evil.example/",
            "file:///etc/passwd",
            "https://user:pass@idp.example/",
            "https://idp.example/#k",
            "idp.example",
            "",
        ] {
            let error = secure(bad).unwrap_err();
            assert!(!error.contains("pass") && !error.contains("keys"), "{bad}: {error}");
        }
    }
}
