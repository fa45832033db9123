//! What an author runs between an idea and a pack that somebody signs: each command of docs/packs/authoring.md, as a
//! process of its own, on a pack that `lockgate pack new` made and on a stock pack.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use lockgate_tests::{servers, site};
use serde_json::Value as Json;

/// A directory that an author works in.
struct Desk(tempfile::TempDir);

/// How a command ended.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate_cli"));
        command.args(args).current_dir(self.0.path()).env("XDG_CACHE_HOME", self.path("cache"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("PG") && !name.starts_with("PG_BIN") || name == "LOCKGATE_CONFIG" {
                command.env_remove(&*name);
            }
        }
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }

    /// The same, of a command that must end with this code.
    fn ends(&self, code: i32, args: &[&str]) -> Ended {
        let ended = self.run(args);
        assert_eq!(ended.code, code, "{args:?}\n{}\n{}", ended.out, ended.err);
        ended
    }

    fn json(&self, code: i32, args: &[&str]) -> Json {
        serde_json::from_str(&self.ends(code, args).out).unwrap()
    }

    /// Changes a file, and must find what it changes.
    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no {from:?}");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    /// Lends a new pack what every build on this machine has already: versions that were looked up, and a standard library.
    fn lend(&self, pack: &str) {
        fs::copy(site::root().join("Cargo.lock"), self.path(pack).join("Cargo.lock")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_TARGET_TMPDIR"), self.path(pack).join("target")).unwrap();
    }
}

/// The commands of the page, in order.
fn commands() -> Vec<Vec<String>> {
    let page = fs::read_to_string(site::root().join("docs/packs/authoring.md")).unwrap();
    let command = |line: &str| {
        let line = line.strip_prefix("$ lockgate ")?.split('#').next()?;
        Some(line.split_whitespace().map(str::to_owned).collect())
    };
    page.lines().filter_map(command).collect()
}

#[test]
fn the_loop_of_the_page() {
    let desk = Desk::new();
    let mut seen = Vec::new();
    for command in commands() {
        let args: Vec<&str> = command.iter().map(String::as_str).collect();
        let code = if args[1] == "diff" {
            widen(&desk);
            3
        } else {
            0
        };
        let ended = desk.ends(code, &args);
        match args[1] {
            "new" => desk.lend("sizes"),
            "lint" => assert!(ended.out.ends_with("sizes 0.1.0: no errors, 1 warning\n"), "{}", ended.out),
            "test" => assert!(ended.out.ends_with("3 passed, 0 failed\n"), "{}", ended.out),
            "build" => assert!(desk.path("dist/sizes-0.1.0.declaration.json").is_file()),
            "inspect" => {
                for shown in ["risk low", "argument limit", "ORDER BY bytes DESC", "class read", "manifest sha256"] {
                    assert!(ended.out.contains(shown), "{shown}: {}", ended.out);
                }
            }
            "docs" => assert!(fs::read_to_string(desk.path("sizes.md")).unwrap().contains("largest_tables")),
            "bench" => assert!(ended.out.contains("largest_tables call"), "{}", ended.out),
            "diff" => {
                let expected = "sizes 0.1.0 → sizes 0.2.0\n! action `largest_tables`, argument `limit`: type integer 1 to 100 → \
                                integer 1 to 500\n    grew: its callers may choose more\nauthority grew in 1 place, marked with !\n";
                assert_eq!(ended.out, expected);
            }
            other => panic!("the page has a command that nobody looks at: {other}"),
        }
        seen.push(command[1].clone());
    }
    assert_eq!(seen, ["new", "lint", "test", "build", "inspect", "docs", "bench", "diff"]);
    as_json(&desk);
    mistakes(&desk);
}

/// The next version: its callers may ask for more.
fn widen(desk: &Desk) {
    desk.edit("sizes/src/lib.rs", "(\"limit\", 1, 100)", "(\"limit\", 1, 500)");
    desk.edit("sizes/Cargo.toml", "version = \"0.1.0\"", "version = \"0.2.0\"");
    desk.ends(0, &["pack", "build", "sizes", "--out", "next"]);
}

fn as_json(desk: &Desk) {
    let (old, new) = ("dist/sizes-0.1.0.wasm", "next/sizes-0.2.0.wasm");
    let diff = desk.json(3, &["pack", "diff", old, new, "--json"]);
    assert_eq!(diff["grew"], true);
    assert_eq!(diff["changes"][0]["aspect"], "type");
    // Taken back, it is a change and no growth.
    assert_eq!(desk.json(0, &["pack", "diff", new, old, "--json"])["grew"], false);
    let bench =
        desk.json(0, &["pack", "bench", old, "--calls", "5", "--fixtures", "sizes/tests/fixtures.sql", "--json"]);
    assert_eq!(bench["calls"], 5);
    assert!(bench["actions"][0]["call"]["p95_us"].as_u64().unwrap() > 0, "{bench}");
    let inspected = desk.json(0, &["pack", "inspect", old, "--json"]);
    assert_eq!(inspected["actions"][0]["name"], "largest_tables");
    let lint = desk.json(1, &["pack", "lint", old, "--strict", "--json"]);
    assert_eq!((&lint["errors"], &lint["findings"][0]["rule"]), (&0.into(), &"homepage".into()));
}

