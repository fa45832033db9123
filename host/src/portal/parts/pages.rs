//! The way through a long list, page by page.

use maud::{Markup, html};

/// Links to the pages before and after; an address is the whole query of that page.
#[must_use]
pub fn pages(before: Option<&str>, after: Option<&str>) -> Markup {
    html! {
        @if before.is_some() || after.is_some() {
            nav.pages aria-label="Pages of this list" {
                @if let Some(address) = before { a rel="prev" href=(address) { "← Newer" } }
                @if let Some(address) = after { a rel="next" href=(address) { "Older →" } }
            }
        }
    }
}
