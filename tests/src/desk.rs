//! Somebody's machine: a directory of theirs with `lockgate` and `lockgate-sign` in the path, and a shell that is given what they
//! type, word for word; at a terminal too, where what is asked is answered.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
};

/// How long anything that must happen may take on a busy machine; a build is the longest.
const PATIENCE: Duration = Duration::from_secs(480);

/// Somebody's directory, and programs.
pub struct Desk {
    home: tempfile::TempDir,
    at: PathBuf,
    variables: BTreeMap<String, OsString>,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; −1 if a signal ended it.
    pub code: i32,
    /// Standard output; at a terminal, all that was on the screen.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// It was refused with this code.
    ///
    /// # Panics
    /// If it was not.
    #[track_caller]
    pub fn refused(&self, code: &str) {
        assert!(self.code != 0 && self.err.contains(&format!("error[{code}]")), "{code}: {self:?}");
    }
}

impl Desk {
    /// With this program as `lockgate`, and the one beside it as `lockgate-sign`.
    ///
    /// # Panics
    /// If one of them was not built.
    #[must_use]
    pub fn new(lockgate: &Path) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let bin = home.path().join("bin");
        fs::create_dir(&bin).expect("a directory");
        for (name, program) in
            [("lockgate", lockgate.to_owned()), ("lockgate-sign", lockgate.with_file_name("lockgate-sign"))]
        {
            assert!(program.is_file(), "{} was not built", program.display());
            symlink(program, bin.join(name)).expect("a link");
        }
        let at = home.path().join("work");
        fs::create_dir(&at).expect("a directory");
        let mut path = bin.into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").expect("a path"));
        let cache = home.path().join("cache").into_os_string();
        let variables = BTreeMap::from([("PATH".to_owned(), path), ("XDG_CACHE_HOME".to_owned(), cache)]);
        Self { home, at, variables }
    }

    /// Where they are.
    #[must_use]
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// A file of where they are.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.at.join(name)
    }

    /// Goes somewhere else.
    pub fn go(&mut self, to: &Path) {
        self.at.push(to);
    }

    /// Gives them a home directory of their own, in which nothing is.
    #[must_use]
    pub fn home(&mut self) -> PathBuf {
        let home = self.home.path().join("home");
        fs::create_dir_all(&home).expect("a directory");
        self.set("HOME", &home);
        home
    }

    /// Puts a variable into their environment.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    /// Takes a variable out of it.
    pub fn unset(&mut self, name: &str) {
        self.variables.remove(name);
    }

    /// Writes a file, as an editor would.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Writes a file for its user only.
    pub fn write_secret(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).expect("its mode is set");
    }

    /// What a file of theirs says.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A program in their environment and directory, with nothing of this process's environment that it would listen to.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let listens = |name: &str| {
                name.starts_with("LOCKGATE") && name != "LOCKGATE_WASM_TOOLCHAIN"
                    || name.starts_with("PG") && !name.starts_with("PG_BIN")
            };
            if name.to_str().is_some_and(listens) {
                command.env_remove(name);
            }
        }
        command.current_dir(&self.at).envs(&self.variables).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Does what the line says, to its end. `cd` and `export` last, as they do in one shell.
    pub async fn run(&mut self, line: &str) -> Said {
        if let Some(directory) = line.strip_prefix("cd ") {
            self.at.push(directory);
            return Said { code: 0, out: String::new(), err: String::new() };
        }
        if let Some((name, value)) = line.strip_prefix("export ").and_then(|rest| rest.split_once('=')) {
            self.set(name, value);
            return Said { code: 0, out: String::new(), err: String::new() };
        }
        let output = tokio::time::timeout(PATIENCE, self.command("sh").args(["-ec", line]).output()).await;
        let output = output.unwrap_or_else(|_| panic!("it never ends: {line}")).expect("a shell");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        told(
            line,
            Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) },
        )
    }

    /// The same, of what must succeed; what it wrote to its standard output.
    ///
    /// # Panics
    /// If it does not.
    pub async fn succeeds(&mut self, line: &str) -> String {
        let said = self.run(line).await;
        assert_eq!(said.code, 0, "$ {line}\n{}{}", said.out, said.err);
        said.out
    }

    /// Does what the line says at a terminal, and types each answer when its question is there.
    ///
    /// # Panics
    /// If a question does not come.
    pub async fn typed(&mut self, line: &str, answers: &[(&str, &str)]) -> Said {
        let mut command = self.command("script");
        command.args(["--quiet", "--return", "--flush", "--command", "exec sh -ec \"$LINE\"", "/dev/null"]);
        command.env("LINE", line).env("SHELL", "/bin/sh").env("TERM", "dumb").stdin(Stdio::piped());
        let mut child = command.spawn().expect("script is installed");
        // Open until the end: a terminal whose other side is gone is hung up.
        let mut keys = child.stdin.take().expect("a pipe");
        let mut screen = child.stdout.take().expect("a pipe");
        let (mut seen, mut from) = (Vec::new(), 0);
        for (question, answer) in answers {
            let at = until(&mut screen, &mut seen, from, question).await;
            from =
                at.unwrap_or_else(|| panic!("$ {line}\nnever asks {question:?}:\n{}", String::from_utf8_lossy(&seen)));
            keys.write_all(format!("{answer}\n").as_bytes()).await.expect("it reads");
        }
        let _ = until(&mut screen, &mut seen, usize::MAX, "").await;
        let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").expect("its end");
        drop(keys);
        let out = String::from_utf8_lossy(&seen).replace("\r\n", "\n");
        told(line, Said { code: status.code().unwrap_or(-1), out, err: String::new() })
    }

    /// Starts what goes on until it is interrupted.
    #[must_use]
    pub fn start(&self, line: &str) -> Started {
        let errors = tempfile::NamedTempFile::new().expect("a file");
        let mut command = self.command("sh");
        command.args(["-ec", &format!("exec {line}")]).stderr(errors.reopen().expect("the file"));
        Started { line: line.to_owned(), child: command.spawn().expect("a shell"), seen: Vec::new(), errors }
    }
}

