//! Where a passphrase comes from: a file or descriptor that was named, else the terminal, else the environment. Never an
//! argument, which every user of the machine could read.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write as _},
};

use lockgate_signing::{
    file::{MAX_KEY_BYTES, read_private},
    key::{KeyError, Passphrase},
};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::{args::PassphraseSource, failure::Failure};

/// The last place that is looked at.
const VARIABLE: &str = "LOCKGATE_SIGN_PASSPHRASE";

/// Longest passphrase; also the size of the buffer, which must not grow and leave copies behind.
const MAX_LENGTH: usize = 1024;

impl PassphraseSource {
    /// Whether the command line names a source.
    pub fn is_given(&self) -> bool {
        self.passphrase_file.is_some() || self.passphrase_fd.is_some()
    }

    /// The passphrase for a key that is there.
    pub fn ask(&self, what: &str) -> Result<Passphrase, Failure> {
        match self.given()? {
            Some(passphrase) => Ok(passphrase),
            None if io::stdin().is_terminal() => prompt(&format!("Passphrase for {what}: ")),
            None => from_environment(),
        }
    }

    /// The passphrase for a new key; at the terminal it is typed twice.
    pub fn choose(&self) -> Result<Passphrase, Failure> {
        match self.given()? {
            Some(passphrase) => Ok(passphrase),
            None if io::stdin().is_terminal() => {
                let first = prompt("New passphrase: ")?;
                if first == prompt("Once more: ")? {
                    Ok(first)
                } else {
                    Err(Failure::usage("the two passphrases differ", "type the same passphrase twice"))
                }
            }
            None => from_environment(),
        }
    }

    fn given(&self) -> Result<Option<Passphrase>, Failure> {
        if let Some(path) = &self.passphrase_file {
            let bytes = Zeroizing::new(read_private(path, MAX_KEY_BYTES)?);
            return Ok(Some(Passphrase::from_line(&bytes)?));
        }
        let Some(number) = self.passphrase_fd else { return Ok(None) };
        let failed = |error: io::Error| {
            let message = format!("descriptor {number} can't be read: {error}");
            Failure::usage(message, "open it for reading, as in `--passphrase-fd 3 3<FILE`")
        };
        let file = File::open(format!("/dev/fd/{number}")).map_err(failed)?;
        Ok(Some(read_line(file).map_err(failed)??))
    }
}

/// Reads until the end or the first line end, in one buffer that is wiped.
fn read_line(mut from: impl io::Read) -> io::Result<Result<Passphrase, Failure>> {
    let mut buffer = Zeroizing::new(vec![0; MAX_LENGTH]);
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        let count = match from.read(rest) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        length += count;
        if count == 0 || buffer.iter().take(length).any(|byte| *byte == b'\n') {
            buffer.truncate(length);
            return Ok(Passphrase::from_line(&buffer).map_err(Failure::from));
        }
    }
    Ok(Err(Failure::usage(format!("the passphrase has more than {MAX_LENGTH} bytes"), "choose a shorter one")))
}

fn from_environment() -> Result<Passphrase, Failure> {
    use std::os::unix::ffi::OsStringExt as _;
    let value = std::env::var_os(VARIABLE).ok_or(KeyError::PassphraseNeeded)?;
    Ok(Passphrase::new(Zeroizing::new(value.into_vec()))?)
}

/// Puts the terminal back as it was.
struct Silence<'a>(&'a File, Termios);

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.0, OptionalActions::Drain, &self.1);
    }
}

fn prompt(text: &str) -> Result<Passphrase, Failure> {
    let failed = |error: io::Error| {
        Failure::usage(
            format!("the terminal can't be used: {error}"),
            "give the passphrase by --passphrase-file or --passphrase-fd",
        )
    };
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").map_err(failed)?;
    let before = tcgetattr(&terminal).map_err(|errno| failed(errno.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let passphrase = {
        // Silent before anybody is asked: what is typed after the prompt is neither shown nor thrown away.
        tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|errno| failed(errno.into()))?;
        let _silence = Silence(&terminal, before);
        (&terminal).write_all(text.as_bytes()).map_err(failed)?;
        read_line(&terminal)
    };
    terminal.write_all(b"\n").map_err(failed)?;
    passphrase.map_err(failed)?
}
