//! `lockgate trust remove`.

use clap::{Args, Subcommand};
use lockgate_signing::{name::PackName, version::PackVersion};

use super::{Agreed, make};
use crate::{config::Config, error::Refusal, trust::Prepared};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RemoveCommand {
    /// Trust a publisher no longer, or take away some of what it may do
    Publisher(PublisherArgs),
    /// Take a key off the list; to be sure that it is never accepted again, revoke it
    Key {
        /// Its name
        name: String,
        #[command(flatten)]
        agreed: Agreed,
    },
    /// Accept a version with other bytes again
    Pin {
        /// The pack's name
        pack: PackName,
        /// Its version
        version: PackVersion,
        #[command(flatten)]
        agreed: Agreed,
    },
    /// Accept older versions of a pack again
    Minimum {
        /// The pack's name
        pack: PackName,
        #[command(flatten)]
        agreed: Agreed,
    },
    /// No longer allow going back to a version
    Rollback {
        /// The pack's name
        pack: PackName,
        /// Its version
        version: PackVersion,
        #[command(flatten)]
        agreed: Agreed,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PublisherArgs {
    /// Its name; without anything else all of it goes
    name: String,
    /// A key that is its own no longer, by name
    #[arg(long = "key", value_name = "NAME")]
    keys: Vec<String>,
    /// A pattern of packs that it may publish no longer
    #[arg(long = "pack", value_name = "PATTERN")]
    packs: Vec<String>,
    /// A statement class that its packs may use no longer
    #[arg(long = "class", value_name = "CLASS")]
    classes: Vec<String>,
    /// A pattern of targets that its packs may be used on no longer
    #[arg(long = "target", value_name = "PATTERN")]
    targets: Vec<String>,
    #[command(flatten)]
    agreed: Agreed,
}

pub(super) async fn run(command: RemoveCommand, config: &Config) -> Result<(), Refusal> {
    let (prepared, agreed) = match command {
        RemoveCommand::Publisher(args) => {
            let PublisherArgs { name, keys, packs, classes, targets, agreed } = args;
            let lists = [("keys", keys), ("packs", packs), ("classes", classes), ("targets", targets)];
            let all = lists.iter().all(|(_, less)| less.is_empty());
            let prepared = Prepared::new(&config.trust, |text| {
                if all {
                    return text.remove_publisher(&name);
                }
                lists.iter().try_for_each(|(field, less)| text.withdraw(&name, field, less))
            });
            (prepared?, agreed)
        }
        RemoveCommand::Key { name, agreed } => (Prepared::new(&config.trust, |text| text.remove_key(&name))?, agreed),
        RemoveCommand::Pin { pack, version, agreed } => (versioned(config, "pin", &pack, Some(&version))?, agreed),
        RemoveCommand::Minimum { pack, agreed } => (versioned(config, "minimum", &pack, None)?, agreed),
        RemoveCommand::Rollback { pack, version, agreed } => {
            (versioned(config, "allow_rollback", &pack, Some(&version))?, agreed)
        }
    };
    make(prepared, config, &agreed).await
}

fn versioned(config: &Config, list: &str, pack: &PackName, version: Option<&PackVersion>) -> Result<Prepared, Refusal> {
    let version = version.map(ToString::to_string);
    Prepared::new(&config.trust, |text| text.remove_version(list, pack.as_str(), version.as_deref()))
}
