//! Checkpoints: the size and the root of the tree, signed. The text is a checkpoint of C2SP `tlog-checkpoint` in a signed
//! note of C2SP `signed-note` (<https://c2sp.org>), so any tool for transparency logs can read and check one.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::chain::Digest;

/// The signature type of Ed25519 in `signed-note`; it goes into the key's hash and its encoded form.
pub(super) const ED25519: u8 = 1;

/// `signed-note` starts a signature line with an em dash (U+2014) and a space.
pub(super) const DASH: &str = "— ";

/// Longer notes are refused. Ours have about 250 bytes; the rest is room for the signatures of witnesses.
pub const MAX_NOTE_BYTES: usize = 16 * 1024;

/// The name of a record, as checkpoints carry it: the first line of the note and the name of its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(String);

impl Origin {
    /// A name such as `lockgate/db-host-1`: 1 to 200 visible ASCII characters without `+`, which notes use as a separator.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..=200).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
        fits.then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key's encoded form in `signed-note`: `name+hash+key`.
#[must_use]
pub fn encode_key(origin: &Origin, key: &VerifyingKey) -> String {
    let hash: String = key_hash(origin, key).iter().map(|byte| format!("{byte:02x}")).collect();
    let typed = [&[ED25519], key.as_bytes().as_slice()].concat();
    format!("{}+{hash}+{}", origin.as_str(), STANDARD.encode(typed))
}

/// The four bytes that say which key made a signature.
fn key_hash(origin: &Origin, key: &VerifyingKey) -> [u8; 4] {
    let hash = Digest::of(&[origin.as_str().as_bytes(), b"\n", &[ED25519], key.as_bytes()]);
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

/// A checkpoint whose signature was checked, or just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: Origin,
    size: u64,
    root: Digest,
    note: String,
}

impl Checkpoint {
    /// Signs the size and the root.
    #[must_use]
    pub fn sign(origin: &Origin, size: u64, root: Digest, key: &SigningKey) -> Self {
        let text = format!("{}\n{size}\n{}\n", origin.as_str(), STANDARD.encode(root.as_bytes()));
        let signature = key.sign(text.as_bytes()).to_bytes();
        let blob = [key_hash(origin, &key.verifying_key()).as_slice(), &signature].concat();
        let note = format!("{text}\n{DASH}{} {}\n", origin.as_str(), STANDARD.encode(blob));
        Self { origin: origin.clone(), size, root, note }
    }

    /// Reads one note and checks it: some signature by the key must verify; those of others are not looked at.
    pub fn open(note: &str, key: &VerifyingKey) -> Result<Self, CheckpointError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(CheckpointError::Malformed("it is too long"));
        }
        let cut =
            note.find("\n\n").ok_or(CheckpointError::Malformed("there is no empty line before the signatures"))?;
        let (text, signatures) = note.split_at(cut + 1);
        let mut lines = text.lines();
        let origin =
            lines.next().and_then(Origin::new).ok_or(CheckpointError::Malformed("the first line is no origin"))?;
        let size = lines.next().and_then(parse_size).ok_or(CheckpointError::Malformed("the second line is no size"))?;
        let root = lines.next().and_then(parse_root).ok_or(CheckpointError::Malformed("the third line is no root"))?;
        // `tlog-checkpoint` allows extension lines. We write none, and what we can't read we don't vouch for.
        if lines.next().is_some() {
            return Err(CheckpointError::Malformed("there are extension lines"));
        }
        let expected = key_hash(&origin, key);
        for line in signatures.trim_start_matches('\n').lines() {
            let (name, blob) =
                parse_signature(line).ok_or(CheckpointError::Malformed("a signature line is not one"))?;
            let Some((hash, signature)) = blob.split_at_checked(4) else { continue };
            if name != origin.as_str() || hash != expected {
                continue;
            }
            let signature = Signature::from_slice(signature).map_err(|_| CheckpointError::BadSignature)?;
            key.verify_strict(text.as_bytes(), &signature).map_err(|_| CheckpointError::BadSignature)?;
            return Ok(Self { origin, size, root, note: note.to_owned() });
        }
        Err(CheckpointError::OtherKey)
    }

    /// Reads notes that follow one another, as a sink's file has them, and checks each.
    pub fn open_all(text: &str, key: &VerifyingKey) -> Result<Vec<Self>, CheckpointError> {
        let mut notes = Vec::new();
        let mut note = String::new();
        let mut lines = text.split_inclusive('\n').peekable();
        while let Some(line) = lines.next() {
            if note.is_empty() && line.trim().is_empty() {
                continue;
            }
            note.push_str(line);
            if line.starts_with(DASH) && lines.peek().is_none_or(|next| !next.starts_with(DASH)) {
                notes.push(Self::open(&std::mem::take(&mut note), key)?);
            }
        }
        match (note.is_empty(), notes.is_empty()) {
            (true, false) => Ok(notes),
            (true, true) => Err(CheckpointError::Malformed("there is no note")),
            (false, _) => Err(CheckpointError::Malformed("the last note has no signature")),
        }
    }

    /// Whose record this is of.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// How many lines it covers.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree over them.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.root
    }

    /// The whole note.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }
}

