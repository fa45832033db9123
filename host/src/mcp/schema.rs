//! JSON Schemas (draft 2020-12) of tools: of an action's arguments, from its declared parameters and what the host adds,
//! and of every answer.

use serde_json::{Map, Value, json};

use super::arguments::APPROVAL_PATTERN;
use crate::{
    gate::{
        call::{Health, LONGEST_REASON, LONGEST_WORDS, OfferedAction, SHORTEST_REASON, TargetOffer},
        words::OPERATION_PATTERN,
    },
    pack::manifest::{Example, IDENTIFIER_PATTERN, Param, ParamKind},
    statement::Role,
    value::Value as PackValue,
};

/// A schema is an object.
pub type Schema = Map<String, Value>;

/// What a call of this action takes.
#[must_use]
pub fn input(action: &OfferedAction) -> Schema {
    let (mut properties, mut required) = declared(action);
    // The host's own come last and win: no pack may word them.
    properties.insert("target".to_owned(), target_schema(&action.targets));
    if action.targets.len() > 1 {
        required.push(Value::from("target"));
    }
    properties.extend(of_every_call());
    required.push(Value::from("reason"));

    let mut schema = object(properties, required);
    let examples: Vec<Value> = action.examples.iter().filter_map(|example| example_call(action, example)).collect();
    if !examples.is_empty() {
        schema.insert("examples".to_owned(), Value::Array(examples));
    }
    schema
}

/// What an action itself takes, without what the host adds.
#[must_use]
pub fn of_action_alone(action: &OfferedAction) -> Schema {
    let (properties, required) = declared(action);
    object(properties, required)
}

fn declared(action: &OfferedAction) -> (Schema, Vec<Value>) {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for param in &action.params {
        properties.insert(param.name.clone(), Value::Object(param_schema(param)));
        if param.required && param.default == PackValue::Null {
            required.push(Value::from(param.name.as_str()));
        }
    }
    (properties, required)
}

/// What every call says of itself, whatever the action.
#[must_use]
pub fn of_every_call() -> Schema {
    let mut properties = Map::new();
    properties.insert("reason".to_owned(), reason_schema());
    properties.extend(said_of_the_call());
    properties
}

/// What `lockgate.await_approval` takes.
#[must_use]
pub fn await_input(hold_wait: std::time::Duration, longest_wait: std::time::Duration) -> Schema {
    let mut properties = Map::new();
    properties.insert(
        "approval_id".to_owned(),
        json!({
            "type": "string",
            "pattern": APPROVAL_PATTERN,
            "description": "The approval id of the pending result, unchanged.",
        }),
    );
    properties.insert(
        "wait_seconds".to_owned(),
        json!({
            "type": "integer",
            "minimum": 0,
            "maximum": longest_wait.as_secs(),
            "default": hold_wait.as_secs(),
            "description": "How long to wait for the decision. 0 asks only how things stand.",
        }),
    );
    properties.insert(
        "withdraw".to_owned(),
        json!({
            "type": "boolean",
            "default": false,
            "description": "True takes the request back, for good, while nobody has decided: when it is not needed any \
                more.",
        }),
    );
    object(properties, vec![Value::from("approval_id")])
}

/// What a call answers. One shape for every action, refusals too, because some clients check those as well. It can't be
/// narrower: a component may hand on a statement's result, but it may also build a table of its own, so the columns that a
/// manifest declares are what it may ask for and not what it must answer.
#[must_use]
pub fn output() -> Schema {
    let text = || json!({"type": "string"});
    let schema = json!({
        "status": {"enum": ["done", "pending", "refused"]},
        "action": text(),
        "target": text(),
        "summary": text(),
        "tables": {"type": "array", "items": {
            "type": "object",
            "properties": {
                "title": text(),
                "columns": {"type": "array", "items": {"type": "object"}},
                "rows": {"type": "array", "items": {"type": "array"}},
            },
            "required": ["title", "columns", "rows"],
        }},
        "notices": {"type": "array", "items": text()},
        "findings": {"type": "array", "items": {"type": "object"}},
        "suggestion": {"type": "object"},
        "approval_id": text(),
        "approved_by": text(),
        "digest": text(),
        "expires_at": text(),
        "link": text(),
        "approved": {"type": "boolean"},
        "what_to_do": text(),
        "how_a_person_decides": text(),
        "next": {"type": "object"},
        "record_degraded": {"type": "boolean"},
        "result_not_kept": {"type": "boolean"},
    });
    let mut properties = refusal_properties();
    if let Value::Object(own) = schema {
        properties.extend(own);
    }
    let mut schema = object(properties, vec!["status".into()]);
    schema.remove("additionalProperties");
    schema
}

/// The parts of a refusal.
#[must_use]
pub fn refusal_properties() -> Schema {
    let text = || json!({"type": "string"});
    let properties = json!({
        "run_id": text(),
        "replayed": {"type": "boolean"},
        "code": text(),
        "message": text(),
        "remedy": text(),
        "problems": {"type": "array", "items": {
            "type": "object",
            "properties": {"argument": text(), "message": text()},
            "required": ["argument", "message"],
        }},
    });
    match properties {
        Value::Object(properties) => properties,
        _ => Map::new(),
    }
}

