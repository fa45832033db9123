//! A signer that is a command: the client of a hardware module or a key service. It gets the bytes to be signed on its
//! standard input and writes the signature to its standard output.

use std::{
    ffi::OsString,
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use super::{PublicKey, SIGNATURE_LENGTH, Signer, SignerError};
use crate::encoding::{parse_base64, printable};

/// Most that is read of what a command writes: a signature in base64, and then some white space.
const MAX_OUTPUT_BYTES: u64 = 4096;

/// Signs by running a program. It is run as it is, without a shell and without arguments, so nothing that is signed or
/// named can become a part of a command line; what needs arguments is wrapped in a script. Its standard error is ours, for
/// a person who has to touch a device.
#[derive(Clone, Debug)]
pub struct CommandSigner {
    program: PathBuf,
    public_key: PublicKey,
    without: Vec<OsString>,
}

impl CommandSigner {
    /// A signer for the key whose public half this is. A program's name without a `/` is looked up as a shell does.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, public_key: PublicKey) -> Self {
        Self { program: program.into(), public_key, without: Vec::new() }
    }

    /// Runs the program without this variable of the environment, which is none of its business.
    #[must_use]
    pub fn without_variable(mut self, name: impl Into<OsString>) -> Self {
        self.without.push(name.into());
        self
    }

    fn failed(&self, what: impl std::fmt::Display) -> SignerError {
        SignerError(format!("`{}` {what}", printable(&self.program.to_string_lossy())))
    }
}

impl Signer for CommandSigner {
    fn public_key(&self) -> PublicKey {
        self.public_key
    }

    fn sign(&self, signed_bytes: &[u8]) -> Result<[u8; SIGNATURE_LENGTH], SignerError> {
        let mut command = Command::new(&self.program);
        for name in &self.without {
            command.env_remove(name);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| self.failed(format_args!("can't be run: {error}")))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut answer = Vec::new();
        let read = thread::scope(|scope| {
            // Beside the reading, for a program may write before it has read all. One that does not want all of its input
            // may still be right: the signature tells.
            scope.spawn(|| input.map(|mut input| input.write_all(signed_bytes)));
            output.map(|output| output.take(MAX_OUTPUT_BYTES + 1).read_to_end(&mut answer)).transpose()
        });
        let status = child.wait().map_err(|error| self.failed(error))?;
        read.map_err(|error| self.failed(error))?;
        if !status.success() {
            return Err(self.failed(format_args!("ended with {status}")));
        }
        read_signature(&answer)
            .ok_or_else(|| self.failed("wrote neither 64 bytes nor base64 of 64 bytes to its standard output"))
    }
}

/// Raw, as `openssl pkeyutl` writes it, or base64, as key services answer and as tools break it into lines.
#[must_use]
pub fn read_signature(bytes: &[u8]) -> Option<[u8; SIGNATURE_LENGTH]> {
    let base64 = || std::str::from_utf8(bytes).ok().map(|text| text.replace([' ', '\n', '\r'], ""));
    bytes.try_into().ok().or_else(|| parse_base64(&base64()?)?.try_into().ok())
}
