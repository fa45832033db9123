//! The files of one host, as an operator would have them: signed packs, trust, configuration, state. And short ways to
//! call its gate and to decide, for tests that are about something else.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{Timestamp, ToSpan as _};
use lockgate::{
    audit,
    config::Config,
    error::Refusal,
    gate::{
        Gate,
        call::{Answer, Call, Door, Hold, Outcome, Principal, Refused, Scope},
        decide,
    },
    pack::{admission::Admission, build, cache::CompiledCache, sandbox::Sandbox},
    postgres::{Maintenance, TargetSettings},
    startup::{self, Opened, State},
    store::{Approval, Decision, Seen, Vote},
};
use lockgate_signing::{
    declaration::Declaration,
    envelope::sign_envelope,
    key::PrivateKey,
    predicate::{Statement, Terms},
};
use serde_json::{Map, Value as Json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// The person who decides in tests; nobody's agent acts for them.
pub const APPROVER: &str = "grace";

/// A component and what its publisher signs of it.
#[derive(Clone)]
pub struct BuiltPack {
    /// The component.
    pub bytes: Vec<u8>,
    /// What it declares.
    pub declaration: Declaration,
}

impl BuiltPack {
    /// Builds the pack in a directory of this repository, relative to its root.
    pub async fn build(directory: &str) -> Self {
        let options = build::BuildOptions::new(root().join(directory));
        let built = tokio::task::spawn_blocking(move || build::build_pack(&options)).await.expect("the build's thread");
        Self::describe(built.expect("the pack builds")).await
    }

    /// The pack of these bytes, by its own account.
    pub async fn describe(bytes: Vec<u8>) -> Self {
        let cache = CompiledCache::open(&compiled()).expect("a cache");
        let admission = Admission::new(Sandbox::new().expect("an engine"), Some(cache));
        let described = admission.describe_unverified(&bytes).await.expect("the component describes itself");
        Self { bytes, declaration: described.declaration }
    }
}

/// The stock pack, built once for the test binary.
pub async fn stock_pack() -> &'static BuiltPack {
    static PACK: OnceCell<BuiltPack> = OnceCell::const_new();
    PACK.get_or_init(|| BuiltPack::build("packs/postgres")).await
}

/// The pack of diagnoses, built once for the test binary.
pub async fn diagnose_pack() -> &'static BuiltPack {
    static PACK: OnceCell<BuiltPack> = OnceCell::const_new();
    PACK.get_or_init(|| BuiltPack::build("packs/diagnose")).await
}

/// A second credential, for maintenance.
#[must_use]
pub fn maintenance(user: &str) -> Maintenance {
    toml::from_str(&format!("user = \"{user}\"")).expect("settings")
}

/// Where the tests keep what they compiled of the packs that many of them use.
fn compiled() -> PathBuf {
    root().join("target/test-packs")
}

/// The setting with which a host takes from there.
#[must_use]
pub fn cache_toml() -> String {
    format!("cache_dir = {}\n", toml::Value::from(compiled().to_str().expect("a path of text")))
}

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// One host's files, removed when dropped.
pub struct Site {
    dir: tempfile::TempDir,
    key: PrivateKey,
}

/// Targets as a configuration writes them.
#[must_use]
pub fn target_toml(targets: &[TargetSettings]) -> String {
    let targets = std::collections::BTreeMap::from([("target", targets)]);
    toml::to_string(&targets).expect("settings as text")
}

impl Site {
    /// A host with these targets and the stock pack. `more` is added to the configuration, before its targets.
    pub async fn with_stock_pack(targets: &[TargetSettings], more: &str) -> Self {
        let site = Self::new(targets, &format!("{}{more}", cache_toml()));
        site.add(stock_pack().await);
        site
    }

    /// A host with these targets and both stock packs, `postgres` and `diagnose`.
    pub async fn with_stock_packs(targets: &[TargetSettings], more: &str) -> Self {
        let site = Self::with_stock_pack(targets, more).await;
        site.add(diagnose_pack().await);
        site
    }

    /// A host with these targets and no pack yet.
    #[must_use]
    pub fn new(targets: &[TargetSettings], more: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let key = PrivateKey::generate().expect("a key");
        fs::create_dir(dir.path().join("packs")).expect("a directory for packs");
        let site = Self { dir, key };
        site.write("trust.toml", &site.trust());
        let mut text = format!(
            "version = 1\nstate_dir = \"state\"\npacks = [\"packs\"]\ntrust = \"trust.toml\"\n{more}\n\
             [mcp.stdio]\nagent = \"claude\"\nperson = \"ada\"\n"
        );
        if !targets.is_empty() {
            text.push_str(&target_toml(targets));
        }
        site.write("lockgate.toml", &text);
        site
    }

    /// A trust policy that lets the site's own key publish everything that may be granted.
    #[must_use]
    pub fn trust(&self) -> String {
        format!(
            "version = 1\n[[key]]\nname = \"tests\"\npublic_key = \"{}\"\n[[publisher]]\nname = \"tests\"\npacks = [\"*\"]\n\
             keys = [\"tests\"]\nclasses = [\"read\", \"signal\", \"maintain\"]\n",
            self.key.public_key().to_base64()
        )
    }

    /// Signs a pack and puts it where the host looks.
    pub fn add(&self, pack: &BuiltPack) -> PathBuf {
        let issued = Timestamp::now();
        let expires = issued.checked_add(24.hours()).expect("a time");
        let terms = Terms { publisher: "tests".into(), issued, expires, provenance: None };
        let statement = Statement::new(&pack.bytes, &pack.declaration, terms).expect("a statement");
        let envelope = sign_envelope(&statement, &[&self.key]).expect("an envelope");
        let component = self.path("packs").join(pack.declaration.component_file_name().expect("a name"));
        fs::write(&component, &pack.bytes).expect("the component is written");
        fs::write(component.with_extension("wasm.dsse.json"), envelope.to_json()).expect("the envelope is written");
        component
    }

