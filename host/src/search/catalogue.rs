//! In which texts of which action a word stands, and how rare it is among the actions.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    commands::{Known, is_change},
    words::{Word, words},
};
use crate::gate::call::OfferedAction;

/// Where a word of an action stands, what says most about it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Its name, without the pack's.
    Name,
    /// Its title.
    Title,
    /// A search term.
    Term,
    /// The situation of an example.
    Example,
    /// The name of an argument.
    Argument,
    /// Its description or side effects: long, so a word in it says little.
    Description,
}

impl Field {
    /// As it is told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Title => "title",
            Self::Term => "search terms",
            Self::Example => "example",
            Self::Argument => "argument",
            Self::Description => "description",
        }
    }

    /// It was written to tell the action from others.
    pub fn is_strong(self) -> bool {
        self <= Self::Term
    }
}

/// A text that is matched as a whole, beside word by word.
pub struct Phrase<'a> {
    /// As the manifest has it.
    pub text: &'a str,
    /// Its words, stop words too.
    pub words: Vec<Word>,
    /// The title, a search term or an example's situation.
    pub field: Field,
}

/// An action's texts.
pub struct Entry<'a> {
    /// The action.
    pub action: &'a OfferedAction,
    /// Title, search terms and examples.
    pub phrases: Vec<Phrase<'a>>,
    /// If it does more than read, the first words of its name and title, and the verbs that its search terms and
    /// examples begin with: it does what they say.
    pub orders: BTreeSet<String>,
    /// The stems of its title, without stop words.
    pub title: BTreeSet<String>,
    fields: HashMap<String, Field>,
}

impl Entry<'_> {
    /// The best place of a stem.
    pub fn field(&self, stem: &str) -> Option<Field> {
        self.fields.get(stem).copied()
    }

    fn put(&mut self, words: &[Word], field: Field) {
        for word in words.iter().filter(|word| !word.is_stop()) {
            self.note(word.stem.clone(), field);
        }
        if field > Field::Example {
            return;
        }
        // "seqscan" finds "seq scan".
        for pair in words.windows(2) {
            if let [a, b] = pair
                && a.is_content()
                && b.is_content()
            {
                self.note(format!("{}{}", a.text, b.stem), field);
            }
        }
    }

    /// Name and title of what does more than read begin with what it does; a term or an example may.
    fn note_order(&mut self, words: &[Word], field: Field) {
        let verb = words.first().filter(|verb| field <= Field::Title || is_change(&verb.text));
        if let Some(verb) = verb.filter(|_| !self.action.reads_only) {
            self.orders.insert(verb.text.clone());
        }
    }

    fn note(&mut self, stem: String, field: Field) {
        self.fields.entry(stem).and_modify(|best| *best = field.min(*best)).or_insert(field);
    }
}

/// The actions that are searched.
pub struct Catalogue<'a> {
    /// In the order given.
    pub entries: Vec<Entry<'a>>,
    /// Of each stem, in how many actions it stands where it says much, and in how many at all.
    known: HashMap<String, (u32, u32)>,
    /// Words that stand where they say much, as they are written.
    written: BTreeSet<String>,
    /// Their stems.
    stems: HashSet<String>,
    /// Names of packs: everything of a pack has its name.
    packs: BTreeSet<String>,
}

impl Known for Catalogue<'_> {
    fn is_done(&self, verb: &str) -> bool {
        self.entries.iter().any(|entry| entry.orders.contains(verb))
    }

    fn is_term(&self, words: &[Word]) -> bool {
        let is_same = |phrase: &Phrase<'_>| {
            phrase.field <= Field::Term
                && phrase.words.len() > 1
                && begin_with(words, &phrase.words, |a, b| a.text == b.text)
        };
        let is_order = |entry: &Entry<'_>| words.first().is_some_and(|verb| entry.orders.contains(&verb.text));
        self.entries.iter().any(|entry| !is_order(entry) && entry.phrases.iter().any(is_same))
    }
}

/// So many actions are thought to be there that have none of the words, so that with few actions a word still weighs.
const UNSEEN: f64 = 4.0;
/// Shorter words are not corrected: too many words are one letter from each other.
const SHORTEST_CORRECTED: usize = 5;
/// Longer words are none, and to compare them would cost.
const LONGEST_CORRECTED: usize = 40;

impl<'a> Catalogue<'a> {
    /// Of these actions.
    pub fn of(actions: &'a [OfferedAction]) -> Self {
        let entries: Vec<Entry<'a>> = actions.iter().map(entry).collect();
        let mut catalogue = Self {
            entries,
            known: HashMap::new(),
            written: BTreeSet::new(),
            stems: HashSet::new(),
            packs: BTreeSet::new(),
        };
        for entry in &catalogue.entries {
            for (stem, field) in &entry.fields {
                let (strong, all) = catalogue.known.entry(stem.clone()).or_default();
                *strong += u32::from(*field <= Field::Example);
                *all += 1;
            }
        }
        for action in actions {
            let (pack, name) = split(&action.name);
            catalogue.packs.insert(pack.to_owned());
            let texts = [name, &action.title].into_iter().chain(action.search_terms.iter().map(String::as_str));
            for words in texts.map(words) {
                for word in words.into_iter().filter(Word::is_content) {
                    catalogue.stems.insert(word.stem);
                    catalogue.written.insert(word.text);
                }
            }
        }
        catalogue.written.extend(catalogue.packs.iter().cloned());
        catalogue
    }

