//! The search on the manifests of the stock packs as they are: what people say finds the right action, and what nothing is
//! for finds nothing. Needs no server; the packs are linked natively, their manifests are those of the components.

mod catalogue;
#[rustfmt::skip]
mod fresh;
#[rustfmt::skip]
mod held_out;
mod phrases;
mod steady;

use lockgate::search::{Found, find};

use self::catalogue::stock_actions;

/// How many results an agent reads.
const FIRST: usize = 5;

fn bare(found: &Found) -> &str {
    found.name.split_once('.').map_or("", |(_, name)| name)
}

/// Of phrases that fit: those without a right action among the first, and how many have one at the very top.
fn judge(phrases: &[(&str, &[&str])]) -> (Vec<String>, usize) {
    let actions = stock_actions();
    let (mut missed, mut top) = (Vec::new(), 0);
    for (phrase, right) in phrases {
        let found = find(phrase, &actions, FIRST);
        match found.iter().position(|found| right.contains(&bare(found))) {
            Some(0) => top += 1,
            Some(at) => println!("at {}: {phrase}: {found:?}", at + 1),
            None => missed.push(format!("{phrase}: {found:?}")),
        }
    }
    (missed, top)
}

/// Of phrases that nothing is for: those that find something.
fn astray(phrases: &[&str]) -> Vec<String> {
    let actions = stock_actions();
    let found = phrases.iter().map(|phrase| (phrase, find(phrase, &actions, FIRST)));
    found.filter(|(_, found)| !found.is_empty()).map(|(phrase, found)| format!("{phrase}: {found:?}")).collect()
}

#[test]
fn what_people_on_call_say_finds_the_right_action() {
    let (missed, top) = judge(phrases::FITTING);
    assert!(missed.is_empty(), "{} missed:\n{}", missed.len(), missed.join("\n"));
    println!("at the top: {top} of {}", phrases::FITTING.len());
}

#[test]
fn what_nothing_is_for_finds_nothing() {
    let astray = astray(phrases::UNFITTING);
    assert!(astray.is_empty(), "{} astray:\n{}", astray.len(), astray.join("\n"));
}

#[test]
fn phrases_that_nobody_tuned_to_do_as_well_as_they_do() {
    for (set, fitting, unfitting) in
        [("held out", held_out::FITTING, held_out::UNFITTING), ("fresh", fresh::FITTING, fresh::UNFITTING)]
    {
        let (missed, top) = judge(fitting);
        let astray = astray(unfitting);
        println!("{set}: {} of {} missed, {top} at the top:\n{}", missed.len(), fitting.len(), missed.join("\n"));
        println!("{set}: {} of {} astray:\n{}", astray.len(), unfitting.len(), astray.join("\n"));
    }
}
