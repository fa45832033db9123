//! Starting with ten packs whose compiled code is in the cache. The ten are the stock pack ten times: its name stands once
//! in the component's data, and another name of the same length is written in its place.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use lockgate::startup::{self, State};
use lockgate_tests::site::{BuiltPack, Site};
use serde_json::{Value as Json, json};

use crate::{
    measure::{Samples, rounded, timed},
    setting::{Setting, target},
};

/// Packs.
pub const PACKS: usize = 10;
/// Milliseconds.
pub const BUDGET_MS: f64 = 100.0;
/// Starts that count.
const STARTS: usize = 15;

/// How long starting takes.
pub struct Start {
    /// With nothing in the cache, once.
    pub cold: Duration,
    /// Opening state, record and store.
    pub state: Samples,
    /// `startup::open_gate` with all packs in the cache.
    pub warm: Samples,
}

impl Start {
    /// The median of a start from the cache, in milliseconds.
    pub fn warm_ms(&self) -> f64 {
        self.warm.p50() / 1e3
    }

    /// For the file.
    pub fn to_json(&self) -> Json {
        json!({
            "packs": PACKS,
            "budget_ms": BUDGET_MS,
            "cold_ms": rounded(self.cold.as_secs_f64() * 1e3),
            "open_state": self.state.to_json(),
            "open_gate": self.warm.to_json(),
        })
    }
}

/// Starts again and again.
pub async fn start(setting: &Setting) -> Result<Start> {
    let site = Site::new(&[target(&setting.cluster)], "");
    for name in ('a'..='z').map(|c| format!("postgre{c}")).take(PACKS) {
        site.add(&renamed(&setting.pack, &name).await?);
    }
    let config = site.config();
    let mut start = Start { cold: Duration::ZERO, state: Samples::default(), warm: Samples::default() };
    // The first fills the cache, the second warms what the system keeps of files.
    for round in 0..STARTS + 2 {
        let (opening, state) = timed(async { State::open(&config) }).await;
        let (starting, opened) = timed(startup::open_gate(&config, state?)).await;
        let opened = opened?;
        let packs = opened.gate.rules().catalog.packs().count();
        if packs != PACKS || !opened.refused.is_empty() {
            bail!("{packs} of {PACKS} packs were admitted: {:?}", opened.refused.first());
        }
        match round {
            0 => start.cold = starting,
            1 => {}
            _ => {
                start.state.push(opening);
                start.warm.push(starting);
            }
        }
    }
    kept(&config.state_dir)?;
    Ok(start)
}

/// The cache holds the compiled packs, so that what was measured was not compiling.
fn kept(state_dir: &Path) -> Result<()> {
    let entries = std::fs::read_dir(state_dir.join("cache"))?;
    let compiled =
        entries.filter_map(Result::ok).filter(|e| e.path().extension().is_some_and(|e| e == "cwasm")).count();
    if compiled == PACKS { Ok(()) } else { bail!("the cache holds {compiled} of {PACKS} packs") }
}

/// The same component under another name of the same length. Which occurrence of the name is the declared one is not
/// guessed: the right one is that after whose change the component declares the new name and is otherwise as it was.
async fn renamed(pack: &BuiltPack, name: &str) -> Result<BuiltPack> {
    let old = pack.declaration.pack.as_bytes();
    let places = pack.bytes.windows(old.len()).enumerate().filter(|(_, window)| *window == old).map(|(at, _)| at);
    for at in places {
        // Paths of source files have the word too.
        let before = at.checked_sub(1).and_then(|at| pack.bytes.get(at));
        if before == Some(&b'/') {
            continue;
        }
        let mut bytes = pack.bytes.clone();
        bytes
            .get_mut(at..at + name.len())
            .context("the name is as long as the old one")?
            .copy_from_slice(name.as_bytes());
        let other = BuiltPack::describe(bytes).await;
        let (mut declared, was) = (other.declaration.clone(), &pack.declaration);
        if declared.pack == name {
            declared.pack.clone_from(&was.pack);
            declared.manifest_sha256.clone_from(&was.manifest_sha256);
            if declared == *was {
                return Ok(other);
            }
        }
    }
    bail!("the pack's name was not found in its component")
}
