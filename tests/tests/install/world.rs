//! A publisher, a host that trusts nobody yet, and packs in versions: copies of one guest that differ in what they declare.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{Timestamp, ToSpan as _};
use lockgate_signing::{
    envelope::sign_envelope,
    key::PrivateKey,
    predicate::{Statement, Terms},
};
pub use lockgate_tests::desk::Said;
use lockgate_tests::{
    guest::component,
    site::{BuiltPack, Site},
};
use serde_json::{Value as Json, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

/// The publisher's name.
pub const PUBLISHER: &str = "acme";

/// A version of the pack `inventory` with one action that reads. `more` goes into its settings: `extra` is an action more, and
/// what the guest does not know makes other bytes of the same pack.
pub async fn inventory(version: &str, more: &[(&str, &str)]) -> BuiltPack {
    let settings = [&[("name", "inventory"), ("version", version), ("small", "")], more].concat();
    BuiltPack::describe(component(&settings).await).await
}

pub struct World {
    pub site: Site,
    pub key: PrivateKey,
    /// What the commands have in their environment beside what they always have.
    pub environment: Vec<(&'static str, String)>,
}

impl World {
    /// A host with a policy that trusts nobody, and a publisher whose public key lies in `acme-release.pub`.
    pub fn new() -> Self {
        let site = Site::new(&[], "");
        site.write("trust.toml", "# Whom we trust.\nversion = 1\n");
        let key = PrivateKey::generate().expect("a key");
        fs::create_dir(site.path("published")).expect("a directory");
        fs::create_dir(site.path("docker")).expect("a directory");
        site.write("acme-release.pub", &key.public_key().to_pem());
        Self { site, key, environment: Vec::new() }
    }

    /// One that trusts the publisher for `inventory` and reading.
    pub async fn trusting() -> Self {
        let world = Self::new();
        let key = world.key_file();
        let id = world.key_id();
        world
            .succeeds(&[
                "trust",
                "add",
                "publisher",
                PUBLISHER,
                "--key",
                &key,
                "--pack",
                "inventory",
                "--class",
                "read",
                "--yes",
                "--key-id",
                &id,
            ])
            .await;
        world
    }

    /// Stores who it is to a registry, as other tools of this kind do.
    pub fn log_in(&self, registry: &str, user: &str, password: &str) {
        let auth = STANDARD.encode(format!("{user}:{password}"));
        self.site.write("docker/config.json", &json!({"auths": {registry: {"auth": auth}}}).to_string());
    }

    pub fn key_file(&self) -> String {
        self.site.path("acme-release.pub").display().to_string()
    }

    pub fn key_id(&self) -> String {
        self.key.public_key().id().to_string()
    }

    /// Signs a pack, where its publisher keeps them.
    pub fn sign(&self, pack: &BuiltPack) -> PathBuf {
        self.sign_with(pack, &self.key)
    }

    pub fn sign_with(&self, pack: &BuiltPack, key: &PrivateKey) -> PathBuf {
        let component = self.site.path("published").join(pack.declaration.component_file_name().expect("a name"));
        fs::write(&component, &pack.bytes).expect("a component");
        fs::write(component.with_extension("wasm.dsse.json"), envelope(pack, key)).expect("an envelope");
        component
    }

    /// The components that are in place, by name.
    pub fn in_place(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.site.path("packs"))
            .expect("the packs")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|name| !name.ends_with(".dsse.json"))
            .collect();
        names.sort();
        names
    }

    pub async fn run(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate_cli"));
        command.arg("--config").arg(self.site.path("lockgate.toml")).args(arguments);
        self.said(command, arguments, b"").await
    }

    /// The same at a terminal, where somebody types this; what is said is all in `out`, as on a screen.
    pub async fn typed(&self, arguments: &[&str], answer: &str) -> Said {
        let words = arguments.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let config = self.site.path("lockgate.toml");
        let line = format!("exec '{}' --config '{}' {words}", env!("CARGO_BIN_EXE_lockgate_cli"), config.display());
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        self.said(command, arguments, format!("{answer}\n").as_bytes()).await
    }

    async fn said(&self, mut command: Command, arguments: &[&str], input: &[u8]) -> Said {
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("LOCKGATE") || name.starts_with("PG") || name.to_lowercase().ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        command.env("LOCKGATE_LOG", "warn").env("DOCKER_CONFIG", self.site.path("docker")).kill_on_drop(true);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it can be started");
        // Open until the end: a terminal whose other side is gone is hung up.
        let mut stdin = child.stdin.take();
        if let Some(stdin) = &mut stdin {
            stdin.write_all(input).await.expect("it reads");
        }
        if input.is_empty() {
            stdin = None;
        }
        let output = child.wait_with_output().await.expect("it ends");
        drop(stdin);
        let text = |bytes| String::from_utf8(bytes).expect("lockgate writes UTF-8");
        let said =
            Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) };
        println!("$ lockgate {}\n{}{}=> {}\n", arguments.join(" "), said.out, said.err, said.code);
        said
    }

    pub async fn succeeds(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments).await;
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.out
    }

    /// What `lockgate pack list` says, as JSON.
    pub async fn list(&self) -> Vec<Json> {
        let out = self.succeeds(&["pack", "list", "--json"]).await;
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Lines of the record of one event; none where there is no record yet.
    pub fn events(&self, event: &str) -> Vec<Json> {
        if !self.site.config().record_dir().exists() {
            return Vec::new();
        }
        self.site.record().into_iter().filter(|line| line["ev"] == event).collect()
    }

    /// The one entry of the cache of compiled code.
    pub fn cached(&self) -> Vec<PathBuf> {
        let found = fs::read_dir(self.site.path("state/cache")).into_iter().flatten();
        let found = found.map(|entry| entry.expect("an entry").path());
        found.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect()
    }
}

/// An envelope of the publisher's for a pack.
pub fn envelope(pack: &BuiltPack, key: &PrivateKey) -> Vec<u8> {
    let issued = Timestamp::now();
    let expires = issued.checked_add(24.hours()).expect("a time");
    let terms = Terms { publisher: PUBLISHER.into(), issued, expires, provenance: None };
    let statement = Statement::new(&pack.bytes, &pack.declaration, terms).expect("a statement");
    sign_envelope(&statement, &[key]).expect("an envelope").to_json()
}

pub fn text(path: &Path) -> String {
    path.display().to_string()
}

pub fn sha256(pack: &BuiltPack) -> String {
    lockgate_signing::encoding::hex(&lockgate_signing::encoding::sha256(&pack.bytes))
}
