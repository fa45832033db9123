//! Policy from its file to the server: who is offered what, who is asked, how many must say yes, and who may not.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use lockgate::{
    error::Code,
    gate::{
        Gate,
        call::{Answer, Principal, Refused},
    },
    pack::manifest::Risk,
    store::Decision,
};
use lockgate_tests::{
    AGENT,
    site::{Site, call, call_of, ended, held, hold, principal},
};
use serde_json::{Value as Json, json};

use crate::world::{APP, app, gone, maintenance, refused, run, world};

const POLICY: &str = r#"
version = 1

[[rule]]
name = "nothing but reads on the standby"
actions = ["*"]
targets = ["standby"]
risks = ["medium", "high", "critical"]
decision = "deny"

[[rule]]
name = "interns look at sessions only"
actions = ["postgres.*_backend", "postgres.cancel_*", "postgres.kill_*", "postgres.*_table", "postgres.reindex_*", "postgres.slow_queries"]
roles = ["intern"]
decision = "deny"

[[rule]]
name = "terminating takes two people"
actions = ["postgres.terminate_backend"]
decision = "approve"
approvals = 2

[[rule]]
name = "no more for a single one"
actions = ["postgres.terminate_backend"]
decision = "allow"

[[rule]]
name = "rogue agents do nothing"
actions = ["*"]
agents = ["rogue*"]
decision = "deny"

[[raise]]
actions = ["postgres.analyze_table"]
risk = "high"

[[raise]]
actions = ["postgres.reindex_concurrent"]
risk = "critical"
"#;

async fn ruled() -> (Site, Arc<Gate>) {
    let world = world().await;
    let mut keeper = world.primary.target("keeper", AGENT, "shop");
    keeper.maintenance = Some(maintenance(APP));
    let targets =
        [world.primary.target("primary", AGENT, "shop"), world.standby.target("standby", AGENT, "shop"), keeper];
    let site = Site::with_stock_pack(&targets, "policy = \"policy.toml\"\n").await;
    site.write("policy.toml", POLICY);
    let gate = site.gate().await;
    (site, gate)
}

fn of_role(role: &str) -> Principal {
    Principal { roles: vec![role.to_owned()], ..principal() }
}

async fn as_who(
    gate: &Arc<Gate>,
    who: &Principal,
    action: &str,
    target: &str,
    arguments: Json,
) -> Result<Answer, Refused> {
    gate.call(who, call_of(action, target, arguments), hold(Duration::ZERO)).await
}

fn names(gate: &Gate, who: &Principal) -> BTreeSet<String> {
    gate.offers(who).into_iter().map(|offer| offer.name).collect()
}

#[test]
fn what_is_denied_everywhere_is_not_there() {
    run(async {
        let (site, gate) = ruled().await;
        let all = names(&gate, &principal());
        assert!(all.contains("postgres.terminate_backend") && all.contains("postgres.slow_queries"));
        assert!(!all.contains("postgres.reindex_concurrent"), "raised to critical, which nobody may");
        let few = names(&gate, &of_role("intern"));
        let hidden: BTreeSet<_> = all.difference(&few).map(String::as_str).collect();
        // A pattern is about names and not about what they mean: `*_table` takes a read with it.
        let wanted = [
            "analyze_table",
            "cancel_query",
            "kill_idle",
            "last_vacuum_per_table",
            "slow_queries",
            "terminate_backend",
            "vacuum_table",
        ];
        assert_eq!(hidden, wanted.map(|name| all.get(&format!("postgres.{name}")).unwrap().as_str()).into());
        assert_eq!(names(&gate, &of_role("oncall")), all, "other roles are nobody's business");
        let rogue = Principal { agent: "rogue-7".into(), ..principal() };
        assert!(names(&gate, &rogue).is_empty());

        // What is hidden answers as what does not exist, and its name is not suggested either.
        for (who, action) in [
            (principal(), "postgres.reindex_concurrent"),
            (of_role("intern"), "postgres.slow_queries"),
            (rogue, "postgres.uptime"),
            (principal(), "postgres.no_such_action"),
        ] {
            let refusal = as_who(&gate, &who, action, "primary", json!({})).await.expect_err("it is hidden");
            assert_eq!(refusal.refusal.code, Code::UnknownAction, "{action}: {}", refusal.refusal);
        }
        assert!(site.record().iter().all(|line| line["ev"] != "call.intent"), "nothing was begun");
    });
}

