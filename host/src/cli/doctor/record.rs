//! The record: whether it is whole, and whether its checkpoints leave the machine.

use super::report::{Level, Report};
use crate::{
    audit,
    config::Config,
    error::{Code, Refusal},
    startup,
};

pub(super) fn examine(found: &mut Report, config: &Config) {
    let report = startup::record_public_key(config).and_then(|key| {
        audit::verify(&config.record_dir(), &key, None)
            .map_err(|e| Refusal::new(Code::RecordUnavailable, e.to_string()))
    });
    match report {
        Ok(report) if report.intact => {
            let lines = if report.verified == 1 { "line" } else { "lines" };
            let text = format!("{} {lines} verified, {} covered by a checkpoint", report.verified, report.anchored);
            found.ok("record", text);
        }
        Ok(report) => found.says(
            Level::Failed,
            "record",
            report.to_string(),
            "keep a copy of the directory as it is, and find out who could write there",
        ),
        Err(refusal) => found.failed("record", &refusal),
    }
    if config.record.export.is_none() {
        found.says(
            Level::Warning,
            "record",
            "checkpoints stay on this machine, where root could forge the record as a whole",
            "set [record] export to a file on another machine",
        );
    }
}
