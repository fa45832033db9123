//! Statements that say one thing and do another. All are refused by the prover when the pack is taken in, so that none of
//! their text ever reaches a server. What the transaction stops if the prover is left out is shown where bound statements
//! can be made without it, in the host's own tests.

use lockgate::error::Code::{ClassNotGranted, StatementRefused};

use crate::world::{Case, refuses};

#[tokio::test]
async fn a_statement_that_does_more_than_its_mode_is_refused() {
    let mut cases = Vec::new();
    for (pack, sql) in [
        ("two", "SELECT 1::int8 AS one; DELETE FROM public.users"),
        ("two-behind-a-comment", "SELECT 1::int8 AS one /* ; */ ; COMMIT"),
        ("commits", "COMMIT"),
        ("begins", "BEGIN READ WRITE"),
        ("deletes", "DELETE FROM public.users"),
        ("deletes-in-a-cte", "WITH gone AS (DELETE FROM public.users RETURNING 1) SELECT 1::int8 AS one FROM gone"),
        ("updates-in-a-cte", "WITH u AS (UPDATE public.users SET a = 1 RETURNING 1) SELECT 1::int8 AS one FROM u"),
        (
            "inserts-in-a-cte",
            "WITH i AS (INSERT INTO public.users VALUES (1) RETURNING 1) SELECT 1::int8 AS one FROM i",
        ),
        ("deletes-two-ctes-down", DEEP_CTE),
        ("creates", "CREATE TABLE public.t (a int)"),
        ("creates-from-select", "SELECT 1::int8 AS one INTO public.t"),
        ("drops", "DROP TABLE public.users"),
        ("copies-to-a-program", "COPY (SELECT 1) TO PROGRAM 'sh'"),
        ("does", "DO $$ BEGIN COMMIT; END $$"),
        ("calls", "CALL public.anything()"),
        ("sets", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"),
        ("sets-its-role", "SET ROLE postgres"),
        ("prepares", "PREPARE p AS DELETE FROM public.users"),
        ("executes", "EXECUTE p"),
        ("declares", "DECLARE c CURSOR FOR SELECT 1"),
        ("explains", "EXPLAIN ANALYZE DELETE FROM public.users"),
        ("listens", "LISTEN everything"),
        ("locks", "LOCK TABLE pg_catalog.pg_class IN ACCESS EXCLUSIVE MODE"),
        ("locks-rows", "SELECT oid::int8 AS one FROM pg_catalog.pg_class FOR UPDATE"),
        ("locks-rows-inside", "SELECT 1::int8 AS one FROM (SELECT oid FROM pg_catalog.pg_class FOR SHARE) AS c"),
        ("vacuums", "VACUUM pg_catalog.pg_class"),
        ("signals", "SELECT pg_catalog.pg_terminate_backend(1)::int8 AS one"),
        ("takes-an-advisory-lock", "SELECT pg_catalog.pg_advisory_lock(1)::text::int8 AS one"),
        ("sleeps", "SELECT pg_catalog.pg_sleep(3600)::text::int8 AS one"),
        ("reads-a-file", "SELECT pg_catalog.length(pg_catalog.pg_read_file('/etc/passwd'))::int8 AS one"),
        ("sets-a-parameter", "SELECT pg_catalog.length(pg_catalog.set_config('role', 'postgres', false)) AS one"),
        (
            "runs-sql-of-a-text",
            "SELECT pg_catalog.length(pg_catalog.query_to_xml('COMMIT', true, true, '')::text) AS one",
        ),
        ("moves-a-slot", "SELECT pg_catalog.length(pg_catalog.pg_drop_replication_slot('s')::text) AS one"),
        ("makes-an-object", "SELECT pg_catalog.lo_create(1)::int8 AS one"),
        ("steps-a-sequence", "SELECT pg_catalog.nextval('public.s') AS one"),
        ("dials-out", "SELECT public.dblink_exec('host=evil', 'DELETE FROM users')::int8 AS one"),
        ("reads-passwords", "SELECT oid::int8 AS one FROM pg_catalog.pg_authid"),
        ("is-nothing", ""),
        ("is-a-comment", "-- SELECT 1"),
    ] {
        cases.push(Case::guest(pack, &[("statement.sql", sql)], StatementRefused, "statement `attacked`").await);
    }
    refuses("more_than_its_mode", cases).await;
}

const DEEP_CTE: &str = "SELECT 1::int8 AS one FROM (WITH a AS (WITH b AS (DELETE FROM public.users RETURNING 1) \
                        SELECT 1 FROM b) SELECT 1 FROM a) AS x";

#[tokio::test]
async fn a_statement_that_hides_what_it_means_is_refused() {
    let text: &[(&str, &str)] = &[("input.name", "word"), ("input.kind", "text")];
    let name: &[(&str, &str)] = &[("input.name", "relation"), ("input.kind", "identifier")];
    let mut cases = Vec::new();
    for (pack, sql, more) in [
        ("an-unqualified-table", "SELECT 1::int8 AS one FROM pg_class", &[][..]),
        ("an-unqualified-function", "SELECT length('a')::int8 AS one", &[]),
        ("an-unqualified-operator", "SELECT 1 OPERATOR(public.+) 1 AS one", &[]),
        ("a-cast-of-a-strangers-type", "SELECT '1'::public.evil::int8 AS one", &[]),
        ("a-placeholder-in-a-comment", "SELECT 1::int8 AS one /* $1 */", text),
        ("a-placeholder-in-a-literal", "SELECT pg_catalog.length('$1')::int8 AS one", text),
        ("a-placeholder-in-dollars", "SELECT pg_catalog.length($a$ $1 $a$)::int8 AS one", text),
        ("an-identifier-in-a-literal", "SELECT pg_catalog.length(':\"relation\"')::int8 AS one", name),
        ("an-identifier-in-a-comment", "SELECT 1::int8 AS one -- :\"relation\"", name),
        ("an-identifier-as-a-value", "SELECT $1::int8 AS one", name),
        ("a-value-as-an-identifier", "SELECT 1::int8 AS one FROM pg_catalog.:\"word\"", text),
        ("no-such-placeholder", "SELECT $2::int8 AS one", text),
        ("an-identifier-as-a-relation", "SELECT 1::int8 AS one FROM pg_catalog.:\"relation\"", name),
        ("another-column", "SELECT 1::int8 AS two", &[]),
        ("more-columns", "SELECT 1::int8 AS one, 2::int8 AS two", &[]),
        ("an-open-quote", "SELECT 1::int8 AS one, 'x", &[]),
        ("an-open-comment", "SELECT 1::int8 AS one /* ", &[]),
        ("a-nul", "SELECT 1::int8 AS one\0; DROP TABLE users", &[]),
        ("escapes", "SELECT pg_catalog.length(E'\\'; DROP TABLE users; --')::int8 AS one; --'", &[]),
        ("a-unicode-name", "SELECT 1::int8 AS one FROM U&\"pg!0063lass\" UESCAPE '!'", &[]),
        ("a-disguised-text", "SELECT 1::int8 AS one /*\u{202e} */ , 1", &[]),
    ] {
        let settings = [&[("statement.sql", sql)], more].concat();
        cases.push(Case::guest(pack, &settings, StatementRefused, "statement `attacked`").await);
    }
    refuses("hidden_meaning", cases).await;
}

#[tokio::test]
async fn a_statement_that_exhausts_its_reader_is_refused() {
    let mut cases = Vec::new();
    for (pack, before, repeated, times, after) in [
        ("deep-parentheses", "SELECT ", "(", "30000", "1"),
        ("deep-sums", "SELECT 1", "+1", "15000", ""),
        ("deep-selects", "SELECT ", "(SELECT ", "4000", ""),
        ("deep-unions", "SELECT 1::int8 AS one", " UNION ALL SELECT 1", "1500", ""),
        ("deep-cases", "SELECT ", "CASE WHEN true THEN ", "1500", ""),
        ("deep-comments", "", "/*", "16000", ""),
        ("a-megabyte", "SELECT 1::int8 AS one", " ", "1000000", ""),
    ] {
        let settings = [
            ("statement.before", before),
            ("statement.sql", repeated),
            ("statement.repeat", times),
            ("statement.after", after),
        ];
        cases.push(Case::guest(pack, &settings, StatementRefused, "statement `attacked`").await);
    }
    refuses("exhausting", cases).await;
}

#[tokio::test]
async fn a_class_that_is_not_granted_keeps_its_pack_out() {
    // The envelope claims `read`, so what the parse tree says differs from what was signed; and what is signed truthfully
    // is not granted: users' data, and writing.
    let world = crate::world::World::new("not_granted").await;
    for (pack, sql, more) in [
        ("reads-data", "SELECT 1::int8 AS one FROM public.users", &[][..]),
        (
            "writes",
            "DELETE FROM public.users WHERE a = 1 RETURNING 1::int8 AS one",
            &[("statement.mode", "act"), ("action.risk", "high"), ("action.effects", "Rows go.")],
        ),
    ] {
        let settings = [&[("name", pack), ("small", ""), ("extra", ""), ("statement.sql", sql)], more].concat();
        let described = lockgate_tests::site::BuiltPack::describe(crate::world::component(&settings).await).await;
        world.site.add(&described);
    }
    let (gate, refused) = world.refusals().await;
    let codes: Vec<_> = refused.iter().map(|(file, code, _)| (file.as_str(), *code)).collect();
    assert_eq!(codes, [("reads-data-1.0.0.wasm", ClassNotGranted), ("writes-1.0.0.wasm", ClassNotGranted)]);
    world.ends_well(&gate, &[]).await;
}
