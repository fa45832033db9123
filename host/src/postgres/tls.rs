//! TLS by rustls with the ring provider. `verify-full` checks chain and name, `verify-ca` the chain, `require` the chain
//! only where a root is given; the handshake's own signature is checked in every mode. The same connector serves cancel
//! requests, so those are never sent in plaintext either.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{error::TargetError, secret, settings::SslMode};

/// A client's certificate chain and its key.
pub(super) struct ClientPair {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Reads a client certificate, if one is configured.
pub(super) fn client_pair(
    target: &str,
    cert: Option<&Path>,
    key: Option<&Path>,
) -> Result<Option<ClientPair>, TargetError> {
    let (cert, key) = match (cert, key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        _ => {
            return Err(TargetError::setting(target, "`sslcert` and `sslkey` go together: give both or neither"));
        }
    };
    let chain = certificates(cert)?;
    let pem = secret::read_private(key)?;
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| TargetError::file(key, "holds no private key in PEM (an encrypted key is not supported)"))?;
    Ok(Some(ClientPair { chain, key }))
}

/// The connector for a mode. For `disable` it is there and never used.
pub(super) fn connector(
    mode: SslMode,
    root: Option<&Path>,
    own: Option<ClientPair>,
) -> Result<MakeRustlsConnect, TargetError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let internal = |e: rustls::Error| TargetError::Setting { target: "tls".to_owned(), message: e.to_string() };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(internal)?;
    let builder = match (mode, root) {
        (SslMode::VerifyFull, root) => builder.with_root_certificates(roots(root)?),
        (SslMode::Disable, _) => builder.with_root_certificates(RootCertStore::empty()),
        (SslMode::VerifyCa, root) => custom(builder, Nameless { roots: Some(roots(root)?), provider }),
        // As libpq: `require` with a root certificate is `verify-ca`.
        (SslMode::Require, Some(root)) => custom(builder, Nameless { roots: Some(roots(Some(root))?), provider }),
        (SslMode::Require, None) => custom(builder, Nameless { roots: None, provider }),
    };
    let config = match own {
        Some(own) => builder.with_client_auth_cert(own.chain, own.key).map_err(internal)?,
        None => builder.with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

type Builder<T> = rustls::ConfigBuilder<ClientConfig, T>;

fn custom(builder: Builder<rustls::WantsVerifier>, verifier: Nameless) -> Builder<rustls::client::WantsClientCert> {
    builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TargetError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| TargetError::file(path, format!("can't be read as PEM certificates: {e}")))?;
    if found.is_empty() {
        return Err(TargetError::file(path, "holds no certificate in PEM"));
    }
    Ok(found)
}

fn roots(path: Option<&Path>) -> Result<RootCertStore, TargetError> {
    let mut store = RootCertStore::empty();
    match path.filter(|path| *path != Path::new("system")) {
        Some(path) => {
            for certificate in certificates(path)? {
                store
                    .add(certificate)
                    .map_err(|e| TargetError::file(path, format!("holds a certificate that can't be a root: {e}")))?;
            }
        }
        None => {
            // Some of a system's roots may be of kinds that rustls does not take; that is not this operator's problem.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                tracing::warn!("this system has no trusted certificates; set `sslrootcert`");
            }
        }
    }
    Ok(store)
}

/// Checks the chain, if there is one to check against, and never the name.
#[derive(Debug)]
struct Nameless {
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Nameless {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
