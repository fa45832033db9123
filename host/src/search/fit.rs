//! Which actions fit a query, and how well.
//!
//! An action fits if it is about more than half of what was said: of the words that say something, each weighed by how few
//! actions have it. A word that no action has counts in full against all of them; that is how "lock the front door" finds
//! nothing. Long messages talk about more than what is wrong, so one sentence that an action fits is enough if it has two of
//! its words, and so is a whole search term that was said in other company.

use std::collections::BTreeMap;

use super::{
    Found,
    catalogue::{Catalogue, Entry, Field, Phrase, begin_with},
    commands::{self, Orders},
    english::stem,
    words::{Query, Word},
};

/// What part of the words' weight must be an action's own.
const ENOUGH: f64 = 0.55;
/// The same where every word of a search term was said.
const ENOUGH_BESIDE_TERM: f64 = 0.4;
/// The same where a search term or an example of three words or more was said word for word.
const ENOUGH_BESIDE_QUOTE: f64 = 0.2;
/// And of the whole message, where one sentence fits.
const ENOUGH_OF_ALL: f64 = 0.2;
/// What is found must be at least so good as this part of the best.
const WORTH_TELLING: f64 = 0.4;
/// What a word counts whose spelling was corrected.
const CORRECTED: f64 = 0.85;
/// So many unknown words are looked at for slips, each against every known word; in a message with more of them, slips are
/// not what makes it hard to understand.
const MOST_LOOKED_AT: usize = 16;

/// A word of the query that says something.
struct Asked {
    /// As it was written.
    text: String,
    stem: String,
    /// The stem of the word that it makes up with the one before or after it.
    also: Option<String>,
    /// The known word that it was taken for.
    spelled: Option<String>,
    sentence: usize,
    /// Against its being another action's: how much it counts in what was said.
    says: f64,
    /// How much it counts in the order.
    weight: f64,
}

/// The actions that fit, in no order.
pub fn fitting(query: &Query, catalogue: &Catalogue<'_>) -> Vec<Found> {
    let words = joined(&query.words, catalogue);
    let Orders { foreign, verbs } = commands::orders(&words, catalogue);
    let asked = asked(&words, &foreign, catalogue);
    let mut found: Vec<Found> = catalogue
        .entries
        .iter()
        .filter_map(|entry| Fit::of(entry, query, &words, &verbs, &asked).found(&asked))
        .collect();
    let best = found.iter().map(|found| found.score).fold(0.0, f64::max);
    found.retain(|found| found.score >= best * WORTH_TELLING);
    found
}

/// "auto vacuum" may be meant as "autovacuum" where that is a word.
fn joined(words: &[Word], catalogue: &Catalogue<'_>) -> Vec<Word> {
    let mut found: Vec<Word> = words.to_vec();
    for at in 1..found.len() {
        let Some([before, after]) = found.get_mut(at - 1..=at) else { continue };
        let both = stem(&[before.text.as_str(), after.text.as_str()].concat());
        if !catalogue.has_written(&both) {
            continue;
        }
        if before.is_stop() && after.is_stop() {
            before.text.push_str(&after.text);
            before.stem = both;
        } else {
            before.also = Some(both.clone());
            after.also = Some(both);
        }
    }
    found
}

fn asked(words: &[Word], foreign: &[bool], catalogue: &Catalogue<'_>) -> Vec<Asked> {
    let mut asked: Vec<Asked> = Vec::new();
    let mut looked_at = 0;
    for (word, foreign) in words.iter().zip(foreign) {
        let is_said = asked.iter().any(|asked| asked.text == word.text);
        if word.is_stop() || catalogue.is_pack(&word.text) || is_said {
            continue;
        }
        let (mut stem, mut also) = (word.stem.clone(), word.also.clone());
        let mut spelled = None;
        if *foreign {
            // The words of an order that nobody carries out are nobody's.
            (stem, also) = (String::new(), None);
        } else if let (Some(both), false) = (&also, catalogue.knows(&stem)) {
            stem.clone_from(both);
        } else if !catalogue.knows(&stem) {
            if word.is_object() || !word.is_content() {
                continue;
            }
            looked_at += 1;
            let nearest = if looked_at > MOST_LOOKED_AT { None } else { catalogue.nearest(&word.text) };
            if let Some(known) = nearest {
                if catalogue.is_pack(known) {
                    continue;
                }
                stem = super::english::stem(known);
                spelled = Some(known.to_owned());
            }
        }
        if !stem.is_empty() && asked.iter().any(|asked| asked.stem == stem) {
            continue;
        }
        let says = if word.is_content() { catalogue.rarity(&stem) } else { 0.0 };
        let weight = catalogue.weight(&stem);
        asked.push(Asked { text: word.text.clone(), stem, also, spelled, sentence: word.sentence, says, weight });
    }
    asked
}

