//! What a verification found, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::chain::Digest;

/// In which way the record is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// A line is not in the form of a line.
    Malformed,
    /// A line is missing, repeated or out of order.
    Sequence,
    /// A line does not name the hash of the line before it.
    Chain,
    /// A segment is missing, or ends where it can't have ended.
    Segment,
    /// The first line is not that of this record.
    Owner,
    /// The lines are not those that a checkpoint signed.
    Root,
    /// A checkpoint covers lines that are not there: the end was cut off, or the whole record was put back to an older one.
    Truncated,
    /// A note among the record's checkpoints is no checkpoint by this key.
    Checkpoint,
}

/// One thing that is wrong: where, what was expected, what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// In which way.
    pub kind: ProblemKind,
    /// The first line that can't be relied upon; `None` where the problem concerns no line.
    pub seq: Option<u64>,
    /// The file.
    pub file: String,
    /// The byte in it.
    pub offset: u64,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Problem {
    pub(super) fn new(kind: ProblemKind, seq: Option<u64>, file: &str, offset: u64) -> Self {
        Self { kind, seq, file: file.to_owned(), offset, expected: String::new(), found: String::new() }
    }

    pub(super) fn with(self, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { expected: expected.into(), found: found.into(), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(seq) = self.seq {
            write!(f, "first bad line {seq}, ")?;
        }
        write!(f, "`{}` at byte {}: expected {}, found {}", self.file, self.offset, self.expected, self.found)
    }
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// True if nothing is wrong. What is not anchored was still open to whoever could write to the directory.
    pub intact: bool,
    /// The record's name.
    pub origin: String,
    /// Segments.
    pub segments: u64,
    /// Lines 1 to this one are verified.
    pub verified: u64,
    /// Lines 1 to this one are covered by a checkpoint that was verified.
    pub anchored: u64,
    /// Verified lines that no checkpoint covers.
    pub unanchored: u64,
    /// Lines 1 to this one are covered by a checkpoint from outside; `None` if none was given.
    pub external: Option<u64>,
    /// The record's own checkpoints that were verified.
    pub checkpoints: u64,
    /// The time in the first line.
    pub first_time: Option<String>,
    /// The time in the last line that was read.
    pub last_time: Option<String>,
    /// The hash of the last line that was read, which the next line will name.
    pub head: Digest,
    /// The root of the tree over the lines that were read.
    pub root: Digest,
    /// Bytes behind the last whole line. A crash leaves them; the next start of the writer quarantines and records them.
    pub torn_bytes: u64,
    /// Everything that is wrong, first bad line first. After a break in the lines nothing behind it is looked at.
    pub problems: Vec<Problem>,
}

impl Report {
    /// The first line that can't be relied upon.
    #[must_use]
    pub fn first_bad(&self) -> Option<u64> {
        self.problems.iter().filter_map(|problem| problem.seq).min()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = |from: u64, to: u64| match to.checked_sub(from) {
            None => "no lines".to_owned(),
            Some(0) => format!("line {to}"),
            Some(_) => format!("lines {from} to {to}"),
        };
        let verdict = if self.intact { "intact" } else { "NOT INTACT" };
        writeln!(f, "record      {}: {verdict}", self.origin)?;
        for problem in &self.problems {
            writeln!(f, "problem     {problem}")?;
        }
        writeln!(f, "verified    {} in {} segment(s)", lines(1, self.verified), self.segments)?;
        if let (Some(first), Some(last)) = (&self.first_time, &self.last_time) {
            writeln!(f, "time        {first} to {last}, by the writer's clock")?;
        }
        writeln!(f, "anchored    {} by {} checkpoint(s) of the record", lines(1, self.anchored), self.checkpoints)?;
        match self.external {
            Some(size) => writeln!(f, "external    {} by a checkpoint from outside", lines(1, size))?,
            None => writeln!(f, "external    no checkpoint from outside: a cut-off end can't be told from no end")?,
        }
        writeln!(f, "unanchored  {} line(s) at the end are covered by no checkpoint", self.unanchored)?;
        if self.torn_bytes > 0 {
            writeln!(f, "torn        {} bytes after the last whole line, as a crash leaves them", self.torn_bytes)?;
        }
        writeln!(f, "head        {}", self.head)?;
        write!(f, "root        {}", self.root)
    }
}
