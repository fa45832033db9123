//! Files, opened once. Links are not followed, only regular files are read, every read has a bound, and whoever calls
//! works on the bytes that came back, never on the path again.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Gid, Mode, OFlags, RawMode, RenameFlags, Uid, chownat, fchmod, fstat, linkat, openat,
        renameat, renameat_with, statat, unlinkat,
    },
    io::Errno,
    process::geteuid,
};

use crate::encoding::{hex, printable};

/// Largest component: the stock packs are below 300 KiB, a pack with an interpreter inside is 10 to 12 MiB.
pub const MAX_COMPONENT_BYTES: u64 = 32 * 1024 * 1024;

/// Largest envelope: 256 actions with their risks and sixteen signatures stay below 64 KiB.
pub const MAX_ENVELOPE_BYTES: u64 = 256 * 1024;

/// Largest key file; an encrypted Ed25519 key is about 400 bytes.
pub const MAX_KEY_BYTES: u64 = 16 * 1024;

/// Largest `trust.toml`.
pub const MAX_TRUST_BYTES: u64 = 1024 * 1024;

/// Why a file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It could not be opened.
    #[error("`{}` can't be opened: {source}", shown(path))]
    Open {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The last part of the path is a symbolic link.
    #[error("`{}` is a symbolic link, and links are not followed", shown(path))]
    Link {
        /// Which file.
        path: PathBuf,
    },
    /// A directory, a pipe, a socket or a device.
    #[error("`{}` is not a regular file", shown(path))]
    NotRegular {
        /// Which file.
        path: PathBuf,
    },
    /// Larger than the bound for its kind.
    #[error("`{}` has more than {limit} bytes", shown(path))]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The bound, in bytes.
        limit: u64,
    },
    /// Open to more users than such a file may be.
    #[error("`{}` has mode {mode:04o}: {problem}", shown(path))]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What is wrong with them.
        problem: &'static str,
    },
    /// Owned by neither this user nor root.
    #[error("`{}` is owned by user {owner}, not by this user or root", shown(path))]
    Owner {
        /// Which file.
        path: PathBuf,
        /// The owner's id.
        owner: u32,
    },
    /// It is there, and would have been overwritten.
    #[error("`{}` exists and is not overwritten", shown(path))]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// Reading or writing failed midway.
    #[error("`{}` can't be read or written: {source}", shown(path))]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

impl FileError {
    /// The stable code: `file_too_large` or `file_refused`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        if matches!(self, Self::TooLarge { .. }) { "file_too_large" } else { "file_refused" }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "check that this is the right file",
            Self::Link { .. } | Self::NotRegular { .. } => "give the path of the regular file itself",
            Self::Exposed { .. } => "take the permissions away with `chmod go-rwx` (or `go-w` for a trust policy)",
            Self::Owner { .. } => "make a copy that the user who runs this owns",
            Self::Exists { .. } => "choose another path, or move the file away if it is no longer needed",
            Self::Open { .. } | Self::Io { .. } => "check the path and its permissions",
        }
    }

    /// True if there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Open { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Who may have access to a file that is read.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Anybody,
    OthersMayRead,
    OwnerOnly,
}

/// Reads a regular file of at most `max_bytes` into memory, opening it once.
///
/// # Errors
///
/// [`FileError`] if it can't be opened, is a link or no regular file, or is larger.
pub fn read_once(path: impl AsRef<Path>, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    read(path.as_ref(), max_bytes, Access::Anybody)
}

/// The same for a file whose content is secret: it belongs to this user or root, and nobody else has any access.
///
/// # Errors
///
/// [`FileError`], also if its owner or mode is wrong.
pub fn read_private(path: impl AsRef<Path>, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    read(path.as_ref(), max_bytes, Access::OwnerOnly)
}

/// The same for a file whose content is an authority: it belongs to this user or root, and nobody else may write it.
///
/// # Errors
///
/// [`FileError`], also if its owner or mode is wrong.
pub fn read_guarded(path: impl AsRef<Path>, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    read(path.as_ref(), max_bytes, Access::OthersMayRead)
}

