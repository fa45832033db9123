//! `describe` that does not end well, does not answer alike, or answers with more than a person could review.

use lockgate::error::Code::{DescribeFailed, DescribeUnstable, ManifestInvalid, RiskBelowFloor, StatementRefused};

use crate::world::{Case, refuses};

#[tokio::test]
async fn a_describe_that_does_not_end_well_keeps_its_pack_out() {
    let mut cases = Vec::new();
    for (pack, how, says) in [
        ("spins", "loop", "pack_timeout"),
        ("crashes", "trap", "pack_trap"),
        ("grows", "grow", "pack_limit"),
        ("recurses", "recurse", "pack_limit"),
    ] {
        cases.push(Case::guest(pack, &[("describe", how)], DescribeFailed, says).await);
    }
    // The host's own limit of what crosses the boundary: a string in a list is copied, so 4,000 copies of 4 KiB are 16 MiB.
    let long = "x".repeat(4000);
    let flood: &[(&str, &str)] = &[("action.description", &long), ("actions", "4000")];
    cases.push(Case::guest("floods", flood, DescribeFailed, "pack_limit").await);
    refuses("describe_ends", cases).await;
}

#[tokio::test]
async fn two_answers_that_differ_keep_their_pack_out() {
    // Nothing tells an instance from the next one: no clock, no random numbers, no memory of the last. What differs from
    // itself is left.
    let nan: &[(&str, &str)] = &[("param.kind", "nan")];
    refuses("describe_differs", vec![Case::guest("never-equal", nan, DescribeUnstable, "differently").await]).await;
}

#[tokio::test]
async fn more_than_a_person_reviews_is_refused() {
    let invalid = |pack, settings, says| Case::guest(pack, settings, ManifestInvalid, says);
    let refused = |pack, settings, says| Case::guest(pack, settings, StatementRefused, says);
    let cases = vec![
        invalid("thousands-of-actions", &[("actions", "3000")], "1 to 512 actions").await,
        invalid("thousands-of-statements", &[("statements", "3000")], "more than 1024 statements").await,
        invalid("thousands-of-parameters", &[("params", "3000"), ("param.kind", "choice")], "32 parameters").await,
        invalid("thousands-of-choices", &[("param.kind", "choices")], "1 to 100 different options").await,
        invalid("a-statement-named-again", &[("action.names", "2000")], "twice for run").await,
        invalid("an-unused-statement", &[("statements", "2")], "no action requests it").await,
        invalid("a-missing-statement", &[("action.statement", "elsewhere")], "is not declared").await,
        invalid("a-description-as-a-book", &[("action.description", &"x".repeat(4001))], "longer than 4000").await,
        invalid("an-action-again", &[("action.name", "answer")], "declared twice").await,
        invalid("a-statement-again", &[("statement.id", "answer")], "declared twice").await,
        invalid("a-parameter-of-the-host", &[("param.kind", "choice"), ("param.name", "target")], "host's own").await,
        invalid("a-preview-that-acts", CANCELS_IN_PREVIEW, "not of mode `read`").await,
        invalid("changes-unsaid", &[CANCEL, COLUMN, ACT, ("action.risk", "high")], "side effects").await,
        invalid("reversed-bounds", &[("param.kind", "reversed")], "lowest value is above").await,
        refused("thousands-of-variants", &[("variants", "3000")], "variants").await,
        refused("endless-rows", &[("statement.rows", "100000")], "max-rows").await,
        refused("endless-time", &[("statement.timeout", "0")], "timeout-ms").await,
        Case::guest("low-risk-signal", &[CANCEL, COLUMN, ACT, EFFECT], RiskBelowFloor, "at least `high`").await,
        Case::guest("medium-risk-signal", MEDIUM, RiskBelowFloor, "at least `high`").await,
        Case::guest("low-risk-maintenance", LOW_MAINTENANCE, RiskBelowFloor, "at least `medium`").await,
    ];
    refuses("too_much_to_review", cases).await;
}

const CANCEL: (&str, &str) = ("statement.sql", "SELECT pg_catalog.pg_cancel_backend(1)::int8 AS one");
const COLUMN: (&str, &str) = ("column.name", "one");
const ACT: (&str, &str) = ("statement.mode", "act");
const EFFECT: (&str, &str) = ("action.effects", "A query ends.");
const MEDIUM: &[(&str, &str)] = &[CANCEL, COLUMN, ACT, EFFECT, ("action.risk", "medium")];
const CANCELS_IN_PREVIEW: &[(&str, &str)] =
    &[CANCEL, COLUMN, ACT, EFFECT, ("action.risk", "high"), ("action.previews", "")];
const LOW_MAINTENANCE: &[(&str, &str)] = &[
    ("statement.sql", "VACUUM pg_catalog.pg_class"),
    ("column.name", ""),
    ("statement.mode", "maintain"),
    ("action.privilege", "MAINTAIN ON TABLE"),
    EFFECT,
];