/// How an action fits.
struct Fit<'a> {
    entry: &'a Entry<'a>,
    /// The query has its name, as it is written.
    named: bool,
    /// The query orders what it does.
    ordered: bool,
    /// For each asked word where the action has it.
    at: Vec<Option<Field>>,
    /// Search terms and examples of which every word was said.
    said: Vec<Said<'a>>,
}

/// A search term or an example of which every word was said.
struct Said<'a> {
    phrase: &'a Phrase<'a>,
    /// Word for word, with its stop words.
    verbatim: bool,
    /// How many of its words count.
    content: usize,
}

impl<'a> Said<'a> {
    fn of(phrase: &'a Phrase<'a>, words: &[Word], asked: &[Asked]) -> Option<Self> {
        let verbatim = phrase.words.len() > 1 && contains(words, &phrase.words);
        let asked_as = |word: &Word| asked.iter().find(|asked| asked.stems().any(|stem| stem == word.stem));
        let mut said = phrase.words.iter().filter(|word| word.is_content()).map(asked_as).peekable();
        let whole = said.peek().is_some() && said.all(|asked| asked.is_some());
        let content = phrase.words.iter().filter_map(asked_as).filter(|asked| asked.says > 0.0).count();
        (verbatim || whole).then_some(Self { phrase, verbatim, content })
    }

    /// It is of words of talk alone ("is it up"), so no word of it was counted.
    fn is_uncounted(&self) -> bool {
        self.content == 0
    }

    fn kind(&self) -> &'static str {
        match self.phrase.field {
            Field::Term => "term",
            field => field.as_str(),
        }
    }

    /// It says more than its words do.
    fn is_telling(&self) -> bool {
        self.enough() < ENOUGH || self.is_uncounted()
    }

    /// How much of the words' weight must be the action's own beside it. A term of one word says no more than the word.
    fn enough(&self) -> f64 {
        match (self.phrase.field, self.verbatim, self.phrase.words.len(), self.content) {
            (_, true, 3.., 1..) => ENOUGH_BESIDE_QUOTE,
            (Field::Term, true, ..) | (Field::Term, false, _, 2..) => ENOUGH_BESIDE_TERM,
            _ => ENOUGH,
        }
    }
}

impl<'a> Fit<'a> {
    fn of(entry: &'a Entry<'a>, query: &Query, words: &[Word], verbs: &[String], asked: &[Asked]) -> Self {
        let ordered = verbs.iter().any(|verb| entry.orders.contains(verb));
        let at: Vec<Option<Field>> =
            asked.iter().map(|asked| asked.stems().filter_map(|stem| entry.field(stem)).min()).collect();
        let said = entry.phrases.iter().filter_map(|phrase| Said::of(phrase, words, asked)).collect();
        Self { entry, named: query.names(&entry.action.name), ordered, at, said }
    }

    fn found(&self, asked: &[Asked]) -> Option<Found> {
        self.fits(asked).then(|| Found {
            name: self.entry.action.name.clone(),
            score: (self.score(asked) * 1000.0).round() / 1000.0,
            why: self.why(asked),
        })
    }

    /// How much of these words' weight is the action's own.
    fn share(&self, asked: &[Asked], among: impl Fn(&Asked) -> bool) -> f64 {
        // Words of talk weigh nothing by themselves, and as much as one word where they are a whole term.
        let uncounted = f64::from(u8::from(self.said.iter().any(Said::is_uncounted)));
        let (mut own, mut all) = (uncounted, uncounted);
        for (asked, at) in asked.iter().zip(&self.at).filter(|(asked, _)| among(asked)) {
            all += asked.says;
            own += asked.says * asked.credit() * at.map_or(0.0, share_of);
        }
        if all > 0.0 { own / all } else { 0.0 }
    }

