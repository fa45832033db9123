//! The text of `trust.toml`: read strictly, checked whole, and refused with the line and the closest known key.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    ops::Range,
    str::FromStr,
};

use jiff::Timestamp;
use serde::Deserialize;
use toml::{Spanned, value::Datetime};

use super::{MAX_KEYS, Publisher, Trust, TrustedKey};
use crate::{
    encoding::{closest, parse_sha256, printable, sha256},
    file::FileError,
    glob::Pattern,
    key::{KeyId, PublicKey},
    name::{self, PackName},
    version::PackVersion,
};

/// The version of the file's format.
const VERSION: i64 = 1;

/// Why a trust policy is not used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file can't be read, or others may write it.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its content is wrong.
    #[error("{place}: {fault}")]
    Content {
        /// Which file.
        place: String,
        /// What is wrong with it.
        fault: TrustFault,
    },
}

impl TrustError {
    /// The stable code: `trust_invalid`, or the file's.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Content { .. } => "trust_invalid",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::File(error) => error.remedy(),
            Self::Content { .. } => "correct the trust policy at the place that is named",
        }
    }
}

/// What is wrong in a trust policy, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct TrustFault {
    line: Option<usize>,
    message: String,
}

impl TrustFault {
    pub(super) fn at(line: Option<usize>, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }

    pub(super) fn within(self, place: &str) -> TrustError {
        TrustError::Content { place: place.to_owned(), fault: self }
    }

