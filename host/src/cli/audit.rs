//! `lockgate audit`: verify, follow and export the record. Needs the files and the public key, and no running host.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use lockgate_signing::file;

use super::terminal::{is_heard, say, say_json};
use crate::{
    audit::{self, PublicKey},
    config::Config,
    error::{Code, Refusal},
    startup,
};

/// Largest file of checkpoints that is read: a hundred bytes each, one a minute, for a year.
const MAX_CHECKPOINTS: u64 = 256 << 20;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check every line, hash and checkpoint; says the first line that is wrong
    Verify {
        #[command(flatten)]
        place: Place,
        /// Checkpoints that were kept elsewhere: with them a cut-off end or an older copy is found too
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the last lines
    Tail {
        #[command(flatten)]
        place: Place,
        /// How many
        #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
        lines: u64,
        /// Go on as lines are added
        #[arg(short, long)]
        follow: bool,
        /// The lines as they are
        #[arg(long)]
        json: bool,
    },
    /// Write a range of lines, with its proof, into a directory that verifies by itself
    Export {
        #[command(flatten)]
        place: Place,
        /// First line
        #[arg(long, default_value_t = 1, value_name = "SEQ")]
        first: u64,
        /// Last line; the last that a checkpoint covers if left out
        #[arg(long, value_name = "SEQ")]
        last: Option<u64>,
        /// Size of an older checkpoint that the receiver has, to show that the record still begins with it
        #[arg(long, value_name = "SIZE")]
        since: Option<u64>,
        /// The directory to make
        out: PathBuf,
    },
    /// Verify what `export` wrote
    VerifyExport {
        /// The directory
        bundle: PathBuf,
        /// The public key: its text, or a file with it
        #[arg(long)]
        key: String,
    },
    /// Print the record's public key: keep it where this host can't change it
    Key,
}

/// Which record.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The record's directory; the configuration's if left out
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The public key: its text, or a file with it; from the host's own key if left out
    #[arg(long)]
    key: Option<String>,
}

impl Place {
    fn dir(&self, config: &impl Fn() -> Result<Config, Refusal>) -> Result<PathBuf, Refusal> {
        match &self.dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(config()?.record_dir()),
        }
    }

    fn key(&self, config: &impl Fn() -> Result<Config, Refusal>) -> Result<PublicKey, Refusal> {
        match &self.key {
            Some(text) => public_key(text),
            None => startup::record_public_key(&config()?),
        }
    }
}

pub(super) fn run(command: AuditCommand, config: impl Fn() -> Result<Config, Refusal>) -> Result<ExitCode, Refusal> {
    match command {
        AuditCommand::Verify { place, checkpoint, json } => {
            return verify(&place.dir(&config)?, &place.key(&config)?, checkpoint.as_deref(), json);
        }
        AuditCommand::Tail { place, lines, follow, json } => tail(&place.dir(&config)?, lines, follow, json)?,
        AuditCommand::Export { place, first, last, since, out } => {
            let (dir, key) = (place.dir(&config)?, place.key(&config)?);
            let last = match last {
                Some(last) => last,
                None => audit::verify(&dir, &key, None).map_err(|e| unreadable(&e))?.anchored,
            };
            let exported = audit::export(&dir, &key, first..=last, since, &out).map_err(|e| unreadable(&e))?;
            say_json(&exported);
        }
        AuditCommand::VerifyExport { bundle, key } => {
            let exported = audit::verify_bundle(&bundle, &public_key(&key)?, None).map_err(|e| unreadable(&e))?;
            say_json(&exported);
        }
        AuditCommand::Key => say(&startup::record_public_key(&config()?)?.to_string()),
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(dir: &Path, key: &PublicKey, checkpoint: Option<&Path>, json: bool) -> Result<ExitCode, Refusal> {
    let external = checkpoint.map(|path| read_text(path, MAX_CHECKPOINTS)).transpose()?;
    let report = audit::verify(dir, key, external.as_deref()).map_err(|e| unreadable(&e))?;
    match json {
        true => say_json(&report),
        false => say(report.to_string().trim_end()),
    }
    Ok(if report.intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tail(dir: &Path, lines: u64, follow: bool, json: bool) -> Result<(), Refusal> {
    for line in audit::tail(dir, lines, follow).map_err(|e| unreadable(&e))? {
        let line = line.map_err(|e| unreadable(&e))?;
        let heard = if json { is_heard(line.raw()) } else { is_heard(&audit::render(&line)) };
        if !heard {
            break;
        }
    }
    Ok(())
}

fn public_key(text: &str) -> Result<PublicKey, Refusal> {
    let parse = |text: &str| {
        text.parse::<PublicKey>().map_err(|e| {
            Refusal::new(Code::ConfigInvalid, format!("--key: {e}"))
                .with_remedy("`lockgate audit key` prints it where lockgate runs")
        })
    };
    if text.contains('+') { parse(text) } else { parse(&read_text(Path::new(text), 4096)?) }
}

fn read_text(path: &Path, limit: u64) -> Result<String, Refusal> {
    let bytes = file::read_once(path, limit).map_err(|e| Refusal::new(Code::FileRefused, e.to_string()))?;
    String::from_utf8(bytes).map_err(|_| Refusal::new(Code::FileRefused, format!("{} is not UTF-8", path.display())))
}

fn unreadable(error: &impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::RecordUnavailable, error.to_string())
        .with_remedy("give the record's directory with `--dir` and its public key with `--key`")
}
