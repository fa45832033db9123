//! The text of a trust policy, changed in place: remarks, order and everything that a change is not about stay as they are.
//! What comes out is read again before it is used, so nothing here has to know what is allowed in it.

use std::fmt::Display;

use lockgate_signing::{encoding::hex, key::PublicKey};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use crate::error::{Code, Refusal};

/// What is written where there is no trust policy yet.
const EMPTY: &str = "version = 1\n";

/// The text of a trust policy that is being changed.
#[derive(Clone, Debug)]
pub struct TrustText(DocumentMut);

impl Default for TrustText {
    fn default() -> Self {
        Self(EMPTY.parse().unwrap_or_default())
    }
}

impl TrustText {
    /// Takes up a text.
    ///
    /// # Errors
    /// When it is no TOML.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        text.parse().map(Self).map_err(|error: toml_edit::TomlError| {
            Refusal::new(Code::TrustInvalid, format!("the trust policy can't be read: {}", error.message()))
        })
    }

    /// The text as it is now.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.to_string()
    }

    /// Lists a key.
    ///
    /// # Errors
    /// When keys are written in a form that can't be added to.
    pub fn add_key(&mut self, name: &str, key: &PublicKey) -> Result<(), Refusal> {
        self.add("key", &[("name", name), ("public_key", &key.to_base64())]).map(|_| ())
    }

    /// Takes a key off the list, and from every publisher that has it.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn remove_key(&mut self, name: &str) -> Result<(), Refusal> {
        self.remove("key", &[("name", name)])?;
        for publisher in self.tables("publisher")?.into_iter().flat_map(|all| all.iter_mut()) {
            if let Some(keys) = publisher.get_mut("keys").and_then(Item::as_array_mut) {
                keys.retain(|key| key.as_str() != Some(name));
            }
        }
        // By its name it could not be found any more.
        self.unlist("keys", name);
        Ok(())
    }

    /// Whether a publisher is there.
    #[must_use]
    pub fn has_publisher(&self, name: &str) -> bool {
        let all = self.0.get("publisher").and_then(Item::as_array_of_tables);
        all.is_some_and(|all| all.iter().any(|table| is(table, &[("name", name)])))
    }

    /// Adds a publisher without anything.
    ///
    /// # Errors
    /// When publishers are written in a form that can't be added to.
    pub fn add_publisher(&mut self, name: &str) -> Result<(), Refusal> {
        let table = self.add("publisher", &[("name", name)])?;
        for field in ["packs", "keys", "classes"] {
            table.insert(field, value(Array::new()));
        }
        Ok(())
    }

    /// Removes a publisher. Its keys stay listed: others may have them too.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn remove_publisher(&mut self, name: &str) -> Result<(), Refusal> {
        self.remove("publisher", &[("name", name)])
    }

    /// Adds to one of a publisher's lists (`packs`, `keys`, `classes`, `targets`) what is not in it.
    ///
    /// # Errors
    /// When there is no such publisher.
    pub fn extend(&mut self, publisher: &str, field: &str, more: &[String]) -> Result<(), Refusal> {
        let table = self.publisher(publisher)?;
        if more.is_empty() {
            return Ok(());
        }
        let item = table.entry(field).or_insert_with(|| value(Array::new()));
        let list = item.as_array_mut().ok_or_else(|| by_hand(field))?;
        for text in more {
            if !list.iter().any(|known| known.as_str() == Some(text)) {
                list.push(text.as_str());
            }
        }
        Ok(())
    }

    /// Takes something out of one of a publisher's lists.
    ///
    /// # Errors
    /// When there is no such publisher, or it is not in the list.
    pub fn withdraw(&mut self, publisher: &str, field: &str, less: &[String]) -> Result<(), Refusal> {
        let table = self.publisher(publisher)?;
        for text in less {
            let list = table.get_mut(field).and_then(Item::as_array_mut);
            let at = list.as_ref().and_then(|list| list.iter().position(|known| known.as_str() == Some(text)));
            let (Some(list), Some(at)) = (list, at) else {
                return Err(missing(format!("publisher `{publisher}` has no `{text}` among its `{field}`")));
            };
            list.remove(at);
        }
        Ok(())
    }

    /// Sets how many of a publisher's keys must have signed.
    ///
    /// # Errors
    /// When there is no such publisher.
    pub fn set_threshold(&mut self, publisher: &str, threshold: u8) -> Result<(), Refusal> {
        self.publisher(publisher)?.insert("threshold", value(i64::from(threshold)));
        Ok(())
    }

    /// Pins a version of a pack to these bytes, in the place of what it was pinned to.
    ///
    /// # Errors
    /// When pins are written in a form that can't be added to.
    pub fn pin(&mut self, pack: &str, version: &str, sha256: &[u8; 32]) -> Result<(), Refusal> {
        let digest = hex(sha256);
        match self.find("pin", &[("pack", pack), ("version", version)])? {
            Some(table) => set(table, "sha256", &digest),
            None => drop(self.add("pin", &[("pack", pack), ("version", version), ("sha256", &digest)])?),
        }
        Ok(())
    }

    /// Sets the lowest version of a pack.
    ///
    /// # Errors
    /// When they are written in a form that can't be added to.
    pub fn set_minimum(&mut self, pack: &str, version: &str) -> Result<(), Refusal> {
        match self.find("minimum", &[("pack", pack)])? {
            Some(table) => set(table, "version", version),
            None => drop(self.add("minimum", &[("pack", pack), ("version", version)])?),
        }
        Ok(())
    }

    /// Allows going back to a version.
    ///
    /// # Errors
    /// When they are written in a form that can't be added to.
    pub fn allow_rollback(&mut self, pack: &str, version: &str) -> Result<(), Refusal> {
        let entry = [("pack", pack), ("version", version)];
        if self.find("allow_rollback", &entry)?.is_none() {
            self.add("allow_rollback", &entry)?;
        }
        Ok(())
    }

    /// Removes an entry of `pin`, `minimum` or `allow_rollback`.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove_version(&mut self, list: &str, pack: &str, version: Option<&str>) -> Result<(), Refusal> {
        let fields: Vec<_> = [("pack", pack)].into_iter().chain(version.map(|version| ("version", version))).collect();
        self.remove(list, &fields)
    }

    /// Revokes a key, by its id or its name, or a component, by its SHA-256: `list` is `keys` or `digests`.
    ///
    /// # Errors
    /// When `[revoked]` is written in a form that can't be added to.
    pub fn revoke(&mut self, list: &str, what: &str) -> Result<(), Refusal> {
        let table = self.0.entry("revoked").or_insert_with(|| {
            let mut table = Table::new();
            table.decor_mut().set_prefix("\n");
            Item::Table(table)
        });
        let table = table.as_table_like_mut().ok_or_else(|| by_hand("revoked"))?;
        let item = table.entry(list).or_insert_with(|| value(Array::new()));
        let all = item.as_array_mut().ok_or_else(|| by_hand(list))?;
        if !all.iter().any(|known| known.as_str() == Some(what)) {
            all.push(what);
        }
        Ok(())
    }

    fn unlist(&mut self, list: &str, what: &str) {
        let revoked = self.0.get_mut("revoked").and_then(Item::as_table_like_mut);
        if let Some(all) = revoked.and_then(|table| table.get_mut(list)).and_then(Item::as_array_mut) {
            all.retain(|known| known.as_str() != Some(what));
        }
    }

    fn publisher(&mut self, name: &str) -> Result<&mut Table, Refusal> {
        self.find("publisher", &[("name", name)])?
            .ok_or_else(|| missing(format!("the trust policy has no publisher `{name}`")))
    }

    /// A list of tables; none if there is none yet.
    fn tables(&mut self, list: &str) -> Result<Option<&mut ArrayOfTables>, Refusal> {
        match self.0.get_mut(list) {
            None => Ok(None),
            Some(item) => item.as_array_of_tables_mut().map(Some).ok_or_else(|| by_hand(list)),
        }
    }

    fn find(&mut self, list: &str, fields: &[(&str, &str)]) -> Result<Option<&mut Table>, Refusal> {
        Ok(self.tables(list)?.and_then(|all| all.iter_mut().find(|table| is(table, fields))))
    }

    fn add(&mut self, list: &str, fields: &[(&str, &str)]) -> Result<&mut Table, Refusal> {
        let item = self.0.entry(list).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        let all = item.as_array_of_tables_mut().ok_or_else(|| by_hand(list))?;
        let mut table = Table::new();
        table.decor_mut().set_prefix("\n");
        for (field, text) in fields {
            table.insert(field, value(*text));
        }
        all.push(table);
        let last = all.len() - 1;
        all.get_mut(last).ok_or_else(|| by_hand(list))
    }

    fn remove(&mut self, list: &str, fields: &[(&str, &str)]) -> Result<(), Refusal> {
        let named = || fields.iter().map(|(_, text)| *text).collect::<Vec<_>>().join(" ");
        let missing = || missing(format!("the trust policy has no `{list}` for {}", named()));
        let all = self.tables(list)?.ok_or_else(missing)?;
        let at = all.iter().position(|table| is(table, fields)).ok_or_else(missing)?;
        all.remove(at);
        if all.is_empty() {
            self.0.remove(list);
        }
        Ok(())
    }
}

