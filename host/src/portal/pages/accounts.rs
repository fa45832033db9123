//! Everybody's accounts, for administrators: who there is, what they may do, and the link with which somebody chooses a
//! password. Every change asks for a session that is fresh.

use axum::{
    extract::Path,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::links::wrong;
use crate::{
    error::{Code, Refusal},
    people::{accounts::Wanted, links::MadeLink},
    portal::{
        Admin, Flash, Form, Fresh, Here, Page, Problem, Tone, Viewer,
        parts::{Cell, Choice, Facts, Field, Table, ago, choices, moment, notice, state},
    },
    store::{Account, AccountChange, PortalRole},
};

/// Everybody, and a form for one more.
pub(super) async fn list(Admin(viewer): Admin) -> Result<Page, Problem> {
    list_page(&viewer, &Details::default(), None).await
}

/// What an account's form holds.
#[derive(Deserialize)]
pub(super) struct Details {
    #[serde(default)]
    name: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    groups: String,
    #[serde(default)]
    os_user: String,
    #[serde(default)]
    email: String,
}

impl Default for Details {
    fn default() -> Self {
        let none = String::new;
        Self { name: none(), role: PortalRole::Viewer.as_str().into(), groups: none(), os_user: none(), email: none() }
    }
}

impl Details {
    fn of(account: &Account) -> Self {
        Self {
            name: account.name.clone(),
            role: account.role.as_str().to_owned(),
            groups: account.groups.iter().cloned().collect::<Vec<_>>().join(", "),
            os_user: account.os_user.clone().unwrap_or_default(),
            email: account.email.clone().unwrap_or_default(),
        }
    }

    fn change(&self) -> Result<AccountChange, Refusal> {
        let role = self.role.parse::<PortalRole>();
        Ok(AccountChange {
            role: role.map_err(|e| Refusal::new(Code::AccountRefused, e.to_string()))?,
            groups: self.groups.split(',').map(|group| group.trim().to_owned()).filter(|g| !g.is_empty()).collect(),
            os_user: Some(self.os_user.clone()).filter(|user| !user.trim().is_empty()),
            email: Some(self.email.clone()).filter(|email| !email.trim().is_empty()),
        })
    }
}

/// Makes an account, and the link with which its person chooses a password.
pub(super) async fn create(
    Fresh(Admin(viewer)): Fresh<Admin>,
    Form(given): Form<Details>,
) -> Result<Response, Problem> {
    let people = &viewer.visitor.access.people;
    let by = viewer.account.name.as_str();
    let made = async {
        let AccountChange { role, groups, os_user, email } = given.change()?;
        let wanted = Wanted { name: given.name.clone(), role, groups, os_user, email };
        let account = people.create(wanted, by).await?;
        let link =
            if people.settings().passwords { Some(people.password_link(&account.name, by).await?) } else { None };
        Ok((account, link))
    };
    match made.await {
        Ok((account, Some(link))) => Ok(link_page(&viewer, &account, &link).into_response()),
        Ok((account, None)) => Ok(viewer.go(&at(&account), Some(&Flash::done(format!("{} is made.", account.name))))),
        Err(refusal) => {
            let page = list_page(&viewer, &given, Some(&refusal)).await?;
            Ok(wrong(refusal, |_| page))
        }
    }
}

/// One account.
pub(super) async fn show(Admin(viewer): Admin, Path(name): Path<String>) -> Result<Page, Problem> {
    let account = viewer.visitor.access.people.one(&name).await?;
    account_page(&viewer, &account, &Details::of(&account), None).await
}

/// Changes it.
pub(super) async fn change(
    Fresh(Admin(viewer)): Fresh<Admin>,
    Path(name): Path<String>,
    Form(given): Form<Details>,
) -> Result<Response, Problem> {
    let people = &viewer.visitor.access.people;
    let changed = match given.change() {
        Ok(change) => people.change(&name, change, &viewer.account.name).await,
        Err(refusal) => Err(refusal),
    };
    match changed {
        Ok(account) => Ok(viewer.go(&at(&account), Some(&Flash::done(format!("{} is as you said.", account.name))))),
        Err(refusal) => {
            let account = people.one(&name).await?;
            let page = account_page(&viewer, &account, &given, Some(&refusal.message)).await?;
            Ok(wrong(refusal, |_| page))
        }
    }
}

/// Makes a link with which somebody chooses a password.
pub(super) async fn make_link(Fresh(Admin(viewer)): Fresh<Admin>, Path(name): Path<String>) -> Result<Page, Problem> {
    let people = &viewer.visitor.access.people;
    let account = people.one(&name).await?;
    let link = people.password_link(&account.name, &viewer.account.name).await?;
    Ok(link_page(&viewer, &account, &link))
}

/// Why an account is disabled.
#[derive(Deserialize)]
pub(super) struct Why {
    #[serde(default)]
    reason: String,
}

/// Disables it.
pub(super) async fn disable(
    Fresh(Admin(viewer)): Fresh<Admin>,
    Path(name): Path<String>,
    Form(why): Form<Why>,
) -> Result<Response, Problem> {
    let account = viewer.visitor.access.people.disable(&name, &why.reason, &viewer.account.name).await?;
    Ok(viewer.go(&at(&account), Some(&Flash::done(format!("{} is disabled and logged out.", account.name)))))
}

/// Enables it again.
pub(super) async fn enable(Fresh(Admin(viewer)): Fresh<Admin>, Path(name): Path<String>) -> Result<Response, Problem> {
    let account = viewer.visitor.access.people.enable(&name, &viewer.account.name).await?;
    Ok(viewer.go(&at(&account), Some(&Flash::done(format!("{} may come in again.", account.name)))))
}

/// Logs somebody out everywhere.
pub(super) async fn end_sessions(
    Fresh(Admin(viewer)): Fresh<Admin>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let people = &viewer.visitor.access.people;
    let account = people.one(&name).await?;
    let ended = people.end_sessions(&account.name, None, &viewer.account.name).await?;
    Ok(viewer.go(&at(&account), Some(&Flash::done(format!("Sessions ended: {ended}.")))))
}

/// Which of their passkeys or tokens.
#[derive(Deserialize)]
pub(super) struct Which {
    id: String,
}

/// Removes one of their passkeys: of a device that was lost.
pub(super) async fn remove_passkey(
    Fresh(Admin(viewer)): Fresh<Admin>,
    Path(name): Path<String>,
    Form(which): Form<Which>,
) -> Result<Response, Problem> {
    let people = &viewer.visitor.access.people;
    let account = people.one(&name).await?;
    let removed = people.remove_passkey(&account.name, &which.id, &viewer.account.name).await?;
    Ok(viewer.go(&at(&account), Some(&gone(removed, "The passkey is removed."))))
}

/// Ends one of their tokens for the command line.
pub(super) async fn end_token(
    Fresh(Admin(viewer)): Fresh<Admin>,
    Path(name): Path<String>,
    Form(which): Form<Which>,
) -> Result<Response, Problem> {
    let people = &viewer.visitor.access.people;
    let account = people.one(&name).await?;
    let ended = people.end_api_token(&account.name, &which.id, &viewer.account.name).await?;
    Ok(viewer.go(&at(&account), Some(&gone(ended, "That token opens nothing any more."))))
}

fn gone(now: bool, said: &str) -> Flash {
    if now { Flash::done(said) } else { Flash::note("It was gone before.") }
}

fn at(account: &Account) -> String {
    format!("/accounts/{}", crate::portal::next_encoded(&account.name))
}

async fn list_page(viewer: &Viewer, given: &Details, refusal: Option<&Refusal>) -> Result<Page, Problem> {
    let people = &viewer.visitor.access.people;
    let (accounts, now) = (people.all().await?, people.now());
    let mut table =
        Table::new("People with an account", ["Name", "Role", "Groups", "Logs in with", "Last login", "State"]);
    for account in &accounts {
        table.row([
            Cell::new(html! { a href=(at(account)) { (account.name) } }),
            Cell::text(account.role.as_str()),
            Cell::text(account.groups.iter().cloned().collect::<Vec<_>>().join(", ")),
            Cell::text(ways(account)),
            Cell::new(
                html! { @match account.last_login_at { Some(at) => (ago(at, now)), None => span.quiet { "never" } } },
            ),
            Cell::new(state(if account.disabled.is_some() { "disabled" } else { "active" })),
        ]);
    }
    let fields = html! {
        (Field::new("name", "Name").value(&given.name).longest(64).needed()
            .hint("In lower case; it names the person on the record and never changes.").show())
        (common(given))
        button type="submit" { "Make the account" }
    };
    let content = html! {
        (table.show())
        section.card aria-labelledby="new-heading" {
            h2 #new-heading { "A new account" }
            @if let Some(refusal) = refusal { (notice(Tone::Failed, &html! { (refusal.message) })) }
            (viewer.form("/accounts", &fields))
        }
    };
    Ok(Page::new("Accounts", Here::Accounts, content))
}

async fn account_page(
    viewer: &Viewer,
    account: &Account,
    given: &Details,
    error: Option<&str>,
) -> Result<Page, Problem> {
    let people = &viewer.visitor.access.people;
    let (passkeys, tokens) = (people.passkeys_of(&account.name).await?, people.api_tokens_of(&account.name).await?);
    let now = people.now();
    let here = at(account);
    let facts = Facts::new()
        .with("State", state(if account.disabled.is_some() { "disabled" } else { "active" }))
        .text("Logs in with", ways(account))
        .with(
            "Last login",
            html! { @match account.last_login_at { Some(at) => (ago(at, now)), None => span.quiet { "never" } } },
        )
        .with("Made", html! { (moment(account.created_at)) " by " (account.created_by) });
    let facts = match &account.disabled {
        Some(disabled) => facts.with(
            "Disabled",
            html! { (moment(disabled.at)) " by " (disabled.by)
            @if !disabled.reason.is_empty() { ": " (disabled.reason) } },
        ),
        None => facts,
    };
    let content = html! {
        (facts.show())
        section.card aria-labelledby="change-heading" {
            h2 #change-heading { "What they may do" }
            p.quiet { "A change of role or groups ends their sessions." }
            @if let Some(error) = error { (notice(Tone::Failed, &html! { (error) })) }
            (viewer.form(&here, &html! { (common(given)) button type="submit" { "Save" } }))
        }
        section.card aria-labelledby="access-heading" {
            h2 #access-heading { "Access" }
            @if account.disabled.is_none() {
                div.actions {
                    (viewer.form(&format!("{here}/link"), &html! { button.second type="submit" { "Make a link to set a password" } }))
                    (viewer.form(&format!("{here}/sessions/end"), &html! { button.second type="submit" { "Log them out everywhere" } }))
                }
                h3 { "Disable" }
                (viewer.form(&format!("{here}/disable"), &html! {
                    (Field::new("reason", "Why").longest(500).hint("For the record.").show())
                    button.danger type="submit" { "Disable the account" }
                }))
            } @else {
                (viewer.form(&format!("{here}/enable"), &html! { button type="submit" { "Enable the account" } }))
            }
        }
        @if !passkeys.is_empty() {
            (devices(viewer, "Passkeys", &format!("{here}/passkeys/remove"), "Remove", now,
                passkeys.iter().map(|p| (p.id.as_str(), p.label.as_str(), p.added_at, p.last_used_at))))
        }
        @if !tokens.is_empty() {
            (devices(viewer, "Tokens for the command line", &format!("{here}/tokens/end"), "End", now,
                tokens.iter().map(|t| (t.id.as_str(), t.label.as_str(), t.created_at, t.last_used_at))))
        }
        p { a href="/accounts" { "All accounts" } }
    };
    Ok(Page::new(account.name.clone(), Here::Accounts, content))
}

/// What somebody comes in with from a device of theirs: id, name, since when, last used; and what takes each away.
fn devices<'a>(
    viewer: &Viewer,
    title: &str,
    action: &str,
    word: &str,
    now: Timestamp,
    all: impl Iterator<Item = (&'a str, &'a str, Timestamp, Option<Timestamp>)>,
) -> Markup {
    let mut table = Table::new(title, ["Name", "Added", "Last used", ""]);
    for (id, label, since, used) in all {
        table.row([
            Cell::text(label),
            Cell::new(ago(since, now)),
            Cell::new(html! { @match used { Some(at) => (ago(at, now)), None => span.quiet { "never" } } }),
            Cell::new(viewer.form(
                action,
                &html! {
                    input type="hidden" name="id" value=(id);
                    button.plain type="submit" { (word) span.unseen { " " (label) } }
                },
            )),
        ]);
    }
    table.show()
}

