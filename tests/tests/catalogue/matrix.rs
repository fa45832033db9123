//! The matrix: each action of both packs on each version, on a primary and on a standby. Every one runs, or answers a
//! documented code; `docs/packs/versions.md` says which, and what is seen here has to agree with it.
//!
//! Reads run without arguments and with those of each of their examples. Acts are carried out, approval included, on a
//! session or a table that was made for them; with the arguments of their examples they get as far as the approval.

use std::{collections::BTreeMap, sync::Arc};

use lockgate::{
    error::Code,
    gate::{
        Gate,
        call::{Answer, Refused},
    },
    pack::manifest::Action,
    privilege::Privilege,
    statement::Role,
};
use lockgate_tests::{
    AGENT,
    session::{APP, Running, Session, in_background, run},
    site::{Site, call, ended},
};
use serde_json::{Value as Json, json};

use crate::{
    page::{self, Cells},
    wordings::{Place, manifests},
    world::{World, worlds},
};

/// A database of its own, and a role in it that may do what the actions say they need.
const DATABASE: &str = "matrix";
const GRANTED: &str = "granted";

/// What an example may come to here, where there is no backend 4471 and nobody left a transaction open.
const EXAMPLE_ENDS: [Code; 3] = [Code::NotFound, Code::NothingToDo, Code::NotApplicable];

const STAGE: &str = "CREATE TABLE public.orders (id int PRIMARY KEY, note text);
    INSERT INTO public.orders SELECT i, 'row ' || i FROM generate_series(1, 100) i";

/// A call that ended: carried out, held for a person, or refused with a code and words.
enum End {
    Done,
    Held(String),
    Refused(Code, String),
}

impl End {
    fn of(answer: Result<Answer, Refused>) -> Self {
        match answer {
            Ok(Answer::Done(outcome)) => {
                assert!(!outcome.summary.is_empty());
                Self::Done
            }
            Ok(Answer::Pending(pending)) => Self::Held(pending.approval),
            Err(Refused { refusal, .. }) => Self::Refused(refusal.code, refusal.message),
        }
    }
}

/// One server, and the host that calls go to.
struct Bench<'a> {
    world: &'static World,
    site: &'a Site,
    gate: &'a Arc<Gate>,
    target: &'static str,
    role: Role,
}

impl Bench<'_> {
    /// What an action comes to here: `ok`, or the code of its refusal, which has to be one that its manifest announces.
    async fn verdict(&self, pack: &str, action: &Action) -> String {
        let name = format!("{pack}.{}", action.name);
        let at = format!("{name} on the {}", self.target);
        let act = !action.side_effects.is_empty();
        let end = if act { self.act(&name, action).await } else { self.call(&name, json!({})).await };
        let verdict = match end {
            End::Done => "ok".to_owned(),
            End::Held(_) => panic!("{at} waits for a person"),
            End::Refused(code, message) => {
                match code {
                    Code::NotOnStandby => assert!(!action.works_on_standby, "{at} is said to work: {message}"),
                    Code::UnsupportedServerVersion => {
                        assert!(!self.has_wordings(action), "{at} has wordings for this version: {message}");
                        assert!(message.contains(|c: char| c.is_ascii_digit()), "{at} names no version: {message}");
                    }
                    // `kill_idle`, where nobody left a transaction open.
                    Code::NothingToDo if name == "postgres.kill_idle" => {}
                    _ => panic!("{at}: {code}: {message}"),
                }
                if code == Code::NothingToDo { "ok".to_owned() } else { code.to_string() }
            }
        };
        assert!(
            self.role != Role::Standby || action.works_on_standby || verdict == "not_on_standby",
            "{at}: {verdict}"
        );
        for example in &action.examples {
            let arguments = serde_json::from_str(&example.arguments).expect("an example's arguments");
            match self.call(&name, arguments).await {
                End::Done => assert_eq!(verdict, "ok", "{at}: `{}`", example.situation),
                End::Held(_) => assert!(act && verdict == "ok", "{at}: `{}`", example.situation),
                End::Refused(code, _) if code.as_str() == verdict => {}
                End::Refused(code, message) => {
                    assert!(EXAMPLE_ENDS.contains(&code), "{at}: `{}`: {code}: {message}", example.situation);
                }
            }
        }
        verdict
    }

    async fn call(&self, name: &str, arguments: Json) -> End {
        End::of(call(self.gate, name, self.target, arguments).await)
    }

    /// Carries an act out on what is made for it.
    async fn act(&self, name: &str, action: &Action) -> End {
        let cluster = if self.role == Role::Standby { &self.world.standby } else { &self.world.primary };
        let mut victim: Option<Running> = None;
        let mut arguments = serde_json::Map::new();
        for param in action.params.iter().filter(|param| param.required) {
            let value = match param.name.as_str() {
                "pid" => {
                    let session = Session::of(cluster, APP, DATABASE, "matrix-victim").await;
                    json!(victim.insert(session.start("SELECT pg_sleep(600)").await).pid)
                }
                "schema" => json!("public"),
                "table" => json!("orders"),
                "index" => json!("orders_pkey"),
                other => panic!("{name} has an argument `{other}` that the matrix knows nothing of"),
            };
            arguments.insert(param.name.clone(), value);
        }
        let end = match self.call(name, arguments.into()).await {
            End::Held(approval) => {
                self.site.approve(&approval).await;
                End::of(ended(self.gate, &approval).await.map(|outcome| Answer::Done(Box::new(outcome))))
            }
            end => end,
        };
        if let (End::Done, Some(victim)) = (&end, victim) {
            assert!(victim.end().await.1.is_err(), "{name} interrupts what it was called for");
        }
        end
    }

    /// Whether each statement of an action has a wording for this version, on a primary or on a standby.
    fn has_wordings(&self, action: &Action) -> bool {
        let extensions = [("pg_stat_statements".to_owned(), "1.999".to_owned())];
        let place = |role| Place { major: self.world.major, role, extensions: &extensions };
        let of_action = |id: &String| action.run_statements.contains(id) || action.preview_statements.contains(id);
        manifests(self.gate)
            .filter(|manifest| manifest.actions.contains(action))
            .flat_map(|manifest| manifest.statements.iter().filter(|statement| of_action(&statement.id)))
            .all(|s| [Role::Primary, Role::Standby].into_iter().any(|role| !place(role).wordings(s).is_empty()))
    }
}

