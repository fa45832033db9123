//! What is no message, or not one message, or a message that says two things.

use lockgate::mcp::McpSettings;

use super::{Attempt, World, attempt};

/// In place of the whole body, or of a piece of it.
const ATTEMPTS: &[Attempt] = &[
    ("nothing", 400, |r| r.body.clear()),
    ("no JSON", 400, |r| r.body = b"analyze, please".to_vec()),
    ("half a message", 400, |r| r.body.truncate(60)),
    ("a batch", 400, |r| r.body = [b"[", r.body.as_slice(), b"]"].concat()),
    ("a batch of two", 400, |r| r.body = [b"[", r.body.as_slice(), b",", r.body.as_slice(), b"]"].concat()),
    ("an empty batch", 400, |r| r.body = b"[]".to_vec()),
    ("two messages", 400, |r| r.body = [r.body.as_slice(), r.body.as_slice()].concat()),
    ("trailing garbage", 400, |r| r.body.push(b'x')),
    ("JSON-RPC 1.0", 400, |r| r.replace(r#""2.0""#, r#""1.0""#)),
    ("JSON-RPC as a number", 400, |r| r.replace(r#""2.0""#, "2.0")),
    ("no JSON-RPC version", 400, |r| r.replace(r#""jsonrpc":"2.0","#, "")),
    // A call without an id is a notification: it is taken, and nothing is called.
    ("no id", 202, |r| r.replace(r#""id":1,"#, "")),
    ("id null", 400, |r| r.replace(r#""id":1"#, r#""id":null"#)),
    ("id of a fraction", 400, |r| r.replace(r#""id":1"#, r#""id":1.5"#)),
    ("id as an object", 400, |r| r.replace(r#""id":1"#, r#""id":{}"#)),
    ("id as a list", 400, |r| r.replace(r#""id":1"#, r#""id":[1]"#)),
    ("id true", 400, |r| r.replace(r#""id":1"#, r#""id":true"#)),
    ("id beyond 64 bits", 400, |r| r.replace(r#""id":1"#, r#""id":99999999999999999999"#)),
    ("method as a number", 400, |r| r.replace(r#""tools/call""#, "7")),
    ("no method", 400, |r| r.replace(r#""method":"tools/call","#, "")),
    ("method of another case", 400, |r| r.replace(r#""tools/call""#, r#""Tools/Call""#)),
    ("params as a list", 400, |r| r.body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[1]}"#.to_vec()),
    ("params as text", 400, |r| r.body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":"x"}"#.to_vec()),
    ("no params", 400, |r| r.body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#.to_vec()),
    // What doesn't fit `tools/call` is, to the MCP library, a method that it doesn't know.
    ("arguments as a list", 404, |r| r.replace(r#""arguments":{"#, r#""arguments":[],"other":{"#)),
    ("arguments as text", 404, |r| r.replace(r#""arguments":{"#, r#""arguments":"","other":{"#)),
    ("the tool as a number", 404, |r| r.replace(r#""name":"postgres.analyze_table""#, r#""name":7"#)),
    ("_meta as a list", 400, |r| r.replace(r#""_meta":{"#, r#""_meta":[],"other":{"#)),
    ("an answer to nothing", 400, |r| r.body = br#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_vec()),
    ("an error to nothing", 400, |r| {
        r.body = br#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}"#.to_vec();
    }),
    ("100,000 deep, without an end", 400, |r| r.replace(r#""a call that acts""#, "[".repeat(100_000))),
    ("100,000 deep", 400, |r| {
        r.replace(r#""a call that acts""#, format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    }),
    ("objects, 10,000 deep", 400, |r| {
        r.replace(r#""a call that acts""#, format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000)));
    }),
    // As deep as the reader goes: then it is an argument of the wrong kind.
    ("100 deep", 200, |r| r.replace(r#""a call that acts""#, format!("{}{}", "[".repeat(100), "]".repeat(100)))),
    ("a number beyond all", 400, |r| r.replace(r#""a call that acts""#, "1e400")),
    ("a number of 5,000 digits", 400, |r| r.replace(r#""a call that acts""#, "1".repeat(5000))),
    ("not a number", 400, |r| r.replace(r#""a call that acts""#, "NaN")),
    ("NUL in front", 400, |r| r.body.insert(0, 0)),
    ("NUL in a text", 400, |r| r.replace("that acts", b"that\0acts")),
    ("NUL behind", 400, |r| r.body.push(0)),
    ("an escaped NUL in the reason", 200, |r| r.replace("that acts", r"that\u0000acts")),
    ("an escaped NUL in the table", 200, |r| r.replace(r#""table":""#, r#""table":"\u0000"#)),
    ("invalid UTF-8", 400, |r| r.replace("that acts", b"that\xff\xfeacts")),
    ("overlong UTF-8", 400, |r| r.replace("that acts", b"that\xc0\xafacts")),
    ("half a surrogate pair", 400, |r| r.replace("that acts", r"that \ud800 acts")),
    ("UTF-16", 400, |r| {
        r.body = String::from_utf8_lossy(&r.body).encode_utf16().flat_map(u16::to_be_bytes).collect();
    }),
    ("two marks of byte order", 400, |r| {
        r.body = [b"\xef\xbb\xbf\xef\xbb\xbf", r.body.as_slice()].concat();
    }),
    ("a key twice at the top", 400, |r| r.replace(r#""id":1"#, r#""id":1,"id":2"#)),
    ("the method twice", 400, |r| r.replace(r#""method""#, r#""method":"ping","method""#)),
    ("a key twice in the params", 400, |r| r.replace(r#""name":"#, r#""name":"postgres.uptime","name":"#)),
    ("a key twice in the arguments", 400, |r| r.replace(r#""schema":"#, r#""schema":"pg_catalog","schema":"#)),
    ("an escaped key twice", 400, |r| r.replace(r#""schema":"#, r#""sch\u0065ma":"pg_catalog","schema":"#)),
    ("a key twice in _meta", 400, |r| {
        r.replace(r#""_meta":{"#, r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2025-11-25","#);
    }),
    ("a key twice far down", 400, |r| {
        r.replace(r#""_meta":{"#, r#""_meta":{"x":[[{"a":{"b":1,"c":2,"b":1}}]],"#);
    }),
    ("an argument that is not declared", 200, |r| r.replace(r#""schema":"#, r#""sql":"DROP TABLE x","schema":"#)),
    ("arguments as the action has them, elsewhere", 200, |r| r.replace(r#""arguments":"#, r#""argument":"#)),
    ("no reason", 200, |r| r.replace(r#","reason":"a call that acts""#, "")),
    ("a target that is not there", 200, |r| r.replace(r#""target":"#, r#""target":"elsewhere","was":"#)),
];

#[tokio::test]
async fn what_is_not_one_message_has_no_effect() {
    let world = World::open("hostile_bodies", McpSettings { max_message: 1 << 20, ..McpSettings::default() }).await;
    attempt(&world, &world.intact(), ATTEMPTS).await;
}

#[tokio::test]
async fn bodies_that_are_too_long_are_refused_without_being_read() {
    let world = World::open("hostile_lengths", McpSettings { max_message: 4096, ..McpSettings::default() }).await;
    let attempts: &[Attempt] = &[
        ("a long body", 413, |r| r.replace("that acts", "x".repeat(5000))),
        ("a long body in chunks", 413, |r| {
            r.replace("that acts", "x".repeat(5000));
            r.chunk();
        }),
        // Only says that it is long, and sends nothing: the answer comes at once all the same.
        ("a length that lies", 413, |r| {
            r.add("Content-Length", "30000000");
            r.body.clear();
        }),
        ("chunks without an end", 413, |r| {
            r.add("Transfer-Encoding", "chunked");
            let chunk = [b"400\r\n", [b' '; 1024].as_slice(), b"\r\n"].concat();
            r.body = chunk.repeat(64);
        }),
        ("a message drowned in space", 413, |r| r.body.splice(0..0, [b' '; 5000]).for_each(drop)),
        ("a length that is too large", 400, |r| {
            r.add("Content-Length", (r.body.len() + 5).to_string());
            r.half_close = true;
        }),
        ("a length that is too small", 400, |r| r.add("Content-Length", (r.body.len() - 5).to_string())),
        ("chunks that stop", 400, |r| {
            r.chunk();
            r.body.truncate(r.body.len() - 5);
            r.half_close = true;
        }),
    ];
    attempt(&world, &world.intact(), attempts).await;
}

#[tokio::test]
async fn a_mark_of_byte_order_is_passed_over() {
    let world = World::open("hostile_mark", McpSettings::default()).await;
    let mut marked = world.intact();
    marked.body = [b"\xef\xbb\xbf", marked.body.as_slice()].concat();
    world.only_the_intact_call_acts(&marked).await;
}
