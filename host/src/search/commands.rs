//! What a query asks to be done, as far as no action does it.
//!
//! "Create a user", "drop the customers table" and "restart nginx" have words in common with much of a catalogue and ask for
//! nothing in it. What gives them away is their grammar: a sentence, or a part of one, that begins with a verb which asks for
//! a change. An action that only reads changes nothing, so such a part fits only where an action that does more owns the
//! verb: its name, its title, a search term or an example begins with it. Otherwise its words count as words that nothing fits.

use super::words::Word;

/// Verbs that ask for something to be made, changed, moved or ended, in the form that orders it. English, of no field: a
/// pack that does what one says begins one of its texts with it.
#[rustfmt::skip]
const CHANGES: &[&str] = &[
    "abort", "add", "allow", "alter", "apply", "approve", "archive", "assign", "attach", "authorize", "back", "backup",
    "ban", "block", "book", "build", "bump", "buy", "call", "cancel", "change", "clear", "clone", "close", "commit",
    "configure", "convert", "copy", "create", "cut", "decrease", "delete", "deploy", "destroy", "detach", "disable",
    "disconnect", "downgrade", "download", "draw", "drop", "edit", "email", "empty", "enable", "encrypt", "end", "erase",
    "execute", "expand", "export", "fail", "failover", "flush", "forget", "format", "generate", "grant", "hire",
    "ignore", "import", "increase", "insert", "install", "interrupt", "invite", "kick", "kill", "launch", "lower",
    "mail", "merge", "migrate", "modify", "mount", "move", "open", "order", "overwrite", "patch", "pause", "pay", "play",
    "post", "print", "promote", "provision", "publish", "pull", "purchase", "purge", "push", "put", "raise", "reboot",
    "rebuild", "recreate", "refresh", "refund", "register", "reload", "remove", "rename", "renew", "replace",
    "reschedule", "reset", "resize", "restart", "restore", "resume", "revert", "revoke", "rewrite", "roll", "rollback",
    "rotate", "run", "save", "scale", "schedule", "sell", "send", "set", "shrink", "shut", "shutdown", "sign", "spin",
    "start", "stop", "store", "submit", "subscribe", "switch", "sync", "terminate", "transfer", "translate", "truncate",
    "turn", "undo", "uninstall", "unlock", "unsubscribe", "update", "upgrade", "upload", "wipe", ];

/// What may stand before an order's verb.
#[rustfmt::skip]
const BEFORE: &[&str] = &[
    "ahead", "also", "and", "but", "can", "could", "do", "first", "go", "have", "hello", "help", "hey", "hi", "how", "i",
    "id", "immediately", "just", "kindly", "let", "lets", "like", "me", "must", "need", "next", "now", "ok", "okay",
    "please", "pls", "plz", "quickly", "should", "simply", "so", "somebody", "someone", "then", "to", "try", "us",
    "want", "we", "will", "would", "you",
];

/// After a verb, these show that it is no order: "drop in throughput", "restart of the standby".
const AFTER_A_NOUN: &[&str] = &["after", "at", "before", "by", "during", "in", "of", "or", "since", "with"];

/// What has a part of a sentence say that something is so: then what stands before is no order ("create index is stuck").
#[rustfmt::skip]
const STATES: &[&str] = &[
    "are", "arent", "cannot", "cant", "did", "didnt", "does", "doesnt", "dont", "failed", "fails", "had", "hanging", "hangs",
    "has", "hung", "is", "isnt", "keeps", "never", "takes", "took", "was", "wasnt", "were", "wont",
];

/// At the end of a part of a sentence these say the same: "alter table stuck".
const STATES_AT_END: &[&str] = &["blocked", "failing", "running", "slow", "stuck", "waiting"];

/// After these another thought begins.
const SUBORDINATE: &[&str] =
    &["as", "because", "for", "if", "since", "so", "that", "when", "where", "which", "while", "who"];

/// Whether a word asks for a change.
pub fn is_change(verb: &str) -> bool {
    CHANGES.contains(&verb)
}

/// The orders of a query.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// For each word of the query whether it is part of an order that nobody carries out.
    pub foreign: Vec<bool>,
    /// The verbs of the others.
    pub verbs: Vec<String>,
}

