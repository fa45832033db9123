//! The payload of Slack's incoming webhooks, which Mattermost, Rocket.Chat and others take too. Every text that is not our own
//! stands in a code span, in which nothing is a link, a mention or formatting, with the three characters escaped that Slack
//! acts on everywhere (<https://docs.slack.dev/messaging/formatting-message-text>).

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::notice::Notice;

/// The payload.
pub(super) fn payload(notice: &Notice, now: Timestamp) -> Json {
    let mut text = format!("*lockgate* {}\n", code(&notice.headline()));
    for fact in notice.facts(now) {
        text.push_str(&format!("{}: {}\n", fact.label, code(&fact.text)));
    }
    if let Some(link) = &notice.link {
        // Made of the operator's base, whose characters are checked, and an id.
        text.push_str(&format!("<{link}|Look at it> (you decide there, logged in)\n"));
    }
    json!({ "text": text.trim_end(), "mrkdwn": true, "unfurl_links": false, "unfurl_media": false })
}

/// A text that is one line by now, as code. A code span can't hold the sign that ends it.
fn code(text: &str) -> String {
    let text = text.replace('`', "'").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let text = text.trim();
    format!("`{}`", if text.is_empty() { "-" } else { text })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outside::plain;

    #[test]
    fn nothing_in_a_text_is_acted_on() {
        for (given, code_span) in [
            ("<!channel> look", "`&lt;!channel&gt; look`"),
            ("<https://evil.example|approve>", "`&lt;https://evil.example|approve&gt;`"),
            ("` *now* `<@U1>", "`' *now* '&lt;@U1&gt;`"),
            ("a & b", "`a &amp; b`"),
            ("", "`-`"),
        ] {
            assert_eq!(code(given), code_span);
        }
    }

    proptest! {
        #[test]
        fn whatever_a_text_is_it_stays_inside_its_span(
            text in prop::collection::vec(prop_oneof![any::<char>(), Just('`'), Just('<'), Just('\n')], 0..60)
                .prop_map(String::from_iter),
        ) {
            let span = code(&plain(&text, 400).text);
            let inside = span.strip_prefix('`').unwrap().strip_suffix('`').unwrap();
            prop_assert!(!inside.contains(['`', '<', '>', '\n', '\r']) && !inside.is_empty());
        }
    }
}
