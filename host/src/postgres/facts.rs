//! What a server is: version, role in the topology, extensions, and as whom we are there. Read once, kept for a minute,
//! and forgotten at once when a connection is lost or the server shows another role.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::error::{self, QueryError};
use crate::statement::{SUPPORTED, ServerFacts};

/// How long facts are taken for true: an extension that is installed or a standby that is promoted is seen within it.
const FRESH: Duration = Duration::from_secs(60);

/// What is known of a server.
#[derive(Clone, Debug)]
pub struct TargetFacts {
    /// What chooses a statement's wording.
    pub server: ServerFacts,
    /// The role that statements run as.
    pub role_name: String,
    /// Whether that role is a superuser, which it should not be.
    pub is_superuser: bool,
    /// The database.
    pub database: String,
    /// Made by initdb and shared by a primary and its standbys; `None` where the role may not see it.
    pub system_identifier: Option<String>,
    /// True for a major version that lockgate has not been tested on.
    pub untested: bool,
    pub(super) read_at: Instant,
}

impl TargetFacts {
    pub(super) fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < FRESH
    }

    pub(super) async fn read(client: &Client) -> Result<Self, QueryError> {
        let read_at = Instant::now();
        let row = client.query_typed_one(SERVER, &[]).await.map_err(|e| error::from_driver(&e))?;
        let extensions = client.query_typed(EXTENSIONS, &[]).await.map_err(|e| error::from_driver(&e))?;
        // Of no use for a statement, so a server that keeps it to itself is no worse a target.
        let system = client.query_typed_one(SYSTEM, &[]).await.and_then(|row| row.try_get(0)).ok();
        let cell = |e: tokio_postgres::Error| error::from_driver(&e);
        let version: i64 = row.try_get(0).map_err(cell)?;
        let version_num = u32::try_from(version).unwrap_or_default();
        let triple = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        Ok(Self {
            server: ServerFacts {
                version_num,
                in_recovery: row.try_get(1).map_err(cell)?,
                extensions: extensions.iter().map(triple).collect::<Result<_, _>>().map_err(cell)?,
            },
            role_name: row.try_get(2).map_err(cell)?,
            is_superuser: row.try_get(3).map_err(cell)?,
            database: row.try_get(4).map_err(cell)?,
            system_identifier: system,
            untested: !SUPPORTED.contains(&(version_num / 10_000)),
            read_at,
        })
    }
}

const SERVER: &str = "\
SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int8,
       pg_catalog.pg_is_in_recovery(),
       current_user::pg_catalog.text,
       pg_catalog.current_setting('is_superuser') = 'on',
       pg_catalog.current_database()::pg_catalog.text";

const EXTENSIONS: &str = "\
SELECT e.extname::pg_catalog.text, e.extversion::pg_catalog.text, n.nspname::pg_catalog.text
  FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
 ORDER BY 1";

const SYSTEM: &str = "SELECT s.system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system() s";
