//! What a server was really asked to do, from its own log of statements: one entry for each execution that came from a
//! lockgate target, with the server's time and the values that were bound.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lockgate::postgres::throwaway::Cluster;

/// One execution.
#[derive(Debug)]
pub struct Execution {
    /// By the server's clock, to the millisecond, which is this machine's.
    pub at: Timestamp,
    /// The statement's text.
    pub sql: String,
    /// By number.
    pub values: BTreeMap<usize, String>,
}

/// Everything that a target of this name executed. The target's application name is `lockgate/NAME`.
pub fn executions(cluster: &Cluster, target: &str) -> Vec<Execution> {
    let log = std::fs::read_to_string(cluster.log_path()).expect("the server's log");
    let who = format!(" lockgate/{target} ");
    let mut found: Vec<Execution> = Vec::new();
    let mut open = false;
    for line in log.lines() {
        let Some((head, said)) = split(line) else {
            // A line of a statement that has several.
            if let (true, Some(last)) = (open, found.last_mut()) {
                last.sql.push('\n');
                last.sql.push_str(line);
            }
            continue;
        };
        open = false;
        if !head.contains(&who) {
            continue;
        }
        if let Some(rest) = said.strip_prefix("LOG:  execute ").or_else(|| said.strip_prefix("LOG:  statement")) {
            let sql = rest.split_once(": ").map_or(rest, |(_, sql)| sql).to_owned();
            found.push(Execution { at: time(head), sql, values: BTreeMap::new() });
            open = true;
        } else if let (Some(values), Some(last)) = (said.strip_prefix("DETAIL:  "), found.last_mut()) {
            last.values = bound(values);
        }
    }
    found
}

/// The prefix that the throwaway servers log with, and the message.
fn split(line: &str) -> Option<(&str, &str)> {
    let at = ["LOG:  ", "DETAIL:  ", "ERROR:  ", "FATAL:  ", "STATEMENT:  ", "WARNING:  ", "HINT:  ", "CONTEXT:  "]
        .iter()
        .filter_map(|level| line.find(level))
        .min()?;
    let (head, said) = line.split_at(at);
    head.starts_with(|c: char| c.is_ascii_digit()).then_some((head, said))
}

/// `2026-01-31 23:59:59.123 UTC [77] …`
fn time(head: &str) -> Timestamp {
    let mut words = head.split(' ');
    let (day, clock, zone) = (words.next(), words.next(), words.next());
    assert!(matches!(zone, Some("UTC" | "GMT" | "Etc/UTC")), "the throwaway server's time zone is another: {head}");
    format!("{}T{}Z", day.unwrap_or_default(), clock.unwrap_or_default()).parse().expect("a time")
}

/// `parameters: $1 = '77', $2 = 'abc'`; values with quotes in them don't occur in these tests.
fn bound(text: &str) -> BTreeMap<usize, String> {
    let mut values = BTreeMap::new();
    for part in text.split('$').skip(1) {
        let Some((number, rest)) = part.split_once(" = '") else { continue };
        let value = rest.split('\'').next().unwrap_or_default();
        values.insert(number.parse().expect("a number"), value.to_owned());
    }
    values
}
