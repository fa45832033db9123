//! From a request that people approved to a standing approval, in two clicks: the same agent, action, target and arguments,
//! so many times and for so long, unless whoever proposes it says otherwise. It lets nothing through before an administrator
//! approves it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::SignedDuration;
use maud::{Markup, html};

use super::super::{request::can_stand, words};
use crate::{
    approval::standing::{Proposal, one_of, range},
    error::{Code, Refusal},
    gate::standing,
    outside::plain,
    portal::{
        Approver, Flash, Form, Fresh, Here, Page, Portal, Problem, Tone, Viewer,
        decision::find,
        parts::{Choice, Field, choices, notice},
    },
    store::{Approval, Bound, LONGEST_STANDING, MOST_USES},
};

/// What is proposed unless somebody says otherwise: an incident's worth, until next week.
const USES: u32 = 5;
const DAYS: u32 = 7;

/// The form.
pub(in super::super) async fn show(
    State(portal): State<Portal>,
    Approver(viewer): Approver,
    Path(id): Path<String>,
) -> Result<Page, Problem> {
    let approval = find(&portal, &id).await?;
    if !can_stand(&approval) {
        return Err(not_from_this(&approval).into());
    }
    let given = Given {
        uses: USES.to_string(),
        days: DAYS.to_string(),
        reason: format!("Like {}, which {} approved", approval.id, approver(&approval)),
        ..Given::default()
    };
    Ok(page(&viewer, &approval, &given, None))
}

/// What is sent: any of them may be missing or come twice, since which there are depends on the request.
#[derive(Default)]
struct Given {
    uses: String,
    days: String,
    reason: String,
    role: String,
    /// By argument: how it is bounded, and by what.
    bounds: BTreeMap<String, (String, String)>,
}

impl Given {
    fn read(fields: Vec<(String, String)>) -> Self {
        let mut given = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "uses" => given.uses = value,
                "days" => given.days = value,
                "reason" => given.reason = value,
                "role" => given.role = value,
                other => {
                    if let Some(argument) = other.strip_prefix("how-") {
                        given.bounds.entry(argument.to_owned()).or_default().0 = value;
                    } else if let Some(argument) = other.strip_prefix("what-") {
                        given.bounds.entry(argument.to_owned()).or_default().1 = value;
                    }
                }
            }
        }
        given
    }

    fn proposal(&self, approval: &Approval, by: &str) -> Result<Proposal, Refusal> {
        let refuse = |why: String| Refusal::new(Code::InvalidArguments, why).with_remedy("");
        let whole = |what: &str, text: &str, most: u64| {
            let number = text.trim().parse::<u32>().ok().filter(|number| (1..=most).contains(&u64::from(*number)));
            number.ok_or_else(|| refuse(format!("{what} is a whole number from 1 to {most}")))
        };
        let mut bounds = BTreeMap::new();
        for (name, (how, what)) in &self.bounds {
            let before = approval.request.arguments.get(name);
            let bound = match how.as_str() {
                "" | "exactly" => continue,
                "one-of" => one_of(before, what),
                "like" => Bound::Glob(what.clone()),
                "range" => range(what)
                    .ok_or_else(|| refuse(format!("the range of `{}` is two numbers, MIN..MAX", words::name(name))))?,
                _ => return Err(refuse("an argument is bounded in no way that is known here".to_owned())),
            };
            bounds.insert(name.clone(), bound);
        }
        let days = whole("the number of days", &self.days, LONGEST_STANDING.as_secs() / 86_400)?;
        Ok(Proposal {
            uses: whole("the number of uses", &self.uses, u64::from(MOST_USES))?,
            within: SignedDuration::from_hours(i64::from(days) * 24),
            role: Some(self.role.clone()).filter(|role| !role.is_empty()),
            bounds,
            by: by.to_owned(),
            reason: self.reason.clone(),
        })
    }
}

