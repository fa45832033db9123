//! `extensions_installed`: an extension that an upgrade left behind, and then updated.

use crate::reads::stage::{on_every_major, only, rows, text};

#[test]
fn an_extension_that_was_left_behind_is_seen() {
    on_every_major(async |stage| {
        let old = "CREATE SCHEMA monitoring; CREATE EXTENSION pg_stat_statements SCHEMA monitoring VERSION '1.7'";
        stage.primary.execute_in("left_behind", old).await.unwrap();
        let newest = "SELECT default_version FROM pg_available_extensions WHERE name = 'pg_stat_statements'";
        let newest = stage.truth(newest).await.unwrap();

        let outcome = stage.ask("extensions_installed", "left_behind").await;
        assert_eq!(outcome.summary, "2 extensions; 1 is not in the version that the server has");
        let found = rows(&outcome);
        let behind = only(&found, "extension", "pg_stat_statements");
        assert_eq!((text(behind, "version"), text(behind, "schema")), ("1.7", "monitoring"));
        assert_eq!((text(behind, "available_version"), &behind["update_available"]), (newest.as_str(), &true.into()));
        assert_eq!(only(&found, "extension", "plpgsql")["update_available"], false);

        stage.primary.execute_in("left_behind", "ALTER EXTENSION pg_stat_statements UPDATE").await.unwrap();
        let found = stage.rows("extensions_installed", "left_behind").await;
        let updated = only(&found, "extension", "pg_stat_statements");
        assert_eq!((text(updated, "version"), &updated["update_available"]), (newest.as_str(), &false.into()));
        let clean = "DROP EXTENSION pg_stat_statements; DROP SCHEMA monitoring";
        stage.primary.execute_in("left_behind", clean).await.unwrap();
    });
}
