//! Where to go after a login: a path of our own and nothing else, whatever a link says.

use serde::{Deserialize, Deserializer};

/// Longest that is kept.
const LONGEST: usize = 512;

/// A page of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next(String);

impl Default for Next {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl Next {
    /// What was asked for, if it is one; otherwise the first page. It must begin with one slash and have only characters of
    /// paths and queries: no browser reads another host into that.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&b);
        let path = text.split('?').next().unwrap_or_default();
        let own = text.len() <= LONGEST
            && text.starts_with('/')
            && !path.contains("//")
            && text.bytes().all(plain)
            // After a login nobody wants to be where one logs in or out.
            && !["/login", "/logout", "/setup", "/link", "/confirm", "/assets"].iter().any(|p| path == *p || path.starts_with(&format!("{p}/")));
        if own { Self(text.to_owned()) } else { Self::default() }
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This path with another to come back to from it.
    #[must_use]
    pub fn through(&self, page: &str) -> String {
        if self.0 == "/" { page.to_owned() } else { format!("{page}?next={}", encoded(&self.0)) }
    }
}

impl<'de> Deserialize<'de> for Next {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

/// Percent-encodes what means something in a query.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_our_own_comes_next() {
        for own in ["/", "/runs", "/runs?state=failed&page=2", "/approvals/apr_0", "/loginfo"] {
            assert_eq!(Next::new(own).as_str(), own);
        }
        for other in [
            "",
            "runs",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\r\nSet-Cookie: a=b",
            "/%0a\n",
            "/a//b",
            " /runs",
            "/é",
            "/login",
            "/login/passkey",
            "/logout",
            "/link/x",
            "/confirm?next=/confirm",
            "/a#b",
        ] {
            assert_eq!(Next::new(other).as_str(), "/", "{other:?}");
        }
        assert_eq!(Next::new(&format!("/{}", "a".repeat(600))).as_str(), "/");
    }

    #[test]
    fn what_comes_next_survives_the_way() {
        assert_eq!(Next::new("/runs?a=b&c=d").through("/login"), "/login?next=/runs%3Fa%3Db%26c%3Dd");
        assert_eq!(Next::default().through("/login"), "/login");
    }
}
