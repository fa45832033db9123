//! The catalogue: every pack that is in, who vouches for it and for what, and every action with the statements that it may
//! send, word for word. What a pack says of itself is marked; what was verified or proven of it is the host's word.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use jiff::Timestamp;
use maud::{Markup, html};

use super::off_thread;
use crate::{
    outside::plain,
    pack::{
        catalog::{Entry, TrustedPack},
        manifest::Risk,
        reference, wording,
    },
    portal::{
        Here, Page, Portal, Problem, Viewer, next_encoded,
        parts::{Cell, Facts, From, Table, ago, block, marked, marked_block, query, risk, sql, state},
    },
    statement::Statement,
};

/// All packs.
pub(super) async fn list(State(portal): State<Portal>, _: Viewer) -> Result<Page, Problem> {
    let rules = portal.gate.rules();
    let trusted = trust_of(&portal, rules.catalog.packs().cloned().collect()).await?;
    let mut table = Table::new("Packs that are in", ["Pack", "Version", "Trust", "Publisher", "Actions", "Digest"])
        .or_say("No pack is in. Put a signed pack where `packs` of the configuration looks.");
    for pack in rules.catalog.packs() {
        let declared = pack.manifest().manifest();
        table.row([
            html! { a href=(at(&declared.name)) { (declared.name) } }.into(),
            Cell::text(plain(&declared.version, 64).text),
            state(trust_word(trusted.get(pack.digest()))).into(),
            Cell::text(plain(&pack.verified().predicate().publisher, 100).text),
            Cell::number(declared.actions.len()),
            html! { code { (short(pack.digest())) } }.into(),
        ]);
    }
    let mut actions = Table::new("Actions", ["Action", "Risk", "What it does", "Servers"]).or_say("There is none.");
    for entry in rules.catalog.entries() {
        actions.row(action_row(entry));
    }
    Ok(Page::new(
        "Catalogue",
        Here::Catalogue,
        html! {
            (table.show())
            p.quiet { "A pack that was refused is in the "
                a href=(query("/changes", &[("kind", "packs")])) { "change history" } ", with the reason." }
            (actions.show())
        },
    ))
}

fn action_row(entry: &Entry) -> [Cell; 4] {
    let declared = entry.action.declared();
    let pack = &entry.pack.manifest().manifest().name;
    [
        html! { a href={ (at(pack)) "/" (next_encoded(&declared.name)) } { (entry.name) } }.into(),
        risk(declared.risk).into(),
        marked(From::Pack, &declared.title).into(),
        Cell::text(reference::reach(&entry.action)),
    ]
}

/// One pack.
pub(super) async fn pack(State(portal): State<Portal>, _: Viewer, Path(name): Path<String>) -> Result<Page, Problem> {
    let rules = portal.gate.rules();
    let Some(pack) = rules.catalog.pack(&name) else {
        return Err(Problem::not_found(format!("no pack `{}` is in", plain(&name, 64).text)));
    };
    let trusted = trust_of(&portal, vec![pack.clone()]).await?;
    let declared = pack.manifest().manifest();
    let mut tables = Vec::new();
    for level in [Risk::Critical, Risk::High, Risk::Medium, Risk::Low] {
        let mut table =
            Table::new(format!("Actions of {} risk", level.as_str()), ["Action", "Risk", "What it does", "Servers"]);
        let of = rules.catalog.entries().filter(|entry| entry.pack.digest() == pack.digest());
        for entry in of.filter(|entry| entry.action.declared().risk == level) {
            table.row(action_row(entry));
        }
        if !table.is_empty() {
            tables.push(table.show());
        }
    }
    Ok(Page::new(
        format!("Pack {}", declared.name),
        Here::Catalogue,
        html! {
            (marked_block(From::Pack, &declared.summary))
            h2 { "Trust" }
            (trust(&portal, pack, trusted.get(pack.digest())))
            @for table in &tables { (table) }
            p { a href="/catalogue" { "All packs" } }
        },
    ))
}

/// What was verified of a pack, and what its publisher may do here.
fn trust(portal: &Portal, pack: &TrustedPack, refused: Option<&String>) -> Markup {
    let (verified, declared) = (pack.verified(), pack.manifest().manifest());
    let (predicate, grant, now) = (verified.predicate(), verified.grant(), Timestamp::now());
    let targets: Vec<&str> =
        portal.gate.targets().keys().map(String::as_str).filter(|name| pack.may_use_target(name)).collect();
    let classes: Vec<&str> = pack.manifest().classes().iter().map(|class| class.as_str()).collect();
    let mut facts = Facts::new()
        .with("Now", html! { (state(trust_word(refused))) @if let Some(why) = refused { " " (plain(why, 500).text) } })
        .text("Version", plain(&declared.version, 64).text)
        .text("Publisher", plain(&predicate.publisher, 100).text)
        .with(
            "Signed by",
            html! {
                ul.plain { @for signer in verified.signers() {
                    li { (plain(&signer.name, 100).text) ", key " code { (signer.key_id) } }
                } }
            },
        )
        .with("Signed at", html! { (ago(predicate.issued, now)) ", by the signer's own clock" })
        .with("Valid until", ago(predicate.expires, now))
        .with("Digest", html! { code { (pack.digest()) } })
        .with("Manifest", html! { code { (plain(&predicate.manifest_sha256, 64).text) } })
        .text("Contract", plain(&predicate.contract, 20).text)
        .text("Statements are of class", classes.join(", "))
        .text("Its publisher may publish", grant.classes.iter().cloned().collect::<Vec<_>>().join(", "))
        .text("Its publisher's targets", grant.targets.join(", "))
        .text("Of those here", targets.join(", "));
    if let Some(from) = &predicate.provenance {
        let said = [("Source", &from.source), ("Commit", &from.commit), ("Built by", &from.builder)];
        for (name, text) in said {
            if let Some(text) = text {
                facts = facts.with(name, marked(From::Pack, text));
            }
        }
    }
    if !declared.homepage.is_empty() {
        // Not a link: nobody should follow one from here without reading where it goes.
        facts = facts.with("Homepage", marked(From::Pack, &declared.homepage));
    }
    facts.show()
}

