//! Cuts text into words, and a query into the words that say what is wrong.

use super::english::{is_place, is_stop, stem};

/// A word as it was written, in lower case and without apostrophes, and its stem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As it was written.
    pub text: String,
    /// What its forms have in common.
    pub stem: String,
    /// The stem of what it makes up with a neighbour ("dead lock").
    pub also: Option<String>,
    /// Counts up at the end of each sentence.
    pub sentence: usize,
    /// Counts up at the end of each part of a sentence, too.
    pub clause: usize,
    /// It is a part of what is written as a name (`orders_pkey`, `public.orders`).
    pub of_name: bool,
}

impl Word {
    /// It may say what is wrong: it is neither a word of grammar or talk, nor a place.
    pub fn is_content(&self) -> bool {
        !is_stop(&self.text) && !is_place(&self.text)
    }

    /// It joins others, or everybody says it.
    pub fn is_stop(&self) -> bool {
        is_stop(&self.text)
    }

    /// It says on what or how much rather than what: a number, or a part of a name.
    pub fn is_object(&self) -> bool {
        self.of_name || self.text.chars().any(char::is_numeric)
    }
}

/// What somebody asks, as words in order.
#[derive(Debug, Default)]
pub struct Query {
    /// All of them, stop words too.
    pub words: Vec<Word>,
    /// What is written as a name, whole.
    names: Vec<String>,
}

impl Query {
    /// Reads so many characters at most.
    pub fn read(text: &str, longest: usize) -> Self {
        let text: String = text.chars().take(longest).collect();
        let lower = text.to_lowercase();
        let bare = lower.split_whitespace().map(|chunk| chunk.trim_matches(|c: char| !c.is_alphanumeric()));
        Self { words: words(&text), names: bare.filter(|chunk| is_name(chunk)).map(str::to_owned).collect() }
    }

    /// Whether it has an action's name, with or without the pack's. A name of one word without the pack's is just a word.
    pub fn names(&self, action: &str) -> bool {
        self.names.iter().any(|name| name == action || action.split_once('.').is_some_and(|(_, bare)| name == bare))
    }
}

/// Words that begin another part of a sentence.
const JOINTS: &[&str] = &["and", "then", "but", "so", "because"];

/// The words of a text, in order.
pub fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    let (mut sentence, mut clause) = (0, 0);
    for chunk in text.to_lowercase().split_whitespace() {
        let of_name = is_name(chunk);
        let bare: String = chunk.chars().filter(|c| !matches!(c, '\'' | '’')).collect();
        let whole = bare.trim_matches(|c: char| !c.is_alphanumeric());
        if JOINTS.contains(&whole) {
            clause += 1;
        }
        let possessive = chunk.trim_matches(|c: char| !c.is_alphanumeric());
        let owner = possessive.strip_suffix("'s").or_else(|| possessive.strip_suffix("’s")).filter(|o| !is_stop(o));
        for part in owner.unwrap_or(&bare).split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
            found.push(Word { text: part.to_owned(), stem: stem(part), also: None, sentence, clause, of_name });
        }
        let end = chunk.trim_end_matches(['"', '\'', ')', ']', '`']);
        if end.ends_with(['.', '!', '?', ';', '。', '？', '！']) {
            sentence += 1;
            clause += 1;
        } else if end.ends_with([',', ':']) || chunk == "-" {
            clause += 1;
        }
    }
    found
}

/// Whether it is written as programs write names: a dot or an underscore between letters or digits.
fn is_name(chunk: &str) -> bool {
    let (mut before, mut joint) = (false, false);
    for letter in chunk.chars() {
        if letter.is_alphanumeric() {
            if joint {
                return true;
            }
            before = true;
        } else {
            joint = before && matches!(letter, '.' | '_');
            before = false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn text_is_cut_at_what_is_no_letter() {
        assert_eq!(texts("Locks?!"), ["locks"]);
        assert_eq!(texts("what's idle_in_transaction (95%)"), ["whats", "idle", "in", "transaction", "95"]);
        assert_eq!(texts("the replica's disk doesn’t grow"), ["the", "replica", "disk", "doesnt", "grow"]);
        assert_eq!(texts("  \u{0} \u{202e} ' . "), Vec::<String>::new());
    }

    #[test]
    fn names_are_told_from_words() {
        let of_name = |text: &str| words(text).iter().map(|word| word.of_name).collect::<Vec<_>>();
        assert_eq!(of_name("reindex public.orders_pkey now."), [false, true, true, true, false]);
    }

    #[test]
    fn sentences_end_where_their_stops_are() {
        let at = |text: &str| words(text).iter().map(|word| (word.sentence, word.clause)).collect::<Vec<_>>();
        assert_eq!(at("slow! why, db"), [(0, 0), (1, 1), (1, 2)]);
        assert_eq!(at("10.0.0.7 hangs"), [(0, 0); 5]);
        assert_eq!(at("slow and full"), [(0, 0), (0, 1), (0, 1)]);
    }
}
