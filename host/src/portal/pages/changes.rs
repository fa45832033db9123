//! What was changed of who may do what: policy, packs and trust, accounts, logins, tokens, standing approvals, as the record
//! has it, the newest first.

use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{
    off_thread,
    runs::{TIME_HINT, time},
};
use crate::{
    outside::plain,
    portal::{
        Here, Page, Portal, Problem, Viewer,
        parts::{Cell, Field, Table, event_words, fields_but, filters, onward, query, select, when},
    },
    runs::changes::{ChangeFilter, Kind, Kinds},
};

/// The word for all kinds.
const ALL: &str = "all";

/// What the list is narrowed down by, as the form has it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    who: String,
    #[serde(default)]
    since: String,
    #[serde(default)]
    until: String,
    #[serde(default)]
    from: String,
}

impl Wanted {
    fn filter(&self) -> Result<ChangeFilter, Problem> {
        let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let kinds = match self.kind.as_str() {
            "" => Kinds::ButLogins,
            ALL => Kinds::All,
            word => Kinds::One(Kind::named(word).ok_or_else(|| Problem::bad_request("there is no such kind"))?),
        };
        Ok(ChangeFilter {
            kinds,
            who: some(&self.who),
            since: time(&self.since)?,
            until: time(&self.until)?,
            cursor: some(&self.from),
        })
    }

    fn pairs(&self) -> [(&str, &str); 4] {
        [("kind", &self.kind), ("who", &self.who), ("since", &self.since), ("until", &self.until)]
    }
}

/// The list.
pub(super) async fn list(
    State(portal): State<Portal>,
    _: Viewer,
    Query(wanted): Query<Wanted>,
) -> Result<Page, Problem> {
    let filter = wanted.filter()?;
    let page = off_thread(move || portal.runs.changes(&filter)).await?;
    let is_narrowed = wanted.pairs().iter().any(|(_, value)| !value.is_empty());
    let none = if is_narrowed {
        "No change is like that."
    } else {
        "Nothing has been changed yet. Every change of policy, packs, trust, accounts, tokens and standing approvals will be here."
    };
    let mut table = Table::new("Changes", ["What", "When", "By", "In detail"]).named_above().or_say(none);
    for line in page.lines.iter().filter_map(Json::as_object) {
        table.row(row(line));
    }
    let at = |from: &str| {
        let mut pairs = wanted.pairs().to_vec();
        pairs.push(("from", from));
        query("/changes", &pairs)
    };
    let newest = (!wanted.from.is_empty()).then(|| at(""));
    let older = page.next.as_deref().map(at);
    Ok(Page::new(
        "Change history",
        Here::Changes,
        html! {
            (form(&wanted, is_narrowed))
            (table.show())
            (onward(newest.as_deref(), older.as_deref()))
        },
    ))
}

fn form(wanted: &Wanted, is_narrowed: bool) -> Markup {
    let kinds = [
        ("", "everything but logins"),
        (ALL, "everything"),
        ("policy", "policy"),
        ("packs", "packs and trust"),
        ("accounts", "accounts"),
        ("logins", "logins"),
        ("tokens", "tokens"),
        ("grants", "standing approvals"),
    ];
    filters(
        "/changes",
        is_narrowed,
        &html! {
            (select("kind", "Kind", &wanted.kind, &kinds))
            (Field::new("who", "By or about").value(&wanted.who).hint("A person, a token, a pack, a standing approval").longest(200).show())
            (Field::new("since", "From").value(&wanted.since).hint(TIME_HINT).longest(40).show())
            (Field::new("until", "To").value(&wanted.until).hint(TIME_HINT).longest(40).show())
        },
    )
}

fn row(line: &Map<String, Json>) -> [Cell; 4] {
    let text = |name: &str| line.get(name).and_then(Json::as_str).unwrap_or_default();
    let by = ["by", "person"].map(text).into_iter().find(|by| !by.is_empty()).unwrap_or_default();
    let seq = line.get("seq").and_then(Json::as_u64).unwrap_or_default();
    [
        html! { (plain(event_words(text("ev")), 100).text) " " span.quiet { "line " (seq) } }.into(),
        when(line).into(),
        html! { @if by.is_empty() { span.quiet { "the host" } } @else { (plain(by, 100).text) } }.into(),
        html! { details { summary { "All that the record says" } (fields_but(line, &["by"]).show()) } }.into(),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_can_be_chosen() {
        for kind in Kind::ALL {
            let html = form(&Wanted::default(), false).into_string();
            assert!(html.contains(&format!("value=\"{kind}\"")), "{kind}");
            let wanted = Wanted { kind: kind.as_str().to_owned(), ..Wanted::default() };
            assert_eq!(wanted.filter().unwrap().kinds, Kinds::One(kind));
        }
        let wanted = Wanted { kind: "others".to_owned(), ..Wanted::default() };
        assert!(wanted.filter().is_err());
    }
}
