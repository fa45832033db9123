//! Packs in their place: which are there, how one is put there so that a host that looks at any moment sees the old or the new,
//! and how one is taken away.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use lockgate_signing::{
    declaration::{component_file_name, envelope_file_name},
    encoding::sha256,
    file::{self, FileError, MAX_COMPONENT_BYTES},
    name::PackName,
    version::PackVersion,
};

use super::Accepted;
use crate::{
    config::Config,
    error::{Code, Refusal},
    startup,
};

/// A pack's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The component.
    pub component: PathBuf,
    /// The version in its name.
    pub version: PackVersion,
}

impl Placed {
    /// SHA-256 of the component.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn digest(&self) -> Result<[u8; 32], Refusal> {
        let bytes = file::read_once(&self.component, MAX_COMPONENT_BYTES).map_err(|e| refused(&e))?;
        Ok(sha256(&bytes))
    }
}

/// The right to put packs in place and take them away, until it is dropped; the system takes it back from a process that is
/// gone. Nobody waits for it, since whoever has it may be asking somebody.
///
/// # Errors
/// When another process has it.
pub fn turn(state_dir: &Path) -> Result<File, Refusal> {
    let path = state_dir.join("packs.lock");
    let unusable = |error: io::Error| Refusal::new(Code::StoreUnavailable, format!("{}: {error}", path.display()));
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = open.map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Refusal::new(Code::Overloaded, "another command is installing or removing packs here")
                .with_remedy("wait for its end, and look at what it did with `lockgate pack list`"))
        }
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// The directory that packs are installed in: the first one that the configuration names.
///
/// # Errors
/// When it names none.
pub fn directory(config: &Config) -> Result<PathBuf, Refusal> {
    config.packs.iter().find(|path| path.is_dir()).cloned().ok_or_else(|| {
        Refusal::new(Code::ConfigInvalid, "the configuration names no directory of packs that is there")
            .with_remedy("make one, and name it in `packs`")
    })
}

/// Every version of a pack that is in place, lowest first.
///
/// # Errors
/// When the directories can't be read.
pub fn versions(config: &Config, pack: &PackName) -> Result<Vec<Placed>, Refusal> {
    let version = |path: &Path| {
        let name = path.file_stem()?.to_str()?;
        name.strip_prefix(pack.as_str())?.strip_prefix('-')?.parse::<PackVersion>().ok()
    };
    let mut found: Vec<_> = startup::components(config)?
        .into_iter()
        .filter_map(|component| Some(Placed { version: version(&component)?, component }))
        .collect();
    found.sort_by(|a, b| a.version.cmp(&b.version));
    Ok(found)
}

/// Puts a pack in a directory, durably. The envelope comes first: a component without one is never there to be seen, and what an
/// interruption leaves behind is replaced by the next attempt.
///
/// # Errors
/// When the directory can't be written.
pub fn put(directory: &Path, accepted: &Accepted) -> Result<PathBuf, Refusal> {
    let (pack, version) = (accepted.verified.pack(), accepted.verified.version());
    let component = directory.join(component_file_name(pack, version));
    let envelope = beside(&component);
    file::replace_public(&envelope, &accepted.envelope).map_err(|e| refused(&e))?;
    file::replace_public(&component, accepted.verified.bytes()).map_err(|e| refused(&e))?;
    Ok(component)
}

/// Takes a pack's files away, the component first.
///
/// # Errors
/// When they can't be removed.
pub fn remove(placed: &Placed) -> Result<(), Refusal> {
    for path in [placed.component.clone(), beside(&placed.component)] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Refusal::new(Code::FileRefused, format!("{}: {error}", path.display()))
                    .with_remedy("run it as a user who may write this directory"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn refused(error: &FileError) -> Refusal {
    Refusal::new(Code::FileRefused, error.to_string()).with_remedy(error.remedy())
}

/// The envelope beside a component.
#[must_use]
pub fn beside(component: &Path) -> PathBuf {
    let name = component.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    component.with_file_name(envelope_file_name(name))
}
