//! How to reach one PostgreSQL server, as an operator writes it down. Passwords are not here, only where they are kept.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

/// How the server is authenticated. `prefer` and `allow` do not exist here: both go on in plaintext without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS; the certificate is checked only if `sslrootcert` is given.
    Require,
    /// TLS with a certificate of a trusted authority, whatever name is in it.
    VerifyCa,
    /// TLS with a certificate of a trusted authority for the host's own name.
    VerifyFull,
}

impl SslMode {
    /// From libpq's spelling; the error says what to write instead.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "disable" => Ok(Self::Disable),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            "prefer" | "allow" => Err(format!(
                "sslmode `{text}` goes on in plaintext when TLS fails, so lockgate does not have it: \
                 write `verify-full`, `verify-ca`, `require` or `disable`"
            )),
            other => Err(format!("sslmode `{other}` is not one of `verify-full`, `verify-ca`, `require`, `disable`")),
        }
    }
}

/// Whether SCRAM must be bound to the TLS channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelBinding {
    /// Where the server offers it.
    #[default]
    Prefer,
    /// Or no connection; also rules out cleartext and MD5 passwords.
    Require,
}

/// The role in the topology that a target must have to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// Not in recovery.
    Primary,
    /// In recovery.
    Standby,
}

/// A second credential, used for nothing but `maintain` statements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// The role.
    pub user: String,
    /// A file with its password, mode 0600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The environment variable with its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// Its client certificate and key, if it has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslcert: Option<PathBuf>,
    /// See `sslcert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslkey: Option<PathBuf>,
    /// Refused with a message.
    #[serde(default, skip_serializing, deserialize_with = "refuse_password")]
    pub password: (),
}

/// One target. What is left out comes from its `service`, then from the defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSettings {
    /// What agents, policies and the record call it.
    pub name: String,
    /// A service of `pg_service.conf` that fills what is not given here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Where the service is looked up, instead of `PGSERVICEFILE`, `~/.pg_service.conf` and `$PGSYSCONFDIR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servicefile: Option<PathBuf>,
    /// A host name or address, or the directory of a Unix socket if it begins with `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The address to connect to; `host` is then only what TLS verifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostaddr: Option<std::net::IpAddr>,
    /// The directory of a Unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket_dir: Option<PathBuf>,
    /// 5432 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The user's name if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dbname: Option<String>,
    /// The role that statements run as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A file with the password in its first line, mode 0600; read at every connect, so a rotated password is picked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The environment variable with the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// A `.pgpass` file, instead of `PGPASSFILE` and `~/.pgpass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passfile: Option<PathBuf>,
    /// Refused with a message.
    #[serde(default, skip_serializing, deserialize_with = "refuse_password")]
    pub password: (),
    /// `disable` for a Unix socket and loopback, `verify-full` for everything else if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslmode: Option<SslMode>,
    /// A PEM file of trusted authorities, or `system`, which is also what is used if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslrootcert: Option<PathBuf>,
    /// A PEM file with the client's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslcert: Option<PathBuf>,
    /// A PEM file with the client's key, mode 0600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslkey: Option<PathBuf>,
    /// Whether SCRAM must be bound to the TLS channel.
    #[serde(default)]
    pub channel_binding: ChannelBinding,
    /// The role that the server must have; left out: either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// Connections for reads and acts, 1 to 64; 4 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_size: Option<u32>,
    /// Milliseconds to reach the server and log in; 10,000 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout_ms: Option<u32>,
    /// The longest that any statement of a pack may run, in milliseconds, whatever it declares; 60,000 if left out. Not for
    /// `maintain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement_timeout_ms: Option<u32>,
    /// The longest wait for a lock, in milliseconds; 2,000 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_timeout_ms: Option<u32>,
    /// When the server gives up on a session of ours that sits in a transaction, in milliseconds; 15,000 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_in_transaction_timeout_ms: Option<u32>,
    /// The credential for `maintain` statements; the target's own if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
}

