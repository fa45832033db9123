//! Fields of a form: a label, a hint, and what is wrong with what was given, tied to the field for those who listen.

use maud::{Markup, html};

/// One field.
pub struct Field<'a> {
    name: &'a str,
    label: &'a str,
    kind: &'a str,
    value: &'a str,
    hint: Option<&'a str>,
    error: Option<&'a str>,
    fills: Option<&'a str>,
    needed: bool,
    longest: u32,
    lines: u32,
    first: bool,
}

impl<'a> Field<'a> {
    /// A line of text.
    #[must_use]
    pub fn new(name: &'a str, label: &'a str) -> Self {
        Self {
            name,
            label,
            kind: "text",
            value: "",
            hint: None,
            error: None,
            fills: None,
            needed: false,
            longest: 1024,
            lines: 1,
            first: false,
        }
    }

    /// A password; `fills` is `current-password` or `new-password`. What was given is never written back.
    #[must_use]
    pub fn password(name: &'a str, label: &'a str, fills: &'a str) -> Self {
        Self { kind: "password", fills: Some(fills), ..Self::new(name, label) }
    }

    /// Several lines.
    #[must_use]
    pub fn lines(self, lines: u32) -> Self {
        Self { lines, ..self }
    }

    /// What stands in it.
    #[must_use]
    pub fn value(self, value: &'a str) -> Self {
        Self { value, ..self }
    }

    /// What it is for.
    #[must_use]
    pub fn hint(self, hint: &'a str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// What is wrong with what was given.
    #[must_use]
    pub fn error(self, error: Option<&'a str>) -> Self {
        Self { error, ..self }
    }

    /// What browsers may fill in (HTML, 4.10.18.7).
    #[must_use]
    pub fn fills(self, fills: &'a str) -> Self {
        Self { fills: Some(fills), ..self }
    }

    /// It can't be left out.
    #[must_use]
    pub fn needed(self) -> Self {
        Self { needed: true, ..self }
    }

    /// At most so many characters.
    #[must_use]
    pub fn longest(self, longest: u32) -> Self {
        Self { longest, ..self }
    }

    /// It has the focus when the page is there.
    #[must_use]
    pub fn first(self) -> Self {
        Self { first: true, ..self }
    }

    /// The field.
    #[must_use]
    pub fn show(&self) -> Markup {
        let (hint_id, error_id) = (format!("{}-hint", self.name), format!("{}-error", self.name));
        let described = match (self.hint.is_some(), self.error.is_some()) {
            (true, true) => Some(format!("{hint_id} {error_id}")),
            (true, false) => Some(hint_id.clone()),
            (false, true) => Some(error_id.clone()),
            (false, false) => None,
        };
        let is_wrong = self.error.map(|_| "true");
        html! {
            div.field.wrong[self.error.is_some()] {
                label for=(self.name) { (self.label) @if !self.needed { " " span.quiet { "(optional)" } } }
                @if let Some(hint) = self.hint { p.hint #(hint_id) { (hint) } }
                @if let Some(error) = self.error { p.error #(error_id) { (error) } }
                @if self.lines > 1 {
                    textarea #(self.name) name=(self.name) rows=(self.lines) maxlength=(self.longest) required[self.needed]
                        aria-describedby=[described] aria-invalid=[is_wrong] autofocus[self.first] { (self.value) }
                } @else {
                    input #(self.name) type=(self.kind) name=(self.name) value=[(self.kind != "password").then_some(self.value)]
                        maxlength=(self.longest) required[self.needed] autocomplete=(self.fills.unwrap_or("off"))
                        autocapitalize="none" spellcheck="false" aria-describedby=[described] aria-invalid=[is_wrong]
                        autofocus[self.first];
                }
            }
        }
    }
}

/// One of a few.
pub struct Choice<'a> {
    /// What is sent.
    pub value: &'a str,
    /// What is read.
    pub label: &'a str,
    /// What it means.
    pub hint: &'a str,
}

/// A choice of one of a few, all in sight.
#[must_use]
pub fn choices(name: &str, legend: &str, chosen: &str, of: &[Choice<'_>]) -> Markup {
    html! {
        fieldset.choices {
            legend { (legend) }
            @for choice in of {
                @let id = format!("{name}-{}", choice.value);
                div {
                    input #(id) type="radio" name=(name) value=(choice.value) checked[choice.value == chosen] required;
                    label for=(id) { (choice.label) @if !choice.hint.is_empty() { " " span.quiet { (choice.hint) } } }
                }
            }
        }
    }
}
