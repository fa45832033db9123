//! The table of attempts in `docs/portal.md` names tests that are there.

use std::path::Path;

#[test]
fn each_attempt_in_the_document_names_a_test_that_is_there() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/portal");
    let document = include_str!("../../../docs/portal.md");
    let (_, table) = document.split_once("\n## Attempts\n").expect("the section");
    let table = table.split("\n## ").next().expect("its text");
    let lines: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(lines.len() >= 20, "{table}");
    for line in lines {
        let named: Vec<_> = line.split('`').filter_map(|code| code.rsplit_once("::")).collect();
        assert!(!named.is_empty(), "no test: {line}");
        for (module, test) in named {
            let file = here.join(module.replace("::", "/")).with_extension("rs");
            let code = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            assert!(code.contains(&format!("\nasync fn {test}(")), "{module} has no {test}");
        }
    }
}
