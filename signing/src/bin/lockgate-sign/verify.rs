//! `verify`: what a host does with a component before it parses any of it.

use jiff::Timestamp;
use lockgate_signing::{
    declaration::envelope_file_name,
    trust::Trust,
    verify::{HighestSeen, VerifiedComponent, VerifyError, verify_files},
};
use serde_json::json;

use crate::{args::Verify, failure::Failure, output};

pub fn verify(arguments: &Verify) -> Result<(), Failure> {
    let result = run(arguments);
    match (&result, arguments.json) {
        // Whatever the failure, and whether or not anybody reads it: the status says it too.
        (Err(Failure { code, message, help, .. }), true) => {
            let _ = output::json(&json!({ "verified": false, "code": code, "message": message, "help": help }));
        }
        (Ok(verified), true) => output::json(&json!({
            "verified": true,
            "pack": verified.pack(),
            "version": verified.version(),
            "sha256": verified.digest_hex(),
            "predicate": verified.predicate(),
            "signers": signers(verified),
            "grant": { "classes": verified.grant().classes, "targets": verified.grant().targets },
        }))?,
        (Ok(verified), false) => output::text(&described(verified))?,
        (Err(_), false) => {}
    }
    result.map(|_| ())
}

fn run(arguments: &Verify) -> Result<VerifiedComponent, Failure> {
    let trust = Trust::open(&arguments.trust)?;
    let name = arguments.component.file_name().and_then(|name| name.to_str()).ok_or(VerifyError::NoFileName)?;
    let envelope = match &arguments.envelope {
        Some(path) => path.clone(),
        None => arguments.component.with_file_name(envelope_file_name(name)),
    };
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    // Which versions have been in use is known where packs are installed, not here.
    Ok(verify_files(&arguments.component, &envelope, &trust, now, &HighestSeen::new())?)
}

fn signers(verified: &VerifiedComponent) -> Vec<serde_json::Value> {
    verified.signers().iter().map(|signer| json!({ "name": signer.name, "key_id": signer.key_id })).collect()
}

fn described(verified: &VerifiedComponent) -> String {
    let signers: String = verified
        .signers()
        .iter()
        .map(|signer| output::row("signed by", &format!("{} ({})", signer.name, signer.key_id)))
        .collect();
    format!(
        "verified: {} {}\n{}{signers}{}",
        verified.pack(),
        verified.version(),
        output::statement(verified.statement()),
        output::row("targets", &verified.grant().targets.join(", ")),
    )
}
