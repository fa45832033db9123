//! What `find_actions` and `get_action` answer: which actions fit some words, and all there is to say of one. They know only
//! the actions that this principal is offered; any other is answered like one that does not exist.

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Map, Value, json};

use super::{
    McpSettings,
    arguments::problem,
    face::Shown,
    own::{LONGEST_QUERY, MOST_FOUND, Own, USUALLY_FOUND},
    result, schema,
    table::one_line,
};
use crate::{
    error::{Code, Problem, Refusal},
    gate::{
        call::{OfferedAction, Refused},
        described::{ActionDetails, PackOffer},
    },
    outside::shown,
    pack::{manifest::Example, wording},
    search::Found,
};

/// A question to `find_actions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In words.
    pub query: String,
    /// How many actions at most.
    pub limit: usize,
}

impl Question {
    /// Reads and checks it.
    ///
    /// # Errors
    ///
    /// Every problem at once.
    pub fn read(arguments: &Map<String, Value>) -> Result<Self, Vec<Problem>> {
        let mut problems = unknown(arguments, &["query", "limit"]);
        let query = match arguments.get("query") {
            Some(Value::String(text)) if text.trim().is_empty() => Err("is empty: say what you see or want".to_owned()),
            Some(Value::String(text)) if text.chars().count() > LONGEST_QUERY => {
                Err(format!("may have at most {LONGEST_QUERY} characters: say it in fewer words"))
            }
            Some(Value::String(text)) => Ok(text.trim().to_owned()),
            Some(_) => Err("must be text: what you see or want, in words".to_owned()),
            None => Err("is missing: say what you see or want, in words".to_owned()),
        };
        let limit = limit(arguments, USUALLY_FOUND, MOST_FOUND);
        match (query, limit) {
            (Ok(query), Ok(limit)) if problems.is_empty() => Ok(Self { query, limit }),
            (query, limit) => {
                problems.extend(query.err().map(|message| problem("query", message)));
                problems.extend(limit.err());
                Err(problems)
            }
        }
    }
}

/// A `limit` argument.
pub(super) fn limit(arguments: &Map<String, Value>, usual: usize, most: usize) -> Result<usize, Problem> {
    match arguments.get("limit") {
        None => Ok(usual),
        Some(value) => value
            .as_u64()
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|limit| (1..=most).contains(limit))
            .ok_or_else(|| problem("limit", format!("must be a whole number from 1 to {most}"))),
    }
}

/// Unknown arguments that are named one by one; a flood gets a short answer.
const NAMED: usize = 8;

/// A problem for each argument that a tool does not take.
pub(super) fn unknown(arguments: &Map<String, Value>, known: &[&str]) -> Vec<Problem> {
    let takes = known.join("`, `");
    let strange: Vec<&String> = arguments.keys().filter(|name| !known.contains(&name.as_str())).collect();
    let one =
        |name: &&String| problem(&shown(name, 80), format!("is not an argument of this tool; it takes `{takes}`"));
    let mut problems: Vec<Problem> = strange.iter().take(NAMED).map(one).collect();
    if let Some(more) = strange.len().checked_sub(NAMED).filter(|more| *more > 0) {
        problems.push(problem("", format!("and {more} more arguments that this tool does not take")));
    }
    problems
}

