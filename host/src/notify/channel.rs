//! One channel, ready to send: what it wants to hear of, and how to reach it. Made from its settings and the secrets they
//! name; nothing that it says, of itself or of an error, shows a secret.

use std::{path::Path, time::Duration};

use jiff::{SignedDuration, Timestamp};
use lockgate_signing::glob;
use reqwest::{Client, StatusCode, Url, header};

use super::{
    email::Email,
    event::EventKind,
    notice::Notice,
    settings::{Kind, NotifyConfig},
    slack,
    webhook::{self, Secrets},
};
use crate::{
    error::{Code, Refusal},
    outbound,
    pack::manifest::Risk,
    postgres::read_private,
    store::outbox::{Happened, Wish},
};

/// For one attempt, from the first byte to the last.
pub(super) const TIME: Duration = Duration::from_secs(15);
/// How long it is tried to tell of what asks for nothing: later, nobody needs a message for it.
const LATEST: SignedDuration = SignedDuration::from_hours(6);

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why, in a few words without secrets.
    pub text: String,
    /// Whether trying again is of no use.
    pub is_final: bool,
    /// How long the receiver asks to be left alone.
    pub after: Option<Duration>,
}

impl Failure {
    pub(super) fn for_now(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_final: false, after: None }
    }

    pub(super) fn for_good(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_final: true, after: None }
    }
}

/// A channel.
pub struct Channel {
    config: NotifyConfig,
    way: Way,
}

enum Way {
    Webhook { client: Client, url: Url, secrets: Secrets },
    Slack { client: Client, url: Url },
    Email(Box<Email>),
}

impl Channel {
    /// Reads its secrets. Connects to nothing.
    ///
    /// # Errors
    /// When a secret can't be read, or is none.
    pub fn open(config: &NotifyConfig) -> Result<Self, Refusal> {
        let refuse = |why: String| Refusal::new(Code::ConfigInvalid, format!("[[notify]] `{}`: {why}", config.name));
        let way = Self::way(config).map_err(refuse)?;
        Ok(Self { config: config.clone(), way })
    }

    fn way(config: &NotifyConfig) -> Result<Way, String> {
        config.check()?;
        if config.kind == Kind::Email {
            let password = config.password_file.as_deref().map(first_line).transpose()?;
            return Ok(Way::Email(Box::new(Email::new(config, password.as_deref().map(String::as_str))?)));
        }
        let url = match (&config.url, &config.url_file) {
            (Some(url), _) => outbound::secure(url).map_err(|why| format!("url: {why}"))?,
            (None, Some(path)) => {
                let url = first_line(path)?;
                outbound::secure(url.trim()).map_err(|why| format!("{}: {why}", path.display()))?
            }
            (None, None) => return Err("give one of `url` and `url_file`".into()),
        };
        let client = outbound::client(outbound::is_near(&url), TIME)?;
        match (config.kind, &config.secret_file) {
            (Kind::Webhook, Some(path)) => {
                let text = read_private(path).map_err(|error| error.to_string())?;
                let secrets = Secrets::read(&text).map_err(|why| format!("{}: {why}", path.display()))?;
                Ok(Way::Webhook { client, url, secrets })
            }
            (Kind::Webhook, None) => Err("`secret_file` is missing".into()),
            _ => Ok(Way::Slack { client, url }),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.config.kind
    }

    /// Whom it reaches, without what may be a secret.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.way {
            Way::Webhook { url, .. } | Way::Slack { url, .. } => url.origin().ascii_serialization(),
            Way::Email(_) => self.config.host.clone().unwrap_or_default(),
        }
    }

    /// Whether it wants to hear of something, and until when that is worth saying.
    pub(super) fn wish(&self, happened: &Happened, now: Timestamp) -> Wish {
        let Some(event) = EventKind::of(&happened.event.event).filter(|event| self.config.events.contains(event))
        else {
            return Wish::Pass;
        };
        let risk = happened.risk.as_deref().and_then(risk_of);
        // A risk that can't be read is not a low one.
        let is_risky = self.config.risk.is_none_or(|least| risk.is_none_or(|risk| risk >= least));
        let is_there = self.config.targets.as_ref().is_none_or(|patterns| {
            happened.target.as_deref().is_none_or(|target| patterns.iter().any(|p| glob::matches(p, target)))
        });
        let latest = happened.event.at.checked_add(LATEST).unwrap_or(Timestamp::MAX);
        let until = if event.asks() { happened.decide_by.unwrap_or(latest) } else { latest };
        let is_over = event.asks() && !happened.waits;
        if is_risky && is_there && !is_over && now < until { Wish::Send { until } } else { Wish::Pass }
    }

    /// Sends a message, once.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn send(&self, notice: &Notice, now: Timestamp) -> Result<(), Failure> {
        let sending = async {
            match &self.way {
                Way::Webhook { client, url, secrets } => {
                    let body = webhook::body(notice);
                    let headers = webhook::headers(secrets, &notice.id, &body, now);
                    post(client, url, body, &headers).await
                }
                Way::Slack { client, url } => post(client, url, slack::payload(notice, now).to_string(), &[]).await,
                Way::Email(email) => email.send(notice, now).await,
            }
        };
        let late = || Failure::for_now(format!("no answer within {} s", TIME.as_secs()));
        tokio::time::timeout(TIME, sending).await.unwrap_or_else(|_| Err(late()))
    }
}

