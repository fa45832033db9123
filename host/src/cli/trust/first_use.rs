//! `lockgate trust add publisher`, and the same when a pack of a publisher is installed that nobody has trusted yet: shows the
//! publisher's keys and, from a signed envelope and before any WebAssembly is looked at, what its pack would be allowed.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use lockgate_signing::{
    declaration::{DeclaredAction, envelope_file_name},
    envelope::Envelope,
    file::{self, MAX_COMPONENT_BYTES, MAX_ENVELOPE_BYTES, MAX_KEY_BYTES},
    key::{KeyId, PublicKey},
    name,
    predicate::{Predicate, Statement},
    trust::Trust,
    verify::{VerifiedComponent, verify_after},
};

use super::{make, put, show};
use crate::{
    cli::{consent, pack::refused_file, terminal::say},
    config::Config,
    error::{Code, Refusal},
    outside::shown,
    pack::admission::AdmissionError,
    startup::{self, State},
    trust::{Prepared, TrustText},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct PublisherArgs {
    /// Its name, as its envelopes say it
    name: String,
    #[command(flatten)]
    keys: KeyArgs,
    /// A pattern of packs that it may publish; `*` stands for any run of characters
    #[arg(long = "pack", value_name = "PATTERN")]
    packs: Vec<String>,
    /// A statement class that its packs may use: read, data, maintain, signal, write
    #[arg(long = "class", value_name = "CLASS")]
    classes: Vec<String>,
    /// A pattern of targets that its packs may be used on; all if there is none
    #[arg(long = "target", value_name = "PATTERN")]
    targets: Vec<String>,
    /// How many of its keys must have signed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    threshold: Option<u8>,
    /// A component with its envelope beside it: shows what it would be allowed, and grants what it needs where nothing is said
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
}

/// The keys of a publisher, and how a script agrees to them.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct KeyArgs {
    /// A key of the publisher: a file, its base64, or the name of one that is listed
    #[arg(long = "key", value_name = "FILE|BASE64|NAME")]
    keys: Vec<String>,
    /// Agree without being asked; a new key has to be named by `--key-id`
    #[arg(long)]
    pub(in crate::cli) yes: bool,
    /// The id of a new key that is agreed to, as its publisher told it to you
    #[arg(long = "key-id", value_name = "HEX")]
    key_ids: Vec<KeyId>,
}

impl KeyArgs {
    /// Whether a key was given.
    pub(in crate::cli) fn is_given(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Asks, or looks whether every new key was named.
    fn agree(&self, prepared: &Prepared, config: &Config) -> Result<(), Refusal> {
        if !prepared.widens() {
            return Ok(());
        }
        let how =
            "compare the key's id with what its publisher says elsewhere, and give `--yes` and `--key-id` with it";
        if !self.yes {
            return consent::ask("trust", "this publisher and this key", how);
        }
        let before = if config.trust.exists() { Some(startup::trust(&config.trust)?) } else { None };
        let known = |id: &KeyId| {
            before.as_ref().is_some_and(|trust| trust.keys().iter().any(|listed| listed.key().id() == *id))
        };
        let unnamed = prepared.trust().keys().iter().find(|key| {
            let id = key.key().id();
            !known(&id) && !self.key_ids.contains(&id)
        });
        match unnamed {
            None => Ok(()),
            Some(key) => {
                Err(consent::required(&format!("key {} is new and was not named by `--key-id`", key.key().id()), how))
            }
        }
    }
}

pub(super) async fn run(args: PublisherArgs, config: &Config) -> Result<(), Refusal> {
    let component = args.component.as_deref().map(read).transpose()?;
    let new = resolve(&args.keys.keys, &args.name, config)?;
    let signed = component.as_ref().map(|component| signed(&component.envelope, &new, config)).transpose()?;
    let mut wanted = Wanted::of(&args);
    if let Some(signed) = &signed {
        if signed.publisher != args.name {
            let message = format!("the envelope is of publisher `{}`, not of `{}`", signed.publisher, args.name);
            return Err(Refusal::new(Code::PublisherNotTrusted, message).with_remedy("give the publisher's own name"));
        }
        wanted.fill(signed);
    }
    let prepared = wanted.prepare(&new, config)?;
    say_keys(&new);
    if let Some(Component { bytes, file_name, envelope }) = component {
        say_allowed(&allowed(bytes, &file_name, &envelope, prepared.trust(), config)?);
    }
    if prepared.changes().is_empty() {
        return make(prepared, config, &super::Agreed { yes: true }).await;
    }
    show(&prepared);
    args.keys.agree(&prepared, config)?;
    let state = State::open(config)?;
    put(prepared, config, &state).await?;
    state.record.close().await?;
    Ok(())
}

/// Trusts the publisher of a pack that is about to be installed, for just what this pack needs.
pub(in crate::cli) async fn of_pack(
    file_name: &str,
    bytes: &[u8],
    envelope: &[u8],
    keys: &KeyArgs,
    config: &Config,
    state: &State,
) -> Result<(), Refusal> {
    // Whose keys they are is known once what they signed may be read.
    let signed = signed(envelope, &resolve(&keys.keys, "", config)?, config)?;
    let new = resolve(&keys.keys, &signed.publisher, config)?;
    let mut wanted = Wanted { name: signed.publisher.clone(), ..Wanted::default() };
    wanted.fill(&signed);
    let prepared = wanted.prepare(&new, config)?;
    if prepared.changes().is_empty() {
        return Ok(());
    }
    say_keys(&new);
    say_allowed(&allowed(bytes.to_vec(), file_name, envelope, prepared.trust(), config)?);
    show(&prepared);
    keys.agree(&prepared, config)?;
    put(prepared, config, state).await
}

/// What the publisher shall have beside what it has.
#[derive(Debug, Default)]
struct Wanted {
    name: String,
    packs: Vec<String>,
    classes: Vec<String>,
    targets: Vec<String>,
    threshold: Option<u8>,
}

impl Wanted {
    fn of(args: &PublisherArgs) -> Self {
        let PublisherArgs { name, packs, classes, targets, threshold, .. } = args;
        let (name, packs, classes, targets) = (name.clone(), packs.clone(), classes.clone(), targets.clone());
        Self { name, packs, classes, targets, threshold: *threshold }
    }