/// One action.
pub(super) async fn action(
    State(portal): State<Portal>,
    _: Viewer,
    Path((pack, name)): Path<(String, String)>,
) -> Result<Page, Problem> {
    let full = format!("{pack}.{name}");
    let rules = portal.gate.rules();
    let Some(entry) = rules.catalog.get(&full) else {
        return Err(Problem::not_found(format!("no action `{}` is in", plain(&full, 130).text)));
    };
    let (manifest, declared) = (entry.pack.manifest().manifest(), entry.action.declared());
    let mut params = Table::new("Arguments", ["Argument", "Type", "Given", "What it is"]).or_say("It takes none.");
    for param in &declared.params {
        params.row([
            html! { code { (param.name) } }.into(),
            Cell::text(plain(&wording::kind(param), 1000).text),
            Cell::text(plain(&wording::need(param), 300).text),
            marked(From::Pack, &param.description).into(),
        ]);
    }
    Ok(Page::new(
        full.clone(),
        Here::Catalogue,
        html! {
            (marked_block(From::Pack, &format!("{}. {}", declared.title.trim_end_matches('.'), declared.description)))
            (about(entry))
            div.actions {
                a.button.second href=(query("/policy", &[("action", &full)])) { "What policy says to a call" }
                a.button.second href=(query("/runs", &[("action", &full)])) { "Runs of it" }
            }
            (params.show())
            @if !declared.examples.is_empty() {
                h2 { "Calls that make sense" }
                @for example in &declared.examples {
                    (marked_block(From::Pack, &example.situation))
                    (block("Arguments", &example.arguments))
                }
            }
            h2 { "Statements" }
            p { "All that this action can send to a server, word for word. It has no other way to one." }
            @for statement in reference::statements_of(manifest, declared) { (one(statement, declared)) }
            p { a href=(at(&manifest.name)) { "The pack" } }
        },
    ))
}

fn about(entry: &Entry) -> Markup {
    let (action, declared) = (&entry.action, entry.action.declared());
    let facts = Facts::new()
        .with("Risk", html! { (risk(declared.risk)) " its statements are of class " (action.class().as_str()) })
        .with(
            "Side effects",
            if declared.side_effects.is_empty() {
                html! { "none: it reads" }
            } else {
                marked(From::Pack, &declared.side_effects)
            },
        )
        .with(
            "Needs",
            html! {
                @if declared.privileges.is_empty() { span.quiet { "no privilege" } }
                ul.plain { @for privilege in &declared.privileges { li { code { (plain(privilege, 300).text) } } } }
            },
        )
        .text("Servers", reference::reach(action));
    match wording::twice(action) {
        Some(words) => facts.text("Called twice", words),
        None => facts,
    }
    .show()
}

fn one(statement: &Statement, of: &crate::pack::manifest::Action) -> Markup {
    let use_of = match (of.run_statements.contains(&statement.id), of.preview_statements.contains(&statement.id)) {
        (true, true) => "for the preview and when it runs",
        (false, true) => "for the preview",
        _ => "when it runs",
    };
    html! {
        h3 { (statement.id) }
        p { code { (wording::signature(statement)) } ": " (wording::limits(statement)) ", " (use_of) "." }
        @for variant in &statement.variants {
            (sql(&format!("On {}", plain(&wording::servers(variant), 200).text), &variant.sql))
        }
    }
}

/// Why each of these packs may not be used any more, by digest; those that may are not in it.
async fn trust_of(
    portal: &Portal,
    packs: Vec<std::sync::Arc<TrustedPack>>,
) -> Result<BTreeMap<String, String>, Problem> {
    let gate = portal.gate.clone();
    off_thread(move || {
        let refused = packs.iter().filter_map(|pack| {
            gate.still_trusted(pack).err().map(|refusal| (pack.digest().to_owned(), refusal.message))
        });
        Ok::<_, crate::error::Refusal>(refused.collect())
    })
    .await
}

fn trust_word(refused: Option<&String>) -> &'static str {
    if refused.is_some() { "not trusted" } else { "trusted" }
}

fn at(pack: &str) -> String {
    format!("/catalogue/{}", next_encoded(pack))
}

/// As much of a digest as tells packs apart; all of it is on the pack's page.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
