//! How much room is left for connections, and who takes it.

use lockgate_pack::{Action, Call, Column, Failure, Row, Severity, Statement, Variant};
use lockgate_pack_shared::{
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    seconds_since,
    words::counted,
};

use crate::{
    advice,
    verdict::{Conclusion, Diagnosis},
};

/// Below this part of a limit that is free it warns: a pool that restarts or a second application server takes about as much.
const LOW_PERCENT: i64 = 20;
/// Below this part the next burst is refused.
const CRITICAL_PERCENT: i64 = 5;
/// A part of the connections in one state that is worth doing something about.
const SUBSTANTIAL_PERCENT: i64 = 20;

/// What each limit allows and what uses it: the server's own, and those of roles and databases that have one. Slots that
/// only superusers or, from 16 on, members of `pg_use_reserved_connections` get are not counted as room. A superuser has no limit of a role.
///
/// `long_idle` are those idle in transaction that `kill_idle` could end, with the age of the youngest of them: 62 s, since it
/// takes no bound below a minute and ends what is older than its bound, and ages are rounded.
macro_rules! limits {
    ($reserved:literal) => {
        concat!(
            "WITH session AS MATERIALIZED (
    SELECT a.usesysid, a.datid, a.state, (a.wait_event_type = 'Lock') AS blocked,
           CASE WHEN a.state = 'idle in transaction' AND NOT r.rolsuper
                 AND (pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') OR pg_catalog.pg_has_role(a.usesysid, 'USAGE'))
                THEN ",
            seconds_since!("a.state_change"),
            " END AS idle_seconds
      FROM pg_catalog.pg_stat_activity AS a
      LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
     WHERE a.backend_type = 'client backend'
), capped AS (
    SELECT 'server' AS kind, NULL::oid AS oid, NULL::text AS name,
           pg_catalog.current_setting('max_connections')::int8 - pg_catalog.current_setting('superuser_reserved_connections')::int8",
            $reserved,
            " AS connections
 UNION ALL
    SELECT 'role', r.oid, r.rolname::text, r.rolconnlimit::int8
      FROM pg_catalog.pg_roles AS r
     WHERE r.rolconnlimit >= 0 AND r.rolcanlogin AND NOT r.rolsuper
 UNION ALL
    SELECT 'database', d.oid, d.datname::text, d.datconnlimit::int8
      FROM pg_catalog.pg_database AS d
     WHERE d.datconnlimit >= 0 AND d.datallowconn
)
SELECT c.kind, c.name, c.connections AS allowed, pg_catalog.count(s.datid)::int8 AS used,
       (pg_catalog.count(*) FILTER (WHERE s.state = 'active' AND NOT s.blocked IS TRUE))::int8 AS active,
       (pg_catalog.count(*) FILTER (WHERE s.state = 'active' AND s.blocked))::int8 AS waiting_for_lock,
       (pg_catalog.count(*) FILTER (WHERE s.state = 'idle'))::int8 AS idle,
       (pg_catalog.count(*) FILTER (WHERE s.state LIKE 'idle in transaction%'))::int8 AS idle_in_transaction,
       (pg_catalog.count(*) FILTER (WHERE s.idle_seconds >= 62))::int8 AS long_idle,
       (pg_catalog.min(s.idle_seconds) FILTER (WHERE s.idle_seconds >= 62))::int8 AS youngest_long_idle_seconds
  FROM capped AS c
  LEFT JOIN session AS s ON c.kind = 'server' OR (c.kind = 'role' AND s.usesysid = c.oid)
    OR (c.kind = 'database' AND s.datid = c.oid)
 GROUP BY c.kind, c.name, c.connections
 ORDER BY (c.kind = 'server') DESC, pg_catalog.count(s.datid)::float8 / GREATEST(c.connections, 1) DESC, c.kind, c.name
 LIMIT 200"
        )
    };
}

pub(crate) static LIMITS: Statement = Statement::read("connection_limits")
    .columns(&[
        Column::text("kind"),
        Column::text("name"),
        Column::integer("allowed"),
        Column::integer("used"),
        Column::integer("active"),
        Column::integer("waiting_for_lock"),
        Column::integer("idle"),
        Column::integer("idle_in_transaction"),
        Column::integer("long_idle"),
        Column::integer("youngest_long_idle_seconds"),
    ])
    .variants(&[
        Variant::before(16, limits!("")),
        Variant::from(16, limits!("\n           - pg_catalog.current_setting('reserved_connections')::int8")),
    ]);

