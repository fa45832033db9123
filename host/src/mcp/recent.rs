//! What `recent_runs` answers: this principal's latest runs as the record has them, as structured content and as a table.

use rmcp::model::CallToolResult;
use serde_json::{Map, Value, json};

use super::{
    McpSettings,
    arguments::problem,
    catalogue::{answered, limit, unknown},
    own::{LONGEST_NAME, Own, USUAL_RUNS},
    result::DATA_NOTE,
    table::text_table,
};
use crate::{
    error::Problem,
    gate::call::OfferedAction,
    runs::{LONGEST_PAGE, RunFilter, RunPage, RunState, RunSummary},
    value::{Column, ColumnKind, RowSet, Value as Cell},
};

/// Longest cursor that is looked at.
const LONGEST_CURSOR: usize = 256;
/// Longest name of a target.
const LONGEST_TARGET: usize = 64;

/// Reads and checks what runs are wanted.
///
/// # Errors
///
/// Every problem at once.
pub fn wanted(
    arguments: &Map<String, Value>,
    settings: &McpSettings,
    offered: impl FnOnce() -> Vec<OfferedAction>,
) -> Result<RunFilter, Vec<Problem>> {
    let mut problems = unknown(arguments, &["limit", "action", "target", "state", "cursor"]);
    let mut text = |name: &str, longest: usize| match arguments.get(name) {
        None => None,
        Some(Value::String(text)) if !text.is_empty() && text.chars().count() <= longest => Some(text.clone()),
        Some(_) => {
            problems.push(problem(name, format!("must be text of 1 to {longest} characters, or left out")));
            None
        }
    };
    let action = text("action", LONGEST_NAME).map(|name| settings.separator.inward(&name, offered).into_owned());
    let target = text("target", LONGEST_TARGET);
    let state = text("state", LONGEST_TARGET);
    let cursor = text("cursor", LONGEST_CURSOR);
    let state = match state.map(|state| state.parse::<RunState>()) {
        Some(Err(())) => {
            let known: Vec<&str> = RunState::ALL.iter().map(|state| state.as_str()).collect();
            problems.push(problem("state", format!("must be one of {}", known.join(", "))));
            None
        }
        Some(Ok(state)) => Some(state),
        None => None,
    };
    match limit(arguments, USUAL_RUNS, LONGEST_PAGE) {
        Ok(limit) if problems.is_empty() => {
            Ok(RunFilter { action, target, state, limit: Some(limit), cursor, ..RunFilter::default() })
        }
        limit => {
            problems.extend(limit.err());
            Err(problems)
        }
    }
}

/// A page of runs.
#[must_use]
pub fn listed(page: &RunPage, settings: &McpSettings) -> CallToolResult {
    let mut content = json!({ "status": "listed", "runs": page.runs });
    let mut lines = vec![match page.runs.len() {
        0 => "No run of yours fits.".to_owned(),
        1 => "1 run, as the record has it.".to_owned(),
        count => format!("{count} runs, the newest first, as the record has them."),
    }];
    if !page.runs.is_empty() {
        lines.push(DATA_NOTE.to_owned());
        lines.push(String::new());
        lines.push(text_table(&table(&page.runs)));
    }
    if page.runs.iter().any(|run| run.state == RunState::Held) {
        let await_tool = settings.separator.outward(Own::AwaitApproval.name());
        lines.push(format!("\nA held run waits for a person: take it up with `{await_tool}` and its approval."));
    }
    if let (Some(next), Some(content)) = (&page.next, content.as_object_mut()) {
        lines.push(format!("\nThere are more: give cursor {next}"));
        content.insert("next_cursor".to_owned(), next.as_str().into());
    }
    answered(lines.join("\n"), content)
}

fn table(runs: &[RunSummary]) -> RowSet {
    let names = ["started", "run", "state", "action", "target", "approval", "summary"];
    let columns = names.iter().map(|name| Column { name: (*name).to_owned(), kind: ColumnKind::Text }).collect();
    let cell = |text: Option<&str>| text.map_or(Cell::Null, |text| Cell::Text(text.to_owned()));
    let rows = runs
        .iter()
        .map(|run| {
            vec![
                cell(Some(&run.started)),
                cell(Some(&run.run)),
                cell(Some(run.state.as_str())),
                cell(Some(&run.action)),
                cell(run.target.as_deref()),
                cell(run.approval.as_deref()),
                cell(run.summary.as_deref()),
            ]
        })
        .collect();
    RowSet { columns, rows }
}
