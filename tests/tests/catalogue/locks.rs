//! No read takes a lock stronger than ACCESS SHARE: not one that it keeps to the end of its transaction, and not one that it
//! lets go of at once. All reads of both packs run here as a superuser, so that no privilege ends one early.

use std::error::Error as _;

use lockgate::{
    postgres::throwaway::Cluster,
    statement::{Input, InputKind, Mode, Role},
};
use lockgate_tests::session::{APP, run};
use tokio_postgres::{
    Client, NoTls,
    error::SqlState,
    types::{ToSql, Type},
};

use crate::{
    wordings::{Place, filled, statements},
    world::{World, for_each_world},
};

/// A database of its own, whose catalogs may be locked.
const DATABASE: &str = "locks";

/// What there is to look at: a table with a toast table, indexes and a sequence, a partitioned one, a view.
const STAGE: &str = "CREATE EXTENSION pg_stat_statements;
    CREATE TABLE public.orders (id serial PRIMARY KEY, note text);
    CREATE INDEX orders_note ON public.orders (note); CREATE INDEX orders_note_too ON public.orders (note);
    CREATE INDEX orders_brin ON public.orders USING brin (id);
    INSERT INTO public.orders (note) SELECT 'row ' || i FROM generate_series(1, 1000) i;
    CREATE TABLE public.parted (id int) PARTITION BY RANGE (id);
    CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES FROM (0) TO (10);
    CREATE VIEW public.seen AS SELECT * FROM public.orders;
    ANALYZE";

async fn session(cluster: &Cluster) -> Client {
    let mut config = cluster.superuser();
    config.dbname(DATABASE).options("-c search_path= -c lock_timeout=300");
    let (client, connection) = config.connect(NoTls).await.expect("a session");
    tokio::spawn(connection);
    client
}

/// Inputs that lead to what is staged; null for what can't be known.
fn value(input: &Input, pid: i64) -> Box<dyn ToSql + Sync> {
    match (input.kind, input.name.as_str()) {
        (InputKind::Boolean, _) => Box::new(true),
        (InputKind::Integer, "pid") => Box::new(pid),
        (InputKind::Integer, _) => Box::new(10_i64),
        (InputKind::Number, _) => Box::new(0.1_f64),
        (InputKind::Integers, _) => Box::new(vec![pid]),
        (InputKind::Text, "schema") => Box::new("public"),
        (InputKind::Text, "table") => Box::new("orders"),
        (InputKind::Text, "index") => Box::new("orders_pkey"),
        (InputKind::Text, _) => Box::new(None::<String>),
        (InputKind::Texts, _) => Box::new(Vec::<String>::new()),
        (InputKind::Identifier, name) => panic!("a read has an identifier: {name}"),
    }
}

/// Locks that a transaction holds other than ACCESS SHARE and the one on its own virtual transaction id, each in words.
async fn held(client: &Client) -> Vec<String> {
    let sql = "SELECT pg_catalog.concat_ws(' ', l.mode, 'on', CASE WHEN c.relkind = 'S' THEN 'sequence' ELSE l.locktype END,
                      l.relation::oid::regclass::text)
                 FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
                WHERE l.pid = pg_catalog.pg_backend_pid() AND l.mode <> 'AccessShareLock' AND l.locktype <> 'virtualxid'";
    client.query(sql, &[]).await.expect("locks").iter().map(|row| row.get(0)).collect()
}

/// The one exception, with its reason on the page of versions: the function that says where a sequence stands takes the lock
/// that `nextval` takes (PostgreSQL's `lock_and_open_sequence`), which is in the way of ALTER and DROP SEQUENCE alone.
fn is_excused(statement: &str, lock: &str) -> bool {
    statement == "sequence_exhaustion" && lock.starts_with("RowExclusiveLock on sequence ")
}

/// Runs a statement as a read is run, and says what it held at its end. The error is PostgreSQL's.
async fn run_read(
    client: &Client,
    sql: &str,
    inputs: &[Box<dyn ToSql + Sync>],
) -> Result<Vec<String>, tokio_postgres::Error> {
    client.batch_execute("BEGIN READ ONLY").await.expect("a transaction");
    let bound: Vec<&(dyn ToSql + Sync)> = inputs.iter().map(AsRef::as_ref).collect();
    let answer = client.query(sql, &bound).await;
    let held = if answer.is_ok() { held(client).await } else { Vec::new() };
    client.batch_execute("ROLLBACK").await.expect("the end of a transaction");
    answer.map(|_| held)
}

