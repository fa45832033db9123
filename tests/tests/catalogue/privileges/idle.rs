//! `kill_idle`, which looks at a whole server: on servers of its own, where nobody else's sessions are. They load no library at
//! start, so they also show what is said of an extension that is created and not loaded.

use std::time::{Duration, Instant};

use lockgate::{
    error::Code,
    postgres::throwaway::{Cluster, Options},
};
use lockgate_tests::{
    servers::{fetched, majors},
    session::{APP, Session, gone, run},
    site::{call, ended},
};
use serde_json::json;
use tokio::sync::OnceCell;

use super::{
    Place,
    backends::{Bystanders, session},
    refusal, statements,
};

/// A primary for each version.
async fn clusters() -> &'static [Cluster] {
    static CLUSTERS: OnceCell<Vec<Cluster>> = OnceCell::const_new();
    let make = async || {
        let mut clusters = Vec::new();
        for major in majors() {
            let options = Options { major: Some(major), servers: vec![fetched()], ..Options::default() };
            let cluster = Cluster::primary(options).start().await.expect("a server");
            cluster.execute(&format!("CREATE ROLE {APP} LOGIN")).await.expect("a role");
            clusters.push(cluster);
        }
        clusters
    };
    CLUSTERS.get_or_init(make).await
}

#[test]
fn an_extension_is_created_and_loaded_or_it_is_said_what_is_missing() {
    run(async {
        for cluster in clusters().await {
            let (database, role) = ("privileges_extension", "reads_statements");
            cluster.execute(&format!("CREATE ROLE {role} LOGIN IN ROLE pg_monitor")).await.expect("a role");
            let place = Place::new(cluster, database, &[cluster.target("reads", role, database)]).await;
            let refused = refusal(call(&place.gate, "postgres.slow_queries", "reads", json!({})).await);
            assert_eq!(refused.code, Code::UnsupportedServerVersion, "{refused}");
            assert_eq!(statements(&refused), ["CREATE EXTENSION pg_stat_statements;"]);
            assert!(refused.remedy.contains("shared_preload_libraries"), "{}", refused.remedy);

            place.grant("CREATE SCHEMA hidden; CREATE EXTENSION pg_stat_statements SCHEMA hidden").await;
            let gate = place.site.gate().await;
            let refused = refusal(call(&gate, "postgres.slow_queries", "reads", json!({})).await);
            assert_eq!(refused.code, Code::MissingPrivilege, "{refused}");
            assert_eq!(statements(&refused), [format!("GRANT USAGE ON SCHEMA hidden TO {role};")]);
            place.grant(&statements(&refused).concat()).await;
            let refused = refusal(call(&gate, "postgres.slow_queries", "reads", json!({})).await);
            assert_eq!(refused.code, Code::UnsupportedServerVersion, "created and not loaded: {refused}");
            assert!(!refused.remedy.contains("CREATE EXTENSION"), "{}", refused.remedy);
            assert!(
                refused.remedy.contains("add pg_stat_statements to shared_preload_libraries"),
                "{}",
                refused.remedy
            );
        }
    });
}

/// Sessions for `kill_idle`, on every version opened before anything waits: it looks at nothing younger than a minute.
struct Stale<'a> {
    place: Place<'a>,
    since: Instant,
    victims: [Session; 2],
    superuser: Session,
    aborted: Session,
    spared: Session,
}

impl<'a> Stale<'a> {
    async fn new(cluster: &'a Cluster) -> Self {
        cluster.execute("CREATE ROLE kills LOGIN").await.expect("a role");
        let database = "privileges_idle";
        let place = Place::new(cluster, database, &[cluster.target("kills", "kills", database)]).await;
        let open = async |name: &str| {
            let session = session(&place, name).await;
            session.execute("BEGIN; SELECT 1").await;
            session
        };
        let victims = [open("stale one").await, open("stale two").await];
        let aborted = open("aborted").await;
        aborted.fails("SELECT 1 / 0").await;
        let superuser = Session::of(cluster, "postgres", database, "stale superuser").await;
        superuser.execute("BEGIN; SELECT 1").await;
        let spared = open("comes back").await;
        Self { place, since: Instant::now(), victims, superuser, aborted, spared }
    }

    async fn old_enough(&self) {
        tokio::time::sleep_until((self.since + Duration::from_secs(61)).into()).await;
    }
}

#[test]
fn kill_idle_ends_what_was_listed_and_nothing_else() {
    run(async {
        let mut stale = Vec::new();
        for cluster in clusters().await {
            stale.push(Stale::new(cluster).await);
        }
        for stale in &stale {
            stale.old_enough().await;
            let Stale { place, victims, superuser, aborted, spared, .. } = stale;
            let arguments = json!({ "older_than_seconds": 60 });
            let young = session(place, "young").await;
            young.execute("BEGIN; SELECT 1").await;
            let bystanders = Bystanders::new(place).await;

            let named = place.lacks("postgres.kill_idle", "kills", arguments.clone()).await;
            assert_eq!(named, ["GRANT pg_monitor TO kills;", "GRANT pg_signal_backend TO kills;"]);
            place.grant("GRANT pg_monitor TO kills;").await;
            let named = place.lacks("postgres.kill_idle", "kills", arguments.clone()).await;
            assert_eq!(named, ["GRANT pg_signal_backend TO kills;"], "on {}", place.cluster.major());
            place.grant(&named.concat()).await;

            let approval = place.held("postgres.kill_idle", "kills", arguments.clone()).await;
            let asked = place.site.pending().into_iter().find(|a| a.id == approval).expect("it waits");
            let pinned = format!("{:?}", asked.request.pins);
            for victim in victims {
                assert!(pinned.contains(&victim.pid.to_string()), "{pinned}");
            }
            for (why, other) in [("superuser", superuser), ("aborted", aborted), ("young", &young)] {
                assert!(!pinned.contains(&other.pid.to_string()), "{why}: {pinned}");
            }
            // One of those that were listed has gone on by itself in between.
            assert!(pinned.contains(&spared.pid.to_string()), "{pinned}");
            spared.execute("SELECT 2").await;
            place.site.approve(&approval).await;
            let outcome = ended(&place.gate, &approval).await.expect("they are ended");
            assert_eq!(outcome.summary, "ended 2 of 3 backends");
            for victim in victims {
                gone(place.cluster, victim.pid).await;
            }
            for (why, other) in [("superuser", superuser), ("young", &young), ("spared", spared)] {
                assert!(other.lives().await, "{why}");
            }
            assert!(aborted.client.batch_execute("ROLLBACK").await.is_ok(), "a failed transaction's session lives");
            bystanders.live_on().await;
            // The record has each that was signalled.
            let end = place.assert_recorded(&outcome, "kills", &arguments, true);
            let effect = end["tables"][0]["effect"].as_array().expect("what was signalled");
            let mut signalled: Vec<_> = effect.iter().filter_map(|row| row[0].as_i64()).collect();
            let mut ended = victims.each_ref().map(|victim| victim.pid);
            signalled.sort_unstable();
            ended.sort_unstable();
            assert_eq!(signalled, ended, "{end}");
        }
    });
}
