//! What a host takes and an author should think about: warnings. Each has a stable name, which docs/packs/authoring.md lists.

use super::{Finding, Severity};
use crate::{
    pack::{
        manifest::{Action, Manifest, ParamKind},
        prove::{ProvenAction, ProvenManifest},
    },
    privilege::Privilege,
    statement::{Class, Mode, Role, SUPPORTED, Statement, Variant, WhenEmpty, tokens},
};

/// The names of all practices, as the page lists them.
pub const PRACTICES: &[&str] = &[
    "homepage",
    "description",
    "examples",
    "search-terms",
    "bounds",
    "preview",
    "pins",
    "privileges",
    "standby",
    "versions",
    "limit",
    "order",
    "timeout",
];

/// Shorter ones don't say when to use an action and when another.
const SHORT_DESCRIPTION: usize = 40;
/// A read that takes longer keeps an incident waiting.
const LONG_READ_MS: u32 = 60_000;

pub(super) fn look(manifest: &Manifest, proven: Option<&ProvenManifest>, out: &mut Vec<Finding>) {
    let mut warn = |rule: &'static str, place: &str, message: String, help: &str| {
        debug_assert!(PRACTICES.contains(&rule), "{rule}");
        out.push(Finding {
            severity: Severity::Warning,
            rule: rule.to_owned(),
            place: place.to_owned(),
            sql: None,
            message,
            help: help.to_owned(),
        });
    };
    if manifest.homepage.is_empty() {
        let help = "say where its sources and its maintainers are, as an https address";
        warn("homepage", "manifest", "it names no homepage".to_owned(), help);
    }
    for action in &manifest.actions {
        declared(action, &mut warn);
    }
    // What is not proven has its errors first.
    for action in proven.into_iter().flat_map(ProvenManifest::actions) {
        proven_action(action, &mut warn);
    }
    for statement in &manifest.statements {
        texts(statement, &mut warn);
    }
}

fn declared(action: &Action, warn: &mut impl FnMut(&'static str, &str, String, &str)) {
    let place = &format!("action `{}`", action.name);
    if action.description.chars().count() < SHORT_DESCRIPTION || action.description == action.title {
        let help = "say what it shows or does, when to use it, and what to use instead when it does not fit";
        warn("description", place, "its description says little".to_owned(), help);
    }
    if action.examples.is_empty() {
        let help = "add a situation in the words of somebody on call, with the arguments that fit it";
        warn("examples", place, "it has no example".to_owned(), help);
    }
    if action.search_terms.is_empty() {
        let help = "add three to ten words for it that the name and the title lack: symptoms, other names";
        warn("search-terms", place, "it has no search terms".to_owned(), help);
    }
    for param in &action.params {
        let unbounded = match &param.kind {
            ParamKind::Integer { min, max } => *min == i64::MIN || *max == i64::MAX,
            ParamKind::Number { min, max } => *min <= f64::MIN || *max >= f64::MAX,
            _ => false,
        };
        if unbounded {
            let place = format!("{place}, argument `{}`", param.name);
            let help = "bound it by what makes sense: policy and people rely on it";
            warn("bounds", &place, "its bounds are those of its type".to_owned(), help);
        }
    }
}

fn proven_action(action: &ProvenAction, warn: &mut impl FnMut(&'static str, &str, String, &str)) {
    let declared = action.declared();
    let place = &format!("action `{}`", declared.name);
    let statements = action.statements();
    let acts = |mode: Mode| statements.values().any(|s| s.declaration().mode == mode);
    if acts(Mode::Act) && declared.preview_statements.is_empty() {
        let help = "give it a preview that shows what would be hit: otherwise people decide on the arguments alone";
        warn("preview", place, "it acts and has no preview".to_owned(), help);
    }
    for statement in statements.values().map(|s| s.declaration()) {
        if statement.mode == Mode::Act && statement.when_empty == WhenEmpty::Fine {
            let message = format!("its statement `{}` takes no row as an answer like any other", statement.id);
            let help = "pin what was approved and match it (`must_match`, when-empty `target-changed`): then the host \
                        refuses when the world has changed in between";
            warn("pins", place, message, help);
        }
    }
    let declares = |privilege: &Privilege| action.privileges().contains(privilege);
    let role = |name: &str| declares(&Privilege::Role(name.to_owned()));
    if action.class() == Class::Signal && !role("pg_signal_backend") {
        let help = "declare `pg_signal_backend`: `lockgate doctor` tells operators what to grant from this";
        warn("privileges", place, "it signals backends and does not say what it needs for that".to_owned(), help);
    }
    for extension in statements.values().flat_map(|s| &s.declaration().variants).filter_map(|v| v.extension.as_ref()) {
        if !declares(&Privilege::Extension(extension.name.clone())) {
            let message = format!("a statement needs `{}` and the action does not say so", extension.name);
            let help = format!("declare the privilege `extension {}`", extension.name);
            warn("privileges", place, message, &help);
            break;
        }
    }
    if declared.works_on_standby && (acts(Mode::Maintain) || action.class() == Class::Write) {
        let help = "say that it does not: a standby refuses such a statement";
        warn(
            "standby",
            place,
            "it says that it works on a standby, and changes or maintains something".to_owned(),
            help,
        );
    }
}

fn texts(statement: &Statement, warn: &mut impl FnMut(&'static str, &str, String, &str)) {
    let place = &format!("statement `{}`", statement.id);
    if let Some(missing) = uncovered(statement) {
        let help = "add a variant for it, or say with min-version and below-version that it begins later or ends there";
        warn("versions", place, format!("no variant is for PostgreSQL {missing}, though others are around it"), help);
    }
    if statement.mode == Mode::Read && statement.timeout_ms > LONG_READ_MS {
        let message = format!("it may take {} s", statement.timeout_ms / 1000);
        let help = "keep a read within a minute: somebody on call waits for it";
        warn("timeout", place, message, help);
    }
    let plural = statement.mode == Mode::Read && statement.max_rows > 1;
    let words: Vec<Vec<String>> = statement.variants.iter().map(words).collect();
    let all = |word: &str| words.iter().all(|text| text.iter().any(|w| w == word));
    let any = |word: &str| words.iter().any(|text| text.iter().any(|w| w == word));
    if plural && !all("limit") && !all("fetch") {
        let message = format!("nothing bounds its rows, and a call fails at more than {}", statement.max_rows);
        warn("limit", place, message, "end it with LIMIT, by an argument or a constant");
    } else if plural && any("limit") && !all("order") {
        let help = "say ORDER BY: otherwise it is chance which rows are shown";
        warn("order", place, "it has LIMIT and no ORDER BY".to_owned(), help);
    }
}

/// The first major version without a variant between two that have one.
fn uncovered(statement: &Statement) -> Option<u32> {
    let has = |major: u32| {
        [Role::Primary, Role::Standby].into_iter().any(|role| statement.variants.iter().any(|v| v.is_for(major, role)))
    };
    let covered: Vec<u32> = SUPPORTED.filter(|major| has(*major)).collect();
    let (first, last) = (covered.first()?, covered.last()?);
    (*first..*last).find(|major| !covered.contains(major))
}

/// The tokens of a variant's text in lower case; a literal is no word.
fn words(variant: &Variant) -> Vec<String> {
    let Ok(tokens) = tokens(&variant.sql) else { return Vec::new() };
    let text = |start: i32, end: i32| variant.sql.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?);
    tokens.iter().filter_map(|token| text(token.start, token.end)).map(str::to_lowercase).collect()
}
