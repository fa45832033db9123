//! What a doctor says: findings, printed as they come, as text for people or as one JSON object a line.

use serde::Serialize;
use serde_json::Value as Json;

use crate::{
    cli::terminal::{say, say_json},
    error::Refusal,
};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    Ok,
    Warning,
    Failed,
}

#[derive(Debug, Serialize)]
struct Finding<'a> {
    level: Level,
    about: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    help: &'a str,
    /// What only a program reads.
    #[serde(flatten)]
    detail: Json,
}

/// Columns of a terminal that lines are broken for.
const WIDTH: usize = 100;
/// Where the text of a finding begins.
const INDENT: usize = 9;

/// Prints findings and keeps the worst.
pub(super) struct Report {
    json: bool,
    worst: Level,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, worst: Level::Ok }
    }

    pub(super) fn worst(&self) -> Level {
        self.worst
    }

    pub(super) fn says(&mut self, level: Level, about: &str, text: impl AsRef<str>, help: &str) {
        self.details(level, about, text, help, Json::Object(serde_json::Map::new()));
    }

    /// The same with what only a program reads: an object, whose fields go beside the others.
    pub(super) fn details(&mut self, level: Level, about: &str, text: impl AsRef<str>, help: &str, detail: Json) {
        self.worst = self.worst.max(level);
        let text = text.as_ref();
        if self.json {
            say_json(&Finding { level, about, text, help, detail });
            return;
        }
        let mark = match level {
            Level::Ok => "ok     ",
            Level::Warning => "warning",
            Level::Failed => "FAILED ",
        };
        say(&format!("{mark}  {about:<22} {text}"));
        if !help.is_empty() {
            say(&format!("{:INDENT$}{:<22} help: {help}", "", ""));
        }
    }

    /// A finding that people read as a part of another one.
    pub(super) fn only_json(&mut self, level: Level, about: &str, text: &str, detail: Json) {
        if self.json {
            self.details(level, about, text, "", detail);
        }
    }

    /// More lines to the finding before, broken where they are too long; for people only.
    pub(super) fn more(&self, depth: usize, text: &str) {
        if !self.json {
            for line in broken(text, WIDTH - INDENT - depth) {
                say(&format!("{:width$}{line}", "", width = INDENT + depth));
            }
        }
    }

    /// A line to the finding before that is to be pasted, so it is never broken; for people only.
    pub(super) fn verbatim(&self, text: &str) {
        if !self.json {
            say(&format!("{:width$}{text}", "", width = INDENT + 4));
        }
    }

    /// A comment among lines that are to be pasted; for people only.
    pub(super) fn comment(&self, text: &str) {
        if !self.json {
            for line in broken(text, WIDTH - INDENT - 7) {
                say(&format!("{:width$}-- {}", "", line.trim_start(), width = INDENT + 4));
            }
        }
    }

    pub(super) fn ok(&mut self, about: &str, text: impl AsRef<str>) {
        self.says(Level::Ok, about, text, "");
    }

    pub(super) fn failed(&mut self, about: &str, refusal: &Refusal) {
        self.says(Level::Failed, about, format!("[{}] {}", refusal.code, refusal.message), &refusal.remedy);
    }
}

/// Breaks a text at spaces; what follows the first line is set in.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let length = lines.last().map_or(0, |line| line.chars().count());
        if length > 0 && length + 1 + word.chars().count() > width {
            lines.push("    ".to_owned());
        }
        if let Some(line) = lines.last_mut() {
            if !line.trim().is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
