//! `Host` and `Origin`, looked at before who calls: a page in somebody's browser that reached this server under a name of its
//! own (DNS rebinding) must not get as far as trying tokens. What is allowed is what rmcp, further in, allows too.

use axum::http::{HeaderMap, Uri, header, uri::Authority};

/// The values that are answered.
#[derive(Clone, Debug)]
pub(super) struct Places {
    hosts: Vec<Place>,
    origins: Vec<(String, Place)>,
}

/// A host, and a port where one is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: Option<u16>,
}

impl Places {
    /// From hosts (`gate.example` or `gate.example:7432`) and origins (`https://ui.example`).
    pub(super) fn new(hosts: &[String], origins: &[String]) -> Self {
        Self {
            hosts: hosts.iter().filter_map(|host| place(host)).collect(),
            origins: origins.iter().filter_map(|origin| parsed_origin(origin)).collect(),
        }
    }

    /// Whether the one `Host` of a request, and the address in its first line if there is one, is ours. Two are none: a proxy
    /// could have gone by the other.
    pub(super) fn allows_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (values.next(), values.next()) else { return false };
        let known = |authority: &str| {
            place(authority).is_some_and(|found| {
                self.hosts.iter().any(|h| h.host == found.host && (h.port.is_none() || h.port == found.port))
            })
        };
        host.to_str().is_ok_and(known) && uri.authority().is_none_or(|authority| known(authority.as_str()))
    }

    /// Whether a request comes from no browser's page, or from one that is allowed.
    pub(super) fn allows_origin(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::ORIGIN).iter();
        let origin = match (values.next(), values.next()) {
            (None, _) => return true,
            (Some(origin), None) => origin.to_str().ok().and_then(parsed_origin),
            (Some(_), Some(_)) => None,
        };
        origin.is_some_and(|(scheme, found)| {
            let port = |port: Option<u16>| {
                port.or(match scheme.as_str() {
                    "http" => Some(80),
                    "https" => Some(443),
                    _ => None,
                })
            };
            self.origins.iter().any(|(s, allowed)| {
                *s == scheme
                    && allowed.host == found.host
                    && (allowed.port.is_none() || allowed.port == port(found.port))
            })
        })
    }
}

fn place(text: &str) -> Option<Place> {
    let text = text.trim();
    // An IPv6 address may be written without its brackets in a configuration.
    let authority = Authority::try_from(text).or_else(|_| Authority::try_from(format!("[{text}]"))).ok()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
    Some(Place { host, port: authority.port_u16() })
}

fn parsed_origin(text: &str) -> Option<(String, Place)> {
    let uri = Uri::try_from(text.trim()).ok()?;
    Some((uri.scheme_str()?.to_ascii_lowercase(), place(uri.authority()?.as_str())?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::needless_pass_by_value)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn places() -> Places {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        Places::new(
            &list(&["localhost", "127.0.0.1", "::1", "gate.example", "strict.example:8443"]),
            &list(&["https://ui.example:443", "http://dev.example"]),
        )
    }

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn only_our_own_names_are_answered() {
        let allowed =
            |uri: &str, hosts: &[&str]| places().allows_host(&uri.parse().unwrap(), &headers(header::HOST, hosts));
        for ours in ["localhost", "LOCALHOST:7432", "127.0.0.1:1", "[::1]:7432", "gate.example", "strict.example:8443"]
        {
            assert!(allowed("/mcp", &[ours]), "{ours}");
        }
        for not in
            ["evil.example", "127.0.0.1.evil.example", "gate.example.", "strict.example", "a@gate.example", "", " "]
        {
            assert!(!allowed("/mcp", &[not]), "{not:?}");
        }
        assert!(!allowed("/mcp", &[]));
        assert!(!allowed("/mcp", &["gate.example", "gate.example"]));
        assert!(!allowed("http://evil.example/mcp", &["gate.example"]));
        assert!(allowed("http://gate.example/mcp", &["gate.example"]));
    }

    #[test]
    fn only_allowed_pages_come_in() {
        let allowed = |origins: &[&str]| places().allows_origin(&headers(header::ORIGIN, origins));
        assert!(allowed(&[]) && allowed(&["https://ui.example"]) && allowed(&["https://UI.example:443"]));
        assert!(allowed(&["http://dev.example:3000"]), "without a port any port is meant");
        for not in
            ["null", "", "https://ui.example:444", "http://ui.example", "https://ui.example.evil.example", "ui.example"]
        {
            assert!(!allowed(&[not]), "{not:?}");
        }
        assert!(!allowed(&["https://ui.example", "https://ui.example"]));
    }
}
