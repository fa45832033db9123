//! Word of changed lists: each live session hears of its own, on every way in, and of nothing else.

use lockgate::mcp::McpSettings;

use crate::{
    doors::{Served, WAYS},
    offering::Offering,
};

#[tokio::test]
async fn a_client_hears_of_its_own_lists_and_no_others() {
    for way in WAYS {
        let gate = Offering::new();
        let served = Served::new(&gate, McpSettings::default(), way).await;
        let (mut one, mut two) = (served.connect("one").await, served.connect("two").await);
        // A first answer: the sessions have begun.
        assert_eq!(one.client.list_all_tools().await.unwrap().len(), 5);
        assert_eq!(two.client.list_all_tools().await.unwrap().len(), 5);

        // With it goes the last step of a playbook.
        gate.hide("one", "postgres.terminate_backend");
        assert_eq!(one.hears(3).await, ["prompts", "resources", "tools"], "{way:?}");
        assert_eq!(one.client.list_all_tools().await.unwrap().len(), 4);

        // What changes nothing for `two` it was not told: the next that it hears is of its own, and of those two lists only.
        gate.stir();
        gate.hide("two", "postgres.lock_blocking_chains");
        assert_eq!(two.hears(2).await, ["resources", "tools"], "{way:?}");
        gate.hide("two", "postgres.replication_lag");
        assert_eq!(two.hears(3).await, ["prompts", "resources", "tools"], "{way:?}");
        // And `one` heard nothing of that.
        gate.hide("one", "postgres.lock_blocking_chains");
        assert_eq!(one.hears(3).await, ["prompts", "resources", "tools"], "{way:?}");
    }
}

#[tokio::test]
async fn a_session_that_reads_nothing_keeps_no_other_from_hearing() {
    for way in WAYS {
        let gate = Offering::new();
        let served = Served::new(&gate, McpSettings::default(), way).await;
        let gone = served.connect("one").await;
        let mut two = served.connect("two").await;
        two.client.list_all_tools().await.unwrap();
        drop(gone);
        gate.hide("two", "postgres.terminate_backend");
        assert_eq!(two.hears(3).await, ["prompts", "resources", "tools"], "{way:?}");
    }
}