pub(crate) static TAKERS: Statement = Statement::read("connection_takers")
    .columns(&[
        Column::text("user_name"),
        Column::text("application"),
        Column::text("client"),
        Column::text("database"),
        Column::text("state"),
        Column::integer("connections"),
        Column::integer("longest_seconds"),
    ])
    .variants(&[Variant::all(concat!(
        "SELECT a.usename::text AS user_name, a.application_name AS application, pg_catalog.host(a.client_addr) AS client,
       a.datname::text AS database, a.state, pg_catalog.count(*)::int8 AS connections,
       ",
        seconds_since!("pg_catalog.min(a.state_change)"),
        " AS longest_seconds
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.backend_type = 'client backend'
 GROUP BY a.usename, a.application_name, a.client_addr, a.datname, a.state
 ORDER BY pg_catalog.count(*) DESC, a.usename, a.application_name, a.datname, a.state
 LIMIT 100"
    ))]);

pub(crate) static CONNECTION_PRESSURE: Action = Action::read("connection_pressure")
    .title("Diagnose connection pressure")
    .description(
        "How much room is left under max_connections (less what is reserved) and under the limits of roles and databases, and what \
         takes it. Verdicts on the room: `exhausted` (new connections are refused), `nearly_exhausted`, `headroom_low`; the same \
         for one role or database: `limit_exhausted`, `limit_nearly_exhausted`, `limit_low`. Where room is short, what takes it: \
         `idle_in_transaction` (kill_idle ends those that are long so), `idle` (a pool that is too large, or none), `blocked` (they \
         wait for a lock: see lock_pileup), `busy` (more queries at once than the server was sized for). Else `healthy`.",
    )
    .statements(&[&SEES_OTHERS, &LIMITS, &TAKERS])
    .privileges(MONITOR)
    .search_terms(&[
        "too many clients already",
        "too many connections",
        "out of connections",
        "max_connections",
        "connection limit",
        "connection storm",
        "remaining connection slots are reserved",
        "connection refused",
        "pool exhausted",
        "cannot connect",
    ])
    .examples(&[("sorry, too many clients already", "{}")])
    .run(|call| {
        must_see_others(call)?;
        diagnose(call)?.into_outcome()
    });

/// One limit and what uses it.
struct Scope {
    server: bool,
    kind: &'static str,
    allowed: i64,
    used: i64,
    active: i64,
    blocked: i64,
    idle: i64,
    idle_in_transaction: i64,
    long_idle: i64,
    youngest: Option<i64>,
}

impl Scope {
    fn read(row: &Row<'_>) -> Result<Self, Failure> {
        let number = |column| row.integer(column).map(Option::unwrap_or_default);
        let (server, kind) = match row.text("kind")?.as_deref() {
            Some("server") => (true, "server"),
            Some("role") => (false, "role"),
            _ => (false, "database"),
        };
        Ok(Self {
            server,
            kind,
            allowed: number("allowed")?,
            used: number("used")?,
            active: number("active")?,
            blocked: number("waiting_for_lock")?,
            idle: number("idle")?,
            idle_in_transaction: number("idle_in_transaction")?,
            long_idle: number("long_idle")?,
            youngest: row.integer("youngest_long_idle_seconds")?,
        })
    }

    fn free(&self) -> i64 {
        (self.allowed - self.used).max(0)
    }

    /// A limit of 0 shuts somebody out on purpose; that is no pressure.
    fn pressure(&self) -> Option<Severity> {
        if self.allowed == 0 {
            return None;
        }
        let free = self.free() * 100;
        if free < CRITICAL_PERCENT * self.allowed {
            Some(Severity::Critical)
        } else if free < LOW_PERCENT * self.allowed {
            Some(Severity::Warning)
        } else {
            None
        }
    }

