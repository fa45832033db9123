//! The names of the layout.

/// The config of a WebAssembly artifact (tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact).
pub(super) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Its one layer.
pub(super) const WASM_LAYER: &str = "application/wasm";
/// An envelope: what its manifest is said to be, and its one layer (DSSE's own media type).
pub(super) const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// The config of what has none, and its content (OCI image specification 1.1, guidance for an empty descriptor).
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
pub(super) const EMPTY_CONTENT: &[u8] = b"{}";
/// A file's name, on its layer.
pub(super) const TITLE: &str = "org.opencontainers.image.title";
/// Envelopes that are looked at: as many as one has signatures.
pub(super) const MAX_ENVELOPES: usize = lockgate_signing::envelope::MAX_SIGNATURES;
