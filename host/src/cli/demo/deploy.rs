//! What an operator and a publisher would do once: build the pack, sign it with a fresh key, trust that key, and write a
//! configuration for three targets.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use jiff::{Timestamp, ToSpan as _};
use lockgate_signing::{
    envelope::sign_envelope,
    key::PrivateKey,
    predicate::{Statement, Terms},
};

use super::{differs, stage::Stage};
use crate::{
    cli::pack::{build_and_describe, write},
    error::{Code, Refusal},
};

/// Files that make a host: pack, trust, configuration, state.
pub(super) struct Deployment {
    dir: tempfile::TempDir,
    pub(super) config: PathBuf,
    pack: String,
    actions: usize,
}

impl Deployment {
    pub(super) fn summary(&self) -> String {
        format!("{}: built, signed with a fresh key, trusted; {} actions", self.pack, self.actions)
    }

    /// Keeps the files after this process.
    pub(super) fn leave(self) -> PathBuf {
        self.dir.keep()
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
    let dir = tempfile::Builder::new()
        .prefix("lockgate-demo-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir()
        .map_err(|e| io(&e))?;
    let built = build_and_describe(source.to_owned()).await?;
    let packs = dir.path().join("packs");
    let written = write(&built, &packs)?;

    let key = PrivateKey::generate().map_err(|e| differs(e.to_string()))?;
    let issued = Timestamp::now();
    let expires = issued.checked_add(24.hours()).map_err(|e| differs(e.to_string()))?;
    let terms = Terms { publisher: "demo".into(), issued, expires, provenance: None };
    let statement =
        Statement::new(&built.bytes, &built.described.declaration, terms).map_err(|e| differs(e.to_string()))?;
    let envelope = sign_envelope(&statement, &[&key]).map_err(|e| differs(e.to_string()))?;
    let beside = written.component.with_extension("wasm.dsse.json");
    fs::write(beside, envelope.to_json()).map_err(|e| io(&e))?;

    let trust = dir.path().join("trust.toml");
    fs::write(&trust, trust_text(&key)).map_err(|e| io(&e))?;
    fs::set_permissions(&trust, fs::Permissions::from_mode(0o600)).map_err(|e| io(&e))?;
    let config = dir.path().join("lockgate.toml");
    fs::write(&config, config_text(stage)).map_err(|e| io(&e))?;

    let manifest = built.described.manifest.manifest();
    Ok(Deployment {
        config,
        pack: format!("{} {}", manifest.name, manifest.version),
        actions: manifest.actions.len(),
        dir,
    })
}

fn trust_text(key: &PrivateKey) -> String {
    format!(
        r#"version = 1

[[key]]
name = "demo"
public_key = "{}"

[[publisher]]
name = "demo"
packs = ["postgres"]
keys = ["demo"]
classes = ["read", "signal", "maintain"]
"#,
        key.public_key().to_base64()
    )
}

/// The person behind the agent is not the one at this terminal: nobody approves what their own agent asks.
fn config_text(stage: &Stage) -> String {
    let mut text = r#"version = 1
state_dir = "state"
packs = ["packs"]
trust = "trust.toml"

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

fn io(error: &std::io::Error) -> Refusal {
    differs(format!("the demonstration's files can't be written: {error}"))
}
