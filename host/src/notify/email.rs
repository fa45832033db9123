//! Mail: plain text, to the operator's recipients, over a way that is protected or does not leave the machine. What is not
//! our own stands behind a bar, as in the terminal, with addresses spelled so that no mail program makes a link of them.
//! Nothing of it but the names of an action and a target comes into a header, and there without control characters.

use jiff::Timestamp;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::authentication::Credentials,
};

use super::{
    channel::{Failure, TIME},
    notice::Notice,
    settings::{NotifyConfig, SmtpTls},
};
use crate::{approval::render::text::wrap, outside::shown};

/// Columns of a mail's lines.
const COLUMNS: usize = 76;
/// Characters of a server's own words in an error.
const SAID: usize = 200;

/// A mail server and what to tell it.
pub(super) struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Email {
    pub(super) fn new(config: &NotifyConfig, password: Option<&str>) -> Result<Self, String> {
        let (from, to) = config.mailboxes()?;
        let host = config.host.as_deref().unwrap_or_default();
        let builder = match config.tls.unwrap_or_default() {
            SmtpTls::Starttls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host),
            SmtpTls::Implicit => AsyncSmtpTransport::<Tokio1Executor>::relay(host),
            SmtpTls::None => Ok(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)),
        };
        let mut builder = builder.map_err(|error| said(&error))?.timeout(Some(TIME));
        if let Some(port) = config.port {
            builder = builder.port(port);
        }
        if let (Some(user), Some(password)) = (&config.user, password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.to_owned()));
        }
        Ok(Self { transport: builder.build(), from, to })
    }

    pub(super) async fn send(&self, notice: &Notice, now: Timestamp) -> Result<(), Failure> {
        let mail = self.mail(notice, now).map_err(Failure::for_good)?;
        match self.transport.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure { text: said(&error), is_final: error.is_permanent(), after: None }),
        }
    }

    fn mail(&self, notice: &Notice, now: Timestamp) -> Result<Message, String> {
        let domain = self.from.email.domain();
        let mut builder = Message::builder()
            .from(self.from.clone())
            .date(now.into())
            // The same each time it is tried: mail programs show it once.
            .message_id(Some(format!("<{}@{domain}>", notice.id)))
            .subject(subject(notice))
            // RFC 3834: nobody's absence note answers it.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        builder.body(text(notice, now)).map_err(|error| format!("the mail can't be made: {error}"))
    }
}

/// One line without control characters, however it came about.
fn subject(notice: &Notice) -> String {
    format!("[lockgate] {}", shown(&notice.headline(), 150))
}

fn text(notice: &Notice, now: Timestamp) -> String {
    let mut out = String::new();
    for fact in notice.facts(now) {
        out.push_str(&format!("{}:\n", fact.label));
        for line in wrap(&unlinked(&fact.text), COLUMNS - 4) {
            out.push_str(&format!("  | {line}\n"));
        }
    }
    if let Some(link) = &notice.link {
        out.push_str(&format!("\nLook at it, and decide there when you are logged in:\n{link}\n"));
    }
    out.push_str(
        "\nLines behind a bar may be text from an agent, a pack or a database: facts to weigh, not\n\
         instructions. Nobody decides by answering this mail.\n",
    );
    out
}

/// Addresses spelled so that mail programs don't make links of them.
fn unlinked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let lower = text.to_ascii_lowercase();
    for (at, c) in text.char_indices() {
        let rest = lower.get(at..).unwrap_or_default();
        let before = lower.get(..at).unwrap_or_default();
        match c {
            ':' if rest.starts_with("://") || before.ends_with("mailto") => out.push_str("[:]"),
            '.' if before.ends_with("www") => out.push_str("[.]"),
            '@' => out.push_str("[@]"),
            c => out.push(c),
        }
    }
    out
}

/// What the server or the way to it has to say; a server's words are somebody else's.
fn said(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if !text.contains(&inner.to_string()) {
            text.push_str(&format!(": {inner}"));
        }
        source = inner.source();
    }
    shown(&text, SAID)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::notify::notice::{About, Subject};

    fn email() -> Email {
        let config = "name = \"m\"\nkind = \"email\"\nhost = \"127.0.0.1\"\ntls = \"none\"\n\
            from = \"lockgate <gate@example.com>\"\nto = [\"dba@example.com\", \"oncall@example.com\"]\n";
        Email::new(&toml::from_str(config).unwrap(), None).unwrap()
    }

    fn notice(hostile: &str) -> Notice {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let mut notice = Notice::test("msg_1".into(), now);
        notice.event = Some(crate::notify::EventKind::Requested);
        let about = About {
            approval: "apr_1".into(),
            run: "run_1".into(),
            state: crate::store::State::Pending,
            action: hostile.into(),
            target: hostile.into(),
            risk: "high".into(),
            agent: hostile.into(),
            person: Some(hostile.into()),
            summary: hostile.into(),
            reason: hostile.into(),
            approvals_needed: 1,
            approvals_given: 0,
            expires_at: None,
            decided_by: None,
            decision_reason: None,
            digest_short: "aaaa".into(),
        };
        notice.about = Some(Subject::Approval(Box::new(about)));
        notice
    }

    #[test]
    fn no_text_becomes_a_header_or_a_recipient() {
        // Even if a text came here unmade, with line breaks in it.
        let hostile = "x\r\nBcc: thief@evil.example\r\n\r\nbody\0\u{2028}";
        let notice = notice(hostile);
        let mail = email().mail(&notice, notice.at).unwrap();
        let to: Vec<_> = mail.envelope().to().iter().map(ToString::to_string).collect();
        assert_eq!(to, ["dba@example.com", "oncall@example.com"]);
        let bytes = String::from_utf8(mail.formatted()).unwrap();
        let (head, _) = bytes.split_once("\r\n\r\n").unwrap();
        // A header's continuation begins with a space; everything else must be a header that we wrote.
        for line in head.lines().filter(|line| !line.starts_with(' ')) {
            let name = line.split(':').next().unwrap();
            let ours = [
                "From",
                "To",
                "Date",
                "Message-ID",
                "Subject",
                "Auto-Submitted",
                "Content-Type",
                "Content-Transfer-Encoding",
                "MIME-Version",
            ];
            assert!(ours.contains(&name), "{line}");
        }
        assert!(head.contains("Message-ID: <msg_1@example.com>"), "{head}");
    }

    #[test]
    fn addresses_in_a_text_are_no_links() {
        for (given, spelled) in [
            ("see http://evil.example/x", "see http[:]//evil.example/x"),
            ("HTTPS://E.example WWW.e.example", "HTTPS[:]//E.example WWW[.]e.example"),
            ("mailto:a@b.example", "mailto[:]a[@]b.example"),
            ("public.orders at 03:04", "public.orders at 03:04"),
            ("é://", "é[:]//"),
        ] {
            assert_eq!(unlinked(given), spelled);
        }
        let notice = notice("look at https://evil.example/approve");
        assert!(!text(&notice, notice.at).contains("https://"));
    }
}
