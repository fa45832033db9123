//! A small signed pack and a policy that trusts it, to be broken in one place at a time.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use jiff::Timestamp;
use lockgate_signing::{
    declaration::{Declaration, DeclaredAction},
    envelope::{Envelope, sign_envelope},
    key::{PrivateKey, Signer},
    predicate::{Statement, Terms},
    trust::Trust,
    verify::{HighestSeen, VerifiedComponent, VerifyError, verify_after},
};
use tempfile::TempDir;

pub const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0not really";
pub const FILE_NAME: &str = "inventory-1.2.0.wasm";

pub fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn now() -> Timestamp {
    time("2026-11-21T12:00:00Z")
}

pub fn declaration() -> Declaration {
    Declaration {
        pack: "inventory".into(),
        version: "1.2.0".into(),
        contract: "1.0.0".into(),
        actions: vec![
            DeclaredAction { name: "list_tables".into(), risk: "low".into() },
            DeclaredAction { name: "end_session".into(), risk: "high".into() },
        ],
        classes: vec!["read".into(), "signal".into()],
        manifest_sha256: "ab".repeat(32),
    }
}

pub fn terms() -> Terms {
    Terms {
        publisher: "acme".into(),
        issued: time("2026-11-21T00:00:00Z"),
        expires: time("2027-11-21T00:00:00Z"),
        provenance: None,
    }
}

pub fn statement() -> Statement {
    Statement::new(COMPONENT, &declaration(), terms()).unwrap()
}

pub fn sign(statement: &Statement, keys: &[&PrivateKey]) -> Envelope {
    let signers: Vec<&dyn Signer> = keys.iter().map(|key| *key as &dyn Signer).collect();
    sign_envelope(statement, &signers).unwrap()
}

/// Three keys, of which `one` and `two` are acme's and `three` is another publisher's.
pub struct Keys {
    pub one: PrivateKey,
    pub two: PrivateKey,
    pub three: PrivateKey,
}

impl Keys {
    pub fn new() -> Self {
        let [one, two, three] = [(); 3].map(|()| PrivateKey::generate().unwrap());
        Self { one, two, three }
    }

    /// A policy: the keys, whose they are, and whatever else a test adds.
    pub fn policy(&self, publisher: &str, rest: &str) -> String {
        let key = |name: &str, key: &PrivateKey| {
            format!("[[key]]\nname = \"{name}\"\npublic_key = \"{}\"\n", key.public_key().to_base64())
        };
        format!(
            "version = 1\n{}{}{}[[publisher]]\nname = \"other\"\npacks = [\"*\"]\nkeys = [\"three\"]\nclasses = [\"read\", \"signal\"]\n\
             [[publisher]]\nname = \"acme\"\npacks = [\"inv*\"]\nkeys = [\"one\", \"two\"]\nclasses = [\"read\", \"signal\"]\n{publisher}\n{rest}\n",
            key("one", &self.one),
            key("two", &self.two),
            key("three", &self.three),
        )
    }

    pub fn trust(&self, publisher: &str, rest: &str) -> Trust {
        Trust::parse(&self.policy(publisher, rest)).unwrap()
    }
}

/// Verifies bytes at the usual time, nothing having been in use before.
pub fn check(component: &[u8], name: &str, envelope: &[u8], trust: &Trust) -> Result<VerifiedComponent, VerifyError> {
    verify_after(component.to_vec(), name, envelope, trust, now(), &HighestSeen::new())
}

/// The code of a refusal, or `ok`.
pub fn code(result: &Result<VerifiedComponent, VerifyError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.remedy().is_empty());
            error.code()
        }
    }
}

/// A directory with the component, its envelope and a policy.
pub struct Installed {
    pub directory: TempDir,
    pub component: PathBuf,
    pub envelope: PathBuf,
    pub trust: PathBuf,
}

pub fn install(keys: &Keys, envelope: &Envelope) -> Installed {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (component, trust) = (path(FILE_NAME), path("trust.toml"));
    let envelope_path = path(&format!("{FILE_NAME}.dsse.json"));
    fs::write(&component, COMPONENT).unwrap();
    fs::write(&envelope_path, envelope.to_json()).unwrap();
    write_mode(&trust, keys.policy("", "").as_bytes(), 0o644);
    Installed { component, envelope: envelope_path, trust, directory }
}

/// Writes a program. Another process does, for a file that this one has open can't be run, and what is forked meanwhile for
/// another test has it open too.
pub fn write_program(path: &Path, content: &[u8]) {
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(content).unwrap();
    assert!(writer.wait().unwrap().success());
}

pub fn write_mode(path: &Path, bytes: &[u8], mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
