//! Statements that say one thing and do another. All are refused by the prover when the pack is taken in, so that none of
//! their text ever reaches a server. What the transaction stops if the prover is left out is shown where bound statements
//! can be made without it, in the host's own tests.

use lockgate::error::Code::{ClassNotGranted, StatementRefused};

use lockgate_tests::site::BuiltPack;

use crate::world::{Case, World, claim, component, refuses};

/// Statements of one component: a refusal lists fifty faults at most, and some statements have several.
const TOGETHER: usize = 10;

/// Settings that a group of statements shares, and their texts.
type Group<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

/// A few components that each declare some of these statements, each with the same input or none. All are refused, and the
/// refusal names every single statement.
async fn all_refused(target: &'static str, groups: &[Group<'_>]) {
    let world = World::new(target).await;
    let mut expected = Vec::new();
    for (more, texts) in groups {
        for chunk in texts.chunks(TOGETHER) {
            let pack = format!("statements-{}", expected.len());
            let together = chunk.join("\u{1e}");
            let own = [("name", &*pack), ("small", ""), ("extra", ""), ("statements.sql", &*together)];
            let bytes = component(&[&own, *more].concat()).await;
            world.site.add(&BuiltPack { bytes, declaration: claim(&pack) });
            expected.push((format!("{pack}-1.0.0.wasm"), chunk.to_vec()));
        }
    }
    let (gate, refused) = world.refusals().await;
    assert_eq!(refused.len(), expected.len(), "{refused:?}");
    for (file, texts) in &expected {
        let (_, code, message) = refused.iter().find(|(name, ..)| name == file).expect(file);
        assert_eq!(*code, StatementRefused, "{message}");
        for (at, text) in texts.iter().enumerate() {
            assert!(message.contains(&format!("statement `attacked_of_many_{at}`")), "accepted: {text}\n{message}");
        }
    }
    world.ends_well(&gate, &[]).await;
}

#[tokio::test]
async fn a_statement_that_does_more_than_its_mode_is_refused() {
    let texts = &[
        "SELECT 1::int8 AS one; DELETE FROM public.users",
        "SELECT 1::int8 AS one /* ; */ ; COMMIT",
        "COMMIT",
        "BEGIN READ WRITE",
        "DELETE FROM public.users",
        "WITH gone AS (DELETE FROM public.users RETURNING 1) SELECT 1::int8 AS one FROM gone",
        "WITH u AS (UPDATE public.users SET a = 1 RETURNING 1) SELECT 1::int8 AS one FROM u",
        "WITH i AS (INSERT INTO public.users VALUES (1) RETURNING 1) SELECT 1::int8 AS one FROM i",
        DEEP_CTE,
        "CREATE TABLE public.t (a int)",
        "SELECT 1::int8 AS one INTO public.t",
        "DROP TABLE public.users",
        "COPY (SELECT 1) TO PROGRAM 'sh'",
        "DO $$ BEGIN COMMIT; END $$",
        "CALL public.anything()",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET ROLE postgres",
        "PREPARE p AS DELETE FROM public.users",
        "EXECUTE p",
        "DECLARE c CURSOR FOR SELECT 1",
        "EXPLAIN ANALYZE DELETE FROM public.users",
        "LISTEN everything",
        "LOCK TABLE pg_catalog.pg_class IN ACCESS EXCLUSIVE MODE",
        "SELECT oid::int8 AS one FROM pg_catalog.pg_class FOR UPDATE",
        "SELECT 1::int8 AS one FROM (SELECT oid FROM pg_catalog.pg_class FOR SHARE) AS c",
        "VACUUM pg_catalog.pg_class",
        "SELECT pg_catalog.pg_terminate_backend(1)::int8 AS one",
        "SELECT pg_catalog.pg_advisory_lock(1)::text::int8 AS one",
        "SELECT pg_catalog.pg_sleep(3600)::text::int8 AS one",
        "SELECT pg_catalog.length(pg_catalog.pg_read_file('/etc/passwd'))::int8 AS one",
        "SELECT pg_catalog.length(pg_catalog.set_config('role', 'postgres', false)) AS one",
        "SELECT pg_catalog.length(pg_catalog.query_to_xml('COMMIT', true, true, '')::text) AS one",
        "SELECT pg_catalog.length(pg_catalog.pg_drop_replication_slot('s')::text) AS one",
        "SELECT pg_catalog.lo_create(1)::int8 AS one",
        "SELECT pg_catalog.nextval('public.s') AS one",
        "SELECT public.dblink_exec('host=evil', 'DELETE FROM users')::int8 AS one",
        "SELECT oid::int8 AS one FROM pg_catalog.pg_authid",
        "",
        "-- SELECT 1",
    ];
    all_refused("more_than_its_mode", &[(&[], texts)]).await;
}

const DEEP_CTE: &str = "SELECT 1::int8 AS one FROM (WITH a AS (WITH b AS (DELETE FROM public.users RETURNING 1) \
                        SELECT 1 FROM b) SELECT 1 FROM a) AS x";

#[tokio::test]
async fn a_statement_that_hides_what_it_means_is_refused() {
    let text: &[(&str, &str)] = &[("input.name", "word"), ("input.kind", "text")];
    let name: &[(&str, &str)] = &[("input.name", "relation"), ("input.kind", "identifier")];
    let plains = &[
        "SELECT 1::int8 AS one FROM pg_class",
        "SELECT length('a')::int8 AS one",
        "SELECT 1 OPERATOR(public.+) 1 AS one",
        "SELECT '1'::public.evil::int8 AS one",
        "SELECT 1::int8 AS two",
        "SELECT 1::int8 AS one, 2::int8 AS two",
        "SELECT 1::int8 AS one, 'x",
        "SELECT 1::int8 AS one /* ",
        "SELECT 1::int8 AS one\0; DROP TABLE users",
        "SELECT pg_catalog.length(E'\\'; DROP TABLE users; --')::int8 AS one; --'",
        "SELECT 1::int8 AS one FROM U&\"pg!0063lass\" UESCAPE '!'",
        "SELECT 1::int8 AS one /*\u{202e} */ , 1",
    ];
    let texts = &[
        "SELECT 1::int8 AS one /* $1 */",
        "SELECT pg_catalog.length('$1')::int8 AS one",
        "SELECT pg_catalog.length($a$ $1 $a$)::int8 AS one",
        "SELECT 1::int8 AS one FROM pg_catalog.:\"word\"",
        "SELECT $2::int8 AS one",
    ];
    let names = &[
        "SELECT pg_catalog.length(':\"relation\"')::int8 AS one",
        "SELECT 1::int8 AS one -- :\"relation\"",
        "SELECT $1::int8 AS one",
        "SELECT 1::int8 AS one FROM pg_catalog.:\"relation\"",
    ];
    all_refused("hidden_meaning", &[(&[], plains), (text, texts), (name, names)]).await;
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
        ("reads-data", "SELECT 1::int8 AS one FROM public.users", &[("action.risk", "medium")][..]),
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
