//! Where cases are played: a throwaway server, a database a case with the fixtures in it, and a host of its own around the
//! pack. The role that statements run as has what the pack declares that it needs, and nothing else.

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

use super::{
    cases::{Case, Cases},
    expect::Came,
};
use crate::{
    audit::Record,
    cli::{pack::Built, scratch::Scratch},
    config::Config,
    error::{Code, Refusal},
    gate::{
        Gate,
        call::{Answer, Call, Door, Hold, Principal, Scope},
        decide,
    },
    pack::prove::ProvenAction,
    postgres::{
        Target, TargetSettings,
        throwaway::{Cluster, Options, ThrowawayError},
    },
    privilege::Privilege,
    startup::{self, State},
    statement::Class,
    store::{Decision, Seen, Store, Vote},
};

/// The role that the pack's statements run as.
pub(in crate::cli::pack) const AGENT_ROLE: &str = "lockgate_agent";
/// The role of a case's sessions: no superuser, since a superuser's session is signalled by nobody.
const APP_ROLE: &str = "app";
/// The database that every case gets a copy of.
pub(in crate::cli::pack) const TEMPLATE: &str = "fixtures";
/// Longest time for sessions to come to rest, for an effect to show, and beyond a call's own time.
const PATIENCE: Duration = Duration::from_secs(20);

const SESSIONS: &str = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE usename = 'app'";
const END_SESSIONS: &str =
    "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = 'app'";

/// What sessions may do, whatever tables there are: everything but own them.
const APP_MAY: &str = "DO $$ DECLARE s name; BEGIN FOR s IN SELECT nspname FROM pg_catalog.pg_namespace \
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP \
    EXECUTE pg_catalog.format('GRANT ALL ON SCHEMA %I TO app; GRANT ALL ON ALL TABLES IN SCHEMA %I TO app; \
    GRANT ALL ON ALL SEQUENCES IN SCHEMA %I TO app', s, s, s); END LOOP; END $$";

/// A server and a host around the pack, with a target for each case.
pub(super) struct Stage {
    cluster: Cluster,
    gate: Arc<Gate>,
    record: Record,
    store: Arc<dyn Store>,
    pack: String,
    _files: Scratch,
}

/// A session of a case. It ends when this is dropped.
struct Session {
    client: Arc<Client>,
    pid: i32,
    work: JoinHandle<Result<(), tokio_postgres::Error>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// A throwaway server of a version, or of the newest that is found.
pub(in crate::cli::pack) async fn server(
    built: &Built,
    major: Option<u32>,
    servers: &[PathBuf],
) -> Result<Cluster, Refusal> {
    let needs = |name: &str| {
        let extension = Privilege::Extension(name.to_owned());
        built.described.manifest.actions().any(|action| action.privileges().contains(&extension))
    };
    let stat_statements = needs("pg_stat_statements");
    // Each case has a database and connections of its own.
    let conf = vec!["max_connections = 1000".to_owned()];
    let options = Options { major, servers: servers.to_vec(), stat_statements, conf, ..Options::default() };
    let cluster = Cluster::primary(options).start().await.map_err(|e| no_server(&e))?;
    let roles = format!("CREATE ROLE {AGENT_ROLE} LOGIN; CREATE ROLE {APP_ROLE} LOGIN; CREATE DATABASE {TEMPLATE}");
    for statement in roles.split("; ") {
        cluster.execute(statement).await.map_err(|e| no_server(&e))?;
    }
    Ok(cluster)
}

/// Every class: on a server that is thrown away there is nothing to lose.
pub(in crate::cli::pack) const EVERY_CLASS: &[Class] =
    &[Class::Read, Class::Data, Class::Maintain, Class::Signal, Class::Write];

/// Who calls what nobody has signed.
pub(in crate::cli::pack) fn author() -> Principal {
    Principal {
        agent: "author".into(),
        person: None,
        os_user: None,
        roles: Vec::new(),
        door: Door::Stdio,
        scope: Scope::default(),
        credential: None,
    }
}

/// A host for a pack on these targets, which grants its publisher these classes.
pub(in crate::cli::pack) fn host(
    built: &Built,
    targets: &[TargetSettings],
    classes: &[Class],
) -> Result<Scratch, Refusal> {
    let classes: Vec<&str> = classes.iter().map(|class| class.as_str()).collect();
    let targets = std::collections::BTreeMap::from([("target", targets)]);
    let targets = toml::to_string(&targets).map_err(|e| Refusal::new(Code::InternalError, e.to_string()))?;
    let files = Scratch::new("pack", built, "author", &classes, &format!("policy = \"policy.toml\"\n{targets}"))?;
    // As an operator's defaults are, except that what is critical can be tried at all.
    files.add("policy.toml", "version = 1\n[defaults]\ncritical = \"approve\"\n")?;
    Ok(files)
}

impl Stage {
    /// Starts a server and opens a host. The database of the case at a place in the file is `case_N`.
    pub(super) async fn build(
        built: &Built,
        cases: &Cases,
        major: Option<u32>,
        servers: &[PathBuf],
    ) -> Result<Self, Refusal> {
        let cluster = server(built, major, servers).await?;
        for sql in &cases.fixtures {
            let loaded = cluster.execute_in(TEMPLATE, sql).await;
            loaded.map_err(|e| super::cases::unusable(format!("the fixtures can't be loaded: {e}")))?;
        }
        let mut targets = Vec::new();
        for number in 0..cases.cases.len() {
            let mut target = cluster.target(&database(number), AGENT_ROLE, &database(number));
            // Of tables it must be the owner before PostgreSQL 17, and a fixture's are a superuser's.
            target.maintenance = toml::from_str("user = \"postgres\"").ok();
            targets.push(target);
        }
        let files = host(built, &targets, EVERY_CLASS)?;
        let config = Config::load(files.config())?;
        let state = State::open(&config)?;
        let (record, store) = (state.record.clone(), Arc::clone(&state.store));
        let gate = startup::open_gate(&config, state).await?.gate;
        let pack = built.described.manifest.manifest().name.clone();
        Ok(Self { cluster, gate, record, store, pack, _files: files })
    }