/// Proposes it.
pub(in super::super) async fn propose(
    State(portal): State<Portal>,
    Fresh(Approver(viewer)): Fresh<Approver>,
    Path(id): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let approval = find(&portal, &id).await?;
    let given = Given::read(fields);
    let record = portal.gate.journal().record();
    let made = match given.proposal(&approval, &viewer.account.name) {
        Ok(proposal) => standing::propose(record, Arc::clone(&portal.store), &id, proposal).await,
        Err(refusal) => Err(refusal),
    };
    match made {
        Ok(made) => {
            let said = Flash::done("Proposed. It lets nothing through before an administrator approves it.");
            Ok(viewer.go(&words::standing_address(&made), Some(&said)))
        }
        Err(refusal) if matches!(refusal.code, Code::InvalidArguments | Code::ReasonRequired) => {
            let page = page(&viewer, &approval, &given, Some(&refusal));
            Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

fn not_from_this(approval: &Approval) -> Refusal {
    let why = if approval.request.risk == "critical" {
        "calls of critical risk are decided one by one"
    } else {
        "a standing approval is made from a request that people approved, and they did not approve this one"
    };
    Refusal::new(Code::InvalidArguments, why).with_remedy("look at the requests that were approved")
}

fn approver(approval: &Approval) -> String {
    words::name(approval.decided_by.as_deref().unwrap_or("somebody"))
}

fn page(viewer: &Viewer, approval: &Approval, given: &Given, refusal: Option<&Refusal>) -> Page {
    let request = &approval.request;
    let whom = match &request.requester.person {
        Some(person) => format!("{} of {}", words::name(&request.requester.agent), words::name(person)),
        None => words::name(&request.requester.agent),
    };
    let roles: Vec<(String, String)> = request
        .requester
        .roles
        .iter()
        .map(|role| (role.clone(), format!("Every agent with the role {}", words::name(role))))
        .collect();
    let only = format!("Only {whom}");
    let to: Vec<Choice<'_>> = [Choice { value: "", label: &only, hint: "" }]
        .into_iter()
        .chain(roles.iter().map(|(role, label)| Choice { value: role, label, hint: "" }))
        .collect();
    let fields = html! {
        (Field::new("uses", "How many calls").value(&given.uses).hint("At most 1000.").longest(4).needed().show())
        (Field::new("days", "For how many days").value(&given.days).hint("At most 90.").longest(2).needed().show())
        @if roles.is_empty() { p { "For " strong { (whom) } "." } } @else { (choices("role", "For whom", &given.role, &to)) }
        @for (name, value) in &request.arguments { (bound(name, value, given)) }
        (Field::new("reason", "Why").lines(3).longest(500).value(&given.reason).needed()
            .hint("For the record, and for whoever approves it.").show())
        p.actions {
            button type="submit" { "Propose it" }
            a.button.second href=(words::address(approval)) { "Back" }
        }
    };
    let content = html! {
        @if let Some(refusal) = refusal { (notice(Tone::Failed, &html! { (plain(&refusal.message, 1_000).text) "." })) }
        p {
            "Lets calls of " code { (words::name(&request.action)) } " on " strong { (words::name(&request.target)) }
            " through without asking each time, within these bounds. What policy denies, it never lets through."
        }
        (viewer.form(&format!("{}/standing", words::address(approval)), &fields))
    };
    Page::new("Propose a standing approval", Here::Standing, content)
}

/// How one argument is bounded.
fn bound(name: &str, value: &serde_json::Value, given: &Given) -> Markup {
    let (how, what) = given.bounds.get(name).map_or(("exactly", ""), |(how, what)| (how.as_str(), what.as_str()));
    let (how_name, what_name, shown) = (format!("how-{name}"), format!("what-{name}"), words::name(name));
    let ways: &[(&str, &str)] = match value {
        serde_json::Value::String(_) => {
            &[("exactly", "exactly this"), ("one-of", "one of (a, b, …)"), ("like", "like (with * for anything)")]
        }
        serde_json::Value::Number(_) => {
            &[("exactly", "exactly this"), ("one-of", "one of (1, 2, …)"), ("range", "from..to")]
        }
        _ => &[("exactly", "exactly this"), ("one-of", "one of (…)")],
    };
    html! {
        fieldset {
            legend { "Argument " code { (shown) } ", which was " code { (words::json(value)) } }
            label for=(how_name) { "May be" }
            select #(how_name) name=(how_name) {
                @for (value, label) in ways { option value=(value) selected[*value == how] { (label) } }
            }
            label for=(what_name) { "Of these, if not exactly this " span.quiet { "(optional)" } }
            input #(what_name) type="text" name=(what_name) value=(what) maxlength="1024" autocomplete="off";
        }
    }
}
