//! A trust policy put in the place of another: read again before it is used, on the record before it is in force, and only
//! if the file is still the one that was looked at. Also what a host says of a policy that was changed by hand.

use std::{
    fs::{self, File},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use lockgate_signing::{
    encoding::{hex, sha256},
    file::{self, MAX_TRUST_BYTES},
    trust::Trust,
};
use serde_json::Value as Json;

use super::{Change, TrustText, changes};
use crate::{
    audit::{Entry, Record},
    error::{Code, Refusal},
    outside::shown,
    store::Store,
};

/// Where the store keeps the digest and the text of the trust policy that was on the record last.
const DIGEST: &str = "trust_digest";
const TEXT: &str = "trust_text";
/// Sentences that a line has of the difference, and characters of each: together well below the longest line.
const CHANGES: usize = 100;
const CHANGE: usize = 1000;

/// A change of the trust policy that has been worked out and not made.
#[derive(Debug)]
pub struct Prepared {
    path: PathBuf,
    before: Option<String>,
    after: String,
    trust: Trust,
    changes: Vec<Change>,
}

impl Prepared {
    /// Works out a change of the policy in a file, which need not be there yet.
    ///
    /// # Errors
    /// When the file can't be used, or could not be used with the change.
    pub fn new(path: &Path, edit: impl FnOnce(&mut TrustText) -> Result<(), Refusal>) -> Result<Self, Refusal> {
        let before = read(path)?;
        let (old, mut text) = match &before {
            Some(text) => (parse(path, text)?, TrustText::parse(text)?),
            None => (parse(path, "version = 1\n")?, TrustText::default()),
        };
        edit(&mut text)?;
        let after = text.text();
        let trust = Trust::parse(&after).map_err(|error| {
            Refusal::new(Code::TrustInvalid, format!("the trust policy would be wrong with this change: {error}"))
                .with_remedy("nothing was changed; change what is named as well, or first")
        })?;
        let changes = changes(&old, &trust);
        Ok(Self { path: path.to_owned(), before, after, trust, changes })
    }

    /// What will be other.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether anybody may do more than before.
    #[must_use]
    pub fn widens(&self) -> bool {
        self.changes.iter().any(|change| change.widens)
    }

    /// The policy as it will be.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Makes the change: on the record, and then in the file. `state_dir` is where those who change it wait for each other.
    ///
    /// # Errors
    /// When the record can't be written, or the file is not any more what the change was worked out for.
    pub async fn apply(self, state_dir: &Path, record: &Record, store: &dyn Store, by: &str) -> Result<Trust, Refusal> {
        // Held until this returns.
        let _turn = turn(state_dir)?;
        if read(&self.path)? != self.before {
            let message = format!("{} was changed by somebody else meanwhile", self.path.display());
            return Err(
                Refusal::new(Code::TrustInvalid, message).with_remedy("nothing was changed; look and try again")
            );
        }
        let digest = |text: &str| hex(&sha256(text.as_bytes()));
        let from = self.before.as_deref().map(digest);
        record.append(entry(&self.path, from, &digest(&self.after), &self.changes).field("by", by)).await?;
        if let Err(error) = file::replace_guarded(&self.path, self.after.as_bytes()) {
            let line = Entry::new("trust.unchanged").field("to", digest(&self.after)).field("by", by);
            record.append(line.field("message", shown(&error.to_string(), 500))).await?;
            return Err(Refusal::new(Code::FileRefused, error.to_string())
                .with_remedy("run it as a user who may write the trust policy and its directory"));
        }
        remember(store, &self.after)?;
        Ok(self.trust)
    }
}

/// Puts a trust policy on the record that is not the one that was there last: one that was changed by hand, or the first.
///
/// # Errors
/// When record or store can't be used.
pub async fn note(path: &Path, record: &Record, store: &dyn Store, trust: &Trust) -> Result<(), Refusal> {
    let digest = hex(&trust.digest());
    let from = store.meta(DIGEST)?;
    if from.as_deref() == Some(&digest) {
        return Ok(());
    }
    // Read once more for its text, which is of use only if it is the one that was read before.
    let text = fs::read_to_string(path).ok().filter(|text| sha256(text.as_bytes()) == trust.digest());
    let before = store.meta(TEXT)?.filter(|text| from.as_deref() == Some(&hex(&sha256(text.as_bytes()))));
    let before = match &from {
        Some(_) => before.and_then(|text| Trust::parse(&text).ok()),
        None => Trust::parse("version = 1\n").ok(),
    };
    let line = match before.map(|before| changes(&before, trust)) {
        // Another remark is no other policy.
        Some(none) if none.is_empty() && from.is_some() => None,
        Some(all) => Some(entry(path, from, &digest, &all)),
        None => {
            let line = Entry::new("trust.changed").field("from", from).field("to", digest.as_str());
            Some(line.field("file", path.display().to_string()).field("changes", Json::Null))
        }
    };
    if let Some(line) = line {
        record.append(line.field("by", Json::Null)).await?;
    }
    store.set_meta(TEXT, text.as_deref().unwrap_or_default())?;
    store.set_meta(DIGEST, &digest)?;
    Ok(())
}

fn entry(path: &Path, from: Option<String>, to: &str, all: &[Change]) -> Entry {
    let told: Vec<String> = all.iter().take(CHANGES).map(|change| shown(&change.text, CHANGE)).collect();
    Entry::new("trust.changed")
        .field("from", from)
        .field("to", to)
        .field("file", path.display().to_string())
        .field("widens", all.iter().any(|change| change.widens))
        .field("changes", told)
        .field("changes_left_out", all.len().saturating_sub(CHANGES))
}

fn remember(store: &dyn Store, text: &str) -> Result<(), Refusal> {
    store.set_meta(TEXT, text)?;
    store.set_meta(DIGEST, &hex(&sha256(text.as_bytes())))?;
    Ok(())
}

fn read(path: &Path) -> Result<Option<String>, Refusal> {
    match file::read_guarded(path, MAX_TRUST_BYTES) {
        Ok(bytes) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| Refusal::new(Code::TrustInvalid, format!("{} is not UTF-8", path.display()))),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(Refusal::new(Code::TrustInvalid, error.to_string()).with_remedy(error.remedy())),
    }
}

fn parse(path: &Path, text: &str) -> Result<Trust, Refusal> {
    Trust::parse(text).map_err(|error| {
        let message = error.to_string().replacen("trust.toml", &path.display().to_string(), 1);
        Refusal::new(Code::TrustInvalid, message).with_remedy(error.remedy())
    })
}

/// One change at a time: a lock that the system takes back from a process that is gone.
fn turn(state_dir: &Path) -> Result<File, Refusal> {
    let path = state_dir.join("trust.lock");
    let open = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let locked = open.and_then(|file| file.lock().map(|()| file));
    locked.map_err(|error| Refusal::new(Code::StoreUnavailable, format!("{}: {error}", path.display())))
}