/// An object that takes these and nothing else.
#[must_use]
pub fn object(properties: Map<String, Value>, required: Vec<Value>) -> Schema {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), Value::from("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("required".to_owned(), Value::Array(required));
    schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    schema
}

fn param_schema(param: &Param) -> Schema {
    let mut schema = Map::new();
    let mut description = param.description.clone();
    let mut set = |key: &str, value: Value| {
        schema.insert(key.to_owned(), value);
    };
    match &param.kind {
        ParamKind::Boolean => set("type", "boolean".into()),
        ParamKind::Integer { min, max } => {
            set("type", "integer".into());
            set("minimum", (*min).into());
            set("maximum", (*max).into());
        }
        ParamKind::Number { min, max } => {
            set("type", "number".into());
            set("minimum", (*min).into());
            set("maximum", (*max).into());
        }
        ParamKind::Text { max_length, pattern } => {
            set("type", "string".into());
            set("maxLength", (*max_length).into());
            match portable_pattern(pattern) {
                Some(pattern) => set("pattern", pattern.into()),
                // A client's regex engine would refuse the whole schema, so only people and models get to read it.
                None => {
                    description.push_str(" The whole text must match the regular expression ");
                    description.push_str(pattern);
                }
            }
        }
        ParamKind::Identifier => {
            set("type", "string".into());
            set("maxLength", 63.into());
            set("pattern", IDENTIFIER_PATTERN.into());
        }
        ParamKind::Choice { options } => {
            set("type", "string".into());
            set("enum", options.clone().into());
        }
    }
    if param.default != PackValue::Null {
        set("default", param.default.to_json());
    }
    set("description", description.into());
    schema
}

/// A pattern as ECMA-262 reads it, which is what JSON Schema means, anchored as a whole; or none where the two dialects
/// part (inline flags, named groups, POSIX classes, class arithmetic, `\A`, `\z` and the like).
fn portable_pattern(pattern: &str) -> Option<String> {
    let foreign = [
        "(?", "[[", "[:", "&&", "--", "~~", "\\A", "\\z", "\\Z", "\\p", "\\P", "\\x", "\\u", "\\U", "\\a", "\\<", "\\>",
    ];
    if foreign.iter().any(|part| pattern.replace("(?:", "(").contains(part)) {
        return None;
    }
    let ends_anchored = pattern.ends_with('$') && {
        let escapes = pattern.trim_end_matches('$').bytes().rev().take_while(|byte| *byte == b'\\').count();
        escapes.is_multiple_of(2)
    };
    if pattern.starts_with('^') && ends_anchored && !pattern.contains('|') {
        Some(pattern.to_owned())
    } else {
        Some(format!("^(?:{pattern})$"))
    }
}

fn reason_schema() -> Value {
    json!({
        "type": "string",
        "minLength": SHORTEST_REASON,
        "maxLength": LONGEST_REASON,
        "description": "Why this call, now, in one line: what you saw and what you expect of it. It is recorded, and for \
            a held call it is what the approver reads before deciding. For example: crashed migrate-svc left an idle \
            FOR UPDATE transaction blocking 30 writers.",
    })
}

/// What a caller may say of its call beside the reason. Short, since it stands in every tool.
fn said_of_the_call() -> [(String, Value); 3] {
    let words = |description: &str| json!({"type": "string", "maxLength": LONGEST_WORDS, "description": description});
    [
        (
            "evidence".to_owned(),
            words("What you saw that speaks for it, in one line, for the approver and the record."),
        ),
        (
            "expected".to_owned(),
            words("What should be different afterwards, in one line, for the approver and the record."),
        ),
        (
            "operation_id".to_owned(),
            json!({
                "type": "string",
                "pattern": OPERATION_PATTERN,
                "description": "Makes the call run once: a new id for each operation, such as a UUID. If the answer is \
                    lost, repeat the same call with the same id and get that answer; nothing runs twice.",
            }),
        ),
    ]
}

fn target_schema(targets: &[TargetOffer]) -> Value {
    let names: Vec<Value> = targets.iter().map(|target| Value::from(target.name.as_str())).collect();
    let listed: Vec<String> = targets.iter().map(|target| format!("{}{}", target.name, target_note(target))).collect();
    let mut schema = json!({
        "type": "string",
        "enum": names,
        "description": format!("Which server: {}.", listed.join(", ")),
    });
    if let ([only], Some(schema)) = (targets, schema.as_object_mut()) {
        schema.insert("default".to_owned(), only.name.as_str().into());
    }
    schema
}

/// What is known of a target, in parentheses; nothing if nothing is.
#[must_use]
pub fn target_note(target: &TargetOffer) -> String {
    let role = match target.role {
        Role::Any => None,
        Role::Primary => Some("primary"),
        Role::Standby => Some("standby"),
    };
    let health = match target.health {
        Health::Unknown => None,
        Health::Reachable => Some("reachable"),
        Health::Unreachable => Some("unreachable when last asked"),
    };
    let known: Vec<&str> = role.into_iter().chain(health).collect();
    if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) }
}

