//! A range of lines taken out of the record, with what shows that they were in it: the bundle can be verified by somebody
//! who has nothing else but the public key.
//!
//! The lines stand as they are; each names the hash of the one before, so that a proof of inclusion for the last is one for
//! all. The proof leads to the root of a signed checkpoint. If the receiver kept an older checkpoint, a proof of consistency
//! shows that the record still begins with what that one signed.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Read as _, Write},
    ops::RangeInclusive,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    chain::{self, Digest},
    checkpoint::{Checkpoint, CheckpointError, MAX_NOTE_BYTES},
    consistency::{ConsistencyProver, is_consistent},
    directory::{Directory, DiskError},
    line, notes,
    public_key::PublicKey,
    report::Problem,
    segment::{LineReader, Piece},
    tip::Tip,
    tree::{self, Prover},
    walk::{End, Snapshot, walk},
};

const LINES: &str = "lines.jsonl";
const CHECKPOINT: &str = "checkpoint";
const PROOF: &str = "proof.json";

/// Two paths of at most 64 hashes.
const MAX_PROOF_BYTES: u64 = 64 * 1024;

/// `proof.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    v: u32,
    first: u64,
    last: u64,
    /// The path from the last line to the root, leaf to root.
    inclusion: Vec<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consistency: Option<Consistency>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Consistency {
    /// The size of the older checkpoint.
    since: u64,
    path: Vec<Digest>,
}

/// What a bundle has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Exported {
    /// The record's name.
    pub origin: String,
    /// The first line.
    pub first: u64,
    /// The last line.
    pub last: u64,
    /// How many lines the checkpoint covers.
    pub size: u64,
    /// The size of the older checkpoint that the record was shown to begin with.
    pub since: Option<u64>,
}

/// Why there is no bundle, or it proves nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file of the bundle can't be read or written.
    #[error("can't {verb} `{}`: {source}", path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The range is empty, or not all of it is covered by a checkpoint.
    #[error("lines {first} to {last} can't be proved: a checkpoint covers lines 1 to {covered}")]
    Range {
        /// The first line asked for.
        first: u64,
        /// The last line asked for.
        last: u64,
        /// What the latest checkpoint covers.
        covered: u64,
    },
    /// The record is not intact.
    #[error("the record is damaged, run `lockgate audit verify`: {0}")]
    Broken(String),
    /// A checkpoint is not this record's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The bundle does not show what it claims.
    #[error("the bundle proves nothing: {0}")]
    Unproved(String),
}

impl From<Problem> for ExportError {
    fn from(problem: Problem) -> Self {
        Self::Broken(problem.to_string())
    }
}

/// Writes the lines of the range and their proof into the new directory `out`. `since` is the size of an older checkpoint
/// that the receiver has. Reads the record from its beginning, in constant memory.
///
/// # Errors
/// When the range is not covered by a checkpoint, the record is not intact, or a file can't be read or written.
pub fn export(
    dir: &Path,
    key: &PublicKey,
    range: RangeInclusive<u64>,
    since: Option<u64>,
    out: &Path,
) -> Result<Exported, ExportError> {
    let (first, last) = range.into_inner();
    let directory = Directory::open(dir)?;
    let snapshot = Snapshot::take(&directory)?;
    let checkpoint = notes::latest(&directory, key.key())?.map_err(ExportError::Broken)?.checkpoint;
    let checkpoint = checkpoint.filter(|note| note.origin() == key.origin());
    let covered = checkpoint.as_ref().map_or(0, Checkpoint::size);
    let Some(checkpoint) = checkpoint.filter(|_| first > 0 && first <= last && last <= covered) else {
        return Err(ExportError::Range { first, last, covered });
    };
    let consistency = match since {
        None => None,
        Some(since) => Some(ConsistencyProver::new(since, covered).ok_or_else(|| {
            ExportError::Unproved(format!("the older checkpoint covers {since} lines and the latest {covered}"))
        })?),
    };

    let made = DirBuilder::new().mode(0o700).create(out);
    made.map_err(|source| ExportError::File { verb: "make", path: out.to_owned(), source })?;
    let written = write_bundle(&directory, &snapshot, &checkpoint, (first, last), since.zip(consistency), out);
    if written.is_err() {
        // Half a bundle is of no use, and what is in the directory was made here.
        let _ = std::fs::remove_dir_all(out);
    }
    written?;
    Ok(Exported { origin: key.origin().as_str().to_owned(), first, last, size: covered, since })
}

fn write_bundle(
    directory: &Directory,
    snapshot: &Snapshot,
    checkpoint: &Checkpoint,
    (first, last): (u64, u64),
    mut consistency: Option<(u64, ConsistencyProver)>,
    out: &Path,
) -> Result<(), ExportError> {
    let covered = checkpoint.size();
    let mut lines = BufWriter::new(make(out, LINES)?);
    let mut written = Ok(());
    let mut prover = Prover::new(covered);
    let mut tip = Tip::genesis();
    let end = walk(directory, snapshot, &mut tip, |tip, line, _| {
        let leaf = tree::leaf(line);
        prover.push(leaf, tip.seq == last);
        if let Some((_, consistency)) = &mut consistency {
            consistency.push(leaf);
        }
        if (first..=last).contains(&tip.seq) {
            written = lines.write_all(line).and_then(|()| lines.write_all(b"\n"));
        }
        written.is_ok() && tip.seq < covered
    })?;
    if let End::Problem(problem) = end {
        return Err(problem.into());
    }
    let failed = |source| ExportError::File { verb: "write", path: out.join(LINES), source };
    written.and_then(|()| lines.flush()).and_then(|()| lines.get_ref().sync_all()).map_err(failed)?;
    let differs = || ExportError::Broken("the lines are not those that the latest checkpoint signed".to_owned());
    let (root, mut paths) = prover.finish().ok_or_else(differs)?;
    if root != checkpoint.root() {
        return Err(differs());
    }
    let inclusion = paths.pop().map(|proof| proof.path).unwrap_or_default();
    let consistency = consistency.and_then(|(since, prover)| Some(Consistency { since, path: prover.finish()? }));
    let proof = Proof { v: 1, first, last, inclusion, consistency };
    let text = serde_json::to_vec(&proof).map_err(io::Error::from).map(|mut text| {
        text.push(b'\n');
        text
    });
    write(out, PROOF, text)?;
    write(out, CHECKPOINT, Ok(checkpoint.note().as_bytes().to_vec()))
}

