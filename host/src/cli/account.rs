//! `lockgate account`: people who may log in to the portal. What is made or changed here is on the record first, by the
//! operating system's user who does it; a running `lockgate serve` sees it at once.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::terminal::{self, say, say_json};
use crate::{
    config::Config,
    error::Refusal,
    people::{People, PeopleSettings, accounts::Wanted, acting, links::MadeLink},
    portal::PortalConfig,
    startup::State,
    store::{Account, AccountChange, PortalRole},
};

#[derive(Debug, Subcommand)]
pub(super) enum AccountCommand {
    /// Make an account; prints a link with which its person chooses a password, once
    Create(CreateArgs),
    /// List accounts: who there is and what they may do
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one account
    Show {
        /// Its name
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Change what somebody may do in the portal; their sessions end
    SetRole {
        /// The account's name
        name: String,
        /// `viewer`, `approver` or `admin`
        role: PortalRole,
    },
    /// Change which approvers' groups somebody is in, for policy; their sessions end
    SetGroups {
        /// The account's name
        name: String,
        /// All of them, as they will be; none for none
        groups: Vec<String>,
    },
    /// Keep somebody out: their sessions end, their links can't be used
    Disable {
        /// The account's name
        name: String,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let somebody in again
    Enable {
        /// The account's name
        name: String,
    },
    /// Print a link with which somebody chooses a new password, once
    Reset {
        /// The account's name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The account's name: it names the person on the record and never changes
    name: String,
    /// What they may do in the portal: `viewer`, `approver` or `admin`
    #[arg(long, default_value = "viewer", value_name = "ROLE")]
    role: PortalRole,
    /// An approvers' group they are in, for policy; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// The operating system's user that is the same person
    #[arg(long, value_name = "USER")]
    os_user: Option<String>,
    /// Their e-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: AccountCommand, config: &Config) -> Result<ExitCode, Refusal> {
    let state = State::open(config)?;
    let settings = config.portal.as_ref().map_or_else(PeopleSettings::default, PortalConfig::people);
    // Nobody logs in here: no browser is ever known by this key.
    let people = People::new(state.store.clone(), state.record.clone(), settings, [0; 32]);
    let by = acting::of(&*state.store, &terminal::os_user())?.person;
    match command {
        AccountCommand::Create(args) => create(&people, config, args, &by).await?,
        AccountCommand::List { json } => list(&people.all().await?, json),
        AccountCommand::Show { name, json } => show(&people.one(&name).await?, json),
        AccountCommand::SetRole { name, role } => {
            let account = people.one(&name).await?;
            let change = AccountChange { role, ..AccountChange::of(&account) };
            let account = people.change(&name, change, &by).await?;
            say(&format!("{} is {} in the portal", account.name, account.role));
        }
        AccountCommand::SetGroups { name, groups } => {
            let account = people.one(&name).await?;
            let change = AccountChange { groups: groups.into_iter().collect(), ..AccountChange::of(&account) };
            let account = people.change(&name, change, &by).await?;
            say(&format!("{} is in the groups: {}", account.name, listed(&account)));
        }
        AccountCommand::Disable { name, reason } => {
            let account = people.disable(&name, &reason, &by).await?;
            say(&format!("{} is disabled and logged out", account.name));
        }
        AccountCommand::Enable { name } => {
            let account = people.enable(&name, &by).await?;
            say(&format!("{} may come in again", account.name));
        }
        AccountCommand::Reset { name } => {
            let link = people.password_link(&name, &by).await?;
            say_link(config, &name, &link);
        }
    }
    state.record.close().await?;
    Ok(ExitCode::SUCCESS)
}

async fn create(people: &People, config: &Config, args: CreateArgs, by: &str) -> Result<(), Refusal> {
    let wanted = Wanted {
        name: args.name,
        role: args.role,
        groups: args.groups.into_iter().collect(),
        os_user: args.os_user,
        email: args.email,
    };
    let account = people.create(wanted, by).await?;
    if !people.settings().passwords {
        say(&format!("{} is made; passwords are not taken here, so they log in by the issuer", account.name));
        return Ok(());
    }
    let link = people.password_link(&account.name, by).await?;
    if args.json {
        say_json(&json!({
            "name": account.name, "link": address(config, &link), "expires_at": link.expires_at.to_string(),
        }));
    } else {
        say(&format!("{} is made", account.name));
        say_link(config, &account.name, &link);
    }
    Ok(())
}

fn say_link(config: &Config, name: &str, link: &MadeLink) {
    say(&format!("link     {}", address(config, link)));
    say(&format!("expires  {}", second(link.expires_at)));
    say("");
    say(&format!("Give the link to {name}; it is shown only now, and works once."));
}

/// The whole address, where the configuration says what it is.
fn address(config: &Config, link: &MadeLink) -> String {
    let base = match (&config.approvals.url, &config.portal) {
        (Some(url), _) => url.to_string(),
        (None, Some(portal)) => format!("http://{}", portal.listen),
        (None, None) => String::new(),
    };
    format!("{base}{}", link.path(false))
}

fn list(accounts: &[Account], json: bool) {
    if json {
        accounts.iter().for_each(say_json);
    } else if accounts.is_empty() {
        say("there is no account; `lockgate account create NAME --role admin` makes one");
    } else {
        for account in accounts {
            let state = if account.disabled.is_some() { "disabled" } else { "active" };
            let seen =
                account.last_login_at.map_or("never logged in".to_owned(), |at| format!("logged in {}", second(at)));
            say(&format!("{}  {state}  {}, groups: {}, {seen}", account.name, account.role, listed(account)));
        }
    }
}

fn show(account: &Account, json: bool) {
    if json {
        return say_json(account);
    }
    let none = || "none".to_owned();
    let has = |there: bool| if there { "yes" } else { "no" }.to_owned();
    let mut lines = vec![
        ("name", account.name.clone()),
        ("state", if account.disabled.is_some() { "disabled" } else { "active" }.to_owned()),
        ("role", account.role.to_string()),
        ("groups", listed(account)),
        ("os user", account.os_user.clone().unwrap_or_else(none)),
        ("email", account.email.clone().unwrap_or_else(none)),
        ("password", has(account.has_password)),
        ("passkeys", account.passkeys.to_string()),
        ("issuer", has(account.has_identity)),
        ("created", format!("{} by {}", second(account.created_at), account.created_by)),
        ("last login", account.last_login_at.map_or("never".to_owned(), second)),
    ];
    if let Some(disabled) = &account.disabled {
        let why = if disabled.reason.is_empty() { String::new() } else { format!(": {}", disabled.reason) };
        lines.push(("disabled", format!("{} by {}{why}", second(disabled.at), disabled.by)));
    }
    for (name, text) in lines {
        say(&format!("{name:<10}  {text}"));
    }
}

fn listed(account: &Account) -> String {
    if account.groups.is_empty() {
        return "none".to_owned();
    }
    account.groups.iter().cloned().collect::<Vec<_>>().join(", ")
}

fn second(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
