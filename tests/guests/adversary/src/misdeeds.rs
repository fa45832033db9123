//! What it does when it is called. For `describe` the mode says what; for a call its argument `how` does, so that one
//! admitted pack serves all cases of running.

use lockgate_pack::bindings::{
    exports::lockgate::pack::actions::{
        BuiltTable, Evidence, Failure, Finding, Outcome, Pin, Problem, Severity, Suggestion, Table, TableData,
    },
    lockgate::pack::query::{self, Column, ColumnKind, DatabaseError, QueryError, Rows, Value},
};

use crate::mode;

/// A text that disguises itself, holds a secret, and says what no summary may make a reader do.
const NASTY: &str = "ok\u{202e}\u{200b}\u{1b}[2J\u{7} password=Hunter2x '; DROP TABLE users; --";

/// More than may cross the boundary.
const TOO_MUCH: usize = 9 << 20;

/// `describe`, before it answers.
pub(crate) fn describe() {
    match mode::or("describe", "").as_str() {
        "query" => drop(query::execute("answer", &[])),
        how => common(how),
    }
}

/// `validate`
pub(crate) fn validate(_: &str, arguments: &[Value]) -> Vec<Problem> {
    let how = how(arguments);
    let Some(how) = how.strip_prefix("v_") else { return Vec::new() };
    common(how);
    let problem = |text: &str| Problem { argument: text.to_owned(), message: text.to_owned() };
    match how {
        "query" => match query::execute("answer", &[]) {
            Err(QueryError::Undeclared(_)) => vec![problem("refused")],
            _ => vec![problem("answered")],
        },
        "flood" => vec![problem("no"); 3000],
        "nasty" => vec![problem(NASTY)],
        "long" => vec![problem(&"x".repeat(200_000))],
        _ => Vec::new(),
    }
}

/// `preview`
pub(crate) fn preview(_: &str, arguments: &[Value]) -> Result<Evidence, Failure> {
    let how = how(arguments);
    let evidence = |pins: Vec<Pin>| Ok(Evidence { summary: mode::or("sees", "Looked"), tables: Vec::new(), pins });
    let pin = |name: &str, value: Value| Pin { name: name.to_owned(), value };
    let Some(how) = how.strip_prefix("p_") else { return evidence(vec![pin("pid", Value::Integer(1))]) };
    common(how);
    match how {
        "act" => asked("cancel", &[Value::Integer(1)]).and_then(|_| evidence(Vec::new())),
        "act_and_swallow" => {
            drop(query::execute("nudge", &[]));
            evidence(Vec::new())
        }
        "undeclared" => asked("other", &[]).and_then(|_| evidence(Vec::new())),
        "nasty" => Ok(Evidence { summary: NASTY.to_owned(), tables: vec![secrets(NASTY)], pins: Vec::new() }),
        "huge" => Ok(Evidence { summary: "x".repeat(TOO_MUCH), tables: Vec::new(), pins: Vec::new() }),
        "table" => Ok(Evidence { summary: String::new(), tables: vec![large()], pins: Vec::new() }),
        "pin_type" => evidence(vec![pin("pid", Value::Text("1 OR true".to_owned()))]),
        "pin_nan" => evidence(vec![pin("pid", Value::Number(f64::NAN))]),
        "pin_name" => evidence(vec![pin(NASTY, Value::Integer(1))]),
        "pin_twice" => evidence(vec![pin("pid", Value::Integer(1)), pin("pid", Value::Integer(2))]),
        "pin_text" => evidence(vec![pin("pid", Value::Text(NASTY.to_owned()))]),
        "pin_large" => evidence(vec![pin("pid", Value::Text("x".repeat(4 << 20)))]),
        "pin_many" => evidence((0..2000).map(|n| pin(&format!("p{n}"), Value::Integer(n))).collect()),
        _ => evidence(Vec::new()),
    }
}

