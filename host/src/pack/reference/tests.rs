//! The page of a small pack, and of one that would like to be more than text on it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::json;

use super::*;
use crate::{
    pack::{
        manifest::{Example, Param, ParamKind},
        prove::prove_manifest,
    },
    statement::{Mode, Role, Variant, WhenEmpty},
    value::{Column, ColumnKind, Value},
};

fn statement(id: &str) -> Statement {
    let variant = |min_version, below_version, sql: &str| Variant {
        min_version,
        below_version,
        extension: None,
        role: Role::Any,
        sql: sql.to_owned(),
    };
    Statement {
        id: id.to_owned(),
        mode: Mode::Read,
        inputs: Vec::new(),
        columns: vec![Column { name: "answer".to_owned(), kind: ColumnKind::Integer }],
        variants: vec![variant(0, 17, "SELECT 41::int8 AS answer"), variant(17, 0, "SELECT 42::int8 AS answer")],
        max_rows: 1,
        timeout_ms: 5_000,
        when_empty: WhenEmpty::Fine,
    }
}

fn action(name: &str, words: &str) -> Action {
    Action {
        name: name.to_owned(),
        title: words.to_owned(),
        description: words.to_owned(),
        risk: Risk::Low,
        params: vec![Param {
            name: "limit".to_owned(),
            description: words.to_owned(),
            kind: ParamKind::Integer { min: 1, max: 200 },
            required: false,
            default: Value::Integer(20),
        }],
        run_statements: vec!["common".to_owned(), format!("{name}_read")],
        preview_statements: Vec::new(),
        side_effects: String::new(),
        privileges: vec!["pg_monitor".to_owned()],
        works_on_standby: true,
        idempotent: true,
        examples: vec![Example { situation: words.to_owned(), arguments: r#"{"limit": 5}"#.to_owned() }],
        search_terms: vec!["glance".to_owned()],
    }
}

fn manifest(words: &str) -> ProvenManifest {
    let manifest = Manifest {
        name: "sample".to_owned(),
        version: "1.2.3".to_owned(),
        summary: words.to_owned(),
        homepage: "https://example.com/".to_owned(),
        actions: vec![action("first_look", words), action("second_look", words)],
        statements: vec![statement("common"), statement("first_look_read"), statement("second_look_read")],
    };
    prove_manifest(manifest).unwrap()
}

fn examples(words: &str) -> Examples {
    let recorded = Recorded {
        target: "primary".to_owned(),
        arguments: json!({ "limit": 5, "word": words }).as_object().unwrap().clone(),
        held: Some(Held { evidence: words.to_owned(), pins: vec!["pid".to_owned()] }),
        answer: format!("{words}\n```\n# not a heading\n{}", "line\n".repeat(40)),
        tables: Vec::new(),
    };
    Examples {
        server: "PostgreSQL 15.18".to_owned(),
        actions: [("second_look".to_owned(), recorded)].into_iter().collect(),
    }
}

#[test]
fn the_page_says_all_that_is_declared() {
    let page = page(&manifest("Looks twice."), &Examples::default()).unwrap();
    let first = &page[page.find("## first").unwrap()..page.find("## second").unwrap()];
    assert_eq!(
        first,
        "## first\\_look\n\n**Looks twice.** Looks twice.\n\n| | |\n|---|---|\n| call | `sample.first_look` |\n\
         | risk | low; its statements are of class read |\n| needs | `pg_monitor` |\n\
         | servers | PostgreSQL 13 to 18, primary and standby |\n\
         | runs | [common](#statement-common) (read, one row, 5 s), `first_look_read` (read, one row, 5 s) |\n\n\
         | argument | type | | |\n|---|---|---|---|\n| `limit` | integer 1 to 200 | default 20 | Looks twice. |\n\n\
         For example:\n\n* Looks twice.: `{\"limit\": 5}`\n\nAlso found by: glance.\n\n### Statement first\\_look\\_read\n\n\
         `first_look_read()`: read, one row, 5 s.\n\nOn PostgreSQL before 17:\n\n```sql\nSELECT 41::int8 AS answer\n```\n\n\
         On PostgreSQL 17 and later:\n\n```sql\nSELECT 42::int8 AS answer\n```\n\n"
    );
    assert!(page.starts_with("# `sample 1.2.3`\n\nLooks twice.\n\n`https://example.com/`\n\nMade by"));
    let low = "**Low risk**\n\n| action | | servers |\n|---|---|---|\n\
               | [first\\_look](#first_look) | Looks twice. | PostgreSQL 13 to 18, primary and standby |\n";
    assert!(page.contains(low), "{page}");
    assert!(page.ends_with("\nOf [first\\_look](#first_look), [second\\_look](#second_look).\n"));
    assert_eq!(page.matches("### Statement common").count(), 1, "what is shared stands once");
}

#[test]
fn an_example_is_cut_and_said_to_be() {
    let page = page(&manifest("Looks."), &examples("Done.")).unwrap();
    assert!(page.contains("are from a run on PostgreSQL 15.18"));
    assert!(page.contains(
        "it was held, pinned by `pid`. The person who approved it saw: *Done.*. Then:\n\n````text\nDone.\n```\n"
    ));
    assert!(page.contains("\n… 19 more lines\n````\n"));
}

#[test]
fn examples_of_another_pack_are_refused() {
    let mut examples = examples("x");
    let recorded = examples.actions.remove("second_look").unwrap();
    examples.actions.insert("third_look".to_owned(), recorded);
    let error = page(&manifest("x"), &examples).unwrap_err();
    assert_eq!(error.to_string(), "there is an example of `third_look`, and the pack has no such action");
}

/// A line without its code spans: a run of backticks up to the next one of the same length (CommonMark 6.1).
fn without_code(line: &str) -> String {
    let line = line.replace("\\`", "");
    let run = |at: usize| line[at..].bytes().take_while(|b| *b == b'`').count();
    let mut out = String::new();
    let mut at = 0;
    while let Some(found) = line[at..].find('`') {
        let open = at + found;
        out.push_str(&line[at..open]);
        let ticks = run(open);
        let mut close = open + ticks;
        while close < line.len() && (!line[close..].starts_with('`') || run(close) != ticks) {
            close += run(close).max(line[close..].chars().next().map_or(1, char::len_utf8));
        }
        // A span that never ends is none, and what follows it counts.
        at = if close < line.len() { close + ticks } else { open + ticks };
    }
    out + &line[at..]
}

/// Whatever a pack writes where it may write, the page has the same lines: those of the host's own making.
#[test]
fn a_hostile_pack_adds_nothing_to_the_page() {
    let skeleton = |page: &str| -> Vec<String> {
        let mut fence: Option<String> = None;
        let mut lines = Vec::new();
        for line in page.lines() {
            let ticks: String = line.chars().take_while(|c| *c == '`').collect();
            match &fence {
                Some(open) if ticks.len() >= open.len() && line == ticks => fence = None,
                Some(_) => continue,
                None if ticks.len() >= 3 && !line[ticks.len()..].contains('`') => fence = Some(ticks),
                None => {}
            }
            // What opens a block, how many cells a row has, and how many links and tags there are.
            let opens: String =
                line.chars().take_while(|c| matches!(c, '#' | '>' | '-' | '=' | '|' | '*' | ' ')).collect();
            let bare = without_code(line).replace("\\|", "").replace("\\[", "").replace("\\]", "").replace("\\<", "");
            let count = |c: char| bare.matches(c).count();
            lines.push(format!("{opens} {} {} {} {}", count('|'), count('['), count(']'), count('<')));
        }
        lines
    };
    let plain = page(&manifest("Looks."), &examples("Done.")).unwrap();
    for words in [
        "x | y | z",
        "a\n\n# Approved by the security team\n\n| fake | table |",
        "```\n\n# out of the fence\n\n<script>alert(1)</script>",
        "[click](https://evil.example) ![](https://evil.example/pixel.png) <https://evil.example>",
        "`` ` ``` ````` code",
        "<details><summary>more</summary>",
        "\\| \\` \\[a](b) \\\\",
        "- [ ] todo",
        "*bold* __bold__ ~~gone~~ $x$ [^1]",
    ] {
        let page = page(&manifest(words), &examples(words)).unwrap();
        assert_eq!(skeleton(&page), skeleton(&plain), "{words}\n{page}");
    }
}
