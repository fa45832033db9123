//! What all tests here share: for each major version a primary, its standby, and a host with both stock packs and a target
//! for each of the two.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use lockgate::{
    gate::Gate,
    postgres::{
        TargetSettings,
        throwaway::{Cluster, Options},
    },
};
use lockgate_tests::{
    AGENT,
    servers::{fetched, majors},
    session::{APP, Session, caught_up, in_background},
    site::{Site, diagnose_pack, maintenance, stock_pack},
};
use tokio::sync::OnceCell;

/// The database that the targets are in. It belongs to the application, and has `pg_stat_statements`.
pub const SHOP: &str = "shop";

/// Settings that let tests stage what is rare: prepared transactions, logical slots, several standbys.
const CONF: [&str; 4] =
    ["max_prepared_transactions = 10", "wal_level = logical", "max_wal_senders = 10", "track_commit_timestamp = off"];

/// The servers of one major version, and a host.
pub struct World {
    pub major: u32,
    pub primary: Cluster,
    /// Streams from the primary.
    pub standby: Cluster,
    pub site: Site,
    /// Its targets are `primary` and `standby`, for the role `agent` in [`SHOP`].
    pub gate: Arc<Gate>,
}

impl World {
    async fn make(major: u32) -> Self {
        let options = || Options {
            major: Some(major),
            servers: vec![fetched()],
            conf: CONF.map(str::to_owned).into(),
            tcp: true,
            log_statements: true,
            stat_statements: true,
            ..Options::default()
        };
        let primary = Cluster::primary(options()).start().await.expect("a primary");
        let roles = format!(
            "CREATE ROLE {AGENT} LOGIN PASSWORD '{AGENT}' IN ROLE pg_monitor, pg_signal_backend;
             CREATE ROLE {APP} LOGIN PASSWORD '{APP}'"
        );
        primary.execute(&roles).await.expect("roles");
        primary.execute(&format!("CREATE DATABASE {SHOP} OWNER {APP}")).await.expect("a database");
        primary.execute_in(SHOP, "CREATE EXTENSION pg_stat_statements").await.expect("an extension");
        let standby = Cluster::standby(&primary, options()).start().await.expect("a standby");
        let site = site(&targets(&primary, &standby, SHOP)).await;
        let gate = site.gate().await;
        Self { major, primary, standby, site, gate }
    }

    /// The application's session in [`SHOP`] on the primary, under a name that a test can find it by.
    pub async fn app(&self, application: &str) -> Session {
        Session::of(&self.primary, APP, SHOP, application).await
    }

    /// Makes a database of the application's, on the standby too. A test that needs a state of the whole database has one of
    /// its own.
    pub async fn database(&self, name: &str) {
        self.primary.execute(&format!("CREATE DATABASE {name} OWNER {APP}")).await.expect("a database");
        self.caught_up().await;
    }

    /// Another host with the same packs, and the targets `primary` and `standby` in another database.
    pub async fn host_in(&self, database: &str) -> (Site, Arc<Gate>) {
        let site = site(&targets(&self.primary, &self.standby, database)).await;
        let gate = site.gate().await;
        (site, gate)
    }

    /// The same for a role that has the application's credential for maintenance, which owns the tables.
    pub async fn host_as(&self, role: &str, database: &str) -> (Site, Arc<Gate>) {
        let maintained = |cluster: &Cluster, name| {
            let mut target = cluster.target(name, role, database);
            target.maintenance = Some(maintenance(APP));
            target
        };
        let targets = [maintained(&self.primary, "primary"), maintained(&self.standby, "standby")];
        let site = site(&targets).await;
        let gate = site.gate().await;
        (site, gate)
    }

    /// Waits until the standby has replayed what the primary has written so far.
    pub async fn caught_up(&self) {
        caught_up(&self.primary, &self.standby).await;
    }
}

async fn site(targets: &[TargetSettings]) -> Site {
    let site = Site::with_stock_pack(targets, "").await;
    site.add(diagnose_pack().await);
    site
}

fn targets(primary: &Cluster, standby: &Cluster, database: &str) -> Vec<TargetSettings> {
    vec![primary.target("primary", AGENT, database), standby.target("standby", AGENT, database)]
}

/// One world a major version, oldest first; made all at once when they are first asked for. If that fails, it fails once,
/// with its own words.
pub async fn worlds() -> &'static [World] {
    static WORLDS: OnceCell<Vec<World>> = OnceCell::const_new();
    static TRIED: AtomicBool = AtomicBool::new(false);
    let make_once = async || {
        assert!(!TRIED.swap(true, Ordering::SeqCst), "the servers did not start: see the first test that failed");
        // Their components are built once, before several hosts ask for them.
        let majors = majors();
        stock_pack().await;
        diagnose_pack().await;
        let making: Vec<_> = majors.into_iter().map(|major| in_background(World::make(major))).collect();
        let mut worlds = Vec::new();
        for world in making {
            worlds.push(world.await.expect("the servers of a version"));
        }
        worlds
    };
    WORLDS.get_or_init(make_once).await
}

/// Runs a test on each version, one after the other. A failure says on which.
pub async fn for_each_world(test: impl AsyncFn(&'static World)) {
    for world in worlds().await {
        let _named = Named(world.major);
        test(world).await;
    }
}

/// Says, when a panic passes, where it came from.
struct Named(u32);

impl Drop for Named {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("it was PostgreSQL {}", self.0);
        }
    }
}