/// `run`
pub(crate) fn run(action: &str, arguments: &[Value], pins: &[Pin]) -> Result<Outcome, Failure> {
    match (action, how(arguments).as_str()) {
        ("answer", _) => asked("answer", &[]).map(|rows| with(vec![held(rows)])),
        ("other", _) => asked("other", &[]).map(|rows| with(vec![held(rows)])),
        ("held", how) => held_run(how, pins),
        ("maintain", how) => maintain(how),
        (_, how) => misbehave(how),
    }
}

/// What is the same in every export.
fn common(how: &str) {
    match how {
        "loop" => spin(),
        #[cfg(target_arch = "wasm32")]
        "trap" => core::arch::wasm32::unreachable(),
        #[cfg(target_arch = "wasm32")]
        "reenter" => {
            // The answer's bytes are put into this guest's memory by the host, which asks this allocator for room.
            crate::allocator::REENTER.store(true, core::sync::atomic::Ordering::Relaxed);
            if let Ok(rows) = query::execute("answer", &[]) {
                drop(rows.columns());
            }
        }
        "grow" => loop {
            core::mem::forget(core::hint::black_box(vec![1_u8; 1 << 20]));
        },
        "recurse" => drop(core::hint::black_box(deep(u32::try_from(mode::number("stop", 0)).unwrap_or(0), 1))),
        _ => {}
    }
}

