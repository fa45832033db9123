//! `lockgate trust add`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lockgate_signing::{
    encoding::sha256,
    file::{self, MAX_COMPONENT_BYTES},
    name::PackName,
    version::PackVersion,
};

use super::{Agreed, first_use, make};
use crate::{
    cli::pack::refused_file,
    config::Config,
    error::{Code, Refusal},
    trust::Prepared,
};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AddCommand {
    /// Trust a publisher, or let one that is trusted do more
    Publisher(first_use::PublisherArgs),
    /// Accept a version of a pack only with these bytes
    Pin {
        /// The pack's name
        pack: PackName,
        /// Its version
        version: PackVersion,
        /// The component with the bytes
        #[arg(value_name = "COMPONENT")]
        component: PathBuf,
        #[command(flatten)]
        agreed: Agreed,
    },
    /// Accept no older version of a pack than this
    Minimum(VersionArgs),
    /// Allow going back to a version that is older than what was used here
    Rollback(VersionArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VersionArgs {
    /// The pack's name
    pack: PackName,
    /// Its version
    version: PackVersion,
    #[command(flatten)]
    agreed: Agreed,
}

pub(super) async fn run(command: AddCommand, config: &Config) -> Result<(), Refusal> {
    match command {
        AddCommand::Publisher(args) => first_use::run(args, config).await,
        AddCommand::Pin { pack, version, component, agreed } => {
            let bytes = file::read_once(&component, MAX_COMPONENT_BYTES).map_err(|e| refused_file(&e))?;
            let expected = lockgate_signing::declaration::component_file_name(&pack, &version);
            if component.file_name().is_none_or(|name| name != expected.as_str()) {
                let message = format!("{} is not named `{expected}`", component.display());
                return Err(Refusal::new(Code::FileRefused, message)
                    .with_remedy("give the component of this version, under the name that it was signed with"));
            }
            let digest = sha256(&bytes);
            let edit = |text: &mut crate::trust::TrustText| text.pin(pack.as_str(), &version.to_string(), &digest);
            make(Prepared::new(&config.trust, edit)?, config, &agreed).await
        }
        AddCommand::Minimum(VersionArgs { pack, version, agreed }) => {
            let prepared = Prepared::new(&config.trust, |text| text.set_minimum(pack.as_str(), &version.to_string()))?;
            make(prepared, config, &agreed).await
        }
        AddCommand::Rollback(VersionArgs { pack, version, agreed }) => {
            let prepared =
                Prepared::new(&config.trust, |text| text.allow_rollback(pack.as_str(), &version.to_string()))?;
            make(prepared, config, &agreed).await
        }
    }
}
