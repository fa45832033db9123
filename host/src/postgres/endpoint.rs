//! Settings resolved: service file read, defaults filled in, contradictions refused. What a connection is made from.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    environment::Lookup,
    error::TargetError,
    passfile, secret,
    secret::Secret,
    service,
    settings::{ChannelBinding, Expect, SslMode, TargetSettings},
    tls,
};

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A directory with `.s.PGSQL.PORT` in it.
    Socket(PathBuf),
    /// A name (what TLS verifies) and, where it is not to be looked up, an address.
    Tcp { host: String, hostaddr: Option<std::net::IpAddr> },
}

/// Who logs in, and where the password is kept.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    pub(super) user: String,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    passfile: Option<PathBuf>,
}

/// The limits that every session of a target has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    pub(super) statement: Duration,
    pub(super) lock: Duration,
    pub(super) idle_in_transaction: Duration,
}

/// One server, ready to be connected to.
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) port: u16,
    pub(super) dbname: String,
    pub(super) sslmode: SslMode,
    pub(super) channel_binding: ChannelBinding,
    pub(super) expect: Option<Expect>,
    pub(super) pool_size: usize,
    pub(super) timeouts: Timeouts,
    pub(super) credential: Credential,
    pub(super) tls: MakeRustlsConnect,
    pub(super) maintenance: Option<(Credential, MakeRustlsConnect)>,
}

/// Hosts of an operator's network, not of the internet: 64 connections are far beyond what guarded calls need, and far
/// below what fills a server.
const MAX_POOL: u32 = 64;

impl Endpoint {
    pub(super) fn resolve(mut settings: TargetSettings, lookup: Lookup<'_>) -> Result<Self, TargetError> {
        let name = settings.name.clone();
        let wrong = |message: &str| TargetError::setting(&name, message);
        if !well_named(&name) {
            return Err(wrong(
                "a target's name is 1 to 63 of `a-z`, `0-9`, `-`, `_`, `.` and begins with a letter or a digit",
            ));
        }
        fill_from_service(&mut settings, lookup)?;

        let place = place(&settings)?;
        let local = match &place {
            Place::Socket(_) => true,
            Place::Tcp { host, hostaddr } => hostaddr.map_or_else(|| is_loopback(host), |a| a.is_loopback()),
        };
        let sslmode = settings.sslmode.unwrap_or(if local { SslMode::Disable } else { SslMode::VerifyFull });
        if matches!(place, Place::Socket(_)) && sslmode != SslMode::Disable {
            return Err(wrong("a Unix socket has no TLS: leave `sslmode` out"));
        }
        if sslmode == SslMode::Disable && settings.channel_binding == ChannelBinding::Require {
            return Err(wrong("`channel_binding = \"require\"` needs TLS: set `sslmode`"));
        }
        if sslmode == SslMode::Disable && !local {
            tracing::warn!(
                target = name,
                "sslmode is `disable` for a server on the network: nothing protects the connection"
            );
        }

        let user = settings
            .user
            .clone()
            .or_else(|| lookup("USER"))
            .or_else(|| lookup("LOGNAME"))
            .ok_or_else(|| wrong("has no `user`"))?;
        let pool_size = settings.pool_size.unwrap_or(4);
        if !(1..=MAX_POOL).contains(&pool_size) {
            return Err(wrong("`pool_size` is 1 to 64"));
        }
        let passfile = settings
            .passfile
            .clone()
            .or_else(|| lookup("PGPASSFILE").map(PathBuf::from))
            .or_else(|| lookup("HOME").map(|home| Path::new(&home).join(".pgpass")));
        let credential = Credential {
            user: user.clone(),
            password_file: settings.password_file.clone(),
            password_env: settings.password_env.clone(),
            passfile: passfile.clone(),
        };
        one_source(&name, &credential)?;
        let root = settings.sslrootcert.as_deref();
        let own = tls::client_pair(&name, settings.sslcert.as_deref(), settings.sslkey.as_deref())?;
        let connector = tls::connector(sslmode, root, own)?;
        let maintenance = settings
            .maintenance
            .as_ref()
            .map(|m| {
                let credential = Credential {
                    user: m.user.clone(),
                    password_file: m.password_file.clone(),
                    password_env: m.password_env.clone(),
                    passfile: passfile.clone(),
                };
                one_source(&name, &credential)?;
                let own = tls::client_pair(&name, m.sslcert.as_deref(), m.sslkey.as_deref())?;
                Ok::<_, TargetError>((credential, tls::connector(sslmode, root, own)?))
            })
            .transpose()?;
        Ok(Self {
            place,
            port: settings.port.unwrap_or(5432),
            dbname: settings.dbname.clone().unwrap_or(user),
            sslmode,
            channel_binding: settings.channel_binding,
            expect: settings.expect,
            pool_size: usize::try_from(pool_size).unwrap_or(1),
            timeouts: timeouts(&settings)?,
            credential,
            tls: connector,
            maintenance,
            name,
        })
    }

