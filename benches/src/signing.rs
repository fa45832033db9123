//! Signing and verifying a thousand packs, as a pipeline does it (a process for each) and in the library, beside what can't be
//! saved: the component's SHA-256 and one Ed25519 operation. All take turns on each pack.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use lockgate_signing::{
    declaration::{Declaration, DeclaredAction, envelope_file_name},
    encoding::sha256,
    envelope::{PAYLOAD_TYPE, pae, sign_envelope},
    file::{create_public, replace_public},
    key::{Passphrase, PrivateKey},
    predicate::{Statement, Terms},
    trust::Trust,
    verify::{HighestSeen, verify, verify_file},
};
use serde_json::{Value as Json, json};

use crate::measure::{Samples, rounded};

/// Packs.
pub const PACKS: usize = 1000;
/// Bytes of each, as the stock packs have.
pub const COMPONENT_BYTES: usize = 200 * 1024;
/// Processes that open an encrypted key. It is slow on purpose, so they are few.
const SEALED: usize = 20;
/// Actions of each, as the larger of the stock packs has.
const ACTIONS: usize = 48;

/// One way of doing it.
pub struct Way {
    pub name: &'static str,
    pub times: Samples,
}

/// Signing, then verifying; the first of each is the raw one.
pub struct Signing {
    pub sign: Vec<Way>,
    pub verify: Vec<Way>,
    /// Whether there was a `lockgate-sign` beside this program.
    pub processes: bool,
}

impl Signing {
    /// For the file.
    pub fn to_json(&self) -> Json {
        let ways = |ways: &[Way]| -> Vec<Json> {
            let raw = ways.first().map_or(0.0, |way| way.times.p50());
            let way = |way: &Way| {
                let ratio = rounded(way.times.p50() / raw);
                json!({ "name": way.name, "times": way.times.to_json(), "ratio": ratio, "total_ms": rounded(way.times.total() / 1e3) })
            };
            ways.iter().map(way).collect()
        };
        json!({ "packs": PACKS, "component_bytes": COMPONENT_BYTES, "sign": ways(&self.sign), "verify": ways(&self.verify) })
    }
}

/// A directory with a component and what is needed to sign and trust it.
struct Pipeline {
    directory: tempfile::TempDir,
    key: PrivateKey,
    trust: Trust,
    trust_text: String,
    program: Option<PathBuf>,
    now: Timestamp,
}

/// One pack.
struct Pack {
    component: Vec<u8>,
    declaration: Declaration,
    file: PathBuf,
    name: String,
}

/// Measures everything.
pub fn signing() -> Result<Signing> {
    let pipeline = Pipeline::new()?;
    let mut sign = ways(["SHA-256 and one signature", "library, in memory", "library, from file to file"]);
    let mut verify = ways(["SHA-256 and one strict verification", "library, in memory", "library, from files"]);
    let mut processes = ways(["a process for each pack", "the same, with an encrypted key"]);
    let mut checks = ways(["a process for each pack"]);
    for number in 0..PACKS {
        let pack = pipeline.pack(number)?;
        pipeline.sign(&pack, &mut sign)?;
        if let Some(program) = &pipeline.program {
            for (at, way) in processes.iter_mut().enumerate().filter(|(at, _)| *at == 0 || number < SEALED) {
                let key = if at == 0 { "plain.key" } else { "sealed.key" };
                way.times.push(pipeline.run_sign(program, &pack, key)?);
            }
        }
        pipeline.verify(&pack, &mut verify)?;
        if let (Some(program), Some(way)) = (&pipeline.program, checks.first_mut()) {
            way.times.push(run(
                Command::new(program).arg("verify").arg(&pack.file).args(["--trust", "trust.toml"]),
                &pipeline,
            )?);
        }
        fs::remove_file(&pack.file)?;
    }
    if pipeline.program.is_some() {
        sign.append(&mut processes);
        verify.append(&mut checks);
    }
    Ok(Signing { sign, verify, processes: pipeline.program.is_some() })
}

