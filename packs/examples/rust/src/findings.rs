//! What an operator would want changed, in numbers and words of this pack's own: names stand in the table, where a reader takes
//! them for data.

use lockgate_pack::{Failure, Row, Rows, Severity};

/// From this share of all places on, one application starves the others.
const MOST_PERCENT: i64 = 50;
/// Below this a share says nothing.
const FEW: i64 = 10;

/// A thing to change, found in some of the groups: whether a group has it, counted in connections.
struct Rule {
    severity: Severity,
    words: &'static str,
    count: fn(&Row<'_>) -> Result<i64, Failure>,
}

fn number(row: &Row<'_>, column: &str) -> Result<i64, Failure> {
    Ok(row.integer(column)?.unwrap_or_default())
}

const RULES: [Rule; 5] = [
    Rule {
        severity: Severity::Warning,
        words: "come from other machines without TLS",
        count: |row| number(row, "remote_without_tls"),
    },
    Rule {
        severity: Severity::Warning,
        words: "are of a superuser",
        count: |row| if row.boolean("superuser")? == Some(true) { number(row, "connections") } else { Ok(0) },
    },
    Rule {
        severity: Severity::Notice,
        words: "have no application name",
        count: |row| {
            let unnamed = row.text("application")?.is_none_or(|name| name.trim().is_empty());
            if unnamed { number(row, "connections") } else { Ok(0) }
        },
    },
    Rule {
        severity: Severity::Notice,
        words: "sit in an open transaction without working",
        count: |row| number(row, "idle_in_transaction"),
    },
    Rule {
        severity: Severity::Notice,
        words: "are old: their pools don't renew connections",
        count: |row| number(row, "old"),
    },
];

pub(crate) fn of(rows: &Rows, places: i64) -> Result<Vec<(Severity, String)>, Failure> {
    let mut findings = Vec::new();
    for rule in RULES {
        let mut count = 0;
        for row in rows.iter() {
            count += (rule.count)(&row)?;
        }
        if count > 0 {
            findings.push((rule.severity, format!("{count} connections {}", rule.words)));
        }
    }
    for row in rows.iter() {
        let taken = number(&row, "connections")?;
        if taken >= FEW && taken * 100 >= places * MOST_PERCENT {
            findings.push((Severity::Warning, format!("one application holds {taken} of {places} places")));
        }
        let limit = number(&row, "user_limit")?;
        if limit >= 0 && taken >= FEW && taken * 10 >= limit * 9 {
            findings.push((Severity::Warning, format!("{taken} connections of a user with a limit of {limit}")));
        }
    }
    Ok(findings)
}
