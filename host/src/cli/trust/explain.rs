//! `lockgate trust explain`: what the trust policy makes of a component. Only reads.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use jiff::Timestamp;
use lockgate_signing::{
    declaration::envelope_file_name,
    envelope::Envelope,
    file::{self, MAX_ENVELOPE_BYTES},
    predicate::{Predicate, Statement},
    trust::Trust,
    verify::{HighestSeen, verify_file},
};

use super::first_use::say_allowed;
use crate::{
    cli::terminal::{say, say_json},
    config::Config,
    error::Refusal,
    pack::admission::AdmissionError,
    startup,
    store::SqliteStore,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// The component; its envelope must be beside it
    component: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ExplainArgs, config: &Config) -> Result<ExitCode, Refusal> {
    let trust = startup::trust(&config.trust)?;
    let seen = highest_seen(config)?;
    match verify_file(&args.component, &trust, Timestamp::now(), &seen) {
        Ok(verified) => {
            if args.json {
                say_json(&serde_json::json!({
                    "accepted": true,
                    "sha256": verified.digest_hex(),
                    "signed": verified.predicate(),
                    "signers": verified.signers().iter().map(|signer| signer.name.clone()).collect::<Vec<_>>(),
                    "targets": verified.grant().targets,
                }));
            } else {
                say("accepted");
                say_allowed(&verified);
                say_rules(verified.predicate(), &trust, &seen);
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let error = AdmissionError::from(error);
            let (signers, signed) = signed(&args.component, &trust);
            if args.json {
                say_json(&serde_json::json!({
                    "accepted": false, "code": error.code, "message": error.message, "remedy": error.remedy,
                    "signed": signed, "signers": signers,
                }));
            } else {
                say(&format!("refused [{}]: {}", error.code, error.message));
                let by = if signers.is_empty() { "no listed key".to_owned() } else { signers.join(", ") };
                say(&format!("  signed by  {by}"));
                if let Some(signed) = &signed {
                    say(&format!("  it is      {} {} of {}", signed.pack, signed.version, signed.publisher));
                    say(&format!("  classes    {}", signed.classes.join(", ")));
                    say_rules(signed, &trust, &seen);
                }
                say(&format!("  help: {}", error.remedy));
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The highest versions that were used here; none where there is no state yet.
pub(super) fn highest_seen(config: &Config) -> Result<HighestSeen, Refusal> {
    let store = config.state_dir.join("store.db");
    if store.exists() { startup::highest_seen(&SqliteStore::open(&store)?) } else { Ok(HighestSeen::new()) }
}

/// The listed keys that made a signature, and what was signed if there is such a key.
fn signed(component: &Path, trust: &Trust) -> (Vec<String>, Option<Predicate>) {
    let name = component.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let envelope = file::read_once(component.with_file_name(envelope_file_name(name)), MAX_ENVELOPE_BYTES);
    let Some(envelope) = envelope.ok().and_then(|bytes| Envelope::parse(&bytes).ok()) else {
        return (Vec::new(), None);
    };
    let bytes = envelope.signed_bytes();
    let made_one = |key: &&lockgate_signing::trust::TrustedKey| {
        envelope.signatures().iter().any(|one| key.key().verifies(&bytes, one.bytes()))
    };
    let signers: Vec<_> = trust.keys().iter().filter(made_one).collect();
    let revoked = |key: &lockgate_signing::trust::TrustedKey| {
        let mark = if trust.is_key_revoked(&key.key().id()) { " (revoked)" } else { "" };
        format!("{}{mark}", key.name())
    };
    let statement = if signers.is_empty() { None } else { Statement::parse(envelope.unverified_payload()).ok() };
    (signers.into_iter().map(revoked).collect(), statement.map(|statement| statement.into_parts().0))
}

/// The rules that are about this publisher and this pack.
fn say_rules(signed: &Predicate, trust: &Trust, seen: &HighestSeen) {
    if let Some(publisher) = trust.publisher(&signed.publisher) {
        let packs: Vec<_> = publisher.packs().collect();
        say(&format!("  rule: publisher `{}` may publish {}", publisher.name(), packs.join(", ")));
        let classes: Vec<_> = publisher.classes().iter().map(String::as_str).collect();
        say(&format!("  rule: its packs may use the classes {}", classes.join(", ")));
        say(&format!("  rule: {} of its {} keys must have signed", publisher.threshold(), publisher.keys().len()));
    }
    let (Ok(pack), Ok(version)) = (signed.pack.parse(), signed.version.parse()) else { return };
    if let Some(pin) = trust.pin(&pack, &version) {
        say(&format!("  rule: {pack} {version} is pinned to {}", lockgate_signing::encoding::hex(pin)));
    }
    if let Some(lowest) = trust.minimum(&pack) {
        say(&format!("  rule: {pack} must be {lowest} or later"));
    }
    if let Some(highest) = seen.get(&pack) {
        let allowed = if trust.allows_rollback(&pack, &version) { "; going back is allowed" } else { "" };
        say(&format!("  {pack} {highest} has been used here{allowed}"));
    }
}
