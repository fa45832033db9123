//! `lockgate trust revoke`: takes away only, so nobody is asked; a host that runs lets nothing of it through any more.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use lockgate_signing::{
    encoding::{hex, parse_sha256, sha256},
    file::{self, MAX_COMPONENT_BYTES},
    key::KeyId,
};

use super::{Agreed, make};
use crate::{
    cli::pack::refused_file,
    config::Config,
    error::{Code, Refusal},
    startup,
    trust::Prepared,
};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RevokeCommand {
    /// A key that may be in other hands: nothing that needs its signature is accepted
    Key {
        /// Its name in the trust policy, or its id
        key: String,
    },
    /// A component: these bytes are never accepted again
    Pack {
        /// The component, or its SHA-256
        #[arg(value_name = "COMPONENT|SHA256")]
        component: PathBuf,
    },
}

pub(super) async fn run(command: RevokeCommand, config: &Config) -> Result<(), Refusal> {
    let (list, what) = match command {
        // By its id, so that it stays revoked when it is not listed any more.
        RevokeCommand::Key { key } => ("keys", id(&key, config)?.to_string()),
        RevokeCommand::Pack { component } => ("digests", digest(&component)?),
    };
    let prepared = Prepared::new(&config.trust, |text| text.revoke(list, &what))?;
    make(prepared, config, &Agreed { yes: true }).await
}

fn id(key: &str, config: &Config) -> Result<KeyId, Refusal> {
    if let Ok(id) = key.parse() {
        return Ok(id);
    }
    let trust = startup::trust(&config.trust)?;
    let listed = trust.keys().iter().find(|listed| listed.name() == key);
    listed.map(|listed| listed.key().id()).ok_or_else(|| {
        Refusal::new(Code::ConfigInvalid, format!("the trust policy has no key `{}`", crate::outside::shown(key, 80)))
            .with_remedy("give its name as `lockgate trust list` shows it, or its id")
    })
}

fn digest(component: &Path) -> Result<String, Refusal> {
    if let Some(digest) = component.to_str().and_then(parse_sha256) {
        return Ok(hex(&digest));
    }
    let bytes = file::read_once(component, MAX_COMPONENT_BYTES).map_err(|e| refused_file(&e))?;
    Ok(hex(&sha256(&bytes)))
}
