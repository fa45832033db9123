//! What a statement works on, as far as privileges are concerned: the one table or index that a `maintain` statement names,
//! and what of `pg_catalog` a role may be granted for the sake of a statement.

use super::{Class, Mode, ProvenStatement, functions};

/// The table or index that a `maintain` statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintainedObject {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
}

impl ProvenStatement {
    /// What this statement maintains when its inputs are these. `None` for other modes, and where an input is missing.
    #[must_use]
    pub fn maintained(&self, input: impl Fn(&str) -> Option<String>) -> Option<MaintainedObject> {
        if self.declaration.mode != Mode::Maintain {
            return None;
        }
        // The prover has seen that the text ends with `schema.name`, either part plain, quoted or a placeholder.
        let sql = &self.declaration.variants.first()?.sql;
        let object = sql.trim_end().rsplit(char::is_whitespace).next()?;
        let (schema, name) = object.split_once('.')?;
        let part = |text: &str| match text.strip_prefix(":\"") {
            Some(rest) => input(rest.strip_suffix('"')?),
            None => match text.strip_prefix('"') {
                Some(rest) => rest.strip_suffix('"').map(str::to_owned),
                None => Some(text.to_ascii_lowercase()),
            },
        };
        Some(MaintainedObject { schema: part(schema)?, name: part(name)? })
    }

    /// Whether it rebuilds an index, for which the database's owner has no right of their own.
    #[must_use]
    pub fn rebuilds(&self) -> bool {
        let sql = self.declaration.variants.first().map_or("", |variant| variant.sql.trim_start());
        self.declaration.mode == Mode::Maintain && sql.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("REINDEX"))
    }

    /// Whether a relation is written anywhere in it. Written is not read, so this only says what can't be meant.
    #[must_use]
    pub fn mentions(&self, schema: &str, name: &str) -> bool {
        let name = format!("{schema}.{name}");
        self.declaration.variants.iter().any(|variant| {
            variant.sql.match_indices(&name).any(|(at, _)| {
                let after = variant.sql.get(at + name.len()..).and_then(|rest| rest.chars().next());
                !after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
            })
        })
    }
}

/// Whether a pack whose statements are of this class may ask for SELECT on a relation: only on what the prover lets such a
/// statement read, so never on password hashes or samples of rows.
#[must_use]
pub fn may_grant_select(class: Class, schema: &str, name: &str) -> bool {
    match schema {
        "pg_catalog" => functions::catalog_relation(name),
        "information_schema" => functions::information_relation(name),
        schema if schema.starts_with("pg_") => false,
        _ => matches!(class, Class::Data | Class::Write),
    }
}

/// Whether a pack may ask for EXECUTE on a function.
#[must_use]
pub fn may_grant_execute(schema: &str, name: &str) -> bool {
    schema == "pg_catalog" && functions::grantable_function(name)
}
