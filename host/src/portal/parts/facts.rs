//! A list of facts: a name, and what is so.

use maud::{Markup, html};

/// Facts in order.
#[derive(Default)]
pub struct Facts(Vec<(String, Markup)>);

impl Facts {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: Markup) -> Self {
        self.0.push((name.into(), value));
        self
    }

    /// One more, of plain text.
    #[must_use]
    pub fn text(self, name: impl Into<String>, value: impl AsRef<str>) -> Self {
        let value = value.as_ref();
        let value = if value.is_empty() {
            html! { span.quiet { "none" } }
        } else {
            html! { (value) }
        };
        self.with(name, value)
    }

    /// The list.
    #[must_use]
    pub fn show(&self) -> Markup {
        html! {
            dl.facts {
                @for (name, value) in &self.0 {
                    div { dt { (name) } dd { (value) } }
                }
            }
        }
    }
}
