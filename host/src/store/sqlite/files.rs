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
    let parent =
        parent.canonicalize().map_err(|error| refused(parent, format!("can't be resolved: {error}")))?;
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
