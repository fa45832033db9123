//! Who lockgate is to a registry: what other tools of this kind have stored (`config.json` of `DOCKER_CONFIG` or `~/.docker`, and the
//! helpers named there), or a token in the environment. Never an argument, which every user of the machine could read.

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential};
use oci_client::secrets::RegistryAuth;

use super::leads;
use crate::{
    error::{Code, Refusal},
    outside::shown,
};

/// A token for the registry, for pipelines that store nothing.
pub(super) const TOKEN: &str = "LOCKGATE_REGISTRY_TOKEN";
/// The host of a service for tokens that may be told what is stored for the registry.
pub(super) const TOKEN_HOST: &str = "LOCKGATE_REGISTRY_TOKEN_HOST";
/// What a helper says that has nothing stored, for others to recognise (docker/docker-credential-helpers, `credentials/error.go`).
const NOTHING_STORED: &str = "credentials not found in native keychain";

/// Under which name tools store what they know of Docker Hub, if it was not stored under its host's.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

pub(super) fn of(registry: &str) -> Result<RegistryAuth, Refusal> {
    if let Some(token) = set(TOKEN) {
        // What can't be a header would end the program instead of the call.
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::new(Code::ConfigInvalid, format!("{TOKEN} holds no token")));
        }
        return Ok(RegistryAuth::Bearer(token));
    }
    let invalid = |why: &dyn std::fmt::Display| {
        Refusal::new(Code::ConfigInvalid, format!("the credentials for {registry}: {why}"))
            .with_remedy("correct what is stored for this registry, or remove it")
    };
    let stored = match get_credential(registry) {
        Err(error) if leads::DOCKER_HUB.contains(&registry) && is_nothing(&error) => get_credential(DOCKER_HUB),
        stored => stored,
    };
    match stored {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(_)) => Err(Refusal::new(
            Code::ConfigInvalid,
            format!("for {registry} an identity token is stored, which lockgate does not use"),
        )
        .with_remedy(format!("log in with user and password, or give a registry token in {TOKEN}"))),
        // Without any, whatever anybody may read can be read.
        Err(error) if is_nothing(&error) => Ok(RegistryAuth::Anonymous),
        // What it said is not repeated: it is a program that handles passwords.
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
            Err(invalid(&format!("the helper `{}` fails", shown(&helper, 100))))
        }
        Err(error) => Err(invalid(&error)),
    }
}

/// Whether it says that nothing is stored, and not that something is wrong.
fn is_nothing(error: &CredentialRetrievalError) -> bool {
    match error {
        CredentialRetrievalError::NoCredentialConfigured
        | CredentialRetrievalError::ConfigNotFound
        | CredentialRetrievalError::ConfigReadError => true,
        CredentialRetrievalError::HelperFailure { stdout, .. } => stdout.trim() == NOTHING_STORED,
        _ => false,
    }
}

pub(super) fn token_host() -> Option<String> {
    set(TOKEN_HOST)
}

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
