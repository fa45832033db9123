//! Times as people read them: to the second in UTC, and how long that is from now. The exact time is in the element.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

/// A moment.
#[must_use]
pub fn moment(at: Timestamp) -> Markup {
    html! { time datetime=(at.to_string()) { (at.strftime("%Y-%m-%d %H:%M:%S UTC")) } }
}

/// A moment, and how long ago it was.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> Markup {
    let since = now.duration_since(at);
    html! {
        (moment(at)) " "
        span.quiet {
            @if since.is_negative() { "in " (long(-since)) } @else { (long(since)) " ago" }
        }
    }
}

/// What is left until a moment. A script may count it down; without one it is what was left when the page was made.
#[must_use]
pub fn countdown(until: Timestamp, now: Timestamp) -> Markup {
    let left = until.duration_since(now);
    html! {
        time.countdown datetime=(until.to_string()) data-until=(until.as_millisecond()) {
            @if left.is_negative() || left.is_zero() { "time is over" } @else { (long(left)) " left" }
        }
    }
}

/// In the two largest units that matter.
fn long(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, m) if m < 10 => format!("{m} min {:02} s", seconds % 60),
        (0, 0, m) => format!("{m} min"),
        (0, h, m) => format!("{h} h {m:02} min"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_two_units() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (61, "1 min 01 s"), (600, "10 min"), (3_660, "1 h 01 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(long(SignedDuration::from_secs(seconds)), text);
        }
        let now = Timestamp::UNIX_EPOCH;
        assert!(countdown(now, now).into_string().contains("time is over"));
        assert!(ago(now, now + SignedDuration::from_secs(5)).into_string().contains("5 s ago"));
    }
}
