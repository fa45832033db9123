//! What goes on beside the calls while a host serves: files are watched and read again, targets are asked how they are, people
//! are told what waits for them and, when they are about to decide, what is there now, and the index of the record is kept close
//! behind it. None of it is on a call's way; all of it ends with the server.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    reload::{Cause, Reloader},
    stamps::{self, Watch},
};
use crate::{gate::Gate, notify::Notifier};

/// How often each target is asked how it is. A person who looks at a list of targets expects no less.
const PROBE_EVERY: Duration = Duration::from_secs(30);
/// A door that nobody has used for so long needs no answer to a question that nobody asks.
const IDLE: Duration = Duration::from_secs(600);
/// How often it is looked whether doors should be told of a target's role or health,
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// and how often they are told at most: a target that comes and goes would have every client list its tools without end.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether somebody who is about to decide wants to know what is there now.
const REVIEW_EVERY: Duration = Duration::from_millis(250);
/// How often the index is brought up to date without being asked. The first question after a quiet night is then quick.
const INDEX_EVERY: Duration = Duration::from_secs(5);
/// Between two steps of the index: calls go first.
const INDEX_PAUSE: Duration = Duration::from_millis(20);

/// The tasks; they end when this is dropped.
pub struct Kept(JoinSet<()>);

impl Kept {
    /// Tells people, too, what waits for them.
    pub fn tell(&mut self, notifier: Notifier) {
        notifier.start(&mut self.0);
    }
}

/// Starts what goes on beside the calls. Needs a tokio runtime.
#[must_use]
pub fn keep(reloader: Reloader) -> Kept {
    let gate = Arc::clone(reloader.gate());
    // From here on a SIGHUP ends nothing.
    let hangup = signal(SignalKind::hangup())
        .inspect_err(|error| tracing::warn!(%error, "SIGHUP is not heard; files are watched all the same"))
        .ok();
    let mut tasks = JoinSet::new();
    tasks.spawn(watch_files(reloader, hangup));
    tasks.spawn(probe_targets(Arc::clone(&gate)));
    tasks.spawn(tell_of_targets(Arc::clone(&gate)));
    tasks.spawn(answer_reviews(Arc::clone(&gate)));
    tasks.spawn(index_record(gate));
    Kept(tasks)
}

/// Reads again on SIGHUP at once, and when files have changed and come to rest. What is wrong is logged and recorded where
/// it is found; the next change is another attempt.
async fn watch_files(reloader: Reloader, mut hangup: Option<Signal>) {
    let mut watch = Watch::new(reloader.at_start().clone());
    let mut looks = ticks(stamps::EVERY);
    loop {
        let signalled = async {
            match &mut hangup {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        let cause = tokio::select! {
            heard = signalled => {
                if heard.is_none() {
                    hangup = None;
                    continue;
                }
                // Before they are read: what changes while they are is another change.
                watch.are_read(reloader.stamps());
                Cause::Signal
            }
            _ = looks.tick() => {
                if !watch.look(reloader.stamps()) {
                    continue;
                }
                Cause::Files
            }
        };
        // Said and recorded there.
        let _ = reloader.reload(cause).await;
    }
}

/// Asks all targets at once at first, and then one after the other, spread over the time.
async fn probe_targets(gate: Arc<Gate>) {
    let mut probes = JoinSet::new();
    for target in gate.targets().values() {
        let target = target.clone();
        probes.spawn(async move { target.check_health().await });
    }
    // How each is, is the target's condition.
    probes.join_all().await;
    let count = u32::try_from(gate.targets().len()).unwrap_or(u32::MAX).max(1);
    let mut turns = ticks(PROBE_EVERY / count);
    loop {
        for target in gate.targets().values() {
            turns.tick().await;
            if gate.idle() < IDLE {
                let _ = target.check_health().await;
            }
        }
        if gate.targets().is_empty() {
            return;
        }
    }
}

async fn tell_of_targets(gate: Arc<Gate>) {
    let mut told = gate.shown_targets();
    let mut told_at: Option<Instant> = None;
    let mut looks = ticks(LOOK_EVERY);
    loop {
        looks.tick().await;
        let now = gate.shown_targets();
        if now != told && told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            (told, told_at) = (now, Some(Instant::now()));
            gate.announce();
        }
    }
}

/// People who decide elsewhere ask what is there now; they wait for it.
async fn answer_reviews(gate: Arc<Gate>) {
    let mut turns = ticks(REVIEW_EVERY);
    loop {
        turns.tick().await;
        if let Err(error) = gate.answer_reviews().await {
            tracing::warn!(%error, "who asks to look again at a request is not answered");
            sleep(PROBE_EVERY).await;
        }
    }
}

async fn index_record(gate: Arc<Gate>) {
    let mut turns = ticks(INDEX_EVERY);
    loop {
        turns.tick().await;
        loop {
            let runs = Arc::clone(gate.runs());
            match tokio::task::spawn_blocking(move || runs.step()).await {
                Ok(Ok(step)) if step.more => sleep(INDEX_PAUSE).await,
                Ok(Ok(_)) => break,
                // A question that is asked says the same to whoever asks it.
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the index of the record is behind");
                    break;
                }
                Err(_) => return,
            }
        }
    }
}

/// At these intervals, the first time at once; what was missed is not made up for.
fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
