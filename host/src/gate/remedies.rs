//! What would help where a role may not do what was asked: the exact statements for the operator, of what the role really
//! lacks on that server. Also the look at a maintained object that comes before anybody is asked to approve.

use super::{Gate, execute::Job};
use crate::{
    error::{Code, Refusal},
    postgres::Lack,
    privilege::Privilege,
    statement::MaintainedObject,
};

/// What PostgreSQL answers when a library that had to be loaded at start was not (55000, object not in prerequisite state).
const NOT_LOADED: &str = "(SQLSTATE 55000)";

impl Gate {
    /// Refuses what would be skipped or denied by the server after a person has approved it: no right on this very object.
    pub(super) async fn may_maintain(&self, job: &Job) -> Result<(), Refusal> {
        let Some(object) = maintained(job) else { return Ok(()) };
        // Where the server does not answer, the call itself will say so.
        let lacks = job.target.lacks(&[Privilege::Maintain], Some(&object)).await.unwrap_or_default();
        let Some(lack) = lacks.first() else { return Ok(()) };
        let message = format!(
            "target `{}`: role {} may not maintain `{}.{}`",
            job.target.name(),
            lack.role,
            object.schema,
            object.name
        );
        let refusal = Refusal::new(Code::MissingPrivilege, self.text(&message));
        Err(self.with_grants(job, refusal, &lacks).await)
    }

    /// A refusal that a grant or an extension would lift, with the statements that do it. Any other as it is.
    pub(super) async fn remedied(&self, job: &Job, refusal: Refusal) -> Refusal {
        let wanted: Vec<Privilege> = job
            .entry
            .action
            .privileges()
            .iter()
            .filter(|privilege| concerns(privilege, refusal.code, &refusal.message))
            .cloned()
            .collect();
        if wanted.is_empty() {
            return refusal;
        }
        // Where the server does not say what is missing, the general remedy stands.
        let lacks = job.target.lacks(&wanted, maintained(job).as_ref()).await.unwrap_or_default();
        if lacks.is_empty() {
            return refusal;
        }
        // The server's warning says that something was skipped, its catalogs why; and that an extension is not loaded is the
        // same to a caller as that it is not there.
        let code = match refusal.code {
            Code::Skipped => Code::MissingPrivilege,
            Code::DatabaseError => Code::UnsupportedServerVersion,
            code => code,
        };
        self.with_grants(job, Refusal { code, ..refusal }, &lacks).await
    }

    async fn with_grants(&self, job: &Job, refusal: Refusal, lacks: &[Lack]) -> Refusal {
        let Ok(facts) = job.target.facts().await else { return refusal };
        let mut sql: Vec<&str> = Vec::new();
        for statement in lacks.iter().flat_map(|lack| &lack.sql) {
            if !sql.contains(&statement.as_str()) {
                sql.push(statement);
            }
        }
        let place = if facts.server.in_recovery { ", on the primary" } else { "" };
        let mut parts = Vec::new();
        if !sql.is_empty() {
            let database = &facts.database;
            parts.push(format!("ask the operator to run in database `{database}`{place}: `{}`", sql.join(" ")));
        }
        parts.extend(lacks.iter().map(|lack| lack.note.clone()).filter(|note| !note.is_empty()));
        refusal.with_remedy(self.text(&parts.join("; ")))
    }
}

/// Whether a lack of it can be why a call was refused.
fn concerns(privilege: &Privilege, code: Code, message: &str) -> bool {
    match code {
        Code::MissingPrivilege => true,
        Code::Skipped => *privilege == Privilege::Maintain,
        Code::UnsupportedServerVersion => matches!(privilege, Privilege::Extension(_)),
        Code::DatabaseError => matches!(privilege, Privilege::Extension(_)) && message.ends_with(NOT_LOADED),
        _ => false,
    }
}

/// The table or index that a call maintains: the `maintain` statement takes its names from arguments of the same name.
fn maintained(job: &Job) -> Option<MaintainedObject> {
    let arguments = job.arguments.json();
    let statements = job.entry.action.statements();
    statements.values().find_map(|statement| {
        statement.maintained(|input| arguments.get(input).and_then(|value| value.as_str()).map(str::to_owned))
    })
}
