//! Verification: every line, the chain between them, the tree over them and the checkpoints that sign it, with nothing but
//! the files and the public key, in constant memory. Changes nothing, and believes none of the writer's hints.

use std::{fs::File, io::Read as _, path::Path};

use super::{
    checkpoint::{Checkpoint, CheckpointError},
    directory::{Directory, DiskError},
    line::{Head, Line},
    notes::{self, Next, NoteReader},
    public_key::PublicKey,
    recover::CREATED,
    report::{Problem, ProblemKind, Report},
    tip::Tip,
    walk::{End, Snapshot, walk},
};

/// How a problem names the checkpoints that came from outside.
const EXTERNAL: &str = "external checkpoint";

/// Why nothing could be verified at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is nothing to verify.
    #[error("there is no record in `{0}`: no segment and no checkpoint")]
    NoRecord(String),
    /// What was given as a checkpoint from outside is none by this key.
    #[error("can't use the external checkpoint: {0}")]
    External(CheckpointError),
    /// The checkpoint from outside is another record's.
    #[error("the external checkpoint is of `{found}`, not of `{expected}`")]
    OtherOrigin {
        /// The key's.
        expected: String,
        /// The checkpoint's.
        found: String,
    },
}

/// Verifies the record in the directory. `external` is the text of one or more checkpoints that were kept elsewhere; only
/// with one can a cut-off end, or a whole record that was put back or signed anew, be told from an honest one.
///
/// # Errors
/// When the files can't be read, there are none, or `external` is no checkpoint of this record. What is wrong with the
/// record itself is in the report.
pub fn verify(dir: &Path, key: &PublicKey, external: Option<&str>) -> Result<Report, VerifyError> {
    let external = external.map(|text| read_external(text, key)).transpose()?;
    let directory = Directory::open(dir)?;
    let snapshot = Snapshot::take(&directory)?;
    if snapshot.is_empty() && snapshot.notes_length == 0 && external.is_none() {
        return Err(VerifyError::NoRecord(dir.display().to_string()));
    }
    let own = Own::open(&directory, &snapshot, key)?;
    let mut check = Check { key, own, external: External::new(external), times: [None, None], problems: Vec::new() };
    let mut tip = Tip::genesis();
    let end = walk(&directory, &snapshot, &mut tip, |tip, line, head| {
        check.line(tip, line, head);
        true
    })?;
    Ok(check.finish(&tip, end, &snapshot))
}

fn read_external(text: &str, key: &PublicKey) -> Result<Vec<Checkpoint>, VerifyError> {
    let mut notes = Checkpoint::open_all(text, key.key()).map_err(VerifyError::External)?;
    if let Some(other) = notes.iter().find(|note| note.origin() != key.origin()) {
        let (expected, found) = (key.origin().as_str().to_owned(), other.origin().as_str().to_owned());
        return Err(VerifyError::OtherOrigin { expected, found });
    }
    notes.sort_by_key(Checkpoint::size);
    Ok(notes)
}

/// The record's own checkpoints, read one by one as the lines go by.
struct Own<'a> {
    reader: Option<NoteReader<std::io::Take<File>>>,
    key: &'a PublicKey,
    next: Option<(Checkpoint, u64)>,
    /// The size of the latest one that the lines bore out, and how many there were.
    reached: u64,
    verified: u64,
    problem: Option<Problem>,
}

impl<'a> Own<'a> {
    fn open(dir: &Directory, snapshot: &Snapshot, key: &'a PublicKey) -> Result<Self, DiskError> {
        let reader = match snapshot.notes_length {
            0 => None,
            length => Some(NoteReader::new(dir.read(notes::FILE)?.take(length), *key.key())),
        };
        let mut own = Self { reader, key, next: None, reached: 0, verified: 0, problem: None };
        own.advance(0);
        Ok(own)
    }

    /// Reads the next note. One that can't be read ends the reading: what is behind it has no place any more.
    fn advance(&mut self, after: u64) {
        self.next = None;
        let Some(reader) = &mut self.reader else { return };
        let at = reader.offset();
        let found = match reader.next() {
            Ok(Next::Note(note)) if note.origin() != self.key.origin() => {
                format!("one of `{}`", note.origin().as_str())
            }
            Ok(Next::Note(note)) if note.size() <= after => {
                format!("one over {} lines after one over {after}", note.size())
            }
            Ok(Next::Note(note)) => {
                self.next = Some((*note, at));
                return;
            }
            Ok(Next::Bad(why)) => why,
            Ok(Next::Torn(_) | Next::End) => {
                // An unfinished note is what a crash leaves. It vouches for nothing, and the writer will quarantine it.
                self.reader = None;
                return;
            }
            Err(error) => format!("an error of the disk: {error}"),
        };
        self.reader = None;
        let problem = Problem::new(ProblemKind::Checkpoint, None, notes::FILE, at);
        self.problem = Some(problem.with("a checkpoint of this record by this key", found));
    }
}

