//! `sign`: makes the statement about a component, and signs it, or adds a signature to an envelope that says the same.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use lockgate_signing::{
    declaration::{Declaration, MAX_DECLARATION_BYTES, envelope_file_name},
    encoding::{hex, printable, sha256},
    envelope::{Envelope, EnvelopeError, sign_envelope},
    file::{MAX_COMPONENT_BYTES, read_once},
    key::{CommandSigner, Signer},
    predicate::{Provenance, Statement, Terms},
};
use serde_json::json;

use crate::{
    args::Sign,
    envelope,
    failure::Failure,
    keys, output,
    passphrase::{NEW_VARIABLE, Opener, VARIABLE},
};

/// How long an envelope is valid if nobody says.
const DEFAULT_VALIDITY: SignedDuration = SignedDuration::from_hours(24 * 365);

/// Largest bill of materials.
const MAX_SBOM_BYTES: u64 = 64 * 1024 * 1024;

pub fn sign(arguments: &Sign) -> Result<(), Failure> {
    let declaration = Declaration::parse(&read_once(&arguments.declaration, MAX_DECLARATION_BYTES)?)?;
    let expected = declaration.component_file_name()?;
    if arguments.component.file_name().and_then(|name| name.to_str()) != Some(expected.as_str()) {
        let message = format!(
            "the component is `{}` and its declaration is for `{expected}`",
            printable(&arguments.component.to_string_lossy())
        );
        return Err(Failure::refusal(
            "component_mismatch",
            message,
            "give the component and the declaration of one build",
        ));
    }
    let component = read_once(&arguments.component, MAX_COMPONENT_BYTES)?;
    let path =
        arguments.envelope.clone().unwrap_or_else(|| arguments.component.with_file_name(envelope_file_name(&expected)));

    let before = present(arguments, &path)?;
    let statement = Statement::new(&component, &declaration, terms(arguments, before.as_ref())?)?;
    let unsigned = sign_envelope(&statement, &[])?;
    // Before anybody is asked for a passphrase or to touch a device.
    same_statement(before, &unsigned, &path)?;
    let mut signatures = Vec::new();
    for signer in open_signers(arguments)? {
        let signature = signer.sign(&unsigned.signed_bytes()).map_err(EnvelopeError::from)?;
        signatures.push((signer.public_key(), signature));
    }

    // Read again, for somebody else may have signed meanwhile.
    let (mut result, is_new) = match same_statement(present(arguments, &path)?, &unsigned, &path)? {
        Some(present) => (present, false),
        None => (unsigned, true),
    };
    let mut added = Vec::new();
    for (key, signature) in signatures {
        if result.attach(&key, signature)? {
            added.push(key.id());
        }
    }
    if is_new || !added.is_empty() {
        envelope::write(&path, &result, arguments.replace || !is_new)?;
    }

    if arguments.print_pae {
        return output::bytes(&result.signed_bytes());
    }
    if arguments.json {
        return output::json(&json!({
            "envelope": path.to_string_lossy(),
            "signatures": result.signatures().len(),
            "added": added,
            "statement": output::statement_json(&statement),
        }));
    }
    let added: String = added.iter().map(|id| output::row("signed by", &id.to_string())).collect();
    let added = if added.is_empty() { "  nothing added; these keys had signed it already\n".to_owned() } else { added };
    output::text(&format!("{}\n{}{added}", printable(&path.to_string_lossy()), output::statement(&statement)))
}

/// The envelope that is there, unless it is to be replaced.
fn present(arguments: &Sign, path: &Path) -> Result<Option<Envelope>, Failure> {
    if arguments.replace { Ok(None) } else { envelope::read_existing(path) }
}

/// An envelope that says what would be signed; it is refused if it says something else.
fn same_statement(present: Option<Envelope>, unsigned: &Envelope, path: &Path) -> Result<Option<Envelope>, Failure> {
    if present.as_ref().is_none_or(|present| present.unverified_payload() == unsigned.unverified_payload()) {
        return Ok(present);
    }
    let message = format!("`{}` says something else than what would be signed now", printable(&path.to_string_lossy()));
    let help = "compare with `lockgate-sign inspect`; sign with the same times, publisher and provenance, or start anew with --replace";
    Err(Failure::refusal("envelope_differs", message, help))
}

/// What is signed besides the declaration. Another signer of an envelope that is there means the same times and the same
/// provenance, unless told otherwise; whether everything else is the same is compared afterwards.
fn terms(arguments: &Sign, present: Option<&Envelope>) -> Result<Terms, Failure> {
    let present = present.map(|envelope| Statement::parse(envelope.unverified_payload())).transpose()?;
    let present = present.as_ref().map(Statement::predicate);
    let issued = match (arguments.issued, present) {
        (Some(issued), _) => issued,
        (None, Some(present)) => present.issued,
        // Whole seconds read better and mean as much.
        (None, None) => Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default(),
    };
    let expires = match (arguments.expires, present) {
        (Some(expires), _) => expires,
        (None, Some(present)) => present.expires,
        (None, None) => issued
            .checked_add(DEFAULT_VALIDITY)
            .map_err(|_| Failure::usage("--issued is out of range", "give a time such as 2026-01-31T12:00:00Z"))?,
    };
    let sbom = arguments.sbom.as_ref().map(|path| read_once(path, MAX_SBOM_BYTES)).transpose()?;
    let provenance = Provenance {
        source: arguments.source.clone(),
        commit: arguments.commit.clone(),
        builder: arguments.builder.clone(),
        built_at: arguments.built_at,
        sbom_sha256: sbom.map(|bytes| hex(&sha256(&bytes))),
    };
    let provenance = if provenance == Provenance::default() {
        present.and_then(|present| present.provenance.clone())
    } else {
        Some(provenance)
    };
    Ok(Terms { publisher: arguments.publisher.clone(), issued, expires, provenance })
}

/// Whoever signs, in the order in which they are given: first the keys, then the command.
fn open_signers(arguments: &Sign) -> Result<Vec<Box<dyn Signer>>, Failure> {
    let mut opener = Opener::new(arguments.passphrase.source());
    let mut signers: Vec<Box<dyn Signer>> = Vec::new();
    for path in &arguments.key {
        signers.push(Box::new(opener.open(path)?));
    }
    // The parser lets neither be given without the other.
    if let (Some(program), Some(public_key)) = (&arguments.signer_command, &arguments.signer_public_key) {
        let signer = CommandSigner::new(program, keys::read_public(public_key)?);
        signers.push(Box::new(signer.without_variable(VARIABLE).without_variable(NEW_VARIABLE)));
    }
    Ok(signers)
}
