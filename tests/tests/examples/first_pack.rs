//! "Write your first pack", word for word: every command of the three pages in order, each file that they show, and at the end the
//! pack's action called over MCP.

use std::{fs, os::unix::fs::symlink, path::Path};

use lockgate::postgres::throwaway::{Cluster, Options};
use lockgate_tests::{
    AGENT,
    agent::Agent,
    desk::Desk,
    session::run,
    site::{root, target_toml},
};
use serde_json::{Value as Json, json};

/// What a page says: commands, and files by their names.
enum Step {
    Run(String),
    Write { name: String, text: String },
}

/// A page's blocks in order. A file's name stands before its block, between backticks.
fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = page;
    while let Some((before, from)) = rest.split_once("\n```") {
        let (language, from) = from.split_once('\n').expect("a block");
        let (block, after) = from.split_once("\n```").expect("it ends");
        match language {
            "console" => {
                let joined = block.replace("\\\n", " ");
                steps.extend(
                    joined.lines().map(|line| Step::Run(line.strip_prefix("$ ").expect("a command").to_owned())),
                );
            }
            "toml" => {
                let paragraph = before.rsplit("\n\n").next().expect("words before it");
                let name = paragraph.trim().strip_prefix('`').and_then(|said| said.split('`').next());
                let name = name.unwrap_or_else(|| panic!("which file is it? {paragraph}")).to_owned();
                steps.push(Step::Write { name, text: format!("{block}\n") });
            }
            _ => {}
        }
        rest = after;
    }
    steps
}

/// Does what the page says, and calls what it leads to.
async fn follow(page: &str, lends: impl Fn(&Path)) -> Json {
    let cluster = Cluster::primary(Options::default()).start().await.expect("a server");
    cluster.execute(&format!("CREATE ROLE {AGENT} LOGIN IN ROLE pg_monitor")).await.expect("a role");
    cluster.execute("CREATE TABLE public.things AS SELECT generate_series(1, 1000) AS id").await.expect("a table");
    let mut desk = Desk::new(env!("CARGO_BIN_EXE_lockgate_cli").as_ref());
    // What setup has fetched is not fetched again.
    desk.set("npm_config_prefer_offline", "true");
    desk.set("npm_config_fund", "false");
    desk.set("npm_config_audit", "false");
    let page = fs::read_to_string(root().join("docs/packs").join(page)).expect("the page");
    let mut key = String::new();
    let steps = steps(&page);
    assert!(steps.len() >= 10, "the page has only {} steps", steps.len());
    for step in steps {
        match step {
            // A machine has it, or Debian's compiler, which scripts/setup installs.
            Step::Run(line) if line.starts_with("rustup ") => {}
            Step::Run(line) => {
                let said = desk.succeeds(&line).await;
                if line.starts_with("cd ") {
                    lends(desk.at());
                }
                if line.starts_with("lockgate-sign key generate") {
                    key = said
                        .split("public_key = \"")
                        .nth(1)
                        .and_then(|rest| rest.split('"').next())
                        .expect("a key")
                        .to_owned();
                }
            }
            Step::Write { name, text } => {
                // Their own key, and their own server.
                let text = text.replace('…', &key);
                let text = match text.split_once("[[target]]") {
                    Some((before, _)) => {
                        format!("{before}{}", target_toml(&[cluster.target("primary", AGENT, "postgres")]))
                    }
                    None => text,
                };
                desk.write(&name, &text);
            }
        }
    }
    let agent = Agent::start(env!("CARGO_BIN_EXE_lockgate_cli").as_ref(), &desk.path("lockgate.toml")).await;
    agent.call("my-pack.largest_tables", "primary", json!({})).await
}

fn assert_called(answer: &Json) {
    assert_eq!(answer["status"], "done", "{answer}");
    assert!(answer["tables"][0].to_string().contains("things"), "{answer}");
}

#[test]
fn in_rust() {
    run(async {
        // What every build on this machine has already: versions that were looked up, and a standard library.
        let answer = follow("authoring-rust.md", |pack| {
            fs::copy(root().join("Cargo.lock"), pack.join("Cargo.lock")).expect("a file");
            symlink(env!("CARGO_TARGET_TMPDIR"), pack.join("target")).expect("a link");
        });
        assert_called(&answer.await);
    });
}

#[test]
fn in_javascript() {
    run(async { assert_called(&follow("authoring-javascript.md", |_| {}).await) });
}

#[test]
fn in_python() {
    run(async { assert_called(&follow("authoring-python.md", |_| {}).await) });
}