/// Makes the role that has each privilege which some action names.
async fn grant(world: &World) {
    let mut grants = vec![format!("CREATE ROLE {GRANTED} LOGIN IN ROLE pg_monitor, pg_signal_backend")];
    for privilege in manifests(&world.gate).flat_map(|m| &m.actions).flat_map(|action| &action.privileges) {
        match privilege.parse().expect("a privilege") {
            Privilege::Select { schema, name } => grants.push(format!("GRANT SELECT ON {schema}.{name} TO {GRANTED}")),
            Privilege::Execute { schema, name, arguments } => {
                grants.push(format!("GRANT EXECUTE ON FUNCTION {schema}.{name}({arguments}) TO {GRANTED}"));
            }
            Privilege::Role(_) | Privilege::Extension(_) | Privilege::Maintain => {}
        }
    }
    world.primary.execute_in(DATABASE, &grants.join(";")).await.expect("grants");
}

/// Whether the tests' ordinary role has all that a read needs.
fn is_for_everybody(action: &Action) -> bool {
    let parsed = action.privileges.iter().map(|privilege| privilege.parse().expect("a privilege"));
    parsed.into_iter().all(|privilege| matches!(privilege, Privilege::Role(_) | Privilege::Extension(_)))
}

/// One version's column: for each action what it came to on the primary and on the standby.
async fn column(world: &'static World) -> BTreeMap<String, (String, String)> {
    world.database(DATABASE).await;
    world.primary.execute_in(DATABASE, "CREATE EXTENSION pg_stat_statements").await.expect("an extension");
    world.primary.execute_in(DATABASE, &format!("SET ROLE {APP}; {STAGE}")).await.expect("a table");
    grant(world).await;
    world.caught_up().await;
    let (site, gate) = world.host_as(GRANTED, DATABASE).await;
    let mut column = BTreeMap::new();
    for manifest in manifests(&gate) {
        for action in &manifest.actions {
            let bench = |target, role| Bench { world, site: &site, gate: &gate, target, role };
            let primary = bench("primary", Role::Primary).verdict(&manifest.name, action).await;
            let standby = bench("standby", Role::Standby).verdict(&manifest.name, action).await;
            let name = format!("{}.{}", manifest.name, action.name);
            if action.side_effects.is_empty() {
                for (target, granted) in [("primary", &primary), ("standby", &standby)] {
                    as_agent(world, &name, action, target, granted).await;
                }
            }
            column.insert(name, (primary, standby));
        }
    }
    column
}

/// A read by a role with `pg_monitor` and `pg_signal_backend` alone: the same, or the grant that it needs as well.
async fn as_agent(world: &World, name: &str, action: &Action, target: &str, granted: &str) {
    let at = format!("{name} on the {target} for {AGENT}");
    match End::of(call(&world.gate, name, target, json!({})).await) {
        End::Done => assert!(granted == "ok", "{at} answers, and not for a role that may do more"),
        End::Held(_) => panic!("{at} waits for a person"),
        End::Refused(Code::MissingPrivilege, message) => {
            assert!(!is_for_everybody(action), "{at}: {message}");
            assert!(message.contains("pg_catalog.") || message.contains("GRANT"), "{at} names no grant: {message}");
        }
        End::Refused(code, message) => assert_eq!(code.as_str(), granted, "{at}: {message}"),
    }
}

#[test]
fn every_action_answers_on_every_version_as_the_docs_say() {
    run(async {
        let columns: Vec<_> = worlds().await.iter().map(|world| (world.major, in_background(column(world)))).collect();
        let mut cells = Cells::new();
        for (major, column) in columns {
            let column = column.await.unwrap_or_else(|_| panic!("it was PostgreSQL {major}"));
            for (action, (primary, standby)) in column {
                cells.entry(action).or_default().insert(major, page::cell(&primary, &standby));
            }
        }
        page::compare(&cells);
    });
}
