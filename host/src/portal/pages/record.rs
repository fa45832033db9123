//! The record: whether it can be written, whether it is as it was written, what signs it, and its last lines.

use axum::{extract::State, response::Response};
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value as Json;

use super::off_thread;
use crate::{
    audit::{self, Checkpoint, Health, Progress, Report},
    error::{Code, Refusal},
    outside::plain,
    portal::{
        Flash, Here, Page, Portal, Problem, Tone, Viewer,
        parts::{Facts, Table, ago, block, line, moment, notice, state},
        verification::{Begun, Ended, State as Verified},
    },
};

/// Lines that are shown.
const LINES: u64 = 20;
/// Checkpoints that are shown.
const CHECKPOINTS: usize = 10;

/// The page.
pub(super) async fn show(State(portal): State<Portal>, viewer: Viewer) -> Result<Page, Problem> {
    let record = portal.record.clone();
    let (checkpoints, lines) = off_thread(move || {
        let unreadable = |error: &dyn std::fmt::Display| Refusal::new(Code::RecordUnavailable, error.to_string());
        let checkpoints =
            audit::checkpoints(record.dir(), record.public_key(), CHECKPOINTS).map_err(|e| unreadable(&e))?;
        let tail = audit::tail(record.dir(), LINES, false).map_err(|e| unreadable(&e))?;
        // What is no line is shown as such, in its place: that is what this page is looked at for.
        let lines: Vec<Result<Json, String>> = tail
            .take(usize::try_from(2 * LINES).unwrap_or(usize::MAX))
            .map(|found| found.map(|line| Json::Object(line.fields().clone())).map_err(|error| error.to_string()))
            .collect();
        Ok::<_, Refusal>((checkpoints, lines))
    })
    .await?;
    let now = Timestamp::now();
    Ok(Page::new(
        "The record",
        Here::Record,
        html! {
            (health(&portal.record.health()))
        (progress(portal.record.progress(), now))
            section.card aria-labelledby="verified-heading" {
                h2 #verified-heading { "Verification" }
                (verified(&viewer, &portal.verification.state(), now))
            }
            section aria-labelledby="key-heading" {
                h2 #key-heading { "Public key" }
                p { "Keep it where this host can't change it. With it and the files, "
                    code { "lockgate audit verify --key …" } " says the same anywhere." }
                (block("Public key of the record", &portal.record.public_key().to_string()))
            }
            (signed(&checkpoints, portal.config.record.export.is_some()))
            h2 { "The last lines" }
            p.quiet { "The newest first." }
            @for found in lines.iter().rev() {
                @match found {
                    Ok(Json::Object(fields)) => (line(fields)),
                    Ok(_) => {}
                    Err(why) => (notice(Tone::Failed, &html! { (plain(why, 500).text) })),
                }
            }
        },
    ))
}

/// Begins a verification.
pub(super) async fn verify(State(portal): State<Portal>, viewer: Viewer) -> Result<Response, Problem> {
    let said = match portal.verification.begin(&viewer.account.name)? {
        Begun::Now => "The verification is under way. Load the page again to see what it found.",
        Begun::Already => "A verification was under way already.",
        Begun::JustEnded => "A verification has just ended; this is what it found.",
    };
    Ok(viewer.go("/record", Some(&Flash::note(said))))
}

fn health(health: &Health) -> Markup {
    match health {
        Health::Ok => Facts::new()
            .with("Writing", html! { (state("active")) " Lines are durable before anything is done." })
            .show(),
        Health::Degraded { reason } => html! {
            (notice(Tone::Warning, &html! {
                "Lines are durable, but a checkpoint could not be written or sent: " (plain(reason, 500).text)
            }))
        },
        Health::Latched { reason } => html! {
            (notice(Tone::Failed, &html! {
                p { (state("latched")) " The record can't be written any more, so nothing runs: " (plain(reason, 500).text) }
                p { "Make it writable, verify it, and start lockgate again." }
            }))
        },
    }
}

fn progress(progress: Progress, now: Timestamp) -> Markup {
    let uncovered = progress.lines.saturating_sub(progress.covered);
    let facts = Facts::new().text("Lines", progress.lines.to_string()).text("Not yet signed", uncovered.to_string());
    match progress.checkpoint_at {
        Some(at) => facts.with("Last signed", ago(at, now)),
        None => facts,
    }
    .show()
}

fn verified(viewer: &Viewer, job: &Verified, now: Timestamp) -> Markup {
    html! {
        @match &job.last {
            None => p.quiet { "Not verified since this process began. " code { "lockgate audit verify" } " does it on the command line." },
            Some(ended) => (outcome(ended, now)),
        }
        @if let Some((since, by)) = &job.running {
            p { (state("running")) " Under way since " (moment(*since)) ", for " (by) ". " a href="/record" { "Look again" } }
        } @else {
            (viewer.form("/record/verify", &html! { div.actions { button type="submit" { "Verify now" } } }))
        }
    }
}

fn outcome(ended: &Ended, now: Timestamp) -> Markup {
    let facts = Facts::new().with(
        "Verified",
        html! {
            (ago(ended.began, now)) ", for " (ended.by) ", in " (ended.took.as_millis()) " ms"
        },
    );
    match &ended.found {
        Err(why) => html! {
            (notice(Tone::Failed, &html! { "It could not be verified: " (plain(why, 1000).text) }))
            (facts.show())
        },
        Ok(report) => html! {
            @if report.intact {
                p.lead { (state("intact")) " Every line is as it was written." }
            } @else {
                (notice(Tone::Failed, &html! {
                    p { (state("not intact")) " Somebody or something changed it." }
                    ul { @for problem in &report.problems { li { (plain(&problem.to_string(), 1000).text) } } }
                }))
            }
            (found(report, facts, ended.with_exported).show())
        },
    }
}

fn found(report: &Report, facts: Facts, with_exported: bool) -> Facts {
    let external = match (report.external, with_exported) {
        (Some(size), _) => format!("lines 1 to {size}, by checkpoints that were sent elsewhere"),
        (None, true) => "nothing".to_owned(),
        (None, false) => "no checkpoint from elsewhere took part: a cut-off end can't be told from no end".to_owned(),
    };
    let facts = facts
        .text("Lines", format!("{} in {}", report.verified, counted(report.segments, "segment")))
        .text("Signed", format!("{} of them, by {}", report.anchored, counted(report.checkpoints, "checkpoint")))
        .text("Not yet signed", report.unanchored.to_string())
        .text("Confirmed from outside", external)
        .with("Head", html! { code { (report.head) } })
        .with("Root", html! { code { (report.root) } });
    match (&report.first_time, &report.last_time) {
        (Some(first), Some(last)) => facts
            .text("Written", format!("{} to {}, by this host's clock", plain(first, 40).text, plain(last, 40).text)),
        _ => facts,
    }
}

fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn signed(checkpoints: &[Checkpoint], exported: bool) -> Markup {
    let mut table = Table::new("Latest checkpoints", ["Lines", "Root"])
        .or_say("None yet: one is cut after so many lines, after so much time, and when lockgate ends.");
    for checkpoint in checkpoints {
        table.row([html! { "1 to " (checkpoint.size()) }.into(), html! { code { (checkpoint.root()) } }.into()]);
    }
    html! {
        (table.show())
        p.quiet {
            @if exported { "Each is also appended to the file that [record] export names." }
            @else { "They go nowhere else. Set [record] export, to a file on another machine: only what this host can't rewrite shows that nothing was cut off." }
        }
    }
}
