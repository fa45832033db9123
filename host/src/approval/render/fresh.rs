//! What a look at a request found, below its page: what has changed since it was made, and the digest to decide on.

use super::{
    Page, digest,
    time::{absolute, relative},
};
use crate::{
    approval::evidence::Changes,
    store::{Approval, Finding, RequestDigest, Review},
};
use jiff::Timestamp;

/// Differences that are shown one by one; the JSON has all.
const SHOWN: usize = 20;

/// The section of a look.
#[must_use]
pub fn render_fresh(approval: &Approval, review: &Review, now: Timestamp) -> String {
    let mut page = Page { out: String::new(), colour: super::Colour::Off, had_hidden: false };
    page.heading("Looked at again", "the preview was run once more, reads only");
    match &review.answer {
        None => page.fact("result", "nobody has answered yet"),
        Some((at, finding)) => {
            page.fact("when", &format!("{}  {}", absolute(*at), relative(*at, now)));
            found(&mut page, approval, finding);
        }
    }
    page.out
}

fn found(page: &mut Page, approval: &Approval, finding: &Finding) {
    let (word, why) = match finding {
        Finding::Gone { why } => ("the request can't hold any more and is superseded", why),
        Finding::Unavailable { why } => ("it could not be looked at; what is shown above is as it was asked", why),
        Finding::Looked { digest: found, .. } => {
            let changes = crate::approval::look::since_request(approval, finding).unwrap_or_default();
            differences(page, &changes);
            page.fact("evidence", &digest::short(&RequestDigest(found.0)));
            return;
        }
    };
    page.fact("result", word);
    page.quote(why);
}

fn differences(page: &mut Page, changes: &Changes) {
    if !changes.is_material() {
        page.fact("result", "nothing has changed but what is measured");
    } else {
        page.fact("result", "it has CHANGED since the request was made");
        page.quote(&changes.material_words());
    }
    let moved: Vec<String> = changes
        .tables
        .iter()
        .flat_map(|table| &table.cells)
        .filter(|cell| !cell.material)
        .map(|cell| format!("{} of {}: {} → {}", cell.column, cell.row, cell.was.to_json(), cell.is.to_json()))
        .collect();
    for line in moved.iter().take(SHOWN) {
        page.quote(line);
    }
    if moved.len() > SHOWN {
        page.out.push_str(&format!("  ({} more are not shown here; the JSON has them)\n", moved.len() - SHOWN));
    }
}
