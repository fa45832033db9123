//! What a person reads, and the file that a program reads.

use serde_json::{Value as Json, json};

use crate::{
    beside::Beside,
    calls::{Alone, Load, Loaded},
    catalogue::{self, Timed},
    idle::{BUDGET_MIB, Idle},
    measure::Samples,
    parts::Part,
    setting::{CALLERS, CASES},
    signing::{self, Signing, Way},
    start::{BUDGET_MS, PACKS, Start},
};

/// Microseconds that the gate may add to a read without its durable writes.
pub const BUDGET_ADDED_US: f64 = 200.0;

/// All that was measured.
pub struct Report {
    pub machine: Machine,
    pub alone: Vec<Alone>,
    pub loaded: Vec<Loaded>,
    pub parts: Vec<Part>,
    pub start: Start,
    pub idle: Idle,
    pub catalogue: Vec<Timed>,
    pub signing: Signing,
    pub beside: Beside,
}

/// What it was measured on.
pub struct Machine {
    pub cores: usize,
    pub postgres: u32,
    /// The file systems of the two records.
    pub disk: String,
    pub memory: bool,
    /// Load averages before and after.
    pub load: [String; 2],
}

impl Report {
    /// The table.
    pub fn print(&self) {
        let machine = &self.machine;
        println!("lockgate beside raw tokio-postgres: one run, taking turns, medians");
        println!(
            "{} cores; PostgreSQL {} over its socket; record on {}; load average {} before, {} after\n",
            machine.cores, machine.postgres, machine.disk, machine.load[0], machine.load[1]
        );
        for (case, alone) in CASES.iter().zip(&self.alone) {
            let statements = case.statements.len();
            let plural = if statements == 1 { "statement" } else { "statements" };
            heading(
                &format!("One caller, {} ({statements} {plural})", case.action),
                ["p10 µs", "p50 µs", "p95 µs", "ratio"],
            );
            let ratio = |samples: &Samples| format!("{:.2}", samples.p50() / alone.raw.p50());
            times("raw tokio-postgres", &alone.raw, "1");
            times("gate", &alone.disk, &ratio(&alone.disk));
            if let (Some(memory), Some(added)) = (&alone.memory, alone.added()) {
                times("gate, record in memory", memory, &ratio(memory));
                budget("added without the durable write", added, "µs", BUDGET_ADDED_US);
            } else {
                println!("  (no file system in memory here: the gate without the durable write was not measured)");
            }
            let (low, high) = alone.raw.drift();
            println!("  noise: the raw median of a tenth of the run was {low:.0} to {high:.0} µs\n");
        }
        for (case, loaded) in CASES.iter().zip(&self.loaded) {
            heading(&format!("{CALLERS} callers, {}", case.action), ["p10 µs", "p50 µs", "p95 µs", "calls/s"]);
            let line = |name: &str, load: &Load| times(name, &load.times, &format!("{:.0}", load.rate()));
            line("raw tokio-postgres", &loaded.raw);
            line("gate", &loaded.disk);
            if let Some(memory) = &loaded.memory {
                line("gate, record in memory", memory);
            }
            let of = |load: &Load| load.rate() / loaded.raw.rate();
            let memory = loaded.memory.as_ref().map(|m| format!(", {:.2} with the record in memory", of(m)));
            println!("  {:.2} of the raw throughput{}\n", of(&loaded.disk), memory.unwrap_or_default());
        }
        heading("Parts of postgres.uptime, each by itself", ["p10 µs", "p50 µs", "p95 µs", ""]);
        for part in &self.parts {
            times(part.name, &part.times, "");
            if let Some(limit) = part.budget {
                budget("", part.times.p50(), "µs", limit);
            }
        }
        println!();
        heading(&format!("Start with {PACKS} packs"), ["p10 ms", "p50 ms", "p95 ms", ""]);
        line("nothing in the cache, once", ["", &millis(self.start.cold.as_secs_f64() * 1e6), "", ""]);
        let start = |name: &str, s: &Samples| line(name, [&millis(s.p10()), &millis(s.p50()), &millis(s.p95()), ""]);
        start("open state, record and store", &self.start.state);
        start("open the gate, all packs in the cache", &self.start.warm);
        budget("", self.start.warm_ms(), "ms", BUDGET_MS);
        println!();
        heading("Memory of one host process", ["MiB", "own MiB", "", ""]);
        let memory = |name: &str, m: &crate::idle::Memory| {
            line(name, [&format!("{:.1}", m.resident), &format!("{:.1}", m.own), "", ""]);
        };
        memory("after the handshake", &self.idle.fresh);
        memory("idle, after 100 calls and 5 s", &self.idle.idle);
        budget("", self.idle.idle.resident, "MiB", BUDGET_MIB);
        println!();
        print_catalogue(&self.catalogue);
        println!();
        print_signing(&self.signing);
        println!();
        self.beside.print();
    }

