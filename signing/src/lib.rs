//! Envelopes, keys and trust for lockgate packs.
//!
//! A publisher signs a component with one or more Ed25519 keys; the signatures and what they cover (an in-toto statement
//! in a DSSE envelope) live in a file beside the component. An operator's `trust.toml` says which keys may publish which
//! packs and what those packs may do. [`verify::verify`] is the only way from bytes to a [`verify::VerifiedComponent`].
//!
//! Whatever can sign is a [`key::Signer`]: a key file, a command, or a module or key service of your own. [`memory`] and
//! [`terminal`] are for programs that hold secrets.
//!
//! This crate reads files and computes; it knows no WebAssembly, no PostgreSQL and no network, so that a signing pipeline
//! can carry it alone. Nothing in it panics on input, and nothing it reads is believed before a signature has been
//! checked.
//!
//! ```
//! use lockgate_signing::{
//!     declaration::{Declaration, DeclaredAction},
//!     envelope::sign_envelope,
//!     key::PrivateKey,
//!     predicate::{Statement, Terms},
//!     trust::Trust,
//!     verify::verify,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let component = b"the bytes of a component".to_vec();
//! let declaration = Declaration {
//!     pack: "inventory".into(),
//!     version: "1.2.0".into(),
//!     contract: "1.0.0".into(),
//!     actions: vec![DeclaredAction { name: "list_tables".into(), risk: "low".into() }],
//!     classes: vec!["read".into()],
//!     manifest_sha256: "0".repeat(64),
//! };
//! let issued = "2026-11-21T00:00:00Z".parse()?;
//! let expires = "2027-11-21T00:00:00Z".parse()?;
//! let key = PrivateKey::generate()?;
//! let terms = Terms { publisher: "acme".into(), issued, expires, provenance: None };
//! let envelope = sign_envelope(&Statement::new(&component, &declaration, terms)?, &[&key])?;
//!
//! let trust = Trust::parse(&format!(
//!     r#"
//!     version = 1
//!     [[key]]
//!     name = "acme-2026"
//!     public_key = "{}"
//!     [[publisher]]
//!     name = "acme"
//!     packs = ["inventory"]
//!     keys = ["acme-2026"]
//!     classes = ["read"]
//!     "#,
//!     key.public_key().to_base64(),
//! ))?;
//! let verified = verify(component, "inventory-1.2.0.wasm", &envelope.to_json(), &trust, issued)?;
//! assert_eq!(verified.predicate().pack, "inventory");
//! # Ok(())
//! # }
//! ```

pub mod declaration;
pub mod encoding;
pub mod envelope;
pub mod file;
pub mod glob;
pub mod json;
pub mod key;
pub mod memory;
pub mod name;
pub mod predicate;
pub mod terminal;
pub mod trust;
pub mod verify;
pub mod version;
