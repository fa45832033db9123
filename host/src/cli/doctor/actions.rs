//! Which actions a target's roles can run, why not the others, and the SQL that would let them. People get a count and the
//! exceptions; a program gets every action.

use serde_json::json;

use super::{
    report::{Level, Report},
    target::about,
};
use crate::{
    gate::abilities::{Abilities, Ability, Hindrance},
    outside::shown,
    pack::catalog::Catalog,
    postgres::{Maintainable, Target},
};

/// Names of actions that one line shows. The reason is what matters; `--json` has them all.
const NAMES: usize = 6;

pub(super) async fn examine(report: &mut Report, target: &Target, catalog: &Catalog) {
    // Not to be reached: that was said when the target was looked at.
    let Ok(facts) = target.facts().await else { return };
    let about = about(target);
    let abilities = match Abilities::of(catalog, target).await {
        Ok(abilities) => abilities,
        Err(error) => {
            let text = format!("what its role may do could not be looked up: {error}");
            return report.says(Level::Failed, &about, text, "check that the target is up, and run this again");
        }
    };
    let groups = by_reason(&abilities.actions, &facts.role_name);
    let runs = abilities.actions.iter().filter(|ability| ability.hindrances.is_empty()).count();
    let can = match abilities.actions.len() {
        all if all == runs => format!("all {all} actions can run"),
        all => format!("{runs} of {all} actions can run"),
    };
    let (sql, notes) = remedies(&abilities);
    let level = if sql.is_empty() && notes.is_empty() { Level::Ok } else { Level::Warning };
    for ability in &abilities.actions {
        let runs = ability.hindrances.is_empty();
        let lacks = ability.hindrances.iter().any(|h| matches!(h, Hindrance::Lacks(_)));
        let level = if lacks { Level::Warning } else { Level::Ok };
        let text = if runs { "can run".to_owned() } else { reasons(ability, &facts.role_name) };
        let detail = json!({ "action": ability.action, "runs": runs, "hindrances": ability.hindrances });
        report.only_json(level, &about, &text, detail);
    }
    let detail = json!({ "can_run": runs, "actions": abilities.actions.len(), "maintains": abilities.maintainable,
        "database": facts.database, "on_primary": facts.server.in_recovery, "sql": sql, "notes": notes });
    report.details(level, &about, can, "", detail);
    for (reason, names) in &groups {
        report.more(2, &format!("{reason}: {}", listed(names)));
    }
    if let Some(maintainable) = &abilities.maintainable {
        report.more(2, &maintains(maintainable));
    }
    if sql.is_empty() && notes.is_empty() {
        return;
    }
    let place = if facts.server.in_recovery { ", on the primary" } else { "" };
    let database = shown(&facts.database, 63);
    report.more(0, &format!("to let the rest run, an administrator runs in database {database}{place}:"));
    for note in &notes {
        report.comment(note);
    }
    for statement in &sql {
        report.verbatim(statement);
    }
}

/// Actions that can't run, those with the same reasons together, in the order of the catalog.
fn by_reason<'a>(actions: &'a [Ability], role: &str) -> Vec<(String, Vec<&'a str>)> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for ability in actions.iter().filter(|ability| !ability.hindrances.is_empty()) {
        let reason = reasons(ability, role);
        match groups.iter_mut().find(|(of, _)| *of == reason) {
            Some((_, names)) => names.push(&ability.action),
            None => groups.push((reason, vec![&ability.action])),
        }
    }
    groups
}

/// Why an action can't run, in words. The role is named only where it is not the one that the target is known by.
fn reasons(ability: &Ability, known: &str) -> String {
    let lacking: Vec<String> = ability
        .hindrances
        .iter()
        .filter_map(|hindrance| match hindrance {
            Hindrance::Lacks(lack) if lack.role.trim_matches('"') == known => Some(lack.privilege.to_string()),
            Hindrance::Lacks(lack) => Some(format!("{} for {}", lack.privilege, lack.role)),
            _ => None,
        })
        .collect();
    let lacks = (!lacking.is_empty()).then(|| format!("lacks {}", lacking.join(", ")));
    let others = ability.hindrances.iter().filter_map(|hindrance| match hindrance {
        Hindrance::Lacks(_) => None,
        Hindrance::Version { message } => Some(message.clone()),
        Hindrance::Standby => Some("runs on a primary only".to_owned()),
    });
    lacks.into_iter().chain(others).collect::<Vec<_>>().join("; ")
}

/// `postgres.a, postgres.b and 12 more`
fn listed(names: &[&str]) -> String {
    match names.split_at_checked(NAMES) {
        Some((first, rest)) if rest.len() > 1 => format!("{} and {} more", first.join(", "), rest.len()),
        _ => names.join(", "),
    }
}

fn maintains(maintainable: &Maintainable) -> String {
    let Maintainable { role, credential, tables, vacuums, rebuilds, .. } = maintainable;
    let who = if *credential { format!("the maintenance credential {role}") } else { format!("role {role}") };
    if *tables == 0 {
        return format!("{who}: the database has no tables to maintain");
    }
    let rebuilds = match rebuilds {
        same if same == vacuums => String::new(),
        fewer => format!(", and rebuild the indexes of {fewer}"),
    };
    format!("{who} may maintain {vacuums} of {tables} tables{rebuilds}")
}

/// All statements that would help, each once, extensions first; and what there is to know beside them.
fn remedies(abilities: &Abilities) -> (Vec<String>, Vec<String>) {
    let (mut sql, mut notes): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut add = |statements: &[String], note: &str| {
        for statement in statements {
            if !sql.contains(statement) {
                sql.push(statement.clone());
            }
        }
        if !note.is_empty() && !notes.iter().any(|known| known == note) {
            notes.push(note.to_owned());
        }
    };
    for hindrance in abilities.actions.iter().flat_map(|ability| &ability.hindrances) {
        if let Hindrance::Lacks(lack) = hindrance {
            add(&lack.sql, &lack.note);
        }
    }
    if let Some(maintainable) = &abilities.maintainable {
        add(&maintainable.sql, &maintainable.note);
    }
    sql.sort_by_key(|statement| !statement.starts_with("CREATE EXTENSION"));
    (sql, notes)
}