    /// The line, from 1 on, if the fault has one.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: Spanned<i64>,
    #[serde(default)]
    key: Vec<KeyEntry>,
    #[serde(default)]
    publisher: Vec<PublisherEntry>,
    #[serde(default)]
    pin: Vec<PinEntry>,
    #[serde(default)]
    minimum: Vec<VersionEntry>,
    #[serde(default)]
    allow_rollback: Vec<VersionEntry>,
    #[serde(default)]
    revoked: RevokedEntry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    name: Spanned<String>,
    public_key: Spanned<String>,
    not_before: Option<Datetime>,
    not_after: Option<Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublisherEntry {
    name: Spanned<String>,
    packs: Spanned<Vec<Spanned<String>>>,
    keys: Spanned<Vec<Spanned<String>>>,
    threshold: Option<Spanned<i64>>,
    classes: Vec<Spanned<String>>,
    targets: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinEntry {
    pack: Spanned<String>,
    version: Spanned<String>,
    sha256: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionEntry {
    pack: Spanned<String>,
    version: Spanned<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokedEntry {
    #[serde(default)]
    keys: Vec<Spanned<String>>,
    #[serde(default)]
    digests: Vec<Spanned<String>>,
}

/// Turns places in the text into lines.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        self.0.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    fn fault(&self, span: &Range<usize>, message: impl Display) -> TrustFault {
        TrustFault::at(Some(self.line(span.start)), message.to_string())
    }

    fn value<T: FromStr<Err: Display>>(&self, text: &Spanned<String>) -> Result<T, TrustFault> {
        text.get_ref().parse().map_err(|error| self.fault(&text.span(), error))
    }

    fn digest(&self, text: &Spanned<String>) -> Result<[u8; 32], TrustFault> {
        parse_sha256(text.get_ref())
            .ok_or_else(|| self.fault(&text.span(), "a SHA-256 is 64 lower-case hexadecimal digits"))
    }

    fn label(&self, text: &Spanned<String>) -> Result<String, TrustFault> {
        name::check_label(text.get_ref()).map_err(|error| self.fault(&text.span(), error))?;
        Ok(text.get_ref().clone())
    }

    fn time(
        &self,
        key: &Spanned<String>,
        field: &str,
        time: Option<&Datetime>,
    ) -> Result<Option<Timestamp>, TrustFault> {
        let parse = |time: &Datetime| {
            time.to_string().parse().map_err(|_| {
                let message = format!(
                    "`{field}` of key `{}` must be a time with an offset, such as 2027-01-31T00:00:00Z",
                    key.get_ref()
                );
                self.fault(&key.span(), message)
            })
        };
        time.map(parse).transpose()
    }

    fn syntax(&self, error: &toml::de::Error) -> TrustFault {
        let line = error.span().map(|span| self.line(span.start));
        let message = error.message().trim().replace('\n', " ");
        TrustFault::at(line, printable(&with_closest(&message)))
    }

    fn key(&self, entry: &KeyEntry) -> Result<TrustedKey, TrustFault> {
        let name = self.label(&entry.name)?;
        let key = PublicKey::from_text(entry.public_key.get_ref())
            .map_err(|error| self.fault(&entry.public_key.span(), format!("key `{name}`: {error}")))?;
        let not_before = self.time(&entry.name, "not_before", entry.not_before.as_ref())?;
        let not_after = self.time(&entry.name, "not_after", entry.not_after.as_ref())?;
        if let (Some(start), Some(end)) = (not_before, not_after)
            && end <= start
        {
            return Err(self.fault(
                &entry.name.span(),
                format!("key `{name}` is never valid: `not_after` is not after `not_before`"),
            ));
        }
        Ok(TrustedKey { name, key, not_before, not_after })
    }

    fn keys(&self, entries: &[KeyEntry]) -> Result<Vec<TrustedKey>, TrustFault> {
        let mut keys: Vec<TrustedKey> = Vec::new();
        for entry in entries {
            let key = self.key(entry)?;
            if let Some(other) = keys.iter().find(|other| other.name == key.name || other.key == key.key) {
                let what = if other.name == key.name { "have the same name" } else { "are the same key" };
                return Err(
                    self.fault(&entry.name.span(), format!("key `{}` and key `{}` {what}", other.name, key.name))
                );
            }
            if keys.len() == MAX_KEYS {
                return Err(self.fault(&entry.name.span(), format!("there are more than {MAX_KEYS} keys")));
            }
            keys.push(key);
        }
        Ok(keys)
    }

    fn publisher(&self, entry: &PublisherEntry, known: &BTreeMap<&str, KeyId>) -> Result<Publisher, TrustFault> {
        let name = self.label(&entry.name)?;
        let packs = self.patterns(&entry.packs, "packs")?;
        let mut keys = BTreeSet::new();
        for key in entry.keys.get_ref() {
            let id = self.named(key, known)?;
            if !keys.insert(id) {
                return Err(self.fault(&key.span(), format!("key `{}` is listed twice", printable(key.get_ref()))));
            }
        }
        if keys.is_empty() {
            return Err(self.fault(&entry.keys.span(), format!("publisher `{name}` has no keys")));
        }
        let threshold = match &entry.threshold {
            None => 1,
            Some(threshold) => usize::try_from(*threshold.get_ref())
                .ok()
                .filter(|threshold| (1..=keys.len()).contains(threshold))
                .ok_or_else(|| {
                    let message = format!(
                        "`threshold` of publisher `{name}` must be from 1 to the number of its keys, {}",
                        keys.len()
                    );
                    self.fault(&threshold.span(), message)
                })?,
        };
        let mut classes = BTreeSet::new();
        for class in &entry.classes {
            name::check_class(class.get_ref()).map_err(|error| self.fault(&class.span(), error))?;
            classes.insert(class.get_ref().clone());
        }
        let targets = match &entry.targets {
            None => vec!["*".to_owned()],
            Some(targets) => {
                self.patterns(targets, "targets")?.iter().map(|pattern| pattern.as_str().to_owned()).collect()
            }
        };
        Ok(Publisher { name, packs, keys, threshold, classes, targets })
    }

    fn patterns(&self, texts: &Spanned<Vec<Spanned<String>>>, field: &str) -> Result<Vec<Pattern>, TrustFault> {
        if texts.get_ref().is_empty() {
            return Err(self.fault(&texts.span(), format!("`{field}` must not be empty; `[\"*\"]` stands for all")));
        }
        texts.get_ref().iter().map(|text| self.value(text)).collect()
    }

    fn named(&self, name: &Spanned<String>, known: &BTreeMap<&str, KeyId>) -> Result<KeyId, TrustFault> {
        known.get(name.get_ref().as_str()).copied().ok_or_else(|| {
            let near = closest(name.get_ref(), known.keys().copied());
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            self.fault(&name.span(), format!("there is no key `{}`{hint}", printable(name.get_ref())))
        })
    }

    fn pack_version(
        &self,
        pack: &Spanned<String>,
        version: &Spanned<String>,
    ) -> Result<(PackName, PackVersion), TrustFault> {
        Ok((self.value(pack)?, self.value(version)?))
    }
}

/// A message of the TOML reader, with the known key that an unknown one most likely meant.
fn with_closest(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let near =
        quoted.next().filter(|_| message.starts_with("unknown field")).and_then(|unknown| closest(unknown, quoted));
    near.map_or_else(|| message.to_owned(), |near| format!("{message}; did you mean `{near}`?"))
}

pub(super) fn parse(text: &str) -> Result<Trust, TrustFault> {
    let reader = Reader(text);
    let document: Document = toml::from_str(text).map_err(|error| reader.syntax(&error))?;
    if *document.version.get_ref() != VERSION {
        return Err(reader.fault(&document.version.span(), format!("`version` must be {VERSION}")));
    }
    let keys = reader.keys(&document.key)?;
    let known: BTreeMap<&str, KeyId> = keys.iter().map(|key| (key.name(), key.key().id())).collect();

    let mut publishers = BTreeMap::new();
    for entry in &document.publisher {
        let publisher = reader.publisher(entry, &known)?;
        if publishers.contains_key(&publisher.name) {
            return Err(reader.fault(&entry.name.span(), format!("publisher `{}` is listed twice", publisher.name)));
        }
        publishers.insert(publisher.name.clone(), publisher);
    }

    let mut pins = BTreeMap::new();
    for entry in &document.pin {
        let pack_version = reader.pack_version(&entry.pack, &entry.version)?;
        if pins.insert(pack_version, reader.digest(&entry.sha256)?).is_some() {
            return Err(reader.fault(&entry.pack.span(), "this version is pinned twice"));
        }
    }
    let mut minimum = BTreeMap::new();
    for entry in &document.minimum {
        let (pack, version) = reader.pack_version(&entry.pack, &entry.version)?;
        if minimum.insert(pack, version).is_some() {
            return Err(reader.fault(&entry.pack.span(), "this pack has a minimum already"));
        }
    }
    let mut allow_rollback = BTreeSet::new();
    for entry in &document.allow_rollback {
        allow_rollback.insert(reader.pack_version(&entry.pack, &entry.version)?);
    }
    let mut revoked_keys = BTreeSet::new();
    for key in &document.revoked.keys {
        // By id, so that a key which is no longer listed stays revoked, or by the name of one that is.
        let id = match key.get_ref().parse() {
            Ok(id) => id,
            Err(_) => reader.named(key, &known)?,
        };
        revoked_keys.insert(id);
    }
    let mut revoked_digests = BTreeSet::new();
    for digest in &document.revoked.digests {
        revoked_digests.insert(reader.digest(digest)?);
    }
    let digest = sha256(text.as_bytes());
    Ok(Trust { keys, publishers, pins, minimum, allow_rollback, revoked_keys, revoked_digests, digest })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::key::PrivateKey;

    fn good() -> String {
        let [one, two] = [(), ()].map(|()| PrivateKey::generate().unwrap().public_key());
        format!(
            "version = 1\n\n[[key]]\nname = \"one\"\npublic_key = \"{}\"\nnot_after = 2027-01-01T00:00:00Z\n\n[[key]]\nname = \"two\"\n\
             public_key = \"\"\"\n{}\"\"\"\n\n[[publisher]]\nname = \"acme\"\npacks = [\"acme-*\"]\nkeys = [\"one\", \"two\"]\n\
             threshold = 2\nclasses = [\"read\"]\n\n[[pin]]\npack = \"acme-x\"\nversion = \"1.0.0\"\nsha256 = \"{}\"\n\n\
             [[minimum]]\npack = \"acme-x\"\nversion = \"0.9.0\"\n\n[[allow_rollback]]\npack = \"acme-x\"\nversion = \"1.0.0\"\n\n\
             [revoked]\nkeys = [\"{}\", \"two\"]\ndigests = [\"{}\"]\n",
            one.to_base64(),
            two.to_pem(),
            "ab".repeat(32),
            "cd".repeat(32),
            "ef".repeat(32),
        )
    }

    #[test]
    fn everything_that_can_be_written_is_read() {
        let trust = Trust::parse(&good()).unwrap();
        let (pack, version) = ("acme-x".parse().unwrap(), "1.0.0".parse().unwrap());
        let publisher = trust.publisher("acme").unwrap();
        assert!(publisher.publishes(&pack) && !publisher.publishes(&"other".parse().unwrap()));
        assert_eq!(
            (publisher.threshold(), publisher.keys().len(), publisher.targets()),
            (2, 2, ["*".to_owned()].as_slice())
        );
        assert_eq!(trust.pin(&pack, &version), Some(&[0xab; 32]));
        assert_eq!(trust.minimum(&pack).unwrap().to_string(), "0.9.0");
        assert!(trust.allows_rollback(&pack, &version) && !trust.allows_rollback(&pack, &"1.0.1".parse().unwrap()));
        assert!(trust.is_digest_revoked(&[0xef; 32]));
        assert!(
            !trust.is_key_revoked(&trust.keys()[0].key().id()) && trust.is_key_revoked(&trust.keys()[1].key().id())
        );
        let end: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        assert!(!trust.keys()[0].is_valid_at(end) && trust.keys()[1].is_valid_at(end));
        assert!(Trust::parse("version = 1").unwrap().keys().is_empty(), "trusting nobody is a policy");
    }

    #[test]
    fn a_fault_names_its_line_and_the_closest_key() {
        let good = good();
        let id = "cd".repeat(32);
        for (from, to, expected) in [
            (
                "threshold = 2",
                "treshold = 2",
                "line 20: unknown field `treshold`, expected one of `name`, `packs`, `keys`, `threshold`, `classes`, `targets`; did you mean `threshold`?",
            ),
            ("[revoked]", "[revokd]", "did you mean `revoked`?"),
            ("version = 1\n", "version = 2\n", "line 1: `version` must be 1"),
            ("version = 1\n", "", "missing field `version`"),
            ("threshold = 2", "threshold = 0", "line 20: `threshold` of publisher `acme` must be from 1"),
            ("threshold = 2", "threshold = 3", "line 20: `threshold` of publisher `acme` must be from 1"),
            ("threshold = 2", "threshold = -1", "line 20: `threshold` of publisher `acme` must be from 1"),
            (
                "keys = [\"one\", \"two\"]",
                "keys = [\"one\", \"twoo\"]",
                "line 19: there is no key `twoo`; did you mean `two`?",
            ),
            ("keys = [\"one\", \"two\"]", "keys = [\"one\", \"one\"]", "line 19: key `one` is listed twice"),
            ("keys = [\"one\", \"two\"]", "keys = []", "line 19: publisher `acme` has no keys"),
            ("name = \"two\"", "name = \"one\"", "line 9: key `one` and key `one` have the same name"),
            ("classes = [\"read\"]", "classes = [\"ddl\"]", "line 21: `ddl` is not a statement class"),
            ("packs = [\"acme-*\"]", "packs = []", "line 18: `packs` must not be empty"),
            ("packs = [\"acme-*\"]", "packs = [\"a?\"]", "line 18: `a?` is not a pattern"),
            ("2027-01-01T00:00:00Z", "2027-01-01", "line 4: `not_after` of key `one` must be a time with an offset"),
            ("not_after", "not_before = 2028-01-01T00:00:00Z\nnot_after", "line 4: key `one` is never valid"),
            ("version = \"1.0.0\"", "version = \"1.0\"", "is not a version"),
            (&id, "three", "there is no key `three`"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = Trust::parse(&good.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.code(), "trust_invalid");
            assert!(error.to_string().contains(expected), "{to}: {error}");
        }
    }

    #[test]
    fn keys_that_prove_nothing_or_count_twice_are_refused() {
        let weak = |point: [u8; 32]| {
            let spki =
                [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00], point.as_slice()].concat();
            format!("version = 1\n[[key]]\nname = \"weak\"\npublic_key = \"{}\"\n", crate::encoding::base64(&spki))
        };
        let mut identity = [0; 32];
        identity[0] = 1;
        for point in [[0; 32], identity] {
            let error = Trust::parse(&weak(point)).unwrap_err().to_string();
            assert!(error.contains("line 4") && error.contains("weak"), "{error}");
        }
        let key = PrivateKey::generate().unwrap().public_key().to_base64();
        let entry = |name: &str| format!("[[key]]\nname = \"{name}\"\npublic_key = \"{key}\"\n");
        let error = Trust::parse(&format!("version = 1\n{}{}", entry("a"), entry("b"))).unwrap_err().to_string();
        assert!(error.contains("line 6: key `a` and key `b` are the same key"), "{error}");
    }
}
