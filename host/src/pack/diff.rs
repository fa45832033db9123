//! Two versions of a pack side by side: what the second declares that the first did not, each change in words, and whether
//! the pack may do more than before. For a publisher's CI and for an operator who is about to take an update.
//!
//! Whether authority grew is judged against the operator: where it can't be told, it grew. Of statements of class `read` it
//! grew where they name a relation or a function that they did not name before; of all others at any word, because what they
//! hit is decided by the whole text. What the code inside the component does with its authority, no manifest says.

mod actions;
mod lines;
mod statements;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use lockgate_signing::encoding::hex;
use serde::Serialize;

use super::prove::ProvenManifest;
use crate::outside::plain;

/// Characters of one line that is shown of a manifest.
const LINE: usize = 400;

/// What is other in the second manifest than in the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ManifestDiff {
    /// The first.
    pub old: Side,
    /// The second.
    pub new: Side,
    /// Whether the second may do more, or shows less to those who decide, than the first: see [`ManifestDiff::grew`].
    pub grew: bool,
    /// In the order of the manifests: the pack, its actions, its statements.
    pub changes: Vec<Change>,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// The pack's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Hex SHA-256 of the canonical manifest, as an envelope has it.
    pub manifest_sha256: String,
}

/// One thing that is other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where: ``pack``, ``action `x` ``, ``action `x`, argument `y` `` or ``statement `z` ``.
    pub place: String,
    /// What of it: `risk`, `class`, `sql` …; `action`, `statement` or `argument` where all of it is new or gone.
    pub aspect: &'static str,
    /// As it was; none if it is new.
    pub was: Option<String>,
    /// As it is; none if it is gone.
    pub is: Option<String>,
    /// Why the pack may do more than before; none if it may not.
    pub grew: Option<&'static str>,
}

impl ManifestDiff {
    /// Whether authority grew: an update must not be taken without somebody's consent.
    #[must_use]
    pub fn grew(&self) -> bool {
        self.grew
    }

    /// The changes by which authority grew.
    pub fn growth(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.grew.is_some())
    }

    /// For a terminal: a line a change, `!` before those by which authority grew, and SQL line by line. Text of the packs is
    /// made fit to be shown.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = format!("{} → {}\n", self.old.title(), self.new.title());
        for change in &self.changes {
            change.render(&mut out);
        }
        let growth = self.growth().count();
        out.push_str(match (self.changes.is_empty(), growth) {
            (true, _) if self.old.manifest_sha256 == self.new.manifest_sha256 => "both declare the same",
            (true, _) => "both declare the same; only the version or the order is another",
            (false, 0) => "authority did not grow",
            (false, 1) => "authority grew in 1 place, marked with !",
            (false, _) => "",
        });
        if growth > 1 {
            let _ = write!(out, "authority grew in {growth} places, marked with !");
        }
        out
    }
}

impl Side {
    fn of(manifest: &ProvenManifest) -> Self {
        let declared = manifest.manifest();
        let (name, version) = (declared.name.clone(), declared.version.clone());
        Self { name, version, manifest_sha256: hex(&manifest.digest()) }
    }

    fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

impl Change {
    /// Something that is other.
    fn new(place: &str, aspect: &'static str, was: impl Into<String>, is: impl Into<String>) -> Self {
        Self { place: place.to_owned(), aspect, was: Some(was.into()), is: Some(is.into()), grew: None }
    }

    fn added(place: &str, aspect: &'static str, is: impl Into<String>) -> Self {
        Self { place: place.to_owned(), aspect, was: None, is: Some(is.into()), grew: None }
    }

    fn removed(place: &str, aspect: &'static str, was: impl Into<String>) -> Self {
        Self { place: place.to_owned(), aspect, was: Some(was.into()), is: None, grew: None }
    }

    /// The same, with the reason why authority grew by it, if it did.
    fn growing(self, grew: bool, why: &'static str) -> Self {
        if grew { Self { grew: Some(why), ..self } } else { self }
    }

    fn render(&self, out: &mut String) {
        let Self { place, aspect, was, is, grew } = self;
        let mark = if grew.is_some() { '!' } else { ' ' };
        let shown = |text: &String| plain(text, LINE).text;
        let place = plain(place, LINE).text;
        let _ = match (was, is) {
            (Some(was), Some(is)) if *aspect == "sql" => {
                let _ = writeln!(out, "{mark} {place}: sql");
                lines::diff(was, is).into_iter().try_for_each(|(sign, line)| writeln!(out, "    {sign} {}", code(line)))
            }
            (Some(was), Some(is)) => writeln!(out, "{mark} {place}: {aspect} {} → {}", shown(was), shown(is)),
            (None, Some(is)) => writeln!(out, "{mark} {place}: {aspect} added: {}", shown(is)),
            (Some(was), None) => writeln!(out, "{mark} {place}: {aspect} removed: {}", shown(was)),
            (None, None) => Ok(()),
        };
        if let Some(why) = grew {
            let _ = writeln!(out, "    grew: {why}");
        }
    }
}

/// A line of SQL: its indentation says something, so it stays.
fn code(line: &str) -> String {
    let indent: String = line.chars().take_while(|c| *c == ' ').take(80).collect();
    format!("{indent}{}", plain(line, LINE).text)
}

/// Compares two proven manifests.
#[must_use]
pub fn diff(old: &ProvenManifest, new: &ProvenManifest) -> ManifestDiff {
    let mut changes = Vec::new();
    pack(old, new, &mut changes);
    actions::compare(old, new, &mut changes);
    statements::compare(old, new, &mut changes);
    let grew = changes.iter().any(|change| change.grew.is_some());
    ManifestDiff { old: Side::of(old), new: Side::of(new), grew, changes }
}

fn pack(old: &ProvenManifest, new: &ProvenManifest, out: &mut Vec<Change>) {
    let (was, is) = (old.manifest(), new.manifest());
    if was.name != is.name {
        out.push(Change::new("pack", "name", &was.name, &is.name).growing(true, "it is another pack"));
    }
    differing(out, "pack", "summary", &was.summary, &is.summary);
    differing(out, "pack", "homepage", &was.homepage, &is.homepage);
    for class in new.classes().difference(old.classes()) {
        out.push(
            Change::added("pack", "class", class.as_str()).growing(true, "the publisher must be granted the class"),
        );
    }
    for class in old.classes().difference(new.classes()) {
        out.push(Change::removed("pack", "class", class.as_str()));
    }
}

/// Notes a text that is another one.
fn differing(out: &mut Vec<Change>, place: &str, aspect: &'static str, was: &str, is: &str) {
    if was != is {
        out.push(Change::new(place, aspect, was, is));
    }
}
