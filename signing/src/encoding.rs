//! Bytes as text and text as something that is safe to show: hexadecimal, strict base64, SHA-256, and the escaping of
//! text that came from somebody else's file.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

/// How much of somebody else's text a message repeats: enough to recognise it, too little to flood a terminal or a log.
const SHOWN_CHARS: usize = 240;

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads a SHA-256 written as 64 lower-case hexadecimal digits; `None` for anything else, so that one digest has one
/// spelling.
#[must_use]
pub fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 64 {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(digest)
}

/// Base64 of the standard alphabet with padding (RFC 4648, section 4).
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads base64 of the standard alphabet. Padding is required, unused bits must be zero, and neither line breaks nor the
/// URL-safe alphabet are accepted: one sequence of bytes has one spelling. `None` for anything else.
#[must_use]
pub fn parse_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Text from elsewhere, made safe to print: control and invisible formatting characters are escaped and the length is
/// bounded.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == SHOWN_CHARS {
            shown.push('…');
            break;
        }
        if character.is_control() || is_format(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Characters that are not seen but change how others are: zero-width, direction marks and overrides, separators, tags.
fn is_format(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The candidate that a mistyped name most likely meant, if one is close.
#[must_use]
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len() / 3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, one row at a time.
fn distance(left: &str, right: &str) -> usize {
    // A name longer than this is no typing mistake, and the cost is the product of the lengths.
    const LONGEST: usize = 64;
    if left.len() > LONGEST || right.len() > LONGEST {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = i;
        let mut previous = i + 1;
        let Some((first, rest)) = row.split_first_mut() else { return usize::MAX };
        *first = previous;
        for (cell, b) in rest.iter_mut().zip(right.chars()) {
            let substituted = diagonal + usize::from(a != b);
            diagonal = *cell;
            *cell = substituted.min(*cell + 1).min(previous + 1);
            previous = *cell;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_one_spelling() {
        let digest = sha256(b"abc");
        assert_eq!(hex(&digest), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(parse_sha256(&hex(&digest)), Some(digest));
        assert_eq!(parse_sha256(&hex(&digest).to_uppercase()), None);
        assert_eq!(parse_sha256(&format!(" {}", &hex(&digest)[1..])), None);
        assert_eq!(parse_sha256(""), None);
    }

    #[test]
    fn base64_is_strict() {
        assert_eq!(parse_base64("+/8="), Some(vec![0xfb, 0xff]));
        for bad in ["-_8=", "+/8", "+/9=", "+/8=\n", "+/8==", " +/8=", "+/8=="] {
            assert_eq!(parse_base64(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_others_wrote_cannot_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2J\u{202e}b"), "a\\u{1b}[2J\\u{202e}b");
        assert_eq!(printable(&"x".repeat(500)).chars().count(), SHOWN_CHARS + 1);
    }

    #[test]
    fn a_typing_mistake_finds_its_name() {
        assert_eq!(closest("public_kye", ["name", "public_key", "not_after"]), Some("public_key"));
        assert_eq!(closest("keys", ["key", "publisher"]), Some("key"));
        assert_eq!(closest("banana", ["key", "publisher"]), None);
    }
}