fn parse_size(line: &str) -> Option<u64> {
    let plain = line.bytes().all(|byte| byte.is_ascii_digit()) && !line.starts_with('0');
    line.parse().ok().filter(|_| plain)
}

fn parse_root(line: &str) -> Option<Digest> {
    STANDARD.decode(line).ok()?.try_into().ok().map(Digest::from_bytes)
}

fn parse_signature(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, blob) = line.strip_prefix(DASH)?.split_once(' ')?;
    Some((name, STANDARD.decode(blob).ok()?))
}

/// Why a note is no checkpoint of this record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It is not in the form of a checkpoint.
    #[error("the checkpoint is not well formed: {0}")]
    Malformed(&'static str),
    /// The key that was given signed nothing here.
    #[error("the checkpoint has no signature by this key")]
    OtherKey,
    /// It names the key, and the signature is wrong.
    #[error("the checkpoint's signature does not verify with this key")]
    BadSignature,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint::sign(&Origin::new("lockgate/test").unwrap(), 3, Digest::of(&[b"root"]), &key())
    }

    #[test]
    fn the_key_form_is_that_of_signed_note() {
        // The example verifier key of the Go package golang.org/x/mod/sumdb/note, whose format C2SP took over.
        let known = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let bytes = STANDARD.decode(known.rsplit('+').next().unwrap()).unwrap();
        let (kind, bytes) = bytes.split_first().unwrap();
        assert_eq!(*kind, ED25519);
        let key = VerifyingKey::from_bytes(bytes.try_into().unwrap()).unwrap();
        assert_eq!(encode_key(&Origin::new("PeterNeumann").unwrap(), &key), known);
    }

    #[test]
    fn what_is_signed_is_read_back() {
        let made = checkpoint();
        assert_eq!(Checkpoint::open(made.note(), &key().verifying_key()), Ok(made.clone()));
        assert_eq!(made.note().lines().count(), 5);
    }

    #[test]
    fn notes_in_a_row_are_read_with_the_signatures_of_witnesses() {
        let made = checkpoint();
        let witness = format!("{DASH}witness.example {}\n", STANDARD.encode([1; 68]));
        let text = format!("{}{witness}\n{}", made.note(), made.note());
        let read = Checkpoint::open_all(&text, &key().verifying_key()).unwrap();
        assert_eq!(read.len(), 2);
        assert!(Checkpoint::open_all("", &key().verifying_key()).is_err());
        assert!(Checkpoint::open_all("lockgate/test\n3\n", &key().verifying_key()).is_err());
    }

    #[test]
    fn any_changed_byte_is_refused() {
        let made = checkpoint();
        for at in 0..made.note().len() {
            let mut bytes = made.note().as_bytes().to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1;
            }
            if let Ok(text) = String::from_utf8(bytes) {
                assert!(Checkpoint::open(&text, &key().verifying_key()).is_err(), "{text}");
            }
        }
        assert_eq!(
            Checkpoint::open(made.note(), &SigningKey::from_bytes(&[8; 32]).verifying_key()),
            Err(CheckpointError::OtherKey)
        );
    }

    #[test]
    fn an_origin_is_one_visible_word() {
        for bad in ["", "two words", "a+b", "a\nb", "é"] {
            assert_eq!(Origin::new(bad), None, "{bad}");
        }
    }
}
