//! Who got how much done in the same time, and how long anybody had to wait.

use std::{
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{AGENTS, CALLS, WARM};

/// Counts by agent.
pub struct Fairness {
    began: OnceLock<Instant>,
    /// When the first agent was through; what the others had done by then is compared.
    window: OnceLock<Vec<usize>>,
    done: Vec<AtomicUsize>,
    waits: Mutex<Vec<Duration>>,
}

impl Fairness {
    /// For so many agents.
    pub fn new(agents: usize) -> Self {
        Self {
            began: OnceLock::new(),
            window: OnceLock::new(),
            done: (0..agents).map(|_| AtomicUsize::new(0)).collect(),
            waits: Mutex::default(),
        }
    }

    /// The window opens with the first who says so.
    pub fn start(&self) {
        self.began.get_or_init(Instant::now);
    }

    /// One more call of this agent; how long it took, if nobody but the host was waited for.
    pub fn done(&self, agent: usize, wait: Option<Duration>) {
        let count = self.done[agent].fetch_add(1, Ordering::Relaxed) + 1;
        if count == CALLS - WARM {
            self.window.get_or_init(|| self.done.iter().map(|done| done.load(Ordering::Relaxed)).collect());
        }
        self.waits.lock().expect("not poisoned").extend(wait);
    }

    fn sorted(&self) -> Vec<Duration> {
        let mut waits = self.waits.lock().expect("not poisoned").clone();
        waits.sort_unstable();
        waits
    }

    fn spread(&self) -> (usize, usize) {
        let window = self.window.get().expect("somebody was first");
        let slowest = window.iter().min().copied().unwrap_or_default();
        (slowest, window.iter().max().copied().unwrap_or_default())
    }

    /// In words.
    pub fn summary(&self) -> String {
        let waits = self.sorted();
        let at = |share: usize| waits[(waits.len() - 1) * share / 1000];
        let (slowest, fastest) = self.spread();
        format!(
            "waits p50 {:.0?}, p99 {:.0?}, longest {:.0?}; when the first of {AGENTS} agents had made {fastest} calls, \
             the last had made {slowest}",
            at(500),
            at(990),
            at(1000)
        )
    }

    /// Nobody starves: in the time in which the fastest was through, everybody got at least half as far; and no call waited
    /// out of all proportion to the others.
    pub fn check(&self) {
        let (slowest, fastest) = self.spread();
        assert!(slowest * 2 >= fastest, "{}", self.summary());
        let waits = self.sorted();
        let (median, p99) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
        let longest = *waits.last().expect("there were calls");
        assert!(p99 <= median * 10, "{}", self.summary());
        // Each agent has one call at a time: with a fair queue nobody waits for much more than one round of all others.
        assert!(longest <= median * 40 + Duration::from_secs(2), "{}", self.summary());
    }
}
