//! The two faces of the catalogue, on every way in: what is listed, found, described and run, and that what is hidden from an
//! agent has the answer of what does not exist.

use lockgate::mcp::{
    McpSettings,
    face::{Face, MOST_ACTIONS},
    tool::Separator,
};
use rmcp::model::{CallToolRequestParams, CallToolResult};
use serde_json::{Value, json};

use crate::{
    doors::{Client, Era, Served, WAYS, Way, error},
    offering::{Offering, action},
};

const CATALOGUE: [&str; 5] = [
    "lockgate.await_approval",
    "lockgate.find_actions",
    "lockgate.get_action",
    "lockgate.recent_runs",
    "lockgate.run_action",
];

fn face(face: Face) -> McpSettings {
    McpSettings { face, ..McpSettings::default() }
}

fn request(tool: &str, arguments: &Value) -> CallToolRequestParams {
    CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.as_object().unwrap().clone())
}

async fn call(client: &Client, tool: &str, arguments: Value) -> CallToolResult {
    client.client.call_tool(request(tool, &arguments)).await.unwrap()
}

/// The structured answer.
async fn answer(client: &Client, tool: &str, arguments: Value) -> Value {
    call(client, tool, arguments).await.structured_content.unwrap()
}

fn text(result: &CallToolResult) -> String {
    result.content.iter().map(|block| block.as_text().unwrap().text.as_str()).collect::<Vec<_>>().join("\n")
}

async fn names(client: &Client) -> Vec<String> {
    client.client.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name.into_owned()).collect()
}

#[tokio::test]
async fn each_agent_gets_the_face_that_its_own_actions_ask_for() {
    let many: Vec<_> = (0..=MOST_ACTIONS).map(|n| action(&format!("postgres.a{n:03}"), "A title", &[])).collect();
    for way in WAYS {
        let gate = Offering::of(many.clone());
        gate.hide("two", "postgres.a000");
        let served = Served::new(&gate, McpSettings { page_size: 40, ..McpSettings::default() }, way).await;
        let (one, two) = (served.connect("one").await, served.connect("two").await);
        assert_eq!(names(&one).await, CATALOGUE, "{way:?}");
        let listed = names(&two).await;
        assert_eq!(listed.len(), MOST_ACTIONS + 2, "{way:?}: every page was asked for");
        assert!(listed.is_sorted() && !listed.contains(&"postgres.a000".to_owned()), "{way:?}");
        // A client with an older list of tools is not stranded.
        let done = answer(&one, "postgres.a001", json!({"target": "primary", "reason": "looking around"})).await;
        assert_eq!(done["status"], "done", "{way:?}");
        let told = |client: &Client| client.client.peer_info().and_then(|info| info.instructions.clone()).unwrap();
        assert!(
            told(&one).contains("lockgate.find_actions") && !told(&two).contains("lockgate.find_actions"),
            "{way:?}"
        );
    }
}

#[tokio::test]
async fn running_by_name_is_the_same_call() {
    for way in WAYS {
        let gate = Offering::new();
        let served = Served::new(&gate, face(Face::Catalogue), way).await;
        let one = served.connect("one").await;
        for (action, arguments) in [
            ("postgres.lock_blocking_chains", json!({})),
            ("postgres.terminate_backend", json!({"pid": 4471})),
            ("postgres.terminate_backend", json!({"pid": "4471"})),
        ] {
            let beside = json!({"target": "primary", "reason": "dead migration blocks thirty writers"});
            let mut direct = arguments.clone();
            direct.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
            let direct = answer(&one, action, direct).await;
            let mut named = beside;
            named["action"] = action.into();
            named["arguments"] = arguments;
            let mut by_name = answer(&one, "lockgate.run_action", named).await;
            let expects = by_name.as_object_mut().unwrap().remove("expects");
            assert_eq!(by_name, direct, "{way:?}");
            assert_eq!(expects.is_some(), direct["status"] == "refused", "{way:?}: {by_name}");
        }
        let log = gate.log();
        assert_eq!(log.len(), 6);
        for pair in log.chunks(2) {
            assert_eq!(pair[0], pair[1], "{way:?}: the gate can't tell them apart");
        }
    }
}

