//! `lockgate pack install` and `update`: fetched, verified, admitted as a host would admit it, compared with what is there, agreed
//! to where it may do more, on the record, and then in place, in this order. What fails on the way changes nothing.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use lockgate_signing::{
    encoding::parse_sha256,
    file::{self, MAX_COMPONENT_BYTES},
    name::PackName,
    trust::Trust,
    verify::verify_file,
};
use serde::{Deserialize, Serialize};

use super::remove::waiting;
use crate::{
    audit::Entry,
    cli::{
        consent,
        terminal::{self, say},
        trust::first_use::{self, KeyArgs, say_allowed},
    },
    config::Config,
    error::{Code, Refusal},
    install::{Accepted, Candidate, Source, is_the_same_version, place},
    pack::{admission::Admission, catalog::TrustedPack, diff::diff},
    people::acting,
    startup::{self, State},
    store::{PackVersion as StoredVersion, Store},
};

/// Where the store keeps, for each pack, what was installed last.
const ORIGIN: &str = "pack_source.";

#[derive(Debug, Args)]
pub(in crate::cli) struct InstallArgs {
    /// A component, a directory of them, `https://…/NAME-VERSION.wasm` or `oci://REGISTRY/REPOSITORY[:TAG][@DIGEST]`
    #[arg(value_name = "SOURCE")]
    source: String,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    keys: KeyArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UpdateArgs {
    /// The pack's name
    pack: PackName,
    /// Where the later version is; where it was installed from if left out
    #[arg(value_name = "SOURCE")]
    source: Option<String>,
    #[command(flatten)]
    how: How,
    /// Agree without being asked; the component has to be named by `--sha256`
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
struct How {
    /// Without TLS, from this machine
    #[arg(long)]
    plain_http: bool,
    /// The SHA-256 of a component that is agreed to although it may do more than the one before
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
}

/// Where what is installed came from.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Origin {
    /// As it was written, but for secrets.
    pub(super) source: String,
    /// Digest of the registry's manifest.
    pub(super) manifest: Option<String>,
    /// The version.
    pub(super) version: String,
    /// SHA-256 of the component.
    pub(super) digest: String,
}

impl Origin {
    pub(super) fn of(store: &dyn Store, pack: &str) -> Result<Option<Self>, Refusal> {
        let text = store.meta(&format!("{ORIGIN}{pack}"))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn keep(&self, store: &dyn Store, pack: &str) -> Result<(), Refusal> {
        let text = serde_json::to_string(self).map_err(|e| Refusal::new(Code::InternalError, e.to_string()))?;
        Ok(store.set_meta(&format!("{ORIGIN}{pack}"), &text)?)
    }
}

pub(super) async fn install(args: InstallArgs, config: &Config) -> Result<(), Refusal> {
    let source = Source::parse(&args.source, args.how.plain_http)?;
    let directory = place::directory(config)?;
    let found = source.fetch().await?;
    let state = State::open(config)?;
    let work = Work { config, directory, state: &state, how: &args.how, yes: args.keys.yes };
    work.install_all(found, Some(&args.keys), None).await
}

pub(super) async fn update(args: UpdateArgs, config: &Config) -> Result<(), Refusal> {
    let state = State::open(config)?;
    let installed = place::versions(config, &args.pack)?;
    let Some(newest) = installed.last() else {
        return Err(Refusal::new(Code::NotFound, format!("`{}` is not installed", args.pack))
            .with_remedy("`lockgate pack install` installs it"));
    };
    let source = match &args.source {
        Some(source) => Source::parse(source, args.how.plain_http)?,
        None => {
            let origin = Origin::of(&*state.store, args.pack.as_str())?;
            let origin = origin.map(|origin| Source::parse(&origin.source, args.how.plain_http)).transpose()?;
            match origin {
                Some(Source::Registry(registry)) => match registry.newest(&newest.version).await? {
                    Some(later) => Source::Registry(later),
                    None => {
                        say(&format!("{} {} is the latest version in {}", args.pack, newest.version, registry.name()));
                        return Ok(());
                    }
                },
                _ => {
                    let message =
                        format!("`{}` was not installed from a registry, which could list its versions", args.pack);
                    return Err(
                        Refusal::new(Code::ConfigInvalid, message).with_remedy("give the place of the later version")
                    );
                }
            }
        }
    };
    let directory = place::directory(config)?;
    let work = Work { config, directory, state: &state, how: &args.how, yes: args.yes };
    work.install_all(source.fetch().await?, None, Some(&args.pack)).await
}

struct Work<'a> {
    config: &'a Config,
    directory: PathBuf,
    state: &'a State,
    how: &'a How,
    yes: bool,
}

impl Work<'_> {
    /// One after the other, up to the first that is refused.
    async fn install_all(
        &self,
        found: Vec<Candidate>,
        keys: Option<&KeyArgs>,
        only: Option<&PackName>,
    ) -> Result<(), Refusal> {
        // Held until the last is in place.
        let _turn = place::turn(&self.config.state_dir)?;
        let mut done = Ok(());
        for candidate in found {
            done = self.install(candidate, keys, only).await;
            if done.is_err() {
                break;
            }
        }
        self.state.record.close().await?;
        done
    }

