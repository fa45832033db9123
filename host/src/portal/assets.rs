//! The files that pages need: a style, an icon, scripts. They are part of the program and named by their content, so browsers
//! keep them for good and nothing but these names can be asked for.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::header,
    response::{IntoResponse, Response},
};
use lockgate_signing::encoding::hex;
use sha2::{Digest as _, Sha256};

use super::Problem;

/// Where they are.
pub(super) const ROUTE: &str = "/assets/{name}";
/// The same as a prefix.
pub(super) const UNDER: &str = "/assets/";

/// Name, type, content.
const FILES: &[(&str, &str, &str)] = &[
    ("portal.css", "text/css; charset=utf-8", include_str!("assets/portal.css")),
    ("passkeys.js", "text/javascript; charset=utf-8", include_str!("assets/passkeys.js")),
    ("live.js", "text/javascript; charset=utf-8", include_str!("assets/live.js")),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

struct Asset {
    name: &'static str,
    /// The name with some of the content's digest in it.
    address: String,
    kind: &'static str,
    content: &'static str,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |&(name, kind, content): &(&'static str, &'static str, &'static str)| {
        let digest: String = hex(&Sha256::digest(content)).chars().take(16).collect();
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        Asset { name, address: format!("{UNDER}{stem}-{digest}.{ending}"), kind, content }
    };
    FILES.iter().map(asset).collect()
});

/// The address of a file, by its own name.
pub(super) fn address(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map_or(UNDER, |asset| asset.address.as_str())
}

/// Answers [`ROUTE`].
pub(super) async fn show(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|asset| asset.address.strip_prefix(UNDER) == Some(name.as_str())) {
        Some(asset) => {
            let headers =
                [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
            (headers, asset.content).into_response()
        }
        None => Problem::not_found("there is no such file").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_an_address_of_its_own_and_nothing_from_elsewhere() {
        for (name, _, content) in FILES {
            let address = address(name);
            assert!(address.starts_with(UNDER) && address.len() > UNDER.len() + 16, "{name}: {address}");
            for outside in ["http:", "https:", "url(", "@import", "//cdn"] {
                let of_svg = *name == "icon.svg" && outside == "http:";
                assert!(of_svg || !content.contains(outside), "{name} names {outside}");
            }
        }
    }
}
