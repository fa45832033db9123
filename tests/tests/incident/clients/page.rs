//! `docs/mcp-conformance.md`, made from the suite's own list and the exceptions, so that it can't say what is not so.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use lockgate_tests::site::root;

use super::exceptions::{CHECKS, SCENARIOS};

const PAGE: &str = "docs/mcp-conformance.md";
const INTRODUCTION: &str = "# The MCP conformance suite

The official suite (npm `@modelcontextprotocol/conformance`, its version in `tests/clients/js/package.json`) is run by
`make test` against `lockgate serve` with both stock packs and a real PostgreSQL behind it, once for each revision and once
for the extensions. This page is made by that test (`LOCKGATE_WRITE_DOCS=1` writes it), from the suite's own list: a scenario
that is on neither list here, one that fails, and one below that would pass all fail the test.

The suite can't present a token, and asks for tools, prompts and resources by names of its own. A small bridge in the test
(`tests/tests/incident/clients/bridge.rs`) adds the token and puts those requests into lockgate's words: `test_simple_text`
becomes a read, `slow_compute` a call that a person has to approve. It leaves answers alone, so all that is judged is
lockgate's.
";

/// Compares the page with what it should be, or writes it.
pub fn is_current(listed: &BTreeMap<String, Vec<String>>) {
    let page = written(listed);
    let path = root().join(PAGE);
    if std::env::var_os("LOCKGATE_WRITE_DOCS").is_some() {
        fs::write(path, page).expect("the page is written");
        return;
    }
    let there = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(there, page, "{PAGE} is not current: run this test with LOCKGATE_WRITE_DOCS=1");
}

fn written(listed: &BTreeMap<String, Vec<String>>) -> String {
    let mut text = INTRODUCTION.to_owned();
    let excepted = |scenario: &str| SCENARIOS.iter().any(|(name, _)| *name == scenario);
    text.push_str("\n## Scenarios that pass\n\n| scenario | revisions |\n|---|---|\n");
    for (scenario, revisions) in listed.iter().filter(|(scenario, _)| !excepted(scenario)) {
        let _ = writeln!(text, "| `{scenario}` | {} |", revisions.join(", "));
    }
    text.push_str("\n## Scenarios that don't apply\n\n| scenario | why |\n|---|---|\n");
    for (scenario, why) in SCENARIOS {
        let _ = writeln!(text, "| `{scenario}` | {why} |");
    }
    text.push_str(
        "\n## Checks that don't apply, in scenarios that otherwise pass\n\n| scenario | check | why |\n|---|---|---|\n",
    );
    for (scenario, check, why) in CHECKS {
        let _ = writeln!(text, "| `{scenario}` | `{check}` | {why} |");
    }
    text
}
