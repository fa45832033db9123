//! How often somebody may do something: a bucket for each key that refills evenly (GCRA), in bounded memory. Checking never
//! waits, so whoever is over the limit delays nobody else.

use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

/// Keys that are remembered one by one. Beyond, all share one bucket until some have refilled and are forgotten.
const KEYS: usize = 16_384;
/// After so many checks, what has refilled is forgotten.
const SWEEP: u32 = 1024;

/// A limit for each key.
#[derive(Debug)]
pub struct Rate<K: Hash + Eq + Clone> {
    /// `None` is the bucket that keys share when there are too many of them.
    buckets: DefaultKeyedRateLimiter<Option<K>>,
    clock: DefaultClock,
    checks: AtomicU32,
    keys: usize,
}

impl<K: Hash + Eq + Clone> Rate<K> {
    /// So many a minute, and so many at once after a pause. Zero counts as one.
    #[must_use]
    pub fn new(per_minute: u32, burst: u32) -> Self {
        Self::bounded(per_minute, burst, KEYS)
    }

    fn bounded(per_minute: u32, burst: u32, keys: usize) -> Self {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(at_least_one(per_minute)).allow_burst(at_least_one(burst));
        Self { buckets: RateLimiter::keyed(quota), clock: DefaultClock::default(), checks: AtomicU32::new(0), keys }
    }

    /// Counts one for a key.
    ///
    /// # Errors
    /// How long to wait, if it is one too many.
    pub fn check(&self, key: &K) -> Result<(), Duration> {
        let crowded = self.buckets.len() > self.keys;
        if crowded || self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.buckets.retain_recent();
        }
        let key = if crowded && self.buckets.len() > self.keys { None } else { Some(key.clone()) };
        self.buckets.check_key(&key).map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }
}

/// A wait in whole seconds, as `Retry-After` and people have it; never too short.
#[must_use]
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_burst_and_learns_how_long_to_wait() {
        let rate = Rate::new(6, 3);
        for _ in 0..3 {
            assert!(rate.check(&"a").is_ok());
        }
        let wait = rate.check(&"a").err();
        assert!(wait.is_some_and(|wait| wait <= Duration::from_secs(10) && wait > Duration::from_secs(8)), "{wait:?}");
        assert!(rate.check(&"b").is_ok(), "the other has all of its own");
    }

    #[test]
    fn zero_is_one_and_never_everything() {
        let rate = Rate::new(0, 0);
        assert!(rate.check(&1).is_ok());
        assert!(rate.check(&1).is_err());
    }

    #[test]
    fn memory_is_bounded_whoever_comes() {
        let rate = Rate::bounded(1, 1, 100);
        let passed = (0..10_000).filter(|key| rate.check(key).is_ok()).count();
        assert!(rate.buckets.len() <= 102, "{}", rate.buckets.len());
        assert!((100..=102).contains(&passed), "beyond the bound all share one: {passed}");
    }

    #[test]
    fn a_wait_is_rounded_up() {
        for (wait, seconds) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (59_001, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(wait)), seconds, "{wait}");
        }
    }
}