/// Puts another value where one is, with the remark that stands behind it.
fn set(table: &mut Table, field: &str, text: &str) {
    let mut new = value(text);
    if let (Some(old), Some(new)) = (table.get(field).and_then(Item::as_value), new.as_value_mut()) {
        *new.decor_mut() = old.decor().clone();
    }
    table.insert(field, new);
}

fn is(table: &Table, fields: &[(&str, &str)]) -> bool {
    fields.iter().all(|(field, text)| table.get(field).and_then(Item::as_str) == Some(*text))
}

fn missing(message: String) -> Refusal {
    Refusal::new(Code::ConfigInvalid, message).with_remedy("`lockgate trust list` shows what is there")
}

fn by_hand(what: impl Display) -> Refusal {
    Refusal::new(
        Code::TrustInvalid,
        format!("`{what}` of the trust policy is not written as tables and lists of texts"),
    )
    .with_remedy("write it as docs/signing.md does, or change it by hand")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use lockgate_signing::{key::PrivateKey, trust::Trust};

    use super::*;

    fn key() -> PublicKey {
        PrivateKey::generate().unwrap().public_key()
    }

    fn written() -> String {
        format!(
            "# Ours.\nversion = 1 # of the format\n\n[[publisher]] # before its key, as we like it\nname = \"acme\"\n\
             packs = [\n  \"acme-*\", # all of them\n]\nkeys = [\"one\"]\nclasses = [\"read\"]\n\n[[key]]\nname = \"one\"\n\
             # from their page\npublic_key = \"{}\"\n\n[[minimum]]\npack = \"acme-x\"\nversion = \"1.0.0\" # CVE\n\n# the end\n",
            key().to_base64()
        )
    }

    #[test]
    fn what_a_change_is_not_about_stays() {
        let before = written();
        let mut text = TrustText::parse(&before).unwrap();
        assert_eq!(text.text(), before);
        text.add_key("two", &key()).unwrap();
        text.extend("acme", "keys", &["two".into(), "one".into()]).unwrap();
        text.extend("acme", "packs", &["other".into()]).unwrap();
        text.extend("acme", "targets", &["stage".into()]).unwrap();
        text.set_threshold("acme", 2).unwrap();
        text.set_minimum("acme-x", "1.2.0").unwrap();
        text.pin("acme-x", "1.2.0", &[0xab; 32]).unwrap();
        text.pin("acme-x", "1.2.0", &[0xac; 32]).unwrap();
        text.revoke("digests", &"cd".repeat(32)).unwrap();
        let after = text.text();
        for line in before.lines().filter(|line| line.contains('#')) {
            assert!(after.contains(line.split('#').nth(1).unwrap()), "{line}:\n{after}");
        }
        let mut places = ["# Ours", "[[publisher]]", "# all of them", "[[key]]", "# from their page", "# CVE"].iter();
        let mut rest = after.as_str();
        assert!(places.all(|place| rest.split_once(place).map(|(_, behind)| rest = behind).is_some()), "{after}");

        let trust = Trust::parse(&after).unwrap();
        let publisher = trust.publisher("acme").unwrap();
        assert_eq!((publisher.keys().len(), publisher.threshold()), (2, 2));
        assert_eq!(publisher.packs().collect::<Vec<_>>(), ["acme-*", "other"]);
        assert_eq!(publisher.targets(), ["stage"]);
        let pack = "acme-x".parse().unwrap();
        assert_eq!(trust.minimum(&pack).unwrap().to_string(), "1.2.0");
        assert_eq!(trust.pin(&pack, &"1.2.0".parse().unwrap()), Some(&[0xac; 32]));
        assert!(trust.is_digest_revoked(&[0xcd; 32]));
    }

    #[test]
    fn what_was_added_can_be_taken_away() {
        let before = written();
        let mut text = TrustText::parse(&before).unwrap();
        text.add_key("two", &key()).unwrap();
        text.add_publisher("other").unwrap();
        text.extend("other", "packs", &["o".into()]).unwrap();
        text.extend("other", "keys", &["two".into(), "one".into()]).unwrap();
        text.allow_rollback("acme-x", "1.0.0").unwrap();
        text.revoke("keys", "two").unwrap();
        Trust::parse(&text.text()).unwrap();
        text.remove_key("two").unwrap();
        let trust = Trust::parse(&text.text()).unwrap();
        assert_eq!(trust.publisher("other").unwrap().keys().len(), 1, "the publisher does not name a key that is gone");
        text.remove_publisher("other").unwrap();
        text.remove_version("allow_rollback", "acme-x", Some("1.0.0")).unwrap();
        text.withdraw("acme", "packs", &["acme-*".into()]).unwrap();
        assert!(Trust::parse(&text.text()).is_err(), "a publisher of nothing is refused when it is read again");
        text.extend("acme", "packs", &["acme-*".into()]).unwrap();
        assert!(Trust::parse(&text.text()).is_ok());
        for refused in [
            text.remove_publisher("nobody"),
            text.remove_key("nobody"),
            text.withdraw("acme", "classes", &["write".into()]),
            text.remove_version("pin", "acme-x", Some("1.0.0")),
            text.extend("nobody", "packs", &["x".into()]),
        ] {
            assert_eq!(refused.unwrap_err().code, Code::ConfigInvalid);
        }
        let mut inline = TrustText::parse("version = 1\nkey = [{ name = \"a\", public_key = \"b\" }]\n").unwrap();
        assert_eq!(inline.add_key("two", &key()).unwrap_err().code, Code::TrustInvalid);
    }

    #[test]
    fn a_policy_can_begin_from_nothing() {
        let mut text = TrustText::default();
        text.add_key("one", &key()).unwrap();
        text.add_publisher("acme").unwrap();
        for (field, what) in [("packs", "*"), ("keys", "one"), ("classes", "read")] {
            text.extend("acme", field, &[what.into()]).unwrap();
        }
        assert!(Trust::parse(&text.text()).unwrap().publisher("acme").is_some(), "{}", text.text());
    }
}
