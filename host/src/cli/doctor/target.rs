//! A target: whether both of its credentials get in, what server is there, and whether the statements of the packs parse on
//! it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::report::{Level, Report};
use crate::{
    gate::abilities::placeholders,
    pack::catalog::Catalog,
    postgres::{Target, TargetFacts},
    statement::Mode,
};

/// For a server to parse one statement.
const PREPARE: Duration = Duration::from_secs(10);

pub(super) async fn examine(report: &mut Report, target: &Target) {
    let about = about(target);
    let facts = match target.facts().await {
        Ok(facts) => facts,
        Err(error) => {
            let help = "check host, port, role and password; docs/targets.md lists every setting";
            return report.says(Level::Failed, &about, error.to_string(), help);
        }
    };
    report.ok(&about, described(&facts));
    if facts.is_superuser {
        report.says(
            Level::Warning,
            &about,
            format!("role {} is a superuser, and lockgate needs none", facts.role_name),
            "use a role with pg_monitor and pg_signal_backend and nothing else",
        );
    }
    if facts.untested {
        report.says(
            Level::Warning,
            &about,
            "lockgate has not been tested on this major version of PostgreSQL",
            "expect the wording for the newest tested version to be used",
        );
    }
    if let Err(error) = target.maintenance_login().await {
        report.says(
            Level::Failed,
            &about,
            format!("the maintenance credential does not get in: {error}"),
            "check `maintenance` of the target: its role, its password, and CONNECT on the database",
        );
    }
}

/// The second proof of every statement: the server itself parses it, with nothing bound and nothing run.
pub(super) async fn prepare_statements(report: &mut Report, target: &Target, catalog: &Catalog) {
    let Ok(facts) = target.facts().await else { return };
    let about = about(target);
    let mut seen = BTreeSet::new();
    let (mut prepared, mut elsewhere) = (0, 0);
    for entry in catalog.entries().filter(|entry| entry.pack.may_use_target(target.name())) {
        for (id, statement) in entry.action.statements() {
            // A maintenance command is no query: the server parses it only to run it.
            if statement.declaration().mode == Mode::Maintain
                || !seen.insert((entry.pack.digest().to_owned(), id.to_owned()))
            {
                continue;
            }
            let Ok(bound) = statement.bind(&facts.server, &placeholders(statement)) else {
                elsewhere += 1;
                continue;
            };
            match target.prepare(&bound, Instant::now() + PREPARE).await {
                Ok(()) => prepared += 1,
                Err(error) => report.says(
                    Level::Failed,
                    &about,
                    format!("statement `{id}` of `{}`: {error}", entry.name),
                    "the pack does not fit this server: tell its publisher",
                ),
            }
        }
    }
    let text = match elsewhere {
        0 => format!("{prepared} statements parse there"),
        more => format!("{prepared} statements parse there, {more} are for other servers or extensions"),
    };
    report.ok(&about, text);
}

pub(super) fn about(target: &Target) -> String {
    format!("target {}", target.name())
}

fn described(facts: &TargetFacts) -> String {
    let role = if facts.server.in_recovery { "standby" } else { "primary" };
    let (major, minor) = (facts.server.version_num / 10_000, facts.server.version_num % 10_000);
    format!("PostgreSQL {major}.{minor}, {role}, database {}, role {}", facts.database, facts.role_name)
}