async fn post(client: &Client, url: &Url, body: String, headers: &[(&'static str, String)]) -> Result<(), Failure> {
    let mut request = client.post(url.clone()).header(header::CONTENT_TYPE, "application/json").body(body);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let response = request.send().await.map_err(|error| Failure::for_now(outbound::said(error)))?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    // What it says beside its status is not read: it may be long, and it may be anything.
    let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let redirected = if status.is_redirection() { "; redirects are not followed" } else { "" };
    Err(Failure {
        text: format!("it answers {status}{redirected}"),
        // The receiver is gone for good, and says so.
        is_final: status == StatusCode::GONE,
        after: seconds.map(Duration::from_secs),
    })
}

fn first_line(path: &Path) -> Result<zeroize::Zeroizing<String>, String> {
    let text = read_private(path).map_err(|error| error.to_string())?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err(format!("{} has nothing in its first line", path.display()));
    }
    Ok(zeroize::Zeroizing::new(line.to_owned()))
}

fn risk_of(word: &str) -> Option<Risk> {
    [Risk::Low, Risk::Medium, Risk::High, Risk::Critical].into_iter().find(|risk| risk.as_str() == word)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::{outbox::Event, testing::at};

    fn channel(more: &str) -> Channel {
        let text = format!("name = \"c\"\nkind = \"slack\"\nurl = \"https://hooks.example/SECRET\"\n{more}");
        Channel::open(&toml::from_str(&text).unwrap()).unwrap()
    }

    fn happened(event: &str) -> Happened {
        Happened {
            event: Event { seq: 1, event: event.into(), subject: "apr_1".into(), at: at(0) },
            risk: Some("high".into()),
            target: Some("prod-1".into()),
            decide_by: Some(at(3600)),
            waits: event == "requested",
        }
    }

    #[test]
    fn a_channel_hears_of_what_it_asked_for() {
        let sends = |more: &str, happened: &Happened, seconds: i64| {
            matches!(channel(more).wish(happened, at(seconds)), Wish::Send { .. })
        };
        let (asked, denied) = (happened("requested"), happened("denied"));
        assert!(sends("", &asked, 1) && !sends("", &denied, 1), "by default, what a person has to act on");
        assert!(sends("events = [\"denied\"]", &denied, 1) && !sends("events = [\"denied\"]", &asked, 1));
        assert!(sends("risk = \"high\"", &asked, 1) && !sends("risk = \"critical\"", &asked, 1));
        assert!(sends("targets = [\"prod-*\"]", &asked, 1) && !sends("targets = [\"test-*\"]", &asked, 1));
        assert!(!sends("", &happened("consumed"), 1), "nobody is told of what passes");
        assert!(!sends("", &Happened { waits: false, ..asked.clone() }, 1), "somebody decided meanwhile");
        assert!(!sends("", &asked, 3600) && !sends("events = [\"denied\"]", &denied, 6 * 3600), "too late");
        let strange = Happened { risk: Some("grave".into()), ..asked.clone() };
        assert!(sends("risk = \"critical\"", &strange, 1), "what can't be read is not taken for harmless");
        let until = channel("").wish(&asked, at(1));
        assert_eq!(until, Wish::Send { until: at(3600) }, "until it can't be decided any more");
    }

    #[test]
    fn what_may_be_secret_is_not_part_of_its_place() {
        assert_eq!(channel("").place(), "https://hooks.example");
    }
}
