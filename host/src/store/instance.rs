//! Which lockgate processes of this machine are alive. Each holds an exclusive lock on a file of its own for as long as it
//! lives; the kernel lets go of the lock when the process ends, however it ends (flock(2)). Process ids would not do: they
//! are reused. One machine only: network file systems do not keep this promise everywhere.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::{StoreError, sqlite::files};

/// This process, for as long as the value lives. The lock goes with it.
#[derive(Debug)]
pub struct Instance {
    id: String,
    path: PathBuf,
    // Held for its lock. Opened close-on-exec, so that no child keeps the lock of a dead parent.
    _lock: File,
}

impl Instance {
    /// Registers this process under a new random id in `STATE/instances`.
    ///
    /// # Errors
    /// If the directory can't be used or there is no randomness.
    pub fn register(state: &Path) -> Result<Self, StoreError> {
        files::check_directory(state)?;
        let directory = state.join("instances");
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(files::refused(&directory, format!("can't be made: {error}")));
            }
            _ => files::check_directory(&directory)?,
        }
        loop {
            let id = super::random_id("ins_")?;
            let path = lock_path(state, &id);
            let refused = |error: io::Error| files::refused(&path, format!("can't be locked: {error}"));
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(refused)?;
            flock(&file, FlockOperation::LockExclusive).map_err(|error| refused(error.into()))?;
            // Between making and locking it, another process may have taken it for a dead one's and removed it.
            if is_same_file(&file, &path) {
                return Ok(Self { id, path, _lock: file });
            }
        }
    }

    /// Its id, for `consume`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Best effort: a file left behind is one that can be locked, which says the same.
        _ = fs::remove_file(&self.path);
    }
}

/// Whether the instance of this id is alive on this machine. One that never was, or left cleanly, is not.
///
/// If it can't be found out it counts as alive: nothing is called unknown on a guess.
#[must_use]
pub fn is_alive(state: &Path, id: &str) -> bool {
    probe(state, id, FlockOperation::NonBlockingLockShared).is_none_or(|(alive, _)| alive)
}

/// Removes the lock files of instances that are dead and that `is_needed` does not claim; returns how many.
pub fn sweep(state: &Path, is_needed: &dyn Fn(&str) -> bool) -> usize {
    let Ok(entries) = fs::read_dir(state.join("instances")) else {
        return 0;
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut removed = 0;
    for name in names {
        let Some(id) = name.strip_suffix(".lock").filter(|id| is_id(id)) else {
            continue;
        };
        if is_needed(id) {
            continue;
        }
        // The lock is held while the file is removed, so a process that is just registering notices that it is gone.
        if let Some((false, Some(_held))) = probe(state, id, FlockOperation::NonBlockingLockExclusive)
            && fs::remove_file(lock_path(state, id)).is_ok()
        {
            removed += 1;
        }
    }
    removed
}

/// `(alive, the file, locked by us if not alive)`; `None` if it can't be found out.
fn probe(state: &Path, id: &str, lock: FlockOperation) -> Option<(bool, Option<File>)> {
    if !is_id(id) {
        return Some((false, None));
    }
    let mut options = OpenOptions::new();
    let nofollow = i32::try_from(OFlags::NOFOLLOW.bits()).ok()?;
    match options.read(true).custom_flags(nofollow).open(lock_path(state, id)) {
        Ok(file) => match flock(&file, lock) {
            Ok(()) => Some((false, Some(file))),
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => Some((true, None)),
            Err(_) => None,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some((false, None)),
        Err(_) => None,
    }
}

fn lock_path(state: &Path, id: &str) -> PathBuf {
    state.join("instances").join(format!("{id}.lock"))
}

// Ids come back from the store; one that could leave the directory is no id.
fn is_id(id: &str) -> bool {
    id.strip_prefix("ins_").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(held), Ok(named)) => held.dev() == named.dev() && held.ino() == named.ino(),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::store::testing::state_directory;

    #[test]
    fn an_instance_is_alive_until_it_is_dropped() {
        let state = state_directory();
        let instance = Instance::register(state.path()).unwrap();
        let id = instance.id().to_owned();
        assert!(is_alive(state.path(), &id));
        drop(instance);
        assert!(!is_alive(state.path(), &id));
    }

    #[test]
    fn an_unknown_or_malformed_id_is_dead() {
        let state = state_directory();
        for id in ["ins_0000000000000000", "", "ins_", "../../etc/passwd", "ins_../x"] {
            assert!(!is_alive(state.path(), id), "{id}");
        }
    }

    #[test]
    fn a_sweep_removes_what_the_dead_left_and_nobody_needs() {
        let state = state_directory();
        let alive = Instance::register(state.path()).unwrap();
        for id in ["ins_needed", "ins_left"] {
            fs::write(lock_path(state.path(), id), "").unwrap();
        }
        assert_eq!(sweep(state.path(), &|id| id == "ins_needed"), 1);
        assert!(lock_path(state.path(), "ins_needed").exists());
        assert!(!lock_path(state.path(), "ins_left").exists());
        assert!(is_alive(state.path(), alive.id()));
    }
}
