//! Private keys: PKCS#8 as PEM, plain or encrypted (PBES2), from files that nobody else has access to. Secrets are wiped
//! when they go.

use std::{fmt, path::Path};

use ed25519_dalek::{Signer as _, SigningKey};
use pkcs8::{LineEnding, SecretDocument};
use zeroize::Zeroizing;

use super::{KeyError, PublicKey, SIGNATURE_LENGTH, Signer, SignerError, pkcs8 as format};
use crate::{encoding::printable, file};

const PLAIN_LABEL: &str = "PRIVATE KEY";
const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// A passphrase. Not empty, never shown, wiped when it goes.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes the bytes as they are.
    ///
    /// # Errors
    ///
    /// [`KeyError::PassphraseEmpty`].
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        if bytes.is_empty() { Err(KeyError::PassphraseEmpty) } else { Ok(Self(bytes)) }
    }

    /// Takes the first line, without its end: what an editor or `echo` leaves in a file.
    ///
    /// # Errors
    ///
    /// [`KeyError::PassphraseEmpty`].
    pub fn from_line(bytes: &Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Self::new(Zeroizing::new(line.strip_suffix(b"\r").unwrap_or(line).to_vec()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Passphrase {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.as_bytes(), other.as_bytes()).into()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// A private key file that has been read and not yet opened.
pub struct PrivateKeyFile {
    label: &'static str,
    document: SecretDocument,
}

impl PrivateKeyFile {
    /// Reads a file that nobody else has access to.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(file::read_private(path, file::MAX_KEY_BYTES)?);
        Self::from_pem(std::str::from_utf8(&bytes).map_err(|_| KeyError::NotPrivate)?)
    }

    /// From PEM.
    ///
    /// # Errors
    ///
    /// [`KeyError`], saying what is there instead.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let label = label(text)?;
        let (_, document) = SecretDocument::from_pem(text).map_err(|_| KeyError::Damaged)?;
        Ok(Self { label, document })
    }

    /// Whether it needs a passphrase.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.label == ENCRYPTED_LABEL
    }

    /// Opens it. A passphrase for a key that is not encrypted is ignored.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn open(&self, passphrase: Option<&Passphrase>) -> Result<PrivateKey, KeyError> {
        let der = self.document.as_bytes();
        if !self.is_encrypted() {
            return format::decode(der).map(PrivateKey);
        }
        format::decrypt(der, passphrase.ok_or(KeyError::PassphraseNeeded)?).map(PrivateKey)
    }
}

impl fmt::Debug for PrivateKeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKeyFile({})", self.label)
    }
}

/// Which of the two kinds of private key this is, or what it is instead.
fn label(text: &str) -> Result<&'static str, KeyError> {
    let Some((found, rest)) = text.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----")) else {
        return Err(KeyError::NotPrivate);
    };
    let label = [PLAIN_LABEL, ENCRYPTED_LABEL].into_iter().find(|label| *label == found);
    let label = label.ok_or_else(|| match found {
        "PUBLIC KEY" => KeyError::PublicGiven,
        other if other.contains("PRIVATE KEY") => KeyError::Format(printable(other)),
        _ => KeyError::NotPrivate,
    })?;
    let is_whole = rest.trim_end().ends_with(&format!("-----END {label}-----"));
    if is_whole { Ok(label) } else { Err(KeyError::Truncated) }
}

/// A private key in memory. Wiped when it goes.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// A new key from the system's randomness.
    ///
    /// # Errors
    ///
    /// [`KeyError::Random`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(KeyError::Random)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads and opens a key file in one step.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn read(path: impl AsRef<Path>, passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        PrivateKeyFile::read(path)?.open(passphrase)
    }

    /// Writes a new key file, mode 0600, encrypted (scrypt, AES-256-CBC) if there is a passphrase.
    ///
    /// # Errors
    ///
    /// [`KeyError`], also if the file exists.
    pub fn create_file(&self, path: impl AsRef<Path>, passphrase: Option<&Passphrase>) -> Result<(), KeyError> {
        Ok(file::create_private(path, self.to_pem(passphrase)?.as_bytes())?)
    }

    /// Writes the key in the place of what is there, in one step, mode 0600.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; the old file is then untouched.
    pub fn replace_file(&self, path: impl AsRef<Path>, passphrase: Option<&Passphrase>) -> Result<(), KeyError> {
        let pem = self.to_pem(passphrase)?;
        // What replaces the only copy of a key is read back first.
        if PrivateKeyFile::from_pem(&pem)?.open(passphrase)?.public_key() != self.public_key() {
            return Err(KeyError::Encode);
        }
        Ok(file::replace_private(path, pem.as_bytes())?)
    }

    /// PKCS#8 as PEM, encrypted (scrypt, AES-256-CBC) if there is a passphrase.
    ///
    /// # Errors
    ///
    /// [`KeyError::Encode`].
    pub fn to_pem(&self, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, KeyError> {
        let label = if passphrase.is_some() { ENCRYPTED_LABEL } else { PLAIN_LABEL };
        format::encode(&self.0, passphrase)?.to_pem(label, LineEnding::LF).map_err(|_| KeyError::Encode)
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The key itself, for other formats that are signed with Ed25519, such as the record's checkpoints.
    #[must_use]
    pub fn into_signing_key(self) -> SigningKey {
        self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public_key().id())
    }
}

