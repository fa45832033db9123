//! No argument carries anything into a statement: what is not of its declared type is refused by name, everything that is
//! wrong is said at once, and the server never hears of a refused call. The table is made from the manifest, so an action or
//! an argument that is added later is covered without a word here.

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use lockgate::{
    error::{Code, Problem},
    gate::{
        Gate,
        call::{Answer, Call, OfferedAction, Refused},
    },
    mcp::{McpSettings, gatekeeper::GateDoor, server::Server, stdio},
    pack::manifest::ParamKind,
    postgres::throwaway::{Cluster, Options},
};
use lockgate_tests::{
    AGENT,
    site::{Site, call_of, hold, principal},
};
use rmcp::{RoleClient, ServiceExt as _, model::CallToolRequestParams, service::RunningService};
use serde_json::{Map, Value as Json, json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::{
    hostile::{self, TEXTS, fits},
    world::run,
};

/// A server that nobody but the gate speaks to, so that every line of its log is the gate's doing.
struct Alone {
    cluster: Cluster,
    site: Site,
    gate: Arc<Gate>,
}

impl Alone {
    async fn start() -> Self {
        let conf =
            vec!["log_connections = on".into(), "autovacuum = off".into(), "log_error_verbosity = verbose".into()];
        let options = Options { log_statements: true, conf, ..Options::default() };
        let cluster = Cluster::primary(options).start().await.expect("a cluster");
        let role = format!("CREATE ROLE {AGENT} LOGIN IN ROLE pg_monitor, pg_signal_backend");
        cluster.execute(&role).await.expect("the role");
        let site = Site::with_stock_pack(&[cluster.target("alone", AGENT, "postgres")], "").await;
        let gate = site.gate().await;
        Self { cluster, site, gate }
    }

    /// The one where nothing is ever accepted, so that its log never changes.
    async fn unheard() -> &'static Self {
        static UNHEARD: OnceCell<Alone> = OnceCell::const_new();
        UNHEARD.get_or_init(Self::start).await
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.cluster.log_path()).expect("the log")).into_owned()
    }

    fn offers(&self) -> Vec<OfferedAction> {
        let offers = self.gate.offers(&principal());
        assert!(offers.len() >= 18, "the stock pack's actions are offered: {}", offers.len());
        offers
    }

    async fn call(&self, action: &str, arguments: Map<String, Json>) -> Result<Answer, Refused> {
        self.gate.call(&principal(), call_of(action, "alone", Json::Object(arguments)), hold(Duration::ZERO)).await
    }

    /// What was wrong, as a refused call says it.
    async fn problems(&self, action: &str, arguments: Map<String, Json>) -> Vec<Problem> {
        let shown = shorten(&json!(arguments));
        let refused = self.call(action, arguments).await.expect_err(&format!("{action} takes {shown}"));
        assert_eq!(refused.refusal.code, Code::InvalidArguments, "{action} {shown}: {}", refused.refusal.message);
        assert!(refused.run.starts_with("run_"), "{action} {shown} is on the record");
        refused.refusal.problems
    }
}

fn shorten(value: &Json) -> String {
    value.to_string().chars().take(200).collect()
}

/// A value that each argument may have and that leads to nothing.
fn harmless(kind: &ParamKind) -> Json {
    match kind {
        ParamKind::Boolean => json!(true),
        ParamKind::Integer { min, .. } => json!(min),
        ParamKind::Identifier => json!("nothing_of_this_name"),
        other => panic!("say which value of {other:?} is harmless"),
    }
}

fn harmless_arguments(offer: &OfferedAction) -> Map<String, Json> {
    offer.params.iter().map(|param| (param.name.clone(), harmless(&param.kind))).collect()
}

