//! Every text that a manifest has, with SQL where a name stands, and with characters that disguise what a text says.

use lockgate::error::Code::{ManifestInvalid, StatementRefused};
use lockgate_tests::site::{self, BuiltPack};

use crate::world::{Case, World, component, refuses};

/// Names that are SQL.
const SQL: &str = "x'; DROP TABLE users; --";

#[tokio::test]
async fn sql_is_no_name() {
    let mut cases = Vec::new();
    for (pack, field, code, more) in [
        ("sql-as-pack", "name", ManifestInvalid, &[][..]),
        ("sql-as-action", "action.name", ManifestInvalid, &[]),
        ("sql-as-parameter", "param.name", ManifestInvalid, &[("param.kind", "choice")]),
        ("sql-as-statement", "statement.id", StatementRefused, &[]),
        ("sql-as-request", "action.statement", ManifestInvalid, &[]),
        ("sql-as-column", "column.name", StatementRefused, &[]),
        ("sql-as-input", "input.name", StatementRefused, &[]),
        ("sql-as-extension", "extension.name", StatementRefused, &[]),
        ("sql-as-extension-version", "extension.min", StatementRefused, &[("extension.name", "pg_stat_statements")]),
        ("sql-as-example", "example.arguments", ManifestInvalid, &[("example.situation", "a table is in the way")]),
        ("sql-as-homepage", "homepage", ManifestInvalid, &[]),
    ] {
        cases.push(Case::guest(pack, &[&[(field, SQL)], more].concat(), code, "").await);
    }
    for (pack, pattern, says) in [
        ("free-text", ".*", "free text"),
        ("free-text-by-class", "[^\u{b0}]+", "free text"),
        // Between the host's anchors it would be two patterns, each with one anchor.
        ("out-of-its-anchors", "a)|b(?:", "does not compile"),
        ("an-exploding-pattern", "((((a{99}){99}){99}){99})", "does not compile"),
        ("a-huge-pattern", &"a".repeat(600), "longer than 500"),
    ] {
        let settings = [("param.kind", "text"), ("param.value", pattern)];
        cases.push(Case::guest(pack, &settings, ManifestInvalid, says).await);
    }
    refuses("sql_is_no_name", cases).await;
}

#[tokio::test]
async fn no_pack_has_an_operator_told_to_open_the_server() {
    // What is declared here is what `lockgate doctor` prints to be pasted by a superuser.
    let mut cases = Vec::new();
    for (at, (privilege, says)) in [
        (SQL, "has no known form"),
        ("superuser", "has no known form"),
        ("pg_execute_server_program", "no statement that the prover accepts needs it"),
        ("pg_write_server_files", "no statement that the prover accepts needs it"),
        ("pg_read_all_data", "none of its statements reads users' tables"),
        ("pg_signal_backend", "none of its statements signals a backend"),
        ("pg_monitor TO public; --", "has no known form"),
        ("SELECT ON RELATION pg_catalog.pg_authid", "no statement of this action may read that relation"),
        ("SELECT ON RELATION public.users", "no statement of this action may read that relation"),
        ("SELECT ON RELATION pg_catalog.pg_class", "none of its statements reads that relation"),
        ("EXECUTE ON FUNCTION pg_catalog.pg_read_file(text)", "no statement may call that function"),
        ("EXECUTE ON FUNCTION public.backdoor()", "no statement may call that function"),
        ("extension file_fdw", "no variant of its statements names that extension"),
        ("MAINTAIN ON TABLE", "none of its statements is of mode `maintain`"),
    ]
    .into_iter()
    .enumerate()
    {
        let settings = [("action.privilege", privilege)];
        cases.push(Case::guest(&format!("grant-{at}"), &settings, ManifestInvalid, says).await);
    }
    refuses("opens_the_server", cases).await;
}

