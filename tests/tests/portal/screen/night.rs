//! The night of the incident: a migration died with its transaction open, and thirty checkouts wait for the rows that it locked.

use lockgate::mcp::token;
use lockgate_tests::{
    clients::Script,
    cluster,
    session::{PATIENCE, Running, Session},
};
use tokio::sync::OnceCell;

use crate::host::Host;

/// As in the story.
pub const WRITERS: usize = 30;
/// The application's database.
pub const WEBSHOP: &str = "webshop";

/// A host whose target `primary` is the webshop's server, and the token of an agent that calls over HTTP. One test at a time
/// may have it: the rows are the same.
pub async fn host() -> (Host, String) {
    webshop().await;
    let (more, token) = runbook();
    (Host::prepare(&[("primary", WEBSHOP)], None, &more).await.start().await, token)
}

/// What configures an agent that calls over HTTP, and its token.
pub fn runbook() -> (String, String) {
    let (token, sha256) = token::generate().expect("a token");
    let more = format!(
        "[mcp]\nhold_seconds = 2\n\
         [[mcp.agent]]\nname = \"runbook\"\nperson = \"ada\"\ntoken_sha256 = \"{sha256}\"\n"
    );
    (more, token)
}

/// Its tables and roles, made once for the test binary.
async fn webshop() {
    static MADE: OnceCell<()> = OnceCell::const_new();
    let make = async || {
        let cluster = cluster().await;
        cluster.execute("CREATE ROLE deploy LOGIN; CREATE ROLE checkout LOGIN").await.expect("roles");
        cluster.execute("CREATE DATABASE webshop OWNER deploy").await.expect("a database");
        let tables = "CREATE TABLE orders (id bigint PRIMARY KEY, region text NOT NULL, status text NOT NULL); \
            INSERT INTO orders SELECT i, 'eu', 'open' FROM generate_series(1, 100) AS i; \
            GRANT SELECT, UPDATE ON orders TO deploy, checkout";
        cluster.execute_in(WEBSHOP, tables).await.expect("a table");
    };
    MADE.get_or_init(make).await;
}

/// A migration that locked rows and died where it stood, as far as its server can tell.
pub async fn crashed() -> Session {
    let migration = Session::of(cluster().await, "deploy", WEBSHOP, "migrate-svc").await;
    migration.execute("BEGIN").await;
    migration.execute("SELECT id FROM orders WHERE region = 'eu' FOR UPDATE").await;
    migration
}

/// Checkouts that want its rows; all of them wait when this returns.
pub async fn writers() -> Vec<Running> {
    let mut writers = Vec::new();
    for id in 1..=WRITERS {
        let writer = Session::of(cluster().await, "checkout", WEBSHOP, "checkout").await;
        writers.push(writer.start(&format!("UPDATE orders SET status = 'paid' WHERE id = {id}")).await);
    }
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'checkout' AND wait_event_type = 'Lock'";
    cluster().await.wait_for(waiting, &WRITERS.to_string(), PATIENCE).await.expect("all of them wait");
    writers
}

/// Somebody else's agent, the official TypeScript SDK over HTTP: it looks, finds the head of the chain, asks to end it, waits for
/// a person, and looks whether that helped.
pub fn agent(host: &Host, token: &str) -> Script {
    let arguments = ["v2", "http", &format!("http://{}/mcp", host.agents)].map(str::to_owned);
    Script::javascript("incident.mjs", &arguments, token)
}