/// What fits.
#[must_use]
pub fn found(
    question: &Question,
    found: &[Found],
    offered: &[OfferedAction],
    packs: &[PackOffer],
    settings: &McpSettings,
) -> CallToolResult {
    let actions: Vec<(&OfferedAction, &Found)> = found
        .iter()
        .filter_map(|found| Some((offered.iter().find(|action| action.name == found.name)?, found)))
        .collect();
    if actions.is_empty() {
        return nothing_fits(question, offered, packs);
    }
    let get = settings.separator.outward(Own::GetAction.name());
    let run = settings.separator.outward(Own::RunAction.name());
    let mut lines = vec![match actions.len() {
        1 => "1 action fits:".to_owned(),
        count => format!("{count} actions fit, the best first:"),
    }];
    for (action, found) in &actions {
        lines.push(format!("\n{} ({}): {}", action.name, manner(action), first_sentence(&action.description)));
        lines.push(format!("  fits by {}", one_line(&found.why.join("; "))));
        let takes: Vec<String> =
            action.params.iter().map(|p| format!("{} ({}, {})", p.name, wording::kind(p), wording::need(p))).collect();
        lines.push(match takes.as_slice() {
            [] => "  takes no arguments of its own".to_owned(),
            takes => format!("  takes {}", takes.join("; ")),
        });
    }
    lines.push(format!(
        "\nNext: `{get}` says more of one, `{run}` runs it. If none is what you meant, ask again in other words."
    ));
    let content = json!({
        "status": "found",
        "actions": actions.iter().map(|(action, found)| in_short(action, found)).collect::<Vec<_>>(),
        "next": { "tool": get, "arguments": { "action": actions.first().map(|(action, _)| &action.name) } },
    });
    answered(lines.join("\n"), content)
}

fn in_short(action: &OfferedAction, found: &Found) -> Value {
    let arguments: Map<String, Value> = action
        .params
        .iter()
        .map(|p| (p.name.clone(), Value::from(format!("{}, {}", wording::kind(p), wording::need(p)))))
        .collect();
    json!({
        "name": action.name,
        "title": action.title,
        "summary": first_sentence(&action.description),
        "why": found.why,
        "risk": action.risk.as_str(),
        "held": action.held,
        "read_only": action.reads_only,
        "arguments": arguments,
        "targets": action.targets.iter().map(|target| &target.name).collect::<Vec<_>>(),
    })
}

/// Says what there is instead of naming something near: a model that is offered an action takes it.
fn nothing_fits(question: &Question, offered: &[OfferedAction], packs: &[PackOffer]) -> CallToolResult {
    let query = shown(&question.query, 80);
    let message = if offered.is_empty() {
        format!("nothing fits `{query}`: no action at all is open to this agent")
    } else {
        format!("nothing fits `{query}`: no action here does that")
    };
    let remedy = if offered.is_empty() {
        "tell the person on call that this agent may run nothing here, and that the operator's policy or its token decides"
    } else {
        "do not run something near it; ask again in other words if it is about what is listed, and otherwise tell the \
         person on call that this can't be done here"
    };
    let mut lines = vec![format!("Nothing fits: {}.", one_line(&message))];
    if !packs.is_empty() {
        lines.push("What there is:".to_owned());
    }
    for pack in packs {
        let reads = offered.iter().filter(|action| action.reads_only && is_of(action, &pack.name)).count();
        let acts = pack.actions.saturating_sub(reads);
        lines.push(format!("- {} ({reads} that read, {acts} that act): {}", pack.name, one_line(&pack.summary)));
    }
    lines.push(format!("What to do: {remedy}."));
    let content = json!({ "status": "nothing_fits", "message": message, "remedy": remedy, "packs": packs });
    answered(lines.join("\n"), content)
}

fn is_of(action: &OfferedAction, pack: &str) -> bool {
    action.name.split_once('.').is_some_and(|(of, _)| of == pack)
}

fn manner(action: &OfferedAction) -> String {
    let reads = if action.reads_only { "reads" } else { "acts" };
    let held = if action.held { ", a person must approve" } else { "" };
    format!("{reads}, {} risk{held}", action.risk.as_str())
}

fn first_sentence(text: &str) -> String {
    let line = one_line(text.trim());
    line.split_once(". ").map_or_else(|| line.clone(), |(first, _)| format!("{first}."))
}

/// The name that `get_action` was asked for.
///
/// # Errors
///
/// Every problem at once.
pub fn wanted(arguments: &Map<String, Value>) -> Result<&str, Vec<Problem>> {
    let mut problems = unknown(arguments, &["action"]);
    let name = match arguments.get("action") {
        Some(Value::String(name)) => Some(name.as_str()),
        Some(_) => {
            problems.push(problem("action", "must be text: the full name of an action"));
            None
        }
        None => {
            problems.push(problem("action", "is missing: give the full name of an action"));
            None
        }
    };
    name.filter(|_| problems.is_empty()).ok_or(problems)
}

