//! What stands behind the link of an approval until people have pages of their own: how to decide on the command line. It is
//! the same for every id of the right form, whether there is such an approval or not: it shows no data and decides nothing,
//! so it asks nobody who they are.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::arguments::is_approval_id;

/// Where the page of an approval is.
pub const ROUTE: &str = "/approvals/{id}";

/// No script, no picture, no frame around it, nothing sent anywhere; one style, named by its hash.
const POLICY: &str = "default-src 'none'; style-src 'sha256-Dsn3SkEsO731FZTjSkIM6XObAZ62WJyuiZR+UsJ0xhE='; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:4rem auto;padding:0 1rem;color:#1b1f24;\
    background:#fff}code{font:0.95em ui-monospace,monospace;background:#eef1f4;padding:0.15em 0.35em;border-radius:3px}\
    pre{background:#eef1f4;padding:0.8rem 1rem;border-radius:4px;overflow-x:auto}pre code{padding:0}\
    @media(prefers-color-scheme:dark){body{color:#e6e9ec;background:#15181c}code,pre{background:#23282e}}";

/// Answers [`ROUTE`].
pub async fn show(Path(id): Path<String>) -> Response {
    // The form has no character that means anything in HTML.
    if !is_approval_id(&id) {
        return answer(
            StatusCode::NOT_FOUND,
            "text/plain; charset=utf-8",
            "this is not the link of an approval\n".into(),
        );
    }
    answer(StatusCode::OK, "text/html; charset=utf-8", page(&id))
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, body).into_response()
}

fn page(id: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Approval {id}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>Approval <code>{id}</code></h1>\n\
         <p>An agent asks for something that a person must approve. This page does not show what it is, and nothing is \
         decided here.</p>\n<p>Look at the request on the machine where lockgate runs:</p>\n\
         <pre><code>lockgate approvals show {id}</code></pre>\n\
         <p>It shows what would be done, to what, and why, and how to approve or deny it. If nothing is asked of you \
         there, somebody else has decided, the time has run out, or the link was not real.</p>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_policy_names_the_style_and_nothing_else() {
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "{hash}");
    }
}