#[tokio::test]
async fn no_text_is_disguised() {
    // Each is unseen, and changes what is seen or hides a word from whoever looks for it.
    let disguises = [
        "\u{202e}",
        "\u{2066}",
        "\u{200b}",
        "\u{ad}",
        "\u{61c}",
        "\u{2028}",
        "\u{feff}",
        "\u{e0041}",
        "\u{1b}[2J",
        "\u{85}",
        "\0",
        "\r",
    ];
    let fields: &[(&str, &[(&str, &str)])] = &[
        ("summary", &[]),
        ("homepage", &[]),
        ("action.name", &[]),
        ("action.title", &[]),
        ("action.description", &[]),
        ("action.effects", &[]),
        ("action.privilege", &[]),
        ("param.name", &[("param.kind", "choice")]),
        ("param.description", &[("param.kind", "choice")]),
        ("param.value", &[("param.kind", "choice")]),
        ("param.value", &[("param.kind", "text")]),
        ("example.situation", &[]),
        ("search.term", &[]),
        ("statement.id", &[]),
        ("column.name", &[]),
        ("input.name", &[]),
        ("extension.name", &[]),
    ];
    let mut cases = Vec::new();
    for (at, (field, more)) in fields.iter().enumerate() {
        // All disguises on all fields would be two hundred compilations: each disguise and each field at least once.
        let disguise = disguises[at % disguises.len()];
        let text = if *field == "homepage" { format!("https://a{disguise}b") } else { format!("a{disguise}b") };
        let code = match field.split_once('.') {
            Some(("statement" | "column" | "input" | "extension", _)) => StatementRefused,
            _ => ManifestInvalid,
        };
        cases.push(Case::guest(&format!("disguised-{at}"), &[&[(*field, &*text)], *more].concat(), code, "").await);
    }
    refuses("disguises", cases).await;
}

#[tokio::test]
async fn a_search_term_is_a_few_plain_words() {
    let characters = "search term 1: is not 2 to 60 lower-case letters";
    let longest = "a".repeat(60);
    let too_long = "a".repeat(61);
    let mut cases = Vec::new();
    for (at, (settings, says)) in [
        (&[("search.term", SQL)][..], characters),
        (&[("search.term", "")], characters),
        (&[("search.term", "x")], characters),
        (&[("search.term", " lock")], characters),
        (&[("search.term", "-lock")], characters),
        (&[("search.term", "Lock")], characters),
        (&[("search.term", "l\u{43e}ck")], characters),
        (&[("search.term", "lock\ttable")], characters),
        (&[("search.term", "lock, table")], characters),
        (&[("search.term", &*too_long)], characters),
        (&[("search.term", "lock"), ("search.repeat", "2")], "search term 2: declared twice: leave one out"),
        (&[("search.terms", "33")], "has 33 search terms and may have 32: keep those that people say"),
    ]
    .into_iter()
    .enumerate()
    {
        cases.push(Case::guest(&format!("term-{at}"), settings, ManifestInvalid, says).await);
    }
    refuses("terms", cases).await;

    // What is just within the rules is admitted, and offered as it was declared.
    let world = World::new("good_terms").await;
    for (name, settings) in [("longest", &[("search.term", &*longest)][..]), ("most", &[("search.terms", "32")])] {
        let own = [("name", name), ("small", ""), ("extra", ""), ("action.statement", "answer"), ("statements", "0")];
        world.site.add(&BuiltPack::describe(component(&[settings, &own].concat()).await).await);
    }
    let (gate, refused) = world.refusals().await;
    assert!(refused.is_empty(), "{refused:?}");
    let terms = |name: &str| {
        let offered = gate.offers(&site::principal());
        let action = offered.iter().find(|action| action.name == format!("{name}.attacked")).expect("it is offered");
        action.search_terms.clone()
    };
    assert_eq!(terms("longest"), [longest]);
    assert_eq!(terms("most").len(), 32);
}

#[tokio::test]
async fn sql_in_prose_stays_prose() {
    let world = World::new("prose").await;
    let settings: &[(&str, &str)] = &[
        ("name", "prose"),
        ("small", ""),
        ("extra", ""),
        // What the guest's run asks for.
        ("action.statement", "answer"),
        ("statements", "0"),
        ("summary", SQL),
        ("action.title", SQL),
        ("action.description", SQL),
        ("action.effects", SQL),
        ("param.kind", "choice"),
        ("param.value", SQL),
        ("param.description", SQL),
        ("example.situation", SQL),
        ("example.arguments", "{\"word\": \"x'; DROP TABLE users; --\"}"),
    ];
    world.site.add(&BuiltPack::describe(component(settings).await).await);
    let (gate, refused) = world.refusals().await;
    assert!(refused.is_empty(), "{refused:?}");
    // It is called, with its one choice, and the choice is an argument that no statement has.
    let arguments = serde_json::json!({ "word": SQL });
    let answer = site::call(&gate, "prose.attacked", world.target, arguments).await;
    assert!(answer.is_ok(), "{answer:?}");
    world.ends_well(&gate, &[]).await;
}
