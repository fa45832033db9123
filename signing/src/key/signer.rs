//! Whatever can sign.

use super::{KeyId, PublicKey, SIGNATURE_LENGTH};

/// A signer failed, or refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signer failed: {0}")]
pub struct SignerError(pub String);

/// Whatever can sign: a key file ([`super::PrivateKey`]), a command ([`super::CommandSigner`]), or your own door to a
/// hardware module or a key service. What it gives is checked against its public key before it is used, so a signer that
/// errs does no harm.
///
/// ```
/// use lockgate_signing::{
///     declaration::{Declaration, DeclaredAction},
///     envelope::sign_envelope,
///     key::{PublicKey, SIGNATURE_LENGTH, Signer, SignerError},
///     predicate::{Statement, Terms},
/// };
/// # use lockgate_signing::key::PrivateKey;
/// #
/// # struct Module(PrivateKey);
/// # impl Module {
/// #     fn open() -> Result<Self, Box<dyn std::error::Error>> { Ok(Self(PrivateKey::generate()?)) }
/// #     fn public_key(&self, _label: &str) -> PublicKey { self.0.public_key() }
/// #     fn ed25519(&self, _label: &str, bytes: &[u8]) -> Result<[u8; SIGNATURE_LENGTH], SignerError> { self.0.sign(bytes) }
/// # }
///
/// /// A key in a hardware module, by its label there.
/// struct ModuleKey {
///     module: Module,
///     label: String,
/// }
///
/// impl Signer for ModuleKey {
///     fn public_key(&self) -> PublicKey {
///         self.module.public_key(&self.label)
///     }
///
///     // The whole encoding, never a digest of it: this is pure Ed25519.
///     fn sign(&self, signed_bytes: &[u8]) -> Result<[u8; SIGNATURE_LENGTH], SignerError> {
///         self.module.ed25519(&self.label, signed_bytes).map_err(|error| SignerError(error.to_string()))
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let declaration = Declaration {
/// #     pack: "inventory".into(),
/// #     version: "1.2.0".into(),
/// #     contract: "1.0.0".into(),
/// #     actions: vec![DeclaredAction { name: "list_tables".into(), risk: "low".into() }],
/// #     classes: vec!["read".into()],
/// #     manifest_sha256: "0".repeat(64),
/// # };
/// # let (issued, expires) = ("2026-11-21T00:00:00Z".parse()?, "2027-11-21T00:00:00Z".parse()?);
/// # let terms = Terms { publisher: "acme".into(), issued, expires, provenance: None };
/// # let statement = Statement::new(b"a component", &declaration, terms)?;
/// let signer = ModuleKey { module: Module::open()?, label: "release-2026".to_owned() };
/// let envelope = sign_envelope(&statement, &[&signer])?;
/// assert_eq!(envelope.signatures().len(), 1);
/// # Ok(())
/// # }
/// ```
pub trait Signer {
    /// The public half.
    fn public_key(&self) -> PublicKey;

    /// Signs the pre-authentication encoding with pure Ed25519 (RFC 8032).
    ///
    /// # Errors
    ///
    /// [`SignerError`] in the signer's own words.
    fn sign(&self, signed_bytes: &[u8]) -> Result<[u8; SIGNATURE_LENGTH], SignerError>;

    /// The id of the public key.
    fn key_id(&self) -> KeyId {
        self.public_key().id()
    }
}
