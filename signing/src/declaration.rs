//! What a component declares, as `lockgate pack build` writes it beside the component and `lockgate-sign sign` reads it, so
//! that signing needs no WebAssembly runtime. Nobody trusts it: admission compares what was signed with what the
//! component itself declares.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    encoding::parse_sha256,
    json::{self, JsonError},
    name::{self, NameError, PackName},
    version::{PackVersion, VersionError},
};

/// Most actions of one pack.
pub const MAX_ACTIONS: usize = 256;

/// Largest declaration file, in bytes.
pub const MAX_DECLARATION_BYTES: u64 = 128 * 1024;

/// An action and its declared risk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredAction {
    /// Without the pack's name.
    pub name: String,
    /// `low`, `medium`, `high` or `critical`.
    pub risk: String,
}

/// A component's declaration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// The pack's name.
    pub pack: String,
    /// Semantic version without build metadata.
    pub version: String,
    /// Version of the contract that the component speaks, `1.0.0`.
    pub contract: String,
    /// All actions, in declared order.
    pub actions: Vec<DeclaredAction>,
    /// The classes of its statements, each once.
    pub classes: Vec<String>,
    /// SHA-256 of the canonical manifest, lower-case hexadecimal.
    pub manifest_sha256: String,
}

/// Why a declaration is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeclarationError {
    /// Not strict JSON of the expected shape.
    #[error("the declaration can't be read: {0}")]
    Json(#[from] JsonError),
    /// A name is not well formed.
    #[error("{0}")]
    Name(#[from] NameError),
    /// A version is not well formed.
    #[error("{0}")]
    Version(#[from] VersionError),
    /// There are no actions, or too many.
    #[error("it declares {0} actions, and a pack has from 1 to {MAX_ACTIONS}")]
    Actions(usize),
    /// Something is listed twice.
    #[error("`{0}` is listed twice")]
    Twice(String),
    /// The manifest's digest is no digest.
    #[error("`manifest_sha256` is not 64 lower-case hexadecimal digits")]
    ManifestDigest,
}

impl Declaration {
    /// Reads a declaration file strictly and checks it.
    ///
    /// # Errors
    ///
    /// [`DeclarationError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DeclarationError> {
        let declaration: Self = json::from_slice(bytes)?;
        declaration.check()?;
        Ok(declaration)
    }

    /// The declaration file, for people to review.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings and lists always serialise.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Checks names, versions, risks and classes.
    ///
    /// # Errors
    ///
    /// [`DeclarationError`] with the first thing that is wrong.
    pub fn check(&self) -> Result<(), DeclarationError> {
        self.checked_name()?;
        self.contract.parse::<PackVersion>()?;
        if !(1..=MAX_ACTIONS).contains(&self.actions.len()) {
            return Err(DeclarationError::Actions(self.actions.len()));
        }
        for action in &self.actions {
            name::check_action(&action.name)?;
            name::check_risk(&action.risk)?;
        }
        once(self.actions.iter().map(|action| action.name.as_str()))?;
        for class in &self.classes {
            name::check_class(class)?;
        }
        once(self.classes.iter().map(String::as_str))?;
        parse_sha256(&self.manifest_sha256).map(|_| ()).ok_or(DeclarationError::ManifestDigest)
    }

    /// `NAME-VERSION.wasm`, from the checked name and version.
    ///
    /// # Errors
    ///
    /// [`DeclarationError`] if name or version is not well formed.
    pub fn component_file_name(&self) -> Result<String, DeclarationError> {
        let (pack, version) = self.checked_name()?;
        Ok(component_file_name(&pack, &version))
    }

    /// `NAME-VERSION.wasm.dsse.json`, from the checked name and version.
    ///
    /// # Errors
    ///
    /// [`DeclarationError`] if name or version is not well formed.
    pub fn envelope_file_name(&self) -> Result<String, DeclarationError> {
        self.component_file_name().map(|name| envelope_file_name(&name))
    }

    /// `NAME-VERSION.declaration.json`, from the checked name and version.
    ///
    /// # Errors
    ///
    /// [`DeclarationError`] if name or version is not well formed.
    pub fn file_name(&self) -> Result<String, DeclarationError> {
        let (pack, version) = self.checked_name()?;
        Ok(format!("{pack}-{version}.declaration.json"))
    }

    pub(crate) fn checked_name(&self) -> Result<(PackName, PackVersion), DeclarationError> {
        Ok((self.pack.parse()?, self.version.parse()?))
    }
}

/// The one file name that a component of this name and version has.
#[must_use]
pub fn component_file_name(pack: &PackName, version: &PackVersion) -> String {
    format!("{pack}-{version}.wasm")
}

/// The envelope's file name beside a component.
#[must_use]
pub fn envelope_file_name(component_file_name: &str) -> String {
    format!("{component_file_name}.dsse.json")
}

fn once<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), DeclarationError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(DeclarationError::Twice(name.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn sample() -> Declaration {
        Declaration {
            pack: "postgres".into(),
            version: "1.2.0-rc.1".into(),
            contract: "1.0.0".into(),
            actions: vec![DeclaredAction { name: "kill_session".into(), risk: "high".into() }],
            classes: vec!["read".into(), "signal".into()],
            manifest_sha256: "ab".repeat(32),
        }
    }

    #[test]
    fn a_declaration_survives_its_file() {
        let declaration = sample();
        assert_eq!(Declaration::parse(&declaration.to_json()).unwrap(), declaration);
        assert_eq!(declaration.component_file_name().unwrap(), "postgres-1.2.0-rc.1.wasm");
        assert_eq!(declaration.envelope_file_name().unwrap(), "postgres-1.2.0-rc.1.wasm.dsse.json");
        assert_eq!(declaration.file_name().unwrap(), "postgres-1.2.0-rc.1.declaration.json");
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        let breaks: &[fn(&mut Declaration)] = &[
            |d| d.pack = "../postgres".into(),
            |d| d.version = "1".into(),
            |d| d.contract = "one".into(),
            |d| d.actions.clear(),
            |d| d.actions.push(d.actions[0].clone()),
            |d| d.actions[0].risk = "none".into(),
            |d| d.actions[0].name = "Kill".into(),
            |d| d.classes.push("ddl".into()),
            |d| d.classes.push("read".into()),
            |d| d.manifest_sha256 = "AB".repeat(32),
        ];
        for (index, change) in breaks.iter().enumerate() {
            let mut declaration = sample();
            change(&mut declaration);
            assert!(declaration.check().is_err(), "{index}");
            assert!(Declaration::parse(&declaration.to_json()).is_err(), "{index}");
        }
    }
}
