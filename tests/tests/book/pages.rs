//! The pages, and what a reader would type of them.
//!
//! Commands stand in two kinds of blocks: in `console`, where each begins with `$ ` and what it says may be shown below it, and in
//! `sh`, which is one script.

use std::{collections::BTreeMap, fs, path::Path};

use lockgate_tests::site::root;

/// A command of a page.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The section that it is in.
    pub section: String,
    /// As a shell is given it.
    pub text: String,
    /// What the page shows below it.
    pub output: Vec<String>,
}

/// A block of a page.
#[derive(Debug)]
pub struct Block {
    pub section: String,
    pub language: String,
    pub lines: Vec<String>,
}

impl Block {
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// Every page, by its place in the repository.
pub fn pages() -> BTreeMap<String, String> {
    fn walk(dir: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let name = path.strip_prefix(root()).expect("ours").to_str().expect("a name").to_owned();
                found.insert(name, fs::read_to_string(&path).expect("a page"));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&root().join("docs"), &mut found);
    for more in ["README.md", "packs-wit/README.md"] {
        found.insert(more.to_owned(), page(more));
    }
    found
}

/// One page.
pub fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The blocks of a page, in order.
pub fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut section, mut inside) = (Vec::new(), String::new(), false);
    for line in page.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            inside = !inside;
            if inside {
                blocks.push(Block { section: section.clone(), language: language.to_owned(), lines: Vec::new() });
            }
        } else if inside {
            blocks.last_mut().expect("a block has begun").lines.push(line.to_owned());
        } else if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut section);
        }
    }
    blocks
}

/// The first block of a language on a page that has this text.
pub fn block(name: &str, language: &str, text: &str) -> String {
    let found = blocks(&page(name)).into_iter().find(|block| block.language == language && block.text().contains(text));
    found.unwrap_or_else(|| panic!("{name} has no block of {language} with {text:?}")).text()
}

/// The commands of a page, in order.
pub fn commands(page: &str) -> Vec<Shown> {
    let mut commands = Vec::new();
    for block in blocks(page) {
        match block.language.as_str() {
            "console" => commands.extend(of_console(&block)),
            "sh" => {
                commands.push(Shown { section: block.section.clone(), text: block.text(), output: Vec::new() });
            }
            _ => {}
        }
    }
    commands
}

fn of_console(block: &Block) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let mut goes_on = false;
    for line in &block.lines {
        match (commands.last_mut(), line.strip_prefix("$ ")) {
            (Some(command), _) if goes_on => {
                command.text.push('\n');
                command.text.push_str(line);
                goes_on = line.ends_with('\\');
            }
            (_, Some(text)) => {
                goes_on = text.ends_with('\\');
                let (section, text) = (block.section.clone(), text.to_owned());
                commands.push(Shown { section, text, output: Vec::new() });
            }
            (Some(command), None) => command.output.push(line.clone()),
            (None, None) => panic!("a console begins with a command, not with {line:?}"),
        }
    }
    commands
}
