//! A gatekeeper that offers much and different things to different agents: what is hidden from one is not there for it, as
//! with the real gate. It runs nothing; a call answers with what reached it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use lockgate::{
    error::{Code, Problem, Refusal},
    gate::{
        call::{
            Answer, Call, Health, Hold, OfferedAction, Outcome, Pending, Principal, Refused, TargetOffer, TargetState,
        },
        described::{ActionDetails, PackOffer, StatementDetails},
    },
    mcp::door::Gatekeeper,
    pack::manifest::{Example, Param, ParamKind, Risk},
    runs::{RunFilter, RunPage, RunRecord, RunState, RunSummary, unknown_run},
    statement::Role,
    value::{Column, ColumnKind, Value},
};
use serde_json::json;
use tokio::sync::watch;

/// See above.
pub struct Offering {
    actions: Mutex<Vec<OfferedAction>>,
    /// Agent and action.
    hidden: Mutex<BTreeSet<(String, String)>>,
    /// What reached the gate, in order.
    log: Mutex<Vec<String>>,
    changes: watch::Sender<u64>,
}

/// An action on two targets.
pub fn action(name: &str, title: &str, terms: &[&str]) -> OfferedAction {
    OfferedAction {
        name: name.into(),
        title: title.into(),
        description: format!("{title}. More of it."),
        risk: Risk::Low,
        params: Vec::new(),
        side_effects: String::new(),
        works_on_standby: true,
        idempotent: true,
        reads_only: true,
        held: false,
        examples: Vec::new(),
        search_terms: terms.iter().map(|term| (*term).to_owned()).collect(),
        targets: vec![
            TargetOffer { name: "primary".into(), role: Role::Primary, health: Health::Reachable },
            TargetOffer { name: "replica1".into(), role: Role::Standby, health: Health::Unreachable },
        ],
    }
}

