//! `pg_hba_rules`: with and without its two grants, rules with secrets in their options, and lines that are no rules.

use lockgate::error::Code;

use crate::reads::stage::{SECRET, int, keeps_the_secret, on_every_major, only, rows, text};

const RULES: &str = "
hostssl shop,\"Odd Db\" +readers,app 10.1.0.0/16 cert map=people
host all all 10.2.0.0/16 radius radiusservers=127.0.0.1 radiussecrets=Hunter2x radiusidentifiers=db
host all all 10.3.0.0/16 md6
host all all 10.4.0.0/16 radius radiusservers=127.0.0.1 radiussecrets=Hunter2x radiusports=Hunter2x
host all all 10.5.0.0/16 radius radiusservers=127.0.0.1 radiussecrets=my Hunter2x
";

#[test]
fn each_grant_is_needed_and_named() {
    on_every_major(async |stage| {
        let grants = ["SELECT ON pg_catalog.pg_hba_file_rules", "EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules()"];
        let refused = async || {
            let (code, message) = stage.refusal("pg_hba_rules", "hba").await;
            assert_eq!(code, Code::MissingPrivilege, "{message}");
            assert!(grants.iter().all(|grant| message.contains(&format!("GRANT {grant}"))), "{message}");
        };
        refused().await;
        for grant in grants {
            stage.primary.execute_in("shop", &format!("GRANT {grant} TO hba_reader")).await.unwrap();
            if grant == grants[0] {
                refused().await;
            }
        }
        assert!(!stage.rows("pg_hba_rules", "hba").await.is_empty());
        stage.primary.execute_in("shop", &format!("REVOKE {} FROM hba_reader", grants[0])).await.unwrap();
        refused().await;
        stage.primary.execute_in("shop", &format!("REVOKE {} FROM hba_reader", grants[1])).await.unwrap();
    });
}

#[test]
fn rules_are_shown_without_their_secrets_and_errors_come_first() {
    assert!(RULES.contains(SECRET));
    on_every_major(async |stage| {
        let grants = "GRANT SELECT ON pg_catalog.pg_hba_file_rules TO hba_reader;
            GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO hba_reader";
        stage.primary.execute_in("shop", grants).await.unwrap();
        // The server reads the file for this; nobody reloads, so the rules in force stay.
        let file = stage.primary.data_dir().join("pg_hba.conf");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{before}{RULES}")).unwrap();
        let outcome = stage.ask("pg_hba_rules", "hba").await;
        std::fs::write(&file, &before).unwrap();

        keeps_the_secret(stage, &outcome);
        assert!(outcome.summary.ends_with("and 3 lines with errors"), "{}", outcome.summary);
        assert!(outcome.notices.iter().any(|notice| notice.contains("keeps the old rules")), "{:?}", outcome.notices);
        let found = rows(&outcome);
        let errors: Vec<_> = found.iter().take_while(|row| row["error"].is_string()).collect();
        assert_eq!(errors.len(), 3, "{found:?}");
        assert!(found[3..].iter().all(|row| row["error"].is_null() && row["type"].is_string()), "{found:?}");
        let first = before.lines().count();
        let line = |number: usize| i64::try_from(first + number).unwrap();
        let mut lines: Vec<_> = errors.iter().map(|row| (int(row, "line_number"), text(row, "error"))).collect();
        lines.sort_unstable();
        let wanted = [
            (line(4), "invalid authentication method \"md6\""),
            (line(5), "not understood; the server says no more here, its log may"),
            (line(6), "authentication option not in name=value format [redacted]"),
        ];
        assert_eq!(lines, wanted);

        let odd = only(&found, "options", "map=people, clientcert=verify-full");
        assert_eq!((text(odd, "databases"), text(odd, "users")), ("shop, Odd Db", "+readers, app"));
        assert_eq!((text(odd, "type"), text(odd, "auth_method")), ("hostssl", "cert"));
        assert_eq!((text(odd, "address"), text(odd, "netmask")), ("10.1.0.0", "255.255.0.0"));
        let radius = only(&found, "address", "10.2.0.0");
        let options = "radiusservers=127.0.0.1, radiussecrets=[redacted], radiusidentifiers=db";
        let mut shown: Vec<_> = text(radius, "options").split(", ").collect();
        let mut wanted: Vec<_> = options.split(", ").collect();
        shown.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(shown, wanted);

        // Files and numbers came with 16.
        let numbered = stage.major >= 16;
        let file = file.display().to_string();
        assert_eq!(odd["rule_number"].is_i64(), numbered, "{odd:?}");
        assert_eq!(odd["file_name"].as_str(), numbered.then_some(file.as_str()));
        let revoke = "REVOKE SELECT ON pg_catalog.pg_hba_file_rules FROM hba_reader;
            REVOKE EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() FROM hba_reader";
        stage.primary.execute_in("shop", revoke).await.unwrap();
    });
}
