//! A host for a while: a pack signed with a fresh key, a trust policy for that key, a configuration. What an operator and a
//! publisher would do once, in a directory that is gone afterwards.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use jiff::{Timestamp, ToSpan as _};
use lockgate_signing::{
    envelope::sign_envelope,
    key::PrivateKey,
    predicate::{Statement, Terms},
};

use super::pack::{Built, write};
use crate::{
    error::{Code, Refusal},
    pack::cache,
};

/// The files. Removed when dropped.
pub(super) struct Scratch {
    dir: tempfile::TempDir,
    config: PathBuf,
}

impl Scratch {
    /// Signs a pack as a publisher who is granted these classes, and writes a host's files around it. `more` is the rest of
    /// the configuration.
    pub(super) fn new(
        name: &str,
        built: &Built,
        publisher: &str,
        classes: &[&str],
        more: &str,
    ) -> Result<Self, Refusal> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("lockgate-{name}-"))
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|e| failed(&e))?;
        let written = write(built, &dir.path().join("packs"))?;
        let key = PrivateKey::generate().map_err(|e| failed(&e))?;
        let issued = Timestamp::now();
        let expires = issued.checked_add(24.hours()).map_err(|e| failed(&e))?;
        let terms = Terms { publisher: publisher.into(), issued, expires, provenance: None };
        let statement = Statement::new(&built.bytes, &built.described.declaration, terms).map_err(|e| failed(&e))?;
        let envelope = sign_envelope(&statement, &[&key]).map_err(|e| failed(&e))?;
        fs::write(written.component.with_extension("wasm.dsse.json"), envelope.to_json()).map_err(|e| failed(&e))?;

        let scratch = Self { config: dir.path().join("lockgate.toml"), dir };
        let (pack, key) = (&built.described.manifest.manifest().name, key.public_key().to_base64());
        let trust = format!(
            "version = 1\n\n[[key]]\nname = \"{publisher}\"\npublic_key = \"{key}\"\n\n[[publisher]]\nname = \"{publisher}\"\n\
             packs = [\"{pack}\"]\nkeys = [\"{publisher}\"]\nclasses = {classes:?}\n"
        );
        scratch.add("trust.toml", &trust)?;
        let mut config = "version = 1\nstate_dir = \"state\"\npacks = [\"packs\"]\ntrust = \"trust.toml\"\n".to_owned();
        // Its user has compiled the pack already.
        if let Some(cache) = cache::users_own().as_deref().and_then(Path::to_str) {
            config += &format!("cache_dir = {}\n", toml::Value::from(cache));
        }
        scratch.add("lockgate.toml", &format!("{config}{more}"))?;
        Ok(scratch)
    }

    /// Writes one more file, for its user only.
    pub(super) fn add(&self, name: &str, text: &str) -> Result<(), Refusal> {
        let path = self.dir.path().join(name);
        fs::write(&path, text).map_err(|e| failed(&e))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(|e| failed(&e))
    }

    /// The configuration's file.
    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    /// Keeps the files after this process.
    pub(super) fn leave(self) -> PathBuf {
        self.dir.keep()
    }
}

fn failed(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(Code::InternalError, format!("the files of a host for a while can't be made: {error}"))
        .with_remedy("see that the directory for temporary files can be written")
}
