//! What is signed: an in-toto Statement v1 about one file, with a predicate that says everything an operator grants
//! authority by: who published which pack in which version, its actions with their risks, the classes of its statements.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    declaration::{Declaration, DeclarationError, DeclaredAction, component_file_name},
    encoding::{hex, parse_sha256, sha256},
    json::{self, JsonError},
    name::{self, NameError, PackName},
    version::PackVersion,
};

/// The in-toto statement type (github.com/in-toto/attestation, spec/v1/statement.md).
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// The type and version of our predicate.
pub const PREDICATE_TYPE: &str = "https://lockgate.dev/pack/v1";

/// Longest time from issue to expiry. Whoever needs longer has forgotten about it by then.
pub const MAX_VALIDITY: SignedDuration = SignedDuration::from_hours(24 * 366 * 5);

/// Longest text of a provenance field.
const MAX_PROVENANCE_TEXT: usize = 512;

/// The one file that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its file name.
    pub name: String,
    /// `sha256` of the whole file, and nothing else.
    pub digest: BTreeMap<String, String>,
}

/// Where a component came from, in its publisher's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Address of the source repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The commit that was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What built it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<String>,
    /// When it was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_at: Option<Timestamp>,
    /// SHA-256 of its bill of materials, lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom_sha256: Option<String>,
}

/// Our predicate, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predicate {
    /// The publisher, as operators name it in `trust.toml`.
    pub publisher: String,
    /// The pack's name.
    pub pack: String,
    /// Semantic version without build metadata.
    pub version: String,
    /// Version of the contract that the component speaks.
    pub contract: String,
    /// When it was signed, by the signer's own word.
    pub issued: Timestamp,
    /// From when on it is no longer accepted.
    pub expires: Timestamp,
    /// All actions with their risks.
    pub actions: Vec<DeclaredAction>,
    /// The classes of its statements.
    pub classes: Vec<String>,
    /// SHA-256 of the canonical manifest, lower-case hexadecimal.
    pub manifest_sha256: String,
    /// Where the component came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

/// What a signer adds to a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The publisher, as operators name it in `trust.toml`.
    pub publisher: String,
    /// When it is signed.
    pub issued: Timestamp,
    /// From when on it is no longer accepted.
    pub expires: Timestamp,
    /// Where the component came from.
    pub provenance: Option<Provenance>,
}

/// A statement that is well formed in every part. Well formed is not verified: see [`crate::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    subject_name: String,
    subject_digest: [u8; 32],
    pack: PackName,
    version: PackVersion,
    predicate: Predicate,
}

/// The statement as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

/// Why a statement is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not strict JSON of the expected shape.
    #[error("the signed statement can't be read: {0}")]
    Json(#[from] JsonError),
    /// Another type of statement or predicate.
    #[error("the signed statement's `{field}` is not `{expected}`")]
    Type {
        /// Which field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// Not exactly one subject with exactly one digest.
    #[error("the signed statement must have exactly one subject with exactly a `sha256` digest")]
    Subject,
    /// What it repeats of the declaration is not well formed.
    #[error("the signed statement: {0}")]
    Declaration(#[from] DeclarationError),
    /// The publisher's name is not well formed.
    #[error("the signed statement's publisher: {0}")]
    Publisher(NameError),
    /// The expiry is not after the issue, or too long after it.
    #[error(
        "the signed statement is issued at {issued} and expires at {expires}; it must expire later, by five years at most"
    )]
    Validity {
        /// When it was issued.
        issued: Timestamp,
        /// When it expires.
        expires: Timestamp,
    },
    /// A provenance field is not well formed.
    #[error("the signed statement's provenance has a `{0}` that is empty, too long, or not printable ASCII")]
    Provenance(&'static str),
}

impl Statement {
    /// A statement about a component.
    ///
    /// # Errors
    ///
    /// [`StatementError`] if declaration or terms are not well formed.
    pub fn new(component: &[u8], declaration: &Declaration, terms: Terms) -> Result<Self, StatementError> {
        let (pack, version) = declaration.checked_name()?;
        let declared = declaration.clone();
        let predicate = Predicate {
            publisher: terms.publisher,
            pack: declared.pack,
            version: declared.version,
            contract: declared.contract,
            issued: terms.issued,
            expires: terms.expires,
            actions: declared.actions,
            classes: declared.classes,
            manifest_sha256: declared.manifest_sha256,
            provenance: terms.provenance.filter(|provenance| *provenance != Provenance::default()),
        };
        Self::checked(component_file_name(&pack, &version), sha256(component), predicate)
    }

    /// Reads a payload strictly. Only for bytes whose signature has been checked, or that somebody is about to sign and
    /// looks at first.
    ///
    /// # Errors
    ///
    /// [`StatementError`].
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        let document: Document = json::from_slice(payload)?;
        if document.statement_type != STATEMENT_TYPE {
            return Err(StatementError::Type { field: "_type", expected: STATEMENT_TYPE });
        }
        if document.predicate_type != PREDICATE_TYPE {
            return Err(StatementError::Type { field: "predicateType", expected: PREDICATE_TYPE });
        }
        let [subject] = document.subject.as_slice() else { return Err(StatementError::Subject) };
        if subject.digest.len() != 1 {
            return Err(StatementError::Subject);
        }
        let digest = subject.digest.get("sha256").and_then(|text| parse_sha256(text)).ok_or(StatementError::Subject)?;
        Self::checked(subject.name.clone(), digest, document.predicate)
    }

    fn checked(subject_name: String, subject_digest: [u8; 32], predicate: Predicate) -> Result<Self, StatementError> {
        let declaration = predicate.declaration();
        declaration.check()?;
        let (pack, version) = declaration.checked_name()?;
        name::check_label(&predicate.publisher).map_err(StatementError::Publisher)?;
        let (issued, expires) = (predicate.issued, predicate.expires);
        if expires <= issued || expires.duration_since(issued) > MAX_VALIDITY {
            return Err(StatementError::Validity { issued, expires });
        }
        if let Some(provenance) = &predicate.provenance {
            provenance.check()?;
        }
        Ok(Self { subject_name, subject_digest, pack, version, predicate })
    }

    /// The payload: compact JSON.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        let document = Document {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject: vec![Subject {
                name: self.subject_name.clone(),
                digest: BTreeMap::from([("sha256".to_owned(), hex(&self.subject_digest))]),
            }],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: self.predicate.clone(),
        };
        // Strings, lists and times always serialise.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// The subject's file name, as signed. Not yet compared with anything.
    #[must_use]
    pub fn subject_name(&self) -> &str {
        &self.subject_name
    }

    /// The subject's SHA-256.
    #[must_use]
    pub fn subject_digest(&self) -> &[u8; 32] {
        &self.subject_digest
    }

    /// The pack's name.
    #[must_use]
    pub fn pack(&self) -> &PackName {
        &self.pack
    }

    /// The pack's version.
    #[must_use]
    pub fn version(&self) -> &PackVersion {
        &self.version
    }

    /// The predicate.
    #[must_use]
    pub fn predicate(&self) -> &Predicate {
        &self.predicate
    }

    /// Gives up the predicate and the version.
    #[must_use]
    pub fn into_parts(self) -> (Predicate, PackName, PackVersion) {
        (self.predicate, self.pack, self.version)
    }
}

