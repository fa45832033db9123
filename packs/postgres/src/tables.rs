//! Tables: how large, and how they are read and written.

pub(crate) mod full;
pub(crate) mod io;
pub(crate) mod scans;
pub(crate) mod sizes;
pub(crate) mod updates;

/// The CTEs that end in `sized`: the largest tables, measured, with `$which` of them and `$limit`.
///
/// To measure a table opens it with its TOAST table and all indexes: a second and 90 MB of a backend's memory for five
/// thousand tables. So those are measured that are the largest by the catalogs' page counts, twice as many as asked for and forty
/// more, and ranked by what was measured. A page count is as old as the last vacuum or analyze; therefore the rows that the
/// statistics count stand in where they say more: fifty to a page, four chunks to a page of TOAST. Indexes of two pages or
/// less are not added up.
macro_rules! sized {
    ($which:expr, $limit:literal) => {
        concat!(
            "WITH ",
            lockgate_pack_shared::held!(),
            ", indexed AS MATERIALIZED (
    SELECT i.indrelid AS oid, pg_catalog.sum(c.relpages)::int8 AS pages
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
     WHERE c.relkind = 'i' AND c.relpages > 2
     GROUP BY i.indrelid
), toast AS MATERIALIZED (
    SELECT c.oid, c.relpages AS pages
      FROM pg_catalog.pg_class AS c
     WHERE c.relkind = 't' AND c.relpages > 0
), candidate AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.reltoastrelid, c.reltuples, c.relpages, COALESCE(t.pages, 0) AS toast_pages,
           COALESCE(x.pages, 0) AS index_pages
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      LEFT JOIN toast AS t ON t.oid = c.reltoastrelid
      LEFT JOIN indexed AS x ON x.oid = c.oid
     WHERE ",
            $which,
            "
     ORDER BY GREATEST(c.relpages, pg_catalog.pg_stat_get_live_tuples(c.oid) / 50)
              + GREATEST(t.pages, pg_catalog.pg_stat_get_live_tuples(c.reltoastrelid) / 4) + COALESCE(x.pages, 0) DESC, c.oid
     LIMIT 2 * ",
            $limit,
            " + 40
), measured AS MATERIALIZED (
    SELECT m.oid, m.nspname, m.relname, m.reltoastrelid, m.reltuples, m.toast_pages, m.is_held,
           CASE WHEN m.is_held THEN (m.relpages + m.toast_pages) * s.block ELSE pg_catalog.pg_table_size(m.oid) END AS table_bytes,
           CASE WHEN m.is_held THEN m.index_pages * s.block ELSE pg_catalog.pg_indexes_size(m.oid) END AS index_bytes
      FROM (SELECT d.oid, d.nspname, d.relname, d.reltoastrelid, d.reltuples, d.relpages, d.toast_pages, d.index_pages,
                   EXISTS (SELECT 1 FROM held AS h WHERE h.oid IN (d.oid, d.reltoastrelid)) AS is_held
              FROM candidate AS d) AS m
     CROSS JOIN setting AS s
), largest AS MATERIALIZED (
    SELECT m.oid, m.nspname, m.relname, m.reltoastrelid, m.reltuples, m.toast_pages, m.is_held, m.table_bytes, m.index_bytes
      FROM measured AS m
     WHERE m.table_bytes IS NOT NULL AND m.index_bytes IS NOT NULL
     ORDER BY m.table_bytes + m.index_bytes DESC, m.nspname, m.relname
     LIMIT ",
            $limit,
            "
), sized AS MATERIALIZED (
    SELECT l.oid, l.nspname, l.relname, l.reltuples, l.is_held, l.index_bytes, l.table_bytes + l.index_bytes AS total_bytes,
           l.table_bytes - l.toast_bytes AS heap_bytes, l.toast_bytes
      FROM (SELECT m.oid, m.nspname, m.relname, m.reltuples, m.is_held, m.table_bytes, m.index_bytes,
                   CASE WHEN m.is_held THEN m.toast_pages * s.block
                        WHEN m.reltoastrelid = 0 THEN 0
                        ELSE COALESCE(pg_catalog.pg_total_relation_size(m.reltoastrelid), 0) END AS toast_bytes
              FROM largest AS m
             CROSS JOIN setting AS s) AS l
)
"
        )
    };
}
pub(crate) use sized;