/// The checkpoints from outside, smallest first.
struct External {
    notes: std::iter::Peekable<std::vec::IntoIter<Checkpoint>>,
    reached: Option<u64>,
}

impl External {
    fn new(notes: Option<Vec<Checkpoint>>) -> Self {
        let reached = notes.as_ref().map(|_| 0);
        Self { notes: notes.unwrap_or_default().into_iter().peekable(), reached }
    }
}

struct Check<'a> {
    key: &'a PublicKey,
    own: Own<'a>,
    external: External,
    times: [Option<String>; 2],
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// Looks at one line that continues the chain, with the tip behind it.
    fn line(&mut self, tip: &Tip, line: &[u8], head: &Head<'_>) {
        let [first, last] = &mut self.times;
        first.get_or_insert_with(|| head.time.to_owned());
        let last = last.get_or_insert_default();
        last.clear();
        last.push_str(head.time);
        if tip.seq == 1 {
            self.first_line(&String::from_utf8_lossy(line));
        }
        while let Some((note, at)) = self.own.next.as_ref().filter(|(note, _)| note.size() <= tip.seq) {
            if note.root() == tip.frontier.root() {
                self.own.verified += 1;
                self.own.reached = tip.seq;
            } else {
                let problem = Problem::new(ProblemKind::Root, Some(self.own.reached + 1), notes::FILE, *at);
                self.problems.push(differs(problem, tip, note));
                // One rewritten line makes every later root wrong: that is one problem, not many.
                self.own.reader = None;
            }
            self.own.advance(tip.seq);
        }
        while let Some(note) = self.external.notes.next_if(|note| note.size() <= tip.seq) {
            let reached = self.external.reached.unwrap_or_default();
            if note.root() == tip.frontier.root() {
                self.external.reached = Some(tip.seq);
            } else {
                let problem = Problem::new(ProblemKind::Root, Some(reached + 1), EXTERNAL, 0);
                self.problems.push(differs(problem, tip, &note));
                self.external.notes = Vec::new().into_iter().peekable();
            }
        }
    }

    /// The first line says whose record this is.
    fn first_line(&mut self, line: &str) {
        let expected = self.key.to_string();
        let found = match Line::parse(line) {
            Ok(line) if line.event() != CREATED => format!("the event `{}`", line.event()),
            Ok(line) if line.text("key") == expected => return,
            Ok(line) => format!("the key `{}`", line.text("key").escape_debug()),
            Err(why) => why,
        };
        let problem = Problem::new(ProblemKind::Owner, Some(1), &super::segment::name(1), 0);
        self.problems.push(problem.with(format!("the event `{CREATED}` with the key `{expected}`"), found));
    }

    fn finish(mut self, tip: &Tip, end: End, snapshot: &Snapshot) -> Report {
        let external = self.external.reached;
        // Where a checkpoint from outside disagrees, the record's own key can't be relied upon for what it agrees with.
        let distrusted = self.problems.iter().any(|problem| problem.file == EXTERNAL);
        let anchored =
            if distrusted { external.unwrap_or_default() } else { self.own.reached.max(external.unwrap_or_default()) };
        let torn_bytes = match end {
            End::Whole(torn) => {
                let own = self.own.next.take().map(|(note, at)| (note, notes::FILE, at));
                let outside = self.external.notes.next_back().map(|note| (note, EXTERNAL, 0));
                for (note, file, at) in own.into_iter().chain(outside) {
                    let problem = Problem::new(ProblemKind::Truncated, Some(tip.seq + 1), file, at);
                    let expected = format!("the {} lines that it covers", note.size());
                    self.problems.push(problem.with(expected, format!("{} in the segments", tip.seq)));
                }
                torn
            }
            // The line before a wrong `prev` may still be the one that was signed: then it is the next that is bad.
            End::Problem(problem) => {
                let seq = problem.seq.map(|seq| seq.max(anchored + 1));
                self.problems.push(Problem { seq, ..problem });
                0
            }
            End::Stopped => 0,
        };
        self.problems.extend(self.own.problem.take());
        self.problems.sort_by_key(|problem| problem.seq.unwrap_or(u64::MAX));
        let first_bad = self.problems.iter().filter_map(|problem| problem.seq).min();
        let verified = first_bad.map_or(tip.seq, |bad| (bad - 1).min(tip.seq));
        let [first_time, last_time] = self.times;
        Report {
            intact: self.problems.is_empty(),
            origin: self.key.origin().as_str().to_owned(),
            segments: snapshot.segments(),
            verified,
            anchored: anchored.min(verified),
            unanchored: verified.saturating_sub(anchored),
            external,
            checkpoints: self.own.verified,
            first_time,
            last_time,
            head: tip.hash,
            root: tip.frontier.root(),
            torn_bytes,
            problems: self.problems,
        }
    }
}

fn differs(problem: Problem, tip: &Tip, note: &Checkpoint) -> Problem {
    let expected = format!("the root {} that was signed over {} lines", note.root(), note.size());
    problem.with(expected, tip.frontier.root().to_string())
}