    /// Trusts the publisher first, by the envelope that one of these keys signed; others may be there, by strangers.
    async fn trust_first(&self, candidate: &Candidate, keys: &KeyArgs) -> Result<(), Refusal> {
        let Candidate { file_name, component, envelopes, .. } = candidate;
        let mut strange = Ok(());
        for envelope in envelopes {
            match first_use::of_pack(file_name, component, envelope, keys, self.config, self.state).await {
                Err(refusal) if matches!(refusal.code, Code::SignatureInvalid | Code::EnvelopeInvalid) => {
                    strange = Err(refusal);
                }
                end => return end,
            }
        }
        strange
    }

    async fn install(
        &self,
        candidate: Candidate,
        keys: Option<&KeyArgs>,
        only: Option<&PackName>,
    ) -> Result<(), Refusal> {
        let Self { config, state, .. } = self;
        if let Some(keys) = keys.filter(|keys| keys.is_given()) {
            self.trust_first(&candidate, keys).await?;
        }
        let trust = startup::trust(&config.trust)?;
        let (source, manifest) = (candidate.source.clone(), candidate.manifest.clone());
        let accepted = candidate.accept(&trust, &startup::highest_seen(&*state.store)?)?;
        let (pack, version) = (accepted.verified.pack().clone(), accepted.verified.version().clone());
        if only.is_some_and(|only| *only != pack) {
            let message = format!("this is `{pack}`, not `{}`", only.map(PackName::as_str).unwrap_or_default());
            return Err(Refusal::new(Code::ComponentMismatch, message).with_remedy("give the place of the right pack"));
        }
        is_the_same_version(&accepted.verified, &trust, &*state.store)?;
        let origin = Origin { source, manifest, version: version.to_string(), digest: accepted.verified.digest_hex() };
        if self.is_there(&accepted) {
            origin.keep(&*state.store, pack.as_str())?;
            say(&format!("{pack} {version} is installed already"));
            return Ok(());
        }
        // As a host at its start would: what could not be taken in is not put where it looks. It leaves its code in the cache.
        let admission = startup::admission(config)?;
        let admitted = admission.admit(accepted.verified.clone()).await?;
        let others = place::versions(config, &pack)?;
        let before = self.before(&admission, &others, &trust).await?;
        let grew = self.agree(&admitted, before)?;

        let by = acting::of(&*state.store, &terminal::os_user())?.person;
        let replaces: Vec<_> = others.iter().map(|other| other.version.to_string()).collect();
        state.note(entry(&admitted, &origin, replaces, grew).field("by", by)).await?;
        let component = place::put(&self.directory, &accepted)?;
        let stored =
            StoredVersion { name: pack.to_string(), version: version.to_string(), digest: origin.digest.clone() };
        state.store.remember_pack(&stored, &startup::is_higher, Timestamp::now())?;
        origin.keep(&*state.store, pack.as_str())?;
        for other in others.iter().filter(|other| other.component != component) {
            let digest = other.digest()?;
            place::remove(other)?;
            admission.forget(&digest);
        }
        say(&format!("{pack} {version} is installed; a host that runs takes it in by itself"));
        Ok(())
    }

