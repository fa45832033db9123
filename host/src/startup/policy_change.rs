//! A policy that was not in force before, on the record: what is other in it, in words, and whose file it is. The policy
//! that was in force last is kept in the store, so that this is known after a restart too.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::{
    audit::{Entry, Record},
    config::Config,
    error::Refusal,
    outside::shown,
    policy::{Policy, change::changes},
    store::Store,
};

/// Where the store keeps the digest and the text of the policy that was put in force last.
const DIGEST: &str = "policy_digest";
const TEXT: &str = "policy_text";
/// Sentences that a line has of the difference, and characters of each: together well below the longest line.
const CHANGES: usize = 100;
const CHANGE: usize = 1000;
/// The accounts of this machine, passwd(5).
const ACCOUNTS: &str = "/etc/passwd";

/// Puts a policy on the record, unless it is the one that was in force last. Called before it is in force.
pub(super) async fn note_policy(
    config: &Config,
    record: &Record,
    store: &dyn Store,
    policy: &Policy,
) -> Result<(), Refusal> {
    let from = store.meta(DIGEST)?;
    if from.as_deref() == Some(policy.digest()) {
        return Ok(());
    }
    let before = store.meta(TEXT)?.and_then(|text| Policy::parse(&text, "the policy in the store").ok());
    // A text that is not that of the digest is of no use: another process may be between the two.
    let before = before.filter(|before| from.as_deref() == Some(before.digest()));
    record.append(entry(config, from, before.as_ref(), policy)).await?;
    if let Ok(text) = policy.to_toml() {
        store.set_meta(TEXT, &text)?;
    }
    store.set_meta(DIGEST, policy.digest())?;
    Ok(())
}

fn entry(config: &Config, from: Option<String>, before: Option<&Policy>, policy: &Policy) -> Entry {
    let is_first = from.is_none();
    let base = if is_first { Some(Policy::default()) } else { None };
    let entry = Entry::new("policy.changed").field("from", from).field("to", policy.digest());
    let entry = match &config.policy {
        Some(path) => entry.field("file", path.display().to_string()).field("file_owner", owner(path)),
        None => entry.field("file", Json::Null),
    };
    // The first policy is told as what it has beside the built-in defaults.
    let Some(before) = before.or(base.as_ref()) else {
        return entry.field("changes", Json::Null).field("changes_unknown", "what was in force before is not kept");
    };
    let all = changes(before, policy);
    let told: Vec<String> = all.iter().take(CHANGES).map(|change| shown(change, CHANGE)).collect();
    let entry = if is_first { entry.field("compared_with", "the built-in defaults") } else { entry };
    entry.field("changes", told).field("changes_left_out", all.len().saturating_sub(CHANGES))
}

/// To whom a file belongs and when it was last written. A file has no author: this is who may change it beside root, since a
/// policy that others may write is not put in force.
fn owner(path: &Path) -> Json {
    let Ok(metadata) = fs::metadata(path) else { return Json::Null };
    let accounts = fs::read_to_string(ACCOUNTS).unwrap_or_default();
    let written = Timestamp::from_second(metadata.mtime()).map(|at| at.to_string()).ok();
    json!({
        "user": user_of(&accounts, metadata.uid()),
        "uid": metadata.uid(),
        "written": written,
    })
}

/// The name of a user in the text of passwd(5).
fn user_of(accounts: &str, uid: u32) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let is_it = fields.nth(1)?.parse::<u32>().is_ok_and(|known| known == uid);
        is_it.then(|| shown(name, 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_named_where_the_system_knows_a_name() {
        let accounts = "root:x:0:0::/root:/bin/sh\n# odd\nada:x:1000:1000:Ada:/home/ada:/bin/sh\n";
        assert_eq!(user_of(accounts, 1000).as_deref(), Some("ada"));
        assert_eq!(user_of(accounts, 0).as_deref(), Some("root"));
        assert_eq!(user_of(accounts, 1001), None);
    }
}
