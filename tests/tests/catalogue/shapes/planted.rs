//! What is planted, and where: values in every way that SQL can write one, and secrets in what a client may call itself or
//! its transactions.

/// In every literal of these tests, and nowhere else.
pub const CANARY: &str = "cAnArY7h1rt33n";
/// The same for numbers.
pub const NUMBER: &str = "90210773341";
/// Keys that have no name.
pub const HEX: &str = "c0ffee5ac0ffee7bc0ffee9cc0ffee1d";
pub const BASE64: &str = "Zk3vQ9xL2mN8pR5tW7yB4cF6hJ1kD0sG";
pub const ACCESS_KEY: &str = "AKIACANARY7H1RT33N00";

/// None of it may be seen, whole or in part.
pub fn assert_clean(what: &str, shown: &str) {
    for canary in [CANARY, NUMBER, ACCESS_KEY, "h1rt33n", "cAnArY7", "AKIACANARY", &HEX[..12], &BASE64[..12]] {
        let at = shown
            .find(canary)
            .map(|at| shown[shown.floor_char_boundary(at.saturating_sub(160))..].chars().take(260).collect::<String>());
        assert_eq!(at, None, "{what} let `{canary}` out");
    }
}

/// Ways to write a value in a statement, whether it succeeds or not.
pub fn queries() -> Vec<String> {
    let c = CANARY;
    let long = c.repeat(200);
    vec![
        format!("SELECT '{c}'"),
        format!("SELECT E'it\\'s {c}'"),
        format!("SELECT 'it''s {c}'"),
        format!("SELECT $${c}$$"),
        format!("SELECT $q${c} $$ ' {c}$q$"),
        format!("SELECT U&'{c}\\0041'"),
        format!("SELECT 'a'\n '{c}'"),
        format!("SELECT 1 /* {c} /* nested {c} */ {c} */"),
        format!("SELECT 1 -- {c}"),
        format!("SELECT {NUMBER}, -{NUMBER}, {NUMBER}.5, {NUMBER}e3, .{NUMBER}"),
        format!("SELECT * FROM sales.orders WHERE note = '{c}' AND id::int8 IN ({NUMBER}, {NUMBER})"),
        format!("SET application.secret = {c}"),
        format!("SET LOCAL application.secret TO {c}, {c}"),
        format!("ALTER ROLE nobody SET application.secret = {c}"),
        format!("ALTER DATABASE nowhere SET application.secret TO {c}"),
        format!("SELECT set_config('application.secret', '{c}', false)"),
        format!("DO $do$ BEGIN PERFORM '{c}'; END $do$"),
        format!("COPY (SELECT '{c}') TO '/dev/null/{c}'"),
        format!("PREPARE planted AS SELECT '{c}', {NUMBER}, $1::text"),
        format!("EXECUTE planted('{c}')"),
        format!("PREPARE TRANSACTION '{c}'"),
        format!("DECLARE planted CURSOR WITH HOLD FOR SELECT '{c}'"),
        format!("NOTIFY planted, '{c}'"),
        format!("COMMENT ON TABLE sales.orders IS '{c}'"),
        // Cut in the middle of a literal by track_activity_query_size, each way of writing one.
        format!("SELECT '{long}'"),
        format!("SELECT $x${long}$x$"),
        format!("SELECT 1 /* {long} */"),
        format!("SELECT E'{long}\\''"),
        format!("SELECT 'x', U&'{long}'"),
        // No SQL at all, and SQL that does not end.
        format!("SELECT '{c}"),
        format!("SELECT $${c}"),
        format!("SELECT /* {c}"),
        format!("SELEC '{c}' FORM"),
        format!("'{c}'"),
        format!("SELECT '{c}\u{e9}\u{202e}{c}'"),
        format!("ALTER ROLE app PASSWORD '{c}' NONSENSE"),
        // Errors whose texts carry the value.
        format!("SELECT '{c}'::int"),
        format!("INSERT INTO sales.orders (id, note) VALUES (1, '{c}')"),
        format!("DO $do$ BEGIN RAISE EXCEPTION 'no such customer: {c}'; END $do$"),
    ]
}

/// What an application may call itself by accident. The server keeps 63 bytes of it.
pub fn application_names() -> Vec<String> {
    let c = CANARY;
    vec![
        format!("worker password={c}"),
        format!("worker PGPASSWORD='{c}' x"),
        format!("postgres://app:{c}@db/shop"),
        format!("postgresql://billing_service_user_production:{c}-and-more@db/shop"),
        format!("job for '{c}' no 4"),
        format!("job for 'a customer whose name is long enough: {c} and more"),
        format!("$${c}$$ import"),
        format!("$tag$ ' {c} $tag$"),
        format!("U&'{c}' E'\\' {c}'"),
        format!("don't 'a' {c} 'b'"),
        format!("Authorization: Bearer {c}xyz"),
        format!("eyJhbGciOiJIUzI1NiJ9.{c}.{c}"),
        format!("-----BEGIN PRIVATE KEY-----{c}"),
        format!("curl -u app:{c} https://example.com/"),
        format!("etl --token {c}"),
        format!("https://example.com/?a=b&X-Amz-Signature={c}"),
        format!("sk_live_{c}0123"),
        ACCESS_KEY.to_owned(),
        format!("sync {HEX}"),
        format!("sync {BASE64} 2"),
    ]
}

/// What an application may call a two-phase transaction.
pub fn transaction_ids() -> Vec<String> {
    vec![
        format!("pay '{CANARY}' now"),
        format!("amqp://app:{CANARY}@queue/pay"),
        format!("pay {HEX}"),
        format!("pay token={CANARY}"),
    ]
}

/// What stays as it is.
pub const ORDINARY: &[&str] = &[
    "checkout-service-7d9f8b6c5d-x2x4z",
    "PostgreSQL JDBC Driver",
    "550e8400-e29b-41d4-a716-446655440000",
    "DBeaver 23.1.0 - SQLEditor <Script-3.sql>",
    "node:18 (web/api) #3",
];