fn make(out: &Path, name: &str) -> Result<File, ExportError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out.join(name));
    file.map_err(|source| ExportError::File { verb: "make", path: out.join(name), source })
}

fn write(out: &Path, name: &str, bytes: io::Result<Vec<u8>>) -> Result<(), ExportError> {
    let mut file = make(out, name)?;
    let written = bytes.and_then(|bytes| file.write_all(&bytes)).and_then(|()| file.sync_all());
    written.map_err(|source| ExportError::File { verb: "write", path: out.join(name), source })
}

/// Verifies a bundle with nothing but the key; and, where `older` is the text of a checkpoint that was kept, that the record
/// still began with what that one signed.
///
/// # Errors
/// [`ExportError::Unproved`] and [`ExportError::Checkpoint`] if the lines are not shown to be the record's.
pub fn verify_bundle(bundle: &Path, key: &PublicKey, older: Option<&str>) -> Result<Exported, ExportError> {
    let unproved = |why: &str| ExportError::Unproved(why.to_owned());
    let proof = read(bundle, PROOF, MAX_PROOF_BYTES)?;
    let proof: Proof = serde_json::from_slice(&proof).map_err(|error| unproved(&format!("`{PROOF}`: {error}")))?;
    let note = String::from_utf8(read(bundle, CHECKPOINT, MAX_NOTE_BYTES as u64)?);
    let note = note.map_err(|_| unproved("the checkpoint is no text"))?;
    let checkpoint = Checkpoint::open(&note, key.key())?;
    let Proof { v: 1, first, last, .. } = proof else { return Err(unproved("its version is not 1")) };
    if checkpoint.origin() != key.origin() {
        return Err(unproved("the checkpoint is another record's"));
    }
    if first == 0 || first > last {
        return Err(unproved("its range is empty"));
    }
    let leaf = check_lines(bundle, first, last)?;
    let root = tree::root_of_path(leaf, last - 1, checkpoint.size(), &proof.inclusion);
    if root != Some(checkpoint.root()) {
        return Err(unproved("the last line does not lead to the root that was signed"));
    }
    let since = older.map(|older| check_older(older, key, &checkpoint, proof.consistency.as_ref())).transpose()?;
    Ok(Exported { origin: key.origin().as_str().to_owned(), first, last, size: checkpoint.size(), since })
}

/// Checks the chain through all lines, and returns the last as a leaf.
fn check_lines(bundle: &Path, first: u64, last: u64) -> Result<Digest, ExportError> {
    let path = bundle.join(LINES);
    let failed = |source| ExportError::File { verb: "read", path: path.clone(), source };
    let mut reader = LineReader::new(File::open(&path).map_err(failed)?, 0);
    let mut prev = (first == 1).then(chain::genesis);
    let mut leaf = None;
    let mut next = first;
    loop {
        match reader.next().map_err(failed)? {
            Piece::Line(line) => {
                let head =
                    line::parse(line).map_err(|why| ExportError::Unproved(format!("line {next}: expected {why}")))?;
                if head.seq != next || next > last || prev.is_some_and(|prev| prev != head.prev) {
                    return Err(ExportError::Unproved(format!("line {next} does not follow the line before it")));
                }
                prev = Some(chain::link(line));
                leaf = Some(tree::leaf(line));
                next += 1;
            }
            Piece::End => break,
            _ => return Err(ExportError::Unproved(format!("line {next} has no end or is too long"))),
        }
    }
    leaf.filter(|_| next == last + 1).ok_or_else(|| ExportError::Unproved(format!("there are no lines from {next} on")))
}

fn check_older(
    older: &str,
    key: &PublicKey,
    checkpoint: &Checkpoint,
    proof: Option<&Consistency>,
) -> Result<u64, ExportError> {
    let older = Checkpoint::open(older, key.key())?;
    let holds = proof.is_some_and(|proof| {
        proof.since == older.size()
            && older.origin() == checkpoint.origin()
            && is_consistent((older.size(), older.root()), (checkpoint.size(), checkpoint.root()), &proof.path)
    });
    if !holds {
        let size = older.size();
        return Err(ExportError::Unproved(format!(
            "nothing shows that the record begins with the {size} lines signed before"
        )));
    }
    Ok(older.size())
}

fn read(bundle: &Path, name: &str, limit: u64) -> Result<Vec<u8>, ExportError> {
    let path = bundle.join(name);
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 <= limit => Ok(bytes),
        Ok(_) => Err(ExportError::Unproved(format!("`{name}` is too large"))),
        Err(source) => Err(ExportError::File { verb: "read", path, source }),
    }
}
