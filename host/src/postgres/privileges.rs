//! What the roles of a target lack on its server, and the very statements that would give it to them. The server is asked
//! with its own functions (`pg_has_role`, `has_table_privilege` and their kin, manual 9.27.2) and quotes every name itself,
//! so what is printed can be pasted.

use serde::Serialize;
use tokio::time::timeout_at;
use tokio_postgres::{Row, types::Type};

use super::{
    error::{self, QueryError},
    facts::TargetFacts,
    pool::Pick,
    privilege_sql as sql,
    session::Session,
    target::Target,
};
use crate::{outside::shown, privilege::Privilege, statement::MaintainedObject};

/// Characters of a statement that is told: four names of 63 bytes, doubled by quotes, and the words around them.
const MAX_SQL: usize = 600;

/// One privilege that a role lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// What was asked for.
    pub privilege: Privilege,
    /// The role that lacks it, as SQL quotes it.
    pub role: String,
    /// What to run, each a whole statement. Empty where no statement helps.
    pub sql: Vec<String>,
    /// What else there is to know or to do; empty if nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// How much of a database the role for maintenance may maintain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Maintainable {
    /// The role, as SQL quotes it.
    pub role: String,
    /// Whether it is the target's maintenance credential, and not its ordinary role.
    pub credential: bool,
    /// Tables, materialized views and partitioned tables outside PostgreSQL's own schemas.
    pub tables: i64,
    /// Of these, how many it may vacuum and analyze.
    pub vacuums: i64,
    /// Of these, how many it may rebuild the indexes of. The database's owner may do the first and not the second.
    pub rebuilds: i64,
    /// What to run, so that it may maintain the others.
    pub sql: Vec<String>,
    /// What else there is to know; empty if nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Target {
    /// Which of these privileges the target's role lacks, and for [`Privilege::Maintain`] its maintenance credential; in the
    /// order given. What an object's absence would make pointless is not asked for: the statement itself says more about that.
    ///
    /// # Errors
    /// As the server says.
    pub async fn lacks(
        &self,
        wanted: &[Privilege],
        maintained: Option<&MaintainedObject>,
    ) -> Result<Vec<Lack>, QueryError> {
        let facts = self.facts().await?;
        self.probe(async |session: &Session| {
            let mut lacks = Vec::new();
            for privilege in wanted {
                lacks.extend(self.lack(session, &facts, privilege, maintained).await?);
            }
            Ok(lacks)
        })
        .await
    }

    /// How many tables of how many the role for maintenance may maintain.
    ///
    /// # Errors
    /// As the server says.
    pub async fn maintainable(&self) -> Result<Maintainable, QueryError> {
        let major = self.facts().await?.server.version_num / 10_000;
        self.probe(async |session: &Session| {
            let role = self.maintenance_role();
            let rows = query(session, &sql::maintainable(major), &[role]).await?;
            let row = rows.first().ok_or_else(|| no_role(role))?;
            let (tables, vacuums, rebuilds) = (cell(row, 1)?, cell(row, 2)?, cell(row, 3)?);
            let (others, by_superuser): (Vec<String>, bool) = (cell(row, 4)?, cell(row, 5)?);
            Ok(Maintainable {
                role: plain(&cell::<String>(row, 0)?),
                credential: role.is_some(),
                tables,
                vacuums,
                rebuilds,
                sql: others.iter().map(|statement| plain(statement)).collect(),
                note: match (by_superuser, major < 17 && role.is_none() && !others.is_empty()) {
                    (true, true) => format!("{SUPERUSERS_TABLES}; {OWNER_HERE}"),
                    (true, false) => SUPERUSERS_TABLES.to_owned(),
                    (false, true) => OWNER_HERE.to_owned(),
                    (false, false) => String::new(),
                },
            })
        })
        .await
    }

    /// Whether the maintenance credential, if there is one, can log in.
    ///
    /// # Errors
    /// Why not.
    pub async fn maintenance_login(&self) -> Result<(), QueryError> {
        if self.maintenance_role().is_none() {
            return Ok(());
        }
        let session = self.for_maintenance().await?;
        drop(session);
        Ok(())
    }

    async fn lack(
        &self,
        session: &Session,
        facts: &TargetFacts,
        privilege: &Privilege,
        maintained: Option<&MaintainedObject>,
    ) -> Result<Option<Lack>, QueryError> {
        let major = facts.server.version_num / 10_000;
        let role = if *privilege == Privilege::Maintain { self.maintenance_role() } else { None };
        let mut note = String::new();
        let rows = match privilege {
            Privilege::Role(_) if privilege.since() > major => {
                note =
                    format!("the server is PostgreSQL {major}, and that role is there from {} on", privilege.since());
                query(session, sql::NOTHING, &[role]).await?
            }
            Privilege::Role(name) => query(session, &sql::role(major), &[role, Some(name)]).await?,
            Privilege::Select { schema, name } => {
                query(session, sql::RELATION, &[role, Some(schema), Some(name)]).await?
            }
            Privilege::Execute { schema, name, arguments } => {
                query(session, sql::FUNCTION, &[role, Some(schema), Some(name), Some(arguments)]).await?
            }
            Privilege::Extension(name) => {
                let rows = query(session, sql::EXTENSION, &[role, Some(name)]).await?;
                note = extension_note(name, &rows)?;
                rows
            }
            Privilege::Maintain => {
                let Some(MaintainedObject { schema, name }) = maintained else { return Ok(None) };
                let rows = query(session, &sql::maintain(major), &[role, Some(schema), Some(name)]).await?;
                note = maintain_note(&rows, role.is_some(), major)?;
                rows
            }
        };
        let Some(first) = rows.first() else { return Err(no_role(role)) };
        let role = plain(&cell::<String>(first, 0)?);
        let statements: Vec<Option<String>> = rows.iter().map(|row| cell(row, 1)).collect::<Result<_, _>>()?;
        let sql: Vec<String> = statements.iter().flatten().map(|statement| plain(statement)).collect();
        let lacks = !sql.is_empty() || !note.is_empty();
        Ok(lacks.then(|| Lack { privilege: privilege.clone(), role, sql, note }))
    }

    /// Asks something of the server on a pooled session, in the time that a statement may take there.
    async fn probe<T>(&self, ask: impl AsyncFnOnce(&Session) -> Result<T, QueryError>) -> Result<T, QueryError> {
        let deadline = self.probe_deadline();
        let mut session = self.take(deadline, Pick::Any).await.map_err(|failed| failed.error)?;
        session.begin();
        match timeout_at(deadline.into(), ask(&session)).await {
            Ok(Err(error @ QueryError::Connection { .. })) => {
                session.retire();
                Err(error)
            }
            Ok(answer) => {
                session.end();
                drop(session.notices.take());
                self.give_back(session);
                answer
            }
            Err(_) => Err(QueryError::Timeout),
        }
    }
}