    /// Grants what a signed pack needs, and nothing else, where nothing was said.
    fn fill(&mut self, signed: &Predicate) {
        if self.packs.is_empty() {
            self.packs.push(signed.pack.clone());
        }
        if self.classes.is_empty() {
            self.classes.clone_from(&signed.classes);
        }
    }

    fn prepare(&self, keys: &[Key], config: &Config) -> Result<Prepared, Refusal> {
        name::check_label(&self.name).map_err(|error| Refusal::new(Code::ConfigInvalid, error.to_string()))?;
        let names: Vec<String> = keys.iter().map(|key| key.name.clone()).collect();
        Prepared::new(&config.trust, |text: &mut TrustText| {
            if !text.has_publisher(&self.name) {
                if keys.is_empty() || self.packs.is_empty() {
                    return Err(Refusal::new(
                        Code::ConfigInvalid,
                        format!("`{}` is new: it needs a key, and packs that it may publish", self.name),
                    )
                    .with_remedy("give `--key` and `--pack` and `--class`, or `--key` and a `--component` of it"));
                }
                text.add_publisher(&self.name)?;
            }
            for key in keys.iter().filter(|key| !key.listed) {
                text.add_key(&key.name, &key.key)?;
            }
            for (field, more) in
                [("packs", &self.packs), ("keys", &names), ("classes", &self.classes), ("targets", &self.targets)]
            {
                text.extend(&self.name, field, more)?;
            }
            self.threshold.map_or(Ok(()), |threshold| text.set_threshold(&self.name, threshold))
        })
    }
}

/// A key and the operator's name for it.
struct Key {
    name: String,
    key: PublicKey,
    listed: bool,
}

/// Keys as they were given: a listed one by its name, another by its base64 or a file.
fn resolve(given: &[String], publisher: &str, config: &Config) -> Result<Vec<Key>, Refusal> {
    let trust = if config.trust.exists() { Some(startup::trust(&config.trust)?) } else { None };
    let listed: Vec<_> = trust.as_ref().map_or_else(Vec::new, |trust| trust.keys().to_vec());
    let one = |text: &String| {
        if let Some(known) = listed.iter().find(|known| known.name() == text) {
            return Ok(Key { name: text.clone(), key: *known.key(), listed: true });
        }
        let key = match PublicKey::from_text(text) {
            Ok(key) => key,
            Err(_) => {
                let bytes = file::read_once(text, MAX_KEY_BYTES).map_err(|error| refused_file(&error))?;
                PublicKey::from_text(&String::from_utf8_lossy(&bytes))
                    .map_err(|error| Refusal::new(Code::FileRefused, format!("{}: {error}", shown(text, 200))))?
            }
        };
        if let Some(known) = listed.iter().find(|known| *known.key() == key) {
            return Ok(Key { name: known.name().to_owned(), key, listed: true });
        }
        Ok(Key {
            name: name_of(text, publisher, &key, |name| listed.iter().any(|k| k.name() == name)),
            key,
            listed: false,
        })
    };
    given.iter().map(one).collect()
}

/// The file's name where it is one for a key and free, or the publisher's with the beginning of the key's id.
fn name_of(given: &str, publisher: &str, key: &PublicKey, taken: impl Fn(&str) -> bool) -> String {
    let stem = Path::new(given).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if PublicKey::from_text(given).is_err() && name::check_label(stem).is_ok() && !taken(stem) {
        return stem.to_owned();
    }
    let id = key.id().to_string();
    format!("{}-{}", publisher.get(..40).unwrap_or(publisher), id.get(..12).unwrap_or_default())
}

struct Component {
    bytes: Vec<u8>,
    file_name: String,
    envelope: Vec<u8>,
}

fn read(path: &Path) -> Result<Component, Refusal> {
    let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let bytes = file::read_once(path, MAX_COMPONENT_BYTES).map_err(|e| refused_file(&e))?;
    let envelope = file::read_once(path.with_file_name(envelope_file_name(&file_name)), MAX_ENVELOPE_BYTES);
    let envelope = envelope.map_err(|error| Refusal::new(Code::EnvelopeMissing, error.to_string()))?;
    Ok(Component { bytes, file_name, envelope })
}

/// What one of these keys, or of the listed ones, has signed. Nothing of it is read before its signature was checked.
fn signed(envelope: &[u8], new: &[Key], config: &Config) -> Result<Predicate, Refusal> {
    let invalid = |error: &dyn std::fmt::Display| Refusal::new(Code::EnvelopeInvalid, error.to_string());
    let envelope = Envelope::parse(envelope).map_err(|e| invalid(&e))?;
    let trust = if config.trust.exists() { Some(startup::trust(&config.trust)?) } else { None };
    let listed = trust.iter().flat_map(Trust::keys).map(|key| *key.key());
    let bytes = envelope.signed_bytes();
    let made_one = |key: PublicKey| envelope.signatures().iter().any(|one| key.verifies(&bytes, one.bytes()));
    if !new.iter().map(|key| key.key).chain(listed).any(made_one) {
        return Err(Refusal::new(Code::SignatureInvalid, "none of these keys has signed the pack's envelope")
            .with_remedy("get the publisher's key from the publisher, not from where the pack is"));
    }
    Ok(Statement::parse(envelope.unverified_payload()).map_err(|e| invalid(&e))?.into_parts().0)
}

/// The pack as it would be accepted with the change.
fn allowed(
    bytes: Vec<u8>,
    file_name: &str,
    envelope: &[u8],
    trust: &Trust,
    config: &Config,
) -> Result<VerifiedComponent, Refusal> {
    let seen = super::explain::highest_seen(config)?;
    verify_after(bytes, file_name, envelope, trust, Timestamp::now(), &seen)
        .map_err(|error| AdmissionError::from(error).into())
}

fn say_keys(keys: &[Key]) {
    for Key { name, key, listed } in keys {
        let known =
            if *listed { "listed already" } else { "new: compare its id with what the publisher says elsewhere" };
        say(&format!("key {name}  {known}\n  id {}", key.id()));
    }
}

/// What was signed of a pack: its authority, for whoever has to agree to it.
pub(in crate::cli) fn say_allowed(verified: &VerifiedComponent) {
    let predicate = verified.predicate();
    say(&format!("{} {} of {}", predicate.pack, predicate.version, predicate.publisher));
    say(&format!("  sha256   {}", verified.digest_hex()));
    let signers: Vec<_> = verified.signers().iter().map(|signer| signer.name.as_str()).collect();
    say(&format!("  signed   {} until {} by {}", predicate.issued, predicate.expires, signers.join(", ")));
    say(&format!("  classes  {}", predicate.classes.join(", ")));
    say(&format!("  targets  {}", verified.grant().targets.join(", ")));
    for DeclaredAction { name, risk } in &predicate.actions {
        say(&format!("  action   {}.{name}, risk {risk}", predicate.pack));
    }
}
