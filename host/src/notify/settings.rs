//! `[[notify]]`: whom to tell, of what, and how. Secrets are named by file; what is wrong is said by the channel's name.

use std::path::{Path, PathBuf};

use lettre::message::Mailbox;
use lockgate_signing::glob::Pattern;
use serde::Deserialize;

use super::event::EventKind;
use crate::{outbound, pack::manifest::Risk};

/// Recipients of one channel: more is what mailing lists are for.
const RECIPIENTS: usize = 20;

/// How people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A signed JSON body, POSTed.
    Webhook,
    /// The payload of Slack's incoming webhooks, which others take too.
    Slack,
    /// Mail over SMTP.
    Email,
}

impl Kind {
    /// `webhook`, `slack` or `email`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Slack => "slack",
            Self::Email => "email",
        }
    }
}

/// How the way to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// STARTTLS, and nothing is sent without it.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// Not at all; for a server on this machine.
    None,
}

/// One `[[notify]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyConfig {
    /// The channel's name. The store remembers what was sent by it, so it stays when everything else changes.
    pub name: String,
    /// How.
    pub kind: Kind,
    /// Of what.
    #[serde(default = "EventKind::by_default")]
    pub events: Vec<EventKind>,
    /// Of requests of this risk or a higher one; all without.
    pub risk: Option<Risk>,
    /// Patterns of targets; all without.
    pub targets: Option<Vec<String>>,
    /// Where to POST (webhook, slack).
    pub url: Option<String>,
    /// A file with that, where it is a secret.
    pub url_file: Option<PathBuf>,
    /// A file with the secrets that bodies are signed with (webhook).
    pub secret_file: Option<PathBuf>,
    /// The mail server.
    pub host: Option<String>,
    /// Its port; 587, 465 or 25 by `tls` without it.
    pub port: Option<u16>,
    /// How the way there is protected.
    pub tls: Option<SmtpTls>,
    /// Whom to log in as there.
    pub user: Option<String>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// The sender.
    pub from: Option<String>,
    /// The recipients.
    #[serde(default)]
    pub to: Vec<String>,
}

impl NotifyConfig {
    /// Takes paths from the configuration's directory.
    pub(crate) fn relative_to(&mut self, base: &Path) {
        for path in [&mut self.url_file, &mut self.secret_file, &mut self.password_file].into_iter().flatten() {
            *path = base.join(&*path);
        }
    }

    /// Checks what can be checked without reading a secret.
    pub(crate) fn check(&self) -> Result<(), String> {
        let wrong = |text: String| Err(format!("[[notify]] `{}`: {text}", crate::outside::shown(&self.name, 64)));
        let is_name = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
        if !(1..=64).contains(&self.name.len()) || !self.name.bytes().all(is_name) {
            return wrong("a name has 1 to 64 letters, digits, `-`, `_` and `.`".into());
        }
        if self.events.is_empty() {
            return wrong("`events` is empty; leave it out, or remove the channel".into());
        }
        if let Some(targets) = &self.targets {
            if targets.is_empty() {
                return wrong("`targets` names nothing; leave it out for all".into());
            }
            if let Some(error) = targets.iter().find_map(|text| text.parse::<Pattern>().err()) {
                return wrong(format!("targets: {error}"));
            }
        }
        if let Some(key) = self.stray() {
            return wrong(format!("`{key}` is not for `kind = \"{}\"`", self.kind.as_str()));
        }
        match self.kind {
            Kind::Webhook | Kind::Slack => self.check_http(),
            Kind::Email => self.check_email(),
        }
        .or_else(wrong)
    }

