//! The state directory and the database file: made private, and refused where others could write to them. Whoever can write
//! here can forge an approval.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::store::StoreError;

pub(in crate::store) fn refused(path: &Path, problem: impl Into<String>) -> StoreError {
    StoreError::Path { path: path.to_owned(), problem: problem.into() }
}

/// Refuses a directory that is not ours or that others may write to.
pub(in crate::store) fn check_directory(path: &Path) -> Result<(), StoreError> {
    let found = fs::metadata(path).map_err(|error| refused(path, format!("can't be looked at: {error}")))?;
    if !found.is_dir() {
        return Err(refused(path, "is not a directory"));
    }
    check_owner(path, &found)?;
    if found.mode() & 0o022 != 0 {
        let mode = found.mode() & 0o7777;
        return Err(refused(path, format!("may be written to by others (mode {mode:o}): run `chmod 700` on it")));
    }
    Ok(())
}

fn check_owner(path: &Path, found: &fs::Metadata) -> Result<(), StoreError> {
    let me = rustix::process::geteuid().as_raw();
    if found.uid() == me {
        return Ok(());
    }
    Err(refused(path, format!("belongs to user {} and lockgate runs as user {me}: give it to one user", found.uid())))
}

/// Makes the directory (0700) and the file (0600) where they are missing, and checks both. Returns the path to open, with
/// links in the directory's path resolved: SQLite is then told to follow none.
///
/// An existing file is only looked at, never opened: closing any descriptor of it would drop the locks that another
/// connection of this process holds on it (<https://sqlite.org/howtocorrupt.html>, section 2.2).
pub(super) fn prepare(path: &Path) -> Result<PathBuf, StoreError> {
    let name = path.file_name().ok_or_else(|| refused(path, "is not the name of a file"))?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)
        .map_err(|error| refused(parent, format!("can't be made: {error}")))?;
    let parent = parent.canonicalize().map_err(|error| refused(parent, format!("can't be resolved: {error}")))?;
    check_directory(&parent)?;

    let path = parent.join(name);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(file) => {
            // The name must survive a crash before anything relies on what is behind it.
            file.sync_all()
                .and_then(|()| File::open(&parent)?.sync_all())
                .map_err(|error| refused(&path, format!("can't be made durable: {error}")))?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(refused(&path, format!("can't be made: {error}"))),
    }
    let found = fs::symlink_metadata(&path).map_err(|error| refused(&path, format!("can't be looked at: {error}")))?;
    if !found.is_file() {
        return Err(refused(&path, "is not a regular file; links are not followed"));
    }
    check_owner(&path, &found)?;
    if found.mode() & 0o077 != 0 {
        let mode = found.mode() & 0o7777;
        return Err(refused(&path, format!("is open to others (mode {mode:o}): run `chmod 600` on it")));
    }
    Ok(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use crate::store::{SqliteStore, Store as _, StoreError, testing::state_directory};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_made_is_private() {
        let outer = state_directory();
        let state = outer.path().join("a/b");
        let store = SqliteStore::open(&state.join("lockgate.db")).unwrap();
        store.set_meta("k", "v").unwrap();
        assert_eq!((mode(&outer.path().join("a")), mode(&state)), (0o700, 0o700));
        for name in ["lockgate.db", "lockgate.db-wal", "lockgate.db-shm"] {
            assert_eq!(mode(&state.join(name)), 0o600, "{name}");
        }
    }

    #[test]
    fn what_others_may_write_to_is_refused() {
        let state = state_directory();
        let path = state.path().join("lockgate.db");
        drop(SqliteStore::open(&path).unwrap());
        for loose in [0o640, 0o604, 0o660, 0o606] {
            chmod(&path, loose);
            assert!(matches!(SqliteStore::open(&path), Err(StoreError::Path { .. })), "{loose:o}");
        }
        chmod(&path, 0o600);
        for loose in [0o770, 0o707, 0o777] {
            chmod(state.path(), loose);
            assert!(matches!(SqliteStore::open(&path), Err(StoreError::Path { .. })), "{loose:o}");
        }
        chmod(state.path(), 0o700);
        SqliteStore::open(&path).unwrap();
    }

    #[test]
    fn a_link_or_a_directory_is_no_database() {
        let state = state_directory();
        let real = state.path().join("real.db");
        drop(SqliteStore::open(&real).unwrap());
        let link = state.path().join("link.db");
        symlink(&real, &link).unwrap();
        let directory = state.path().join("directory.db");
        fs::create_dir(&directory).unwrap();
        for path in [link, directory, PathBuf::from("/")] {
            let opened = SqliteStore::open(&path);
            assert!(matches!(opened, Err(StoreError::Path { .. })), "{}: {opened:?}", path.display());
        }
    }
}