#[test]
fn a_target_has_rules_of_its_own() {
    run(async {
        let (site, gate) = ruled().await;
        let offers = gate.offers(&principal());
        let offer = |name: &str| offers.iter().find(|offer| offer.name == name).unwrap();
        let targets = |name: &str| offer(name).targets.iter().map(|t| t.name.clone()).collect::<Vec<_>>();
        assert_eq!(targets("postgres.terminate_backend"), ["keeper", "primary"]);
        assert_eq!(targets("postgres.uptime"), ["keeper", "primary", "standby"]);
        assert!(offer("postgres.terminate_backend").held && !offer("postgres.uptime").held);
        let (code, message) =
            refused(as_who(&gate, &principal(), "postgres.terminate_backend", "standby", json!({ "pid": 1 })).await);
        assert_eq!(code, Code::DeniedByPolicy, "{message}");
        assert!(message.contains("nothing but reads on the standby"), "the rule is named: {message}");
        let (code, _) = refused(as_who(&gate, &principal(), "postgres.uptime", "elsewhere", json!({})).await);
        assert_eq!(code, Code::UnknownTarget);
        assert!(as_who(&gate, &principal(), "postgres.uptime", "standby", json!({})).await.is_ok());
        assert!(site.pending().is_empty());
    });
}

#[test]
fn two_people_decide_and_the_requester_is_none_of_them() {
    run(async {
        let (site, gate) = ruled().await;
        let victim = app("two").await;
        victim.execute("BEGIN; SELECT 1").await;
        let approval = held(&gate, "postgres.terminate_backend", "primary", json!({ "pid": victim.pid })).await;
        // Who asked, in any spelling, and the agent itself.
        for person in ["ada", "Ada", " ADA ", "claude"] {
            let refusal =
                site.decide(&approval, Decision::Approve, person).await.expect_err("nobody approves their own");
            assert_eq!(refusal.code, Code::SelfApproval, "{person}: {refusal}");
        }
        assert!(site.decide(&approval, Decision::Approve, "  ").await.is_err(), "nobody is nobody");
        site.approve(&approval).await;
        // The same person again does not make two, however the name is written.
        for person in ["grace", "GRACE", "grace "] {
            assert!(site.decide(&approval, Decision::Approve, person).await.is_err(), "{person:?}");
        }
        let answer = gate.await_approval(&principal(), &approval, hold(Duration::from_millis(700))).await;
        assert!(matches!(answer, Ok(Answer::Pending(_))), "one yes is not enough: {answer:?}");
        assert!(victim.lives().await);
        site.decide(&approval, Decision::Approve, "heidi").await.expect("the second yes");
        let outcome = ended(&gate, &approval).await.expect("two said yes");
        assert_eq!(outcome.approval.expect("an approval").id, approval);
        gone(victim.pid).await;
        let votes = site.record().into_iter().filter(|line| line["ev"] == "approval.vote_refused").count();
        assert!(votes >= 8, "refused votes are on the record: {votes}");
    });
}

#[test]
fn an_approval_is_its_requesters_own() {
    run(async {
        let (_site, gate) = ruled().await;
        let victim = app("own").await;
        victim.execute("BEGIN; SELECT 1").await;
        let approval = held(&gate, "postgres.terminate_backend", "primary", json!({ "pid": victim.pid })).await;
        for other in [
            Principal { agent: "other".into(), ..principal() },
            Principal { person: Some("eve".into()), ..principal() },
            Principal { person: None, ..principal() },
        ] {
            let answer = gate.await_approval(&other, &approval, hold(Duration::ZERO)).await;
            assert_eq!(answer.expect_err("it is somebody else's").refusal.code, Code::UnknownApproval);
        }
        assert!(victim.lives().await);
    });
}

#[test]
fn the_operator_raises_what_the_publisher_signed() {
    run(async {
        let (site, gate) = ruled().await;
        let offers = gate.offers(&principal());
        let analyze = offers.iter().find(|offer| offer.name == "postgres.analyze_table").unwrap();
        assert!(analyze.held, "medium would go through");
        assert_eq!(analyze.risk, Risk::High, "and what is offered says so");
        let arguments = json!({ "schema": "sales", "table": "orders" });
        // Approved is not privileged: nobody is asked about what the role may not do.
        let (code, message) = refused(call(&gate, "postgres.analyze_table", "primary", arguments.clone()).await);
        assert_eq!(code, Code::MissingPrivilege, "{message}");
        let approval = held(&gate, "postgres.analyze_table", "keeper", arguments).await;
        let pending = site.pending().into_iter().find(|pending| pending.id == approval).unwrap();
        assert_eq!((pending.request.risk.as_str(), pending.request.needed), ("high", 1));
        site.approve(&approval).await;
        assert_eq!(ended(&gate, &approval).await.unwrap().summary, "analyzed `sales.orders`");
    });
}

