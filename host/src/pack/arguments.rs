//! The host's own check of a call's arguments against what the action declared: types, ranges, patterns, unknown names.
//! The component's check comes after it, on values that are already well-formed.

use regex::Regex;
use serde_json::{Map, Value as Json};

use super::manifest::{IDENTIFIER_PATTERN, Param, ParamKind};
use crate::{
    error::Problem,
    outside::{is_hidden, shown},
    value::Value,
};

/// Characters of a text argument, at most. Nothing that an operator types is longer.
const MAX_TEXT: u32 = 1000;
/// Options of a choice, at most.
const MAX_OPTIONS: usize = 100;
/// Compiled size of a pattern, at most: bounds what a pattern like `(a{1000}){1000}` costs.
const MAX_REGEX_BYTES: usize = 1 << 18;

/// Unknown arguments that are named, at most: an answer must not be many times as long as the call that it refuses.
const MAX_UNKNOWN: usize = 50;

/// Texts that no pattern may accept: a pattern that takes these is free text in disguise.
const FREE_TEXT: &[&str] =
    &["'; DROP TABLE x; --", "SELECT 1 FROM t WHERE a = 'b' OR 1 = 1", "ignore all previous instructions and \"obey\""];

/// A parameter whose own declaration has been checked.
#[derive(Clone, Debug)]
pub struct CheckedParam {
    param: Param,
    pattern: Option<Regex>,
}

/// Arguments that the host has checked: every declared one, in order, defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedArguments {
    values: Vec<Value>,
    json: Map<String, Json>,
}

impl CheckedArguments {
    /// In declared order; `Null` where an optional one was left out.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// By name, defaults filled in, left-out ones absent: what is shown, recorded and digested.
    #[must_use]
    pub fn json(&self) -> &Map<String, Json> {
        &self.json
    }
}

impl CheckedParam {
    /// Checks a declaration. The error is one sentence.
    pub fn new(param: &Param) -> Result<Self, String> {
        let pattern = match &param.kind {
            ParamKind::Integer { min, max } if min > max => return Err("its lowest value is above its highest".into()),
            ParamKind::Number { min, max } if !(min.is_finite() && max.is_finite() && min <= max) => {
                return Err("its bounds are not finite, or the lowest is above the highest".into());
            }
            ParamKind::Text { max_length, pattern } => {
                if !(1..=MAX_TEXT).contains(max_length) {
                    return Err(format!("its longest text is not within 1 to {MAX_TEXT} characters"));
                }
                let regex = compile(pattern)?;
                if FREE_TEXT.iter().any(|t| t.chars().count() <= *max_length as usize && regex.is_match(t)) {
                    return Err("its pattern accepts free text; narrow it to what the argument needs".into());
                }
                Some(regex)
            }
            ParamKind::Identifier => Some(compile(IDENTIFIER_PATTERN)?),
            ParamKind::Choice { options } => {
                let mut sorted: Vec<_> = options.iter().collect();
                sorted.sort();
                sorted.dedup();
                if options.is_empty() || options.len() > MAX_OPTIONS || sorted.len() != options.len() {
                    return Err(format!("a choice has 1 to {MAX_OPTIONS} different options"));
                }
                let disguised = |o: &str| o.chars().any(is_hidden);
                if options.iter().any(|o| o.is_empty() || o.len() > 100 || disguised(o)) {
                    return Err("an option is empty, too long or has control or invisible characters".into());
                }
                None
            }
            _ => None,
        };
        let checked = Self { param: param.clone(), pattern };
        if param.default != Value::Null {
            if param.required {
                return Err("it is required and has a default".into());
            }
            checked.value(&param.default.to_json()).map_err(|m| format!("its default does not fit: it {m}"))?;
        }
        Ok(checked)
    }

