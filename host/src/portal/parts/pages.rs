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

/// The same for a list that is only read onward: back to its beginning, and on.
#[must_use]
pub fn onward(newest: Option<&str>, older: Option<&str>) -> Markup {
    html! {
        @if newest.is_some() || older.is_some() {
            nav.pages aria-label="Pages of this list" {
                @if let Some(address) = newest { a href=(address) { "⇤ Newest" } }
                @if let Some(address) = older { a rel="next" href=(address) { "Older →" } }
            }
        }
    }
}
