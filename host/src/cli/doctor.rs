//! `lockgate doctor`: reads everything a host would, opens it, connects to every target, and says what is missing. Each
//! subject has its file; they share the [`Report`], which prints as it goes.

mod actions;
mod notify;
mod record;
mod report;
mod target;

use std::{path::Path, process::ExitCode};

use clap::Args;

use self::report::{Level, Report};
use crate::{
    config::Config,
    error::Refusal,
    startup::{self, State},
};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// One JSON object a line, with every action of every target
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &DoctorArgs, path: &Path) -> Result<ExitCode, Refusal> {
    let mut report = Report::new(args.json);
    match Config::load(path) {
        Err(error) => report.failed("configuration", &error.into()),
        Ok(config) => {
            report.ok("configuration", path.display().to_string());
            examine(&mut report, &config).await;
        }
    }
    Ok(if report.worst() == Level::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn examine(report: &mut Report, config: &Config) {
    match startup::targets(config) {
        Err(refusal) => report.failed("targets", &refusal),
        Ok(targets) => {
            for target in targets.values() {
                target::examine(report, target).await;
            }
        }
    }
    // Opened before it is verified: a torn tail that a crash left is quarantined by opening.
    let state = match State::open(config) {
        Ok(state) => state,
        Err(refusal) => return report.failed("state", &refusal),
    };
    report.ok("state", config.state_dir.display().to_string());
    record::examine(report, config);
    notify::examine(report, config, &*state.store);
    match startup::open_gate(config, state).await {
        Err(refusal) => report.failed("packs", &refusal),
        Ok(opened) => {
            let rules = opened.gate.rules();
            for pack in rules.catalog.packs() {
                let manifest = pack.manifest().manifest();
                let text = format!("{} {}, {} actions", manifest.name, manifest.version, manifest.actions.len());
                report.ok("pack", text);
            }
            for refused in &opened.refused {
                let refusal = Refusal::from(refused.error.clone());
                let name = refused.path.file_name().unwrap_or_default().to_string_lossy();
                report.failed(&format!("pack {name}"), &refusal);
            }
            for target in opened.gate.targets().values() {
                target::prepare_statements(report, target, &rules.catalog).await;
                actions::examine(report, target, &rules.catalog).await;
            }
            if let Err(refusal) = opened.gate.journal().close().await {
                report.failed("record", &refusal);
            }
        }
    }
}
