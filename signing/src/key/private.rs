//! Private keys: PKCS#8 as PEM, in the first version of that format, which OpenSSL 3.0 reads too, plain or encrypted
//! (PBES2). Secrets are wiped when they go.

use std::{fmt, path::Path};

use ed25519_dalek::{
    Signer as _, SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes},
};
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, SecretDocument, pkcs5};
use zeroize::Zeroizing;

use super::{KeyError, PublicKey, SIGNATURE_LENGTH, Signer, SignerError};
use crate::file;

const PLAIN_LABEL: &str = "PRIVATE KEY";
const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// Most memory that deriving a key by scrypt may take (128 · N · r · p bytes). OpenSSL's default takes 16 MiB.
const MAX_SCRYPT_BYTES: u64 = 256 * 1024 * 1024;

/// Most rounds of PBKDF2; some seconds. Today's recommendation is 600,000.
const MAX_PBKDF2_ROUNDS: u32 = 10_000_000;

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
    label: String,
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
    /// [`KeyError::NotPrivate`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, document) = SecretDocument::from_pem(text).map_err(|_| KeyError::NotPrivate)?;
        if label != PLAIN_LABEL && label != ENCRYPTED_LABEL {
            return Err(KeyError::NotPrivate);
        }
        Ok(Self { label: label.to_owned(), document })
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
        if !self.is_encrypted() {
            return decode(self.document.as_bytes());
        }
        let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
        let encrypted =
            EncryptedPrivateKeyInfoRef::try_from(self.document.as_bytes()).map_err(|_| KeyError::Encryption)?;
        if !is_affordable(&encrypted.encryption_algorithm) {
            return Err(KeyError::Encryption);
        }
        let document = encrypted.decrypt(passphrase.as_bytes()).map_err(|_| KeyError::Decrypt)?;
        decode(document.as_bytes())
    }
}

impl fmt::Debug for PrivateKeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKeyFile({})", self.label)
    }
}

/// A key file says itself what opening it costs, so the cost has a bound.
fn is_affordable(scheme: &pkcs5::EncryptionScheme) -> bool {
    let Some(parameters) = scheme.pbes2() else { return false };
    if let Some(scrypt) = parameters.kdf.scrypt() {
        // Other values are not scrypt's, and computing their logarithm is left to us.
        if scrypt.cost_parameter < 2 || !scrypt.cost_parameter.is_power_of_two() {
            return false;
        }
        let cost = scrypt.cost_parameter.checked_mul(128 * u64::from(scrypt.block_size));
        let cost = cost.and_then(|cost| cost.checked_mul(u64::from(scrypt.parallelization)));
        cost.is_some_and(|cost| cost <= MAX_SCRYPT_BYTES)
    } else {
        parameters.kdf.pbkdf2().is_some_and(|pbkdf2| pbkdf2.iteration_count <= MAX_PBKDF2_ROUNDS)
    }
}

fn decode(der: &[u8]) -> Result<PrivateKey, KeyError> {
    let key = SigningKey::from_pkcs8_der(der).map_err(|_| KeyError::NotPrivate)?;
    Ok(PrivateKey(key))
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

    /// PKCS#8 as PEM, encrypted (scrypt, AES-256-CBC) if there is a passphrase.
    ///
    /// # Errors
    ///
    /// [`KeyError::Encode`].
    pub fn to_pem(&self, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, KeyError> {
        // Without the public key it is version 1 of the format; OpenSSL 3.0 refuses version 2.
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        let pem = match passphrase {
            None => pair.to_pkcs8_pem(LineEnding::LF),
            Some(passphrase) => pair.to_pkcs8_encrypted_pem(passphrase.as_bytes(), LineEnding::LF),
        };
        pem.map_err(|_| KeyError::Encode)
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
        assert!(matches!(file.open(Some(&passphrase("two"))), Err(KeyError::Decrypt | KeyError::NotPrivate)));
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
    fn a_key_file_cannot_ask_for_all_memory() {
        let affordable = |parameters: pkcs5::pbes2::Parameters| is_affordable(&parameters.into());
        let scrypt = |log_n, r, p| {
            let params = pkcs5::scrypt::Params::new(log_n, r, p).unwrap();
            pkcs5::pbes2::Parameters::generate_scrypt_aes256cbc(params, &[0; 16], [0; 16]).unwrap()
        };
        assert!(affordable(scrypt(14, 8, 1)));
        assert!(!affordable(scrypt(20, 8, 1)));
        for cost in [0, 1, 3] {
            let mut odd = scrypt(14, 8, 1);
            let pkcs5::pbes2::Kdf::Scrypt(parameters) = &mut odd.kdf else { unreachable!() };
            parameters.cost_parameter = cost;
            assert!(!affordable(odd));
        }
        let pbkdf2 =
            |rounds| pkcs5::pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(rounds, &[0; 16], [0; 16]).unwrap();
        assert!(affordable(pbkdf2(600_000)));
        assert!(!affordable(pbkdf2(99_000_000)));
    }

    #[test]
    fn other_key_files_are_refused() {
        let public = PrivateKey::generate().unwrap().public_key().to_pem();
        for text in ["", "x", &public, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(PrivateKeyFile::from_pem(text).and_then(|file| file.open(None)).is_err());
        }
    }
}
