//! Resources, prompts and completions, on every way in.

use lockgate::mcp::{McpSettings, face::Face};
use rmcp::model::{
    ArgumentInfo, CompleteRequestParams, GetPromptRequestParams, ReadResourceRequestParams, Reference, ResourceContents,
};
use serde_json::{Value, json};

use crate::{
    doors::{Client, Era, Served, WAYS, Way, error},
    offering::Offering,
};

async fn read(client: &Client, uri: &str) -> Result<(String, String), (i32, String)> {
    match client.client.read_resource(ReadResourceRequestParams::new(uri)).await {
        Ok(read) => match &read.contents[0] {
            ResourceContents::TextResourceContents { uri: of, mime_type, text, .. } => {
                assert_eq!(of, uri);
                Ok((mime_type.clone().unwrap(), text.clone()))
            }
            other => panic!("{other:?}"),
        },
        refused => Err(error(refused)),
    }
}

async fn json_of(client: &Client, uri: &str) -> Value {
    let (mime, text) = read(client, uri).await.unwrap();
    assert_eq!(mime, "application/json");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn what_there_is_to_read_is_what_the_agent_may_see() {
    for way in WAYS {
        let gate = Offering::new();
        gate.hide("one", "postgres.terminate_backend");
        // Small pages: the list is whole all the same.
        let served = Served::new(&gate, McpSettings { page_size: 2, ..McpSettings::default() }, way).await;
        let one = served.connect("one").await;
        let all = one.client.list_all_resources().await.unwrap();
        let uris: Vec<_> = all.iter().map(|resource| resource.uri.as_str()).collect();
        let expected = [
            "lockgate://actions/postgres.lock_blocking_chains",
            "lockgate://actions/postgres.replication_lag",
            "lockgate://packs/postgres",
            "lockgate://targets",
        ];
        assert_eq!(uris, expected, "{way:?}");
        let mut templates: Vec<_> =
            one.client.list_all_resource_templates().await.unwrap().into_iter().map(|t| t.uri_template).collect();
        templates.sort();
        assert_eq!(templates, ["lockgate://actions/{action}", "lockgate://packs/{pack}", "lockgate://runs/{run}"]);

        let (mime, page) = read(&one, "lockgate://packs/postgres").await.unwrap();
        assert_eq!((mime.as_str(), page.contains("terminate_backend")), ("text/markdown", false), "{way:?}");
        assert_eq!(all[2].size, Some(page.len() as u64));
        let action = json_of(&one, "lockgate://actions/postgres.replication_lag").await;
        assert_eq!(action["name"], "postgres.replication_lag");
        assert_eq!(json_of(&one, "lockgate://targets").await[0]["version_num"], 170_004);
        let record = json_of(&one, "lockgate://runs/run_one_1").await;
        assert_eq!((&record["run"]["run"], &record["lines"][0]["seq"]), (&json!("run_one_1"), &json!(1)));
        let (_, text) = read(&one, "lockgate://runs/run_one_1").await.unwrap();
        assert!(text.contains("a\\u202eb") && !text.contains('\u{202e}'), "{text}");

        let code = if way.era() == Era::Older { -32002 } else { -32602 };
        for missing in [
            "lockgate://actions/postgres.terminate_backend",
            "lockgate://actions/postgres.nonsense",
            "lockgate://packs/mysql",
            "lockgate://runs/run_two_1",
            "lockgate://runs/run_nobody",
            "lockgate://targets/primary",
            "file:///etc/passwd",
        ] {
            let (got, message) = read(&one, missing).await.unwrap_err();
            assert_eq!(got, code, "{way:?} {missing}: {message}");
            assert!(message.starts_with(&format!("no resource `{missing}`")), "{message}");
        }
    }
}

#[tokio::test]
async fn a_playbook_names_what_its_reader_can_call() {
    for way in WAYS {
        let gate = Offering::new();
        gate.hide("two", "postgres.terminate_backend");
        let served = Served::new(&gate, McpSettings::default(), way).await;
        let (one, two) = (served.connect("one").await, served.connect("two").await);
        let names: Vec<_> = one.client.list_all_prompts().await.unwrap().into_iter().map(|p| p.name).collect();
        assert_eq!(names, ["connection_storm", "lock_pileup", "replication_lag", "wraparound"], "{way:?}");
        let get = async |client: &Client, name: &str, arguments: Value| {
            let request = GetPromptRequestParams::new(name).with_arguments(arguments.as_object().unwrap().clone());
            let prompt = client.client.get_prompt(request).await.map_err(|e| error::<()>(Err(e)))?;
            Ok::<String, (i32, String)>(prompt.messages[0].content.as_text().unwrap().text.clone())
        };
        let told = get(&one, "lock_pileup", json!({"target": "primary"})).await.unwrap();
        assert!(told.contains("2. `postgres.terminate_backend` (a person must approve): "), "{told}");
        assert!(told.contains("`lockgate.await_approval`") && !told.contains("kill_idle"), "{told}");
        let told = get(&two, "lock_pileup", json!({})).await.unwrap();
        assert!(!told.contains("terminate_backend") && !told.contains("await_approval"), "{told}");
        // Wraparound has no step left for this agent.
        for (name, arguments) in [
            ("wraparound", json!({})),
            ("nonsense", json!({})),
            ("lock_pileup", json!({"target": "elsewhere"})),
            ("lock_pileup", json!({"server": "primary"})),
        ] {
            assert_eq!(get(&two, name, arguments).await.unwrap_err().0, -32602, "{way:?} {name}");
        }
    }
}

#[tokio::test]
async fn completions_know_what_the_agent_knows() {
    for way in WAYS {
        let gate = Offering::new();
        gate.hide("one", "postgres.terminate_backend");
        let served = Served::new(&gate, McpSettings { face: Face::Catalogue, ..McpSettings::default() }, way).await;
        let one = served.connect("one").await;
        let complete = async |reference: Reference, name: &str, typed: &str| {
            let request = CompleteRequestParams::new(reference, ArgumentInfo::new(name, typed));
            one.client.complete(request).await.map(|answer| answer.completion.values).map_err(|e| error::<()>(Err(e)).0)
        };
        let prompt = || Reference::for_prompt("lock_pileup");
        assert_eq!(complete(prompt(), "target", "").await.unwrap(), ["primary", "replica1"], "{way:?}");
        assert_eq!(complete(prompt(), "target", "re").await.unwrap(), ["replica1"]);
        let of = Reference::for_resource;
        assert_eq!(complete(of("lockgate://packs/{pack}"), "pack", "p").await.unwrap(), ["postgres"]);
        assert_eq!(
            complete(of("lockgate://actions/{action}"), "action", "postgres.").await.unwrap(),
            ["postgres.lock_blocking_chains", "postgres.replication_lag"]
        );
        assert_eq!(complete(of("lockgate://runs/{run}"), "run", "run_one_1").await.unwrap(), ["run_one_1"]);
        assert!(complete(of("lockgate://runs/{run}"), "run", "run_two").await.unwrap().is_empty());
        for (reference, name) in [
            (Reference::for_prompt("wraparound"), "targets"),
            (Reference::for_prompt("nonsense"), "target"),
            (of("lockgate://packs/{pack}"), "action"),
            (of("file:///{path}"), "path"),
        ] {
            assert_eq!(complete(reference, name, "").await.unwrap_err(), -32602);
        }
    }
}

#[tokio::test]
async fn lists_are_private_to_whom_they_were_made_for() {
    for way in WAYS {
        let served = Served::new(&Offering::new(), McpSettings::default(), way).await;
        let one = served.connect("one").await;
        let tools = serde_json::to_value(one.client.list_tools(None).await.unwrap()).unwrap();
        let resources = serde_json::to_value(one.client.list_resources(None).await.unwrap()).unwrap();
        let prompts = serde_json::to_value(one.client.list_prompts(None).await.unwrap()).unwrap();
        let read = ReadResourceRequestParams::new("lockgate://targets");
        let read = serde_json::to_value(one.client.read_resource(read).await.unwrap()).unwrap();
        // What changes without a word is not to be kept at all.
        assert_eq!(read.get("ttlMs"), (way.era() == Era::Newer).then_some(&json!(0)), "{way:?}");
        for answer in [tools, resources, prompts, read] {
            let hints = (&answer["cacheScope"], answer["ttlMs"].is_u64());
            match way {
                Way::Stdio(Era::Newer) | Way::Http(Era::Newer) => assert_eq!(hints, (&json!("private"), true)),
                Way::Stdio(Era::Older) | Way::Http(Era::Older) => assert_eq!(hints, (&Value::Null, false)),
            }
        }
    }
}
