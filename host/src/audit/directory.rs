//! The record's directory: opened once, and every file in it is reached through that handle, never through a link, so that
//! nobody can slip another directory or a pipe under a running writer. Also the lock that its writers and readers share.

use std::{
    fs::{DirBuilder, File},
    io::{self, Seek as _, SeekFrom},
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat},
    io::Errno,
};

use super::segment::{self, LineReader};

const LOCK: &str = "lock";

/// Something on the disk could not be used.
#[derive(Debug, thiserror::Error)]
#[error("can't {verb} `{path}`: {source}")]
pub struct DiskError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl DiskError {
    pub(super) fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// The directory.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

impl Directory {
    /// Opens the directory for a reader.
    pub(super) fn open(path: &Path) -> Result<Self, DiskError> {
        let failed = |source: io::Error| DiskError { verb: "open the record directory", path: path.to_owned(), source };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        Ok(Self { path: path.to_owned(), fd })
    }

    /// Opens the directory for a writer; makes it first, for its owner only, where it is missing. Refuses one that
    /// everybody may write to.
    pub(super) fn create(path: &Path) -> Result<Self, DiskError> {
        let failed = |source: io::Error| DiskError { verb: "make the record directory", path: path.to_owned(), source };
        let is_new = !path.exists();
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        if is_new {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
        }
        let dir = Self::open(path)?;
        let stat = rustix::fs::fstat(&dir.fd).map_err(|errno| dir.error("look at", "", errno))?;
        if Mode::from_raw_mode(stat.st_mode).contains(Mode::WOTH) {
            return Err(dir.error("write to", "", io::Error::other("everybody else may, too")));
        }
        Ok(dir)
    }

    /// A directory inside this one, made where it is missing.
    pub(super) fn inside(&self, name: &str) -> Result<Self, DiskError> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) => self.sync()?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(self.error("make", name, errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty());
        Ok(Self { path: self.path.join(name), fd: fd.map_err(|errno| self.error("open", name, errno))? })
    }

    pub(super) fn error(&self, verb: &'static str, name: &str, source: impl Into<io::Error>) -> DiskError {
        DiskError { verb, path: self.path.join(name), source: source.into() }
    }

    /// Opens a file for reading.
    pub(super) fn read(&self, name: &str) -> Result<File, DiskError> {
        self.file(name, OFlags::RDONLY)
    }

    /// The lines of a segment from an offset on; none if the segment is not there or goes no further.
    pub(super) fn lines_from(&self, name: &str, offset: u64) -> Result<Option<LineReader<File>>, DiskError> {
        let Some(_) = self.stat(name)?.filter(|stat| length(stat) > offset) else { return Ok(None) };
        let mut file = self.read(name)?;
        file.seek(SeekFrom::Start(offset)).map_err(|error| self.error("read", name, error))?;
        Ok(Some(LineReader::new(file, offset)))
    }

    /// Opens a file for reading, and for writing at its end.
    pub(super) fn append(&self, name: &str) -> Result<File, DiskError> {
        self.file(name, OFlags::RDWR | OFlags::APPEND)
    }

    /// Makes a new file for writing at its end, and makes its name durable.
    pub(super) fn make(&self, name: &str) -> Result<File, DiskError> {
        let file = self.file(name, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL)?;
        self.sync()?;
        Ok(file)
    }

    /// Makes a file that may be there from an attempt that did not end.
    pub(super) fn replace(&self, name: &str) -> Result<File, DiskError> {
        self.file(name, OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC)
    }

