//! Clients that take their time: over the header, over the body, over reading the answer, or for ever. The limits are set
//! short here; what is shown is that they hold, and that nobody else has to wait meanwhile.

use std::time::{Duration, Instant};

use lockgate::{listen::Patience, mcp::McpSettings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{World, raw::PATIENCE};

/// Short, and long enough for an honest client on a busy machine.
const HEADER: Duration = Duration::from_millis(1500);
const BODY: Duration = Duration::from_millis(1000);

fn settings() -> McpSettings {
    McpSettings { patience: Patience { header: HEADER, body: BODY }, ..McpSettings::default() }
}

/// Sends the first piece, then one byte of the rest at a time, and returns what the server said until it hung up.
async fn dribble(world: &World, first: &[u8], rest: &[u8]) -> (String, Duration) {
    let stream = TcpStream::connect(world.at).await.expect("the door is open");
    let (mut read, mut write) = stream.into_split();
    let began = Instant::now();
    let (first, rest) = (first.to_vec(), rest.to_vec());
    let sending = tokio::spawn(async move {
        write.write_all(&first).await.ok()?;
        for byte in rest {
            // The rhythm of the attack, not a wait for anything.
            tokio::time::sleep(Duration::from_millis(50)).await;
            write.write_all(&[byte]).await.ok()?;
        }
        std::future::pending::<Option<()>>().await
    });
    let mut said = Vec::new();
    let listening = read.read_to_end(&mut said);
    let _ = tokio::time::timeout(PATIENCE, listening).await.expect("the server hangs up on who dawdles");
    sending.abort();
    (String::from_utf8_lossy(&said).into_owned(), began.elapsed())
}

#[tokio::test]
async fn who_dawdles_is_hung_up_on_and_nobody_waits_for_it() {
    let world = World::open("hostile_slow", settings()).await;
    let intact = world.intact();
    let bytes = intact.bytes();
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;

    let silent = dribble(&world, b"", b"");
    let header = dribble(&world, &bytes[..40], &bytes[40..head]);
    let body = dribble(&world, &bytes[..head + 20], &bytes[head + 20..]);
    let waiting = dribble(&world, &bytes[..head], b"");
    // Chunks of one byte each: every one of them is progress, and together they take too long.
    let chunked = {
        let mut raw = intact.clone();
        raw.add("Transfer-Encoding", "chunked");
        raw.body.clear();
        let chunks = b"1\r\n{\r\n".repeat(200);
        let head = raw.bytes();
        let world = &world;
        async move { dribble(world, &head, &chunks).await }
    };
    // Between two requests there is no more time than before the first.
    let idle = {
        let mut health = intact.clone();
        health.method = "GET".into();
        health.target = "/healthz".into();
        health.set("Connection", "keep-alive");
        health.body.clear();
        let health = health.bytes();
        let world = &world;
        async move { dribble(world, &health, b"").await }
    };
    let ((silent, silence), (header, headers), (body, bodies), (waiting, _), (chunked, chunks), (idle, idleness)) =
        tokio::join!(silent, header, body, waiting, chunked, idle);
    // Who never finishes a header is hung up on: with an answer or without one, and with no effect.
    assert!(silent.is_empty() && (header.is_empty() || header.starts_with("HTTP/1.1 408")), "{silent}{header}");
    for told in [&body, &waiting, &chunked] {
        assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    }
    assert!(idle.ends_with("ok\n"), "{idle}");
    for (took, limit) in [(silence, HEADER), (headers, HEADER), (bodies, BODY), (chunks, BODY), (idleness, HEADER)] {
        assert!(took >= limit, "hung up on after {took:?}, before its time");
    }
    world.only_the_intact_call_acts(&intact).await;
}

#[tokio::test]
async fn who_does_not_read_is_alone_with_it() {
    let world = World::open("hostile_deaf", settings()).await;
    let mut ask = world.intact();
    ask.body = crate::wire::modern(1, "tools/list", "").into_bytes();
    ask.set("Mcp-Method", "tools/list");
    ask.remove("Mcp-Name");
    ask.set("Connection", "keep-alive");
    // Hundreds of answers of some hundred kilobytes each, asked for on one connection and never read. In the end neither
    // side takes anything any more, and writing here has to stop: the server doesn't collect answers without bound.
    let mut deaf = TcpStream::connect(world.at).await.expect("the door is open");
    let request = ask.bytes();
    let mut asked = 0;
    while asked < 200_000 {
        match tokio::time::timeout(Duration::from_secs(2), deaf.write_all(&request)).await {
            Ok(Ok(())) => asked += 1,
            _ => break,
        }
    }
    assert!(asked < 200_000, "200,000 requests were taken from a client that reads nothing");
    world.only_the_intact_call_acts(&world.intact()).await;
    drop(deaf);
}
