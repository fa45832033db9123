//! The head of an HTTP request, held against what two programs could read differently. A proxy in front of this server
//! checks and routes by what *it* reads: where it could take another value than we do, the request is refused. What
//! [`strict_json`](super::strict_json) is for the body, this is for the head.

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};

/// Fields that stand for one value: with two of them, some programs take the first and others the last.
const ONCE: [&str; 9] = [
    "host",
    "origin",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "mcp-protocol-version",
    "mcp-method",
    "mcp-name",
    "last-event-id",
];

/// Bytes of target, names and values together. The connection's own bound is on its buffer, which may hold more.
const LONGEST: usize = 32 * 1024;

/// Refuses a head that has more than one reading; the text says what to send instead.
///
/// # Errors
///
/// The status to answer with, and why.
pub fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), (StatusCode, String)> {
    let fields: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if fields + uri.path().len() + uri.query().map_or(0, str::len) > LONGEST {
        let text = format!("the request's header is longer than {LONGEST} bytes\n");
        return Err((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text));
    }
    if let Some(twice) = ONCE.iter().find(|name| headers.get_all(**name).iter().nth(1).is_some()) {
        return Err((StatusCode::BAD_REQUEST, format!("the header `{twice}` is given twice; send it once\n")));
    }
    // A target that names a host goes before the Host header (RFC 9112, section 3.2.2), which is what is checked later: so
    // they must be the same. CONNECT names one too, and there is nothing to connect to here.
    let host = headers.get(header::HOST).map_or(&b""[..], |host| host.as_bytes());
    if uri
        .authority()
        .is_some_and(|named| *method == Method::CONNECT || !named.as_str().as_bytes().eq_ignore_ascii_case(host))
    {
        let text = "the request's target and its `Host` name two hosts; send a path as the target\n";
        return Err((StatusCode::BAD_REQUEST, text.into()));
    }
    // RFC 9112, section 3.2.
    if host.is_empty() && uri.authority().is_none() {
        return Err((StatusCode::BAD_REQUEST, "the request names no `Host`; send one\n".into()));
    }
    let is = |name: header::HeaderName, only: &str| {
        headers.get(name).is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(only.as_bytes()))
    };
    if !is(header::TRANSFER_ENCODING, "chunked") {
        let text = "the only transfer coding that is understood here is `chunked`, once\n";
        return Err((StatusCode::NOT_IMPLEMENTED, text.into()));
    }
    if !is(header::CONTENT_ENCODING, "identity") {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must not be encoded; send plain JSON\n".into()));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn status(uri: &str, fields: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers.entry(header::HOST).or_insert("here".parse().unwrap());
        check(&Method::POST, &uri.parse().unwrap(), &headers).err().map_or(200, |(status, _)| status.as_u16())
    }

    #[test]
    fn what_stands_for_one_value_comes_once() {
        for name in ONCE {
            assert_eq!(status("/mcp", &[(name, "identity"), (name, "identity")]), 400, "{name}");
        }
        assert_eq!(status("/mcp", &[("accept", "a/b"), ("accept", "c/d"), ("host", "here")]), 200);
    }

    #[test]
    fn a_header_has_a_longest_length() {
        let half = "x".repeat(LONGEST / 2);
        assert_eq!(status("/mcp", &[("x-one", &half)]), 200);
        assert_eq!(status("/mcp", &[("x-one", &half), ("x-two", &half)]), 431);
        assert_eq!(status(&format!("/mcp?{half}"), &[("x-one", &half)]), 431);
    }

    #[test]
    fn a_target_names_no_other_host() {
        assert_eq!(status("http://gate.example:81/mcp", &[("host", "Gate.example:81")]), 200);
        for uri in ["http://gate.example/mcp", "http://evil.example/mcp", "http://gate.example:81@evil.example/mcp"] {
            assert_eq!(status(uri, &[("host", "gate.example:81")]), 400, "{uri}");
            assert_eq!(status(uri, &[]), 400, "{uri} without a Host");
        }
        let connect = check(&Method::CONNECT, &"here:80".parse().unwrap(), &HeaderMap::new());
        assert_eq!(connect.unwrap_err().0, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_host_is_named() {
        for fields in [&[][..], &[("host", "")]] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().unwrap());
            }
            let refused = check(&Method::POST, &"/mcp".parse().unwrap(), &headers).unwrap_err();
            assert_eq!(refused.0, StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn codings_that_are_not_undone_are_refused() {
        for (field, expected) in [
            (("transfer-encoding", "chunked"), 200),
            (("transfer-encoding", "gzip, chunked"), 501),
            (("transfer-encoding", "chunked, chunked"), 501),
            (("content-encoding", "Identity"), 200),
            (("content-encoding", "gzip"), 415),
            (("content-encoding", ""), 415),
        ] {
            assert_eq!(status("/mcp", &[field]), expected, "{field:?}");
        }
    }
}
