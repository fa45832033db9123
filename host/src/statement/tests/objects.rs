//! What a maintaining statement works on, and what may be granted for the sake of a statement.

use super::{Case, Mode};
use crate::statement::{Class, may_grant_execute, may_grant_select};

fn maintained(sql: &str, inputs: &str) -> Option<(String, String)> {
    let proven = Case::new(Mode::Maintain, sql).inputs(inputs).prove().unwrap();
    let object = proven.maintained(|name| Some(format!("<{name}>")))?;
    Some((object.schema, object.name))
}

#[test]
fn a_maintained_object_is_found_however_it_is_written() {
    let of = |schema: &str, name: &str| Some((schema.to_owned(), name.to_owned()));
    let both = "schema:identifier table:identifier";
    assert_eq!(maintained("VACUUM (ANALYZE) :\"schema\".:\"table\"", both), of("<schema>", "<table>"));
    assert_eq!(maintained("REINDEX INDEX CONCURRENTLY :\"schema\".:\"table\"", both), of("<schema>", "<table>"));
    assert_eq!(maintained("ANALYZE app.:\"table\"", "table:identifier"), of("app", "<table>"));
    assert_eq!(maintained("ANALYZE App.\"Orders\"", ""), of("app", "Orders"));
    let proven = Case::new(Mode::Maintain, "VACUUM :\"s\".:\"t\"").inputs("s:identifier t:identifier").prove().unwrap();
    assert_eq!(proven.maintained(|_| None), None);
    assert!(!proven.rebuilds());
}

#[test]
fn nobody_is_to_grant_what_the_prover_would_not_let_a_statement_touch() {
    for name in ["pg_authid", "pg_shadow", "pg_statistic", "pg_user_mapping", "pg_largeobject"] {
        assert!(!may_grant_select(Class::Data, "pg_catalog", name), "{name}");
    }
    assert!(may_grant_select(Class::Read, "pg_catalog", "pg_hba_file_rules"));
    assert!(!may_grant_select(Class::Read, "app", "orders") && may_grant_select(Class::Data, "app", "orders"));
    assert!(!may_grant_select(Class::Data, "pg_toast", "x"));
    for name in ["pg_read_file", "pg_ls_dir", "pg_reload_conf", "lo_import", "pg_terminate_backend", "pg_promote"] {
        assert!(!may_grant_execute("pg_catalog", name), "{name}");
    }
    assert!(may_grant_execute("pg_catalog", "pg_hba_file_rules") && !may_grant_execute("app", "f"));
}
