//! Windows of time: days, hours and dates in a time zone. A window that goes past midnight belongs to the day on which it
//! begins.

use std::{collections::BTreeSet, fmt};

use jiff::{
    Timestamp,
    civil::{Date, Weekday},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

const MINUTES_A_DAY: u16 = 24 * 60;
/// In the order of the week, as they are written.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Some stretches of time that come again, or one that does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub(super) struct Window {
    /// Numbers of days from Monday, 0 to 6.
    days: BTreeSet<u8>,
    /// Minutes of the day; `to` may be on the next one.
    from: u16,
    to: u16,
    first_day: Option<Date>,
    last_day: Option<Date>,
    zone: TimeZone,
    zone_name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_day: Option<String>,
    zone: Option<String>,
}

impl Window {
    /// Whether a moment is inside.
    pub(super) fn has(&self, at: Timestamp) -> bool {
        let there = self.zone.to_datetime(at);
        let minute = u16::from(there.hour().unsigned_abs()) * 60 + u16::from(there.minute().unsigned_abs());
        let began_today = self.opens_on(there.date()) && minute >= self.from && minute < self.to;
        // Past midnight of a window that began yesterday.
        let began_yesterday = minute + MINUTES_A_DAY < self.to
            && there.date().yesterday().is_ok_and(|yesterday| self.opens_on(yesterday));
        began_today || began_yesterday
    }

    fn opens_on(&self, day: Date) -> bool {
        self.days.contains(&number(day.weekday()))
            && self.first_day.is_none_or(|first| day >= first)
            && self.last_day.is_none_or(|last| day <= last)
    }
}