fn read(path: &Path, limit: u64, access: Access) -> Result<Vec<u8>, FileError> {
    // Not blocking, so that a pipe put in the file's place can't hold us before we see what it is.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let descriptor = openat(CWD, path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::LOOP => FileError::Link { path: path.to_owned() },
        // What opening a socket or a device without a driver answers.
        Errno::NXIO => FileError::NotRegular { path: path.to_owned() },
        errno => FileError::Open { path: path.to_owned(), source: errno.into() },
    })?;
    let failed = |source: io::Error| FileError::Io { path: path.to_owned(), source };
    let stat = fstat(&descriptor).map_err(|errno| failed(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(FileError::NotRegular { path: path.to_owned() });
    }
    check_access(path, stat.st_mode, stat.st_uid, access)?;
    let too_large = || FileError::TooLarge { path: path.to_owned(), limit };
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    if size > limit {
        return Err(too_large());
    }
    // The size is a hint: the file may grow while it is read, so the bound is enforced on what arrives.
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    File::from(descriptor).take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

fn check_access(path: &Path, mode: RawMode, owner: u32, access: Access) -> Result<(), FileError> {
    // On a file with an access control list the group bits are its mask, so these bits cover lists as well.
    let (forbidden, problem) = match access {
        Access::Anybody => return Ok(()),
        Access::OthersMayRead => (0o022, "others may write it"),
        Access::OwnerOnly => (0o077, "others have access to it"),
    };
    let mode = mode & 0o7777;
    if mode & forbidden != 0 {
        return Err(FileError::Exposed { path: path.to_owned(), mode, problem });
    }
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(FileError::Owner { path: path.to_owned(), owner });
    }
    Ok(())
}

