//! In which texts of which action a word stands, and how rare it is among the actions.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::words::{Word, words};
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
    /// A search term or an example's situation.
    pub field: Field,
}

/// An action's texts.
pub struct Entry<'a> {
    /// The action.
    pub action: &'a OfferedAction,
    /// Search terms and examples.
    pub phrases: Vec<Phrase<'a>>,
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
    /// First words of the names, titles, search terms and examples of actions that do more than read.
    orders: BTreeSet<String>,
    /// Names of packs: everything of a pack has its name.
    packs: BTreeSet<String>,
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
            orders: BTreeSet::new(),
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
            if !action.reads_only {
                let asked = action.examples.iter().filter_map(|example| words(&example.situation).into_iter().next());
                catalogue.orders.extend(asked.map(|word| word.text));
            }
            for words in texts.map(words) {
                if !action.reads_only {
                    catalogue.orders.extend(words.first().map(|word| word.text.clone()));
                }
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

    /// Whether words that begin with an order's verb are known: an action that does more than read begins its name, its title,
    /// a search term or an example with the verb, or they begin with a search term and are no order ("open connections").
    pub fn knows_order(&self, words: &[Word]) -> bool {
        let terms =
            || self.entries.iter().flat_map(|entry| &entry.phrases).filter(|phrase| phrase.field == Field::Term);
        words.first().is_some_and(|verb| self.orders.contains(&verb.text))
            || terms().any(|term| term.words.len() > 1 && begin_with(words, &term.words, |a, b| a.text == b.text))
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
    let mut entry = Entry { action, phrases: Vec::new(), title: BTreeSet::new(), fields: HashMap::new() };
    let title = words(&action.title);
    entry.put(&words(split(&action.name).1), Field::Name);
    entry.put(&title, Field::Title);
    entry.title = title.into_iter().filter(|word| !word.is_stop()).map(|word| word.stem).collect();
    let situations = action.examples.iter().map(|example| (example.situation.as_str(), Field::Example));
    for (text, field) in action.search_terms.iter().map(|term| (term.as_str(), Field::Term)).chain(situations) {
        let words = words(text);
        entry.put(&words, field);
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