impl TryFrom<Written> for Window {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { days, from, to, first_day, last_day, zone } = written;
        let days = match days {
            None => (0..7).collect(),
            Some(words) if words.is_empty() => return Err("`days` is empty; leave it out for every day".into()),
            Some(words) => {
                words.iter().map(|word| days_of(word)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
            }
        };
        let (from, to) = match (from, to) {
            (None, None) => (0, MINUTES_A_DAY),
            (Some(from), Some(to)) => (minute_of(&from)?, minute_of(&to)?),
            _ => return Err("`from` and `to` go together; leave both out for the whole day".into()),
        };
        if from == MINUTES_A_DAY || from == to {
            return Err("`from` must be a time before `24:00` that is not `to`".into());
        }
        let to = if to < from { to + MINUTES_A_DAY } else { to };
        let date = |text: Option<String>| {
            let read = |text: String| {
                let day = (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten();
                day.ok_or_else(|| format!("`{}` is no date like 2026-12-24", plain(&text)))
            };
            text.map(read).transpose()
        };
        let (first_day, last_day) = (date(first_day)?, date(last_day)?);
        if first_day.zip(last_day).is_some_and(|(first, last)| first > last) {
            return Err("`first_day` is after `last_day`".into());
        }
        let name = zone.unwrap_or_else(|| "UTC".into());
        let (zone, zone_name) = zone_of(&name)?;
        Ok(Self { days, from, to, first_day, last_day, zone, zone_name })
    }
}

impl From<Window> for Written {
    fn from(window: Window) -> Self {
        let day = |number: &u8| DAYS.get(usize::from(*number)).map(|&day| day.to_owned());
        let whole_day = (window.from, window.to) == (0, MINUTES_A_DAY);
        let to = if window.to > MINUTES_A_DAY { window.to - MINUTES_A_DAY } else { window.to };
        Self {
            days: (window.days.len() < DAYS.len()).then(|| window.days.iter().filter_map(day).collect()),
            from: (!whole_day).then(|| clock(window.from)),
            to: (!whole_day).then(|| clock(to)),
            first_day: window.first_day.map(|day| day.to_string()),
            last_day: window.last_day.map(|day| day.to_string()),
            zone: Some(window.zone_name),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Written { days, from, to, first_day, last_day, zone } = self.clone().into();
        let days = days.map_or("every day".to_owned(), |days| days.join(", "));
        let hours = from.zip(to).map(|(from, to)| format!(" {from}–{to}")).unwrap_or_default();
        let first = first_day.map(|day| format!(" from {day}")).unwrap_or_default();
        let last = last_day.map(|day| format!(" until {day}")).unwrap_or_default();
        write!(f, "{days}{hours}{first}{last} ({})", zone.unwrap_or_default())
    }
}

/// `mon`, or `mon-fri`, also over the end of the week.
fn days_of(word: &str) -> Result<Vec<u8>, String> {
    let day = |name: &str| {
        let number = DAYS.iter().position(|&day| day == name).and_then(|at| u8::try_from(at).ok());
        number.ok_or_else(|| format!("`{}` is no day: write {} or a range like mon-fri", plain(word), DAYS.join(", ")))
    };
    match word.split_once('-') {
        None => Ok(vec![day(word)?]),
        Some((first, last)) => {
            let (first, last) = (day(first)?, day(last)?);
            let length = (last + 7 - first) % 7;
            Ok((0..=length).map(|step| (first + step) % 7).collect())
        }
    }
}

/// Minutes of the day of `08:30`; `24:00` is its end.
fn minute_of(text: &str) -> Result<u16, String> {
    let digits = |part: &str| {
        (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u16>().ok()).flatten()
    };
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (digits(hour)?, digits(minute)?);
        let at = hour * 60 + minute;
        (minute < 60 && at <= MINUTES_A_DAY).then_some(at)
    };
    read().ok_or_else(|| format!("`{}` is no time of day like 08:30", plain(text)))
}

fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn zone_of(name: &str) -> Result<(TimeZone, String), String> {
    if name.eq_ignore_ascii_case("utc") {
        return Ok((TimeZone::UTC, "UTC".into()));
    }
    let unknown = || format!("`{}` is no time zone; write one like Europe/Berlin, or UTC", plain(name));
    let zone = TimeZone::get(name).map_err(|_| unknown())?;
    // The name as the database spells it. What has none (`Etc/Unknown`) is none that anybody means.
    match zone.iana_name().map(ToOwned::to_owned) {
        Some(spelled) if !zone.is_unknown() => Ok((zone, spelled)),
        _ => Err(unknown()),
    }
}

fn number(day: Weekday) -> u8 {
    day.to_monday_zero_offset().unsigned_abs()
}

fn plain(text: &str) -> String {
    crate::outside::shown(text, 40)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(text: &str) -> Window {
        toml::from_str(text).unwrap()
    }

    fn has(window: &Window, at: &str) -> bool {
        window.has(at.parse().unwrap())
    }

    #[test]
    fn office_hours_are_those_of_the_zone_in_summer_and_in_winter() {
        let office = window("days = [\"mon-fri\"]\nfrom = \"08:00\"\nto = \"18:00\"\nzone = \"europe/berlin\"");
        for (at, inside) in [
            // Winter: UTC+1. 2026-01-05 is a Monday.
            ("2026-01-05T06:59:59Z", false),
            ("2026-01-05T07:00:00Z", true),
            ("2026-01-05T16:59:59Z", true),
            ("2026-01-05T17:00:00Z", false),
            // Summer: UTC+2. 2026-07-03 is a Friday, the next day is not a working day.
            ("2026-07-03T05:59:59Z", false),
            ("2026-07-03T06:00:00Z", true),
            ("2026-07-03T15:59:59Z", true),
            ("2026-07-03T16:00:00Z", false),
            ("2026-07-04T08:00:00Z", false),
        ] {
            assert_eq!(has(&office, at), inside, "{at}");
        }
        assert_eq!(office.to_string(), "mon, tue, wed, thu, fri 08:00–18:00 (Europe/Berlin)");
    }

    #[test]
    fn a_night_belongs_to_the_day_it_begins_on() {
        // 2026-11-20 is a Friday.
        let night = window("days = [\"fri\"]\nfrom = \"22:00\"\nto = \"06:00\"");
        for (at, inside) in [
            ("2026-11-20T21:59:00Z", false),
            ("2026-11-20T22:00:00Z", true),
            ("2026-11-21T05:59:59Z", true),
            ("2026-11-21T06:00:00Z", false),
            ("2026-11-20T05:00:00Z", false),
            ("2026-11-21T22:00:00Z", false),
        ] {
            assert_eq!(has(&night, at), inside, "{at}");
        }
    }

    #[test]
    fn an_hour_that_comes_twice_is_inside_twice_and_one_that_is_skipped_never_comes() {
        // Clocks go back on 2026-10-25 at 03:00 summer time (01:00 UTC) and forward on 2026-03-29 at 02:00 (01:00 UTC).
        let early = window("from = \"02:00\"\nto = \"03:00\"\nzone = \"Europe/Berlin\"");
        assert!(has(&early, "2026-10-25T00:30:00Z") && has(&early, "2026-10-25T01:30:00Z"));
        assert!(!has(&early, "2026-03-29T00:59:59Z") && !has(&early, "2026-03-29T01:00:00Z"));
    }

    #[test]
    fn a_freeze_has_its_first_and_its_last_day() {
        let freeze = window("first_day = \"2026-12-20\"\nlast_day = \"2027-01-03\"\nzone = \"America/New_York\"");
        assert!(!has(&freeze, "2026-12-20T04:59:59Z") && has(&freeze, "2026-12-20T05:00:00Z"));
        assert!(has(&freeze, "2027-01-04T04:59:59Z") && !has(&freeze, "2027-01-04T05:00:00Z"));
        assert!(window("days = [\"sat-mon\"]").days.iter().eq(&[0, 5, 6]));
        assert!(has(&window("from = \"00:00\"\nto = \"24:00\""), "2026-01-01T23:59:59Z"));
        assert!(has(&window("from = \"20:00\"\nto = \"24:00\""), "2026-01-01T23:59:59Z"));
        assert!(!has(&window("from = \"20:00\"\nto = \"00:00\""), "2026-01-01T00:00:00Z"));
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for bad in [
            "from = \"08:00\"",
            "from = \"8:00\"\nto = \"18:00\"",
            "from = \"08:00\"\nto = \"08:00\"",
            "from = \"24:00\"\nto = \"08:00\"",
            "from = \"08:60\"\nto = \"18:00\"",
            "from = \"+8:00\"\nto = \"18:00\"",
            "from = \"08:00\"\nto = \"24:01\"",
            "days = []",
            "days = [\"Mon\"]",
            "days = [\"mon-fry\"]",
            "zone = \"Europe/Nowhere\"",
            "zone = \"Etc/Unknown\"",
            "first_day = \"2026-13-01\"",
            "first_day = \"2026-02-02\"\nlast_day = \"2026-02-01\"",
            "hours = \"8\"",
        ] {
            assert!(toml::from_str::<Window>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Written and read again it is the same, and so is what it says.
        #[test]
        fn a_window_survives_being_written(
            days in proptest::collection::btree_set(0_u8..7, 1..7), from in 0_u16..1440, length in 1_u16..1440, at in 0_i64..2_000_000_000,
        ) {
            let window = Window {
                days, from, to: from + length, first_day: None, last_day: None,
                zone: TimeZone::UTC, zone_name: "UTC".into(),
            };
            let again: Window = toml::from_str(&toml::to_string(&window).unwrap()).unwrap();
            let at = Timestamp::from_second(at).unwrap();
            prop_assert_eq!(window.has(at), again.has(at));
            prop_assert_eq!(window, again);
        }
    }
}
