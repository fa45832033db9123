//! `lockgate pack push`: what a publisher's pipeline ends with.

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::terminal::{say, say_json},
    error::{Code, Refusal},
    install::Source,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct PushArgs {
    /// The component; its envelope must be beside it
    component: PathBuf,
    /// Where to: `oci://REGISTRY/REPOSITORY:TAG`
    #[arg(value_name = "OCI")]
    to: String,
    /// Without TLS, to a registry on this machine
    #[arg(long)]
    plain_http: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn push(args: &PushArgs) -> Result<(), Refusal> {
    let Source::Registry(registry) = Source::parse(&args.to, args.plain_http)? else {
        return Err(Refusal::new(
            Code::ConfigInvalid,
            format!("`{}` is no registry", crate::outside::shown(&args.to, 200)),
        )
        .with_remedy("give `oci://REGISTRY/REPOSITORY:TAG`"));
    };
    let packs = Source::File(args.component.clone()).fetch().await?;
    for pack in &packs {
        let published = registry.push(pack).await?;
        if args.json {
            say_json(&serde_json::json!({ "reference": published.reference, "envelope": published.envelope }));
        } else {
            say(&format!("{}\n  envelope {}", published.reference, published.envelope));
            say("Tell operators this digest: a tag can be moved.");
        }
    }
    Ok(())
}
