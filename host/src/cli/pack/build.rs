//! `lockgate pack build`: from a crate to a component and what is to be signed of it.

use std::path::{Path, PathBuf};

use lockgate_signing::encoding::hex;

use super::{super::terminal::say, admission, refused_path};
use crate::{
    error::{Code, Refusal},
    pack::{admission::Described, build},
};

pub(super) async fn build(dir: &Path, out: &Path) -> Result<(), Refusal> {
    let built = build_and_describe(dir.to_owned()).await?;
    let written = write(&built, out)?;
    say(&format!("{}  {} actions, sha256 {}", written.component.display(), built.actions(), hex(&built.sha256())));
    say(&format!("{}  to be signed:", written.declaration.display()));
    say(&format!(
        "  lockgate-sign sign {} --declaration {} --key KEY --publisher NAME",
        written.component.display(),
        written.declaration.display()
    ));
    Ok(())
}

/// A component that was just built, and what a signer is to sign of it.
pub(in crate::cli) struct Built {
    pub(in crate::cli) bytes: Vec<u8>,
    pub(in crate::cli) described: Described,
}

impl Built {
    fn actions(&self) -> usize {
        self.described.manifest.manifest().actions.len()
    }

    pub(super) fn sha256(&self) -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::digest(&self.bytes).into()
    }
}

/// Where a built pack was written.
pub(in crate::cli) struct Written {
    pub(in crate::cli) component: PathBuf,
    pub(in crate::cli) declaration: PathBuf,
}

pub(in crate::cli) async fn build_and_describe(dir: PathBuf) -> Result<Built, Refusal> {
    described(component(dir).await?).await
}

/// What a component declares, with the component.
pub(super) async fn described(bytes: Vec<u8>) -> Result<Built, Refusal> {
    let described = admission()?.describe_unverified(&bytes).await?;
    Ok(Built { bytes, described })
}

/// Builds a pack, and asks nothing of what came out.
pub(super) async fn component(dir: PathBuf) -> Result<Vec<u8>, Refusal> {
    tokio::task::spawn_blocking(move || build::build_pack(&build::BuildOptions::new(dir)))
        .await
        .map_err(|e| Refusal::new(Code::InternalError, e.to_string()))?
        .map_err(|e| Refusal::new(Code::ComponentInvalid, e.to_string()).with_remedy(""))
}

pub(in crate::cli) fn write(built: &Built, out: &Path) -> Result<Written, Refusal> {
    let manifest = built.described.manifest.manifest();
    // Both were proven to be plain names: no separator can be in them.
    let base = format!("{}-{}", manifest.name, manifest.version);
    let written = Written {
        component: out.join(format!("{base}.wasm")),
        declaration: out.join(format!("{base}.declaration.json")),
    };
    std::fs::create_dir_all(out).map_err(|e| refused_path(out, &e))?;
    std::fs::write(&written.component, &built.bytes).map_err(|e| refused_path(&written.component, &e))?;
    std::fs::write(&written.declaration, built.described.declaration.to_json())
        .map_err(|e| refused_path(&written.declaration, &e))?;
    Ok(written)
}
