//! `lockgate trust list`.

use jiff::Timestamp;
use lockgate_signing::{
    encoding::hex,
    trust::{Publisher, Trust, TrustedKey},
};
use serde_json::{Value as Json, json};

use crate::{
    cli::terminal::{say, say_json},
    config::Config,
    error::Refusal,
    startup,
};

pub(super) fn run(config: &Config, as_json: bool) -> Result<(), Refusal> {
    let trust = startup::trust(&config.trust)?;
    if as_json {
        say_json(&all(&trust));
    } else {
        page(&trust);
    }
    Ok(())
}

/// What a key counts for now, in a word.
fn state(key: &TrustedKey, trust: &Trust) -> &'static str {
    match (trust.is_key_revoked(&key.key().id()), key.is_valid_at(Timestamp::now())) {
        (true, _) => "revoked",
        (false, true) => "valid",
        (false, false) => "not valid now",
    }
}

fn names(publisher: &Publisher, trust: &Trust) -> Vec<String> {
    let own = trust.keys().iter().filter(|key| publisher.keys().contains(&key.key().id()));
    own.map(|key| key.name().to_owned()).collect()
}

fn all(trust: &Trust) -> Json {
    let keys: Vec<_> = trust
        .keys()
        .iter()
        .map(|key| {
            json!({
                "name": key.name(), "id": key.key().id(), "public_key": key.key().to_base64(), "state": state(key, trust),
                "not_before": key.not_before().map(|at| at.to_string()),
                "not_after": key.not_after().map(|at| at.to_string()),
            })
        })
        .collect();
    let publishers: Vec<_> = trust
        .publishers()
        .map(|publisher| {
            json!({
                "name": publisher.name(), "packs": publisher.packs().collect::<Vec<_>>(), "classes": publisher.classes(),
                "targets": publisher.targets(), "keys": names(publisher, trust), "threshold": publisher.threshold(),
            })
        })
        .collect();
    let version = |(pack, version): (_, _)| json!({ "pack": pack, "version": version });
    json!({
        "digest": hex(&trust.digest()),
        "keys": keys,
        "publishers": publishers,
        "pins": trust.pins().map(|(pack, version, digest)| json!({
            "pack": pack, "version": version.to_string(), "sha256": hex(digest),
        })).collect::<Vec<_>>(),
        "minimum": trust.minimums().map(|(p, v)| version((p.as_str(), v.to_string()))).collect::<Vec<_>>(),
        "allow_rollback": trust.rollbacks().map(|(p, v)| version((p.as_str(), v.to_string()))).collect::<Vec<_>>(),
        "revoked": {
            "keys": trust.revoked_keys(),
            "digests": trust.revoked_digests().iter().map(|digest| hex(digest)).collect::<Vec<_>>(),
        },
    })
}

fn page(trust: &Trust) {
    if trust.publishers().next().is_none() {
        say("nobody is trusted; `lockgate trust add publisher NAME --key FILE` trusts a publisher");
    }
    for publisher in trust.publishers() {
        say(&format!("publisher {}", publisher.name()));
        say(&format!("  packs    {}", publisher.packs().collect::<Vec<_>>().join(", ")));
        say(&format!("  classes  {}", listed(publisher.classes().iter().cloned())));
        say(&format!("  targets  {}", publisher.targets().join(", ")));
        say(&format!("  needs    {} of {}", publisher.threshold(), names(publisher, trust).join(", ")));
    }
    for key in trust.keys() {
        let until = key.not_after().map_or_else(String::new, |at| format!(", until {at}"));
        say(&format!("key {}  {}{until}\n  id       {}", key.name(), state(key, trust), key.key().id()));
    }
    for (pack, version, digest) in trust.pins() {
        say(&format!("pin {pack} {version}  {}", hex(digest)));
    }
    trust.minimums().for_each(|(pack, version)| say(&format!("minimum {pack} {version}")));
    trust.rollbacks().for_each(|(pack, version)| say(&format!("going back to {pack} {version} is allowed")));
    trust.revoked_keys().iter().for_each(|key| say(&format!("revoked key {key}")));
    trust.revoked_digests().iter().for_each(|digest| say(&format!("revoked component {}", hex(digest))));
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let all: Vec<_> = items.collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}
