//! Every page is in the table of contents, and every link leads somewhere.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use lockgate_tests::site::root;

use crate::pages::pages;

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
    let mut found = pages();
    let summary = found.remove("docs/SUMMARY.md").expect("the table of contents");
    let listed: Vec<String> = links(&summary).into_iter().map(|link| format!("docs/{link}")).collect();
    let unique: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(unique.len(), listed.len(), "a page is there twice");
    assert_eq!(unique, found.keys().filter(|name| name.starts_with("docs/")).collect(), "pages and contents differ");
}

#[test]
fn every_link_leads_somewhere() {
    let found = pages();
    let (mut seen, mut wrong) = (0, Vec::new());
    for (name, page) in &found {
        for link in links(page).iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let to = match file {
                "" => PathBuf::from(name),
                file => plain(&Path::new(name).parent().expect("a directory").join(file)),
            };
            let leads = match to.to_str().and_then(|to| found.get(to)) {
                Some(page) => anchor.is_empty() || anchors(page).contains(anchor),
                None => anchor.is_empty() && root().join(to).exists(),
            };
            if !leads {
                wrong.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 100, "{seen} links were found");
}
