//! Whether a page is what it should be for those who can't see it, and for a browser that runs nothing inline: every element
//! is closed where it should be, no id stands twice, headings step down one by one, fields have labels, and there is no inline
//! script, style or event.

use std::collections::BTreeSet;

/// Elements that have no end tag (HTML, 13.1.2).
const VOID: [&str; 6] = ["meta", "link", "input", "br", "img", "hr"];

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
    is_end: bool,
}

impl Tag {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The page's tags, in order. All text and every value in it is escaped, so `<` begins a tag and `>` ends it.
fn tags(page: &str) -> Vec<Tag> {
    let body = page.strip_prefix("<!DOCTYPE html>").expect("a page of HTML");
    body.split('<').skip(1).map(|piece| tag(piece.split_once('>').expect("a tag ends").0)).collect()
}

fn tag(text: &str) -> Tag {
    let (is_end, text) = text.strip_prefix('/').map_or((false, text), |rest| (true, rest));
    let (name, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    assert!(name.bytes().all(|b| b.is_ascii_alphanumeric()) && !name.is_empty(), "<{text}>");
    let mut attributes = Vec::new();
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let value = after.strip_prefix("=\"").map(|after| after.split_once('"').expect("a value ends"));
        attributes.push((key.to_owned(), value.map_or(String::new(), |(value, _)| value.to_owned())));
        rest = value.map_or(after, |(_, after)| after);
    }
    Tag { name: name.to_owned(), attributes, is_end }
}

/// Panics where a page is not so.
pub fn check(place: &str, page: &str) {
    let tags = tags(page);
    let mut open: Vec<&str> = Vec::new();
    let (mut ids, mut labels, mut level) = (BTreeSet::new(), BTreeSet::new(), 0);
    for tag in &tags {
        if tag.is_end {
            assert_eq!(open.pop(), Some(tag.name.as_str()), "{place}: an element ends where another is open");
            continue;
        }
        if !VOID.contains(&tag.name.as_str()) {
            open.push(&tag.name);
        }
        for (key, _) in &tag.attributes {
            assert!(key != "style" && !key.starts_with("on"), "{place}: `{key}` on <{}>", tag.name);
        }
        assert!(tag.name != "style", "{place}: an inline style");
        assert!(tag.name != "script" || tag.get("src").is_some(), "{place}: an inline script");
        for address in ["href", "src", "action"].into_iter().filter_map(|key| tag.get(key)) {
            assert!(address.starts_with(['/', '#']) && !address.starts_with("//"), "{place}: leads to `{address}`");
        }
        if let Some(id) = tag.get("id") {
            assert!(ids.insert(id), "{place}: `{id}` is there twice");
        }
        labels.extend(tag.get("for"));
        if let Some(depth) = tag.name.strip_prefix('h').and_then(|depth| depth.parse::<u32>().ok()) {
            assert!(depth <= level + 1, "{place}: a heading of level {depth} after one of level {level}");
            level = depth;
        }
    }
    assert!(open.is_empty(), "{place}: {open:?} are never closed");
    for tag in tags.iter().filter(|tag| !tag.is_end && matches!(tag.name.as_str(), "input" | "select" | "textarea")) {
        if tag.get("type") != Some("hidden") {
            assert!(tag.get("id").is_some_and(|id| labels.contains(id)), "{place}: a field without a label");
        }
    }
    let count = |name: &str| tags.iter().filter(|tag| !tag.is_end && tag.name == name).count();
    assert_eq!((count("h1"), count("main"), count("header")), (1, 1, 1), "{place}");
    assert_eq!(count("table"), count("caption"), "{place}: a table without a caption");
    assert!(tags.iter().filter(|tag| !tag.is_end && tag.name == "th").all(|th| th.get("scope").is_some()), "{place}");
}

#[test]
fn what_is_wrong_is_found() {
    let page = |main: &str| format!("<!DOCTYPE html><html><header></header><main><h1>x</h1>{main}</main></html>");
    check("right", &page("<p class=\"a\">x</p><input type=\"hidden\" name=\"a\">"));
    for wrong in [
        "<p><b></p></b>",
        "<p>",
        "<p style=\"color: red\"></p>",
        "<p onclick=\"x()\"></p>",
        "<script>x()</script>",
        "<a href=\"https://evil.example\"></a>",
        "<a href=\"//evil.example\"></a>",
        "<p id=\"a\"></p><p id=\"a\"></p>",
        "<h3>x</h3>",
        "<input name=\"a\" id=\"a\">",
        "<h1>x</h1>",
        "<table></table>",
    ] {
        let page = page(wrong);
        assert!(std::panic::catch_unwind(|| check("wrong", &page)).is_err(), "{wrong}");
    }
}
