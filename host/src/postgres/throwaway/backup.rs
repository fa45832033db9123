//! A standby's data directory: a base backup over SQL ("Making a Base Backup Using the Low Level API" in PostgreSQL's
//! manual), so that a standby needs no program but the server.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tokio_postgres::Client;

use super::{ThrowawayError, cluster::told, owner::Owner};

/// Keeps the log that the backup needs until it is copied. Temporary: it goes with the session.
const SLOT: &str = "throwaway_base_backup";
/// Directories whose content belongs to the running server; the new one begins with empty ones.
const EMPTIED: [&str; 8] =
    ["pg_wal", "pg_dynshmem", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"];
/// Files that say something about the running server, or about an earlier backup of it.
const LEFT_OUT: [&str; 9] = [
    "postmaster.pid",
    "postmaster.opts",
    "current_logfiles",
    "backup_label",
    "backup_label.old",
    "tablespace_map",
    "backup_manifest",
    "standby.signal",
    "recovery.signal",
];
/// Where a server keeps what it did and where it has to begin.
const CONTROL: &str = "global/pg_control";

/// Copies the data directory of the server that `client` is a superuser's session of. What comes of it starts as a standby
/// once it is told its primary.
pub(super) async fn copy(
    client: &Client,
    major: u32,
    owner: Option<Owner>,
    from: PathBuf,
    to: PathBuf,
) -> Result<(), ThrowawayError> {
    // The functions were renamed in 15, where the exclusive backups of old went.
    let (start, stop) = if major >= 15 {
        ("pg_catalog.pg_backup_start('throwaway', true)", "pg_catalog.pg_backup_stop(false)")
    } else {
        ("pg_catalog.pg_start_backup('throwaway', true, false)", "pg_catalog.pg_stop_backup(false, false)")
    };
    let keep = format!("SELECT pg_catalog.pg_create_physical_replication_slot('{SLOT}', true, true)");
    client.batch_execute(&format!("{keep}; SELECT {start}")).await.map_err(|e| told(&e))?;

    let (source, target) = (from.clone(), to.clone());
    blocking(move || {
        let copier = Copier { owner };
        copier.directory(&source, &target, Path::new(""))?;
        // The last of all: pages that were copied before it was read are then never newer than it says.
        copier.file(&source.join(CONTROL), &target.join(CONTROL))
    })
    .await?;

    let stopped = client.query_one(&format!("SELECT labelfile, spcmapfile FROM {stop}"), &[]).await;
    let stopped = stopped.map_err(|e| told(&e))?;
    let (label, tablespaces) = (stopped.get::<_, String>(0), stopped.get::<_, Option<String>>(1));
    if tablespaces.is_some_and(|map| !map.trim().is_empty()) {
        // A link to the primary's directory would let two servers write there.
        return Err(ThrowawayError::new("a standby of a cluster with tablespaces is not made here"));
    }
    blocking(move || {
        let copier = Copier { owner };
        copier.wal(&from.join("pg_wal"), &to.join("pg_wal"))?;
        copier.write(&to.join("backup_label"), &label)?;
        copier.write(&to.join("standby.signal"), "")
    })
    .await?;
    let let_go = format!("SELECT pg_catalog.pg_drop_replication_slot('{SLOT}')");
    client.batch_execute(&let_go).await.map_err(|e| told(&e))
}

/// A few thousand files take a moment.
async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), ThrowawayError> {
    let failed =
        |e: &dyn std::fmt::Display| ThrowawayError::new(format!("the primary's directory can't be copied: {e}"));
    tokio::task::spawn_blocking(work).await.map_err(|e| failed(&e))?.map_err(|e| failed(&e))
}

struct Copier {
    owner: Option<Owner>,
}

impl Copier {
    /// Copies what is in a directory, `inside` being its path from the data directory.
    fn directory(&self, from: &Path, to: &Path, inside: &Path) -> io::Result<()> {
        self.make(&to.join(inside))?;
        if EMPTIED.iter().any(|name| inside == Path::new(name)) {
            return Ok(());
        }
        let Some(entries) = unless_gone(fs::read_dir(from.join(inside)))? else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            let path = inside.join(entry.file_name());
            let Some(kind) = unless_gone(entry.file_type())? else { continue };
            if kind.is_dir() {
                if !is_temporary(&entry.file_name()) {
                    self.directory(from, to, &path)?;
                }
            } else if kind.is_file() && !is_left_out(&path) {
                self.file(&entry.path(), &to.join(&path))?;
            }
        }
        Ok(())
    }

    /// The log from the slot on is there; older files may go while we look.
    fn wal(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.make(&to.join("archive_status"))?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            if unless_gone(entry.file_type())?.is_some_and(|kind| kind.is_file()) {
                self.file(&entry.path(), &to.join(entry.file_name()))?;
            }
        }
        Ok(())
    }

    /// A file may vanish: a table is dropped, a temporary file is done with. Replaying the log settles it.
    fn file(&self, from: &Path, to: &Path) -> io::Result<()> {
        match unless_gone(fs::copy(from, to))? {
            Some(_) => Owner::give(self.owner, to),
            None => Ok(()),
        }
    }

    fn make(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path)?;
        Owner::give(self.owner, path)
    }

    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        fs::write(path, text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Owner::give(self.owner, path)
    }
}

fn is_temporary(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with("pgsql_tmp")
}

fn is_left_out(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    path == Path::new(CONTROL)
        || is_temporary(name)
        || name.to_string_lossy().starts_with("pg_internal.init")
        || LEFT_OUT.iter().any(|left_out| path == Path::new(left_out))
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_running_server_stays_there() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for directory in ["base/5", "base/pgsql_tmp", "global", "pg_replslot/kept", "pg_wal"] {
            fs::create_dir_all(from.path().join(directory)).unwrap();
        }
        let copied = ["PG_VERSION", "base/5/1259", "base/5/backup_label"];
        let left = [
            "postmaster.pid",
            "backup_label",
            "global/pg_control",
            "global/pg_internal.init",
            "base/5/pg_internal.init.77",
            "base/pgsql_tmp/t",
            "pg_replslot/kept/state",
            "pg_wal/000000010000000000000001",
        ];
        for file in copied.iter().chain(&left) {
            fs::write(from.path().join(file), file).unwrap();
        }
        let target = to.path().join("data");
        Copier { owner: None }.directory(from.path(), &target, Path::new("")).unwrap();
        for file in copied {
            assert_eq!(fs::read_to_string(target.join(file)).unwrap(), file);
        }
        assert!(left.iter().all(|file| !target.join(file).exists()));
        assert!(target.join("pg_wal").is_dir() && target.join("pg_replslot").is_dir());
    }

    #[test]
    fn what_vanished_is_no_error_and_what_is_forbidden_is_one() {
        assert_eq!(unless_gone::<()>(Err(io::ErrorKind::NotFound.into())).unwrap(), None);
        assert!(unless_gone::<()>(Err(io::ErrorKind::PermissionDenied.into())).is_err());
    }
}
