//! Where people go to decide: the public base of their pages, as the operator wrote it, and the link of one approval.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, de};

/// Longest base that is taken: links stand in messages and on screens.
const LONGEST: usize = 200;

/// The humans' door's public base: `https`, or `http` on this machine, since what is decided there lets acts through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeopleAt(String);

/// The text is no base for links.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` can't be where people decide: {why}")]
pub struct PeopleAtError {
    given: String,
    why: &'static str,
}

impl PeopleAt {
    /// Where a person finds an approval.
    #[must_use]
    pub fn link(&self, approval: &str) -> String {
        format!("{}/approvals/{approval}", self.0)
    }
}

impl fmt::Display for PeopleAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PeopleAt {
    type Err = PeopleAtError;

    fn from_str(text: &str) -> Result<Self, PeopleAtError> {
        let refuse = |why| Err(PeopleAtError { given: text.chars().take(LONGEST).collect(), why });
        // Whatever a link could hide behind is refused, so that the text a person sees is where they go.
        if text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/[]".contains(&b)) {
            return refuse("it may have letters, digits, `-._~:/` and an address in brackets, at most 200 in all");
        }
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return refuse("it must begin with `https://`"),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let Some(host) = host(authority) else {
            return refuse("it must name a host, and a port if need be, such as `https://gate.example.com`");
        };
        if !secure && !is_loopback(host) {
            return refuse("`http://` is for this machine only (`http://127.0.0.1:7432`); use `https://`");
        }
        if path.split('/').any(|part| matches!(part, "." | ".."))
            || path.starts_with('/')
            || path.contains("//")
            || path.contains([':', '[', ']'])
        {
            return refuse("its path must be plain");
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            inside.parse::<std::net::Ipv6Addr>().ok()?;
            (inside, after.strip_prefix(':').map_or_else(|| after.is_empty().then_some(None), |port| Some(Some(port)))?)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let has_form = |host: &str| !host.is_empty() && !host.starts_with(['-', '.']) && !host.contains(['~', '_']);
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    (port_fits && (authority.starts_with('[') || has_form(host))).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl<'de> Deserialize<'de> for PeopleAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_base_makes_links() {
        for (base, link) in [
            ("https://gate.example.com", "https://gate.example.com/approvals/apr_1"),
            ("https://gate.example.com:8443/lockgate/", "https://gate.example.com:8443/lockgate/approvals/apr_1"),
            ("http://127.0.0.1:7432", "http://127.0.0.1:7432/approvals/apr_1"),
            ("http://localhost", "http://localhost/approvals/apr_1"),
            ("http://[::1]:7432/", "http://[::1]:7432/approvals/apr_1"),
        ] {
            assert_eq!(base.parse::<PeopleAt>().unwrap().link("apr_1"), link);
        }
    }

    #[test]
    fn what_could_lead_a_person_elsewhere_is_refused() {
        for bad in [
            "",
            "gate.example.com",
            "http://gate.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "https://",
            "https:///path",
            "https://gate.example.com:0",
            "https://gate.example.com:99999",
            "https://gate.example.com:80:80",
            "https://user@gate.example.com",
            "https://gate.example.com/?to=",
            "https://gate.example.com/#a",
            "https://gate.example.com/../x",
            "https://gate.example.com//x",
            "https://gäte.example.com",
            "https://gate.example.com/a b",
            "https://[::1",
            "https://[gate]",
            "https://[::1]x",
            "javascript:alert(1)",
            "HTTPS://gate.example.com\n",
        ] {
            assert!(bad.parse::<PeopleAt>().is_err(), "{bad}");
        }
        assert!(format!("https://{}", "a".repeat(300)).parse::<PeopleAt>().is_err());
    }
}
