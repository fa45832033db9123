//! From a proven statement to what a target executes: the variant that fits the server, and the inputs checked against
//! their declared kinds. Values are bound; nothing but validated identifiers and the host's own fact of where an extension
//! lives is ever written into the text, and both are quoted.

use std::time::Duration;

use crate::value::Value;

use super::{
    BoundStatement, InputKind, ServerFacts, Variant,
    placeholders::{EXTENSION_SCHEMA, MAX_IDENTIFIER_BYTES, substitute},
    proof::ProvenStatement,
    version::{self, NoVariant},
};

/// Why a proven statement can't run on this server with these inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// An input is not what the statement declares: a defect of the pack.
    #[error("input `{which}` {why}")]
    WrongInputs {
        /// The input's name, or its position where it has none.
        which: String,
        /// What is wrong with it.
        why: String,
    },
    /// No variant fits the server; says what it is and what is needed.
    #[error("{message}")]
    Unsupported {
        /// One sentence.
        message: String,
    },
    /// It runs on a primary, and this is a standby.
    #[error("the server is a standby and the statement runs on the primary only")]
    NotOnStandby,
    /// It runs on a standby, and this is a primary.
    #[error("the server is a primary and the statement runs on a standby only")]
    NotOnPrimary,
}

impl ProvenStatement {
    /// Chooses the variant for a server and checks the inputs, which come in declared order.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn bind(&self, facts: &ServerFacts, inputs: &[Value]) -> Result<BoundStatement, BindError> {
        let declaration = self.declaration();
        let index = version::choose(&declaration.variants, facts).map_err(|none| match none {
            NoVariant::NeedsPrimary => BindError::NotOnStandby,
            NoVariant::NeedsStandby => BindError::NotOnPrimary,
            NoVariant::Unsupported(message) => BindError::Unsupported { message },
        })?;
        if inputs.len() != declaration.inputs.len() {
            return Err(BindError::WrongInputs {
                which: format!("{}", declaration.inputs.len().min(inputs.len()) + 1),
                why: format!("is one of {} given, and {} are declared", inputs.len(), declaration.inputs.len()),
            });
        }
        let mut bound = Vec::with_capacity(inputs.len());
        for (input, value) in declaration.inputs.iter().zip(inputs) {
            check_value(input.kind, value).map_err(|why| BindError::WrongInputs { which: input.name.clone(), why })?;
            if input.kind != InputKind::Identifier {
                bound.push((input.kind, value.clone()));
            }
        }
        let internal =
            || BindError::Unsupported { message: "the statement's placeholders can't be filled in".to_owned() };
        let (variant, placeholders) =
            declaration.variants.get(index).zip(self.placeholders.get(index)).ok_or_else(internal)?;
        let fill = |name: &str| {
            if name == EXTENSION_SCHEMA {
                let range = variant.extension.as_ref()?;
                let (.., schema) = facts.extensions.iter().find(|(name, ..)| *name == range.name)?;
                let usable = (1..=MAX_IDENTIFIER_BYTES).contains(&schema.len()) && !schema.contains('\0');
                return usable.then(|| schema.clone());
            }
            let position = declaration.inputs.iter().position(|input| input.name == name)?;
            match inputs.get(position) {
                Some(Value::Text(text)) => Some(text.clone()),
                _ => None,
            }
        };
        let sql = substitute(&variant.sql, placeholders, fill).ok_or_else(internal)?;
        Ok(BoundStatement {
            id: self.id.clone(),
            mode: declaration.mode,
            sql: sql.into(),
            inputs: bound,
            columns: self.columns.clone(),
            max_rows: declaration.max_rows,
            timeout: (declaration.timeout_ms != 0).then(|| Duration::from_millis(declaration.timeout_ms.into())),
            when_empty: declaration.when_empty,
        })
    }

    /// The wording that a server would be sent; `None` if none fits it.
    #[must_use]
    pub fn variant_for(&self, facts: &ServerFacts) -> Option<&Variant> {
        let variants = &self.declaration().variants;
        version::choose(variants, facts).ok().and_then(|index| variants.get(index))
    }

    /// Whether the server is of a major version newer than this build knows, so that results deserve the remark.
    #[must_use]
    pub fn is_untested_on(&self, facts: &ServerFacts) -> bool {
        version::is_untested(facts)
    }
}

/// `^[a-zA-Z_][a-zA-Z0-9_]{0,62}$`
fn is_identifier(text: &str) -> bool {
    text.len() <= MAX_IDENTIFIER_BYTES
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn check_value(kind: InputKind, value: &Value) -> Result<(), String> {
    let text = |text: &str| {
        if text.contains('\0') { Err("holds a NUL character".to_owned()) } else { Ok(()) }
    };
    match (kind, value) {
        (InputKind::Identifier, Value::Text(name)) if is_identifier(name) => Ok(()),
        (InputKind::Identifier, Value::Text(_)) => Err("is no identifier: ^[a-zA-Z_][a-zA-Z0-9_]{0,62}$".to_owned()),
        (InputKind::Identifier, _) => Err(format!("is {}, and an identifier is a text", value.kind_name())),
        (InputKind::Boolean, Value::Boolean(_))
        | (InputKind::Integer, Value::Integer(_))
        | (InputKind::Integers, Value::Integers(_))
        | (_, Value::Null) => Ok(()),
        (InputKind::Number, Value::Number(number)) if number.is_finite() => Ok(()),
        (InputKind::Number, Value::Number(_)) => Err("is not finite".to_owned()),
        (InputKind::Text, Value::Text(value)) => text(value),
        (InputKind::Texts, Value::Texts(values)) => values.iter().try_for_each(|value| text(value)),
        _ => Err(format!("is {}, and the declared type is {}", value.kind_name(), kind_name(kind))),
    }
}

fn kind_name(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Boolean => "boolean",
        InputKind::Integer => "integer",
        InputKind::Number => "number",
        InputKind::Text => "text",
        InputKind::Identifier => "identifier",
        InputKind::Integers => "integers",
        InputKind::Texts => "texts",
    }
}
