//! A target reaches its server the way its settings say and no other: passwords from where they are kept, TLS verified or no
//! connection, and a session without its guard refused. What runs on a connection is tested beside the code.

use std::{
    io::BufRead as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use lockgate::postgres::{
    ChannelBinding, QueryError, SslMode, Target, TargetSettings,
    throwaway::{Cluster, Options},
};
use lockgate_tests::{AGENT, certificates, cluster};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UnixStream},
};

/// A private file.
fn secret(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn over_tcp(cluster: &Cluster, user: &str) -> TargetSettings {
    let mut settings = TargetSettings::named("test");
    settings.host = Some("127.0.0.1".to_owned());
    settings.port = Some(cluster.port());
    settings.user = Some(user.to_owned());
    settings.dbname = Some("postgres".to_owned());
    settings
}

async fn who(settings: TargetSettings) -> Result<String, String> {
    let target = Target::new(settings).map_err(|e| e.to_string())?;
    target.facts().await.map(|facts| facts.role_name.clone()).map_err(|e| e.to_string())
}

#[tokio::test]
async fn passwords_are_taken_from_where_they_are_kept() {
    let cluster = cluster().await;
    let dir = tempfile::tempdir().unwrap();
    let in_environment = std::env::var("PATH").unwrap();
    cluster
        .execute(&format!(
            "CREATE ROLE keeper LOGIN PASSWORD 'correct:horse'; CREATE ROLE walker LOGIN PASSWORD '{in_environment}'"
        ))
        .await
        .unwrap();

    let mut file = over_tcp(cluster, "keeper");
    file.password_file = Some(secret(dir.path(), "password", "correct:horse\n"));
    assert_eq!(who(file).await.unwrap(), "keeper");

    let mut passfile = over_tcp(cluster, "keeper");
    let line = format!("127.0.0.1:{}:*:keeper:correct\\:horse\n", cluster.port());
    passfile.passfile = Some(secret(dir.path(), "pgpass", &line));
    assert_eq!(who(passfile).await.unwrap(), "keeper");

    let mut environment = over_tcp(cluster, "walker");
    environment.password_env = Some("PATH".to_owned());
    assert_eq!(who(environment).await.unwrap(), "walker");

    let mut service = TargetSettings::named("test");
    service.service = Some("keep".to_owned());
    let text = format!("[keep]\nhost=127.0.0.1\nport={}\nuser=keeper\ndbname=postgres\n", cluster.port());
    service.servicefile = Some(secret(dir.path(), "pg_service.conf", &text));
    service.password_file = Some(dir.path().join("password"));
    assert_eq!(who(service).await.unwrap(), "keeper");

    let described = [
        ("PGHOST", "127.0.0.1".to_owned()),
        ("PGPORT", cluster.port().to_string()),
        ("PGUSER", "keeper".to_owned()),
        ("PGDATABASE", "postgres".to_owned()),
        ("PGPASSFILE", dir.path().join("pgpass").display().to_string()),
    ];
    let lookup = |name: &str| described.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
    assert_eq!(who(TargetSettings::from_environment(&lookup).unwrap().unwrap()).await.unwrap(), "keeper");
}

#[tokio::test]
async fn a_password_is_in_no_error() {
    let cluster = cluster().await;
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = over_tcp(cluster, AGENT);
    wrong.password_file = Some(secret(dir.path(), "password", "hunter2\n"));
    let target = Target::new(wrong).unwrap();
    let error = target.facts().await.unwrap_err();
    assert!(error.to_string().contains("password authentication failed"), "{error}");
    assert!(!format!("{error:?} {target:?}").contains("hunter2"));
}

#[tokio::test]
async fn tls_is_verified_or_there_is_no_connection() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    certificates(dir.path(), "db.example.test");
    let key = std::fs::read_to_string(dir.path().join("server.key")).unwrap();
    let certificate = std::fs::read_to_string(dir.path().join("server.pem")).unwrap();
    let options = Options {
        tcp: true,
        hba: vec!["hostssl all all 127.0.0.1/32 scram-sha-256".into(), "host all all all reject".into()],
        ..Options::default()
    };
    let mut cluster = Cluster::primary(options).start().await.unwrap();
    // Written by the server's own user, which may read it then.
    let write = |name: &str, text: &str| {
        format!(
            "COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO '{}/{name}'",
            text.trim(),
            cluster.data_dir().display()
        )
    };
    let (key, certificate) = (write("server.key", &key), write("server.crt", &certificate));
    cluster.execute(&format!("{key}; {certificate}; CREATE ROLE tls LOGIN PASSWORD 'pw'")).await.unwrap();
    std::fs::set_permissions(cluster.data_dir().join("server.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    cluster.execute("ALTER SYSTEM SET ssl = on").await.unwrap();
    cluster.stop();
    cluster.start_again().await.unwrap();

    let plainest = over_tcp(&cluster, "tls");
    let base = || {
        let mut settings = plainest.clone();
        settings.host = Some("db.example.test".to_owned());
        settings.hostaddr = Some("127.0.0.1".parse().unwrap());
        settings.sslmode = Some(SslMode::VerifyFull);
        settings.sslrootcert = Some(dir.path().join("ca.pem"));
        settings.password_file = Some(secret(dir.path(), "password", "pw"));
        settings
    };
    let mut bound = base();
    bound.channel_binding = ChannelBinding::Require;
    assert_eq!(who(bound).await.unwrap(), "tls");

    let mut other_name = base();
    other_name.host = Some("other.example.test".to_owned());
    assert!(who(other_name.clone()).await.unwrap_err().contains("not valid for name"), "the name is checked");
    other_name.sslmode = Some(SslMode::VerifyCa);
    assert_eq!(who(other_name).await.unwrap(), "tls");

    let elsewhere = tempfile::tempdir().unwrap();
    certificates(elsewhere.path(), "db.example.test");
    for mode in [SslMode::VerifyFull, SslMode::VerifyCa, SslMode::Require] {
        let mut other_authority = base();
        other_authority.sslmode = Some(mode);
        other_authority.sslrootcert = Some(elsewhere.path().join("ca.pem"));
        assert!(who(other_authority).await.is_err(), "the authority is checked with {mode:?}");
    }
    let mut unchecked = base();
    (unchecked.sslmode, unchecked.sslrootcert) = (Some(SslMode::Require), None);
    assert_eq!(who(unchecked).await.unwrap(), "tls");
    let mut plain = base();
    plain.sslmode = Some(SslMode::Disable);
    assert!(who(plain).await.is_err(), "the server takes no plaintext");

    // And a server without TLS is not used without it.
    cluster.execute("ALTER SYSTEM SET ssl = off; ").await.unwrap();
    cluster.stop();
    cluster.start_again().await.unwrap();
    assert!(who(base()).await.unwrap_err().contains("TLS"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = TargetSettings::named("gone");
    settings.socket_dir = Some(dir.path().to_owned());
    settings.user = Some("nobody".to_owned());
    let error = Target::new(settings).unwrap().facts().await.unwrap_err();
    assert!(matches!(error, QueryError::Connection { effect_unknown: false, .. }), "{error:?}");

    // Something that accepts and never answers.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = TargetSettings::named("mute");
    settings.host = Some("127.0.0.1".to_owned());
    settings.port = Some(mute.local_addr().unwrap().port());
    settings.user = Some("nobody".to_owned());
    settings.connect_timeout_ms = Some(200);
    let started = Instant::now();
    let error = Target::new(settings).unwrap().facts().await.unwrap_err().to_string();
    assert!(error.contains("in time"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn sessions_hold_their_guard_against_the_roles_own_settings() {
    let cluster = cluster().await;
    cluster
        .execute(
            "CREATE ROLE odd LOGIN; ALTER ROLE odd SET search_path = public; ALTER ROLE odd SET client_min_messages = error; \
             ALTER ROLE odd SET statement_timeout = 0; ALTER ROLE odd SET default_transaction_read_only = off",
        )
        .await
        .unwrap();
    let target = Target::new(cluster.target("odd", "odd", "postgres")).unwrap();
    assert_eq!(target.facts().await.unwrap().role_name, "odd");
    let names = "SELECT application_name FROM pg_stat_activity WHERE usename = 'odd'";
    assert_eq!(cluster.value(names).await.unwrap().as_deref(), Some("lockgate/odd"));
}

/// Hands a connection on to a server without the startup packet's `options`, as PgBouncer does when it is told to ignore
/// that parameter.
async fn forgetful_pooler(server: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = UnixStream::connect(&server).await.unwrap();
            let length = client.read_u32().await.unwrap();
            let mut packet = vec![0; length as usize - 4];
            client.read_exact(&mut packet).await.unwrap();
            let (version, rest) = packet.split_at(4);
            let words: Vec<&[u8]> = rest.split(|byte| *byte == 0).collect();
            let kept = words.chunks(2).filter(|pair| pair.len() == 2 && !pair[0].is_empty() && pair[0] != b"options");
            let mut packet = version.to_vec();
            for word in kept.flatten() {
                packet.extend_from_slice(word);
                packet.push(0);
            }
            packet.push(0);
            server.write_u32(u32::try_from(packet.len()).unwrap() + 4).await.unwrap();
            server.write_all(&packet).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    port
}

#[tokio::test]
async fn a_session_that_lost_its_guard_on_the_way_is_refused() {
    let cluster = cluster().await;
    let mut settings = TargetSettings::named("pooled");
    settings.host = Some("127.0.0.1".to_owned());
    settings.port = Some(forgetful_pooler(cluster.socket_dir().join(format!(".s.PGSQL.{}", cluster.port()))).await);
    (settings.user, settings.dbname) = (Some(AGENT.to_owned()), Some("postgres".to_owned()));
    let error = who(settings).await.unwrap_err();
    assert!(error.contains("search_path") && error.contains("PgBouncer"), "{error}");
}

#[tokio::test]
#[ignore = "a part of the next test, which runs it in a process of its own"]
async fn a_process_that_will_be_killed() {
    let cluster = Cluster::primary(Options::default()).start().await.unwrap();
    println!("\n{} {}", cluster.pid().unwrap(), cluster.data_dir().parent().unwrap().display());
    std::future::pending::<()>().await;
}

#[test]
fn a_server_does_not_outlive_a_process_that_was_killed() {
    let mut process = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "a_process_that_will_be_killed"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    let (pid, root) = lines
        .filter_map(|line| line.split_once(" /").map(|(pid, root)| (pid.to_owned(), format!("/{root}"))))
        .find(|(pid, _)| pid.parse::<u32>().is_ok())
        .unwrap();
    assert!(Path::new(&root).exists());
    process.kill().unwrap();
    process.wait().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    // Gone, or waiting to be reaped by whoever inherits orphans here.
    let runs = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while (runs() || Path::new(&root).exists()) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!runs() && !Path::new(&root).exists());
}

#[tokio::test]
async fn a_cluster_leaves_nothing_behind() {
    let mut cluster = Cluster::primary(Options::default()).start().await.unwrap();
    let (root, pid) = (cluster.data_dir().parent().unwrap().to_owned(), cluster.pid().unwrap());
    cluster.crash();
    cluster.start_again().await.unwrap();
    assert_ne!(cluster.pid(), Some(pid));
    let pid = cluster.pid().unwrap();
    drop(cluster);
    assert!(!root.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}
