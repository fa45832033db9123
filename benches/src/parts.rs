//! The parts of a gate call, each measured by itself, taking turns: the sandbox, validation, policy, the guard around a
//! statement, the record, redaction.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use jiff::Timestamp;
use lockgate::{
    gate::{
        call::{Outcome, Principal},
        journal::{Executed, Intent, Ruled},
    },
    pack::{
        catalog::Entry,
        sandbox::{Limits, Querier, QueryFailure},
    },
    policy::{Decision, Policy, Subject},
    postgres::Limits as StatementLimits,
    redact::Redactor,
    statement::{BoundStatement, Mode, Role},
    value::{RowSet, Value},
};
use lockgate_tests::site::{self, principal};
use serde_json::{Map, Value as Json, json};

use crate::{
    measure::{Samples, timed},
    setting::{CASES, Host, Raw, Setting, TARGET},
};

/// Rounds that count, and those before.
const ROUNDS: u32 = 1500;
const WARM: u32 = 150;
/// Runs timed together of what takes less than a few microseconds.
const SHORT: u32 = 50;

/// One part: its name, how long it takes, and what it may take.
pub struct Part {
    pub name: &'static str,
    pub times: Samples,
    /// Microseconds.
    pub budget: Option<f64>,
}

impl Part {
    fn new(name: &'static str) -> Self {
        Self { name, times: Samples::default(), budget: None }
    }

    /// For the file.
    pub fn to_json(&self) -> Json {
        json!({ "name": self.name, "budget_us": self.budget, "times": self.times.to_json() })
    }
}

/// Answers at once, with rows that the server gave before.
struct AtOnce(Arc<RowSet>);

impl Querier for AtOnce {
    fn execute<'a>(
        &'a mut self,
        _: &'a str,
        _: Vec<Value>,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<RowSet>, QueryFailure>> + Send + 'a>> {
        let rows = Arc::clone(&self.0);
        Box::pin(async move { Ok(rows) })
    }
}

/// What the parts work on: the first case's action, with a real answer.
struct Material {
    entry: Entry,
    policy: Policy,
    principal: Principal,
    arguments: Map<String, Json>,
    bound: BoundStatement,
    rows: RowSet,
    sessions: RowSet,
    outcome: Outcome,
    redactor: Redactor,
}

impl Material {
    async fn gather(setting: &Setting) -> Result<Self> {
        let host = &setting.disk;
        let [case, _] = &CASES;
        let entry = host.entry(case.action)?;
        let bound = bind(host, case.action, "uptime", &[]).await?;
        let rows = host.target()?.execute(&bound, &limits()).await?.rows;
        let detail = bind(host, "postgres.activity_detail", "activity_detail", &[Value::Integer(20)]).await?;
        let sessions = host.target()?.execute(&detail, &limits()).await?.rows;
        Ok(Self {
            entry,
            policy: Policy::default(),
            principal: principal(),
            arguments: Map::new(),
            bound,
            rows,
            sessions,
            outcome: site::done(&host.gate, case.action, TARGET, Json::Null).await,
            redactor: Redactor::new(&[])?,
        })
    }

    fn decide(&self) -> Decision {
        self.policy.decide(&Subject {
            action: &self.entry.name,
            risk: self.entry.action.declared().risk,
            target: TARGET,
            target_role: Some(Role::Primary),
            agent: &self.principal.agent,
            person: self.principal.person.as_deref(),
            roles: &self.principal.roles,
            arguments: &self.arguments,
            at: Timestamp::UNIX_EPOCH,
        })
    }

    /// One run of the action in a fresh instance that gets its rows at once.
    async fn run(&self) -> Result<()> {
        let rows = Box::new(AtOnce(Arc::new(self.rows.clone())));
        let limits = Limits::for_call(Duration::from_secs(10));
        let guest = self.entry.pack.guest();
        let answer = guest.run(limits, rows, &self.entry.action.declared().name, &[], &[]).await?;
        answer.map(drop).map_err(|failure| anyhow!("the action failed: {failure:?}"))
    }

    async fn intent(&self, host: &Host, decision: &Decision) -> Result<()> {
        let intent = Intent {
            run: "run_0123456789abcdef0123456789abcdef",
            principal: &self.principal,
            call: &site::call_of(&self.entry.name, TARGET, Json::Null),
            ruled: Ruled {
                action: &self.entry,
                arguments: &self.arguments,
                target: TARGET,
                target_role: Some(Role::Primary),
                decision,
            },
            instead_of: None,
        };
        host.gate.journal().intent(&intent).await.map(drop).map_err(|refusal| anyhow!("{refusal}"))
    }

