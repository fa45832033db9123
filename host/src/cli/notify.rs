//! `lockgate notify`: whether people can be told, before they have to be.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::terminal::{say, say_json};
use crate::{
    config::Config,
    error::{Code, Refusal},
    notify::{Channel, Notice},
    store,
};

#[derive(Debug, Subcommand)]
pub(super) enum NotifyCommand {
    /// Send a test message to each channel, and say how that went
    Test(TestArgs),
}

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// Only to this one
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: NotifyCommand, config: &Config) -> Result<ExitCode, Refusal> {
    let NotifyCommand::Test(args) = command;
    let wanted = |name: &str| args.channel.as_ref().is_none_or(|only| only == name);
    let channels: Vec<_> = config.notify.iter().filter(|channel| wanted(&channel.name)).collect();
    if channels.is_empty() {
        return Err(Refusal::new(Code::ConfigInvalid, "there is no such channel to test")
            .with_remedy("add a [[notify]] to the configuration; docs/notifications.md has every setting"));
    }
    let mut all_well = true;
    for config in channels {
        let (place, sent) = match Channel::open(config) {
            Ok(channel) => (channel.place(), test(&channel).await),
            Err(refusal) => (String::new(), Err(refusal.message)),
        };
        all_well &= sent.is_ok();
        let error = sent.err();
        let (name, kind) = (config.name.as_str(), config.kind.as_str());
        if args.json {
            say_json(&json!({ "channel": name, "kind": kind, "to": place, "sent": error.is_none(), "error": error }));
        } else {
            match error {
                None => say(&format!("ok      {name} ({kind}): taken by {place}")),
                Some(error) => say(&format!("FAILED  {name} ({kind}): {error}")),
            }
        }
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn test(channel: &Channel) -> Result<(), String> {
    let now = Timestamp::now();
    let notice = Notice::test(store::random_id("msg_").map_err(|error| error.to_string())?, now);
    channel.send(&notice, now).await.map_err(|failure| failure.text)
}
