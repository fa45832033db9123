//! Where the portal is, as browsers see it: the origin that pages have, the only `Host` that is answered, and whether the way
//! to it is encrypted.

use webauthn_rs::prelude::Url;

use crate::approval::PeopleAt;

/// The portal's public address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    base: PeopleAt,
    url: Url,
    origin: String,
    host: String,
}

/// The public address can't be the portal's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` can't be the portal's address: {why}")]
pub struct SiteError {
    given: String,
    why: &'static str,
}

impl Site {
    /// From `[approvals] url`.
    ///
    /// # Errors
    /// When it has a path: cookies and links are the whole host's.
    pub fn new(base: &PeopleAt) -> Result<Self, SiteError> {
        let refuse = |why| SiteError { given: base.to_string(), why };
        let url = Url::parse(&base.to_string()).map_err(|_| refuse("it is no address"))?;
        if url.path() != "/" {
            return Err(refuse("it has a path; give the portal a host name or a port of its own"));
        }
        let origin = url.origin().ascii_serialization();
        let host =
            origin.split_once("://").map(|(_, host)| host.to_owned()).ok_or_else(|| refuse("it names no host"))?;
        Ok(Self { base: base.clone(), url, origin, host })
    }

    /// As `Origin` has it: scheme, host, and the port unless it is the scheme's own.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// As `Host` has it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The same as an address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Where a person finds an approval.
    #[must_use]
    pub fn base(&self) -> &PeopleAt {
        &self.base
    }

    /// Whether browsers come over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// A page's whole address.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_origin_and_a_host() {
        for (base, origin, host) in [
            ("https://gate.example.com", "https://gate.example.com", "gate.example.com"),
            ("https://gate.example.com:443/", "https://gate.example.com", "gate.example.com"),
            ("https://gate.example.com:8443", "https://gate.example.com:8443", "gate.example.com:8443"),
            ("http://127.0.0.1:7433", "http://127.0.0.1:7433", "127.0.0.1:7433"),
            ("http://[::1]:7433", "http://[::1]:7433", "[::1]:7433"),
        ] {
            let site = Site::new(&base.parse().unwrap()).unwrap();
            assert_eq!((site.origin(), site.host(), site.is_secure()), (origin, host, base.starts_with("https")));
        }
        assert!(Site::new(&"https://gate.example.com/lockgate".parse().unwrap()).is_err());
    }
}
