//! Where a passphrase comes from: a file or descriptor that was named, else the terminal, else the environment. Never an
//! argument, which every user of the machine could read.

use std::{
    fs::File,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use lockgate_signing::{
    encoding::printable,
    file::{MAX_KEY_BYTES, read_private},
    key::{KeyError, Passphrase, PrivateKey, PrivateKeyFile},
    terminal::{ask_in_silence, read_secret_line},
};
use zeroize::Zeroizing;

use crate::{
    args::{NewPassphraseSource, PassphraseSource},
    failure::Failure,
};

/// The last place that is looked at.
pub const VARIABLE: &str = "LOCKGATE_SIGN_PASSPHRASE";

/// The same for a passphrase that replaces one.
pub const NEW_VARIABLE: &str = "LOCKGATE_SIGN_NEW_PASSPHRASE";

/// The places of one passphrase.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    file: Option<&'a Path>,
    descriptor: Option<u16>,
    variable: &'static str,
}

impl PassphraseSource {
    pub fn source(&self) -> Source<'_> {
        Source { file: self.passphrase_file.as_deref(), descriptor: self.passphrase_fd, variable: VARIABLE }
    }
}

impl NewPassphraseSource {
    pub fn source(&self) -> Source<'_> {
        Source { file: self.new_passphrase_file.as_deref(), descriptor: self.new_passphrase_fd, variable: NEW_VARIABLE }
    }
}

impl Source<'_> {
    /// Whether the command line names a place.
    pub fn is_given(&self) -> bool {
        self.file.is_some() || self.descriptor.is_some()
    }

    /// Whether both would be read from one descriptor, where the first may take what was meant for the second.
    pub fn shares_descriptor(&self, other: &Self) -> bool {
        self.descriptor.is_some() && self.descriptor == other.descriptor
    }

    /// The passphrase for a new key; at the terminal it is typed twice.
    pub fn choose(&self) -> Result<Passphrase, Failure> {
        if !self.prompts() {
            return self.read();
        }
        let first = prompt("New passphrase: ")?;
        if first == prompt("Once more: ")? {
            Ok(first)
        } else {
            Err(Failure::usage("the two passphrases differ", "type the same passphrase twice"))
        }
    }

    fn prompts(&self) -> bool {
        !self.is_given() && io::stdin().is_terminal()
    }

    fn read(&self) -> Result<Passphrase, Failure> {
        if let Some(path) = self.file {
            let bytes = Zeroizing::new(read_private(path, MAX_KEY_BYTES)?);
            return Ok(Passphrase::from_line(&bytes)?);
        }
        match self.descriptor {
            Some(number) => from_descriptor(number),
            None => from_environment(self.variable),
        }
    }
}

/// Opens the keys of one command. At the terminal each is asked for; from anywhere else comes one passphrase for all.
pub struct Opener<'a> {
    source: Source<'a>,
    read: Option<Passphrase>,
}

impl<'a> Opener<'a> {
    pub fn new(source: Source<'a>) -> Self {
        Self { source, read: None }
    }

    pub fn open(&mut self, path: &PathBuf) -> Result<PrivateKey, Failure> {
        let file = PrivateKeyFile::read(path).map_err(|error| Failure::of_key(path, &error))?;
        let opened = if !file.is_encrypted() {
            file.open(None)
        } else if self.source.prompts() {
            file.open(Some(&prompt(&format!("Passphrase for {}: ", printable(&path.to_string_lossy())))?))
        } else {
            if self.read.is_none() {
                self.read = Some(self.source.read()?);
            }
            file.open(self.read.as_ref())
        };
        opened.map_err(|error| Failure::of_key(path, &error))
    }
}

fn from_descriptor(number: u16) -> Result<Passphrase, Failure> {
    let failed = |error: io::Error| {
        let help = if error.kind() == io::ErrorKind::FileTooLarge {
            "choose a shorter passphrase"
        } else {
            "open it for reading, as in `--passphrase-fd 3 3<FILE`"
        };
        Failure::usage(format!("descriptor {number} can't be read: {error}"), help)
    };
    let file = File::open(format!("/dev/fd/{number}")).map_err(failed)?;
    Ok(Passphrase::new(read_secret_line(file).map_err(failed)?)?)
}

fn from_environment(variable: &str) -> Result<Passphrase, Failure> {
    use std::os::unix::ffi::OsStringExt as _;
    let value = std::env::var_os(variable).ok_or(KeyError::PassphraseNeeded)?;
    Ok(Passphrase::new(Zeroizing::new(value.into_vec()))?)
}

fn prompt(question: &str) -> Result<Passphrase, Failure> {
    let failed = |error: io::Error| {
        Failure::usage(
            format!("the terminal can't be used: {error}"),
            "give the passphrase by --passphrase-file or --passphrase-fd",
        )
    };
    Ok(Passphrase::new(ask_in_silence(question).map_err(failed)?)?)
}
