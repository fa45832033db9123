//! Tests of how settings become an endpoint.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn nothing(_: &str) -> Option<String> {
    None
}

fn at(host: &str) -> TargetSettings {
    let mut settings = TargetSettings::named("orders");
    settings.host = Some(host.to_owned());
    settings.user = Some("lock".to_owned());
    settings
}

fn refused(settings: TargetSettings) -> String {
    Endpoint::resolve(settings, &nothing).err().unwrap().to_string()
}

#[test]
fn tls_is_verified_everywhere_but_at_home() {
    for (host, mode) in [
        ("db1.example.org", SslMode::VerifyFull),
        ("10.0.0.1", SslMode::VerifyFull),
        ("localhost", SslMode::Disable),
        ("127.0.0.2", SslMode::Disable),
        ("::1", SslMode::Disable),
        ("/run/pg", SslMode::Disable),
    ] {
        let endpoint = Endpoint::resolve(at(host), &nothing).unwrap();
        assert_eq!(endpoint.sslmode, mode, "{host}");
    }
    // A name that only looks local goes where its address says.
    let mut remote = at("localhost");
    remote.hostaddr = Some("10.0.0.1".parse().unwrap());
    assert_eq!(Endpoint::resolve(remote, &nothing).unwrap().sslmode, SslMode::VerifyFull);
}

#[test]
fn contradictions_are_refused() {
    let mut both = at("/run/pg");
    both.hostaddr = Some("10.0.0.1".parse().unwrap());
    assert!(refused(both).contains("keep one"));
    let mut tls_on_socket = at("/run/pg");
    tls_on_socket.sslmode = Some(SslMode::VerifyFull);
    assert!(refused(tls_on_socket).contains("no TLS"));
    assert!(refused(at("a,b")).contains("one name"));
    let mut pool = at("localhost");
    pool.pool_size = Some(0);
    assert!(refused(pool).contains("pool_size"));
    let mut unnamed = at("localhost");
    unnamed.name = "Orders DB".to_owned();
    assert!(refused(unnamed).contains("name"));
    let mut key = at("localhost");
    key.sslkey = Some(PathBuf::from("k.pem"));
    assert!(refused(key).contains("sslcert"));
    let mut two = at("localhost");
    (two.password_env, two.password_file) = (Some("A".to_owned()), Some(PathBuf::from("b")));
    assert!(refused(two).contains("keep one"));
}

#[test]
fn a_service_fills_what_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pg_service.conf");
    std::fs::write(
        &file,
        "[orders]\nhost=127.0.0.1\nport=6000\nuser=other\ndbname=o\nsslmode=disable\n[bad]\npassword=x\n",
    )
    .unwrap();
    let path = file.display().to_string();
    let lookup = |name: &str| (name == "PGSERVICEFILE").then(|| path.clone());
    let mut settings = TargetSettings::named("orders");
    settings.service = Some("orders".to_owned());
    settings.user = Some("lock".to_owned());
    let endpoint = Endpoint::resolve(settings.clone(), &lookup).unwrap();
    assert_eq!(endpoint.address(), "127.0.0.1:6000/o");
    assert_eq!(endpoint.credential.user, "lock");
    settings.service = Some("bad".to_owned());
    assert!(Endpoint::resolve(settings.clone(), &lookup).err().unwrap().to_string().contains(".pgpass"));
    settings.service = Some("absent".to_owned());
    assert!(Endpoint::resolve(settings, &lookup).err().unwrap().to_string().contains("none of"));
}

#[test]
fn passwords_come_from_the_first_place_that_has_one() {
    let dir = tempfile::tempdir().unwrap();
    let pgpass = dir.path().join("pgpass");
    std::fs::write(&pgpass, "localhost:5432:*:lock:from-pgpass\n").unwrap();
    let mode = |mode| std::fs::set_permissions(&pgpass, std::fs::Permissions::from_mode(mode)).unwrap();
    let path = pgpass.display().to_string();
    let lookup = |name: &str| match name {
        "PGPASSFILE" => Some(path.clone()),
        "SECRET" => Some("from-env".to_owned()),
        _ => None,
    };
    let password = |settings: TargetSettings| {
        let endpoint = Endpoint::resolve(settings, &lookup).unwrap();
        let found = endpoint.password(&endpoint.credential, &lookup);
        found.map(|secret| secret.map(|s| String::from_utf8(s.expose().to_vec()).unwrap()))
    };
    mode(0o600);
    // libpq looks a socket up as `localhost`.
    assert_eq!(password(at("/run/pg")).unwrap().as_deref(), Some("from-pgpass"));
    assert_eq!(password(at("127.0.0.1")).unwrap(), None);
    let mut env = at("localhost");
    env.password_env = Some("SECRET".to_owned());
    assert_eq!(password(env.clone()).unwrap().as_deref(), Some("from-env"));
    env.password_env = Some("UNSET".to_owned());
    assert!(password(env).unwrap_err().to_string().contains("UNSET"));
    mode(0o644);
    assert!(password(at("localhost")).unwrap_err().to_string().contains("0600"));
}
