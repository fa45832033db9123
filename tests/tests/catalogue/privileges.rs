//! Privileges: each act with exactly what it declares, and without it; each read under `pg_monitor` alone; and what
//! `lockgate doctor` says of it. Whatever a refusal or the doctor tells an operator to run is run here, word for word, and
//! must be enough.

mod backends;
mod doctor;
mod idle;
mod reads;
mod tables;

use std::sync::Arc;

use lockgate::{
    error::{Code, Refusal},
    gate::{
        Gate,
        call::{Answer, Outcome, Refused},
    },
    postgres::{TargetSettings, throwaway::Cluster},
};
use lockgate_tests::{
    session::APP,
    site::{Site, call, diagnose_pack, ended, held},
};
use serde_json::{Value as Json, json};

/// A database of one test with a host for it.
struct Place<'a> {
    cluster: &'a Cluster,
    database: String,
    site: Site,
    gate: Arc<Gate>,
}

impl<'a> Place<'a> {
    /// A database of the application's with two tables in a schema that nobody else may enter.
    async fn new(cluster: &'a Cluster, database: &str, targets: &[TargetSettings]) -> Self {
        cluster.execute(&format!("CREATE DATABASE {database} OWNER {APP}")).await.expect("a database");
        let sql = format!("SET ROLE {APP}; CREATE SCHEMA sales");
        cluster.execute_in(database, &sql).await.expect("a schema");
        for table in ["orders", "others"] {
            let sql = format!(
                "SET ROLE {APP}; CREATE TABLE sales.{table} (id int, note text) WITH (autovacuum_enabled = off);
                 CREATE INDEX {table}_idx ON sales.{table} (id);
                 INSERT INTO sales.{table} SELECT i, 'x' FROM generate_series(1, 500) i; DELETE FROM sales.{table} WHERE id > 400"
            );
            cluster.execute_in(database, &sql).await.expect("a table");
        }
        let site = Site::with_stock_pack(targets, "").await;
        site.add(diagnose_pack().await);
        let gate = site.gate().await;
        Self { cluster, database: database.to_owned(), site, gate }
    }

    /// Runs something as the superuser in the database of this place.
    async fn grant(&self, sql: &str) {
        self.cluster.execute_in(&self.database, sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }

    /// The first cell of a query of the superuser's, as text.
    async fn truth(&self, sql: &str) -> Option<String> {
        let client = self.cluster.connect_to(&self.database).await.expect("a session");
        client.query_one(sql, &[]).await.expect("a row").get(0)
    }

    /// Calls, approves where that is asked for, and waits for the end.
    async fn act(&self, action: &str, target: &str, arguments: Json) -> Result<Outcome, Refused> {
        match call(&self.gate, action, target, arguments).await? {
            Answer::Done(outcome) => Ok(*outcome),
            Answer::Pending(pending) => {
                self.site.approve(&pending.approval).await;
                ended(&self.gate, &pending.approval).await
            }
        }
    }

    /// Calls something that must wait for a person, and returns its approval.
    async fn held(&self, action: &str, target: &str, arguments: Json) -> String {
        held(&self.gate, action, target, arguments).await
    }

    /// That a call is refused for want of a privilege before anybody is asked; returns the statements that it says to run.
    async fn lacks(&self, action: &str, target: &str, arguments: Json) -> Vec<String> {
        let waiting = self.site.pending().len();
        let refusal = refusal(call(&self.gate, action, target, arguments).await);
        assert_eq!(refusal.code, Code::MissingPrivilege, "{action} as {target}: {refusal}");
        assert_eq!(self.site.pending().len(), waiting, "{action}: nobody is asked to approve what can't be done");
        statements(&refusal)
    }

    /// What the record has of a run, as a whole: who asked for what, who approved, what was sent, what it did.
    fn assert_recorded(&self, outcome: &Outcome, target: &str, arguments: &Json, approved: bool) -> Json {
        let lines = self.site.run(&outcome.run);
        let line = |ev: &str| lines.iter().find(|line| line["ev"] == ev).unwrap_or_else(|| panic!("{ev}: {lines:#?}"));
        let intent = line("call.intent");
        assert_eq!((&intent["action"], &intent["target"]), (&json!(outcome.action), &json!(target)), "{intent}");
        assert!(intent.to_string().contains("\"claude\"") && intent.to_string().contains("\"ada\""), "{intent}");
        for (name, value) in arguments.as_object().expect("arguments") {
            assert_eq!(&intent["arguments"][name], value, "{intent}");
        }
        if approved {
            let whole = format!("{lines:?}");
            assert!(whole.contains("grace"), "who approved: {whole}");
            let held = line("approval.requested");
            assert!(held.to_string().contains("pins"), "what the approval rests on: {held}");
        }
        let end = line("call.outcome");
        assert_eq!(end["status"], "succeeded", "{end}");
        end.clone()
    }
}

/// A refusal, on the record.
fn refusal<T: std::fmt::Debug>(answer: Result<T, Refused>) -> Refusal {
    let Refused { refusal, run } = answer.expect_err("it is refused");
    assert!(run.starts_with("run_"), "a refusal is on the record: {refusal}");
    refusal
}

/// The statements that a refusal tells an operator to run.
fn statements(refusal: &Refusal) -> Vec<String> {
    let remedy = &refusal.remedy;
    let (_, rest) = remedy.split_once(": `").unwrap_or_else(|| panic!("it names statements: {remedy}"));
    let sql = rest.split('`').next().expect("statements");
    sql.split_inclusive(';').map(|one| one.trim().to_owned()).collect()
}
