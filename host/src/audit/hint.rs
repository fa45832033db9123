//! `state.json`: where the record ended at the latest checkpoint, so that starting need not read what is older. A hint and
//! no more: its tree must have the root that the checkpoint signed, and its place must hold the line that it says.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use serde::{Deserialize, Serialize};

use super::{
    chain::{self, Digest},
    checkpoint::Checkpoint,
    directory::{Directory, DiskError},
    line::{self, MAX_LINE_BYTES},
    segment,
    tip::Tip,
    tree::Frontier,
};

const FILE: &str = "state.json";
const NEW: &str = "state.json.new";

/// 64 peaks of 64 digits and the rest fit well.
const MAX_BYTES: u64 = 16 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hint {
    v: u32,
    seq: u64,
    segment: u64,
    start: u64,
    offset: u64,
    head: Digest,
    peaks: Vec<Digest>,
}

/// Leaves a hint. Not synced: a lost hint costs time at the next start and nothing else.
pub(super) fn save(dir: &Directory, tip: &Tip) -> Result<(), DiskError> {
    let peaks = tip.frontier.peaks().to_vec();
    let Tip { segment, start, offset, seq, hash: head, .. } = *tip;
    let hint = Hint { v: 1, seq, segment, start, offset, head, peaks };
    let text = serde_json::to_vec(&hint).map_err(|error| dir.error("write", NEW, error))?;
    dir.replace(NEW)?.write_all(&text).map_err(|error| dir.error("write", NEW, error))?;
    dir.rename(NEW, FILE)
}

/// The tip that the hint describes, if all of it can be confirmed by the checkpoint and by the line that it points at.
pub(super) fn load(dir: &Directory, checkpoint: &Checkpoint) -> Option<Tip> {
    let mut text = Vec::new();
    dir.read(FILE).ok()?.take(MAX_BYTES).read_to_end(&mut text).ok()?;
    let hint: Hint = serde_json::from_slice(&text).ok()?;
    let frontier = Frontier::from_parts(hint.seq, hint.peaks)?;
    if hint.v != 1 || hint.seq != checkpoint.size() || frontier.root() != checkpoint.root() {
        return None;
    }
    let length =
        usize::try_from(hint.offset.checked_sub(hint.start)?).ok().filter(|length| *length <= MAX_LINE_BYTES + 1)?;
    let mut file = dir.read(&segment::name(hint.segment)).ok()?;
    file.seek(SeekFrom::Start(hint.start)).ok()?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes).ok()?;
    let line = bytes.strip_suffix(b"\n").filter(|line| !line.contains(&b'\n'))?;
    let hash = chain::link(line);
    if line::parse(line).ok()?.seq != hint.seq || hash != hint.head {
        return None;
    }
    Some(Tip { segment: hint.segment, start: hint.start, offset: hint.offset, seq: hint.seq, hash, frontier })
}