impl Signer for PrivateKey {
    fn public_key(&self) -> PublicKey {
        Self::public_key(self)
    }

    fn sign(&self, signed_bytes: &[u8]) -> Result<[u8; SIGNATURE_LENGTH], SignerError> {
        Ok(self.0.try_sign(signed_bytes).map_err(|error| SignerError(error.to_string()))?.to_bytes())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.into())).unwrap()
    }

    #[test]
    fn a_key_survives_its_file_plain_and_encrypted() {
        let directory = tempfile::tempdir().unwrap();
        let key = PrivateKey::generate().unwrap();
        let plain = directory.path().join("plain.key");
        key.create_file(&plain, None).unwrap();
        assert_eq!(PrivateKey::read(&plain, None).unwrap().public_key(), key.public_key());
        assert!(key.create_file(&plain, None).is_err());

        let sealed = directory.path().join("sealed.key");
        key.create_file(&sealed, Some(&passphrase("one"))).unwrap();
        let file = PrivateKeyFile::read(&sealed).unwrap();
        assert!(file.is_encrypted());
        assert!(matches!(file.open(None), Err(KeyError::PassphraseNeeded)));
        assert!(matches!(file.open(Some(&passphrase("two"))), Err(KeyError::Decrypt)));
        assert_eq!(file.open(Some(&passphrase("one"))).unwrap().public_key(), key.public_key());
    }

    #[test]
    fn a_passphrase_is_one_line_and_not_empty() {
        let line = |text: &str| Passphrase::from_line(&Zeroizing::new(text.into()));
        assert_eq!(line("secret\n").unwrap(), passphrase("secret"));
        assert_eq!(line("secret \r\nmore").unwrap(), passphrase("secret "));
        for empty in ["", "\n", "\r\n"] {
            assert!(matches!(line(empty), Err(KeyError::PassphraseEmpty)));
        }
        assert_eq!(format!("{:?}", passphrase("secret")), "Passphrase(..)");
    }

    #[test]
    fn other_key_files_are_refused_for_what_they_are() {
        let key = PrivateKey::generate().unwrap();
        let refused = |text: &str| PrivateKeyFile::from_pem(text).and_then(|file| file.open(None)).unwrap_err();
        assert!(matches!(refused(""), KeyError::NotPrivate));
        assert!(matches!(refused("correct horse"), KeyError::NotPrivate));
        assert!(matches!(refused(&key.public_key().to_pem()), KeyError::PublicGiven));
        let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
        assert!(matches!(refused(openssh), KeyError::Format(label) if label == "OPENSSH PRIVATE KEY"));
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(refused(certificate), KeyError::NotPrivate));
        let short = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(refused(short), KeyError::Damaged));
    }

    #[test]
    fn a_key_file_that_was_cut_off_or_damaged_says_so() {
        for passphrase in [None, Some(passphrase("one"))] {
            let pem = PrivateKey::generate().unwrap().to_pem(passphrase.as_ref()).unwrap();
            let open = |text: &str| PrivateKeyFile::from_pem(text)?.open(passphrase.as_ref());
            assert!(open(pem.trim_end()).is_ok(), "a missing line end is nothing");
            let begin = pem.find('\n').unwrap();
            for length in begin..pem.trim_end().len() {
                let error = open(&pem[..length]).unwrap_err();
                assert!(matches!(error, KeyError::Truncated), "{length}: {error}");
            }
            // A line that is lost from the middle.
            let lost: String =
                pem.split_inclusive('\n').enumerate().filter(|(at, _)| *at != 1).map(|(_, l)| l).collect();
            assert!(matches!(open(&lost).unwrap_err(), KeyError::Damaged));
        }
    }

    #[test]
    fn no_wrong_passphrase_gives_a_key_or_another_answer() {
        // With one in 256 the padding comes out right; the answer must not depend on that. PBKDF2 with one round is quick.
        let key = PrivateKey::generate().unwrap();
        let plain = format::encode(&key.0, None).unwrap();
        let parameters =
            pkcs8::pkcs5::pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(1, &[0; 16], [0; 16]).unwrap();
        let info = pkcs8::PrivateKeyInfoRef::try_from(plain.as_bytes()).unwrap();
        let document = info.encrypt_with_params(parameters, "right").unwrap();
        assert_eq!(format::decrypt(document.as_bytes(), &passphrase("right")).unwrap(), key.0);
        for number in 0..2000 {
            let error = format::decrypt(document.as_bytes(), &passphrase(&number.to_string())).unwrap_err();
            assert!(matches!(error, KeyError::Decrypt), "{number}: {error}");
        }
    }
}
