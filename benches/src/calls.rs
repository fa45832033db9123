//! Whole calls through the gate beside the same statements over raw tokio-postgres, taking turns, so that whatever else the
//! machine does hits all of them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::{Value as Json, json};

use crate::{
    measure::{Samples, rounded, timed},
    setting::{CALLERS, Case, Raw, Setting, settle},
};

/// Rounds of one caller; each is one call of every kind.
const ROUNDS: usize = 3000;
/// Rounds before anything counts: connections, statement caches, the pool of instances.
const WARM: usize = 300;
/// Turns under load, and how long each lasts.
const TURNS: usize = 5;
const TURN: Duration = Duration::from_millis(800);

/// Times of one case with one caller.
pub struct Alone {
    pub raw: Samples,
    pub disk: Samples,
    pub memory: Option<Samples>,
}

impl Alone {
    /// What the gate adds without the durable write, in microseconds.
    pub fn added(&self) -> Option<f64> {
        self.memory.as_ref().map(|memory| memory.p50() - self.raw.p50())
    }

    /// For the file.
    pub fn to_json(&self) -> Json {
        json!({
            "raw": self.raw.to_json(),
            "gate": self.disk.to_json(),
            "gate_record_in_memory": self.memory.as_ref().map(Samples::to_json),
            "ratio_p50": rounded(self.disk.p50() / self.raw.p50()),
            "added_without_durable_write_us": self.added().map(rounded),
        })
    }
}

/// One caller.
pub async fn alone(setting: &Setting, case: &Case) -> Result<Alone> {
    let raw = Raw::new(setting, case).await?;
    let (mut plain, mut disk, mut memory) = (Samples::default(), Samples::default(), Samples::default());
    for round in 0..WARM + ROUNDS {
        // Nobody always goes first.
        for turn in 0..3 {
            let (samples, time) = match (turn + round) % 3 {
                0 => {
                    let (time, done) = timed(raw.call()).await;
                    done?;
                    (&mut plain, time)
                }
                1 => (&mut disk, timed(setting.disk.call(case)).await.0),
                _ => match &setting.memory {
                    Some(host) => (&mut memory, timed(host.call(case)).await.0),
                    None => continue,
                },
            };
            if round >= WARM {
                samples.push(time);
            }
        }
    }
    Ok(Alone { raw: plain, disk, memory: setting.memory.is_some().then_some(memory) })
}

/// Times and throughput of one kind of call under load.
#[derive(Default)]
pub struct Load {
    pub times: Samples,
    /// Calls a second of each turn.
    pub rates: Vec<f64>,
}

impl Load {
    /// The median of the turns.
    pub fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_unstable_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or_default()
    }

    fn to_json(&self) -> Json {
        json!({ "calls_per_second": rounded(self.rate()), "times": self.times.to_json() })
    }
}

/// The same case with many callers.
pub struct Loaded {
    pub raw: Load,
    pub disk: Load,
    pub memory: Option<Load>,
}

impl Loaded {
    /// For the file.
    pub fn to_json(&self) -> Json {
        json!({
            "callers": CALLERS,
            "raw": self.raw.to_json(),
            "gate": self.disk.to_json(),
            "gate_record_in_memory": self.memory.as_ref().map(Load::to_json),
            "ratio_throughput": (self.disk.rate() / self.raw.rate() * 100.0).round() / 100.0,
        })
    }
}

/// Many callers, each with a connection of its own on either side.
pub async fn loaded(setting: &Arc<Setting>, case: &'static Case) -> Result<Loaded> {
    let raw = Raw::several(setting, case).await?;
    let mut all =
        Loaded { raw: Load::default(), disk: Load::default(), memory: setting.memory.is_some().then(Load::default) };
    // The first turn connects and fills caches, and does not count.
    for turn in 0..=TURNS {
        let plain = together(|caller| {
            let raw = raw.get(caller).cloned();
            move || {
                let raw = raw.clone();
                async move {
                    match raw {
                        Some(raw) => raw.call().await,
                        None => Ok(()),
                    }
                }
            }
        })
        .await?;
        let disk = together(|_| through(setting, case, false)).await?;
        let memory = match &setting.memory {
            Some(_) => Some(together(|_| through(setting, case, true)).await?),
            None => None,
        };
        if turn > 0 {
            add(&mut all.raw, plain);
            add(&mut all.disk, disk);
            if let (Some(load), Some(memory)) = (&mut all.memory, memory) {
                add(load, memory);
            }
        }
    }
    drop(raw);
    settle().await;
    Ok(all)
}

fn add(load: &mut Load, (times, rate): (Samples, f64)) {
    load.times.extend(times);
    load.rates.push(rate);
}

/// What a caller of a gate does again and again.
fn through(
    setting: &Arc<Setting>,
    case: &'static Case,
    in_memory: bool,
) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send + 'static {
    let setting = Arc::clone(setting);
    move || {
        let setting = Arc::clone(&setting);
        Box::pin(async move {
            let host = setting.memory.as_ref().filter(|_| in_memory).unwrap_or(&setting.disk);
            host.call(case).await;
            Ok(())
        })
    }
}

/// Lets all callers call for one turn; their times, and calls a second of all together.
async fn together<F, W>(caller: impl Fn(usize) -> F) -> Result<(Samples, f64)>
where
    F: Fn() -> W + Send + 'static,
    W: Future<Output = Result<()>> + Send,
{
    let started = Instant::now();
    let tasks: Vec<_> = (0..CALLERS as usize)
        .map(|number| {
            let call = caller(number);
            tokio::spawn(async move {
                let mut times = Samples::default();
                while started.elapsed() < TURN {
                    let (time, done) = timed(call()).await;
                    done?;
                    times.push(time);
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    let mut all = Samples::default();
    for task in tasks {
        all.extend(task.await??);
    }
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let rate = all.len() as f64 / started.elapsed().as_secs_f64();
    Ok((all, rate))
}