    /// Whether these very bytes and this very envelope are in place.
    fn is_there(&self, accepted: &Accepted) -> bool {
        let verified = &accepted.verified;
        let name = lockgate_signing::declaration::component_file_name(verified.pack(), verified.version());
        let component = self.directory.join(name);
        let is =
            |path: PathBuf, bytes: &[u8]| file::read_once(path, MAX_COMPONENT_BYTES).is_ok_and(|found| found == bytes);
        is(place::beside(&component), &accepted.envelope) && is(component, verified.bytes())
    }

    /// What the highest version that is in place declares; nothing if there is none, or none that could be compared.
    async fn before(&self, admission: &Admission, others: &[place::Placed], trust: &Trust) -> Result<Before, Refusal> {
        let Some(highest) = others.last() else { return Ok(Before::Nothing) };
        // Without what was used here: it is the one that was.
        let verified = verify_file(&highest.component, trust, Timestamp::now(), &Default::default());
        match verified {
            Ok(verified) => match admission.admit(verified).await {
                Ok(pack) => Ok(Before::Pack(Box::new(pack))),
                Err(_) => Ok(Before::Unknown),
            },
            Err(_) => Ok(Before::Unknown),
        }
    }

    /// Shows what it may do, and asks if that is more than before. Whether it is.
    fn agree(&self, pack: &TrustedPack, before: Before) -> Result<bool, Refusal> {
        say_allowed(pack.verified());
        let declared = pack.manifest().manifest();
        let waiting = waiting(&*self.state.store, &declared.name)?;
        if waiting > 0 {
            say(&format!(
                "{waiting} requests of its actions wait; the gate decides anew whether each is still what it was"
            ));
        }
        let grew = match before {
            Before::Nothing => return Ok(false),
            Before::Unknown => {
                say("the version that is in place is not accepted any more: there is nothing to compare with");
                true
            }
            Before::Pack(before) => {
                let difference = diff(before.manifest(), pack.manifest());
                say(&difference.render());
                difference.grew()
            }
        };
        if grew {
            let how =
                "look at the difference, and give `--yes` and `--sha256` with the component's SHA-256 to agree to it";
            if !self.yes {
                consent::ask("update", "letting it do more than before", how)?;
            } else if self.how.sha256.as_deref().and_then(parse_sha256) != Some(pack.verified().digest()) {
                let message = format!("{} {} may do more than before", declared.name, declared.version);
                return Err(consent::required(&message, how));
            }
        }
        Ok(grew)
    }
}

/// What there was to compare with.
enum Before {
    Nothing,
    Unknown,
    Pack(Box<TrustedPack>),
}

fn entry(pack: &TrustedPack, origin: &Origin, replaces: Vec<String>, grew: bool) -> Entry {
    let signed = pack.verified().predicate();
    let signers: Vec<_> = pack.verified().signers().iter().map(|signer| signer.name.clone()).collect();
    Entry::new("pack.installed")
        .field("pack", signed.pack.as_str())
        .field("version", signed.version.as_str())
        .field("digest", origin.digest.as_str())
        .field("publisher", signed.publisher.as_str())
        .field("signers", signers)
        .field("source", origin.source.as_str())
        .field("manifest", origin.manifest.clone())
        .field("replaces", replaces)
        .field("authority_grew", grew)
}
