//! Keys without a name or a prefix: runs of characters too long and too random to be a word, a name or a number that
//! PostgreSQL shows. A guess, made for accidents: a shorter one passes, and so does one that reads like words.

use std::borrow::Cow;

use super::REDACTED;

/// Characters of the shortest run that is looked at. 128 bits in hex are that long; the longest that PostgreSQL itself
/// shows are shorter (the name of a WAL file has 24 hex digits, manual 30.5), and UUIDs have dashes.
const SHORTEST: usize = 32;

/// Letters and digits of a run that are looked at together: the shortest run may hold a few of the other characters.
const WINDOW: usize = 28;

/// The text with `[redacted]` for each such run.
pub(super) fn without_tokens(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(start) = text[at..].find(is_part).map(|found| at + found) {
        let end = text[start..].find(|c| !is_part(c)).map_or(text.len(), |found| start + found);
        at = end;
        for (from, to) in tokens(&text[start..end]) {
            out.push_str(&text[kept..start + from]);
            out.push_str(REDACTED);
            kept = start + to;
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

/// The characters of base64 in both alphabets (RFC 4648), its padding left out: it also parts a name from a value.
fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')
}

/// Where in a run of such characters tokens are: all of it, or pieces of one case between the other characters.
fn tokens(run: &str) -> Vec<(usize, usize)> {
    if run.len() < SHORTEST {
        return Vec::new();
    }
    if is_mixed(run) {
        return vec![(0, run.len())];
    }
    let mut found = Vec::new();
    let mut start = 0;
    for piece in run.split(|c: char| !c.is_ascii_alphanumeric()) {
        let end = start + piece.len();
        // `_` joins the words of a name, such as that of a schema for each customer.
        let in_a_name = run[..start].ends_with('_') || run[end..].starts_with('_');
        if piece.len() >= SHORTEST && !in_a_name && is_of_one_case(piece) {
            found.push((start, end));
        }
        start = end + 1;
    }
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lower,
    Upper,
    Digit,
}

fn kinds(run: &str) -> Vec<Kind> {
    run.bytes()
        .filter_map(|b| match b {
            b'a'..=b'z' => Some(Kind::Lower),
            b'A'..=b'Z' => Some(Kind::Upper),
            b'0'..=b'9' => Some(Kind::Digit),
            _ => None,
        })
        .collect()
}

fn changes(kinds: &[Kind]) -> usize {
    kinds.windows(2).filter(|pair| pair.first() != pair.last()).count()
}

/// Base64: three kinds of characters, which change from one to the next six times in ten. In names they follow words.
fn is_mixed(run: &str) -> bool {
    // What is joined by `_` may be a name of several words, and names end in a number.
    let numbers = if run.contains('_') { 2 } else { 1 };
    kinds(run).windows(WINDOW).any(|kinds| {
        let of = |kind| kinds.iter().filter(|k| **k == kind).count();
        let groups = kinds.windows(2).filter(|pair| matches!(pair, [before, Kind::Digit] if *before != Kind::Digit));
        of(Kind::Lower) * 6 >= WINDOW
            && of(Kind::Upper) * 6 >= WINDOW
            && groups.count() >= numbers
            && changes(kinds) * 100 >= (WINDOW - 1) * 45
    })
}

/// Hex, or letters of one case and digits that take turns about four times in ten, as in base 32 and base 36.
fn is_of_one_case(piece: &str) -> bool {
    let kinds = kinds(piece);
    let has = |kind| kinds.contains(&kind);
    has(Kind::Digit)
        && has(Kind::Lower) != has(Kind::Upper)
        && (piece.bytes().all(|b| b.is_ascii_hexdigit()) || changes(&kinds) * 100 >= (kinds.len() - 1) * 25)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_go() {
        for key in [
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A",
            "d41d8cd98f00b204e9800998ecf8427e",
            "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
            "k3j9x0q8w7e6r5t4y3u2i1o0p9a8s7d6f5",
            "v1AqWx-9zKp3Lm_Tt6Yb0RsQdEf2HgJ8nUcVoIiX",
        ] {
            assert_eq!(without_tokens(key), REDACTED, "{key}");
            let text = format!("svc {key}== on web-1, /a/b");
            assert!(!without_tokens(&text).contains(&key[4..]), "{text}");
            assert!(without_tokens(&text).ends_with(" on web-1, /a/b"), "{text}");
        }
    }

    #[test]
    fn what_postgresql_and_its_users_call_things_stays() {
        for text in [
            "000000010000000000000001",
            "00000002000001A3000000FE.partial",
            "000000010000000000000002.00000028.backup",
            "0/16B3748",
            "FFFFFFFF/FFFFFFFF",
            "7393827465192837465",
            "-8273645182736451827",
            "550e8400-e29b-41d4-a716-446655440000",
            "2026-11-21 11:12:40.123456",
            "20261121111240123456789012345678901234567890",
            "checkout-service-production-7d9f8b6c5d-x2x4z",
            "my-long-service-name-in-production-74bd6c8f9-9kq2v",
            "ip-10-0-12-34.eu-west-1.compute.internal",
            "/var/lib/postgresql/15/main/pg_wal/000000010000000000000001",
            "/usr/lib/postgresql/18/bin/pg_basebackup --pgdata /srv/backups/2026-11-21",
            "test ! -f /mnt/server/archivedir/%f && cp %p /mnt/server/archivedir/%f",
            "orders_2026_01_01_partition_region_status_created_at_idx",
            "idx_d41d8cd98f00b204e9800998ecf8427e",
            "tenant_550e8400e29b41d4a716446655440000.orders",
            "FK4ekuhgmbkddnpqdfhbwoi4vvl",
            "uk_6dotkott2kjsp8vw4d0m25fb7",
            "IX_AspNetUserTokens_UserId_LoginProvider_Name",
            "FK_OrderItems_Products_ProductId_Orders2_Version3",
            "index_active_storage_variant_records_uniqueness",
            "TLS_AES_256_GCM_SHA384",
            "ECDHE-RSA-AES256-GCM-SHA384",
            "pg_16389_sync_16391_7393827465192837465",
            "autovacuum: VACUUM ANALYZE pg_toast.pg_toast_2619 (to prevent wraparound)",
            "PostgreSQL JDBC Driver",
            "Microsoft SQL Server Management Studio - Query",
            "Zm9vYmFyYmF6",
            "run_0123456789abcdef apr_zyxwvutsrqpnmkjh",
            "SELECT a FROM t WHERE b IN (?,…)",
            "é".repeat(40).as_str(),
        ] {
            assert!(matches!(without_tokens(text), Cow::Borrowed(_)), "{text} → {}", without_tokens(text));
        }
    }

    /// How many of 10,000 keys of a kind are found; the numbers are from a fixed seed.
    fn found_of(alphabet: &[u8], length: usize) -> usize {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            // Knuth's linear congruence; the high bits are good enough to pick letters with.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 40).unwrap()
        };
        let key = |next: &mut dyn FnMut() -> usize| -> String {
            (0..length).map(|_| char::from(alphabet[next() % alphabet.len()])).collect()
        };
        (0..10_000).filter(|_| without_tokens(&key(&mut next)) != *REDACTED).count().abs_diff(10_000)
    }

    /// The page on threats states these shares.
    #[test]
    fn nearly_all_random_keys_are_found() {
        let base64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let base36 = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let found = [
            ("hex, 128 bits", found_of(&base36[..16], 32)),
            ("base64, 32 characters", found_of(base64, 32)),
            ("base64, 44 characters", found_of(base64, 44)),
            ("base64, 64 characters", found_of(base64, 64)),
            ("base36, 32 characters", found_of(base36, 32)),
        ];
        for ((what, found), least) in found.into_iter().zip([9_990, 9_300, 9_800, 9_950, 9_300]) {
            assert!(found >= least, "{what}: {found} of 10,000");
        }
    }

    proptest! {
        #[test]
        fn hex_of_128_bits_and_more_never_survives(
            before in "[ -.:-@\\[-^`{-~]{0,20}",
            hex in "[0-9a-f]{20,60}a7b3c9d1e5f0",
            after in "[ ,;:.=|)\\]]{0,10}",
        ) {
            let text = format!("{before}{hex}{after}");
            prop_assert!(!without_tokens(&text).contains(&hex), "{text}");
        }

        #[test]
        fn words_and_numbers_stay(words in prop::collection::vec("[a-z]{1,14}|[0-9]{1,25}|[A-Z][a-z]{2,12}", 1..12)) {
            let text = words.join(" ");
            prop_assert_eq!(without_tokens(&text), text.as_str());
        }

        #[test]
        fn any_text_is_taken(text in any::<String>()) {
            let clean = without_tokens(&text);
            prop_assert_eq!(&without_tokens(&clean), &clean);
        }
    }
}
