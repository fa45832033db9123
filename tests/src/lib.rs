//! What the tests that cross a boundary share: a throwaway cluster for each test binary, started when it is first asked for,
//! and gone with the process (its watchdog sees to that).

pub mod agent;
pub mod answers;
pub mod browser;
pub mod clients;
pub mod desk;
pub mod guest;
pub mod registry;
pub mod servers;
pub mod session;
pub mod site;

use std::{path::Path, process::Command};

use lockgate::postgres::throwaway::{Cluster, Options};
use tokio::sync::OnceCell;

/// The role that lockgate uses in tests, with the grants that the operator's reference asks for and no more.
pub const AGENT: &str = "agent";

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// The test binary's cluster: `pg_stat_statements` where it is installed, TCP on loopback, statements logged, and the role
/// [`AGENT`].
///
/// # Panics
/// If there is no server to start; the message says how to get one.
pub async fn cluster() -> &'static Cluster {
    CLUSTER
        .get_or_init(async || {
            let options = Options { tcp: true, log_statements: true, stat_statements: true, ..Options::default() };
            let cluster = Cluster::primary(options).start().await.expect("a cluster for this test binary");
            let role = format!("CREATE ROLE {AGENT} LOGIN IN ROLE pg_monitor, pg_signal_backend");
            cluster.execute(&role).await.expect("the role of the tests");
            cluster
        })
        .await
}

/// Makes an authority and a certificate that it signed for a name, with the `openssl` program: `ca.pem`, `server.pem` and
/// `server.key` in a directory.
///
/// # Panics
/// If `openssl` is missing or fails.
pub fn certificates(dir: &Path, name: &str) {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").current_dir(dir).args(arguments).output().expect("openssl can be started");
        assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let ca = ["req", "-x509", "-days", "2", "-subj", "/CN=tests", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(&[&ca[..], &curve[..]].concat());
    let subject = format!("/CN={name}");
    let request = ["req", "-subj", &subject, "-keyout", "server.key", "-out", "server.csr"];
    openssl(&[&request[..], &curve[..]].concat());
    std::fs::write(dir.join("ext"), format!("subjectAltName=DNS:{name}\n")).expect("a file in the test's directory");
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "ext",
        "-out",
        "server.pem",
    ]);
}
