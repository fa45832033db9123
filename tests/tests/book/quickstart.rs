//! From nothing to a first call, as a reader goes: the files of the page, a server that wants the password, the client's configuration
//! as it is printed, an agent that starts what stands in it, and a person who decides.

use std::os::unix::fs::symlink;

use lockgate::postgres::throwaway::{Cluster, Options};
use lockgate_tests::{
    agent::Agent,
    session::{Session, gone, run},
    site::root,
};
use serde_json::{Value as Json, json};

use crate::{
    pages::{block, blocks, page},
    walk::Walk,
    world::{LOCKGATE, desk},
};

const PAGE: &str = "docs/quickstart.md";

/// A server that lets the page's role in only with its password.
async fn server() -> Cluster {
    let hba = vec!["host all lockgate_agent 127.0.0.1/32 scram-sha-256".to_owned()];
    let conf = vec!["password_encryption = 'scram-sha-256'".to_owned()];
    let cluster = Cluster::primary(Options { tcp: true, hba, conf, ..Options::default() });
    let cluster = cluster.start().await.expect("a server");
    let role = block(PAGE, "sql", "lockgate_agent").replace('…', "hunter2 twice");
    for sql in [role.as_str(), "CREATE ROLE app LOGIN", "CREATE DATABASE shop"] {
        cluster.execute(sql).await.expect("what the page says can be run");
    }
    cluster
}

#[test]
fn a_reader_has_a_host_that_works() {
    run(async {
        let cluster = server().await;
        let mut desk = desk();
        symlink(root().join("packs"), desk.path("packs")).expect("a link");
        let config = desk.path("lockgate.toml").display().to_string();
        let mut walk = Walk::of("docs/quickstart.md", &mut desk);

        walk.next("lockgate pack build").await;
        walk.next("lockgate-sign key generate").await;
        walk.next("lockgate-sign sign").await;
        let inspected = walk.desk.succeeds("lockgate pack inspect dist/postgres-1.0.0.wasm").await;
        assert!(inspected.contains("postgres.terminate_backend  risk high"), "{inspected}");
        assert!(
            walk.desk.succeeds("lockgate pack docs dist/postgres-1.0.0.wasm").await.starts_with("# `postgres 1.0.0`")
        );

        // The two files, with the reader's own key and server in them.
        let key: Json = serde_json::from_str(&walk.desk.succeeds("lockgate-sign key show publisher.key --json").await)
            .expect("JSON");
        let [trust, lockgate] = [0, 1].map(|at| {
            blocks(&page(PAGE)).into_iter().filter(|block| block.language == "toml").nth(at).expect("a file").text()
        });
        walk.desk.write_secret("trust.toml", &trust.replace('…', key["public_key"].as_str().expect("a key")));
        let server = format!("host = \"127.0.0.1\"\nport = {}", cluster.port());
        assert!(lockgate.contains("host = \"db1.example\""), "{lockgate}");
        walk.desk.write("lockgate.toml", &lockgate.replace("host = \"db1.example\"", &server));
        let home = walk.desk.home();
        std::fs::write(home.join(".pgpass"), "127.0.0.1:*:shop:lockgate_agent:hunter2 twice\n").expect("a file");
        walk.desk.succeeds("chmod 600 ~/.pgpass").await;
        let found = walk.desk.succeeds("lockgate doctor").await;
        assert!(found.contains("ok       target primary"), "{found}");

        // What is printed for a client is what starts an agent.
        walk.own("/etc/lockgate/lockgate.toml", &config);
        let printed = walk.next("lockgate --config").await.out;
        let printed: Json = serde_json::from_str(&printed).expect("the client's file");
        let server = &printed["mcpServers"]["lockgate"];
        assert_eq!(server["command"], LOCKGATE);
        let mut command = walk.desk.command(LOCKGATE);
        command.args(server["args"].as_array().expect("arguments").iter().map(|word| word.as_str().expect("a word")));
        command.current_dir("/");
        let agent = Agent::over(command).await;
        let states = agent.call("postgres.activity_states", "primary", json!({})).await;
        assert_eq!(states["status"], "done", "{states}");

        let idle = Session::of(&cluster, "app", "shop", "migration").await;
        idle.execute("BEGIN; SELECT 1").await;
        let (asking, pid) = (agent, idle.pid);
        let asked = tokio::spawn(async move {
            let answer = asking.call("postgres.terminate_backend", "primary", json!({ "pid": pid })).await;
            (asking, answer)
        });
        // The agent waits meanwhile; what it asked is found by whoever looks.
        let mut watched = walk.desk.start("lockgate approvals watch --json");
        let seen = watched.says("}\n").await;
        watched.interrupted().await;
        let id = format!("apr_{}", seen.split("apr_").nth(1).expect("an id").split('"').next().expect("it ends"));
        walk.own("apr_…", &id);
        assert!(walk.next("lockgate approvals list").await.out.contains(&id));
        assert!(walk.next("lockgate approvals show").await.out.contains("migration"));
        walk.typed("lockgate approvals approve", &[("Type `approve`", "approve")]).await;
        let (agent, answer) = asked.await.expect("an answer");
        assert_eq!(answer["status"], "done", "{answer}");
        gone(&cluster, idle.pid).await;

        let mut tail = walk.desk.start("lockgate audit tail -f");
        tail.says("approval.decided").await;
        drop((tail, agent));
        // The name, the key's hash and the key.
        assert_eq!(walk.desk.succeeds("lockgate audit key").await.trim().splitn(3, '+').count(), 3);
        assert!(walk.desk.succeeds("lockgate audit verify").await.contains("intact"));
    });
}
