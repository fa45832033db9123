//! Torn tails: bytes that a crash left behind the last whole line. They are moved to `quarantine/`, and the record says so.
//!
//! The order makes each step safe to lose power after: the bytes are copied as `….pending` and synced, then cut off the
//! segment, then put on the record, and only then does the copy lose its `.pending`. Whatever is still pending when the
//! record is opened was cut off and never recorded, and is recorded then.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
};

use sha2::{Digest as _, Sha256};

use super::{
    chain::Digest,
    directory::{Directory, DiskError},
    entry::Entry,
};

const DIRECTORY: &str = "quarantine";
const PENDING: &str = ".pending";

/// Copies what follows `offset` in the file to the quarantine and cuts it off.
pub(super) fn set_aside(dir: &Directory, name: &str, offset: u64) -> Result<(), DiskError> {
    let failed = |error: io::Error| dir.error("quarantine the end of", name, error);
    let quarantine = dir.inside(DIRECTORY)?;
    let mut torn = dir.append(name)?;
    torn.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let part = format!("{name}@{offset}.part");
    let mut copy = quarantine.replace(&part)?;
    io::copy(&mut torn, &mut copy).and_then(|_| copy.sync_all()).map_err(failed)?;
    copy.seek(SeekFrom::Start(0)).map_err(failed)?;
    let (digest, _) = digest(copy).map_err(failed)?;
    let short: String = digest.to_string().chars().take(16).collect();
    quarantine.rename(&part, &format!("{name}@{offset}-{short}{PENDING}"))?;
    quarantine.sync()?;
    torn.set_len(offset).and_then(|()| torn.sync_all()).map_err(failed)
}

/// What was set aside and is not on the record yet: the entry for each, and the name to settle afterwards.
pub(super) fn pending(dir: &Directory) -> Result<Vec<(Entry, String)>, DiskError> {
    if dir.stat(DIRECTORY)?.is_none() {
        return Ok(Vec::new());
    }
    let quarantine = dir.inside(DIRECTORY)?;
    let mut found = Vec::new();
    for name in quarantine.names()? {
        let Some(kept) = name.strip_suffix(PENDING) else { continue };
        let Some((file, place)) = kept.rsplit_once('@') else { continue };
        let Some(offset) = place.split('-').next().and_then(|offset| offset.parse::<u64>().ok()) else { continue };
        let counted = digest(quarantine.read(&name)?).map_err(|error| quarantine.error("read", &name, error));
        let (digest, length) = counted?;
        let entry = Entry::internal("record.torn_tail")
            .field("file", file)
            .field("offset", offset)
            .field("length", length)
            .field("sha256", digest.to_string())
            .field("kept", format!("{DIRECTORY}/{kept}"));
        found.push((entry, name));
    }
    Ok(found)
}

/// Notes that the record now speaks of this one.
pub(super) fn settle(dir: &Directory, name: &str) -> Result<(), DiskError> {
    let quarantine = dir.inside(DIRECTORY)?;
    quarantine.rename(name, name.strip_suffix(PENDING).unwrap_or(name))?;
    quarantine.sync()
}

fn digest(file: File) -> io::Result<(Digest, u64)> {
    let mut file = io::BufReader::new(file);
    let mut hasher = Sha256::new();
    let mut length = 0;
    let mut chunk = [0; 8192];
    loop {
        let read = file.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        length += bytes.len() as u64;
    }
    Ok((Digest::from_bytes(hasher.finalize().into()), length))
}
