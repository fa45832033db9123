//! What holds the horizon back, behind which vacuum can clean up nothing.

use lockgate_pack::{Call, Failure, Row, Rows, Severity};
use lockgate_pack_shared::words::{counted, duration};

use crate::{
    backends::{self, Backend, Remedy},
    verdict::Conclusion,
};

/// A holder is old that has seen so many transactions begin: on a busy server two minutes, and their dead rows.
const OLD_XIDS: i64 = 100_000;
/// Or one that is there for an hour, however little happens meanwhile.
const OLD_SECONDS: i64 = 3600;
/// Where tables are far past their threshold already, an idle transaction of a minute is what is in the way.
const IN_THE_WAY_SECONDS: i64 = 60;
/// `vacuum_freeze_min_age` by default: past this age, not even freezing goes on.
const CRITICAL_XIDS: i64 = 50_000_000;

struct Holder {
    kind: String,
    pid: Option<i64>,
    idle: bool,
    seconds: i64,
    age: i64,
}

impl Holder {
    fn read(row: &Row<'_>) -> Result<Self, Failure> {
        let state = row.text("state")?.unwrap_or_default();
        Ok(Self {
            kind: row.text("kind")?.unwrap_or_default(),
            pid: row.integer("pid")?,
            idle: state.starts_with("idle in transaction"),
            seconds: row.integer("transaction_seconds")?.unwrap_or_default(),
            age: row.integer("age")?.unwrap_or_default(),
        })
    }

    fn is_old(&self, tables_wait: bool) -> bool {
        self.age >= OLD_XIDS
            || self.seconds >= OLD_SECONDS
            || (tables_wait && self.idle && self.seconds >= IN_THE_WAY_SECONDS)
    }

    fn severity(&self) -> Severity {
        if self.age >= CRITICAL_XIDS { Severity::Critical } else { Severity::Warning }
    }

    fn verdict(&self) -> &'static str {
        match self.kind.as_str() {
            "backend" => "xmin_held_by_backend",
            "prepared transaction" => "xmin_held_by_prepared_transaction",
            "replication slot" => "xmin_held_by_slot",
            "standby" => "xmin_held_by_standby",
            _ => "xmin_held_by_process",
        }
    }
}

/// The oldest holder of this database's tables, and the oldest slot that holds catalogs only, if they are old. Ending any
/// but the oldest would move nothing.
pub(super) fn conclude(
    call: &Call<'_>,
    rows: &Rows,
    database: &str,
    tables_wait: bool,
    notices: &mut Vec<String>,
) -> Result<Vec<Conclusion>, Failure> {
    let mut of_tables: Vec<Holder> = Vec::new();
    let mut of_catalogs: Option<Holder> = None;
    for row in rows.iter() {
        let holds = row.text("holds")?.unwrap_or_default();
        if holds.starts_with("catalogs") {
            of_catalogs = of_catalogs.or(Some(Holder::read(&row)?));
        } else if holds == "all tables" || row.text("database")?.as_deref() == Some(database) {
            of_tables.push(Holder::read(&row)?);
        }
    }
    // Of several that pin the same id, the one that is open the longest brought it about: the others saw it running.
    of_tables.sort_by_key(|holder| std::cmp::Reverse((holder.age, holder.seconds)));
    let old = i64::try_from(of_tables.iter().filter(|holder| holder.is_old(tables_wait)).count()).unwrap_or(i64::MAX);
    let mut conclusions = Vec::new();
    if let Some(holder) = of_tables.into_iter().find(|holder| holder.is_old(tables_wait)) {
        conclusions.push(oldest(call, &holder, old - 1, notices)?);
    }
    if let Some(holder) = of_catalogs.filter(|holder| holder.age >= OLD_XIDS) {
        let what = format!(
            "a replication slot holds back the cleaning of the catalogs for {} transactions: its consumer has to confirm what it \
             received, or a person drops it",
            holder.age
        );
        conclusions.push(Conclusion::new("catalogs_held_by_slot", holder.severity(), what));
    }
    Ok(conclusions)
}

fn oldest(call: &Call<'_>, holder: &Holder, others: i64, notices: &mut Vec<String>) -> Result<Conclusion, Failure> {
    let since = format!("for {} transactions", holder.age);
    let more = match others {
        0 => String::new(),
        others => format!("; {} old too and will be next", counted(others, "other holder is", "other holders are")),
    };
    let conclude = |what: String| Conclusion::new(holder.verdict(), holder.severity(), format!("{what}{more}"));
    let (Some(pid), "backend") = (holder.pid, holder.kind.as_str()) else {
        return Ok(conclude(match holder.kind.as_str() {
            "prepared transaction" => format!(
                "a prepared transaction, {} old, keeps vacuum from cleaning up {since}: a person has to COMMIT PREPARED or ROLLBACK \
                 PREPARED it, in its database",
                duration(holder.seconds)
            ),
            "replication slot" => format!(
                "a replication slot keeps vacuum from cleaning up {since}: its standby has to connect and end its oldest query, or \
                 a person drops the slot"
            ),
            "standby" => format!(
                "a standby's feedback keeps vacuum from cleaning up {since}: end the oldest query there, which vacuum_health of \
                 that standby names"
            ),
            _ => format!("a process of the server keeps vacuum from cleaning up {since}: it ends with its work"),
        }));
    };
    let looked = backends::look(call, vec![pid])?;
    let backend = looked.as_ref().map(|rows| Backend::find(rows, pid)).transpose()?.flatten();
    let Some(backend) = backend else {
        return Ok(conclude(format!(
            "backend {pid} kept vacuum from cleaning up {since}, and was gone a moment later: look again"
        )));
    };
    let open = duration(backend.transaction_seconds);
    let (what, remedy) = if backend.state == "active" && backend.wait_type != "Client" {
        (
            format!(
                "backend {pid} runs a query in a transaction that is {open} old, which keeps vacuum from cleaning up {since}"
            ),
            Remedy::Cancel("its transaction keeps vacuum from cleaning up; cancelled, it rolls back"),
        )
    } else {
        (
            format!(
                "backend {pid} has a transaction open for {open}, which keeps vacuum from cleaning up {since}: a cancel would do \
                 nothing, only ending its session would"
            ),
            Remedy::Terminate("its open transaction keeps vacuum from cleaning up, and a cancel does nothing to it"),
        )
    };
    let (suggestion, refused) = backend.remedied(remedy);
    notices.extend(refused);
    Ok(conclude(what).next(suggestion))
}
