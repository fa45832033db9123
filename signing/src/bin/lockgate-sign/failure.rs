//! How a command fails: a stable code, a message, what to do, and the exit status that pipelines branch on.

use std::{io::Write as _, path::Path, process::ExitCode};

use lockgate_signing::{
    declaration::DeclarationError, encoding::printable, envelope::EnvelopeError, file::FileError, key::KeyError,
    predicate::StatementError, trust::TrustError, verify::VerifyError,
};

/// Why a command ended without doing what it was asked.
#[derive(Debug)]
pub struct Failure {
    pub code: &'static str,
    pub message: String,
    pub help: String,
    pub refused: bool,
}

impl Failure {
    /// The command was given something that it can't work with.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code: "usage", message: message.into(), help: help.into(), refused: false }
    }

    /// The command understood what it was given, and says no.
    pub fn refusal(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: help.into(), refused: true }
    }

    /// A command line that clap does not take. Its first line is the message; the rest is shown as it is.
    pub fn arguments(error: &clap::Error) -> Self {
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        let text = text.strip_suffix("For more information, try '--help'.").unwrap_or(text).trim_end();
        if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            return Self::usage(format!("a command is missing\n\n{text}"), "name one of the commands above");
        }
        Self::usage(text, "see `lockgate-sign --help`")
    }

    /// The system would let others see this process's secrets.
    pub fn unprotected(error: &std::io::Error) -> Self {
        Self {
            code: "unprotected",
            message: format!("this process can't be kept out of core files and other processes' sight: {error}"),
            help: "allow it the system calls setrlimit and prctl".to_owned(),
            refused: false,
        }
    }

    /// A private key that can't be used, by its file.
    pub fn of_key(path: &Path, error: &KeyError) -> Self {
        let message = match error {
            // These name the file themselves.
            KeyError::File(_) => error.to_string(),
            _ => format!("`{}`: {error}", printable(&path.to_string_lossy())),
        };
        Self { code: error.code(), message, help: error.remedy().to_owned(), refused: false }
    }

    /// Writes it to standard error. That this may fail changes nothing.
    pub fn print(&self) {
        let Self { code, message, help, .. } = self;
        let _ = writeln!(std::io::stderr(), "error[{code}]: {message}\nhelp: {help}");
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.refused { 1 } else { 2 })
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self { code: error.code(), message: error.to_string(), help: error.remedy().to_owned(), refused: false }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self { code: error.code(), message: error.to_string(), help: error.remedy().to_owned(), refused: false }
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        Self { code: error.code(), message: error.to_string(), help: error.remedy().to_owned(), refused: false }
    }
}

impl From<DeclarationError> for Failure {
    fn from(error: DeclarationError) -> Self {
        let help = "write it with `lockgate pack build`";
        Self::refusal("declaration_invalid", printable(&error.to_string()), help)
    }
}

impl From<StatementError> for Failure {
    fn from(error: StatementError) -> Self {
        Self::refusal("envelope_invalid", printable(&error.to_string()), "correct what is named and sign again")
    }
}

impl From<EnvelopeError> for Failure {
    fn from(error: EnvelopeError) -> Self {
        let (code, help) = match &error {
            EnvelopeError::DoesNotVerify(_) => (
                "signature_invalid",
                "sign exactly the bytes of `lockgate-sign inspect --print-pae` with pure Ed25519, and give the key that was used",
            ),
            EnvelopeError::Signer(_) => ("signature_invalid", "look at the signer's own messages"),
            _ => ("envelope_invalid", "sign the component again with `lockgate-sign sign`"),
        };
        Self::refusal(code, error.to_string(), help)
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        // A file that can't be opened says nothing about the pack; one that is a link or too large is refused.
        let unusable = matches!(
            &error,
            VerifyError::NoFileName | VerifyError::File(FileError::Open { .. } | FileError::Io { .. })
        );
        Self { code: error.code(), message: error.to_string(), help: error.remedy().to_owned(), refused: !unusable }
    }
}
