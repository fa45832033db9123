//! Both stock packs as an agent is shown them: which face, how large, which playbooks; what policy takes away is gone from
//! everything that can be read; and a call by name does what the tool would.

use std::{sync::Arc, time::Duration};

use lockgate::{
    gate::{Gate, call::Principal},
    mcp::{
        McpSettings,
        face::{self, Face, MOST_ACTIONS, MOST_BYTES},
        gatekeeper::GateDoor,
        server::Server,
        stdio,
    },
};
use lockgate_tests::{
    AGENT, cluster,
    site::{Site, principal},
};
use rmcp::{
    RoleClient, ServiceExt as _,
    model::{CallToolRequestParams, GetPromptRequestParams, ReadResourceRequestParams, ResourceContents},
    service::RunningService,
};
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

const POLICY: &str = r#"
version = 1

[[rule]]
name = "interns end nothing"
actions = ["postgres.terminate_backend"]
roles = ["intern"]
decision = "deny"
"#;

async fn site() -> Site {
    let cluster = cluster().await;
    let targets = ["primary", "replica1", "replica2"].map(|name| cluster.target(name, AGENT, "postgres"));
    let site = Site::with_stock_packs(&targets, "policy = \"policy.toml\"").await;
    site.write("policy.toml", POLICY);
    site
}

async fn client(gate: &Arc<Gate>, face: Face, roles: &[&str]) -> RunningService<RoleClient, ()> {
    let settings = McpSettings { hold_wait: Duration::ZERO, face, ..McpSettings::default() };
    let who = Principal { roles: roles.iter().map(|role| (*role).to_owned()).collect(), ..principal() };
    let server = Server::new(Arc::new(GateDoor(Arc::clone(gate))), settings).with_caller(who);
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (read, write) = tokio::io::split(theirs);
    tokio::spawn(stdio::serve_on(server, read, write, CancellationToken::new()));
    ().serve(ours).await.expect("a client")
}

async fn answer(client: &RunningService<RoleClient, ()>, tool: &str, arguments: Json) -> Json {
    let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.as_object().unwrap().clone());
    client.call_tool(request).await.expect("a result").structured_content.expect("content")
}

#[tokio::test]
async fn both_stock_packs_are_shown_as_tools_with_room_to_spare() {
    let site = site().await;
    let gate = site.gate().await;
    let offered = gate.offers(&principal());
    let settings = McpSettings::default();
    let tools = face::tools(&offered, &settings);
    assert_eq!((offered.len(), tools.len()), (54, 56));
    let whole = serde_json::to_vec(&tools).unwrap().len();
    let count = tools.len();
    let read = face::bytes_to_read(tools);
    let catalogue = McpSettings { face: Face::Catalogue, ..settings };
    let few = face::bytes_to_read(face::tools(&offered, &catalogue));
    println!("{count} tools: {whole} bytes, {read} without output schemas; as a catalogue {few}");
    assert!(offered.len() < MOST_ACTIONS && read < MOST_BYTES * 4 / 5, "{read} bytes of {MOST_BYTES}");
    assert!(few * 10 < read, "the other face is worth having: {few} of {read}");
}

#[tokio::test]
async fn every_step_of_a_playbook_is_an_action_of_the_stock_packs() {
    let site = site().await;
    let gate = site.gate().await;
    let client = client(&gate, Face::Actions, &[]).await;
    let names: Vec<String> =
        client.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name.into_owned()).collect();
    for (playbook, steps) in [("lock_pileup", 9), ("connection_storm", 11), ("replication_lag", 10), ("wraparound", 10)]
    {
        let prompt = client.get_prompt(GetPromptRequestParams::new(playbook)).await.unwrap();
        let text = prompt.messages[0].content.as_text().unwrap().text.clone();
        let named: Vec<&str> = text
            .lines()
            .filter(|line| line.split_once(". `").is_some_and(|(number, _)| number.parse::<u8>().is_ok()))
            .filter_map(|line| line.split('`').nth(1))
            .collect();
        assert_eq!(named.len(), steps, "no step is left out for want of its action: {text}");
        assert!(named.iter().all(|name| names.contains(&(*name).to_owned())), "{named:?}");
    }
}

