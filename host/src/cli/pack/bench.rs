//! `lockgate pack bench`: what a pack's reads cost, through the whole gate, on a throwaway server or a configured target. What
//! acts is not called.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use tokio_util::sync::CancellationToken;

use super::{
    super::terminal::{say, say_json},
    Built, component, described, read_text,
    test::stage::{self, AGENT_ROLE, EVERY_CLASS, TEMPLATE},
};
use crate::{
    config::Config,
    error::{Code, Refusal},
    gate::{
        Gate,
        call::{Call, Hold, Refused},
    },
    outside::plain,
    pack::{catalog::Entry, prove::ProvenAction},
    postgres::{Target, TargetSettings, throwaway::Cluster},
    startup::{self, State},
    statement::Class,
};

/// What a pack that nobody has signed may do on a server that somebody keeps.
const CATALOGS: &[Class] = &[Class::Read];
/// Calls before those that count: connections are opened, statements prepared.
const WARM: u32 = 5;
/// More calls than anybody waits for.
const MOST_CALLS: i64 = 100_000;

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchArgs {
    /// The pack's directory, which is built first, or a component
    #[arg(default_value = ".", value_name = "PATH")]
    path: PathBuf,
    /// A target of the configuration, instead of a throwaway server
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// SQL that is loaded into the throwaway server first; may be given again
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    fixtures: Vec<PathBuf>,
    /// The throwaway server's major version; the newest that is found if left out
    #[arg(long, value_name = "MAJOR", conflicts_with = "target")]
    server: Option<u32>,
    /// Where else to look for servers: a directory with `MAJOR/bin` in it; may be given again
    #[arg(long = "servers-in", value_name = "DIR")]
    places: Vec<PathBuf>,
    /// How many calls of each action
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=MOST_CALLS))]
    calls: u32,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Microseconds of many calls of one thing.
#[derive(Clone, Copy, Serialize)]
struct Times {
    median_us: u64,
    p95_us: u64,
}

#[derive(Serialize)]
struct Measured {
    pack: String,
    version: String,
    component_bytes: usize,
    /// As the server numbers itself: 170004 is 17.4.
    server: u32,
    calls: u32,
    /// Opening the host, once: the pack verified, compiled, described and proven.
    opened_us: u64,
    describe: Times,
    actions: Vec<MeasuredAction>,
}

#[derive(Serialize)]
struct MeasuredAction {
    action: String,
    arguments: Map<String, Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validate: Option<Times>,
    /// The whole call: validation, policy, record, run, redaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<Times>,
    /// Why it was not called, or what it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_measured: Option<String>,
}

pub(super) async fn run(
    args: &BenchArgs,
    config: impl FnOnce() -> Result<Config, Refusal>,
) -> Result<ExitCode, Refusal> {
    let built = described(component(&args.path).await?).await?;
    // Alive for as long as it is called.
    let (settings, cluster, classes) = match &args.target {
        // Nobody has signed the pack: on a server that somebody keeps it may read the catalogs and nothing else.
        Some(name) => (configured(&config()?, name)?, None, CATALOGS),
        None => {
            let cluster = throwaway(&built, args).await?;
            for action in built.described.manifest.actions() {
                let granted = stage::grant(&cluster, TEMPLATE, action).await;
                granted.map_err(|e| Refusal::new(Code::MissingPrivilege, e))?;
            }
            (cluster.target("bench", AGENT_ROLE, TEMPLATE), Some(cluster), EVERY_CLASS)
        }
    };
    let files = stage::host(&built, std::slice::from_ref(&settings), classes)?;
    let config = Config::load(files.config())?;
    let began = Instant::now();
    let gate = startup::open_gate(&config, State::open(&config)?).await?.gate;
    let opened = began.elapsed();
    let target = gate.targets().get(&settings.name).cloned();
    let target = target.ok_or_else(|| Refusal::new(Code::UnknownTarget, "the target is gone"))?;
    let measured = measure(&built, &gate, &target, args.calls, opened).await?;
    if args.json {
        say_json(&measured);
    } else {
        print(&measured);
    }
    drop(cluster);
    Ok(ExitCode::SUCCESS)
}

fn configured(config: &Config, name: &str) -> Result<TargetSettings, Refusal> {
    let found = config.targets.iter().find(|target| target.name == name);
    found.cloned().ok_or_else(|| {
        let names: Vec<&str> = config.targets.iter().map(|target| target.name.as_str()).collect();
        Refusal::new(Code::UnknownTarget, format!("the configuration has no target `{}`", plain(name, 64).text))
            .with_remedy(format!("use one of: {}", names.join(", ")))
    })
}

async fn throwaway(built: &Built, args: &BenchArgs) -> Result<Cluster, Refusal> {
    let cluster = stage::server(built, args.server, &args.places).await?;
    for path in &args.fixtures {
        let sql = read_text(path)?;
        let loaded = cluster.execute_in(TEMPLATE, &sql).await;
        loaded.map_err(|e| Refusal::new(Code::FileRefused, format!("{}: {e}", path.display())))?;
    }
    Ok(cluster)
}

