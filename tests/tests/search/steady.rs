//! The answer rests on the query and on what the actions say, and on nothing else.

use lockgate::{gate::call::OfferedAction, search::find};

use crate::{FIRST, bare, catalogue::stock_actions, held_out, phrases};

/// Every phrase of every table.
fn all() -> impl Iterator<Item = &'static str> {
    let fitting = phrases::FITTING.iter().chain(held_out::FITTING).map(|(phrase, _)| *phrase);
    fitting.chain(phrases::UNFITTING.iter().copied()).chain(held_out::UNFITTING.iter().copied())
}

#[test]
fn the_order_of_the_actions_does_not_matter() {
    let actions = stock_actions();
    let mut turned = actions.clone();
    turned.rotate_left(17);
    turned.swap(3, 40);
    let mut reversed = actions.clone();
    reversed.reverse();
    for phrase in all() {
        let found = find(phrase, &actions, FIRST);
        assert_eq!(found, find(phrase, &turned, FIRST), "{phrase}");
        assert_eq!(found, find(phrase, &reversed, FIRST), "{phrase}");
    }
}

#[test]
fn every_action_is_found_by_its_name_and_its_title() {
    let actions = stock_actions();
    for action in &actions {
        let first = |query: &str| find(query, &actions, 1).first().map(|found| found.name.clone());
        assert_eq!(first(&action.name).as_deref(), Some(action.name.as_str()));
        let five = find(&action.title, &actions, FIRST);
        assert!(five.iter().any(|found| found.name == action.name), "{}: {five:?}", action.title);
    }
}

#[test]
fn every_action_is_found_by_each_of_its_terms_and_examples() {
    let actions = stock_actions();
    for action in &actions {
        let situations = action.examples.iter().map(|example| &example.situation);
        for phrase in action.search_terms.iter().chain(situations) {
            let found = find(phrase, &actions, 2 * FIRST);
            assert!(found.iter().any(|found| found.name == action.name), "{}: {phrase}: {found:?}", action.name);
        }
    }
}

#[test]
fn every_action_has_a_phrase() {
    for action in stock_actions() {
        let name = action.name.split_once('.').map(|(_, name)| name.to_owned()).expect("a dot");
        let covered = phrases::FITTING.iter().any(|(_, right)| right.contains(&name.as_str()));
        assert!(covered, "no phrase is for {name}");
    }
    let mut seen: Vec<&str> = all().collect();
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count, "a phrase is there twice");
}

/// Actions of other packs that have nothing to do with the phrases.
fn unrelated() -> Vec<OfferedAction> {
    [
        ("mail", "bounce_rate", "Bounced letters", &["letters come back", "recipient mailbox quota"][..]),
        ("dns", "zone_transfer", "Zones of a name", &["nxdomain", "resolver latency", "delegation"]),
        ("cache", "evictions", "Evicted keys", &["eviction storm", "key expiry", "hit rate of the cache"]),
        ("web", "slow_routes", "Slow routes", &["slow pages", "route latency", "p99 of a route"]),
        ("queue", "consumers", "Consumers of a topic", &["consumer lag", "topic backlog", "poison message"]),
        ("pods", "evict", "Evict a pod", &["kill a pod", "drain a node", "crash loop"]),
    ]
    .into_iter()
    .map(|(pack, name, title, terms)| OfferedAction {
        name: format!("{pack}.{name}"),
        title: title.to_owned(),
        description: format!("{title}, over the last day, the most first. Look twice and compare."),
        search_terms: terms.iter().map(|&term| term.to_owned()).collect(),
        reads_only: name != "evict",
        params: Vec::new(),
        examples: Vec::new(),
        side_effects: String::new(),
        ..stock_actions().remove(0)
    })
    .collect()
}

#[test]
fn another_pack_pushes_no_right_answer_out() {
    let actions = stock_actions();
    let others = unrelated();
    for (at, (phrase, right)) in phrases::FITTING.iter().enumerate() {
        let mut more = actions.clone();
        // One of them, and all of them for every third phrase.
        more.extend(
            others.iter().enumerate().filter(|(i, _)| at % 3 == 0 || *i == at % others.len()).map(|(_, a)| a.clone()),
        );
        let found = find(phrase, &more, FIRST);
        assert!(found.iter().any(|found| right.contains(&bare(found))), "{phrase}: {found:?}");
    }
    let more: Vec<OfferedAction> = actions.into_iter().chain(others).collect();
    let found = find("kill a pod", &more, FIRST);
    assert_eq!(found.first().map(|found| found.name.as_str()), Some("pods.evict"));
}

#[test]
fn who_sees_less_finds_no_more() {
    // A word that only unseen actions have is a word that nobody has.
    let seen: Vec<OfferedAction> = stock_actions().into_iter().filter(|action| action.name.contains("index")).collect();
    for phrase in ["xid wraparound warning", "too many clients already", "kill the blocker", "replica is behind"] {
        assert_eq!(find(phrase, &seen, FIRST), [], "{phrase}");
    }
    assert!(!find("unused index", &seen, FIRST).is_empty());
}

#[test]
fn each_result_says_why() {
    let why = |query: &str| {
        let found = find(query, &stock_actions(), 1);
        found.first().map(|found| (found.name.clone(), found.why.clone())).expect("a result")
    };
    let (name, reasons) = why("checkout is stuck on a lock");
    assert_eq!(name, "diagnose.lock_pileup");
    assert!(reasons.contains(&"term: stuck on a lock".to_owned()), "{reasons:?}");
    let (_, reasons) = why("replcation lag");
    assert!(reasons.contains(&"`replcation` spelled like `replication`".to_owned()), "{reasons:?}");
    let actions = stock_actions();
    for phrase in all() {
        assert!(find(phrase, &actions, FIRST).iter().all(|found| !found.why.is_empty()), "{phrase}");
    }
}