    /// A key that another kind of channel has.
    fn stray(&self) -> Option<&'static str> {
        let http = [("url", self.url.is_some()), ("url_file", self.url_file.is_some())];
        let webhook = [("secret_file", self.secret_file.is_some())];
        let email = [
            ("host", self.host.is_some()),
            ("port", self.port.is_some()),
            ("tls", self.tls.is_some()),
            ("user", self.user.is_some()),
            ("password_file", self.password_file.is_some()),
            ("from", self.from.is_some()),
            ("to", !self.to.is_empty()),
        ];
        let strays: Vec<_> = match self.kind {
            Kind::Webhook => email.to_vec(),
            Kind::Slack => [&webhook[..], &email].concat(),
            Kind::Email => [&http[..], &webhook].concat(),
        };
        strays.into_iter().find_map(|(key, is_given)| is_given.then_some(key))
    }

    fn check_http(&self) -> Result<(), String> {
        match (&self.url, &self.url_file) {
            (Some(url), None) => outbound::secure(url).map(drop).map_err(|why| format!("url: {why}"))?,
            (None, Some(_)) => {}
            _ => return Err("give one of `url` and `url_file`".into()),
        }
        if self.kind == Kind::Webhook && self.secret_file.is_none() {
            return Err("`secret_file` is missing: bodies are signed, so that nobody else can send them".into());
        }
        Ok(())
    }

    fn check_email(&self) -> Result<(), String> {
        let host = self.host.as_deref().unwrap_or_default();
        let is_host = |c: u8| c.is_ascii_alphanumeric() || b"-.:".contains(&c);
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err("`host` is the mail server's name".into());
        }
        if self.tls == Some(SmtpTls::None) && !outbound::is_near_host(host) {
            return Err(format!("`tls = \"none\"` is for a server on this machine, and `{host}` is elsewhere"));
        }
        if self.user.is_some() != self.password_file.is_some() {
            return Err("`user` and `password_file` go together".into());
        }
        if self.from.is_none() || self.to.is_empty() || self.to.len() > RECIPIENTS {
            return Err(format!("it takes `from`, and `to` with 1 to {RECIPIENTS} addresses"));
        }
        self.mailboxes().map(drop)
    }

    /// The sender and the recipients.
    pub(super) fn mailboxes(&self) -> Result<(Mailbox, Vec<Mailbox>), String> {
        let parse = |text: &str| {
            let shown = crate::outside::shown(text, 100);
            let refuse = |why: String| format!("`{shown}` is no mail address: {why}");
            if text.chars().any(char::is_control) {
                return Err(refuse("it has control characters".into()));
            }
            text.parse::<Mailbox>().map_err(|error| refuse(error.to_string()))
        };
        let from = parse(self.from.as_deref().unwrap_or_default())?;
        Ok((from, self.to.iter().map(|to| parse(to)).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        toml::from_str::<NotifyConfig>(&format!("name = \"oncall\"\n{text}")).map_err(|e| e.to_string())?.check()
    }

    const MAIL: &str =
        "kind = \"email\"\nhost = \"smtp.example\"\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]\n";

    #[test]
    fn what_each_kind_needs_is_asked_for() {
        for good in [
            "kind = \"webhook\"\nurl = \"https://hooks.example/x\"\nsecret_file = \"s\"",
            "kind = \"webhook\"\nurl = \"http://127.0.0.1:9/x\"\nsecret_file = \"s\"\nevents = [\"requested\", \"denied\"]",
            "kind = \"slack\"\nurl_file = \"u\"\nrisk = \"high\"\ntargets = [\"prod-*\"]",
            MAIL,
            &format!("{MAIL}tls = \"implicit\"\nuser = \"u\"\npassword_file = \"p\""),
            &MAIL.replace("smtp.example", "127.0.0.1\"\ntls = \"none"),
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_would_leak_or_can_not_be_is_refused() {
        for (bad, why) in [
            ("kind = \"webhook\"\nurl = \"https://hooks.example/x\"", "secret_file"),
            ("kind = \"webhook\"\nurl = \"http://hooks.example/SECRET\"\nsecret_file = \"s\"", "must be https"),
            ("kind = \"slack\"\nurl = \"https://a.example/\"\nurl_file = \"u\"", "one of"),
            ("kind = \"slack\"\nurl_file = \"u\"\nsecret_file = \"s\"", "`secret_file` is not for"),
            ("kind = \"slack\"\nurl_file = \"u\"\nevents = []", "`events` is empty"),
            ("kind = \"slack\"\nurl_file = \"u\"\nevents = [\"asked\"]", "unknown variant `asked`"),
            ("kind = \"slack\"\nurl_file = \"u\"\ntargets = [\"a b\"]", "is not a pattern"),
            ("kind = \"pager\"", "unknown variant `pager`"),
            (&format!("{MAIL}tls = \"none\""), "on this machine"),
            (&format!("{MAIL}user = \"u\""), "go together"),
            (&format!("{MAIL}secret_file = \"s\""), "`secret_file` is not for"),
            (&MAIL.replace("b@example.com", "b@example.com\\r\\nBcc: c@example.com"), "control characters"),
            (&MAIL.replace("\"a@example.com\"", "\"nobody\""), "no mail address"),
            (&MAIL.replace("[\"b@example.com\"]", "[]"), "1 to 20 addresses"),
            (&MAIL.replace("smtp.example", "smtp.example/x"), "`host`"),
        ] {
            let error = check(bad).unwrap_err();
            assert!(error.contains(why) && !error.contains("SECRET"), "{bad}: {error}");
        }
    }
}
