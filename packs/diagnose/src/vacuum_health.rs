//! Whether vacuum keeps up: how far transaction ids are from running out, what keeps dead rows from being cleaned up, and
//! which tables wait for it.

mod holders;
mod statements;

use lockgate_pack::{Action, Call, Failure, Rows, Severity, Suggestion};
use lockgate_pack_shared::{
    autovacuum::PAST_THRESHOLD,
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    words::counted,
    wraparound::WRAPAROUND_READ,
    xmin_holders::XMIN_HOLDERS,
};

use crate::{
    advice,
    backends::BACKENDS,
    verdict::{Conclusion, Diagnosis, weight},
};
pub(crate) use statements::{HERE, OLDEST, RUNNING};

/// Where vacuum drops all restraint, unless the server says otherwise: the default of `vacuum_failsafe_age`, from 14 on. At
/// 2,147 million the server stops taking writes.
const FAILSAFE_AGE: i64 = 1_600_000_000;
/// So many times `autovacuum_freeze_max_age`: autovacuum had as long again as it takes to come due, and did not manage.
const OVERDUE: i64 = 2;
/// Twice its threshold: autovacuum looks once a minute by default, so a table that far is not being kept up with.
const FAR_PAST: f64 = 2.0;

pub(crate) static VACUUM_HEALTH: Action = Action::read("vacuum_health")
    .title("Diagnose vacuum")
    .description(
        "Whether vacuum keeps up in this database. Verdicts: `wraparound_danger` (transaction ids run out before long), \
         `wraparound_ahead` (autovacuum should have frozen long ago), `autovacuum_off`; `xmin_held_by_backend` (an old transaction \
         keeps vacuum from cleaning up: cancel or terminate it), `xmin_held_by_prepared_transaction`, `xmin_held_by_slot`, \
         `xmin_held_by_standby`, `xmin_held_by_process` (a person must end those), `catalogs_held_by_slot`; `tables_past_threshold` (far \
         past, or nobody comes for them: vacuum_table), `vacuum_due` (autovacuum comes by itself). Else `healthy`. End a holder \
         before any vacuum: it could clean up nothing. On a standby only ages and holders are known; ask the primary.",
    )
    .statements(&[&SEES_OTHERS, &HERE, &WRAPAROUND_READ, &OLDEST, &XMIN_HOLDERS, &PAST_THRESHOLD, &RUNNING, &BACKENDS])
    .privileges(MONITOR)
    .search_terms(&[
        "vacuum problems",
        "bloat",
        "tables grow",
        "autovacuum cannot keep up",
        "autovacuum is off",
        "transaction id wraparound",
        "xid wraparound",
        "dead rows pile up",
        "vacuum does not help",
    ])
    .examples(&[
        ("tables grow although autovacuum runs", "{}"),
        ("the log warns of transaction id wraparound", "{}"),
    ])
    .run(|call| {
        must_see_others(call)?;
        diagnose(call)?.into_outcome()
    });

pub(crate) fn diagnose(call: &Call<'_>) -> Result<Diagnosis, Failure> {
    let here = call.execute(&HERE)?;
    let Some(row) = here.first() else { return Err(Failure::internal("the database's own row is missing")) };
    let (database, standby) = (row.text("database")?.unwrap_or_default(), row.boolean("in_recovery")? == Some(true));
    let autovacuum = row.boolean("autovacuum")? == Some(true);
    let ages = call.execute(&WRAPAROUND_READ)?;
    let holders = call.execute(&XMIN_HOLDERS)?;
    let running = call.execute(&RUNNING)?;
    // A standby counts no changes.
    let past = if standby { None } else { Some(call.execute(&PAST_THRESHOLD)?) };

    let mut notices = Vec::new();
    let waiting = past.as_ref().map(|past| Waiting::read(past, autovacuum)).transpose()?.unwrap_or_default();
    let mut danger = wraparound(&ages, &database, standby)?;
    let held = holders::conclude(call, &holders, &database, waiting.far > 0, &mut notices)?;
    let busy = names(&running)?;
    let mut oldest = None;
    if let Some(danger) = &mut danger {
        let tables = call.execute(&OLDEST)?;
        // What a holder pins can't be frozen either: then the holder's end comes first.
        if held.is_empty() && danger.here && !standby {
            danger.conclusion.next = to_freeze(&tables, &busy, &mut notices)?;
        }
        oldest = Some(tables);
    }
    let mut conclusions: Vec<Conclusion> = danger.into_iter().map(|danger| danger.conclusion).collect();
    if !autovacuum && !standby {
        let what =
            "autovacuum, or track_counts, which it lives by, is off: nothing is cleaned up unless a person does it";
        conclusions.push(Conclusion::new("autovacuum_off", Severity::Warning, what));
    }
    let blocked = !held.is_empty();
    conclusions.extend(held);
    if let Some(past) = &past {
        conclusions.extend(waiting.conclude(past, blocked, &busy, &mut notices)?);
    }
    let healthy = if standby {
        "no database is near wraparound, and nothing here holds the horizon back for long; the rest the primary knows"
    } else {
        "no table is past a threshold, nothing holds the horizon back for long, and no database is near wraparound"
    };
    let mut diagnosis = Diagnosis::new("vacuum", conclusions, healthy)
        .table("Who holds the horizon back", holders)
        .table("Ages of databases", ages);
    for (title, rows) in [
        ("Tables past a threshold", past),
        ("Oldest tables of this database", oldest),
        ("Vacuums that run", Some(running).filter(|running| !running.is_empty())),
    ] {
        if let Some(rows) = rows {
            diagnosis = diagnosis.table(title, rows);
        }
    }
    Ok(diagnosis.notices(notices))
}

