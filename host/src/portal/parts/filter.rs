//! A form that narrows a list down. It is sent with GET and changes nothing, so the address of a narrowed list can be kept
//! and given to others.

use maud::{Markup, html};

use crate::portal::next_encoded;

/// A field that is a choice from a list. The first choice is the empty one.
#[must_use]
pub fn select(name: &str, label: &str, chosen: &str, of: &[(&str, &str)]) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            select #(name) name=(name) {
                @for (value, words) in of { option value=(value) selected[*value == chosen] { (words) } }
            }
        }
    }
}

/// The form: fields in rows, a button, and a way back to the whole list. It is folded until somebody narrows down, so that the
/// list is what is seen first on a phone.
#[must_use]
pub fn filters(address: &str, is_narrowed: bool, fields: &Markup) -> Markup {
    html! {
        details.narrow open[is_narrowed] {
            summary { "Narrow down" }
            form.filters method="get" action=(address) {
                (fields)
                div.actions {
                    button.second type="submit" { "Show these" }
                    @if is_narrowed { a href=(address) { "Show all" } }
                }
            }
        }
    }
}

/// An address with what is not empty of these as its query.
#[must_use]
pub fn query(address: &str, of: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = of
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", next_encoded(value)))
        .collect();
    if pairs.is_empty() { address.to_owned() } else { format!("{address}?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_what_was_asked_for_and_nothing_that_was_not() {
        assert_eq!(query("/runs", &[("a", ""), ("b", "")]), "/runs");
        assert_eq!(query("/runs", &[("a", "x&y=1#\""), ("b", ""), ("c", "p.*")]), "/runs?a=x%26y%3D1%23%22&c=p.%2A");
    }
}
