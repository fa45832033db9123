//! From a manifest that a component gave to one that is proven: names, bounds, cross-references, statements, classes and
//! risk floors. Every fault is found in one pass, so that an author corrects them all at once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use lockgate_signing::encoding::closest;
use sha2::{Digest, Sha256};

use super::{
    arguments::CheckedParam,
    manifest::{Action, Manifest, Param, Risk},
    privileges,
};
use crate::{
    canonical::canonical_json,
    error::Code,
    outside::is_hidden,
    privilege::Privilege,
    statement::{self, Class, Mode, ProvenStatement, prove},
};

/// Actions of one pack. The stock pack has 48; a client drowns in more than a few hundred.
const MAX_ACTIONS: usize = 512;
/// Statements of one pack.
const MAX_STATEMENTS: usize = 1024;
/// Parameters of one action.
const MAX_PARAMS: usize = 32;
/// Characters of a title or a summary.
const MAX_LINE: usize = 200;
/// Characters of a description.
const MAX_PROSE: usize = 4000;

/// A rule that a manifest breaks, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which code of the closed list.
    pub code: Code,
    /// For example ``action `kill_idle`, parameter `older_than_seconds` ``.
    pub place: String,
    /// One sentence.
    pub message: String,
    /// For a fault of a statement: the statement's id, and the fault as its own prover says it.
    pub sql: Option<Box<(String, statement::Fault)>>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// A manifest that holds every rule. Only [`prove_manifest`] makes one.
#[derive(Debug)]
pub struct ProvenManifest {
    manifest: Manifest,
    digest: [u8; 32],
    actions: BTreeMap<String, Arc<ProvenAction>>,
    classes: BTreeSet<Class>,
}

/// An action whose statements are proven.
#[derive(Debug)]
pub struct ProvenAction {
    action: Action,
    params: Vec<CheckedParam>,
    run: HashMap<String, Arc<ProvenStatement>>,
    preview: HashMap<String, Arc<ProvenStatement>>,
    privileges: Vec<Privilege>,
    class: Class,
}

impl ProvenManifest {
    /// What the component declared.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the canonical JSON of the manifest.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// An action by its name without the pack's.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<&Arc<ProvenAction>> {
        self.actions.get(name)
    }

    /// All actions in the order of the manifest.
    pub fn actions(&self) -> impl Iterator<Item = &Arc<ProvenAction>> {
        self.manifest.actions.iter().filter_map(|a| self.actions.get(&a.name))
    }

    /// The classes of all statements.
    #[must_use]
    pub fn classes(&self) -> &BTreeSet<Class> {
        &self.classes
    }
}

impl ProvenAction {
    /// What was declared.
    #[must_use]
    pub fn declared(&self) -> &Action {
        &self.action
    }

    /// The parameters with their patterns compiled.
    pub(super) fn params(&self) -> &[CheckedParam] {
        &self.params
    }

    /// A statement that `run` may request.
    #[must_use]
    pub fn run_statement(&self, id: &str) -> Option<&Arc<ProvenStatement>> {
        self.run.get(id)
    }

    /// A statement that `preview` may request.
    #[must_use]
    pub fn preview_statement(&self, id: &str) -> Option<&Arc<ProvenStatement>> {
        self.preview.get(id)
    }

    /// Every statement the action may request, by id, once.
    #[must_use]
    pub fn statements(&self) -> BTreeMap<&str, &Arc<ProvenStatement>> {
        self.run.iter().chain(&self.preview).map(|(id, s)| (id.as_str(), s)).collect()
    }

    /// What it needs of its role in the database, in declared order.
    #[must_use]
    pub fn privileges(&self) -> &[Privilege] {
        &self.privileges
    }

    /// The strongest class among its statements.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn reads_only(&self) -> bool {
        self.run.values().all(|s| s.declaration().mode == Mode::Read)
    }
}

/// The lowest risk that an action with a statement of this class may declare.
#[must_use]
pub fn risk_floor(class: Class) -> Risk {
    match class {
        Class::Read => Risk::Low,
        Class::Data | Class::Maintain => Risk::Medium,
        Class::Signal | Class::Write => Risk::High,
    }
}