    /// Where, for people and for digests: never who.
    pub(super) fn address(&self) -> String {
        match &self.place {
            Place::Socket(dir) => format!("{}:{}/{}", dir.display(), self.port, self.dbname),
            Place::Tcp { host, hostaddr: None } => format!("{host}:{}/{}", self.port, self.dbname),
            Place::Tcp { host, hostaddr: Some(a) } => format!("{host}({a}):{}/{}", self.port, self.dbname),
        }
    }

    /// The password for one connection, from the first place that has one, in libpq's order.
    pub(super) fn password(&self, credential: &Credential, lookup: Lookup<'_>) -> Result<Option<Secret>, TargetError> {
        if let Some(path) = &credential.password_file {
            return secret::read_password_file(path).map(Some);
        }
        if let Some(variable) = &credential.password_env {
            let found = lookup(variable).ok_or_else(|| {
                TargetError::setting(&self.name, format!("`password_env` names `{variable}`, which is not set"))
            })?;
            return Ok(Some(Secret::new(found)));
        }
        let Some(path) = credential.passfile.as_deref().filter(|path| path.exists()) else {
            return Ok(None);
        };
        let text = secret::read_private(path)?;
        let host = match &self.place {
            Place::Socket(_) => "localhost",
            Place::Tcp { host, .. } => host,
        };
        let wanted = passfile::Wanted { host, port: self.port, dbname: &self.dbname, user: &credential.user };
        Ok(passfile::find(&text, wanted))
    }
}

