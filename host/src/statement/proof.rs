//! The proof: from a declaration that nobody has checked to a [`ProvenStatement`], or every fault at once.
//!
//! What is proven holds for the text that will be sent, for each variant: one statement, of a kind that fits the mode, made
//! of allowed constructs only, its inputs and columns as declared, and its class taken from the parse tree.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{
    Class, InputKind, Mode, Statement, Variant,
    grammar::{self, Tree},
    output, parse,
    placeholders::{self, EXTENSION_SCHEMA, Placeholder},
    version,
};

/// More is no statement that a person reviews.
pub(super) const MAX_SQL_BYTES: usize = 32 << 10;
/// One variant a major version and role, with room.
const MAX_VARIANTS: usize = 64;
/// `FUNC_MAX_ARGS` bounds what PostgreSQL functions take; no action comes near.
const MAX_INPUTS: usize = 64;
/// A result wider than this is no table that a person reads.
const MAX_COLUMNS: usize = 128;
/// As the contract says.
const MAX_ROWS: u32 = 10_000;
const MAX_TIMEOUT_MS: u32 = 3_600_000;
/// A hostile text could break a rule at each token; nobody reads more.
const MAX_FAULTS: usize = 50;

/// One rule that a statement breaks, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The statement and variant, for example ``statement `locks`, variant 2 (14 ≤ version < 17)``.
    pub place: String,
    /// The rule's stable name, as the reference page lists it.
    pub rule: &'static str,
    /// What is wrong, with line and column in the variant's text where there is one place.
    pub message: String,
    /// What would be right.
    pub remedy: &'static str,
    /// The one place in a variant's text, where there is one.
    pub spot: Option<Spot>,
}

/// A place in the text of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Which variant, from 0.
    pub variant: usize,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (rule `{}`): {}", self.place, self.message, self.rule, self.remedy)
    }
}

/// A fault before its place is written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) rule: &'static str,
    /// Byte offset in the variant's text.
    pub(super) at: Option<usize>,
    pub(super) message: String,
    pub(super) remedy: &'static str,
}

impl Finding {
    pub(super) fn new(rule: &'static str, at: Option<usize>, message: impl Into<String>, remedy: &'static str) -> Self {
        Self { rule, at, message: message.into(), remedy }
    }
}

/// A statement of which everything above has been shown. Only [`prove`] makes it.
#[derive(Clone, Debug)]
pub struct ProvenStatement {
    pub(super) declaration: Arc<Statement>,
    pub(super) class: Class,
    pub(super) touches: Arc<BTreeSet<String>>,
    /// For each variant of the declaration, where its placeholders stand.
    pub(super) placeholders: Arc<[Vec<Placeholder>]>,
    pub(super) id: Arc<str>,
    pub(super) columns: Arc<[crate::value::Column]>,
}

impl ProvenStatement {
    /// What the pack declared.
    #[must_use]
    pub fn declaration(&self) -> &Statement {
        &self.declaration
    }

    /// The authority it needs; the same for all its variants.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// The relations (`pg_catalog.pg_class`) and functions (`pg_catalog.now()`) that it names, over all variants; those of an
    /// extension as `pg_stat_statements:pg_stat_statements`, a placeholder with a colon before it.
    #[must_use]
    pub fn touches(&self) -> &BTreeSet<String> {
        &self.touches
    }
}