#[tokio::test]
async fn wrong_arguments_come_back_with_what_is_right() {
    let gate = Offering::new();
    let served = Served::new(&gate, face(Face::Catalogue), Way::Stdio(Era::Older)).await;
    let one = served.connect("one").await;
    let wrong = json!({"action": "postgres.terminate_backend", "arguments": {"pid": "x"}, "target": "primary",
        "reason": "a good reason"});
    let result = call(&one, "lockgate.run_action", wrong).await;
    assert_eq!(result.is_error, Some(true));
    let content = result.structured_content.clone().unwrap();
    assert_eq!(content["expects"]["pid"]["maximum"], 4_194_304, "{content}");
    assert!(text(&result).contains("What postgres.terminate_backend expects: {\"pid\":"), "{}", text(&result));
    // What stands in the wrong place is named, and nothing runs.
    let misplaced = json!({"action": "postgres.lock_blocking_chains", "arguments": {"reason": "inside", "sql": "x"},
        "reason": "a good reason", "target": "primary", "approve": true});
    let content = answer(&one, "lockgate.run_action", misplaced).await;
    let named: Vec<_> = content["problems"].as_array().unwrap().iter().map(|p| p["argument"].clone()).collect();
    assert_eq!(named, ["approve", "reason"], "{content}");
    assert!(
        answer(&one, "lockgate.run_action", json!({"reason": "a good reason"})).await["code"] == "invalid_arguments"
    );
    assert!(!gate.log().iter().any(|line| line.contains("lock_blocking_chains")), "{:?}", gate.log());
}

#[tokio::test]
async fn what_is_hidden_from_an_agent_does_not_exist_for_it() {
    let hidden = "postgres.terminate_backend";
    for way in WAYS {
        let gate = Offering::new();
        gate.hide("one", hidden);
        for shown in [Face::Actions, Face::Catalogue] {
            let served = Served::new(&gate, face(shown), way).await;
            let (one, two) = (served.connect("one").await, served.connect("two").await);
            assert!(!names(&one).await.contains(&hidden.to_owned()), "{way:?}");
            // The same answer but for the name that was asked for.
            let unknown = "postgres.terminate_backxxx";
            let ask = async |tool: &str, arguments: Value| {
                let result = call(&one, tool, arguments).await;
                (text(&result) + &result.structured_content.unwrap().to_string()).replace(unknown, hidden)
            };
            let get = |name: &str| json!({ "action": name });
            let run = |name: &str| json!({"action": name, "arguments": {"pid": 1}, "reason": "a good reason"});
            assert_eq!(ask("lockgate.get_action", get(hidden)).await, ask("lockgate.get_action", get(unknown)).await);
            assert_eq!(ask("lockgate.run_action", run(hidden)).await, ask("lockgate.run_action", run(unknown)).await);
            let direct = async |name: &str| {
                let wrong = request(name, &json!({"pid": 1, "reason": "short"}));
                let (code, message) = error(one.client.call_tool(wrong).await);
                (code, message.replace(unknown, hidden))
            };
            assert_eq!(direct(hidden).await, direct(unknown).await, "{way:?}");
            let found = answer(&one, "lockgate.find_actions", json!({"query": "terminate backend session"})).await;
            assert!(!found.to_string().contains(hidden), "{way:?}: {found}");
            // And it is there for whom it is not hidden from.
            let found = answer(&two, "lockgate.find_actions", json!({"query": "terminate backend session"})).await;
            assert_eq!(found["actions"][0]["name"], hidden, "{way:?}: {found}");
        }
    }
}