fn link_page(viewer: &Viewer, account: &Account, link: &MadeLink) -> Page {
    let address = viewer.visitor.access.site.at(&link.path(false));
    let content = html! {
        p { "Give this link to " strong { (account.name) } ", and to nobody else. It is shown only now, works once, and until "
            (moment(link.expires_at)) ". Whoever opens it chooses the password." }
        code.once { (address) }
        div.actions { a.button.second href=(at(account)) { "Done" } }
    };
    Page::new("A link to set a password", Here::Accounts, content)
}

/// The fields that a new account and a changed one share.
fn common(given: &Details) -> Markup {
    let roles = [
        Choice { value: "viewer", label: "Viewer", hint: "looks" },
        Choice {
            value: "approver",
            label: "Approver",
            hint: "looks, and decides what policy lets their groups decide",
        },
        Choice { value: "admin", label: "Admin", hint: "does all of that, and says who may do what" },
    ];
    html! {
        (choices("role", "Role in the portal", &given.role, &roles))
        (Field::new("groups", "Groups").value(&given.groups).hint("As policy names its approvers, separated by commas: dba, oncall.").show())
        (Field::new("os_user", "User on this machine").value(&given.os_user).longest(64)
            .hint("The same person on the command line; they may not approve there what they asked for here.").show())
        (Field::new("email", "E-mail").value(&given.email).longest(254)
            .hint("Another name of the same person, and where they are told of requests.").show())
    }
}

fn ways(account: &Account) -> String {
    let mut ways = Vec::new();
    if account.has_password {
        ways.push("password".to_owned());
    }
    match account.passkeys {
        0 => {}
        1 => ways.push("1 passkey".to_owned()),
        n => ways.push(format!("{n} passkeys")),
    }
    if account.has_identity {
        ways.push("company account".to_owned());
    }
    if ways.is_empty() { "nothing yet".to_owned() } else { ways.join(", ") }
}