fn well_named(name: &str) -> bool {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 63 && name.starts_with(ok) && name.chars().all(|c| ok(c) || matches!(c, '-' | '_' | '.'))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn one_source(name: &str, credential: &Credential) -> Result<(), TargetError> {
    if credential.password_file.is_some() && credential.password_env.is_some() {
        return Err(TargetError::setting(name, "has both `password_file` and `password_env`: keep one"));
    }
    Ok(())
}

fn place(settings: &TargetSettings) -> Result<Place, TargetError> {
    let wrong = |message: &str| TargetError::setting(&settings.name, message);
    let socket = settings
        .socket_dir
        .clone()
        .or_else(|| settings.host.as_deref().filter(|host| host.starts_with('/')).map(PathBuf::from));
    if let Some(dir) = socket {
        if settings.hostaddr.is_some() || settings.host.as_deref().is_some_and(|host| !host.starts_with('/')) {
            return Err(wrong("names both a Unix socket and a host: keep one"));
        }
        return Ok(Place::Socket(dir));
    }
    match (&settings.host, settings.hostaddr) {
        (Some(host), _) if host.contains(',') || host.starts_with('@') || host.is_empty() => {
            Err(wrong("`host` is one name, one address or the directory of a Unix socket"))
        }
        (Some(host), hostaddr) => Ok(Place::Tcp { host: host.clone(), hostaddr }),
        (None, Some(address)) => Ok(Place::Tcp { host: address.to_string(), hostaddr: Some(address) }),
        (None, None) => {
            // Debian's and Red Hat's servers are there, a server built from source is in /tmp.
            let packaged = Path::new("/var/run/postgresql");
            Ok(Place::Socket(if packaged.is_dir() { packaged.to_owned() } else { PathBuf::from("/tmp") }))
        }
    }
}

fn timeouts(settings: &TargetSettings) -> Result<Timeouts, TargetError> {
    let one = |key: &str, value: Option<u32>, default: u64, max: u64| {
        let ms = value.map_or(default, u64::from);
        if (1..=max).contains(&ms) {
            return Ok(Duration::from_millis(ms));
        }
        Err(TargetError::setting(&settings.name, format!("`{key}` is 1 to {max} milliseconds")))
    };
    Ok(Timeouts {
        connect: one("connect_timeout_ms", settings.connect_timeout_ms, 10_000, 120_000)?,
        statement: one("statement_timeout_ms", settings.statement_timeout_ms, 60_000, 3_600_000)?,
        lock: one("lock_timeout_ms", settings.lock_timeout_ms, 2_000, 600_000)?,
        idle_in_transaction: one(
            "idle_in_transaction_timeout_ms",
            settings.idle_in_transaction_timeout_ms,
            15_000,
            600_000,
        )?,
    })
}

/// What the target leaves open, its service fills.
fn fill_from_service(settings: &mut TargetSettings, lookup: Lookup<'_>) -> Result<(), TargetError> {
    let Some(name) = settings.service.clone() else {
        return Ok(());
    };
    // An explicit file is the only place; otherwise the user's before the system's, as libpq does.
    let explicit = settings.servicefile.clone().or_else(|| lookup("PGSERVICEFILE").map(PathBuf::from));
    let places = match explicit {
        Some(path) => vec![path],
        None => [("HOME", ".pg_service.conf"), ("PGSYSCONFDIR", "pg_service.conf")]
            .iter()
            .filter_map(|(variable, file)| Some(Path::new(&lookup(variable)?).join(file)))
            .filter(|path| path.exists())
            .collect(),
    };
    let mut found = None;
    for path in &places {
        let text = std::fs::read_to_string(path).map_err(|e| TargetError::file(path, format!("can't be read: {e}")))?;
        if let Some(service) = service::find(path, &text, &name)? {
            found = Some((path, service));
            break;
        }
    }
    let Some((path, service)) = found else {
        return Err(TargetError::setting(&settings.name, format!("service `{name}` is in none of the service files")));
    };
    let mut base = TargetSettings::named(settings.name.clone());
    for (keyword, value) in &service {
        if keyword == "password" {
            return Err(TargetError::file(
                path,
                format!("service `{name}` holds a password: keep it in `.pgpass` or a `password_file`"),
            ));
        }
        base.apply(keyword, value)
            .map_err(|message| TargetError::file(path, format!("service `{name}`: {message}")))?;
    }
    // A host of the target's own makes the service's addresses meaningless, and the other way round.
    if settings.host.is_none() && settings.hostaddr.is_none() && settings.socket_dir.is_none() {
        (settings.host, settings.hostaddr) = (base.host, base.hostaddr);
    }
    settings.port = settings.port.or(base.port);
    settings.dbname = settings.dbname.take().or(base.dbname);
    settings.user = settings.user.take().or(base.user);
    settings.passfile = settings.passfile.take().or(base.passfile);
    settings.sslmode = settings.sslmode.or(base.sslmode);
    settings.sslrootcert = settings.sslrootcert.take().or(base.sslrootcert);
    if settings.sslcert.is_none() && settings.sslkey.is_none() {
        (settings.sslcert, settings.sslkey) = (base.sslcert, base.sslkey);
    }
    if settings.channel_binding == ChannelBinding::Prefer {
        settings.channel_binding = base.channel_binding;
    }
    settings.expect = settings.expect.or(base.expect);
    settings.connect_timeout_ms = settings.connect_timeout_ms.or(base.connect_timeout_ms);
    Ok(())
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