const CONDITIONS: &str = r#"
version = 1

[[rule]]
name = "not the system's tables"
actions = ["postgres.vacuum_table", "postgres.analyze_table"]
decision = "deny"
[rule.arguments]
schema = { matches = "pg_*" }

[[rule]]
name = "vacuum takes a DBA"
actions = ["postgres.vacuum_table"]
decision = "approve"
approvers = ["dba"]
decide_within = "10m"
reason_required = true

[[rule]]
name = "no large lists"
actions = ["postgres.activity_detail"]
decision = "deny"
[rule.arguments]
limit = { min = 100 }

[[rule]]
name = "one day that is over"
actions = ["postgres.wal_status"]
decision = "deny"
outside = [{ first_day = "2020-01-01", last_day = "2020-01-01" }]

[[rule]]
name = "never"
actions = ["postgres.connections"]
decision = "deny"
[rule.arguments]
no_such_argument = { is = "x" }
"#;

#[test]
fn arguments_and_the_time_decide_calls_and_hide_only_what_they_can_never_open() {
    run(async {
        let keeper = {
            let mut keeper = world().await.primary.target("keeper", AGENT, "shop");
            keeper.maintenance = Some(maintenance(APP));
            keeper
        };
        let site = Site::with_stock_pack(&[keeper], "policy = \"policy.toml\"\n").await;
        site.write("policy.toml", CONDITIONS);
        let gate = site.gate().await;
        let all = names(&gate, &principal());
        for (action, listed) in [
            ("postgres.activity_detail", true),
            ("postgres.vacuum_table", true),
            // It opens at no time that is left, but a rule with a window does not say so by itself.
            ("postgres.wal_status", true),
            // The rule counts for every call, since the action has no such argument.
            ("postgres.connections", false),
        ] {
            assert_eq!(all.contains(action), listed, "{action}");
        }
        // The default that is filled in is below the limit; what is given is not.
        assert!(call(&gate, "postgres.activity_detail", "keeper", json!({})).await.is_ok());
        for (action, arguments, rule) in [
            ("postgres.activity_detail", json!({ "limit": 100 }), "no large lists"),
            (
                "postgres.analyze_table",
                json!({ "schema": "pg_catalog", "table": "pg_class" }),
                "not the system's tables",
            ),
            ("postgres.vacuum_table", json!({ "schema": "pg_toast", "table": "x" }), "not the system's tables"),
            ("postgres.wal_status", json!({}), "one day that is over"),
        ] {
            let (code, message) = refused(call(&gate, action, "keeper", arguments.clone()).await);
            assert_eq!(code, Code::DeniedByPolicy, "{action}: {message}");
            assert!(message.contains(rule), "{message}");
            let line = site.record().pop().unwrap();
            // What was denied is on the record as it was judged, so that another policy can be put to it.
            assert_eq!((line["ev"].as_str(), line["verdict"].as_str()), (Some("call.refused"), Some("deny")));
            assert_eq!(line["target_role"].as_str(), Some("primary"), "{line}");
            for (name, value) in arguments.as_object().unwrap() {
                assert_eq!(&line["arguments"][name], value, "{line}");
            }
            assert!(line["arguments_hmac"].as_str().is_some_and(|digest| digest.len() == 64), "{line}");
        }
        // What a rule asks of approvers stands in the request.
        let arguments = json!({ "schema": "sales", "table": "orders" });
        let approval = held(&gate, "postgres.vacuum_table", "keeper", arguments).await;
        let pending = site.pending().into_iter().find(|pending| pending.id == approval).unwrap();
        assert_eq!(pending.request.approvers, BTreeSet::from(["dba".to_owned()]));
        assert_eq!(pending.decide_by.duration_since(pending.created_at).as_secs(), 600);
        let refusal = site.decide(&approval, Decision::Approve, "grace").await.expect_err("she is in no group");
        assert!(!refusal.message.is_empty());
    });
}
