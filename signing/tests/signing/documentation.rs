//! What docs/signing.md says is so: its trust policy can be read, and it has every code.

use std::collections::BTreeSet;

use lockgate_signing::trust::Trust;

const PAGE: &str = include_str!("../../../docs/signing.md");

/// Every source in which a code is made.
const SOURCES: [&str; 6] = [
    include_str!("../../src/file.rs"),
    include_str!("../../src/key.rs"),
    include_str!("../../src/trust/file.rs"),
    include_str!("../../src/verify/error.rs"),
    include_str!("../../src/bin/lockgate-sign/failure.rs"),
    concat!(include_str!("../../src/bin/lockgate-sign/sign.rs"), include_str!("../../src/bin/lockgate-sign/output.rs")),
];

#[test]
fn the_policy_on_the_page_can_be_read() {
    let (_, rest) = PAGE.split_once("```toml\n").unwrap();
    let (policy, _) = rest.split_once("```").unwrap();
    let trust = Trust::parse(policy).unwrap();
    assert_eq!(trust.publisher("acme").unwrap().threshold(), 2);
}

#[test]
fn the_page_has_every_code() {
    let (_, table) = PAGE.split_once("## Refusals").unwrap();
    let documented: BTreeSet<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|line| line.split('`').next()).collect();
    // A code of ours is a quoted word with an underscore that the page could name, found where codes are returned.
    let made: BTreeSet<&str> = SOURCES
        .iter()
        .flat_map(|source| source.split("#[cfg(test)]").next().unwrap().split('"').skip(1).step_by(2))
        .filter(|text| documented.contains(text))
        .collect();
    assert_eq!(made, documented, "the page names codes that nothing returns");
    for code in [
        "envelope_missing",
        "envelope_invalid",
        "signature_invalid",
        "threshold_not_met",
        "not_valid_now",
        "revoked",
        "component_mismatch",
        "publisher_not_trusted",
        "class_not_granted",
        "rollback",
        "file_too_large",
        "file_refused",
        "trust_invalid",
        "declaration_invalid",
        "envelope_differs",
        "key_invalid",
        "passphrase_required",
        "unprotected",
        "usage",
        "io",
    ] {
        assert!(documented.contains(code), "{code}");
    }
}