/// Proves a statement, or says everything that is wrong with it.
///
/// # Errors
///
/// At least one and at most fifty [`Fault`]s.
pub fn prove(statement: &Statement) -> Result<ProvenStatement, Vec<Fault>> {
    let place = format!("statement `{}`", shown(&statement.id));
    let mut faults: Vec<Fault> =
        check_header(statement).into_iter().map(|finding| finding.at_place(&place, None)).collect();
    let mut proven: Vec<(Class, Vec<Placeholder>)> = Vec::new();
    let mut touches = BTreeSet::new();
    for (index, variant) in statement.variants.iter().enumerate().take(MAX_VARIANTS) {
        match prove_variant(statement, variant) {
            Ok(ProvenVariant { class, placeholders, touches: named }) => {
                proven.push((class, placeholders));
                touches.extend(named);
            }
            Err(findings) => {
                let place = format!("{place}, variant {} ({})", index + 1, version::describe(variant));
                faults
                    .extend(findings.into_iter().map(|finding| finding.at_place(&place, Some((index, &variant.sql)))));
            }
        }
        if faults.len() >= MAX_FAULTS {
            break;
        }
    }
    let classes: BTreeSet<Class> = proven.iter().map(|(class, _)| *class).collect();
    if classes.len() > 1 {
        let message = format!("its variants are of different classes: {classes:?}").to_lowercase();
        faults.push(Finding::new("class", None, message, "make two statements of it").at_place(&place, None));
    }
    match (faults.is_empty(), classes.last()) {
        (true, Some(class)) => Ok(ProvenStatement {
            declaration: Arc::new(statement.clone()),
            class: *class,
            touches: Arc::new(touches),
            placeholders: proven.into_iter().map(|(_, placeholders)| placeholders).collect(),
            id: statement.id.as_str().into(),
            columns: statement.columns.clone().into(),
        }),
        _ => {
            faults.truncate(MAX_FAULTS);
            Err(faults)
        }
    }
}

impl Finding {
    /// `variant`: which one, and its text.
    fn at_place(self, place: &str, variant: Option<(usize, &str)>) -> Fault {
        let spot = variant.and_then(|(variant, sql)| {
            let (line, column) = line_and_column(sql, self.at?)?;
            Some(Spot { variant, line, column })
        });
        let message = match spot {
            Some(Spot { line, column, .. }) => format!("line {line}, column {column}: {}", self.message),
            None => self.message,
        };
        Fault { place: place.to_owned(), rule: self.rule, message, remedy: self.remedy, spot }
    }
}

/// Both from 1, in characters.
fn line_and_column(sql: &str, at: usize) -> Option<(usize, usize)> {
    let before = sql.get(..at)?;
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Some((line, before.get(start..)?.chars().count() + 1))
}

/// Text of a pack that goes into a message before it has passed any rule.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

/// `^[a-z][a-z0-9_]{0,62}$`
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn check_header(statement: &Statement) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut check = |holds: bool, rule, message: String, remedy| {
        if !holds {
            findings.push(Finding::new(rule, None, message, remedy));
        }
    };
    let maintain = statement.mode == Mode::Maintain;
    check(is_name(&statement.id), "names", "its id is not well-formed".to_owned(), "use ^[a-z][a-z0-9_]{0,62}$");
    check(
        (1..=MAX_ROWS).contains(&statement.max_rows),
        "bounds",
        format!("max-rows is {}", statement.max_rows),
        "use 1 to 10,000",
    );
    let untimed = maintain && statement.timeout_ms == 0;
    check(
        untimed || (1..=MAX_TIMEOUT_MS).contains(&statement.timeout_ms),
        "bounds",
        format!("timeout-ms is {}", statement.timeout_ms),
        "use 1 to 3,600,000; only a `maintain` statement may say 0",
    );
    let (inputs, columns, variants) = (statement.inputs.len(), statement.columns.len(), statement.variants.len());
    check(inputs <= MAX_INPUTS, "bounds", format!("it has {inputs} inputs"), "use at most 64");
    check(columns <= MAX_COLUMNS, "bounds", format!("it has {columns} columns"), "use at most 128");
    check((1..=MAX_VARIANTS).contains(&variants), "bounds", format!("it has {variants} variants"), "use 1 to 64");
    check(
        maintain == statement.columns.is_empty(),
        "columns",
        "a `maintain` statement has no columns and every other has some".to_owned(),
        "declare the columns that the statement returns",
    );
    let mut names = BTreeSet::new();
    for input in &statement.inputs {
        let name = shown(&input.name);
        check(
            is_name(&input.name),
            "names",
            format!("input `{name}` is not well-formed"),
            "use ^[a-z][a-z0-9_]{0,62}$",
        );
        check(names.insert(input.name.as_str()), "names", format!("input `{name}` is there twice"), "rename one");
        check(
            input.name != EXTENSION_SCHEMA,
            "names",
            format!("input `{name}` has the name of a placeholder of the host"),
            "rename it",
        );
        check(
            (input.kind == InputKind::Identifier) == maintain,
            "placeholders",
            format!("input `{name}`: identifiers are inputs of `maintain` statements, which have no others"),
            "bind it as text and compare names with it",
        );
    }
    let mut names = BTreeSet::new();
    for column in &statement.columns {
        let name = shown(&column.name);
        let plain = (1..=63).contains(&column.name.len()) && !column.name.chars().any(char::is_control);
        check(
            plain,
            "names",
            format!("column `{name}` is empty, too long or has control characters"),
            "use 1 to 63 bytes",
        );
        check(names.insert(column.name.as_str()), "names", format!("column `{name}` is there twice"), "rename one");
    }
    findings.extend(version::check(&statement.variants));
    findings
}

