//! `key generate` and `key show`.

use lockgate_signing::{
    encoding::printable,
    file::{MAX_KEY_BYTES, read_once},
    key::{KeyError, PrivateKey, PrivateKeyFile, PublicKey},
    name::check_label,
};
use serde_json::json;

use crate::{
    args::{Generate, Show},
    failure::Failure,
    output,
};

pub fn generate(arguments: &Generate) -> Result<(), Failure> {
    // Before anything is written or asked.
    let name = arguments.name.as_deref().map(checked).transpose()?;
    let encrypt = arguments.encrypt || arguments.passphrase.is_given();
    let passphrase = if encrypt { Some(arguments.passphrase.choose()?) } else { None };
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

/// The public half. A private key is opened through the door for private files, so its mode is checked as well.
fn public_key(arguments: &Show) -> Result<PublicKey, Failure> {
    let bytes = zeroize::Zeroizing::new(read_once(&arguments.key, MAX_KEY_BYTES)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| KeyError::NotPublic)?;
    if !text.contains("PRIVATE KEY-----") {
        return Ok(PublicKey::from_text(text)?);
    }
    let file = PrivateKeyFile::read(&arguments.key)?;
    let passphrase = if file.is_encrypted() {
        Some(arguments.passphrase.ask(&printable(&arguments.key.to_string_lossy()))?)
    } else {
        None
    };
    Ok(file.open(passphrase.as_ref())?.public_key())
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