/// Why a table that a superuser owns is not in the list.
const SUPERUSERS_TABLES: &str = "some tables belong to a superuser: membership in that role is nothing to give away, so \
    change their owner if they are to be maintained from here";

/// What ownership means for the role that agents' reads run as.
const OWNER_HERE: &str =
    "ownership opens the tables to this role; better give the target a maintenance credential and grant it to that";

fn extension_note(name: &str, rows: &[Row]) -> Result<String, QueryError> {
    let Some(row) = rows.first() else { return Ok(String::new()) };
    let (available, created, loaded): (bool, bool, bool) = (cell(row, 2)?, cell(row, 3)?, cell(row, 4)?);
    let mut notes = Vec::new();
    if !available && !created {
        notes.push(format!("the server does not have the files of {name}: install its package (contrib) first"));
    }
    if !loaded {
        notes.push(format!(
            "add {name} to shared_preload_libraries and restart the server: it works only if it was loaded then"
        ));
    }
    Ok(notes.join("; "))
}

fn maintain_note(rows: &[Row], credential: bool, major: u32) -> Result<String, QueryError> {
    let Some(row) = rows.first() else { return Ok(String::new()) };
    let (lacks, superusers): (bool, bool) = (cell(row, 2)?, cell(row, 3)?);
    if !lacks {
        return Ok(String::new());
    }
    Ok(match (major >= 17, superusers, credential) {
        (true, ..) => "pg_maintain instead covers every table".to_owned(),
        (false, true, _) => {
            "the table belongs to a superuser, whose role is nothing to give away: change its owner".to_owned()
        }
        (false, false, true) => String::new(),
        (false, false, false) => OWNER_HERE.to_owned(),
    })
}

fn no_role(role: Option<&str>) -> QueryError {
    QueryError::unreachable(format!("the server has no role `{}`", shown(role.unwrap_or("of this session"), 63)))
}

/// Runs a probe. Its first parameter is the role that is asked about, or NULL for that of the session.
async fn query(session: &Session, sql: &str, inputs: &[Option<&str>]) -> Result<Vec<Row>, QueryError> {
    let inputs: Vec<(&(dyn tokio_postgres::types::ToSql + Sync), Type)> =
        inputs.iter().map(|input| (input as &(dyn tokio_postgres::types::ToSql + Sync), Type::TEXT)).collect();
    session.client.query_typed(sql, &inputs).await.map_err(|e| error::from_driver(&e))
}

fn cell<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, QueryError> {
    row.try_get(index).map_err(|e| error::from_driver(&e))
}

/// Names come from the database: whatever is hidden in one is seen, and then the statement does not do what it hides.
fn plain(text: &str) -> String {
    shown(text, MAX_SQL)
}
