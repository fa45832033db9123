//! A gatekeeper that holds one call, as approval `ap_1`, until the test decides; and a log of what reached it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lockgate::{
    error::{Code, Refusal},
    gate::call::{
        Answer, Approved, Call, HeldCall, Hold, OfferedAction, Outcome, Pending, Principal, Progress, Refused,
        unknown_approval,
    },
    mcp::door::Gatekeeper,
};
use tokio::sync::watch;

use crate::fake_gate::FakeGate;

pub const LINK: &str = "https://gate.example.com/approvals/ap_1";

/// What people have done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum People {
    /// Nothing, for so many seconds.
    Wait(u64),
    /// They approved, and it runs.
    Approved,
    /// It ran.
    Done,
    /// They said no.
    Denied,
    /// The requester took it back.
    Withdrawn,
}

/// See above.
pub struct HeldGate {
    people: watch::Sender<People>,
    log: watch::Sender<Vec<String>>,
    holder: Mutex<Option<String>>,
    link: Option<&'static str>,
    /// Offers the actions.
    offers: Arc<FakeGate>,
}

impl HeldGate {
    pub fn new(link: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self {
            people: watch::Sender::new(People::Wait(0)),
            log: watch::Sender::new(Vec::new()),
            holder: Mutex::default(),
            link,
            offers: FakeGate::new(),
        })
    }

    /// People do this, or time passes.
    pub fn now(&self, people: People) {
        self.people.send_replace(people);
    }

    /// Waits until so many lines of the log begin with this.
    pub async fn saw(&self, times: usize, line: &str) {
        let mut log = self.log.subscribe();
        let seen = log.wait_for(|log| log.iter().filter(|l| l.starts_with(line)).count() >= times);
        tokio::time::timeout(Duration::from_secs(20), seen).await.expect("it happened").expect("the gate lives");
    }

    pub fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    fn note(&self, line: String) {
        self.log.send_modify(|log| log.push(line));
    }

    fn pending(&self, joined: bool) -> Pending {
        let approved = *self.people.borrow() == People::Approved;
        Pending {
            run: "run_1".into(),
            approval: "ap_1".into(),
            action: "postgres.terminate_backend".into(),
            target: "primary".into(),
            expires_at: "2999-01-01T01:00:00Z".into(),
            digest: "9f2c".into(),
            message: "`postgres.terminate_backend` on `primary` waits".into(),
            link: self.link.map(str::to_owned),
            joined,
            approved,
            ..Pending::default()
        }
    }

    async fn follow(&self, hold: Hold, joined: bool) -> Result<Answer, Refused> {
        let mut people = self.people.subscribe();
        let tell = |news: Progress| drop(hold.progress.as_ref().map(|progress| progress.send(news)));
        if let Some(end) = end(*people.borrow()) {
            return end.map(|outcome| Answer::Done(Box::new(outcome)));
        }
        tell(Progress::Held(Box::new(self.pending(joined))));
        let until = tokio::time::Instant::now() + hold.wait;
        loop {
            let now = *people.borrow_and_update();
            match now {
                People::Wait(0) => {}
                People::Wait(seconds) => tell(Progress::Waiting { waited: Duration::from_secs(seconds) }),
                People::Approved => tell(Progress::Approved),
                ended => return end(ended).expect("it ended").map(|outcome| Answer::Done(Box::new(outcome))),
            }
            tokio::select! {
                biased;
                () = hold.cancel.cancelled() => {
                    self.note("wait cancelled".into());
                    return Err(refused(Code::Cancelled, "the wait was cancelled"));
                }
                _ = people.changed() => {}
                () = tokio::time::sleep_until(until) => {
                    return Ok(Answer::Pending(Box::new(self.pending(joined))));
                }
            }
        }
    }

    fn own(&self, principal: &Principal, approval: &str) -> Result<(), Refusal> {
        let own = self.holder.lock().unwrap().as_ref() == Some(&principal.agent);
        if own && approval == "ap_1" { Ok(()) } else { Err(unknown_approval(approval)) }
    }
}

impl Gatekeeper for HeldGate {
    fn tools(&self, principal: &Principal) -> Vec<OfferedAction> {
        self.offers.tools(principal)
    }

    async fn call(&self, principal: &Principal, call: Call, hold: Hold) -> Result<Answer, Refused> {
        self.note(format!("called {}", call.action));
        if call.action != "postgres.terminate_backend" {
            return Ok(Answer::Done(Box::new(Outcome { action: call.action, ..outcome() })));
        }
        let joined = self.holder.lock().unwrap().replace(principal.agent.clone()).is_some();
        self.follow(hold, joined).await
    }

    async fn await_approval(&self, principal: &Principal, approval: &str, hold: Hold) -> Result<Answer, Refused> {
        self.note(format!("awaits {approval} for {} s", hold.wait.as_secs()));
        self.own(principal, approval).map_err(|refusal| Refused { run: String::new(), refusal })?;
        self.follow(hold, false).await
    }

    async fn held_call(&self, principal: &Principal, approval: &str) -> Result<HeldCall, Refusal> {
        self.own(principal, approval)?;
        let people = *self.people.borrow();
        let asked_at: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        Ok(HeldCall {
            pending: self.pending(false),
            asked_at,
            changed_at: asked_at,
            until: matches!(people, People::Wait(_)).then(|| asked_at + Duration::from_secs(3600)),
            end: end(people).map(|end| end.map(Box::new)),
        })
    }

    async fn withdraw(&self, principal: &Principal, approval: &str) -> Result<(), Refusal> {
        self.own(principal, approval)?;
        let taken_back = self.people.send_if_modified(|people| {
            let waits = matches!(people, People::Wait(_));
            if waits {
                *people = People::Withdrawn;
            }
            waits
        });
        if taken_back {
            self.note("withdrawn".into());
        }
        Ok(())
    }
}

fn end(people: People) -> Option<Result<Outcome, Refused>> {
    match people {
        People::Wait(_) | People::Approved => None,
        People::Done => Some(Ok(outcome())),
        People::Denied => Some(Err(refused(Code::ApprovalDenied, "denied by ben: not now"))),
        People::Withdrawn => Some(Err(refused(Code::ApprovalWithdrawn, "approval `ap_1` was withdrawn"))),
    }
}

fn outcome() -> Outcome {
    Outcome {
        run: "run_1".into(),
        action: "postgres.terminate_backend".into(),
        target: "primary".into(),
        summary: "1 backend terminated".into(),
        tables: Vec::new(),
        notices: vec!["WARNING: the server said so".into()],
        findings: Vec::new(),
        suggestion: None,
        approval: Some(Approved { id: "ap_1".into(), by: "ben".into() }),
        record_degraded: true,
        replayed: false,
        result_not_kept: false,
    }
}

fn refused(code: Code, message: &str) -> Refused {
    Refused { run: "run_1".into(), refusal: Refusal::new(code, message) }
}