    fn file(&self, name: &str, flags: OFlags) -> Result<File, DiskError> {
        // Without NONBLOCK, opening a pipe would wait for its other end.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mode = Mode::RUSR | Mode::WUSR;
        let fd = rustix::fs::openat(&self.fd, name, flags, mode).map_err(|errno| self.error("open", name, errno))?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| self.error("look at", name, errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.error("use", name, io::Error::other("it is no regular file")));
        }
        Ok(File::from(fd))
    }

    /// What the directory has under this name now.
    pub(super) fn stat(&self, name: &str) -> Result<Option<Stat>, DiskError> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("look at", name, errno)),
        }
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        rustix::fs::renameat(&self.fd, from, &self.fd, to).map_err(|errno| self.error("rename", from, errno))
    }

    /// Makes the names in the directory durable.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        rustix::fs::fsync(&self.fd).map_err(|errno| self.error("sync", "", errno))
    }

    /// The names of all that is in the directory.
    pub(super) fn names(&self) -> Result<Vec<String>, DiskError> {
        let list = |errno| self.error("list", "", errno);
        let entries = Dir::read_from(&self.fd).map_err(list)?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<Result<_, Errno>>().map_err(list)
    }

    /// The numbers of the segments, in order.
    pub(super) fn segments(&self) -> Result<Vec<u64>, DiskError> {
        let mut numbers: Vec<u64> = self.names()?.iter().filter_map(|name| segment::number(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// The length in a file's status.
pub(super) fn length(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

/// The right to lock the directory.
#[derive(Debug)]
pub(super) struct Lock {
    fd: Arc<OwnedFd>,
    shared: bool,
}

/// Holds the lock until dropped.
#[derive(Debug)]
pub(super) struct Locked(Arc<OwnedFd>);

impl Lock {
    /// For a writer.
    pub(super) fn exclusive(dir: &Directory) -> Result<Self, DiskError> {
        let file = dir.file(LOCK, OFlags::RDWR | OFlags::CREATE)?;
        Ok(Self { fd: Arc::new(file.into()), shared: false })
    }

    /// For a reader; `None` where the lock is missing, as in a copy.
    pub(super) fn shared(dir: &Directory) -> Result<Option<Self>, DiskError> {
        match dir.read(LOCK) {
            Ok(file) => Ok(Some(Self { fd: Arc::new(file.into()), shared: true })),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for the lock; `None` if another process keeps it for as long as `patience`.
    ///
    /// `flock` can't be told to give up, so this asks again and again, at intervals that are short beside one sync.
    pub(super) fn acquire(&self, dir: &Directory, patience: Duration) -> Result<Option<Locked>, DiskError> {
        let operation = match self.shared {
            true => FlockOperation::NonBlockingLockShared,
            false => FlockOperation::NonBlockingLockExclusive,
        };
        let started = Instant::now();
        let mut pause = Duration::from_micros(50);
        loop {
            match rustix::fs::flock(&*self.fd, operation) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK | Errno::INTR) if started.elapsed() < patience => {
                    thread::sleep(pause);
                    pause = (pause * 3 / 2).min(Duration::from_millis(2));
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(None),
                Err(errno) => return Err(dir.error("lock", LOCK, errno)),
            }
        }
        let locked = Locked(Arc::clone(&self.fd));
        // Two processes with two lock files would both write: the one that is locked must be the one in the directory.
        let ours = rustix::fs::fstat(&*self.fd).map_err(|errno| dir.error("look at", LOCK, errno))?;
        match dir.stat(LOCK)? {
            Some(stat) if (stat.st_dev, stat.st_ino) == (ours.st_dev, ours.st_ino) => Ok(Some(locked)),
            _ => Err(dir.error("lock", LOCK, io::Error::other("the file was removed or replaced"))),
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing the file would release it as well; there is nothing to do about an error.
        let _ = rustix::fs::flock(&*self.0, FlockOperation::Unlock);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn links_and_pipes_and_open_directories_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Directory::create(&temp.path().join("a/record")).unwrap();
        std::os::unix::fs::symlink("/dev/full", temp.path().join("a/record/link")).unwrap();
        assert!(dir.read("link").is_err());
        assert!(dir.append("link").is_err());
        assert!(dir.read("..").is_err());
        let open = temp.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Directory::create(&open).is_err());
        assert!(Directory::open(&open).is_ok());
    }

    #[test]
    fn a_lock_is_held_once_and_a_replaced_lock_file_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Directory::create(temp.path()).unwrap();
        let (one, two) = (Lock::exclusive(&dir).unwrap(), Lock::exclusive(&dir).unwrap());
        let held = one.acquire(&dir, Duration::ZERO).unwrap();
        assert!(held.is_some());
        assert!(two.acquire(&dir, Duration::ZERO).unwrap().is_none());
        drop(held);
        assert!(two.acquire(&dir, Duration::ZERO).unwrap().is_some());
        std::fs::remove_file(temp.path().join(LOCK)).unwrap();
        assert!(one.acquire(&dir, Duration::ZERO).is_err());
    }
}
