//! Clients that go away in the middle of a call: what they started ends on the server as well and its end is on the record,
//! or it goes on to its recorded end where the protocol says that hanging up is no cancellation.

use std::time::Duration;

use lockgate::mcp::McpSettings;
use lockgate_tests::session::Session;
use serde_json::Value as Json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{Raw, World, raw::PATIENCE};
use crate::wire::{INITIALIZE, call, modern};

/// Somebody holds the lock that the call waits for.
async fn locked(world: &World) -> Session {
    let session = Session::of(world.cluster, "postgres", "postgres", "locker").await;
    session.execute(&format!("BEGIN; LOCK TABLE public.{} IN SHARE UPDATE EXCLUSIVE MODE", world.name)).await;
    session
}

/// Waits until so many statements of the target wait for a lock on the server.
async fn waiting(world: &World, wanted: &str) {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockgate/{}' AND wait_event_type = 'Lock'",
        world.name
    );
    world.cluster.wait_for(&sql, wanted, PATIENCE).await.expect("what should wait does, and nothing else");
}

/// Waits until every run that was meant has its end on the record, and returns the ends.
async fn ends_of(world: &World, runs: usize) -> Vec<Json> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let lines = world.site.record();
        let ends: Vec<Json> = lines.into_iter().filter(|line| line["ev"] == "call.outcome").collect();
        if ends.len() == runs {
            return ends;
        }
        assert!(tokio::time::Instant::now() < until, "{} of {runs} runs have an end: {ends:?}", ends.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An act that was cancelled while the server was at it: the host can't swear that it had no effect, and says so.
fn cut_short(end: &Json) {
    assert_eq!((&end["status"], &end["code"]), (&"unknown".into(), &"outcome_unknown".into()), "{end}");
    assert!(end["message"].as_str().is_some_and(|text| text.contains("cancelled")), "{end}");
}

/// How often the table was analyzed to the end, as the server counts.
async fn analyzed(world: &World, wanted: &str) {
    let sql = format!("SELECT analyze_count FROM pg_stat_user_tables WHERE relname = '{}'", world.name);
    world
        .cluster
        .wait_for(&sql, wanted, PATIENCE)
        .await
        .expect("what was cut short had no effect, the rest had its own");
}

/// Sends a request and keeps the connection open without reading.
async fn send(world: &World, raw: &Raw) -> TcpStream {
    let mut stream = TcpStream::connect(world.at).await.expect("the door is open");
    stream.write_all(&raw.bytes()).await.expect("a request is sent");
    stream
}

/// Hangs up in the way that discards what was on its way: as a process that is killed, or a wire that is cut.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().expect("a reset");
}

async fn session(world: &World) -> String {
    let replies = Raw::post(&world.one, &[], INITIALIZE).replies(world.at).await;
    let id = replies[0].header("Mcp-Session-Id").expect("a session").to_owned();
    let began = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    Raw::post(&world.one, &[("Mcp-Session-Id", &id)], began).replies(world.at).await;
    id
}

#[tokio::test]
async fn hanging_up_cancels_on_the_server_where_there_is_no_session() {
    let world = World::open("dropped_modern", McpSettings::default()).await;
    let locker = locked(&world).await;
    let stream = send(&world, &world.intact()).await;
    waiting(&world, "1").await;
    drop(stream);
    // The lock is still held: what waited for it was ended, and not by its own limit.
    waiting(&world, "0").await;
    let ends = ends_of(&world, 1).await;
    cut_short(&ends[0]);
    // Half a close is a hang-up too, as far as a server can tell; a reset certainly is.
    let stream = send(&world, &world.intact()).await;
    waiting(&world, "1").await;
    reset(stream);
    waiting(&world, "0").await;
    let again = ends_of(&world, 2).await;
    cut_short(&again[1]);
    locker.execute("ROLLBACK").await;
    done_again(&world).await;
    analyzed(&world, "1").await;
}

#[tokio::test]
async fn cancelling_in_a_session_cancels_on_the_server_and_hanging_up_does_not() {
    let world = World::open("dropped_session", McpSettings::default()).await;
    let locker = locked(&world).await;
    let id = session(&world).await;
    let post = |body: &str| Raw::post(&world.one, &[("Mcp-Session-Id", &id)], body);
    let cancelled = |request: u32| {
        format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{request}}}}}"#)
    };

    let stream = send(&world, &post(&call(7, super::world::TOOL, &world.arguments()))).await;
    waiting(&world, "1").await;
    // Not by somebody else's session, nor under another id, nor by a cancellation that is no message.
    let foreign = Raw::post(&world.two, &[("Mcp-Session-Id", &id)], &cancelled(7)).replies(world.at).await;
    assert_eq!(foreign[0].status, 404);
    for other in [cancelled(8), cancelled(7).replace(":7", ":\"7\"")] {
        assert_eq!(post(&other).replies(world.at).await[0].status, 202);
    }
    waiting(&world, "1").await;
    assert_eq!(post(&cancelled(7)).replies(world.at).await[0].status, 202);
    waiting(&world, "0").await;
    cut_short(&ends_of(&world, 1).await[0]);
    drop(stream);

    // A stream that breaks is no cancellation in these revisions: the call goes on to its recorded end.
    let stream = send(&world, &post(&call(9, super::world::TOOL, &world.arguments()))).await;
    waiting(&world, "1").await;
    drop(stream);
    locker.execute("ROLLBACK").await;
    let ends = ends_of(&world, 2).await;
    assert_eq!(ends[1]["status"], "succeeded", "{ends:?}");
    done_again(&world).await;
    analyzed(&world, "2").await;
}

#[tokio::test]
async fn ending_a_session_ends_what_runs_in_it() {
    let world = World::open("dropped_delete", McpSettings::default()).await;
    let locker = locked(&world).await;
    let id = session(&world).await;
    let body = call(7, super::world::TOOL, &world.arguments());
    let stream = send(&world, &Raw::post(&world.one, &[("Mcp-Session-Id", &id)], &body)).await;
    waiting(&world, "1").await;
    let mut end = Raw::post(&world.one, &[("Mcp-Session-Id", &id)], "");
    end.method = "DELETE".into();
    assert!(matches!(end.replies(world.at).await[0].status, 200..=204));
    waiting(&world, "0").await;
    cut_short(&ends_of(&world, 1).await[0]);
    drop(stream);
    locker.execute("ROLLBACK").await;
    done_again(&world).await;
    analyzed(&world, "1").await;
}

#[tokio::test]
async fn a_call_that_was_refused_to_one_is_not_begun_by_another() {
    // A hundred clients that connect, say half of a call and go: nothing was ever begun.
    let world = World::open("dropped_halves", McpSettings::default()).await;
    let bytes = world.intact().bytes();
    for cut in (1..bytes.len()).step_by(bytes.len() / 100 + 1) {
        let mut stream = TcpStream::connect(world.at).await.expect("the door is open");
        stream.write_all(&bytes[..cut]).await.expect("a piece is sent");
    }
    world.only_the_intact_call_acts(&world.intact()).await;
}

/// The connection is as good as before: the same call runs.
async fn done_again(world: &World) {
    let mut raw = world.intact();
    raw.body = modern(3, "tools/call", &world.params()).into_bytes();
    let replies = raw.replies(world.at).await;
    assert!(replies[0].body.contains("\"status\":\"done\""), "{replies:?}");
    assert!(world.site.verify_record().intact);
}
