//! One pass over a record's lines, in constant memory, up to where it ended when the pass began. Takes nothing for granted
//! and changes nothing.

use std::{io::Read as _, time::Duration};

use super::{
    directory::{Directory, DiskError, Lock, length},
    json,
    line::{self, Head},
    notes,
    report::{Problem, ProblemKind},
    segment::{self, LineReader, Piece},
    tip::{Break, BreakKind, Tip, excerpt},
};

/// A writer holds the lock for a batch, so for milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far the record reached at one moment between two batches.
#[derive(Debug)]
pub(super) struct Snapshot {
    segments: Vec<u64>,
    last_length: u64,
    pub(super) notes_length: u64,
}

impl Snapshot {
    /// Looks while no writer is in the middle of a batch. The lock is not kept: writers must not wait for readers. A copy of
    /// a record has no lock and needs none.
    pub(super) fn take(dir: &Directory) -> Result<Self, DiskError> {
        let lock = Lock::shared(dir)?;
        let locked = lock.map(|lock| lock.acquire(dir, PATIENCE)).transpose()?.flatten();
        let segments = dir.segments()?;
        let size = |name: &str| Ok::<_, DiskError>(dir.stat(name)?.as_ref().map_or(0, length));
        let last_length = segments.last().map_or(Ok(0), |last| size(&segment::name(*last)))?;
        let notes_length = size(notes::FILE)?;
        drop(locked);
        Ok(Self { segments, last_length, notes_length })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub(super) fn segments(&self) -> u64 {
        self.segments.len() as u64
    }
}

/// Where a pass ended.
#[derive(Debug)]
pub(super) enum End {
    /// At the end of the snapshot; this many bytes follow the last whole line.
    Whole(u64),
    /// Before it.
    Problem(Problem),
    /// Where the visitor had seen enough.
    Stopped,
}

/// Moves the tip over every line that continues the record, and shows each line with the tip behind it. The visitor says
/// whether to go on.
pub(super) fn walk(
    dir: &Directory,
    snapshot: &Snapshot,
    tip: &mut Tip,
    mut visit: impl FnMut(&Tip, &[u8], &Head<'_>) -> bool,
) -> Result<End, DiskError> {
    let mut torn = 0;
    for (expected, found) in (1..).zip(&snapshot.segments) {
        let name = segment::name(expected);
        let stopped = |tip: &Tip, expected: &str, found: String| {
            let problem = Problem::new(ProblemKind::Segment, Some(tip.seq + 1), &name, tip.offset);
            Ok(End::Problem(problem.with(expected, found)))
        };
        tip.next_segment();
        if expected != *found {
            return stopped(tip, "this file", "no such file, but later ones".to_owned());
        }
        let is_last = snapshot.segments() == expected;
        let limit = if is_last { snapshot.last_length } else { u64::MAX };
        let mut reader = LineReader::new(dir.read(&name)?.take(limit), 0);
        loop {
            match reader.next().map_err(|error| dir.error("read", &name, error))? {
                Piece::Line(line) => {
                    let head = match check(tip, line) {
                        Ok(head) => head,
                        Err(broke) => return Ok(End::Problem(problem(tip, &name, broke))),
                    };
                    tip.advance(line);
                    if !visit(tip, line, &head) {
                        return Ok(End::Stopped);
                    }
                }
                Piece::Overlong => {
                    let expected = format!("a line of at most {} bytes", line::MAX_LINE_BYTES);
                    let broke = Break { kind: BreakKind::Malformed, expected, found: "a longer one".to_owned() };
                    return Ok(End::Problem(problem(tip, &name, broke)));
                }
                Piece::Torn(length) => {
                    torn = length;
                    break;
                }
                Piece::End => break,
            }
        }
        if !is_last && torn > 0 {
            return stopped(
                tip,
                "a whole line at the end of a closed segment",
                format!("{torn} bytes without a line feed"),
            );
        }
        if !is_last && tip.offset == 0 {
            return stopped(tip, "a line in a closed segment", "an empty file".to_owned());
        }
    }
    Ok(End::Whole(torn))
}

/// Whether the line comes next, and is one that every JSON reader reads the same way.
fn check<'a>(tip: &Tip, line: &'a [u8]) -> Result<Head<'a>, Break> {
    let head = tip.check(line)?;
    json::check(line).map_err(|found| Break {
        kind: BreakKind::Malformed,
        expected: "a JSON object without repeated keys".to_owned(),
        found: format!("{} ({})", excerpt(line), found.escape_debug()),
    })?;
    Ok(head)
}

/// What is wrong, and which line can't be relied upon any more. A wrong `prev` is as much a sign that the line before was
/// changed as that this one was.
fn problem(tip: &Tip, name: &str, broke: Break) -> Problem {
    let next = tip.seq + 1;
    let (kind, seq) = match broke.kind {
        BreakKind::Malformed => (ProblemKind::Malformed, next),
        BreakKind::Sequence => (ProblemKind::Sequence, next),
        BreakKind::Chain => (ProblemKind::Chain, tip.seq.max(1)),
    };
    Problem::new(kind, Some(seq), name, tip.offset).with(broke.expected, broke.found)
}
