//! Who lockgate is to a registry: what other tools of this kind have stored (`config.json` of `DOCKER_CONFIG` or `~/.docker`, and the
//! helpers named there), or a token in the environment. Never an argument, which every user of the machine could read.

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential};
use oci_client::secrets::RegistryAuth;

use crate::error::{Code, Refusal};

/// A token for the registry, for pipelines that store nothing.
const TOKEN: &str = "LOCKGATE_REGISTRY_TOKEN";

pub(super) fn of(registry: &str) -> Result<RegistryAuth, Refusal> {
    if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.is_empty()) {
        // What can't be a header would end the program instead of the call.
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::new(Code::ConfigInvalid, format!("{TOKEN} holds no token")));
        }
        return Ok(RegistryAuth::Bearer(token));
    }
    match get_credential(registry) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(_)) => Err(Refusal::new(
            Code::ConfigInvalid,
            format!("for {registry} an identity token is stored, which lockgate does not use"),
        )
        .with_remedy(format!("log in with user and password, or give a registry token in {TOKEN}"))),
        // Without any, whatever anybody may read can be read.
        Err(
            CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::ConfigReadError,
        ) => Ok(RegistryAuth::Anonymous),
        Err(error) => Err(Refusal::new(Code::ConfigInvalid, format!("the credentials for {registry}: {error}"))
            .with_remedy("correct what is stored for this registry, or remove it")),
    }
}
