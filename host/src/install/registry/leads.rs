//! Where a registry may lead: to the address of a layer, to the service that gives tokens for it, to the next page of a list. What is
//! said of an address repeats nothing of it but its host, since its query may be a secret.

use reqwest::{
    Url,
    header::{HeaderMap, LINK},
};

use crate::{outbound, outside::shown};

/// Docker Hub, and the one service that gives tokens for it.
pub(super) const DOCKER_HUB: &[&str] = &["index.docker.io", "registry-1.docker.io"];
const DOCKER_HUB_TOKENS: &str = "auth.docker.io";

/// Where a layer is, which registries keep elsewhere. Never at an address inside that the registry does not have itself: a name can
/// be of one, too, but has to have a certificate.
///
/// # Errors
/// Why it is not gone there.
pub(super) fn layer(home: &Url, from: &Url, location: &str) -> Result<Url, String> {
    let url = from.join(location).map_err(|_| "a layer leads to what is no address".to_owned())?;
    let url = protected(home, url).map_err(|why| format!("a layer leads to {why}"))?;
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let is_inside = url.domain().is_none() || host == "localhost" || host.ends_with(".localhost");
    let is_of_here = home.scheme() == "http" && outbound::is_near(&url);
    if is_inside && !is_of_here && url.host_str() != home.host_str() {
        return Err(format!("a layer leads to `{}`, which is an address and no name of a server", shown(host, 100)));
    }
    Ok(url)
}

/// Who gives tokens for a registry, and may be told the user's credentials for it: a service of the registry's own host, on
/// whatever port; of a domain that this is part of, whose owner could be the registry anyway; the one of Docker Hub; and the one
/// that the user names.
///
/// # Errors
/// Why nothing is sent there.
pub(super) fn realm(home: &Url, text: &str, named: Option<&str>) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "tokens come from what is no address".to_owned())?;
    let url = protected(home, url).map_err(|why| format!("tokens come from {why}"))?;
    let (registry, host) = (home.host_str().unwrap_or_default(), url.host_str().unwrap_or_default());
    let are_names = home.domain().is_some() && url.domain().is_some();
    let is_above = || {
        let rest = registry.strip_suffix(host).and_then(|rest| rest.strip_suffix('.'));
        are_names && host.contains('.') && rest.is_some_and(|rest| !rest.is_empty())
    };
    let is_docker_hub = || DOCKER_HUB.contains(&registry) && host == DOCKER_HUB_TOKENS;
    if host == registry || is_above() || is_docker_hub() || named == Some(host) {
        return Ok(url);
    }
    Err(format!("tokens come from `{}`, which is neither `{registry}` nor a domain above it", shown(host, 100)))
}

/// The next page of a list, if there is one. Only the question is taken from the registry; it is asked where the first one was.
pub(super) fn next_page(from: &Url, headers: &HeaderMap) -> Option<Url> {
    let target = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(|text| {
        let (mut rest, mut found) = (text, None);
        while let Some((target, after)) = rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')) {
            let parameters = after.split('<').next().unwrap_or_default().to_ascii_lowercase().replace(['"', ' '], "");
            if parameters.split([';', ',']).any(|parameter| parameter == "rel=next") {
                found = Some(target);
                break;
            }
            rest = after;
        }
        found
    })?;
    let target = from.join(target).ok()?;
    let mut next = from.clone();
    next.set_query(target.query());
    Some(next)
}

