//! The night of the incident, with whatever else a server may have: a primary with a standby that streams and one that does
//! not come back, an open transaction of a crashed deploy with writers behind it, indexes that are no use, a sequence near
//! its end, a vacuum and an index build under way. Every session is a real one.

use std::{sync::Arc, time::Duration};

use lockgate::{
    gate::Gate,
    postgres::throwaway::{Binaries, Cluster, Options},
};
use lockgate_tests::{
    AGENT,
    session::{PATIENCE, Running, Session, caught_up},
    site::{Site, diagnose_pack},
};
use serde_json::{Map, Value as Json, json};

const SHOP: &str = "shop";
/// Behind the deploy.
const WRITERS: usize = 6;

pub struct Stage {
    primary: Cluster,
    _standby: Cluster,
    pub site: Site,
    pub gate: Arc<Gate>,
    /// The deploy's backend at the head of the chain.
    head: i64,
    /// A report that runs for too long.
    report: i64,
    _sessions: Vec<Session>,
    _running: Vec<Running>,
}

impl Stage {
    pub async fn build() -> Self {
        let system = Binaries::find(None).expect("the system's server").major();
        let options = Options {
            major: Some(system),
            stat_statements: true,
            conf: [
                "wal_level = logical",
                "max_prepared_transactions = 10",
                "max_wal_senders = 10",
                "archive_mode = on",
                "archive_command = 'true %p'",
                "autovacuum_naptime = 1",
                "track_io_timing = on",
                "work_mem = '8MB'",
                "random_page_cost = 1.1",
            ]
            .map(str::to_owned)
            .into(),
            ..Options::default()
        };
        let primary = Cluster::primary(options.clone()).start().await.expect("a primary");
        for statement in ROLES.replace("AGENT", AGENT).split(';') {
            primary.execute(statement).await.expect("roles and databases");
        }
        primary.execute_in(SHOP, &TABLES.replace("AGENT", AGENT)).await.expect("tables");
        let slot = "SELECT pg_create_logical_replication_slot('billing_cdc', 'pgoutput')";
        primary.execute_in(SHOP, slot).await.expect("a slot");
        let invalid = "CREATE UNIQUE INDEX CONCURRENTLY customers_email_key ON customers (email)";
        assert!(primary.execute_in(SHOP, invalid).await.is_err(), "there are duplicates");
        let standby = Cluster::standby(&primary, options).start().await.expect("a standby");
        caught_up(&primary, &standby).await;

        let targets = {
            let mut target = primary.target("primary", AGENT, SHOP);
            target.maintenance = Some(toml::from_str("user = \"app\"").expect("settings"));
            [target, standby.target("standby", AGENT, SHOP)]
        };
        let site = Site::with_stock_pack(&targets, "").await;
        site.add(diagnose_pack().await);
        let gate = site.gate().await;
        let mut stage = Self {
            primary,
            _standby: standby,
            site,
            gate,
            head: 0,
            report: 0,
            _sessions: Vec::new(),
            _running: Vec::new(),
        };
        let forget = "SELECT pg_stat_statements_reset()";
        stage.primary.execute_in(SHOP, forget).await.expect("what the stage took is forgotten");
        stage.sessions().await;
        stage
    }

    async fn session(&self, role: &str, application: &str) -> Session {
        Session::of(&self.primary, role, SHOP, application).await
    }

    async fn sessions(&mut self) {
        for _ in 0..12 {
            let checkout = self.session("app", "checkout").await;
            for sql in STATEMENTS {
                checkout.execute(sql).await;
            }
            self._sessions.push(checkout);
        }
        let coordinator = self.session("app", "billing").await;
        let two_phase = "BEGIN; UPDATE invoices SET paid = true WHERE id = 7; PREPARE TRANSACTION 'billing-20417'";
        coordinator.execute(two_phase).await;
        // The deploy, and those that its failure left behind.
        let deploy = self.session("deploy", "migrate-svc").await;
        self.head = deploy.pid;
        deploy.execute("BEGIN; UPDATE orders SET region = region WHERE region = 'eu'").await;
        deploy.execute("SELECT id FROM orders WHERE region = 'eu' FOR UPDATE").await;
        self._sessions.extend([coordinator, deploy]);
        for _ in 0..3 {
            let straggler = self.session("deploy", "migrate-svc").await;
            straggler.execute("BEGIN; SELECT count(*) FROM customers").await;
            self._sessions.push(straggler);
        }
        for id in 1..=WRITERS {
            let writer = self.session("app", "checkout").await;
            let running = writer.start(&format!("UPDATE orders SET status = 'paid' WHERE id = {}", id * 3)).await;
            self._running.push(running);
        }
        let waiting = format!(
            "SELECT count(*) >= {WRITERS} FROM pg_stat_activity WHERE application_name = 'checkout' AND wait_event_type = 'Lock'"
        );
        self.primary.wait_for(&waiting, "t", PATIENCE).await.expect("the writers wait");
        let report = self.session("app", "reporting").await;
        let report = report.start("SELECT pg_sleep(3600), count(*) FROM orders").await;
        self.report = report.pid;
        // A vacuum and an index build that are far from their ends.
        let slow = "SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1";
        let vacuum = Session::of(&self.primary, "app", SHOP, "psql").await;
        vacuum.execute(slow).await;
        let vacuum = vacuum.start("VACUUM order_items").await;
        let build = self.session("app", "psql").await;
        let build = build.start("CREATE INDEX CONCURRENTLY orders_created_idx ON orders (created)").await;
        self._running.extend([report, vacuum, build]);
        for (view, count) in [("pg_stat_progress_vacuum", 2), ("pg_stat_progress_create_index", 1)] {
            let there = format!("SELECT count(*) >= {count} FROM {view}");
            self.primary.wait_for(&there, "t", PATIENCE).await.expect("maintenance is under way");
        }
        // What the statistics have only once it was written there.
        self.primary.execute("SELECT pg_switch_wal()").await.expect("a WAL file is full");
        for seen in [
            "SELECT archived_count > 0 FROM pg_stat_archiver",
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'",
        ] {
            self.primary.wait_for(seen, "t", PATIENCE).await.expect("the statistics have it");
        }
    }