async fn measure(
    built: &Built,
    gate: &Arc<Gate>,
    target: &Target,
    calls: u32,
    opened: Duration,
) -> Result<Measured, Refusal> {
    let manifest = built.described.manifest.manifest();
    let facts = target.facts().await.map_err(|e| Refusal::new(Code::ConnectionFailed, e.to_string()))?;
    let mut actions = Vec::new();
    for action in built.described.manifest.actions() {
        let name = format!("{}.{}", manifest.name, action.declared().name);
        let Some(entry) = gate.rules().catalog.get(&name).cloned() else { continue };
        actions.push(measure_action(gate, target, &entry, action, calls).await);
    }
    let guest = gate.rules().catalog.pack(&manifest.name).map(|pack| pack.guest().clone());
    let guest = guest.ok_or_else(|| Refusal::new(Code::InternalError, "the pack is gone"))?;
    let mut describes = Vec::new();
    for _ in 0..calls {
        let began = Instant::now();
        guest.describe().await?;
        describes.push(began.elapsed());
    }
    Ok(Measured {
        pack: manifest.name.clone(),
        version: manifest.version.clone(),
        component_bytes: built.bytes.len(),
        server: facts.server.version_num,
        calls,
        opened_us: micros(opened),
        describe: times(describes),
        actions,
    })
}

async fn measure_action(
    gate: &Arc<Gate>,
    target: &Target,
    entry: &Entry,
    action: &ProvenAction,
    calls: u32,
) -> MeasuredAction {
    let mut measured = MeasuredAction {
        action: action.declared().name.clone(),
        arguments: Map::new(),
        validate: None,
        call: None,
        not_measured: None,
    };
    // An example's arguments were proven to be good ones.
    let example = action.declared().examples.iter().find_map(|example| serde_json::from_str(&example.arguments).ok());
    measured.arguments = example.unwrap_or_default();
    if !action.reads_only() {
        measured.not_measured = Some("it acts".to_owned());
        return measured;
    }
    if !entry.problems(&measured.arguments).is_empty() {
        measured.not_measured = Some("it needs arguments: give it an example".to_owned());
        return measured;
    }
    let mut validates = Vec::new();
    for _ in 0..calls {
        let began = Instant::now();
        if let Err(refusal) = entry.validate(&measured.arguments).await {
            measured.not_measured = Some(refusal.to_string());
            return measured;
        }
        validates.push(began.elapsed());
    }
    measured.validate = Some(times(validates));
    let mut runs = Vec::new();
    for number in 0..calls + WARM {
        let began = Instant::now();
        let answer = call(gate, &entry.name, target.name(), &measured.arguments).await;
        let took = began.elapsed();
        if let Err(refused) = answer {
            measured.not_measured = Some(refused.refusal.to_string());
            return measured;
        }
        if number >= WARM {
            runs.push(took);
        }
    }
    measured.call = Some(times(runs));
    measured
}

async fn call(gate: &Arc<Gate>, action: &str, target: &str, arguments: &Map<String, Json>) -> Result<(), Refused> {
    let call = Call {
        action: action.to_owned(),
        target: Some(target.to_owned()),
        arguments: arguments.clone(),
        reason: "the pack is measured".into(),
        ..Call::default()
    };
    let hold = Hold { wait: Duration::ZERO, progress: None, cancel: CancellationToken::new() };
    gate.call(&stage::author(), call, hold).await.map(drop)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The median and the 95th percentile, by nearest rank.
fn times(mut all: Vec<Duration>) -> Times {
    all.sort_unstable();
    let rank = |percent: usize| {
        let rank = (all.len() * percent).div_ceil(100).saturating_sub(1);
        all.get(rank).copied().map_or(0, micros)
    };
    Times { median_us: rank(50), p95_us: rank(95) }
}

fn print(measured: &Measured) {
    let Measured { pack, version, component_bytes, server, calls, opened_us, describe, actions } = measured;
    let (major, minor, kib) = (server / 10_000, server % 10_000, component_bytes.div_ceil(1024));
    say(&format!("{pack} {version}, {kib} KiB, on PostgreSQL {major}.{minor}; {calls} calls each, times in ms"));
    say(&format!("opened in {}: verified, compiled, described, proven", ms(*opened_us)));
    say(&format!("{:<40} {:>9} {:>9}", "", "median", "p95"));
    let line = |what: &str, times: &Times| {
        say(&format!("{what:<40} {:>9} {:>9}", ms(times.median_us), ms(times.p95_us)));
    };
    line("describe", describe);
    for action in actions {
        if let Some(times) = &action.validate {
            line(&format!("{} validate", action.action), times);
        }
        if let Some(times) = &action.call {
            line(&format!("{} call", action.action), times);
        }
        if let Some(why) = &action.not_measured {
            say(&format!("{} not called: {}", action.action, plain(why, 300).text));
        }
    }
}

fn ms(micros: u64) -> String {
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let of = |n: u64| times((1..=n).rev().map(Duration::from_micros).collect());
        assert_eq!((of(100).median_us, of(100).p95_us), (50, 95));
        assert_eq!((of(1).median_us, of(1).p95_us), (1, 1));
        assert_eq!((of(3).median_us, of(3).p95_us), (2, 3));
        assert_eq!(times(Vec::new()).p95_us, 0);
        assert_eq!(ms(1_042), "1.042");
    }
}