/// Creates a file that only this user can read (mode 0600) and makes it durable. An existing file is never touched.
///
/// # Errors
///
/// [`FileError`] if it exists or can't be written; nothing is left behind then.
pub fn create_private(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FileError> {
    create(path.as_ref(), bytes, 0o600)
}

/// Creates a file that everybody may read (mode 0644) and makes it durable. An existing file is never touched.
///
/// # Errors
///
/// [`FileError`] if it exists or can't be written; nothing is left behind then.
pub fn create_public(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FileError> {
    create(path.as_ref(), bytes, 0o644)
}

/// Puts a file that everybody may read in the place of whatever is there, in one step: a reader sees the old content or
/// the new, never a part.
///
/// # Errors
///
/// [`FileError`] if it can't be written; the old file is then untouched.
pub fn replace_public(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FileError> {
    let path = path.as_ref();
    place(path, bytes, 0o644, |temporary| renameat(CWD, temporary, CWD, path))
}

/// The same for a file that only this user can read (mode 0600).
///
/// # Errors
///
/// [`FileError`] if it can't be written; the old file is then untouched.
pub fn replace_private(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FileError> {
    let path = path.as_ref();
    place(path, bytes, 0o600, |temporary| renameat(CWD, temporary, CWD, path))
}

/// Puts a file whose content is an authority in the place of the one that is there, in one step, with the mode and, as far as
/// this user may, the owner that the old one has; others may not write it, whatever they could before. Where there is none
/// everybody may read it.
///
/// # Errors
///
/// [`FileError`] if it can't be written; the old file is then untouched.
pub fn replace_guarded(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FileError> {
    let path = path.as_ref();
    let old = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok();
    let mode = old.as_ref().map_or(0o644, |old| old.st_mode & 0o755);
    place(path, bytes, mode, |temporary| {
        if let Some(old) = old {
            let (user, group) = (Uid::from_raw(old.st_uid), Gid::from_raw(old.st_gid));
            // Only root can give a file away, and has to: what a host reads must stay its own user's or root's.
            match chownat(CWD, temporary, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::PERM) if !geteuid().is_root() => {}
                result => result?,
            }
        }
        renameat(CWD, temporary, CWD, path)
    })
}

fn create(path: &Path, bytes: &[u8], mode: RawMode) -> Result<(), FileError> {
    place(path, bytes, mode, |temporary| match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        // A file system without this kind of rename: a second link is as exclusive, and the first one goes.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            linkat(CWD, temporary, CWD, path, AtFlags::empty())?;
            unlinkat(CWD, temporary, AtFlags::empty())
        }
        result => result,
    })
}

/// Writes a whole file under a name that nobody knows and lets `publish` give it its real one, so that a file of that name
/// is always complete.
fn place(
    path: &Path,
    bytes: &[u8],
    mode: RawMode,
    publish: impl FnOnce(&Path) -> rustix::io::Result<()>,
) -> Result<(), FileError> {
    let failed = |source: io::Error| match source.raw_os_error() {
        Some(code) if code == Errno::EXIST.raw_os_error() => FileError::Exists { path: path.to_owned() },
        _ => FileError::Io { path: path.to_owned(), source },
    };
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| failed(io::Error::other(error)))?;
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", hex(&random)));
    let temporary = path.with_file_name(name);

    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // For the owner alone, whatever the umask, until the content is there.
    let descriptor = openat(CWD, &temporary, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|errno| FileError::Open { path: path.to_owned(), source: errno.into() })?;
    let mut file = File::from(descriptor);
    let placed = file
        .write_all(bytes)
        .and_then(|()| Ok(fchmod(&file, Mode::from_raw_mode(mode))?))
        .and_then(|()| file.sync_all())
        .and_then(|()| Ok(publish(&temporary)?));
    if let Err(source) = placed {
        // Ours to remove; that this may fail too changes nothing for the caller.
        let _ = unlinkat(CWD, &temporary, AtFlags::empty());
        return Err(failed(source));
    }
    sync_directory(path)
}

/// A new name is durable once its directory is.
fn sync_directory(path: &Path) -> Result<(), FileError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| FileError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
        process::Command,
    };

    use super::*;

    #[test]
    fn only_bounded_regular_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_once(&path, 5).unwrap(), b"12345");
        assert_eq!(read_once(&path, 4).unwrap_err().code(), "file_too_large");
        // Says that it has no bytes, and has some.
        assert_eq!(read_once("/proc/self/status", 3).unwrap_err().code(), "file_too_large");

        let link = directory.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(read_once(&link, 5), Err(FileError::Link { .. })));
        assert!(matches!(read_once(directory.path(), 5), Err(FileError::NotRegular { .. })));
        assert!(matches!(read_once("/dev/zero", 5), Err(FileError::NotRegular { .. })));
        assert!(read_once(directory.path().join("none"), 5).unwrap_err().is_missing());

        let pipe = directory.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(matches!(read_once(&pipe, 5), Err(FileError::NotRegular { .. })), "and does not wait for a writer");
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(matches!(read_once(&socket, 5), Err(FileError::NotRegular { .. })));
    }

    #[test]
    fn modes_are_checked_where_they_matter() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        create_private(&path, b"x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        for (mode, private, guarded) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o640, false, true),
            (0o644, false, true),
            (0o620, false, false),
            (0o602, false, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_private(&path, 9).is_ok(), private, "{mode:o}");
            assert_eq!(read_guarded(&path, 9).is_ok(), guarded, "{mode:o}");
        }
        assert!(matches!(
            check_access(&path, 0o600, geteuid().as_raw() + 1, Access::OwnerOnly),
            Err(FileError::Owner { .. })
        ));
        assert!(check_access(&path, 0o600, 0, Access::OthersMayRead).is_ok());
    }

    #[test]
    fn nothing_is_overwritten_unless_asked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        create_public(&path, b"one").unwrap();
        assert!(matches!(create_private(&path, b"two"), Err(FileError::Exists { .. })));
        let link = directory.path().join("link");
        symlink(directory.path().join("elsewhere"), &link).unwrap();
        assert!(create_private(&link, b"two").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");

        replace_public(&path, b"three").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        replace_public(&link, b"four").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_file(), "the link is replaced, not followed");
        assert!(!directory.path().join("elsewhere").exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "no temporary file is left");

        for (before, after) in [(0o600, 0o600), (0o640, 0o640), (0o666, 0o644)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
            replace_guarded(&path, b"five").unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, after);
        }
        assert_eq!(fs::read(&path).unwrap(), b"five");
    }
}
