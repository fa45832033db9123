//! The envelope's file: read if it is there, written whole.

use std::path::Path;

use lockgate_signing::{
    envelope::Envelope,
    file::{MAX_ENVELOPE_BYTES, create_public, read_once, replace_public},
};

use crate::failure::Failure;

pub fn read(path: &Path) -> Result<Envelope, Failure> {
    Ok(Envelope::parse(&read_once(path, MAX_ENVELOPE_BYTES)?)?)
}

/// The envelope, or none if there is no such file. Anything else in its place is an error, not an absence.
pub fn read_existing(path: &Path) -> Result<Option<Envelope>, Failure> {
    match read_once(path, MAX_ENVELOPE_BYTES) {
        Ok(bytes) => Ok(Some(Envelope::parse(&bytes)?)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes it in one step. A new one never overwrites what somebody else has put there meanwhile.
pub fn write(path: &Path, envelope: &Envelope, replace: bool) -> Result<(), Failure> {
    let bytes = envelope.to_json();
    Ok(if replace { replace_public(path, &bytes) } else { create_public(path, &bytes) }?)
}
