//! The latest lines, and those to come: for people who look on. Checks the form of each line and no more; what was shown is
//! evidence only after [`super::verify()`].

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
    thread,
    time::Duration,
};

use super::{
    directory::{Directory, DiskError},
    line::{self, Line, MAX_LINE_BYTES},
    segment::{self, LineReader, Piece},
};

/// How often a follower looks. A person doesn't notice, and two calls to the system cost nothing.
const INTERVAL: Duration = Duration::from_millis(250);

/// Why a line can't be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TailError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What is there is no line; the next call goes on behind it.
    #[error("`{file}` at byte {offset} is no line of a record: {why}; run `lockgate audit verify`")]
    Malformed {
        /// The segment.
        file: String,
        /// The byte in it.
        offset: u64,
        /// What is wrong.
        why: String,
    },
}

/// Shows the last `count` lines; with `follow` also every line from then on, waiting for each. Blocks while it waits: call
/// it from a thread of its own, or use [`Tail::poll`].
///
/// # Errors
/// When the directory can't be read.
pub fn tail(dir: &Path, count: u64, follow: bool) -> Result<Tail, TailError> {
    let dir = Directory::open(dir)?;
    let segments = dir.segments()?;
    let last = match segments.iter().rev().find_map(|number| last_line(&dir, *number).transpose()) {
        Some(seq) => seq?,
        None => 0,
    };
    let first = last.saturating_sub(count) + 1;
    // A segment begins with the line that its first line says, so the right one is found without reading the others.
    let mut segment = segments.first().copied().unwrap_or(1);
    for number in segments.iter().rev() {
        segment = *number;
        if first_line(&dir, *number)?.is_some_and(|seq| seq <= first) {
            break;
        }
    }
    Ok(Tail { dir, segment, offset: 0, reader: None, first, follow, failed: false })
}

/// Lines in order, as [`tail()`] gives them.
pub struct Tail {
    dir: Directory,
    segment: u64,
    /// Where the next line begins.
    offset: u64,
    reader: Option<LineReader<File>>,
    /// Lines before this one are passed over.
    first: u64,
    follow: bool,
    failed: bool,
}

impl Tail {
    /// The next line, or `None` if there is none yet.
    ///
    /// # Errors
    /// When the disk refuses, or what is there is no line.
    pub fn poll(&mut self) -> Result<Option<Line>, TailError> {
        loop {
            // Asked before reading on: a segment is complete once there is a later one.
            let has_next = self.dir.stat(&segment::name(self.segment + 1))?.is_some();
            if let Some(line) = self.read()? {
                return Ok(Some(line));
            }
            if has_next {
                self.segment += 1;
                self.offset = 0;
            } else {
                return Ok(None);
            }
        }
    }

    /// The next line of this segment that is to be shown.
    fn read(&mut self) -> Result<Option<Line>, TailError> {
        let name = segment::name(self.segment);
        let reader = match self.reader.take() {
            Some(reader) => Some(reader),
            None => self.dir.lines_from(&name, self.offset)?,
        };
        let Some(mut reader) = reader else { return Ok(None) };
        loop {
            let offset = reader.offset();
            let read = match reader.next().map_err(|error| self.dir.error("read", &name, error))? {
                Piece::Line(line) if line::parse(line).is_ok_and(|head| head.seq < self.first) => None,
                Piece::Line(line) => {
                    Some(std::str::from_utf8(line).map_err(|error| error.to_string()).and_then(Line::parse))
                }
                Piece::Overlong => Some(Err("it is too long".to_owned())),
                // Half a line is one that is being written. The reader has used it up: a new one begins in front of it.
                Piece::Torn(_) | Piece::End => return Ok(None),
            };
            self.offset = reader.offset();
            if let Some(read) = read {
                self.reader = Some(reader);
                return read.map(Some).map_err(|why| TailError::Malformed { file: name, offset, why });
            }
        }
    }
}

impl Iterator for Tail {
    type Item = Result<Line, TailError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            match self.poll() {
                Ok(Some(line)) => return Some(Ok(line)),
                Ok(None) if self.follow => thread::sleep(INTERVAL),
                Ok(None) => return None,
                Err(error) => {
                    self.failed = matches!(error, TailError::Disk(_));
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// The sequence number of the segment's first line.
fn first_line(dir: &Directory, number: u64) -> Result<Option<u64>, DiskError> {
    let name = segment::name(number);
    let mut reader = LineReader::new(dir.read(&name)?, 0);
    Ok(match reader.next().map_err(|error| dir.error("read", &name, error))? {
        Piece::Line(line) => line::parse(line).ok().map(|head| head.seq),
        _ => None,
    })
}

/// The sequence number of the segment's last whole line.
fn last_line(dir: &Directory, number: u64) -> Result<Option<u64>, DiskError> {
    let name = segment::name(number);
    let failed = |error| dir.error("read", &name, error);
    // Room for a torn tail behind the last line.
    let window = 2 * (MAX_LINE_BYTES as u64 + 1);
    let mut file = dir.read(&name)?;
    let size = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(window))).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(window).read_to_end(&mut bytes).map_err(failed)?;
    let mut lines = bytes.rsplit(|byte| *byte == b'\n').skip(1);
    Ok(lines.find_map(|line| line::parse(line).ok()).map(|head| head.seq))
}
