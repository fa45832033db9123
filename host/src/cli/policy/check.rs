//! `lockgate policy check`: a policy's errors, and what is odd about it.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::json;

use super::{Surroundings, policy};
use crate::{
    cli::terminal::{say, say_json},
    config::Config,
    error::{Code, Refusal},
    policy::{
        Installed,
        check::{Warning, check},
    },
};

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// The policy; the configuration's if left out
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Exit with 1 if there is a warning
    #[arg(long)]
    strict: bool,
    /// Print the policy in its one fixed order and layout; comments are not kept
    #[arg(long)]
    print: bool,
    /// As JSON
    #[arg(long, conflicts_with = "print")]
    json: bool,
}

pub(super) async fn run(args: CheckArgs, config: impl Fn() -> Result<Config, Refusal>) -> Result<ExitCode, Refusal> {
    let policy = policy(args.file.as_deref(), &config)?;
    if args.print {
        let text = policy.to_toml().map_err(|e| Refusal::new(Code::InternalError, e.to_string()))?;
        say(text.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    // A policy alone can be checked where there is no configuration, as on a machine that only tests it.
    let around = match config() {
        Ok(config) => Surroundings::of(&config).await,
        Err(error) => Err(error),
    };
    let (warnings, unseen) = match &around {
        Ok(around) => (check(&policy, Installed(Some(&around.catalog)), Some(&around.targets)), None),
        Err(refusal) => (check(&policy, Installed::default(), None), Some(refusal.message.clone())),
    };
    let refused: Vec<_> = around.iter().flat_map(|around| &around.refused).map(|p| p.display().to_string()).collect();
    if args.json {
        say_json(&json!({
            "digest": policy.digest(), "warnings": warnings, "packs_not_looked_at": unseen, "packs_refused": refused,
        }));
    } else {
        print(&warnings, unseen.as_deref(), &refused);
        say(&format!("policy {}: sound, {}", policy.digest(), count(warnings.len())));
    }
    Ok(if args.strict && !warnings.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(warnings: &[Warning], unseen: Option<&str>, refused: &[String]) {
    for warning in warnings {
        say(&format!("warning: {warning}"));
    }
    for path in refused {
        say(&format!("note: {path} is not admitted, so its actions were not looked at"));
    }
    if let Some(why) = unseen {
        say(&format!("note: checked without packs and targets: {why}"));
    }
}

fn count(warnings: usize) -> String {
    match warnings {
        0 => "no warnings".into(),
        1 => "1 warning".into(),
        n => format!("{n} warnings"),
    }
}
