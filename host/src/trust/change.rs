//! What is other in one trust policy than in another, in words, and whether it lets anybody do more than before.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_signing::{
    encoding::hex,
    trust::{Publisher, Trust, TrustedKey},
};

/// One thing that is other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What, as one sentence without its period.
    pub text: String,
    /// Something is accepted or allowed that was not before.
    pub widens: bool,
}

impl Change {
    fn more(text: String) -> Self {
        Self { text, widens: true }
    }

    fn less(text: String) -> Self {
        Self { text, widens: false }
    }
}

/// Every difference between two trust policies. A policy that differs in remarks alone has none.
#[must_use]
pub fn changes(before: &Trust, after: &Trust) -> Vec<Change> {
    let mut all = Vec::new();
    keys(before, after, &mut all);
    publishers(before, after, &mut all);
    versions(before, after, &mut all);
    revocations(before, after, &mut all);
    all
}

fn keys(before: &Trust, after: &Trust, all: &mut Vec<Change>) {
    let by_id = |trust: &Trust| -> BTreeMap<_, TrustedKey> {
        trust.keys().iter().map(|key| (key.key().id(), key.clone())).collect()
    };
    let (old, new) = (by_id(before), by_id(after));
    for (id, key) in &new {
        match old.get(id) {
            None => all.push(Change::more(format!("key `{}` ({id}) is listed{}", key.name(), validity(key)))),
            Some(was) => {
                if was.name() != key.name() {
                    all.push(Change::less(format!("key `{}` ({id}) is now named `{}`", was.name(), key.name())));
                }
                if (was.not_before(), was.not_after()) != (key.not_before(), key.not_after()) {
                    let longer = key.not_before() < was.not_before()
                        || match (was.not_after(), key.not_after()) {
                            (Some(was), Some(now)) => now > was,
                            (Some(_), None) => true,
                            (None, _) => false,
                        };
                    let text = format!("key `{}` ({id}) has another validity{}", key.name(), validity(key));
                    all.push(Change { text, widens: longer });
                }
            }
        }
    }
    for (id, key) in old.iter().filter(|(id, _)| !new.contains_key(*id)) {
        all.push(Change::less(format!("key `{}` ({id}) is not listed any more", key.name())));
    }
}

fn validity(key: &TrustedKey) -> String {
    match (key.not_before(), key.not_after()) {
        (None, None) => String::new(),
        (Some(from), None) => format!(", valid from {from}"),
        (None, Some(until)) => format!(", valid until {until}"),
        (Some(from), Some(until)) => format!(", valid from {from} until {until}"),
    }
}

fn publishers(before: &Trust, after: &Trust, all: &mut Vec<Change>) {
    for new in after.publishers() {
        match before.publisher(new.name()) {
            None => all.push(Change::more(format!("publisher `{}` is trusted: {}", new.name(), grant(new, after)))),
            Some(old) => publisher((old, before), (new, after), all),
        }
    }
    for old in before.publishers().filter(|old| after.publisher(old.name()).is_none()) {
        all.push(Change::less(format!("publisher `{}` is not trusted any more", old.name())));
    }
}

/// What a publisher may, in one line.
fn grant(publisher: &Publisher, trust: &Trust) -> String {
    let keys: Vec<_> = key_names(publisher, trust).into_iter().collect();
    format!(
        "packs {}, classes {}, targets {}, {} of the keys {}",
        listed(publisher.packs()),
        listed(publisher.classes().iter().map(String::as_str)),
        listed(publisher.targets().iter().map(String::as_str)),
        publisher.threshold(),
        listed(keys.iter().map(String::as_str)),
    )
}

fn key_names(publisher: &Publisher, trust: &Trust) -> BTreeSet<String> {
    let listed = trust.keys().iter().filter(|key| publisher.keys().contains(&key.key().id()));
    listed.map(|key| key.name().to_owned()).collect()
}

fn listed<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<_> = items.map(|item| format!("`{item}`")).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn publisher((old, before): (&Publisher, &Trust), (new, after): (&Publisher, &Trust), all: &mut Vec<Change>) {
    let name = new.name();
    let owned = |items: &mut dyn Iterator<Item = &str>| -> BTreeSet<String> { items.map(str::to_owned).collect() };
    let mut set = |what: &str, old: BTreeSet<String>, new: BTreeSet<String>| {
        for item in new.difference(&old) {
            all.push(Change::more(format!("publisher `{name}` gets {what} `{item}`")));
        }
        for item in old.difference(&new) {
            all.push(Change::less(format!("publisher `{name}` loses {what} `{item}`")));
        }
    };
    set("packs", owned(&mut old.packs()), owned(&mut new.packs()));
    set("class", old.classes().clone(), new.classes().clone());
    let targets = |publisher: &Publisher| publisher.targets().iter().cloned().collect();
    set("targets", targets(old), targets(new));
    if old.keys() != new.keys() {
        set("key", key_names(old, before), key_names(new, after));
        // A key that was put in the place of another under its name.
        if key_names(old, before) == key_names(new, after) {
            all.push(Change::more(format!("publisher `{name}` has other keys under the same names")));
        }
    }
    let (was, is) = (old.threshold(), new.threshold());
    if was != is {
        let text = format!("publisher `{name}` needs the signatures of {is} keys, no longer of {was}");
        all.push(Change { text, widens: is < was });
    }
}

