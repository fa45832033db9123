//! `lockgate policy explain`: one call, its decision, and every rule that was looked at.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::{Surroundings, policy};
use crate::{
    cli::terminal::{say, say_json},
    config::Config,
    error::{Code, Refusal},
    outside::shown,
    pack::manifest::Risk,
    policy::{Installed, Question},
    startup,
    statement::Role,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// The action, `pack.action`
    action: String,
    /// Its arguments
    #[arg(value_name = "NAME=VALUE", value_parser = argument)]
    arguments: Vec<(String, Json)>,
    /// The target; the configured one if there is one
    #[arg(long)]
    target: Option<String>,
    /// Whether the target is a primary or a standby; what the configuration expects if left out
    #[arg(long, value_enum)]
    target_role: Option<Place>,
    /// The agent's name
    #[arg(long, default_value = "agent")]
    agent: String,
    /// The person behind the agent
    #[arg(long)]
    person: Option<String>,
    /// A role of the agent; may be given again
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// When, RFC 3339; now if left out
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The signed risk; with it no pack is looked at
    #[arg(long, value_enum)]
    risk: Option<RiskWord>,
    /// The policy; the configuration's if left out
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Place {
    Primary,
    Standby,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RiskWord {
    Low,
    Medium,
    High,
    Critical,
}

impl From<RiskWord> for Risk {
    fn from(word: RiskWord) -> Self {
        match word {
            RiskWord::Low => Self::Low,
            RiskWord::Medium => Self::Medium,
            RiskWord::High => Self::High,
            RiskWord::Critical => Self::Critical,
        }
    }
}

pub(super) async fn run(args: ExplainArgs, config: impl Fn() -> Result<Config, Refusal>) -> Result<ExitCode, Refusal> {
    let policy = policy(args.policy.as_deref(), &config)?;
    let (target, role) = target(&args, &config)?;
    let mut question = Question::new(&args.action, &target, &args.agent);
    question.set_target_role(role);
    question.risk = args.risk.map(Risk::from);
    question.person = args.person;
    question.roles = args.roles;
    question.at = args.at;
    question.arguments = once_each(args.arguments)?;
    let around = match args.risk {
        Some(_) => None,
        None => Some(Surroundings::of(&config()?).await?),
    };
    let installed = Installed(around.as_ref().map(|around| &around.catalog));
    let question = question.complete(installed).map_err(|what| unfit(&what))?;
    let risk = question.risk.ok_or_else(|| unfit("the risk is not known"))?;
    let explanation = policy.explain(&question.subject(risk, Timestamp::now()));
    if args.json {
        say_json(&json!({ "call": question, "explanation": explanation }));
    } else {
        say(explanation.render().trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// The target's name, and its place as far as the configuration says.
fn target(
    args: &ExplainArgs,
    config: &impl Fn() -> Result<Config, Refusal>,
) -> Result<(String, Option<Role>), Refusal> {
    let given = args.target_role.map(|place| match place {
        Place::Primary => Role::Primary,
        Place::Standby => Role::Standby,
    });
    // Everything was said: there need not be a configuration.
    if let (Some(name), true) = (&args.target, given.is_some() || args.risk.is_some()) {
        return Ok((name.clone(), given));
    }
    let targets = startup::targets(&config()?)?;
    let name = match (&args.target, targets.len()) {
        (Some(name), _) => name.clone(),
        (None, 1) => targets.keys().next().cloned().unwrap_or_default(),
        (None, _) => {
            let names: Vec<_> = targets.keys().cloned().collect();
            return Err(unfit("there are several targets").with_remedy(format!("say `--target`: {}", names.join(", "))));
        }
    };
    let Some(target) = targets.get(&name) else {
        let names: Vec<_> = targets.keys().cloned().collect();
        return Err(unfit(&format!("no target `{}` is configured", shown(&name, 64)))
            .with_remedy(format!("use one of: {}", names.join(", "))));
    };
    Ok((name, given.or_else(|| target.role_hint())))
}

/// `name=value`, the value as JSON if it is a number, true or false, or a quoted text, and as a text otherwise.
fn argument(text: &str) -> Result<(String, Json), String> {
    let (name, value) = text.split_once('=').ok_or("write an argument as name=value")?;
    let value = match serde_json::from_str::<Json>(value) {
        Ok(value) if value.is_number() || value.is_boolean() || value.is_string() => value,
        _ => Json::from(value),
    };
    Ok((name.to_owned(), value))
}

fn once_each(arguments: Vec<(String, Json)>) -> Result<Map<String, Json>, Refusal> {
    let mut all = Map::new();
    for (name, value) in arguments {
        if all.contains_key(&name) {
            return Err(unfit(&format!("the argument `{}` is given twice", shown(&name, 64))));
        }
        all.insert(name, value);
    }
    Ok(all)
}

fn unfit(what: &str) -> Refusal {
    Refusal::new(Code::ConfigInvalid, what.to_owned())
        .with_remedy("`lockgate policy explain --help` has what may be said")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_what_it_looks_like() {
        for (text, value) in [
            ("pid=4471", json!(4471)),
            ("analyze=true", json!(true)),
            ("schema=public", json!("public")),
            ("schema=\"5\"", json!("5")),
            ("schema=a=b", json!("a=b")),
            ("schema=null", json!("null")),
            ("schema=[1]", json!("[1]")),
            ("schema=", json!("")),
        ] {
            assert_eq!(argument(text).unwrap().1, value, "{text}");
        }
        assert!(argument("pid").is_err());
    }
}
