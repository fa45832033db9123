//! The same over standard input and output: what is no message has no effect and does not end the conversation.

use std::sync::Arc;

use lockgate::{
    gate::call::Door,
    mcp::{McpSettings, gatekeeper::GateDoor, server::Server, stdio},
};
use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio_util::sync::CancellationToken;

use super::{World, raw::PATIENCE, world::TOOL};
use crate::{
    fake_gate::principal,
    wire::{INITIALIZE, call, modern},
};

/// What an attempt gets: an error of this code, a refusal of the gate, or nothing at all.
enum Gets {
    Error(i64),
    Refusal,
    Nothing,
}

#[tokio::test]
async fn what_is_not_one_message_has_no_effect_and_ends_nothing() {
    let settings = McpSettings { max_message: 64 * 1024, ..McpSettings::default() };
    let world = World::open("hostile_lines", settings.clone()).await;
    let server = Server::new(Arc::new(GateDoor(Arc::clone(&world.gate))), settings)
        .with_caller(principal("laptop", Door::Stdio));
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (read, write) = tokio::io::split(theirs);
    tokio::spawn(stdio::serve_on(server, read, write, CancellationToken::new()));
    let (read, mut write) = tokio::io::split(ours);
    let mut answers = BufReader::new(read).lines();
    let mut next = async || -> Json {
        let line = tokio::time::timeout(PATIENCE, answers.next_line()).await.expect("an answer comes in time");
        serde_json::from_str(&line.expect("it can be read").expect("the conversation goes on")).expect("a message")
    };

    let intact = call(1, TOOL, &world.arguments());
    let spoilt = |piece: &str, by: &str| {
        assert!(intact.contains(piece), "{piece}");
        intact.replacen(piece, by, 1).into_bytes()
    };
    let modern_call = modern(1, "tools/call", &world.params());
    // Before the handshake there is nobody to call; and what comes then is no reason to give up.
    write.write_all(format!("{INITIALIZE}\n").as_bytes()).await.expect("it is sent");
    assert_eq!(next().await["id"], 0);
    write.write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n").await.expect("it is sent");

    use Gets::{Error, Nothing, Refusal};
    let attempts: Vec<(&str, Vec<u8>, Gets)> = vec![
        ("no JSON", b"analyze, please".to_vec(), Error(-32700)),
        ("half a message", intact.as_bytes()[..60].to_vec(), Error(-32700)),
        ("a batch", format!("[{intact}]").into_bytes(), Error(-32600)),
        ("two messages on a line", format!("{intact}{intact}").into_bytes(), Error(-32700)),
        ("trailing garbage", format!("{intact}x").into_bytes(), Error(-32700)),
        ("JSON-RPC 1.0", spoilt(r#""2.0""#, r#""1.0""#), Error(-32600)),
        ("no version", spoilt(r#""jsonrpc":"2.0","#, ""), Error(-32600)),
        ("no id", spoilt(r#""id":1,"#, ""), Nothing),
        ("id null", spoilt(r#""id":1"#, r#""id":null"#), Error(-32600)),
        ("id of a fraction", spoilt(r#""id":1"#, r#""id":1.5"#), Error(-32600)),
        ("id as an object", spoilt(r#""id":1"#, r#""id":{}"#), Error(-32600)),
        ("params as a list", br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[1]}"#.to_vec(), Error(-32600)),
        ("arguments as text", spoilt(r#""arguments":{"#, r#""arguments":"","other":{"#), Error(-32601)),
        ("100,000 deep", spoilt(r#""a call that acts""#, &"[".repeat(30_000)), Error(-32700)),
        ("a number beyond all", spoilt(r#""a call that acts""#, "1e400"), Error(-32700)),
        ("NUL", spoilt("that acts", "that\0acts"), Error(-32700)),
        ("NUL in front", format!("\0{intact}").into_bytes(), Error(-32700)),
        ("an escaped NUL", spoilt("that acts", r"that\u0000acts"), Refusal),
        (
            "invalid UTF-8",
            {
                let mut bytes = spoilt("that acts", "that!acts");
                let at = bytes.iter().position(|b| *b == b'!').expect("the mark");
                bytes[at] = 0xff;
                bytes
            },
            Error(-32700),
        ),
        ("half a surrogate pair", spoilt("that acts", r"that \ud800"), Error(-32700)),
        ("a key twice", spoilt(r#""schema":"#, r#""schema":"pg_catalog","schema":"#), Error(-32600)),
        ("an escaped key twice", spoilt(r#""schema":"#, r#""sch\u0065ma":"pg_catalog","schema":"#), Error(-32600)),
        ("the method twice", spoilt(r#""method":"#, r#""method":"ping","method":"#), Error(-32600)),
        ("a method that is not there", spoilt("tools/call", "tools/exec"), Error(-32601)),
        ("an answer to nothing", br#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_vec(), Nothing),
        ("too long", spoilt("that acts", &"x".repeat(70_000)), Error(-32600)),
        ("a carriage return for a line", [b"\r", intact.as_bytes()].concat()[..1].to_vec(), Nothing),
        ("no reason", spoilt(r#","reason":"a call that acts""#, ""), Refusal),
        ("an argument that is not declared", spoilt(r#""schema":"#, r#""sql":"SELECT 1","schema":"#), Refusal),
        ("a revision of the future", modern_call.replace("2026-07-28", "2099-01-01").into_bytes(), Error(-32022)),
    ];
    for (number, (name, bytes, gets)) in attempts.iter().enumerate() {
        write.write_all(&[bytes.as_slice(), b"\n"].concat()).await.expect("it is sent");
        let answer = match gets {
            Nothing => None,
            Error(_) | Refusal => Some(next().await),
        };
        // What follows is answered next: the attempt had one answer, or none.
        let id = 1000 + number;
        write
            .write_all(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n").as_bytes())
            .await
            .expect("sent");
        assert_eq!(next().await["id"], id, "{name}");
        match (gets, answer) {
            (Error(code), Some(answer)) => assert_eq!(answer["error"]["code"], *code, "{name}: {answer}"),
            (Refusal, Some(answer)) => {
                assert_eq!(answer["result"]["structuredContent"]["status"], "refused", "{name}: {answer}");
            }
            (Nothing, None) => {}
            (_, answer) => panic!("{name}: {answer:?}"),
        }
    }
    assert_eq!((world.intents(), world.acts()), (0, 0));
    write.write_all(format!("{intact}\r\n").as_bytes()).await.expect("it is sent");
    assert_eq!(next().await["result"]["structuredContent"]["status"], "done");
    assert_eq!((world.intents(), world.acts()), (1, 1));
}
