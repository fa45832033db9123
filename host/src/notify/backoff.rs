//! When a message is tried again: soon at first, then at longer intervals, and never at the same moment as others that
//! failed with it.

use std::time::Duration;

use crate::store::random_bytes;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(2);
/// At the longest: a receiver that is back is heard of within five minutes.
const LONGEST: Duration = Duration::from_secs(300);

/// How long to wait after so many attempts, at least as long as the receiver asks for, within bounds.
pub(super) fn pause(attempts: u32, asked: Option<Duration>) -> Duration {
    let full = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST);
    // Between half and all of it. Without randomness, all of it.
    let share = random_bytes::<1>().map_or(1.0, |[byte]| 0.5 + f64::from(byte) / 510.0);
    full.mul_f64(share).max(asked.unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_differ_and_stay_within_bounds() {
        for (attempts, full) in [(0, 2), (1, 2), (2, 4), (5, 32), (8, 256), (9, 300), (40, 300), (u32::MAX, 300)] {
            let full = Duration::from_secs(full);
            let pauses: Vec<_> = (0..64).map(|_| pause(attempts, None)).collect();
            assert!(pauses.iter().all(|pause| *pause >= full / 2 && *pause <= full), "{attempts}: {pauses:?}");
            assert!(pauses.iter().any(|pause| Some(pause) != pauses.first()), "all at once");
        }
        assert_eq!(pause(1, Some(Duration::from_secs(90))), Duration::from_secs(90));
        assert_eq!(pause(1, Some(Duration::from_secs(86_400))), LONGEST, "a receiver can't silence us for a day");
    }
}
