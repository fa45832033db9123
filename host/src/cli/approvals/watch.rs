//! `lockgate approvals watch`: a line for each request as it comes and for each thing that becomes of it. It reads the store
//! and nothing else: no key and no input does anything here, so nobody approves by accident.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    os::fd::AsFd as _,
    pin::pin,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use tokio::io::{Interest, unix::AsyncFd};

use crate::{
    approval::render::time::span,
    cli::terminal::is_heard,
    config::Config,
    error::{Code, Refusal},
    outside::{escape_hidden, plain},
    store::{Approval, ChangeMark, Filter, SqliteStore, State, Store, StoreError, outbox::Outbox as _},
};

/// Between two looks: a person notices no less.
const LOOK: Duration = Duration::from_millis(200);
/// Events that are read at once.
const AT_ONCE: u32 = 500;
/// Characters of a name, and of what would be hit.
const NAME: usize = 80;
const TEXT: usize = 120;

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Ring the terminal's bell for each new request
    #[arg(long)]
    bell: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// One thing to show.
struct Seen {
    event: String,
    at: Timestamp,
    approval: Approval,
}

/// What has been shown.
struct Watch {
    store: Arc<SqliteStore>,
    /// The last event.
    seq: i64,
    mark: Option<ChangeMark>,
    /// What is open, with the time after which it has expired, whether or not somebody writes that down.
    open: BTreeMap<String, Timestamp>,
}

