//! `lockgate pack list`: what a host would take in now. Only reads.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::install::Origin;
use crate::{
    cli::terminal::{say, say_json},
    config::Config,
    error::Refusal,
    startup,
    store::{SqliteStore, Store},
};

pub(super) async fn list(config: &Config, as_json: bool) -> Result<(), Refusal> {
    let (catalog, refused) = startup::installed(config).await?;
    let store = config.state_dir.join("store.db");
    let store = if store.exists() { Some(SqliteStore::open(&store)?) } else { None };
    let mut lines: Vec<Json> = Vec::new();
    for pack in catalog.packs() {
        let signed = pack.verified().predicate();
        let origin = match &store {
            Some(store) => {
                Origin::of(store as &dyn Store, &signed.pack)?.filter(|origin| origin.digest == pack.digest())
            }
            None => None,
        };
        lines.push(json!({
            "pack": signed.pack, "version": signed.version, "sha256": pack.digest(), "publisher": signed.publisher,
            "classes": signed.classes, "actions": signed.actions.len(), "state": "admitted",
            "source": origin.as_ref().map(|origin| origin.source.clone()),
            "manifest": origin.and_then(|origin| origin.manifest),
        }));
    }
    for out in &refused {
        let file = out.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        lines.push(json!({
            "file": file, "state": "refused", "code": out.error.code, "message": out.error.message, "remedy": out.error.remedy,
        }));
    }
    if as_json {
        lines.iter().for_each(say_json);
        return Ok(());
    }
    if lines.is_empty() {
        say("no pack is installed; `lockgate pack install` installs one");
    }
    for line in &lines {
        let text = |name: &str| line.get(name).and_then(Json::as_str).unwrap_or_default();
        if text("state") == "admitted" {
            say(&format!(
                "{} {}  of {}\n  sha256  {}",
                text("pack"),
                text("version"),
                text("publisher"),
                text("sha256")
            ));
            let from = text("source");
            say(&format!(
                "  from    {}",
                if from.is_empty() { "not installed by `lockgate pack install`" } else { from }
            ));
        } else {
            let file = Path::new(text("file")).display().to_string();
            say(&format!("{file}  refused [{}]: {}\n  help: {}", text("code"), text("message"), text("remedy")));
        }
    }
    Ok(())
}
