//! Compiled code kept between starts, so that starting never compiles twice. An entry is native code: it is run only if
//! this host wrote it, for this very component and this very engine, which a keyed digest over the entry proves.

use std::{
    fs,
    hash::{Hash, Hasher},
    io::Write as _,
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use lockgate_signing::file;
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

/// Largest entry that is read: a pack of 16 MiB compiles to some five times its size.
const MAX_ENTRY: u64 = 256 << 20;
/// Bytes of the keyed digest in front of an entry's code.
const MAC_LEN: usize = 32;

type HmacSha256 = Hmac<Sha256>;

/// A directory of compiled components, and the key that only this host has.
pub struct CompiledCache {
    dir: PathBuf,
    key: [u8; 32],
}

/// What the cache had to say about a component.
#[derive(Debug)]
pub enum Lookup {
    /// Compiled before, by us.
    Hit(Box<Component>),
    /// Not there.
    Miss,
    /// There and not ours, or changed: to be compiled again.
    Refused(&'static str),
}

impl CompiledCache {
    /// Opens the cache, making directory and key as needed.
    pub fn open(dir: &Path) -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let path = dir.join("key");
        let other = |e: &dyn std::fmt::Display| std::io::Error::other(e.to_string());
        if !path.exists() {
            let mut key = [0_u8; 32];
            getrandom::fill(&mut key).map_err(|e| other(&e))?;
            // Another process may be first; its key is as good.
            match file::create_private(&path, &key) {
                Err(e) if !path.exists() => return Err(other(&e)),
                _ => {}
            }
        }
        let bytes = file::read_private(&path, 64).map_err(|e| other(&e))?;
        let key = <[u8; 32]>::try_from(bytes.as_slice())
            .map_err(|_| std::io::Error::other(format!("{} is no cache key; delete it", path.display())))?;
        Ok(Self { dir: dir.to_owned(), key })
    }

    /// Looks a component up by the digest of its bytes.
    pub(super) fn load(&self, engine: &Engine, digest: &[u8; 32]) -> Lookup {
        let path = self.path(engine, digest);
        if fs::symlink_metadata(&path).is_err() {
            return Lookup::Miss;
        }
        let Ok(entry) = file::read_once(&path, MAX_ENTRY) else { return Lookup::Refused("it can't be read") };
        let Some((mac, code)) = entry.split_at_checked(MAC_LEN) else { return Lookup::Refused("it is too short") };
        let Some(expected) = self.mac(engine, digest, code) else { return Lookup::Refused("no digest") };
        if expected.verify_slice(mac).is_err() {
            return Lookup::Refused("its digest is not ours");
        }
        #[expect(
            unsafe_code,
            reason = "the keyed digest proves that this host wrote exactly these bytes for this engine"
        )]
        // SAFETY: `deserialize` runs what it is given. `code` carries a MAC under a key that only this host has, over
        // the component's digest, the engine's compatibility hash and the code itself, and it was read once into memory.
        let component = unsafe { Component::deserialize(engine, code) };
        component.map_or(Lookup::Refused("the engine does not take it"), |c| Lookup::Hit(Box::new(c)))
    }

    /// Keeps a compiled component. A failure costs the next start a compilation and nothing else.
    pub(super) fn keep(&self, engine: &Engine, digest: &[u8; 32], component: &Component) -> std::io::Result<()> {
        let code = component.serialize().map_err(|e| std::io::Error::other(e.to_string()))?;
        let Some(mac) = self.mac(engine, digest, &code) else { return Ok(()) };
        // Files that are mapped or read must never change in place: write beside, then rename.
        let mut temporary = tempfile::NamedTempFile::new_in(&self.dir)?;
        temporary.write_all(&mac.finalize().into_bytes())?;
        temporary.write_all(&code)?;
        temporary.persist(self.path(engine, digest))?;
        Ok(())
    }

    fn path(&self, engine: &Engine, digest: &[u8; 32]) -> PathBuf {
        let mut name = Sha256::new();
        name.update(digest);
        name.update(compatibility(engine));
        let name: String = name.finalize().iter().map(|b| format!("{b:02x}")).collect();
        self.dir.join(format!("{name}.cwasm"))
    }

    fn mac(&self, engine: &Engine, digest: &[u8; 32], code: &[u8]) -> Option<HmacSha256> {
        let mut mac = HmacSha256::new_from_slice(&self.key).ok()?;
        mac.update(b"lockgate compiled component v1\0");
        mac.update(digest);
        mac.update(&compatibility(engine));
        mac.update(code);
        Some(mac)
    }
}

/// The engine's compatibility hash, as bytes.
fn compatibility(engine: &Engine) -> [u8; 32] {
    struct Sink(Sha256);
    impl Hasher for Sink {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sink = Sink(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sink);
    sink.0.finalize().into()
}
