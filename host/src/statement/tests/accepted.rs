use super::*;

/// Label, columns, inputs, text; all of mode `read` and class `read` or as the table says.
type Accepted = (&'static str, &'static str, &'static str, &'static str);

const READ: &[Accepted] = &[
    ("a constant", "x", "", "SELECT 1 AS x"),
    ("no name, none compared", "x", "", "SELECT 1 + 1"),
    ("types by keyword", "x", "", "SELECT '1'::int + '2'::bigint + CAST('3' AS double precision) AS x"),
    ("types by bare name", "x", "", "SELECT '1'::int8 + '2'::numeric(10, 2) AS x"),
    ("types of pg_catalog", "x", "", "SELECT '1'::pg_catalog.int8 AS x"),
    ("arrays", "x", "", "SELECT (ARRAY['a', 'b']::text[])[1] AS x"),
    ("slices", "x", "", "SELECT (ARRAY[1, 2, 3])[1:2] AS x"),
    ("a parameter", "x", "pid:integer", "SELECT $1::int8 AS x"),
    ("a parameter twice", "x", "n:integer", "SELECT $1::int8 AS x WHERE $1::int8 > 0"),
    ("parameters in any order", "x", "a:integer b:text", "SELECT $2::text AS x WHERE $1::int8 > 0"),
    ("a relation of pg_catalog", "relname", "", "SELECT relname::text FROM pg_catalog.pg_class"),
    ("a relation of information_schema", "table_name", "", "SELECT table_name::text FROM information_schema.tables"),
    ("qualified columns", "relname", "", "SELECT c.relname::text FROM pg_catalog.pg_class AS c"),
    (
        "activity",
        "pid state",
        "n:integer",
        "SELECT pid::int8, state FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend' ORDER BY query_start LIMIT $1",
    ),
    ("query text", "pid query?", "", "SELECT pid::int8, query FROM pg_catalog.pg_stat_activity"),
    ("query text under a name", "q?", "", "SELECT pg_catalog.left(query, 10) AS q FROM pg_catalog.pg_stat_activity"),
    ("a hash of a query", "h", "", "SELECT pg_catalog.md5(query) AS h FROM pg_catalog.pg_stat_activity"),
    ("the length of a query", "n", "", "SELECT pg_catalog.length(query) AS n FROM pg_catalog.pg_stat_activity"),
    (
        "a query compared",
        "x",
        "",
        "SELECT query = '' OR query LIKE 'a%' OR query IS NULL AS x FROM pg_catalog.pg_stat_activity",
    ),
    (
        "a query under another name",
        "r?",
        "",
        "WITH s AS (SELECT query AS q FROM pg_catalog.pg_stat_activity) SELECT pg_catalog.upper(q) AS r FROM s",
    ),
    (
        "a column named like its CTE",
        "state",
        "",
        "WITH state AS (SELECT mode AS state FROM pg_catalog.pg_locks) SELECT state FROM state",
    ),
    ("rows that hold none", "x", "", "SELECT pg_catalog.count(c) AS x FROM pg_catalog.pg_class AS c"),
    ("query in WHERE", "pid", "", "SELECT pid::int8 FROM pg_catalog.pg_stat_activity WHERE query LIKE 'autovacuum:%'"),
    (
        "joins",
        "pid mode",
        "",
        "SELECT a.pid::int8, l.mode FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid LEFT JOIN pg_catalog.pg_class AS c ON c.oid = l.relation",
    ),
    ("USING", "mode", "", "SELECT mode FROM pg_catalog.pg_locks JOIN pg_catalog.pg_stat_activity USING (pid)"),
    (
        "cross join",
        "x",
        "",
        "SELECT a.pid::int8 AS x FROM pg_catalog.pg_locks AS a CROSS JOIN pg_catalog.pg_locks AS b",
    ),
    (
        "blocking pids",
        "pid blocker",
        "",
        "SELECT a.pid::int8, b.pid::int8 AS blocker FROM pg_catalog.pg_stat_activity AS a CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(a.pid)) AS b(pid) WHERE a.wait_event_type = 'Lock'",
    ),
    ("ordinality", "n", "", "SELECT b.n::int8 FROM pg_catalog.unnest('{1}'::int[]) WITH ORDINALITY AS b(pid, n)"),
    (
        "a lateral subquery",
        "n",
        "",
        "SELECT s.n FROM pg_catalog.pg_class AS c, LATERAL (SELECT pg_catalog.count(*) AS n FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid) AS s",
    ),
    ("a function in FROM by its alias", "n", "", "SELECT n::int8 FROM pg_catalog.generate_series(1, 3) AS n"),
    ("its own column by its alias", "n", "", "SELECT n.n::int8 FROM pg_catalog.generate_series(1, 3) AS n"),
    (
        "ROWS FROM",
        "a",
        "",
        "SELECT t.a::int8 FROM ROWS FROM (pg_catalog.generate_series(1, 2), pg_catalog.generate_series(1, 3)) AS t(a, b)",
    ),
    (
        "a record's columns",
        "a",
        "",
        "SELECT t.a::int8 FROM pg_catalog.jsonb_to_record('{}'::jsonb) AS t(a int, b text)",
    ),
    (
        "replication",
        "client_addr lag",
        "",
        "SELECT client_addr::text, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), replay_lsn)::int8 AS lag FROM pg_catalog.pg_stat_replication",
    ),
    ("slots", "slot_name", "", "SELECT slot_name::text FROM pg_catalog.pg_replication_slots WHERE NOT active"),
    (
        "standby",
        "s",
        "",
        "SELECT extract(epoch FROM pg_catalog.now() - pg_catalog.pg_last_xact_replay_timestamp())::float8 AS s",
    ),
    (
        "date_part",
        "s",
        "",
        "SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start) AS s FROM pg_catalog.pg_stat_activity AS a",
    ),
    ("intervals", "x", "s:integer", "SELECT (pg_catalog.now() - $1::int8 * interval '1 second')::text AS x"),
    ("named arguments", "x", "s:number", "SELECT pg_catalog.make_interval(secs => $1::float8)::text AS x"),
    ("time zones", "x", "", "SELECT (pg_catalog.now() AT TIME ZONE 'UTC')::text AS x"),
    (
        "SQL value functions",
        "x",
        "",
        "SELECT current_user::text || session_user::text || current_timestamp::text || current_date::text AS x",
    ),
    (
        "aggregates",
        "n m",
        "",
        "SELECT pg_catalog.count(*) AS n, pg_catalog.max(xact_start)::text AS m FROM pg_catalog.pg_stat_activity",
    ),
    (
        "FILTER",
        "n",
        "",
        "SELECT pg_catalog.count(*) FILTER (WHERE state = 'active') AS n FROM pg_catalog.pg_stat_activity",
    ),
    (
        "string_agg with ORDER BY",
        "x",
        "",
        "SELECT pg_catalog.string_agg(DISTINCT mode, ', ' ORDER BY mode) AS x FROM pg_catalog.pg_locks",
    ),
    (
        "ordered sets",
        "x",
        "",
        "SELECT pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY reltuples) AS x FROM pg_catalog.pg_class",
    ),
    (
        "GROUP BY and HAVING",
        "state n",
        "",
        "SELECT state, pg_catalog.count(*) AS n FROM pg_catalog.pg_stat_activity GROUP BY state HAVING pg_catalog.count(*) > 1",
    ),
    (
        "grouping sets",
        "state n",
        "",
        "SELECT state, grouping(state) AS n FROM pg_catalog.pg_stat_activity GROUP BY ROLLUP (state)",
    ),
    (
        "window functions",
        "x",
        "",
        "SELECT pg_catalog.row_number() OVER (PARTITION BY state ORDER BY pid ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM pg_catalog.pg_stat_activity",
    ),
    (
        "named windows",
        "x",
        "",
        "SELECT pg_catalog.sum(pid) OVER w AS x FROM pg_catalog.pg_locks WINDOW w AS (ORDER BY pid)",
    ),
    ("CTEs", "n", "", "WITH a AS (SELECT 1 AS n), b AS (SELECT n FROM a) SELECT n FROM b"),
    (
        "MATERIALIZED",
        "pid",
        "",
        "WITH t AS MATERIALIZED (SELECT pid FROM pg_catalog.pg_locks LIMIT 5) SELECT t.pid::int8 FROM t",
    ),
    (
        "NOT MATERIALIZED",
        "pid",
        "",
        "WITH t AS NOT MATERIALIZED (SELECT pid FROM pg_catalog.pg_locks) SELECT t.pid::int8 FROM t",
    ),
    (
        "recursive CTEs",
        "n",
        "",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT t.n + 1 FROM t WHERE t.n < 5) SELECT t.n FROM t",
    ),
    (
        "recursive chains",
        "pid path",
        "",
        "WITH RECURSIVE chain AS (SELECT a.pid, ARRAY[a.pid] AS path FROM pg_catalog.pg_stat_activity AS a UNION ALL SELECT b.pid, c.path || b.pid FROM chain AS c CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(c.pid)) AS b(pid) WHERE b.pid <> ALL (c.path)) SELECT pid::int8, path::text FROM chain",
    ),
    ("nested CTEs", "n", "", "WITH a AS (WITH b AS (SELECT 1 AS n) SELECT n FROM b) SELECT n FROM a"),
    ("CASE", "x", "", "SELECT CASE WHEN pid > 1 THEN 'a' ELSE 'b' END AS x FROM pg_catalog.pg_locks"),
    ("simple CASE", "x", "", "SELECT CASE mode WHEN 'a' THEN 1 ELSE 2 END AS x FROM pg_catalog.pg_locks"),
    (
        "COALESCE, NULLIF, GREATEST",
        "x",
        "",
        "SELECT COALESCE(NULLIF(pid, 0), GREATEST(1, 2), LEAST(3, 4)) AS x FROM pg_catalog.pg_locks",
    ),
    ("IN lists", "pid", "", "SELECT pid::int8 FROM pg_catalog.pg_locks WHERE mode IN ('a', 'b') AND pid NOT IN (1, 2)"),
    (
        "ANY of a parameter",
        "pid",
        "p:integers",
        "SELECT pid::int8 FROM pg_catalog.pg_locks WHERE pid = ANY ($1::int8[])",
    ),
    (
        "IN a subquery",
        "pid",
        "",
        "SELECT pid::int8 FROM pg_catalog.pg_locks WHERE pid IN (SELECT pid FROM pg_catalog.pg_stat_activity)",
    ),
    (
        "EXISTS",
        "pid",
        "",
        "SELECT pid::int8 FROM pg_catalog.pg_locks AS l WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = l.pid)",
    ),
    ("a scalar subquery", "x", "", "SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks) AS x"),
    (
        "an array of a subquery",
        "x",
        "",
        "SELECT pg_catalog.array_to_string(ARRAY(SELECT mode FROM pg_catalog.pg_locks), ',') AS x",
    ),
    ("rows compared", "x", "", "SELECT 1 AS x WHERE (1, 2) = (SELECT 1, 2)"),
    (
        "tests",
        "x",
        "",
        "SELECT pid IS NULL AND granted IS NOT TRUE AND pid IS DISTINCT FROM 1 AS x FROM pg_catalog.pg_locks",
    ),
    (
        "BETWEEN, LIKE, SIMILAR, ~",
        "x",
        "",
        "SELECT 1 AS x FROM pg_catalog.pg_locks WHERE pid BETWEEN 1 AND 2 AND mode LIKE 'a!_%' ESCAPE '!' AND mode ILIKE 'b' AND mode SIMILAR TO 'c' AND mode ~ '^[a-z]+$'",
    ),
    ("operators of pg_catalog", "x", "", "SELECT 1 OPERATOR(pg_catalog.+) 2 AS x"),
    ("JSON operators", "x", "", "SELECT '{}'::jsonb -> 'a' ->> 'b' AS x"),
    (
        "string functions by syntax",
        "x",
        "",
        "SELECT trim(both ' ' from 'a') || substring('abc' from 1 for 2) || position('a' in 'b')::text || overlay('abc' placing 'x' from 1) AS x",
    ),
    ("UNION", "a", "", "SELECT 'x' AS a UNION ALL SELECT 'y' UNION SELECT 'z'"),
    ("EXCEPT and INTERSECT", "a", "", "SELECT 1 AS a EXCEPT SELECT 2 INTERSECT SELECT 3"),
    ("VALUES", "a b", "", "VALUES (1, 2), (3, 4)"),
    ("VALUES in FROM", "a", "", "SELECT v.a FROM (VALUES (1), (2)) AS v(a)"),
    ("DISTINCT ON", "pid", "", "SELECT DISTINCT ON (pid) pid::int8 FROM pg_catalog.pg_locks ORDER BY pid, mode"),
    (
        "LIMIT and OFFSET",
        "pid",
        "n:integer",
        "SELECT pid::int8 FROM pg_catalog.pg_locks ORDER BY pid DESC NULLS LAST LIMIT $1::int8 OFFSET 1",
    ),
    ("FETCH FIRST", "pid", "", "SELECT pid::int8 FROM pg_catalog.pg_locks FETCH FIRST 3 ROWS ONLY"),
    ("regclass of an oid", "x", "", "SELECT c.oid::pg_catalog.regclass::text AS x FROM pg_catalog.pg_class AS c"),
    ("regclass of a relid", "x", "", "SELECT relid::regclass::text AS x FROM pg_catalog.pg_stat_user_tables"),
    ("regclass by way of oid", "x", "", "SELECT relation::oid::regclass::text AS x FROM pg_catalog.pg_locks"),
    ("regclass of a catalog", "x", "", "SELECT 'pg_catalog.pg_class'::regclass::oid AS x"),
    ("collation of pg_catalog", "x", "", "SELECT relname::text COLLATE pg_catalog.\"C\" AS x FROM pg_catalog.pg_class"),
    ("statistics functions", "x", "", "SELECT pg_catalog.pg_stat_get_live_tuples(oid) AS x FROM pg_catalog.pg_class"),
    (
        "sizes",
        "x",
        "",
        "SELECT pg_catalog.pg_size_pretty(pg_catalog.pg_total_relation_size(oid)) AS x FROM pg_catalog.pg_class",
    ),
    ("settings", "x", "", "SELECT pg_catalog.current_setting('max_connections') AS x"),
    ("privileges", "x", "", "SELECT pg_catalog.pg_has_role(current_user, 'pg_monitor', 'USAGE') AS x"),
    ("quoted identifiers", "x", "", "SELECT \"pid\"::int8 AS \"x\" FROM \"pg_catalog\".\"pg_locks\" AS \"The Locks\""),
    ("lines and tabs", "x", "", "SELECT\n\t1 AS x\n"),
    ("a semicolon in a string", "x", "", "SELECT ';' AS x"),
    ("a dash in a string", "x", "", "SELECT '-- no comment' AS x"),
    ("a placeholder in a string", "x", "", "SELECT ':\"schema\"' AS x"),
    ("a parameter in a string", "x", "", "SELECT '$1' AS x"),
];

