//! Which wordings of the packs' statements fit a server, from the manifests alone: the host's own choice is not asked, so
//! that it is seen to be wrong if it is.

use lockgate::{
    gate::{Gate, Rules},
    pack::manifest::Manifest,
    statement::{Role, Statement, Variant},
};

/// The manifests of the packs, as they are now and stay for the tests that look at them.
pub fn manifests(gate: &Gate) -> impl Iterator<Item = &'static Manifest> + use<> {
    let rules: &'static Rules = Box::leak(Box::new(gate.rules()));
    rules.catalog.packs().map(|pack| pack.manifest().manifest())
}

/// Every statement of the packs; one that both have is there twice.
pub fn statements(gate: &Gate) -> Vec<&'static Statement> {
    manifests(gate).flat_map(|manifest| &manifest.statements).collect()
}

/// A server as a wording sees it.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub major: u32,
    pub role: Role,
    /// Extensions by name and version.
    pub extensions: &'a [(String, String)],
}

impl Place<'_> {
    /// Whether a wording is for this server.
    pub fn suits(&self, variant: &Variant) -> bool {
        let version = variant.min_version <= self.major
            && (variant.below_version == 0 || self.major < variant.below_version)
            && (variant.role == Role::Any || variant.role == self.role);
        let extension = variant.extension.as_ref().is_none_or(|range| {
            self.extensions.iter().filter(|(name, _)| *name == range.name).any(|(_, has)| {
                (range.min.is_empty() || parts(has) >= parts(&range.min))
                    && (range.below.is_empty() || parts(has) < parts(&range.below))
            })
        });
        version && extension
    }

    /// The wordings for this server: one, or none if the statement is not for it.
    pub fn wordings<'s>(&self, statement: &'s Statement) -> Vec<&'s Variant> {
        statement.variants.iter().filter(|variant| self.suits(variant)).collect()
    }
}

/// The text with its identifiers filled in by hand, as the host would have quoted them.
pub fn filled(statement: &Statement, variant: &Variant, identifier: &str) -> String {
    let mut sql = variant.sql.replace(":\"extension_schema\"", "\"public\"");
    for input in &statement.inputs {
        sql = sql.replace(&format!(":\"{}\"", input.name), identifier);
    }
    assert!(!sql.contains(":\""), "{}: {sql}", statement.id);
    sql
}

/// A version as it is compared.
fn parts(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().expect("a number")).collect()
}
