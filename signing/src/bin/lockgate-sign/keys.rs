//! `key generate`, `key show` and `key passphrase`.

use std::path::Path;

use lockgate_signing::{
    encoding::printable,
    file::{MAX_KEY_BYTES, read_once},
    key::{KeyError, PrivateKey, PublicKey},
    name::check_label,
};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    args::{ChangePassphrase, Generate, Show},
    failure::Failure,
    output,
    passphrase::Opener,
};

pub fn generate(arguments: &Generate) -> Result<(), Failure> {
    // Before anything is written or asked.
    let name = arguments.name.as_deref().map(checked).transpose()?;
    let source = arguments.passphrase.source();
    let encrypt = arguments.encrypt || source.is_given();
    let passphrase = if encrypt { Some(source.choose()?) } else { None };
    let key = PrivateKey::generate()?;
    key.create_file(&arguments.out, passphrase.as_ref())?;
    let public = key.public_key();
    let name = name.unwrap_or_else(|| default_name(&public));
    if arguments.json {
        return output::json(&json!({
            "private_key_file": arguments.out.to_string_lossy(),
            "encrypted": encrypt,
            "key_id": public.id(),
            "public_key": public.to_base64(),
            "trust": snippet(&public, &name),
        }));
    }
    let how = if encrypt { "encrypted, " } else { "" };
    let out = printable(&arguments.out.to_string_lossy());
    output::text(&format!("Wrote the private key to {out} ({how}mode 0600).\n\n{}", described(&public, &name)))
}

pub fn show(arguments: &Show) -> Result<(), Failure> {
    let name = arguments.name.as_deref().map(checked).transpose()?;
    let public = public_key(arguments)?;
    if arguments.pem {
        return output::text(&public.to_pem());
    }
    let name = name.unwrap_or_else(|| default_name(&public));
    if arguments.json {
        return output::json(&json!({
            "key_id": public.id(),
            "public_key": public.to_base64(),
            "trust": snippet(&public, &name),
        }));
    }
    output::text(&described(&public, &name))
}

/// Gives a key file another passphrase. It is never taken away: whoever wants that has other tools.
pub fn change_passphrase(arguments: &ChangePassphrase) -> Result<(), Failure> {
    let (old, new) = (arguments.passphrase.source(), arguments.new_passphrase.source());
    if new.shares_descriptor(&old) {
        return Err(Failure::usage(
            "both passphrases would be read from one descriptor",
            "open two, as in `--passphrase-fd 3 3<OLD --new-passphrase-fd 4 4<NEW`",
        ));
    }
    let key = Opener::new(old).open(&arguments.key)?;
    key.replace_file(&arguments.key, Some(&new.choose()?))?;
    let (path, id) = (arguments.key.to_string_lossy(), key.public_key().id());
    if arguments.json {
        return output::json(&json!({ "private_key_file": path, "encrypted": true, "key_id": id }));
    }
    output::text(&format!(
        "{} has its new passphrase. Copies made before, and their passphrase, still open the same key.\n{}",
        printable(&path),
        output::row("key id", &id.to_string())
    ))
}

/// The public half. A private key is opened through the door for private files, so its mode is checked as well.
fn public_key(arguments: &Show) -> Result<PublicKey, Failure> {
    let bytes = Zeroizing::new(read_once(&arguments.key, MAX_KEY_BYTES)?);
    if is_private(&bytes) {
        return Ok(Opener::new(arguments.passphrase.source()).open(&arguments.key)?.public_key());
    }
    read_text(&arguments.key, &bytes)
}

/// Reads a public key's file.
pub fn read_public(path: &Path) -> Result<PublicKey, Failure> {
    read_text(path, &Zeroizing::new(read_once(path, MAX_KEY_BYTES)?))
}

fn read_text(path: &Path, bytes: &[u8]) -> Result<PublicKey, Failure> {
    let key = std::str::from_utf8(bytes).map_err(|_| KeyError::NotPublic).and_then(PublicKey::from_text);
    key.map_err(|error| Failure::of_key(path, &error))
}

/// Judged by how it begins, so that one which was cut off is still treated as what it is.
fn is_private(bytes: &[u8]) -> bool {
    const MARK: &[u8] = b"PRIVATE KEY";
    bytes.windows(MARK.len()).any(|window| window == MARK)
}

fn checked(name: &str) -> Result<String, Failure> {
    check_label(name).map_err(|error| Failure::usage(error.to_string(), "give a name such as `release-2026`"))?;
    Ok(name.to_owned())
}

fn default_name(key: &PublicKey) -> String {
    let id = key.id().to_string();
    format!("key-{}", id.get(..8).unwrap_or_default())
}

fn described(key: &PublicKey, name: &str) -> String {
    format!(
        "key id      {}\npublic key  {}\n\nFor the operators' trust.toml:\n\n{}",
        key.id(),
        key.to_base64(),
        snippet(key, name)
    )
}

/// What an operator puts into `trust.toml`: the key as it is, and a publisher to be filled in.
fn snippet(key: &PublicKey, name: &str) -> String {
    format!(
        "[[key]]\nname = \"{name}\"\npublic_key = \"{}\"\n\n\
         # Whose key it is, which packs it may publish, and what they may do:\n\
         # [[publisher]]\n# name = \"PUBLISHER\"\n# packs = [\"PACK\"]\n# keys = [\"{name}\"]\n# classes = [\"read\"]\n",
        key.to_base64()
    )
}