    /// Whether a stem stands anywhere.
    pub fn knows(&self, stem: &str) -> bool {
        self.known.contains_key(stem)
    }

    /// Whether a stem is that of one word in a name, a title or a search term.
    pub fn has_written(&self, stem: &str) -> bool {
        self.stems.contains(stem)
    }

    /// Whether a word is the name of a pack, or a form of it that only adds to it (`postgresql`).
    pub fn is_pack(&self, text: &str) -> bool {
        let is_form = |pack: &String| pack.len() >= SHORTEST_CORRECTED && text.starts_with(pack.as_str());
        self.packs.contains(text) || self.packs.iter().any(is_form)
    }

    /// What share of actions is without a stem: near 1 for a word of one action, near 0 for a word of all.
    pub fn rarity(&self, stem: &str) -> f64 {
        1.0 - f64::from(self.actions_with(stem)) / (self.size() + UNSEEN)
    }

    /// What a stem weighs in the order of actions, from 0 for a word of all to 1 for a word of none.
    pub fn weight(&self, stem: &str) -> f64 {
        let with = f64::from(self.actions_with(stem));
        let all = self.size() + UNSEEN + 1.0;
        (all / (with + 1.0)).ln() / all.ln()
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of actions is small")]
    fn size(&self) -> f64 {
        self.entries.len() as f64
    }

    fn actions_with(&self, stem: &str) -> u32 {
        match self.known.get(stem) {
            Some((0, all)) => *all,
            Some((strong, _)) => *strong,
            None => 0,
        }
    }

    /// The word of the actions' names, titles and search terms that was probably meant: the nearest, of equals the first in
    /// the alphabet.
    pub fn nearest(&self, text: &str) -> Option<&str> {
        let length = text.chars().count();
        if length > LONGEST_CORRECTED {
            return None;
        }
        self.written
            .iter()
            .filter(|known| begins_alike(text, known))
            .filter_map(|known| Some((mistakes(text, known)?, known)))
            .min()
            .map(|(_, known)| known.as_str())
    }
}

fn entry(action: &OfferedAction) -> Entry<'_> {
    let mut entry =
        Entry { action, phrases: Vec::new(), orders: BTreeSet::new(), title: BTreeSet::new(), fields: HashMap::new() };
    let name = words(split(&action.name).1);
    entry.note_order(&name, Field::Name);
    entry.put(&name, Field::Name);
    let terms = action.search_terms.iter().map(|term| (term.as_str(), Field::Term));
    let situations = action.examples.iter().map(|example| (example.situation.as_str(), Field::Example));
    for (text, field) in [(action.title.as_str(), Field::Title)].into_iter().chain(terms).chain(situations) {
        let words = words(text);
        entry.note_order(&words, field);
        entry.put(&words, field);
        if field == Field::Title {
            entry.title = words.iter().filter(|word| !word.is_stop()).map(|word| word.stem.clone()).collect();
        }
        entry.phrases.push(Phrase { text, words, field });
    }
    for param in &action.params {
        entry.put(&words(&param.name), Field::Argument);
    }
    entry.put(&words(&action.description), Field::Description);
    entry.put(&words(&action.side_effects), Field::Description);
    entry
}

/// Whether words begin with those of a phrase.
pub fn begin_with(words: &[Word], phrase: &[Word], alike: impl Fn(&Word, &Word) -> bool) -> bool {
    words.len() >= phrase.len() && words.iter().zip(phrase).all(|(a, b)| alike(a, b))
}

fn split(name: &str) -> (&str, &str) {
    name.split_once('.').unwrap_or(("", name))
}

/// People seldom miss the first letter, unless they swap it with the second.
fn begins_alike(text: &str, known: &str) -> bool {
    let (mut a, mut b) = (text.chars(), known.chars());
    let (a, b) = ((a.next(), a.next()), (b.next(), b.next()));
    a.0 == b.0 || (a.0 == b.1 && a.1 == b.0)
}

/// How many letters are too many, missing, wrong or swapped, if that may be a slip. In a short word a letter that the other
/// doesn't have is no slip: that is how other words come about (`stock`, `stuck`). To swap two or double the wrong one is.
fn mistakes(text: &str, known: &str) -> Option<usize> {
    let (a, b) = (text.chars().count(), known.chars().count());
    if a.min(b) < SHORTEST_CORRECTED || a.abs_diff(b) > 2 {
        return None;
    }
    let distance = strsim::damerau_levenshtein(text, known);
    let allowed = match a.min(b) {
        0..9 => 1,
        _ => 2,
    };
    let same_letters = || {
        let letters = |word: &str| word.chars().collect::<BTreeSet<char>>();
        letters(text) == letters(known)
    };
    (distance <= allowed && (a.min(b) > 6 || a != b || same_letters())).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_mended_and_words_are_not() {
        for (slip, meant) in [
            ("replcation", "replication"),
            ("repliaction", "replication"),
            ("vaccum", "vacuum"),
            ("idnex", "index"),
            ("indexs", "index"),
            ("conections", "connections"),
        ] {
            assert!(begins_alike(slip, meant) && mistakes(slip, meant).is_some(), "{slip}");
        }
        for (word, other) in
            [("stock", "stuck"), ("lock", "locks"), ("table", "cable"), ("vacation", "vacuum"), ("plane", "planner")]
        {
            assert!(!begins_alike(word, other) || mistakes(word, other).is_none(), "{word}");
        }
    }
}
