//! What the agents were told, kept apart from the host's record and compared with it at the end.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use serde_json::Value as Json;

use crate::work::{Work, is_approved};

/// Runs by their id, and what each was.
#[derive(Default)]
pub struct Ledger(Mutex<HashMap<String, Work>>);

impl Ledger {
    /// One call and the run it was. No two calls are one run.
    pub fn note(&self, work: &Work, run: String) {
        let before = self.0.lock().expect("not poisoned").insert(run.clone(), work.clone());
        assert!(before.is_none(), "run {run} is {work:?} and {before:?}");
    }

    /// How many there are.
    pub fn calls(&self) -> usize {
        self.0.lock().expect("not poisoned").len()
    }

    /// The acts, and whether each was approved.
    pub fn verdicts(&self) -> BTreeMap<String, bool> {
        let works = self.0.lock().expect("not poisoned");
        works.values().filter_map(Work::act).map(|table| (table.clone(), is_approved(&table))).collect()
    }

    /// Every run is on the record from its beginning to its one end, as what it was, and there is no other.
    pub fn agrees_with(&self, record: &[Json]) {
        let mut runs: HashMap<&str, Vec<&Json>> = HashMap::new();
        for line in record {
            if let Some(run) = line["run"].as_str() {
                runs.entry(run).or_default().push(line);
            }
        }
        let works = self.0.lock().expect("not poisoned");
        for (run, work) in works.iter() {
            let lines = runs.remove(run.as_str()).unwrap_or_else(|| panic!("{work:?} is not on the record as {run}"));
            let events: Vec<_> = lines.iter().map(|line| line["ev"].as_str().expect("an event")).collect();
            let expected: &[&str] = match work {
                Work::Own { .. } | Work::Role | Work::Missing { .. } => &["call.intent", "call.outcome"],
                Work::Wrong { .. } => &["call.refused"],
                Work::Act { table } if is_approved(table) => {
                    &["call.intent", "approval.requested", "approval.decided", "approval.consumed", "call.outcome"]
                }
                // Who closes a denied request is whoever sees it first; that it is closed is what counts.
                Work::Act { .. } => &["call.intent", "approval.requested", "approval.decided"],
            };
            assert_eq!(events.get(..expected.len()), Some(expected), "{work:?}: {lines:?}");
            assert!(events[expected.len()..].iter().all(|event| *event == "approval.closed"), "{work:?}: {lines:?}");
            let (tool, arguments) = work.call();
            assert_eq!(lines[0]["action"], tool, "{work:?}");
            if events[0] == "call.intent" {
                let mut expected = arguments;
                expected.as_object_mut().expect("an object").remove("reason");
                for (name, value) in expected.as_object().expect("an object") {
                    assert_eq!(&lines[0]["arguments"][name], value, "{work:?}: {lines:?}");
                }
            }
        }
        assert!(runs.is_empty(), "runs that nobody made: {:?}", runs.iter().take(3).collect::<Vec<_>>());
    }
}
