//! `lockgate standing propose`: from a request that people approved to a grant with bounds.

use std::{collections::BTreeMap, sync::Arc};

use clap::Args;
use jiff::SignedDuration;
use serde_json::{Map, Value as Json};

use super::super::voter::voter;
use crate::{
    approval::standing::{Proposal, one_of, range},
    error::{Code, Refusal},
    gate::standing,
    startup::State,
    store::{Bound, StandingApproval},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ProposeArgs {
    /// The request to make it from, `apr_…`, which people approved
    approval: String,
    /// How many calls it lets through, at most 1000
    #[arg(long, value_name = "COUNT")]
    uses: u32,
    /// For how long: minutes, hours or days (`30m`, `12h`, `7d`), at most 90d
    #[arg(long, value_name = "TIME")]
    until: String,
    /// Why, for the record and whoever approves it
    #[arg(long)]
    reason: String,
    /// For every agent with this role, rather than for the agent that asked
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// An argument may be one of these values, rather than what it was; may be given several times
    #[arg(long = "one-of", value_name = "NAME=A,B,…")]
    one_of: Vec<String>,
    /// An argument may be any text that fits a pattern, in which `*` is any run of characters
    #[arg(long = "like", value_name = "NAME=PATTERN")]
    like: Vec<String>,
    /// An argument may be any number from the one to the other
    #[arg(long = "range", value_name = "NAME=MIN..MAX")]
    range: Vec<String>,
}

pub(super) async fn run(state: &State, args: ProposeArgs) -> Result<StandingApproval, Refusal> {
    let store = Arc::clone(&state.store);
    let known = store.get(&args.approval)?.map(|approval| approval.request.arguments).unwrap_or_default();
    let proposal = Proposal {
        uses: args.uses,
        within: lifetime(&args.until)?,
        bounds: bounds(&args, &known)?,
        role: args.role,
        by: voter(&*store)?.person,
        reason: args.reason,
    };
    standing::propose(&state.record, store, &args.approval, proposal).await
}

fn bounds(args: &ProposeArgs, known: &Map<String, Json>) -> Result<BTreeMap<String, Bound>, Refusal> {
    let mut bounds = BTreeMap::new();
    let mut add = |option: &str, text: &str, read: &dyn Fn(&str, &str) -> Result<Bound, Refusal>| {
        let (name, bound) =
            text.split_once('=').ok_or_else(|| unusable(option, "give it as NAME=…, with the argument's name"))?;
        match bounds.insert(name.to_owned(), read(name, bound)?) {
            None => Ok(()),
            Some(_) => Err(unusable(option, &format!("`{name}` is bounded twice"))),
        }
    };
    for text in &args.one_of {
        add("--one-of", text, &|name, list| Ok(one_of(known.get(name), list)))?;
    }
    for text in &args.like {
        add("--like", text, &|_, pattern| Ok(Bound::Glob(pattern.to_owned())))?;
    }
    for text in &args.range {
        let unusable = || unusable("--range", "give two numbers as MIN..MAX");
        add("--range", text, &|_, text| range(text).ok_or_else(unusable))?;
    }
    Ok(bounds)
}

fn lifetime(text: &str) -> Result<SignedDuration, Refusal> {
    let refuse = || unusable("--until", "give minutes, hours or days, such as 30m, 12h or 7d");
    let unit = text.chars().last().ok_or_else(refuse)?;
    let count = text.strip_suffix(unit).and_then(|count| count.parse::<u32>().ok()).ok_or_else(refuse)?;
    let seconds: i64 = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(refuse()),
    };
    Ok(SignedDuration::from_secs(i64::from(count) * seconds))
}

fn unusable(option: &str, why: &str) -> Refusal {
    Refusal::new(Code::ConfigInvalid, format!("{option}: {why}"))
}