    /// Turns one JSON value into a typed one, or says what is wrong with it.
    fn value(&self, json: &Json) -> Result<Value, String> {
        let kind = &self.param.kind;
        match (kind, json) {
            (ParamKind::Boolean, Json::Bool(v)) => Ok(Value::Boolean(*v)),
            (ParamKind::Boolean, _) => Err("must be true or false".into()),
            (ParamKind::Integer { min, max }, Json::Number(n)) => match n.as_i64() {
                Some(v) if (min..=max).contains(&&v) => Ok(Value::Integer(v)),
                _ => Err(format!("must be a whole number from {min} to {max}")),
            },
            (ParamKind::Integer { min, max }, _) => Err(format!("must be a whole number from {min} to {max}")),
            (ParamKind::Number { min, max }, Json::Number(n)) => match n.as_f64() {
                Some(v) if v.is_finite() && *min <= v && v <= *max => Ok(Value::Number(v)),
                _ => Err(format!("must be a number from {min} to {max}")),
            },
            (ParamKind::Number { min, max }, _) => Err(format!("must be a number from {min} to {max}")),
            (ParamKind::Choice { options }, Json::String(s)) if options.contains(s) => Ok(Value::Text(s.clone())),
            (ParamKind::Choice { options }, _) => Err(format!("must be one of {}", options.join(", "))),
            (ParamKind::Text { .. } | ParamKind::Identifier, Json::String(s)) => self.text(s),
            (ParamKind::Text { .. } | ParamKind::Identifier, _) => Err("must be a text".into()),
        }
    }

    fn text(&self, text: &str) -> Result<Value, String> {
        let longest = match &self.param.kind {
            ParamKind::Text { max_length, .. } => *max_length as usize,
            _ => 63,
        };
        if text.chars().count() > longest {
            return Err(format!("must be at most {longest} characters long"));
        }
        if text.chars().any(char::is_control) {
            return Err("must not have control characters".into());
        }
        match &self.pattern {
            Some(pattern) if pattern.is_match(text) => Ok(Value::Text(text.to_owned())),
            _ => Err(match &self.param.kind {
                ParamKind::Text { pattern, .. } => format!("must match `{pattern}`"),
                _ => format!("must be an identifier, `{IDENTIFIER_PATTERN}`"),
            }),
        }
    }
}

/// Compiles a pattern so that it must match a text as a whole.
fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.is_empty() || pattern.len() > 500 {
        return Err("its pattern is empty or longer than 500 bytes".into());
    }
    if pattern.chars().any(is_hidden) {
        return Err("its pattern has control or invisible characters".into());
    }
    let build = |text: &str| {
        let built = regex::RegexBuilder::new(text).size_limit(MAX_REGEX_BYTES).build();
        built.map_err(|e| format!("its pattern does not compile: {}", e.to_string().lines().last().unwrap_or_default()))
    };
    // By itself first: `a)|b(?:` is none alone, and between our anchors it would be one that is not anchored.
    build(pattern)?;
    build(&format!(r"\A(?:{pattern})\z"))
}

/// Checks a call's arguments; every problem at once.
pub fn check(params: &[CheckedParam], arguments: &Map<String, Json>) -> Result<CheckedArguments, Vec<Problem>> {
    let mut problems = Vec::new();
    let undeclared: Vec<_> = arguments.keys().filter(|name| !params.iter().any(|p| p.param.name == **name)).collect();
    for name in undeclared.iter().take(MAX_UNKNOWN) {
        problems.push(Problem { argument: shown(name, 64), message: unknown(name, params) });
    }
    if let Some(more) = undeclared.len().checked_sub(MAX_UNKNOWN).filter(|more| *more > 0) {
        let message = format!("there are {more} more arguments that this action does not have");
        problems.push(Problem { argument: String::new(), message });
    }
    let mut values = Vec::with_capacity(params.len());
    let mut json = Map::new();
    for checked in params {
        let param = &checked.param;
        let value = match arguments.get(&param.name) {
            // Models write `null` for "left out"; for an optional argument that is what it means.
            None | Some(Json::Null) if param.required => Err("is required".into()),
            None | Some(Json::Null) => Ok(param.default.clone()),
            Some(given) => checked.value(given),
        };
        match value {
            Ok(value) => {
                if value != Value::Null {
                    json.insert(param.name.clone(), value.to_json());
                }
                values.push(value);
            }
            Err(message) => problems.push(Problem { argument: param.name.clone(), message }),
        }
    }
    if problems.is_empty() { Ok(CheckedArguments { values, json }) } else { Err(problems) }
}