    pub(super) fn major(&self) -> u32 {
        self.cluster.major()
    }

    /// Plays one case and compares. The error is what kept it from being played.
    pub(super) async fn play(
        &self,
        number: usize,
        case: &Case,
        action: &ProvenAction,
    ) -> Result<(Came, Vec<String>), String> {
        let came = self.play_on(&database(number), case, action).await;
        // The next case's sessions are the only ones that it sees. One that waits does not notice that its client is gone.
        self.cluster.execute(END_SESSIONS).await.map_err(|e| e.to_string())?;
        self.cluster.wait_for(SESSIONS, "0", PATIENCE).await.map_err(|e| e.to_string())?;
        came
    }

    async fn play_on(&self, database: &str, case: &Case, action: &ProvenAction) -> Result<(Came, Vec<String>), String> {
        let failed = |what: &'static str| move |e: ThrowawayError| format!("{what}: {e}");
        let make = format!("CREATE DATABASE {database} TEMPLATE {TEMPLATE}");
        self.cluster.execute(&make).await.map_err(failed("the case's database can't be made"))?;
        if let Some(sql) = &case.arrange {
            self.cluster.execute_in(database, sql).await.map_err(failed("`arrange` failed"))?;
        }
        self.cluster
            .execute_in(database, APP_MAY)
            .await
            .map_err(failed("the role `app` can't be granted its tables"))?;
        grant(&self.cluster, database, action).await?;
        let mut sessions = Vec::new();
        for (index, sql) in case.sessions.iter().enumerate() {
            let session = self.session(database, sql).await;
            sessions.push(session.map_err(|e| format!("session {} failed: {e}", index + 1))?);
        }
        let mut arguments = case.arguments.clone();
        if let Some(sql) = &case.arguments_from {
            arguments.extend(self.row(database, sql).await.map_err(|e| format!("`arguments_from` failed: {e}"))?);
        }
        let came = self.call(database, case, arguments).await?;
        let mut problems = case.expect.compare(&came);
        if let Some(sql) = &case.afterwards
            && let Err(answer) = self.comes_true(database, sql).await
        {
            problems.push(format!("`afterwards` did not answer true but {answer}"));
        }
        drop(sessions);
        Ok((came, problems))
    }

    /// Opens a session and lets it work until it is done, or waits for a lock or for time.
    async fn session(&self, database: &str, sql: &str) -> Result<Session, String> {
        let mut config = self.cluster.superuser();
        config.user(APP_ROLE).dbname(database).application_name(APP_ROLE);
        let (client, connection) = config.connect(NoTls).await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        let pid = client.query_one("SELECT pg_catalog.pg_backend_pid()", &[]).await.map_err(|e| e.to_string())?.get(0);
        let (client, sql) = (Arc::new(client), sql.to_owned());
        let worker = Arc::clone(&client);
        let work = tokio::spawn(async move { worker.batch_execute(&sql).await });
        let mut session = Session { client, pid, work };
        let at_rest = format!(
            "SELECT a.state = 'active' AND a.wait_event_type IN ('Lock', 'Timeout') FROM pg_catalog.pg_stat_activity AS a \
             WHERE a.pid = {}",
            session.pid
        );
        let rested = tokio::select! {
            done = &mut session.work => match done {
                Ok(Ok(())) => Ok(()),
                Ok(Err(e)) => Err(told(&e)),
                Err(e) => Err(e.to_string()),
            },
            rested = self.cluster.wait_for(&at_rest, "t", PATIENCE) => rested.map_err(|e| e.to_string()),
        };
        rested?;
        // The work may have ended badly at the moment when it came to rest.
        if session.client.is_closed() {
            return Err("the server ended it".to_owned());
        }
        Ok(session)
    }

