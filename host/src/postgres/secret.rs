//! A password in memory: never shown, overwritten when dropped. And the rule for files that hold one.

use std::{
    fmt,
    fs::File,
    io::Read as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use zeroize::Zeroizing;

use super::error::TargetError;

/// No password or password file of a sane set-up is larger than this.
const MAX_SECRET_FILE: u64 = 64 * 1024;

/// A password.
#[derive(Clone)]
pub(super) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub(super) fn new(text: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// For the driver, and for nothing else.
    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads a file that only its owner may read (the rule that libpq has for `.pgpass`: no group or world access). The file is
/// opened once and what is checked is what is read. A root-owned file may be readable by its group, as libpq allows for keys.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, TargetError> {
    let not = |e: std::io::Error| TargetError::file(path, format!("can't be read: {e}"));
    // Non-blocking, so that a pipe under this name is refused below instead of waited for.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut file = File::options().read(true).custom_flags(nonblock).open(path).map_err(not)?;
    let about = file.metadata().map_err(not)?;
    if !about.is_file() {
        return Err(TargetError::file(path, "is not a regular file"));
    }
    let forbidden = if about.uid() == 0 { 0o037 } else { 0o077 };
    if about.mode() & forbidden != 0 {
        return Err(TargetError::file(
            path,
            format!("has mode {:04o} and holds a secret: run `chmod 0600` on it", about.mode() & 0o7777),
        ));
    }
    if about.len() > MAX_SECRET_FILE {
        return Err(TargetError::file(path, "is larger than 64 KiB: this is not a file of passwords"));
    }
    let mut text = Zeroizing::new(String::new());
    file.by_ref().take(MAX_SECRET_FILE).read_to_string(&mut text).map_err(not)?;
    Ok(text)
}

/// The password in a file of its own: everything up to the first line break.
pub(super) fn read_password_file(path: &Path) -> Result<Secret, TargetError> {
    let text = read_private(path)?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(TargetError::file(path, "has no password in its first line"));
    }
    Ok(Secret::new(line))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }

    #[test]
    fn a_readable_password_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "hunter2\nrest").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = read_password_file(&path).unwrap_err().to_string();
        assert!(error.contains("0644") && !error.contains("hunter2"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_password_file(&path).unwrap().expose(), b"hunter2");
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert!(read_private(&path).unwrap_err().to_string().contains("regular"));
    }
}
