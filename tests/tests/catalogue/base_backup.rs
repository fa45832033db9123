//! The harness's own base backup, which every standby here begins with: made while the primary is written to, while tables
//! come and go and its log moves on, it gives a standby that holds what the primary holds.

use lockgate::postgres::throwaway::{Cluster, Options};
use lockgate_tests::{
    servers::{fetched, majors},
    session::{caught_up, in_background, run},
};
use tokio::sync::oneshot::{self, error::TryRecvError};

/// Enough pages that copying them takes longer than a few of the writer's turns.
const STAGE: &str = "CREATE TABLE kept (id int PRIMARY KEY, turn int, filler text);
    INSERT INTO kept SELECT i, 0, repeat('x', 500) FROM generate_series(1, 20000) i";

/// What two servers have in common if they hold the same rows, read through the index and by a scan of the table.
const CONTENT: &str =
    "SELECT (SELECT concat_ws(' ', count(*), sum(turn), sum(hashtext(id || ' ' || turn || filler))) FROM kept)
    || (SELECT count(*) FROM kept AS a JOIN kept AS b USING (id) WHERE a.turn = b.turn)
    || (SELECT count(*) FROM pg_class WHERE relname LIKE 'passing%')";

/// How the primary keeps what the standby asks for after it was copied. On a busy machine a backup may begin and end within one
/// turn of the writer, which then writes on until the standby is up.
const CONF: &str = "wal_keep_size = '4GB'";

/// Writes until the backup was made, which its slot tells; says how many turns that were.
async fn write(primary: &Cluster, mut stop: oneshot::Receiver<()>) -> u32 {
    let client = primary.connect().await.expect("a session");
    let (mut turn, mut begun) = (0, false);
    while stop.try_recv() == Err(TryRecvError::Empty) {
        let slots = client.query("SELECT 1 FROM pg_replication_slots", &[]).await.expect("slots").len();
        if begun && slots == 0 {
            break;
        }
        begun |= slots > 0;
        turn += 1;
        let sql = format!(
            "UPDATE kept SET turn = {turn} WHERE id % 50 = {turn} % 50;
             CREATE TABLE passing_{turn} AS SELECT * FROM generate_series(1, 1000);
             DROP TABLE IF EXISTS passing_{};
             VACUUM kept; CHECKPOINT; SELECT pg_switch_wal()",
            turn - 1
        );
        // Each in a transaction of its own, as VACUUM has to be.
        for statement in sql.split(';') {
            client.batch_execute(statement).await.expect("the writer's SQL");
        }
    }
    turn
}

async fn copied_under_load(major: u32) {
    let options =
        || Options { major: Some(major), servers: vec![fetched()], conf: vec![CONF.into()], ..Options::default() };
    let primary = Cluster::primary(options()).start().await.expect("a primary");
    primary.execute(STAGE).await.expect("a table");
    let (stop, stopped) = oneshot::channel();
    let (turns, standby) = tokio::join!(write(&primary, stopped), async {
        let standby = Cluster::standby(&primary, options()).start().await;
        drop(stop);
        standby
    });
    let standby = standby.expect("a standby");
    assert!(turns > 0, "the writer wrote meanwhile");
    caught_up(&primary, &standby).await;
    let content = primary.value(CONTENT).await.expect("the primary's rows");
    assert!(content.is_some());
    assert_eq!(standby.value(CONTENT).await.expect("the standby's rows"), content);
    let slots = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(primary.value(slots).await.expect("slots").as_deref(), Some("0"), "no slot is left to keep the log");
}

#[test]
fn a_standby_made_under_load_holds_what_its_primary_holds() {
    run(async {
        let copies: Vec<_> =
            majors().into_iter().map(|major| (major, in_background(copied_under_load(major)))).collect();
        for (major, copy) in copies {
            copy.await.unwrap_or_else(|_| panic!("it was PostgreSQL {major}"));
        }
    });
}
