//! People's door beside the agents': bound first, so that links can name it; opened when the gate is there.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    approval::PeopleAt,
    audit::Record,
    config::Config,
    error::{Code, Refusal},
    gate::Gate,
    listen,
    people::{People, links::MadeLink, passkeys::Passkeys},
    portal::{
        self, Access, Live, Portal, PortalConfig, Proxies, Site,
        verification::{self, Verification},
    },
    store::Store,
};

/// A door that is bound and not yet open.
pub(super) struct Bound {
    listener: TcpListener,
    settings: PortalConfig,
    site: Site,
}

impl Bound {
    /// Binds the portal's address, if there is to be one, and sets where people decide if the configuration does not.
    pub(super) async fn of(config: &mut Config) -> Result<Option<Self>, Refusal> {
        let Some(settings) = config.portal.clone() else { return Ok(None) };
        let unusable = |what: String, remedy: &str| Refusal::new(Code::ConfigInvalid, what).with_remedy(remedy);
        let listen = &settings.listen;
        let listener = listen::bind(listen).await.map_err(|error| {
            unusable(format!("[portal] listen `{listen}`: {error}"), "choose a free address and port")
        })?;
        let base = match &config.approvals.url {
            Some(url) => url.clone(),
            None => {
                let at = listener.local_addr().map_err(|error| {
                    unusable(format!("[portal] listen `{listen}`: {error}"), "choose a free address and port")
                })?;
                format!("http://{at}").parse::<PeopleAt>().map_err(|_| {
                    unusable(
                        format!("[portal] listens on `{at}`, which browsers elsewhere must reach over TLS"),
                        "put a proxy with TLS before it and set [approvals] url to its https address",
                    )
                })?
            }
        };
        let site = Site::new(&base).map_err(|error| unusable(error.to_string(), "set [approvals] url"))?;
        config.approvals.url = Some(base);
        Ok(Some(Self { listener, settings, site }))
    }

    /// Serves until `stop` is cancelled.
    pub(super) async fn open(
        self,
        config: Config,
        gate: Arc<Gate>,
        store: Arc<dyn Store>,
        record: Record,
        stop: CancellationToken,
    ) -> Result<tokio::task::JoinHandle<()>, Refusal> {
        let Self { listener, settings, site } = self;
        let key = |label| gate.journal().derived_key(label);
        let passkeys = Passkeys::new(site.url(), &key("lockgate portal credentials v1"))?;
        if passkeys.is_none() {
            tracing::info!("no passkeys: browsers give them to a host's name, and the portal is at an address");
        }
        let oidc = settings.oidc.as_ref().map(|oidc| oidc.opened(&site)).transpose()?;
        let people =
            People::new(Arc::clone(&store), record.clone(), settings.people(), key("lockgate portal devices v1"))
                .with_passkeys(passkeys)
                .with_oidc(oidc);
        let first = people.setup_link().await?;
        let proxies = Proxies::new(settings.trusted_proxies.clone());
        let access = Access::new(people, site, proxies, key("lockgate portal forms v1"));
        tracing::info!("people decide at {}", access.site.origin());
        if let Some(link) = first {
            say_setup_link(&access.site, &link);
        }
        let runs = Arc::clone(gate.runs());
        let verification = Verification::new(verification::Subject {
            dir: record.dir().to_owned(),
            key: record.public_key().clone(),
            exported: config.record.export.clone(),
        });
        let live = Live::start(Arc::clone(&store), gate.changes());
        let portal = Portal { access, gate, store, runs, record, verification, config: Arc::new(config), live };
        Ok(tokio::spawn(portal::serve(listener, portal, stop)))
    }
}

/// For whoever starts the host, and not for the log: it works once, for a day, while there is no account.
fn say_setup_link(site: &Site, link: &MadeLink) {
    super::super::terminal::say(&format!(
        "There is no account yet. Make the first administrator's with this link, which works once and until {}:\n\n    {}\n",
        link.expires_at.strftime("%Y-%m-%d %H:%M UTC"),
        site.at(&link.path(true)),
    ));
}