/// What is said of the words of an order, from its verb on.
pub trait Known {
    /// An action that does more than read does what the verb says.
    fn is_done(&self, verb: &str) -> bool;
    /// The words begin with what an action is about, and are no order.
    fn is_term(&self, words: &[Word]) -> bool;
}

/// Finds the orders.
pub fn orders(words: &[Word], known: &impl Known) -> Orders {
    let mut orders = Orders::default();
    for clause in words.chunk_by(|a, b| a.clause == b.clause) {
        let found = order(clause, known);
        let is_foreign = found.is_some_and(|(verb, rest)| !known.is_done(&verb.text) || is_of_place(rest));
        if let (Some((verb, _)), false) = (found, is_foreign) {
            orders.verbs.push(verb.text.clone());
        }
        orders.foreign.resize(orders.foreign.len() + clause.len(), is_foreign);
    }
    orders
}

/// The verb and what follows it, if the part of a sentence is an order.
fn order<'a>(clause: &'a [Word], known: &impl Known) -> Option<(&'a Word, &'a [Word])> {
    let at = clause.iter().position(|word| !BEFORE.contains(&word.text.as_str()))?;
    let order = clause.get(at..)?;
    let (verb, rest) = order.split_first()?;
    let next = rest.first()?;
    let is_verb = !verb.of_name && (is_change(&verb.text) || known.is_done(&verb.text));
    let is_noun = AFTER_A_NOUN.contains(&next.text.as_str()) || states(rest) || known.is_term(order);
    (is_verb && !is_noun).then_some((verb, rest))
}

/// "Stop the server" orders something else than "stop the query on the server".
fn is_of_place(rest: &[Word]) -> bool {
    let mut of_weight = rest.iter().filter(|word| !word.is_stop() && !word.is_object()).peekable();
    of_weight.peek().is_some() && of_weight.all(|word| !word.is_content())
}

fn states(rest: &[Word]) -> bool {
    let main = rest.iter().take_while(|word| !SUBORDINATE.contains(&word.text.as_str()));
    let last = rest.last().is_some_and(|word| STATES_AT_END.contains(&word.text.as_str()));
    last || main.into_iter().any(|word| STATES.contains(&word.text.as_str()))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::{super::words::words, *};

    /// One action, which cancels queries.
    struct Cancels;

    impl Known for Cancels {
        fn is_done(&self, verb: &str) -> bool {
            verb == "cancel"
        }

        fn is_term(&self, words: &[Word]) -> bool {
            words[0].text == "open" && words[1].text == "connections"
        }
    }

    fn ordered(text: &str) -> Option<String> {
        let words = words(text);
        let mut clauses = words.chunk_by(|a, b| a.clause == b.clause);
        clauses.find_map(|clause| order(clause, &Cancels)).map(|(verb, _)| verb.text.clone())
    }

    #[test]
    fn an_order_begins_with_its_verb() {
        for (text, verb) in [
            ("create a user", "create"),
            ("please drop the customers table", "drop"),
            ("how do I restart nginx", "restart"),
            ("can you send an email that is short", "send"),
            ("everything is slow, restart the pods", "restart"),
            ("look at it and delete the rows", "delete"),
            ("we want to add a column", "add"),
        ] {
            assert_eq!(ordered(text).as_deref(), Some(verb), "{text}");
        }
    }

    #[test]
    fn what_is_so_is_no_order() {
        for text in [
            "create index is stuck",
            "drop in throughput",
            "which indexes could we drop",
            "did it restart?",
            "alter table stuck",
            "restart",
            "update takes forever",
            "the deploy broke it",
            "drop_orders",
            "open connections of the app",
        ] {
            assert_eq!(ordered(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_part_with_the_order_counts_against() {
        let found = orders(&words("locks everywhere, drop the table"), &Cancels);
        assert_eq!(found, Orders { foreign: vec![false, false, true, true, true], verbs: vec![] });
        let found = orders(&words("cancel the query"), &Cancels);
        assert_eq!(found, Orders { foreign: vec![false; 3], verbs: vec!["cancel".to_owned()] });
    }

    #[test]
    fn to_end_something_on_a_server_is_not_to_end_the_server() {
        let is_foreign = |text: &str| orders(&words(text), &Cancels).foreign.contains(&true);
        assert!(is_foreign("cancel the server"));
        assert!(!is_foreign("cancel the query on the server"));
        assert!(!is_foreign("cancel 4471"));
    }
}