    async fn outcome(&self, host: &Host) -> Result<()> {
        let executed = [Executed { statement: "uptime".into(), mode: Mode::Read, rows: Some(1), ms: 1, error: None }];
        let ended = host.gate.journal().ended("run_0123456789abcdef0123456789abcdef", &executed, 1, Ok(&self.outcome));
        ended.await.map_err(|refusal| anyhow!("{refusal}"))
    }
}

/// All parts, in the order of a call.
pub async fn parts(setting: &Setting) -> Result<Vec<Part>> {
    let material = Material::gather(setting).await?;
    let [case, _] = &CASES;
    let (raw, host) = (Raw::new(setting, case).await?, &setting.disk);
    let decision = material.decide();
    let mut validate = Part::new("validate: host's checks, then the component's in a fresh instance");
    let mut policy = Part::new("policy decision");
    let mut intent = Part::new("intent, durable");
    let mut intent_memory = Part::new("intent, record in memory");
    let mut sandbox = Part::new("sandbox: fresh instance, run with a querier that answers at once, drop");
    sandbox.budget = Some(100.0);
    let mut statement = Part::new("the statement over raw tokio-postgres");
    let mut guarded = Part::new("the statement in its guard: BEGIN READ ONLY … ROLLBACK, pipelined");
    let mut redaction = Part::new("redaction of the result (1 row)");
    let mut redaction_sessions = Part::new("redaction of a list of sessions with their queries (20 rows at most)");
    let mut outcome = Part::new("outcome, durable");
    let mut outcome_memory = Part::new("outcome, record in memory");
    for round in 0..WARM + ROUNDS {
        let counts = round >= WARM;
        let note = |part: &mut Part, time: Duration, runs: u32| {
            if counts {
                part.times.push_each(time, runs);
            }
        };
        let (time, done) = timed(material.entry.validate(&Map::new())).await;
        done.map_err(|refusal| anyhow!("{refusal}"))?;
        note(&mut validate, time, 1);
        note(&mut policy, repeated(|| material.decide()), SHORT);
        let (time, done) = timed(material.intent(host, &decision)).await;
        done?;
        note(&mut intent, time, 1);
        let (time, done) = timed(material.run()).await;
        done?;
        note(&mut sandbox, time, 1);
        let (time, done) = timed(raw.call()).await;
        done?;
        note(&mut statement, time, 1);
        let (time, done) = timed(host.target()?.execute(&material.bound, &limits())).await;
        done?;
        note(&mut guarded, time, 1);
        note(&mut redaction, repeated(|| material.redactor.rows(material.rows.clone())), SHORT);
        note(&mut redaction_sessions, once(|| material.redactor.rows(material.sessions.clone())), 1);
        let (time, done) = timed(material.outcome(host)).await;
        done?;
        note(&mut outcome, time, 1);
        if let Some(host) = &setting.memory {
            let (time, done) = timed(material.intent(host, &decision)).await;
            done?;
            note(&mut intent_memory, time, 1);
            let (time, done) = timed(material.outcome(host)).await;
            done?;
            note(&mut outcome_memory, time, 1);
        }
    }
    let parts = [
        validate,
        policy,
        intent,
        intent_memory,
        sandbox,
        statement,
        guarded,
        redaction,
        redaction_sessions,
        outcome,
        outcome_memory,
    ];
    Ok(parts.into_iter().filter(|part| part.times.len() > 0).collect())
}

fn limits() -> StatementLimits {
    StatementLimits { max_bytes: 1 << 20, deadline: Instant::now() + Duration::from_secs(10) }
}

async fn bind(host: &Host, action: &str, statement: &str, inputs: &[Value]) -> Result<BoundStatement> {
    let facts = host.target()?.facts().await?;
    let entry = host.entry(action)?;
    let proven = entry.action.run_statement(statement).context("the action declares the statement")?;
    Ok(proven.bind(&facts.server, inputs)?)
}

fn once<T>(work: impl Fn() -> T) -> Duration {
    let started = Instant::now();
    std::hint::black_box(work());
    started.elapsed()
}

fn repeated<T>(work: impl Fn() -> T) -> Duration {
    let started = Instant::now();
    for _ in 0..SHORT {
        std::hint::black_box(work());
    }
    started.elapsed()
}