/// The database that is nearest to wraparound, if one is too near.
struct Danger {
    conclusion: Conclusion,
    here: bool,
}

/// One conclusion for all databases that are near, this one's if it is among the worst.
fn wraparound(ages: &Rows, database: &str, standby: bool) -> Result<Option<Danger>, Failure> {
    let mut near = (0, 0, Severity::Ok);
    let (mut count, mut here) = (0_i64, false);
    for row in ages.iter() {
        let number = |column| row.integer(column).map(Option::unwrap_or_default);
        let mut worst = (0, 0, Severity::Ok);
        for (age, freeze, failsafe) in [
            ("xid_age", "xid_freeze_max_age", "xid_failsafe_age"),
            ("mxid_age", "mxid_freeze_max_age", "mxid_failsafe_age"),
        ] {
            let failsafe = row.integer(failsafe)?.unwrap_or(FAILSAFE_AGE);
            let (age, freeze) = (number(age)?, number(freeze)?);
            let severity = if age >= failsafe {
                Severity::Critical
            } else if age >= freeze.saturating_mul(OVERDUE) {
                Severity::Warning
            } else {
                continue;
            };
            if (worst.0, worst.1) < (weight(severity), age) {
                worst = (weight(severity), age, severity);
            }
        }
        if worst.0 == 0 {
            continue;
        }
        count += 1;
        here |= row.text("database")?.as_deref() == Some(database);
        if (near.0, near.1) < (worst.0, worst.1) {
            near = worst;
        }
    }
    let (_, age, severity) = near;
    Ok((count > 0).then(|| {
        let verdict = if severity == Severity::Critical { "wraparound_danger" } else { "wraparound_ahead" };
        let place = match (here, standby) {
            (_, true) => "vacuum its primary",
            (true, _) => "this one is among them; its oldest tables are to be vacuumed first",
            (false, _) => "this one is not: ask in a database that the table names",
        };
        let what = format!(
            "{} old ids, the oldest of an age of {} million; at 2147 million the server takes no more writes: {place}",
            counted(count, "database has", "databases have"),
            age / 1_000_000
        );
        Danger { conclusion: Conclusion::new(verdict, severity, what), here }
    }))
}

type Names = Vec<(String, String)>;

fn names(rows: &Rows) -> Result<Names, Failure> {
    rows.iter()
        .map(|row| Ok((row.text("schema_name")?.unwrap_or_default(), row.text("table_name")?.unwrap_or_default())))
        .collect()
}

/// VACUUM of the first of these tables that nobody vacuums and that the action can name.
fn first_vacuum(
    tables: impl IntoIterator<Item = (String, String)>,
    busy: &Names,
    why: &str,
    notices: &mut Vec<String>,
) -> Option<Suggestion> {
    let mut unnamed = 0_i64;
    let mut found = None;
    for table in tables {
        if busy.contains(&table) {
            continue;
        }
        found = advice::vacuum(&table.0, &table.1, why);
        if found.is_some() {
            break;
        }
        unnamed += 1;
    }
    if unnamed > 0 {
        notices.push(format!(
            "{} passed over for a suggestion: the name is not a plain identifier, which is all that vacuum_table takes, so a \
             person has to vacuum it",
            counted(unnamed, "table was", "tables were")
        ));
    }
    found
}

fn to_freeze(oldest: &Rows, busy: &Names, notices: &mut Vec<String>) -> Result<Option<Suggestion>, Failure> {
    let why =
        "it has the oldest ids of this database; a vacuum freezes them, which is what keeps writes from being refused";
    Ok(first_vacuum(names(oldest)?, busy, why, notices))
}

/// The tables past a threshold.
#[derive(Default)]
struct Waiting {
    /// Past a threshold of vacuum, not only of analyze.
    due: i64,
    /// Of these, far past or with nobody to come for them.
    far: i64,
    /// Those, the furthest past first.
    names: Names,
}

impl Waiting {
    fn read(past: &Rows, autovacuum: bool) -> Result<Self, Failure> {
        let mut waiting = Self::default();
        for row in past.iter() {
            let due = row.text("due")?.unwrap_or_default();
            if !due.contains("vacuum") && !due.contains("freeze") {
                continue;
            }
            waiting.due += 1;
            let nobody_comes = !autovacuum || row.boolean("autovacuum_enabled")? == Some(false);
            if nobody_comes || row.number("pressure")?.unwrap_or_default() >= FAR_PAST {
                waiting.far += 1;
                waiting
                    .names
                    .push((row.text("schema_name")?.unwrap_or_default(), row.text("table_name")?.unwrap_or_default()));
            }
        }
        Ok(waiting)
    }

    fn conclude(
        self,
        past: &Rows,
        blocked: bool,
        busy: &Names,
        notices: &mut Vec<String>,
    ) -> Result<Option<Conclusion>, Failure> {
        if self.due == 0 {
            return Ok(None);
        }
        let tables = counted(self.due, "table is", "tables are");
        if self.far == 0 {
            let what = format!("{tables} past a threshold of vacuum, none by far: autovacuum comes for them by itself");
            return Ok(Some(Conclusion::new("vacuum_due", Severity::Notice, what)));
        }
        let dead: i64 = past.integers("dead_tuples")?.iter().sum();
        let first = if blocked { "; what holds the horizon back has to end first" } else { "" };
        let what = format!(
            "{tables} past a threshold of vacuum, {} of them by far or with autovacuum off, and {dead} dead rows wait in all{first}",
            self.far
        );
        let next = if blocked {
            None
        } else {
            first_vacuum(self.names, busy, "it is furthest past its threshold, and nobody vacuums it now", notices)
        };
        Ok(Some(Conclusion::new("tables_past_threshold", Severity::Warning, what).next(next)))
    }
}
