//! `lockgate pack docs`: the reference page of a pack.

use std::path::Path;

use lockgate_signing::file;

use super::{super::terminal::say, describe, refused_file, refused_path};
use crate::{
    error::{Code, Refusal},
    pack::reference::{self, Examples},
};

/// A recorded call is a few kilobytes, and a pack has at most some hundred actions.
const MAX_EXAMPLES_BYTES: u64 = 8 << 20;

pub(super) async fn docs(component: &Path, examples: Option<&Path>, out: Option<&Path>) -> Result<(), Refusal> {
    let described = describe(component).await?;
    let examples = examples.map(read).transpose()?.unwrap_or_default();
    let page = reference::page(&described.manifest, &examples).map_err(|e| {
        Refusal::new(Code::FileRefused, e.to_string()).with_remedy("record the examples with this pack")
    })?;
    match out {
        Some(path) => std::fs::write(path, page).map_err(|e| refused_path(path, &e)),
        None => {
            say(page.trim_end());
            Ok(())
        }
    }
}

fn read(path: &Path) -> Result<Examples, Refusal> {
    let bytes = file::read_once(path, MAX_EXAMPLES_BYTES).map_err(|e| refused_file(&e))?;
    serde_json::from_slice(&bytes).map_err(|e| {
        Refusal::new(Code::FileRefused, format!("{}: {e}", path.display()))
            .with_remedy("give a file of examples as `docs/packs` has them")
    })
}
