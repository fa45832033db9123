//! Verifying the record from a page: a job beside everything else, one at a time whoever asks, on a thread of its own that
//! nobody waits for, not even the end of the process. It needs what `lockgate audit verify` needs, and believes as little.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lockgate_signing::file;

use crate::{
    audit::{self, PublicKey, Report},
    error::{Code, Refusal},
};

/// Largest file of exported checkpoints that is read: a hundred bytes each, one a minute, for a year.
const MAX_CHECKPOINTS: u64 = 256 << 20;
/// After one that ended, the next is begun no sooner: a record is read from beginning to end each time.
const PAUSE: Duration = Duration::from_secs(10);

/// What is verified, and with what.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The record's directory.
    pub dir: PathBuf,
    /// Its public key.
    pub key: PublicKey,
    /// Checkpoints that went elsewhere, where that is a file.
    pub exported: Option<PathBuf>,
}

/// How far it is.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Since when one is under way, and who asked for it.
    pub running: Option<(Timestamp, String)>,
    /// The last one that ended.
    pub last: Option<Ended>,
}

/// One that ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// When it began.
    pub began: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Who asked for it.
    pub by: String,
    /// Whether checkpoints from elsewhere took part.
    pub with_exported: bool,
    /// What was found, or why nothing could be.
    pub found: Result<Report, String>,
}

/// What came of asking for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is under way.
    Now,
    /// One was under way already: its result is as good.
    Already,
    /// One has just ended: its result is as good.
    JustEnded,
}

/// The job.
pub struct Verification {
    subject: Subject,
    state: Mutex<(State, Option<Instant>)>,
}

impl Verification {
    /// Of this record. Nothing is begun.
    #[must_use]
    pub fn new(subject: Subject) -> Arc<Self> {
        Arc::new(Self { subject, state: Mutex::new((State::default(), None)) })
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> State {
        self.lock().0.clone()
    }

    /// Begins one for somebody.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn begin(self: &Arc<Self>, by: &str) -> Result<Begun, Refusal> {
        let began = Timestamp::now();
        {
            let mut state = self.lock();
            if state.0.running.is_some() {
                return Ok(Begun::Already);
            }
            if state.1.is_some_and(|ended| ended.elapsed() < PAUSE) {
                return Ok(Begun::JustEnded);
            }
            state.0.running = Some((began, by.to_owned()));
        }
        let (job, by) = (Arc::clone(self), by.to_owned());
        let started = thread::Builder::new().name("verify".to_owned()).spawn(move || {
            let clock = Instant::now();
            // Were it to panic, it would be under way for ever.
            let done = std::panic::catch_unwind(|| job.subject.verify());
            let (with_exported, found) =
                done.unwrap_or_else(|_| (false, Err("the verification ended abnormally".to_owned())));
            let ended = Ended { began, took: clock.elapsed(), by, with_exported, found };
            *job.lock() = (State { running: None, last: Some(ended) }, Some(Instant::now()));
        });
        match started {
            Ok(_) => Ok(Begun::Now),
            Err(error) => {
                self.lock().0.running = None;
                Err(Refusal::new(Code::Overloaded, format!("the record can't be verified now: {error}")))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, (State, Option<Instant>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subject {
    /// Whether checkpoints from elsewhere took part, and what was found.
    fn verify(&self) -> (bool, Result<Report, String>) {
        // Read before the record: what it covers by then is there.
        let exported = match &self.exported {
            // Before the first checkpoint there is none.
            Some(path) if path.exists() => match read(path) {
                Ok(text) => Some(text),
                Err(why) => return (false, Err(why)),
            },
            _ => None,
        };
        let external = exported.as_deref().filter(|text| !text.trim().is_empty());
        let found = audit::verify(&self.dir, &self.key, external).map_err(|error| error.to_string());
        (external.is_some(), found)
    }
}

fn read(path: &std::path::Path) -> Result<String, String> {
    let bytes = file::read_once(path, MAX_CHECKPOINTS).map_err(|e| format!("the exported checkpoints: {e}"))?;
    String::from_utf8(bytes).map_err(|_| format!("the exported checkpoints: {} is not UTF-8", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::audit::{CheckpointSink, Entry, Record, RecordSettings};

    fn record(dir: &std::path::Path) -> Record {
        Record::open(RecordSettings {
            dir: dir.join("record"),
            max_segment_bytes: 1 << 20,
            checkpoint_every_lines: 10,
            checkpoint_every: Duration::from_secs(60),
            origin: "lockgate/test".into(),
            key: SigningKey::from_bytes(&[3; 32]),
            export: vec![CheckpointSink::File(dir.join("elsewhere"))],
        })
        .unwrap()
    }

    fn ended(job: &Verification) -> Ended {
        let began = Instant::now();
        loop {
            let state = job.state();
            if let (None, Some(last)) = (state.running, state.last) {
                return last;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_record_whose_end_was_cut_off_is_found_out_by_what_went_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let record = record(dir.path());
        let subject = Subject {
            dir: record.dir().to_owned(),
            key: record.public_key().clone(),
            exported: Some(dir.path().join("elsewhere")),
        };
        for n in 0..5 {
            record.append_blocking(Entry::new("test.line").field("n", n)).unwrap();
        }
        record.close_blocking().unwrap();
        let job = Verification::new(subject.clone());
        assert!(job.state().last.is_none());
        assert_eq!(job.begin("ada").unwrap(), Begun::Now);
        let first = ended(&job);
        let report = first.found.unwrap();
        assert!(report.intact && first.with_exported && first.by == "ada");
        assert_eq!((report.verified, report.external), (6, Some(6)));
        // Whoever asks at once gets the same result.
        assert_eq!(job.begin("bob").unwrap(), Begun::JustEnded);
        assert_eq!(job.state().last.unwrap().by, "ada");

        let segment = dir.path().join("record/record-00000001.jsonl");
        let text = std::fs::read_to_string(&segment).unwrap();
        let two: String = text.split_inclusive('\n').take(2).collect();
        std::fs::write(&segment, two).unwrap();
        std::fs::remove_file(dir.path().join("record/checkpoints")).unwrap();
        let job = Verification::new(subject.clone());
        job.begin("ada").unwrap();
        assert!(!ended(&job).found.unwrap().intact, "cut off");
        let job = Verification::new(Subject { exported: None, ..subject });
        job.begin("ada").unwrap();
        assert!(
            ended(&job).found.unwrap().intact,
            "nothing here tells: that is what the checkpoints elsewhere are for"
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let record = record(dir.path());
        record.close_blocking().unwrap();
        let subject = Subject { dir: dir.path().join("nowhere"), key: record.public_key().clone(), exported: None };
        let job = Verification::new(subject);
        job.begin("ada").unwrap();
        assert!(ended(&job).found.is_err());
    }
}
