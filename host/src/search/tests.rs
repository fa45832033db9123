//! On catalogues that are made up, so that nothing here rests on the words of a real pack.

#![allow(clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;
use crate::pack::manifest::{Example, Risk};

fn action(name: &str, title: &str, terms: &[&str]) -> OfferedAction {
    OfferedAction {
        name: name.to_owned(),
        title: title.to_owned(),
        description: String::new(),
        risk: Risk::Low,
        params: Vec::new(),
        side_effects: String::new(),
        works_on_standby: true,
        idempotent: true,
        reads_only: true,
        held: false,
        examples: Vec::new(),
        search_terms: terms.iter().map(|&term| term.to_owned()).collect(),
        targets: Vec::new(),
    }
}

fn act(name: &str, title: &str, terms: &[&str]) -> OfferedAction {
    OfferedAction { reads_only: false, side_effects: "It is done.".to_owned(), ..action(name, title, terms) }
}

/// A shop's and a web server's.
fn shop() -> Vec<OfferedAction> {
    vec![
        act("shop.pay_invoice", "Pay an invoice", &["settle a bill"]),
        action("shop.open_invoices", "Open invoices", &["unpaid bills", "who owes us money"]),
        action("shop.stock_levels", "Stock levels", &["out of stock", "what is missing on the shelves"]),
        action("shop.restart_history", "Restarts of the till", &["crashed till"]),
        act("web.drain", "Take a web server out", &["drain a node"]),
        action("web.error_rate", "Error rate", &["too many failures", "is the shop down"]),
    ]
}

fn names(query: &str, actions: &[OfferedAction]) -> Vec<String> {
    find(query, actions, 5).into_iter().map(|found| found.name).collect()
}

#[test]
fn an_order_is_for_those_who_carry_it_out() {
    assert_eq!(names("pay the invoices", &shop()).first().map(String::as_str), Some("shop.pay_invoice"));
    let without: Vec<OfferedAction> = shop().into_iter().filter(|action| action.reads_only).collect();
    assert_eq!(names("pay the invoices", &without), Vec::<String>::new(), "a read of invoices pays none");
    assert_eq!(names("which invoices are open", &without), ["shop.open_invoices"]);
    assert_eq!(names("restart the till", &shop()), Vec::<String>::new(), "a history of restarts restarts nothing");
    assert_eq!(names("did the till restart", &shop()), ["shop.restart_history"]);
}

#[test]
fn more_than_half_of_what_is_said_must_be_its_own() {
    assert_eq!(names("stock levels", &shop()), ["shop.stock_levels"]);
    for foreign in ["stock market crash", "the bill of rights", "node modules", "till death", "money laundering"] {
        assert_eq!(names(foreign, &shop()), Vec::<String>::new(), "{foreign}");
    }
}

#[test]
fn a_description_alone_finds_nothing() {
    let mut actions = shop();
    actions[5].description = "weather rain sunshine forecast".to_owned();
    assert_eq!(names("weather forecast", &actions), Vec::<String>::new());
    assert_eq!(names("error rate forecast", &actions), ["web.error_rate"]);
}

#[test]
fn what_every_action_says_tells_none_from_another() {
    let actions: Vec<OfferedAction> = ["lamps", "tables", "chairs", "carpets", "mirrors", "shelves", "beds", "sofas"]
        .iter()
        .map(|thing| action(&format!("house.{thing}"), &format!("Furniture: {thing}"), &[]))
        .collect();
    let found = find("furniture: mirrors", &actions, 5);
    assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["house.mirrors"]);
    let alone = find("chairs", &actions, 5);
    assert_eq!(alone[0].name, "house.chairs");
}

#[test]
fn one_action_alone_is_found_too() {
    let one = [action("shop.stock_levels", "Stock levels", &["out of stock"])];
    assert_eq!(names("is something out of stock", &one), ["shop.stock_levels"]);
    assert_eq!(names("who won the match", &one), Vec::<String>::new());
    assert_eq!(names("stock", &[]), Vec::<String>::new());
}

#[test]
fn it_says_why() {
    let why = |query: &str| find(query, &shop(), 1).into_iter().flat_map(|found| found.why).collect::<Vec<_>>();
    assert_eq!(why("stock levels"), ["name: stock, levels"]);
    assert_eq!(why("we are out of stock"), ["name: stock", "term: out of stock"]);
    assert_eq!(
        why("unpaid invioces"),
        ["name: invoices", "search terms: unpaid", "`invioces` spelled like `invoices`"]
    );
}

#[test]
fn words_of_talk_count_where_they_are_a_term() {
    assert_eq!(names("hey, is the shop down?", &shop()), ["web.error_rate"]);
    assert_eq!(names("is it down there?", &shop()), Vec::<String>::new());
}

#[test]
fn only_the_beginning_is_read() {
    let long = format!("{} stock levels", "x".repeat(LONGEST_QUERY));
    assert_eq!(names(&long, &shop()), Vec::<String>::new());
    let spaces = format!("stock levels{}weather", " ".repeat(LONGEST_QUERY));
    assert_eq!(names(&spaces, &shop()), ["shop.stock_levels"]);
}

#[test]
fn no_more_than_asked_for() {
    assert_eq!(find("invoices", &shop(), 0), []);
    assert_eq!(find("invoices", &shop(), 1).len(), 1);
    assert_eq!(find("invoices", &shop(), usize::MAX).len(), 2);
}

#[test]
fn equals_come_in_the_order_of_their_names() {
    let twins: Vec<OfferedAction> =
        ["c", "a", "b"].iter().map(|pack| action(&format!("{pack}.lamp"), "Lamp", &[])).collect();
    assert_eq!(names("lamp", &twins), ["a.lamp", "b.lamp", "c.lamp"]);
}

/// Text of all kinds, often with words that the catalogue has.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "\\PC{0,12}",
        "[a-z]{1,8}",
        Just("stock".to_owned()),
        Just("invoicse".to_owned()),
        Just("pay".to_owned()),
        Just("is the shop down".to_owned()),
        Just("\u{202e}ß\u{0}'’s.".to_owned()),
        Just("İ_ﬀ.Σ".to_owned()),
    ];
    proptest::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_has_one_answer_in_any_order(query in text(), from in text(), turn in 0_usize..7) {
        let mut actions = shop();
        actions.push(OfferedAction {
            description: from.clone(),
            search_terms: vec![from.clone()],
            examples: vec![Example { situation: from.clone(), arguments: "{}".to_owned() }],
            ..action("other.thing", &from, &[])
        });
        let found = find(&query, &actions, 5);
        prop_assert!(found.iter().all(|found| found.score > 0.0 && found.score.is_finite() && !found.why.is_empty()));
        prop_assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
        actions.rotate_left(turn);
        prop_assert_eq!(&find(&query, &actions, 5), &found);
        actions.reverse();
        prop_assert_eq!(&find(&query, &actions, 5), &found);
    }
}