#[test]
fn every_argument_refuses_what_it_is_not_and_the_server_never_hears_of_it() {
    run(async {
        let alone = Alone::start().await;
        let before = alone.log();
        let (mut refused, mut accepted, mut arguments) = (0, Vec::new(), 0);
        for offer in alone.offers() {
            for param in &offer.params {
                arguments += 1;
                let (good, bad): (Vec<_>, Vec<_>) =
                    hostile::values(&param.kind).into_iter().partition(|value| fits(param, value));
                assert!(bad.len() >= 60, "{} {}: {} hostile values", offer.name, param.name, bad.len());
                for value in bad {
                    let mut given = harmless_arguments(&offer);
                    given.insert(param.name.clone(), value.clone());
                    let problems = alone.problems(&offer.name, given).await;
                    let named: Vec<_> = problems.iter().map(|p| p.argument.as_str()).collect();
                    assert_eq!(named, [param.name.as_str()], "{} {}", offer.name, shorten(&value));
                    refused += 1;
                }
                accepted.extend(good.into_iter().map(|value| (offer.clone(), param.name.clone(), value)));
            }
        }
        assert!(arguments >= 17, "{arguments} arguments");
        assert_eq!(alone.log(), before, "the server heard of a refused call");
        let lines = alone.site.record().into_iter().filter(|line| line["ev"] == "call.refused").count();
        assert_eq!(lines, refused, "each refusal is on the record");

        // What is truly of the type goes through, and reaches statements as a parameter or a quoted name only.
        for (offer, name, value) in accepted {
            let mut given = harmless_arguments(&offer);
            given.insert(name.clone(), value.clone());
            if let Err(refused) = alone.call(&offer.name, given).await {
                let code = refused.refusal.code;
                assert!(
                    matches!(code, Code::NotFound | Code::NothingToDo | Code::UnsupportedServerVersion),
                    "{} {name} {}: {}",
                    offer.name,
                    shorten(&value),
                    refused.refusal
                );
            }
        }
        let log = alone.log();
        assert!(log.len() > before.len(), "what was accepted was asked");
        let marked: Vec<_> = log.lines().filter(|line| line.contains("drop_table_")).collect();
        assert!(!marked.is_empty(), "an accepted name reaches the server");
        assert!(marked.iter().all(|line| line.contains("DETAIL:") && line.contains("parameters:")), "{marked:?}");
        assert!(alone.site.verify_record().intact, "the record holds");
    });
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    run(async {
        let alone = Alone::unheard().await;
        let before = alone.log();
        for offer in alone.offers() {
            // Every argument wrong, a few that there are not, and a reason that says nothing.
            let unknown = ["sql", "PINS", "backend start"];
            let mut given: Map<String, Json> = unknown.iter().map(|name| ((*name).to_owned(), json!(1))).collect();
            given.extend(offer.params.iter().map(|param| (param.name.clone(), json!({ "x": "'; --" }))));
            let mut call = call_of(&offer.name, "alone", Json::Object(given));
            call.reason = "fix it".into();
            let refused = alone.gate.call(&principal(), call, hold(Duration::ZERO)).await.expect_err("it is refused");
            let named: BTreeSet<_> = refused.refusal.problems.iter().map(|p| p.argument.clone()).collect();
            let params = offer.params.iter().map(|param| param.name.clone());
            let wanted: BTreeSet<_> = params.chain(unknown.map(String::from)).chain(["reason".into()]).collect();
            assert_eq!(named, wanted, "{}", offer.name);
            assert_eq!(refused.refusal.problems.len(), wanted.len(), "{}: each once", offer.name);

            // What is required is missed by name.
            let required: BTreeSet<_> = offer.params.iter().filter(|p| p.required).map(|p| p.name.clone()).collect();
            if !required.is_empty() {
                let problems = alone.problems(&offer.name, Map::new()).await;
                assert_eq!(
                    problems.into_iter().map(|p| p.argument).collect::<BTreeSet<_>>(),
                    required,
                    "{}",
                    offer.name
                );
            }
        }
        assert_eq!(alone.log(), before, "the server heard of a refused call");
    });
}

#[test]
fn no_action_takes_an_argument_that_it_does_not_declare() {
    run(async {
        let alone = Alone::unheard().await;
        let before = alone.log();
        for offer in alone.offers() {
            let long = "k".repeat(5000);
            for key in hostile::KEYS.iter().copied().chain([long.as_str()]) {
                if offer.params.iter().any(|param| param.name == key) {
                    continue;
                }
                let mut given = harmless_arguments(&offer);
                given.insert(key.to_owned(), json!("SELECT 1"));
                let problems = alone.problems(&offer.name, given).await;
                assert_eq!(problems.len(), 1, "{} {key:?}: {problems:?}", offer.name);
                let named = &problems[0].argument;
                assert!(named.chars().count() <= 64 && !named.chars().any(char::is_control), "{key:?}");
                assert_eq!(*named, lockgate::outside::shown(key, 64));
            }
        }
        assert_eq!(alone.log(), before, "the server heard of a refused call");
    });
}

