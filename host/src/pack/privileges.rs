//! An action's privileges against what its statements do. What is declared here is what `lockgate doctor` and refusals tell an
//! operator to grant, so an action may ask only for what one of its proven statements can need.

use std::sync::Arc;

use crate::{
    privilege::Privilege,
    statement::{Class, Mode, ProvenStatement, may_grant_execute, may_grant_select},
};

/// More than any action can need.
const MAX_PRIVILEGES: usize = 16;

/// Reads and checks an action's privileges. The errors say what is wrong and what would be right. Where `statements` are not
/// all that the action names, since some are refused, only the form is judged.
pub(super) fn prove(
    declared: &[String],
    class: Class,
    statements: &[&Arc<ProvenStatement>],
    complete: bool,
) -> Result<Vec<Privilege>, Vec<String>> {
    let mut wrong = Vec::new();
    let mut proven: Vec<Privilege> = Vec::new();
    if declared.len() > MAX_PRIVILEGES {
        return Err(vec![format!("more than {MAX_PRIVILEGES} privileges")]);
    }
    for text in declared {
        match text.parse::<Privilege>() {
            Err(error) => wrong.push(error.to_string()),
            Ok(privilege) if proven.contains(&privilege) => {
                wrong.push(format!("privilege `{privilege}` is there twice"));
            }
            Ok(privilege) => match complete.then(|| unneeded(&privilege, class, statements)).flatten() {
                Some(why) => wrong.push(format!("privilege `{privilege}`: {why}")),
                None => proven.push(privilege),
            },
        }
    }
    let maintains = statements.iter().any(|s| s.declaration().mode == Mode::Maintain);
    if complete && maintains && wrong.is_empty() && !proven.contains(&Privilege::Maintain) {
        wrong.push("it maintains a table or an index: declare the privilege `MAINTAIN ON TABLE`".to_owned());
    }
    if wrong.is_empty() { Ok(proven) } else { Err(wrong) }
}

/// Why none of the statements can need it.
fn unneeded(privilege: &Privilege, class: Class, statements: &[&Arc<ProvenStatement>]) -> Option<&'static str> {
    let any = |holds: &dyn Fn(&ProvenStatement) -> bool| statements.iter().any(|statement| holds(statement));
    let (needed, why) = match privilege {
        Privilege::Role(role) if role == "pg_signal_backend" => {
            (any(&|s| s.class() == Class::Signal), "none of its statements signals a backend")
        }
        Privilege::Role(role) if role == "pg_read_all_data" => {
            (matches!(class, Class::Data | Class::Write), "none of its statements reads users' tables")
        }
        Privilege::Role(_) => (true, ""),
        Privilege::Extension(name) => {
            let names = |s: &ProvenStatement| {
                s.declaration().variants.iter().filter_map(|v| v.extension.as_ref()).any(|range| range.name == *name)
            };
            (any(&names), "no variant of its statements names that extension")
        }
        Privilege::Select { schema, name } if !may_grant_select(class, schema, name) => {
            (false, "no statement of this action may read that relation")
        }
        Privilege::Select { schema, name } => {
            (any(&|s| s.mentions(schema, name)), "none of its statements reads that relation")
        }
        Privilege::Execute { schema, name, .. } => (
            may_grant_execute(schema, name),
            "no statement may call that function, and no view that one may read calls it",
        ),
        Privilege::Maintain => {
            (any(&|s| s.declaration().mode == Mode::Maintain), "none of its statements is of mode `maintain`")
        }
    };
    (!needed).then_some(why)
}
