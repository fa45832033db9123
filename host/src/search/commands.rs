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

/// For each word whether it is part of an order that nobody carries out. `is_ours` is given the words from an order's verb on
/// and tells whether they are something that an action does or is about.
pub fn foreign(words: &[Word], is_ours: impl Fn(&[Word]) -> bool) -> Vec<bool> {
    let mut foreign = Vec::with_capacity(words.len());
    for clause in words.chunk_by(|a, b| a.clause == b.clause) {
        let ordered = order(clause).is_some_and(|order| !is_ours(order));
        foreign.resize(foreign.len() + clause.len(), ordered);
    }
    foreign
}

/// From the verb on, if the part of a sentence is an order.
fn order(clause: &[Word]) -> Option<&[Word]> {
    let at = clause.iter().position(|word| !BEFORE.contains(&word.text.as_str()))?;
    let order = clause.get(at..)?;
    let (verb, rest) = order.split_first()?;
    let next = rest.first()?;
    let is_verb = CHANGES.contains(&verb.text.as_str()) && !verb.of_name;
    (is_verb && !AFTER_A_NOUN.contains(&next.text.as_str()) && !states(rest)).then_some(order)
}

fn states(rest: &[Word]) -> bool {
    let main = rest.iter().take_while(|word| !SUBORDINATE.contains(&word.text.as_str()));
    let last = rest.last().is_some_and(|word| STATES_AT_END.contains(&word.text.as_str()));
    last || main.into_iter().any(|word| STATES.contains(&word.text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::{super::words::words, *};

    fn ordered(text: &str) -> Option<String> {
        let words = words(text);
        words.chunk_by(|a, b| a.clause == b.clause).find_map(order).map(|order| order[0].text.clone())
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
        ] {
            assert_eq!(ordered(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_part_with_the_order_counts_against() {
        let words = words("locks everywhere, drop the table");
        assert_eq!(foreign(&words, |_| false), [false, false, true, true, true]);
        assert_eq!(foreign(&words, |order| order[0].text == "drop"), [false; 5]);
    }
}
