//! A directory of its own for tools that write where they work into what they make. It holds a pack's sources and its contract, and
//! goes with the build.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::BuildError;

/// What is copied.
const PARTS: [&str; 2] = ["src", "wit"];
/// Most that a pack's sources may be: a link that leads out of them would otherwise bring a disk along.
const MAX_BYTES: u64 = 64 << 20;

pub(super) struct Room {
    directory: tempfile::TempDir,
    pack: PathBuf,
}

impl Room {
    /// With copies of a pack's `src` and `wit`.
    pub(super) fn of(pack: &Path) -> Result<Self, BuildError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |cause| BuildError::Room { path, cause }
        };
        let pack = fs::canonicalize(pack).map_err(failed(pack))?;
        let directory = tempfile::Builder::new().prefix("lockgate-pack-").tempdir().map_err(failed(&pack))?;
        let mut left = MAX_BYTES;
        for part in PARTS {
            let from = pack.join(part);
            copy(&from, &directory.path().join(part), &mut left).map_err(failed(&from))?;
        }
        Ok(Self { directory, pack })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where the pack lies, which is nothing that should be in its component.
    pub(super) fn pack(&self) -> &Path {
        &self.pack
    }

    /// Runs a tool there and reads what it made.
    pub(super) fn run(
        &self,
        tool: &'static str,
        command: &mut Command,
        made: &str,
        verbose: bool,
        remedy: &'static str,
    ) -> Result<Vec<u8>, BuildError> {
        let program = command.get_program().to_string_lossy().into_owned();
        // Of the caller's environment a tool gets what finds programs, and nothing that would change what it makes.
        command.current_dir(self.path()).env_clear().stdin(Stdio::null());
        command.envs(env::var_os("PATH").map(|path| ("PATH", path))).env("HOME", self.path());
        // The order of Python's sets would otherwise be another each time.
        command.env("PYTHONHASHSEED", "0").env("PYTHONDONTWRITEBYTECODE", "1");
        if verbose {
            command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
        }
        let output = command.output().map_err(|cause| BuildError::Start { program, cause, remedy })?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).replace(&*self.path().to_string_lossy(), ".");
            return Err(BuildError::Failed { tool, output: said.trim().to_owned() });
        }
        let path = self.path().join(made);
        fs::read(&path).map_err(|cause| BuildError::Read { path, cause })
    }
}

/// Copies a directory; links are what they lead to.
fn copy(from: &Path, to: &Path, left: &mut u64) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let about = fs::metadata(&from)?;
        if about.is_dir() {
            // What Python keeps of an earlier run would only differ from one machine to the next.
            if entry.file_name() != "__pycache__" {
                copy(&from, &to, left)?;
            }
            continue;
        }
        *left = left.checked_sub(about.len()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, format!("a pack's sources have at most {MAX_BYTES} bytes"))
        })?;
        fs::copy(&from, &to)?;
    }
    Ok(())
}

/// A tool in the pack's directory, where its language's own package manager puts it.
pub(super) fn tool(pack: &Path, relative: &str, remedy: &'static str) -> Result<PathBuf, BuildError> {
    // Absolute, as it is run elsewhere; its last part is not followed, as a virtual environment is known by where it lies.
    let pack = fs::canonicalize(pack).map_err(|cause| BuildError::Room { path: pack.to_owned(), cause })?;
    let path = pack.join(relative);
    if path.is_file() { Ok(path) } else { Err(BuildError::Tool { path, remedy }) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_copied_links_as_what_they_lead_to() {
        let pack = tempfile::tempdir().unwrap();
        for dir in ["src/inner", "src/__pycache__", "wit"] {
            fs::create_dir_all(pack.path().join(dir)).unwrap();
        }
        fs::write(pack.path().join("src/inner/a.js"), "a").unwrap();
        fs::write(pack.path().join("src/__pycache__/a.pyc"), "a").unwrap();
        fs::write(pack.path().join("contract"), "package x;").unwrap();
        std::os::unix::fs::symlink("../contract", pack.path().join("wit/pack.wit")).unwrap();
        let room = Room::of(pack.path()).unwrap();
        assert_eq!(fs::read_to_string(room.path().join("wit/pack.wit")).unwrap(), "package x;");
        assert!(!room.path().join("wit/pack.wit").is_symlink() && room.path().join("src/inner/a.js").is_file());
        assert!(!room.path().join("src/__pycache__").exists());

        let made = room.run("cp", Command::new("cp").args(["src/inner/a.js", "out"]), "out", false, "cp").unwrap();
        assert_eq!(made, b"a");
        let failed = room.run("cp", Command::new("cp").args(["nothing", "out"]), "out", false, "cp").unwrap_err();
        assert!(failed.to_string().contains("cp could not build the pack") && failed.to_string().contains("nothing"));
    }

    #[test]
    fn what_would_never_end_is_refused() {
        let pack = tempfile::tempdir().unwrap();
        fs::create_dir_all(pack.path().join("src")).unwrap();
        fs::create_dir_all(pack.path().join("wit")).unwrap();
        let large = fs::File::create(pack.path().join("src/large")).unwrap();
        large.set_len(MAX_BYTES + 1).unwrap();
        assert!(Room::of(pack.path()).is_err_and(|error| error.to_string().contains("at most")));
        fs::remove_file(pack.path().join("src/large")).unwrap();
        std::os::unix::fs::symlink(".", pack.path().join("src/again")).unwrap();
        assert!(Room::of(pack.path()).is_err());
    }
}
