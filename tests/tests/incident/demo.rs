//! The demonstration, as somebody runs it who sees lockgate for the first time.

use lockgate_tests::site::root;

use crate::process::{bare, run};

#[tokio::test]
async fn the_demonstration_tells_the_whole_story_and_ends_well() {
    let said = run(bare().args(["demo", "--yes"]).current_dir(root())).await;
    assert_eq!(said.code, 0, "{said:#?}");
    let mut rest = said.out.as_str();
    for next in [
        "a primary and two streaming standbys",
        "built, signed with a fresh key, trusted",
        "30 writers wait behind it",
        "postgres.activity_states",
        "postgres.lock_blocking_chains",
        "postgres.idle_in_transaction",
        "ClientRead",
        "postgres.terminate_backend",
        "held: high risk, so a person decides",
        "approving, as told with --yes",
        "approved by ",
        "postgres.kill_idle",
        "approved by ",
        "Nothing is left behind.",
        "all 30 blocked updates committed",
        "intact: ",
        "cluster, keys and record are gone",
    ] {
        let at = rest.find(next).unwrap_or_else(|| panic!("`{next}` is not said, or not then: {}", said.out));
        rest = &rest[at + next.len()..];
    }
    assert!(!said.out.contains('\u{1b}'), "colour into a pipe: {}", said.out);
}
