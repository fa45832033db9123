//! What a client hears while its call is under way: progress to those who gave a token, log messages to those who want them.
//! All of it goes out in order and before the answer, since nothing about a request may follow its answer.

use std::{pin::pin, time::Duration};

use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
    service::RequestContext,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    held::elicitation::Screen,
    logging::{self, Log},
    memory::Memory,
};
use crate::gate::call::{Answer, Pending, Progress, Refused};

/// How long an answer waits for what was to be told before it: a client that does not read must not keep a call open.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The least step of progress, where two things happen within one second.
const STEP: f64 = 0.001;

/// One call's.
pub(super) struct Telling {
    peer: Peer<RoleServer>,
    token: Option<ProgressToken>,
    log: Log,
    screen: Option<Screen>,
    gone: CancellationToken,
    /// How long the call waits for people, if it does.
    wait: Option<Duration>,
    heard: mpsc::UnboundedReceiver<Progress>,
}

/// What has been told of a call so far.
#[derive(Default)]
struct Told {
    held: Option<Box<Pending>>,
    decided: bool,
    progress: Option<f64>,
    /// Seconds.
    waited: Option<u64>,
}

impl Telling {
    /// For a request whose call waits for people as long as `wait`; and what the gate is to tell, unless the client would
    /// hear nothing of it.
    pub(super) fn new(
        context: &RequestContext<RoleServer>,
        memory: &std::sync::Arc<Memory>,
        wait: Option<Duration>,
    ) -> (Self, Option<mpsc::UnboundedSender<Progress>>) {
        let (tell, heard) = mpsc::unbounded_channel();
        let telling = Self {
            peer: context.peer.clone(),
            token: context.meta.get_progress_token(),
            log: Log::of(context, memory),
            screen: Screen::of(context, memory),
            gone: context.ct.clone(),
            wait,
            heard,
        };
        let is_heard = telling.token.is_some() || telling.screen.is_some() || telling.log.hears_of_held();
        (telling, is_heard.then_some(tell))
    }

    /// Carries `work` through, and tells beside it. Whatever is still to be told when it has ended is told first.
    pub(super) async fn beside(
        mut self,
        work: impl Future<Output = Result<Answer, Refused>>,
    ) -> Result<Answer, Refused> {
        let gone = self.gone.clone();
        let mut told = Told::default();
        let answer = {
            let mut work = pin!(work);
            let mut telling = pin!(self.tell(&mut told));
            tokio::select! {
                biased;
                answer = work.as_mut() => {
                    // The gate has let go of its end, so this ends with what is left.
                    let _ = tokio::time::timeout(LAST_WORDS, telling).await;
                    answer
                }
                () = telling.as_mut() => work.await,
            }
        };
        if !gone.is_cancelled() {
            let last = self.last_words(told, &answer);
            let _ = tokio::time::timeout(LAST_WORDS, last).await;
        }
        answer
    }

    async fn tell(&mut self, told: &mut Told) {
        while let Some(mut news) = tokio::select! {
            () = self.gone.cancelled() => None,
            news = self.heard.recv() => news,
        } {
            // To a client that reads slowly only the latest is told of several that say the same.
            while matches!(news, Progress::Waiting { .. } | Progress::Underway { .. })
                && let Ok(next) = self.heard.try_recv()
            {
                news = next;
            }
            match news {
                Progress::Held(pending) => self.held(told, pending).await,
                Progress::Waiting { waited } => self.waiting(told, waited).await,
                Progress::Approved => self.approved(told).await,
                Progress::Underway { run } => self.underway(told, &run).await,
            }
        }
    }

    async fn held(&self, told: &mut Told, pending: Box<Pending>) {
        if told.held.is_some() {
            return;
        }
        if let Some(screen) = &self.screen {
            screen.show(&pending);
        }
        self.log.say(logging::call_held(&pending)).await;
        told.held = Some(pending);
        self.waiting(told, Duration::ZERO).await;
    }

    async fn waiting(&self, told: &mut Told, waited: Duration) {
        // Whoever does not wait is not told how long.
        let wait = self.wait.filter(|wait| !wait.is_zero());
        let (Some(wait), Some(held)) = (wait, &told.held) else { return };
        if told.waited.is_some_and(|before| waited.as_secs() <= before) {
            return;
        }
        told.waited = Some(waited.as_secs());
        // What came before the wait may have counted further than it.
        let now = told.progress.map_or(seconds(waited), |before| seconds(waited).max(before + STEP));
        let left = wait.saturating_sub(Duration::from_secs(waited.as_secs())).as_secs();
        let approval = &held.approval;
        let message =
            format!("waiting for a person to decide on approval {approval}: {left} s of {} s left", wait.as_secs());
        self.progress(told, now, message).await;
    }

    async fn approved(&self, told: &mut Told) {
        let Some(held) = &told.held else { return };
        let message = format!("approval {} was given; the call is being run", held.approval);
        if !std::mem::replace(&mut told.decided, true) {
            self.log.say(logging::call_decided(held, "approved")).await;
        }
        if self.wait.is_some() {
            let next = told.progress.map_or(0.0, |before| before + STEP);
            self.progress(told, next, message).await;
        }
    }

    async fn underway(&self, told: &mut Told, run: &str) {
        let next = told.progress.map_or(0.0, |before| before + STEP);
        self.progress(told, next, format!("the call of this operation is under way, run {run}")).await;
    }

    async fn progress(&self, told: &mut Told, value: f64, message: String) {
        let (Some(token), Some(wait)) = (&self.token, self.wait) else { return };
        let mut progress = ProgressNotificationParam::new(token.clone(), value).with_message(message);
        if !wait.is_zero() {
            progress = progress.with_total(seconds(wait));
        }
        told.progress = Some(value);
        // A client that is gone is noticed by its call's cancellation.
        let _ = self.peer.notify_progress(progress).await;
    }

    async fn last_words(&self, told: Told, answer: &Result<Answer, Refused>) {
        if let Some((held, decision)) = told.held.zip(logging::decision(answer)) {
            if !told.decided {
                self.log.say(logging::call_decided(&held, decision)).await;
            }
            if let Some(screen) = &self.screen {
                screen.decided(&held.approval).await;
            }
        }
        for message in logging::of_answer(answer) {
            self.log.say(message).await;
        }
    }
}

/// Whole seconds as progress has them; beyond 2^32 nobody waits.
fn seconds(time: Duration) -> f64 {
    f64::from(u32::try_from(time.as_secs()).unwrap_or(u32::MAX))
}