impl TargetSettings {
    /// A target of this name with everything left open.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            service: None,
            servicefile: None,
            host: None,
            hostaddr: None,
            socket_dir: None,
            port: None,
            dbname: None,
            user: None,
            password_file: None,
            password_env: None,
            passfile: None,
            password: (),
            sslmode: None,
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            channel_binding: ChannelBinding::Prefer,
            expect: None,
            pool_size: None,
            connect_timeout_ms: None,
            statement_timeout_ms: None,
            lock_timeout_ms: None,
            idle_in_transaction_timeout_ms: None,
            maintenance: None,
        }
    }

    /// The same with the relative paths of its files taken from a directory: the one of the configuration file.
    #[must_use]
    pub fn relative_to(mut self, base: &Path) -> Self {
        let own =
            [&mut self.servicefile, &mut self.password_file, &mut self.passfile, &mut self.sslcert, &mut self.sslkey];
        let maintenance = self.maintenance.as_mut().map(|m| [&mut m.password_file, &mut m.sslcert, &mut m.sslkey]);
        // `system` is a word and no path.
        let root = Some(&mut self.sslrootcert).filter(|root| root.as_deref() != Some(Path::new("system")));
        for path in own.into_iter().chain(maintenance.into_iter().flatten()).chain(root).filter_map(Option::as_mut) {
            *path = base.join(&*path);
        }
        self
    }
}

fn refuse_password<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    // The value is skipped unread, so that no error text can quote it.
    serde::de::IgnoredAny::deserialize(deserializer)?;
    Err(serde::de::Error::custom(
        "a password does not belong in a configuration file: write `password_file` or `password_env`, \
         or keep it in `.pgpass`",
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_file_is_refused_unquoted() {
        for text in [
            "name = \"a\"\npassword = \"hunter2\"",
            "name = \"a\"\nmaintenance = { user = \"m\", password = \"hunter2\" }",
        ] {
            let error = toml::from_str::<TargetSettings>(text).unwrap_err();
            assert!(error.message().contains("password_file"), "{error}");
            assert!(!error.message().contains("hunter2"));
        }
    }

    #[test]
    fn unknown_keys_and_soft_sslmodes_are_refused() {
        assert!(toml::from_str::<TargetSettings>("name = \"a\"\nhots = \"b\"").is_err());
        assert!(toml::from_str::<TargetSettings>("name = \"a\"\nsslmode = \"prefer\"").is_err());
        assert!(SslMode::parse("prefer").unwrap_err().contains("plaintext"));
        let read = toml::from_str::<TargetSettings>("name = \"a\"\nsslmode = \"verify-ca\"").unwrap();
        assert_eq!(read.sslmode, Some(SslMode::VerifyCa));
    }

    #[test]
    fn paths_are_taken_from_the_configurations_directory() {
        let text = "name = \"a\"\npassword_file = \"pw\"\nsslcert = \"/c\"\nsslrootcert = \"system\"\n\
                    maintenance = { user = \"m\", password_file = \"pw2\" }";
        let settings = toml::from_str::<TargetSettings>(text).unwrap().relative_to(Path::new("/etc/lockgate"));
        assert_eq!(settings.password_file.as_deref(), Some(Path::new("/etc/lockgate/pw")));
        assert_eq!(settings.sslcert.as_deref(), Some(Path::new("/c")));
        assert_eq!(settings.sslrootcert.as_deref(), Some(Path::new("system")));
        assert_eq!(settings.maintenance.unwrap().password_file.as_deref(), Some(Path::new("/etc/lockgate/pw2")));
    }

    #[test]
    fn settings_survive_a_round_trip() {
        let mut settings = TargetSettings::named("orders");
        settings.host = Some("db1".to_owned());
        settings.expect = Some(Expect::Standby);
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<TargetSettings>(&text).unwrap(), settings);
    }
}