fn misbehave(how: &str) -> Result<Outcome, Failure> {
    common(how);
    let text = |text: &str| Value::Text(text.to_owned());
    match how {
        "huge_summary" => Ok(Outcome { summary: "x".repeat(TOO_MUCH), ..with(Vec::new()) }),
        "long_summary" => Ok(Outcome { summary: "x".repeat(1 << 20), ..with(Vec::new()) }),
        "huge_id" => asked(&"x".repeat(TOO_MUCH), &[]).map(|_| with(Vec::new())),
        "huge_input" => asked("echo", &[text(&"x".repeat(TOO_MUCH))]).map(|_| with(Vec::new())),
        "huge_list" => asked("echo", &[Value::Integers(vec![0; 1 << 20])]).map(|_| with(Vec::new())),
        "huge_echo" => asked("echo", &[text(&"x".repeat(2 << 20))]).map(|rows| with(vec![held(rows)])),
        "large_table" => Ok(with(vec![large()])),
        "many_tables" => Ok(with(vec![(); 5000].into_iter().map(|()| built(&[], Vec::new())).collect())),
        "long_columns" => {
            let columns: Vec<_> = (0..2000).map(|n| (format!("{n}{}", "c".repeat(1000)), ColumnKind::Text)).collect();
            let columns: Vec<_> = columns.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
            Ok(with(vec![built(&columns, Vec::new())]))
        }
        "often" => {
            let rows: Result<Vec<_>, _> = (0..5).map(|_| asked("many", &[])).collect();
            Ok(with(rows?.into_iter().map(held).collect()))
        }
        "notices" => Ok(Outcome { notices: vec!["n".repeat(5000); 500], ..with(Vec::new()) }),
        "undeclared" => asked("nothing_like_it", &[]).map(|_| with(Vec::new())),
        "undeclared_and_swallow" => {
            drop(query::execute("nothing_like_it", &[]));
            Ok(with(Vec::new()))
        }
        "foreign" => asked("other", &[]).map(|_| with(Vec::new())),
        "foreign_act" => asked("cancel", &[Value::Integer(1)]).map(|_| with(Vec::new())),
        "sql" => asked("SELECT 1; DROP TABLE users", &[]).map(|_| with(Vec::new())),
        "empty_id" => asked("", &[]).map(|_| with(Vec::new())),
        "nul_id" => asked("answer\0", &[]).map(|_| with(Vec::new())),
        "wrong_type" => asked("echo", &[Value::Integer(1)]).map(|_| with(Vec::new())),
        "wrong_count" => asked("echo", &[]).map(|_| with(Vec::new())),
        "too_many_inputs" => asked("answer", &vec![Value::Integer(1); 10_000]).map(|_| with(Vec::new())),
        "nul_input" => asked("echo", &[text("a\0b")]).map(|_| with(Vec::new())),
        "wrong_and_swallow" => {
            drop(query::execute("echo", &[Value::Boolean(true)]));
            Ok(with(Vec::new()))
        }
        "injection" => asked("echo", &[text("'; DROP TABLE users; --")]).map(|rows| with(vec![held(rows)])),
        "flood" => {
            for _ in 0..1000 {
                drop(query::execute("answer", &[]));
            }
            Ok(with(Vec::new()))
        }
        "twice" => {
            let rows = asked("answer", &[])?;
            let again = forged(rows.handle());
            Ok(with(vec![held(rows), held(again)]))
        }
        "forged" => Ok(with(vec![held(forged(1))])),
        "forged_read" => Ok(Outcome { summary: format!("{}", forged(77).count()), ..with(Vec::new()) }),
        "gone" => {
            let rows = asked("answer", &[])?;
            let again = forged(rows.handle());
            drop(rows);
            Ok(with(vec![held(again)]))
        }
        "outside" => {
            let rows = asked("answer", &[])?;
            let cells = (rows.cell(u32::MAX, u32::MAX), rows.column(u32::MAX), rows.cell(0, 0));
            match cells {
                (Value::Null, column, Value::Integer(42)) if column.is_empty() => Ok(with(vec![held(rows)])),
                _ => Err(Failure::Internal("cells outside the result".to_owned())),
            }
        }
        "widths" => Ok(with(vec![built(&[("a", ColumnKind::Integer)], vec![vec![]])])),
        "wide" => Ok(with(vec![built(&[], vec![vec![Value::Integer(1)]])])),
        "kinds" => Ok(with(vec![built(&[("a", ColumnKind::Integer)], vec![vec![text("SELECT 1")]])])),
        "lists" => Ok(with(vec![built(&[("a", ColumnKind::Text)], vec![vec![Value::Texts(vec![NASTY.to_owned()])]])])),
        "nasty" => Ok(nasty()),
        "suggest_nothing" => Ok(suggest("adversary.nothing", "{}")),
        "suggest_shell" => Ok(suggest("'; DROP TABLE users; --", "{}")),
        "suggest_list" => Ok(suggest("adversary.misbehave", "[]")),
        "suggest_unknown" => Ok(suggest("adversary.misbehave", r#"{"how": "answer", "sudo": true}"#)),
        "suggest_wrong" => Ok(suggest("adversary.misbehave", r#"{"how": 7}"#)),
        "suggest_deep" => Ok(suggest("adversary.misbehave", &"[".repeat(100_000))),
        "suggest_huge" => Ok(suggest("adversary.misbehave", &format!(r#"{{"how": "{}"}}"#, "x".repeat(1 << 20)))),
        "suggest_other" => Ok(suggest("adversary.misbehave", r#"{"how": "answer"}"#)),
        "fail_nasty" => Err(Failure::NoEffect(NASTY.to_owned())),
        "fail_long" => Err(Failure::NotFound("x".repeat(1 << 20))),
        "fail_query" => Err(Failure::Query(QueryError::Database(DatabaseError {
            sqlstate: "00000".to_owned(),
            message: NASTY.to_owned(),
        }))),
        "fail_query_long" => Err(Failure::Query(QueryError::Connection("x".repeat(1 << 20)))),
        "no_text" => Ok(Outcome { summary: no_text(), ..with(Vec::new()) }),
        "no_text_id" => asked(&no_text(), &[]).map(|_| with(Vec::new())),
        _ => asked("answer", &[]).map(|rows| with(vec![held(rows)])),
    }
}

fn held_run(how: &str, pins: &[Pin]) -> Result<Outcome, Failure> {
    match how {
        // The backend 0 is never there, so the act is taken back; nothing is said of it.
        "a_swallow" => {
            drop(query::execute("cancel", &[Value::Integer(0)]));
            Ok(with(Vec::new()))
        }
        "a_trap" => {
            drop(query::execute("nudge", &[]));
            common("trap");
            Ok(with(Vec::new()))
        }
        "a_loop" => {
            drop(query::execute("nudge", &[]));
            spin()
        }
        "a_fail" => {
            drop(query::execute("nudge", &[]));
            Err(Failure::NothingToDo("nothing was done".to_owned()))
        }
        "a_flood" => {
            for _ in 0..1000 {
                drop(query::execute("nudge", &[]));
            }
            Ok(with(Vec::new()))
        }
        // Whatever was pinned is what is asked with.
        _ => {
            let pin = pins.iter().find(|pin| pin.name == "pid");
            let pid = pin.map_or(Value::Null, |pin| pin.value.clone());
            asked("cancel", &[pid]).map(|rows| with(vec![held(rows)]))
        }
    }
}

fn maintain(how: &str) -> Result<Outcome, Failure> {
    let name = match how {
        "quotes" => "pg_class\"; DROP TABLE users; --".to_owned(),
        "long" => "x".repeat(64),
        "empty" => String::new(),
        _ => "pg_class\0".to_owned(),
    };
    asked("analyze", &[Value::Text("pg_catalog".to_owned()), Value::Text(name)]).map(|_| with(Vec::new()))
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = core::hint::black_box(turns.wrapping_add(1));
    }
}

/// Neither a loop nor a tail call, whatever an optimiser thinks of it.
#[allow(unconditional_recursion, reason = "that is the misdeed")]
fn deep(stop: u32, at: u32) -> u32 {
    if at == stop { 1 } else { deep(stop, at.wrapping_add(1)).wrapping_mul(at | 1).rotate_left(at % 31) ^ at }
}

fn how(arguments: &[Value]) -> String {
    match arguments {
        [Value::Text(how)] => how.clone(),
        _ => String::new(),
    }
}

fn asked(statement: &str, inputs: &[Value]) -> Result<Rows, Failure> {
    query::execute(statement, inputs).map_err(Failure::Query)
}

fn held(rows: Rows) -> Table {
    Table { title: "Rows".to_owned(), data: TableData::Held(rows) }
}

fn built(columns: &[(&str, ColumnKind)], rows: Vec<Vec<Value>>) -> Table {
    let columns = columns.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind }).collect();
    Table { title: "Built".to_owned(), data: TableData::Built(BuiltTable { columns, rows }) }
}

/// More than one call lets out, and less than crosses the boundary.
fn large() -> Table {
    built(&[("a", ColumnKind::Text)], vec![vec![Value::Text("x".repeat(1000))]; 2000])
}

fn secrets(text: &str) -> Table {
    let cell = |text: &str| Value::Text(text.to_owned());
    let columns = [(text, ColumnKind::Text), ("query", ColumnKind::Query)];
    let mut table = built(&columns, vec![vec![cell(text), cell("SELECT * FROM card WHERE number = '4111-Hunter2x'")]]);
    text.clone_into(&mut table.title);
    table
}

fn nasty() -> Outcome {
    Outcome {
        summary: NASTY.to_owned(),
        tables: vec![secrets(NASTY)],
        notices: vec![NASTY.to_owned()],
        findings: vec![Finding { severity: Severity::Critical, text: NASTY.to_owned() }],
        suggestion: Some(Suggestion {
            action: "adversary.answer".to_owned(),
            arguments: "{}".to_owned(),
            why: NASTY.to_owned(),
        }),
    }
}

fn suggest(action: &str, arguments: &str) -> Outcome {
    let suggestion =
        Suggestion { action: action.to_owned(), arguments: arguments.to_owned(), why: "because".to_owned() };
    Outcome { suggestion: Some(suggestion), ..with(Vec::new()) }
}

fn with(tables: Vec<Table>) -> Outcome {
    Outcome { summary: mode::or("says", "Done"), tables, notices: Vec::new(), findings: Vec::new(), suggestion: None }
}

/// A handle that nobody gave us.
#[allow(unsafe_code, reason = "to forge a handle is what this guest is for")]
fn forged(handle: u32) -> Rows {
    // SAFETY: it isn't sound; the host has to stand it.
    unsafe { Rows::from_handle(handle) }
}

/// A text that is none.
#[allow(unsafe_code, reason = "to break the contract's strings is what this guest is for")]
fn no_text() -> String {
    // SAFETY: it isn't sound; the host has to stand it.
    unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xfe, b'b']) }
}
