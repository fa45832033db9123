//! The first page: what this host is, for whoever has just logged in.

use axum::extract::State;
use maud::html;

use crate::portal::{Here, Page, Portal, Viewer, parts::Facts};

/// Shows it.
pub(super) async fn show(State(portal): State<Portal>, viewer: Viewer) -> Page {
    let rules = portal.gate.rules();
    let facts = Facts::new()
        .text("You are", viewer.account.name.as_str())
        .text("Actions", rules.catalog.entries().count().to_string())
        .text("Targets", portal.gate.targets().keys().cloned().collect::<Vec<_>>().join(", "));
    Page::new("This host", Here::Inbox, html! { (facts.show()) })
}
