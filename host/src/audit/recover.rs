//! Finding the end of an existing record at start-up. Reads the last segment whole and what is newer than the latest
//! checkpoint; everything if there is no usable hint. Changes nothing on the disk.

use ed25519_dalek::VerifyingKey;

use super::{
    checkpoint::{Checkpoint, Origin, encode_key},
    directory::Directory,
    hint, line,
    notes::{self, Latest},
    record::RecordError,
    segment::{self, LineReader, Piece},
    tip::{ReadFailure, Tip},
};

/// The event of the first line. It carries the record's origin and its checkpoint key.
pub(super) const CREATED: &str = "record.created";

/// The end of an existing record.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) tip: Tip,
    /// Bytes after the last whole line.
    pub(super) torn: u64,
    pub(super) latest: Latest,
}

/// Finds the end of the record, if it is one that this origin and key may continue.
pub(super) fn recover(dir: &Directory, origin: &Origin, key: &VerifyingKey) -> Result<Recovered, RecordError> {
    let segments = dir.segments()?;
    let latest =
        notes::latest(dir, key)?.map_err(|why| broken(format!("a note in `{}` is bad: {why}", notes::FILE)))?;
    if let Some((expected, found)) = (1..).zip(&segments).find(|(expected, found)| expected != *found) {
        let (expected, found) = (segment::name(expected), segment::name(*found));
        return Err(broken(format!("`{expected}` is missing before `{found}`")));
    }
    let last = segments.last().copied().unwrap_or_default();
    check_owner(dir, last, origin, key)?;

    let anchor = latest.checkpoint.as_ref();
    let (tip, torn) = match anchor.and_then(|anchor| hint::load(dir, anchor)) {
        Some(tip) => resume(dir, tip, last)?,
        None => walk(dir, Tip::genesis(), last, anchor)?,
    };
    if let Some(anchor) = anchor.filter(|anchor| anchor.size() > tip.seq) {
        let (size, seq) = (anchor.size(), tip.seq);
        return Err(broken(format!("a checkpoint covers {size} lines and the segments have {seq}: lines were lost")));
    }
    Ok(Recovered { tip, torn, latest })
}

fn broken(reason: String) -> RecordError {
    RecordError::Broken { reason }
}

/// A record says in its first line whose it is. Another origin or key must not continue it.
fn check_owner(dir: &Directory, last: u64, origin: &Origin, key: &VerifyingKey) -> Result<(), RecordError> {
    if last == 0 {
        return Ok(());
    }
    let name = segment::name(1);
    let mut reader = LineReader::new(dir.read(&name)?, 0);
    let first = match reader.next().map_err(|error| dir.error("read", &name, error))? {
        Piece::Line(line) => String::from_utf8_lossy(line).into_owned(),
        // The record broke off while its very first line was written.
        Piece::Torn(_) | Piece::End if last == 1 => return Ok(()),
        _ => return Err(broken(format!("`{name}` has no first line"))),
    };
    let first = line::Line::parse(&first).map_err(|why| broken(format!("the first line is bad: {why}")))?;
    if first.event() != CREATED {
        return Err(broken(format!("the first line is not `{CREATED}`")));
    }
    let (ours, theirs) = (encode_key(origin, key), first.text("key").to_owned());
    if theirs != ours || first.text("origin") != origin.as_str() {
        return Err(RecordError::OtherKey { ours, theirs: theirs.escape_debug().to_string() });
    }
    Ok(())
}

/// From a confirmed hint to the end. The last segment is read whole all the same.
fn resume(dir: &Directory, hinted: Tip, last: u64) -> Result<(Tip, u64), RecordError> {
    if hinted.segment < last {
        return walk(dir, hinted, last, None);
    }
    let name = segment::name(last);
    let file = dir.read(&name)?;
    // The frontier before this segment is not known and not needed: up to the hint only the chain is looked at.
    let mut reader = LineReader::new(&file, 0);
    let mut before: Option<Tip> = None;
    while reader.offset() < hinted.offset {
        let start = reader.start();
        let piece = reader.next().map_err(|error| dir.error("read", &name, error))?;
        let Piece::Line(line) = piece else { break };
        let tip = match before.take() {
            Some(tip) => tip,
            None => {
                let head =
                    line::parse(line).map_err(|why| broken(format!("`{name}` at byte {start}: expected {why}")))?;
                Tip { seq: head.seq - 1, hash: head.prev, ..Tip::genesis() }
            }
        };
        let mut tip = Tip { segment: last, ..tip };
        tip.check(line).map_err(|broke| at(&tip, &ReadFailure::Broken(broke)))?;
        tip.advance(line);
        before = Some(tip);
    }
    match before {
        Some(tip) if (tip.offset, tip.seq, tip.hash) == (hinted.offset, hinted.seq, hinted.hash) => {}
        _ => return Err(broken(format!("`{name}` does not lead to the line of the latest checkpoint"))),
    }
    walk(dir, hinted, last, None)
}

/// Reads on to the end of the last segment, and compares with a checkpoint on the way.
fn walk(dir: &Directory, mut tip: Tip, last: u64, anchor: Option<&Checkpoint>) -> Result<(Tip, u64), RecordError> {
    let mut torn = 0;
    let mut rewritten = false;
    if tip.segment == 0 && last > 0 {
        tip.next_segment();
    }
    while tip.segment > 0 {
        let name = segment::name(tip.segment);
        let file = dir.read(&name)?;
        let mut here = tip.clone();
        let read = here.read(&file, |tip| {
            rewritten |= anchor.is_some_and(|anchor| anchor.size() == tip.seq && anchor.root() != tip.frontier.root());
        });
        torn = read.map_err(|failure| match failure {
            ReadFailure::Disk(error) => dir.error("read", &name, error).into(),
            ReadFailure::Broken(_) => at(&here, &failure),
        })?;
        tip = here;
        if tip.segment >= last {
            break;
        }
        if torn > 0 || tip.offset == 0 {
            return Err(broken(format!("`{name}` does not end with a whole line, and it is not the last segment")));
        }
        tip.next_segment();
    }
    if rewritten {
        return Err(broken("the lines do not have the root that the latest checkpoint signed".to_owned()));
    }
    Ok((tip, torn))
}

/// The break, and where it is.
pub(super) fn at(tip: &Tip, failure: &ReadFailure) -> RecordError {
    let place = format!("`{}` at byte {}", segment::name(tip.segment), tip.offset);
    broken(match failure {
        ReadFailure::Disk(error) => format!("{place}: {error}"),
        ReadFailure::Broken(broke) => format!("{place}: expected {}, found {}", broke.expected, broke.found),
    })
}