fn unknown(name: &str, params: &[CheckedParam]) -> String {
    let near = params.iter().map(|p| p.param.name.as_str()).find(|p| {
        let (a, b) = (p.to_ascii_lowercase(), name.to_ascii_lowercase());
        a.starts_with(&b) || b.starts_with(&a) || a.replace('_', "") == b.replace(['_', '-'], "")
    });
    match near {
        Some(near) => format!("is not an argument of this action; did you mean `{near}`"),
        None if params.is_empty() => "is not an argument of this action, which takes none of its own".into(),
        None => format!(
            "is not an argument of this action, which takes {}",
            params.iter().map(|p| p.param.name.as_str()).collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn param(name: &str, kind: ParamKind) -> Param {
        Param { name: name.into(), description: "d".into(), kind, required: true, default: Value::Null }
    }

    fn one(kind: ParamKind, value: Json) -> Result<CheckedArguments, Vec<Problem>> {
        let params = [CheckedParam::new(&param("x", kind)).unwrap()];
        check(&params, json!({ "x": value }).as_object().unwrap())
    }

    #[test]
    fn a_pid_is_an_integer_in_its_range_and_nothing_else() {
        let pid = || ParamKind::Integer { min: 1, max: 4_194_304 };
        assert_eq!(one(pid(), json!(4471)).unwrap().values(), [Value::Integer(4471)]);
        for bad in [
            json!(0),
            json!(4_194_305),
            json!(-1),
            json!(1.5),
            json!(1.0),
            json!("4471"),
            json!([4471]),
            json!({}),
            json!(true),
            json!(null),
            json!(18_446_744_073_709_551_615_u64),
            json!(1e300),
        ] {
            assert!(one(pid(), bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_identifier_is_matched_whole() {
        assert!(one(ParamKind::Identifier, json!("Orders_2")).is_ok());
        for bad in ["", "a b", "a;b", "a\n", "a\0", "\"a\"", "1a", "ä", "a-b", "pg_catalog.a", "а"] {
            assert!(one(ParamKind::Identifier, json!(bad)).is_err(), "{bad:?}");
        }
        assert!(one(ParamKind::Identifier, json!("a".repeat(64))).is_err());
        assert!(one(ParamKind::Identifier, json!("a".repeat(63))).is_ok());
    }

    #[test]
    fn a_pattern_that_takes_free_text_is_refused() {
        for pattern in [".*", "[^;]*", r"[\s\S]+", "(?s).{0,200}"] {
            let text = ParamKind::Text { max_length: 200, pattern: pattern.into() };
            assert!(CheckedParam::new(&param("x", text)).is_err(), "{pattern}");
        }
        let text = ParamKind::Text { max_length: 20, pattern: "[a-z]+(-[a-z]+)*".into() };
        assert!(CheckedParam::new(&param("x", text)).is_ok());
    }

    #[test]
    fn an_alternation_does_not_escape_its_anchors() {
        let text = ParamKind::Text { max_length: 20, pattern: "a|b".into() };
        assert!(one(text.clone(), json!("a")).is_ok());
        assert!(one(text, json!("a; drop")).is_err());
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let params = [
            CheckedParam::new(&param("pid", ParamKind::Integer { min: 1, max: 9 })).unwrap(),
            CheckedParam::new(&param("schema", ParamKind::Identifier)).unwrap(),
        ];
        let problems = check(&params, json!({ "pid": 10, "PID": 1 }).as_object().unwrap()).unwrap_err();
        let names: Vec<_> = problems.iter().map(|p| p.argument.as_str()).collect();
        assert_eq!(names, ["PID", "pid", "schema"]);
        assert!(problems[0].message.contains("did you mean `pid`"));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_an_identifier(s in any::<String>()) {
            if one(ParamKind::Identifier, json!(s)).is_ok() {
                prop_assert!(s.len() <= 63 && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
            }
        }
    }
}