fn ways<const N: usize>(names: [&'static str; N]) -> Vec<Way> {
    names.into_iter().map(|name| Way { name, times: Samples::default() }).collect()
}

/// Times one piece of work for the way it belongs to.
fn time<T>(ways: &mut [Way], at: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let value = work()?;
    let taken = started.elapsed();
    ways.get_mut(at).context("there is such a way")?.times.push(taken);
    Ok(value)
}

/// Runs a command of the pipeline to its good end.
fn run(command: &mut Command, pipeline: &Pipeline) -> Result<std::time::Duration> {
    let command = command.current_dir(pipeline.directory.path()).stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status()?;
    let taken = started.elapsed();
    if status.success() { Ok(taken) } else { bail!("`lockgate-sign` ended with {status}") }
}

impl Pipeline {
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let key = PrivateKey::generate()?;
        key.create_file(directory.path().join("plain.key"), None)?;
        let passphrase = Passphrase::new(b"a bench has no secrets".to_vec().into())?;
        key.create_file(directory.path().join("sealed.key"), Some(&passphrase))?;
        lockgate_signing::file::create_private(directory.path().join("pass"), b"a bench has no secrets\n")?;
        let trust_text = format!(
            "version = 1\n[[key]]\nname = \"bench\"\npublic_key = \"{}\"\n[[publisher]]\nname = \"acme\"\npacks = [\"*\"]\nkeys = [\"bench\"]\nclasses = [\"read\", \"signal\"]\n",
            key.public_key().to_base64()
        );
        fs::write(directory.path().join("trust.toml"), &trust_text)?;
        let program = std::env::current_exe()?.with_file_name("lockgate-sign");
        let program = program.is_file().then_some(program);
        Ok(Self { directory, key, trust: Trust::parse(&trust_text)?, trust_text, program, now: Timestamp::now() })
    }

    fn pack(&self, number: usize) -> Result<Pack> {
        let mut component = vec![0; COMPONENT_BYTES];
        for (byte, digit) in component.iter_mut().zip(number.to_le_bytes()) {
            *byte = digit;
        }
        let action = |at: usize| DeclaredAction { name: format!("action_number_{at}"), risk: "low".into() };
        let declaration = Declaration {
            pack: "bench".into(),
            version: format!("1.0.{number}"),
            contract: "1.0.0".into(),
            actions: (0..ACTIONS).map(action).collect(),
            classes: vec!["read".into(), "signal".into()],
            manifest_sha256: "ab".repeat(32),
        };
        let name = declaration.component_file_name()?;
        let file = self.directory.path().join(&name);
        fs::write(&file, &component)?;
        replace_public(self.directory.path().join("declaration.json"), &declaration.to_json())?;
        Ok(Pack { component, declaration, file, name })
    }

    fn statement(&self, component: &[u8], declaration: &Declaration) -> Result<Statement> {
        let expires = self.now.checked_add(jiff::SignedDuration::from_hours(24 * 365))?;
        let terms = Terms { publisher: "acme".into(), issued: self.now, expires, provenance: None };
        Ok(Statement::new(component, declaration, terms)?)
    }

    fn sign(&self, pack: &Pack, ways: &mut [Way]) -> Result<()> {
        let signed = pae(PAYLOAD_TYPE, &self.statement(&pack.component, &pack.declaration)?.to_payload());
        let raw: SigningKey = self.key.clone().into_signing_key();
        time(ways, 0, || {
            std::hint::black_box(sha256(&pack.component));
            Ok(std::hint::black_box(raw.sign(&signed)))
        })?;
        time(ways, 1, || {
            let statement = self.statement(&pack.component, &pack.declaration)?;
            Ok(sign_envelope(&statement, &[&self.key])?.to_json())
        })?;
        let envelope = self.envelope(pack);
        time(ways, 2, || {
            let declaration = Declaration::parse(&fs::read(self.directory.path().join("declaration.json"))?)?;
            let statement = self.statement(&fs::read(&pack.file)?, &declaration)?;
            Ok(create_public(&envelope, &sign_envelope(&statement, &[&self.key])?.to_json())?)
        })
    }

    fn verify(&self, pack: &Pack, ways: &mut [Way]) -> Result<()> {
        let envelope = fs::read(self.envelope(pack))?;
        let parsed = lockgate_signing::envelope::Envelope::parse(&envelope)?;
        let (signed, public) = (parsed.signed_bytes(), self.key.public_key());
        let signature = parsed.signatures().first().context("it is signed")?.bytes();
        time(ways, 0, || {
            std::hint::black_box(sha256(&pack.component));
            if public.verifies(&signed, signature) { Ok(()) } else { bail!("a good signature does not verify") }
        })?;
        let component = pack.component.clone();
        let now = Timestamp::now();
        time(ways, 1, || Ok(verify(component, &pack.name, &envelope, &self.trust, now)?))?;
        // With the policy read each time, as a process does.
        time(ways, 2, || {
            let trust = Trust::parse(&self.trust_text)?;
            Ok(verify_file(&pack.file, &trust, now, &HighestSeen::new())?)
        })?;
        Ok(())
    }

    /// Signs anew, in the place of what is there, so that each process does all of the work.
    fn run_sign(&self, program: &Path, pack: &Pack, key: &str) -> Result<std::time::Duration> {
        let mut command = Command::new(program);
        command.arg("sign").arg(&pack.file).args([
            "--declaration",
            "declaration.json",
            "--publisher",
            "acme",
            "--replace",
        ]);
        run(command.args(["--key", key, "--passphrase-file", "pass"]), self)
    }

    fn envelope(&self, pack: &Pack) -> PathBuf {
        self.directory.path().join(envelope_file_name(&pack.name))
    }
}
