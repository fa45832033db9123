//! The page as a person sees it, and that nobody but the host can shape it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::store::{CastVote, Request, RequestDigest, Requester, testing::*};

fn approval(change: impl FnOnce(&mut Request)) -> Approval {
    let mut request = request();
    change(&mut request);
    Approval {
        id: "apr_0123456789abcdef".into(),
        digest: RequestDigest([0xab; 32]),
        nonce: [0; 32],
        state: State::Pending,
        created_at: at(0),
        decide_by: at(3_600),
        execute_by: None,
        decided_at: None,
        decided_by: None,
        decision_reason: None,
        votes: vec![],
        consumed_at: None,
        consumed_by: None,
        finished_at: None,
        outcome: None,
        refusal: None,
        request,
    }
}

#[test]
fn a_pending_request_reads_from_effect_to_digest() {
    let expected = "\
postgres.terminate_backend on orders                                                       HIGH RISK
apr_0123456789abcdef: waits for a decision, 58 min left

Arguments  (chosen by the agent, checked by the host)
  | mode  \"terminate\"
  | pid   4242

What would be hit  (as the pack found it in the database just before it asked)
  | one session blocks thirty
  |
  | The session
  |  pid  query
  | ----  --------------------------------------
  | 4242  ALTER TABLE orders ADD COLUMN note text
  | null  SELECT ?

What must still be so when it runs  (if any of it has changed, nothing is done)
  | pid  4242

Who asks
  agent      pager-bot, over stdio
  for        ada, who may not approve this
  reason, in the agent's own words:
  | it blocks thirty writers
  what it saw, in the agent's own words:
  | pid 4242 heads the lock chain
  what it expects of it, in the agent's own words:
  | the thirty writers go on

Why it waits for a person
  policy     high risk needs approval
  needs      1 person; 0 approved so far

Times
  asked      2026-01-02 03:04:05 UTC  1 min ago
  decide by  2026-01-02 04:04:05 UTC  in 58 min
  run        within 15 min of the approval, once

Digest of this request  (a decision is on exactly this)
  short      abab-abab-abab
  full       abababababababababababababababababababababababababababababababab
  target     db1/7000
  pack       aa
  rules      bb
  run        run_1

Lines behind a bar are text from the agent, the pack or the database: facts to weigh, not instructions.
";
    assert_eq!(
        render(&approval(|_| ()), at(90)),
        expected.replace("--------------------------------------", &"-".repeat(39))
    );
}

#[test]
fn states_and_people_are_told_apart() {
    let page = |change: fn(&mut Approval)| {
        let mut approval = approval(|_| ());
        change(&mut approval);
        render(&approval, at(90))
    };
    assert!(page(|a| a.decide_by = at(90)).contains(": expired\n"));
    assert!(page(|a| a.request.requester.person = None).contains("nobody is named behind this agent"));
    assert!(
        page(|a| a.request.requester =
            Requester { person: None, os_user: Some("ada".into()), ..a.request.requester.clone() })
        .contains("whoever runs it as ada")
    );
    assert!(page(|a| a.request.needed = 2).contains("2 different people; 0 approved so far"));
    assert!(page(|a| a.request.evidence = json!({})).contains("the evidence can't be read"));
    let denied = page(|a| {
        a.state = State::Denied;
        a.votes =
            vec![CastVote { person: "grace".into(), decision: Decision::Deny, reason: "not\nnow".into(), at: at(60) }];
    });
    assert!(denied.contains("grace denied at 2026-01-02 03:05:05 UTC: not now"), "{denied}");
    let unknown = page(|a| {
        a.state = State::Unknown;
        a.refusal = Some(json!({ "message": "the process ended" }));
    });
    assert!(unknown.contains("How it ended  (unknown)\n  | the process ended\n"), "{unknown}");
}

#[test]
fn colours_come_only_when_asked_for() {
    let approval = approval(|_| ());
    let coloured = render_with(&approval, at(0), Colour::On);
    assert!(coloured.contains("\u{1b}[1;31mHIGH RISK\u{1b}[0m"));
    assert_eq!(plain(&coloured, 10_000).text, plain(&render(&approval, at(0)), 10_000).text);
}

#[test]
fn nothing_from_outside_forges_a_line_of_the_host() {
    let forged = "ok\n\nWhy it waits for a person\n  needs 0 people\u{1b}[2K\u{202e}";
    let page = render(
        &approval(|request| {
            request.reason = forged.into();
            request.arguments.insert("pid".into(), forged.into());
            request.evidence = json!({ "summary": forged, "tables": [{ "title": forged, "rows": {
                "columns": [{ "name": forged, "kind": "text" }], "rows": [[forged]] } }] });
        }),
        at(0),
    );
    assert_eq!(page.lines().filter(|line| line.trim_start().starts_with("Why it waits")).count(), 1, "{page}");
    assert!(page.contains("characters that can't be seen"));
    assert!(!page.contains("\u{1b}") && !page.contains('\u{202e}'));
}

#[test]
fn a_list_has_one_line_each() {
    let mut other = approval(|request| request.target = "a\nb".into());
    other.state = State::Approved;
    other.execute_by = Some(at(100));
    assert_eq!(
        render_list(&[approval(|_| ()), other], at(90)),
        "apr_0123456789abcdef  pending, 58 min left  high  postgres.terminate_backend on orders  pager-bot\n\
         apr_0123456789abcdef  approved, 10 s left   high  postgres.terminate_backend on a b     pager-bot\n"
    );
    assert_eq!(render_list(&[], at(0)), "");
}

#[test]
fn json_says_what_is_so_now_and_is_safe_to_show() {
    let approval = approval(|request| request.reason = "a\u{202e}b\u{9b}2J".into());
    let text = to_json(&approval, at(90));
    assert!(!text.chars().any(crate::outside::is_hidden), "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["state_now"], "pending");
    assert_eq!(json["seconds_left"], 3_510);
    assert_eq!(json["digest_short"], "abab-abab-abab");
    assert_eq!(json["request"]["reason"], "a\u{202e}b\u{9b}2J");
}

fn any_text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..60).prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_it_holds_a_page_is_plain_and_bounded(texts in prop::array::uniform10(any_text()), cell in any_text()) {
        let [action, target, risk, agent, person, reason, rule, name, value, summary] = texts;
        let approval = approval(|request| {
            (request.action, request.target, request.risk) = (action, target, risk);
            (request.requester.agent, request.requester.person) = (agent, Some(person));
            (request.reason, request.rule) = (reason, rule);
            request.arguments.insert(name.clone(), value.into());
            request.evidence = json!({ "summary": summary, "tables": [{ "title": name, "rows": {
                "columns": [{ "name": name, "kind": "text" }], "rows": [[cell]] } }] });
        });
        for page in [render(&approval, at(1)), render_list(&[approval], at(1))] {
            for line in page.lines() {
                prop_assert!(!line.chars().any(crate::outside::is_hidden), "{}", line);
                prop_assert!(width(line) <= COLUMNS + 4, "{}", line);
            }
        }
    }
}
