//! The versions that a repository's tags name.

use lockgate_signing::version::PackVersion;
use oci_client::{Reference, RegistryOperation};
use reqwest::StatusCode;
use serde::Deserialize;

use super::{Registry, exchange::failed, in_time, leads};
use crate::error::Refusal;

/// Tags of one page, and pages: more versions than a pack has, and more tags than most who keep every build.
const PAGE: usize = 1000;
const PAGES: usize = 20;

#[derive(Deserialize)]
struct Page {
    /// Some say `null` where there is none.
    tags: Option<Vec<String>>,
}

impl Registry {
    /// The same repository at the highest version that its tags name, if that is higher than this one.
    ///
    /// # Errors
    /// When the registry does not list its tags, or has no end of them.
    pub async fn newest(&self, than: &PackVersion) -> Result<Option<Self>, Refusal> {
        let name = self.name();
        in_time(&name, async {
            let session = self.open(RegistryOperation::Pull).await?;
            let mut url = session.url(&self.reference, "tags/list")?;
            url.query_pairs_mut().append_pair("n", &PAGE.to_string());
            let mut newest = (than.clone(), None);
            for _ in 0..PAGES {
                let answer = session.ask(&name, url.clone(), "application/json").await?;
                if answer.status != StatusCode::OK {
                    return Err(answer.refusal(&name, &session.auth));
                }
                let page: Page = serde_json::from_slice(&answer.body)
                    .map_err(|error| failed(&name, &format!("its tags are no list: {error}")))?;
                for tag in page.tags.unwrap_or_default() {
                    if let Some(version) = tag.parse().ok().filter(|version| *version > newest.0) {
                        newest = (version, Some(tag));
                    }
                }
                match leads::next_page(&url, &answer.headers) {
                    Some(next) => url = next,
                    None => return Ok(newest.1.map(|tag| self.at(tag))),
                }
            }
            // Of some of them the highest would be any version.
            Err(failed(&name, &format!("it has more tags than {PAGES} pages hold"))
                .with_remedy("name the version: `lockgate pack update PACK oci://REGISTRY/REPOSITORY:TAG`"))
        })
        .await
    }

    fn at(&self, tag: String) -> Self {
        let (registry, repository) = (self.reference.registry().to_owned(), self.reference.repository().to_owned());
        Self { reference: Reference::with_tag(registry, repository, tag), plain_http: self.plain_http }
    }
}
