//! The probes for privileges. Each takes the role as `$1` (NULL: that of the session) and answers with the role as SQL writes
//! it and one missing statement a row, or with NULL in a single row if nothing is missing. The server quotes all names
//! itself; those of an object that is not there are NULL, and so is what would be made of them.

/// The role that is asked about, and its name as SQL writes it.
macro_rules! who {
    () => {
        "WITH who AS MATERIALIZED (
    SELECT r.oid, pg_catalog.quote_ident(r.rolname) AS role, r.rolinherit
      FROM pg_catalog.pg_roles AS r
     WHERE r.rolname = COALESCE($1::pg_catalog.text::pg_catalog.name, CURRENT_USER)
)"
    };
}

/// A schema that is missing USAGE: `(had, sql)`.
macro_rules! usage {
    ($schema:literal) => {
        concat!(
            "(pg_catalog.has_schema_privilege(w.oid, ",
            $schema,
            ".oid, 'USAGE'), 'GRANT USAGE ON SCHEMA ' || pg_catalog.quote_ident(",
            $schema,
            ".nspname) || ' TO ' || w.role || ';')"
        )
    };
}

/// Nothing to run.
pub(super) const NOTHING: &str = concat!(who!(), " SELECT w.role, NULL::pg_catalog.text FROM who AS w");

/// The statements that give role `w` the rights of role `m`, as rows `(had, sql)`. From 16 on inheriting is a property of the
/// grant, before of the member (manual, GRANT and CREATE ROLE).
fn membership(major: u32) -> &'static str {
    if major >= 16 {
        "VALUES (pg_catalog.pg_has_role(w.oid, m.oid, 'USAGE'),
                 'GRANT ' || pg_catalog.quote_ident(m.rolname) || ' TO ' || w.role
                 || CASE WHEN w.rolinherit AND NOT pg_catalog.pg_has_role(w.oid, m.oid, 'MEMBER')
                         THEN ';' ELSE ' WITH INHERIT TRUE;' END)"
    } else {
        "VALUES (pg_catalog.pg_has_role(w.oid, m.oid, 'USAGE')
                 OR (pg_catalog.pg_has_role(w.oid, m.oid, 'MEMBER') AND NOT w.rolinherit),
                 'GRANT ' || pg_catalog.quote_ident(m.rolname) || ' TO ' || w.role || ';'),
                (pg_catalog.pg_has_role(w.oid, m.oid, 'USAGE') OR w.rolinherit, 'ALTER ROLE ' || w.role || ' INHERIT;')"
    }
}

/// `$2`: a predefined role.
pub(super) fn role(major: u32) -> String {
    let (who, membership) = (who!(), membership(major));
    format!(
        "{who} SELECT w.role, g.sql
  FROM who AS w
  LEFT JOIN pg_catalog.pg_roles AS m ON m.rolname = $2::pg_catalog.text
  LEFT JOIN LATERAL ({membership}) AS g(had, sql) ON NOT g.had"
    )
}

/// `$2`, `$3`: schema and name of a relation.
pub(super) const RELATION: &str = concat!(
    who!(),
    " SELECT w.role, g.sql
  FROM who AS w
  LEFT JOIN (pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace)
    ON n.nspname = $2::pg_catalog.text AND c.relname = $3::pg_catalog.text
  LEFT JOIN LATERAL (VALUES ",
    usage!("n"),
    ", (pg_catalog.has_table_privilege(w.oid, c.oid, 'SELECT'), 'GRANT SELECT ON TABLE ' || pg_catalog.quote_ident(n.nspname)
       || '.' || pg_catalog.quote_ident(c.relname) || ' TO ' || w.role || ';')) AS g(had, sql) ON NOT g.had"
);

/// `$2`, `$3`, `$4`: schema, name and argument types of a function. The types are written as the server writes them.
pub(super) const FUNCTION: &str = concat!(
    who!(),
    " SELECT w.role, g.sql
  FROM who AS w
  LEFT JOIN (pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace)
    ON n.nspname = $2::pg_catalog.text AND p.proname = $3::pg_catalog.text
   AND pg_catalog.oidvectortypes(p.proargtypes) = $4::pg_catalog.text
  LEFT JOIN LATERAL (VALUES ",
    usage!("n"),
    ", (pg_catalog.has_function_privilege(w.oid, p.oid, 'EXECUTE'), 'GRANT EXECUTE ON FUNCTION '
       || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname) || '('
       || pg_catalog.oidvectortypes(p.proargtypes) || ') TO ' || w.role || ';')) AS g(had, sql) ON NOT g.had"
);