/// Runs every read that is for this server.
async fn all_reads(world: &World, role: Role, client: &Client, pid: i64) {
    let version = client
        .query_one("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pg_stat_statements'", &[])
        .await
        .expect("the extension");
    let extensions = [("pg_stat_statements".to_owned(), version.get::<_, String>(0))];
    let place = Place { major: world.major, role, extensions: &extensions };
    let mut ran = 0;
    let reads = statements(&world.gate).into_iter().filter(|statement| statement.mode == Mode::Read);
    for statement in reads {
        for variant in place.wordings(statement) {
            let inputs: Vec<_> = statement.inputs.iter().map(|input| value(input, pid)).collect();
            match run_read(client, &filled(statement, variant, ""), &inputs).await {
                Ok(mut held) => {
                    held.retain(|lock| !is_excused(&statement.id, lock));
                    assert!(held.is_empty(), "{} on a {role:?}: {held:?}", statement.id);
                }
                Err(error) => panic!("{} on a {role:?}: {error} {:?}", statement.id, error.source()),
            }
            ran += 1;
        }
    }
    assert!(ran >= 30, "{ran} reads on a {role:?}");
}

/// Locks every table of the database, catalogs included, in the weakest mode that any lock but ACCESS SHARE has to wait for.
async fn lock_everything(cluster: &Cluster) -> Client {
    let client = session(cluster).await;
    let sql = "SELECT pg_catalog.string_agg(c.oid::regclass::text, ', ') FROM pg_catalog.pg_class AS c
                WHERE c.relkind IN ('r', 'p') AND NOT c.relisshared";
    let tables: String = client.query_one(sql, &[]).await.expect("tables").get(0);
    assert!(tables.contains(" pg_class,") && tables.contains("public.orders"), "{tables}");
    let lock = format!("SET lock_timeout = 0; BEGIN; LOCK TABLE {tables} IN EXCLUSIVE MODE");
    client.batch_execute(&lock).await.expect("locks");
    client
}

#[test]
fn no_read_takes_a_lock_stronger_than_access_share() {
    run(for_each_world(async |world| {
        world.database(DATABASE).await;
        world.primary.execute_in(DATABASE, STAGE).await.expect("tables");
        world.caught_up().await;
        let looked_at = world.app("looked-at").await;
        let (primary, standby) = (session(&world.primary).await, session(&world.standby).await);
        // A standby gives no backend a lock that it would have to wait for; what is held at the end is all that can be seen.
        all_reads(world, Role::Primary, &primary, looked_at.pid).await;
        all_reads(world, Role::Standby, &standby, looked_at.pid).await;

        // The same seen by somebody who is in the way of every other lock: also one that would be released before the end.
        let in_the_way = lock_everything(&world.primary).await;
        all_reads(world, Role::Primary, &primary, looked_at.pid).await;
        drop(in_the_way);
    }));
}

#[test]
fn a_stronger_lock_would_be_seen() {
    run(for_each_world(async |world| {
        let database = "locks_seen";
        world.database(database).await;
        let stage = format!("SET ROLE {APP}; {}", STAGE.replace("CREATE EXTENSION pg_stat_statements;", ""));
        world.primary.execute_in(database, &stage).await.expect("tables");
        let mut config = world.primary.superuser();
        config.dbname(database).options("-c search_path= -c lock_timeout=300");
        let (client, connection) = config.connect(NoTls).await.expect("a session");
        tokio::spawn(connection);

        // Kept to the end.
        client.batch_execute("BEGIN; SELECT 1 FROM public.orders WHERE id = 1 FOR SHARE").await.unwrap();
        let seen = held(&client).await;
        assert!(seen.contains(&"RowShareLock on relation public.orders".to_owned()), "{seen:?}");
        client.batch_execute("ROLLBACK").await.unwrap();

        // Let go of at once: nothing is held, and yet it meets who is in the way.
        let brief = "SELECT pg_catalog.brin_summarize_new_values('public.orders_brin'::pg_catalog.regclass)";
        let parameters: [(&(dyn ToSql + Sync), Type); 0] = [];
        client.batch_execute("BEGIN").await.unwrap();
        client.query_typed(brief, &parameters).await.unwrap();
        assert!(!held(&client).await.iter().any(|lock| lock.contains("ShareUpdateExclusiveLock")));
        client.batch_execute("ROLLBACK").await.unwrap();
        let mut in_the_way = world.primary.connect_to(database).await.expect("a session");
        let transaction = in_the_way.transaction().await.unwrap();
        transaction.batch_execute("LOCK TABLE public.orders IN EXCLUSIVE MODE").await.unwrap();
        let met = client.query_typed(brief, &parameters).await.unwrap_err();
        assert_eq!(met.code(), Some(&SqlState::LOCK_NOT_AVAILABLE), "{met}");
    }));
}