#[tokio::test]
async fn what_policy_denies_is_in_no_page() {
    let site = site().await;
    let gate = site.gate().await;
    let page = async |client: &RunningService<RoleClient, ()>, uri: &str| {
        let read = client.read_resource(ReadResourceRequestParams::new(uri)).await.map_err(|e| e.to_string())?;
        match &read.contents[0] {
            ResourceContents::TextResourceContents { text, .. } => Ok::<String, String>(text.clone()),
            other => panic!("{other:?}"),
        }
    };
    let (staff, intern) = (client(&gate, Face::Auto, &[]).await, client(&gate, Face::Auto, &["intern"]).await);
    let whole = page(&staff, "lockgate://packs/postgres").await.unwrap();
    let cut = page(&intern, "lockgate://packs/postgres").await.unwrap();
    // Its heading, its entry in the contents, and its statements. Other actions' prose may speak of it.
    for trace in ["\n## terminate\\_backend\n", "(#terminate_backend)", "pg_terminate_backend("] {
        assert!(whole.contains(trace), "{trace}");
    }
    for trace in ["\n## terminate\\_backend\n", "(#terminate_backend)"] {
        assert!(!cut.contains(trace), "{trace}");
    }
    assert!(cut.contains("\n## cancel\\_query\n"));
    assert!(page(&staff, "lockgate://actions/postgres.terminate_backend").await.is_ok());
    assert!(page(&intern, "lockgate://actions/postgres.terminate_backend").await.is_err());
    assert!(intern.list_all_tools().await.unwrap().iter().all(|tool| tool.name != "postgres.terminate_backend"));
    let steps = intern.get_prompt(GetPromptRequestParams::new("lock_pileup")).await.unwrap();
    assert!(!steps.messages[0].content.as_text().unwrap().text.contains("`postgres.terminate_backend`"));
}

#[tokio::test]
async fn a_call_by_name_reads_the_real_server_and_is_on_the_record() {
    let site = site().await;
    let gate = site.gate().await;
    let client = client(&gate, Face::Catalogue, &[]).await;
    let found = answer(&client, "lockgate.find_actions", json!({"query": "checkout is stuck on a lock"})).await;
    assert_eq!(found["status"], "found", "{found}");
    let described = answer(&client, "lockgate.get_action", json!({"action": "postgres.activity_states"})).await;
    let names = |columns: &Json| -> Vec<Json> {
        columns.as_array().unwrap().iter().map(|column| column["name"].clone()).collect()
    };
    let statements = described["action"]["details"]["statements"].as_array().unwrap();
    let declared: Vec<_> = statements.iter().map(|statement| names(&statement["columns"])).collect();
    let call =
        json!({"action": "postgres.activity_states", "target": "primary", "reason": "a test looks at what happens"});
    let done = answer(&client, "lockgate.run_action", call).await;
    assert_eq!((&done["status"], &done["action"]), (&json!("done"), &json!("postgres.activity_states")), "{done}");
    let columns = names(&done["tables"][0]["columns"]);
    assert!(columns.len() > 1 && declared.contains(&columns), "{columns:?} of {declared:?}");
    assert!(site.run(done["run_id"].as_str().unwrap()).len() >= 2, "intent and outcome");
    // A held act by name is held like any other, and nothing has happened.
    let call = json!({"action": "postgres.kill_idle", "arguments": {"older_than_seconds": 600}, "target": "primary",
        "reason": "a test looks at what happens"});
    let held = answer(&client, "lockgate.run_action", call).await;
    assert!(held["status"] == "pending" || held["code"] == "nothing_to_do", "{held}");
}
