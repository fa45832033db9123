//! `lockgate policy diff`: the calls of the record, put to the policy in force and to another.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::unusable;
use crate::{
    audit::Follow,
    cli::terminal::{say, say_json},
    config::Config,
    error::{Code, Refusal},
    policy::{Policy, change::changes, diff::Replay},
    startup,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    /// The other policy
    #[arg(value_name = "FILE")]
    other: PathBuf,
    /// Only calls since: a time (RFC 3339) or a length like 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// The policy to compare with; the configuration's if left out
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DiffArgs, config: &Config) -> Result<ExitCode, Refusal> {
    let before = match &args.policy {
        Some(path) => Policy::load(path).map_err(|e| unusable(&e))?,
        None => startup::policy(config)?,
    };
    let after = Policy::load(&args.other).map_err(|e| unusable(&e))?;
    let is_exact = startup::exact_arguments(config)?;
    let mut replay = Replay::new(&before, &after, &is_exact, args.since);
    let unreadable = |e: &dyn std::fmt::Display| Refusal::new(Code::RecordUnavailable, e.to_string());
    let mut record = Follow::open(&config.record_dir(), None).map_err(|e| unreadable(&e))?;
    while let Some(found) = record.advance().map_err(|e| unreadable(&e))? {
        match &found.line {
            Ok((line, _)) => replay.take(line),
            Err(_) => replay.pass_over(),
        }
    }
    let (changes, difference) = (changes(&before, &after), replay.finish());
    if args.json {
        say_json(&json!({ "changes": changes, "replayed": difference }));
    } else {
        if changes.is_empty() {
            say("the two policies mean the same");
        }
        changes.iter().for_each(|change| say(&format!("- {change}")));
        say("");
        say(&difference.render());
    }
    Ok(ExitCode::SUCCESS)
}

fn since(text: &str) -> Result<Timestamp, String> {
    let wrong = || "write a time like 2026-11-01T00:00:00Z, or a length like 30d or 12h".to_owned();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let (number, hours) = match (text.strip_suffix('d'), text.strip_suffix('h')) {
        (Some(days), _) => (days, 24),
        (None, Some(hours)) => (hours, 1),
        (None, None) => return Err(wrong()),
    };
    let number = number.parse::<u32>().map_err(|_| wrong())?;
    let back = SignedDuration::from_hours(i64::from(number) * hours);
    Timestamp::now().checked_sub(back).map_err(|_| wrong())
}
