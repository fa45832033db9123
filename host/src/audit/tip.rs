//! Where the record ends: the place, the hash of the last line and the frontier of the tree. A tip moves only over lines
//! that continue the chain.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom},
};

use super::{
    chain::{self, Digest},
    line,
    segment::{LineReader, Piece},
    tree::{self, Frontier},
};

/// The end of what was read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tip {
    /// The segment; 0 before there is one.
    pub(super) segment: u64,
    /// Where the last line begins in it.
    pub(super) start: u64,
    /// Where the next line will begin in it.
    pub(super) offset: u64,
    /// The last line's sequence number; 0 before there is one.
    pub(super) seq: u64,
    /// What the next line must name as `prev`.
    pub(super) hash: Digest,
    /// The tree over all lines.
    pub(super) frontier: Frontier,
}

/// A line that does not continue the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Break {
    pub(super) kind: BreakKind,
    pub(super) expected: String,
    pub(super) found: String,
}

/// In which way it doesn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BreakKind {
    Malformed,
    Sequence,
    Chain,
}

/// Why a segment could not be read to its end.
#[derive(Debug)]
pub(super) enum ReadFailure {
    Disk(io::Error),
    Broken(Break),
}

impl Tip {
    /// Before the first line.
    pub(super) fn genesis() -> Self {
        Self { segment: 0, start: 0, offset: 0, seq: 0, hash: chain::genesis(), frontier: Frontier::default() }
    }

    /// At the beginning of the next segment.
    pub(super) fn next_segment(&mut self) {
        self.segment += 1;
        self.start = 0;
        self.offset = 0;
    }

    /// Checks that the line comes next, without moving.
    pub(super) fn check<'a>(&self, line: &'a [u8]) -> Result<line::Head<'a>, Break> {
        let head = line::parse(line).map_err(|expected| Break {
            kind: BreakKind::Malformed,
            expected: expected.to_owned(),
            found: excerpt(line),
        })?;
        let broken = |kind, expected: String, found: String| Err(Break { kind, expected, found });
        if head.seq != self.seq + 1 {
            let (expected, found) = (self.seq + 1, head.seq);
            return broken(
                BreakKind::Sequence,
                format!("sequence number {expected}"),
                format!("sequence number {found}"),
            );
        }
        if head.prev != self.hash {
            return broken(BreakKind::Chain, format!("prev {}", self.hash), format!("prev {}", head.prev));
        }
        Ok(head)
    }

    /// Moves over a line that was checked, or that is being written here.
    pub(super) fn advance(&mut self, line: &[u8]) {
        self.seq += 1;
        self.hash = chain::link(line);
        self.frontier.push(tree::leaf(line));
        self.start = self.offset;
        self.offset += line.len() as u64 + 1;
    }

    /// Moves to the end of the segment, and shows itself after each line. Returns how many bytes after the last line feed
    /// are left over.
    pub(super) fn read(&mut self, mut file: &File, mut seen: impl FnMut(&Self)) -> Result<u64, ReadFailure> {
        file.seek(SeekFrom::Start(self.offset)).map_err(ReadFailure::Disk)?;
        let mut reader = LineReader::new(file, self.offset);
        loop {
            match reader.next().map_err(ReadFailure::Disk)? {
                Piece::Line(line) => {
                    self.check(line).map_err(ReadFailure::Broken)?;
                    self.advance(line);
                    seen(self);
                }
                Piece::Overlong => {
                    let expected = format!("a line of at most {} bytes", line::MAX_LINE_BYTES);
                    let found = "a longer one".to_owned();
                    return Err(ReadFailure::Broken(Break { kind: BreakKind::Malformed, expected, found }));
                }
                Piece::Torn(length) => return Ok(length),
                Piece::End => return Ok(0),
            }
        }
    }
}

/// The beginning of a line, fit for any terminal.
pub(super) fn excerpt(line: &[u8]) -> String {
    let text = line.get(..line.len().min(60)).unwrap_or_default().escape_ascii().to_string();
    if line.len() > 60 { format!("`{text}…`") } else { format!("`{text}`") }
}
