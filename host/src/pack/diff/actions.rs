//! Actions: which there are, what each may ask for, and what a caller may choose.

use std::collections::BTreeSet;

use super::{Change, differing};
use crate::{
    pack::{
        manifest::{Action, Param, ParamKind},
        prove::{ProvenAction, ProvenManifest},
        wording,
    },
    statement::Class,
    value::Value,
};

pub(super) fn compare(old: &ProvenManifest, new: &ProvenManifest, out: &mut Vec<Change>) {
    for action in new.actions() {
        match old.action(&action.declared().name) {
            Some(before) => changed(before, action, out),
            None => out.push(
                Change::added(&place(action.declared()), "action", whole(action)).growing(true, "it may be called now"),
            ),
        }
    }
    for action in old.actions().filter(|action| new.action(&action.declared().name).is_none()) {
        out.push(Change::removed(&place(action.declared()), "action", whole(action)));
    }
}

fn place(action: &Action) -> String {
    format!("action `{}`", action.name)
}

fn whole(action: &ProvenAction) -> String {
    let Action { risk, title, .. } = action.declared();
    format!("risk {}, class {}: {title}", risk.as_str(), action.class().as_str())
}

fn changed(before: &ProvenAction, after: &ProvenAction, out: &mut Vec<Change>) {
    let (was, is) = (before.declared(), after.declared());
    let place = &place(is);
    if was.risk != is.risk {
        let change = Change::new(place, "risk", was.risk.as_str(), is.risk.as_str());
        out.push(change.growing(is.risk < was.risk, "policy decides by risk, and would let more of it through"));
    }
    if before.class() != after.class() {
        let change = Change::new(place, "class", before.class().as_str(), after.class().as_str());
        out.push(change.growing(after.class() > before.class(), "its statements have more authority"));
    }
    may_run(before, after, place, out);
    previews(before, after, place, out);
    let privileges =
        |action: &ProvenAction| -> BTreeSet<String> { action.privileges().iter().map(ToString::to_string).collect() };
    let (had, has) = (privileges(before), privileges(after));
    out.extend(has.difference(&had).map(|privilege| {
        Change::added(place, "privilege", privilege).growing(true, "its role in the database needs more")
    }));
    out.extend(had.difference(&has).map(|privilege| Change::removed(place, "privilege", privilege)));
    if was.works_on_standby != is.works_on_standby {
        let change = Change::new(place, "works on standby", yes(was.works_on_standby), yes(is.works_on_standby));
        out.push(change.growing(is.works_on_standby, "it may be called where it could not be"));
    }
    params(before, after, place, out);
    if was.idempotent != is.idempotent {
        out.push(Change::new(place, "idempotent", yes(was.idempotent), yes(is.idempotent)));
    }
    differing(out, place, "title", &was.title, &is.title);
    differing(out, place, "description", &was.description, &is.description);
    differing(out, place, "side effects", &was.side_effects, &is.side_effects);
    differing(out, place, "search terms", &was.search_terms.join(", "), &is.search_terms.join(", "));
    let examples = |action: &Action| {
        let one = |example: &crate::pack::manifest::Example| format!("{} {}", example.situation, example.arguments);
        action.examples.iter().map(one).collect::<Vec<_>>().join("; ")
    };
    differing(out, place, "examples", &examples(was), &examples(is));
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// Statements that a run may request and could not before, and the other way round.
fn may_run(before: &ProvenAction, after: &ProvenAction, place: &str, out: &mut Vec<Change>) {
    let touched: BTreeSet<&String> = before.statements().values().flat_map(|statement| statement.touches()).collect();
    for id in &after.declared().run_statements {
        if before.run_statement(id).is_some() {
            continue;
        }
        // A read that was split in two, or moved from the preview, reaches no further than before.
        let no_more = after
            .run_statement(id)
            .is_some_and(|s| s.class() == Class::Read && s.touches().iter().all(|name| touched.contains(name)));
        out.push(Change::added(place, "runs", id).growing(!no_more, "it may request a statement that it could not"));
    }
    for id in before.declared().run_statements.iter().filter(|id| after.run_statement(id).is_none()) {
        out.push(Change::removed(place, "runs", id));
    }
}

/// What those who approve are shown.
fn previews(before: &ProvenAction, after: &ProvenAction, place: &str, out: &mut Vec<Change>) {
    for id in before.declared().preview_statements.iter().filter(|id| after.preview_statement(id).is_none()) {
        let change = Change::removed(place, "previews with", id);
        out.push(change.growing(!after.reads_only(), "who approves it is shown less"));
    }
    let touched: BTreeSet<&String> = before.statements().values().flat_map(|statement| statement.touches()).collect();
    for id in after.declared().preview_statements.iter().filter(|id| before.preview_statement(id).is_none()) {
        let statement = after.preview_statement(id);
        let no_more = statement
            .is_some_and(|s| s.class() == Class::Read && s.touches().iter().all(|name| touched.contains(name)));
        out.push(Change::added(place, "previews with", id).growing(!no_more, "it reads what it did not read"));
    }
}

fn params(before: &ProvenAction, after: &ProvenAction, place: &str, out: &mut Vec<Change>) {
    let (was, is) = (&before.declared().params, &after.declared().params);
    for param in is {
        let place = argument(place, param);
        match was.iter().find(|other| other.name == param.name) {
            Some(other) => param_changed(other, param, after.reads_only(), &place, out),
            None => out
                .push(Change::added(&place, "argument", in_words(param)).growing(true, "its callers may choose more")),
        }
    }
    for param in was.iter().filter(|param| is.iter().all(|other| other.name != param.name)) {
        out.push(Change::removed(&argument(place, param), "argument", in_words(param)));
    }
    let order = |params: &[Param], among: &[Param]| -> Vec<String> {
        let both = params.iter().filter(|p| among.iter().any(|other| other.name == p.name));
        both.map(|p| p.name.clone()).collect()
    };
    let (had, has) = (order(was, is), order(is, was));
    if had != has {
        out.push(Change::new(place, "order of arguments", had.join(", "), has.join(", ")));
    }
}

fn argument(place: &str, param: &Param) -> String {
    format!("{place}, argument `{}`", param.name)
}

fn in_words(param: &Param) -> String {
    format!("{}, {}", wording::kind(param), wording::need(param))
}

fn param_changed(was: &Param, is: &Param, reads_only: bool, place: &str, out: &mut Vec<Change>) {
    if was.kind != is.kind {
        let change = Change::new(place, "type", wording::kind(was), wording::kind(is));
        out.push(change.growing(!within(&is.kind, &was.kind), "its callers may choose more"));
    }
    if was.required && !is.required {
        out.push(
            Change::new(place, "need", wording::need(was), wording::need(is)).growing(true, "a call may leave it out"),
        );
    } else if was.required != is.required || was.default != is.default {
        let change = Change::new(place, "need", wording::need(was), wording::need(is));
        // Of a read another default shows something else, and nothing that could not be asked for.
        let acts = !reads_only && !is.required && is.default != was.default && was.default != Value::Null;
        out.push(change.growing(acts, "a call that leaves it out does something else"));
    }
    differing(out, place, "description", &was.description, &is.description);
}

/// Whether every value of the one is a value of the other. Of two patterns nobody can tell.
fn within(inner: &ParamKind, outer: &ParamKind) -> bool {
    match (inner, outer) {
        (ParamKind::Integer { min, max }, ParamKind::Integer { min: lowest, max: highest }) => {
            min >= lowest && max <= highest
        }
        (ParamKind::Number { min, max }, ParamKind::Number { min: lowest, max: highest }) => {
            min >= lowest && max <= highest
        }
        (ParamKind::Text { max_length, pattern }, ParamKind::Text { max_length: longest, pattern: other }) => {
            max_length <= longest && pattern == other
        }
        (ParamKind::Choice { options }, ParamKind::Choice { options: all }) => {
            options.iter().all(|option| all.contains(option))
        }
        _ => inner == outer,
    }
}
