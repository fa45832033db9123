//! The English that the search knows: words that say nothing about what is wrong, and the stems of the others.

use std::{collections::HashSet, sync::LazyLock};

/// Words that join others, or that anybody on call says whatever is wrong. Without apostrophes.
#[rustfmt::skip]
const STOP: &[&str] = &[
    // Grammar.
    "a", "about", "after", "again", "ago", "all", "almost", "already", "also", "although", "always", "am", "an",
    "and", "another", "any", "anybody", "anyone", "anything", "are", "arent", "around", "as", "at", "be", "became",
    "because", "become", "becomes", "been", "before", "being", "below", "both", "but", "by", "can", "cannot", "cant",
    "come", "comes", "could", "couldnt", "d", "did", "didnt", "do", "does", "doesnt", "doing", "due", "done", "dont", "down",
    "during", "each", "either", "else", "enough", "etc", "even", "ever", "every", "everybody", "everyone",
    "everything", "everywhere", "few", "for", "from", "get", "gets", "getting", "go", "goes", "going", "gone", "got",
    "had", "has", "hasnt", "have", "havent", "having", "he", "her", "here", "hers", "him", "his", "how", "i", "id",
    "if", "im", "in", "inside", "instead", "into", "is", "isnt", "it", "its", "ive", "just", "keep", "keeps", "kept",
    "let", "lets", "like", "ll", "lot", "lots", "m", "made", "make", "makes", "many", "may", "maybe", "me", "might",
    "more", "most", "much", "must", "my", "myself", "neither", "never", "no", "nobody", "none", "not", "nothing",
    "now", "of", "off", "on", "once", "one", "only", "onto", "or", "other", "others", "our", "ours", "out", "over",
    "own", "per", "quite", "rather", "re", "really", "s", "same", "several", "shall", "she", "should", "simply",
    "since", "so", "some", "somebody", "somehow", "someone", "something", "still", "such", "t", "than", "that",
    "thats", "the", "their", "them", "then", "there", "theres", "these", "they", "theyre", "thing", "things", "this",
    "those", "though", "through", "to", "together", "too", "towards", "under", "until", "up", "us", "ve", "very",
    "via", "was", "wasnt", "way", "we", "well", "went", "were", "what", "whatever", "whats", "when", "where",
    "whether", "which", "while", "who", "whole", "whom", "whos", "whose", "why", "will", "with", "within", "without",
    "wont", "would", "wouldnt", "yet", "you", "your", "yours",
    // Asking, and being polite.
    "able", "ask", "asks", "believe", "check", "detail", "details", "explain", "figure", "find", "fix", "give",
    "guess", "happen", "happened", "happening", "happens", "hear", "heard", "hello", "help", "hey", "hi", "info",
    "information", "investigate", "know", "list", "look", "looking", "looks", "mean", "means", "need", "needs",
    "notice", "noticed", "ok", "okay", "overview", "perhaps", "please", "pls", "plz", "possible", "possibly",
    "probably", "quick", "quickly", "said", "saw", "say", "says", "see", "seeing", "seem", "seems", "show", "solve",
    "sorry", "status", "sure", "suspect", "tell", "thank", "thanks", "think", "thx", "understand", "use", "uses",
    "using", "want", "wonder", "wondering", "yes",
    // Being on call.
    "deploy", "deployed", "deployment", "deployments", "release", "released", "releases", "rollout", "error",
    "errors", "log", "logs", "logged", "high", "higher", "low", "lower", "detected", "page", "pages", "site", "website", "half", "part", "parts", "rid",
    "afternoon", "alert", "alerts", "app", "application", "applications", "apps", "asap", "bad", "badly", "complain",
    "complained", "complaining", "complains", "constantly", "current", "currently", "customer", "customers",
    "dashboard", "day", "days", "earlier", "evening", "first", "friday", "grafana", "graph", "graphs", "guys", "hour",
    "hours", "incident", "issue", "issues", "last", "lately", "later", "lunch", "midnight", "min", "mins", "minute",
    "minutes", "moment", "monday", "monitoring", "month", "months", "morning", "ms", "new", "next", "night", "noon",
    "often", "oncall", "outage", "paged", "pager", "people", "person", "problem", "problems", "prod", "production",
    "recent", "recently", "report", "reported", "reporting", "reports", "right", "saturday", "sec", "second",
    "seconds", "secs", "service", "services", "side", "sometimes", "soon", "strange", "sudden", "suddenly", "sunday",
    "team", "thursday", "time", "times", "today", "tomorrow", "tonight", "trouble", "tuesday", "urgent", "urgently",
    "user", "users", "wednesday", "week", "weekend", "weeks", "weird", "wrong", "year", "years", "yesterday",
];