/// All there is to say of an action.
#[must_use]
pub fn described(action: &OfferedAction, details: Option<&ActionDetails>, settings: &McpSettings) -> CallToolResult {
    let content = description(action, details, Shown::Catalogue, settings);
    let text = serde_json::to_string_pretty(&content).unwrap_or_default();
    let header = format!("{} ({}): {}", action.name, manner(action), one_line(&action.title));
    answered(format!("{header}\n\n{text}"), json!({ "status": "described", "action": content }))
}

/// The same as plain data, with examples as whole calls in the manner of a face.
#[must_use]
pub fn description(
    action: &OfferedAction,
    details: Option<&ActionDetails>,
    face: Shown,
    settings: &McpSettings,
) -> Value {
    let targets: Vec<Value> = action
        .targets
        .iter()
        .map(|target| json!({ "name": target.name, "role": target.role, "health": target.health }))
        .collect();
    let examples: Vec<Value> =
        action.examples.iter().filter_map(|example| whole_call(action, example, face, settings)).collect();
    let mut description = json!({
        "name": action.name,
        "title": action.title,
        "description": action.description,
        "risk": action.risk.as_str(),
        "held": action.held,
        "read_only": action.reads_only,
        "idempotent": action.reads_only || action.idempotent,
        "works_on_standby": action.works_on_standby,
        "side_effects": action.side_effects,
        "input_schema": schema::of_action_alone(action),
        "targets": targets,
        "examples": examples,
    });
    if let (Some(description), Some(details)) = (description.as_object_mut(), details) {
        description.insert("details".to_owned(), json!(details));
    }
    description
}

/// A declared example as the call that a client would send.
fn whole_call(action: &OfferedAction, example: &Example, face: Shown, settings: &McpSettings) -> Option<Value> {
    let whole = schema::example_call(action, example)?;
    let call = match face {
        Shown::Actions => json!({ "tool": settings.separator.outward(&action.name), "arguments": whole }),
        Shown::Catalogue => {
            let Value::Object(mut whole) = whole else { return None };
            let mut beside = Map::new();
            for name in ["target", "reason"] {
                beside.extend(whole.remove(name).map(|value| (name.to_owned(), value)));
            }
            beside.insert("action".to_owned(), action.name.as_str().into());
            beside.insert("arguments".to_owned(), Value::Object(whole));
            json!({ "tool": settings.separator.outward(Own::RunAction.name()), "arguments": beside })
        }
    };
    Some(json!({ "situation": example.situation, "call": call }))
}

/// The refusal of a name that this principal is not offered, whether or not anybody is.
#[must_use]
pub fn no_action(name: &str, settings: &McpSettings) -> CallToolResult {
    let find = settings.separator.outward(Own::FindActions.name()).into_owned();
    let refusal = Refusal::new(Code::UnknownAction, format!("no action `{}`", shown(name, 130)))
        .with_remedy(format!("ask `{find}` in words what there is, and use a name from its answer"));
    refused(refusal, settings)
}

/// A refusal of one of lockgate's own tools: nothing of it is on the record.
#[must_use]
pub fn refused(refusal: Refusal, settings: &McpSettings) -> CallToolResult {
    let await_tool = settings.separator.outward(Own::AwaitApproval.name());
    result::of(&Err(Refused { run: String::new(), refusal }), &await_tool, None)
}

/// The same for arguments that are wrong.
#[must_use]
pub fn malformed(own: Own, problems: Vec<Problem>, settings: &McpSettings) -> CallToolResult {
    let tool = settings.separator.outward(own.name());
    let refusal = Refusal::new(Code::InvalidArguments, format!("the call of `{tool}` is malformed"));
    refused(refusal.with_problems(problems), settings)
}

/// An answer that is no refusal.
#[must_use]
pub(super) fn answered(text: String, content: Value) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(content);
    result
}
