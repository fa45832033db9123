//! Times of one thing, measured many times, and what is said of them: medians, because other work on the machine makes
//! single times long and never short.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

/// In how many parts a run is cut to see whether the machine changed under it.
const PARTS: usize = 10;

/// Times in microseconds, in the order in which they were taken.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds one time.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1e6);
    }

    /// Adds the mean of so many runs that were timed together, for what is too short to be timed alone.
    pub fn push_each(&mut self, time: Duration, runs: u32) {
        self.push(time / runs.max(1));
    }

    /// Adds another's times.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All together, in microseconds.
    pub fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    /// What one in ten stays below, in microseconds: a call that nothing else got in the way of.
    pub fn p10(&self) -> f64 {
        quantile(&self.0, 0.10)
    }

    /// The median, in microseconds.
    pub fn p50(&self) -> f64 {
        quantile(&self.0, 0.50)
    }

    /// What one in twenty exceeds, in microseconds.
    pub fn p95(&self) -> f64 {
        quantile(&self.0, 0.95)
    }

    /// What one in a hundred exceeds, in microseconds.
    pub fn p99(&self) -> f64 {
        quantile(&self.0, 0.99)
    }

    /// The lowest and the highest median of the tenths of the run: how much the machine itself changed.
    pub fn drift(&self) -> (f64, f64) {
        let medians = self.0.chunks(self.0.len().div_ceil(PARTS).max(1)).map(|part| quantile(part, 0.50));
        medians.fold((f64::INFINITY, 0.0), |(low, high), m| (low.min(m), high.max(m)))
    }

    /// For the file.
    pub fn to_json(&self) -> Json {
        json!({
            "p10_us": rounded(self.p10()),
            "p50_us": rounded(self.p50()),
            "p95_us": rounded(self.p95()),
            "samples": self.len(),
        })
    }
}

/// A tenth of a microsecond is more than such a figure is good for.
pub fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The value below which a fraction of the values lies; 0 of none.
fn quantile(values: &[f64], fraction: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = (last as f64 * fraction).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// Times one piece of work.
pub async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let started = Instant::now();
    let value = work.await;
    (started.elapsed(), value)
}