#[test]
fn reads() {
    for (label, columns, inputs, sql) in READ {
        let case = Case::new(Mode::Read, sql).columns(columns).inputs(inputs);
        match case.prove() {
            Ok(proven) => assert_eq!(proven.class(), Class::Read, "{label}"),
            Err(faults) => panic!("{label}: {}", faults[0]),
        }
    }
}

#[test]
fn extensions_are_read_in_any_schema() {
    for (label, extension, columns, sql) in [
        (
            "the view",
            "pg_stat_statements",
            "calls query?",
            "SELECT calls, query FROM :\"extension_schema\".pg_stat_statements",
        ),
        (
            "the function",
            "pg_stat_statements",
            "calls",
            "SELECT calls FROM :\"extension_schema\".pg_stat_statements(false)",
        ),
        (
            "its information",
            "pg_stat_statements",
            "dealloc",
            "SELECT dealloc FROM :\"extension_schema\".pg_stat_statements_info",
        ),
        ("buffers", "pg_buffercache", "n", "SELECT pg_catalog.count(*) AS n FROM :\"extension_schema\".pg_buffercache"),
        ("not used at all", "pg_stat_statements", "x", "SELECT 1 AS x"),
    ] {
        let case = Case::new(Mode::Read, sql).columns(columns).extension(extension);
        assert_eq!(case.verdict(), "read", "{label}: {:?}", case.prove());
    }
}

