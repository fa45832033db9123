//! The answer to a named call as it is kept, for whoever repeats the call.

use serde::{Deserialize, Serialize};

use super::super::call::Outcome;
use crate::{error::Refusal, store::RESULT_LIMIT};

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kept {
    Outcome(Box<Outcome>),
    Refusal(Refusal),
}

impl Kept {
    pub(super) fn of(end: &Result<Box<Outcome>, Refusal>) -> serde_json::Value {
        let kept = match end {
            Ok(outcome) => Self::Outcome(outcome.clone()),
            Err(refusal) => Self::Refusal(refusal.clone()),
        };
        let json = kept.to_json();
        match kept {
            Self::Outcome(outcome) if json.to_string().len() > RESULT_LIMIT => {
                Self::Outcome(Box::new(without_result(*outcome))).to_json()
            }
            _ => json,
        }
    }

    fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or(serde_json::Value::Null)
    }
}

fn without_result(outcome: Outcome) -> Outcome {
    Outcome {
        tables: Vec::new(),
        notices: Vec::new(),
        findings: Vec::new(),
        suggestion: None,
        result_not_kept: true,
        ..outcome
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use std::sync::Arc;

    use super::{super::ended, *};
    use crate::{
        error::Code,
        value::{Column, ColumnKind, RowSet, Table, Value},
    };

    fn outcome(rows: usize) -> Outcome {
        let columns = vec![Column { name: "note".into(), kind: ColumnKind::Text }];
        let rows = (0..rows).map(|_| vec![Value::Text("x".repeat(1_000))]).collect();
        Outcome {
            run: "run_1".into(),
            action: "a.b".into(),
            target: "t".into(),
            summary: "looked at all of it".into(),
            tables: vec![Table { title: "all".into(), rows: Arc::new(RowSet { columns, rows }) }],
            notices: vec!["a notice".into()],
            findings: Vec::new(),
            suggestion: None,
            approval: None,
            record_degraded: true,
            replayed: false,
            result_not_kept: false,
        }
    }

    fn kept(end: &Result<Box<Outcome>, Refusal>) -> Kept {
        let json = Kept::of(end);
        assert!(json.to_string().len() <= RESULT_LIMIT);
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn an_answer_is_read_back_as_it_left() {
        let Kept::Outcome(back) = kept(&Ok(Box::new(outcome(3)))) else { panic!() };
        assert_eq!(*back, outcome(3));
        let refusal = ended(Refusal::new(Code::NotFound, "no table"));
        let Kept::Refusal(back) = kept(&Err(refusal.clone())) else { panic!() };
        assert_eq!(back, refusal);
    }

    #[test]
    fn of_an_answer_that_is_too_large_the_summary_is_left_and_it_says_so() {
        let Kept::Outcome(back) = kept(&Ok(Box::new(outcome(300)))) else { panic!() };
        assert!(back.result_not_kept && back.tables.is_empty() && back.notices.is_empty());
        assert_eq!(
            (back.summary.as_str(), back.run.as_str(), back.record_degraded),
            ("looked at all of it", "run_1", true)
        );
    }
}
