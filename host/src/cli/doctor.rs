//! `lockgate doctor`: reads everything a host would, opens it, connects to every target, and says what is missing.

use std::{
    collections::BTreeSet,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;

use super::terminal::{say, say_json};
use crate::{
    audit,
    config::Config,
    error::{Code, Refusal},
    pack::catalog::Catalog,
    postgres::{Target, TargetFacts},
    startup::{self, State},
    statement::Mode,
    value::Value,
};

/// For a server to parse one statement.
const PREPARE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    Warning,
    Failed,
}

#[derive(Debug, Serialize)]
struct Finding {
    level: Level,
    about: String,
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    help: String,
}

/// Collects and prints findings as they come.
struct Doctor {
    json: bool,
    worst: Level,
}

impl Doctor {
    fn says(&mut self, level: Level, about: &str, text: impl Into<String>, help: &str) {
        self.worst = self.worst.max(level);
        let finding = Finding { level, about: about.to_owned(), text: text.into(), help: help.to_owned() };
        if self.json {
            say_json(&finding);
            return;
        }
        let mark = match level {
            Level::Ok => "ok     ",
            Level::Warning => "warning",
            Level::Failed => "FAILED ",
        };
        say(&format!("{mark}  {:<22} {}", finding.about, finding.text));
        if !finding.help.is_empty() {
            say(&format!("         {:<22} help: {}", "", finding.help));
        }
    }

    fn ok(&mut self, about: &str, text: impl Into<String>) {
        self.says(Level::Ok, about, text, "");
    }

    fn failed(&mut self, about: &str, refusal: &Refusal) {
        self.says(Level::Failed, about, format!("[{}] {}", refusal.code, refusal.message), &refusal.remedy);
    }
}

