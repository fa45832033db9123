//! Every command of `lockgate` that the documentation shows is one that the command line takes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use super::Cli;

fn pages() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = vec![root.join("README.md"), root.join("packs-wit/README.md")];
    walk(&root.join("docs"), &mut found);
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The lines of a page's blocks of commands, each with what it goes on with.
fn shown(page: &str) -> Vec<String> {
    let (mut lines, mut inside, mut is_shell) = (Vec::new(), false, false);
    let mut begun = String::new();
    for line in page.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            is_shell = !inside && matches!(language, "" | "console" | "sh");
            inside = !inside;
            continue;
        }
        if !(inside && is_shell) {
            continue;
        }
        let line = line.trim_start();
        begun += line.strip_prefix("$ ").unwrap_or(line);
        match begun.strip_suffix('\\') {
            Some(first) => begun = first.to_owned(),
            None => lines.push(std::mem::take(&mut begun)),
        }
    }
    lines
}

/// The words of a command of ours: up to where the shell does something else with it.
fn words(line: &str) -> Option<Vec<String>> {
    if !line.starts_with("lockgate ") {
        return None;
    }
    let words = shlex::split(line)?;
    let ends =
        |word: &String| matches!(word.as_str(), "|" | "&&" | ";" | "||" | "#" | "&") || word.starts_with(['<', '>']);
    // Something left out, and something that need not be there.
    let is_said =
        |word: &String| !matches!(word.as_str(), "…" | "...") && !word.starts_with('[') && !word.ends_with(']');
    Some(words.into_iter().take_while(|word| !ends(word)).filter(is_said).collect())
}

#[test]
fn every_command_that_is_shown_is_one() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for (path, page) in pages() {
        for line in shown(&page) {
            let Some(mut words) = words(&line) else { continue };
            seen += 1;
            // What a page has put into the environment before.
            if page.contains("export LOCKGATE_PORTAL=") && words.iter().any(|word| word == "--token-file") {
                words.insert(2, "--portal=https://gate.example.com".to_owned());
            }
            match Cli::try_parse_from(&words) {
                Err(error) if !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                    wrong.push(format!("{}: {line}\n{error}", path.display()));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 30, "{seen} commands were found: the blocks are written in another way now");
}

#[test]
fn every_subcommand_that_is_spoken_of_is_there() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for (path, page) in pages() {
        // The last is what a digest begins with.
        let is_command = |code: &&str| code.starts_with("lockgate ") && !code.ends_with(" v3");
        for code in page.split('`').skip(1).step_by(2).filter(is_command) {
            seen += 1;
            // One of several, in a table.
            let code = code.split("\\|").next().unwrap_or(code);
            let mut at = Cli::command();
            for word in code.split_ascii_whitespace().skip(1) {
                if !at.has_subcommands() || !word.starts_with(|first: char| first.is_ascii_lowercase()) {
                    break;
                }
                let Some(next) = at.find_subcommand(word.trim_end_matches([',', '.'])) else {
                    wrong.push(format!("{}: `{code}`", path.display()));
                    break;
                };
                at = next.clone();
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 100, "{seen} were found");
}
