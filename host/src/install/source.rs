//! Where a pack is to come from, as it was written: a path, `https://…/NAME-VERSION.wasm`, or `oci://REGISTRY/REPOSITORY` with
//! a tag, a digest or both.

use std::{fs, path::PathBuf};

use oci_client::Reference;
use reqwest::Url;

use super::{Candidate, files, https, registry::Registry};
use crate::{
    error::{Code, Refusal},
    outbound,
    outside::shown,
};

/// Where a pack is to come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A component, with its envelope beside it.
    File(PathBuf),
    /// A directory of components with their envelopes.
    Directory(PathBuf),
    /// A component at an address, with its envelope beside it.
    Https(Box<Url>),
    /// An artifact in an OCI registry, with its envelope as a referrer.
    Registry(Registry),
}

impl Source {
    /// Reads what was written. Without TLS only this machine is reached, and only if that is said.
    ///
    /// # Errors
    /// When it is none of the four, or would go over the network in the clear.
    pub fn parse(text: &str, plain_http: bool) -> Result<Self, Refusal> {
        if let Some(reference) = text.strip_prefix("oci://") {
            return reference_of(reference, plain_http).map(Self::Registry);
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            let url = outbound::secure(text).map_err(unusable)?;
            if url.scheme() == "http" && !plain_http {
                return Err(unusable(format!("`{}` is not https", url.host_str().unwrap_or_default()))
                    .with_remedy("use https; on this machine, say `--plain-http` if you mean to"));
            }
            return Ok(Self::Https(Box::new(url)));
        }
        if text.contains("://") {
            return Err(unusable(format!("`{}` is neither a path nor `https://` nor `oci://`", shown(text, 200))));
        }
        let path = PathBuf::from(text);
        let is_directory = fs::metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        Ok(if is_directory { Self::Directory(path) } else { Self::File(path) })
    }

    /// Fetches what is there: one component, or all of a directory.
    ///
    /// # Errors
    /// When it can't be had, or is larger than it may be.
    pub async fn fetch(&self) -> Result<Vec<Candidate>, Refusal> {
        match self {
            Self::File(path) => Ok(vec![files::candidate(path)?]),
            Self::Directory(path) => files::candidates(path),
            Self::Https(url) => Ok(vec![https::candidate(url).await?]),
            Self::Registry(registry) => Ok(vec![registry.pull().await?]),
        }
    }
}

fn reference_of(text: &str, plain_http: bool) -> Result<Registry, Refusal> {
    // Without a host a reference would mean somebody's registry on the network, which nobody has named.
    let host = text.split('/').next().unwrap_or_default();
    let is_host = text.contains('/') && (host.contains(['.', ':']) || host == "localhost");
    let reference = text.parse::<Reference>().ok().filter(|_| is_host);
    let reference = reference.ok_or_else(|| {
        unusable(format!("`oci://{}` is not `oci://REGISTRY/REPOSITORY[:TAG][@DIGEST]`", shown(text, 200)))
    })?;
    if reference.digest().is_some_and(|digest| !digest.starts_with("sha256:")) {
        return Err(unusable(format!("the digest of `oci://{}` is not a sha256", shown(text, 200))));
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if plain_http && !outbound::is_near_host(name) {
        return Err(unusable(format!("`{}` is not this machine, and is reached with TLS only", shown(host, 100)))
            .with_remedy("leave `--plain-http` out"));
    }
    Ok(Registry::new(reference, plain_http))
}

fn unusable(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::ConfigInvalid, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_over_the_network_in_the_clear() {
        for (text, plain) in [
            ("packs/a-1.0.0.wasm", false),
            ("https://packs.example/a-1.0.0.wasm", false),
            ("http://127.0.0.1:8080/a-1.0.0.wasm", true),
            ("oci://registry.example/acme/a:1.0.0", false),
            ("oci://registry.example:5000/a", false),
            ("oci://localhost:5000/acme/a:1.0.0", true),
            ("oci://[::1]:5000/acme/a:1.0.0", true),
        ] {
            // A registry at an IPv6 address is not a reference (no tool takes one), so either is right for it.
            let parsed = Source::parse(text, plain);
            assert!(parsed.is_ok() || text.contains("[::1]"), "{text}: {parsed:?}");
        }
        for (text, plain) in [
            ("http://127.0.0.1:8080/a-1.0.0.wasm", false),
            ("http://packs.example/a-1.0.0.wasm", true),
            ("https://user:secret@packs.example/a-1.0.0.wasm", false),
            ("oci://registry.example/acme/a:1.0.0", true),
            ("oci://127.0.0.1.example/acme/a:1.0.0", true),
            ("oci://acme/a:1.0.0", false),
            ("oci://ubuntu", false),
            ("oci://registry.example/acme/a@sha512:00", false),
            ("file:///packs/a-1.0.0.wasm", false),
        ] {
            let error = Source::parse(text, plain).unwrap_err();
            assert_eq!(error.code, Code::ConfigInvalid, "{text}");
            assert!(!error.message.contains("secret"), "{error}");
        }
    }
}