/// What is known of a variant that holds.
struct ProvenVariant {
    class: Class,
    placeholders: Vec<Placeholder>,
    touches: BTreeSet<String>,
}

fn prove_variant(statement: &Statement, variant: &Variant) -> Result<ProvenVariant, Vec<Finding>> {
    let scanned = placeholders::scan(&variant.sql)?;
    let node = parse::parse_one(&scanned.parseable).map_err(|finding| vec![finding])?;
    let extension = variant.extension.as_ref().map(|range| range.name.as_str());
    let tree = grammar::walk(&node, statement.mode, extension);
    let mut findings = check_inputs(statement, variant, &scanned.placeholders, &tree);
    if tree.findings.is_empty() {
        findings.extend(output::check(&node, &statement.columns, tree.names));
    }
    findings.splice(..0, tree.findings);
    if !findings.is_empty() {
        return Err(findings);
    }
    Ok(ProvenVariant { class: tree.class, placeholders: scanned.placeholders, touches: tree.touches })
}

/// Placeholders and parameters against what is declared.
fn check_inputs(statement: &Statement, variant: &Variant, found: &[Placeholder], tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let identifiers = statement.inputs.iter().filter(|input| input.kind == InputKind::Identifier);
    for Placeholder { name, span } in found {
        let problem = match (name == EXTENSION_SCHEMA, &variant.extension) {
            (true, Some(_)) => continue,
            (true, None) => "stands for the schema of an extension, and the variant names none",
            (false, _) if identifiers.clone().any(|input| input.name == *name) => continue,
            (false, _) => "is no declared input of type identifier",
        };
        let message = format!("placeholder `{}` {problem}", shown(name));
        findings.push(Finding::new("placeholders", Some(span.start), message, "declare it, or bind a parameter"));
    }
    for input in identifiers {
        if !found.iter().any(|placeholder| placeholder.name == input.name) {
            let message = format!("input `{}` is not used", shown(&input.name));
            findings.push(Finding::new("placeholders", None, message, "write it as :\"name\" or remove it"));
        }
    }
    if tree.placeholders != found.len() {
        let message = "a placeholder stands where no schema, relation or index name is expected";
        findings.push(Finding::new("placeholders", None, message, "bind a parameter instead"));
    }
    let bound = statement.inputs.iter().filter(|input| input.kind != InputKind::Identifier).count();
    for (number, at) in &tree.parameters {
        if usize::try_from(*number).map_or(true, |number| number == 0 || number > bound) {
            let message = format!("${number} has no declared input: there are {bound}");
            findings.push(Finding::new("parameters", Some(*at), message, "use $1 to $n in declared order"));
        }
    }
    for number in 1..=bound {
        if !tree.parameters.keys().any(|used| usize::try_from(*used) == Ok(number)) {
            let message = format!("${number} is declared and not used");
            findings.push(Finding::new("parameters", None, message, "use every input in every variant"));
        }
    }
    findings
}