#[test]
fn a_flood_of_arguments_gets_a_short_answer_and_is_on_the_record() {
    run(async {
        let alone = Alone::unheard().await;
        let before = alone.log();
        let flood: Map<String, Json> =
            (0..20_000).map(|number| (format!("argument_{number}"), json!("'; --"))).collect();
        let problems = alone.problems("postgres.terminate_backend", flood).await;
        assert!(problems.len() <= 52 && problems.iter().any(|p| p.argument == "pid"), "{}", problems.len());
        assert!(problems.iter().any(|p| p.message.contains("19950 more")), "what is left out is counted");
        let length = serde_json::to_string(&problems).expect("text").len();
        assert!(length < 20_000, "{length} bytes");
        // And the host goes on.
        alone.problems("postgres.terminate_backend", Map::new()).await;
        assert_eq!(alone.log(), before, "the server heard of a refused call");
    });
}

/// A client at the real door, since that is where `reason` and `target` are told from the action's own arguments.
async fn client(gate: &Arc<Gate>) -> RunningService<RoleClient, ()> {
    // More calls in a row than an agent makes.
    let settings = McpSettings { hold_wait: Duration::ZERO, burst: 10_000, ..McpSettings::default() };
    let server = Server::new(Arc::new(GateDoor(Arc::clone(gate))), settings).with_caller(principal());
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (read, write) = tokio::io::split(theirs);
    tokio::spawn(stdio::serve_on(server, read, write, CancellationToken::new()));
    ().serve(ours).await.expect("a client")
}

#[test]
fn reason_and_target_are_no_way_in_either() {
    run(async {
        let alone = Alone::unheard().await;
        let client = client(&alone.gate).await;
        let before = alone.log();
        let offers = alone.offers();
        let refusal = async |action: &str, changed: &str, value: &Json| {
            let offer = offers.iter().find(|offer| offer.name == action).expect("the action");
            let mut given = harmless_arguments(offer);
            given.insert("reason".into(), json!("a test looks at what happens"));
            given.insert("target".into(), json!("alone"));
            given.insert(changed.into(), value.clone());
            let request = CallToolRequestParams::new(action.to_owned()).with_arguments(given);
            let result = client.call_tool(request).await.expect("a result");
            assert_eq!(result.is_error, Some(true), "{action} with {changed} = {}", shorten(value));
            result.structured_content.expect("content")
        };
        let is_plain = |text: &str| !text.chars().any(lockgate::outside::is_hidden);
        let is_reason = |value: &Json| {
            value.as_str().map(str::trim).is_some_and(|r| (8..=500).contains(&r.chars().count()) && is_plain(r))
        };
        let mut values = hostile::values(&ParamKind::Boolean);
        values.extend(TEXTS.iter().map(|text| json!(format!("{text}{}", "x".repeat(500)))));
        values.extend(
            ["looks fine\nAPPROVED BY ROOT", "right to left \u{202e}override", "zero\u{200b} width here"]
                .map(|t| json!(t)),
        );
        let (mut reasons, mut targets) = (0, 0);
        // A read, an act and maintenance: the door knows no difference.
        for action in ["postgres.uptime", "postgres.terminate_backend", "postgres.analyze_table"] {
            for value in values.iter().filter(|value| !is_reason(value)) {
                let content = refusal(action, "reason", value).await;
                assert_eq!(content["code"], "invalid_arguments", "{} {content}", shorten(value));
                let named: Vec<_> =
                    content["problems"].as_array().expect("problems").iter().map(|p| &p["argument"]).collect();
                assert_eq!(named, ["reason"], "{}", shorten(value));
                reasons += 1;
            }
            for value in values.iter().filter(|value| **value != json!("alone") && !value.is_null()) {
                let content = refusal(action, "target", value).await;
                let code = if value.is_string() { "unknown_target" } else { "invalid_arguments" };
                assert_eq!(content["code"], code, "{} {content}", shorten(value));
                targets += 1;
            }
        }
        assert!(reasons >= 180 && targets >= 180, "{reasons} reasons, {targets} targets");
        assert_eq!(alone.log(), before, "the server heard of a refused call");
    });
}

#[test]
fn a_reason_is_recorded_and_never_becomes_a_statement() {
    run(async {
        let alone = Alone::start().await;
        let reason = "'; DROP TABLE x; -- %s ${x} $1 :\"schema\"";
        let call = Call { reason: reason.into(), ..call_of("postgres.uptime", "alone", json!({})) };
        assert!(matches!(alone.gate.call(&principal(), call, hold(Duration::ZERO)).await, Ok(Answer::Done(_))));
        let log = alone.log();
        assert!(log.contains("pg_postmaster_start_time") && !log.contains("DROP TABLE"), "{log}");
        assert!(alone.site.record().iter().any(|line| line["ev"] == "call.intent"));
    });
}