fn versions(before: &Trust, after: &Trust, all: &mut Vec<Change>) {
    for (pack, version, digest) in after.pins() {
        match before.pin(pack, version) {
            Some(was) if was == digest => {}
            Some(_) => all.push(Change::more(format!("{pack} {version} is pinned to other bytes: {}", hex(digest)))),
            None => all.push(Change::less(format!("{pack} {version} is pinned to {}", hex(digest)))),
        }
    }
    for (pack, version, _) in before.pins().filter(|(pack, version, _)| after.pin(pack, version).is_none()) {
        all.push(Change::more(format!("{pack} {version} is not pinned any more")));
    }
    for (pack, lowest) in after.minimums() {
        let was = before.minimum(pack);
        if was != Some(lowest) {
            let text = format!("the lowest version of {pack} is {lowest}");
            all.push(Change { text, widens: was.is_some_and(|was| lowest < was) });
        }
    }
    for (pack, _) in before.minimums().filter(|(pack, _)| after.minimum(pack).is_none()) {
        all.push(Change::more(format!("{pack} has no lowest version any more")));
    }
    for (pack, version) in after.rollbacks().filter(|(pack, version)| !before.allows_rollback(pack, version)) {
        all.push(Change::more(format!("going back to {pack} {version} is allowed")));
    }
    for (pack, version) in before.rollbacks().filter(|(pack, version)| !after.allows_rollback(pack, version)) {
        all.push(Change::less(format!("going back to {pack} {version} is not allowed any more")));
    }
}

fn revocations(before: &Trust, after: &Trust, all: &mut Vec<Change>) {
    for key in after.revoked_keys().difference(before.revoked_keys()) {
        all.push(Change::less(format!("key {key} is revoked")));
    }
    for key in before.revoked_keys().difference(after.revoked_keys()) {
        all.push(Change::more(format!("key {key} is not revoked any more")));
    }
    for digest in after.revoked_digests().difference(before.revoked_digests()) {
        all.push(Change::less(format!("the component {} is revoked", hex(digest))));
    }
    for digest in before.revoked_digests().difference(after.revoked_digests()) {
        all.push(Change::more(format!("the component {} is not revoked any more", hex(digest))));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use lockgate_signing::key::PrivateKey;

    use super::*;

    #[test]
    fn every_difference_is_told_and_weighed() {
        let [one, two] = [(), ()].map(|()| PrivateKey::generate().unwrap().public_key().to_base64());
        let base = format!(
            "version = 1\n[[key]]\nname = \"one\"\npublic_key = \"{one}\"\nnot_after = 2027-01-01T00:00:00Z\n[[key]]\nname = \"two\"\n\
             public_key = \"{two}\"\n[[publisher]]\nname = \"acme\"\npacks = [\"acme-*\"]\nkeys = [\"one\"]\nthreshold = 1\n\
             classes = [\"read\"]\ntargets = [\"stage\"]\n[[pin]]\npack = \"acme-x\"\nversion = \"1.0.0\"\nsha256 = \"{}\"\n\
             [[minimum]]\npack = \"acme-x\"\nversion = \"1.0.0\"\n[[allow_rollback]]\npack = \"acme-x\"\nversion = \"1.1.0\"\n\
             [revoked]\ndigests = [\"{}\"]\n",
            "ab".repeat(32),
            "cd".repeat(32),
        );
        let before = Trust::parse(&base).unwrap();
        for (from, to, said, widens) in [
            ("packs = [\"acme-*\"]", "packs = [\"acme-*\", \"other\"]", "gets packs `other`", true),
            ("packs = [\"acme-*\"]", "packs = [\"acme-*\"] # a remark", "", false),
            ("classes = [\"read\"]", "classes = [\"read\", \"signal\"]", "gets class `signal`", true),
            ("classes = [\"read\"]", "classes = []", "loses class `read`", false),
            ("targets = [\"stage\"]\n", "", "gets targets `*`", true),
            ("keys = [\"one\"]\nthreshold = 1", "keys = [\"one\", \"two\"]\nthreshold = 2", "gets key `two`", true),
            ("keys = [\"one\"]", "keys = [\"two\"]", "loses key `one`", true),
            ("not_after = 2027", "not_after = 2028", "another validity", true),
            ("not_after = 2027", "not_after = 2026", "another validity", false),
            ("version = \"1.0.0\"\nsha256 = \"ab", "version = \"1.0.0\"\nsha256 = \"ac", "other bytes", true),
            ("[[minimum]]\npack = \"acme-x\"\nversion = \"1.0.0\"\n", "", "no lowest version", true),
            (
                "[[minimum]]\npack = \"acme-x\"\nversion = \"1.0.0\"",
                "[[minimum]]\npack = \"acme-x\"\nversion = \"1.2.0\"",
                "is 1.2.0",
                false,
            ),
            ("version = \"1.1.0\"", "version = \"1.1.1\"", "back to acme-x 1.1.1 is allowed", true),
            ("digests = [", "keys = [\"two\"]\ndigests = [", "is revoked", false),
            ("digests = [\"cd", "digests = [\"ce", "is not revoked any more", true),
            ("name = \"acme\"", "name = \"emca\"", "`acme` is not trusted any more", true),
        ] {
            assert!(base.contains(from), "{from}");
            let all = changes(&before, &Trust::parse(&base.replacen(from, to, 1)).unwrap());
            assert_eq!(all.iter().any(|change| change.text.contains(said)), !said.is_empty(), "{to}: {all:?}");
            assert_eq!(all.iter().any(|change| change.widens), widens, "{to}: {all:?}");
        }
    }
}
