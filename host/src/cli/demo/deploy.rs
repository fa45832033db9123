//! What an operator and a publisher would do once: build the pack, sign it with a fresh key, trust that key, and write a
//! configuration for three targets.

use std::path::{Path, PathBuf};

use super::stage::Stage;
use crate::{
    cli::{pack::build_and_describe, scratch::Scratch},
    error::{Code, Refusal},
};

/// Files that make a host: pack, trust, configuration, state.
pub(super) struct Deployment {
    files: Scratch,
    pack: String,
    actions: usize,
}

impl Deployment {
    pub(super) fn summary(&self) -> String {
        format!("{}: built, signed with a fresh key, trusted; {} actions", self.pack, self.actions)
    }

    pub(super) fn config(&self) -> &Path {
        self.files.config()
    }

    /// Keeps the files after this process.
    pub(super) fn leave(self) -> PathBuf {
        self.files.leave()
    }
}

/// Whether there is a pack to build: asked before anything is started.
pub(super) fn has_source(source: &Path) -> Result<(), Refusal> {
    if source.join("Cargo.toml").exists() {
        return Ok(());
    }
    Err(Refusal::new(Code::ConfigInvalid, format!("there is no pack in {}", source.display()))
        .with_remedy("run this in a checkout of lockgate, or say where the pack's source is with `--pack`"))
}

/// Builds, signs, trusts, configures.
pub(super) async fn deploy(source: &Path, stage: &Stage) -> Result<Deployment, Refusal> {
    let built = build_and_describe(source.to_owned()).await?;
    let files = Scratch::new("demo", &built, "demo", &["read", "signal", "maintain"], &config_text(stage))?;
    let manifest = built.described.manifest.manifest();
    Ok(Deployment { files, pack: format!("{} {}", manifest.name, manifest.version), actions: manifest.actions.len() })
}

/// The person behind the agent is not the one at this terminal: nobody approves what their own agent asks.
fn config_text(stage: &Stage) -> String {
    let mut text = r#"
[mcp.stdio]
agent = "claude"
person = "second on-call"
"#
    .to_owned();
    for target in stage.targets() {
        text.push_str(&format!(
            "\n[[target]]\nname = \"{}\"\nhost = \"{}\"\nport = {}\ndbname = \"{}\"\nuser = \"{}\"\nexpect = \"{}\"\n",
            target.name,
            target.socket_dir.display(),
            target.port,
            super::stage::DATABASE,
            super::stage::AGENT_ROLE,
            target.expect,
        ));
    }
    text
}