/// Proves a manifest, or lists everything that is wrong with it.
pub fn prove_manifest(manifest: Manifest) -> Result<ProvenManifest, Vec<Fault>> {
    let mut faults = Faults::default();
    header(&manifest, &mut faults);

    let mut statements = HashMap::new();
    if manifest.statements.len() > MAX_STATEMENTS {
        faults.manifest("manifest", format!("more than {MAX_STATEMENTS} statements"));
        return Err(faults.0);
    }
    for statement in &manifest.statements {
        match prove(statement) {
            Ok(proven) => {
                if statements.insert(statement.id.clone(), Arc::new(proven)).is_some() {
                    faults.manifest(format!("statement `{}`", statement.id), "declared twice");
                }
            }
            Err(found) => faults.0.extend(found.into_iter().map(|f| Fault {
                code: Code::StatementRefused,
                message: format!("{} (rule `{}`): {}", f.message, f.rule, f.remedy),
                place: f.place.clone(),
                sql: Some(Box::new((statement.id.clone(), f))),
            })),
        }
    }

    if manifest.actions.is_empty() || manifest.actions.len() > MAX_ACTIONS {
        faults.manifest("manifest", format!("a pack has 1 to {MAX_ACTIONS} actions"));
        return Err(faults.0);
    }
    let mut actions = BTreeMap::new();
    let mut used = BTreeSet::new();
    for action in &manifest.actions {
        let place = format!("action `{}`", action.name);
        if let Some(proven) = prove_action(action, &statements, &manifest, &mut used, &mut faults)
            && actions.insert(action.name.clone(), Arc::new(proven)).is_some()
        {
            faults.manifest(place, "declared twice");
        }
    }
    for statement in &manifest.statements {
        if !used.contains(statement.id.as_str()) {
            faults.manifest(format!("statement `{}`", statement.id), "no action requests it; remove it");
        }
    }
    if !faults.0.is_empty() {
        return Err(faults.0);
    }
    let classes = statements.values().map(|s| s.class()).collect();
    let digest = manifest_digest(&manifest);
    Ok(ProvenManifest { manifest, digest, actions, classes })
}

/// SHA-256 of the canonical JSON of a manifest: what the envelope's predicate carries.
#[must_use]
pub fn manifest_digest(manifest: &Manifest) -> [u8; 32] {
    let json = serde_json::to_value(manifest).unwrap_or(serde_json::Value::Null);
    Sha256::digest(canonical_json(&json).as_bytes()).into()
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn manifest(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { code: Code::ManifestInvalid, place: place.into(), message: message.into(), sql: None });
    }

    /// Text that people and models read: bounded, and without characters that could disguise it.
    fn prose(&mut self, place: &str, what: &str, text: &str, max: usize, may_be_empty: bool) {
        if text.trim().is_empty() && !may_be_empty {
            self.manifest(place, format!("the {what} is empty"));
        }
        if text.chars().count() > max {
            self.manifest(place, format!("the {what} is longer than {max} characters"));
        }
        if text.chars().any(|c| is_hidden(c) && c != '\n') {
            self.manifest(place, format!("the {what} has control or invisible characters"));
        }
    }

    fn name(&mut self, place: &str, name: &str) {
        if !is_name(name) {
            self.manifest(place, format!("`{}` is not a name: use `^[a-z][a-z0-9_]{{0,62}}$`", name.escape_debug()));
        }
    }
}

/// `^[a-z][a-z0-9_]{0,62}$`
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn header(manifest: &Manifest, faults: &mut Faults) {
    let place = "manifest";
    let name = &manifest.name;
    if name.len() > 63
        || !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    {
        faults.manifest(place, format!("`{}` is not a pack name: use `^[a-z][a-z0-9-]{{0,62}}$`", name.escape_debug()));
    }
    if name == "lockgate" {
        faults.manifest(place, "the name `lockgate` is reserved for the host's own tools");
    }
    faults.prose(place, "summary", &manifest.summary, MAX_LINE, false);
    if !manifest.homepage.is_empty()
        && (!manifest.homepage.starts_with("https://") || manifest.homepage.chars().any(|c| !c.is_ascii_graphic()))
    {
        faults.manifest(place, "the homepage is not an https address");
    }
}

