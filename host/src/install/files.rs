//! Packs from this machine's files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lockgate_signing::{
    declaration::envelope_file_name,
    file::{self, FileError, MAX_COMPONENT_BYTES, MAX_ENVELOPE_BYTES},
};

use super::Candidate;
use crate::error::{Code, Refusal};

/// A component and the envelope beside it.
pub(super) fn candidate(path: &Path) -> Result<Candidate, Refusal> {
    let refused = |error: FileError| Refusal::new(Code::FileRefused, error.to_string()).with_remedy(error.remedy());
    let file_name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| Refusal::new(Code::FileRefused, format!("{} names no file", path.display())))?
        .to_owned();
    let component = file::read_once(path, MAX_COMPONENT_BYTES).map_err(refused)?;
    let envelopes = match file::read_once(path.with_file_name(envelope_file_name(&file_name)), MAX_ENVELOPE_BYTES) {
        Ok(envelope) => vec![envelope],
        Err(error) if error.is_missing() => Vec::new(),
        Err(error) => return Err(refused(error)),
    };
    let source = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    Ok(Candidate { file_name, component, envelopes, source, manifest: None })
}

/// Every component of a directory.
pub(super) fn candidates(directory: &Path) -> Result<Vec<Candidate>, Refusal> {
    let refused = |e: std::io::Error| Refusal::new(Code::FileRefused, format!("{}: {e}", directory.display()));
    let mut paths = Vec::<PathBuf>::new();
    for entry in fs::read_dir(directory).map_err(refused)? {
        paths.push(entry.map_err(refused)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    paths.sort();
    if paths.is_empty() {
        return Err(Refusal::new(Code::FileRefused, format!("there is no component in {}", directory.display()))
            .with_remedy("give a directory with `NAME-VERSION.wasm` files and their envelopes"));
    }
    paths.iter().map(|path| candidate(path)).collect()
}
