//! A database of a test's own on one version's servers, with a host whose targets are in it, and the superuser's eyes.

use std::sync::Arc;

use lockgate::{
    gate::{Gate, call::Outcome},
    value::RowSet,
};
use lockgate_tests::{
    answers::{row_where, text},
    session::{APP, PATIENCE, Session, gone},
    site::{Site, done},
};
use serde_json::{Map, Value as Json, json};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::world::World;

/// A row of an answer.
pub type Row = Map<String, Json>;

/// The database.
pub struct Place {
    pub world: &'static World,
    pub gate: Arc<Gate>,
    /// The superuser's connection to it.
    pub admin: Client,
    pub name: String,
    _site: Site,
}

impl Place {
    /// Makes it, with what a test needs in it; the application owns what is made.
    pub async fn of(world: &'static World, name: &str, sql: &str) -> Self {
        world.database(name).await;
        let (site, gate) = world.host_in(name).await;
        let admin = world.primary.connect_to(name).await.expect("a connection");
        // 15 took the right to create in `public` from everybody but the database's owner.
        let place = Self { world, gate, admin, name: name.to_owned(), _site: site };
        place.by_app(sql).await;
        place
    }

    /// Runs SQL as the application in a session of its own, and waits until that is gone: by then it has handed in what it
    /// counted.
    pub async fn by_app(&self, sql: &str) {
        let session = self.session("passing").await;
        session.execute(sql).await;
        let pid = session.pid;
        drop(session);
        gone(&self.world.primary, pid).await;
    }

    /// A session of the application's that stays.
    pub async fn session(&self, application: &str) -> Session {
        Session::of(&self.world.primary, APP, &self.name, application).await
    }

    /// What an action answers on the primary.
    pub async fn ask(&self, action: &str, arguments: Json) -> Outcome {
        done(&self.gate, &format!("postgres.{action}"), "primary", arguments).await
    }

    /// The first table of what an action answers, with as many rows as it may have.
    pub async fn rows(&self, action: &str) -> Arc<RowSet> {
        let mut outcome = self.ask(action, json!({ "limit": 200 })).await;
        outcome.tables.remove(0).rows
    }

    /// The same of an action without a limit.
    pub async fn all_rows(&self, action: &str) -> Arc<RowSet> {
        self.ask(action, Json::Null).await.tables.remove(0).rows
    }

    /// The first cell that the superuser reads, as text.
    pub async fn truth(&self, sql: &str) -> Option<String> {
        let messages = self.admin.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    }

    /// The same as a number.
    pub async fn number(&self, sql: &str) -> i64 {
        self.truth(sql).await.unwrap_or_else(|| panic!("{sql}: null")).parse().expect("a number")
    }

    /// Waits until the superuser reads this.
    pub async fn eventually(&self, sql: &str, wanted: &str) {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = self.truth(sql).await;
            if found.as_deref() == Some(wanted) {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "`{sql}` stayed {found:?}, not `{wanted}`");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

/// The row of a table.
pub fn of_table(rows: &RowSet, name: &str) -> Row {
    row_where(rows, "table_name", &text(name))
}

/// The row of an index.
pub fn of_index(rows: &RowSet, name: &str) -> Row {
    row_where(rows, "index_name", &text(name))
}

/// The texts of a column, in order.
pub fn names(rows: &RowSet, column: &str) -> Vec<String> {
    let cells = lockgate_tests::answers::column(rows, column);
    cells.iter().map(|cell| cell.to_json().as_str().unwrap_or_default().to_owned()).collect()
}

/// A cell that is a whole number.
pub fn integer(row: &Row, column: &str) -> i64 {
    row[column].as_i64().unwrap_or_else(|| panic!("{column} in {row:?}"))
}

/// A cell that is a number.
pub fn number(row: &Row, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column} in {row:?}"))
}