/// An address that is as well protected as the registry itself.
fn protected(home: &Url, mut url: Url) -> Result<Url, String> {
    let host = shown(url.host_str().unwrap_or_default(), 100);
    let is_plain = home.scheme() == "http" && url.scheme() == "http" && outbound::is_near(&url);
    if url.scheme() != "https" && !is_plain {
        return Err(format!("`{}://{host}`, which is not https", shown(url.scheme(), 20)));
    }
    if host.is_empty() || !url.username().is_empty() || url.password().is_some() {
        return Err(format!("`{host}` with a user in its address"));
    }
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn a_layer_is_followed_to_servers_and_not_inside() {
        let (far, near) = (url("https://registry.example:5000/"), url("http://127.0.0.1:5000/"));
        for (home, to) in [
            (&far, "https://cdn.example/layer?signature=s3cr3t"),
            (&far, "/elsewhere"),
            (&far, "https://registry.example/layer"),
            (&near, "http://127.0.0.1:9000/layer"),
            (&near, "https://cdn.example/layer"),
            (&url("https://10.0.0.1/"), "https://10.0.0.1:9000/layer"),
        ] {
            assert!(layer(home, &home.join("v2/a/blobs/b").unwrap(), to).is_ok(), "{to}");
        }
        for (home, to) in [
            (&far, "http://cdn.example/layer?signature=s3cr3t"),
            (&far, "http://registry.example:5000/layer"),
            (&far, "https://127.0.0.1/s3cr3t"),
            (&far, "https://2130706433/s3cr3t"),
            (&far, "https://169.254.169.254/s3cr3t"),
            (&far, "https://[::1]/s3cr3t"),
            (&far, "https://[::ffff:127.0.0.1]/s3cr3t"),
            (&far, "https://localhost/s3cr3t"),
            (&far, "https://a.localhost./s3cr3t"),
            (&far, "https://user:s3cr3t@cdn.example/layer"),
            (&far, "file:///s3cr3t"),
            (&far, "https://"),
            (&near, "http://10.0.0.1/s3cr3t"),
            (&near, "http://cdn.example/s3cr3t"),
        ] {
            let why = layer(home, &home.join("v2/a/blobs/b").unwrap(), to).unwrap_err();
            assert!(!why.contains("s3cr3t"), "{to}: {why}");
        }
    }

    #[test]
    fn credentials_go_to_the_registry_and_those_above_it() {
        for (registry, text) in [
            ("https://registry.example:5000/", "https://registry.example/service/token?account=a"),
            ("https://ghcr.io/", "https://ghcr.io/token"),
            ("https://registry.gitlab.com/", "https://gitlab.com/jwt/auth"),
            ("https://registry.gitlab.company.example/", "https://gitlab.company.example/jwt/auth"),
            ("https://index.docker.io/", "https://auth.docker.io/token"),
            ("http://127.0.0.1:5000/", "http://127.0.0.1:5001/token"),
            ("https://registry.example/", "https://named.example/token"),
        ] {
            assert!(realm(&url(registry), text, Some("named.example")).is_ok(), "{registry} {text}");
        }
        for (registry, text) in [
            ("https://registry.example/", "http://registry.example/token"),
            ("https://registry.example/", "https://example/token"),
            ("https://registry.example/", "https://other.example/token"),
            ("https://registry.example/", "https://evilregistry.example/token"),
            ("https://registry.company.example/", "https://any.example/token"),
            ("https://registry.company.example/", "https://pany.example/token"),
            ("https://registry.example/", "https://auth.docker.io/token"),
            ("https://index.docker.io/", "https://auth.docker.io.evil.example/token"),
            ("https://registry.example/", "https://registry.example@evil.example/token"),
            ("https://registry.example/", "https://127.0.0.1/token"),
            ("https://10.0.0.1/", "https://0.0.1/token"),
            ("http://127.0.0.1:5000/", "http://named.example/token"),
            ("https://registry.example/", "/token"),
            ("https://registry.example/", ""),
        ] {
            assert!(realm(&url(registry), text, Some("named.example")).is_err(), "{registry} {text}");
        }
    }

    #[test]
    fn the_next_page_is_asked_where_the_first_one_was() {
        let from = url("https://registry.example/v2/a/tags/list?n=2");
        for (link, next) in [
            (
                "</v2/a/tags/list?n=2&last=b,c>; rel=\"next\"",
                Some("https://registry.example/v2/a/tags/list?n=2&last=b,c"),
            ),
            ("<x>; rel=prev, <?last=b>;  REL=next", Some("https://registry.example/v2/a/tags/list?last=b")),
            ("<https://evil.example/other?last=b>; rel=next", Some("https://registry.example/v2/a/tags/list?last=b")),
            ("<?last=b>; rel=\"prev\"", None),
            ("<?last=b", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(LINK, link.parse().unwrap())]);
            assert_eq!(next_page(&from, &headers).as_ref().map(Url::as_str), next, "{link}");
        }
        assert!(next_page(&from, &HeaderMap::new()).is_none());
    }
}
