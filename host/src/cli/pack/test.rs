//! `lockgate pack test`: a pack's own cases on throwaway servers, through the whole gate: validation, policy, preview, an
//! approval, the run, redaction.

mod cases;
mod expect;
pub(super) mod stage;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::Args;
use serde::Serialize;

use self::{cases::Cases, expect::Came, stage::Stage};
use super::{
    super::terminal::{say, say_json},
    Built, component, described,
};
use crate::{error::Refusal, outside::plain};

/// Rows of a table that are shown of an answer that was not expected.
const ROWS: usize = 10;
/// Characters of one line of it.
const WIDTH: usize = 300;

#[derive(Debug, Args)]
pub(in crate::cli) struct TestArgs {
    /// The pack's directory, which is built first, or a component
    #[arg(default_value = ".", value_name = "PATH")]
    path: PathBuf,
    /// The cases; `tests/cases.toml` in the pack's directory if left out
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Only cases with this text in their names
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// A major version of PostgreSQL, instead of those that the cases name; may be given again
    #[arg(long = "server", value_name = "MAJOR")]
    servers: Vec<u32>,
    /// Where else to look for servers: a directory with `MAJOR/bin` in it; may be given again
    #[arg(long = "servers-in", value_name = "DIR")]
    places: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// How a pack's cases came out.
#[derive(Serialize)]
struct Tested {
    pack: String,
    version: String,
    passed: usize,
    failed: usize,
    cases: Vec<TestedCase>,
}

#[derive(Serialize)]
struct TestedCase {
    name: String,
    place: String,
    /// The server's major version.
    server: u32,
    ms: u128,
    /// `done`, a refusal's code, or `not_played`.
    came_to: String,
    held: bool,
    /// What is not as expected; nothing if all is.
    problems: Vec<String>,
    /// The answer, where it was not as expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    answer: Vec<String>,
}

pub(super) async fn run(args: &TestArgs) -> Result<ExitCode, Refusal> {
    let file = args.cases.clone().unwrap_or_else(|| beside(&args.path));
    let mut cases = Cases::load(&file)?;
    let built = described(component(&args.path).await?).await?;
    cases.fit(&built.described.manifest)?;
    if let Some(part) = &args.only {
        cases.only(part)?;
    }
    let named = if args.servers.is_empty() { &cases.servers } else { &args.servers };
    let majors: Vec<Option<u32>> =
        if named.is_empty() { vec![None] } else { named.iter().copied().map(Some).collect() };
    let manifest = built.described.manifest.manifest();
    let (pack, version) = (manifest.name.clone(), manifest.version.clone());
    let mut tested = Tested { pack, version, passed: 0, failed: 0, cases: Vec::new() };
    for major in &majors {
        let stage = Stage::build(&built, &cases, *major, &args.places).await?;
        if !args.json {
            say(&format!("PostgreSQL {}", stage.major()));
        }
        for case in play(&stage, &built, &cases).await {
            if !args.json {
                print(&case);
            }
            if case.problems.is_empty() {
                tested.passed += 1;
            } else {
                tested.failed += 1;
            }
            tested.cases.push(case);
        }
    }
    let Tested { passed, failed, .. } = tested;
    if args.json {
        say_json(&tested);
    } else {
        say(&format!("{passed} passed, {failed} failed"));
    }
    // Nothing that was played is nothing that was tested.
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where a pack keeps its cases.
fn beside(path: &Path) -> PathBuf {
    let dir = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
    dir.join("tests/cases.toml")
}

async fn play(stage: &Stage, built: &Built, cases: &Cases) -> Vec<TestedCase> {
    let mut played = Vec::new();
    for (number, placed) in cases.cases.iter().enumerate() {
        let case = &placed.case;
        let Some(action) = built.described.manifest.action(case.action.get_ref()) else { continue };
        if !case.is_for(stage.major()) {
            continue;
        }
        let began = Instant::now();
        let came = stage.play(number, case, action).await;
        let ms = began.elapsed().as_millis();
        let (came_to, held, problems, answer) = match came {
            Ok((came, problems)) => {
                let answer = if problems.is_empty() { Vec::new() } else { shown(&came) };
                (word(&came), came.held, problems, answer)
            }
            Err(problem) => ("not_played".to_owned(), false, vec![problem], Vec::new()),
        };
        let (name, place) = (case.name.get_ref().clone(), placed.place.clone());
        played.push(TestedCase { name, place, server: stage.major(), ms, came_to, held, problems, answer });
    }
    played
}

fn word(came: &Came) -> String {
    came.end.as_ref().map_or_else(|refusal| refusal.code.as_str().to_owned(), |_| "done".to_owned())
}

/// An answer for whoever has to find out why it is not the expected one.
fn shown(came: &Came) -> Vec<String> {
    let Ok(outcome) = &came.end else { return Vec::new() };
    let mut lines = vec![outcome.summary.clone()];
    lines.extend(outcome.findings.iter().map(|finding| finding.text.clone()));
    for table in &outcome.tables {
        let names: Vec<&str> = table.rows.columns.iter().map(|column| column.name.as_str()).collect();
        lines.push(format!("{}: {}", table.title, names.join(" | ")));
        for row in table.rows.rows.iter().take(ROWS) {
            let cells: Vec<String> = row.iter().map(|cell| cell.to_json().to_string()).collect();
            lines.push(format!("  {}", cells.join(" | ")));
        }
        if let Some(more) = table.rows.rows.len().checked_sub(ROWS).filter(|more| *more > 0) {
            lines.push(format!("  … {more} more"));
        }
    }
    lines
}

fn print(case: &TestedCase) {
    let name = plain(&case.name, WIDTH).text;
    if case.problems.is_empty() {
        return say(&format!("  ok    {name}  {} ms", case.ms));
    }
    say(&format!("  FAIL  {name}  {}", case.place));
    for problem in &case.problems {
        say(&format!("        {}", plain(problem, 2 * WIDTH).text));
    }
    for line in &case.answer {
        let indent = if line.starts_with("  ") { "  " } else { "" };
        say(&format!("        | {indent}{}", plain(line, WIDTH).text));
    }
}
