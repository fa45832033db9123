//! All areas on one page.

use lockgate_pack::{Action, Call, Failure, Outcome, QueryError, Rows, Severity, Value};
use lockgate_pack_shared::{
    autovacuum::PAST_THRESHOLD,
    chains::CHAINS_READ,
    indexes::{duplicate::DUPLICATE_READ, invalid::INVALID_READ, unused::UNUSED_READ},
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    slots::SLOTS_READ,
    words::counted,
    wraparound::WRAPAROUND_READ,
    xmin_holders::XMIN_HOLDERS,
};

use crate::{
    backends::BACKENDS,
    connection_pressure, index_health, lock_pileup, replication_health, vacuum_health,
    verdict::{self, COLUMNS, Diagnosis, row, weight},
};

pub(crate) static CHECKUP: Action = Action::read("checkup")
    .title("Check-up")
    .description(
        "One page about the server: lock_pileup, connection_pressure, vacuum_health, replication_health and index_health, one row for \
         each area with its worst verdict and its score (100 less 70 for each critical conclusion, 35 for a warning, 5 for a notice). \
         The total is the lowest of them: a server is as healthy as its worst part. The suggestion is that of the worst conclusion \
         that has one. An area that could not be looked at has the verdict `unknown`. Ask the area's own action for the evidence.",
    )
    .statements(&[
        &SEES_OTHERS,
        &BACKENDS,
        &CHAINS_READ,
        &lock_pileup::PREPARED,
        &connection_pressure::LIMITS,
        &connection_pressure::TAKERS,
        &vacuum_health::HERE,
        &vacuum_health::OLDEST,
        &vacuum_health::RUNNING,
        &WRAPAROUND_READ,
        &XMIN_HOLDERS,
        &PAST_THRESHOLD,
        &replication_health::SERVER,
        &replication_health::STANDBYS,
        &replication_health::REPLAY_BLOCKERS,
        &replication_health::CONFLICTS,
        &SLOTS_READ,
        &INVALID_READ,
        &DUPLICATE_READ,
        &UNUSED_READ,
    ])
    .privileges(MONITOR)
    .search_terms(&[
        "health check",
        "is everything ok",
        "is the database ok",
        "is the database healthy",
        "everything is slow",
        "what is wrong",
        "something is wrong",
        "database problems",
        "health overview",
        "where to start",
    ])
    .examples(&[("is the database all right?", "{}")])
    .run(checkup);

/// An area and what looks at it.
type Area = (&'static str, fn(&Call<'_>) -> Result<Diagnosis, Failure>);

/// What hurts soonest comes first, and wins where two areas are as bad.
const AREAS: [Area; 5] = [
    ("locks", lock_pileup::diagnose),
    ("connections", connection_pressure::diagnose),
    ("vacuum", vacuum_health::diagnose),
    ("replication", replication_health::diagnose),
    ("indexes", index_health::diagnose),
];

fn checkup(call: &Call<'_>) -> Result<Outcome, Failure> {
    must_see_others(call)?;
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let mut findings: Vec<(Severity, String)> = Vec::new();
    let mut next = None;
    let mut total = 100;
    let mut bad = 0_i64;
    for (area, diagnose) in AREAS {
        let mut diagnosis = match diagnose(call) {
            Ok(diagnosis) => diagnosis,
            Err(failure) => unknown(area, failure)?,
        };
        total = total.min(diagnosis.score());
        bad += i64::from(weight(diagnosis.severity()) >= weight(Severity::Warning));
        if let Some(worst) = diagnosis.conclusions().first() {
            let more = i64::try_from(diagnosis.conclusions().len()).unwrap_or(i64::MAX) - 1;
            let more = if more > 0 { format!(" (and {})", counted(more, "more", "more")) } else { String::new() };
            rows.push(row(diagnosis.area(), worst, diagnosis.score(), format!("{}{more}", worst.what)));
        }
        for conclusion in diagnosis.conclusions().iter().filter(|c| weight(c.severity) >= weight(Severity::Warning)) {
            findings.push((conclusion.severity, format!("{area}: {}", conclusion.what)));
        }
        if let Some((severity, suggestion)) = diagnosis.next()
            && next.as_ref().is_none_or(|(known, _)| weight(severity) > weight(*known))
        {
            next = Some((severity, suggestion));
        }
    }
    let state = match bad {
        0 => "nothing needs anybody".to_owned(),
        bad => format!("{} attention", counted(bad, "area needs", "areas need")),
    };
    let mut outcome =
        Outcome::new(format!("score {total} of 100; {state}")).table("Verdict", Rows::built(COLUMNS, rows)?);
    findings.sort_by_key(|(severity, _)| std::cmp::Reverse(weight(*severity)));
    for (severity, text) in findings {
        outcome = outcome.finding(severity, text);
    }
    Ok(match next {
        Some((_, suggestion)) => outcome.suggest(suggestion),
        None => outcome,
    })
}

/// One area that can't be looked at does not take the page away. What says that the answers would be wrong, or that the
/// connection is gone, does.
fn unknown(area: &'static str, failure: Failure) -> Result<Diagnosis, Failure> {
    let why = match &failure {
        Failure::Query(QueryError::Timeout) => "its statements ran out of time",
        Failure::Query(QueryError::TooManyRows(_)) => "it has more rows than a statement may return",
        Failure::Query(QueryError::Unsupported(_)) => "this server has no variant of its statements",
        Failure::Query(QueryError::Database(_)) => "the server refused one of its statements",
        _ => return Err(failure),
    };
    let conclusion = verdict::Conclusion::new(
        "unknown",
        Severity::Warning,
        format!("this area could not be looked at: {why}; its own action says more"),
    );
    Ok(Diagnosis::new(area, vec![conclusion], ""))
}
