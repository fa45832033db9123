//! People's door: pages over the gate, for those who answer for the database. Server-rendered, without anything from
//! elsewhere, and usable without JavaScript. It shares no port, no credential and no session with the agents' door.
//!
//! Read [`door`] first: every request goes through it, and so does every answer. What it lets in finds out who looks with
//! [`Viewer`], reads what was sent with [`Form`], and answers with a [`Page`] or a [`Problem`], which the door puts into the
//! frame (`frame`). [`parts`] is what pages are made of, [`pages`] the pages themselves. Who may come in is
//! [`people`](crate::people)'s to say. [`api`] is for command lines elsewhere.

mod access;
pub mod api;
mod assets;
mod cookies;
mod decision;
pub mod door;
mod flash;
mod form;
mod frame;
mod headers;
pub mod live;
mod next;
pub mod pages;
pub mod parts;
mod problem;
mod proxies;
mod settings;
mod site;
pub mod verification;
mod viewer;

use std::{sync::Arc, time::Duration};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::{
    access::Access,
    flash::{Flash, Tone},
    form::Form,
    frame::{Here, Page},
    live::Live,
    next::{Next, encoded as next_encoded},
    problem::Problem,
    proxies::Proxies,
    settings::{OidcConfig, PortalConfig},
    site::{Site, SiteError},
    verification::Verification,
    viewer::{Admin, Approver, Fresh, Viewer, Visitor},
};
use crate::{
    audit::Record,
    config::Config,
    gate::Gate,
    listen::{self, Patience},
    runs::Runs,
    store::Store,
};

/// How long answers may go on after the portal was told to stop.
const GRACE: Duration = Duration::from_secs(2);

/// Where an issuer sends people back to.
pub const ISSUER_BACK: &str = "/login/company/back";

/// What the pages share. Cheap to clone.
#[derive(Clone)]
pub struct Portal {
    /// Who comes in.
    pub access: Arc<Access>,
    /// Packs, policy, targets, and what may be done with a request.
    pub gate: Arc<Gate>,
    /// Approvals, accounts, tokens.
    pub store: Arc<dyn Store>,
    /// The index of the record.
    pub runs: Arc<Runs>,
    /// The record.
    pub record: Record,
    /// Verifying it.
    pub verification: Arc<Verification>,
    /// What the operator configured.
    pub config: Arc<Config>,
    /// What changes while pages are open.
    pub live: Arc<Live>,
}

/// Every page, behind the door; and what command lines elsewhere ask, behind theirs.
pub fn router(portal: Portal) -> Router {
    let access = Arc::clone(&portal.access);
    let api = api::router(portal.clone());
    let routes = pages::of_access::<Portal>().merge(pages::of_gate()).with_state(portal);
    Router::new().nest(api::UNDER, api).fallback_service(door::guard(routes, access))
}

/// The pages of logging in and of accounts alone, behind the door: for a test that is about nothing else.
pub fn access_router(access: Arc<Access>) -> Router {
    door::guard(pages::of_access(), access)
}

/// Serves until `stop` is cancelled; streams that are open then are cut after a moment.
pub async fn serve(listener: TcpListener, portal: Portal, stop: CancellationToken) {
    let connections = listen::accept(listener, router(portal), Patience::default().header, stop).await;
    connections.finish(GRACE).await;
}
