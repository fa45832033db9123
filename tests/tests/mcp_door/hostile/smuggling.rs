//! Two requests in one, or one that two programs would cut differently. What counts is how many answers come: a request that
//! was smuggled in would have one of its own.

use lockgate::mcp::McpSettings;

use super::{Attempt, Raw, World, attempt, raw};

#[tokio::test]
async fn bodies_have_one_length() {
    let world = World::open("hostile_framing", McpSettings::default()).await;
    let attempts: &[Attempt] = &[
        ("two lengths", 400, |r| {
            r.add("Content-Length", r.body.len().to_string());
            r.add("Content-Length", (r.body.len() + 5).to_string());
        }),
        ("a list of lengths", 400, |r| r.add("Content-Length", format!("{0}, {0}", r.body.len()))),
        ("a length with a sign", 400, |r| r.add("Content-Length", format!("+{}", r.body.len()))),
        ("a negative length", 400, |r| r.add("Content-Length", "-1")),
        ("a length in hex", 400, |r| r.add("Content-Length", format!("0x{:x}", r.body.len()))),
        ("an empty length", 400, |r| r.add("Content-Length", "")),
        ("a length beyond all", 400, |r| r.add("Content-Length", "9".repeat(30))),
        ("a length with a space before the colon", 400, |r| r.add("Content-Length ", r.body.len().to_string())),
        ("no length", 400, |r| r.add("X-Content-Length", "")),
        ("an unknown coding", 400, |r| r.add("Transfer-Encoding", "xchunked")),
        ("identity", 400, |r| r.add("Transfer-Encoding", "identity")),
        ("identity and a length", 400, |r| {
            r.add("Transfer-Encoding", "identity");
            r.add("Content-Length", r.body.len().to_string());
        }),
        ("chunked is not the last coding", 400, |r| {
            r.chunk();
            r.set("Transfer-Encoding", "chunked, gzip");
        }),
        ("packed, then chunked", 501, |r| {
            r.chunk();
            r.set("Transfer-Encoding", "gzip, chunked");
        }),
        ("chunked twice in one field", 501, |r| {
            r.chunk();
            r.set("Transfer-Encoding", "chunked, chunked");
        }),
        ("chunked twice in two fields", 400, |r| {
            r.chunk();
            r.add("Transfer-Encoding", "chunked");
        }),
        ("chunked behind a vertical tab", 400, |r| {
            r.chunk();
            r.set("Transfer-Encoding", "\u{b}chunked");
        }),
        ("chunked on a folded line", 400, |r| {
            r.chunk();
            r.set("Transfer-Encoding", "\r\n chunked");
        }),
        ("chunks in HTTP/1.0", 400, |r| {
            r.chunk();
            r.version = "HTTP/1.0".into();
        }),
        ("a chunk of negative size", 400, |r| {
            r.add("Transfer-Encoding", "chunked");
            r.body = b"-5\r\n".to_vec();
        }),
        ("a chunk beyond all sizes", 400, |r| {
            r.add("Transfer-Encoding", "chunked");
            r.body = b"FFFFFFFFFFFFFFFFF\r\n".to_vec();
        }),
        ("a chunk with a long extension", 400, |r| {
            r.add("Transfer-Encoding", "chunked");
            r.body = [b"5;".as_slice(), &[b'a'; 200_000], b"\r\n"].concat();
        }),
    ];
    let intact = world.intact();
    // The one without a length must not be given one like all others.
    let (without, framed): (Vec<_>, Vec<_>) = attempts.iter().copied().partition(|(name, ..)| *name == "no length");
    for (name, status, _) in without {
        let unframed = intact.bytes();
        let text = String::from_utf8(unframed).expect("text");
        let at = text.find("Content-Length").expect("its length");
        let end = text[at..].find("\r\n").expect("its end") + at + 2;
        let replies = raw::replies(world.at, format!("{}{}", &text[..at], &text[end..]).as_bytes(), false).await;
        assert!(replies.len() == 1 && replies[0].status == status, "{name}: {replies:?}");
    }
    attempt(&world, &intact, &framed).await;
}

#[tokio::test]
async fn a_request_inside_a_request_is_never_answered() {
    let world = World::open("hostile_smuggling", McpSettings::default()).await;
    let mut inner = world.intact();
    inner.set("Connection", "keep-alive");
    let inner = inner.bytes();
    // Neither carries anything that would end the connection by itself.
    let outer = |token: &str, fields: &[(&str, &str)], body: &[u8]| {
        let mut raw = Raw::post(token, fields, "");
        raw.set("Connection", "keep-alive");
        raw.body = body.to_vec();
        raw
    };
    // The length says one thing, the chunks another: what comes behind the chunks is not looked at, the connection ends.
    for length_first in [true, false] {
        let mut raw = outer(&world.one, &[], &[b"4\r\nnull\r\n0\r\n\r\n", inner.as_slice()].concat());
        if length_first {
            raw.add("Content-Length", "4");
        }
        raw.add("Transfer-Encoding", "chunked");
        if !length_first {
            raw.add("Content-Length", "4");
        }
        let replies = raw.replies(world.at).await;
        assert!(replies.len() == 1 && replies[0].status == 400, "{replies:?}");
    }
    // As the body of what has none, and of what is refused: it is a body and nothing else. Then the client stops.
    let mut get = outer(&world.one, &[], &inner);
    get.method = "GET".into();
    get.target = "/healthz".into();
    get.half_close = true;
    let replies = get.replies(world.at).await;
    assert!(replies.len() == 1 && replies[0].body == "ok\n", "{replies:?}");
    let mut stranger = outer("Bearer lgt_wrong", &[], &inner);
    stranger.half_close = true;
    let replies = stranger.replies(world.at).await;
    assert!(replies.len() == 1 && replies[0].status == 401, "{replies:?}");
    world.only_the_intact_call_acts(&world.intact()).await;
    drop(world);

    let world = World::open("hostile_protocols", McpSettings::default()).await;
    for other in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\r\n\r\n\r\n",
    ] {
        let replies = raw::replies(world.at, other, true).await;
        assert!(replies.iter().all(|reply| reply.status == 400), "{replies:?}");
    }
    let mut upgrade = world.intact();
    upgrade.set("Connection", "close, Upgrade, HTTP2-Settings");
    upgrade.add("Upgrade", "h2c");
    upgrade.add("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA");
    world.only_the_intact_call_acts(&upgrade).await;
}

#[tokio::test]
async fn requests_in_a_row_are_each_judged_by_their_own_token() {
    let world = World::open("hostile_pipeline", McpSettings::default()).await;
    let mut first = world.intact();
    first.set("Connection", "keep-alive");
    let mut stranger = first.clone();
    stranger.set("Authorization", "Bearer lgt_wrong");
    let mut nobody = world.intact();
    nobody.remove("Authorization");
    // The connection of a stranger is closed with the answer, so that what follows on it is not even read.
    for (row, expected) in [
        ([stranger.bytes(), first.bytes()], &[401][..]),
        ([nobody.bytes(), first.bytes()], &[401]),
        ([first.bytes(), stranger.bytes()], &[200, 401]),
    ] {
        let replies = raw::replies(world.at, &row.concat(), false).await;
        let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses, expected);
    }
    assert_eq!((world.intents(), world.acts()), (1, 1));
}
