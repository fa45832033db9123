//! From bytes to a trusted pack: read once, verify, compile, look at imports and exports, describe twice, prove, compare
//! with what was signed. The signature is checked before any parser sees a byte; a pack is in or out as a whole.

use std::{collections::BTreeSet, fmt, sync::Arc};

use lockgate_signing::{
    declaration::{Declaration, DeclaredAction},
    encoding::hex,
    verify::{self, VerifiedComponent},
};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use super::{
    cache::{CompiledCache, Lookup},
    catalog::TrustedPack,
    contract,
    manifest::Manifest,
    prove::{Fault, ProvenManifest, prove_manifest},
    sandbox::{Guest, Sandbox, SandboxError},
};
use crate::{
    error::{Code, Refusal},
    outside::shown,
    statement::with_parser_stack,
};

/// The one import of a pack.
pub const IMPORT: &str = "lockgate:pack/query@1.0.0";
/// The one export of a pack.
pub const EXPORT: &str = "lockgate:pack/actions@1.0.0";

/// Why a pack is out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionError {
    /// The rule, of the closed list.
    pub code: Code,
    /// The place and what is wrong there.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl AdmissionError {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), remedy: code.remedy().to_owned() }
    }
}

impl fmt::Display for AdmissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for AdmissionError {}

impl From<AdmissionError> for Refusal {
    fn from(error: AdmissionError) -> Self {
        Self::new(error.code, error.message).with_remedy(error.remedy)
    }
}

impl From<verify::VerifyError> for AdmissionError {
    fn from(error: verify::VerifyError) -> Self {
        Self { code: code_of(error.code()), message: error.to_string(), remedy: error.remedy().to_owned() }
    }
}

/// The signing crate and the host share the texts of codes, not the type.
fn code_of(text: &str) -> Code {
    Code::ALL.iter().copied().find(|c| c.as_str() == text).unwrap_or(Code::SignatureInvalid)
}

/// A component that is inspected without being trusted: what `lockgate pack build` and `inspect` work with.
pub struct Described {
    /// The proven manifest.
    pub manifest: ProvenManifest,
    /// What a signer would sign.
    pub declaration: Declaration,
}

/// A component's own account of itself, proven or not.
pub struct Examined {
    /// As it was given.
    pub manifest: Manifest,
    /// The proof of it, or everything that is wrong.
    pub proof: Result<ProvenManifest, Vec<Fault>>,
}

/// Admits packs.
pub struct Admission {
    sandbox: Sandbox,
    cache: Option<CompiledCache>,
}

impl Admission {
    /// With or without a cache of compiled code. That of a host is for what was verified: who describes or examines what nobody
    /// vouches for gives another one, or none.
    #[must_use]
    pub fn new(sandbox: Sandbox, cache: Option<CompiledCache>) -> Self {
        Self { sandbox, cache }
    }

    /// Takes a verified component in, or says why not.
    pub async fn admit(&self, verified: VerifiedComponent) -> Result<TrustedPack, AdmissionError> {
        let component = self.compile(verified.bytes(), verified.digest()).await?;
        let (guest, manifest, contract) = self.open(&component).await?;
        let manifest = proven(manifest).await?;
        agrees(&manifest, contract, &verified)?;
        grants(&manifest, &verified)?;
        Ok(TrustedPack::new(verified, manifest, guest))
    }

    /// Describes and proves a component that nobody vouches for. For its author and for reviewers: what comes out can't
    /// be called.
    pub async fn describe_unverified(&self, bytes: &[u8]) -> Result<Described, AdmissionError> {
        let component = self.compile(bytes, Sha256::digest(bytes).into()).await?;
        let (_, manifest, contract) = self.open(&component).await?;
        let manifest = proven(manifest).await?;
        let declaration = declaration(&manifest, contract);
        Ok(Described { manifest, declaration })
    }

    /// Drops the compiled code of a component that was taken away.
    pub fn forget(&self, digest: &[u8; 32]) {
        if let Some(cache) = &self.cache {
            cache.forget(self.sandbox.engine(), digest);
        }
    }

