//! `attach-signature`: takes a signature that was made elsewhere, after checking it.

use lockgate_signing::{
    encoding::{parse_base64, printable},
    file::{MAX_KEY_BYTES, read_once},
    key::{KeyError, PublicKey, SIGNATURE_LENGTH},
};
use serde_json::json;

use crate::{args::Attach, envelope, failure::Failure, output};

pub fn attach(arguments: &Attach) -> Result<(), Failure> {
    let mut envelope = envelope::read(&arguments.envelope)?;
    let key = read_once(&arguments.public_key, MAX_KEY_BYTES)?;
    let key = PublicKey::from_text(std::str::from_utf8(&key).map_err(|_| KeyError::NotPublic)?)?;
    let signature = signature(&read_once(&arguments.signature, MAX_KEY_BYTES)?)?;
    let added = envelope.attach(&key, signature)?;
    if added {
        envelope::write(&arguments.envelope, &envelope, true)?;
    }
    if arguments.json {
        return output::json(&json!({
            "envelope": arguments.envelope.to_string_lossy(),
            "signatures": envelope.signatures().len(),
            "added": if added { vec![key.id()] } else { Vec::new() },
        }));
    }
    let done = if added { "signed by" } else { "had signed" };
    output::text(&format!(
        "{}\n{}",
        printable(&arguments.envelope.to_string_lossy()),
        output::row(done, &key.id().to_string())
    ))
}

/// Raw, as `openssl pkeyutl` writes it, or base64, as key services answer.
fn signature(bytes: &[u8]) -> Result<[u8; SIGNATURE_LENGTH], Failure> {
    if let Ok(raw) = bytes.try_into() {
        return Ok(raw);
    }
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| parse_base64(text.trim()))
        .and_then(|raw| raw.try_into().ok())
        .ok_or_else(|| {
            let help = "give what the signer wrote: 64 bytes, or the same as base64";
            Failure::refusal("signature_invalid", "the signature is neither 64 bytes nor base64 of 64 bytes", help)
        })
}
