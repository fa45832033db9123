//! `lockgate pack remove`. A host that runs lets go of the pack by itself; what waits for a decision can't be carried out then.

use clap::Args;
use lockgate_signing::{encoding::hex, name::PackName, version::PackVersion};

use crate::{
    audit::Entry,
    cli::{
        consent,
        terminal::{self, say},
    },
    config::Config,
    error::{Code, Refusal},
    install::place,
    people::acting,
    startup::{self, State},
    store::{Filter, State as ApprovalState, Store},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct RemoveArgs {
    /// Its name
    pack: PackName,
    /// Only this version
    #[arg(long)]
    version: Option<PackVersion>,
    /// Remove it without being asked, though requests of its actions wait
    #[arg(long)]
    yes: bool,
}

pub(super) async fn remove(args: RemoveArgs, config: &Config) -> Result<(), Refusal> {
    let RemoveArgs { pack, version, yes } = args;
    let mut there = place::versions(config, &pack)?;
    there.retain(|placed| version.as_ref().is_none_or(|version| placed.version == *version));
    if there.is_empty() {
        return Err(Refusal::new(Code::NotFound, format!("`{pack}` is not installed"))
            .with_remedy("`lockgate pack list` shows what is"));
    }
    let state = State::open(config)?;
    let _turn = place::turn(&config.state_dir)?;
    let waiting = waiting(&*state.store, pack.as_str())?;
    if waiting > 0 {
        say(&format!("{waiting} requests of its actions wait for a decision or to be carried out; they will not be"));
        if !yes {
            consent::ask("remove", "taking it away all the same", "decide the requests first, or give `--yes`")?;
        }
    }
    let by = acting::of(&*state.store, &terminal::os_user())?.person;
    let admission = startup::admission(config)?;
    for placed in &there {
        let digest = placed.digest()?;
        let line = Entry::new("pack.removed")
            .field("pack", pack.as_str())
            .field("version", placed.version.to_string())
            .field("digest", hex(&digest));
        state.note(line.field("by", by.as_str())).await?;
        place::remove(placed)?;
        admission.forget(&digest);
        say(&format!("{pack} {} is removed", placed.version));
    }
    say("an older version is not taken in its place unless going back is allowed");
    state.record.close().await?;
    Ok(())
}

/// Requests of a pack's actions that are open.
pub(super) fn waiting(store: &dyn Store, pack: &str) -> Result<usize, Refusal> {
    let states = vec![ApprovalState::Pending, ApprovalState::Approved];
    let open = store.list(&Filter { states, ..Filter::default() })?;
    let now = jiff::Timestamp::now();
    let of_pack = |action: &str| action.split_once('.').is_some_and(|(name, _)| name == pack);
    let is_open = |state| matches!(state, ApprovalState::Pending | ApprovalState::Approved);
    Ok(open.iter().filter(|one| of_pack(&one.request.action) && is_open(one.state_at(now))).count())
}
