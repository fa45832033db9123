//! Primary or standby, and how far the standbys are behind.

use lockgate_pack::{Action, Call, Column, Failure, Outcome, Statement, Variant};
use lockgate_pack_shared::{
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    words::{counted, size},
};

/// Also asked by actions whose numbers mean something else on a standby.
pub(crate) static RECOVERY_READ: Statement = Statement::read("is_in_recovery")
    .columns(&[Column::boolean("in_recovery")])
    .variants(&[Variant::all("SELECT pg_catalog.pg_is_in_recovery() AS in_recovery")])
    .max_rows(1);

pub(crate) static IS_IN_RECOVERY: Action = Action::read("is_in_recovery")
    .title("Primary or standby")
    .description("Whether the target is a primary or a standby (in recovery). Ask before acting after a failover.")
    .statements(&[&RECOVERY_READ])
    .search_terms(&[
        "primary or replica",
        "master or slave",
        "leader",
        "failover happened",
        "failed over",
        "read-only transaction",
        "pg_is_in_recovery",
        "split brain",
        "which node is primary",
    ])
    .examples(&[("did we fail over? which one is the primary now?", "{}")])
    .run(|call| {
        let rows = call.execute(&RECOVERY_READ)?;
        let standby = rows.first().map(|row| row.boolean("in_recovery")).transpose()?.flatten();
        let summary = match standby {
            Some(true) => "a standby: it is in recovery and read-only",
            Some(false) => "a primary: it accepts writes",
            None => return Err(Failure::internal("the recovery statement gave no answer")),
        };
        Ok(Outcome::new(summary).table("Role", rows))
    });

/// Whether the target is a standby.
pub(crate) fn in_recovery(call: &Call<'_>) -> Result<bool, Failure> {
    let rows = call.execute(&RECOVERY_READ)?;
    let standby = rows.first().map(|row| row.boolean("in_recovery")).transpose()?.flatten();
    standby.ok_or_else(|| Failure::internal("the recovery statement gave no answer"))
}

/// The standbys that receive from here, with their distance from this position in the WAL.
macro_rules! downstream {
    ($here:literal) => {
        concat!(
            "SELECT 'downstream' AS standby, r.pid::int8 AS pid, r.application_name AS application,
       pg_catalog.host(r.client_addr) AS client, r.state, r.sync_state,
       pg_catalog.pg_wal_lsn_diff(",
            $here,
            ", r.sent_lsn)::int8 AS sent_lag_bytes,
       pg_catalog.pg_wal_lsn_diff(",
            $here,
            ", r.write_lsn)::int8 AS write_lag_bytes,
       pg_catalog.pg_wal_lsn_diff(",
            $here,
            ", r.flush_lsn)::int8 AS flush_lag_bytes,
       pg_catalog.pg_wal_lsn_diff(",
            $here,
            ", r.replay_lsn)::int8 AS replay_lag_bytes,
       EXTRACT(EPOCH FROM r.write_lag)::float8 AS write_lag_seconds,
       EXTRACT(EPOCH FROM r.flush_lag)::float8 AS flush_lag_seconds,
       EXTRACT(EPOCH FROM r.replay_lag)::float8 AS replay_lag_seconds
  FROM pg_catalog.pg_stat_replication AS r"
        )
    };
}

static LAG_READ: Statement = Statement::read("replication_lag")
    .columns(&[
        Column::text("standby"),
        Column::integer("pid"),
        Column::text("application"),
        Column::text("client"),
        Column::text("state"),
        Column::text("sync_state"),
        Column::integer("sent_lag_bytes"),
        Column::integer("write_lag_bytes"),
        Column::integer("flush_lag_bytes"),
        Column::integer("replay_lag_bytes"),
        Column::number("write_lag_seconds"),
        Column::number("flush_lag_seconds"),
        Column::number("replay_lag_seconds"),
    ])
    .variants(&[
        Variant::all(concat!(downstream!("pg_catalog.pg_current_wal_lsn()"), "\n ORDER BY 10 DESC NULLS FIRST, 2"))
            .primary(),
        // A standby knows its own delay, and may feed others. Caught up with what it received, it has no delay, however long
        // ago the primary's last commit was.
        Variant::all(concat!(
            "SELECT 'this server' AS standby, NULL::int8 AS pid, NULL::text AS application, NULL::text AS client,
       NULL::text AS state, NULL::text AS sync_state,
       NULL::int8 AS sent_lag_bytes, NULL::int8 AS write_lag_bytes, NULL::int8 AS flush_lag_bytes,
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())::int8
           AS replay_lag_bytes,
       NULL::float8 AS write_lag_seconds, NULL::float8 AS flush_lag_seconds,
       CASE WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN 0
            ELSE EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())
       END::float8 AS replay_lag_seconds
 UNION ALL
",
            downstream!("pg_catalog.pg_last_wal_replay_lsn()"),
            "\n ORDER BY 1 DESC, 10 DESC NULLS FIRST, 2"
        ))
        .standby(),
    ]);

pub(crate) static REPLICATION_LAG: Action = Action::read("replication_lag")
    .title("Replication lag")
    .description(
        "On a primary each connected standby with how far it is behind in sending, writing, flushing and replaying, in bytes of \
         WAL and, while there is traffic, in seconds (null when idle: look at the bytes). On a standby its own delay in \
         replaying what it received, and those of the standbys that it feeds. A standby that is missing from the list is not \
         connected.",
    )
    .statements(&[&SEES_OTHERS, &LAG_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "replica is behind",
        "replica lag",
        "standby delay",
        "stale reads",
        "replication delay",
        "replica out of date",
        "pg_stat_replication",
        "old data on the replica",
        "replay lag",
    ])
    .examples(&[("are the replicas keeping up?", "{}")])
    .run(replication_lag);

fn replication_lag(call: &Call<'_>) -> Result<Outcome, Failure> {
    must_see_others(call)?;
    let rows = call.execute(&LAG_READ)?;
    let worst = rows.integers("replay_lag_bytes")?.into_iter().max();
    let summary = match (rows.count(), worst) {
        (0, _) => "no standby is connected".into(),
        (count, Some(bytes)) => {
            format!("{}; the furthest behind has {} left to replay", counted(count, "standby", "standbys"), size(bytes))
        }
        (count, None) => format!("{}; none says how far it has replayed", counted(count, "standby", "standbys")),
    };
    Ok(Outcome::new(summary).table("Standbys", rows))
}
