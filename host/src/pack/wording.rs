//! What a manifest declares, in words: the same for a reviewer at a terminal and for the reference page. Nothing here is
//! escaped: whoever shows it knows where.

use std::collections::BTreeSet;

use super::{
    manifest::{Param, ParamKind},
    prove::ProvenAction,
};
use crate::{
    statement::{ExtensionRange, Mode, Role, SUPPORTED, Statement, Variant},
    value::Value,
};

/// A server as far as variants tell servers apart: its major version, and whether it is a standby.
type Place = (u32, bool);

/// The type of an argument, with its bounds.
#[must_use]
pub fn kind(param: &Param) -> String {
    match &param.kind {
        ParamKind::Boolean => "boolean".to_owned(),
        ParamKind::Integer { min, max } => format!("integer {min} to {max}"),
        ParamKind::Number { min, max } => format!("number {min} to {max}"),
        ParamKind::Text { max_length, pattern } => format!("text up to {max_length} matching {pattern}"),
        ParamKind::Identifier => "identifier".to_owned(),
        ParamKind::Choice { options } => format!("one of {}", options.join(", ")),
    }
}

/// Whether an argument must be given, and what it is if it isn't.
#[must_use]
pub fn need(param: &Param) -> String {
    match (&param.default, param.required) {
        (_, true) => "required".to_owned(),
        (Value::Null, false) => "optional".to_owned(),
        (Value::Text(text), false) => format!("default {text}"),
        (value, false) => format!("default {}", value.to_json()),
    }
}

/// A statement's mode, its rows and its time.
#[must_use]
pub fn limits(statement: &Statement) -> String {
    let mode = match statement.mode {
        Mode::Read => "read",
        Mode::Act => "act",
        Mode::Maintain => "maintain",
    };
    let rows = match (statement.mode, statement.max_rows) {
        (Mode::Maintain, _) => String::new(),
        (_, 1) => ", one row".to_owned(),
        (_, rows) => format!(", up to {rows} rows"),
    };
    let time = match statement.timeout_ms {
        0 => "no time limit".to_owned(),
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    };
    format!("{mode}{rows}, {time}")
}

/// What calling an action once more does, where it does anything.
#[must_use]
pub fn twice(action: &ProvenAction) -> Option<&'static str> {
    let words = if action.declared().idempotent { "does no more than once" } else { "acts again" };
    (!action.reads_only()).then_some(words)
}

/// `name(input, input)`
#[must_use]
pub fn signature(statement: &Statement) -> String {
    let inputs: Vec<&str> = statement.inputs.iter().map(|i| i.name.as_str()).collect();
    format!("{}({})", statement.id, inputs.join(", "))
}

/// Which servers a variant is for.
#[must_use]
pub fn servers(variant: &Variant) -> String {
    let range = match (variant.min_version, variant.below_version) {
        (0, 0) => "every version".to_owned(),
        (min, 0) => format!("PostgreSQL {min} and later"),
        (0, below) => format!("PostgreSQL before {below}"),
        (min, below) if min + 1 == below => format!("PostgreSQL {min}"),
        (min, below) => format!("PostgreSQL {min} to {}", below - 1),
    };
    let role = match variant.role {
        Role::Any => "",
        Role::Primary => ", on a primary",
        Role::Standby => ", on a standby",
    };
    let extension = variant.extension.as_ref().map(|range| format!(", with {}", extension(range)));
    format!("{range}{role}{}", extension.unwrap_or_default())
}

fn extension(range: &ExtensionRange) -> String {
    let ExtensionRange { name, min, below } = range;
    match (min.is_empty(), below.is_empty()) {
        (true, true) => name.clone(),
        (false, true) => format!("{name} {min} and later"),
        (true, false) => format!("{name} before {below}"),
        (false, false) => format!("{name} {min} to before {below}"),
    }
}

/// The servers, of those that this build knows, that every one of these statements has a variant for, of those statements
/// that are for a primary, or a standby, at all; and the extensions that their variants ask for.
#[must_use]
pub fn reach(statements: &[&Statement], on_standby: bool) -> String {
    let fits = |statement: &Statement, (major, standby): Place| {
        let role = if standby { Role::Standby } else { Role::Primary };
        statement.variants.iter().any(|variant| variant.is_for(major, role))
    };
    // A statement that is for standbys only is not asked of a primary: a pack that has one looks first where it is.
    let asked = |statement: &Statement, standby: bool| SUPPORTED.clone().any(|major| fits(statement, (major, standby)));
    let reached = |place: &Place| {
        let mut of = statements.iter().filter(|statement| asked(statement, place.1)).peekable();
        of.peek().is_some() && of.all(|statement| fits(statement, *place))
    };
    let everywhere = SUPPORTED.flat_map(|major| [(major, false), (major, true)]);
    let places: Vec<Place> = everywhere.filter(|place| (on_standby || !place.1) && reached(place)).collect();
    let majors = |standby: bool| ranges(places.iter().filter(|p| p.1 == standby).map(|p| p.0));
    let words = match (majors(false), majors(true)) {
        (primary, standby) if primary.is_empty() && standby.is_empty() => "none that this build knows".to_owned(),
        (primary, standby) if primary == standby => format!("PostgreSQL {primary}, primary and standby"),
        (primary, standby) if standby.is_empty() => format!("PostgreSQL {primary}, primary only"),
        (primary, standby) if primary.is_empty() => format!("PostgreSQL {standby}, standby only"),
        (primary, standby) => format!("PostgreSQL {primary} as primary, {standby} as standby"),
    };
    let extensions: BTreeSet<&str> = statements
        .iter()
        .flat_map(|s| &s.variants)
        .filter_map(|v| v.extension.as_ref())
        .map(|extension| extension.name.as_str())
        .collect();
    let with: String = extensions.iter().map(|name| format!(", with the extension {name}")).collect();
    format!("{words}{with}")
}

