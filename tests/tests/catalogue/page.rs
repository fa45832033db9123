//! The page of the docs that holds the matrix: written from what was seen, or compared with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::PathBuf,
};

use lockgate_tests::{servers::SUPPORTED, site::root};

/// By action and major version.
pub type Cells = BTreeMap<String, BTreeMap<u32, String>>;

/// Set to `1` to write the page.
const WRITE: &str = "LOCKGATE_WRITE_DOCS";
const HOW: &str = "run `LOCKGATE_WRITE_DOCS=1 make test-matrix` and read the difference";

const OPENING: &str = "# Actions by PostgreSQL version

What each action of the stock packs comes to on each version, as `make test-matrix` saw it: called on a primary and on a
streaming standby of every major version, by a role that has the privileges which the action names. Reads are called without
arguments and with those of their examples; acts are approved and carried out on a session or a table made for them.
`kill_idle` takes no transaction that is younger than a minute, and what it answers here is `nothing_to_do`.

`ok` means both servers. Where they differ, the primary's answer comes first: `ok / not_on_standby`. Everything else is a
[code](../errors.md).

";

const CLOSING: &str = "
A version newer than these gets the wordings of the newest, and what it answers is marked as untested. `make test` sees to the
oldest, the newest and the system's own version, and fails if this page does not agree.

No read takes a lock stronger than ACCESS SHARE, on any of these versions, with one exception: PostgreSQL's own function for where a
sequence stands takes the lock that `nextval` takes (ROW EXCLUSIVE, on the sequence). So `postgres.sequence_exhaustion` waits for
an ALTER SEQUENCE that is under way, and holds one up for a moment.
";

/// What a row says of a version.
pub fn cell(primary: &str, standby: &str) -> String {
    let code = |verdict: &str| if verdict == "ok" { verdict.to_owned() } else { format!("`{verdict}`") };
    if primary == standby { code(primary) } else { format!("{} / {}", code(primary), code(standby)) }
}

/// Compares what was seen with the page, or writes it. What was seen is left in `target/test-matrix.md`, too.
pub fn compare(seen: &Cells) {
    fs::write(root().join("target/test-matrix.md"), table(seen)).expect("the matrix is written");
    let majors: BTreeSet<u32> = seen.values().flat_map(|row| row.keys().copied()).collect();
    if std::env::var(WRITE).as_deref() == Ok("1") {
        assert!(majors.iter().copied().eq(SUPPORTED), "the page needs every version: {HOW}");
        fs::create_dir_all(path().parent().expect("a directory")).expect("its directory");
        fs::write(path(), format!("{OPENING}{}{CLOSING}", table(seen))).expect("the page is written");
        return;
    }
    let text = fs::read_to_string(path()).unwrap_or_else(|e| panic!("{} can't be read ({e}): {HOW}", path().display()));
    let page = parse(&text);
    let difference = differences(seen, &page);
    assert!(difference.is_empty(), "docs/packs/versions.md does not agree: {HOW}\n{}", difference.join("\n"));
    assert_eq!(text, format!("{OPENING}{}{CLOSING}", table(&page)), "docs/packs/versions.md was edited by hand: {HOW}");
}

fn differences(seen: &Cells, page: &Cells) -> Vec<String> {
    let mut found = Vec::new();
    for action in seen.keys().chain(page.keys()).collect::<BTreeSet<_>>() {
        let (Some(row), Some(written)) = (seen.get(action), page.get(action)) else {
            let where_ = if seen.contains_key(action) { "is not on the page" } else { "is on the page only" };
            found.push(format!("{action} {where_}"));
            continue;
        };
        for (major, cell) in row.iter().filter(|(major, _)| SUPPORTED.contains(major)) {
            let written = written.get(major).map_or("nothing", String::as_str);
            if written != cell {
                found.push(format!("{action} on {major}: {cell} was seen, {written} is written"));
            }
        }
    }
    found
}

fn path() -> PathBuf {
    root().join("docs/packs/versions.md")
}

fn table(cells: &Cells) -> String {
    let majors: BTreeSet<u32> = cells.values().flat_map(|row| row.keys().copied()).collect();
    let mut text = String::from("| action |");
    majors.iter().for_each(|major| write!(text, " {major} |").expect("a string grows"));
    text.push_str("\n|---|");
    majors.iter().for_each(|_| text.push_str("---|"));
    text.push('\n');
    for (action, row) in cells {
        write!(text, "| `{action}` |").expect("a string grows");
        for major in &majors {
            write!(text, " {} |", row.get(major).map_or("", String::as_str)).expect("a string grows");
        }
        text.push('\n');
    }
    text
}

fn parse(page: &str) -> Cells {
    let split = |line: &str| -> Vec<String> {
        line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut rows = page.lines().filter(|line| line.starts_with('|')).map(split);
    let head = rows.next().expect("the table's head");
    let majors: Vec<u32> = head[1..].iter().map(|major| major.parse().expect("a version")).collect();
    let row = |cells: Vec<String>| {
        let of_majors = majors.iter().copied().zip(cells[1..].iter().cloned()).collect();
        (cells[0].trim_matches('`').to_owned(), of_majors)
    };
    rows.skip(1).map(row).collect()
}

#[test]
fn a_page_is_read_as_it_is_written_and_each_difference_is_told() {
    let row = |cells: &[(u32, &str)]| cells.iter().map(|(major, cell)| (*major, (*cell).to_owned())).collect();
    let seen: Cells = [
        ("p.a".to_owned(), row(&[(13, "`unsupported_server_version`"), (18, "ok")])),
        ("p.b".to_owned(), row(&[(13, "ok / `not_on_standby`"), (18, "ok")])),
    ]
    .into();
    let mut page = parse(&format!("{OPENING}{}{CLOSING}", table(&seen)));
    assert_eq!(page, seen);
    assert!(differences(&seen, &page).is_empty());

    page.get_mut("p.a").unwrap().insert(13, "ok".to_owned());
    let only = page.remove("p.b").unwrap();
    page.insert("p.c".to_owned(), only);
    let told = differences(&seen, &page);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("p.a on 13") && told[1].contains("not on the page") && told[2].contains("page only"));
}
