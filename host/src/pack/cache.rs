//! Compiled code kept between starts, so that starting never compiles twice. An entry is native code: it is run only if
//! who owns the cache wrote it, for this very component and this very engine, which a keyed digest over the entry proves.
//! A host has a cache of its own, and so has an author, whose packs nobody has signed yet.

use std::{
    fs,
    hash::{Hash, Hasher},
    io::Write as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use hmac::{Hmac, KeyInit, Mac};
use lockgate_signing::file;
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

/// Largest entry that is read: a pack of 16 MiB compiles to some five times its size.
const MAX_ENTRY: u64 = 256 << 20;
/// All entries together. What was not used for longest goes first: versions of packs that are gone, engines before an upgrade.
const MAX_TOTAL: u64 = 4 << 30;
/// Bytes of the keyed digest in front of an entry's code.
const MAC_LEN: usize = 32;

type HmacSha256 = Hmac<Sha256>;

/// Where the user's own compiled packs are kept; `None` for a user without a home.
#[must_use]
pub fn users_own() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("lockgate/packs"))
}

/// A directory of compiled components, and the key that only its owner has.
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
        let found = self.read(engine, digest, &path);
        if matches!(found, Lookup::Hit(_)) {
            // Used now. One whose time can't be written is taken for older than it is, and goes earlier.
            let _ = fs::File::open(&path).and_then(|entry| entry.set_modified(SystemTime::now()));
        }
        found
    }

    fn read(&self, engine: &Engine, digest: &[u8; 32], path: &Path) -> Lookup {
        let Ok(entry) = file::read_once(path, MAX_ENTRY) else { return Lookup::Refused("it can't be read") };
        let Some((mac, code)) = entry.split_at_checked(MAC_LEN) else { return Lookup::Refused("it is too short") };
        let Some(expected) = self.mac(engine, digest, code) else { return Lookup::Refused("no digest") };
        if expected.verify_slice(mac).is_err() {
            return Lookup::Refused("its digest is not ours");
        }
        #[expect(
            unsafe_code,
            reason = "the keyed digest proves that this user wrote exactly these bytes for this engine"
        )]
        // SAFETY: `deserialize` runs what it is given. `code` carries a MAC under a key that only this user has, over
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
        self.make_room(MAX_TOTAL)
    }

    /// Drops what was not used for longest until no more than this many bytes are left.
    fn make_room(&self, most: u64) -> std::io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "cwasm")
                && let Ok(about) = fs::symlink_metadata(&path)
            {
                entries.push((about.modified()?, about.len(), path));
            }
        }
        let mut total: u64 = entries.iter().map(|(_, len, _)| len).sum();
        entries.sort();
        for (_, len, path) in entries {
            if total <= most {
                break;
            }
            fs::remove_file(path)?;
            total = total.saturating_sub(len);
        }
        Ok(())
    }

    /// Drops what was kept of a component that is not used any more.
    pub(super) fn forget(&self, engine: &Engine, digest: &[u8; 32]) {
        // One that stays costs room and nothing else.
        let _ = fs::remove_file(self.path(engine, digest));
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use wasmtime::Config;

    use super::*;

    fn engine() -> Engine {
        Engine::default()
    }

    fn compiled(engine: &Engine) -> Component {
        Component::new(engine, wat::parse_str("(component)").unwrap()).unwrap()
    }

    #[track_caller]
    fn refused(cache: &CompiledCache, engine: &Engine, digest: &[u8; 32]) {
        assert!(matches!(cache.load(engine, digest), Lookup::Refused(_)));
    }

    #[track_caller]
    fn hit(cache: &CompiledCache, engine: &Engine, digest: &[u8; 32]) {
        assert!(matches!(cache.load(engine, digest), Lookup::Hit(_)));
    }

    #[test]
    fn what_was_compiled_once_is_there_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, digest) = (engine(), [7; 32]);
        let cache = CompiledCache::open(dir.path()).unwrap();
        assert!(matches!(cache.load(&engine, &digest), Lookup::Miss));
        cache.keep(&engine, &digest, &compiled(&engine)).unwrap();
        hit(&cache, &engine, &digest);
        // Another process, with an engine of its own that is made in the same way.
        hit(&CompiledCache::open(dir.path()).unwrap(), &Engine::default(), &digest);
        cache.forget(&engine, &digest);
        assert!(matches!(cache.load(&engine, &digest), Lookup::Miss));
    }

    #[test]
    fn a_changed_entry_is_refused_and_can_be_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, digest) = (engine(), [7; 32]);
        let cache = CompiledCache::open(dir.path()).unwrap();
        cache.keep(&engine, &digest, &compiled(&engine)).unwrap();
        let path = cache.path(&engine, &digest);
        let good = fs::read(&path).unwrap();
        for at in [0, MAC_LEN - 1, MAC_LEN, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).unwrap();
            refused(&cache, &engine, &digest);
        }
        for bad in [&good[..good.len() - 1], &good[..MAC_LEN], &good[..5], &[], &[&good[..], b"x"].concat()] {
            fs::write(&path, bad).unwrap();
            refused(&cache, &engine, &digest);
        }
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(dir.path().join("key"), &path).unwrap();
        refused(&cache, &engine, &digest);
        cache.keep(&engine, &digest, &compiled(&engine)).unwrap();
        hit(&cache, &engine, &digest);
    }

    #[test]
    fn an_entry_is_for_one_component_one_engine_and_one_host() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (engine, digest, other) = (engine(), [7; 32], [8; 32]);
        let cache = CompiledCache::open(dir.path()).unwrap();
        cache.keep(&engine, &digest, &compiled(&engine)).unwrap();
        let entry = cache.path(&engine, &digest);

        // Put where another component's would be.
        fs::copy(&entry, cache.path(&engine, &other)).unwrap();
        refused(&cache, &engine, &other);
        // Put where another engine's would be.
        let fuelled = Engine::new(Config::new().consume_fuel(true)).unwrap();
        assert!(matches!(cache.load(&fuelled, &digest), Lookup::Miss));
        fs::copy(&entry, cache.path(&fuelled, &digest)).unwrap();
        refused(&cache, &fuelled, &digest);
        // Carried to another host.
        let foreign = CompiledCache::open(elsewhere.path()).unwrap();
        fs::copy(&entry, foreign.path(&engine, &digest)).unwrap();
        refused(&foreign, &engine, &digest);
        hit(&cache, &engine, &digest);
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine();
        let cache = CompiledCache::open(dir.path()).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH;
        for number in 0..3_u8 {
            cache.keep(&engine, &[number; 32], &compiled(&engine)).unwrap();
            let entry = fs::File::open(cache.path(&engine, &[number; 32])).unwrap();
            entry.set_modified(long_ago + std::time::Duration::from_secs(number.into())).unwrap();
        }
        hit(&cache, &engine, &[0; 32]);
        let size = fs::metadata(cache.path(&engine, &[0; 32])).unwrap().len();
        cache.make_room(3 * size).unwrap();
        hit(&cache, &engine, &[1; 32]);
        cache.make_room(2 * size).unwrap();
        hit(&cache, &engine, &[0; 32]);
        hit(&cache, &engine, &[1; 32]);
        assert!(matches!(cache.load(&engine, &[2; 32]), Lookup::Miss));
        // The key is no entry.
        cache.make_room(0).unwrap();
        assert!(dir.path().join("key").is_file());
    }

    #[test]
    fn a_key_that_others_can_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        CompiledCache::open(dir.path()).unwrap();
        let key = dir.path().join("key");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(CompiledCache::open(dir.path()).is_err());
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&key, b"short").unwrap();
        assert!(CompiledCache::open(dir.path()).is_err());
    }
}