    fn conclude(&self, severity: Severity) -> Conclusion {
        let (full, nearly, low) = if self.server {
            ("exhausted", "nearly_exhausted", "headroom_low")
        } else {
            ("limit_exhausted", "limit_nearly_exhausted", "limit_low")
        };
        let verdict = match severity {
            Severity::Critical if self.free() == 0 => full,
            Severity::Critical => nearly,
            _ => low,
        };
        let what = if self.server {
            format!(
                "{} open, and ordinary roles may open {} more: {} is the limit less what is reserved",
                counted(self.used, "connection is", "connections are"),
                self.free(),
                self.allowed
            )
        } else {
            let taken = counted(self.used, "connection", "connections");
            format!("one {} has {taken} of the {} that it may have", self.kind, self.allowed)
        };
        Conclusion::new(verdict, severity, what)
    }

    /// What takes a substantial part of it, the most to be done about first.
    fn takers(&self) -> Vec<Conclusion> {
        let within = if self.server { String::new() } else { format!(" of that {}", self.kind) };
        let substantial = |count: i64| count > 0 && count * 100 >= SUBSTANTIAL_PERCENT * self.used;
        let mut takers = Vec::new();
        if substantial(self.idle_in_transaction) {
            let (next, long) = match self.youngest {
                Some(youngest) if substantial(self.long_idle) => {
                    let bound = (youngest - 1).clamp(60, 86_400);
                    (
                        Some(advice::kill_idle(bound)),
                        format!("; {} for longer than {bound} s, which kill_idle can end", self.long_idle),
                    )
                }
                _ => (None, "; too few of them for longer than a minute for kill_idle to help".to_owned()),
            };
            let what = format!(
                "{} of the {} connections{within} are idle in transaction, where a client does nothing and holds a connection{long}",
                self.idle_in_transaction, self.used
            );
            takers.push(Conclusion::new("idle_in_transaction", Severity::Warning, what).next(next));
        }
        if substantial(self.blocked) {
            let what = format!(
                "{} of the {} connections{within} wait for a lock: lock_pileup says who holds it",
                self.blocked, self.used
            );
            takers.push(Conclusion::new("blocked", Severity::Warning, what));
        }
        if substantial(self.active) {
            let what = format!(
                "{} of the {} connections{within} run a query: fewer at once, queued in a pooler, would get more done",
                self.active, self.used
            );
            takers.push(Conclusion::new("busy", Severity::Notice, what));
        }
        if substantial(self.idle) {
            let what = format!(
                "{} of the {} connections{within} are idle outside a transaction: smaller pools, or a pooler that shares \
                 connections between transactions, would give room without ending anything",
                self.idle, self.used
            );
            takers.push(Conclusion::new("idle", Severity::Notice, what));
        }
        takers
    }
}

pub(crate) fn diagnose(call: &Call<'_>) -> Result<Diagnosis, Failure> {
    let limits = call.execute(&LIMITS)?;
    let takers = call.execute(&TAKERS)?;
    let scopes = limits.iter().map(|row| Scope::read(&row)).collect::<Result<Vec<_>, _>>()?;
    let Some(server) = scopes.first().filter(|scope| scope.server) else {
        return Err(Failure::internal("the server's own limit is missing"));
    };
    let healthy = format!(
        "{} open, and ordinary roles may open {} more",
        counted(server.used, "connection is", "connections are"),
        server.free()
    );
    let pressed: Vec<(&Scope, Severity)> =
        scopes.iter().filter_map(|scope| scope.pressure().map(|severity| (scope, severity))).collect();
    let mut conclusions: Vec<Conclusion> = pressed.iter().map(|(scope, severity)| scope.conclude(*severity)).collect();
    // What takes the room is said once, of the limit that has the least left: the server's if that is short.
    let tightest = pressed.iter().find(|(scope, _)| scope.server).or_else(|| pressed.first());
    if let Some((scope, _)) = tightest {
        conclusions.extend(scope.takers());
    }
    let cut = if limits.count() == 200 {
        vec!["these are the first 200 limits; there may be more".into()]
    } else {
        Vec::new()
    };
    Ok(Diagnosis::new("connections", conclusions, healthy)
        .table("Limits", limits)
        .table("Who takes the connections", takers)
        .notices(cut))
}
