//! The example packs, one in each language: built from their sources, signed, taken in by a host that knows nothing of languages, and
//! called over MCP on the oldest server, the system's and the newest.

use lockgate::postgres::throwaway::{Cluster, Options};
use lockgate_tests::{
    AGENT,
    agent::Agent,
    servers::{fetched, majors},
    session::run,
    site::{BuiltPack, Site, cache_toml},
};
use serde_json::{Map, Value as Json, json};

const PACKS: [&str; 3] = ["packs/examples/rust", "packs/examples/javascript", "packs/examples/python"];

/// Two thirds of one table are gone; nothing is of the other.
const TABLES: &str = "CREATE EXTENSION pg_stat_statements;
    CREATE TABLE public.whole AS SELECT i AS id, i::int8 AS other FROM generate_series(1, 60000) AS i;
    CREATE TABLE public.hollow AS SELECT i AS id, i::int8 AS other FROM generate_series(1, 60000) AS i;
    DELETE FROM public.hollow WHERE id % 3 <> 0";

async fn server(major: u32) -> Cluster {
    let options = Options { major: Some(major), servers: vec![fetched()], stat_statements: true, ..Options::default() };
    let cluster = Cluster::primary(options).start().await.expect("a server");
    cluster.execute(&format!("CREATE ROLE {AGENT} LOGIN IN ROLE pg_monitor")).await.expect("a role");
    cluster.execute("CREATE DATABASE shop").await.expect("a database");
    cluster.execute_in("shop", TABLES).await.expect("tables");
    for table in ["whole", "hollow"] {
        cluster.execute_in("shop", &format!("VACUUM ANALYZE public.{table}")).await.expect("statistics");
    }
    cluster
}

/// The rows of an answer's only table, by the names of its columns.
fn rows(answer: &Json) -> Vec<Map<String, Json>> {
    assert_eq!(answer["status"], "done", "{answer}");
    let table = &answer["tables"][0];
    let names: Vec<&str> =
        table["columns"].as_array().expect("columns").iter().filter_map(|c| c["name"].as_str()).collect();
    let row = |row: &Json| {
        let cells = row.as_array().expect("a row").iter().cloned();
        names.iter().map(|name| (*name).to_owned()).zip(cells).collect()
    };
    table["rows"].as_array().expect("rows").iter().map(row).collect()
}

fn number(row: &Map<String, Json>, column: &str) -> f64 {
    row.get(column).and_then(Json::as_f64).unwrap_or_else(|| panic!("{column} of {row:?}"))
}

#[test]
fn each_language_has_a_pack_that_an_unchanged_host_runs() {
    run(async {
        let mut clusters = Vec::new();
        for major in majors() {
            clusters.push(server(major).await);
        }
        let name = |cluster: &Cluster| format!("pg{}", cluster.major());
        let targets: Vec<_> = clusters.iter().map(|c| c.target(&name(c), AGENT, "shop")).collect();
        let site = Site::new(&targets, &cache_toml());
        for directory in PACKS {
            site.add(&BuiltPack::build(directory).await);
        }
        let agent = Agent::start(env!("CARGO_BIN_EXE_lockgate_cli").as_ref(), &site.path("lockgate.toml")).await;
        for cluster in &clusters {
            let target = name(cluster);
            audits_connections(&agent, &target).await;
            estimates_bloat(&agent, &target).await;
            finds_regressions(&agent, &target, cluster).await;
        }
    });
}

/// In Rust.
async fn audits_connections(agent: &Agent, target: &str) {
    let answer = agent.call("connections.audit", target, json!({})).await;
    assert_eq!(answer["tables"][0]["title"], "Connections by application", "{answer}");
    assert!(rows(&answer).iter().all(|row| number(row, "connections") >= 1.0), "{answer}");
}

/// In JavaScript. All columns of these tables are of fixed width, so the estimates are close.
async fn estimates_bloat(agent: &Agent, target: &str) {
    let answer = agent.call("bloat.table_bloat", target, json!({ "min_mib": 0 })).await;
    let rows = rows(&answer);
    let percent = |table: &str| {
        let row = rows.iter().find(|row| row["table_name"] == table).unwrap_or_else(|| panic!("{table}: {answer}"));
        assert_eq!(row["varying_columns"], 0, "{row:?}");
        number(row, "bloat_percent")
    };
    // From PostgreSQL 16 on a table grows by many pages at once, of which the last may be empty.
    assert!(percent("whole") < 6.0, "{answer}");
    assert!((60.0..70.0).contains(&percent("hollow")), "{answer}");
}

/// In Python: a statement whose time grows tenfold is found, and shown as its shape.
async fn finds_regressions(agent: &Agent, target: &str, cluster: &Cluster) {
    let run = async |seconds: &str| {
        for _ in 0..12 {
            cluster.execute_in("shop", &format!("SELECT pg_sleep({seconds})")).await.expect("a statement");
            cluster.execute_in("shop", "SELECT count(*) FROM public.whole").await.expect("a statement");
        }
    };
    run("0.005").await;
    let answer = agent.call("regressions.baseline", target, json!({})).await;
    let baseline = rows(&answer)[0]["baseline"].as_str().expect("a baseline").to_owned();
    run("0.05").await;

    let answer = agent.call("regressions.regressions", target, json!({ "baseline": baseline, "factor": 3.0 })).await;
    let slower = rows(&answer);
    let slept = slower.iter().find(|row| row["query"].as_str().is_some_and(|q| q.contains("pg_sleep")));
    let slept = slept.unwrap_or_else(|| panic!("{answer}"));
    assert!(number(slept, "factor") > 4.0 && number(slept, "calls_since") >= 12.0, "{slept:?}");
    assert!(!slower.iter().any(|row| row["query"].as_str().is_some_and(|q| q.contains("pg_sleep(0"))), "{answer}");

    let refused = agent.call("regressions.regressions", target, json!({ "baseline": "v1~a.0.1.1" })).await;
    assert_eq!(refused["code"], "invalid_arguments", "{refused}");
}
