//! `settings_non_default`: changed settings, one that waits for a restart, and secrets wherever settings have room for them.

use lockgate::error::Code;
use lockgate_tests::session::PATIENCE;

use crate::reads::stage::{Row, SECRET, Stage, int, keeps_the_secret, on_every_major, only, rows, text};

#[test]
fn what_was_changed_is_shown_and_what_waits_for_a_restart_is_said() {
    on_every_major(async |stage| {
        let change = [
            "ALTER SYSTEM SET work_mem = '7MB'",
            "ALTER SYSTEM SET max_connections = 77",
            "ALTER SYSTEM SET effective_cache_size = DEFAULT",
        ];
        Stage::configure(&stage.primary, &change).await;
        let pending = "SELECT pending_restart FROM pg_settings WHERE name = 'max_connections'";
        stage.primary.wait_for(pending, "t", PATIENCE).await.unwrap();
        // A session reads the new configuration between two queries; the gate's may have been busy with the last one.
        let changed = |rows: &[Row]| rows.iter().any(|row| row["name"] == "work_mem");
        stage.until("settings_non_default", "primary", changed).await;

        let outcome = stage.ask("settings_non_default", "primary").await;
        assert!(outcome.summary.ends_with("; 1 waits for a restart"), "{}", outcome.summary);
        let found = rows(&outcome);
        let work_mem = only(&found, "name", "work_mem");
        assert_eq!((text(work_mem, "value"), text(work_mem, "unit")), ("7168", "kB"));
        assert_eq!((text(work_mem, "default_value"), text(work_mem, "source")), ("4096", "configuration file"));
        assert!(text(work_mem, "source_file").ends_with("postgresql.auto.conf") && int(work_mem, "source_line") > 0);
        assert_eq!((&work_mem["pending_restart"], &work_mem["redacted"]), (&false.into(), &false.into()));
        let waiting = only(&found, "name", "max_connections");
        assert_eq!((text(waiting, "value"), &waiting["pending_restart"]), ("100", &true.into()), "what is in force");
        // What is at its default is no change, wherever it is written.
        for name in ["effective_cache_size", "max_wal_size", "search_path", "statement_timeout", "application_name"] {
            assert!(found.iter().all(|row| row["name"] != name), "{name}");
        }
        let reset = ["ALTER SYSTEM RESET work_mem", "ALTER SYSTEM RESET max_connections"];
        Stage::configure(&stage.primary, &reset).await;
    });
}

#[test]
fn a_setting_that_may_hold_a_secret_is_only_said_to_be_set() {
    on_every_major(async |stage| {
        let conninfo = format!("host=db user=app password={SECRET}");
        let change = [
            format!("ALTER SYSTEM SET primary_conninfo = '{conninfo}'"),
            format!("ALTER SYSTEM SET archive_command = 'true --key={SECRET}'"),
            format!("ALTER SYSTEM SET restore_command = 'fetch {SECRET}'"),
            format!("ALTER SYSTEM SET archive_cleanup_command = 'clean {SECRET}'"),
            format!("ALTER SYSTEM SET ssl_passphrase_command = 'echo {SECRET}'"),
            format!("ALTER SYSTEM SET krb_server_keyfile = '/keys/{SECRET}'"),
            // What anybody makes up, the server itself does not list.
            format!("ALTER DATABASE configured SET app.api_key = '{SECRET}'"),
            "ALTER DATABASE configured SET session_preload_libraries = 'plpgsql'".to_owned(),
            "ALTER DATABASE configured SET plpgsql.extra_warnings = 'shadowed_variables'".to_owned(),
            "ALTER DATABASE configured SET plpgsql.variable_conflict = 'use_column'".to_owned(),
        ];
        Stage::configure(&stage.primary, &change.each_ref().map(String::as_str)).await;
        let needed = |rows: &[Row]| rows.iter().any(|row| row["name"] == "primary_conninfo");
        stage.until("settings_non_default", "configured", needed).await;

        let outcome = stage.ask("settings_non_default", "configured").await;
        keeps_the_secret(stage, &outcome);
        let found = rows(&outcome);
        let mut names =
            vec!["archive_command", "archive_cleanup_command", "primary_conninfo", "ssl_passphrase_command"];
        names.extend(["krb_server_keyfile", "plpgsql.extra_warnings"]);
        // Up to 13 it needed a restart.
        names.extend((stage.major >= 14).then_some("restore_command"));
        for name in names {
            let row = only(&found, "name", name);
            assert_eq!((text(row, "value"), &row["redacted"]), ("[redacted]", &true.into()), "{row:?}");
        }
        assert_eq!(only(&found, "name", "plpgsql.extra_warnings")["source"], "database");
        let checked = only(&found, "name", "plpgsql.variable_conflict");
        assert_eq!((text(checked, "value"), &checked["redacted"]), ("use_column", &false.into()));

        let reset = [
            "ALTER SYSTEM RESET primary_conninfo",
            "ALTER SYSTEM SET archive_command = 'true'",
            "ALTER SYSTEM RESET restore_command",
            "ALTER SYSTEM RESET archive_cleanup_command",
            "ALTER SYSTEM RESET ssl_passphrase_command",
            "ALTER SYSTEM RESET krb_server_keyfile",
            "ALTER DATABASE configured RESET ALL",
        ];
        Stage::configure(&stage.primary, &reset).await;
    });
}

#[test]
fn without_the_right_to_see_all_settings_there_is_no_half_answer() {
    on_every_major(async |stage| {
        let (code, message) = stage.refusal("settings_non_default", "blind").await;
        assert_eq!(code, Code::MissingPrivilege, "{message}");
        assert!(message.contains("pg_monitor"), "{message}");
    });
}