/// A declared example as a whole call: its arguments, its situation as the reason, and the first target if one is needed.
#[must_use]
pub fn example_call(action: &OfferedAction, example: &Example) -> Option<Value> {
    let Ok(Value::Object(mut call)) = serde_json::from_str::<Value>(&example.arguments) else {
        return None;
    };
    if let [first, _, ..] = action.targets.as_slice() {
        call.insert("target".to_owned(), Value::from(first.name.as_str()));
    }
    let length = example.situation.chars().count();
    if !(SHORTEST_REASON..=LONGEST_REASON).contains(&length) {
        return None;
    }
    call.insert("reason".to_owned(), Value::from(example.situation.as_str()));
    Some(Value::Object(call))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::mcp::tool::tests::{offered, param};

    #[test]
    fn carries_bounds_patterns_defaults_and_choices() {
        let mut action = offered("postgres.kill_idle");
        action.params = vec![
            param("older_than_seconds", ParamKind::Integer { min: 60, max: 86_400 }),
            param("ratio", ParamKind::Number { min: 0.5, max: 1.0 }),
            param("schema", ParamKind::Identifier),
            param("name", ParamKind::Text { max_length: 10, pattern: "[a-z]+|[0-9]+".into() }),
            param("kind", ParamKind::Choice { options: vec!["a".into(), "b".into()] }),
            param("verbose", ParamKind::Boolean),
        ];
        action.params[5].required = false;
        action.params[5].default = PackValue::Boolean(false);
        let schema = Value::Object(input(&action));
        let of = |name: &str| &schema["properties"][name];
        assert_eq!(of("older_than_seconds")["minimum"], 60);
        assert_eq!(of("older_than_seconds")["maximum"], 86_400);
        assert_eq!(of("ratio")["minimum"], 0.5);
        assert_eq!(of("schema")["pattern"], IDENTIFIER_PATTERN);
        assert_eq!(of("name")["pattern"], "^(?:[a-z]+|[0-9]+)$");
        assert_eq!(of("name")["maxLength"], 10);
        assert_eq!(of("kind")["enum"], json!(["a", "b"]));
        assert_eq!(of("verbose")["default"], false);
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], json!(["older_than_seconds", "ratio", "schema", "name", "kind", "reason"]));
        assert_eq!(of("reason")["minLength"], 8);
        assert_eq!(of("operation_id")["pattern"], "^[A-Za-z0-9][A-Za-z0-9._:-]{7,127}$");
        assert_eq!((&of("evidence")["maxLength"], &of("expected")["maxLength"]), (&json!(1000), &json!(1000)));
        assert_eq!((&of("target")["enum"], &of("target")["default"]), (&json!(["primary"]), &json!("primary")));
    }

    #[test]
    fn asks_for_a_target_only_where_there_are_several() {
        let mut action = offered("postgres.uptime");
        action.targets.push(TargetOffer { name: "replica1".into(), role: Role::Standby, health: Health::Unreachable });
        let schema = Value::Object(input(&action));
        assert_eq!(schema["properties"]["target"]["enum"], json!(["primary", "replica1"]));
        assert_eq!(schema["required"], json!(["target", "reason"]));
        let description = schema["properties"]["target"]["description"].as_str().unwrap();
        assert_eq!(description, "Which server: primary (primary), replica1 (standby, unreachable when last asked).");
        assert!(schema["properties"]["target"].get("default").is_none());
    }

    #[test]
    fn a_pack_cannot_word_what_the_host_asks() {
        let mut action = offered("evil.act");
        let hosts = ["reason", "evidence", "expected", "operation_id"];
        action.params = hosts.iter().map(|name| param(name, ParamKind::Boolean)).collect();
        let schema = Value::Object(input(&action));
        for name in hosts {
            assert_eq!(schema["properties"][name]["type"], "string", "{name}");
        }
    }

    #[test]
    fn examples_are_whole_calls() {
        let mut action = offered("postgres.terminate_backend");
        action.examples = vec![
            Example { situation: "a dead migration holds a lock".into(), arguments: r#"{"pid":4471}"#.into() },
            Example { situation: "broken".into(), arguments: "{".into() },
        ];
        let schema = Value::Object(input(&action));
        assert_eq!(schema["examples"], json!([{"pid": 4471, "reason": "a dead migration holds a lock"}]));
    }

    #[test]
    fn only_patterns_that_every_client_reads_are_offered() {
        assert_eq!(portable_pattern("^[a-z]{1,8}$").unwrap(), "^[a-z]{1,8}$");
        assert_eq!(portable_pattern("^a|b$").unwrap(), "^(?:^a|b$)$");
        assert_eq!(portable_pattern(r"^a\$").unwrap(), r"^(?:^a\$)$");
        assert_eq!(portable_pattern("(?:ab)+").unwrap(), "^(?:(?:ab)+)$");
        for foreign in ["(?i)abc", r"\Aabc\z", "[[:alpha:]]", "(?P<x>a)", r"\p{L}+", "[a-z&&[^b]]"] {
            assert_eq!(portable_pattern(foreign), None, "{foreign}");
        }
    }
}
