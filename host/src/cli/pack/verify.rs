//! `lockgate pack verify`: signature, trust and manifest, as a host would look at them at start.

use std::path::Path;

use jiff::Timestamp;
use lockgate_signing::verify::{HighestSeen, verify_file};

use super::{
    super::terminal::{say, say_json},
    admission,
};
use crate::{error::Refusal, pack::admission::AdmissionError, startup};

pub(super) async fn verify(component: &Path, trust: &Path, json: bool) -> Result<(), Refusal> {
    let admission = admission()?;
    let trust = startup::trust(trust)?;
    let verified =
        verify_file(component, &trust, Timestamp::now(), &HighestSeen::new()).map_err(AdmissionError::from)?;
    let pack = admission.admit(verified).await?;
    let predicate = pack.verified().predicate();
    if json {
        say_json(predicate);
        return Ok(());
    }
    say(&format!("{} {}  verified", predicate.pack, predicate.version));
    say(&format!("  publisher  {}", predicate.publisher));
    say(&format!("  sha256     {}", pack.digest()));
    say(&format!("  signed     {} until {}", predicate.issued, predicate.expires));
    say(&format!("  actions    {}", predicate.actions.len()));
    say(&format!("  classes    {}", predicate.classes.join(", ")));
    Ok(())
}
