//! Session ids: replayed after their end, made up, bent, or somebody else's.

use lockgate::mcp::McpSettings;

use super::{Raw, World};
use crate::wire::{INITIALIZE, call};

const SESSION: &str = "Mcp-Session-Id";

async fn open(world: &World, token: &str) -> String {
    let replies = Raw::post(token, &[], INITIALIZE).replies(world.at).await;
    let id = replies[0].header(SESSION).expect("a session").to_owned();
    let began = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(status(world, &Raw::post(token, &[(SESSION, &id)], began)).await, 202);
    id
}

async fn status(world: &World, raw: &Raw) -> u16 {
    let replies = raw.replies(world.at).await;
    assert_eq!(replies.len(), 1, "{replies:?}");
    replies[0].status
}

#[tokio::test]
async fn a_session_is_its_owners_while_it_lives_and_nobodys_afterwards() {
    let world = World::open("hostile_sessions", McpSettings::default()).await;
    let body = call(1, super::world::TOOL, &world.arguments());
    let with = |token: &str, fields: &[(&str, &str)]| Raw::post(token, fields, &body);
    let id = open(&world, &world.one).await;
    let other = open(&world, &world.two).await;

    let capitals = id.to_uppercase();
    let shorter = &id[..id.len() - 1];
    let nulls = "0".repeat(36);
    let long = "a".repeat(20_000);
    for bent in ["", &capitals, shorter, &nulls, "../../mcp", "*", &long, &format!("{id},{id}"), &format!("{id} x")] {
        assert_eq!(status(&world, &with(&world.one, &[(SESSION, bent)])).await, 404, "{bent:?}");
    }
    assert_eq!(status(&world, &with(&world.one, &[(SESSION, &id), (SESSION, &id)])).await, 404, "the field twice");
    assert_eq!(status(&world, &with(&world.one, &[(SESSION, &id), (SESSION, &other)])).await, 404, "two sessions");
    assert_eq!(status(&world, &with(&world.one, &[(SESSION, &other)])).await, 404, "another agent's");
    assert_eq!(status(&world, &with(&world.one, &[])).await, 400, "none");
    // Who would choose an id of its own gets no session by it.
    let mine = Raw::post(&world.one, &[(SESSION, "mine")], INITIALIZE);
    assert_eq!(status(&world, &mine).await, 404);
    // A revision that has no sessions, in the header of one that has.
    for (revision, expected) in [("2026-07-28", 400), ("1999-01-01", 400), ("latest", 400)] {
        let raw = with(&world.one, &[(SESSION, &id), ("MCP-Protocol-Version", revision)]);
        assert_eq!(status(&world, &raw).await, expected, "{revision}");
    }

    // Ended by its owner only; then it is gone, for its owner as well.
    let mut end = Raw::post(&world.two, &[(SESSION, &id)], "");
    end.method = "DELETE".into();
    assert_eq!(status(&world, &end).await, 404);
    end.set("Authorization", &world.one);
    assert!(matches!(status(&world, &end).await, 200..=204));
    assert_eq!(status(&world, &with(&world.one, &[(SESSION, &id)])).await, 404, "replayed");
    assert_eq!(status(&world, &with(&world.two, &[(SESSION, &id)])).await, 404, "replayed by another");
    let mut listen = Raw::post(&world.one, &[(SESSION, &id), ("Last-Event-ID", "0/0")], "");
    listen.method = "GET".into();
    assert_eq!(status(&world, &listen).await, 404, "its stream");
    world.only_the_intact_call_acts(&with(&world.two, &[(SESSION, &other)])).await;
}

#[tokio::test]
async fn what_was_streamed_to_one_is_not_replayed_to_another() {
    let world = World::open("hostile_replay", McpSettings::default()).await;
    let (mine, theirs) = (open(&world, &world.one).await, open(&world, &world.two).await);
    let body = call(1, super::world::TOOL, &world.arguments());
    let replies = Raw::post(&world.one, &[(SESSION, &mine)], &body).replies(world.at).await;
    assert!(replies[0].body.contains("\"status\":\"done\""), "{replies:?}");
    for id in ["0/0", "0/1", "1/0", "1/1", "0", "-1/-1", "999999999999/0", "../0", "a/b"] {
        let mut resume = Raw::post(&world.two, &[(SESSION, &theirs), ("Last-Event-ID", id)], "");
        resume.method = "GET".into();
        // A stream that is found stays open: it is heard for as long as an answer would take to come.
        let heard = heard(&world, &resume).await;
        assert!(!heard.contains("analyze"), "{id}: {heard}");
    }
    assert_eq!((world.intents(), world.acts()), (1, 1));
}

/// What comes before the first pause of a quarter of a second, or the end.
async fn heard(world: &World, raw: &Raw) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(world.at).await.expect("the door is open");
    stream.write_all(&raw.bytes()).await.expect("a request is sent");
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    // The head comes for certain.
    let mut pause = super::raw::PATIENCE;
    while let Ok(Ok(read @ 1..)) = tokio::time::timeout(pause, stream.read(&mut piece)).await {
        text.extend_from_slice(&piece[..read]);
        pause = std::time::Duration::from_millis(250);
    }
    String::from_utf8_lossy(&text).into_owned()
}
