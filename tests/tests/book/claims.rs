//! Who runs which page, and that nobody has been forgotten.

use std::{collections::BTreeSet, fs};

use lockgate_tests::site::root;

use crate::pages::{Shown, blocks, commands, pages};

/// Where the commands of a page, or of one section of it, are run: by a file of this binary, or by another test, with how many it runs,
/// so that whoever adds one looks whether that test runs it.
enum By {
    Here(&'static str),
    Elsewhere(&'static str, usize),
}

use By::{Elsewhere, Here};

/// A section is named after its page; what names the page alone is of the rest of it.
const CLAIMS: &[(&str, &str, By)] = &[
    ("docs/approvals.md", "", Here("approvals.rs")),
    ("docs/mcp.md", "", Here("mcp.rs")),
    ("docs/notifications.md", "", Here("notifications.rs")),
    ("docs/operating.md", "", Here("operating.rs")),
    ("docs/packs/authoring-javascript.md", "", Elsewhere("tests/tests/examples/first_pack.rs", 12)),
    ("docs/packs/authoring-python.md", "", Elsewhere("tests/tests/examples/first_pack.rs", 13)),
    ("docs/packs/authoring-rust.md", "", Elsewhere("tests/tests/examples/first_pack.rs", 11)),
    ("docs/packs/authoring.md", "", Elsewhere("tests/tests/pack_author.rs", 8)),
    ("docs/packs/installing.md", "", Here("installing.rs")),
    ("docs/policy.md", "", Here("operating.rs")),
    ("docs/portal.md", "", Here("portal.rs")),
    ("docs/quickstart.md", "", Here("quickstart.rs")),
    ("docs/record.md", "", Here("record.rs")),
    ("docs/signing-in-ci.md", "", Elsewhere("signing/tests/signing/pipeline.rs", 1)),
    ("docs/signing.md", "", Here("signing.rs")),
    ("docs/signing.md", "Rotating a key", Elsewhere("signing/tests/signing/rotation.rs", 3)),
    ("docs/standing-approvals.md", "", Here("standing.rs")),
];

/// Commands that no test runs, by what they begin with, and why.
const NOT_RUN: &[(&str, &str, &str)] = &[
    ("README.md", "make demo", "builds the program first; tests/tests/incident/demo.rs plays it"),
    ("README.md", "make test", "runs the tests, of which this is one"),
    (
        "docs/packs/authoring-rust.md",
        "rustup target add",
        "changes the machine's compiler, and a machine may have another",
    ),
    ("docs/observability.md", "cargo test --workspace --test incident", "is a test; it measures for minutes"),
    ("docs/performance.md", "make bench", "measures for minutes, in a release build"),
    ("docs/performance.md", "cargo run --release -p lockgate-benches", "measures for minutes, in a release build"),
];

/// Who runs the commands of a section: its own claim, or that of its page.
fn claim(page: &str, section: &str) -> Option<usize> {
    let of = |section: &str| CLAIMS.iter().position(|claim| claim.0 == page && claim.1 == section);
    of(section).or_else(|| of(""))
}

fn exception(page: &str, text: &str) -> Option<usize> {
    NOT_RUN.iter().position(|(name, begins, _)| *name == page && text.starts_with(begins))
}

/// Whether a command of a page is run by this binary.
pub fn is_run_here(page: &str, shown: &Shown) -> bool {
    exception(page, &shown.text).is_none()
        && claim(page, &shown.section).is_some_and(|at| matches!(CLAIMS[at].2, Here(_)))
}

/// What looks like a command in a block that is only indented.
fn indented(page: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    let mut after_nothing = false;
    page.lines().filter(move |line| {
        inside ^= line.trim_start().starts_with("```");
        let begins = after_nothing && !inside;
        after_nothing = line.is_empty();
        let first = line.strip_prefix("    ").and_then(|line| line.split_once(' ')).map(|(word, _)| word);
        begins && first.is_some_and(|word| word == "$" || word.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
    })
}

#[test]
fn every_command_of_every_page_is_run_by_a_test() {
    let (mut count, mut run, mut needed, mut wrong) = (0, vec![0; CLAIMS.len()], BTreeSet::new(), Vec::new());
    for (name, page) in pages() {
        for shown in commands(&page) {
            count += 1;
            if let Some(exception) = exception(&name, &shown.text) {
                needed.insert(exception);
                continue;
            }
            match claim(&name, &shown.section) {
                Some(claim) => run[claim] += 1,
                None => wrong.push(format!("{name}: nobody runs `{}`", shown.text)),
            }
        }
        // Commands that are written in another way would not be found.
        for block in blocks(&page).iter().filter(|block| !matches!(block.language.as_str(), "console" | "sh")) {
            let is_command = |line: &&String| ["lockgate ", "lockgate-sign ", "$ "].iter().any(|p| line.starts_with(p));
            wrong.extend(block.lines.iter().find(is_command).map(|line| format!("{name}: a console? `{line}`")));
        }
        wrong.extend(indented(&page).map(|line| format!("{name}: a console? `{line}`")));
    }
    for ((page, section, by), run) in CLAIMS.iter().zip(run) {
        match by {
            Elsewhere(file, knows) if run != *knows => {
                wrong.push(format!("{page}: {section} has {run} commands, and {file} runs {knows}"));
            }
            _ if run == 0 => wrong.push(format!("{page}: {section} has no command")),
            _ => {}
        }
    }
    wrong.extend((0..NOT_RUN.len()).filter(|at| !needed.contains(at)).map(|at| format!("no {}", NOT_RUN[at].1)));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 80, "{count} commands were found");
}

#[test]
fn whoever_is_said_to_run_a_page_does_so() {
    for (page, _, by) in CLAIMS {
        let (file, name) = match by {
            // A walk that ends before its page does fails.
            Here(file) => (format!("tests/tests/book/{file}"), format!("Walk::of(\"{page}\"")),
            Elsewhere(file, _) => ((*file).to_owned(), page.rsplit('/').next().expect("a name").to_owned()),
        };
        let text = fs::read_to_string(root().join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(&name), "{file} does not run {page}");
    }
}

/// The subcommand that a command begins with: `lockgate trust add pin` of `lockgate trust add pin PACK VERSION COMPONENT`.
fn subcommand(command: &str) -> String {
    let is_word = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    };
    command
        .split_whitespace()
        .map(|word| word.split('\\').next().unwrap_or(word))
        .take_while(is_word)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn every_subcommand_that_is_spoken_of_is_run() {
    let pages = pages();
    let mut run: Vec<String> = pages.values().flat_map(|page| commands(page)).map(|shown| shown.text).collect();
    for entry in fs::read_dir(root().join("tests/tests/book")).expect("this binary's files") {
        let text = fs::read_to_string(entry.expect("a file").path()).expect("its text");
        run.extend(text.split('"').skip(1).map(str::to_owned));
    }
    let is_run = |wanted: &str| {
        let has = |line: &str| {
            line.strip_prefix(wanted)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '-'))
        };
        run.iter().any(|text| text.lines().any(|line| has(line.trim_start())))
    };
    let (mut seen, mut never) = (BTreeSet::new(), BTreeSet::new());
    for (name, page) in &pages {
        let spoken = page.split('`').skip(1).step_by(2);
        // The last is what a digest begins with.
        let ours = |code: &&str| {
            (code.starts_with("lockgate ") || code.starts_with("lockgate-sign ")) && !code.ends_with(" v3")
        };
        for wanted in spoken.filter(ours).map(subcommand) {
            if !is_run(&wanted) {
                never.insert(format!("{name}: `{wanted}`"));
            }
            seen.insert(wanted);
        }
    }
    assert!(never.is_empty(), "nobody runs {never:#?}");
    assert!(seen.len() > 40, "{seen:?}");
}
