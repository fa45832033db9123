//! lockgate beside raw tokio-postgres, in one run: whole calls, their parts, starting, and an idle host's memory. Prints a
//! table, and writes the figures to a file with `--json FILE`. Asserts nothing: machines are noisy, and the budgets beside
//! the figures are for a person to judge by.

mod calls;
mod idle;
mod measure;
mod parts;
mod report;
mod setting;
mod start;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result, bail};

use report::{Machine, Report};
use setting::{CASES, Setting};

/// With this variable set the program is the `lockgate` command: the host process whose memory is measured.
const HOST: &str = "LOCKGATE_BENCHES_HOST";

fn main() -> ExitCode {
    if std::env::var_os(HOST).is_some() {
        return lockgate::cli::main();
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let file = json_file(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // On a worker, as a server's calls are.
    let report = runtime.block_on(async { tokio::spawn(measure_all()).await })??;
    report.print();
    if let Some(file) = file {
        let text = serde_json::to_string_pretty(&report.to_json())?;
        std::fs::write(&file, text + "\n").with_context(|| format!("can't write {}", file.display()))?;
    }
    Ok(())
}

fn json_file(mut arguments: impl Iterator<Item = String>) -> Result<Option<PathBuf>> {
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, ..) => Ok(None),
        (Some("--json"), Some(file), None) => Ok(Some(file.into())),
        _ => bail!("usage: lockgate-benches [--json FILE]"),
    }
}

async fn measure_all() -> Result<Report> {
    let before = load_average();
    let setting = Arc::new(Setting::new().await?);
    let (mut alone, mut loaded) = (Vec::new(), Vec::new());
    for case in &CASES {
        say(&format!("one caller: {}", case.action));
        alone.push(calls::alone(&setting, case).await?);
    }
    say("the parts of a call");
    let parts = parts::parts(&setting).await?;
    for case in &CASES {
        say(&format!("{} callers: {}", setting::CALLERS, case.action));
        loaded.push(calls::loaded(&setting, case).await?);
    }
    say("starting");
    let start = start::start(&setting).await?;
    say("an idle host");
    let idle = idle::idle(&setting.disk).await?;
    let machine = Machine {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        postgres: setting.cluster.major(),
        disk: setting.disk.record_file_system(),
        memory: setting.memory.is_some(),
        load: [before, load_average()],
    };
    Ok(Report { machine, alone, loaded, parts, start, idle })
}

/// Progress, apart from the table.
fn say(what: &str) {
    eprintln!("measuring {what} …");
}

/// Of the last minute.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
