//! What a server of a test was asked, and who asked.

use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, header::AUTHORIZATION};

/// What was asked, and the credentials that came with it.
pub type Question = (String, Option<String>);

/// Every question since the last look.
#[derive(Clone, Default)]
pub struct Asked(Arc<Mutex<Vec<Question>>>);

impl Asked {
    pub fn note(&self, what: String, headers: &HeaderMap) {
        let who = headers.get(AUTHORIZATION).map(|value| value.to_str().expect("text").to_owned());
        self.0.lock().expect("the list").push((what, who));
    }

    pub fn take(&self) -> Vec<Question> {
        std::mem::take(&mut self.0.lock().expect("the list"))
    }
}
