//! `inspect`: what an envelope says, for people who have to decide whether to sign or to trust it.

use lockgate_signing::predicate::Statement;
use serde_json::json;

use crate::{args::Inspect, envelope, failure::Failure, output};

pub fn inspect(arguments: &Inspect) -> Result<(), Failure> {
    let envelope = envelope::read(&arguments.envelope)?;
    // A statement that a host would refuse is not one to print bytes of for signing, either.
    let statement = Statement::parse(envelope.unverified_payload())?;
    if arguments.print_pae {
        return output::bytes(&envelope.signed_bytes());
    }
    let hints: Vec<_> = envelope.signatures().iter().map(|signature| signature.key_id_hint()).collect();
    if arguments.json {
        return output::json(&json!({
            "verified": false,
            "statement": output::statement_json(&statement),
            "signatures": hints.iter().map(|hint| json!({ "key_id_hint": hint })).collect::<Vec<_>>(),
        }));
    }
    let hints: String =
        hints.iter().map(|hint| output::row("signature", &format!("key id {}", hint.unwrap_or("not given")))).collect();
    let hints = if hints.is_empty() { output::row("signature", "none yet") } else { hints };
    output::text(&format!(
        "NOT VERIFIED: this is what the envelope says about itself; `lockgate-sign verify` checks it.\n{}{hints}",
        output::statement(&statement)
    ))
}
