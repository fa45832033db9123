//! The stream of changes (server-sent events, HTML 9.2): which kind of thing changed and which one, and nothing else of it. It
//! ends with the session, and whoever falls behind is told to look at everything.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Interval, MissedTickBehavior, interval},
};

use super::{Change, Seat};
use crate::portal::{Portal, Problem, Viewer};

/// Where it is.
pub const ROUTE: &str = "/live";
/// How often it is looked whether the session goes on.
const SESSION: Duration = Duration::from_secs(5);
/// Something is sent so often, so that a proxy does not take the stream for dead.
const BEAT: Duration = Duration::from_secs(15);
/// When a browser is to come back after the stream broke.
const AGAIN: Duration = Duration::from_secs(2);

/// Opens it. A script is not led to a login: it is told that there is none.
pub async fn stream(State(portal): State<Portal>, viewer: Result<Viewer, Response>) -> Response {
    let Ok(viewer) = viewer else { return StatusCode::UNAUTHORIZED.into_response() };
    let Some((seat, changes)) = portal.live.listen(&viewer.account.name) else {
        return Problem::too_many("too many pages are open that want to be kept up to date", 30).into_response();
    };
    let version = match portal.live.now().await {
        Ok(snapshot) => snapshot.version,
        Err(refusal) => return Problem::from(refusal).into_response(),
    };
    let mut ticks = interval(SESSION);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let told = Told { portal, viewer, changes, ticks, hello: Some(version), _seat: seat };
    let events = stream::unfold(told, |mut told| async move {
        let event = told.next().await?;
        Some((Ok::<_, Infallible>(event), told))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(BEAT)).into_response();
    let headers = response.headers_mut();
    // `no-transform`: a proxy that compresses would gather events.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// One listener.
struct Told {
    portal: Portal,
    viewer: Viewer,
    changes: Receiver<Change>,
    ticks: Interval,
    hello: Option<u64>,
    _seat: Seat,
}

impl Told {
    async fn next(&mut self) -> Option<Event> {
        if let Some(version) = self.hello.take() {
            // What happened between the page and this is found by the version that the page carries.
            return Some(Event::default().event("hello").retry(AGAIN).data(version.to_string()));
        }
        loop {
            tokio::select! {
                change = self.changes.recv() => return match change {
                    Ok(change) => Some(event(&change)),
                    Err(RecvError::Lagged(_)) => Some(Event::default().event("behind").data("")),
                    Err(RecvError::Closed) => None,
                },
                _ = self.ticks.tick() => {
                    let people = &self.portal.access.people;
                    // If the store can't say, the stream ends: the browser comes back and is let in anew, or not.
                    if !people.goes_on(&self.viewer.session.id).await.unwrap_or(false) {
                        return None;
                    }
                }
            }
        }
    }
}

fn event(change: &Change) -> Event {
    // Two plain fields: they always serialise.
    Event::default().event("change").data(serde_json::to_string(change).unwrap_or_default())
}
