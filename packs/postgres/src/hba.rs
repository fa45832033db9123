//! Who may connect from where: the rules of host-based authentication.

use lockgate_pack::{Action, Call, Column, Failure, Outcome, Statement, Variant};
use lockgate_pack_shared::words::counted;

use crate::common::listed;

/// A view calls its functions with the rights of whoever reads it, so both grants are needed.
pub(crate) static MAY_READ: Statement = Statement::read("may_read_hba_rules")
    .columns(&[Column::boolean("may_select"), Column::boolean("may_execute")])
    .variants(&[Variant::all(
        "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_hba_file_rules', 'SELECT') AS may_select,
       pg_catalog.has_function_privilege('pg_catalog.pg_hba_file_rules()', 'EXECUTE') AS may_execute",
    )])
    .max_rows(1);

/// The rules of one file up to 15; from 16 on a file may include others, and rules are numbered in the order in which they
/// are tried.
///
/// Of the options only those are shown whose values are known to be no secrets: `ldapbindpasswd` and `radiussecrets` are. An
/// error may quote the word that it did not understand, which may be half a password; so only the errors whose quotes can't
/// come out of an option are shown whole, and of others the words before. Of some options that it can't read (those of radius
/// among them) the server gives the line and nothing else: no rule, and no error either.
macro_rules! rules {
    ($place:literal) => {
        concat!(
            "SELECT ",
            $place,
            ", r.line_number::int8 AS line_number, r.type,
       pg_catalog.array_to_string(r.database, ', ') AS databases, pg_catalog.array_to_string(r.user_name, ', ') AS users,
       r.address, r.netmask, r.auth_method,
       (SELECT pg_catalog.string_agg(
                   CASE WHEN pg_catalog.split_part(o.option, '=', 1) IN
                             ('map', 'clientcert', 'clientname', 'include_realm', 'compat_realm', 'krb_realm', 'upn_username',
                              'pamservice', 'pam_use_hostname', 'ldapserver', 'ldapport', 'ldapscheme', 'ldaptls',
                              'ldapprefix', 'ldapsuffix', 'ldapscope', 'ldapbasedn', 'ldapbinddn', 'ldapsearchattribute',
                              'ldapsearchfilter', 'radiusservers', 'radiusports', 'radiusidentifiers', 'issuer', 'scope',
                              'validator', 'delegate_ident_mapping')
                        THEN o.option ELSE pg_catalog.split_part(o.option, '=', 1) || '=[redacted]' END, ', ' ORDER BY o.place)
          FROM pg_catalog.unnest(r.options) WITH ORDINALITY AS o(option, place)) AS options,
       CASE WHEN r.error ~ '^(invalid (connection type|authentication method|IP address|IP mask|CIDR mask)|end-of-line before|multiple values|specifying both host name|IP address and mask do not|host(no)?(ssl|gssenc) record cannot match|authentication method \"[a-z0-9]+\" requires|could not open)'
            THEN r.error
            WHEN r.error ~ '[^ -~]' THEN '[redacted]'
            WHEN r.error IS NOT NULL THEN pg_catalog.regexp_replace(r.error, ' ?[\":].*$', ' [redacted]')
            WHEN r.type IS NULL THEN 'not understood; the server says no more here, its log may' END AS error
  FROM pg_catalog.pg_hba_file_rules AS r
 ORDER BY r.error IS NULL AND r.type IS NOT NULL, rule_number, file_name, r.line_number
 LIMIT 500"
        )
    };
}

pub(crate) static RULES_READ: Statement = Statement::read("pg_hba_rules")
    .columns(&[
        Column::integer("rule_number"),
        Column::text("file_name"),
        Column::integer("line_number"),
        Column::text("type"),
        Column::text("databases"),
        Column::text("users"),
        Column::text("address"),
        Column::text("netmask"),
        Column::text("auth_method"),
        Column::text("options"),
        Column::text("error"),
    ])
    .variants(&[
        Variant::before(16, rules!("NULL::int8 AS rule_number, NULL::text AS file_name")),
        Variant::from(16, rules!("r.rule_number::int8 AS rule_number, r.file_name")),
    ])
    .max_rows(500);

pub(crate) static PG_HBA_RULES: Action = Action::read("pg_hba_rules")
    .title("Rules of pg_hba.conf")
    .description(
        "The rules of pg_hba.conf as the file has them now, those with errors first, then in the order in which they are tried: \
         the first that fits a connection decides. With an error in the file a reload keeps the old rules, and a restart fails. \
         A rule that was edited but not reloaded is shown although it does not hold yet. Needs two grants that pg_monitor does \
         not bring: GRANT SELECT ON pg_catalog.pg_hba_file_rules and GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules().",
    )
    .statements(&[&MAY_READ, &RULES_READ])
    .privileges(&[
        "SELECT ON RELATION pg_catalog.pg_hba_file_rules",
        "EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules()",
    ])
    .search_terms(&[
        "pg_hba.conf",
        "client authentication",
        "no pg_hba.conf entry",
        "login refused",
        "authentication failed",
        "access rules",
        "who may connect",
        "cannot log in",
        "connection rejected",
    ])
    .examples(&[("a client is refused with `no pg_hba.conf entry`; which rules are there?", "{}")])
    .run(pg_hba_rules);

fn pg_hba_rules(call: &Call<'_>) -> Result<Outcome, Failure> {
    let may = call.execute(&MAY_READ)?;
    let Some(may) = may.first() else { return Err(Failure::internal("the look at privileges gave no row")) };
    if may.boolean("may_select")? != Some(true) || may.boolean("may_execute")? != Some(true) {
        return Err(Failure::missing_privilege(
            "the role may not read the rules, and needs both: GRANT SELECT ON pg_catalog.pg_hba_file_rules, and GRANT EXECUTE ON \
             FUNCTION pg_catalog.pg_hba_file_rules()",
        ));
    }
    let rows = call.execute(&RULES_READ)?;
    let errors = i64::try_from(rows.texts("error")?.len()).unwrap_or(i64::MAX);
    let rules = counted(i64::from(rows.count()) - errors, "rule", "rules");
    let summary = match errors {
        0 => format!("{rules}, no errors"),
        _ => format!("{rules}, and {}", counted(errors, "line with an error", "lines with errors")),
    };
    let outcome = listed(call, rows, 500, "Rules", |_| summary);
    Ok(match errors {
        0 => outcome,
        _ => outcome.notice("with an error in the file a reload keeps the old rules, and a restart fails"),
    })
}