    fn fits(&self, asked: &[Asked]) -> bool {
        if self.named {
            return true;
        }
        let strong = asked.iter().zip(&self.at).any(|(asked, at)| asked.says > 0.0 && at.is_some_and(Field::is_strong));
        let examples =
            asked.iter().zip(&self.at).filter(|(asked, at)| asked.says > 0.0 && **at == Some(Field::Example));
        if !(strong || self.said.iter().any(|said| said.verbatim) || examples.count() > 1) {
            return false;
        }
        let all = self.share(asked, |_| true);
        if all >= self.said.iter().map(Said::enough).fold(ENOUGH, f64::min) {
            return true;
        }
        let mut by_sentence: BTreeMap<usize, usize> = BTreeMap::new();
        for (asked, at) in asked.iter().zip(&self.at) {
            *by_sentence.entry(asked.sentence).or_default() += usize::from(asked.says > 0.0 && at.is_some());
        }
        all >= ENOUGH_OF_ALL
            && by_sentence
                .iter()
                .any(|(sentence, own)| *own > 1 && self.share(asked, |asked| asked.sentence == *sentence) >= ENOUGH)
    }

    fn score(&self, asked: &[Asked]) -> f64 {
        let all: f64 = asked.iter().map(|asked| asked.weight).sum();
        let own: f64 = asked
            .iter()
            .zip(&self.at)
            .map(|(asked, at)| asked.weight * asked.credit() * at.map_or(0.0, weight_of))
            .sum();
        let words = if all > 0.0 { own / all } else { 0.0 };
        let said = self.said.iter().map(|said| bonus(said, asked)).fold(0.0, f64::max);
        words
            + said
            + 0.15 * self.title_share(asked)
            + f64::from(u8::from(self.named))
            + if self.ordered { 0.3 } else { 0.0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "a title has few words")]
    fn title_share(&self, asked: &[Asked]) -> f64 {
        let said = asked.iter().filter(|asked| self.entry.title.contains(&asked.stem)).count();
        said as f64 / self.entry.title.len().max(1) as f64
    }

    fn why(&self, asked: &[Asked]) -> Vec<String> {
        let mut by_field: BTreeMap<Field, Vec<&str>> = BTreeMap::new();
        for (asked, at) in asked.iter().zip(&self.at) {
            if let Some(field) = at {
                by_field.entry(*field).or_default().push(asked.spelled.as_deref().unwrap_or(&asked.text));
            }
        }
        let mut why: Vec<String> =
            by_field.into_iter().map(|(field, words)| format!("{}: {}", field.as_str(), words.join(", "))).collect();
        why.extend(
            self.said
                .iter()
                .filter(|said| said.is_telling())
                .map(|said| format!("{}: {}", said.kind(), said.phrase.text)),
        );
        let own = asked.iter().zip(&self.at).filter(|(_, at)| at.is_some());
        why.extend(
            own.filter_map(|(asked, _)| Some(format!("`{}` spelled like `{}`", asked.text, asked.spelled.as_ref()?))),
        );
        why
    }
}

impl Asked {
    fn stems(&self) -> impl Iterator<Item = &str> {
        [Some(self.stem.as_str()), self.also.as_deref()].into_iter().flatten()
    }

    fn credit(&self) -> f64 {
        if self.spelled.is_some() { CORRECTED } else { 1.0 }
    }
}

/// How much a word's place makes it the action's own.
fn share_of(field: Field) -> f64 {
    match field {
        Field::Name | Field::Title | Field::Term => 1.0,
        Field::Example => 0.8,
        Field::Argument | Field::Description => 0.5,
    }
}

/// How much a word's place weighs in the order.
fn weight_of(field: Field) -> f64 {
    match field {
        Field::Name | Field::Title => 1.0,
        Field::Term => 0.8,
        Field::Example => 0.6,
        Field::Argument | Field::Description => 0.25,
    }
}

/// What it adds that a phrase was said as a whole: the more of the query it is.
fn bonus(said: &Said<'_>, asked: &[Asked]) -> f64 {
    let most = if said.phrase.field == Field::Term { 0.5 } else { 0.3 };
    let quoted = if said.verbatim { 0.2 } else { 0.0 };
    let all: f64 = asked.iter().map(|asked| asked.weight).sum();
    let is_own = |asked: &&Asked| said.phrase.words.iter().any(|word| word.stem == asked.stem);
    let own: f64 = asked.iter().filter(is_own).map(|asked| asked.weight).sum();
    quoted + if all > 0.0 { most * own / all } else { most }
}

fn contains(words: &[Word], phrase: &[Word]) -> bool {
    (0..words.len()).any(|at| words.get(at..).is_some_and(|rest| begin_with(rest, phrase, |a, b| a.stem == b.stem)))
}