pub(super) async fn run(args: &WatchArgs, config: &Config) -> Result<ExitCode, Refusal> {
    // The store alone: watching for a day holds no part of the record.
    let mut watch = Watch::new(SqliteStore::open(&config.state_dir.join("store.db"))?)?;
    let stop = crate::cli::serve::stop_signal();
    let mut gone = pin!(reader_gone());
    let mut news = watch.waiting()?;
    loop {
        for seen in news {
            if !show(&seen, args) {
                return Ok(ExitCode::SUCCESS);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
            () = &mut gone => return Ok(ExitCode::SUCCESS),
            () = tokio::time::sleep(LOOK) => {}
        }
        let looked = tokio::task::spawn_blocking(move || {
            let news = watch.look();
            (watch, news)
        });
        let (back, found) = looked.await.map_err(|e| Refusal::new(Code::StoreUnavailable, e.to_string()))?;
        watch = back;
        news = found?;
    }
}

impl Watch {
    fn new(store: SqliteStore) -> Result<Self, StoreError> {
        // Before anything is listed: what comes in between is news.
        let seq = store.last_event()?;
        Ok(Self { store: Arc::new(store), seq, mark: None, open: BTreeMap::new() })
    }

    /// What waits already, oldest first.
    fn waiting(&mut self) -> Result<Vec<Seen>, StoreError> {
        let now = Timestamp::now();
        let filter = Filter { states: vec![State::Pending], ..Filter::default() };
        let mut waiting = self.store.list(&filter)?;
        waiting.retain(|approval| approval.state_at(now) == State::Pending);
        waiting.reverse();
        let seen = |approval: Approval| {
            self.open.insert(approval.id.clone(), approval.decide_by);
            Seen { event: "waiting".into(), at: approval.created_at, approval }
        };
        Ok(waiting.into_iter().map(seen).collect())
    }

    /// What has happened since.
    fn look(&mut self) -> Result<Vec<Seen>, StoreError> {
        let mut news = Vec::new();
        // The mark is taken before looking: what is written in between is found the next time.
        let mark = Some(self.store.change_mark()?);
        if self.mark != mark {
            loop {
                let events = self.store.events_after(self.seq, AT_ONCE)?;
                let Some(last) = events.last() else { break };
                self.seq = last.seq;
                for event in events {
                    // Not every event is about a request.
                    let Some(approval) = self.store.get(&event.subject)? else { continue };
                    let told = self.note(&event.event, &approval);
                    if told {
                        news.push(Seen { event: event.event, at: event.at, approval });
                    }
                }
            }
            self.mark = mark;
        }
        news.extend(self.expired(Timestamp::now())?);
        Ok(news)
    }

    /// Keeps what is open. False for an expiry that was shown when its time came.
    fn note(&mut self, event: &str, approval: &Approval) -> bool {
        let was_open = self.open.remove(&approval.id).is_some();
        let until = match event {
            "requested" => Some(approval.decide_by),
            "approved" => approval.execute_by,
            _ => None,
        };
        if let Some(until) = until {
            self.open.insert(approval.id.clone(), until);
        }
        was_open || event != "expired"
    }

    /// What has run out of time, and nobody has written that down yet.
    fn expired(&mut self, now: Timestamp) -> Result<Vec<Seen>, StoreError> {
        let due: Vec<String> = self.open.iter().filter(|(_, until)| now >= **until).map(|(id, _)| id.clone()).collect();
        let mut expired = Vec::new();
        for id in due {
            let Some(approval) = self.store.get(&id)? else { continue };
            if approval.state_at(now) == State::Expired && approval.state != State::Expired {
                self.open.remove(&id);
                let at = approval.execute_by.filter(|_| approval.state == State::Approved);
                expired.push(Seen { event: "expired".into(), at: at.unwrap_or(approval.decide_by), approval });
            }
        }
        Ok(expired)
    }
}

/// Comes when whoever read what this prints has gone: a pipe says so by itself. A file never does.
async fn reader_gone() {
    #[expect(deprecated, reason = "what replaces it is unsafe, for what isn't owned; this descriptor is")]
    let watched =
        io::stdout().as_fd().try_clone_to_owned().and_then(|out| AsyncFd::with_interest(out, Interest::ERROR));
    match watched {
        Ok(out) => loop {
            match out.ready(Interest::ERROR).await {
                Ok(mut ready) if !ready.ready().is_error() => ready.clear_ready(),
                Ok(_) | Err(_) => return,
            }
        },
        Err(_) => std::future::pending().await,
    }
}

fn show(seen: &Seen, args: &WatchArgs) -> bool {
    let asks = matches!(seen.event.as_str(), "requested" | "waiting");
    let heard = is_heard(&if args.json { json_line(seen) } else { line(seen, Timestamp::now()) });
    if asks && args.bell {
        // Beside the lines, which may go into a file or another program.
        let _ = io::stderr().lock().write_all(b"\x07");
    }
    heard
}

fn line(seen: &Seen, now: Timestamp) -> String {
    let (approval, request) = (&seen.approval, &seen.approval.request);
    let name = |text: &str| plain(text, NAME).text;
    let mut line = format!(
        "{}  {:<10}  {}  {:<8}  {} on {}",
        seen.at.strftime("%H:%M:%S UTC"),
        seen.event,
        approval.id,
        name(&request.risk),
        name(&request.action),
        name(&request.target)
    );
    let for_whom = request.requester.person.as_deref().map(|p| format!(" for {}", name(p))).unwrap_or_default();
    match seen.event.as_str() {
        "requested" | "waiting" => {
            let left = span(approval.decide_by, now);
            let summary = request.evidence.get("summary").and_then(serde_json::Value::as_str).unwrap_or_default();
            line.push_str(&format!("  {}{for_whom}, {left} left | ", name(&request.requester.agent)));
            line.push_str(&plain(summary, TEXT).text);
        }
        "approved" | "denied" => {
            let by = name(approval.decided_by.as_deref().unwrap_or_default());
            let why = plain(approval.decision_reason.as_deref().unwrap_or_default(), TEXT).text;
            line.push_str(&format!("  by {by}{}{why}", if why.is_empty() { "" } else { " | " }));
        }
        _ => {}
    }
    line
}

fn json_line(seen: &Seen) -> String {
    let (approval, request) = (&seen.approval, &seen.approval.request);
    let line = json!({
        "at": seen.at.to_string(),
        "event": seen.event,
        "approval": approval.id,
        "run": request.run,
        "action": request.action,
        "target": request.target,
        "risk": request.risk,
        "agent": request.requester.agent,
        "person": request.requester.person,
        "summary": request.evidence.get("summary"),
        "decide_by": approval.decide_by.to_string(),
        "decided_by": approval.decided_by,
        "decision_reason": approval.decision_reason,
    });
    escape_hidden(&line.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::store::testing::{self, approve, deny, state_directory};

    fn asked(store: &SqliteStore, decide_within: Duration) -> Approval {
        let mut request = testing::request();
        request.decide_within = decide_within;
        request.arguments.insert("nonce".into(), crate::store::random_id("").unwrap().into());
        match crate::approval::request(store, request, Timestamp::now()).unwrap() {
            crate::store::Creation::Created { approval, .. } | crate::store::Creation::Joined(approval) => *approval,
        }
    }

    fn words(news: &[Seen]) -> Vec<(&str, &str)> {
        news.iter().map(|seen| (seen.event.as_str(), seen.approval.id.as_str())).collect()
    }

    #[test]
    fn what_waits_is_shown_first_and_then_each_thing_once() {
        let state = state_directory();
        let path = state.path().join("store.db");
        let store = SqliteStore::open(&path).unwrap();
        let hour = Duration::from_secs(3600);
        let first = asked(&store, hour);
        let mut watch = Watch::new(SqliteStore::open(&path).unwrap()).unwrap();
        assert_eq!(words(&watch.waiting().unwrap()), [("waiting", first.id.as_str())]);
        assert!(watch.look().unwrap().is_empty());
        let second = asked(&store, hour);
        store.vote(&crate::store::Vote { now: Timestamp::now(), ..deny(&first, "grace", 0) }).unwrap();
        let news = watch.look().unwrap();
        assert_eq!(words(&news), [("requested", second.id.as_str()), ("denied", first.id.as_str())]);
        assert!(line(&news[1], Timestamp::now()).ends_with("by grace | looked at it"));
        // Approved and used between two looks: both are shown.
        store.vote(&crate::store::Vote { now: Timestamp::now(), ..approve(&second, "grace", 0) }).unwrap();
        store.consume(&second.id, second.digest, "ins_1", Timestamp::now()).unwrap();
        let id = second.id.as_str();
        assert_eq!(words(&watch.look().unwrap()), [("approved", id), ("consumed", id)]);
        assert!(watch.look().unwrap().is_empty());
    }

    #[test]
    fn an_expiry_is_shown_once_whoever_writes_it_down_and_when() {
        let state = state_directory();
        let path = state.path().join("store.db");
        let store = SqliteStore::open(&path).unwrap();
        let mut watch = Watch::new(SqliteStore::open(&path).unwrap()).unwrap();
        let short = asked(&store, Duration::from_millis(1));
        let mut shown = Vec::new();
        for step in 0..3 {
            if step == 1 {
                store.expire_due(Timestamp::now()).unwrap();
            }
            shown.extend(watch.look().unwrap().into_iter().map(|seen| seen.event));
        }
        assert_eq!(shown, ["requested", "expired"], "{}", short.id);
    }

    #[test]
    fn a_line_is_one_line_whatever_an_agent_says() {
        let state = state_directory();
        let store = SqliteStore::open(&state.path().join("store.db")).unwrap();
        let mut approval = asked(&store, Duration::from_secs(60));
        let hostile = "x\n\u{1b}[2Jyes\u{202e}\r";
        approval.request.requester.agent = hostile.into();
        approval.request.evidence = json!({ "summary": hostile });
        let seen = Seen { event: "requested".into(), at: Timestamp::now(), approval };
        for text in [line(&seen, Timestamp::now()), json_line(&seen)] {
            assert!(!text.chars().any(crate::outside::is_hidden), "{text:?}");
        }
    }
}
