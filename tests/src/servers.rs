//! The server versions that this run of the tests uses.

use std::path::PathBuf;

use lockgate::postgres::throwaway::Binaries;

use crate::site::root;

/// The oldest and the newest major version that lockgate supports.
pub const SUPPORTED: std::ops::RangeInclusive<u32> = 13..=18;
/// `all` for every supported version; otherwise the oldest, the system's own and the newest.
pub const CHOICE: &str = "LOCKGATE_TEST_SERVERS";

/// Where `scripts/setup` keeps the servers that it fetched.
#[must_use]
pub fn fetched() -> PathBuf {
    root().join("target/servers")
}

/// The major versions of this run, oldest first.
///
/// # Panics
/// If there is no server of one of them: a version that can't be tested is not skipped.
#[must_use]
pub fn majors() -> Vec<u32> {
    let choice = std::env::var(CHOICE).unwrap_or_default();
    let mut majors: Vec<u32> = match choice.as_str() {
        "all" => SUPPORTED.collect(),
        "" => {
            let system = Binaries::find(None).expect("the system's server: run scripts/setup").major();
            vec![*SUPPORTED.start(), system, *SUPPORTED.end()]
        }
        other => panic!("{CHOICE} is `{other}`: `all`, or nothing"),
    };
    majors.sort_unstable();
    majors.dedup();
    for major in &majors {
        let found = Binaries::find_among(Some(*major), &[fetched()]);
        let option = if choice == "all" { " --all-servers" } else { "" };
        assert!(found.is_ok(), "no server of PostgreSQL {major}: run scripts/setup{option} ({:?})", found.err());
    }
    majors
}