fn prove_action(
    action: &Action,
    statements: &HashMap<String, Arc<ProvenStatement>>,
    manifest: &Manifest,
    used: &mut BTreeSet<String>,
    faults: &mut Faults,
) -> Option<ProvenAction> {
    let place = format!("action `{}`", action.name.escape_debug());
    let before = faults.0.len();
    faults.name(&place, &action.name);
    faults.prose(&place, "title", &action.title, MAX_LINE, false);
    faults.prose(&place, "description", &action.description, MAX_PROSE, false);
    faults.prose(&place, "side effects", &action.side_effects, MAX_PROSE, true);

    let params = prove_params(action, &place, faults);
    prove_search_terms(&place, &action.search_terms, faults);
    let mut lookup = |ids: &[String], phase: &str, faults: &mut Faults| {
        let mut found = HashMap::new();
        for id in ids {
            used.insert(id.clone());
            match statements.get(id) {
                Some(statement) => {
                    if found.insert(id.clone(), Arc::clone(statement)).is_some() {
                        faults.manifest(&*place, format!("names statement `{id}` twice for {phase}"));
                    }
                }
                None if manifest.statements.iter().any(|s| &s.id == id) => {}
                None => {
                    let near = closest(id, manifest.statements.iter().map(|s| s.id.as_str()));
                    let near = near.map(|near| format!("; did you mean `{}`", near.escape_debug())).unwrap_or_default();
                    let what = format!("names a statement `{}` that is not declared{near}", id.escape_debug());
                    faults.manifest(&*place, what);
                }
            }
        }
        found
    };
    let run = lookup(&action.run_statements, "run", faults);
    let preview = lookup(&action.preview_statements, "preview", faults);
    for (id, statement) in &preview {
        if statement.declaration().mode != Mode::Read {
            faults.manifest(&place, format!("previews with `{id}`, which is not of mode `read`"));
        }
    }
    if action.run_statements.is_empty() {
        faults.manifest(&place, "requests no statement");
    }
    let class = run.values().chain(preview.values()).map(|s| s.class()).max().unwrap_or(Class::Read);
    let changes = run.values().any(|s| s.declaration().mode != Mode::Read);
    if changes && action.side_effects.trim().is_empty() {
        faults.manifest(&place, "changes something and does not say what: declare its side effects");
    }
    let statements: Vec<_> = run.values().chain(preview.values()).collect();
    let complete = statements.len() == action.run_statements.len() + action.preview_statements.len();
    let privileges = privileges::prove(&action.privileges, class, &statements, complete).unwrap_or_else(|wrong| {
        wrong.into_iter().for_each(|message| faults.manifest(&place, message));
        Vec::new()
    });
    let floor = risk_floor(class);
    if action.risk < floor {
        faults.0.push(Fault {
            code: Code::RiskBelowFloor,
            sql: None,
            place: place.clone(),
            message: format!(
                "declares risk `{}`, and its statements ask for at least `{}`",
                action.risk.as_str(),
                floor.as_str()
            ),
        });
    }
    (faults.0.len() == before).then(|| ProvenAction { action: action.clone(), params, run, preview, privileges, class })
}

fn prove_params(action: &Action, place: &str, faults: &mut Faults) -> Vec<CheckedParam> {
    if action.params.len() > MAX_PARAMS {
        faults.manifest(place, format!("more than {MAX_PARAMS} parameters"));
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let mut params = Vec::new();
    for param in &action.params {
        let place = format!("{place}, parameter `{}`", param.name.escape_debug());
        faults.name(&place, &param.name);
        if RESERVED_PARAMS.contains(&param.name.as_str()) {
            faults.manifest(&place, "the name is the host's own");
        }
        if !seen.insert(&param.name) {
            faults.manifest(&place, "declared twice");
        }
        faults.prose(&place, "description", &param.description, MAX_PROSE, false);
        match prove_param(param) {
            Ok(checked) => params.push(checked),
            Err(message) => faults.manifest(&place, message),
        }
    }
    for (i, example) in action.examples.iter().enumerate() {
        let place = format!("{place}, example {}", i + 1);
        faults.prose(&place, "situation", &example.situation, MAX_LINE, false);
        match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&example.arguments) {
            Ok(arguments) if params.len() == action.params.len() => {
                if let Err(problems) = super::arguments::check(&params, &arguments) {
                    let text: Vec<_> = problems.iter().map(|p| format!("`{}` {}", p.argument, p.message)).collect();
                    faults.manifest(&place, format!("its arguments would be refused: {}", text.join("; ")));
                }
            }
            Ok(_) => {}
            Err(_) => faults.manifest(&place, "its arguments are no JSON object"),
        }
    }
    params
}

/// Most search terms of one action: a list that is longer describes every question.
const MAX_SEARCH_TERMS: usize = 32;
/// Most characters of one search term.
const MAX_SEARCH_TERM: usize = 60;

fn prove_search_terms(place: &str, terms: &[String], faults: &mut Faults) {
    if terms.len() > MAX_SEARCH_TERMS {
        let count = terms.len();
        faults.manifest(
            place,
            format!("has {count} search terms and may have {MAX_SEARCH_TERMS}: keep those that people say"),
        );
    }
    let mut seen = BTreeSet::new();
    for (i, term) in terms.iter().enumerate() {
        let place = format!("{place}, search term {}", i + 1);
        let well_formed = (2..=MAX_SEARCH_TERM).contains(&term.len())
            && term.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && term.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b" _./+-".contains(&b));
        if !well_formed {
            faults.manifest(
                &place,
                "is not 2 to 60 lower-case letters, digits, spaces and `_ . / + -` that begin with a letter or a digit",
            );
        }
        if !seen.insert(term) {
            faults.manifest(&place, "declared twice: leave one out");
        }
    }
}

/// Names that the host adds to every action's arguments.
pub const RESERVED_PARAMS: &[&str] = &["reason", "target", "operation_id", "evidence", "expected"];

fn prove_param(param: &Param) -> Result<CheckedParam, String> {
    CheckedParam::new(param)
}