/// Something that goes on. It is ended when this is dropped.
pub struct Started {
    line: String,
    child: Child,
    seen: Vec<u8>,
    errors: tempfile::NamedTempFile,
}

impl Started {
    /// Waits until it has said something on its standard output; all that it has said.
    ///
    /// # Panics
    /// If it ends before.
    pub async fn says(&mut self, text: &str) -> String {
        let out = self.child.stdout.as_mut().expect("a pipe");
        let found = until(out, &mut self.seen, 0, text).await;
        let said = String::from_utf8_lossy(&self.seen).into_owned();
        assert!(found.is_some(), "$ {}\nnever says {text:?}: {said}{}", self.line, self.errors());
        said
    }

    /// Looks that it has not ended by itself.
    ///
    /// # Panics
    /// If it has; with what it said.
    pub fn goes_on(&mut self) {
        let status = self.child.try_wait().expect("its state");
        assert!(status.is_none(), "$ {}\n{status:?}\n{}", self.line, self.errors());
    }

    /// What it said on its standard error.
    fn errors(&self) -> String {
        fs::read_to_string(self.errors.path()).unwrap_or_default()
    }

    /// Interrupts it, and waits for its end.
    ///
    /// # Panics
    /// If it does not end in order.
    pub async fn interrupted(mut self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("it runs");
        kill_process(id, Signal::INT).expect("it hears");
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("its end");
        // Some have nothing to bring in order, and may not have begun to listen.
        let is_interrupted = status.signal() == Some(Signal::INT.as_raw());
        assert!(status.success() || is_interrupted, "$ {}\n{status}\n{}", self.line, self.errors());
    }
}

/// Reads until a text is there, and returns where it ends; `None` if all was read and it is not.
async fn until(from: &mut (impl AsyncRead + Unpin), seen: &mut Vec<u8>, start: usize, text: &str) -> Option<usize> {
    let read = async {
        loop {
            let rest = seen.get(start..).unwrap_or_default();
            if let Some(at) = rest.windows(text.len().max(1)).position(|window| window == text.as_bytes()) {
                return Some(start + at + text.len());
            }
            let mut bytes = [0; 4096];
            // A terminal that is hung up is at its end.
            match from.read(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => seen.extend_from_slice(&bytes[..count]),
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.ok().flatten()
}

/// Tells whoever looks into a test that failed, or asks for its output.
fn told(line: &str, said: Said) -> Said {
    println!("$ {line}\n{}{}=> {}\n", said.out, said.err, said.code);
    said
}
