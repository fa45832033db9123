//! The packs that were admitted, and their actions by the names that agents use. Immutable; a change makes a new one.

use std::{collections::BTreeMap, sync::Arc};

use lockgate_signing::{encoding::hex, glob, verify::VerifiedComponent};
use serde_json::{Map, Value as Json};

use super::{
    arguments::{self, CheckedArguments},
    prove::{ProvenAction, ProvenManifest},
    sandbox::Guest,
};
use crate::{
    error::{Code, Problem, Refusal},
    outside::shown,
    value::Value,
};

/// Problems that a component may report of one call, and characters of each.
const PROBLEMS: usize = 32;
const PROBLEM: usize = 500;

/// An admitted pack: its component verified, its manifest proven and equal to what was signed. Only admission makes one.
pub struct TrustedPack {
    verified: VerifiedComponent,
    digest: String,
    manifest: ProvenManifest,
    guest: Guest,
}

/// Arguments that the host and the component have both checked. Only [`Entry::validate`] makes them.
#[derive(Clone, Debug)]
pub struct ValidatedArgs(CheckedArguments);

impl ValidatedArgs {
    /// In declared order.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        self.0.values()
    }

    /// By name, defaults filled in.
    #[must_use]
    pub fn json(&self) -> &Map<String, Json> {
        self.0.json()
    }
}

impl TrustedPack {
    pub(super) fn new(verified: VerifiedComponent, manifest: ProvenManifest, guest: Guest) -> Self {
        let digest = hex(&verified.digest());
        Self { verified, digest, manifest, guest }
    }

    /// Hex SHA-256 of the component.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What was proven of it.
    #[must_use]
    pub fn manifest(&self) -> &ProvenManifest {
        &self.manifest
    }

    /// What was verified of it: predicate, signers, grant.
    #[must_use]
    pub fn verified(&self) -> &VerifiedComponent {
        &self.verified
    }

    /// Its code.
    #[must_use]
    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// Whether the publisher's grant covers a target.
    #[must_use]
    pub fn may_use_target(&self, target: &str) -> bool {
        self.verified.grant().targets.iter().any(|pattern| glob::matches(pattern, target))
    }
}

/// One action of one pack.
#[derive(Clone)]
pub struct Entry {
    /// `pack.action`.
    pub name: Arc<str>,
    /// Its pack.
    pub pack: Arc<TrustedPack>,
    /// Its proven declaration.
    pub action: Arc<ProvenAction>,
}

impl Entry {
    /// Checks a call's arguments twice: by the declaration, then by the component.
    pub async fn validate(&self, arguments: &Map<String, Json>) -> Result<ValidatedArgs, Refusal> {
        let checked =
            arguments::check(self.action.params(), arguments).map_err(|problems| invalid(&self.name, problems))?;
        let problems = self.pack.guest.validate(&self.action.declared().name, checked.values()).await?;
        if problems.is_empty() {
            return Ok(ValidatedArgs(checked));
        }
        let problems = problems.into_iter().take(PROBLEMS).map(|problem| self.cleaned(problem)).collect();
        Err(invalid(&self.name, problems))
    }

    /// A component's problem as it may leave the host: about an argument that there is, in a bounded text without disguise.
    fn cleaned(&self, problem: Problem) -> Problem {
        let declared = self.action.declared().params.iter().any(|param| param.name == problem.argument);
        let message = shown(&problem.message, PROBLEM);
        Problem { argument: if declared { problem.argument } else { String::new() }, message }
    }

    /// A call's arguments by the declaration alone: defaults filled in, what was left out absent. Nothing is run with them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn checked(&self, arguments: &Map<String, Json>) -> Result<Map<String, Json>, Vec<Problem>> {
        arguments::check(self.action.params(), arguments).map(|checked| checked.json().clone())
    }

    /// What is wrong with a call's arguments by the declaration alone.
    #[must_use]
    pub fn problems(&self, arguments: &Map<String, Json>) -> Vec<Problem> {
        arguments::check(self.action.params(), arguments).err().unwrap_or_default()
    }
}

/// The refusal of a call for everything that is wrong with it.
#[must_use]
pub fn invalid(action: &str, problems: Vec<Problem>) -> Refusal {
    let text: Vec<_> = problems
        .iter()
        .map(|p| if p.argument.is_empty() { p.message.clone() } else { format!("`{}` {}", p.argument, p.message) })
        .collect();
    Refusal::new(Code::InvalidArguments, format!("`{action}`: {}", text.join("; "))).with_problems(problems)
}

/// All actions of all admitted packs.
#[derive(Clone, Default)]
pub struct Catalog {
    packs: BTreeMap<String, Arc<TrustedPack>>,
    actions: BTreeMap<String, Entry>,
}

impl Catalog {
    /// Adds a pack. The later of two versions of a pack stays.
    pub fn add(&mut self, pack: impl Into<Arc<TrustedPack>>) {
        let pack: Arc<TrustedPack> = pack.into();
        let name = pack.manifest.manifest().name.clone();
        self.actions.retain(|_, entry| entry.pack.manifest.manifest().name != name);
        for action in pack.manifest.actions() {
            let full = format!("{name}.{}", action.declared().name);
            let entry = Entry { name: full.as_str().into(), pack: Arc::clone(&pack), action: Arc::clone(action) };
            self.actions.insert(full, entry);
        }
        self.packs.insert(name, pack);
    }

    /// An action by its full name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.actions.get(name)
    }

    /// All actions, packs by name and actions in the order of their manifest.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let actions = &self.actions;
        self.packs.iter().flat_map(move |(name, pack)| {
            pack.manifest.actions().filter_map(move |a| actions.get(&format!("{name}.{}", a.declared().name)))
        })
    }

    /// All packs by name.
    pub fn packs(&self) -> impl Iterator<Item = &Arc<TrustedPack>> {
        self.packs.values()
    }

    /// The full names nearest to one that does not exist, among those that may be told.
    #[must_use]
    pub fn near(&self, name: &str, may_be_told: impl Fn(&str) -> bool) -> Vec<&str> {
        let wanted = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
        self.actions
            .keys()
            .filter(|k| {
                let last = k.rsplit('.').next().unwrap_or(k);
                !wanted.is_empty() && (last.contains(&wanted) || wanted.contains(last))
            })
            .map(String::as_str)
            .filter(|name| may_be_told(name))
            .take(3)
            .collect()
    }
}