    /// The manifest of a component that nobody vouches for, and what the prover says of it: for its author, who wants every
    /// fault with its place.
    pub async fn examine(&self, bytes: &[u8]) -> Result<Examined, AdmissionError> {
        let component = self.compile(bytes, Sha256::digest(bytes).into()).await?;
        let (_, manifest, _) = self.open(&component).await?;
        let proof = proof(manifest.clone()).await?;
        Ok(Examined { manifest, proof })
    }

    /// Compiles off the async runtime, or takes our own compiled code of the bytes with this digest.
    async fn compile(&self, bytes: &[u8], digest: [u8; 32]) -> Result<Component, AdmissionError> {
        if let Some(cache) = &self.cache {
            match cache.load(self.sandbox.engine(), &digest) {
                Lookup::Hit(component) => return Ok(*component),
                Lookup::Miss => {}
                Lookup::Refused(why) => tracing::warn!(why, "a compiled cache entry was refused and is rebuilt"),
            }
        }
        let sandbox = self.sandbox.clone();
        let bytes: Arc<[u8]> = bytes.into();
        let component = tokio::task::spawn_blocking(move || sandbox.compile(&bytes))
            .await
            .map_err(|e| match e.is_panic() {
                // Some valid components need features of WebAssembly that are off here, which the compiler finds out late.
                true => AdmissionError::new(
                    Code::ComponentInvalid,
                    "the compiler gave up on it: a part of it is not supported",
                ),
                false => AdmissionError::new(Code::InternalError, e.to_string()),
            })?
            .map_err(|e| AdmissionError::new(e.code(), e.to_string()))?;
        if let Some(cache) = &self.cache
            && let Err(error) = cache.keep(self.sandbox.engine(), &digest, &component)
        {
            tracing::warn!(%error, "compiled code could not be kept; the next start compiles again");
        }
        Ok(component)
    }

    /// Imports, exports, and the same description twice; and the version of the contract that it speaks.
    async fn open(&self, component: &Component) -> Result<(Guest, Manifest, String), AdmissionError> {
        let contract = self.surface(component)?;
        let guest = self.sandbox.guest(component).map_err(|e| AdmissionError::new(e.code(), e.to_string()))?;
        let failed = |e: SandboxError| {
            AdmissionError::new(Code::DescribeFailed, format!("`describe` failed: {e} ({})", e.code()))
        };
        let first = guest.describe().await.map_err(failed)?;
        let second = guest.describe().await.map_err(failed)?;
        if first != second {
            return Err(AdmissionError::new(
                Code::DescribeUnstable,
                "two fresh instances described themselves differently",
            ));
        }
        Ok((guest, first, contract))
    }

    /// Exactly one import may be there and exactly one export must be, of a version of the contract that is spoken here.
    fn surface(&self, component: &Component) -> Result<String, AdmissionError> {
        let ty = component.component_type();
        let engine = self.sandbox.engine();
        let exports: BTreeSet<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        let spoken = exports.iter().find_map(|name| contract::version_in(name, EXPORT).map(|version| (name, version)));
        // Of another time: that says more than what else is strange about it.
        if let Some((_, version)) = spoken {
            contract::is_spoken(version)?;
        }
        for (name, _) in ty.imports(engine) {
            if contract::version_in(name, IMPORT).is_none_or(|version| contract::is_spoken(version).is_err()) {
                return Err(AdmissionError::new(
                    Code::ImportRefused,
                    format!("it imports `{}`; a pack imports `{IMPORT}` and nothing else", shown(name, 120)),
                ));
            }
        }
        let Some((export, version)) = spoken else {
            return Err(AdmissionError::new(Code::ExportMissing, format!("it does not export `{EXPORT}`")));
        };
        if let Some(other) = exports.iter().find(|name| *name != export) {
            return Err(AdmissionError::new(
                Code::ComponentInvalid,
                format!("it exports `{}`; a pack exports `{EXPORT}` and nothing else", shown(other, 120)),
            ));
        }
        Ok(version.to_owned())
    }
}

