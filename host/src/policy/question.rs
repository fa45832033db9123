//! One call as a person writes it down: on the command line, in a file of cases, in a form. What is left out is filled in from
//! the packs that are installed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{Subject, file::Place};
use crate::{
    error::Problem,
    outside::shown,
    pack::{catalog::Catalog, manifest::Risk},
    statement::Role,
};

/// What is known of the actions that calls may name.
#[derive(Clone, Copy, Default)]
pub struct Installed<'a>(pub Option<&'a Catalog>);

/// One call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// `pack.action`.
    pub action: String,
    /// Its signed risk; that of the installed pack if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// The target's name.
    pub target: String,
    /// Whether it is a primary or a standby, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_role: Option<Place>,
    /// The agent's name.
    pub agent: String,
    /// The person behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The agent's roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Its arguments; defaults are filled in from the installed pack.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub arguments: Map<String, Json>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Question {
    /// A call without arguments, at any time.
    #[must_use]
    pub fn new(action: &str, target: &str, agent: &str) -> Self {
        Self {
            action: action.to_owned(),
            risk: None,
            target: target.to_owned(),
            target_role: None,
            agent: agent.to_owned(),
            person: None,
            roles: Vec::new(),
            arguments: Map::new(),
            at: None,
        }
    }

    /// Says in which place the target is.
    pub fn set_target_role(&mut self, role: Option<Role>) {
        self.target_role = role.and_then(|role| match role {
            Role::Primary => Some(Place::Primary),
            Role::Standby => Some(Place::Standby),
            Role::Any => None,
        });
    }

    /// Fills in what the installed packs know: risk, defaults of arguments.
    ///
    /// # Errors
    /// When there is no such action, its risk is not known, or the arguments are not fit for it.
    pub fn complete(mut self, installed: Installed<'_>) -> Result<Self, String> {
        let Some(catalog) = installed.0 else {
            return match self.risk {
                Some(_) => Ok(self),
                None => Err("the risk is not known without the packs; say it".into()),
            };
        };
        let Some(entry) = catalog.get(&self.action) else {
            let near = catalog.near(&self.action, |_| true);
            let near = if near.is_empty() { String::new() } else { format!("; did you mean {}", near.join(" or ")) };
            return Err(format!("no action `{}` is installed{near}", shown(&self.action, 130)));
        };
        self.risk = self.risk.or(Some(entry.action.declared().risk));
        self.arguments = entry.checked(&self.arguments).map_err(|problems| said(&problems))?;
        Ok(self)
    }

    /// As policy takes it. The risk must have been said or filled in.
    #[must_use]
    pub fn subject(&self, risk: Risk, now: Timestamp) -> Subject<'_> {
        Subject {
            action: &self.action,
            risk,
            target: &self.target,
            target_role: self.target_role.map(|place| match place {
                Place::Primary => Role::Primary,
                Place::Standby => Role::Standby,
            }),
            agent: &self.agent,
            person: self.person.as_deref(),
            roles: &self.roles,
            arguments: &self.arguments,
            at: self.at.unwrap_or(now),
        }
    }
}

/// `name=value`, the value as JSON if it is a number, true or false, or a quoted text, and as a text otherwise.
///
/// # Errors
/// When there is no `=`.
pub fn argument(text: &str) -> Result<(String, Json), String> {
    let (name, value) = text.split_once('=').ok_or("write an argument as name=value")?;
    let value = match serde_json::from_str::<Json>(value) {
        Ok(value) if value.is_number() || value.is_boolean() || value.is_string() => value,
        _ => Json::from(value),
    };
    Ok((name.to_owned(), value))
}

fn said(problems: &[Problem]) -> String {
    let one = |problem: &Problem| match problem.argument.as_str() {
        "" => problem.message.clone(),
        name => format!("`{name}` {}", problem.message),
    };
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_argument_is_what_it_looks_like() {
        for (text, value) in [
            ("pid=4471", json!(4471)),
            ("analyze=true", json!(true)),
            ("schema=public", json!("public")),
            ("schema=\"5\"", json!("5")),
            ("schema=a=b", json!("a=b")),
            ("schema=null", json!("null")),
            ("schema=[1]", json!("[1]")),
            ("schema=", json!("")),
        ] {
            assert_eq!(argument(text).unwrap().1, value, "{text}");
        }
        assert!(argument("pid").is_err());
    }
}
