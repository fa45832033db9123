//! A reader who goes through a page and types its commands, one after the other.

use std::collections::VecDeque;

use lockgate_tests::desk::{Desk, Said, Started};

use crate::{
    claims,
    pages::{Shown, commands, page},
};

/// The commands of a page that are still to be run, and what in them stands for the reader's own.
pub struct Walk<'a> {
    /// Where they are run.
    pub desk: &'a mut Desk,
    page: &'static str,
    left: VecDeque<Shown>,
    own: Vec<Own>,
}

/// A word of the page, what it is here, and whether it was met.
struct Own(&'static str, String, bool);

impl<'a> Walk<'a> {
    /// From the first command of a page that is this binary's to run.
    pub fn of(page_name: &'static str, desk: &'a mut Desk) -> Self {
        let mut left: VecDeque<Shown> = commands(&page(page_name)).into();
        left.retain(|shown| claims::is_run_here(page_name, shown));
        Self { desk, page: page_name, left, own: Vec::new() }
    }

    /// What the page writes so is this here, from now on.
    pub fn own(&mut self, on_the_page: &'static str, here: impl Into<String>) {
        self.own.insert(0, Own(on_the_page, here.into(), false));
    }

    /// Runs the page's next command, which begins so. It must succeed, and say what the page shows below it.
    pub async fn next(&mut self, begins: &str) -> Said {
        self.ends(0, begins).await
    }

    /// The same, of a command that must end with this code.
    pub async fn ends(&mut self, code: i32, begins: &str) -> Said {
        let shown = self.take(begins);
        let said = self.desk.run(&shown.text).await;
        self.look(&shown, &said, code);
        said
    }

    /// The same, at a terminal, where these questions are answered.
    pub async fn typed(&mut self, begins: &str, answers: &[(&str, &str)]) -> Said {
        let shown = self.take(begins);
        let said = self.desk.typed(&shown.text, answers).await;
        self.look(&shown, &said, 0);
        said
    }

    /// Starts the page's next command, which goes on until it is interrupted.
    pub fn starts(&mut self, begins: &str) -> Started {
        let shown = self.take(begins);
        self.desk.start(&shown.text)
    }

    fn take(&mut self, begins: &str) -> Shown {
        let mut shown = self.left.pop_front().unwrap_or_else(|| panic!("{} ends before `{begins}`", self.page));
        assert!(shown.text.starts_with(begins), "{} goes on with `{}`, not with `{begins}`", self.page, shown.text);
        for Own(on_the_page, here, met) in &mut self.own {
            *met |= shown.text.contains(*on_the_page);
            shown.text = shown.text.replace(*on_the_page, here);
            for line in &mut shown.output {
                *met |= line.contains(*on_the_page);
                *line = line.replace(*on_the_page, here);
            }
        }
        shown
    }

    fn look(&self, shown: &Shown, said: &Said, code: i32) {
        let all = format!("{}{}", said.out, said.err);
        assert_eq!(said.code, code, "{}\n$ {}\n{all}", self.page, shown.text);
        if let Err(line) = says(&shown.output, &all) {
            panic!("{} shows\n{line}\nand this is what is said:\n$ {}\n{all}", self.page, shown.text);
        }
    }
}

impl Drop for Walk<'_> {
    /// All of the page was run, and nothing was prepared that is not on it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let left: Vec<_> = self.left.iter().map(|shown| shown.text.as_str()).collect();
        assert!(left.is_empty(), "{}: nobody has run {left:#?}", self.page);
        let unmet: Vec<_> = self.own.iter().filter(|Own(.., met)| !met).map(|Own(word, ..)| *word).collect();
        assert!(unmet.is_empty(), "{}: {unmet:?} is not there", self.page);
    }
}

/// Whether something says what is shown: the same lines one after the other, where `…` stands for any lines, and at the end of a
/// line for the rest of it. Numbers, digests, the widths of columns and where quoted text is broken are other each time.
fn says(shown: &[String], said: &str) -> Result<(), String> {
    let shown = plain_lines(shown.iter().map(String::as_str));
    let said = plain_lines(said.lines());
    let (mut at, mut may_skip) = (0, false);
    for run in shown.split_inclusive(|line| line == "…") {
        let lines: Vec<&String> = run.iter().filter(|line| *line != "…").collect();
        let fits = |from: usize| {
            said.get(from..from + lines.len()).is_some_and(|said| {
                lines.iter().zip(said).all(|(shown, said)| match shown.strip_suffix('…') {
                    Some(begins) => said.starts_with(begins.trim_end()),
                    None => *shown == said,
                })
            })
        };
        let last = if may_skip { said.len() } else { at };
        let found = (at..=last).find(|from| fits(*from)).ok_or_else(|| run.join("\n"))?;
        (at, may_skip) = (found + lines.len(), run.last().is_some_and(|line| line == "…"));
    }
    match said.get(at) {
        Some(more) if !shown.is_empty() && !may_skip => Err(format!("nothing about: {more}")),
        _ => Ok(()),
    }
}

/// Lines without what is other each time; those of one quotation, which have a bar before them, are one.
fn plain_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut plain_lines: Vec<String> = Vec::new();
    for line in lines.map(plain) {
        match (line.strip_prefix("| "), plain_lines.last_mut()) {
            (Some(more), Some(begun)) if begun.starts_with("| ") => {
                begun.push(' ');
                begun.push_str(more);
            }
            _ => plain_lines.push(line),
        }
    }
    plain_lines
}

/// A line without what is other each time.
fn plain(line: &str) -> String {
    let word = |word: &str| {
        let is_digest = word.len() == 14
            && word.split('-').all(|part| part.len() == 4 && part.chars().all(|c| c.is_ascii_hexdigit()));
        if is_digest {
            return "DIGEST".to_owned();
        }
        let mut plain = String::new();
        for c in word.chars() {
            match c {
                '0'..='9' if plain.ends_with('0') => {}
                '0'..='9' => plain.push('0'),
                c => plain.push(c),
            }
        }
        plain
    };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_a_page_shows_is_compared_with_what_is_said() {
    let page = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let said = "one  12 s\n  | two\n  | 9c1f-03ab-77d0\nthree, and more\nfour\n";
    for good in [
        "",
        "one 3 s\n…",
        "…\nfour",
        "…\n| two 0000-1111-2222\nthree, …\nfour",
        "one 1 s\n| two 0000-0000-0000\n…\nfour",
    ] {
        assert_eq!(says(&page(good), said), Ok(()), "{good}");
    }
    for bad in ["one 3 s", "four", "…\ntwo\n…", "one 3 s\nthree, …\n…", "…\nfour\nthree, …", "…\nthree\n…"]
    {
        assert!(says(&page(bad), said).is_err(), "{bad}");
    }
}