    async fn call(&self, database: &str, case: &Case, arguments: Map<String, Json>) -> Result<Came, String> {
        let principal = Principal { person: Some("the agent's person".into()), ..author() };
        let call = Call {
            action: format!("{}.{}", self.pack, case.action.get_ref()),
            target: Some(database.to_owned()),
            arguments,
            reason: "a case of the pack's own tests".into(),
            ..Call::default()
        };
        let hold = |wait| Hold { wait, progress: None, cancel: CancellationToken::new() };
        let pending = match self.gate.call(&principal, call, hold(Duration::ZERO)).await {
            Ok(Answer::Done(outcome)) => return unheld(case, Ok(outcome)),
            Err(refused) => return unheld(case, Err(refused.refusal)),
            Ok(Answer::Pending(pending)) => pending,
        };
        if let Some(sql) = &case.meanwhile {
            self.cluster.execute_in(database, sql).await.map_err(|e| format!("`meanwhile` failed: {e}"))?;
        }
        self.approve(&pending.approval).await.map_err(|e| format!("the call could not be approved: {e}"))?;
        // Its own time limits end it.
        let wait = Duration::from_secs(24 * 3600);
        let end = match self.gate.await_approval(&principal, &pending.approval, hold(wait)).await {
            Ok(Answer::Done(outcome)) => Ok(outcome),
            Ok(Answer::Pending(_)) => return Err("the call was approved and did not run".to_owned()),
            Err(refused) => Err(refused.refusal),
        };
        Ok(Came { held: true, end })
    }

    async fn approve(&self, id: &str) -> Result<(), Refusal> {
        let approval = self.store.get(id)?.ok_or_else(|| Refusal::new(Code::UnknownApproval, "it is gone"))?;
        let vote = Vote {
            id: id.to_owned(),
            person: "the pack's author".to_owned(),
            also_known_as: std::collections::BTreeSet::new(),
            roles: std::collections::BTreeSet::new(),
            decision: Decision::Approve,
            reason: "a case of the pack's own tests".to_owned(),
            digest_shown: approval.digest,
            seen: Seen::AsRequested,
            now: Timestamp::now(),
        };
        decide::decide(&self.record, Arc::clone(&self.store), vote).await.map(drop)
    }

    /// The one row of a query, by its columns.
    async fn row(&self, database: &str, sql: &str) -> Result<Map<String, Json>, String> {
        // As JSON, whatever the types are.
        let sql =
            format!("SELECT pg_catalog.row_to_json(r)::text FROM ({}) AS r", sql.trim_end().trim_end_matches(';'));
        let rows = self.answers(database, &sql).await?;
        match rows.as_slice() {
            [Some(row)] => serde_json::from_str(row).map_err(|e| e.to_string()),
            rows => Err(format!("it has {} rows, and one is needed", rows.len())),
        }
    }

    async fn comes_true(&self, database: &str, sql: &str) -> Result<(), String> {
        let until = std::time::Instant::now() + PATIENCE;
        loop {
            let rows = self.answers(database, sql).await?;
            match rows.first() {
                Some(Some(answer)) if answer == "t" => return Ok(()),
                // A backend that was ended takes a moment to go.
                answer if std::time::Instant::now() > until => {
                    return Err(answer.cloned().flatten().unwrap_or_else(|| "nothing".to_owned()));
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// The first column of a query as superuser, as text.
    async fn answers(&self, database: &str, sql: &str) -> Result<Vec<Option<String>>, String> {
        let client = self.cluster.connect_to(database).await.map_err(|e| e.to_string())?;
        let messages = client.simple_query(sql).await.map_err(|e| told(&e))?;
        let row = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        };
        Ok(messages.iter().filter_map(row).collect())
    }
}

/// Gives the role what an action declares, by the very statements that `lockgate doctor` would tell.
pub(in crate::cli::pack) async fn grant(
    cluster: &Cluster,
    database: &str,
    action: &ProvenAction,
) -> Result<(), String> {
    // Not the host's own target: what that one has learned of the server it would not learn anew.
    let target = Target::new(cluster.target("grants", AGENT_ROLE, database)).map_err(|e| e.to_string())?;
    let lacks = target.lacks(action.privileges(), None).await.map_err(|e| e.to_string())?;
    for lack in lacks {
        for sql in &lack.sql {
            let granted = cluster.execute_in(database, sql).await;
            granted.map_err(|e| format!("the privilege `{}` can't be given: {e}", lack.privilege))?;
        }
    }
    Ok(())
}

/// A call that nobody was asked about has no *meanwhile*.
fn unheld(case: &Case, end: Result<Box<crate::gate::call::Outcome>, Refusal>) -> Result<Came, String> {
    if case.meanwhile.is_some() {
        let came = match &end {
            Ok(_) => "it was carried out at once".to_owned(),
            Err(refusal) => format!("it was refused at once: {refusal}"),
        };
        return Err(format!("`meanwhile` is for a call that is held for a person, and {came}"));
    }
    Ok(Came { held: false, end })
}

fn database(number: usize) -> String {
    format!("case_{}", number + 1)
}

fn told(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

fn no_server(error: &ThrowawayError) -> Refusal {
    Refusal::new(Code::ConnectionFailed, error.to_string()).with_remedy(
        "install the server programs of that version, or name their directory with PG_BIN or PG_BIN_<major>",
    )
}