    /// Writes a file of the host, for its user only.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).expect("a file is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode is set");
    }

    /// A file of the host.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The key that its publisher signs with.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The configuration, read.
    #[must_use]
    pub fn config(&self) -> Config {
        Config::load(&self.path("lockgate.toml")).expect("the configuration is sound")
    }

    /// Opens the state and the gate in this process.
    ///
    /// # Errors
    /// As the host would.
    pub async fn open(&self) -> Result<Opened, Refusal> {
        let config = self.config();
        startup::open_gate(&config, State::open(&config)?).await
    }

    /// The gate, in this process.
    pub async fn gate(&self) -> Arc<Gate> {
        self.open().await.expect("the host opens").gate
    }

    /// Every line of the record so far.
    #[must_use]
    pub fn record(&self) -> Vec<Json> {
        let lines = audit::tail(&self.config().record_dir(), u64::MAX, false).expect("the record is there");
        lines.map(|line| serde_json::from_str(line.expect("a line").raw()).expect("a line is JSON")).collect()
    }

    /// The lines of one run, in order.
    #[must_use]
    pub fn run(&self, run: &str) -> Vec<Json> {
        self.record().into_iter().filter(|line| line["run"] == run).collect()
    }

    /// Verifies the record with the host's own key.
    #[must_use]
    pub fn verify_record(&self) -> audit::Report {
        let config = self.config();
        let key = startup::record_public_key(&config).expect("the record's key");
        audit::verify(&config.record_dir(), &key, None).expect("the record can be read")
    }

    /// The approvals that wait.
    #[must_use]
    pub fn pending(&self) -> Vec<Approval> {
        let state = State::open(&self.config()).expect("the state opens");
        let filter = lockgate::store::Filter { states: vec![lockgate::store::State::Pending], ..Default::default() };
        state.store.list(&filter).expect("the store answers")
    }

    /// Decides as somebody who sees what is there now.
    ///
    /// # Errors
    /// As the store says.
    pub async fn decide(&self, id: &str, decision: Decision, person: &str) -> Result<Approval, Refusal> {
        let state = State::open(&self.config()).expect("the state opens");
        let approval = state.store.get(id).expect("the store answers").expect("the approval exists");
        let vote = Vote {
            id: id.to_owned(),
            person: person.to_owned(),
            also_known_as: std::collections::BTreeSet::new(),
            roles: std::collections::BTreeSet::new(),
            decision,
            reason: "a test decides on what was asked".into(),
            digest_shown: approval.digest,
            seen: Seen::AsRequested,
            now: Timestamp::now(),
        };
        decide::decide(&state.record, state.store, vote).await
    }

    /// Approves as [`APPROVER`].
    pub async fn approve(&self, id: &str) {
        self.decide(id, Decision::Approve, APPROVER).await.expect("the approval counts");
    }
}

/// Who calls in tests: an agent that acts for Ada.
#[must_use]
pub fn principal() -> Principal {
    Principal {
        agent: "claude".into(),
        person: Some("ada".into()),
        os_user: None,
        roles: Vec::new(),
        door: Door::Stdio,
        scope: Scope::default(),
        credential: None,
    }
}

/// Waits so long for a decision.
#[must_use]
pub fn hold(wait: Duration) -> Hold {
    Hold { wait, progress: None, cancel: CancellationToken::new() }
}

/// A call with these arguments, given as a JSON object.
#[must_use]
pub fn call_of(action: &str, target: &str, arguments: Json) -> Call {
    let arguments = match arguments {
        Json::Object(arguments) => arguments,
        Json::Null => Map::new(),
        other => panic!("arguments are an object, not {other}"),
    };
    Call {
        action: action.to_owned(),
        target: Some(target.to_owned()),
        arguments,
        reason: "a test looks at what happens".into(),
        ..Call::default()
    }
}

/// Calls without waiting for a decision.
///
/// # Errors
/// As the gate refuses.
pub async fn call(gate: &Arc<Gate>, action: &str, target: &str, arguments: Json) -> Result<Answer, Refused> {
    gate.call(&principal(), call_of(action, target, arguments), hold(Duration::ZERO)).await
}

/// Calls something that policy allows, and returns its outcome.
pub async fn done(gate: &Arc<Gate>, action: &str, target: &str, arguments: Json) -> Outcome {
    match call(gate, action, target, arguments).await {
        Ok(Answer::Done(outcome)) => *outcome,
        other => panic!("{action}: {other:?}"),
    }
}

/// Calls something that policy holds, and returns the approval that waits.
pub async fn held(gate: &Arc<Gate>, action: &str, target: &str, arguments: Json) -> String {
    match call(gate, action, target, arguments).await {
        Ok(Answer::Pending(pending)) => pending.approval,
        other => panic!("{action}: {other:?}"),
    }
}

/// Waits for the end of a held call that has been decided.
///
/// # Errors
/// As it ended.
pub async fn ended(gate: &Arc<Gate>, approval: &str) -> Result<Outcome, Refused> {
    match gate.await_approval(&principal(), approval, hold(Duration::from_secs(60))).await? {
        Answer::Done(outcome) => Ok(*outcome),
        Answer::Pending(pending) => panic!("still pending: {pending:?}"),
    }
}
