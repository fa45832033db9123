//! A portal without a gate: accounts, sessions and the door, over a store and a record in a directory of the test's own.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use lockgate::{
    audit,
    config::Config,
    listen,
    people::{
        Origin, People, PeopleSettings, Secret,
        accounts::Wanted,
        oidc::{Oidc, OidcSettings},
        passkeys::Passkeys,
    },
    portal::{self, Access, Proxies, Site},
    startup::State,
    store::PortalRole,
};
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::browser::Browser;

/// Everybody's password in tests.
pub const PASSWORD: &str = "a phrase that is long enough";

/// A portal that is being served.
pub struct World {
    pub at: SocketAddr,
    pub access: Arc<Access>,
    clock: Arc<Mutex<Timestamp>>,
    config: Config,
    _dir: tempfile::TempDir,
    _stop: tokio_util::sync::DropGuard,
}

/// Makes an issuer's settings for a portal.
type MakeOidc = Box<dyn FnOnce(&Site) -> OidcSettings>;

/// How a portal is to be.
#[derive(Default)]
pub struct Made {
    pub settings: PeopleSettings,
    pub proxies: Proxies,
    pub oidc: Option<MakeOidc>,
    /// What browsers call it, if not `http://localhost:PORT`.
    pub url: Option<String>,
}

impl World {
    pub async fn new() -> Self {
        Self::made(Made::default()).await
    }

    pub async fn made(made: Made) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let text = "version = 1\nstate_dir = \"state\"\npacks = [\"packs\"]\ntrust = \"trust.toml\"\n";
        let config = Config::parse(text, "lockgate.toml", dir.path()).expect("a configuration");
        let state = State::open(&config).expect("the state opens");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let url = made.url.unwrap_or_else(|| format!("http://localhost:{}", at.port()));
        let site = Site::new(&url.parse().expect("an address")).expect("a site");
        let clock = Arc::new(Mutex::new(Timestamp::now()));
        let told = Arc::clone(&clock);
        let oidc = made.oidc.map(|settings| Oidc::new(settings(&site)).expect("an issuer"));
        let people = People::new(state.store, state.record, made.settings, [7; 32])
            .with_passkeys(Passkeys::new(site.url(), &[9; 32]).expect("passkeys"))
            .with_oidc(oidc)
            .with_clock(Arc::new(move || *told.lock().expect("not poisoned")));
        let access = Access::new(people, site, made.proxies, [8; 32]);
        let stop = CancellationToken::new();
        let router = portal::access_router(Arc::clone(&access));
        tokio::spawn({
            let stop = stop.clone();
            async move { listen::accept(listener, router, Duration::from_secs(2), stop).await }
        });
        Self { at, access, clock, config, _dir: dir, _stop: stop.drop_guard() }
    }

    pub fn people(&self) -> &People {
        &self.access.people
    }

    /// Lets time pass.
    pub fn pass(&self, seconds: i64) {
        let mut clock = self.clock.lock().expect("not poisoned");
        *clock += SignedDuration::from_secs(seconds);
    }

    /// An account with the tests' password.
    pub async fn person(&self, name: &str, role: PortalRole) {
        let groups = BTreeSet::new();
        let wanted = Wanted { name: name.to_owned(), role, groups, os_user: None, email: None };
        self.people().create(wanted, "tests").await.expect("an account");
        let link = self.people().password_link(name, "tests").await.expect("a link");
        let chosen = PASSWORD.to_owned();
        let opened = self.people().use_link(&link.secret, chosen, &Origin::default()).await.expect("a password");
        self.people().log_out(&opened.session).await.expect("out again");
    }

    /// A browser that has been nowhere.
    pub fn browser(&self) -> Browser {
        Browser::new(self.at, self.access.site.origin())
    }

    /// A browser in which somebody has just logged in with the tests' password.
    pub async fn logged_in(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        let reply = browser.log_in(name, PASSWORD).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        browser
    }

    /// Whose a session's secret is.
    pub async fn behind(&self, secret: &str) -> Option<String> {
        let secret = Secret::presented(secret)?;
        self.people().behind(&secret).await.expect("the store answers").map(|(_, account)| account.name)
    }

    /// The lines of the record with this event.
    pub fn lines(&self, event: &str) -> Vec<Json> {
        let lines = audit::tail(&self.config.record_dir(), u64::MAX, false).expect("the record is there");
        let lines = lines.map(|line| serde_json::from_str::<Json>(line.expect("a line").raw()).expect("JSON"));
        lines.filter(|line| line["ev"] == event).collect()
    }

    /// The whole record as text.
    pub fn record(&self) -> String {
        let lines = audit::tail(&self.config.record_dir(), u64::MAX, false).expect("the record is there");
        lines.map(|line| line.expect("a line").raw().to_owned()).collect::<Vec<_>>().join("\n")
    }
}
