//! Who keeps vacuum from cleaning up.

use lockgate_pack::{Column, Statement, Variant};

use crate::seconds_since;

/// Everything that pins an xmin horizon, the oldest first. A backend pins it with its snapshot or with its own transaction
/// id, whichever is older; a slot pins rows and catalogs apart. What each kind holds back is as `ComputeXidHorizons` in
/// PostgreSQL has it: a backend or a prepared transaction its own database and the shared catalogs, a slot or a standby all.
///
/// Left out is what doesn't pin although it has an xmin: lazy vacuums, which all others ignore; slots that were invalidated;
/// parallel workers, whose snapshot is their leader's; and the backend that asks.
macro_rules! holders {
    ($slot_seconds:literal) => {
        concat!(
            "SELECT CASE WHEN a.backend_type = 'client backend' THEN 'backend'
            WHEN a.backend_type = 'walsender' AND a.datid IS NULL THEN 'standby'
            ELSE 'background process' END AS kind,
       NULL::text AS name, a.pid::int8 AS pid, a.usename::text AS user_name, a.application_name AS application,
       a.datname::text AS database, COALESCE(r.state, a.state) AS state,
       ",
            seconds_since!("a.state_change"),
            " AS state_seconds,
       ",
            seconds_since!("a.xact_start"),
            " AS transaction_seconds,
       GREATEST(pg_catalog.age(a.backend_xmin), pg_catalog.age(a.backend_xid), 0)::int8 AS age,
       CASE WHEN a.datid IS NULL THEN 'all tables' ELSE 'tables of its database' END AS holds,
       CASE WHEN a.backend_type = 'walsender' AND a.datid IS NULL
                THEN 'the oldest query on the standby ends, or hot_standby_feedback is turned off there'
            WHEN a.backend_type <> 'client backend' THEN 'its work ends'
            WHEN a.state LIKE 'idle in transaction%'
                THEN 'its client commits or rolls back, or terminate_backend; cancel_query does nothing'
            ELSE 'its transaction ends, or cancel_query or terminate_backend' END AS release
  FROM pg_catalog.pg_stat_activity AS a
  LEFT JOIN pg_catalog.pg_stat_replication AS r ON r.pid = a.pid
 WHERE (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL) AND a.pid <> pg_catalog.pg_backend_pid()
   AND a.backend_type <> 'parallel worker'
   AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_progress_vacuum AS v WHERE v.pid = a.pid)
 UNION ALL
SELECT 'replication slot', s.slot_name::text, s.active_pid::int8, r.usename::text, r.application_name, s.database::text,
       CASE WHEN s.active THEN 'active' ELSE 'inactive' END,
       ",
            $slot_seconds,
            ", NULL::int8, GREATEST(pg_catalog.age(h.pinned), 0)::int8, h.holds,
       CASE WHEN NOT s.active THEN 'its consumer connects again, or a person drops the slot'
            WHEN s.slot_type = 'logical' THEN 'its consumer confirms what it has received'
            ELSE 'the oldest query on the standby ends, or hot_standby_feedback is turned off there' END
  FROM pg_catalog.pg_replication_slots AS s
 CROSS JOIN LATERAL (VALUES (s.xmin, 'all tables'), (s.catalog_xmin, 'catalogs of all databases')) AS h(pinned, holds)
  LEFT JOIN pg_catalog.pg_stat_replication AS r ON r.pid = s.active_pid
 WHERE h.pinned IS NOT NULL AND s.wal_status IS DISTINCT FROM 'lost'
 UNION ALL
SELECT 'prepared transaction', p.gid, NULL::int8, p.owner::text, NULL::text, p.database::text, 'prepared',
       ",
            seconds_since!("p.prepared"),
            ", ",
            seconds_since!("p.prepared"),
            ", GREATEST(pg_catalog.age(p.transaction), 0)::int8, 'tables of its database',
       'its owner or a superuser, in its database, runs COMMIT PREPARED or ROLLBACK PREPARED'
  FROM pg_catalog.pg_prepared_xacts AS p
 ORDER BY age DESC, kind, name, pid
 LIMIT 200"
        )
    };
}

/// Who pins an xmin horizon, how many transactions ago, what that holds back, and what would release it.
pub static XMIN_HOLDERS: Statement = Statement::read("xmin_holders")
    .columns(&[
        Column::text("kind"),
        Column::text("name"),
        Column::integer("pid"),
        Column::text("user_name"),
        Column::text("application"),
        Column::text("database"),
        Column::text("state"),
        Column::integer("state_seconds"),
        Column::integer("transaction_seconds"),
        Column::integer("age"),
        Column::text("holds"),
        Column::text("release"),
    ])
    .variants(&[
        Variant::before(17, holders!("NULL::int8")),
        Variant::from(17, holders!("EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - s.inactive_since)::int8")),
    ]);