impl Offering {
    /// Two reads and a held act.
    pub fn new() -> Arc<Self> {
        let mut end = action("postgres.terminate_backend", "Terminate a backend", &["end a session"]);
        end.risk = Risk::High;
        (end.reads_only, end.idempotent, end.held) = (false, false, true);
        end.side_effects = "its transaction is rolled back".into();
        end.params = vec![Param {
            name: "pid".into(),
            description: "The backend.".into(),
            kind: ParamKind::Integer { min: 1, max: 4_194_304 },
            required: true,
            default: Value::Null,
        }];
        end.examples =
            vec![Example { situation: "a dead migration holds a lock".into(), arguments: r#"{"pid":4471}"#.into() }];
        let chains = action("postgres.lock_blocking_chains", "Lock blocking chains", &["checkout stuck on a lock"]);
        let lag = action("postgres.replication_lag", "Replication lag", &["replica is behind"]);
        Self::of(vec![end, chains, lag])
    }

    /// These actions.
    pub fn of(actions: Vec<OfferedAction>) -> Arc<Self> {
        Arc::new(Self {
            actions: Mutex::new(actions),
            hidden: Mutex::default(),
            log: Mutex::default(),
            changes: watch::Sender::new(0),
        })
    }

    /// An action ceases to exist for an agent, and whoever listens is told that something changed.
    pub fn hide(&self, agent: &str, action: &str) {
        self.hidden.lock().unwrap().insert((agent.into(), action.into()));
        self.changes.send_modify(|count| *count += 1);
    }

    /// Something may have changed, and has not.
    pub fn stir(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// What reached the gate.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn own_runs(principal: &Principal) -> Vec<RunSummary> {
        let run = |id: &str, state: RunState, action: &str| RunSummary {
            run: format!("run_{}_{id}", principal.agent),
            state,
            action: action.into(),
            target: Some("primary".into()),
            risk: None,
            verdict: None,
            reason: "looking around".into(),
            evidence: None,
            expected: None,
            operation: None,
            summary: Some("2 rows|\nrun forged".into()),
            code: None,
            approval: (state == RunState::Held).then(|| "ap_7".into()),
            joined: None,
            agent: principal.agent.clone(),
            person: None,
            door: principal.door.as_str().into(),
            started: "2026-01-01T00:00:00Z".into(),
            ended: None,
            ms: None,
            first_seq: 1,
            last_seq: 2,
        };
        vec![
            run("2", RunState::Held, "postgres.terminate_backend"),
            run("1", RunState::Done, "postgres.lock_blocking_chains"),
        ]
    }
}

impl Gatekeeper for Offering {
    fn tools(&self, principal: &Principal) -> Vec<OfferedAction> {
        let hidden = self.hidden.lock().unwrap();
        let all = self.actions.lock().unwrap();
        all.iter().filter(|a| !hidden.contains(&(principal.agent.clone(), a.name.clone()))).cloned().collect()
    }

    async fn call(&self, principal: &Principal, call: Call, _hold: Hold) -> Result<Answer, Refused> {
        let asked = json!({
            "agent": principal.agent, "action": call.action, "target": call.target, "arguments": call.arguments,
            "reason": call.reason, "operation": call.operation, "evidence": call.evidence, "expected": call.expected,
        })
        .to_string();
        self.log.lock().unwrap().push(asked.clone());
        let Some(action) = self.tools(principal).into_iter().find(|offered| offered.name == call.action) else {
            let refusal = Refusal::new(Code::UnknownAction, format!("no action `{}`", call.action));
            return Err(Refused { run: "run_3".into(), refusal });
        };
        let wrong: Vec<Problem> = (call.arguments.iter())
            .filter(|(name, value)| name.as_str() != "pid" || !value.is_i64())
            .map(|(name, _)| Problem { argument: name.clone(), message: "is wrong".into() })
            .collect();
        if !wrong.is_empty() {
            let refusal = Refusal::new(Code::InvalidArguments, "arguments are wrong").with_problems(wrong);
            return Err(Refused { run: "run_4".into(), refusal });
        }
        if action.held {
            return Ok(Answer::Pending(Box::new(pending(&call))));
        }
        Ok(Answer::Done(Box::new(done(&call, asked))))
    }

    async fn await_approval(&self, _: &Principal, _: &str, _: Hold) -> Result<Answer, Refused> {
        Err(Refused { run: String::new(), refusal: Refusal::new(Code::UnknownApproval, "no such approval") })
    }

    async fn recent_runs(&self, principal: &Principal, filter: RunFilter) -> Result<RunPage, Refusal> {
        self.log.lock().unwrap().push(format!("{filter:?}"));
        let mut runs = Self::own_runs(principal);
        runs.retain(|run| filter.state.is_none_or(|state| state == run.state));
        runs.retain(|run| filter.action.as_ref().is_none_or(|action| *action == run.action));
        runs.truncate(filter.limit.unwrap_or(10));
        Ok(RunPage { runs, next: Some("17".into()) })
    }

    async fn run_record(&self, principal: &Principal, run: &str) -> Result<RunRecord, Refusal> {
        let found = Self::own_runs(principal).into_iter().find(|own| own.run == run).ok_or_else(|| unknown_run(run))?;
        Ok(RunRecord { run: found, lines: vec![json!({ "seq": 1, "event": "call.intent", "note": "a\u{202e}b" })] })
    }

    fn target_states(&self, _: &Principal) -> Vec<TargetState> {
        vec![TargetState {
            name: "primary".into(),
            role: Role::Primary,
            health: Health::Reachable,
            version_num: Some(170_004),
            since: None,
            asked: None,
            error: None,
        }]
    }

    fn packs(&self, principal: &Principal) -> Vec<PackOffer> {
        let actions = self.tools(principal).len();
        let pack = PackOffer {
            name: "postgres".into(),
            version: "1.0.0".into(),
            summary: "Operates a PostgreSQL server".into(),
            actions,
        };
        if actions == 0 { Vec::new() } else { vec![pack] }
    }

    fn pack_page(&self, principal: &Principal, pack: &str) -> Option<String> {
        let names: Vec<String> = self.tools(principal).into_iter().map(|action| action.name).collect();
        (pack == "postgres" && !names.is_empty()).then(|| format!("# postgres\n\n{}\n", names.join("\n")))
    }

    fn details(&self, principal: &Principal, action: &str) -> Option<ActionDetails> {
        self.tools(principal).into_iter().find(|offered| offered.name == action).map(|_| ActionDetails {
            pack_version: "1.0.0".into(),
            servers: "PostgreSQL 13 to 18".into(),
            class: "read",
            privileges: vec!["pg_monitor".into()],
            statements: vec![StatementDetails {
                id: "chains".into(),
                preview: false,
                limits: "read, up to 100 rows, 5 s".into(),
                columns: vec![Column { name: "blocked_pid".into(), kind: ColumnKind::Integer }],
            }],
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

fn done(call: &Call, summary: String) -> Outcome {
    serde_json::from_value(json!({
        "run": "run_1", "action": call.action, "target": call.target.clone().unwrap_or_default(), "summary": summary,
        "tables": [], "notices": [],
    }))
    .unwrap()
}

fn pending(call: &Call) -> Pending {
    serde_json::from_value(json!({
        "run": "run_2", "approval": "ap_7", "action": call.action, "target": call.target.clone().unwrap_or_default(),
        "expires_at": "2026-01-01T01:00:00Z", "message": "nobody has decided yet",
    }))
    .unwrap()
}
