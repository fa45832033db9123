//! `attach-signature`: takes a signature that was made elsewhere, after checking it.

use lockgate_signing::{
    encoding::printable,
    file::{MAX_KEY_BYTES, read_once},
    key::read_signature,
};
use serde_json::json;

use crate::{args::Attach, envelope, failure::Failure, keys, output};

pub fn attach(arguments: &Attach) -> Result<(), Failure> {
    let mut envelope = envelope::read(&arguments.envelope)?;
    let key = keys::read_public(&arguments.public_key)?;
    let signature = read_signature(&read_once(&arguments.signature, MAX_KEY_BYTES)?).ok_or_else(|| {
        let help = "give what the signer wrote: 64 bytes, or the same as base64";
        Failure::refusal("signature_invalid", "the signature is neither 64 bytes nor base64 of 64 bytes", help)
    })?;
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