#[test]
fn other_classes() {
    for (label, mode, columns, inputs, sql, class) in [
        ("users' relations", Mode::Read, "n", "", "SELECT pg_catalog.count(*) AS n FROM app.orders", "data"),
        ("in a subquery", Mode::Read, "x", "", "SELECT 1 AS x WHERE EXISTS (SELECT 1 FROM app.orders)", "data"),
        ("in a CTE", Mode::Read, "x", "", "WITH a AS (SELECT id FROM app.orders) SELECT id AS x FROM a", "data"),
        ("cancel", Mode::Act, "ok", "p:integer", "SELECT pg_catalog.pg_cancel_backend($1::int4) AS ok", "signal"),
        (
            "terminate the very backend",
            Mode::Act,
            "pid ok",
            "p:integer s:text",
            "WITH t AS MATERIALIZED (SELECT pid FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND backend_start::text = $2) \
             SELECT t.pid::int8, pg_catalog.pg_terminate_backend(t.pid) AS ok FROM t",
            "signal",
        ),
        (
            "signal before reading",
            Mode::Act,
            "x",
            "",
            "SELECT pg_catalog.pg_cancel_backend(pid) AS x FROM pg_catalog.pg_locks",
            "signal",
        ),
        ("VACUUM", Mode::Maintain, "", "s:identifier t:identifier", "VACUUM :\"s\".:\"t\"", "maintain"),
        (
            "VACUUM with options",
            Mode::Maintain,
            "",
            "s:identifier t:identifier",
            "VACUUM (ANALYZE, VERBOSE, SKIP_LOCKED false, INDEX_CLEANUP auto, PARALLEL 2) :\"s\".:\"t\"",
            "maintain",
        ),
        (
            "old syntax",
            Mode::Maintain,
            "",
            "s:identifier t:identifier",
            "VACUUM FREEZE VERBOSE ANALYZE :\"s\".:\"t\"",
            "maintain",
        ),
        ("ANALYZE", Mode::Maintain, "", "s:identifier t:identifier", "ANALYZE VERBOSE :\"s\".:\"t\"", "maintain"),
        ("a fixed table", Mode::Maintain, "", "", "ANALYZE app.orders", "maintain"),
        ("a table of a fixed schema", Mode::Maintain, "", "t:identifier", "ANALYZE app.:\"t\"", "maintain"),
        (
            "REINDEX INDEX",
            Mode::Maintain,
            "",
            "s:identifier i:identifier",
            "REINDEX INDEX CONCURRENTLY :\"s\".:\"i\"",
            "maintain",
        ),
        (
            "REINDEX TABLE",
            Mode::Maintain,
            "",
            "s:identifier i:identifier",
            "REINDEX (VERBOSE) TABLE CONCURRENTLY :\"s\".:\"i\"",
            "maintain",
        ),
        ("INSERT", Mode::Act, "id", "v:text", "INSERT INTO app.log (v) VALUES ($1) RETURNING id", "write"),
        (
            "INSERT of DEFAULT",
            Mode::Act,
            "id",
            "",
            "INSERT INTO app.log (v) VALUES (DEFAULT) ON CONFLICT (id) DO NOTHING RETURNING id",
            "write",
        ),
        ("UPDATE", Mode::Act, "id", "v:text", "UPDATE app.log AS l SET v = $1 WHERE l.id = 1 RETURNING id", "write"),
        ("DELETE", Mode::Act, "id", "v:integer", "DELETE FROM app.log WHERE id = $1 RETURNING id", "write"),
    ] {
        let case = Case::new(mode, sql).columns(columns).inputs(inputs);
        assert_eq!(case.verdict(), class, "{label}: {:?}", case.prove());
    }
}
