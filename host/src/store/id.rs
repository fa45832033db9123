//! Ids that can be typed and not guessed.

use super::StoreError;

/// Crockford's alphabet: none of i, l, o, u, so nothing is mistaken when read aloud or typed.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Random bytes of the operating system.
///
/// # Errors
/// If it has none to give.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Randomness(error.to_string()))?;
    Ok(bytes)
}

/// The prefix and 16 characters: 80 random bits, so neither guessing nor chance finds a second one.
///
/// # Errors
/// If the operating system has no randomness to give.
pub fn random_id(prefix: &str) -> Result<String, StoreError> {
    let mut id = prefix.to_owned();
    for byte in random_bytes::<16>()? {
        // 256 is a multiple of 32: every character is equally likely.
        id.push(char::from(ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'0')));
    }
    Ok(id)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_typable_and_different() {
        let ids: std::collections::BTreeSet<String> = (0..1_000).map(|_| random_id("apr_").unwrap()).collect();
        assert_eq!(ids.len(), 1_000);
        for id in ids {
            let rest = id.strip_prefix("apr_").unwrap();
            assert_eq!(rest.len(), 16);
            assert!(rest.bytes().all(|byte| ALPHABET.contains(&byte)), "{id}");
        }
    }
}
