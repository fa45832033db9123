//! PKCS#8 of Ed25519 keys: the bytes inside the PEM, and what a file holds that is no such key. Ours is the first version of
//! the format, which OpenSSL 3.0 reads too.

use ed25519_dalek::{SECRET_KEY_LENGTH, SigningKey};
use pkcs8::{
    AlgorithmIdentifierRef, EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument,
    der::asn1::OctetStringRef, pkcs5, spki::SubjectPublicKeyInfoRef,
};
use zeroize::Zeroizing;

use super::{KeyError, Passphrase};

/// id-Ed25519 (RFC 8410, section 3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The head of the octet string of 32 bytes within the octet string (RFC 8410, section 7).
const INNER_HEAD: [u8; 2] = [0x04, 0x20];

/// Most memory that deriving a key by scrypt may take (128 · N · r · p bytes). Ours and OpenSSL's default take 16 MiB or more.
const MAX_SCRYPT_BYTES: u64 = 256 * 1024 * 1024;

/// Most rounds of PBKDF2; some seconds. Today's recommendation is 600,000.
const MAX_PBKDF2_ROUNDS: u32 = 10_000_000;

/// What a key is written as: plain, or encrypted (scrypt, AES-256-CBC) if there is a passphrase.
pub(super) fn encode(key: &SigningKey, passphrase: Option<&Passphrase>) -> Result<SecretDocument, KeyError> {
    let mut inner = Zeroizing::new([0; INNER_HEAD.len() + SECRET_KEY_LENGTH]);
    let (head, seed) = inner.split_at_mut(INNER_HEAD.len());
    head.copy_from_slice(&INNER_HEAD);
    seed.copy_from_slice(key.as_bytes());
    let octets = OctetStringRef::new(inner.as_slice()).map_err(|_| KeyError::Encode)?;
    // Without the public key it is version 1.
    let algorithm = AlgorithmIdentifierRef { oid: ED25519, parameters: None };
    let info = PrivateKeyInfoRef::new(algorithm, octets);
    match passphrase {
        None => SecretDocument::encode_msg(&info).map_err(|_| KeyError::Encode),
        Some(passphrase) => info.encrypt(passphrase.as_bytes()).map_err(|_| KeyError::Encode),
    }
}

/// Opens what is encrypted. What comes out is in memory that is wiped.
pub(super) fn decrypt(der: &[u8], passphrase: &Passphrase) -> Result<SigningKey, KeyError> {
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| KeyError::Damaged)?;
    if !is_affordable(&encrypted.encryption_algorithm) {
        return Err(KeyError::Encryption);
    }
    // In place: a buffer that grew or shrank would leave the key behind.
    let mut buffer = Zeroizing::new(encrypted.encrypted_data.as_bytes().to_vec());
    let plain = encrypted.encryption_algorithm.decrypt_in_place(passphrase.as_bytes(), &mut buffer);
    match plain.map_err(|_| KeyError::Decrypt).and_then(decode) {
        // One wrong passphrase in 256 gives something with the right padding, and that is no key.
        Err(KeyError::Damaged) => Err(KeyError::Decrypt),
        result => result,
    }
}

/// Reads what is not encrypted.
pub(super) fn decode(der: &[u8]) -> Result<SigningKey, KeyError> {
    let info = PrivateKeyInfoRef::try_from(der).map_err(|_| KeyError::Damaged)?;
    if info.algorithm.oid != ED25519 {
        return Err(KeyError::Algorithm(algorithm_name(info.algorithm.oid)));
    }
    if info.algorithm.parameters.is_some() {
        return Err(KeyError::Damaged);
    }
    let seed = info.private_key.as_bytes().strip_prefix(&INNER_HEAD).ok_or(KeyError::Damaged)?;
    let key = SigningKey::from_bytes(seed.try_into().map_err(|_| KeyError::Damaged)?);
    // The second version of the format repeats the public key; another one there would be a trap for whoever shows it.
    match info.public_key.map(|public| public.as_bytes() == Some(key.verifying_key().as_bytes())) {
        None | Some(true) => Ok(key),
        Some(false) => Err(KeyError::Damaged),
    }
}

/// The algorithm of a public key, if it is a well-formed one of another kind than ours.
pub(super) fn other_public_algorithm(der: &[u8]) -> Option<String> {
    let info = SubjectPublicKeyInfoRef::try_from(der).ok()?;
    (info.algorithm.oid != ED25519).then(|| algorithm_name(info.algorithm.oid))
}

/// As people call it.
fn algorithm_name(oid: ObjectIdentifier) -> String {
    let oid = oid.to_string();
    let name = match oid.as_str() {
        "1.2.840.113549.1.1.1" => "RSA",
        "1.2.840.113549.1.1.10" => "RSA-PSS",
        "1.2.840.10040.4.1" => "DSA",
        "1.2.840.10045.2.1" => "elliptic-curve (ECDSA)",
        "1.3.101.110" => "X25519",
        "1.3.101.111" => "X448",
        "1.3.101.113" => "Ed448",
        _ => return format!("algorithm {oid}"),
    };
    name.to_owned()
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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
    fn what_is_written_is_that_of_rfc_8410() {
        // Section 10.3: the first of its two private keys.
        let seed = crate::encoding::parse_sha256("d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842");
        let key = SigningKey::from_bytes(&seed.unwrap());
        let document = encode(&key, None).unwrap();
        let text = crate::encoding::base64(document.as_bytes());
        assert_eq!(text, "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC");
        assert_eq!(decode(document.as_bytes()).unwrap(), key);
    }

    #[test]
    fn a_public_key_that_is_not_its_own_is_refused() {
        // The second key of the same section, with attributes and a public key; ours is the version without attributes.
        let key = SigningKey::from_bytes(&[7; 32]);
        let mut der =
            [0x30, 0x51, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20].to_vec();
        der.extend_from_slice(key.as_bytes());
        der.extend_from_slice(&[0x81, 0x21, 0x00]);
        der.extend_from_slice(key.verifying_key().as_bytes());
        assert_eq!(decode(&der).unwrap(), key);
        let last = der.last_mut().unwrap();
        *last ^= 1;
        assert!(matches!(decode(&der), Err(KeyError::Damaged)));
    }
}
