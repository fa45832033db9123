//! Segments: how the files are named, and how lines are read from them in constant memory.

use std::io::{self, BufRead, BufReader, Read};

use super::line::MAX_LINE_BYTES;

/// The file name of a segment; the first has the number 1.
#[must_use]
pub fn name(number: u64) -> String {
    format!("record-{number:08}.jsonl")
}

/// The number in a segment's file name, if it is one.
pub(super) fn number(file: &str) -> Option<u64> {
    let number = file.strip_prefix("record-")?.strip_suffix(".jsonl")?.parse().ok()?;
    (number > 0 && name(number) == file).then_some(number)
}

/// What comes next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A line, without its line feed.
    Line(&'a [u8]),
    /// A line that is longer than any line may be.
    Overlong,
    /// This many bytes at the end without a line feed.
    Torn(u64),
    /// Nothing.
    End,
}

/// Reads pieces, holding at most one line.
pub(super) struct LineReader<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    /// Where the piece begins that was read last.
    start: u64,
    /// Where the next piece begins.
    offset: u64,
}

impl<R: Read> LineReader<R> {
    /// Reads from `offset` in the segment, where the reader stands already.
    pub(super) fn new(reader: R, offset: u64) -> Self {
        Self { reader: BufReader::with_capacity(64 * 1024, reader), line: Vec::new(), start: offset, offset }
    }

    /// Where the piece that was read last begins.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Where the next piece begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn next(&mut self) -> io::Result<Piece<'_>> {
        self.start = self.offset;
        self.line.clear();
        let limit = MAX_LINE_BYTES + 1;
        let mut read = (&mut self.reader).take(limit as u64).read_until(b'\n', &mut self.line)?;
        let mut ended = self.line.last() == Some(&b'\n');
        let overlong = !ended && read == limit;
        while overlong && !ended {
            let chunk = self.reader.fill_buf()?;
            let Some(last) = chunk.len().checked_sub(1) else { break };
            let used = chunk.iter().position(|byte| *byte == b'\n').inspect(|_| ended = true).unwrap_or(last) + 1;
            self.reader.consume(used);
            read += used;
        }
        self.offset += read as u64;
        Ok(match (read, ended) {
            (0, _) => Piece::End,
            (_, false) => Piece::Torn(read as u64),
            (_, true) if overlong => Piece::Overlong,
            (_, true) => {
                self.line.pop();
                Piece::Line(&self.line)
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_name_is_a_segment() {
        assert_eq!(number(&name(1)), Some(1));
        assert_eq!(number("record-123456789.jsonl"), Some(123_456_789));
        for other in ["record-1.jsonl", "record-00000000.jsonl", "record-+0000001.jsonl", "record-00000001.jsonl~"] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn pieces_say_where_they_are() {
        let mut reader = LineReader::new(&b"one\n\nthree\nto"[..], 0);
        assert_eq!(reader.next().unwrap(), Piece::Line(b"one"));
        assert_eq!(reader.next().unwrap(), Piece::Line(b""));
        assert_eq!(reader.next().unwrap(), Piece::Line(b"three"));
        assert_eq!((reader.start(), reader.offset()), (5, 11));
        assert_eq!(reader.next().unwrap(), Piece::Torn(2));
        assert_eq!((reader.start(), reader.offset()), (11, 13));
        assert_eq!(reader.next().unwrap(), Piece::End);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let most = [vec![b'x'; MAX_LINE_BYTES], vec![b'\n']].concat();
        let long = [vec![b'x'; 5 * MAX_LINE_BYTES], vec![b'\n']].concat();
        let all = [most, long.clone(), vec![0; 3 * MAX_LINE_BYTES]].concat();
        let mut reader = LineReader::new(&all[..], 0);
        assert!(matches!(reader.next().unwrap(), Piece::Line(line) if line.len() == MAX_LINE_BYTES));
        assert_eq!(reader.next().unwrap(), Piece::Overlong);
        assert_eq!(reader.offset() - reader.start(), long.len() as u64);
        assert_eq!(reader.next().unwrap(), Piece::Torn(3 * MAX_LINE_BYTES as u64));
    }
}