impl Predicate {
    /// What it repeats of the component's declaration.
    #[must_use]
    pub fn declaration(&self) -> Declaration {
        Declaration {
            pack: self.pack.clone(),
            version: self.version.clone(),
            contract: self.contract.clone(),
            actions: self.actions.clone(),
            classes: self.classes.clone(),
            manifest_sha256: self.manifest_sha256.clone(),
        }
    }
}

impl Provenance {
    fn check(&self) -> Result<(), StatementError> {
        let texts = [("source", &self.source), ("commit", &self.commit), ("builder", &self.builder)];
        for (field, text) in texts {
            let fits = |text: &String| {
                (1..=MAX_PROVENANCE_TEXT).contains(&text.len())
                    && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
            };
            if text.as_ref().is_some_and(|text| !fits(text)) {
                return Err(StatementError::Provenance(field));
            }
        }
        match &self.sbom_sha256 {
            Some(text) if parse_sha256(text).is_none() => Err(StatementError::Provenance("sbom_sha256")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn payload() -> String {
        let declaration = Declaration {
            pack: "postgres".into(),
            version: "1.2.0".into(),
            contract: "1.0.0".into(),
            actions: vec![DeclaredAction { name: "activity".into(), risk: "low".into() }],
            classes: vec!["read".into()],
            manifest_sha256: "ab".repeat(32),
        };
        let provenance = Provenance {
            commit: Some("0123".into()),
            built_at: Some("2026-11-20T23:59:59Z".parse().unwrap()),
            ..Provenance::default()
        };
        let terms = Terms {
            publisher: "acme".into(),
            issued: "2026-11-21T00:00:00Z".parse().unwrap(),
            expires: "2027-11-21T00:00:00Z".parse().unwrap(),
            provenance: Some(provenance),
        };
        String::from_utf8(Statement::new(b"bytes", &declaration, terms).unwrap().to_payload()).unwrap()
    }

    #[test]
    fn a_statement_survives_its_payload() {
        let payload = payload();
        let statement = Statement::parse(payload.as_bytes()).unwrap();
        assert_eq!(statement.subject_name(), "postgres-1.2.0.wasm");
        assert_eq!(statement.subject_digest(), &sha256(b"bytes"));
        assert_eq!(String::from_utf8(statement.to_payload()).unwrap(), payload);
    }

    #[test]
    fn every_part_is_checked() {
        let good = payload();
        let digest = hex(&sha256(b"bytes"));
        for (from, to) in [
            ("Statement/v1", "Statement/v0.1"),
            ("pack/v1", "pack/v2"),
            ("\"sha256\":\"", "\"sha512\":\""),
            (&digest, "00"),
            ("}],\"predicateType\"", "},{\"name\":\"x\",\"digest\":{}}],\"predicateType\""),
            ("\"publisher\":\"acme\"", "\"publisher\":\"Acme Inc\""),
            ("\"publisher\":\"acme\"", "\"publisher\":\"acme\",\"publisher\":\"acme\""),
            ("\"publisher\":\"acme\"", "\"publisher\":\"acme\",\"signed\":true"),
            ("\"expires\":\"2027", "\"expires\":\"2025"),
            ("\"expires\":\"2027", "\"expires\":\"2047"),
            ("2026-11-21T00:00:00Z", "2026-11-21T00:00:00+00:00"),
            ("2026-11-21T00:00:00Z", "2026-11-21 00:00:00Z"),
            ("2026-11-21T00:00:00Z", "yesterday"),
            ("\"commit\":\"0123\"", "\"commit\":\"\""),
            ("\"commit\":\"0123\"", "\"commit\":null"),
            ("\"commit\":\"0123\"", "\"commit\":\"\\u001b[2J\""),
            ("\"version\":\"1.2.0\"", "\"version\":\"1.2\""),
            ("\"risk\":\"low\"", "\"risk\":\"tiny\""),
        ] {
            assert!(good.contains(from), "{from}");
            assert!(Statement::parse(good.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
        assert!(Statement::parse(format!("{good}{good}").as_bytes()).is_err());
    }
}
