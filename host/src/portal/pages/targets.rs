//! The targets: whether each answers, what it is, as whom we are there, and how its connections are used. Looking asks no
//! server; they are asked every now and then while somebody is about.

use axum::extract::{Path, State};
use jiff::Timestamp;
use maud::{Markup, html};

use crate::{
    outside::plain,
    portal::{
        Here, Page, Portal, Problem, Viewer, next_encoded,
        parts::{Cell, Facts, From, Table, ago, marked, marked_block, query, state},
    },
    postgres::{Condition, Connections, Health, Target},
    statement::Role,
};

/// All of them.
pub(super) async fn list(State(portal): State<Portal>, _: Viewer) -> Page {
    let now = Timestamp::now();
    let mut table = Table::new("Targets", ["Target", "Health", "Role", "Server", "Connections", "Asked"])
        .named_above()
        .or_say("There is no target. Add a [[target]] to the configuration.");
    for target in portal.gate.targets().values() {
        let condition = portal.gate.condition(target);
        table.row([
            html! { a href={ "/targets/" (next_encoded(target.name())) } { (plain(target.name(), 130).text) } }.into(),
            health(&condition).into(),
            Cell::text(role(target)),
            Cell::text(version(target)),
            Cell::text(used(target.connections())),
            condition.asked.map_or_else(|| html! { span.quiet { "not yet" } }, |at| ago(at, now)).into(),
        ]);
    }
    Page::new("Targets", Here::Targets, table.show())
}

/// One.
pub(super) async fn show(State(portal): State<Portal>, _: Viewer, Path(name): Path<String>) -> Result<Page, Problem> {
    let Some(target) = portal.gate.targets().get(&name) else {
        return Err(Problem::not_found(format!("no target `{}` is configured", plain(&name, 130).text)));
    };
    let rules = portal.gate.rules();
    let mut packs =
        Table::new("Packs that may be used here", ["Pack", "Version"]).or_say("None: no publisher's grant covers it.");
    for pack in rules.catalog.packs().filter(|pack| pack.may_use_target(&name)) {
        let declared = pack.manifest().manifest();
        packs.row([
            html! { a href={ "/catalogue/" (next_encoded(&declared.name)) } { (declared.name) } }.into(),
            Cell::text(plain(&declared.version, 64).text),
        ]);
    }
    Ok(Page::new(
        format!("Target {}", plain(&name, 130).text),
        Here::Targets,
        html! {
            (about(target, &portal.gate.condition(target), Timestamp::now()))
            (packs.show())
            div.actions { a.button.second href=(query("/runs", &[("target", &name)])) { "Runs on it" } }
            p { a href="/targets" { "All targets" } }
        },
    ))
}

fn about(target: &Target, condition: &Condition, now: Timestamp) -> Markup {
    let usage = target.connections();
    let (user, maintenance) = target.users();
    let mut facts = Facts::new().with(
        "Health",
        html! {
            (health(condition))
            @if let Some(since) = condition.since { " since " (ago(since, now)) }
        },
    );
    if let Some(asked) = condition.asked {
        facts = facts.with("Asked", ago(asked, now));
    }
    if let Some(error) = &condition.error {
        facts = facts.with("Why", marked_block(From::Database, error));
    }
    facts = facts
        .text("Role", role(target))
        .text("Server", version(target))
        .text("Where", plain(&target.address(), 300).text)
        .text("As", plain(user, 100).text)
        .text("Maintenance as", plain(maintenance.unwrap_or("the same"), 100).text)
        .text("Connections", used(usage))
        .text("Maintenance", format!("{} of {} in use", usage.maintaining, usage.most));
    let Some(known) = target.last_facts() else { return facts.show() };
    facts = facts.with("Database", marked(From::Database, &known.database)).with(
        "Runs as",
        html! {
            (marked(From::Database, &known.role_name))
            @if known.is_superuser { " " strong { "a superuser, which it should not be" } }
        },
    );
    if let Some(system) = &known.system_identifier {
        facts = facts.with("Cluster", html! { code { (plain(system, 64).text) } });
    }
    facts.show()
}

fn health(condition: &Condition) -> Markup {
    match condition.health {
        Health::Unknown => state("not asked yet"),
        asked => state(asked.as_str()),
    }
}

fn role(target: &Target) -> &'static str {
    match target.role_hint() {
        Some(Role::Primary) => "primary",
        Some(Role::Standby) => "standby",
        Some(Role::Any) | None => "not known yet",
    }
}

/// `PostgreSQL 15.18`, from the server's own numbering (libpq, `PQserverVersion`).
fn version(target: &Target) -> String {
    let Some(number) = target.version_hint() else { return "not known yet".to_owned() };
    let untested = target.last_facts().is_some_and(|facts| facts.untested);
    let more = if untested { ", which lockgate has not been tested on" } else { "" };
    format!("PostgreSQL {}.{}{more}", number / 10_000, number % 10_000)
}

fn used(usage: Connections) -> String {
    format!("{} of {} in use, {} idle", usage.in_use, usage.most, usage.idle)
}
