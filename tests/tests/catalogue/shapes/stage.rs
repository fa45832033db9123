//! A primary and its standby with secrets wherever a client, an application or an operator may leave one, and a host that
//! looks at them with both stock packs.

use std::{fmt::Write as _, sync::Arc};

use lockgate::{
    gate::Gate,
    postgres::throwaway::{Cluster, Options},
};
use lockgate_tests::{
    AGENT,
    servers::fetched,
    session::{APP, PATIENCE, Session},
    site::{Site, diagnose_pack},
};

use super::planted::{CANARY, NUMBER, application_names, queries, transaction_ids};

pub struct Stage {
    pub primary: Cluster,
    pub standby: Cluster,
    pub site: Site,
    pub gate: Arc<Gate>,
}

/// A session of the application's.
pub async fn app(cluster: &Cluster, application: &str) -> Session {
    Session::of(cluster, APP, "shop", application).await
}

impl Stage {
    pub async fn build(major: u32) -> Self {
        let options = Options {
            major: Some(major),
            servers: vec![fetched()],
            stat_statements: true,
            conf: vec![
                "max_prepared_transactions = 10".to_owned(),
                "archive_mode = on".to_owned(),
                format!("archive_command = 'true -u backup:{CANARY} %f'"),
                format!("ssl_passphrase_command = 'echo {CANARY}'"),
                "track_functions = all".to_owned(),
            ],
            ..Options::default()
        };
        let primary = Cluster::primary(options.clone()).start().await.expect("a primary");
        let roles = format!(
            "CREATE ROLE {AGENT} LOGIN IN ROLE pg_monitor, pg_signal_backend; CREATE ROLE app LOGIN;
             CREATE DATABASE shop OWNER app"
        );
        for statement in roles.split(';') {
            primary.execute(statement).await.expect("roles and a database");
        }
        primary.execute_in("shop", &schema()).await.expect("tables");
        let upstream = format!(
            "primary_conninfo = 'host=''{}'' port={} user=postgres password={CANARY} application_name=standby1'",
            primary.socket_dir().display(),
            primary.port()
        );
        let conf = options.conf.iter().cloned().chain([upstream]).collect();
        let standby = Cluster::standby(&primary, Options { conf, ..options }).start().await.expect("a standby");
        primary
            .wait_for("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", "1", PATIENCE)
            .await
            .expect("it streams");
        for cluster in [&primary, &standby] {
            write_hba(cluster);
        }
        let mut keeper = primary.target("keeper", AGENT, "shop");
        keeper.maintenance = Some(toml::from_str("user = \"app\"").expect("settings"));
        let targets = [primary.target("primary", AGENT, "shop"), standby.target("standby", AGENT, "shop"), keeper];
        let site = Site::with_stock_pack(&targets, "").await;
        site.add(diagnose_pack().await);
        let gate = site.gate().await;
        Self { primary, standby, site, gate }
    }

    /// Sessions with each query as their last and each name, on both servers; they live as long as what is returned.
    pub async fn sessions(&self) -> Vec<Session> {
        let mut sessions = Vec::new();
        for cluster in [&self.primary, &self.standby] {
            for query in queries() {
                let session = app(cluster, "canary").await;
                let _ = session.client.simple_query(&query).await;
                sessions.push(session);
            }
            for name in application_names() {
                let session = app(cluster, &name).await;
                session.client.batch_execute("BEGIN; SELECT count(*) FROM sales.orders").await.expect("a transaction");
                sessions.push(session);
            }
        }
        // Bound, not written: the value is in no text of the server's, and must not come from elsewhere.
        let session = app(&self.primary, "canary").await;
        let bound = "SELECT count(*) FROM sales.orders WHERE note = $1";
        session.client.query_one(bound, &[&CANARY]).await.expect("a prepared statement is run");
        sessions.push(session);
        sessions
    }

