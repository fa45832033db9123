//! The frame around every page: head, skip link, header with who is logged in, the way around, the page itself, and a
//! notice if there is one.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};

use super::{Problem, Visitor, assets, parts};
use crate::store::PortalRole;

/// Which part of the portal a page is of, for the way around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Here {
    /// Requests that wait.
    Inbox,
    /// What was run.
    Runs,
    /// The record.
    Record,
    /// Packs and their actions.
    Catalogue,
    /// Policy.
    Policy,
    /// Standing approvals.
    Standing,
    /// Servers.
    Targets,
    /// Agents and their tokens.
    Principals,
    /// What was changed, by whom.
    Changes,
    /// Accounts of people.
    Accounts,
    /// One's own account.
    Own,
    /// None: logging in, and what went wrong.
    Nowhere,
}

/// The way around, in its order: where to, in which word, and who sees it.
const WAYS: &[(Here, &str, &str, PortalRole)] = &[
    (Here::Inbox, "/", "Requests", PortalRole::Viewer),
    (Here::Runs, "/runs", "Runs", PortalRole::Viewer),
    (Here::Record, "/record", "Record", PortalRole::Viewer),
    (Here::Catalogue, "/catalogue", "Catalogue", PortalRole::Viewer),
    (Here::Policy, "/policy", "Policy", PortalRole::Viewer),
    (Here::Standing, "/standing", "Standing approvals", PortalRole::Viewer),
    (Here::Targets, "/targets", "Targets", PortalRole::Viewer),
    (Here::Principals, "/principals", "Principals", PortalRole::Viewer),
    (Here::Changes, "/changes", "Changes", PortalRole::Viewer),
    (Here::Accounts, "/accounts", "Accounts", PortalRole::Admin),
];

/// A page; the door puts it into the frame.
#[derive(Clone)]
pub struct Page {
    status: StatusCode,
    title: String,
    here: Here,
    content: Markup,
    scripts: Vec<&'static str>,
}

impl Page {
    /// With this title, which is its heading too.
    #[must_use]
    pub fn new(title: impl Into<String>, here: Here, content: Markup) -> Self {
        Self { status: StatusCode::OK, title: title.into(), here, content, scripts: Vec::new() }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same with a script of ours, by its name in `assets`. Every page works without.
    #[must_use]
    pub fn with_script(mut self, name: &'static str) -> Self {
        self.scripts.push(name);
        self
    }

    pub(super) fn of_problem(problem: &Problem) -> Self {
        let content = html! {
            p.lead { (sentence(&problem.message)) }
            @if !problem.remedy.is_empty() { p { (sentence(&problem.remedy)) } }
            @if let Some(code) = problem.code { p.quiet { "Code " code { (code) } } }
            p { a href="/" { "To the first page" } }
        };
        Self::new(problem.title.clone(), Here::Nowhere, content).with_status(problem.status)
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes a page out.
pub(super) fn write(visitor: &Visitor, page: &Page) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (page.title) " · lockgate" }
                link rel="icon" type="image/svg+xml" href=(assets::address("icon.svg"));
                link rel="stylesheet" href=(assets::address("portal.css"));
                @for script in &page.scripts {
                    script src=(assets::address(script)) defer {}
                }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (head(visitor, page.here))
                div.columns.alone[visitor.viewer.is_none()] {
                    @if visitor.viewer.is_some() { (ways(visitor, page.here)) }
                    main #main tabindex="-1" {
                        @if let Some(flash) = &visitor.flash { (parts::notice(flash.tone, &html! { (flash.text) })) }
                        h1 { (page.title) }
                        (page.content)
                    }
                }
                footer { p { "lockgate " (env!("CARGO_PKG_VERSION")) } }
            }
        }
    }
}

fn head(visitor: &Visitor, here: Here) -> Markup {
    html! {
        header.top {
            a.brand href="/" { "lockgate" }
            @if let Some(account) = visitor.account() {
                div.who {
                    a href="/account" aria-current=[(here == Here::Own).then_some("page")] {
                        span.name { (account.name) }
                        " " span.role { (account.role) }
                    }
                    (visitor.form("/logout", &html! { button.plain type="submit" { "Log out" } }))
                }
            }
        }
    }
}

fn ways(visitor: &Visitor, here: Here) -> Markup {
    let role = visitor.account().map(|account| account.role);
    html! {
        nav aria-label="Pages" {
            ul {
                @for (place, address, word, _) in WAYS.iter().filter(|way| role >= Some(way.3)) {
                    li { a href=(address) aria-current=[(*place == here).then_some("page")] { (word) } }
                }
            }
        }
    }
}

/// A message as a sentence: errors are written in lower case, without a full stop.
fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let Some(first) = rest.next() else { return String::new() };
    // What begins with a name in backticks begins with it.
    let mut out: String = first.to_uppercase().collect();
    out.push_str(rest.as_str());
    if !out.ends_with(['.', '!', '?', ':']) {
        out.push('.');
    }
    out
}