/// `13 to 15, 17`
fn ranges(majors: impl Iterator<Item = u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for major in majors {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == major => *last = major,
            _ => ranges.push((major, major)),
        }
    }
    let words = |(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first} to {last}") }
    };
    ranges.iter().map(words).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::statement::WhenEmpty;

    fn variant(min: u32, below: u32, role: Role, extension: Option<(&str, &str)>) -> Variant {
        Variant {
            min_version: min,
            below_version: below,
            extension: extension.map(|(min, below)| ExtensionRange {
                name: "pg_stat_statements".into(),
                min: min.into(),
                below: below.into(),
            }),
            role,
            sql: "SELECT 1".into(),
        }
    }

    fn statement(variants: Vec<Variant>) -> Statement {
        Statement {
            id: "s".into(),
            mode: Mode::Read,
            inputs: Vec::new(),
            columns: Vec::new(),
            variants,
            max_rows: 20,
            timeout_ms: 5_000,
            when_empty: WhenEmpty::Fine,
        }
    }

    #[test]
    fn servers_of_a_variant() {
        for (min, below, role, extension, words) in [
            (0, 0, Role::Any, None, "every version"),
            (14, 0, Role::Standby, None, "PostgreSQL 14 and later, on a standby"),
            (0, 14, Role::Primary, None, "PostgreSQL before 14, on a primary"),
            (14, 17, Role::Any, None, "PostgreSQL 14 to 16"),
            (17, 18, Role::Any, Some(("", "")), "PostgreSQL 17, with pg_stat_statements"),
            (0, 0, Role::Any, Some(("1.8", "")), "every version, with pg_stat_statements 1.8 and later"),
            (0, 0, Role::Any, Some(("1.8", "1.11")), "every version, with pg_stat_statements 1.8 to before 1.11"),
            (0, 0, Role::Any, Some(("", "1.11")), "every version, with pg_stat_statements before 1.11"),
        ] {
            assert_eq!(servers(&variant(min, below, role, extension)), words);
        }
    }

    #[test]
    fn reach_is_where_all_statements_run() {
        let any = statement(vec![variant(0, 0, Role::Any, None)]);
        let late = statement(vec![variant(14, 16, Role::Any, None), variant(17, 0, Role::Any, Some(("1.8", "")))]);
        let split = statement(vec![variant(0, 0, Role::Primary, None), variant(16, 0, Role::Standby, None)]);
        let standby = statement(vec![variant(0, 0, Role::Standby, None)]);
        let of = |statements: &[&Statement], on_standby| reach(statements, on_standby);
        assert_eq!(of(&[&any], true), "PostgreSQL 13 to 18, primary and standby");
        assert_eq!(of(&[&any], false), "PostgreSQL 13 to 18, primary only");
        assert_eq!(
            of(&[&any, &late], true),
            "PostgreSQL 14 to 15, 17 to 18, primary and standby, with the extension pg_stat_statements"
        );
        assert_eq!(of(&[&split], true), "PostgreSQL 13 to 18 as primary, 16 to 18 as standby");
        assert_eq!(of(&[&standby], true), "PostgreSQL 13 to 18, standby only");
        assert_eq!(of(&[&any, &standby], true), "PostgreSQL 13 to 18, primary and standby");
        assert_eq!(
            of(&[&any, &late, &standby], false),
            "PostgreSQL 14 to 15, 17 to 18, primary only, with the extension pg_stat_statements"
        );
        let primary = statement(vec![variant(0, 0, Role::Primary, None)]);
        assert_eq!(of(&[&primary, &standby], true), "PostgreSQL 13 to 18, primary and standby");
        assert_eq!(of(&[&statement(vec![variant(12, 13, Role::Any, None)])], true), "none that this build knows");
    }

    #[test]
    fn limits_say_rows_and_time() {
        let mut s = statement(Vec::new());
        assert_eq!(limits(&s), "read, up to 20 rows, 5 s");
        (s.max_rows, s.timeout_ms) = (1, 1_500);
        assert_eq!(limits(&s), "read, one row, 1500 ms");
        (s.mode, s.timeout_ms) = (Mode::Maintain, 0);
        assert_eq!(limits(&s), "maintain, no time limit");
    }
}