async fn proven(manifest: Manifest) -> Result<ProvenManifest, AdmissionError> {
    proof(manifest).await?.map_err(|faults| refuse(&faults))
}

/// Proves off the async runtime, all statements on one thread of the parser's.
async fn proof(manifest: Manifest) -> Result<Result<ProvenManifest, Vec<Fault>>, AdmissionError> {
    let failed = |why: String| AdmissionError::new(Code::InternalError, format!("the prover failed: {why}"));
    tokio::task::spawn_blocking(|| with_parser_stack(|| prove_manifest(manifest)))
        .await
        .map_err(|e| failed(e.to_string()))?
        .map_err(failed)
}

/// What a signer signs of a proven manifest.
#[must_use]
pub fn declaration(manifest: &ProvenManifest, contract: String) -> Declaration {
    let declared = manifest.manifest();
    Declaration {
        pack: declared.name.clone(),
        version: declared.version.clone(),
        contract,
        actions: declared
            .actions
            .iter()
            .map(|a| DeclaredAction { name: a.name.clone(), risk: a.risk.as_str().to_owned() })
            .collect(),
        classes: manifest.classes().iter().map(|c| c.as_str().to_owned()).collect(),
        manifest_sha256: hex(&manifest.digest()),
    }
}

/// The component must declare exactly what its publisher signed.
fn agrees(manifest: &ProvenManifest, contract: String, verified: &VerifiedComponent) -> Result<(), AdmissionError> {
    let own = declaration(manifest, contract);
    let signed = verified.predicate();
    let differs = |what: &str, own: &str, signed: &str| {
        Err(AdmissionError::new(
            Code::ManifestMismatch,
            format!("the component's {what} is `{own}` and the signed one is `{signed}`"),
        ))
    };
    if own.pack != signed.pack {
        return differs("name", &own.pack, &signed.pack);
    }
    if own.version != signed.version {
        return differs("version", &own.version, &signed.version);
    }
    if own.contract != signed.contract {
        return differs("contract version", &own.contract, &signed.contract);
    }
    let pairs = |actions: &[DeclaredAction]| -> BTreeSet<(String, String)> {
        actions.iter().map(|a| (a.name.clone(), a.risk.clone())).collect()
    };
    if pairs(&own.actions) != pairs(&signed.actions) || own.actions.len() != signed.actions.len() {
        return Err(AdmissionError::new(
            Code::ManifestMismatch,
            "the component's actions or their risks are not the signed ones",
        ));
    }
    let set = |classes: &[String]| classes.iter().cloned().collect::<BTreeSet<_>>();
    if set(&own.classes) != set(&signed.classes) {
        return differs("statement classes", &own.classes.join(", "), &signed.classes.join(", "));
    }
    if own.manifest_sha256 != signed.manifest_sha256 {
        return differs("manifest digest", &own.manifest_sha256, &signed.manifest_sha256);
    }
    Ok(())
}

/// Every statement's class, as proven, must be one that the operator grants to this publisher.
fn grants(manifest: &ProvenManifest, verified: &VerifiedComponent) -> Result<(), AdmissionError> {
    for class in manifest.classes() {
        if !verified.grant().classes.contains(class.as_str()) {
            return Err(AdmissionError::new(
                Code::ClassNotGranted,
                format!(
                    "it has statements of class `{}`, which publisher `{}` is not granted",
                    class.as_str(),
                    verified.predicate().publisher
                ),
            ));
        }
    }
    Ok(())
}

/// All faults of a manifest in one error; the code is the first one's.
fn refuse(faults: &[Fault]) -> AdmissionError {
    let code = faults.first().map_or(Code::ManifestInvalid, |f| f.code);
    let text: Vec<String> = faults.iter().take(50).map(ToString::to_string).collect();
    AdmissionError::new(code, text.join("\n"))
}