    /// What an action is called with, once the stage is set for it.
    pub async fn prepare(&self, action: &str) -> Map<String, Json> {
        let arguments = match action {
            "cancel_query" => json!({ "pid": self.report }),
            "terminate_backend" => json!({ "pid": self.head }),
            "kill_idle" => {
                let old = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'migrate-svc' \
                    AND state = 'idle in transaction' AND state_change < now() - interval '61 s'";
                self.primary.wait_for(old, "3", Duration::from_secs(120)).await.expect("they have idled for a minute");
                json!({ "older_than_seconds": 60 })
            }
            "analyze_table" | "vacuum_table" => json!({ "schema": "public", "table": "customers" }),
            "reindex_concurrent" => {
                // It refuses to wait for what has been open for so long.
                let old = "backend_xmin IS NOT NULL AND xact_start < now() - interval '20 s'";
                let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {old}");
                self.primary.execute(&end).await.expect("the night's work is ended");
                let left = format!("SELECT count(*) FROM pg_stat_activity WHERE {old}");
                self.primary.wait_for(&left, "0", PATIENCE).await.expect("it is gone");
                json!({ "schema": "public", "index": "customers_name_idx" })
            }
            _ => json!({}),
        };
        arguments.as_object().cloned().unwrap_or_default()
    }

    /// Such as `PostgreSQL 15.18`.
    pub async fn version(&self) -> String {
        let version = self.primary.value("SHOW server_version").await.expect("a version").expect("a version");
        format!("PostgreSQL {}", version.split(' ').next().unwrap_or_default())
    }

    /// The text without the directory that the servers happen to be in.
    pub fn placeless(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for cluster in [&self.primary, &self._standby] {
            let root = cluster.data_dir().parent().expect("a directory").display().to_string();
            text = text.replace(&root, "/srv/postgresql");
        }
        text
    }
}

const ROLES: &str = "
    CREATE ROLE AGENT LOGIN IN ROLE pg_monitor, pg_signal_backend; CREATE ROLE deploy LOGIN; CREATE ROLE app LOGIN;
    CREATE DATABASE shop OWNER app; CREATE DATABASE metrics OWNER app;
    GRANT SELECT ON pg_catalog.pg_hba_file_rules TO AGENT;
    SELECT pg_create_physical_replication_slot('old_standby', true);
    ALTER ROLE deploy CONNECTION LIMIT 10; ALTER ROLE app SET statement_timeout = 0
";

const TABLES: &str = "
    CREATE EXTENSION pg_stat_statements;
    GRANT SELECT ON pg_catalog.pg_hba_file_rules TO AGENT;
    GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO AGENT;
    GRANT CREATE ON SCHEMA public TO app;
    SET ROLE app;
    CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL);
    INSERT INTO customers SELECT i, 'customer ' || i, 'c' || i % 4990 || '@example.com' FROM generate_series(1, 5000) i;
    CREATE INDEX customers_name_idx ON customers (name);
    CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, region text NOT NULL, status text NOT NULL,
        created timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 80);
    INSERT INTO orders SELECT i, 1 + i % 5000, CASE WHEN i % 3 = 0 THEN 'eu' ELSE 'us' END, 'open'
        FROM generate_series(1, 60000) i;
    CREATE INDEX orders_customer_idx ON orders (customer);
    CREATE INDEX orders_customer_idx1 ON orders (customer);
    CREATE INDEX orders_region_idx ON orders (region);
    CREATE TABLE order_items (order_id bigint NOT NULL, line int NOT NULL, sku text NOT NULL, PRIMARY KEY (order_id, line))
        WITH (autovacuum_enabled = false);
    INSERT INTO order_items SELECT i, 1, 'sku-' || i % 100 FROM generate_series(1, 40000) i;
    DELETE FROM order_items WHERE order_id % 3 = 0;
    CREATE TABLE events (id bigint, what text) WITH (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
    INSERT INTO events SELECT i, repeat('x', 200) FROM generate_series(1, 40000) i;
    DELETE FROM events WHERE id % 2 = 0;
    CREATE TABLE invoices (id int PRIMARY KEY, paid boolean NOT NULL DEFAULT false);
    INSERT INTO invoices SELECT i FROM generate_series(1, 100) i;
    CREATE SEQUENCE invoice_number AS smallint OWNED BY invoices.id;
    SELECT setval('invoice_number', 29800);
    GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO AGENT;
    GRANT SELECT, UPDATE ON orders, customers TO deploy;
    UPDATE orders SET status = 'packed' WHERE id % 5 = 0;
    ANALYZE customers, orders, order_items, invoices
";

/// What the checkout does all day.
const STATEMENTS: &[&str] = &[
    "SELECT count(*) FROM orders WHERE status = 'open'",
    "SELECT * FROM orders WHERE id = 42",
    "SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer WHERE o.customer = 17",
    "UPDATE orders SET status = 'packed' WHERE id = 4241",
    "SELECT count(*) FROM order_items WHERE sku = 'sku-7'",
];
