//! Cookies: read strictly, set with every attribute that keeps them from scripts, other sites and, over TLS, other hosts.
//!
//! `SameSite=Lax` and not `Strict`: a link in a message must open the page for who is logged in. What changes anything is a
//! POST with a form's token from our own origin, whatever cookies come with it.

use axum::http::{HeaderMap, HeaderValue, header};

use super::Site;

/// Who somebody is.
pub(super) const SESSION: &str = "lockgate";
/// That somebody who is not logged in is the one whom a form was made for.
pub(super) const VISIT: &str = "lockgate-visit";
/// That somebody logged in with this browser before.
pub(super) const DEVICE: &str = "lockgate-device";
/// What is to be said on the next page.
pub(super) const FLASH: &str = "lockgate-flash";

/// How long a browser is known again.
const DEVICE_SECONDS: u32 = 180 * 24 * 60 * 60;
/// The next page comes at once.
const FLASH_SECONDS: u32 = 60;
/// Longest value that is looked at.
const LONGEST: usize = 2048;

/// The one value of a cookie. Two of a name are none: one of them may be another host's.
pub(super) fn read<'a>(headers: &'a HeaderMap, site: &Site, name: &str) -> Option<&'a str> {
    let name = full(site, name);
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = pairs
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) if value.len() <= LONGEST => Some(value),
        _ => None,
    }
}

/// Sets a cookie; `value` is of our own making and has only characters that cookies may have.
pub(super) fn set(site: &Site, name: &str, value: &str) -> HeaderValue {
    let age = match name {
        DEVICE => format!("; Max-Age={DEVICE_SECONDS}"),
        FLASH => format!("; Max-Age={FLASH_SECONDS}"),
        // Until the browser is closed; the session itself ends by the host's clock.
        _ => String::new(),
    };
    written(site, name, value, &age)
}

/// Takes a cookie away.
pub(super) fn clear(site: &Site, name: &str) -> HeaderValue {
    written(site, name, "", "; Max-Age=0")
}

fn written(site: &Site, name: &str, value: &str, age: &str) -> HeaderValue {
    let secure = if site.is_secure() { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{age}{secure}", full(site, name));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

// With this prefix browsers take a cookie only from this very host, over TLS, for all of its paths (RFC 6265bis, 4.1.3.2).
fn full(site: &Site, name: &str) -> String {
    if site.is_secure() { format!("__Host-{name}") } else { name.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn site(base: &str) -> Site {
        Site::new(&base.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_cookie_has_every_attribute_that_protects_it() {
        let (open, secure) = (site("http://127.0.0.1:7433"), site("https://gate.example.com"));
        assert_eq!(set(&open, SESSION, "x"), "lockgate=x; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(set(&secure, SESSION, "x"), "__Host-lockgate=x; Path=/; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(clear(&open, FLASH), "lockgate-flash=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    }

    #[test]
    fn one_cookie_of_a_name_is_read_and_two_are_none() {
        let site = site("https://gate.example.com");
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::COOKIE, value.parse().unwrap());
            }
            read(&headers, &site, SESSION).map(str::to_owned)
        };
        assert_eq!(of(&["a=b; __Host-lockgate=x; c=d"]).as_deref(), Some("x"));
        assert_eq!(of(&["lockgate=x"]), None, "one without the prefix may be another host's");
        assert_eq!(of(&["__Host-lockgate=x; __Host-lockgate=y"]), None);
        assert_eq!(of(&["__Host-lockgate=x", "__Host-lockgate=y"]), None);
        assert_eq!(of(&[&format!("__Host-lockgate={}", "x".repeat(3000))]), None);
        assert_eq!(of(&[]), None);
    }
}