fn mistakes(desk: &Desk) {
    let again = desk.ends(1, &["pack", "new", "sizes"]);
    assert!(again.err.contains("sizes") && again.err.contains("choose another name"), "{}", again.err);
    let name = desk.ends(2, &["pack", "new", "Sizes"]);
    assert!(name.err.contains("`Sizes` is not a pack name"), "{}", name.err);

    // What the prover finds is shown where it stands.
    desk.edit("sizes/src/lib.rs", "pg_catalog.pg_total_relation_size", "pg_total_relation_size");
    let lint = desk.ends(1, &["pack", "lint", "sizes"]);
    assert!(
        lint.out.starts_with("error[qualified]: function `pg_total_relation_size` has no schema\n"),
        "{}",
        lint.out
    );
    let caret = lint.out.lines().nth(4).and_then(|line| line.find('^')).unwrap();
    assert!(lint.out.lines().nth(3).unwrap()[caret..].starts_with("pg_total_relation_size("), "{}", lint.out);
    desk.edit("sizes/src/lib.rs", "pg_total_relation_size", "pg_catalog.pg_total_relation_size");

    // The limit is 500 now, so the case that calls with 101 comes out otherwise.
    let component = "next/sizes-0.2.0.wasm";
    let cases = "sizes/tests/cases.toml";
    let test = desk.ends(1, &["pack", "test", component, "--cases", cases]);
    assert!(test.out.contains("expected code `invalid_arguments`, and it was carried out"), "{}", test.out);
    assert!(test.out.ends_with("2 passed, 1 failed\n"), "{}", test.out);
    let only = desk.json(0, &["pack", "test", component, "--cases", cases, "--only", "comes first", "--json"]);
    assert_eq!((&only["passed"], &only["cases"][0]["came_to"]), (&1.into(), &"done".into()));

    desk.edit(cases, "arguments = { limit = 1 }", "argument = { limit = 1 }");
    let typo = desk.ends(2, &["pack", "test", component, "--cases", cases]);
    assert!(typo.err.contains("cases.toml:8:1: unknown field `argument`"), "{}", typo.err);
    assert!(typo.err.contains("did you mean `arguments`"), "{}", typo.err);
    desk.edit(cases, "argument = ", "arguments = ");
    desk.edit(cases, "action = \"largest_tables\"", "action = \"larges_tables\"");
    let unknown = desk.ends(2, &["pack", "test", component, "--cases", cases]);
    assert!(unknown.err.contains("did you mean `largest_tables`"), "{}", unknown.err);
}

/// Sessions, what only they know, a person's approval, and what changes before it.
const ACTS: &str = r#"
version = 1

[[case]]
name = "ends who sits idle"
action = "terminate_backend"
sessions = ["BEGIN; SELECT 1"]
arguments_from = "SELECT pid FROM pg_catalog.pg_stat_activity WHERE usename = 'app'"
afterwards = "SELECT pg_catalog.count(*) = 0 FROM pg_catalog.pg_stat_activity WHERE usename = 'app'"
expect = { held = true, summary = "is gone" }

[[case]]
name = "not who is gone"
action = "terminate_backend"
sessions = ["BEGIN; SELECT 1"]
arguments_from = "SELECT pid FROM pg_catalog.pg_stat_activity WHERE usename = 'app'"
meanwhile = "SELECT pg_catalog.pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity WHERE usename = 'app'"
expect = { held = true, code = "target_changed" }

[[case]]
name = "who waits for whom"
action = "lock_blocking_chains"
arrange = "CREATE TABLE t (id int); INSERT INTO t VALUES (1)"
sessions = ["BEGIN; UPDATE t SET id = 2", "UPDATE t SET id = 3"]

[[case.expect.table]]
count = 1

[[case]]
name = "there is no such meanwhile"
action = "uptime"
meanwhile = "SELECT 1"
"#;

#[tokio::test]
async fn acts_are_played_with_sessions_and_approvals() {
    let desk = Desk::new();
    let component = desk.path("postgres.wasm");
    fs::write(&component, &site::stock_pack().await.bytes).unwrap();
    fs::write(desk.path("cases.toml"), ACTS).unwrap();
    let place: &Path = &servers::fetched();
    let newest = servers::majors().last().unwrap().to_string();
    let args =
        ["pack", "test", "postgres.wasm", "--cases", "cases.toml", "--json", "--server", &newest, "--servers-in"];
    let args: Vec<&str> = args.into_iter().chain(place.to_str()).collect();
    let tested = desk.json(1, &args);
    let came: Vec<_> =
        tested["cases"].as_array().unwrap().iter().map(|case| (&case["came_to"], &case["held"])).collect();
    let (done, changed, unplayed): (Json, Json, Json) = ("done".into(), "target_changed".into(), "not_played".into());
    let (yes, no): (Json, Json) = (true.into(), false.into());
    assert_eq!(came, [(&done, &yes), (&changed, &yes), (&done, &no), (&unplayed, &no)], "{tested:#}");
    assert_eq!((&tested["passed"], &tested["failed"]), (&3.into(), &1.into()), "{tested:#}");
    let why = tested["cases"][3]["problems"][0].as_str().unwrap();
    assert_eq!(why, "`meanwhile` is for a call that is held for a person, and it was carried out at once");
    assert_eq!(tested["cases"][3]["place"], "cases.toml:29");
}
