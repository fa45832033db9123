//! Packs from an address: the component, and the envelope beside it. No redirect is followed, and nothing is believed: the
//! envelope's signature says what the bytes have to be.

use std::time::Duration;

use lockgate_signing::{
    declaration::envelope_file_name,
    file::{MAX_COMPONENT_BYTES, MAX_ENVELOPE_BYTES},
};
use reqwest::{Client, StatusCode, Url};

use super::{Candidate, bounded::Bounded};
use crate::{
    error::{Code, Refusal},
    outbound,
    outside::shown,
};

/// For all of one file: the largest component over a slow line.
const TIME: Duration = Duration::from_secs(300);

/// A component and the envelope beside it.
pub(super) async fn candidate(url: &Url) -> Result<Candidate, Refusal> {
    let client = outbound::client(outbound::is_near(url), TIME).map_err(|e| Refusal::new(Code::FetchFailed, e))?;
    let file_name = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default().to_owned();
    let component =
        get(&client, url, MAX_COMPONENT_BYTES).await?.ok_or_else(|| failed(url, "there is nothing at this address"))?;
    let mut beside = url.clone();
    if let Ok(mut parts) = beside.path_segments_mut() {
        parts.pop().push(&envelope_file_name(&file_name));
    }
    let envelopes = get(&client, &beside, MAX_ENVELOPE_BYTES).await?.into_iter().collect();
    Ok(Candidate { file_name, component, envelopes, source: without_query(url), manifest: None })
}

/// What is at an address; `None` if the server says that there is nothing.
async fn get(client: &Client, url: &Url, limit: u64) -> Result<Option<Vec<u8>>, Refusal> {
    let unreadable = |error| failed(url, &outbound::said(error));
    let mut answer = client.get(url.clone()).send().await.map_err(unreadable)?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        status if status.is_redirection() => {
            return Err(failed(url, "it leads elsewhere, and nothing is followed").with_remedy("give the last address"));
        }
        status => return Err(failed(url, &format!("the server answers {status}"))),
    }
    let mut bytes = Bounded::new(limit);
    while let Some(part) = answer.chunk().await.map_err(unreadable)? {
        if !bytes.take(&part) {
            return Err(Refusal::new(
                Code::FileTooLarge,
                format!("{} has more than {limit} bytes", without_query(url)),
            ));
        }
    }
    Ok(Some(bytes.into_bytes()))
}

fn failed(url: &Url, why: &str) -> Refusal {
    Refusal::new(Code::FetchFailed, format!("{}: {}", without_query(url), shown(why, 500)))
}

/// An address as it may be shown: a query may hold a secret.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}
