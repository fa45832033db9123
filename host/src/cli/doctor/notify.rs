//! Whether people are told: each channel's settings and secrets, and what of its messages did not get through.

use jiff::Timestamp;

use super::report::{Level, Report};
use crate::{config::Config, notify::Channel, store::Store};

pub(super) fn examine(report: &mut Report, config: &Config, store: &dyn Store) {
    let states = match store.channel_states(Timestamp::now()) {
        Ok(states) => states,
        Err(error) => return report.failed("notify", &error.into()),
    };
    for settings in &config.notify {
        let about = format!("notify {}", settings.name);
        let channel = match Channel::open(settings) {
            Ok(channel) => channel,
            Err(refusal) => {
                report.failed(&about, &refusal);
                continue;
            }
        };
        match states.iter().find(|state| state.channel == settings.name) {
            Some(state) if state.failing + state.given_up > 0 => {
                let error = state.error.as_deref().unwrap_or_default();
                let (failing, given_up) = (state.failing, state.given_up);
                let text = format!("messages: {failing} tried again, {given_up} given up in the last day; {error}");
                report.says(Level::Warning, &about, text, "try it with `lockgate notify test`");
            }
            _ => report.ok(&about, format!("{} to {}", channel.kind().as_str(), channel.place())),
        }
    }
}