    /// Two-phase transactions that nobody ends.
    pub async fn prepared_transactions(&self) {
        for (index, gid) in transaction_ids().into_iter().enumerate() {
            let session = app(&self.primary, "two-phase").await;
            let sql = format!(
                "BEGIN; INSERT INTO sales.orders (id, note) VALUES ({}, '{CANARY}'); PREPARE TRANSACTION '{}'",
                100_000 + index,
                gid.replace('\'', "''")
            );
            session.client.batch_execute(&sql).await.expect("it is prepared");
        }
    }

    /// The statistics of statements: what the extension can't plan it keeps as it was written.
    pub async fn statistics(&self) {
        let admin = self.primary.connect_to("shop").await.expect("a superuser");
        for _ in 0..12 {
            let utility = format!("ALTER ROLE app PASSWORD '{CANARY}'");
            admin.batch_execute(&utility).await.expect("a password is set");
            let planned = format!("SELECT count(*) FROM sales.orders WHERE note = '{CANARY}' OR id = {NUMBER}::int8");
            admin.batch_execute(&planned).await.expect("rows are counted");
        }
    }

    /// What a superuser reads on a server, in the database of the shop.
    pub async fn truth(&self, cluster: &Cluster, sql: &str) -> String {
        let client = cluster.connect_to("shop").await.expect("a superuser");
        let rows = client.simple_query(sql).await.expect("the superuser's query");
        rows.iter()
            .find_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .unwrap_or_default()
    }
}

/// Tables, and what their definitions may hold. `sales.judge` is replaced later by functions that fail.
fn schema() -> String {
    let mut sql = format!(
        "CREATE EXTENSION pg_stat_statements;
         ALTER DATABASE shop SET app.api_secret = '{CANARY}'; ALTER ROLE {AGENT} SET app.key = '{CANARY}';
         GRANT SELECT ON pg_catalog.pg_hba_file_rules TO {AGENT};
         GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO {AGENT};
         SET ROLE app; CREATE SCHEMA sales; GRANT USAGE ON SCHEMA sales TO {AGENT};
         CREATE TABLE sales.orders (id int PRIMARY KEY, note text DEFAULT '{CANARY}', CHECK (note <> '{CANARY}!'));
         COMMENT ON TABLE sales.orders IS 'about {CANARY}';
         INSERT INTO sales.orders SELECT i, 'row ' || i FROM generate_series(1, 1000) i;
         CREATE FUNCTION sales.judge(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1; END $$;
         CREATE TABLE sales.judged (id int, note text);
         INSERT INTO sales.judged VALUES (1, '{CANARY}'), (2, '{CANARY}');
         CREATE INDEX judged_idx ON sales.judged (sales.judge(note));"
    );
    // Never used, and one twice: their definitions are of interest to the actions on indexes.
    for (name, definition) in [
        ("partial", format!("(id) WHERE note = '{CANARY}'")),
        ("partial_again", format!("(id) WHERE note = '{CANARY}'")),
        ("expression", format!("((note || '{CANARY}'))")),
    ] {
        let _ = writeln!(sql, "CREATE INDEX orders_{name} ON sales.orders {definition};");
    }
    sql
}

/// Rules with secrets, sound and broken ones, which the running server has not read.
fn write_hba(cluster: &Cluster) {
    let path = cluster.data_dir().join("pg_hba.conf");
    let mut text = std::fs::read_to_string(&path).expect("the rules");
    let _ = write!(
        text,
        "host a b 10.1.1.1/32 ldap ldapserver=x ldapbasedn=y ldapbinddn=z ldapbindpasswd={CANARY}\n\
         host a b 10.1.1.2/32 ldap ldapserver=x ldapbindpasswd=\"{CANARY}\n\
         host a b 10.1.1.3/32 radius radiusservers=127.0.0.1 radiussecrets={CANARY}\n\
         host a b 10.1.1.4/32 md5 password={CANARY}\n\
         host a b {CANARY}\n"
    );
    std::fs::write(&path, text).expect("the rules are written");
}
