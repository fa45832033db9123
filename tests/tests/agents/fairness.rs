//! How long anybody had to wait for a look, and whether somebody had to wait longer than others.

use std::{sync::Mutex, time::Duration};

/// Waits by agent. Only those for which nobody but the host was waited: how soon an act is done is up to the person, who decides
/// on one after the other.
pub struct Fairness(Vec<Mutex<Vec<Duration>>>);

impl Fairness {
    /// For so many agents.
    pub fn new(agents: usize) -> Self {
        Self((0..agents).map(|_| Mutex::default()).collect())
    }

    /// How long a call of this agent took.
    pub fn waited(&self, agent: usize, wait: Duration) {
        self.0[agent].lock().expect("not poisoned").push(wait);
    }

    /// All waits, the shortest first.
    fn all(&self) -> Vec<Duration> {
        let mut all: Vec<Duration> = self.0.iter().flat_map(|one| one.lock().expect("not poisoned").clone()).collect();
        all.sort_unstable();
        all
    }

    /// Each agent's mean, the shortest first.
    fn means(&self) -> Vec<Duration> {
        let mean = |waits: &Vec<Duration>| {
            waits.iter().sum::<Duration>() / u32::try_from(waits.len()).expect("not that many calls")
        };
        let mut means: Vec<Duration> = self.0.iter().map(|one| mean(&one.lock().expect("not poisoned"))).collect();
        means.sort_unstable();
        means
    }

    /// In words.
    pub fn summary(&self) -> String {
        let (all, means) = (self.all(), self.means());
        let at = |share: usize| all[(all.len() - 1) * share / 1000];
        format!(
            "waits p50 {:.0?}, p99 {:.0?}, longest {:.0?}; an agent's mean {:.0?} to {:.0?}",
            at(500),
            at(990),
            at(1000),
            means[0],
            means[means.len() - 1],
        )
    }

    /// Nobody starves: who waited longest on average waited no more than twice as long as others do, and no call waited out of all
    /// proportion.
    pub fn check(&self) {
        let (all, means) = (self.all(), self.means());
        assert!(means[means.len() - 1] <= means[means.len() / 2] * 2, "{}", self.summary());
        let (median, p99, longest) = (all[all.len() / 2], all[all.len() * 99 / 100], all[all.len() - 1]);
        assert!(p99 <= median * 10, "{}", self.summary());
        // Each agent has one call at a time: with a fair queue nobody waits for much more than one round of all others.
        assert!(longest <= median * 40 + Duration::from_secs(2), "{}", self.summary());
    }
}