/// `$2`: an extension. Then: whether the server has its files, whether it is created, and whether its library was loaded at
/// start where it must have been, which its own parameters show.
pub(super) const EXTENSION: &str = concat!(
    who!(),
    " SELECT w.role, g.sql,
       EXISTS (SELECT FROM pg_catalog.pg_available_extensions AS a WHERE a.name = $2::pg_catalog.text),
       e.oid IS NOT NULL,
       $2::pg_catalog.text <> 'pg_stat_statements'
         OR EXISTS (SELECT FROM pg_catalog.pg_settings AS s WHERE s.name = 'pg_stat_statements.max')
  FROM who AS w
  LEFT JOIN pg_catalog.pg_extension AS e ON e.extname = $2::pg_catalog.text
  LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
  LEFT JOIN LATERAL (VALUES
    (e.oid IS NOT NULL, 'CREATE EXTENSION ' || pg_catalog.quote_ident($2::pg_catalog.text) || ';'), ",
    usage!("n"),
    ") AS g(had, sql) ON NOT g.had"
);

/// Whether role `w` may maintain table `t`: by its right on the table, which is MAINTAIN from 17 on and ownership before; or,
/// for all but rebuilding an index, as the owner of the database (manual, VACUUM, ANALYZE and REINDEX of each version).
fn may(major: u32) -> (&'static str, &'static str) {
    let by_table = if major >= 17 {
        "pg_catalog.has_table_privilege(w.oid, t.oid, 'MAINTAIN')"
    } else {
        "pg_catalog.pg_has_role(w.oid, t.relowner, 'USAGE')"
    };
    (by_table, "(NOT t.relisshared AND pg_catalog.pg_has_role(w.oid, d.datdba, 'USAGE'))")
}

/// `$2`, `$3`: schema and name of a table, or of an index whose table is meant. Then: whether a right on the table is
/// missing, and whether a superuser owns it.
pub(super) fn maintain(major: u32) -> String {
    let (who, usage, membership) = (who!(), usage!("n"), membership(major));
    let (by_table, by_database) = may(major);
    let grants = if major >= 17 {
        "SELECT 'GRANT MAINTAIN ON TABLE ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.relname)
             || ' TO ' || w.role || ';'"
            .to_owned()
    } else {
        format!("SELECT x.sql FROM ({membership}) AS x(had, sql) WHERE NOT x.had AND NOT m.rolsuper")
    };
    format!(
        "{who} SELECT w.role, g.sql, COALESCE(l.lacks, false), COALESCE(m.rolsuper, false)
  FROM who AS w
  JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
  LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = $2::pg_catalog.text
  LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = $3::pg_catalog.text
   AND c.relkind IN ('r', 'm', 'p', 'i') AND c.relpersistence <> 't'
  LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
  LEFT JOIN pg_catalog.pg_class AS t ON t.oid = COALESCE(i.indrelid, c.oid)
  LEFT JOIN pg_catalog.pg_roles AS m ON m.oid = t.relowner
  LEFT JOIN LATERAL (SELECT NOT ({by_table} OR (c.relkind <> 'i' AND {by_database})) AS lacks) AS l ON true
  LEFT JOIN LATERAL (
    SELECT u.sql FROM (VALUES {usage}) AS u(had, sql) WHERE NOT u.had AND t.oid IS NOT NULL
    UNION ALL
    SELECT y.sql FROM ({grants}) AS y(sql) WHERE l.lacks) AS g(sql) ON true"
    )
}

/// All tables at once: the role, how many there are, how many it may vacuum and rebuild the indexes of, the statements that
/// would cover the others, and whether that leaves some of a superuser.
pub(super) fn maintainable(major: u32) -> String {
    let (who, usage, membership) = (who!(), usage!("n"), membership(major));
    let (by_table, by_database) = may(major);
    // From 17 on one predefined role covers everything; before, it takes each owner's.
    let owners = if major >= 17 {
        "m.rolname = 'pg_maintain' AND EXISTS (SELECT FROM tables AS t WHERE NOT t.by_table)"
    } else {
        "NOT m.rolsuper AND m.oid IN (SELECT t.relowner FROM tables AS t WHERE NOT t.by_table)"
    };
    let left = if major >= 17 { "false" } else { "NOT t.by_table AND m.rolsuper" };
    format!(
        "{who}, tables AS MATERIALIZED (
    SELECT t.relowner, t.relnamespace, pg_catalog.has_schema_privilege(w.oid, n.oid, 'USAGE') AS by_schema,
           {by_table} AS by_table, {by_database} AS by_database
      FROM who AS w
      JOIN pg_catalog.pg_class AS t ON t.relkind IN ('r', 'm', 'p') AND t.relpersistence <> 't'
      JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
       AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg!_%' ESCAPE '!'
      JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
), missing AS MATERIALIZED (
    SELECT 1 AS place, u.sql
      FROM who AS w
      JOIN pg_catalog.pg_namespace AS n ON n.oid IN (SELECT t.relnamespace FROM tables AS t)
     CROSS JOIN LATERAL (VALUES {usage}) AS u(had, sql)
     WHERE NOT u.had
    UNION ALL
    SELECT 2, x.sql
      FROM who AS w
      JOIN pg_catalog.pg_roles AS m ON {owners}
     CROSS JOIN LATERAL ({membership}) AS x(had, sql)
     WHERE NOT x.had
)
SELECT w.role,
       (SELECT pg_catalog.count(*) FROM tables),
       (SELECT pg_catalog.count(*) FROM tables AS t WHERE t.by_schema AND (t.by_table OR t.by_database)),
       (SELECT pg_catalog.count(*) FROM tables AS t WHERE t.by_schema AND t.by_table),
       ARRAY(SELECT s.sql FROM missing AS s GROUP BY s.place, s.sql ORDER BY s.place, s.sql),
       EXISTS (SELECT FROM tables AS t JOIN pg_catalog.pg_roles AS m ON m.oid = t.relowner WHERE {left})
  FROM who AS w"
    )
}