pub(super) async fn run(args: &DoctorArgs, path: &Path) -> Result<ExitCode, Refusal> {
    let mut doctor = Doctor { json: args.json, worst: Level::Ok };
    match Config::load(path) {
        Err(error) => {
            doctor.failed("configuration", &error.into());
        }
        Ok(config) => {
            doctor.ok("configuration", path.display().to_string());
            examine(&mut doctor, &config).await;
        }
    }
    Ok(if doctor.worst == Level::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn examine(doctor: &mut Doctor, config: &Config) {
    match startup::targets(config) {
        Err(refusal) => doctor.failed("targets", &refusal),
        Ok(targets) => {
            for target in targets.values() {
                examine_target(doctor, target).await;
            }
        }
    }
    // Opened before it is verified: a torn tail that a crash left is quarantined by opening.
    let state = match State::open(config) {
        Ok(state) => state,
        Err(refusal) => return doctor.failed("state", &refusal),
    };
    doctor.ok("state", config.state_dir.display().to_string());
    examine_record(doctor, config);
    match startup::open_gate(config, state).await {
        Err(refusal) => doctor.failed("packs", &refusal),
        Ok(opened) => {
            for pack in opened.gate.catalog().packs() {
                let manifest = pack.manifest().manifest();
                let text = format!("{} {}, {} actions", manifest.name, manifest.version, manifest.actions.len());
                doctor.ok("pack", text);
            }
            for refused in &opened.refused {
                let refusal = Refusal::from(refused.error.clone());
                let name = refused.path.file_name().unwrap_or_default().to_string_lossy();
                doctor.failed(&format!("pack {name}"), &refusal);
            }
            for (name, target) in opened.gate.targets() {
                prepare_statements(doctor, name, target, opened.gate.catalog()).await;
            }
            if let Err(refusal) = opened.gate.journal().close().await {
                doctor.failed("record", &refusal);
            }
        }
    }
}

fn examine_record(doctor: &mut Doctor, config: &Config) {
    let report = startup::record_public_key(config).and_then(|key| {
        audit::verify(&config.record_dir(), &key, None)
            .map_err(|e| Refusal::new(Code::RecordUnavailable, e.to_string()))
    });
    match report {
        Ok(report) if report.intact => {
            let lines = if report.verified == 1 { "line" } else { "lines" };
            let text = format!("{} {lines} verified, {} covered by a checkpoint", report.verified, report.anchored);
            doctor.ok("record", text);
        }
        Ok(report) => doctor.says(
            Level::Failed,
            "record",
            report.to_string(),
            "keep a copy of the directory as it is, and find out who could write there",
        ),
        Err(refusal) => doctor.failed("record", &refusal),
    }
    if config.record.export.is_none() {
        doctor.says(
            Level::Warning,
            "record",
            "checkpoints stay on this machine, where root could forge the record as a whole",
            "set [record] export to a file on another machine",
        );
    }
}

async fn examine_target(doctor: &mut Doctor, target: &Target) {
    let about = format!("target {}", target.name());
    match target.facts().await {
        Err(error) => doctor.says(
            Level::Failed,
            &about,
            error.to_string(),
            "check host, port, role and password; docs/targets.md lists every setting",
        ),
        Ok(facts) => {
            doctor.ok(&about, described(&facts));
            for (level, text, help) in privileges(&facts) {
                doctor.says(level, &about, text, help);
            }
        }
    }
}

/// The second proof of every statement: the server itself parses it, with nothing bound and nothing run.
async fn prepare_statements(doctor: &mut Doctor, name: &str, target: &Target, catalog: &Catalog) {
    let Ok(facts) = target.facts().await else { return };
    let mut seen = BTreeSet::new();
    let (mut prepared, mut elsewhere) = (0, 0);
    for entry in catalog.entries().filter(|entry| entry.pack.may_use_target(name)) {
        for (id, statement) in entry.action.statements() {
            let declared = statement.declaration();
            // A maintenance command is no query: the server parses it only to run it.
            if declared.mode == Mode::Maintain || !seen.insert((entry.pack.digest().to_owned(), id.to_owned())) {
                continue;
            }
            let nothing = vec![Value::Null; declared.inputs.len()];
            let Ok(bound) = statement.bind(&facts.server, &nothing) else {
                elsewhere += 1;
                continue;
            };
            match target.prepare(&bound, Instant::now() + PREPARE).await {
                Ok(()) => prepared += 1,
                Err(error) => doctor.says(
                    Level::Failed,
                    &format!("target {name}"),
                    format!("statement `{id}` of `{}`: {error}", entry.name),
                    "the pack does not fit this server: tell its publisher",
                ),
            }
        }
    }
    let text = match elsewhere {
        0 => format!("{prepared} statements parse there"),
        more => format!("{prepared} statements parse there, {more} are for other servers or extensions"),
    };
    doctor.ok(&format!("target {name}"), text);
}

fn described(facts: &TargetFacts) -> String {
    let role = if facts.server.in_recovery { "standby" } else { "primary" };
    let (major, minor) = (facts.server.version_num / 10_000, facts.server.version_num % 10_000);
    format!("PostgreSQL {major}.{minor}, {role}, database {}, role {}", facts.database, facts.role_name)
}

/// What the role lacks, and what it has too much of.
fn privileges(facts: &TargetFacts) -> Vec<(Level, String, &'static str)> {
    let mut found = Vec::new();
    if facts.is_superuser {
        found.push((
            Level::Warning,
            format!("role {} is a superuser: lockgate needs two grants", facts.role_name),
            "use a role with pg_monitor and pg_signal_backend and nothing else",
        ));
    }
    if !facts.monitors {
        found.push((
            Level::Warning,
            format!("role {} lacks pg_monitor: actions that look at other sessions refuse", facts.role_name),
            "GRANT pg_monitor TO that role",
        ));
    }
    if !facts.signals {
        found.push((
            Level::Warning,
            format!("role {} lacks pg_signal_backend: it can end no other role's session", facts.role_name),
            "GRANT pg_signal_backend TO that role, if agents are to be able to ask for that",
        ));
    }
    if facts.untested {
        found.push((
            Level::Warning,
            "lockgate has not been tested on this major version of PostgreSQL".to_owned(),
            "expect the wording for the newest tested version to be used",
        ));
    }
    found
}
