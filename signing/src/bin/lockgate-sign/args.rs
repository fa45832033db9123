//! The command line, as clap reads it and as `--help` shows it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

/// Sign and verify lockgate packs
#[derive(Parser)]
#[command(
    name = "lockgate-sign",
    version,
    arg_required_else_help = true,
    after_help = "\
Exit status: 0 done, 1 refused, 2 wrong usage or a file that can't be used.
A passphrase is never an argument: it comes from --passphrase-file, --passphrase-fd, the terminal,
or last the environment variable LOCKGATE_SIGN_PASSPHRASE (LOCKGATE_SIGN_NEW_PASSPHRASE for one
that replaces it)."
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Make and look at keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Sign a component, or add a signature to its envelope
    Sign(Box<Sign>),
    /// Add a signature that a hardware module or key service made
    AttachSignature(Attach),
    /// Verify a component and its envelope as a host would
    Verify(Verify),
    /// Show what an envelope says, without believing it
    Inspect(Inspect),
}

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Make an Ed25519 key (PKCS#8 PEM, mode 0600; an existing file is never overwritten)
    Generate(Generate),
    /// Show the public half of a key file, private or public
    Show(Show),
    /// Give a private key another passphrase, or its first one
    Passphrase(ChangePassphrase),
}

/// Where a passphrase comes from.
#[derive(Args)]
pub struct PassphraseSource {
    /// Read the passphrase from the first line of a file that only you can read
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_fd")]
    pub passphrase_file: Option<PathBuf>,
    /// Read the passphrase from the first line of an open file descriptor
    #[arg(long, value_name = "NUMBER")]
    pub passphrase_fd: Option<u16>,
}

/// Where a passphrase comes from that replaces one.
#[derive(Args)]
pub struct NewPassphraseSource {
    /// Read the new passphrase from the first line of a file that only you can read
    #[arg(long, value_name = "FILE", conflicts_with = "new_passphrase_fd")]
    pub new_passphrase_file: Option<PathBuf>,
    /// Read the new passphrase from the first line of an open file descriptor
    #[arg(long, value_name = "NUMBER")]
    pub new_passphrase_fd: Option<u16>,
}

#[derive(Args)]
pub struct Generate {
    /// Where to write the private key
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Encrypt it with a passphrase (implied by --passphrase-file and --passphrase-fd)
    #[arg(long)]
    pub encrypt: bool,
    /// The key's name in the trust.toml snippet; by default made from its id
    #[arg(long)]
    pub name: Option<String>,
    #[command(flatten)]
    pub passphrase: PassphraseSource,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Show {
    /// A private or public key as PEM
    #[arg(value_name = "FILE")]
    pub key: PathBuf,
    /// The key's name in the trust.toml snippet; by default made from its id
    #[arg(long)]
    pub name: Option<String>,
    /// Print nothing but the public key as PEM
    #[arg(long, conflicts_with = "json")]
    pub pem: bool,
    #[command(flatten)]
    pub passphrase: PassphraseSource,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct ChangePassphrase {
    /// The private key; the file is replaced in one step
    #[arg(value_name = "FILE")]
    pub key: PathBuf,
    #[command(flatten)]
    pub passphrase: PassphraseSource,
    #[command(flatten)]
    pub new_passphrase: NewPassphraseSource,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Sign {
    /// The component, named NAME-VERSION.wasm
    pub component: PathBuf,
    /// What `lockgate pack build` wrote beside it
    #[arg(long, value_name = "FILE")]
    pub declaration: PathBuf,
    /// The publisher, as operators name it in trust.toml
    #[arg(long, value_name = "NAME")]
    pub publisher: String,
    /// The private key; several sign one after the other
    #[arg(long, value_name = "FILE", required_unless_present_any = ["print_pae", "signer_command"])]
    pub key: Vec<PathBuf>,
    /// A program that reads what is to be signed from its standard input and writes the signature to its standard output;
    /// run without a shell and without arguments
    #[arg(long, value_name = "PROGRAM", requires = "signer_public_key")]
    pub signer_command: Option<PathBuf>,
    /// The public key of --signer-command, as PEM or base64
    #[arg(long, value_name = "FILE", requires = "signer_command")]
    pub signer_public_key: Option<PathBuf>,
    #[command(flatten)]
    pub passphrase: PassphraseSource,
    /// When it is signed, such as 2026-01-31T12:00:00Z; by default now, or as in the envelope that is there
    #[arg(long, value_name = "TIME")]
    pub issued: Option<Timestamp>,
    /// From when on it is no longer accepted; by default 365 days after --issued, or as in the envelope that is there
    #[arg(long, value_name = "TIME")]
    pub expires: Option<Timestamp>,
    /// Address of the source repository, for the record
    #[arg(long, value_name = "URL")]
    pub source: Option<String>,
    /// The commit that was built, for the record
    #[arg(long, value_name = "ID")]
    pub commit: Option<String>,
    /// What built it, for the record
    #[arg(long, value_name = "TEXT")]
    pub builder: Option<String>,
    /// When it was built, for the record
    #[arg(long, value_name = "TIME")]
    pub built_at: Option<Timestamp>,
    /// The bill of materials; its SHA-256 is signed
    #[arg(long, value_name = "FILE")]
    pub sbom: Option<PathBuf>,
    /// The envelope; by default beside the component
    #[arg(long, value_name = "FILE")]
    pub envelope: Option<PathBuf>,
    /// Put a new envelope in the place of one that says something else; its signatures are lost
    #[arg(long)]
    pub replace: bool,
    /// Write the bytes that are signed to standard output, for an external signer
    #[arg(long, conflicts_with = "json")]
    pub print_pae: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Attach {
    /// The envelope that `sign` wrote
    pub envelope: PathBuf,
    /// The signature: 64 bytes, or the same as base64
    #[arg(long, value_name = "FILE")]
    pub signature: PathBuf,
    /// The public key that it was made with, as PEM or base64
    #[arg(long, value_name = "FILE")]
    pub public_key: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Verify {
    /// The component, named NAME-VERSION.wasm
    pub component: PathBuf,
    /// The trust policy
    #[arg(long, value_name = "FILE")]
    pub trust: PathBuf,
    /// The envelope; by default beside the component
    #[arg(long, value_name = "FILE")]
    pub envelope: Option<PathBuf>,
    /// Verify as of this time instead of now
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// Print JSON, for a refusal too
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Inspect {
    /// The envelope
    pub envelope: PathBuf,
    /// Write the bytes that are signed to standard output, for an external signer
    #[arg(long, conflicts_with = "json")]
    pub print_pae: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
