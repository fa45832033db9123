//! `run_action`: a call of an action by its name. It is made the call that the action's own tool would have got, and goes
//! the same way from there; only what was wrong is said more fully, since the caller may never have seen the schema.

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Map, Value, json};

use super::{arguments::problem, catalogue::unknown, schema};
use crate::{error::Problem, gate::call::OfferedAction};

/// What stands beside `arguments`, and in them nowhere.
const BESIDE: [&str; 5] = ["target", "reason", "operation_id", "evidence", "expected"];

/// A call of an action's own tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Named {
    /// As the caller wrote it.
    pub action: String,
    /// What the action's own tool takes.
    pub arguments: Map<String, Value>,
    /// What can't be right, whatever the action.
    pub problems: Vec<Problem>,
}

/// Makes it of the arguments of `run_action`.
///
/// # Errors
///
/// Every problem at once, if there is no name of an action to go on with.
pub fn read(mut given: Map<String, Value>) -> Result<Named, Vec<Problem>> {
    let mut known = vec!["action", "arguments"];
    known.extend(BESIDE);
    let mut problems = unknown(&given, &known);
    let inner = match given.remove("arguments") {
        None => Map::new(),
        Some(Value::Object(inner)) => inner,
        Some(_) => {
            let message = "must be an object with what the action itself takes; {} if it takes nothing";
            problems.push(problem("arguments", message));
            Map::new()
        }
    };
    let mut arguments = Map::new();
    for (name, value) in inner {
        if BESIDE.contains(&name.as_str()) {
            problems.push(problem(&name, "belongs beside `arguments`, not into it"));
        } else {
            arguments.insert(name, value);
        }
    }
    for name in BESIDE {
        arguments.extend(given.remove(name).map(|value| (name.to_owned(), value)));
    }
    match given.remove("action") {
        Some(Value::String(action)) => Ok(Named { action, arguments, problems }),
        Some(_) => {
            problems.push(problem("action", "must be text: the full name of an action"));
            Err(problems)
        }
        None => {
            problems.push(problem("action", "is missing: give the full name of an action"));
            Err(problems)
        }
    }
}

/// Adds to a refusal of arguments what is right: the schemas of the arguments that were named, or of all if one was named
/// that does not exist.
pub fn add_what_is_right(refused: &mut CallToolResult, problems: &[Problem], action: &OfferedAction) {
    let Some(Value::Object(all)) = schema::of_action_alone(action).remove("properties") else { return };
    let host = schema::of_every_call();
    let is_strange = |p: &Problem| !p.argument.is_empty() && !all.contains_key(&p.argument);
    let strange = problems.iter().filter(|p| !host.contains_key(&p.argument)).any(is_strange);
    let wrong = |name: &String| strange || problems.iter().any(|p| p.argument == *name);
    let expects: Map<String, Value> =
        all.iter().filter(|(name, _)| wrong(name)).map(|(n, s)| (n.clone(), s.clone())).collect();
    if expects.is_empty() && !strange {
        return;
    }
    let hint = match expects.is_empty() {
        true => format!("{} takes no arguments of its own.", action.name),
        false => format!("What {} expects: {}", action.name, Value::Object(expects.clone())),
    };
    refused.content.push(ContentBlock::text(hint));
    if let Some(Value::Object(content)) = &mut refused.structured_content {
        content.insert("expects".to_owned(), json!(expects));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value)]
mod tests {
    use super::*;

    fn of(given: Value) -> Result<Named, Vec<Problem>> {
        read(given.as_object().unwrap().clone())
    }

    fn named(problems: &[Problem]) -> Vec<&str> {
        problems.iter().map(|problem| problem.argument.as_str()).collect()
    }

    #[test]
    fn is_the_call_that_the_actions_own_tool_would_get() {
        let given = json!({"action": "postgres.terminate_backend", "arguments": {"pid": 4471}, "target": "primary",
            "reason": "a good reason", "operation_id": "op-1"});
        let call = of(given).unwrap();
        assert_eq!(call.action, "postgres.terminate_backend");
        let direct = json!({"pid": 4471, "target": "primary", "reason": "a good reason", "operation_id": "op-1"});
        assert_eq!(Value::Object(call.arguments), direct);
        assert!(call.problems.is_empty());
        assert!(of(json!({"action": "a.b", "reason": "a good reason"})).unwrap().problems.is_empty());
    }

    #[test]
    fn nothing_is_taken_from_where_it_does_not_belong() {
        let call =
            of(json!({"action": "a.b", "pid": 1, "arguments": {"reason": "inside", "target": "x", "n": 1}})).unwrap();
        assert_eq!(named(&call.problems), ["pid", "reason", "target"]);
        assert_eq!(Value::Object(call.arguments), json!({"n": 1}));
        assert_eq!(named(&of(json!({"action": "a.b", "arguments": [1]})).unwrap().problems), ["arguments"]);
        assert_eq!(named(&of(json!({"action": 7, "sql": "SELECT 1"})).unwrap_err()), ["sql", "action"]);
        assert_eq!(named(&of(json!({})).unwrap_err()), ["action"]);
    }
}