#[tokio::test]
async fn what_fits_is_found_and_described_and_what_does_not_is_not() {
    let gate = Offering::new();
    let served = Served::new(&gate, face(Face::Catalogue), Way::Stdio(Era::Newer)).await;
    let one = served.connect("one").await;
    let result = call(&one, "lockgate.find_actions", json!({"query": "checkout is stuck on a lock", "limit": 1})).await;
    let content = result.structured_content.clone().unwrap();
    assert_eq!(content["status"], "found");
    assert_eq!(content["actions"].as_array().unwrap().len(), 1);
    assert_eq!(content["actions"][0]["name"], "postgres.lock_blocking_chains");
    assert!(!content["actions"][0]["why"].as_array().unwrap().is_empty());
    let next = &content["next"];
    assert_eq!(next["tool"], "lockgate.get_action");
    assert_eq!(answer(&one, "lockgate.get_action", next["arguments"].clone()).await["status"], "described");
    assert!(text(&result).contains("postgres.lock_blocking_chains (reads, low risk): Lock blocking chains."));

    let result = call(&one, "lockgate.find_actions", json!({"query": "pay the invoices"})).await;
    let content = result.structured_content.clone().unwrap();
    assert_eq!((&content["status"], result.is_error), (&json!("nothing_fits"), Some(false)));
    assert!(content.get("actions").is_none() && text(&result).contains("do not run something near it"), "{content}");
    assert!(text(&result).contains("- postgres (2 that read, 1 that act): Operates a PostgreSQL server"));
    for wrong in [
        json!({}),
        json!({"query": ""}),
        json!({"query": 7}),
        json!({"query": "x", "limit": 0}),
        json!({"query": "x", "limit": 21}),
        json!({"query": "x", "sql": ""}),
        json!({"query": "x".repeat(501)}),
    ] {
        let content = answer(&one, "lockgate.find_actions", wrong.clone()).await;
        assert_eq!(content["code"], "invalid_arguments", "{wrong}");
    }

    let content = answer(&one, "lockgate.get_action", json!({"action": "postgres.terminate_backend"})).await;
    let action = &content["action"];
    assert_eq!((&action["risk"], &action["held"], &action["read_only"]), (&json!("high"), &json!(true), &json!(false)));
    assert_eq!(action["input_schema"]["properties"]["pid"]["maximum"], 4_194_304);
    assert_eq!(action["targets"][1], json!({"name": "replica1", "role": "standby", "health": "unreachable"}));
    assert_eq!(action["details"]["statements"][0]["columns"][0], json!({"name": "blocked_pid", "kind": "integer"}));
    // An example is a whole call: sent as it stands, it goes through.
    let example = &action["examples"][0]["call"];
    assert_eq!(example["tool"], "lockgate.run_action");
    let done = answer(&one, example["tool"].as_str().unwrap(), example["arguments"].clone()).await;
    assert_eq!(done["status"], "pending", "{done}");
}

#[tokio::test]
async fn an_agent_sees_its_own_runs_as_a_table_that_nothing_can_forge() {
    let gate = Offering::new();
    let served = Served::new(&gate, face(Face::Actions), Way::Http(Era::Newer)).await;
    let one = served.connect("one").await;
    let result = call(&one, "lockgate.recent_runs", json!({})).await;
    let content = result.structured_content.clone().unwrap();
    assert_eq!(content["runs"][0]["run"], "run_one_2");
    assert_eq!(content["next_cursor"], "17");
    let said = text(&result);
    assert!(said.contains("started|run|state|action|target|approval|summary\n"), "{said}");
    assert!(said.contains("|run_one_1|done|postgres.lock_blocking_chains|primary||2 rows\\|\\nrun forged\n"), "{said}");
    assert!(said.contains("take it up with `lockgate.await_approval`"), "{said}");
    let held = answer(&one, "lockgate.recent_runs", json!({"state": "held", "limit": 5})).await;
    assert_eq!(held["runs"].as_array().unwrap().len(), 1);
    let wrong = json!({"state": "lost", "limit": 51, "action": "", "sql": 1});
    let content = answer(&one, "lockgate.recent_runs", wrong).await;
    let named: Vec<_> = content["problems"].as_array().unwrap().iter().map(|p| p["argument"].clone()).collect();
    assert_eq!(named, ["sql", "action", "state", "limit"]);
}

#[tokio::test]
async fn every_name_goes_through_the_separator() {
    let gate = Offering::new();
    let settings = McpSettings { separator: Separator::Underscore, ..face(Face::Catalogue) };
    let served = Served::new(&gate, settings, Way::Stdio(Era::Older)).await;
    let one = served.connect("one").await;
    assert_eq!(names(&one).await, CATALOGUE.map(|name| name.replace('.', "_")));
    let call = json!({"action": "postgres_lock_blocking_chains", "target": "primary", "reason": "looking around"});
    let done = answer(&one, "lockgate_run_action", call).await;
    assert_eq!(done["action"], "postgres.lock_blocking_chains");
    let content = answer(&one, "lockgate_get_action", json!({"action": "postgres_terminate_backend"})).await;
    assert_eq!(content["action"]["examples"][0]["call"]["tool"], "lockgate_run_action");
    let runs = answer(&one, "lockgate_recent_runs", json!({"action": "postgres_lock_blocking_chains"})).await;
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1);
}
