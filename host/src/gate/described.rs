//! What a principal may read about packs and actions: a pack's page and an action's particulars, cut to what it may call.
//! An action that policy or its scope denies it is in neither, as if the pack did not have it.

use serde::Serialize;

use super::{Gate, call::Principal};
use crate::{
    pack::{
        catalog::{Entry, TrustedPack},
        reference::{self, Examples},
        wording,
    },
    value::Column,
};

/// A pack of which a principal may call something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackOffer {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for, one line.
    pub summary: String,
    /// How many of its actions the principal may call.
    pub actions: usize,
}

/// What a manifest says of an action beyond what a call needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActionDetails {
    /// The version of its pack.
    pub pack_version: String,
    /// Which servers it works on, in words.
    pub servers: String,
    /// The strongest class among its statements.
    pub class: &'static str,
    /// What it needs of its role in the database.
    pub privileges: Vec<String>,
    /// What it may ask the server, in declared order.
    pub statements: Vec<StatementDetails>,
}

/// A statement that an action may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatementDetails {
    /// Its id in the pack.
    pub id: String,
    /// Whether it only shows an approver what would happen.
    pub preview: bool,
    /// Its mode, its rows and its time, in words.
    pub limits: String,
    /// The columns that it gives, whatever the server's version.
    pub columns: Vec<Column>,
}

impl Gate {
    /// The packs of which this principal may call something, by name.
    #[must_use]
    pub fn packs(&self, principal: &Principal) -> Vec<PackOffer> {
        let offer = |pack: &TrustedPack| {
            let manifest = pack.manifest().manifest();
            PackOffer {
                name: manifest.name.clone(),
                version: manifest.version.clone(),
                summary: manifest.summary.clone(),
                actions: 0,
            }
        };
        let mut packs: Vec<PackOffer> = Vec::new();
        let rules = self.rules();
        for entry in rules.catalog.entries().filter(|entry| self.is_listed(principal, entry)) {
            let name = &entry.pack.manifest().manifest().name;
            match packs.last_mut().filter(|pack| pack.name == *name) {
                Some(pack) => pack.actions += 1,
                None => packs.push(PackOffer { actions: 1, ..offer(&entry.pack) }),
            }
        }
        packs
    }

    /// The reference page of a pack, with the actions that this principal may call. None if there are none.
    #[must_use]
    pub fn pack_page(&self, principal: &Principal, pack: &str) -> Option<String> {
        let rules = self.rules();
        let listed: Vec<&Entry> = rules
            .catalog
            .entries()
            .filter(|entry| entry.pack.manifest().manifest().name == pack && self.is_listed(principal, entry))
            .collect();
        let manifest = listed.first()?.pack.manifest();
        let shown = |action: &str| listed.iter().any(|entry| entry.action.declared().name == action);
        reference::excerpt(manifest, &Examples::default(), &shown).ok()
    }

    /// More of an action that this principal may call. None of any other.
    #[must_use]
    pub fn details(&self, principal: &Principal, action: &str) -> Option<ActionDetails> {
        let rules = self.rules();
        let entry = rules.catalog.get(action).filter(|entry| self.is_listed(principal, entry))?;
        let declared = entry.action.declared();
        let one = |id: &String, preview: bool| {
            let proven = if preview { entry.action.preview_statement(id) } else { entry.action.run_statement(id) };
            let statement = proven?.declaration();
            Some(StatementDetails {
                id: id.clone(),
                preview,
                limits: wording::limits(statement),
                columns: statement.columns.clone(),
            })
        };
        let statements = (declared.run_statements.iter().map(|id| one(id, false)))
            .chain(declared.preview_statements.iter().map(|id| one(id, true)))
            .flatten()
            .collect();
        let all: Vec<_> = entry.action.statements().into_values().map(|s| s.declaration()).collect();
        Some(ActionDetails {
            pack_version: entry.pack.manifest().manifest().version.clone(),
            servers: wording::reach(&all, declared.works_on_standby),
            class: entry.action.class().as_str(),
            privileges: declared.privileges.clone(),
            statements,
        })
    }
}
