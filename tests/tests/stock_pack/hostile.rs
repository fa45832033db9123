//! Hostile values for an argument of any type, and which of them are none after all. The judgement here is written anew,
//! byte by byte, so that it does not repeat a mistake of the host's.

use lockgate::pack::manifest::{Param, ParamKind};
use serde_json::{Value as Json, json};

/// Texts that somebody would like to see in a statement, a path, a format string or an approver's eyes.
pub const TEXTS: &[&str] = &[
    "",
    " ",
    "\t",
    "\n",
    "\u{a0}",
    "orders ",
    " orders",
    "orders\n",
    "orders\0",
    "\0orders",
    "or\0ders",
    "'",
    "''",
    "\"",
    "\"\"",
    "orders\"",
    "\"orders\"",
    "\\",
    "orders\\",
    "$1",
    "$$orders$$",
    "$tag$ x $tag$",
    ":\"schema\"",
    ":schema",
    "orders; DROP TABLE sales.orders",
    "orders;",
    "orders--",
    "orders -- ",
    "orders/*",
    "orders/**/",
    "/* */orders",
    "' OR '1'='1",
    "'; SELECT pg_terminate_backend(1); --",
    "\"; VACUUM FULL; --",
    "1; COPY x TO PROGRAM 'id'",
    "(SELECT 1)",
    "orders UNION SELECT rolpassword FROM pg_authid",
    "U&\"\\0061\"",
    "E'\\x27'",
    "x'41'",
    "pg_catalog.pg_class",
    "sales.orders",
    "orders(id)",
    "orders,held",
    "public\".\"held",
    "*",
    "%s",
    "%n%n%n",
    "{0}",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    "C:\\windows",
    "file:///etc/passwd",
    "http://169.254.169.254/",
    "<script>alert(1)</script>",
    "\u{1b}[2K\u{1b}[1Aapproved",
    "\u{7f}",
    "\u{85}",
    "ord\u{202e}sre",
    "\u{2066}orders\u{2069}",
    "ord\u{200b}ers",
    "\u{feff}orders",
    "ord\u{ad}ers",
    "\u{430}rders",
    "orders\u{301}",
    "\u{ff4f}rders",
    "\u{131}d",
    "\u{17f}ales",
    "\u{ff07}",
    "\u{2019}; DROP",
    "\u{e0041}",
    "\u{10ffff}",
    "日本語",
    "ü",
    "1orders",
    "or-ders",
    "or ders",
    "or.ders",
    "orders?",
    "@orders",
    "#orders",
    "$orders",
    "or$ders",
    "Ⅷ",
    "null\u{2028}x",
];

/// The same as JSON text, so that what JSON itself can say is said: exponents, negative zero, escapes, numbers out of range.
const JSON: &[&str] = &[
    "0",
    "-0",
    "-1",
    "-0.0",
    "0.5",
    "1.0",
    "20.0",
    "1e0",
    "1E2",
    "1e-1",
    "1e300",
    "-1e300",
    "1e-400",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "-2147483648",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "999999999999999999999999999999999999999",
    "true",
    "false",
    "null",
    "[]",
    "[1]",
    "[[1]]",
    "[null]",
    "[\"orders\"]",
    "{}",
    "{\"value\":1}",
    "{\"$ne\":null}",
    "{\"__proto__\":{\"x\":1}}",
    "{\"sql\":\"SELECT 1\"}",
    "\"1\"",
    "\"20\"",
    "\"0x10\"",
    "\"1e3\"",
    "\"true\"",
    "\"false\"",
    "\"null\"",
    "\"NaN\"",
    "\"Infinity\"",
    "\"-1\"",
    "\"1 OR 1=1\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
];

/// Every hostile value for an argument: those of all types, those around its own bounds, and those that are too long.
pub fn values(kind: &ParamKind) -> Vec<Json> {
    let mut values: Vec<Json> = TEXTS.iter().map(|text| json!(text)).collect();
    // What is no JSON at all never comes this far.
    values.extend(JSON.iter().filter_map(|text| serde_json::from_str(text).ok()));
    values.extend([64, 65, 255, 1001, 70_000].map(|length| json!("a".repeat(length))));
    values.extend([63, 62, 1].map(|length| json!("é".repeat(length))));
    values.push(json!("orders".repeat(20_000)));
    values.push((0..110).fold(json!(1), |nested, _| json!([nested])));
    if let ParamKind::Integer { min, max } = kind {
        values.extend([min - 1, *min, min + 1, max - 1, *max, max + 1, -*max].map(|number| json!(number)));
        values.push(json!(*min as f64 + 0.5));
        values.push(json!(max.to_string()));
        // One more than fits in 32 bits, which would come back as the lowest if somebody cut it.
        values.push(json!(min + (1_i64 << 32)));
        values.push(json!([min]));
    }
    if *kind == ParamKind::Identifier {
        values.extend(["a".repeat(63), "_".into(), "SELECT".into(), "drop_table_".into()].map(|name| json!(name)));
    }
    values
}

/// Whether an argument may have this value.
pub fn fits(param: &Param, value: &Json) -> bool {
    match (&param.kind, value) {
        // `null` is how models leave an optional argument out.
        (_, Json::Null) => !param.required,
        (ParamKind::Boolean, value) => matches!(value, Json::Bool(_)),
        (ParamKind::Integer { min, max }, Json::Number(number)) => {
            let digits = number.to_string();
            !digits.contains(['.', 'e', 'E'])
                && digits.parse::<i128>().is_ok_and(|n| (i128::from(*min)..=i128::from(*max)).contains(&n))
        }
        (ParamKind::Identifier, Json::String(text)) => {
            let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
            (1..=63).contains(&text.len())
                && text.bytes().next().is_some_and(letter)
                && text.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
        }
        (ParamKind::Integer { .. } | ParamKind::Identifier, _) => false,
        (other, _) => panic!("no action of the stock pack has had an argument of this type yet: {other:?}"),
    }
}

/// Names of arguments that no action has.
pub const KEYS: &[&str] = &[
    "sql",
    "query",
    "statement",
    "SQL",
    "pid ",
    " pid",
    "PID",
    "Pid",
    "pid\0",
    "pid[]",
    "pid; --",
    "limit ",
    "LIMIT",
    "schema.",
    "\"schema\"",
    "__proto__",
    "constructor",
    "toString",
    "",
    " ",
    "\u{202e}dip",
    "рid",
    "backend_start",
    "query_start",
    "oid",
    "pids",
    "backend_starts",
    "approval",
    "approved",
    "approval_id",
    "approve",
    "pins",
    "principal",
    "agent",
    "role",
    "roles",
    "user",
    "risk",
    "dry_run",
    "force",
    "timeout_ms",
    "max_rows",
    "extension_schema",
    "$1",
    "1",
    "\u{1b}[31m",
];