    /// The file.
    pub fn to_json(&self) -> Json {
        let cases = |all: Vec<Json>| -> serde_json::Map<String, Json> {
            CASES.iter().map(|case| case.action.to_owned()).zip(all).collect()
        };
        let machine = &self.machine;
        json!({
            "version": 1,
            "machine": {
                "cores": machine.cores,
                "postgres": machine.postgres,
                "record_file_system": machine.disk,
                "record_in_memory": machine.memory,
                "load_average": machine.load,
            },
            "budget_added_us": BUDGET_ADDED_US,
            "one_caller": cases(self.alone.iter().map(Alone::to_json).collect()),
            "many_callers": cases(self.loaded.iter().map(Loaded::to_json).collect()),
            "parts": self.parts.iter().map(Part::to_json).collect::<Vec<_>>(),
            "start": self.start.to_json(),
            "idle": self.idle.to_json(),
            "catalogue": {
                "tables": catalogue::TABLES,
                "connections": catalogue::CONNECTIONS,
                "budget_ms": catalogue::BUDGET_MS,
                "actions": self.catalogue.iter().map(Timed::to_json).collect::<Vec<_>>(),
            },
            "signing": self.signing.to_json(),
            "clients": self.beside.to_json(),
        })
    }
}

/// Every action on the large database, the slowest first.
pub fn print_catalogue(actions: &[Timed]) {
    let (tables, connections) = (catalogue::TABLES, catalogue::CONNECTIONS);
    heading(
        &format!("Every action, {tables} tables, {connections} connections"),
        ["first ms", "p50 ms", "p95 ms", "budget"],
    );
    for timed in actions {
        let first = millis(timed.first.as_secs_f64() * 1e6);
        let verdict = if timed.p95_ms() <= catalogue::BUDGET_MS { "met" } else { "MISSED" };
        let name = match timed.answer.as_str() {
            "done" => timed.action.clone(),
            other => format!("{} (until `{other}`)", timed.action),
        };
        line(&name, [&first, &millis(timed.times.p50()), &millis(timed.times.p95()), verdict]);
    }
}

/// Signing and verifying: each way's times, and its ratio to what can't be saved.
pub fn print_signing(signing: &Signing) {
    let (packs, kib) = (signing::PACKS, signing::COMPONENT_BYTES / 1024);
    for (what, ways) in [("Signing", &signing.sign), ("Verifying", &signing.verify)] {
        heading(&format!("{what} {packs} packs of {kib} KiB"), ["p10 µs", "p50 µs", "p95 µs", "ratio"]);
        let raw = ways.first().map_or(0.0, |way| way.times.p50());
        for Way { name, times: samples } in ways {
            times(name, samples, &format!("{:.1}", samples.p50() / raw));
            println!("    {:>6} packs in {:.2} s, {:.0}/s", samples.len(), samples.total() / 1e6, 1e6 / samples.p50());
        }
    }
    if !signing.processes {
        println!("  (no `lockgate-sign` beside this program: processes were not measured)");
    }
}

fn heading(title: &str, columns: [&str; 4]) {
    let [a, b, c, d] = columns;
    println!("{title:<74}{a:>9}{b:>9}{c:>9}{d:>9}");
}

fn line(name: &str, cells: [&str; 4]) {
    let [a, b, c, d] = cells;
    println!("  {name:<72}{a:>9}{b:>9}{c:>9}{d:>9}");
}

fn times(name: &str, samples: &Samples, last: &str) {
    line(name, [&micros(samples.p10()), &micros(samples.p50()), &micros(samples.p95()), last]);
}

fn budget(name: &str, value: f64, unit: &str, limit: f64) {
    let verdict = if value <= limit { "met" } else { "MISSED" };
    let name = if name.is_empty() { "budget".to_owned() } else { format!("{name}; budget") };
    println!("  {name:<81}{value:>9.0}  {unit}, at most {limit:.0}: {verdict}");
}

fn micros(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn millis(micros: f64) -> String {
    format!("{:.1}", micros / 1e3)
}
