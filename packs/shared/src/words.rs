//! Numbers in words for a person.

/// `1 backend`, `2 backends`.
#[must_use]
pub fn counted(count: impl Into<i64>, one: &str, many: &str) -> String {
    let count = count.into();
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `45 s`, `18 min`, `5 h 10 min`, `3 d 4 h`.
#[must_use]
pub fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{minutes} min"),
        7200..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// `412 kB`, `1.3 GB`, in units of 1024 as PostgreSQL's own `pg_size_pretty` counts them.
#[must_use]
pub fn size(bytes: i64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut unit = "bytes";
    let (mut whole, mut tenths) = (bytes, 0);
    for next in UNITS {
        if whole < 1024 {
            break;
        }
        (tenths, whole) = (whole % 1024 * 10 / 1024, whole / 1024);
        unit = next;
    }
    if whole < 10 && unit != "bytes" { format!("{whole}.{tenths} {unit}") } else { format!("{whole} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::{counted, duration, size};

    #[test]
    fn words() {
        assert_eq!(counted(1_i64, "backend", "backends"), "1 backend");
        assert_eq!(counted(0_i64, "backend", "backends"), "0 backends");
        let ages = [(0, "0 s"), (119, "119 s"), (1084, "18 min"), (18_600, "5 h 10 min"), (273_600, "3 d 4 h")];
        for (seconds, text) in ages {
            assert_eq!(duration(seconds), text);
        }
        let sizes = [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 kB"),
            (1_400_000_000, "1.3 GB"),
            (i64::MAX, "8388607 TB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
    }
}
