//! `ssl_connections`: one session over TLS with a client certificate, one in the clear over a network, one over the socket.

use lockgate_tests::session::{APP, PATIENCE, in_background};
use tokio_postgres::NoTls;

use crate::reads::stage::{HOST, int, on_every_major, only, rows, text};

#[test]
fn a_plain_session_comes_first_and_a_tls_session_is_described() {
    on_every_major(async |stage| {
        let mut plain = tokio_postgres::Config::new();
        plain.host("127.0.0.1").port(stage.primary.port()).connect_timeout(PATIENCE);
        plain.user(APP).password("pw").dbname("shop").application_name("in-the-clear");
        let (_plain, connection) = plain.connect(NoTls).await.unwrap();
        in_background(connection);
        let local = stage.app("over-the-socket").await;

        // lockgate's own session is over TLS.
        let outcome = stage.ask("ssl_connections", "tls").await;
        assert!(outcome.summary.contains("1 over TLS; 1 over a network without protection"), "{}", outcome.summary);
        let rows = rows(&outcome);
        assert_eq!(rows[0]["application"], "in-the-clear", "the unprotected first: {rows:?}");
        let unprotected = only(&rows, "application", "in-the-clear");
        assert_eq!((text(unprotected, "protection"), text(unprotected, "client")), ("none", "127.0.0.1"));
        assert!(unprotected["tls_version"].is_null() && unprotected["cipher"].is_null(), "{unprotected:?}");
        let socket = only(&rows, "application", "over-the-socket");
        assert_eq!((int(socket, "pid"), text(socket, "protection")), (local.pid, "none: local socket"));

        let own = only(&rows, "protection", "TLS");
        assert_eq!(own["user_name"], "agent");
        assert_eq!(own["client_subject"], format!("/CN={HOST}"));
        assert_eq!(own["client_issuer"], "/CN=tests");
        let pid = int(own, "pid");
        let truth = format!("SELECT concat_ws('|', version, cipher, bits) FROM pg_stat_ssl WHERE pid = {pid}");
        let said = format!("{}|{}|{}", text(own, "tls_version"), text(own, "cipher"), int(own, "bits"));
        assert_eq!(stage.truth(&truth).await.as_deref(), Some(said.as_str()));
        assert!(said.starts_with("TLSv1."), "{said}");

        // The standby's walsender is a connection, too.
        assert_eq!(only(&rows, "backend_type", "walsender")["protection"], "none: local socket");
    });
}
