//! Inputs on their way to the server. Each is bound as the type that its kind declares, so that `$1::int4` is a cast in the
//! SQL and never a guess of the driver. Nothing here is ever shown: inputs may be anybody's data.

use std::{error::Error, fmt};

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::{statement::InputKind, value::Value};

/// The type that an input of this kind is bound as.
pub(super) fn bound_type(kind: InputKind) -> Type {
    match kind {
        InputKind::Boolean => Type::BOOL,
        InputKind::Integer => Type::INT8,
        InputKind::Number => Type::FLOAT8,
        // An identifier is never bound; were it, text is what it would be.
        InputKind::Text | InputKind::Identifier => Type::TEXT,
        InputKind::Integers => Type::INT8_ARRAY,
        InputKind::Texts => Type::TEXT_ARRAY,
    }
}

/// One input. Its `Debug` hides it: the driver logs parameters with it.
pub(super) struct Bound<'a>(pub(super) &'a Value);

impl fmt::Debug for Bound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind_name())
    }
}

impl ToSql for Bound<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (self.0, ty) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Boolean(value), &Type::BOOL) => value.to_sql(ty, out),
            (Value::Integer(value), &Type::INT8) => value.to_sql(ty, out),
            (Value::Number(value), &Type::FLOAT8) => value.to_sql(ty, out),
            // A whole number is a number.
            #[expect(clippy::cast_precision_loss, reason = "a double is what the input was declared to be")]
            (Value::Integer(value), &Type::FLOAT8) => (*value as f64).to_sql(ty, out),
            (Value::Text(value), &Type::TEXT) => value.to_sql(ty, out),
            (Value::Integers(values), &Type::INT8_ARRAY) => values.to_sql(ty, out),
            (Value::Texts(values), &Type::TEXT_ARRAY) => values.to_sql(ty, out),
            (value, ty) => Err(format!("an input of kind {} can't be bound as {ty}", value.kind_name()).into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_bound_as_its_kind_or_not_at_all() {
        let mut out = BytesMut::new();
        assert!(Bound(&Value::Integer(1)).to_sql(&Type::INT8, &mut out).is_ok());
        assert!(Bound(&Value::Integer(1)).to_sql(&Type::TEXT, &mut out).is_err());
        assert!(Bound(&Value::Text("x".into())).to_sql(&Type::INT8, &mut out).is_err());
        assert!(matches!(Bound(&Value::Null).to_sql(&Type::INT8_ARRAY, &mut out), Ok(IsNull::Yes)));
    }

    #[test]
    fn an_input_is_not_shown() {
        assert_eq!(format!("{:?}", Bound(&Value::Text("hunter2".into()))), "text");
    }
}
