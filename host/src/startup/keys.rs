//! The host's own key: it signs checkpoints, and the digests of arguments are keyed by what is derived from it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ed25519_dalek::SigningKey;
use hmac::{Hmac, KeyInit as _, Mac as _};
use lockgate_signing::key::PrivateKey;
use serde_json::{Map, Value as Json};
use sha2::Sha256;

use crate::{
    audit::{Origin, PublicKey},
    config::Config,
    error::{Code, Refusal},
    gate::journal::is_exact,
    store,
};

/// The key that signs checkpoints, made on first use.
pub(super) fn record_key(state_dir: &Path) -> Result<SigningKey, Refusal> {
    let path = record_key_path(state_dir);
    let refuse = |e: &dyn std::fmt::Display| Refusal::new(Code::RecordUnavailable, format!("{}: {e}", path.display()));
    if fs::symlink_metadata(&path).is_err() {
        let key = PrivateKey::generate().map_err(|e| refuse(&e))?;
        match key.create_file(&path, None) {
            // Another process may have been first; its key is the one.
            Err(error) if fs::symlink_metadata(&path).is_err() => return Err(refuse(&error)),
            _ => {}
        }
    }
    PrivateKey::read(&path, None).map(PrivateKey::into_signing_key).map_err(|e| refuse(&e))
}

/// The public key that the record of a configuration is verified with, from the host's own key.
///
/// # Errors
/// When there is no key yet or the record's name can't be one.
pub fn record_public_key(config: &Config) -> Result<PublicKey, Refusal> {
    let path = record_key_path(&config.state_dir);
    let key = PrivateKey::read(&path, None).map(PrivateKey::into_signing_key).map_err(|e| {
        Refusal::new(Code::RecordUnavailable, e.to_string()).with_remedy(
            "give the record's public key with `--key`; `lockgate audit key` prints it where lockgate runs",
        )
    })?;
    let origin = Origin::new(&config.record.origin).ok_or_else(|| {
        Refusal::new(Code::ConfigInvalid, "[record] origin must be one visible ASCII word without `+`")
    })?;
    Ok(PublicKey::new(origin, key.verifying_key()))
}

/// Where the key that signs checkpoints is kept.
#[must_use]
pub fn record_key_path(state_dir: &Path) -> PathBuf {
    state_dir.join("record.key")
}

/// Says of arguments on the record whether they are all that a call had, given their keyed digest: nothing was redacted.
///
/// # Errors
/// When the host's key can't be read.
pub fn exact_arguments(config: &Config) -> Result<impl Fn(&Map<String, Json>, &str) -> bool + use<>, Refusal> {
    let path = record_key_path(&config.state_dir);
    let key = PrivateKey::read(&path, None).map(PrivateKey::into_signing_key);
    let key = argument_key(&key.map_err(|e| Refusal::new(Code::RecordUnavailable, e.to_string()))?);
    Ok(move |arguments: &Map<String, Json>, digest: &str| is_exact(&key, arguments, digest))
}

/// The key of the digests of arguments, from the record's key: one secret to keep, two uses that can't be confused.
pub(super) fn argument_key(key: &SigningKey) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(&key.to_bytes()) {
        Ok(mut mac) => {
            mac.update(b"lockgate digests of arguments v1");
            mac.finalize().into_bytes().into()
        }
        // HMAC takes keys of every length.
        Err(_) => store::random_bytes().unwrap_or([0; 32]),
    }
}
