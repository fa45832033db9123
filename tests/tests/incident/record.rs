//! Reading a record: its lines by event, and where one stands.

use serde_json::Value as Json;

/// The one line of an event with these members.
pub fn only<'a>(lines: &'a [Json], event: &str, members: &[(&str, &Json)]) -> &'a Json {
    let found: Vec<&Json> = all(lines, event, members).collect();
    assert_eq!(found.len(), 1, "`{event}` with {members:?}: {found:#?}");
    found[0]
}

/// The lines of an event with these members.
pub fn all<'a>(lines: &'a [Json], event: &str, members: &[(&str, &Json)]) -> impl Iterator<Item = &'a Json> {
    lines.iter().filter(move |line| line["ev"] == event && members.iter().all(|(name, value)| line[*name] == **value))
}

/// Whether these lines stand on the record in this order.
pub fn in_order(lines: &[&Json]) {
    let seqs: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().expect("a number")).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}: {lines:#?}");
}
