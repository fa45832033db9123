//! lockgate beside raw tokio-postgres, in one run: whole calls, their parts, starting, an idle host's memory, every action of
//! the stock packs on a large database, signing and verifying packs, and one read by an MCP client beside other servers. Prints tables, and writes the
//! figures to a file with `--json FILE`. Asserts nothing: machines are noisy, and the budgets beside the figures are for a
//! person to judge by.

mod beside;
mod calls;
mod catalogue;
mod idle;
mod measure;
mod parts;
mod report;
mod setting;
mod signing;
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
    if let Some(part) = std::env::var_os(beside::echo::ECHO) {
        return echo(&part.to_string_lossy());
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The other program that this one is: a server that echoes.
fn echo(part: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let end = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(beside::echo::serve(part)));
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let wanted = Wanted::of(std::env::args().skip(1))?;
    if wanted.signing_only {
        let before = load_average();
        let signing = signing::signing()?;
        println!("load average {before} before, {} after", load_average());
        report::print_signing(&signing);
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if wanted.catalogue_only {
        let catalogue = runtime.block_on(async { tokio::spawn(catalogue::catalogue()).await })??;
        report::print_catalogue(&catalogue);
        return Ok(());
    }
    if wanted.clients_only {
        let before = load_average();
        let beside = runtime.block_on(async { tokio::spawn(beside::beside()).await })??;
        println!("load average {before} before, {} after", load_average());
        beside.print();
        return Ok(());
    }
    // On a worker, as a server's calls are.
    let report = runtime.block_on(async { tokio::spawn(measure_all()).await })??;
    report.print();
    if let Some(file) = wanted.file {
        let text = serde_json::to_string_pretty(&report.to_json())?;
        std::fs::write(&file, text + "\n").with_context(|| format!("can't write {}", file.display()))?;
    }
    Ok(())
}

/// What the command line asks for.
#[derive(Default)]
struct Wanted {
    file: Option<PathBuf>,
    /// Only the actions on a large database: the quick look while one is written.
    catalogue_only: bool,
    /// Only the clients' side, beside other servers.
    clients_only: bool,
    /// Only signing and verifying, which needs no database.
    signing_only: bool,
}

impl Wanted {
    fn of(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let arguments: Vec<String> = arguments.collect();
        match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] => Ok(Self::default()),
            ["--catalogue"] => Ok(Self { catalogue_only: true, ..Self::default() }),
            ["--clients"] => Ok(Self { clients_only: true, ..Self::default() }),
            ["--signing"] => Ok(Self { signing_only: true, ..Self::default() }),
            ["--json", file] => Ok(Self { file: Some(file.into()), ..Self::default() }),
            _ => bail!("usage: lockgate-benches [--json FILE | --catalogue | --clients | --signing]"),
        }
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
    say("every action on a large database");
    let catalogue = catalogue::catalogue().await?;
    say("signing and verifying");
    let signing = tokio::task::spawn_blocking(signing::signing).await??;
    let beside = beside::beside().await?;
    let machine = Machine {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        postgres: setting.cluster.major(),
        disk: setting.disk.record_file_system(),
        memory: setting.memory.is_some(),
        load: [before, load_average()],
    };
    Ok(Report { machine, alone, loaded, parts, start, idle, catalogue, signing, beside })
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
