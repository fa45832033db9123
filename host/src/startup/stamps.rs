//! Whether the files that can be read again have changed: a look at each costs a call to the system, and tells an edit in
//! place, a replaced file and a file that came or went. What they say is not read.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::admit::components;
use crate::config::Config;

/// How often a watcher looks.
pub(super) const EVERY: Duration = Duration::from_secs(2);

/// Which file it is, how long, and when its text and anything about it changed last. No program can set the last.
type Stamp = Option<(u64, u64, (i64, i64), (i64, i64))>;

/// The files at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamps {
    files: BTreeMap<PathBuf, Stamp>,
    /// Why the packs can't be listed.
    unlisted: Option<String>,
}

impl Stamps {
    /// Trust, policy, and every component with its envelope.
    pub(super) fn of(config: &Config) -> Self {
        let (components, unlisted) = match components(config) {
            Ok(components) => (components, None),
            Err(refusal) => (Vec::new(), Some(refusal.message)),
        };
        let envelopes = components.iter().map(|path| path.with_extension("wasm.dsse.json"));
        let named = [Some(config.trust.clone()), config.policy.clone()].into_iter().flatten();
        let paths: Vec<PathBuf> = named.chain(envelopes).chain(components.iter().cloned()).collect();
        Self { files: paths.into_iter().map(|path| (path.clone(), stamp(&path))).collect(), unlisted }
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.ino(), found.size(), (found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec())))
}

/// Tells when files have changed and are at rest again, so that nothing is read while it is being copied.
pub(super) struct Watch {
    /// As they were read.
    read: Stamps,
    /// As they were at the last look.
    seen: Stamps,
}

impl Watch {
    pub(super) fn new(read: Stamps) -> Self {
        Self { seen: read.clone(), read }
    }

    /// Whether it is time to read them: not as they were read, and twice the same.
    pub(super) fn look(&mut self, now: Stamps) -> bool {
        let due = now != self.read && now == self.seen;
        if due {
            self.read = now.clone();
        }
        self.seen = now;
        due
    }

    /// They are read now, whatever a look would say.
    pub(super) fn are_read(&mut self, now: Stamps) {
        *self = Self::new(now);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config(dir: &Path) -> Config {
        let text = "version = 1\nstate_dir = \"state\"\npacks = [\"packs\"]\ntrust = \"trust.toml\"\npolicy = \"policy.toml\"\n";
        Config::parse(text, "lockgate.toml", dir).unwrap()
    }

    #[test]
    fn an_edit_a_replacement_and_a_file_that_comes_or_goes_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("packs")).unwrap();
        for name in ["trust.toml", "policy.toml", "packs/a-1.wasm", "packs/a-1.wasm.dsse.json", "packs/notes.txt"] {
            fs::write(path(name), "one").unwrap();
        }
        let config = config(dir.path());
        let mut before = Stamps::of(&config);
        let mut changed = |what: &str| {
            let now = Stamps::of(&config);
            let changed = now != before;
            before = now;
            assert!(changed, "{what}");
        };
        fs::write(path("policy.toml"), "other").unwrap();
        changed("another length");
        fs::write(path("new"), "other").unwrap();
        fs::rename(path("new"), path("policy.toml")).unwrap();
        changed("another file of the same length");
        fs::write(path("packs/a-1.wasm.dsse.json"), "three").unwrap();
        changed("an envelope");
        fs::write(path("packs/b-1.wasm"), "").unwrap();
        changed("a component more");
        fs::remove_file(path("packs/a-1.wasm")).unwrap();
        changed("a component less");
        fs::remove_file(path("trust.toml")).unwrap();
        changed("no trust policy");
        fs::remove_dir_all(path("packs")).unwrap();
        changed("no packs to list");
        assert_eq!(Stamps::of(&config), before, "and nothing is seen where nothing changed");
    }

    #[test]
    fn what_is_read_has_come_to_rest() {
        let stamps = |length| Stamps {
            files: [(PathBuf::from("policy.toml"), Some((1, length, (0, 0), (0, 0))))].into(),
            unlisted: None,
        };
        let mut watch = Watch::new(stamps(1));
        assert!(!watch.look(stamps(1)), "nothing has changed");
        assert!(!watch.look(stamps(2)), "it has just changed");
        assert!(!watch.look(stamps(3)), "it is still being written");
        assert!(watch.look(stamps(3)));
        assert!(!watch.look(stamps(3)), "it is read once");
        assert!(!watch.look(stamps(4)));
        assert!(!watch.look(stamps(3)), "as it was read: nothing to do");
        assert!(!watch.look(stamps(3)));
    }
}
