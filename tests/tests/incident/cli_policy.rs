//! `lockgate policy` as operators and their CI use it: check, explain, test and diff, with and without a host around.

use std::fs;

use lockgate_tests::site::call;
use serde_json::{Value as Json, json};

use crate::{
    cli::{assert_error, is_calm},
    order::site,
    process::{Said, bare, lockgate, run},
};

const POLICY: &str = r#"version = 1

[[rule]]
name = "two for a kill"
actions = ["postgres.terminate_backend", "postgres.kill_idle"]
decision = "approve"
approvals = 2
approvers = ["dba"]

[[rule]]
name = "no long lists"
actions = ["postgres.activity_detail"]
decision = "deny"
[rule.arguments]
limit = { min = 100 }
"#;

const CASES: &str = r#"version = 1
[[case]]
name = "a kill takes two"
call = { action = "postgres.terminate_backend", risk = "high", target = "primary", agent = "claude", arguments = { pid = 1 } }
expect = "approve"
rule = "two for a kill"
approvals = 2
approvers = ["dba"]
"#;

fn says(said: &Said, code: i32, parts: &[&str]) {
    assert_eq!((said.code, said.err.as_str()), (code, ""), "{said:#?}");
    for part in parts {
        assert!(said.out.contains(part), "`{part}` is not said: {}", said.out);
    }
    is_calm(said);
}

#[tokio::test]
async fn a_policy_is_checked_and_tested_where_there_is_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("it is written");
        path
    };
    let (policy, cases) = (write("policy.toml", POLICY), write("cases.toml", CASES));
    let none = dir.path().join("none.toml");
    let command = |arguments: &[&str]| {
        let mut command = bare();
        command.arg("--config").arg(&none).arg("policy").args(arguments);
        command
    };

    let said = run(command(&["check"]).arg(&policy)).await;
    says(&said, 0, &["sound, no warnings", "checked without packs and targets"]);
    let said = run(command(&["check", "--print"]).arg(&policy)).await;
    says(&said, 0, &["version = 1", "name = \"no long lists\""]);
    // What is printed is a policy, and the same one.
    let printed = write("printed.toml", &said.out);
    let digest = |said: &Said| serde_json::from_str::<Json>(&said.out).expect("JSON")["digest"].clone();
    let (one, other) =
        (run(command(&["check", "--json"]).arg(&policy)).await, run(command(&["check", "--json"]).arg(&printed)).await);
    assert_eq!(digest(&one), digest(&other));

    let typo = write("typo.toml", &POLICY.replace("approvers", "aprovers"));
    let said = run(command(&["check"]).arg(&typo)).await;
    assert_error(&said, 2, "config_invalid", &["typo.toml:8:1", "did you mean `approvers`"]);

    let said = run(command(&["test"]).arg(&cases).arg("--policy").arg(&policy)).await;
    says(&said, 0, &["ok   a kill takes two", "1 passed, 0 failed"]);
    let wrong = write("wrong.toml", &CASES.replace("approvals = 2", "approvals = 1"));
    let said = run(command(&["test"]).arg(&wrong).arg("--policy").arg(&policy)).await;
    says(&said, 1, &["FAIL a kill takes two", "wrong.toml:2", "approvals: expected 1, is 2", "0 passed, 1 failed"]);
    let empty = write("empty.toml", "version = 1\n");
    let said = run(command(&["test"]).arg(&empty).arg("--policy").arg(&policy)).await;
    assert_error(&said, 2, "config_invalid", &["no [[case]]"]);

    let explain = ["explain", "postgres.kill_idle", "--target", "primary", "--risk", "high", "--role", "oncall"];
    let said = run(command(&explain).arg("--policy").arg(&policy)).await;
    says(
        &said,
        0,
        &["approve, by rule `two for a kill`: 2 people of dba", "* rule `two for a kill`", "rule `no long lists`"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_looked_at_with_the_packs_and_the_record_of_a_host() {
    let site = site("ruled").await;
    site.write("policy.toml", POLICY);
    let config = fs::read_to_string(site.path("lockgate.toml")).expect("the configuration");
    site.write("lockgate.toml", &format!("policy = \"policy.toml\"\n{config}"));
    let gate = site.gate().await;
    for limit in [5, 5, 150] {
        let answer = call(&gate, "postgres.activity_detail", "ruled", json!({ "limit": limit })).await;
        assert_eq!(answer.is_ok(), limit < 100, "{answer:?}");
    }
    let lines = site.record().len();

    // What a call would get, with what it leaves out filled in from the pack.
    let said = run(lockgate(&site).args(["policy", "explain", "postgres.activity_detail"])).await;
    says(&said, 0, &["allow, by default for risk `low`", "arguments.limit: is at least 100 — has 20"]);
    let said =
        run(lockgate(&site).args(["policy", "explain", "postgres.activity_detail", "limit=120", "--json"])).await;
    let told: Json = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(told["explanation"]["decision"]["verdict"], "deny", "{told}");
    let said = run(lockgate(&site).args(["policy", "explain", "postgres.activity_detail", "limit=many"])).await;
    assert_error(&said, 2, "config_invalid", &["`limit` must be a whole number"]);
    let said = run(lockgate(&site).args(["policy", "explain", "postgres.terminate"])).await;
    assert_error(&said, 2, "config_invalid", &["did you mean postgres.terminate_backend"]);

    // What is odd about a policy, given these packs and targets.
    let odd = "version = 1\n[[rule]]\nname = \"odd\"\nactions = [\"postgres.kil_idle\", \"postgres.analyze_*\", \"postgres.uptime\"]\ntargets = [\"rulde\"]\ndecision = \"deny\"\n[rule.arguments]\nschema = { min = 1 }\n";
    site.write("odd.toml", odd);
    let said = run(lockgate(&site).args(["policy", "check", "--strict"]).arg(site.path("odd.toml"))).await;
    says(
        &said,
        1,
        &[
            "`postgres.kil_idle` in `actions` fits no action",
            "`rulde` in `targets` fits no configured target",
            "postgres.uptime have no argument `schema`",
            "a value of another kind",
            "4 warnings",
        ],
    );

    // What another policy would have done.
    site.write("new.toml", &POLICY.replace("min = 100", "min = 5"));
    let said = run(lockgate(&site).args(["policy", "diff"]).arg(site.path("new.toml"))).await;
    says(
        &said,
        0,
        &[
            "- rule `no long lists` changed: arguments.limit: is at least 100 → is at least 5",
            "stricter:\n  postgres.activity_detail on ruled by claude for ada, 2 times",
            "now  allow, by default for risk `low`\n    then deny, by rule `no long lists`",
            "3 calls: 1 alike, 2 different, 0 not told",
        ],
    );
    site.write("none.toml", "version = 1\n");
    let said =
        run(lockgate(&site).args(["policy", "diff", "--json", "--since", "1h"]).arg(site.path("none.toml"))).await;
    let told: Json = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(told["replayed"]["groups"][0][0]["becomes"], "less_strict", "the denied call is replayed too: {told}");
    assert_eq!((&told["replayed"]["differ"], &told["replayed"]["same"]), (&json!(1), &json!(2)), "{told}");
    let said = run(lockgate(&site).args(["policy", "diff", "--since", "soon"]).arg(site.path("none.toml"))).await;
    assert_eq!(said.code, 2, "{said:#?}");

    assert_eq!(site.record().len(), lines, "looking changes nothing");
}
