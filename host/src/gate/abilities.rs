//! What of a catalog a target's roles can run as things are, and what stands in the way of the rest: for the operator, who
//! looks before an agent does. Asks the server what the roles may; runs nothing of a pack.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;

use crate::{
    pack::catalog::Catalog,
    postgres::{Lack, Maintainable, QueryError, Target, TargetFacts},
    privilege::Privilege,
    statement::{BindError, InputKind, Mode, ProvenStatement},
    value::Value,
};

/// What a target can do of a catalog.
#[derive(Debug, Serialize)]
pub struct Abilities {
    /// Every action whose publisher may use the target, in the order of the catalog.
    pub actions: Vec<Ability>,
    /// How much may be maintained, if some action maintains and the server is no standby.
    pub maintainable: Option<Maintainable>,
}

/// One action on one target.
#[derive(Debug, Serialize)]
pub struct Ability {
    /// `pack.action`
    pub action: Arc<str>,
    /// What is in its way; empty if it can run.
    pub hindrances: Vec<Hindrance>,
}

/// Why an action can't run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Hindrance {
    /// The role lacks a privilege, or the database an extension.
    Lacks(Lack),
    /// No wording for this version.
    Version {
        /// What the server is and what is needed.
        message: String,
    },
    /// It works on a primary only.
    Standby,
}

impl Abilities {
    /// Looks at a target.
    ///
    /// # Errors
    /// As the server says.
    pub async fn of(catalog: &Catalog, target: &Target) -> Result<Self, QueryError> {
        let facts = target.facts().await?;
        let entries: Vec<_> = catalog.entries().filter(|entry| entry.pack.may_use_target(target.name())).collect();
        let wanted: BTreeSet<Privilege> = entries.iter().flat_map(|entry| entry.action.privileges()).cloned().collect();
        let wanted: Vec<Privilege> = wanted.into_iter().collect();
        let maintains = wanted.contains(&Privilege::Maintain) && !facts.server.in_recovery;
        let maintainable = if maintains { Some(target.maintainable().await?) } else { None };
        let lacks: BTreeMap<Privilege, Lack> =
            target.lacks(&wanted, None).await?.into_iter().map(|lack| (lack.privilege.clone(), lack)).collect();
        let actions = entries.iter().map(|entry| {
            let action = &entry.action;
            let statements = action.statements();
            let mut hindrances = Vec::new();
            for privilege in action.privileges() {
                let lack = match (privilege, &maintainable) {
                    (Privilege::Maintain, Some(maintainable)) => {
                        nothing_to_maintain(maintainable, statements.values().any(|s| s.rebuilds()))
                    }
                    _ => lacks.get(privilege).cloned(),
                };
                hindrances.extend(lack.map(Hindrance::Lacks));
            }
            let standby = facts.server.in_recovery && !action.declared().works_on_standby;
            if standby {
                hindrances = vec![Hindrance::Standby];
            } else {
                hindrances.extend(statements.values().find_map(|s| unsupported(s, &facts, &lacks)));
            }
            Ability { action: Arc::clone(&entry.name), hindrances }
        });
        let actions = actions.collect();
        Ok(Self { actions, maintainable })
    }
}

/// That not a single table may be maintained is in the way of maintaining. That some may not is not.
fn nothing_to_maintain(maintainable: &Maintainable, rebuilds: bool) -> Option<Lack> {
    let may = if rebuilds { maintainable.rebuilds } else { maintainable.vacuums };
    (maintainable.tables > 0 && may == 0).then(|| Lack {
        privilege: Privilege::Maintain,
        role: maintainable.role.clone(),
        sql: maintainable.sql.clone(),
        note: maintainable.note.clone(),
    })
}

/// Whether there is no wording of a statement for this server, for another reason than an extension that is told of anyway.
/// A statement for servers of the other role is none: an action that works on both has one for each.
fn unsupported(
    statement: &ProvenStatement,
    facts: &TargetFacts,
    lacks: &BTreeMap<Privilege, Lack>,
) -> Option<Hindrance> {
    let declared = statement.declaration();
    match statement.bind(&facts.server, &placeholders(statement)) {
        Err(BindError::Unsupported { message }) => {
            let extensions = declared.variants.iter().filter_map(|variant| variant.extension.as_ref());
            let told = extensions.map(|range| Privilege::Extension(range.name.clone())).any(|e| lacks.contains_key(&e));
            (!told).then_some(Hindrance::Version { message })
        }
        Err(BindError::NotOnStandby) if declared.mode != Mode::Read => Some(Hindrance::Standby),
        _ => None,
    }
}

/// Inputs that any statement binds, for one that is not run.
pub fn placeholders(statement: &ProvenStatement) -> Vec<Value> {
    let value = |kind| match kind {
        InputKind::Identifier => Value::Text("x".to_owned()),
        _ => Value::Null,
    };
    statement.declaration().inputs.iter().map(|input| value(input.kind)).collect()
}
