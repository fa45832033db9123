//! The documentation as a book: every page is in its table of contents, and every link leads somewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

fn pages(dir: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path).expect("a page");
            found.insert(path, text);
        }
    }
}

/// Without what stands in blocks and between backticks.
fn prose(page: &str) -> String {
    let blocks = page.split("\n```").step_by(2).collect::<Vec<_>>().join("\n");
    blocks.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Where the links of a page lead.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let ends = prose.match_indices("](").map(|(at, _)| &prose[at + 2..]);
    ends.filter_map(|rest| rest.split_once(')').map(|(link, _)| link.to_owned())).collect()
}

/// What a heading can be linked by, as GitHub and mdBook make it.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut inside = false;
    let headings = page.lines().filter(|line| {
        inside ^= line.starts_with("```");
        !inside && line.starts_with('#')
    });
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// A path without `..`, which need not be there.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let docs = root().join("docs");
    let mut found = BTreeMap::new();
    pages(&docs, &mut found);
    let summary = found.remove(&docs.join("SUMMARY.md")).expect("the table of contents");
    let listed: Vec<PathBuf> = links(&summary).into_iter().map(|link| docs.join(link)).collect();
    let unique: BTreeSet<&PathBuf> = listed.iter().collect();
    assert_eq!(unique.len(), listed.len(), "a page is there twice");
    assert_eq!(unique, found.keys().collect(), "pages and table of contents differ");
}

#[test]
fn every_link_leads_somewhere() {
    let root = root();
    let mut found = BTreeMap::new();
    pages(&root.join("docs"), &mut found);
    for more in ["README.md", "packs-wit/README.md"] {
        found.insert(root.join(more), fs::read_to_string(root.join(more)).expect("a page"));
    }
    let (mut seen, mut wrong) = (0, Vec::new());
    for (path, page) in &found {
        for link in links(page).iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let to =
                if file.is_empty() { path.clone() } else { plain(&path.parent().expect("a directory").join(file)) };
            let leads = match found.get(&to) {
                Some(page) => anchor.is_empty() || anchors(page).contains(anchor),
                None => anchor.is_empty() && to.exists(),
            };
            if !leads {
                wrong.push(format!("{}: {link}", path.strip_prefix(&root).expect("ours").display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 100, "{seen} links were found");
}
