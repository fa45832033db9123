//! Every line from a place on, with where it stands: for readers that keep a copy of what the lines say. As with
//! [`super::tail()`], what was read is evidence only after [`super::verify()`]; unlike it, what is no line is passed over,
//! and a segment that somebody has archived is no end.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use super::{
    chain::{self, Digest},
    directory::{Directory, DiskError, length},
    line::{Line, MAX_LINE_BYTES},
    segment::{self, LineReader, Piece},
};

/// Where a line stands in the record's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment's number.
    pub segment: u64,
    /// The byte in it where the line begins.
    pub offset: u64,
    /// The line's bytes, without its line feed.
    pub length: u64,
}

impl Place {
    /// The byte behind the line and its line feed.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.length + 1
    }
}

/// What stands somewhere in a segment, up to a line feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Where.
    pub place: Place,
    /// A line and the hash that the next one names; or why it is none.
    pub line: Result<(Line, Digest), String>,
}

/// Reads on from a place. Holds one line at a time.
pub struct Follow {
    dir: Directory,
    segment: u64,
    /// Where the next line begins.
    offset: u64,
    reader: Option<LineReader<File>>,
}

impl Follow {
    /// From this byte of this segment on; from the first line there is, without one.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn open(dir: &Path, from: Option<(u64, u64)>) -> Result<Self, DiskError> {
        let (segment, offset) = from.unwrap_or((0, 0));
        Ok(Self { dir: Directory::open(dir)?, segment, offset, reader: None })
    }

    /// The next line there is by now, or what stands in its place; `None` at the end. Half a line is the end: somebody is
    /// writing it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn advance(&mut self) -> Result<Option<Found>, DiskError> {
        loop {
            if let Some(found) = self.read()? {
                return Ok(Some(found));
            }
            // A segment is complete once there is a later one; what came in between is read first.
            let Some(later) = self.dir.segments()?.into_iter().find(|number| *number > self.segment) else {
                return Ok(None);
            };
            if let Some(found) = self.read()? {
                return Ok(Some(found));
            }
            (self.segment, self.offset, self.reader) = (later, 0, None);
        }
    }

    fn read(&mut self) -> Result<Option<Found>, DiskError> {
        let name = segment::name(self.segment);
        let reader = match self.reader.take() {
            Some(reader) => Some(reader),
            None => self.dir.lines_from(&name, self.offset)?,
        };
        let Some(mut reader) = reader else { return Ok(None) };
        let offset = reader.offset();
        let line = match reader.next().map_err(|error| self.dir.error("read", &name, error))? {
            Piece::Line(line) => parse(line),
            Piece::Overlong => Err("it is too long".to_owned()),
            // The reader has used it up: a new one begins in front of it.
            Piece::Torn(_) | Piece::End => return Ok(None),
        };
        self.offset = reader.offset();
        let place = Place { segment: self.segment, offset, length: self.offset - offset - 1 };
        self.reader = Some(reader);
        Ok(Some(Found { place, line }))
    }

    /// What stands in a place now, with its hash, if it is a whole line there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn line_at(&self, place: Place) -> Result<Option<(Line, Digest)>, DiskError> {
        let name = segment::name(place.segment);
        let failed = |error| self.dir.error("read", &name, error);
        let whole = self.dir.stat(&name)?.is_some_and(|stat| length(&stat) >= place.end());
        if !whole || place.length > MAX_LINE_BYTES as u64 {
            return Ok(None);
        }
        let mut file = self.dir.read(&name)?;
        file.seek(SeekFrom::Start(place.offset)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(place.length + 1).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes.strip_suffix(b"\n").filter(|line| !line.contains(&b'\n')).and_then(|line| parse(line).ok()))
    }

    /// How long a segment is now; `None` if it is not there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn segment_length(&self, number: u64) -> Result<Option<u64>, DiskError> {
        Ok(self.dir.stat(&segment::name(number))?.as_ref().map(length))
    }
}

fn parse(line: &[u8]) -> Result<(Line, Digest), String> {
    let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    Ok((Line::parse(text)?, chain::link(line)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;
    use crate::audit::{Entry, genesis};

    fn line(seq: u64) -> String {
        let mut out = Vec::new();
        let body = Entry::new("test.line").field("n", seq).into_body().unwrap();
        super::super::line::encode(&mut out, seq, jiff::Timestamp::UNIX_EPOCH, &genesis(), &body);
        String::from_utf8(out).unwrap()
    }

    fn seqs(follow: &mut Follow) -> Vec<Result<u64, ()>> {
        let mut seqs = Vec::new();
        while let Some(found) = follow.advance().unwrap() {
            seqs.push(found.line.map(|(line, _)| line.seq()).map_err(drop));
        }
        seqs
    }

    #[test]
    fn half_a_line_is_read_once_it_is_whole_and_what_is_no_line_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = |number| dir.path().join(segment::name(number));
        let second = line(2);
        let (begun, rest) = second.split_at(40);
        fs::write(file(1), format!("{}\nnonsense\n{begun}", line(1))).unwrap();
        let mut follow = Follow::open(dir.path(), None).unwrap();
        assert_eq!(seqs(&mut follow), [Ok(1), Err(())]);
        fs::OpenOptions::new().append(true).open(file(1)).unwrap().write_all(format!("{rest}\n").as_bytes()).unwrap();
        assert_eq!(seqs(&mut follow), [Ok(2)]);
        // Segment 2 has been archived.
        fs::write(file(3), format!("{}\n", line(9))).unwrap();
        assert_eq!(seqs(&mut follow), [Ok(9)]);
    }

    #[test]
    fn a_line_is_found_again_by_its_place_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(segment::name(1));
        fs::write(&path, format!("{}\n{}\n", line(1), line(2))).unwrap();
        let mut follow = Follow::open(dir.path(), None).unwrap();
        follow.advance().unwrap();
        let second = follow.advance().unwrap().unwrap();
        let place = second.place;
        assert_eq!(follow.line_at(place).unwrap(), second.line.ok());
        for wrong in [
            Place { offset: place.offset - 1, ..place },
            Place { length: place.length - 1, ..place },
            Place { offset: 0, length: place.end() - 1, ..place },
            Place { segment: 2, ..place },
        ] {
            assert_eq!(follow.line_at(wrong).unwrap(), None, "{wrong:?}");
        }
    }
}
