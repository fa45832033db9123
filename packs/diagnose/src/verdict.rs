//! What every diagnosis answers: conclusions, each with a stable word, a severity and a score, the evidence behind them, and
//! the one call that it would make next.

use lockgate_pack::{Column, Failure, Outcome, Rows, Severity, Suggestion, Value};
use lockgate_pack_shared::words::counted;

/// The first table of every answer, one row for each conclusion, the worst first. `checkup` has one row for each area.
pub(crate) const COLUMNS: &[Column] = &[
    Column::text("area"),
    Column::text("verdict"),
    Column::text("severity"),
    Column::integer("score"),
    Column::text("what"),
];

/// The word for nothing wrong.
pub(crate) const HEALTHY: &str = "healthy";

/// One thing that a diagnosis says. Its sentence is of our own words and numbers: text that came from the database, names of
/// objects too, stands in evidence tables only.
pub(crate) struct Conclusion {
    pub(crate) verdict: &'static str,
    pub(crate) severity: Severity,
    pub(crate) what: String,
    pub(crate) next: Option<Suggestion>,
}

impl Conclusion {
    pub(crate) fn new(verdict: &'static str, severity: Severity, what: impl Into<String>) -> Self {
        Self { verdict, severity, what: what.into(), next: None }
    }

    /// The call that would do something about it, if there is one.
    pub(crate) fn next(mut self, next: Option<Suggestion>) -> Self {
        self.next = next;
        self
    }
}

/// One area, looked at.
pub(crate) struct Diagnosis {
    area: &'static str,
    conclusions: Vec<Conclusion>,
    evidence: Vec<(&'static str, Rows)>,
    notices: Vec<String>,
}

impl Diagnosis {
    /// `healthy` is the sentence for the case that nothing is concluded. Conclusions of one severity keep their order, so the
    /// more important come first.
    pub(crate) fn new(area: &'static str, mut conclusions: Vec<Conclusion>, healthy: impl Into<String>) -> Self {
        conclusions.sort_by_key(|conclusion| std::cmp::Reverse(weight(conclusion.severity)));
        if conclusions.is_empty() {
            conclusions.push(Conclusion::new(HEALTHY, Severity::Ok, healthy));
        }
        Self { area, conclusions, evidence: Vec::new(), notices: Vec::new() }
    }

    pub(crate) fn table(mut self, title: &'static str, rows: Rows) -> Self {
        self.evidence.push((title, rows));
        self
    }

    pub(crate) fn notices(mut self, notices: Vec<String>) -> Self {
        self.notices.extend(notices);
        self
    }

    pub(crate) fn area(&self) -> &'static str {
        self.area
    }

    pub(crate) fn conclusions(&self) -> &[Conclusion] {
        &self.conclusions
    }

    pub(crate) fn severity(&self) -> Severity {
        self.conclusions.first().map_or(Severity::Ok, |conclusion| conclusion.severity)
    }

    /// 100 less what each conclusion costs.
    pub(crate) fn score(&self) -> i64 {
        let lost: i64 = self.conclusions.iter().map(|conclusion| cost(conclusion.severity)).sum();
        (100 - lost).max(0)
    }

    /// Takes the first call that would help, with the severity of what it is about.
    pub(crate) fn next(&mut self) -> Option<(Severity, Suggestion)> {
        self.conclusions
            .iter_mut()
            .find_map(|conclusion| conclusion.next.take().map(|suggestion| (conclusion.severity, suggestion)))
    }

    pub(crate) fn into_evidence(self) -> (Vec<(&'static str, Rows)>, Vec<String>) {
        (self.evidence, self.notices)
    }

    pub(crate) fn into_outcome(mut self) -> Result<Outcome, Failure> {
        let rows = self.conclusions.iter().map(|c| row(self.area, c, 100 - cost(c.severity), c.what.clone())).collect();
        let headline = self.conclusions.first().map_or(HEALTHY, |conclusion| conclusion.verdict);
        let mut summary = format!("{headline} ({}), score {} of 100", word(self.severity()), self.score());
        let more = i64::try_from(self.conclusions.len()).unwrap_or(i64::MAX) - 1;
        if more > 0 {
            summary = format!("{summary}; {}", counted(more, "more conclusion", "more conclusions"));
        }
        let mut outcome = Outcome::new(summary).table("Verdict", Rows::built(COLUMNS, rows)?);
        for conclusion in self.conclusions.iter().filter(|c| c.severity != Severity::Ok) {
            outcome = outcome.finding(conclusion.severity, conclusion.what.clone());
        }
        if let Some((_, suggestion)) = self.next() {
            outcome = outcome.suggest(suggestion);
        }
        let (evidence, notices) = self.into_evidence();
        let outcome = evidence.into_iter().fold(outcome, |outcome, (title, rows)| outcome.table(title, rows));
        Ok(notices.into_iter().fold(outcome, Outcome::notice))
    }
}

/// A row of the table `Verdict`.
pub(crate) fn row(area: &str, conclusion: &Conclusion, score: i64, what: String) -> Vec<Value> {
    vec![area.into(), conclusion.verdict.into(), word(conclusion.severity).into(), score.into(), what.into()]
}

/// What a conclusion takes off the 100 points of its area: a remark hardly shows, two warnings are as bad as one critical
/// conclusion, and one of those alone is below any passing mark.
fn cost(severity: Severity) -> i64 {
    match severity {
        Severity::Ok => 0,
        Severity::Notice => 5,
        Severity::Warning => 35,
        Severity::Critical => 70,
    }
}

pub(crate) fn weight(severity: Severity) -> u8 {
    match severity {
        Severity::Ok => 0,
        Severity::Notice => 1,
        Severity::Warning => 2,
        Severity::Critical => 3,
    }
}

pub(crate) fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "ok",
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}
