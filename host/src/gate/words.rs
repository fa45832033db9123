//! What a caller says of its call in words of its own (`reason`, `evidence`, `expected`) and the name it gives it
//! (`operation_id`): which of them may be. Doors ask before a call reaches the gate, and the gate asks again.

use super::call::{Call, LONGEST_REASON, LONGEST_WORDS, SHORTEST_REASON};
use crate::{error::Problem, outside::is_hidden};

/// What the name of an operation looks like. Eight characters at least: one that is made up for the purpose, not `retry`.
pub const OPERATION_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._:-]{7,127}$";

/// What is wrong with a call's evidence, expectation and name, if anything is.
#[must_use]
pub fn problems(call: &Call) -> Vec<Problem> {
    let said = [("evidence", &call.evidence), ("expected", &call.expected)];
    let said = said.into_iter().filter_map(|(argument, text)| Some((argument, words(text.as_deref()?)?)));
    let name = call.operation.as_deref().and_then(operation).map(|message| ("operation_id", message));
    said.chain(name).map(|(argument, message)| Problem { argument: argument.to_owned(), message }).collect()
}

/// What is wrong with a reason, if anything is: an approver reads it, so it must say something and hide nothing.
#[must_use]
pub fn reason(reason: &str) -> Option<String> {
    if reason.chars().any(|c| is_hidden(c) && c != '\n') {
        return Some("must be plain text, without control or invisible characters".to_owned());
    }
    let length = reason.trim().chars().count();
    (!(SHORTEST_REASON..=LONGEST_REASON).contains(&length))
        .then(|| format!("must say in {SHORTEST_REASON} to {LONGEST_REASON} characters why this call is needed"))
}

/// What is wrong with evidence or an expectation, if anything is.
#[must_use]
pub fn words(text: &str) -> Option<String> {
    let length = text.trim().chars().count();
    if text.chars().any(is_hidden) {
        Some("must be one line of plain text, without line breaks, control or invisible characters".to_owned())
    } else if length == 0 {
        Some("is empty: say it in one line, or leave it out".to_owned())
    } else if length > LONGEST_WORDS {
        Some(format!("has {length} characters and may have at most {LONGEST_WORDS}: say it in fewer words"))
    } else {
        None
    }
}

/// What is wrong with the name of an operation, if anything is.
#[must_use]
pub fn operation(name: &str) -> Option<String> {
    let well_formed = (8..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b));
    (!well_formed).then(|| {
        "must be 8 to 128 letters, digits and `. _ : -`, beginning with a letter or digit: make one up for each operation, \
         such as a UUID"
            .to_owned()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_operation_is_named_by_its_pattern_and_nothing_else() {
        for good in ["op-12345", "01890a5d-ac96-774b-bcce-b302099a8057", "A.b_c:d-e", &"x".repeat(128)] {
            assert_eq!(operation(good), None, "{good}");
        }
        for bad in
            ["", "1234567", &"x".repeat(129), "-op-12345", "op 12345", "op-12345\n", "op-1234é", "op/12345", "../../x1"]
        {
            assert!(operation(bad).is_some(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn the_pattern_and_the_check_are_one(name in "[A-Za-z0-9._: \n/-]{0,12}|[a-z]{120,136}") {
            let pattern = regex::Regex::new(&OPERATION_PATTERN.replace('$', "\\z")).unwrap();
            prop_assert_eq!(operation(&name).is_none(), pattern.is_match(&name));
        }
    }

    #[test]
    fn words_are_one_visible_line() {
        for bad in ["", "   ", "two\nlines", "right to left \u{202e} override", "zero\u{200b}width", &"x".repeat(1001)]
        {
            assert!(words(bad).is_some(), "{bad:?}");
        }
        assert_eq!(words(&"ж".repeat(1000)), None);
    }

    #[test]
    fn every_problem_is_named() {
        let call = Call {
            evidence: Some(String::new()),
            expected: Some("fine".into()),
            operation: Some("short".into()),
            ..Call::default()
        };
        let named: Vec<String> = problems(&call).into_iter().map(|problem| problem.argument).collect();
        assert_eq!(named, ["evidence", "operation_id"]);
        assert!(problems(&Call::default()).is_empty());
    }
}
