//! Times as people read them: the date for the record, and how far away it is for the decision.

use std::time::Duration;

use jiff::Timestamp;

/// In UTC, to the second.
pub(crate) fn absolute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// From now.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    if at > now { format!("in {}", span(at, now)) } else { format!("{} ago", span(at, now)) }
}

/// Between two times.
pub(crate) fn span(one: Timestamp, other: Timestamp) -> String {
    duration(one.duration_since(other).unsigned_abs())
}

/// The two largest units; rounded down, so that nobody is promised time that is not there.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, ..) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_never_rounded_up() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (119, "1 min"), (3_599, "59 min"), (7_199, "1 h 59 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }
}