/// Where it is wrong rather than what: they help to order what was found, and nothing is found by them.
const PLACE: &[&str] =
    &["database", "databases", "db", "dbs", "server", "servers", "host", "instance", "system", "machine"];

/// Forms that no rule brings together.
const IRREGULAR: &[(&str, &str)] = &[
    ("ate", "eat"),
    ("began", "begin"),
    ("broke", "break"),
    ("broken", "break"),
    ("built", "build"),
    ("eaten", "eat"),
    ("fell", "fall"),
    ("fallen", "fall"),
    ("froze", "freeze"),
    ("frozen", "freeze"),
    ("grew", "grow"),
    ("grown", "grow"),
    ("growth", "grow"),
    ("held", "hold"),
    ("hung", "hang"),
    ("indices", "index"),
    ("left", "leave"),
    ("lost", "lose"),
    ("ran", "run"),
    ("rose", "rise"),
    ("sent", "send"),
    ("slept", "sleep"),
    ("spent", "spend"),
    ("taken", "take"),
    ("took", "take"),
    ("written", "write"),
    ("wrote", "write"),
];

/// Whether a word says nothing about what is wrong.
pub fn is_stop(word: &str) -> bool {
    static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| STOP.iter().copied().collect());
    WORDS.contains(word)
}

/// Whether a word only says where.
pub fn is_place(word: &str) -> bool {
    PLACE.contains(&word)
}

/// What the forms of a word have in common: without plural, -ing and -ed, a doubled letter or an e at the end. It need not be
/// a word. What isn't lower-case ASCII stays as it is.
pub fn stem(word: &str) -> String {
    if let Some((_, base)) = IRREGULAR.iter().find(|(form, _)| *form == word) {
        return stem(base);
    }
    if word.len() < 3 || !word.bytes().all(|b| b.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let singular = singular(word);
    let base = without_ending(&singular);
    even(base)
}

fn singular(word: &str) -> String {
    if let Some(root) = word.strip_suffix("ies").or_else(|| word.strip_suffix("ied"))
        && root.len() >= 2
    {
        return format!("{root}y");
    }
    let hissing = ["sses", "xes", "ches", "shes", "zzes"];
    if hissing.iter().any(|ending| word.ends_with(ending)) {
        return word.strip_suffix("es").unwrap_or(word).to_owned();
    }
    match word.strip_suffix('s') {
        Some(root) if root.len() >= 3 && !root.ends_with(['s', 'u', 'i']) => root.to_owned(),
        _ => word.to_owned(),
    }
}

fn without_ending(word: &str) -> &str {
    let has_vowel = |root: &str| root.bytes().any(|b| b"aeiouy".contains(&b));
    for (ending, shortest) in [("ing", 3), ("ed", 3), ("ly", 4)] {
        if let Some(root) = word.strip_suffix(ending)
            && root.len() >= shortest
            && has_vowel(root)
        {
            return root;
        }
    }
    word
}

/// `running` and `run`, `caching` and `cache`, `killed` and `kill` end alike.
fn even(base: &str) -> String {
    let base = base.strip_suffix('e').filter(|root| root.len() >= 3).unwrap_or(base);
    let bytes = base.as_bytes();
    match bytes {
        [.., a, b] if a == b && bytes.len() > 3 && !b"aeiou".contains(b) => {
            base.get(..base.len() - 1).unwrap_or(base).to_owned()
        }
        _ => base.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for forms in [
            &["lock", "locks", "locked", "locking"][..],
            &["query", "queries", "queried"],
            &["index", "indexes", "indices"],
            &["run", "running", "ran"],
            &["kill", "kills", "killed", "killing"],
            &["fill", "filled", "filling"],
            &["cache", "caches", "caching", "cached"],
            &["table", "tables"],
            &["hang", "hangs", "hanging", "hung"],
            &["slow", "slowly", "slowing"],
            &["process", "processes"],
            &["drop", "drops", "dropped", "dropping"],
        ] {
            let stems: Vec<String> = forms.iter().map(|form| stem(form)).collect();
            assert!(stems.iter().all(|s| *s == stems[0]), "{forms:?}: {stems:?}");
        }
    }

    #[test]
    fn words_that_are_not_the_same_keep_apart() {
        for (one, other) in [("string", "str"), ("bed", "b"), ("status", "statu"), ("king", "k"), ("user", "use")] {
            assert_ne!(stem(one), stem(other));
        }
        assert_eq!(stem("größe"), "größe");
        assert_eq!(stem(""), "");
    }
}
