//! What must be true of every page's HTML: it is well-formed, has one main heading, no inline script, style or event, and
//! nothing from elsewhere.

/// Elements without an end tag (HTML, 13.1.2).
const VOID: [&str; 6] = ["meta", "link", "input", "br", "hr", "img"];

/// Looks at one page.
pub fn check(path: &str, body: &str) {
    let mut open: Vec<String> = Vec::new();
    let mut rest = body.strip_prefix("<!DOCTYPE html>").unwrap_or_else(|| panic!("{path}: no doctype: {body}"));
    while let Some((_, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>').unwrap_or_else(|| panic!("{path}: a tag without an end"));
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{path}: `{name}` is closed where it is not open");
            continue;
        }
        let name = tag.split([' ', '\n']).next().expect("a name").to_owned();
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{path}: <{tag}>");
        for attribute in attributes(tag) {
            assert!(!attribute.starts_with("on") && attribute != "style", "{path}: <{tag}>");
        }
        assert_ne!(name, "style", "{path}: an inline style");
        if name == "script" {
            assert!(tag.contains("src=\"/assets/") && rest.starts_with("</script>"), "{path}: <{tag}>");
        }
        for place in ["src=\"", "href=\"", "action=\""] {
            if let Some((_, address)) = tag.split_once(place) {
                assert!(address.starts_with('/') || address.starts_with('#'), "{path}: <{tag}>");
            }
        }
        if !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{path}: {open:?} never end");
    assert_eq!(body.matches("<h1>").count(), 1, "{path}: one main heading");
    let ids: Vec<&str> = body.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(ids.len(), unique.len(), "{path}: an id twice: {ids:?}");
}

/// The names of a tag's attributes; what stands in quotes is none.
fn attributes(tag: &str) -> Vec<&str> {
    let outside = tag.split('"').step_by(2);
    outside.flat_map(|text| text.split([' ', '\n'])).skip(1).filter_map(|a| a.split('=').next()).collect()
}

#[test]
fn what_is_wrong_is_found() {
    let page = |inside: &str| format!("<!DOCTYPE html><html><h1>x</h1>{inside}</html>");
    check("sound", &page("<p id=\"a\">b</p><br><a href=\"/x\">on</a>"));
    for wrong in [
        "<p>",
        "<p></b></p>",
        "<p onclick=\"x\">a</p>",
        "<p style=\"x\">a</p>",
        "<script>alert(1)</script>",
        "<script src=\"//evil\"></script>",
        "<a href=\"javascript:x\">a</a>",
        "<p id=\"a\"></p><p id=\"a\"></p>",
        "<h1>y</h1>",
    ] {
        let found = std::panic::catch_unwind(|| check("wrong", &page(wrong)));
        assert!(found.is_err(), "{wrong}");
    }
}
